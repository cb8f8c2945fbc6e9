/* SPDX-License-Identifier: MIT */
/* Averages of weights against the formula, in plans, in checkpoints. */
#include "format/checkpoint.h"
#include "support.h"
#include "train/train.h"
#include <math.h>
#include <unistd.h>

enum { BATCH = 4, CLASSES = 5, STATES = 64 };
static const int64_t image[] = {BATCH, 3, 8, 8}, logits[] = {BATCH, CLASSES};

typedef struct fixture {
    rn_context *ctx;
    rn_device *cpu;
    rn_model *model;
    rn_loss *loss;
    rn_optimizer *sgd;
    rn_plan *train;
    rn_tensor *x, *labels;
    rn_ema *ema;
} fixture;

static fixture begin(double decay, uint64_t flags)
{
    fixture f = {.cpu = NULL};
    rn_ema_options e = RN_EMA_OPTIONS_INIT;
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    f.ctx = support_context(&f.cpu);
    rn_layer *const net = support_net(f.ctx, 3, CLASSES);
    ck_ok(rn_model_create(f.ctx, net, f.cpu, &f.model));
    rn_layer_release(net);
    ck_ok(rn_cross_entropy_create(f.ctx, NULL, &f.loss));
    ck_ok(rn_sgd_create(f.model, NULL, &f.sgd));
    o.mode = RN_PLAN_TRAIN;
    memcpy(o.input_dims, image, sizeof image);
    o.loss = f.loss;
    o.optimizer = f.sgd;
    ck_ok(rn_plan_create(f.model, &o, &f.train));
    f.x = support_tensor(f.cpu, 4, image, 5);
    f.labels = support_labels(f.cpu, BATCH, CLASSES);
    e.decay = decay;
    e.flags = flags;
    ck_ok(rn_ema_create(f.model, &e, &f.ema));
    return f;
}

static void end(fixture *f)
{
    rn_ema_release(f->ema);
    rn_tensor_release(f->x);
    rn_tensor_release(f->labels);
    rn_plan_release(f->train);
    rn_optimizer_release(f->sgd);
    rn_loss_release(f->loss);
    rn_model_release(f->model);
    rn_context_release(f->ctx);
}

/* One value of an entry, as a double. */
static double value_of(const rni_state *s, int64_t i)
{
    const void *const data = rn_tensor_data(s->value);
    return s->value->dtype == RN_I64 ? (double)((const int64_t *)data)[i] : (double)((const float *)data)[i];
}

/* The average of every value in double, updated beside the library's. */
typedef struct twin {
    double *of[STATES];
} twin;

static void twin_update(twin *t, const fixture *f, double decay, int average_buffers)
{
    for (size_t i = 0; i < f->model->num_states; i++) {
        const rni_state *const s = &f->model->states[i];
        const int copied = s->kind == RN_STATE_BUFFER && (!average_buffers || s->value->dtype == RN_I64);
        const int first = !t->of[i];
        if (first)
            t->of[i] = calloc((size_t)s->value->count + 1, sizeof(double));
        for (int64_t k = 0; k < s->value->count; k++) {
            const double now = value_of(s, k);
            t->of[i][k] = first || copied ? now : decay * t->of[i][k] + (1 - decay) * now;
        }
    }
}

static void twin_check(const twin *t, const fixture *f)
{
    const rn_model *const m = rn_ema_model(f->ema);
    for (size_t i = 0; i < m->num_states; i++)
        for (int64_t k = 0; k < m->states[i].value->count; k++)
            ck_assert_double_eq_tol(value_of(&m->states[i], k), t->of[i][k], 1e-6 * (1 + fabs(t->of[i][k])));
}

static void check_average(double decay, uint64_t flags)
{
    fixture f = begin(decay, flags);
    twin t = {{NULL}};
    ck_assert_uint_le(f.model->num_states, STATES);
    for (int update = 0; update < 4; update++) {
        const double warm = (1.0 + update) / (10.0 + update);
        ck_ok(rn_plan_train_step(f.train, f.x, f.labels));
        ck_ok(rn_ema_update(f.ema));
        twin_update(&t, &f, (flags & RN_EMA_WARMUP) && warm < decay ? warm : decay, flags & RN_EMA_AVERAGE_BUFFERS);
        twin_check(&t, &f);
        ck_assert_int_eq(rn_ema_updates(f.ema), update + 1);
    }
    for (size_t i = 0; i < STATES; i++)
        free(t.of[i]);
    end(&f);
}

START_TEST(follows_the_formula)
{
    check_average(0.9, 0);
    check_average(0.3, 0); /* nearer to the weights than to the average */
    check_average(0.9, RN_EMA_AVERAGE_BUFFERS);
    check_average(0.3, RN_EMA_WARMUP);
    check_average(0.999, RN_EMA_WARMUP | RN_EMA_AVERAGE_BUFFERS);
}
END_TEST

static int same_weights(const rn_model *a, const rn_model *b)
{
    return memcmp(a->params->data, b->params->data, a->params->bytes) == 0;
}

START_TEST(the_first_update_copies)
{
    fixture f = begin(1, 0);
    rn_model *start = NULL;
    ck_ok(rn_model_copy(f.model, f.cpu, &start));
    ck_ok(rn_plan_train_step(f.train, f.x, f.labels));
    ck_assert(same_weights(rn_ema_model(f.ema), start)); /* nothing moves by itself */
    ck_ok(rn_ema_update(f.ema));
    ck_assert(same_weights(rn_ema_model(f.ema), f.model));
    rn_model_release(start);
    ck_ok(rn_model_copy(f.model, f.cpu, &start));
    for (int i = 0; i < 3; i++) {
        ck_ok(rn_plan_train_step(f.train, f.x, f.labels));
        ck_ok(rn_ema_update(f.ema)); /* a decay of 1: never again */
        ck_assert(same_weights(rn_ema_model(f.ema), start));
    }
    rn_model_release(start);
    end(&f);
    f = begin(0, 0); /* a decay of 0: always */
    for (int i = 0; i < 3; i++) {
        ck_ok(rn_plan_train_step(f.train, f.x, f.labels));
        ck_ok(rn_ema_update(f.ema));
        ck_assert(same_weights(rn_ema_model(f.ema), f.model));
    }
    end(&f);
}
END_TEST

/* An INFER plan of the average sees each update, folded and packed weights included, and outlives the average. */
START_TEST(plans_see_the_average)
{
    fixture f = begin(0.5, 0);
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    rn_plan *kept = NULL, *fresh = NULL;
    rn_model *copy = NULL;
    rn_tensor *y[2] = {support_tensor(f.cpu, 2, logits, 1), support_tensor(f.cpu, 2, logits, 2)};
    memcpy(o.input_dims, image, sizeof image);
    ck_ok(rn_plan_create(rn_ema_model(f.ema), &o, &kept));
    for (int i = 0; i < 3; i++) {
        ck_ok(rn_plan_train_step(f.train, f.x, f.labels));
        ck_ok(rn_ema_update(f.ema));
        ck_ok(rn_model_copy(rn_ema_model(f.ema), f.cpu, &copy));
        ck_ok(rn_plan_create(copy, &o, &fresh));
        ck_ok(rn_plan_forward(kept, f.x, y[0]));
        ck_ok(rn_plan_forward(fresh, f.x, y[1]));
        ck_assert_mem_eq(rn_tensor_data(y[0]), rn_tensor_data(y[1]), sizeof(float) * BATCH * CLASSES);
        rn_plan_release(fresh);
        rn_model_release(copy);
    }
    end(&f);
    rn_plan_release(kept);
    rn_tensor_release(y[0]);
    rn_tensor_release(y[1]);
}
END_TEST

/* Training takes no notice of the average. */
START_TEST(training_is_the_same_without)
{
    fixture f = begin(0.9, RN_EMA_AVERAGE_BUFFERS), g = begin(0.9, 0);
    for (int i = 0; i < 4; i++) {
        ck_ok(rn_plan_train_step(f.train, f.x, f.labels));
        ck_ok(rn_plan_train_step(g.train, g.x, g.labels));
        ck_ok(rn_ema_update(f.ema));
    }
    ck_assert(same_weights(f.model, g.model));
    ck_assert_mem_eq(f.model->buffers->data, g.model->buffers->data, f.model->buffers->bytes);
    end(&f);
    end(&g);
}
END_TEST

START_TEST(refused)
{
    static const double bad[] = {-0.1, 1.1, NAN};
    fixture f = begin(0.9, 0);
    rn_ema_options o = RN_EMA_OPTIONS_INIT;
    rn_ema *ema = NULL;
    for (int i = 0; i < 3; i++) {
        o.decay = bad[i];
        ck_fails(rn_ema_create(f.model, &o, &ema), RN_E_INVALID, "rn_ema_options.decay is ");
    }
    o = (rn_ema_options)RN_EMA_OPTIONS_INIT;
    o.flags = 4;
    ck_fails(rn_ema_create(f.model, &o, &ema), RN_E_INVALID, "rn_ema_options.flags");
    o.struct_size = 1;
    ck_fails(rn_ema_create(f.model, &o, &ema), RN_E_VERSION, "rn_ema_options");
    ck_fails(rn_ema_create(NULL, NULL, &ema), RN_E_INVALID, "m is NULL");
    ck_fails(rn_ema_create(f.model, NULL, NULL), RN_E_INVALID, "out is NULL");
    ck_fails(rn_ema_update(NULL), RN_E_INVALID, "ema is NULL");
    ck_assert_ptr_null(ema);
    ck_assert_ptr_null(rn_ema_model(NULL));
    ck_assert_int_eq(rn_ema_updates(NULL), 0);
    ck_assert_ptr_null(rn_ema_retain(NULL));
    rn_ema_release(NULL);
    ck_ok(rn_ema_options_init(&o, sizeof o));
    ck_assert_double_eq(o.decay, 0.999);
    end(&f);
}
END_TEST

static rn_checkpoint parts(const fixture *f)
{
    rn_checkpoint c = RN_CHECKPOINT_INIT;
    c.model = f->model;
    c.optimizer = f->sgd;
    c.plan = f->train;
    c.ema = f->ema;
    return c;
}

static void advance(fixture *f, int steps)
{
    for (int i = 0; i < steps; i++) {
        ck_ok(rn_plan_train_step(f->train, f->x, f->labels));
        ck_ok(rn_ema_update(f->ema));
    }
}

static void expect_same(const fixture *a, const fixture *b)
{
    const rn_model *const x = rn_ema_model(a->ema), *const y = rn_ema_model(b->ema);
    ck_assert(same_weights(x, y));
    ck_assert_mem_eq(x->buffers->data, y->buffers->data, x->buffers->bytes);
    ck_assert(same_weights(a->model, b->model));
    ck_assert_int_eq(rn_ema_updates(a->ema), rn_ema_updates(b->ema));
}

/* Saved, loaded into another training and gone on with: the same bits as without a pause. */
START_TEST(resumes_exactly)
{
    char path[64];
    const uint64_t flags = RN_EMA_WARMUP | RN_EMA_AVERAGE_BUFFERS;
    fixture whole = begin(0.8, flags), first = begin(0.8, flags), second = begin(0.8, flags);
    snprintf(path, sizeof path, "/tmp/ema-%ld", (long)getpid());
    advance(&whole, 5);
    advance(&first, 3);
    advance(&second, 1); /* all of it is replaced */
    rn_checkpoint c = parts(&first), d = parts(&second);
    ck_ok(rn_checkpoint_save(first.ctx, path, &c));
    ck_ok(rn_checkpoint_load(second.ctx, path, &d));
    expect_same(&first, &second);
    advance(&second, 2);
    expect_same(&whole, &second);
    end(&whole);
    end(&first);
    end(&second);
    unlink(path);
}
END_TEST

START_TEST(checkpoints_refuse)
{
    char path[64];
    fixture f = begin(0.8, 0), other = begin(0.9, 0);
    snprintf(path, sizeof path, "/tmp/ema-%ld", (long)getpid());
    advance(&f, 2);
    rn_checkpoint c = parts(&f), d = parts(&other);
    ck_ok(rn_checkpoint_save(f.ctx, path, &c));
    ck_fails(rn_checkpoint_load(other.ctx, path, &d), RN_E_STATE,
             "ema.decay is \"0.8\" in the checkpoint and \"0.9\" here");
    ck_assert_int_eq(rn_optimizer_steps(other.sgd), 0); /* nothing has changed */
    d.ema = NULL; /* what the file has besides is ignored */
    ck_ok(rn_checkpoint_load(other.ctx, path, &d));
    ck_assert(same_weights(f.model, other.model));
    ck_assert_int_eq(rn_ema_updates(other.ema), 0);
    c.struct_size = RNI_CP_FIRST_SIZE; /* a program of the first release knows no averages */
    ck_ok(rn_checkpoint_save(f.ctx, path, &c));
    c = parts(&f);
    ck_fails(rn_checkpoint_load(f.ctx, path, &c), RN_E_STATE, "ema.decay is not in the checkpoint; here it is \"0.8\"");
    rn_ema *foreign = NULL;
    rn_model *copy = NULL;
    ck_ok(rn_model_copy(f.model, f.cpu, &copy));
    ck_ok(rn_ema_create(copy, NULL, &foreign));
    c.ema = foreign;
    ck_fails(rn_checkpoint_save(f.ctx, path, &c), RN_E_INVALID, "rn_checkpoint.ema is another model's");
    rn_ema_release(foreign);
    rn_model_release(copy);
    end(&f);
    end(&other);
    unlink(path);
}
END_TEST

SUPPORT_MAIN("ema", follows_the_formula, the_first_update_copies, plans_see_the_average, training_is_the_same_without,
             refused, resumes_exactly, checkpoints_refuse)
