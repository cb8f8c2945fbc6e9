/* SPDX-License-Identifier: MIT */
/* evaluate: how often a trained network is right, and what it takes for what. */
#include "common/check.h"
#include "common/confusion.h"
#include "common/dataset.h"
#include "common/files.h"
#include "common/flags.h"
#include "common/labels.h"
#include "common/network.h"
#include "common/recipe.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char program_name[] = "evaluate";

typedef struct options {
    data_options data;
    const char *arch, *weights, *recipe, *labels, *device, *dtype, *out;
    texts set;
    int64_t batch, classes;
    int32_t threads;
} options;

static const char help[] =
    "usage: evaluate --dataset NAME --arch NAME --weights FILE [FLAG...]\n"
    "\n"
    "Asks a trained network for the classes of test images and prints how often it is right: the share of images whose\n"
    "class has the highest probability, and whose class is among the five highest.\n"
    "\n"
    DATA_TEST_HELP
    "  --arch NAME          network, see --list-archs (tutorial)\n"
    "  --weights FILE       its weights: model.safetensors of train_classifier, or a file of the same names\n"
    "  --recipe NAME|FILE   the recipe it was trained with, for what it says about test images: DIR/recipe.txt of\n"
    "                       train_classifier, or a name (tutorial)\n"
    "  --set KEY=VALUE      a value of the recipe; may be given several times\n"
    "  --classes N          classes of the network, if the test images do not have all of them\n"
    "  --labels FILE        names of the classes, one a line\n"
    "  --batch N            images at a time (100)\n"
    "  --dtype NAME         fp32 or bf16 (fp32)\n"
    "  --threads N          threads to compute with (as many as there are)\n"
    "  --device NAME        auto, cpu or cuda:N (auto)\n"
    "  --out DIR            folder for confusion.csv and confusion.svg: how often which class was taken for which\n"
    "  --list-archs         print the names of the networks\n"
    "  --help               print this\n";

static const flag flags[] = {
    DATA_TEST_FLAGS(options, data),
    {"--arch", FLAG_TEXT, offsetof(options, arch)},
    {"--weights", FLAG_TEXT, offsetof(options, weights)},
    {"--recipe", FLAG_TEXT, offsetof(options, recipe)},
    {"--set", FLAG_APPEND, offsetof(options, set)},
    {"--classes", FLAG_COUNT, offsetof(options, classes)},
    {"--labels", FLAG_TEXT, offsetof(options, labels)},
    {"--batch", FLAG_COUNT, offsetof(options, batch)},
    {"--dtype", FLAG_TEXT, offsetof(options, dtype)},
    {"--threads", FLAG_THREADS, offsetof(options, threads)},
    {"--device", FLAG_TEXT, offsetof(options, device)},
    {"--out", FLAG_TEXT, offsetof(options, out)},
    {"--list-archs", FLAG_ARCHS, 0},
    {"--help", FLAG_HELP, 0},
};
static const flag_table table = {flags, sizeof flags / sizeof flags[0], help};

typedef struct evaluation {
    const options *o;
    recipe r;
    rn_context *ctx;
    rn_device *device;
    rn_dataset *images;
    rn_dataset_info info;
    rn_model *model;
    int64_t *label; /* of each image */
    float *score;   /* [image][class]: the probabilities, or their sum over several views */
    confusion answers;
    labels names;
} evaluation;

static void open_all(evaluation *e)
{
    rn_context_options context = RN_CONTEXT_OPTIONS_INIT;
    context.num_threads = e->o->threads;
    CHECK(rn_context_create(&context, &e->ctx));
    CHECK(rn_context_find_device(e->ctx, e->o->device, &e->device));
    e->images = data_open_test(e->ctx, &e->o->data);
    e->info = (rn_dataset_info)RN_DATASET_INFO_INIT;
    CHECK(rn_dataset_describe(e->images, &e->info));
    if (e->o->classes && e->o->classes < e->info.classes)
        fail(1, "--classes: expected at least the %lld of the test images, got %lld", (long long)e->info.classes,
             (long long)e->o->classes);
    if (e->o->classes)
        e->info.classes = e->o->classes;
    e->model = network_open(e->ctx, e->device, e->o->arch, e->info.classes, e->info.channels, e->o->weights);
    e->label = allocate((size_t)e->info.count, sizeof *e->label);
    e->score = allocate((size_t)(e->info.count * e->info.classes), sizeof *e->score);
}

static void close_all(evaluation *e)
{
    free(e->score);
    free(e->label);
    rn_model_release(e->model);
    rn_dataset_release(e->images);
    rn_context_release(e->ctx);
}

static rn_loader *make_loader(evaluation *e, rn_plan *plan)
{
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    rn_loader *loader;
    o.batch = e->o->batch;
    o.plan = plan;
    o.transform = recipe_transform(&e->r, e->ctx, e->o->data.dataset, &e->info, 0);
    CHECK(rn_loader_create(e->images, &o, &loader));
    rn_transform_release(o.transform);
    return loader;
}

/* Adds the probabilities of all images to their scores. */
static void ask(evaluation *e)
{
    const int64_t dims[] = {e->o->batch, e->info.channels, e->info.height, e->info.width};
    predictor p;
    rn_tensor *images, *truth;
    rn_status status;
    int64_t done = 0;
    predictor_open(&p, e->model, dims, network_dtype(e->o->dtype));
    rn_loader *const loader = make_loader(e, p.plan);
    while ((status = rn_loader_next(loader, &images, &truth)) == RN_OK) {
        const int64_t n = predictor_run(&p, images);
        CHECK(rn_tensor_read(truth, e->label + done, (size_t)n * sizeof *e->label));
        for (int64_t i = 0; i < n * p.classes; i++)
            e->score[done * p.classes + i] += p.scores[i];
        done += n;
    }
    CHECK(status);
    rn_loader_release(loader);
    predictor_close(&p);
}

static void print_share(const char *what, int64_t correct, int64_t count)
{
    printf("%s %.2f %% (%lld of %lld)\n", what, 100 * (double)correct / (double)count, (long long)correct,
           (long long)count);
}

static void count_answers(evaluation *e, int64_t views)
{
    const int64_t classes = e->info.classes, k = classes < 5 ? classes : 5;
    int64_t correct[2] = {0, 0};
    double loss = 0;
    for (int64_t i = 0; i < e->info.count; i++) {
        const float *const score = e->score + i * classes;
        int64_t best[5];
        largest(score, classes, k, best);
        correct[0] += best[0] == e->label[i];
        for (int64_t j = 0; j < k; j++)
            correct[1] += best[j] == e->label[i];
        loss -= log(fmax((double)score[e->label[i]] / (double)views, 1e-30));
        e->answers.count[e->label[i] * classes + best[0]]++;
    }
    print_share("Top-1 accuracy:", correct[0], e->info.count);
    if (classes > 5)
        print_share("Top-5 accuracy:", correct[1], e->info.count);
    printf("Mean loss: %.4f\n", loss / (double)e->info.count);
}

static void name_classes(evaluation *e)
{
    if (e->o->labels) {
        labels_read(&e->names, e->o->labels);
        if (e->names.count != e->info.classes)
            fail(1, "%s: expected the names of %lld classes, got %lld", e->o->labels, (long long)e->info.classes,
                 (long long)e->names.count);
    }
    for (int64_t k = 0; k < e->info.classes; k++)
        e->answers.name[k] = e->o->labels ? e->names.name[k] : data_class_name(e->o->data.dataset, k);
}

static void write_answers(const evaluation *e)
{
    char title[160], subtitle[80];
    snprintf(title, sizeof title, "%s on %s", e->o->arch, e->o->data.dataset);
    snprintf(subtitle, sizeof subtitle, "%lld test images", (long long)e->info.count);
    confusion_write_csv(&e->answers, e->o->out);
    confusion_write_svg(&e->answers, e->o->out, title, subtitle);
}

static void parse(options *o, recipe *r, int argc, char **argv)
{
    *o = (options){.arch = "tutorial", .recipe = "tutorial", .device = "auto", .dtype = "fp32", .batch = 100};
    flags_parse(&table, o, argc, argv, NULL);
    data_options_check(&o->data, 0);
    if (!o->weights)
        fail(2, "--weights is missing: the file with the network's weights");
    network_dtype(o->dtype);
    recipe_load(r, o->recipe);
    for (size_t i = 0; i < o->set.count; i++)
        recipe_set(r, "--set", o->set.item[i]);
    recipe_check(r);
}

int main(int argc, char **argv)
{
    options o;
    evaluation e = {.o = &o};
    parse(&o, &e.r, argc, argv);
    if (o.out)
        folder_prepare(o.out);
    open_all(&e);
    confusion_open(&e.answers, e.info.classes);
    name_classes(&e);
    ask(&e);
    count_answers(&e, 1);
    if (o.out)
        write_answers(&e);
    labels_close(&e.names);
    confusion_close(&e.answers);
    close_all(&e);
    return 0;
}
