/* SPDX-License-Identifier: MIT */
/* The same bits for any number of threads, for any order of tasks, and for an image in any batch. */
#include "../common/nets.h"
#include "base/half.h"
#include "support.h"

enum { BATCH = 7, STEPS = 5, CLASSES = 10, MAX_BYTES = 1 << 21 };

/* Losses and all weights and buffers after some steps. */
typedef struct outcome {
    double losses[STEPS];
    unsigned char *state;
    size_t nbytes;
} outcome;

/* Of the tensors a plan of this type takes. */
static rn_dtype host_dtype(rn_dtype compute)
{
    return rni_wide_dtype(compute);
}

static rn_tensor *images(rn_context *ctx, rn_dtype dtype, int64_t n, int64_t side, uint64_t seed)
{
    const int64_t dims[] = {n, 3, side, side};
    rn_tensor *single = NULL, *x = NULL;
    ck_ok(rn_tensor_create(rn_context_device(ctx, 0), RN_F32, 4, dims, &single));
    float *values = rn_tensor_data(single);
    for (int64_t i = 0; i < rn_tensor_count(single); i++)
        values[i] = (float)net_random(&seed);
    if (dtype == RN_F32)
        return single;
    ck_ok(rn_tensor_create(rn_context_device(ctx, 0), dtype, 4, dims, &x));
    ck_ok(rn_tensor_copy(single, x));
    rn_tensor_release(single);
    return x;
}

static rn_tensor *labels(rn_context *ctx, int64_t n)
{
    rn_tensor *t = NULL;
    ck_ok(rn_tensor_create(rn_context_device(ctx, 0), RN_I64, 1, &n, &t));
    for (int64_t i = 0; i < n; i++)
        ((int64_t *)rn_tensor_data(t))[i] = (7 * i + 3) % CLASSES;
    return t;
}

static rn_model *make_model(rn_context *ctx)
{
    rn_layer *layer = NULL;
    rn_model *model = NULL;
    ck_ok(rn_zoo_create(ctx, "tutorial", NULL, &layer));
    ck_ok(rn_model_create(ctx, layer, rn_context_device(ctx, 0), &model));
    ck_ok(rn_model_init(model, 42));
    rn_layer_release(layer);
    return model;
}

static rn_plan *make_plan(rn_model *m, int32_t mode, rn_dtype dtype, int64_t n, int64_t side, rn_loss *loss,
                          rn_optimizer *optimizer)
{
    const int64_t dims[] = {n, 3, side, side};
    rn_plan *plan = NULL;
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    o.mode = mode;
    o.compute_dtype = dtype;
    memcpy(o.input_dims, dims, sizeof dims);
    o.loss = loss;
    o.optimizer = optimizer;
    o.clip_norm = optimizer ? 1.0 : 0.0;
    ck_ok(rn_plan_create(m, &o, &plan));
    return plan;
}

static void gather(rn_model *m, outcome *out)
{
    out->state = malloc(MAX_BYTES);
    out->nbytes = 0;
    for (size_t i = 0; i < rn_model_state_count(m); i++) {
        rn_state_entry entry = RN_STATE_ENTRY_INIT;
        ck_ok(rn_model_state(m, i, &entry));
        size_t size = rn_tensor_nbytes(entry.value);
        ck_assert_uint_le(out->nbytes + size, MAX_BYTES);
        ck_ok(rn_tensor_read(entry.value, out->state + out->nbytes, size));
        out->nbytes += size;
    }
}

static outcome train(const rn_context_options *options, rn_dtype dtype, int64_t side, int steps)
{
    outcome out = {{0}, NULL, 0};
    rn_context *ctx = NULL;
    rn_loss *loss = NULL;
    rn_optimizer *optimizer = NULL;
    ck_ok(rn_context_create(options, &ctx));
    rn_model *model = make_model(ctx);
    ck_ok(rn_cross_entropy_create(ctx, NULL, &loss));
    ck_ok(rn_adam_create(model, NULL, &optimizer));
    rn_plan *plan = make_plan(model, RN_PLAN_TRAIN, dtype, BATCH, side, loss, optimizer);
    rn_tensor *target = labels(ctx, BATCH);
    for (int step = 0; step < steps; step++) {
        rn_metrics metrics = RN_METRICS_INIT;
        rn_tensor *x = images(ctx, host_dtype(dtype), BATCH, side, (uint64_t)step);
        ck_ok(rn_plan_train_step(plan, x, target));
        ck_ok(rn_plan_metrics(plan, &metrics, 1));
        out.losses[step] = metrics.last_loss;
        rn_tensor_release(x);
    }
    gather(model, &out);
    rn_tensor_release(target);
    rn_plan_release(plan);
    rn_optimizer_release(optimizer);
    rn_loss_release(loss);
    rn_model_release(model);
    rn_context_release(ctx);
    return out;
}

static void assert_same(const outcome *a, const outcome *b, int32_t threads)
{
    ck_assert_msg(memcmp(a->losses, b->losses, sizeof a->losses) == 0, "%d threads: other losses", threads);
    ck_assert_uint_eq(a->nbytes, b->nbytes);
    ck_assert_msg(memcmp(a->state, b->state, a->nbytes) == 0, "%d threads: other weights", threads);
}

static void train_with_threads(rn_dtype dtype)
{
    /* Valgrind and sanitizers, which run without forks, look for other things and take a hundred times as long. */
    const char *fork = getenv("CK_FORK");
    const int slow = fork && strcmp(fork, "no") == 0;
    const int64_t side = slow ? 8 : 32;
    rn_context_options options = RN_CONTEXT_OPTIONS_INIT;
    options.num_threads = 1;
    outcome one = train(&options, dtype, side, STEPS);
    ck_assert_msg(one.losses[0] > 0 && one.losses[STEPS - 1] != one.losses[0], "it does not learn");
    for (int32_t threads = 2; threads <= 3; threads++) {
        options.num_threads = threads;
        outcome more = train(&options, dtype, side, STEPS);
        assert_same(&one, &more, threads);
        free(more.state);
    }
    free(one.state);
}

START_TEST(training_with_threads)
{
    train_with_threads(RN_F32);
}
END_TEST

START_TEST(training_in_bf16_with_threads)
{
    train_with_threads(RN_BF16);
}
END_TEST

START_TEST(training_in_f16_with_threads)
{
    train_with_threads(RN_F16);
}
END_TEST

START_TEST(training_in_double_with_threads)
{
    rn_context_options options = RN_CONTEXT_OPTIONS_INIT;
    options.num_threads = 1;
    outcome one = train(&options, RN_F64, 8, 1);
    options.num_threads = 3;
    outcome more = train(&options, RN_F64, 8, 1);
    assert_same(&one, &more, 3);
    free(one.state);
    free(more.state);
}
END_TEST

static rn_status backwards(void *user, rn_task_fn task, void *arg, size_t count)
{
    ++*(int *)user;
    for (size_t i = count; i > 0; i--)
        task(arg, i - 1);
    return RN_OK;
}

START_TEST(training_with_the_hosts_parallel_for)
{
    int calls = 0;
    rn_context_options options = RN_CONTEXT_OPTIONS_INIT;
    options.num_threads = 2;
    outcome own = train(&options, RN_F32, 8, 2);
    options.parallel = backwards;
    options.parallel_user = &calls;
    outcome hosts = train(&options, RN_F32, 8, 2);
    ck_assert_int_gt(calls, 0);
    assert_same(&own, &hosts, 2);
    free(own.state);
    free(hosts.state);
}
END_TEST

static void infer(rn_context *ctx, rn_plan *plan, const rn_tensor *x, float *logits)
{
    const int64_t dims[] = {rn_tensor_dim(x, 0), CLASSES};
    rn_tensor *y = NULL;
    ck_ok(rn_tensor_create(rn_context_device(ctx, 0), RN_F32, 2, dims, &y));
    ck_ok(rn_plan_forward(plan, x, y));
    ck_ok(rn_tensor_read(y, logits, rn_tensor_nbytes(y)));
    rn_tensor_release(y);
}

/* All logits of a batch with so many threads, and that each part of it gives the same. */
static void infer_all(rn_dtype dtype, int32_t threads, float *logits)
{
    enum { N = 9 };
    float part[N * CLASSES];
    rn_context *ctx = NULL;
    rn_context_options options = RN_CONTEXT_OPTIONS_INIT;
    options.num_threads = threads;
    ck_ok(rn_context_create(&options, &ctx));
    rn_model *model = make_model(ctx);
    ck_ok(net_fill(model, 3));
    rn_plan *plan = make_plan(model, RN_PLAN_INFER, dtype, N, 12, NULL, NULL);
    rn_tensor *x = images(ctx, RN_F32, N, 12, 77);
    infer(ctx, plan, x, logits);
    for (int64_t count = 1; count < N; count++)
        for (int64_t first = 0; first + count <= N; first += count + 1) {
            rn_tensor *some = NULL;
            ck_ok(rn_tensor_slice(x, first, count, &some));
            infer(ctx, plan, some, part);
            rn_tensor_release(some);
            ck_assert_msg(memcmp(part, logits + first * CLASSES, (size_t)count * CLASSES * sizeof *part) == 0,
                          "%d threads: images %d to %d have other logits in a batch of their own", threads, (int)first,
                          (int)(first + count - 1));
        }
    rn_tensor_release(x);
    rn_plan_release(plan);
    rn_model_release(model);
    rn_context_release(ctx);
}

START_TEST(inference_in_any_batch)
{
    static const rn_dtype dtypes[] = {RN_F32, RN_BF16, RN_F16};
    float one[9 * CLASSES], more[9 * CLASSES];
    for (int i = 0; i < 3; i++) {
        infer_all(dtypes[i], 1, one);
        for (int32_t threads = 2; threads <= 3; threads++) {
            infer_all(dtypes[i], threads, more);
            ck_assert_msg(memcmp(one, more, sizeof one) == 0, "%d threads: other logits", threads);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("determinism");
    TCase *tcase = tcase_create("same bits");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, training_with_threads);
    tcase_add_test(tcase, training_in_bf16_with_threads);
    tcase_add_test(tcase, training_in_f16_with_threads);
    tcase_add_test(tcase, training_in_double_with_threads);
    tcase_add_test(tcase, training_with_the_hosts_parallel_for);
    tcase_add_test(tcase, inference_in_any_batch);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
