/* SPDX-License-Identifier: MIT */
/*
 * Checkpoints: what comes back, what is refused with which field, and that a refused load changes nothing. That a
 * training goes on bit for bit is test_resume.c's.
 */
#include "base/io.h"
#include "format/checkpoint.h"
#include "support.h"
#include <locale.h>
#include <math.h>
#include <unistd.h>

enum { IMAGES = 20, BATCH = 4, SIDE = 3, CLASSES = 3 };

/* What a test may want different. */
typedef struct setup {
    int64_t features, batch;
    int adam, deeper;
    uint64_t seed;
    double momentum, group_factor;
    int64_t patience;
    uint32_t accumulate;
} setup;

static const setup usual = {
    .features = 5, .batch = BATCH, .seed = 11, .momentum = 0.9, .group_factor = 2, .patience = 2, .accumulate = 2};

typedef struct training {
    rn_context *ctx;
    rn_model *model;
    rn_loss *loss;
    rn_optimizer *optimizer;
    rn_schedule *schedule;
    rn_plan *plan;
    rn_loader *loader;
    rn_tensor *x, *labels;
} training;

static char path[64];

static void make_optimizer(training *t, const setup *s)
{
    rn_sgd_options sgd = RN_SGD_OPTIONS_INIT;
    rn_group_options group = RN_GROUP_OPTIONS_INIT;
    sgd.momentum = s->momentum;
    if (s->adam)
        ck_ok(rn_adam_create(t->model, NULL, &t->optimizer));
    else
        ck_ok(rn_sgd_create(t->model, &sgd, &t->optimizer));
    group.lr_factor = s->group_factor;
    ck_ok(rn_optimizer_add_group(t->optimizer, "*.bias", &group));
}

static void make_loader(training *t, const setup *s, rn_device *cpu)
{
    const int64_t dims[] = {IMAGES, 1, SIDE, SIDE};
    rn_tensor *images = support_tensor(cpu, 4, dims, 3), *labels = support_labels(cpu, IMAGES, CLASSES);
    rn_dataset *ds = NULL;
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    ck_ok(rn_tensor_dataset_create(images, labels, &ds));
    o.flags = RN_LOADER_SHUFFLE;
    o.batch = s->batch;
    o.workers = 0;
    ck_ok(rn_loader_create(ds, &o, &t->loader));
    rn_dataset_release(ds);
    rn_tensor_release(images);
    rn_tensor_release(labels);
}

static void make_plan(training *t, const setup *s)
{
    const int64_t dims[] = {BATCH, 1, SIDE, SIDE};
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    o.mode = RN_PLAN_TRAIN;
    memcpy(o.input_dims, dims, sizeof dims);
    o.loss = t->loss;
    o.optimizer = t->optimizer;
    o.accumulate = s->accumulate;
    o.seed = s->seed;
    ck_ok(rn_plan_create(t->model, &o, &t->plan));
}

static training begin(const setup *s, uint64_t model_seed)
{
    const int64_t dims[] = {BATCH, 1, SIDE, SIDE};
    training t = {0};
    rn_device *cpu;
    rn_plateau_schedule_options plateau = RN_PLATEAU_SCHEDULE_OPTIONS_INIT;
    t.ctx = support_context(&cpu);
    rn_layer *net = support_plain(t.ctx, rn_sequential_create);
    support_append(net, "flatten", support_plain(t.ctx, rn_flatten_create));
    support_append(net, "a", support_linear(t.ctx, SIDE * SIDE, s->features));
    if (s->deeper)
        support_append(net, "extra", support_linear(t.ctx, s->features, s->features));
    support_append(net, "b", support_linear(t.ctx, s->features, CLASSES));
    ck_ok(rn_model_create(t.ctx, net, cpu, &t.model));
    rn_layer_release(net);
    ck_ok(rn_model_init(t.model, model_seed));
    ck_ok(rn_cross_entropy_create(t.ctx, NULL, &t.loss));
    plateau.patience = s->patience;
    ck_ok(rn_plateau_schedule_create(t.ctx, &plateau, &t.schedule));
    make_optimizer(&t, s);
    make_loader(&t, s, cpu);
    make_plan(&t, s);
    t.x = support_tensor(cpu, 4, dims, 77);
    t.labels = support_labels(cpu, BATCH, CLASSES);
    snprintf(path, sizeof path, "/tmp/checkpoint-%ld", (long)getpid());
    return t;
}

static void end(training *t)
{
    rn_tensor_release(t->x);
    rn_tensor_release(t->labels);
    rn_loader_release(t->loader);
    rn_plan_release(t->plan);
    rn_schedule_release(t->schedule);
    rn_optimizer_release(t->optimizer);
    rn_loss_release(t->loss);
    rn_model_release(t->model);
    rn_context_release(t->ctx);
}

/* Three micro-batches of two per update: saved in the midst of an accumulation, of an epoch, of a plateau. */
static void advance(training *t)
{
    rn_tensor *images = NULL, *labels = NULL;
    for (int i = 0; i < 3; i++) {
        if (rn_loader_next(t->loader, &images, &labels) == RN_END)
            ck_ok(rn_loader_next(t->loader, &images, &labels));
        ck_ok(rn_plan_train_step(t->plan, t->x, t->labels));
        ck_ok(rn_schedule_observe(t->schedule, 1.0 / 3.0 + i));
    }
    ck_ok(rn_optimizer_set_lr(t->optimizer, 0.1 / 3.0));
}

static rn_checkpoint parts(const training *t)
{
    rn_checkpoint c = RN_CHECKPOINT_INIT;
    c.model = t->model;
    c.optimizer = t->optimizer;
    c.schedule = t->schedule;
    c.loader = t->loader;
    c.plan = t->plan;
    return c;
}

/* All that a load may change, as one block of bytes. */
typedef struct snapshot {
    unsigned char data[8192];
    size_t size;
} snapshot;

static void add(snapshot *s, const void *data, size_t size)
{
    ck_assert_uint_le(s->size + size, sizeof s->data);
    memcpy(s->data + s->size, data, size);
    s->size += size;
}

static snapshot take(const training *t)
{
    snapshot s = {.size = 0};
    rni_plan_progress progress;
    rni_schedule_state state[8];
    int64_t position[2];
    for (size_t i = 0; i < t->model->num_states; i++) {
        const rni_state *const entry = &t->model->states[i];
        add(&s, rn_tensor_data(entry->value), entry->value->nbytes);
        add(&s, rn_tensor_data(entry->grad), entry->grad->nbytes);
    }
    if (t->optimizer->state)
        add(&s, t->optimizer->state->data, t->optimizer->state->bytes);
    add(&s, &t->optimizer->lr, sizeof t->optimizer->lr);
    add(&s, &t->optimizer->steps, sizeof t->optimizer->steps);
    ck_ok(rni_plan_get_progress(t->plan, &progress));
    add(&s, &progress, sizeof progress);
    ck_assert_uint_eq(rni_schedule_progress(t->schedule, state, 8), 4);
    for (int i = 0; i < 4; i++)
        add(&s, &state[i].value, sizeof state[i].value);
    ck_ok(rn_loader_position(t->loader, &position[0], &position[1]));
    add(&s, position, sizeof position);
    return s;
}

static void assert_equal(const snapshot *a, const snapshot *b)
{
    ck_assert_uint_eq(a->size, b->size);
    ck_assert_mem_eq(a->data, b->data, a->size);
}

static void check_everything_comes_back(const setup *how)
{
    training t = begin(how, 1), u = begin(how, 2);
    advance(&t);
    rn_checkpoint c = parts(&t), d = parts(&u);
    c.epoch = INT64_MAX;
    c.step = -3;
    c.value[0] = 0.1;
    c.value[3] = -HUGE_VAL;
    ck_ok(rn_checkpoint_save(t.ctx, path, &c));
    const snapshot saved = take(&t), other = take(&u);
    ck_assert(memcmp(saved.data, other.data, saved.size) != 0);
    ck_ok(rn_checkpoint_load(u.ctx, path, &d));
    const snapshot loaded = take(&u);
    assert_equal(&saved, &loaded);
    ck_assert_int_eq(d.epoch, INT64_MAX);
    ck_assert_int_eq(d.step, -3);
    ck_assert_mem_eq(d.value, c.value, sizeof c.value);
    /* The next update too: it needs the gradients of the micro-batch before. */
    ck_ok(rn_plan_train_step(t.plan, t.x, t.labels));
    ck_ok(rn_plan_train_step(u.plan, u.x, u.labels));
    const snapshot after_t = take(&t), after_u = take(&u);
    assert_equal(&after_t, &after_u);
    ck_assert(memcmp(saved.data, after_t.data, saved.size) != 0);
    end(&t);
    end(&u);
    unlink(path);
}

START_TEST(everything_comes_back)
{
    setup adam = usual, plain = usual;
    adam.adam = 1;
    plain.momentum = 0;
    check_everything_comes_back(&usual);
    check_everything_comes_back(&adam);
    check_everything_comes_back(&plain);
}
END_TEST

START_TEST(parts_are_optional)
{
    training t = begin(&usual, 1), u = begin(&usual, 2);
    advance(&t);
    rn_checkpoint all = parts(&t), some = RN_CHECKPOINT_INIT;
    ck_ok(rn_checkpoint_save(t.ctx, path, &all));
    some.model = u.model; /* what the file has besides is ignored */
    ck_ok(rn_checkpoint_load(u.ctx, path, &some));
    ck_assert_mem_eq(rn_tensor_data(u.model->states[0].value), rn_tensor_data(t.model->states[0].value), 45 * 4);
    ck_assert_int_eq(rn_optimizer_steps(u.optimizer), 0);

    some = (rn_checkpoint)RN_CHECKPOINT_INIT; /* a part that the file lacks is named */
    some.model = t.model;
    ck_ok(rn_checkpoint_save(t.ctx, path, &some));
    rn_checkpoint wanted = some;
    wanted.optimizer = t.optimizer;
    ck_fails(rn_checkpoint_load(t.ctx, path, &wanted), RN_E_STATE,
             "optimizer.kind is not in the checkpoint; here it is \"sgd\"");
    wanted.optimizer = NULL;
    wanted.loader = t.loader;
    ck_fails(rn_checkpoint_load(t.ctx, path, &wanted), RN_E_STATE, "loader is not in the checkpoint");
    wanted.loader = NULL;
    wanted.plan = t.plan;
    ck_fails(rn_checkpoint_load(t.ctx, path, &wanted), RN_E_STATE, "plan.seed is not in the checkpoint");
    wanted.plan = NULL;
    wanted.schedule = t.schedule;
    ck_fails(rn_checkpoint_load(t.ctx, path, &wanted), RN_E_STATE, "schedule.kind is not in the checkpoint");
    end(&t);
    end(&u);
    unlink(path);
}
END_TEST

/* A checkpoint of the usual training, loaded into one of another setup: refused for this field, nothing changed. */
static void check_refused(const setup *how, const char *message)
{
    training t = begin(&usual, 1), u = begin(how, 2);
    advance(&t);
    rn_checkpoint c = parts(&t), d = parts(&u);
    ck_ok(rn_checkpoint_save(t.ctx, path, &c));
    const snapshot before = take(&u);
    d.epoch = 42;
    ck_fails(rn_checkpoint_load(u.ctx, path, &d), RN_E_STATE, message);
    ck_assert_ptr_nonnull(strstr(rn_error_message(), path));
    const snapshot after = take(&u);
    assert_equal(&before, &after);
    ck_assert_int_eq(d.epoch, 42);
    end(&t);
    end(&u);
    unlink(path);
}

START_TEST(another_net)
{
    setup wider = usual, deeper = usual;
    wider.features = 6;
    check_refused(&wider, "model.a.weight has shape [5, 9] in the checkpoint and [6, 9] here");
    deeper.deeper = 1;
    check_refused(&deeper, "model.extra.weight is not in the checkpoint; here it has shape [5, 5]");
    /* and the other way round */
    training t = begin(&deeper, 1), u = begin(&usual, 1);
    rn_checkpoint c = RN_CHECKPOINT_INIT, d = RN_CHECKPOINT_INIT;
    c.model = t.model;
    d.model = u.model;
    ck_ok(rn_checkpoint_save(t.ctx, path, &c));
    ck_fails(rn_checkpoint_load(u.ctx, path, &d), RN_E_STATE,
             "model.extra.bias has shape [5] in the checkpoint and is not in the model here");
    end(&t);
    end(&u);
    unlink(path);
}
END_TEST

START_TEST(another_training)
{
    setup s = usual;
    s.adam = 1;
    check_refused(&s, "optimizer.kind is \"sgd\" in the checkpoint and \"adam\" here");
    s = usual;
    s.momentum = 0.8;
    check_refused(&s, "optimizer.momentum is \"0.9\" in the checkpoint and \"0.8\" here");
    s = usual;
    s.group_factor = 1.0 / 3.0;
    check_refused(&s, "optimizer.group.1.lr_factor is \"2\" in the checkpoint and \"0.333333333333333");
    s = usual;
    s.patience = 3;
    check_refused(&s, "schedule.plateau.patience is \"2\" in the checkpoint and \"3\" here");
    s = usual;
    s.seed = 12;
    check_refused(&s, "plan.seed is \"11\" in the checkpoint and \"12\" here");
    s = usual;
    s.accumulate = 3;
    check_refused(&s, "plan.accumulate is \"2\" in the checkpoint and \"3\" here");
    s = usual;
    s.batch = 5;
    check_refused(&s, "loader is \"batch 4");
}
END_TEST

START_TEST(another_kind_of_schedule)
{
    static const int64_t milestones[] = {3, 5, 7}, others[] = {3, 5, 8};
    rn_multistep_schedule_options o = RN_MULTISTEP_SCHEDULE_OPTIONS_INIT;
    rn_schedule *s = NULL, *warm = NULL;
    training t = begin(&usual, 1);
    rn_checkpoint c = RN_CHECKPOINT_INIT;
    c.model = t.model;
    c.schedule = t.schedule;
    ck_ok(rn_checkpoint_save(t.ctx, path, &c));
    o.milestones = milestones;
    o.num_milestones = 3;
    ck_ok(rn_multistep_schedule_create(t.ctx, &o, &s));
    c.schedule = s;
    ck_fails(rn_checkpoint_load(t.ctx, path, &c), RN_E_STATE,
             "schedule.kind is \"plateau\" in the checkpoint and \"multistep\" here");
    ck_ok(rn_warmup_schedule_create(t.ctx, s, NULL, &warm));
    c.schedule = warm;
    ck_ok(rn_checkpoint_save(t.ctx, path, &c));
    ck_ok(rn_checkpoint_load(t.ctx, path, &c));
    rn_schedule_release(warm);
    rn_schedule_release(s);
    o.milestones = others;
    ck_ok(rn_multistep_schedule_create(t.ctx, &o, &s));
    ck_ok(rn_warmup_schedule_create(t.ctx, s, NULL, &warm));
    c.schedule = warm;
    ck_fails(rn_checkpoint_load(t.ctx, path, &c), RN_E_STATE,
             "schedule.multistep.milestone.3 is \"7\" in the checkpoint and \"8\" here");
    rn_schedule_release(warm);
    rn_schedule_release(s);
    end(&t);
    unlink(path);
}
END_TEST

START_TEST(a_released_hold_comes_back)
{
    rn_schedule *inner = NULL, *saved = NULL, *loaded = NULL, *other = NULL;
    rn_hold_schedule_options o = RN_HOLD_SCHEDULE_OPTIONS_INIT;
    training t = begin(&usual, 1);
    rn_checkpoint c = RN_CHECKPOINT_INIT;
    double lr = -1;
    ck_ok(rn_multistep_schedule_create(t.ctx, NULL, &inner)); /* 0.1 for ever */
    ck_ok(rn_hold_schedule_create(t.ctx, inner, &o, &saved));
    ck_ok(rn_hold_schedule_create(t.ctx, inner, &o, &loaded));
    o.threshold = 0.7;
    ck_ok(rn_hold_schedule_create(t.ctx, inner, &o, &other));
    ck_ok(rn_schedule_observe(saved, 0.5));
    c.model = t.model;
    c.schedule = saved;
    ck_ok(rn_checkpoint_save(t.ctx, path, &c));
    c.schedule = loaded;
    ck_ok(rn_checkpoint_load(t.ctx, path, &c));
    ck_ok(rn_schedule_lr(loaded, 0, &lr));
    ck_assert_double_eq(lr, 0.1);
    c.schedule = other;
    ck_fails(rn_checkpoint_load(t.ctx, path, &c), RN_E_STATE,
             "schedule.hold.threshold is \"0.8\" in the checkpoint and \"0.7\" here");
    rn_schedule_release(inner);
    rn_schedule_release(saved);
    rn_schedule_release(loaded);
    rn_schedule_release(other);
    end(&t);
    unlink(path);
}
END_TEST

/* A file that has the right names but not the right contents. */
static void write_odd(training *t, const char *name, rn_dtype dtype, int64_t count, const void *data)
{
    rni_st_file *f = NULL;
    rni_st_builder b;
    static char pool[65536];
    size_t used = 0;
    rn_checkpoint c = parts(t);
    ck_ok(rn_checkpoint_save(t->ctx, path, &c));
    ck_ok(rni_st_open(&t->ctx->allocator, path, &f));
    rni_st_begin(&b, &t->ctx->allocator);
    static const char *const keys[] = {"checkpoint",
                                       "loader",
                                       "optimizer.kind",
                                       "optimizer.momentum",
                                       "optimizer.dampening",
                                       "optimizer.nesterov",
                                       "optimizer.weight_decay",
                                       "optimizer.groups",
                                       "optimizer.group.1.names",
                                       "optimizer.group.1.lr_factor",
                                       "optimizer.group.1.weight_decay",
                                       "plan.seed",
                                       "plan.accumulate",
                                       "schedule.kind",
                                       "schedule.settings",
                                       "schedule.plateau.maximize",
                                       "schedule.plateau.lr",
                                       "schedule.plateau.factor",
                                       "schedule.plateau.threshold",
                                       "schedule.plateau.min_lr",
                                       "schedule.plateau.eps",
                                       "schedule.plateau.patience",
                                       "schedule.plateau.cooldown"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        ck_ok(rni_st_put_metadata(&b, keys[i], rni_st_metadata(f, keys[i])));
    for (size_t i = 0; i < rni_st_count(f); i++) {
        const rni_st_tensor *const s = rni_st_at(f, i);
        if (strcmp(s->name, name) == 0)
            continue;
        ck_ok(rni_st_read(f, s, 0, pool + used, s->count));
        ck_ok(rni_st_put_host(&b, s->name, s->dtype, s->rank, s->dims, pool + used));
        used += (size_t)(s->end - s->begin + 63) / 64 * 64;
    }
    if (dtype)
        ck_ok(rni_st_put_host(&b, name, dtype, count > 0, &count, data));
    rni_st_close(f);
    ck_ok(rni_st_save(&b, path));
    rni_st_end(&b);
}

static void check_odd(const char *name, rn_dtype dtype, int64_t count, const void *data, rn_status status,
                      const char *message)
{
    training t = begin(&usual, 1);
    advance(&t);
    write_odd(&t, name, dtype, count, data);
    advance(&t); /* so that what a refused load would leave behind differs */
    const snapshot before = take(&t);
    rn_checkpoint c = parts(&t);
    ck_fails(rn_checkpoint_load(t.ctx, path, &c), status, message);
    const snapshot after = take(&t);
    assert_equal(&before, &after);
    end(&t);
    unlink(path);
}

START_TEST(impossible_contents)
{
    static const double nan_number = NAN, plateau[] = {0.1, 1.0, -1.0, 0.0};
    static const int64_t negative[] = {-1, -1, -1, -1, -1, -1, -1}, far[] = {0, 100};
    static const float f32 = 1;
    check_odd("optimizer.lr", RN_F64, 0, &nan_number, RN_E_FORMAT, "optimizer.lr holds numbers that cannot be");
    check_odd("optimizer.lr", RN_F32, 0, &f32, RN_E_FORMAT, "optimizer.lr is F32, expected f64");
    check_odd("optimizer.steps", RN_I64, 0, negative, RN_E_FORMAT, "optimizer.steps holds numbers that cannot be");
    check_odd("plan.progress", RN_I64, 7, negative, RN_E_FORMAT, "plan.progress holds numbers that cannot be");
    check_odd("loader.position", RN_I64, 2, negative, RN_E_FORMAT, "loader.position holds numbers that cannot be");
    check_odd("loader.position", RN_I64, 2, far, RN_E_INVALID, "100");
    check_odd("schedule.progress", RN_F64, 4, plateau, RN_E_FORMAT, "bad -1");
    check_odd("host.value", 0, 0, NULL, RN_E_STATE, "host.value is not in the checkpoint");
    check_odd("optimizer.momentum.a.weight", 0, 0, NULL, RN_E_STATE, "optimizer.momentum.a.weight is not in the");
    check_odd("gradient.a.weight", 0, 0, NULL, RN_E_STATE, "gradient.a.weight is not in the");
    check_odd("model.b.bias", RN_F64, 3, plateau, RN_E_FORMAT, "model.b.bias is F64, expected f32");
}
END_TEST

START_TEST(no_checkpoint)
{
    training t = begin(&usual, 1);
    rn_checkpoint c = parts(&t);
    unlink(path);
    ck_fails(rn_checkpoint_load(t.ctx, path, &c), RN_E_NOT_FOUND, path);
    ck_ok(rn_model_save(t.model, path));
    ck_fails(rn_checkpoint_load(t.ctx, path, &c), RN_E_FORMAT, "a safetensors file, but no checkpoint");
    rni_st_builder b;
    rni_st_begin(&b, &t.ctx->allocator);
    ck_ok(rni_st_put_metadata(&b, "checkpoint", "resnet 2"));
    ck_ok(rni_st_save(&b, path));
    rni_st_end(&b);
    ck_fails(rn_checkpoint_load(t.ctx, path, &c), RN_E_VERSION, "version \"resnet 2\", expected \"resnet 1\"");
    ck_fails(rn_checkpoint_load(t.ctx, path, NULL), RN_E_INVALID, "c is NULL");
    ck_fails(rn_checkpoint_save(NULL, path, &c), RN_E_INVALID, "ctx is NULL");
    c.model = NULL;
    ck_fails(rn_checkpoint_save(t.ctx, path, &c), RN_E_INVALID, "rn_checkpoint.model is NULL");
    c.struct_size = 4;
    ck_fails(rn_checkpoint_save(t.ctx, path, &c), RN_E_VERSION, "rn_checkpoint");
    training u = begin(&usual, 2);
    c = parts(&t);
    ck_fails(rn_checkpoint_save(u.ctx, path, &c), RN_E_INVALID, "model is of another context");
    c = parts(&u);
    c.optimizer = t.optimizer;
    ck_fails(rn_checkpoint_save(u.ctx, path, &c), RN_E_INVALID, "optimizer is another model's");
    end(&u);
    end(&t);
    unlink(path);
}
END_TEST

START_TEST(a_failed_save_keeps_the_old_file)
{
    training t = begin(&usual, 1);
    rn_checkpoint c = parts(&t);
    c.epoch = 5;
    ck_ok(rn_checkpoint_save(t.ctx, path, &c));
    c.epoch = 6;
    rni_io_fail_after(1);
    ck_fails(rn_checkpoint_save(t.ctx, path, &c), RN_E_IO, path);
    rni_io_fail_after(0);
    ck_ok(rn_checkpoint_load(t.ctx, path, &c));
    ck_assert_int_eq(c.epoch, 5);
    end(&t);
    unlink(path);
}
END_TEST

START_TEST(numbers_as_texts)
{
    static const double numbers[] = {0.1, 1.0 / 3.0, 5e-324, 1.7976931348623157e308, -0.0, 4096, 0.1 + 0.2};
    static const char *const texts[] = {
        "0.1",  "0.3333333333333333", "4.94065645841247e-324", "1.7976931348623157e+308", "-0",
        "4096", "0.30000000000000004"};
    char buffer[RNI_CP_NUMBER];
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        ck_assert_str_eq(rni_cp_number(buffer, numbers[i]), texts[i]);
        ck_assert(strtod(buffer, NULL) == numbers[i]);
    }
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8") && !setlocale(LC_NUMERIC, "de_DE"))
        return;
    ck_assert_str_eq(rni_cp_number(buffer, 0.1), "0.1");
}
END_TEST

SUPPORT_MAIN("checkpoint", everything_comes_back, parts_are_optional, another_net, another_training,
             another_kind_of_schedule, a_released_hold_comes_back, impossible_contents, no_checkpoint,
             a_failed_save_keeps_the_old_file, numbers_as_texts)
