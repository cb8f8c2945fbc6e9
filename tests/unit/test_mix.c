/* SPDX-License-Identifier: MIT */
/* Mixup and CutMix: batches against the unmixed ones of the same loader, in every layout and type, however made. */
#include "data/mix.h"
#include "backend/context.h"
#include "data_support.h"
#include "tensor/tensor.h"
#include <math.h>

enum { COUNT = 23, SIDE = 8, CHANNELS = 3, PIXELS = CHANNELS * SIDE * SIDE, CLASSES = 10, BATCH = 5 };

typedef struct fixture {
    rn_context *ctx;
    rn_device *cpu;
    rn_dataset *ds;
    rn_transform *t;
    rn_loader_options o;
} fixture;

static fixture begin(double mixup, double cutmix)
{
    const double mean[CHANNELS] = {0.4, 0.5, 0.6}, std[CHANNELS] = {0.2, 0.3, 0.4};
    fixture f = {.o = RN_LOADER_OPTIONS_INIT};
    f.ctx = support_context(&f.cpu);
    f.ds = test_images(f.cpu, COUNT, CHANNELS, SIDE, CLASSES);
    ck_ok(rn_transform_create(f.ctx, &f.t));
    ck_ok(rn_transform_random_crop(f.t, 2, 0, 0));
    ck_ok(rn_transform_random_hflip(f.t, 0.5));
    ck_ok(rn_transform_normalize(f.t, CHANNELS, mean, std));
    f.o.batch = BATCH;
    f.o.flags = RN_LOADER_SHUFFLE;
    f.o.seed = 5;
    f.o.transform = f.t;
    f.o.workers = 0;
    f.o.mixup_alpha = mixup;
    f.o.cutmix_alpha = cutmix;
    return f;
}

static void end(fixture *f)
{
    rn_transform_release(f->t);
    rn_dataset_release(f->ds);
    rn_context_release(f->ctx);
}

static rn_loader *make(const fixture *f, const rn_loader_options *o)
{
    rn_loader *l = NULL;
    ck_ok(rn_loader_create(f->ds, o, &l));
    return l;
}

/* The same loader without mixing. */
static rn_loader *make_plain(const fixture *f)
{
    rn_loader_options o = f->o;
    o.mixup_alpha = o.cutmix_alpha = 0;
    return make(f, &o);
}

/* What image i of a batch must be, at [c, y, x]: torchvision.transforms.v2.MixUp and CutMix. */
static float expected_pixel(const rni_mix *m, const float *images, int64_t n, int64_t i, int64_t c, int64_t y,
                            int64_t x)
{
    const int64_t at = (c * SIDE + y) * SIDE + x, before = (i + n - 1) % n;
    const float own = images[i * PIXELS + at], other = images[before * PIXELS + at];
    if (m->kind == RNI_MIX_UP)
        return m->own * own + m->other * other;
    if (m->kind == RNI_MIX_CUT && y >= m->top && y < m->bottom && x >= m->left && x < m->right)
        return other;
    return own;
}

/* Element [i, c, y, x] of a batch, as f32. */
static float pixel_of(const rn_tensor *t, int64_t i, int64_t c, int64_t y, int64_t x)
{
    const int nhwc = t->layout == RN_LAYOUT_NHWC;
    const int64_t at = i * PIXELS + (nhwc ? (y * SIDE + x) * CHANNELS + c : (c * SIDE + y) * SIDE + x);
    const void *const data = rni_tensor_address(t);
    if (t->dtype == RN_F64)
        return (float)((const double *)data)[at];
    if (t->dtype == RN_F32)
        return ((const float *)data)[at];
    const uint32_t bits = (uint32_t)((const uint16_t *)data)[at] << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double target_of(const rn_tensor *t, int64_t i, int64_t k)
{
    const int64_t at = i * CLASSES + k;
    const void *const data = rn_tensor_data(t);
    return t->dtype == RN_F64 ? ((const double *)data)[at] : (double)((const float *)data)[at];
}

static void check_images(const rni_mix *m, const rn_tensor *mixed, const float *images)
{
    const int64_t n = rn_tensor_dim(mixed, 0);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < PIXELS; j++) {
            const int64_t c = j / (SIDE * SIDE), y = j / SIDE % SIDE, x = j % SIDE;
            const float expected = expected_pixel(m, images, n, i, c, y, x), got = pixel_of(mixed, i, c, y, x);
            if (mixed->dtype == RN_BF16) /* rounded once, from the mixed value */
                ck_assert_float_le(fabsf(got - expected), fabsf(expected) * 0x1p-8f);
            else
                ck_assert_float_eq(got, expected);
        }
}

static void check_targets(const rni_mix *m, const rn_tensor *target, const int64_t *labels)
{
    const int64_t n = rn_tensor_dim(target, 0);
    ck_assert_int_eq(rn_tensor_rank(target), 2);
    ck_assert_int_eq(rn_tensor_dim(target, 1), CLASSES);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < CLASSES; k++) {
            const double own = labels[i] == k ? (double)m->own : 0;
            const double other = labels[(i + n - 1) % n] == k ? (double)m->other : 0;
            ck_assert_double_eq_tol(target_of(target, i, k), own + other, 1e-7);
        }
}

/* Two epochs of a mixing loader against the plain one. Returns how many batches were of each kind. */
typedef struct kinds {
    int of[3];
} kinds;

static kinds check_loader(const fixture *f, const rn_loader_options *o)
{
    kinds seen = {{0, 0, 0}};
    rn_loader *const plain = make_plain(f), *const mixing = make(f, o);
    rn_tensor *images, *labels, *mixed, *target;
    for (uint32_t epoch = 0; epoch < 2; epoch++) {
        for (uint32_t batch = 0; rn_loader_next(plain, &images, &labels) == RN_OK; batch++) {
            ck_ok(rn_loader_next(mixing, &mixed, &target));
            const rni_mix m = rni_mix_draw(o, epoch, batch, SIDE, SIDE);
            ck_assert_int_eq(rn_tensor_dim(mixed, 0), rn_tensor_dim(images, 0));
            check_images(&m, mixed, rn_tensor_data(images));
            check_targets(&m, target, rn_tensor_data(labels));
            seen.of[m.kind]++;
        }
        ck_assert_int_eq(rn_loader_next(mixing, &mixed, &target), RN_END);
    }
    rn_loader_release(plain);
    rn_loader_release(mixing);
    return seen;
}

START_TEST(mixup_follows_the_formula)
{
    fixture f = begin(0.4, 0);
    const kinds seen = check_loader(&f, &f.o);
    ck_assert_int_eq(seen.of[RNI_MIX_UP], 10); /* the short last batches too */
    end(&f);
}
END_TEST

START_TEST(cutmix_follows_the_formula)
{
    fixture f = begin(0, 1);
    const kinds seen = check_loader(&f, &f.o);
    ck_assert_int_eq(seen.of[RNI_MIX_CUT], 10);
    end(&f);
}
END_TEST

START_TEST(one_of_both_or_none)
{
    fixture f = begin(1, 1);
    f.o.batch = 1; /* 46 batches; an image is its own partner */
    kinds seen = check_loader(&f, &f.o);
    ck_assert_int_eq(seen.of[RNI_MIX_NONE], 0);
    ck_assert(seen.of[RNI_MIX_UP] > 12 && seen.of[RNI_MIX_CUT] > 12);
    f.o.batch = BATCH;
    f.o.cutmix_share = 0;
    seen = check_loader(&f, &f.o);
    ck_assert_int_eq(seen.of[RNI_MIX_UP], 10);
    f.o.cutmix_share = 1;
    seen = check_loader(&f, &f.o);
    ck_assert_int_eq(seen.of[RNI_MIX_CUT], 10);
    f.o.mix_probability = 0.5;
    seen = check_loader(&f, &f.o);
    ck_assert(seen.of[RNI_MIX_NONE] > 1 && seen.of[RNI_MIX_CUT] > 1);
    f.o.mix_probability = 0;
    seen = check_loader(&f, &f.o);
    ck_assert_int_eq(seen.of[RNI_MIX_NONE], 10);
    end(&f);
}
END_TEST

static rn_plan *plan_for(const fixture *f, rn_model *m, rn_dtype dtype, rn_loss *loss)
{
    const int64_t dims[4] = {BATCH, CHANNELS, SIDE, SIDE};
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    rn_plan *p = NULL;
    (void)f;
    memcpy(o.input_dims, dims, sizeof dims);
    o.compute_dtype = dtype;
    o.loss = loss;
    ck_ok(rn_plan_create(m, &o, &p));
    return p;
}

/* In the layout and type a plan reads; and the plan takes what it is given. */
START_TEST(in_a_plans_layout)
{
    static const rn_dtype dtypes[] = {RN_F32, RN_F64, RN_BF16};
    fixture f = begin(1, 1);
    rn_layer *const net = support_net(f.ctx, CHANNELS, CLASSES);
    rn_model *m = NULL;
    rn_loss *loss = NULL;
    ck_ok(rn_model_create(f.ctx, net, f.cpu, &m));
    ck_ok(rn_cross_entropy_create(f.ctx, NULL, &loss));
    for (int d = 0; d < 3; d++) {
        rn_plan *const p = plan_for(&f, m, dtypes[d], loss);
        rn_tensor *images, *target;
        rn_metrics metrics = RN_METRICS_INIT;
        rn_loader_options o = f.o;
        o.plan = p;
        check_loader(&f, &o);
        rn_loader *const l = make(&f, &o);
        while (rn_loader_next(l, &images, &target) == RN_OK) {
            ck_assert_int_eq(rn_tensor_dtype(images), dtypes[d]);
            ck_assert_int_eq(rn_tensor_dtype(target), dtypes[d] == RN_F64 ? RN_F64 : RN_F32);
            ck_ok(rn_plan_eval_step(p, images, target));
        }
        ck_ok(rn_plan_metrics(p, &metrics, 1));
        ck_assert_int_eq(metrics.count, COUNT);
        ck_assert(isfinite(metrics.loss_sum));
        rn_loader_release(l);
        rn_plan_release(p);
    }
    rn_loss_release(loss);
    rn_model_release(m);
    rn_layer_release(net);
    end(&f);
}
END_TEST

static void expect_equal(rn_loader *a, rn_loader *b)
{
    rn_tensor *images[2], *target[2];
    for (;;) {
        const rn_status status = rn_loader_next(a, &images[0], &target[0]);
        ck_assert_int_eq(rn_loader_next(b, &images[1], &target[1]), status);
        if (status == RN_END)
            return;
        ck_ok(status);
        ck_assert_mem_eq(rn_tensor_data(images[0]), rn_tensor_data(images[1]), rn_tensor_nbytes(images[0]));
        ck_assert_mem_eq(rn_tensor_data(target[0]), rn_tensor_data(target[1]), rn_tensor_nbytes(target[0]));
    }
}

/* Threads, prefetching and where one begins change nothing. */
START_TEST(same_however_made)
{
    fixture f = begin(0.2, 1);
    rn_loader_options o = f.o;
    o.workers = 3;
    o.prefetch = 4;
    rn_loader *const a = make(&f, &f.o), *const b = make(&f, &o);
    for (int epoch = 0; epoch < 3; epoch++)
        expect_equal(a, b);
    ck_ok(rn_loader_seek(a, 1, 2));
    ck_ok(rn_loader_seek(b, 1, 2));
    expect_equal(a, b);
    rn_loader_release(a);
    rn_loader_release(b);
    end(&f);
}
END_TEST

/* Memory the host cannot address: targets are sent to it like images. The CPU plays the part. */
START_TEST(on_a_device)
{
    fixture f = begin(0.2, 1);
    rn_loader *const a = make(&f, &f.o);
    f.cpu->info.host_memory = 0;
    rn_loader *const b = make(&f, &f.o);
    rn_tensor *images[2], *target[2];
    float sent[BATCH * CLASSES];
    for (int i = 0; i < 5; i++) {
        ck_ok(rn_loader_next(b, &images[1], &target[1]));
        f.cpu->info.host_memory = 1;
        ck_ok(rn_loader_next(a, &images[0], &target[0]));
        ck_ok(rn_tensor_read(target[1], sent, rn_tensor_nbytes(target[1])));
        ck_assert_mem_eq(sent, rn_tensor_data(target[0]), rn_tensor_nbytes(target[0]));
        f.cpu->info.host_memory = 0;
    }
    rn_loader_release(b);
    f.cpu->info.host_memory = 1;
    rn_loader_release(a);
    end(&f);
}
END_TEST

/* Lambda of CutMix is the share that is left of an image, for boxes cut at the border as well. */
START_TEST(boxes_and_weights_agree)
{
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    int cut_at_border = 0, none = 0;
    o.cutmix_alpha = 1;
    o.seed = 3;
    for (uint32_t batch = 0; batch < 500; batch++) {
        const rni_mix m = rni_mix_draw(&o, 1, batch, 7, 12);
        ck_assert(0 <= m.top && m.top <= m.bottom && m.bottom <= 7);
        ck_assert(0 <= m.left && m.left <= m.right && m.right <= 12);
        const double area = (double)((m.bottom - m.top) * (m.right - m.left));
        ck_assert_double_eq_tol((double)m.other, area / 84, 1e-7);
        ck_assert_double_eq_tol((double)m.own, 1 - area / 84, 1e-7);
        cut_at_border += m.top == 0 || m.left == 0;
        none += area == 0;
    }
    ck_assert_int_gt(cut_at_border, 100);
    ck_assert_int_gt(none, 5);
    ck_assert_int_lt(none, 100);
}
END_TEST

/* Each shard mixes with numbers of its own. */
START_TEST(shards_differ)
{
    fixture f = begin(1, 0);
    float own[2] = {0, 0};
    f.o.num_shards = 2;
    for (int64_t shard = 0; shard < 2; shard++) {
        rn_tensor *images, *target;
        f.o.shard = shard;
        rn_loader *const l = make(&f, &f.o);
        ck_ok(rn_loader_next(l, &images, &target));
        own[shard] = rni_mix_draw(&f.o, 0, (uint32_t)shard, SIDE, SIDE).own;
        float largest = 0;
        for (int k = 0; k < CLASSES; k++)
            largest = fmaxf(largest, (float)target_of(target, 0, k));
        ck_assert(largest == own[shard] || largest == 1.0f - own[shard] || largest == 1.0f);
        rn_loader_release(l);
    }
    ck_assert_float_ne(own[0], own[1]);
    end(&f);
}
END_TEST

START_TEST(refused_options)
{
    fixture f = begin(0, 0);
    const rn_loader_options good = f.o;
    rn_loader_options o = good;
    rn_loader *l = NULL;
    rn_tensor *images, *labels;
    o.mixup_alpha = -0.1;
    ck_fails(rn_loader_create(f.ds, &o, &l), RN_E_INVALID,
             "options.mixup_alpha: expected a finite number, 0 or more, got -0.1");
    o = good, o.cutmix_alpha = NAN;
    ck_fails(rn_loader_create(f.ds, &o, &l), RN_E_INVALID, "options.cutmix_alpha: expected");
    o = good, o.mix_probability = 1.5;
    ck_fails(rn_loader_create(f.ds, &o, &l), RN_E_INVALID, "options.mix_probability: expected 0 to 1, got 1.5");
    o = good, o.cutmix_share = -1;
    ck_fails(rn_loader_create(f.ds, &o, &l), RN_E_INVALID, "options.cutmix_share: expected 0 to 1, got -1");
    ck_assert_ptr_null(l);
    o = good, o.struct_size = offsetof(rn_loader_options, mixup_alpha); /* a program of the first release */
    l = make(&f, &o);
    ck_ok(rn_loader_next(l, &images, &labels));
    ck_assert_int_eq(rn_tensor_dtype(labels), RN_I64);
    rn_loader_release(l);
    end(&f);
}
END_TEST

SUPPORT_MAIN("mix", mixup_follows_the_formula, cutmix_follows_the_formula, one_of_both_or_none, in_a_plans_layout,
             same_however_made, on_a_device, boxes_and_weights_agree, shards_differ, refused_options)
