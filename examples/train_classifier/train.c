/* SPDX-License-Identifier: MIT */
#include "train.h"
#include "../common/check.h"
#include "../common/files.h"
#include "../common/network.h"
#include "curve.h"
#include "history.h"
#include "progress.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct training {
    const options *o;
    const volatile sig_atomic_t *interrupted;
    const recipe *r;
    course c;
    rn_context *ctx;
    rn_device *device;
    rn_dataset *train_set, *validation_set, *test_set; /* validation_set NULL: nothing is held out */
    rn_dataset_info info; /* of the training set; classes of both */
    rn_model *model;
    rn_ema *ema;       /* NULL: none */
    rn_model *tested;  /* borrowed: the average, or the model itself */
    rn_loss *loss;
    rn_optimizer *optimizer;
    rn_schedule *schedule;
    rn_plan *train_plan, *test_plan;
    rn_loader *train_loader, *validation_loader, *test_loader;
    history h;
    progress p;
    char *model_path, *checkpoint_path;
    int64_t epoch, step;     /* epochs done; steps done in all */
    double seconds_before;   /* of this epoch, before an interruption */
    int64_t watched_count, watched_correct; /* of the epoch, when the training error was looked at last */
} training;

static void make_model(training *t)
{
    rn_zoo_options zoo = RN_ZOO_OPTIONS_INIT;
    rn_layer *net;
    zoo.classes = t->info.classes;
    zoo.in_channels = t->info.channels;
    CHECK(rn_zoo_create(t->ctx, t->o->arch, &zoo, &net));
    CHECK(rn_model_create(t->ctx, net, t->device, &t->model));
    rn_layer_release(net);
}

static void export_weights(const training *t)
{
    static const char *const torch[] = {".pth", ".pt", ".ckpt", ".th"};
    const char *const path = t->o->exported, *const dot = path ? strrchr(path, '.') : NULL;
    int for_torch = 0;
    for (size_t i = 0; dot && i < sizeof torch / sizeof torch[0]; i++)
        for_torch |= strcmp(dot, torch[i]) == 0;
    if (path && (for_torch ? rn_model_save_torch(t->tested, path) : rn_model_save(t->tested, path)) < 0)
        fail(1, "--export: %s", rn_error_message());
}

static void open_data(training *t)
{
    const data_options *const o = &t->o->data;
    rn_dataset_info test = RN_DATASET_INFO_INIT;
    t->train_set = data_open_train(t->ctx, o);
    t->test_set = data_open_test(t->ctx, o);
    if (t->r->validation)
        data_hold_out(t->ctx, &t->train_set, t->r->validation, &t->validation_set);
    t->info = (rn_dataset_info)RN_DATASET_INFO_INIT;
    CHECK(rn_dataset_describe(t->train_set, &t->info));
    CHECK(rn_dataset_describe(t->test_set, &test));
    if (test.channels != t->info.channels || test.height != t->info.height || test.width != t->info.width)
        fail(1, "training and test images differ in size");
    if (test.classes > t->info.classes)
        t->info.classes = test.classes;
}

static rn_plan_options plan_options(const training *t, int32_t mode, int64_t batch)
{
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    o.mode = mode;
    recipe_input_dims(t->r, &t->info, batch, o.input_dims);
    o.compute_dtype = network_dtype(t->o->dtype);
    o.loss = t->loss;
    return o;
}

/*
 * The plan for the recipe's micro-batch, or with a limit of memory for the largest part of it that fits. Its gradients are
 * then means over several parts, and batch statistics are of each part.
 */
static int64_t make_train_plan(training *t)
{
    const int64_t batch = t->r->batch;
    int64_t parts = t->r->micro_batch ? batch / t->r->micro_batch : 1;
    for (;;) {
        rn_plan_options o = plan_options(t, RN_PLAN_TRAIN, batch / parts);
        o.optimizer = t->optimizer;
        o.accumulate = (uint32_t)parts;
        o.clip_norm = t->r->clip_norm;
        o.memory_limit = t->o->memory_limit;
        const rn_status status = rn_plan_create(t->model, &o, &t->train_plan);
        if (status != RN_E_NOMEM || parts == batch) {
            CHECK(status);
            return batch / parts;
        }
        do
            parts++;
        while (batch % parts != 0);
    }
}

static void make_test_plan(training *t)
{
    const rn_plan_options o = plan_options(t, RN_PLAN_INFER, t->c.micro_batch);
    CHECK(rn_plan_create(t->tested, &o, &t->test_plan));
}

/* Batches come in the layout that the plan reads. */
static rn_loader *make_loader(training *t, rn_dataset *ds, rn_plan *plan)
{
    const int training_half = plan == t->train_plan;
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    rn_loader *loader;
    if (!ds)
        return NULL;
    o.flags = training_half ? RN_LOADER_SHUFFLE : 0;
    if (training_half && t->c.accumulate > 1)
        o.flags |= RN_LOADER_DROP_LAST;
    if (training_half)
        recipe_mix(t->r, &o);
    o.batch = t->c.micro_batch;
    o.plan = plan;
    o.residency = t->o->residency;
    if (t->o->data.workers)
        o.workers = t->o->data.workers;
    o.transform = recipe_transform(t->r, t->ctx, t->o->data.dataset, &t->info, training_half);
    CHECK(rn_loader_create(ds, &o, &loader));
    rn_transform_release(o.transform);
    return loader;
}

static void build(training *t)
{
    rn_context_options context = RN_CONTEXT_OPTIONS_INIT;
    context.seed = t->o->seed;
    context.num_threads = t->o->threads;
    CHECK(rn_context_create(&context, &t->ctx));
    CHECK(rn_context_find_device(t->ctx, t->o->device, &t->device));
    open_data(t);
    make_model(t);
    if (t->o->weights)
        network_load(t->model, t->o->arch, t->o->weights);
    recipe_loss(t->r, t->ctx, &t->loss);
    recipe_optimizer(t->r, t->model, &t->optimizer);
    const int64_t micro_batch = make_train_plan(t);
    course_init(&t->c, t->r, micro_batch, t->info.count, t->o->arch);
    recipe_schedule(t->r, &t->c, t->ctx, &t->schedule);
    t->ema = recipe_ema(t->r, t->model);
    t->tested = t->ema ? rn_ema_model(t->ema) : t->model;
    make_test_plan(t);
    t->train_loader = make_loader(t, t->train_set, t->train_plan);
    t->validation_loader = make_loader(t, t->validation_set, t->test_plan);
    t->test_loader = make_loader(t, t->test_set, t->test_plan);
    t->model_path = path_in(t->o->out, "model.safetensors");
    t->checkpoint_path = path_in(t->o->out, "checkpoint.safetensors");
}

static void tear_down(training *t)
{
    free(t->model_path);
    free(t->checkpoint_path);
    history_close(&t->h);
    rn_loader_release(t->test_loader);
    rn_loader_release(t->validation_loader);
    rn_loader_release(t->train_loader);
    rn_plan_release(t->test_plan);
    rn_plan_release(t->train_plan);
    rn_schedule_release(t->schedule);
    rn_optimizer_release(t->optimizer);
    rn_loss_release(t->loss);
    rn_ema_release(t->ema);
    rn_model_release(t->model);
    rn_dataset_release(t->test_set);
    rn_dataset_release(t->validation_set);
    rn_dataset_release(t->train_set);
    rn_context_release(t->ctx);
}

/* What a checkpoint consists of; the same for saving and loading. */
static rn_checkpoint parts(const training *t)
{
    rn_checkpoint c = RN_CHECKPOINT_INIT;
    c.model = t->model;
    c.ema = t->ema;
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
    c.value[1] = (double)t->watched_count;
    c.value[2] = (double)t->watched_correct;
    CHECK(rn_model_save(t->tested, t->model_path));
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
    t->watched_count = (int64_t)c.value[1];
    t->watched_correct = (int64_t)c.value[2];
    fprintf(stderr, "going on after step %lld of epoch %lld\n",
            (long long)(t->step - t->epoch * t->c.steps_per_epoch), (long long)t->epoch + 1);
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
    printf("Epoch [%lld/%lld], Step [%lld/%lld] Loss: %.4f\n", (long long)t->epoch + 1, (long long)t->c.epochs,
           (long long)step, (long long)steps, m.last_loss);
}

/* The last epoch may be cut short by the recipe's number of steps. */
static int64_t steps_in_epoch(const training *t)
{
    const int64_t left = t->c.total_steps - t->epoch * t->c.steps_per_epoch;
    return left < t->c.steps_per_epoch ? left : t->c.steps_per_epoch;
}

/* Where a batch has no picture that can be read, --skip-broken leaves it out: the epoch ends early, the next one goes on. */
static void next_batch(training *t, rn_tensor **images, rn_tensor **labels)
{
    rn_status status = rn_loader_next(t->train_loader, images, labels);
    if (status == RN_END)
        status = rn_loader_next(t->train_loader, images, labels);
    CHECK(status);
    if (status == RN_END)
        fail(1, "none of the training images can be read");
}

/* One update of the weights, from one batch or several micro-batches. Returns the number of images. */
static int64_t train_step(training *t)
{
    int64_t images_seen = 0;
    recipe_set_lr(t->r, &t->c, t->step, t->schedule, t->optimizer);
    for (int64_t i = 0; i < t->c.accumulate; i++) {
        rn_tensor *images, *labels;
        next_batch(t, &images, &labels);
        CHECK(rn_plan_train_step(t->train_plan, images, labels));
        images_seen += rn_tensor_dim(images, 0);
    }
    if (t->ema)
        CHECK(rn_ema_update(t->ema));
    t->step++;
    return images_seen;
}

/* Every so many steps a schedule that waits for it is told the training error since the last time. */
static void watch_error(training *t)
{
    enum { EVERY = 20 };
    rn_metrics m = RN_METRICS_INIT;
    if (!recipe_watches_training(t->r, &t->c) || t->step % EVERY != 0)
        return;
    CHECK(rn_plan_metrics(t->train_plan, &m, 0));
    const int64_t count = m.count - t->watched_count, correct = m.correct - t->watched_correct;
    if (count > 0)
        CHECK(rn_schedule_observe(t->schedule, 1 - (double)correct / (double)count));
    t->watched_count = m.count;
    t->watched_correct = m.correct;
}

/* The steps of an epoch that are still to be done. Returns 0 when interrupted. */
static int train_epoch(training *t)
{
    const int64_t steps = steps_in_epoch(t);
    progress_epoch(&t->p, t->epoch, steps, t->step);
    for (int64_t step = t->step - t->epoch * t->c.steps_per_epoch; step < steps;) {
        if (*t->interrupted)
            return 0;
        const int64_t images = train_step(t);
        watch_error(t);
        if (++step % 100 == 0 || step == steps)
            print_step(t, step, steps);
        progress_step(&t->p, step, t->step, images);
    }
    return 1;
}

/* Loss and accuracy over all images of a loader. Returns 0 when interrupted. */
static int evaluate(training *t, rn_loader *loader, const char *note, rn_metrics *m)
{
    rn_tensor *images, *labels;
    rn_status status;
    progress_note(&t->p, note);
    CHECK(rn_loader_seek(loader, 0, 0));
    CHECK(rn_plan_metrics(t->test_plan, m, 1));
    while ((status = rn_loader_next(loader, &images, &labels)) == RN_OK) {
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
    snprintf(labels.title, sizeof labels.title, "%s on %s", t->o->arch, t->o->data.dataset);
    snprintf(labels.subtitle, sizeof labels.subtitle,
             "%lld parameters, recipe %s, batch %lld. Test accuracy %.2f %%, best %.2f %% in epoch %lld",
             (long long)rn_model_parameter_count(t->model, 0), t->r->name, (long long)t->r->batch,
             100 * last->test_accuracy, 100 * best->test_accuracy, (long long)best->epoch);
    curve_write(&t->h, t->o->out, &labels);
}

/* What was measured after an epoch. */
typedef struct results {
    rn_metrics validation, test; /* no images in validation: nothing is held out */
} results;

/* Writes down an epoch that is complete and moves on to the next. */
static void end_epoch(training *t, const results *after, double training_seconds, double seconds)
{
    const rn_metrics *const test = &after->test, *const validation = &after->validation;
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
        .validation_loss = validation->count ? mean_loss(validation) : NAN,
        .validation_accuracy = validation->count ? accuracy(validation) : NAN,
    };
    history_add(&t->h, &row);
    if (t->r->schedule == SCHEDULE_PLATEAU)
        CHECK(rn_schedule_observe(t->schedule, 1 - accuracy(validation->count ? validation : test)));
    t->watched_count = t->watched_correct = 0;
    t->epoch++;
    CHECK(rn_loader_seek(t->train_loader, t->epoch, 0));
    save(t, 0.0);
    draw_curve(t);
}

/* Returns 0 when interrupted; everything is saved then. */
static int run_epoch(training *t)
{
    const double begun = now() - t->seconds_before;
    results after = {RN_METRICS_INIT, RN_METRICS_INIT};
    int done = train_epoch(t);
    const double trained = now() - begun;
    if (done && t->validation_loader)
        done = evaluate(t, t->validation_loader, "validating", &after.validation);
    if (done)
        done = evaluate(t, t->test_loader, "testing", &after.test);
    if (!done) {
        rn_metrics m = RN_METRICS_INIT;
        progress_clear(&t->p);
        CHECK(rn_plan_metrics(t->train_plan, &m, 0));
        stop_if_not_finite(t, &m, m.steps);
        save(t, trained);
        fprintf(stderr, "interrupted; %s is saved, --resume goes on from here\n", t->checkpoint_path);
        return 0;
    }
    end_epoch(t, &after, trained, now() - begun);
    t->seconds_before = 0.0;
    return 1;
}

static void announce(const training *t)
{
    fprintf(stderr, "%s, %lld parameters, on %s (%s)\n%lld training and %lld test images of %s, recipe %s, batch %lld",
            t->o->arch, (long long)rn_model_parameter_count(t->model, 0), rn_device_name(t->device),
            rn_device_description(t->device), (long long)t->info.count, (long long)rn_dataset_size(t->test_set),
            t->o->data.dataset, t->r->name, (long long)t->r->batch);
    if (t->c.accumulate > 1)
        fprintf(stderr, " as %lld times %lld", (long long)t->c.accumulate, (long long)t->c.micro_batch);
    fputc('\n', stderr);
}

/* So that it is known later, and can be used again: train_classifier --recipe DIR/recipe.txt. */
static void write_recipe(const training *t)
{
    char *const path = path_in(t->o->out, "recipe.txt"), *temporary;
    FILE *const file = replace_begin(path, &temporary);
    recipe_print(t->r, file);
    replace_end(file, temporary, path);
    free(path);
}

/* Names of the classes, for evaluate and classify, where they are known. */
static void write_labels(const training *t)
{
    char *temporary;
    if (!data_class_name(&t->o->data, t->train_set, t->info.classes - 1))
        return;
    char *const path = path_in(t->o->out, "labels.txt");
    FILE *const file = replace_begin(path, &temporary);
    for (int64_t class = 0; class < t->info.classes; class++)
        fprintf(file, "%s\n", data_class_name(&t->o->data, t->train_set, class));
    replace_end(file, temporary, path);
    free(path);
}

/* The accuracy that is printed is that of the weights which are written. */
static int finish(training *t)
{
    rn_metrics m = RN_METRICS_INIT;
    if (!t->h.count || t->h.rows[t->h.count - 1].epoch != t->epoch) {
        if (!evaluate(t, t->test_loader, "testing", &m))
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
    training t = {.o = o, .interrupted = interrupted, .r = &o->recipe};
    int status = 0;
    folder_prepare(o->out);
    build(&t);
    announce(&t);
    if (o->resume)
        resume(&t);
    write_recipe(&t);
    write_labels(&t);
    history_open(&t.h, o->out, t.epoch);
    draw_curve(&t);
    progress_init(&t.p, t.c.epochs, t.c.total_steps);
    while (t.epoch < t.c.epochs && status == 0)
        status = run_epoch(&t) ? 0 : 130;
    if (status == 0)
        status = finish(&t);
    tear_down(&t);
    return status;
}
