/* SPDX-License-Identifier: MIT */
/* Losses, softmax and top-k outside a plan, against closed forms. */
#include "support.h"
#include "train/train.h"
#include <math.h>

enum { N = 5, K = 7 };

static rn_context *ctx;
static rn_device *cpu;

static rn_loss *cross_entropy(double smoothing)
{
    rn_cross_entropy_options o = RN_CROSS_ENTROPY_OPTIONS_INIT;
    rn_loss *loss = NULL;
    o.label_smoothing = smoothing;
    ck_ok(rn_cross_entropy_create(ctx, &o, &loss));
    return loss;
}

static rn_loss *mse(void)
{
    rn_loss *loss = NULL;
    ck_ok(rn_mse_create(ctx, NULL, &loss));
    return loss;
}

/* Same numbers in either type. */
static rn_tensor *make(rn_dtype dtype, int32_t rank, const int64_t *dims, uint32_t seed, float scale)
{
    rn_tensor *t = NULL;
    ck_ok(rn_tensor_create(cpu, dtype, rank, dims, &t));
    for (int64_t i = 0; i < rn_tensor_count(t); i++) {
        const float value = scale * support_random(&seed);
        if (dtype == RN_F64)
            ((double *)rn_tensor_data(t))[i] = (double)value;
        else
            ((float *)rn_tensor_data(t))[i] = value;
    }
    return t;
}

static double at(const rn_tensor *t, int64_t i)
{
    return rn_tensor_dtype(t) == RN_F64 ? ((double *)rn_tensor_data(t))[i] : (double)((float *)rn_tensor_data(t))[i];
}

/* (1-e) CE + e mean_k(-log p_k), its mean over rows, and the gradient of that. */
static double expected_loss(const rn_tensor *x, const int64_t *labels, double e, double gradient[N * K])
{
    double total = 0;
    for (int n = 0; n < N; n++) {
        double sum = 0, largest = -INFINITY;
        for (int k = 0; k < K; k++)
            largest = fmax(largest, at(x, n * K + k));
        for (int k = 0; k < K; k++)
            sum += exp(at(x, n * K + k) - largest);
        for (int k = 0; k < K; k++) {
            const double logp = at(x, n * K + k) - largest - log(sum);
            const double wanted = e / K + (labels[n] == k ? 1 - e : 0);
            total -= wanted * logp;
            gradient[n * K + k] = (exp(logp) - wanted) / N;
        }
    }
    return total / N;
}

static void check_cross_entropy(rn_dtype dtype, double smoothing, float scale, double tolerance)
{
    static const int64_t dims[] = {N, K};
    rn_tensor *x = make(dtype, 2, dims, 3, scale), *dx = make(dtype, 2, dims, 9, 1),
              *labels = support_labels(cpu, N, K);
    double gradient[N * K];
    float value = -1;
    rn_loss *loss = cross_entropy(smoothing);
    ck_ok(rn_loss_compute(loss, x, labels, dx, &value));
    const double expected = expected_loss(x, rn_tensor_data(labels), smoothing, gradient);
    ck_assert_double_eq_tol((double)value, expected, 1e-6 * (1 + expected));
    for (int i = 0; i < N * K; i++)
        ck_assert_double_eq_tol(at(dx, i), gradient[i], tolerance);
    value = -1;
    ck_ok(rn_loss_compute(loss, x, labels, NULL, &value)); /* the same without a gradient */
    ck_assert_double_eq_tol((double)value, expected, 1e-6 * (1 + expected));
    rn_loss_release(loss);
    rn_tensor_release(x);
    rn_tensor_release(dx);
    rn_tensor_release(labels);
}

START_TEST(cross_entropy_values)
{
    ctx = support_context(&cpu);
    check_cross_entropy(RN_F32, 0.0, 3.0f, 1e-7);
    check_cross_entropy(RN_F64, 0.0, 3.0f, 1e-15);
    check_cross_entropy(RN_F32, 0.1, 3.0f, 1e-7);
    check_cross_entropy(RN_F64, 0.3, 3.0f, 1e-15);
    check_cross_entropy(RN_F64, 0.0, 500.0f, 1e-15); /* exp() alone would overflow */
    check_cross_entropy(RN_F32, 0.2, 500.0f, 1e-6);
    rn_context_release(ctx);
}
END_TEST

/* sum_k(-t log p), t = target (1-e) + e/K, its mean over rows, and the gradient of that. */
static double expected_soft_loss(const rn_tensor *x, const rn_tensor *target, double e, double gradient[N * K])
{
    double total = 0;
    for (int n = 0; n < N; n++) {
        double sum = 0, mass = 0;
        for (int k = 0; k < K; k++) {
            sum += exp(at(x, n * K + k));
            mass += at(target, n * K + k) * (1 - e) + e / K;
        }
        for (int k = 0; k < K; k++) {
            const double logp = at(x, n * K + k) - log(sum), t = at(target, n * K + k) * (1 - e) + e / K;
            total -= t * logp;
            gradient[n * K + k] = (exp(logp) * mass - t) / N;
        }
    }
    return total / N;
}

static void check_soft_cross_entropy(rn_dtype dtype, double smoothing, double tolerance)
{
    static const int64_t dims[] = {N, K};
    rn_tensor *x = make(dtype, 2, dims, 3, 3), *dx = make(dtype, 2, dims, 9, 1), *target = make(dtype, 2, dims, 5, 1);
    double gradient[N * K];
    float value = -1;
    rn_loss *loss = cross_entropy(smoothing);
    ck_ok(rn_loss_compute(loss, x, target, dx, &value));
    const double expected = expected_soft_loss(x, target, smoothing, gradient);
    ck_assert_double_eq_tol((double)value, expected, 1e-6 * (1 + fabs(expected)));
    for (int i = 0; i < N * K; i++)
        ck_assert_double_eq_tol(at(dx, i), gradient[i], tolerance);
    rn_loss_release(loss);
    rn_tensor_release(x);
    rn_tensor_release(dx);
    rn_tensor_release(target);
}

START_TEST(soft_cross_entropy_values)
{
    ctx = support_context(&cpu);
    check_soft_cross_entropy(RN_F32, 0.0, 2e-7);
    check_soft_cross_entropy(RN_F64, 0.0, 1e-15);
    check_soft_cross_entropy(RN_F32, 0.1, 2e-7);
    check_soft_cross_entropy(RN_F64, 0.3, 1e-15);
    rn_context_release(ctx);
}
END_TEST

/* A probability of 1 is a label, to the bit; and one loss takes both, in any order. */
START_TEST(one_hot_targets_are_labels)
{
    static const int64_t dims[] = {N, K};
    ctx = support_context(&cpu);
    rn_tensor *x = make(RN_F32, 2, dims, 3, 3), *labels = support_labels(cpu, N, K), *hot = make(RN_F32, 2, dims, 1, 0),
              *dx[2] = {make(RN_F32, 2, dims, 9, 1), make(RN_F32, 2, dims, 9, 1)};
    rn_loss *loss = cross_entropy(0);
    for (int i = 0; i < N; i++)
        ((float *)rn_tensor_data(hot))[i * K + ((int64_t *)rn_tensor_data(labels))[i]] = 1;
    for (int round = 0; round < 2; round++) {
        float value[2] = {-1, -2};
        ck_ok(rn_loss_compute(loss, x, labels, dx[0], &value[0]));
        ck_ok(rn_loss_compute(loss, x, hot, dx[1], &value[1]));
        ck_assert_float_eq(value[0], value[1]);
        for (int i = 0; i < N * K; i++)
            ck_assert_double_eq(at(dx[0], i), at(dx[1], i));
    }
    rn_loss_release(loss);
    rn_tensor_release(x);
    rn_tensor_release(labels);
    rn_tensor_release(hot);
    rn_tensor_release(dx[0]);
    rn_tensor_release(dx[1]);
    rn_context_release(ctx);
}
END_TEST

static void check_mse(rn_dtype dtype, int32_t rank, const int64_t *dims, double tolerance)
{
    rn_tensor *x = make(dtype, rank, dims, 1, 2), *y = make(dtype, rank, dims, 2, 1),
              *dx = make(dtype, rank, dims, 3, 1);
    const int64_t count = rn_tensor_count(x);
    double sum = 0;
    float value = -1;
    rn_loss *loss = mse();
    ck_ok(rn_loss_compute(loss, x, y, dx, &value));
    for (int64_t i = 0; i < count; i++) {
        const double d = at(x, i) - at(y, i);
        sum += d * d;
        ck_assert_double_eq_tol(at(dx, i), 2 * d / (double)count, tolerance);
    }
    ck_assert_double_eq_tol((double)value, sum / (double)count, 1e-6);
    rn_loss_release(loss);
    rn_tensor_release(x);
    rn_tensor_release(y);
    rn_tensor_release(dx);
}

START_TEST(mse_values)
{
    static const int64_t images[] = {3, 2, 5, 4};
    ctx = support_context(&cpu);
    check_mse(RN_F32, 4, images, 1e-7);
    check_mse(RN_F64, 4, images, 1e-16);
    check_mse(RN_F32, 1, images, 1e-7);
    check_mse(RN_F64, 0, NULL, 1e-16);
    rn_context_release(ctx);
}
END_TEST

/* One loss for changing shapes and types: what it keeps between calls must not be taken for another call. */
START_TEST(one_loss_many_shapes)
{
    static const int64_t a[] = {2, 3}, b[] = {3, 2};
    ctx = support_context(&cpu);
    rn_loss *loss = mse();
    for (int i = 0; i < 12; i++) {
        const rn_dtype dtype = i % 3 ? RN_F32 : RN_F64;
        rn_tensor *x = make(dtype, 2, i % 2 ? a : b, 1, 2), *y = make(dtype, 2, i % 2 ? a : b, 2, 1), *dx = NULL;
        float value = -1;
        if (i % 4)
            dx = make(dtype, 2, i % 2 ? a : b, 3, 1);
        ck_ok(rn_loss_compute(loss, x, y, dx, i == 5 ? NULL : &value));
        double sum = 0;
        for (int k = 0; k < 6; k++)
            sum += (at(x, k) - at(y, k)) * (at(x, k) - at(y, k));
        if (i != 5)
            ck_assert_double_eq_tol((double)value, sum / 6, 1e-6);
        if (dx)
            ck_assert_double_eq_tol(at(dx, 5), (at(x, 5) - at(y, 5)) / 3, 1e-7);
        rn_tensor_release(x);
        rn_tensor_release(y);
        rn_tensor_release(dx);
    }
    rn_loss_release(loss);
    rn_context_release(ctx);
}
END_TEST

START_TEST(nonfinite_loss_is_told)
{
    static const int64_t dims[] = {N, K};
    float value = 0;
    ctx = support_context(&cpu);
    rn_tensor *x = make(RN_F32, 2, dims, 1, 1), *labels = support_labels(cpu, N, K);
    rn_loss *loss = cross_entropy(0);
    ((float *)rn_tensor_data(x))[3] = NAN;
    ck_ok(rn_loss_compute(loss, x, labels, NULL, &value));
    ck_assert(isnan(value));
    rn_loss_release(loss);
    rn_tensor_release(x);
    rn_tensor_release(labels);
    rn_context_release(ctx);
}
END_TEST

START_TEST(loss_refuses)
{
    static const int64_t dims[] = {N, K}, four[] = {4, K}, empty[] = {0, K}, cube[] = {2, 2, 2};
    float value = 42;
    ctx = support_context(&cpu);
    rn_tensor *x = make(RN_F32, 2, dims, 1, 1), *x64 = make(RN_F64, 2, dims, 1, 1), *labels = support_labels(cpu, N, K);
    rn_tensor *short_labels = support_labels(cpu, 4, K), *short_x = make(RN_F32, 2, four, 1, 1), *none = NULL, *cubic,
              *bytes = NULL;
    rn_loss *loss = cross_entropy(0), *square = mse();
    ck_ok(rn_tensor_create(cpu, RN_F32, 2, empty, &none));
    ck_ok(rn_tensor_create(cpu, RN_F32, 3, cube, &cubic));
    ck_ok(rn_tensor_create(cpu, RN_U8, 1, dims, &bytes));
    ck_fails(rn_loss_compute(NULL, x, labels, NULL, &value), RN_E_INVALID, "loss is NULL");
    ck_fails(rn_loss_compute(loss, NULL, labels, NULL, &value), RN_E_INVALID, "pred is NULL");
    ck_fails(rn_loss_compute(loss, x, NULL, NULL, &value), RN_E_INVALID, "target is NULL");
    ck_fails(rn_loss_compute(loss, labels, labels, NULL, &value), RN_E_DTYPE, "pred is i64, expected f32 or f64");
    ck_fails(rn_loss_compute(loss, x, x64, NULL, &value), RN_E_DTYPE, "target: expected f32, got f64");
    ck_fails(rn_loss_compute(loss, x64, x, NULL, &value), RN_E_DTYPE, "target: expected f64, got f32");
    ck_fails(rn_loss_compute(loss, x, bytes, NULL, &value), RN_E_DTYPE, "target: expected i64, got u8");
    ck_fails(rn_loss_compute(loss, x, short_x, NULL, &value), RN_E_SHAPE, "target has shape [4, 7], expected [5, 7]");
    ck_fails(rn_loss_compute(loss, x, short_labels, NULL, &value), RN_E_SHAPE, "target has shape [4], expected [5]");
    ck_fails(rn_loss_compute(loss, none, labels, NULL, &value), RN_E_SHAPE, "pred has shape [0, 7]");
    ck_fails(rn_loss_compute(loss, cubic, labels, NULL, &value), RN_E_SHAPE, "pred has shape [2, 2, 2]");
    ck_fails(rn_loss_compute(loss, x, labels, short_x, &value), RN_E_SHAPE, "dpred has shape [4, 7], expected [5, 7]");
    ck_fails(rn_loss_compute(loss, x, labels, x64, &value), RN_E_DTYPE, "dpred");
    ck_fails(rn_loss_compute(square, x, short_x, NULL, &value), RN_E_SHAPE, "target has shape [4, 7]");
    ck_fails(rn_loss_compute(square, x, x64, NULL, &value), RN_E_DTYPE, "target");
    ((int64_t *)rn_tensor_data(labels))[2] = K;
    ck_fails(rn_loss_compute(loss, x, labels, NULL, &value), RN_E_INVALID, "label 7 of image 2 is not in 0..6");
    ((int64_t *)rn_tensor_data(labels))[2] = -1;
    ck_fails(rn_loss_compute(loss, x, labels, NULL, &value), RN_E_INVALID, "label -1 of image 2");
    ck_assert_float_eq(value, 42);
    ck_ok(rn_device_synchronize(cpu)); /* none of these spoiled the device */
    rn_loss_release(loss);
    rn_loss_release(square);
    rn_loss_release(NULL);
    rn_tensor_release(x);
    rn_tensor_release(x64);
    rn_tensor_release(labels);
    rn_tensor_release(short_labels);
    rn_tensor_release(short_x);
    rn_tensor_release(none);
    rn_tensor_release(cubic);
    rn_tensor_release(bytes);
    rn_context_release(ctx);
}
END_TEST

START_TEST(options_refuse)
{
    static const double bad[] = {-0.1, 1.0, NAN, INFINITY};
    rn_cross_entropy_options o = RN_CROSS_ENTROPY_OPTIONS_INIT;
    rn_mse_options m = RN_MSE_OPTIONS_INIT;
    rn_loss *loss = NULL;
    ctx = support_context(&cpu);
    for (int i = 0; i < 4; i++) {
        o.label_smoothing = bad[i];
        ck_fails(rn_cross_entropy_create(ctx, &o, &loss), RN_E_INVALID, "label_smoothing is ");
    }
    o.label_smoothing = 0;
    o.flags = 1;
    ck_fails(rn_cross_entropy_create(ctx, &o, &loss), RN_E_INVALID, "rn_cross_entropy_options.flags");
    o.struct_size = 0;
    ck_fails(rn_cross_entropy_create(ctx, &o, &loss), RN_E_VERSION, "rn_cross_entropy_options");
    m.flags = 2;
    ck_fails(rn_mse_create(ctx, &m, &loss), RN_E_INVALID, "rn_mse_options.flags");
    ck_fails(rn_mse_create(NULL, NULL, &loss), RN_E_INVALID, "ctx is NULL");
    ck_fails(rn_mse_create(ctx, NULL, NULL), RN_E_INVALID, "out is NULL");
    ck_assert_ptr_null(loss);
    rn_context_release(ctx);
}
END_TEST

static void check_softmax(rn_dtype dtype, double tolerance)
{
    static const int64_t dims[] = {N, K};
    rn_tensor *x = make(dtype, 2, dims, 3, 200), *p = make(dtype, 2, dims, 4, 1);
    ck_ok(rn_softmax(x, p));
    for (int n = 0; n < N; n++) {
        double largest = -INFINITY, sum = 0;
        for (int k = 0; k < K; k++)
            largest = fmax(largest, at(x, n * K + k));
        for (int k = 0; k < K; k++)
            sum += exp(at(x, n * K + k) - largest);
        for (int k = 0; k < K; k++)
            ck_assert_double_eq_tol(at(p, n * K + k), exp(at(x, n * K + k) - largest) / sum, tolerance);
    }
    rn_tensor_release(x);
    rn_tensor_release(p);
}

START_TEST(softmax_values)
{
    static const int64_t dims[] = {N, K}, other[] = {K, N}, empty[] = {0, 3};
    ctx = support_context(&cpu);
    check_softmax(RN_F32, 1e-6);
    check_softmax(RN_F64, 1e-15);
    rn_tensor *x = make(RN_F32, 2, dims, 3, 1), *y = make(RN_F32, 2, other, 4, 1), *z = make(RN_F64, 2, dims, 4, 1);
    rn_tensor *none = make(RN_F32, 2, empty, 1, 1), *row = make(RN_F32, 1, dims, 1, 1);
    ck_fails(rn_softmax(NULL, x), RN_E_INVALID, "logits is NULL");
    ck_fails(rn_softmax(x, NULL), RN_E_INVALID, "probabilities is NULL");
    ck_fails(rn_softmax(x, y), RN_E_SHAPE, "shape [7, 5], expected [5, 7]");
    ck_fails(rn_softmax(x, z), RN_E_DTYPE, "probabilities");
    ck_fails(rn_softmax(row, row), RN_E_SHAPE, "logits has shape [5]");
    ck_ok(rn_softmax(none, none));
    rn_tensor_release(x);
    rn_tensor_release(y);
    rn_tensor_release(z);
    rn_tensor_release(none);
    rn_tensor_release(row);
    rn_context_release(ctx);
}
END_TEST

START_TEST(topk_counts)
{
    static const int64_t dims[] = {4, 3};
    static const float rows[] = {1, 2,   3, /* label 0: third */ 5,
                                 5, 1, /* label 1: tied with 0, second */
                                 0, NAN, 1, /* label 1: no number, never */ 9,
                                 8, 7 /* label 0: first */};
    static const int64_t wanted[] = {0, 1, 1, 0};
    int64_t correct = -1;
    ctx = support_context(&cpu);
    rn_tensor *x = NULL, *labels = NULL, *x64 = NULL;
    ck_ok(rn_tensor_create(cpu, RN_F32, 2, dims, &x));
    ck_ok(rn_tensor_create(cpu, RN_F64, 2, dims, &x64));
    ck_ok(rn_tensor_create(cpu, RN_I64, 1, dims, &labels));
    ck_ok(rn_tensor_write(x, rows, sizeof rows));
    ck_ok(rn_tensor_copy(x, x64));
    ck_ok(rn_tensor_write(labels, wanted, sizeof wanted));
    for (int k = 1; k <= 3; k++) {
        ck_ok(rn_topk(x, labels, k, &correct));
        ck_assert_int_eq(correct, k);
        ck_ok(rn_topk(x64, labels, k, &correct));
        ck_assert_int_eq(correct, k);
    }
    correct = 42;
    ck_fails(rn_topk(x, labels, 0, &correct), RN_E_INVALID, "k is 0, expected 1 to 3");
    ck_fails(rn_topk(x, labels, 4, &correct), RN_E_INVALID, "k is 4");
    ck_fails(rn_topk(labels, labels, 1, &correct), RN_E_DTYPE, "logits is i64");
    ck_fails(rn_topk(x, x64, 1, &correct), RN_E_DTYPE, "labels");
    ck_fails(rn_topk(x, labels, 1, NULL), RN_E_INVALID, "correct is NULL");
    ((int64_t *)rn_tensor_data(labels))[3] = 3;
    ck_fails(rn_topk(x, labels, 1, &correct), RN_E_INVALID, "label 3 of image 3");
    ck_assert_int_eq(correct, 42);
    rn_tensor_release(x);
    rn_tensor_release(x64);
    rn_tensor_release(labels);
    rn_context_release(ctx);
}
END_TEST

SUPPORT_MAIN("loss", cross_entropy_values, soft_cross_entropy_values, one_hot_targets_are_labels, mse_values,
             one_loss_many_shapes, nonfinite_loss_is_told, loss_refuses, options_refuse, softmax_values, topk_counts)
