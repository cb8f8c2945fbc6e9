/* SPDX-License-Identifier: MIT */
#include "train.h"
#include "check.h"
#include "curve.h"
#include "dataset.h"
#include "files.h"
#include "history.h"
#include "progress.h"
#include "recipe.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct training {
    const options *o;
    const volatile sig_atomic_t *interrupted;
    recipe r;
    rn_context *ctx;
    rn_device *device;
    data d;
    rn_model *model;
    rn_loss *loss;
    rn_optimizer *optimizer;
    rn_schedule *schedule;
    rn_plan *train_plan, *test_plan;
    rn_loader *train_loader, *test_loader;
    history h;
    progress p;
    char *model_path, *checkpoint_path;
    int64_t epoch, step;     /* epochs done; steps done in all */
    double seconds_before;   /* of this epoch, before an interruption */
} training;

static void make_model(training *t)
{
    rn_zoo_options zoo = RN_ZOO_OPTIONS_INIT;
    rn_layer *net;
    zoo.classes = t->d.info.classes;
    zoo.in_channels = t->d.info.channels;
    CHECK(rn_zoo_create(t->ctx, t->o->arch, &zoo, &net));
    CHECK(rn_model_create(t->ctx, net, t->device, &t->model));
    rn_layer_release(net);
}

/* Names as the zoo has them, or as in DataParallel's and akamaster's files. */
static void load_weights(training *t)
{
    rn_load_options o = RN_LOAD_OPTIONS_INIT;
    o.strip_prefix = "module.";
    CHECK(rn_zoo_renames("akamaster", &o.renames, &o.num_renames));
    if (t->o->weights && rn_model_load(t->model, t->o->weights, &o) < 0)
        fail(1, "--weights: %s", rn_error_message());
}

static void export_weights(const training *t)
{
    static const char *const torch[] = {".pth", ".pt", ".ckpt", ".th"};
    const char *const path = t->o->exported, *const dot = path ? strrchr(path, '.') : NULL;
    int for_torch = 0;
    for (size_t i = 0; dot && i < sizeof torch / sizeof torch[0]; i++)
        for_torch |= strcmp(dot, torch[i]) == 0;
    if (path && (for_torch ? rn_model_save_torch(t->model, path) : rn_model_save(t->model, path)) < 0)
        fail(1, "--export: %s", rn_error_message());
}

static rn_plan *make_plan(training *t, int32_t mode)
{
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    rn_plan *plan;
    o.mode = mode;
    o.input_dims[0] = t->r.batch;
    o.input_dims[1] = t->d.info.channels;
    o.input_dims[2] = t->d.info.height;
    o.input_dims[3] = t->d.info.width;
    o.compute_dtype = strcmp(t->o->dtype, "bf16") == 0 ? RN_BF16 : RN_F32;
    o.loss = t->loss;
    o.optimizer = mode == RN_PLAN_TRAIN ? t->optimizer : NULL;
    CHECK(rn_plan_create(t->model, &o, &plan));
    return plan;
}

/* Batches come in the layout that the plan reads. */
static rn_loader *make_loader(training *t, rn_dataset *ds, rn_plan *plan, int training_half)
{
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    rn_loader *loader;
    o.flags = training_half ? RN_LOADER_SHUFFLE : 0;
    o.batch = t->r.batch;
    o.plan = plan;
    o.transform = recipe_transform(&t->r, t->ctx, &t->d.info, training_half);
    CHECK(rn_loader_create(ds, &o, &loader));
    rn_transform_release(o.transform);
    return loader;
}

static void check_sizes(const data *d)
{
    rn_dataset_info test = RN_DATASET_INFO_INIT;
    CHECK(rn_dataset_describe(d->test, &test));
    if (test.channels != d->info.channels || test.height != d->info.height || test.width != d->info.width)
        fail(1, "training and test images differ in size");
}

static void build(training *t)
{
    rn_context_options context = RN_CONTEXT_OPTIONS_INIT;
    context.seed = t->o->seed;
    context.num_threads = t->o->threads;
    CHECK(rn_context_create(&context, &t->ctx));
    CHECK(rn_context_find_device(t->ctx, t->o->device, &t->device));
    data_open(&t->d, t->ctx, t->o);
    check_sizes(&t->d);
    recipe_init(&t->r, t->o, t->d.info.count);
    make_model(t);
    load_weights(t);
    CHECK(rn_cross_entropy_create(t->ctx, NULL, &t->loss));
    recipe_optimizer(&t->r, t->model, &t->optimizer);
    recipe_schedule(&t->r, t->ctx, &t->schedule);
    t->train_plan = make_plan(t, RN_PLAN_TRAIN);
    t->test_plan = make_plan(t, RN_PLAN_INFER);
    t->train_loader = make_loader(t, t->d.train, t->train_plan, 1);
    t->test_loader = make_loader(t, t->d.test, t->test_plan, 0);
    t->model_path = path_in(t->o->out, "model.safetensors");
    t->checkpoint_path = path_in(t->o->out, "checkpoint.safetensors");
}

static void tear_down(training *t)
{
    free(t->model_path);
    free(t->checkpoint_path);
    history_close(&t->h);
    rn_loader_release(t->test_loader);
    rn_loader_release(t->train_loader);
    rn_plan_release(t->test_plan);
    rn_plan_release(t->train_plan);
    rn_schedule_release(t->schedule);
    rn_optimizer_release(t->optimizer);
    rn_loss_release(t->loss);
    rn_model_release(t->model);
    data_close(&t->d);
    rn_context_release(t->ctx);
}

/* What a checkpoint consists of; the same for saving and loading. */
static rn_checkpoint parts(const training *t)
{
    rn_checkpoint c = RN_CHECKPOINT_INIT;
    c.model = t->model;
    c.optimizer = t->optimizer;
    c.schedule = t->schedule;
    c.loader = t->train_loader;
    c.plan = t->train_plan;
    c.epoch = t->epoch;
    c.step = t->step;
    return c;
}

static void save(training *t, double seconds)
{
    rn_checkpoint c = parts(t);
    c.value[0] = seconds;
    CHECK(rn_model_save(t->model, t->model_path));
    CHECK(rn_checkpoint_save(t->ctx, t->checkpoint_path, &c));
}

static void resume(training *t)
{
    rn_checkpoint c = parts(t);
    if (rn_checkpoint_load(t->ctx, t->checkpoint_path, &c) < 0)
        fail(1, "--resume: %s", rn_error_message());
    t->epoch = c.epoch;
    t->step = c.step;
    t->seconds_before = c.value[0];
    fprintf(stderr, "going on after step %lld of epoch %lld\n",
            (long long)(t->step - t->epoch * t->r.steps_per_epoch), (long long)t->epoch + 1);
}

/* Steps whose loss was not finite have left the weights alone, but more would follow. */
static void stop_if_not_finite(training *t, const rn_metrics *m, int64_t step)
{
    if (!m->nonfinite)
        return;
    progress_clear(&t->p);
    fail(1, "the loss is not finite (epoch %lld, up to step %lld, learning rate %g); training stops, %s is as it was last "
            "saved. A smaller --lr may help",
         (long long)t->epoch + 1, (long long)step, rn_optimizer_lr(t->optimizer), t->checkpoint_path);
}

static void print_step(training *t, int64_t step, int64_t steps)
{
    rn_metrics m = RN_METRICS_INIT;
    CHECK(rn_plan_metrics(t->train_plan, &m, 0));
    stop_if_not_finite(t, &m, step);
    progress_clear(&t->p);
    printf("Epoch [%lld/%lld], Step [%lld/%lld] Loss: %.4f\n", (long long)t->epoch + 1, (long long)t->r.epochs,
           (long long)step, (long long)steps, m.last_loss);
}

/* The last epoch may be cut short by the recipe's number of steps. */
static int64_t steps_in_epoch(const training *t)
{
    const int64_t left = t->r.total_steps - t->epoch * t->r.steps_per_epoch;
    return left < t->r.steps_per_epoch ? left : t->r.steps_per_epoch;
}

/* The steps of an epoch that are still to be done. Returns 0 when interrupted. */
static int train_epoch(training *t)
{
    const int64_t steps = steps_in_epoch(t);
    progress_epoch(&t->p, t->epoch, steps, t->step);
    for (int64_t step = t->step - t->epoch * t->r.steps_per_epoch; step < steps;) {
        rn_tensor *images, *labels;
        if (*t->interrupted)
            return 0;
        CHECK(rn_loader_next(t->train_loader, &images, &labels));
        recipe_set_lr(&t->r, t->step, t->schedule, t->optimizer);
        CHECK(rn_plan_train_step(t->train_plan, images, labels));
        t->step++;
        if (++step % 100 == 0 || step == steps)
            print_step(t, step, steps);
        progress_step(&t->p, step, t->step, rn_tensor_dim(images, 0));
    }
    return 1;
}

/* Loss and accuracy over all test images. Returns 0 when interrupted. */
static int evaluate(training *t, rn_metrics *m)
{
    rn_tensor *images, *labels;
    rn_status status;
    progress_note(&t->p, "testing");
    CHECK(rn_loader_seek(t->test_loader, 0, 0));
    CHECK(rn_plan_metrics(t->test_plan, m, 1));
    while ((status = rn_loader_next(t->test_loader, &images, &labels)) == RN_OK) {
        if (*t->interrupted)
            return 0;
        CHECK(rn_plan_eval_step(t->test_plan, images, labels));
    }
    CHECK(status);
    CHECK(rn_plan_metrics(t->test_plan, m, 1));
    progress_clear(&t->p);
    return 1;
}

static double accuracy(const rn_metrics *m)
{
    return m->count ? (double)m->correct / (double)m->count : 0.0;
}

static double mean_loss(const rn_metrics *m)
{
    return m->count ? m->loss_sum / (double)m->count : 0.0;
}

static void draw_curve(const training *t)
{
    curve_labels labels;
    if (!t->h.count)
        return;
    const history_row *best = t->h.rows, *const last = t->h.rows + t->h.count - 1;
    for (const history_row *row = best; row <= last; row++)
        if (row->test_accuracy > best->test_accuracy)
            best = row;
    snprintf(labels.title, sizeof labels.title, "%s on %s", t->o->arch, t->o->dataset);
    snprintf(labels.subtitle, sizeof labels.subtitle,
             "%lld parameters, recipe %s, batch %lld. Test accuracy %.2f %%, best %.2f %% in epoch %lld",
             (long long)rn_model_parameter_count(t->model, 0), t->r.name, (long long)t->r.batch,
             100 * last->test_accuracy, 100 * best->test_accuracy, (long long)best->epoch);
    curve_write(&t->h, t->o->out, &labels);
}

/* Writes down an epoch that is complete and moves on to the next. */
static void end_epoch(training *t, const rn_metrics *test, double training_seconds, double seconds)
{
    rn_metrics m = RN_METRICS_INIT;
    CHECK(rn_plan_metrics(t->train_plan, &m, 1));
    stop_if_not_finite(t, &m, m.steps);
    const history_row row = {
        .epoch = t->epoch + 1,
        .lr = rn_optimizer_lr(t->optimizer),
        .train_loss = mean_loss(&m),
        .train_accuracy = accuracy(&m),
        .test_loss = mean_loss(test),
        .test_accuracy = accuracy(test),
        .seconds = seconds,
        .images_per_second = training_seconds > 0 ? (double)m.count / training_seconds : 0.0,
    };
    history_add(&t->h, &row);
    t->epoch++;
    CHECK(rn_loader_seek(t->train_loader, t->epoch, 0));
    save(t, 0.0);
    draw_curve(t);
}

/* Returns 0 when interrupted; everything is saved then. */
static int run_epoch(training *t)
{
    const double begun = now() - t->seconds_before;
    rn_metrics test = RN_METRICS_INIT;
    int done = train_epoch(t);
    const double trained = now() - begun;
    if (done)
        done = evaluate(t, &test);
    if (!done) {
        rn_metrics m = RN_METRICS_INIT;
        progress_clear(&t->p);
        CHECK(rn_plan_metrics(t->train_plan, &m, 0));
        stop_if_not_finite(t, &m, m.steps);
        save(t, trained);
        fprintf(stderr, "interrupted; %s is saved, --resume goes on from here\n", t->checkpoint_path);
        return 0;
    }
    end_epoch(t, &test, trained, now() - begun);
    t->seconds_before = 0.0;
    return 1;
}

static void announce(const training *t)
{
    fprintf(stderr, "%s, %lld parameters, on %s (%s)\n%lld training and %lld test images of %s, recipe %s, batch %lld\n",
            t->o->arch, (long long)rn_model_parameter_count(t->model, 0), rn_device_name(t->device),
            rn_device_description(t->device), (long long)t->d.info.count, (long long)rn_dataset_size(t->d.test),
            t->o->dataset, t->r.name, (long long)t->r.batch);
}

/* The accuracy that is printed is that of the weights which are written. */
static int finish(training *t)
{
    rn_metrics m = RN_METRICS_INIT;
    if (!t->h.count || t->h.rows[t->h.count - 1].epoch != t->epoch) {
        if (!evaluate(t, &m))
            return 130;
        printf("Accuracy of the model on the test images: %.2f %%\n", 100 * accuracy(&m));
    } else {
        printf("Accuracy of the model on the test images: %.2f %%\n", 100 * t->h.rows[t->h.count - 1].test_accuracy);
    }
    export_weights(t);
    return 0;
}

int train(const options *o, const volatile sig_atomic_t *interrupted)
{
    training t = {.o = o, .interrupted = interrupted};
    int status = 0;
    folder_prepare(o->out);
    build(&t);
    announce(&t);
    if (o->resume)
        resume(&t);
    history_open(&t.h, o->out, t.epoch);
    draw_curve(&t);
    progress_init(&t.p, t.r.epochs, t.r.total_steps);
    while (t.epoch < t.r.epochs && status == 0)
        status = run_epoch(&t) ? 0 : 130;
    if (status == 0)
        status = finish(&t);
    tear_down(&t);
    return status;
}
