/* SPDX-License-Identifier: MIT */
#include "backend/context.h"
#include "model/model.h"
#include "support.h"
#include <resnet/sys/backend.h>
#include <math.h>

static rn_context *ctx;
static rn_device *cpu;
static rn_layer *net;
static rn_model *model;
static rn_loss *loss;
static rn_optimizer *sgd;

enum { BATCH = 6 };
static const int64_t image[4] = {BATCH, 3, 8, 8}, logits[2] = {BATCH, 10};

static void start(void)
{
    ctx = support_context(&cpu);
    net = support_net(ctx, 3, 10);
    ck_ok(rn_model_create(ctx, net, cpu, &model));
    rn_cross_entropy_options ce = RN_CROSS_ENTROPY_OPTIONS_INIT;
    ck_ok(rn_cross_entropy_create(ctx, &ce, &loss));
    rn_sgd_options o = RN_SGD_OPTIONS_INIT;
    ck_ok(rn_sgd_create(model, &o, &sgd));
}

static void stop(void)
{
    rn_optimizer_release(sgd);
    rn_loss_release(loss);
    rn_model_release(model);
    rn_layer_release(net);
    rn_context_release(ctx);
}

static rn_plan_options options(int32_t mode, int with_loss, int with_optimizer)
{
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    o.mode = mode;
    memcpy(o.input_dims, image, sizeof image);
    o.loss = with_loss ? loss : NULL;
    o.optimizer = with_optimizer ? sgd : NULL;
    return o;
}

static rn_plan *make(int32_t mode, int with_loss, int with_optimizer)
{
    const rn_plan_options o = options(mode, with_loss, with_optimizer);
    rn_plan *p = NULL;
    ck_ok(rn_plan_create(model, &o, &p));
    return p;
}

START_TEST(options_are_checked)
{
    start();
    rn_plan *const untouched = (rn_plan *)&ctx, *p = untouched;
    rn_plan_options o = options(7, 1, 0);
    ck_fails(rn_plan_create(model, &o, &p), RN_E_INVALID, "options.mode");
    o = options(RN_PLAN_INFER, 1, 1);
    ck_fails(rn_plan_create(model, &o, &p), RN_E_INVALID, "options.optimizer");
    o = options(RN_PLAN_TRAIN, 0, 1);
    ck_fails(rn_plan_create(model, &o, &p), RN_E_INVALID, "options.loss");
    o = options(RN_PLAN_INFER, 0, 0);
    o.flags = RN_PLAN_INPUT_GRAD;
    ck_fails(rn_plan_create(model, &o, &p), RN_E_INVALID, "RN_PLAN_INPUT_GRAD");
    o.flags = 1024;
    ck_fails(rn_plan_create(model, &o, &p), RN_E_INVALID, "options.flags");
    o = options(RN_PLAN_INFER, 0, 0);
    o.rank = 3;
    ck_fails(rn_plan_create(model, &o, &p), RN_E_INVALID, "options.rank");
    o.rank = 4;
    o.input_dims[2] = 0;
    ck_fails(rn_plan_create(model, &o, &p), RN_E_SHAPE, "options.input_dims");
    o = options(RN_PLAN_INFER, 0, 0);
    o.batches[0] = -1;
    ck_fails(rn_plan_create(model, &o, &p), RN_E_INVALID, "options.batches[0]");
    o = options(RN_PLAN_INFER, 0, 0);
    o.compute_dtype = RN_U8;
    ck_fails(rn_plan_create(model, &o, &p), RN_E_UNSUPPORTED, "options.compute_dtype");
    o = options(RN_PLAN_TRAIN, 1, 1);
    o.clip_norm = NAN;
    ck_fails(rn_plan_create(model, &o, &p), RN_E_INVALID, "options.clip_norm");
    o = options(RN_PLAN_TRAIN, 1, 1);
    o.memory_limit = 1000;
    ck_fails(rn_plan_create(model, &o, &p), RN_E_NOMEM, "the limit is 1000");
    o.struct_size = 4;
    ck_fails(rn_plan_create(model, &o, &p), RN_E_VERSION, "rn_plan_options");
    o = options(RN_PLAN_INFER, 0, 0);
    o.input_dims[1] = 4;
    ck_fails(rn_plan_create(model, &o, &p), RN_E_SHAPE,
             "stem.conv (Conv2d): expected 3 channels, got [6, 4, 8, 8] from input");
    o.input_dims[0] = INT64_C(1) << 39;
    ck_assert_int_lt(rn_plan_create(model, &o, &p), 0);
    ck_fails(rn_plan_create(NULL, &o, &p), RN_E_INVALID, "m is NULL");
    ck_fails(rn_plan_create(model, NULL, &p), RN_E_INVALID, "options is NULL");
    ck_fails(rn_plan_create(model, &o, NULL), RN_E_INVALID, "out is NULL");
    ck_assert_ptr_eq(p, untouched);
    stop();
}
END_TEST

START_TEST(an_optimizer_of_another_model_is_refused)
{
    start();
    rn_model *other = NULL;
    rn_plan *p = NULL;
    ck_ok(rn_model_copy(model, cpu, &other));
    const rn_plan_options o = options(RN_PLAN_TRAIN, 1, 1);
    ck_fails(rn_plan_create(other, &o, &p), RN_E_INVALID, "another model's");
    rn_model_release(other);
    stop();
}
END_TEST

START_TEST(arguments_of_runs_are_checked)
{
    start();
    rn_plan *infer = make(RN_PLAN_INFER, 0, 0), *train = make(RN_PLAN_TRAIN, 1, 1);
    rn_tensor *x = support_tensor(cpu, 4, image, 1), *y = support_tensor(cpu, 2, logits, 2);
    rn_tensor *labels = support_labels(cpu, BATCH, 10), *wide = NULL, *big = NULL, *other = NULL, *doubles = NULL;
    rn_tensor *part = NULL;
    ck_fails(rn_plan_forward(NULL, x, y), RN_E_INVALID, "p is NULL");
    ck_fails(rn_plan_forward(infer, NULL, y), RN_E_INVALID, "x is NULL");
    ck_fails(rn_plan_forward(infer, x, NULL), RN_E_INVALID, "y is NULL");
    ck_fails(rn_plan_forward(infer, labels, y), RN_E_DTYPE, "x");
    wide = support_tensor(cpu, 4, (int64_t[]){2, 3, 8, 9}, 3);
    ck_fails(rn_plan_forward(infer, wide, y), RN_E_SHAPE, "[2, 3, 8, 9]");
    big = support_tensor(cpu, 4, (int64_t[]){BATCH + 1, 3, 8, 8}, 3);
    ck_fails(rn_plan_forward(infer, big, y), RN_E_SHAPE, "1 to 6 images, got 7");
    ck_ok(rn_tensor_slice(y, 0, 3, &other));
    ck_fails(rn_plan_forward(infer, x, other), RN_E_SHAPE, "y: expected 6 of 6 images, got 3");
    ck_fails(rn_plan_backward(infer, y, NULL), RN_E_STATE, "an INFER plan has no backward");
    ck_fails(rn_plan_backward(train, y, NULL), RN_E_STATE, "without a forward");
    ck_ok(rn_plan_forward(train, x, y));
    ck_fails(rn_plan_backward(train, y, x), RN_E_STATE, "RN_PLAN_INPUT_GRAD");
    ck_ok(rn_plan_backward(train, y, NULL));
    ck_fails(rn_plan_backward(train, y, NULL), RN_E_STATE, "without a forward");
    ck_fails(rn_plan_train_step(infer, x, labels), RN_E_STATE, "needs a TRAIN plan");
    ck_fails(rn_plan_eval_step(infer, x, labels), RN_E_STATE, "needs an INFER plan with a loss");
    ck_ok(rn_tensor_create(cpu, RN_F64, 2, logits, &doubles));
    ck_fails(rn_plan_train_step(train, x, doubles), RN_E_DTYPE, "target");
    ck_fails(rn_plan_train_step(train, x, x), RN_E_SHAPE, "target: expected [6, 10] (fewer images are allowed)");
    ck_ok(rn_tensor_slice(y, 0, 3, &part));
    ck_fails(rn_plan_train_step(train, x, part), RN_E_SHAPE, "target: expected 6 of 6 images, got 3");
    rn_metrics before = RN_METRICS_INIT, after = RN_METRICS_INIT;
    ck_ok(rn_plan_metrics(train, &before, 0));
    ((int64_t *)rn_tensor_data(labels))[4] = 10;
    ck_fails(rn_plan_train_step(train, x, labels), RN_E_INVALID, "4");
    ck_ok(rn_plan_metrics(train, &after, 0));
    ck_assert_mem_eq(&before, &after, sizeof before);
    after.struct_size = 0;
    ck_fails(rn_plan_metrics(train, &after, 0), RN_E_VERSION, "rn_metrics");
    rn_tensor_release(other);
    rn_tensor_release(part);
    rn_tensor_release(doubles);
    rn_tensor_release(big);
    rn_tensor_release(wide);
    rn_tensor_release(labels);
    rn_tensor_release(x);
    rn_tensor_release(y);
    rn_plan_release(infer);
    rn_plan_release(train);
    stop();
}
END_TEST

START_TEST(training_learns_and_counts)
{
    start();
    rn_plan *train = make(RN_PLAN_TRAIN, 1, 1), *eval = make(RN_PLAN_INFER, 1, 0);
    rn_tensor *x = support_tensor(cpu, 4, image, 1), *labels = support_labels(cpu, BATCH, 10);
    rn_metrics m = RN_METRICS_INIT;
    ck_ok(rn_plan_train_step(train, x, labels));
    ck_ok(rn_plan_metrics(train, &m, 1));
    ck_assert_int_eq(m.count, BATCH);
    ck_assert_int_eq(m.steps, 1);
    const double first = m.last_loss;
    ck_assert_double_gt(first, 1.0); /* about ln 10 */
    for (int i = 0; i < 40; i++)
        ck_ok(rn_plan_train_step(train, x, labels));
    ck_ok(rn_plan_metrics(train, &m, 0));
    ck_assert_int_eq(m.count, 40 * BATCH);
    ck_assert_double_lt(m.last_loss, 0.2 * first);
    ck_assert_int_eq(rn_optimizer_steps(sgd), 41);
    ck_ok(rn_plan_eval_step(eval, x, labels));
    ck_ok(rn_plan_metrics(eval, &m, 0));
    ck_assert_int_eq(m.correct, BATCH);
    rn_tensor_release(x);
    rn_tensor_release(labels);
    rn_plan_release(train);
    rn_plan_release(eval);
    stop();
}
END_TEST

/* What three steps leave: the sums, and fc's weights. */
typedef struct outcome {
    rn_metrics train, eval;
    float fc[160];
} outcome;

/* soft: class probabilities of 1 and 0, else labels; of the second step always labels. */
static outcome learn(rn_dtype dtype, int soft)
{
    outcome result = {RN_METRICS_INIT, RN_METRICS_INIT, {0}};
    rn_state_entry fc = RN_STATE_ENTRY_INIT;
    rn_plan *plans[2] = {NULL, NULL};
    start();
    for (int i = 0; i < 2; i++) {
        rn_plan_options o = options(i ? RN_PLAN_INFER : RN_PLAN_TRAIN, 1, !i);
        o.compute_dtype = dtype;
        ck_ok(rn_plan_create(model, &o, &plans[i]));
    }
    const rn_dtype values = dtype == RN_F64 ? RN_F64 : RN_F32;
    rn_tensor *x = NULL, *x32 = support_tensor(cpu, 4, image, 1), *labels = support_labels(cpu, BATCH, 10), *hot = NULL;
    ck_ok(rn_tensor_create(cpu, values, 4, image, &x));
    ck_ok(rn_tensor_copy(x32, x));
    ck_ok(rn_tensor_create(cpu, values, 2, logits, &hot));
    memset(rn_tensor_data(hot), 0, rn_tensor_nbytes(hot));
    for (int i = 0; i < BATCH; i++) {
        const int64_t at = 10 * i + ((int64_t *)rn_tensor_data(labels))[i];
        if (values == RN_F64)
            ((double *)rn_tensor_data(hot))[at] = 1;
        else
            ((float *)rn_tensor_data(hot))[at] = 1;
    }
    for (int step = 0; step < 3; step++)
        ck_ok(rn_plan_train_step(plans[0], x, soft && step != 1 ? hot : labels));
    ck_ok(rn_plan_eval_step(plans[1], x, soft ? hot : labels));
    ck_ok(rn_plan_metrics(plans[0], &result.train, 0));
    ck_ok(rn_plan_metrics(plans[1], &result.eval, 0));
    ck_ok(rn_model_find_state(model, "fc.weight", &fc));
    ck_ok(rn_tensor_read(fc.value, result.fc, sizeof result.fc));
    rn_tensor_release(x);
    rn_tensor_release(x32);
    rn_tensor_release(labels);
    rn_tensor_release(hot);
    rn_plan_release(plans[0]);
    rn_plan_release(plans[1]);
    stop();
    return result;
}

START_TEST(probabilities_of_one_are_labels)
{
    static const rn_dtype dtypes[] = {RN_F32, RN_F64, RN_BF16};
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        const outcome labels = learn(dtypes[i], 0), soft = learn(dtypes[i], 1);
        ck_assert_mem_eq(&labels.train, &soft.train, sizeof labels.train);
        ck_assert_mem_eq(&labels.eval, &soft.eval, sizeof labels.eval);
        ck_assert_mem_eq(labels.fc, soft.fc, sizeof labels.fc);
        ck_assert_int_eq(soft.train.count, 3 * BATCH);
    }
}
END_TEST

/* The CPU without the newest kind of op. */
static rn_status poorer_query(void *dev, const rn_op *op, const rn_value *values, rn_op_info *out)
{
    return op->kind == RN_OP_SOFT_CROSS_ENTROPY ? RN_E_UNSUPPORTED : rni_cpu_backend.op_query(dev, op, values, out);
}

static rn_status poorer_info(void *dev, rn_device_info *info)
{
    const rn_status status = rni_cpu_backend.device_info(dev, info);
    strcpy(info->name, "poorer");
    return status;
}

START_TEST(devices_without_soft_targets_train_by_labels)
{
    start();
    rn_backend poorer = rni_cpu_backend;
    rn_model *there = NULL;
    rn_plan *p = NULL;
    poorer.name = "poorer";
    poorer.op_query = poorer_query;
    poorer.device_info = poorer_info;
    ck_ok(rn_context_register_backend(ctx, &poorer));
    rn_device *dev = NULL;
    ck_ok(rn_context_find_device(ctx, "poorer", &dev));
    ck_ok(rn_model_copy(model, dev, &there));
    const rn_plan_options o = options(RN_PLAN_INFER, 1, 0);
    ck_ok(rn_plan_create(there, &o, &p));
    rn_tensor *x = support_tensor(dev, 4, image, 1), *soft = support_tensor(dev, 2, logits, 2);
    rn_tensor *labels = support_labels(dev, BATCH, 10);
    ck_ok(rn_plan_eval_step(p, x, labels));
    ck_fails(rn_plan_eval_step(p, x, soft), RN_E_DTYPE, "target: expected i64, got f32");
    rn_tensor_release(x);
    rn_tensor_release(soft);
    rn_tensor_release(labels);
    rn_plan_release(p);
    rn_model_release(there);
    stop();
}
END_TEST

/* One step by hand: forward, loss, backward, optimizer. */
static void step_by_hand(rn_plan *p, rn_tensor *x, rn_tensor *labels)
{
    rn_tensor *y = support_tensor(cpu, 2, logits, 1), *dy = support_tensor(cpu, 2, logits, 1);
    float value = 0;
    ck_ok(rn_model_zero_grad(model));
    ck_ok(rn_plan_forward(p, x, y));
    ck_ok(rn_loss_compute(loss, y, labels, dy, &value));
    ck_ok(rn_plan_backward(p, dy, NULL));
    ck_ok(rn_optimizer_step(sgd));
    rn_tensor_release(y);
    rn_tensor_release(dy);
}

START_TEST(own_loop_equals_train_step)
{
    start();
    rn_tensor *x = support_tensor(cpu, 4, image, 1), *labels = support_labels(cpu, BATCH, 10);
    rn_plan *whole = make(RN_PLAN_TRAIN, 1, 1);
    rn_state_entry w = RN_STATE_ENTRY_INIT;
    float after[8 * 3 * 9];
    for (int i = 0; i < 3; i++)
        ck_ok(rn_plan_train_step(whole, x, labels));
    ck_ok(rn_model_find_state(model, "stem.conv.weight", &w));
    ck_ok(rn_tensor_read(w.value, after, sizeof after));
    rn_plan_release(whole);
    rn_tensor_release(x);
    rn_tensor_release(labels);
    stop();
    start();
    x = support_tensor(cpu, 4, image, 1);
    labels = support_labels(cpu, BATCH, 10);
    rn_plan *parts = make(RN_PLAN_TRAIN, 0, 0);
    for (int i = 0; i < 3; i++)
        step_by_hand(parts, x, labels);
    ck_ok(rn_model_find_state(model, "stem.conv.weight", &w));
    ck_assert_mem_eq(rn_tensor_data(w.value), after, sizeof after);
    rn_plan_release(parts);
    rn_tensor_release(x);
    rn_tensor_release(labels);
    stop();
}
END_TEST

START_TEST(gradients_accumulate)
{
    start();
    rn_plan *p = make(RN_PLAN_TRAIN, 0, 0);
    rn_tensor *x = support_tensor(cpu, 4, image, 1), *y = support_tensor(cpu, 2, logits, 2);
    rn_state_entry w = RN_STATE_ENTRY_INIT;
    float once[160];
    for (int pass = 0; pass < 2; pass++) {
        ck_ok(rn_plan_forward(p, x, y));
        for (int i = 0; i < BATCH * 10; i++)
            ((float *)rn_tensor_data(y))[i] = (float)(i % 7) - 3;
        ck_ok(rn_plan_backward(p, y, NULL));
        ck_ok(rn_model_find_state(model, "fc.weight", &w));
        if (pass == 0)
            ck_ok(rn_tensor_read(w.grad, once, sizeof once));
    }
    for (int i = 0; i < 160; i++)
        ck_assert_float_eq(((float *)rn_tensor_data(w.grad))[i], 2 * once[i]);
    ck_ok(rn_model_zero_grad(model));
    ck_assert_float_eq(((float *)rn_tensor_data(w.grad))[5], 0);
    rn_tensor_release(x);
    rn_tensor_release(y);
    rn_plan_release(p);
    stop();
}
END_TEST

START_TEST(micro_batches_make_one_update)
{
    start();
    rn_plan_options o = options(RN_PLAN_TRAIN, 1, 1);
    rn_plan *p = NULL;
    o.accumulate = 3;
    ck_ok(rn_plan_create(model, &o, &p));
    rn_tensor *x = support_tensor(cpu, 4, image, 1), *labels = support_labels(cpu, BATCH, 10);
    for (int i = 0; i < 7; i++) {
        ck_ok(rn_plan_train_step(p, x, labels));
        ck_assert_int_eq(rn_optimizer_steps(sgd), (i + 1) / 3);
    }
    rn_tensor_release(x);
    rn_tensor_release(labels);
    rn_plan_release(p);
    stop();
}
END_TEST

START_TEST(a_loss_that_is_not_finite_changes_nothing)
{
    start();
    rn_plan *p = make(RN_PLAN_TRAIN, 1, 1);
    rn_tensor *x = support_tensor(cpu, 4, image, 1), *labels = support_labels(cpu, BATCH, 10);
    rn_state_entry w = RN_STATE_ENTRY_INIT;
    rn_metrics m = RN_METRICS_INIT;
    float before[160];
    ck_ok(rn_model_find_state(model, "fc.weight", &w));
    ck_ok(rn_tensor_read(w.value, before, sizeof before));
    ((float *)rn_tensor_data(x))[17] = INFINITY;
    ck_ok(rn_plan_train_step(p, x, labels));
    ck_ok(rn_plan_metrics(p, &m, 1));
    ck_assert_int_eq(m.nonfinite, 1);
    ck_assert_int_eq(rn_optimizer_steps(sgd), 0);
    ck_assert_mem_eq(rn_tensor_data(w.value), before, sizeof before);
    ((float *)rn_tensor_data(x))[17] = 0.5f;
    ck_ok(rn_plan_train_step(p, x, labels));
    ck_ok(rn_plan_metrics(p, &m, 1));
    ck_assert_int_eq(m.nonfinite, 0);
    ck_assert_mem_ne(rn_tensor_data(w.value), before, sizeof before);
    rn_tensor_release(x);
    rn_tensor_release(labels);
    rn_plan_release(p);
    stop();
}
END_TEST

START_TEST(one_bad_micro_batch_spoils_the_update)
{
    start();
    rn_plan_options o = options(RN_PLAN_TRAIN, 1, 1);
    rn_plan *p = NULL;
    o.accumulate = 2;
    ck_ok(rn_plan_create(model, &o, &p));
    rn_tensor *x = support_tensor(cpu, 4, image, 1), *labels = support_labels(cpu, BATCH, 10);
    ((float *)rn_tensor_data(x))[17] = NAN;
    ck_ok(rn_plan_train_step(p, x, labels));
    ((float *)rn_tensor_data(x))[17] = 0.5f;
    ck_ok(rn_plan_train_step(p, x, labels));
    ck_assert_int_eq(rn_optimizer_steps(sgd), 0);
    for (int i = 0; i < 2; i++)
        ck_ok(rn_plan_train_step(p, x, labels));
    ck_assert_int_eq(rn_optimizer_steps(sgd), 1);
    rn_tensor_release(x);
    rn_tensor_release(labels);
    rn_plan_release(p);
    stop();
}
END_TEST

START_TEST(derived_weights_follow_writes)
{
    start();
    rn_plan *p = make(RN_PLAN_INFER, 0, 0);
    rn_tensor *x = support_tensor(cpu, 4, image, 1), *y = support_tensor(cpu, 2, logits, 2);
    rn_state_entry w = RN_STATE_ENTRY_INIT;
    float first[60], zeros[8 * 3 * 9] = {0}, then[60];
    ck_ok(rn_plan_forward(p, x, y));
    ck_ok(rn_tensor_read(y, first, sizeof first));
    ck_ok(rn_model_find_state(model, "stem.conv.weight", &w));
    ck_ok(rn_tensor_write(w.value, zeros, sizeof zeros));
    ck_ok(rn_plan_forward(p, x, y));
    ck_ok(rn_tensor_read(y, then, sizeof then));
    ck_assert_mem_ne(first, then, sizeof first);
    for (int i = 10; i < 60; i++)
        ck_assert_float_eq(then[i], then[i % 10]); /* all images look the same now */
    ck_ok(rn_model_find_state(model, "stem.bn.running_mean", &w)); /* folded into the weights */
    for (int i = 0; i < 8; i++)
        ((float *)rn_tensor_data(w.value))[i] = -2.0f - (float)i;
    ck_ok(rn_model_mark_written(model));
    ck_ok(rn_plan_forward(p, x, y));
    ck_ok(rn_tensor_read(y, first, sizeof first));
    ck_assert_mem_ne(first, then, sizeof first);
    rn_tensor_release(x);
    rn_tensor_release(y);
    rn_plan_release(p);
    stop();
}
END_TEST

START_TEST(freezing_makes_training_plans_stale)
{
    start();
    rn_plan *train = make(RN_PLAN_TRAIN, 1, 1), *infer = make(RN_PLAN_INFER, 0, 0);
    rn_tensor *x = support_tensor(cpu, 4, image, 1), *y = support_tensor(cpu, 2, logits, 2);
    rn_tensor *labels = support_labels(cpu, BATCH, 10);
    rn_state_entry w = RN_STATE_ENTRY_INIT;
    float before[160];
    ck_ok(rn_model_set_trainable(model, "fc.weight", 0, NULL));
    ck_fails(rn_plan_train_step(train, x, labels), RN_E_STATE, "rn_model_set_trainable()");
    ck_fails(rn_plan_forward(train, x, y), RN_E_STATE, "rn_model_set_trainable()");
    ck_ok(rn_plan_forward(infer, x, y));
    rn_plan_release(train);
    train = make(RN_PLAN_TRAIN, 1, 1);
    ck_ok(rn_model_find_state(model, "fc.weight", &w));
    ck_ok(rn_tensor_read(w.value, before, sizeof before));
    ck_ok(rn_plan_train_step(train, x, labels));
    ck_assert_mem_eq(rn_tensor_data(w.value), before, sizeof before);
    rn_tensor_release(labels);
    rn_tensor_release(x);
    rn_tensor_release(y);
    rn_plan_release(train);
    rn_plan_release(infer);
    stop();
}
END_TEST

START_TEST(the_plans_own_input)
{
    start();
    rn_plan *p = make(RN_PLAN_INFER, 0, 0);
    rn_tensor *x = support_tensor(cpu, 4, image, 1), *y = support_tensor(cpu, 2, logits, 2), *own = NULL, *some = NULL;
    float expected[60], got[60];
    ck_ok(rn_plan_forward(p, x, y));
    ck_ok(rn_tensor_read(y, expected, sizeof expected));
    ck_ok(rn_plan_input(p, &own));
    ck_ok(rn_tensor_write(own, rn_tensor_data(x), rn_tensor_nbytes(x)));
    ck_ok(rn_plan_forward(p, own, y));
    ck_ok(rn_tensor_read(y, got, sizeof got));
    ck_assert_mem_eq(expected, got, sizeof got);
    ck_ok(rn_tensor_slice(x, 2, 3, &some)); /* a smaller batch gives the same bits */
    rn_tensor *part = support_tensor(cpu, 2, (int64_t[]){3, 10}, 4);
    ck_ok(rn_plan_forward(p, some, part));
    ck_assert_mem_eq(rn_tensor_data(part), expected + 20, 120);
    int32_t rank = 0;
    int64_t dims[RN_MAX_RANK];
    ck_ok(rn_plan_output_shape(p, 4, &rank, dims));
    ck_assert_int_eq(rank, 2);
    ck_assert_int_eq(dims[0], 4);
    ck_assert_int_eq(dims[1], 10);
    ck_fails(rn_plan_output_shape(p, 7, &rank, dims), RN_E_INVALID, "n: expected 1 to 6");
    rn_tensor_release(part);
    rn_tensor_release(some);
    rn_tensor_release(x);
    rn_tensor_release(y);
    rn_plan_release(p);
    stop();
}
END_TEST

START_TEST(memory_and_reports)
{
    static support_text text;
    start();
    rn_plan *p = make(RN_PLAN_TRAIN, 1, 1);
    rn_memory m = RN_MEMORY_INIT;
    ck_ok(rn_plan_memory(p, &m));
    ck_assert_uint_ge(m.arena, m.lower_bound);
    ck_assert_uint_le(m.arena * 10, m.lower_bound * 11); /* within 10 % */
    ck_assert_uint_eq(m.total, m.arena + m.derived + m.io + m.parameters + m.gradients + m.optimizer);
    ck_ok(rn_plan_describe(p, support_write, &text));
    ck_assert_ptr_nonnull(strstr(text.data, "bn_apply+add+relu [block2.bn2]"));
    ck_assert_ptr_nonnull(strstr(text.data, "sgd"));
    ck_assert_ptr_nonnull(strstr(text.data, "\na train step: at least "));
    ck_fails(rn_plan_profile(p, support_write, &text), RN_E_STATE, "rn_plan_set_profiling()");
    ck_ok(rn_plan_set_profiling(p, 1));
    rn_tensor *x = support_tensor(cpu, 4, image, 1), *labels = support_labels(cpu, BATCH, 10);
    ck_ok(rn_plan_train_step(p, x, labels));
    text.length = 0;
    ck_ok(rn_plan_profile(p, support_write, &text));
    ck_assert_ptr_nonnull(strstr(text.data, "conv_backward_filter"));
    ck_ok(rn_plan_set_profiling(p, 0));
    rn_tensor_release(x);
    rn_tensor_release(labels);
    rn_plan_release(p);
    p = make(RN_PLAN_INFER, 0, 0);
    text.length = 0;
    ck_ok(rn_plan_describe(p, support_write, &text));
    ck_assert_ptr_nonnull(strstr(text.data, "conv_forward+bias+add+relu [block2.conv2]"));
    ck_assert_ptr_null(strstr(text.data, "scale_shift"));
    rn_plan_release(p);
    stop();
}
END_TEST

/* conv, bn, relu twice and a linear layer; with `cumulative` layers that average themselves. */
static rn_model *statistics_model(uint64_t bn_flags)
{
    rn_layer *seq = support_plain(ctx, rn_sequential_create), *bn = NULL;
    rn_batchnorm2d_options o = RN_BATCHNORM2D_OPTIONS_INIT;
    rn_model *m = NULL;
    o.channels = 8;
    o.flags = bn_flags;
    for (int i = 0; i < 2; i++) {
        support_append(seq, NULL, support_conv(ctx, i ? 8 : 3, 8, 3, 1, 0));
        ck_ok(rn_batchnorm2d_create(ctx, &o, &bn));
        support_append(seq, NULL, bn);
        support_append(seq, NULL, support_plain(ctx, rn_relu_create));
    }
    ck_ok(rn_model_create(ctx, seq, cpu, &m));
    rn_layer_release(seq);
    return m;
}

static void check_statistics(rn_dtype dtype)
{
    start();
    rn_model *usual = statistics_model(0), *cumulative = statistics_model(RN_BATCHNORM_CUMULATIVE);
    rn_plan_options o = options(RN_PLAN_STATISTICS, 0, 0);
    rn_plan *statistics = NULL, *train = NULL;
    rn_tensor *y = support_tensor(cpu, 4, (int64_t[]){BATCH, 8, 8, 8}, 1);
    o.compute_dtype = dtype;
    ck_ok(rn_plan_create(usual, &o, &statistics));
    o.mode = RN_PLAN_TRAIN;
    ck_ok(rn_plan_create(cumulative, &o, &train));
    for (uint32_t i = 0; i < 5; i++) {
        rn_tensor *x = support_tensor(cpu, 4, image, i);
        if (i == 2) { /* what was before is forgotten */
            ck_ok(rn_model_reset_statistics(usual));
            ck_ok(rn_model_reset_statistics(cumulative));
        }
        ck_ok(rn_plan_forward(statistics, x, i % 2 ? y : NULL));
        ck_ok(rn_plan_forward(train, x, y));
        rn_tensor_release(x);
    }
    ck_assert_mem_eq(usual->buffers->data, cumulative->buffers->data, usual->buffers->bytes);
    ck_assert_mem_eq(usual->params->data, cumulative->params->data, usual->params->bytes);
    rn_state_entry batches = RN_STATE_ENTRY_INIT;
    ck_ok(rn_model_find_state(usual, "1.num_batches_tracked", &batches));
    ck_assert_int_eq(*(int64_t *)rn_tensor_data(batches.value), 3);
    ck_assert_ptr_null(usual->grads); /* none are needed */
    rn_tensor_release(y);
    rn_plan_release(statistics);
    rn_plan_release(train);
    rn_model_release(usual);
    rn_model_release(cumulative);
    stop();
}

START_TEST(statistics_are_cumulative_averages)
{
    check_statistics(RN_F32);
    check_statistics(RN_BF16);
}
END_TEST

START_TEST(statistics_plans_do_nothing_else)
{
    start();
    rn_plan *p = NULL;
    rn_tensor *x = support_tensor(cpu, 4, image, 1), *y = support_tensor(cpu, 2, logits, 2);
    rn_tensor *labels = support_labels(cpu, BATCH, 10);
    static support_text text;
    rn_memory memory = RN_MEMORY_INIT;
    rn_plan_options o = options(RN_PLAN_STATISTICS, 1, 0);
    ck_fails(rn_plan_create(model, &o, &p), RN_E_INVALID, "options.loss: a STATISTICS plan takes none");
    o = options(RN_PLAN_STATISTICS, 0, 1);
    ck_fails(rn_plan_create(model, &o, &p), RN_E_INVALID, "options.optimizer");
    o = options(RN_PLAN_STATISTICS, 0, 0);
    o.flags = RN_PLAN_INPUT_GRAD;
    ck_fails(rn_plan_create(model, &o, &p), RN_E_INVALID, "RN_PLAN_INPUT_GRAD");
    o.flags = 0;
    ck_ok(rn_plan_create(model, &o, &p));
    ck_ok(rn_plan_forward(p, x, y));
    ck_fails(rn_plan_backward(p, y, NULL), RN_E_STATE, "plan: a STATISTICS plan has no backward");
    ck_fails(rn_plan_train_step(p, x, labels), RN_E_STATE, "needs a TRAIN plan");
    ck_fails(rn_plan_eval_step(p, x, labels), RN_E_STATE, "needs an INFER plan");
    ck_ok(rn_model_set_trainable(model, "*", 0, NULL)); /* of no concern */
    ck_ok(rn_plan_forward(p, x, NULL));
    ck_ok(rn_plan_memory(p, &memory));
    ck_assert_uint_eq(memory.gradients, 0);
    ck_ok(rn_plan_describe(p, support_write, &text));
    ck_assert_ptr_nonnull(strstr(text.data, "statistics plan on cpu"));
    ck_assert_ptr_null(strstr(text.data, "backward"));
    ck_fails(rn_model_reset_statistics(NULL), RN_E_INVALID, "m is NULL");
    rn_tensor_release(x);
    rn_tensor_release(y);
    rn_tensor_release(labels);
    rn_plan_release(p);
    stop();
}
END_TEST

START_TEST(batchnorm_needs_two_values)
{
    start();
    rn_layer *bn = support_bn(ctx, 4);
    rn_model *m = NULL;
    rn_plan *p = NULL;
    ck_ok(rn_model_create(ctx, bn, cpu, &m));
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    o.mode = RN_PLAN_TRAIN;
    memcpy(o.input_dims, (int64_t[]){1, 4, 1, 1}, 4 * sizeof(int64_t));
    ck_fails(rn_plan_create(m, &o, &p), RN_E_SHAPE, "more than 1 value per channel");
    o.input_dims[0] = 3;
    ck_ok(rn_plan_create(m, &o, &p));
    rn_tensor *x = support_tensor(cpu, 4, (int64_t[]){1, 4, 1, 1}, 1), *y = support_tensor(cpu, 4, (int64_t[]){1, 4, 1, 1}, 1);
    ck_fails(rn_plan_forward(p, x, y), RN_E_SHAPE, "2 to 3 images, got 1");
    rn_tensor_release(x);
    rn_tensor_release(y);
    rn_plan_release(p);
    rn_model_release(m);
    rn_layer_release(bn);
    stop();
}
END_TEST

/* A frozen layer of four channels with weights and statistics, and a plan for one pixel. */
typedef struct frozen {
    rn_layer *layer;
    rn_model *m;
    rn_plan *p;
    rn_dtype dtype; /* of tensors */
} frozen;

static void write_state(rn_model *m, const char *name, const float four[4])
{
    rn_state_entry e = RN_STATE_ENTRY_INIT;
    ck_ok(rn_model_find_state(m, name, &e));
    ck_ok(rn_tensor_write(e.value, four, 4 * sizeof *four));
}

static const rn_state_entry *state_of(rn_model *m, const char *name)
{
    static rn_state_entry e;
    e = (rn_state_entry)RN_STATE_ENTRY_INIT;
    ck_ok(rn_model_find_state(m, name, &e));
    return &e;
}

static frozen make_frozen(rn_dtype dtype, int trained)
{
    frozen f = {.dtype = dtype == RN_F64 ? RN_F64 : RN_F32};
    rn_batchnorm2d_options bn = RN_BATCHNORM2D_OPTIONS_INIT;
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    bn.channels = 4;
    bn.flags = RN_BATCHNORM_FROZEN;
    ck_ok(rn_batchnorm2d_create(ctx, &bn, &f.layer));
    ck_ok(rn_model_create(ctx, f.layer, cpu, &f.m));
    write_state(f.m, "weight", (float[]){2, 1, -1, 0.5f});
    write_state(f.m, "bias", (float[]){0, 1, 0.5f, -1});
    write_state(f.m, "running_mean", (float[]){1, 2, 0, -1});
    write_state(f.m, "running_var", (float[]){4, 1, 0.25f, 16});
    ck_ok(rn_model_set_trainable(f.m, "*", trained, NULL));
    o.mode = RN_PLAN_TRAIN;
    o.flags = RN_PLAN_INPUT_GRAD;
    o.compute_dtype = dtype;
    memcpy(o.input_dims, (int64_t[]){1, 4, 1, 1}, 4 * sizeof(int64_t));
    ck_ok(rn_plan_create(f.m, &o, &f.p));
    return f;
}

static void free_frozen(frozen *f)
{
    rn_plan_release(f->p);
    rn_model_release(f->m);
    rn_layer_release(f->layer);
}

/* Forward of `values`, or backward of them; the result is as expected within `bound`. */
static void expect_frozen(frozen *f, int backward, const float values[4], const double expected[4], double bound)
{
    const int64_t dims[4] = {1, 4, 1, 1};
    rn_tensor *single = NULL, *in = NULL, *out = NULL;
    ck_ok(rn_tensor_create(cpu, RN_F32, 4, dims, &single));
    ck_ok(rn_tensor_create(cpu, f->dtype, 4, dims, &in));
    ck_ok(rn_tensor_create(cpu, f->dtype, 4, dims, &out));
    ck_ok(rn_tensor_write(single, values, 4 * sizeof *values));
    ck_ok(rn_tensor_copy(single, in));
    ck_ok(backward ? rn_plan_backward(f->p, in, out) : rn_plan_forward(f->p, in, out));
    ck_ok(rn_tensor_copy(out, single));
    const float *const got = rn_tensor_data(single);
    for (int i = 0; i < 4; i++)
        ck_assert_msg(fabs((double)got[i] - expected[i]) < bound, "%d: %g, expected %g", i, (double)got[i], expected[i]);
    rn_tensor_release(single);
    rn_tensor_release(in);
    rn_tensor_release(out);
}

static void check_frozen(rn_dtype dtype, int trained)
{
    frozen f = make_frozen(dtype, trained);
    expect_frozen(&f, 0, (float[]){3, 2, 1, 7}, (double[]){2, 1, -1.5, 0}, 1e-4);
    expect_frozen(&f, 1, (float[]){1, -2, 4, 8}, (double[]){1, -2, -8, 1}, 1e-3);
    if (trained) {
        const float *const weight = rn_tensor_data(state_of(f.m, "weight")->grad);
        ck_assert(fabs((double)weight[2] - 8) < 1e-3); /* dy (x - mean) / deviation */
        ck_assert(((const float *)rn_tensor_data(state_of(f.m, "bias")->grad))[3] == 8);
    }
    ck_assert(((const float *)rn_tensor_data(state_of(f.m, "running_mean")->value))[1] == 2);
    ck_assert(((const float *)rn_tensor_data(state_of(f.m, "running_var")->value))[1] == 1);
    ck_assert_int_eq(*(const int64_t *)rn_tensor_data(state_of(f.m, "num_batches_tracked")->value), 0);
    write_state(f.m, "running_mean", (float[]){0, 2, 0, -1}); /* what is written later counts */
    expect_frozen(&f, 0, (float[]){3, 2, 1, 7}, (double[]){3, 1, -1.5, 0}, 1e-4);
    free_frozen(&f);
}

/* Even a single value is normalised, with the running statistics; they and their counter stay. */
START_TEST(frozen_batchnorm)
{
    static const rn_dtype dtypes[] = {RN_F32, RN_F64, RN_BF16};
    start();
    for (int i = 0; i < 3; i++)
        for (int trained = 0; trained < 2; trained++)
            check_frozen(dtypes[i], trained);
    stop();
}
END_TEST

SUPPORT_MAIN("plan", options_are_checked, an_optimizer_of_another_model_is_refused, arguments_of_runs_are_checked,
             training_learns_and_counts, probabilities_of_one_are_labels,
             devices_without_soft_targets_train_by_labels, own_loop_equals_train_step, gradients_accumulate,
             micro_batches_make_one_update, a_loss_that_is_not_finite_changes_nothing,
             one_bad_micro_batch_spoils_the_update, derived_weights_follow_writes,
             freezing_makes_training_plans_stale, the_plans_own_input, memory_and_reports,
             statistics_are_cumulative_averages, statistics_plans_do_nothing_else, batchnorm_needs_two_values, frozen_batchnorm)
