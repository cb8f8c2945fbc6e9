/* SPDX-License-Identifier: MIT */
/*
 * finetune: teaches a trained network other classes. Its last layer is made anew, the layers that --freeze names stay as
 * they are, and the rest learns with a fraction of the last layer's learning rate.
 */
#include "common/check.h"
#include "common/dataset.h"
#include "common/files.h"
#include "common/flags.h"
#include "common/network.h"
#include "common/recipe.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char program_name[] = "finetune";

typedef struct options {
    data_options data;
    const char *arch, *weights, *head, *recipe, *device, *dtype, *out;
    texts freeze, set;
    int64_t epochs, batch;
    double lr, body_lr;
    uint64_t seed;
    int32_t threads;
} options;

static const char help[] =
    "usage: finetune --dataset NAME --arch NAME --weights FILE [FLAG...]\n"
    "\n"
    "Goes on from the weights of a network that was trained on other images. The last layer is made anew for the classes of\n"
    "the training images; SGD with Nesterov momentum, the learning rate falls to 0 along a cosine.\n"
    "\n"
    DATA_TEST_HELP
    DATA_TRAIN_HELP
    "  --arch NAME          network, see --list-archs (tutorial)\n"
    "  --weights FILE       where it starts from; what the last layer has there is not read\n"
    "  --head NAME          name of the last layer (fc)\n"
    "  --freeze GLOB,GLOB   parameters that stay as they are: 'conv1.*,layer1.*', or '*' for all but the last layer\n"
    "  --body-lr X          learning rate of all but the last layer, as a fraction of it (0.1)\n"
    "  --lr X               learning rate of the last layer at the start (0.05)\n"
    "  --epochs N           passes over the training images (5)\n"
    "  --batch N            images per step (64)\n"
    "  --recipe NAME|FILE   for what it says about images: the one the weights were trained with (tutorial)\n"
    "  --set KEY=VALUE      a value of the recipe; may be given several times\n"
    "  --seed N             of the last layer, order of images and augmentation (0)\n"
    "  --dtype NAME         fp32, bf16 or fp16 (fp32)\n"
    "  --threads N          threads to compute with (as many as there are)\n"
    "  --device NAME        auto, cpu or cuda:N (auto)\n"
    "  --out DIR            folder for model.safetensors (resnet-finetuned)\n"
    "  --list-archs         print the names of the networks\n"
    "  --help               print this\n";

static const flag flags[] = {
    DATA_TEST_FLAGS(options, data),
    DATA_TRAIN_FLAGS(options, data),
    {"--arch", FLAG_TEXT, offsetof(options, arch)},
    {"--weights", FLAG_TEXT, offsetof(options, weights)},
    {"--head", FLAG_TEXT, offsetof(options, head)},
    {"--freeze", FLAG_TEXTS, offsetof(options, freeze)},
    {"--body-lr", FLAG_RATE, offsetof(options, body_lr)},
    {"--lr", FLAG_RATE, offsetof(options, lr)},
    {"--epochs", FLAG_COUNT, offsetof(options, epochs)},
    {"--batch", FLAG_COUNT, offsetof(options, batch)},
    {"--recipe", FLAG_TEXT, offsetof(options, recipe)},
    {"--set", FLAG_APPEND, offsetof(options, set)},
    {"--seed", FLAG_SEED, offsetof(options, seed)},
    {"--dtype", FLAG_TEXT, offsetof(options, dtype)},
    {"--threads", FLAG_THREADS, offsetof(options, threads)},
    {"--device", FLAG_TEXT, offsetof(options, device)},
    {"--out", FLAG_TEXT, offsetof(options, out)},
    {"--list-archs", FLAG_ARCHS, 0},
    {"--help", FLAG_HELP, 0},
};
static const flag_table table = {flags, sizeof flags / sizeof flags[0], help};

typedef struct finetuning {
    const options *o;
    recipe r;
    rn_context *ctx;
    rn_device *device;
    rn_dataset *train_set, *test_set;
    rn_dataset_info info; /* of the training set */
    rn_model *model;
    rn_loss *loss;
    rn_optimizer *optimizer;
    rn_schedule *schedule;
    rn_plan *train_plan, *test_plan;
    rn_loader *train_loader, *test_loader;
    char head[64]; /* what the names of the last layer begin with: "fc." */
} finetuning;

static void open_data(finetuning *f)
{
    rn_dataset_info test = RN_DATASET_INFO_INIT;
    f->train_set = data_open_train(f->ctx, &f->o->data);
    f->test_set = data_open_test(f->ctx, &f->o->data);
    f->info = (rn_dataset_info)RN_DATASET_INFO_INIT;
    CHECK(rn_dataset_describe(f->train_set, &f->info));
    CHECK(rn_dataset_describe(f->test_set, &test));
    if (test.classes > f->info.classes)
        f->info.classes = test.classes;
}

/* A name per line; all of the last layer? */
static int of_head_alone(const finetuning *f, const char *names)
{
    const size_t length = strlen(f->head);
    for (const char *name = names; name && *name;) {
        if (strncmp(name, f->head, length) != 0)
            return 0;
        name += strcspn(name, "\n");
        name += *name == '\n';
    }
    return 1;
}

/*
 * All but the last layer, whose shape is another. In the file it is renamed, so that it does not count as misshapen but
 * as missing here and unexpected there, which RN_LOAD_PARTIAL allows. Nothing else may be missing.
 */
static void load_body(finetuning *f)
{
    const rn_rename renames[] = {{f->head, "(head of the file)."}, {"linear.", "(head of the file)."}};
    rn_load_options load = RN_LOAD_OPTIONS_INIT;
    load.flags = RN_LOAD_PARTIAL;
    load.strip_prefix = "module.";
    load.renames = renames;
    load.num_renames = 2;
    const rn_status status = rn_model_load(f->model, f->o->weights, &load);
    if (status < 0 || !of_head_alone(f, load.missing)) {
        network_report(&load);
        fail(1, "--weights do not fit %s: %s", f->o->arch, status < 0 ? rn_error_message() : f->o->weights);
    }
    rn_load_report_release(&load);
}

static void make_model(finetuning *f)
{
    rn_zoo_options zoo = RN_ZOO_OPTIONS_INIT;
    rn_state_entry weight = RN_STATE_ENTRY_INIT;
    rn_layer *net;
    char name[80];
    zoo.classes = f->info.classes;
    zoo.in_channels = f->info.channels;
    CHECK(rn_zoo_create(f->ctx, f->o->arch, &zoo, &net));
    CHECK(rn_model_create(f->ctx, net, f->device, &f->model)); /* all of it is drawn from the seed */
    rn_layer_release(net);
    snprintf(f->head, sizeof f->head, "%.60s.", f->o->head);
    snprintf(name, sizeof name, "%sweight", f->head);
    if (rn_model_find_state(f->model, name, &weight) < 0)
        fail(1, "--head: %s has no layer '%s' with a weight", f->o->arch, f->o->head);
    load_body(f);
}

/* Frozen parameters have no gradients and are not updated; running statistics of batch normalisation still are. */
static void freeze(const finetuning *f)
{
    char head[80];
    for (size_t i = 0; i < f->o->freeze.count; i++)
        if (rn_model_set_trainable(f->model, f->o->freeze.item[i], 0, NULL) < 0)
            fail(1, "--freeze: %s", rn_error_message());
    snprintf(head, sizeof head, "%s*", f->head);
    CHECK(rn_model_set_trainable(f->model, head, 1, NULL));
}

/* Two groups: a parameter belongs to the one that names it last. */
static void make_optimizer(finetuning *f)
{
    rn_sgd_options sgd = RN_SGD_OPTIONS_INIT; /* momentum 0.9 */
    rn_group_options group = RN_GROUP_OPTIONS_INIT;
    char head[80];
    sgd.flags = RN_SGD_NESTEROV;
    sgd.lr = f->o->lr;
    group.weight_decay = sgd.weight_decay;
    CHECK(rn_sgd_create(f->model, &sgd, &f->optimizer));
    group.lr_factor = f->o->body_lr;
    CHECK(rn_optimizer_add_group(f->optimizer, "*", &group));
    group.lr_factor = 1.0;
    snprintf(head, sizeof head, "%s*", f->head);
    CHECK(rn_optimizer_add_group(f->optimizer, head, &group));
}

static rn_plan *make_plan(const finetuning *f, int32_t mode)
{
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    rn_plan *plan;
    o.mode = mode;
    recipe_input_dims(&f->r, &f->info, f->o->batch, o.input_dims);
    o.compute_dtype = network_dtype(f->o->dtype);
    o.loss = f->loss;
    o.optimizer = mode == RN_PLAN_TRAIN ? f->optimizer : NULL;
    CHECK(rn_plan_create(f->model, &o, &plan));
    return plan;
}

static rn_loader *make_loader(const finetuning *f, rn_dataset *images, rn_plan *plan)
{
    const int training = plan == f->train_plan;
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    rn_loader *loader;
    o.flags = training ? RN_LOADER_SHUFFLE : 0;
    o.batch = f->o->batch;
    o.plan = plan;
    if (f->o->data.workers)
        o.workers = f->o->data.workers;
    o.transform = recipe_transform(&f->r, f->ctx, f->o->data.dataset, &f->info, training);
    CHECK(rn_loader_create(images, &o, &loader));
    rn_transform_release(o.transform);
    return loader;
}

static void build(finetuning *f)
{
    rn_context_options context = RN_CONTEXT_OPTIONS_INIT;
    rn_cosine_schedule_options cosine = RN_COSINE_SCHEDULE_OPTIONS_INIT;
    context.seed = f->o->seed;
    context.num_threads = f->o->threads;
    CHECK(rn_context_create(&context, &f->ctx));
    CHECK(rn_context_find_device(f->ctx, f->o->device, &f->device));
    open_data(f);
    make_model(f);
    freeze(f); /* before plans are made: they leave out what nobody needs */
    make_optimizer(f);
    CHECK(rn_cross_entropy_create(f->ctx, NULL, &f->loss));
    f->train_plan = make_plan(f, RN_PLAN_TRAIN);
    f->test_plan = make_plan(f, RN_PLAN_INFER);
    f->train_loader = make_loader(f, f->train_set, f->train_plan);
    f->test_loader = make_loader(f, f->test_set, f->test_plan);
    cosine.lr = f->o->lr;
    cosine.steps = f->o->epochs * rn_loader_batches(f->train_loader);
    CHECK(rn_cosine_schedule_create(f->ctx, &cosine, &f->schedule));
}

static void tear_down(finetuning *f)
{
    rn_loader_release(f->test_loader);
    rn_loader_release(f->train_loader);
    rn_plan_release(f->test_plan);
    rn_plan_release(f->train_plan);
    rn_schedule_release(f->schedule);
    rn_optimizer_release(f->optimizer);
    rn_loss_release(f->loss);
    rn_model_release(f->model);
    rn_dataset_release(f->test_set);
    rn_dataset_release(f->train_set);
    rn_context_release(f->ctx);
}

static void train_epoch(finetuning *f, int64_t epoch, rn_metrics *m)
{
    int64_t step = epoch * rn_loader_batches(f->train_loader);
    rn_tensor *images, *labels;
    rn_status status;
    while ((status = rn_loader_next(f->train_loader, &images, &labels)) == RN_OK) {
        CHECK(rn_schedule_apply(f->schedule, step++, f->optimizer));
        CHECK(rn_plan_train_step(f->train_plan, images, labels));
    }
    CHECK(status);
    CHECK(rn_plan_metrics(f->train_plan, m, 1));
    if (!m->count)
        fail(1, "none of the training images can be read");
    if (m->nonfinite)
        fail(1, "the loss is not finite in epoch %lld; a smaller --lr may help", (long long)epoch + 1);
}

static void test(finetuning *f, rn_metrics *m)
{
    rn_tensor *images, *labels;
    rn_status status;
    while ((status = rn_loader_next(f->test_loader, &images, &labels)) == RN_OK)
        CHECK(rn_plan_eval_step(f->test_plan, images, labels));
    CHECK(status);
    CHECK(rn_plan_metrics(f->test_plan, m, 1));
}

static double percent(const rn_metrics *m)
{
    return m->count ? 100 * (double)m->correct / (double)m->count : 0.0;
}

static void train(finetuning *f)
{
    for (int64_t epoch = 0; epoch < f->o->epochs; epoch++) {
        rn_metrics training = RN_METRICS_INIT, testing = RN_METRICS_INIT;
        train_epoch(f, epoch, &training);
        test(f, &testing);
        printf("Epoch [%lld/%lld] Loss: %.4f, training accuracy %.2f %%, test accuracy %.2f %%\n", (long long)epoch + 1,
               (long long)f->o->epochs, training.loss_sum / (double)training.count, percent(&training),
               percent(&testing));
    }
}

static void parse(options *o, recipe *r, int argc, char **argv)
{
    *o = (options){.arch = "tutorial", .head = "fc", .recipe = "tutorial", .device = "auto", .dtype = "fp32",
                   .out = "resnet-finetuned", .epochs = 5, .batch = 64, .lr = 0.05, .body_lr = 0.1};
    flags_parse(&table, o, argc, argv, NULL);
    data_options_check(&o->data, 1);
    if (!o->weights)
        fail(2, "--weights is missing: the file with the weights to start from");
    network_dtype(o->dtype);
    recipe_load(r, o->recipe);
    for (size_t i = 0; i < o->set.count; i++)
        recipe_set(r, "--set", o->set.item[i]);
    recipe_check(r);
}

int main(int argc, char **argv)
{
    options o;
    finetuning f = {.o = &o};
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* whole lines, also into a file */
    parse(&o, &f.r, argc, argv);
    folder_prepare(o.out);
    build(&f);
    fprintf(stderr, "%s, %lld of %lld parameters are trained, %lld classes\n", o.arch,
            (long long)rn_model_parameter_count(f.model, 1), (long long)rn_model_parameter_count(f.model, 0),
            (long long)f.info.classes);
    train(&f);
    char *const path = path_in(o.out, "model.safetensors");
    CHECK(rn_model_save(f.model, path));
    printf("Weights: %s\n", path);
    free(path);
    tear_down(&f);
    return 0;
}
