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
#include "common/text.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char program_name[] = "evaluate";

typedef struct options {
    data_options data;
    const char *arch, *weights, *recipe, *labels, *device, *dtype, *out;
    texts set, scales;
    int64_t batch, classes;
    int32_t threads;
    int ten_crop;
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
    "  --ten-crop           of pictures of any size, the mean over ten squares: corners and middle, mirrored and not\n"
    "  --scales N,N         of pictures of any size, the mean over several lengths of the short side: 224,256,384,480,640;\n"
    "                       of each the square in the middle, or with --ten-crop ten of the recipe's size\n"
    "  --classes N          classes of the network, if the test images do not have all of them\n"
    "  --labels FILE        names of the classes, one a line\n"
    "  --batch N            images at a time (100)\n"
    "  --dtype NAME         fp32, bf16 or fp16 (fp32)\n"
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
    {"--ten-crop", FLAG_SWITCH, offsetof(options, ten_crop)},
    {"--scales", FLAG_TEXTS, offsetof(options, scales)},
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
    int64_t count;  /* of images that were asked for */
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
    if ((e->o->ten_crop || e->o->scales.count) && e->info.height)
        fail(2, "--ten-crop and --scales are for folders of pictures");
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

/* One way to look at the images. */
typedef struct look {
    int64_t short_side; /* 0: as the recipe says */
    int64_t views;      /* of each image */
} look;

static rn_transform *make_transform(evaluation *e, const look *how, const int64_t dims[4])
{
    rn_transform *t;
    if (!how->short_side)
        return recipe_transform(&e->r, e->ctx, e->o->data.dataset, &e->info, 0);
    CHECK(rn_transform_create(e->ctx, &t));
    CHECK(rn_transform_short_side(t, how->short_side, how->short_side));
    if (how->views > 1)
        CHECK(rn_transform_ten_crop(t, dims[2], dims[3]));
    else
        CHECK(rn_transform_center_crop(t, dims[2], dims[3]));
    recipe_normalize(&e->r, t, e->o->data.dataset, e->info.channels);
    return t;
}

static rn_loader *make_loader(evaluation *e, const look *how, const int64_t dims[4], rn_plan *plan)
{
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    rn_loader *loader;
    o.batch = e->o->batch;
    o.plan = plan;
    if (e->o->data.workers)
        o.workers = e->o->data.workers;
    o.transform = make_transform(e, how, dims);
    CHECK(rn_loader_create(e->images, &o, &loader));
    rn_transform_release(o.transform);
    return loader;
}

/* Adds the probabilities of `rows` views, the next ones of the set, to the scores of their images. */
static void add_scores(evaluation *e, const predictor *p, const int64_t *truth, int64_t first, int64_t rows, int64_t views)
{
    for (int64_t row = 0; row < rows; row++) {
        const int64_t image = first + row / views;
        e->label[image] = truth[row];
        for (int64_t k = 0; k < p->classes; k++)
            e->score[image * p->classes + k] += p->scores[row * p->classes + k];
    }
}

/* Adds what the net says to the scores of all images. */
static void ask(evaluation *e, const look *how)
{
    int64_t dims[4], done = 0;
    predictor p;
    rn_tensor *images, *labels_of_rows;
    rn_status status;
    recipe_input_dims(&e->r, &e->info, e->o->batch * how->views, dims);
    if (how->short_side && how->views == 1)
        dims[2] = dims[3] = how->short_side;
    predictor_open(&p, e->model, dims, network_dtype(e->o->dtype));
    rn_loader *const loader = make_loader(e, how, dims, p.plan);
    int64_t *const truth = allocate((size_t)dims[0], sizeof *truth);
    while ((status = rn_loader_next(loader, &images, &labels_of_rows)) == RN_OK) {
        const int64_t rows = predictor_run(&p, images);
        CHECK(rn_tensor_read(labels_of_rows, truth, (size_t)rows * sizeof *truth));
        add_scores(e, &p, truth, done, rows, how->views);
        done += rows / how->views;
    }
    CHECK(status);
    if (!done)
        fail(1, "none of the test images can be read");
    e->count = done; /* fewer than there are when broken pictures are left out */
    free(truth);
    rn_loader_release(loader);
    predictor_close(&p);
}

/* Returns the number of views of each image in all. */
static int64_t ask_all(evaluation *e)
{
    const int64_t views = e->o->ten_crop ? 10 : 1;
    for (size_t i = 0; i < e->o->scales.count; i++) {
        look how = {.views = views};
        if (!text_count(e->o->scales.item[i], e->o->ten_crop ? e->r.size : 1, 4096, &how.short_side))
            fail(2, "--scales: expected whole numbers from %lld to 4096, got '%s'",
                 (long long)(e->o->ten_crop ? e->r.size : 1), e->o->scales.item[i]);
        ask(e, &how);
    }
    if (!e->o->scales.count) {
        const look how = {e->o->ten_crop ? e->r.short_side_test : 0, views};
        ask(e, &how);
    }
    return views * (int64_t)(e->o->scales.count ? e->o->scales.count : 1);
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
    for (int64_t i = 0; i < e->count; i++) {
        const float *const score = e->score + i * classes;
        int64_t best[5];
        largest(score, classes, k, best);
        correct[0] += best[0] == e->label[i];
        for (int64_t j = 0; j < k; j++)
            correct[1] += best[j] == e->label[i];
        loss -= log(fmax((double)score[e->label[i]] / (double)views, 1e-30));
        e->answers.count[e->label[i] * classes + best[0]]++;
    }
    print_share("Top-1 accuracy:", correct[0], e->count);
    if (classes > 5)
        print_share("Top-5 accuracy:", correct[1], e->count);
    printf("Mean loss: %.4f\n", loss / (double)e->count);
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
        e->answers.name[k] = e->o->labels ? e->names.name[k] : data_class_name(&e->o->data, e->images, k);
}

static void write_answers(const evaluation *e)
{
    char title[160], subtitle[80];
    snprintf(title, sizeof title, "%s on %s", e->o->arch, e->o->data.dataset);
    snprintf(subtitle, sizeof subtitle, "%lld test images", (long long)e->count);
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
    count_answers(&e, ask_all(&e));
    if (o.out)
        write_answers(&e);
    labels_close(&e.names);
    confusion_close(&e.answers);
    close_all(&e);
    return 0;
}
