/* SPDX-License-Identifier: MIT */
/*
 * n + m steps in one go equal n steps, a checkpoint, a new process's worth of new objects, and m more: bit for bit, with
 * shuffling, augmentation, dropout, a plateau schedule, saved in mid-epoch.
 */
#include "../common/nets.h"
#include "support.h"

#include <unistd.h>

enum { IMAGES = 45, BATCH = 8, SIDE = 12, CLASSES = 4 };

/* What differs between the tests. */
typedef struct setting {
    int adam;
    int32_t workers;
    uint32_t accumulate;
    rn_dtype dtype;
} setting;

/* All of a training. */
typedef struct training {
    setting how;
    rn_context *ctx;
    rn_model *model;
    rn_loss *loss;
    rn_optimizer *optimizer;
    rn_schedule *schedule;
    rn_plan *plan;
    rn_loader *loader;
    int64_t epoch, step;
} training;

static rn_dataset *make_images(rn_context *ctx)
{
    const int64_t dims[] = {IMAGES, 3, SIDE, SIDE};
    rn_tensor *images = NULL, *labels = NULL;
    rn_dataset *ds = NULL;
    uint64_t state = 99;
    ck_ok(rn_tensor_create(rn_context_device(ctx, 0), RN_U8, 4, dims, &images));
    ck_ok(rn_tensor_create(rn_context_device(ctx, 0), RN_I64, 1, dims, &labels));
    for (int64_t i = 0; i < rn_tensor_count(images); i++)
        ((uint8_t *)rn_tensor_data(images))[i] = (uint8_t)(256 * net_random(&state));
    for (int64_t i = 0; i < IMAGES; i++)
        ((int64_t *)rn_tensor_data(labels))[i] = i % CLASSES;
    ck_ok(rn_tensor_dataset_create(images, labels, &ds));
    rn_tensor_release(images);
    rn_tensor_release(labels);
    return ds;
}

static void make_loader(training *t)
{
    const double mean[] = {0.5, 0.4, 0.3}, deviation[] = {0.2, 0.3, 0.4};
    rn_transform *transform = NULL;
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    rn_dataset *ds = make_images(t->ctx);
    ck_ok(rn_transform_create(t->ctx, &transform));
    ck_ok(rn_transform_random_crop(transform, 2, SIDE, SIDE));
    ck_ok(rn_transform_random_hflip(transform, 0.5));
    ck_ok(rn_transform_normalize(transform, 3, mean, deviation));
    ck_ok(rn_transform_cutout(transform, 4));
    o.flags = RN_LOADER_SHUFFLE;
    o.batch = BATCH;
    o.seed = 6;
    o.workers = t->how.workers;
    o.transform = transform;
    o.plan = t->plan; /* bf16 images, when it reads such */
    ck_ok(rn_loader_create(ds, &o, &t->loader));
    rn_transform_release(transform);
    rn_dataset_release(ds);
}

static void make_optimizer(training *t)
{
    rn_sgd_options sgd = {sizeof sgd, RN_SGD_NESTEROV, 0.05, 0.9, 0.0, 1e-3};
    rn_plateau_schedule_options plateau = RN_PLATEAU_SCHEDULE_OPTIONS_INIT;
    if (t->how.adam)
        ck_ok(rn_adam_create(t->model, NULL, &t->optimizer));
    else
        ck_ok(rn_sgd_create(t->model, &sgd, &t->optimizer));
    plateau.lr = t->how.adam ? 1e-3 : 0.05;
    plateau.factor = 0.5;
    plateau.patience = 1;
    plateau.cooldown = 1;
    ck_ok(rn_plateau_schedule_create(t->ctx, &plateau, &t->schedule));
}

static training start(setting how, uint64_t model_seed)
{
    const int64_t dims[] = {BATCH, 3, SIDE, SIDE};
    training t = {.how = how};
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    ck_ok(rn_context_create(NULL, &t.ctx));
    rn_layer *layer = net_small(t.ctx, CLASSES, 0.3);
    ck_ok(rn_model_create(t.ctx, layer, rn_context_device(t.ctx, 0), &t.model));
    rn_layer_release(layer);
    ck_ok(rn_model_init(t.model, model_seed));
    ck_ok(rn_cross_entropy_create(t.ctx, NULL, &t.loss));
    make_optimizer(&t);
    o.mode = RN_PLAN_TRAIN;
    memcpy(o.input_dims, dims, sizeof dims);
    o.loss = t.loss;
    o.optimizer = t.optimizer;
    o.accumulate = how.accumulate;
    o.compute_dtype = how.dtype;
    o.clip_norm = 2.0;
    o.loss_scale = how.dtype == RN_F16 ? 0x1p22 : 0;
    o.loss_scale_interval = 4;
    o.seed = 8;
    ck_ok(rn_plan_create(t.model, &o, &t.plan));
    make_loader(&t);
    return t;
}

static void finish(training *t)
{
    rn_loader_release(t->loader);
    rn_plan_release(t->plan);
    rn_schedule_release(t->schedule);
    rn_optimizer_release(t->optimizer);
    rn_loss_release(t->loss);
    rn_model_release(t->model);
    rn_context_release(t->ctx);
}

static void one_step(training *t)
{
    rn_tensor *images = NULL, *labels = NULL;
    rn_status status = rn_loader_next(t->loader, &images, &labels);
    if (status == RN_END) {
        t->epoch++;
        status = rn_loader_next(t->loader, &images, &labels);
    }
    ck_ok(status);
    ck_ok(rn_schedule_apply(t->schedule, t->epoch, t->optimizer));
    ck_ok(rn_plan_train_step(t->plan, images, labels));
    t->step++;
    /* A metric that improves, stalls and worsens: the plateau's counters are in the midst of something when saved. */
    if (t->step % 2 == 0)
        ck_ok(rn_schedule_observe(t->schedule, t->step < 4 ? 1.0 : 1.0 + 0.01 * (double)t->step));
}

static rn_checkpoint parts(const training *t)
{
    rn_checkpoint c = RN_CHECKPOINT_INIT;
    c.model = t->model;
    c.optimizer = t->optimizer;
    c.schedule = t->schedule;
    c.loader = t->loader;
    c.plan = t->plan;
    c.epoch = t->epoch;
    c.step = t->step;
    c.value[0] = 0.1;
    return c;
}

static void save(const training *t, const char *path)
{
    rn_checkpoint c = parts(t);
    ck_ok(rn_checkpoint_save(t->ctx, path, &c));
}

static void load(training *t, const char *path)
{
    rn_checkpoint c = parts(t);
    c.epoch = c.step = -1;
    c.value[0] = 0;
    ck_ok(rn_checkpoint_load(t->ctx, path, &c));
    ck_assert(c.value[0] == 0.1);
    t->epoch = c.epoch;
    t->step = c.step;
}

static void assert_same_files(const char *a, const char *b)
{
    FILE *first = fopen(a, "rb"), *second = fopen(b, "rb");
    long position = 0;
    int x = 0, y = 0;
    ck_assert(first && second);
    while (x == y && x != EOF) {
        x = getc(first);
        y = getc(second);
        position++;
    }
    fclose(first);
    fclose(second);
    ck_assert_msg(x == y, "checkpoints differ at byte %ld", position - 1);
}

static void assert_same_models(rn_model *a, rn_model *b)
{
    for (size_t i = 0; i < rn_model_state_count(a); i++) {
        rn_state_entry x = RN_STATE_ENTRY_INIT, y = RN_STATE_ENTRY_INIT;
        ck_ok(rn_model_state(a, i, &x));
        ck_ok(rn_model_state(b, i, &y));
        ck_assert_msg(memcmp(rn_tensor_data(x.value), rn_tensor_data(y.value), rn_tensor_nbytes(x.value)) == 0,
                      "%s differs", x.name);
    }
}

static void assert_same_progress(training *a, training *b)
{
    rn_metrics x = RN_METRICS_INIT, y = RN_METRICS_INIT;
    ck_assert_int_eq(a->epoch, b->epoch);
    ck_assert_int_eq(a->step, b->step);
    ck_assert_int_eq(rn_optimizer_steps(a->optimizer), rn_optimizer_steps(b->optimizer));
    ck_assert(rn_optimizer_lr(a->optimizer) == rn_optimizer_lr(b->optimizer));
    ck_ok(rn_plan_metrics(a->plan, &x, 0));
    ck_ok(rn_plan_metrics(b->plan, &y, 0));
    ck_assert_msg(memcmp(&x, &y, sizeof x) == 0, "metrics differ: loss_sum %.17g, %.17g", x.loss_sum, y.loss_sum);
}

static void steps(training *t, int count)
{
    for (int i = 0; i < count; i++)
        one_step(t);
}

static void check_resume(setting how, int before, int after)
{
    char folder[] = "/tmp/resume-XXXXXX", middle[64], end[64], other[64];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(middle, sizeof middle, "%s/middle", folder);
    snprintf(end, sizeof end, "%s/end", folder);
    snprintf(other, sizeof other, "%s/other", folder);

    training whole = start(how, 1), first = start(how, 1), second = start(how, 2);
    steps(&whole, before + after);
    save(&whole, end);
    steps(&first, before);
    save(&first, middle);
    finish(&first);
    load(&second, middle);
    steps(&second, after);
    save(&second, other);

    assert_same_models(whole.model, second.model);
    assert_same_progress(&whole, &second);
    assert_same_files(end, other);
    finish(&whole);
    finish(&second);
    unlink(middle);
    unlink(end);
    unlink(other);
    rmdir(folder);
}

/* An epoch has 6 batches, the last of 5 images. */
START_TEST(in_mid_epoch)
{
    setting how = {0, 0, 1, RN_F32};
    check_resume(how, 9, 8);
}
END_TEST

START_TEST(with_adam_and_workers)
{
    setting how = {1, 2, 1, RN_F32};
    check_resume(how, 7, 9);
}
END_TEST

START_TEST(at_the_end_of_an_epoch)
{
    setting how = {0, 1, 1, RN_F32};
    check_resume(how, 6, 4);
    check_resume(how, 0, 3);
}
END_TEST

START_TEST(with_accumulation)
{
    setting how = {1, 0, 2, RN_F32};
    check_resume(how, 4, 6);
    check_resume(how, 5, 6); /* half of an update's gradients are there */
}
END_TEST

/* Begins with a scale that is too large: saved among skipped updates, and while good ones are counted. */
START_TEST(in_f16)
{
    setting how = {0, 1, 1, RN_F16};
    check_resume(how, 3, 12);
    for (int before = 9; before <= 11; before++) /* some of them between two changes of the scale */
        check_resume(how, before, 6);
    how.accumulate = 2;
    check_resume(how, 15, 6); /* scaled gradients of half an update */
}
END_TEST

/* What moves the scale belongs to the identity of a training. */
START_TEST(with_another_loss_scaling)
{
    setting how = {0, 0, 1, RN_F16};
    char path[] = "/tmp/resume-XXXXXX";
    const int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    close(file);
    training scaled = start(how, 1);
    steps(&scaled, 2);
    save(&scaled, path);
    how.dtype = RN_F32;
    training plain = start(how, 1);
    rn_checkpoint c = parts(&plain);
    ck_fails(rn_checkpoint_load(plain.ctx, path, &c), RN_E_STATE, "plan.progress has shape [9] in the checkpoint");
    save(&plain, path);
    c = parts(&scaled);
    ck_fails(rn_checkpoint_load(scaled.ctx, path, &c), RN_E_STATE, "plan.loss_scale_growth");
    finish(&scaled);
    finish(&plain);
    unlink(path);
}
END_TEST

START_TEST(in_bf16)
{
    setting how = {0, 1, 1, RN_BF16};
    check_resume(how, 7, 6);
}
END_TEST

/* The test can fail: a part that is not loaded makes a difference. */
START_TEST(each_part_counts)
{
    for (int part = 0; part < 4; part++) {
        setting how = {0, 0, 1, RN_F32};
        char path[] = "/tmp/resume-XXXXXX";
        int file = mkstemp(path);
        ck_assert_int_ge(file, 0);
        close(file);
        training whole = start(how, 1), second = start(how, 1);
        steps(&whole, 9);
        save(&whole, path);
        rn_checkpoint c = parts(&second);
        if (part == 0)
            c.optimizer = NULL;
        if (part == 1)
            c.schedule = NULL;
        if (part == 2)
            c.loader = NULL;
        if (part == 3)
            c.plan = NULL;
        ck_ok(rn_checkpoint_load(second.ctx, path, &c));
        steps(&whole, 3);
        steps(&second, 3);
        rn_state_entry x = RN_STATE_ENTRY_INIT, y = RN_STATE_ENTRY_INIT;
        ck_ok(rn_model_state(whole.model, 0, &x));
        ck_ok(rn_model_state(second.model, 0, &y));
        ck_assert_msg(memcmp(rn_tensor_data(x.value), rn_tensor_data(y.value), rn_tensor_nbytes(x.value)) != 0,
                      "part %d of a checkpoint makes no difference", part);
        finish(&whole);
        finish(&second);
        unlink(path);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resume");
    TCase *tcase = tcase_create("exactly");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, in_mid_epoch);
    tcase_add_test(tcase, with_adam_and_workers);
    tcase_add_test(tcase, at_the_end_of_an_epoch);
    tcase_add_test(tcase, with_accumulation);
    tcase_add_test(tcase, in_bf16);
    tcase_add_test(tcase, in_f16);
    tcase_add_test(tcase, with_another_loss_scaling);
    tcase_add_test(tcase, each_part_counts);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
