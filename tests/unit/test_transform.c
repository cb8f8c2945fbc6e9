/* SPDX-License-Identifier: MIT */
/* Transforms: exact pixels against a step-by-step rendering, distributions, what a step refuses. */
#include "data_support.h"
#include "base/rng.h"
#include "data/transform.h"
#include <math.h>

enum { SIDE = 40, CHANNELS = 3 };

/* A float image that one step after the other is applied to, as its definition says. */
typedef struct picture {
    int64_t height, width;
    float at[CHANNELS][SIDE][SIDE];
} picture;

static void slow_crop(picture *p, const rni_step *s, const uint32_t r[4])
{
    const picture old = *p;
    p->height = s->height ? s->height : old.height;
    p->width = s->width ? s->width : old.width;
    const int64_t top = (int64_t)rni_below(r[0], r[1], (uint64_t)(old.height + 2 * s->padding - p->height + 1));
    const int64_t left = (int64_t)rni_below(r[2], r[3], (uint64_t)(old.width + 2 * s->padding - p->width + 1));
    for (int64_t c = 0; c < CHANNELS; c++)
        for (int64_t y = 0; y < p->height; y++)
            for (int64_t x = 0; x < p->width; x++) {
                const int64_t from_y = y + top - s->padding, from_x = x + left - s->padding;
                const int inside = from_y >= 0 && from_y < old.height && from_x >= 0 && from_x < old.width;
                p->at[c][y][x] = inside ? old.at[c][from_y][from_x] : 0.0f;
            }
}

static void slow_flip(picture *p)
{
    const picture old = *p;
    for (int64_t c = 0; c < CHANNELS; c++)
        for (int64_t y = 0; y < p->height; y++)
            for (int64_t x = 0; x < p->width; x++)
                p->at[c][y][x] = old.at[c][y][p->width - 1 - x];
}

static void slow_normalize(picture *p, const rni_step *s)
{
    for (int64_t c = 0; c < CHANNELS; c++)
        for (int64_t y = 0; y < p->height; y++)
            for (int64_t x = 0; x < p->width; x++)
                p->at[c][y][x] = (p->at[c][y][x] - (float)s->mean[c]) / (float)s->std[c];
}

static void slow_cutout(picture *p, int64_t size, const uint32_t r[4])
{
    const int64_t top = (int64_t)rni_below(r[0], r[1], (uint64_t)p->height) - size / 2;
    const int64_t left = (int64_t)rni_below(r[2], r[3], (uint64_t)p->width) - size / 2;
    for (int64_t c = 0; c < CHANNELS; c++)
        for (int64_t y = 0; y < p->height; y++)
            for (int64_t x = 0; x < p->width; x++)
                if (y >= top && y < top + size && x >= left && x < left + size)
                    p->at[c][y][x] = 0.0f;
}

static void slow_center(picture *p, const rni_step *s)
{
    const picture old = *p;
    const int64_t top = (int64_t)nearbyint((double)(old.height - s->height) / 2.0);
    const int64_t left = (int64_t)nearbyint((double)(old.width - s->width) / 2.0);
    p->height = s->height;
    p->width = s->width;
    for (int64_t c = 0; c < CHANNELS; c++)
        for (int64_t y = 0; y < p->height; y++)
            for (int64_t x = 0; x < p->width; x++)
                p->at[c][y][x] = old.at[c][y + top][x + left];
}

static void slow_color(picture *p, const rni_step *s, const uint32_t r[4])
{
    double a[4];
    rni_normal(r[0], r[1], a);
    rni_normal(r[2], r[3], a + 2);
    for (int64_t c = 0; c < CHANNELS; c++) {
        double shift = 0.0;
        for (int k = 0; k < 3; k++)
            shift += s->eigenvectors[3 * c + k] * s->eigenvalues[k] * s->p * a[k];
        for (int64_t y = 0; y < p->height; y++)
            for (int64_t x = 0; x < p->width; x++)
                p->at[c][y][x] += (float)shift;
    }
}

static void slow_subtract(picture *p, const rni_step *s)
{
    const float *const subtrahend = rn_tensor_data(s->image);
    for (int64_t c = 0; c < CHANNELS; c++)
        for (int64_t y = 0; y < p->height; y++)
            for (int64_t x = 0; x < p->width; x++)
                p->at[c][y][x] -= subtrahend[(c * p->height + y) * p->width + x];
}

static void slow_step(picture *p, const rni_step *s, const uint32_t r[4])
{
    if (s->kind == RNI_STEP_CENTER_CROP)
        slow_center(p, s);
    else if (s->kind == RNI_STEP_PCA_COLOR)
        slow_color(p, s, r);
    else if (s->kind == RNI_STEP_SUBTRACT)
        slow_subtract(p, s);
    if (s->kind == RNI_STEP_CENTER_CROP || s->kind == RNI_STEP_PCA_COLOR || s->kind == RNI_STEP_SUBTRACT)
        return;
    if (s->kind == RNI_STEP_CROP)
        slow_crop(p, s, r);
    else if (s->kind == RNI_STEP_NORMALIZE)
        slow_normalize(p, s);
    else if (s->kind == RNI_STEP_CUTOUT)
        slow_cutout(p, s->height, r);
    else if ((double)rni_uniform(r[0]) < s->p)
        slow_flip(p);
}

/* Image n of test_pixel(), through all steps. */
static void slow_image(const rn_transform *t, int64_t n, int64_t size, uint64_t seed, uint32_t epoch, picture *p)
{
    p->height = p->width = size;
    for (int64_t c = 0; c < CHANNELS; c++)
        for (int64_t y = 0; y < size; y++)
            for (int64_t x = 0; x < size; x++)
                p->at[c][y][x] = (float)test_pixel(n, c, y, x) / 255.0f;
    for (uint32_t i = 0; i < t->num_steps; i++) {
        uint32_t r[4];
        rni_philox(seed, RNI_STREAM_TRANSFORM, epoch, (uint32_t)n, i, r);
        slow_step(p, &t->steps[i], r);
    }
}

/* The same pixels as floats. */
static rn_dataset *float_images(rn_device *cpu, int64_t count, int64_t size)
{
    const int64_t dims[4] = {count, CHANNELS, size, size};
    rn_tensor *images = NULL, *labels = NULL;
    rn_dataset *ds = NULL;
    ck_ok(rn_tensor_create(cpu, RN_F32, 4, dims, &images));
    ck_ok(rn_tensor_create(cpu, RN_I64, 1, dims, &labels));
    float *at = rn_tensor_data(images);
    for (int64_t i = 0; i < count * CHANNELS * size * size; i++) {
        const int64_t in = i % (CHANNELS * size * size);
        *at++ =
            (float)test_pixel(i / (CHANNELS * size * size), in / (size * size), in / size % size, in % size) / 255.0f;
    }
    ck_ok(rn_tensor_dataset_create(images, labels, &ds));
    rn_tensor_release(images);
    rn_tensor_release(labels);
    return ds;
}

static void compare(const rn_transform *t, int64_t n, int64_t size, uint32_t epoch, const float *image, int64_t height,
                    int64_t width)
{
    picture p;
    slow_image(t, n, size, 99, epoch, &p);
    ck_assert_int_eq(p.height, height);
    ck_assert_int_eq(p.width, width);
    for (int64_t i = 0; i < CHANNELS * height * width; i++) {
        const float expected = p.at[i / (height * width)][i / width % height][i % width];
        ck_assert_msg(image[i] == expected, "image %d, element %d: expected %.9g, got %.9g", (int)n, (int)i,
                      (double)expected, (double)image[i]);
    }
}

/* Every image of three epochs equals the slow rendering, bit for bit. */
static void check_against_slow(rn_dataset *ds, rn_transform *t, int64_t size, int64_t height, int64_t width)
{
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    rn_loader *l = NULL;
    rn_tensor *images = NULL, *labels = NULL;
    o.batch = 16, o.seed = 99, o.transform = t;
    ck_ok(rn_loader_create(ds, &o, &l));
    for (uint32_t epoch = 0; epoch < 3; epoch++) {
        int64_t n = 0;
        rn_status status;
        while ((status = rn_loader_next(l, &images, &labels)) == RN_OK) {
            const float *const data = rn_tensor_data(images);
            ck_assert_int_eq(rn_tensor_dim(images, 2), height);
            ck_assert_int_eq(rn_tensor_dim(images, 3), width);
            for (int64_t i = 0; i < rn_tensor_dim(images, 0); i++)
                compare(t, n++, size, epoch, data + i * CHANNELS * height * width, height, width);
        }
        ck_assert_int_eq(status, RN_END);
        ck_assert_int_eq(n, rn_dataset_size(ds));
    }
    rn_loader_release(l);
}

static const double mean[3] = {0.4914, 0.4822, 0.4465}, deviation[3] = {0.2023, 0.1994, 0.2010};

START_TEST(to_unit_range)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    rn_dataset *const ds = test_images(cpu, 20, CHANNELS, 9, 4);
    rn_transform *t = NULL;
    ck_ok(rn_transform_create(ctx, &t));
    check_against_slow(ds, t, 9, 9, 9);
    rn_transform_release(t);
    rn_dataset_release(ds);
    rn_context_release(ctx);
}
END_TEST

static rn_transform *usual(rn_context *ctx)
{
    rn_transform *t = NULL;
    ck_ok(rn_transform_create(ctx, &t));
    ck_ok(rn_transform_random_crop(t, 4, 32, 32));
    ck_ok(rn_transform_random_hflip(t, 0.5));
    ck_ok(rn_transform_normalize(t, 3, mean, deviation));
    return t;
}

/* Crops of other sizes, padding before and after normalisation, squares that later steps move and cut. */
static rn_transform *unusual(rn_context *ctx)
{
    const double other_mean[3] = {0.1, -0.2, 0.3}, other_std[3] = {2.0, 0.5, 1.5};
    rn_transform *t = NULL;
    ck_ok(rn_transform_create(ctx, &t));
    ck_ok(rn_transform_random_crop(t, 3, 0, 30));
    ck_ok(rn_transform_cutout(t, 9));
    ck_ok(rn_transform_random_hflip(t, 0.5));
    ck_ok(rn_transform_normalize(t, 3, mean, deviation));
    ck_ok(rn_transform_random_crop(t, 5, 28, 35));
    ck_ok(rn_transform_cutout(t, 14));
    ck_ok(rn_transform_normalize(t, 3, other_mean, other_std));
    ck_ok(rn_transform_random_hflip(t, 0.5));
    ck_ok(rn_transform_random_crop(t, 2, 0, 0));
    ck_ok(rn_transform_cutout(t, 5));
    return t;
}

/* [3, height, width] of numbers. */
static rn_tensor *some_mean(rn_device *cpu, int64_t height, int64_t width)
{
    const int64_t dims[3] = {CHANNELS, height, width};
    rn_tensor *t = NULL;
    ck_ok(rn_tensor_create(cpu, RN_F32, 3, dims, &t));
    for (int64_t i = 0; i < rn_tensor_count(t); i++)
        ((float *)rn_tensor_data(t))[i] = (float)(i * 37 % 101) / 101.0f;
    return t;
}

/* The mean image before and after padding, cropping and cutout, with colours that differ from image to image. */
static rn_transform *of_the_papers(rn_context *ctx, rn_device *cpu)
{
    rn_transform *t = NULL;
    rn_tensor *const subtrahend = some_mean(cpu, 34, 31);
    ck_ok(rn_transform_create(ctx, &t));
    ck_ok(rn_transform_random_crop(t, 2, 34, 31));
    ck_ok(rn_transform_cutout(t, 11));
    ck_ok(rn_transform_pca_color(t, 0.1, NULL, NULL));
    ck_ok(rn_transform_subtract(t, subtrahend));
    rn_tensor_release(subtrahend);
    ck_ok(rn_transform_random_hflip(t, 0.5));
    ck_ok(rn_transform_normalize(t, 3, mean, deviation));
    ck_ok(rn_transform_random_crop(t, 3, 33, 32));
    ck_ok(rn_transform_cutout(t, 8));
    ck_ok(rn_transform_center_crop(t, 30, 27));
    ck_ok(rn_transform_pca_color(t, 1.0, NULL, NULL));
    return t;
}

/* Colours without a mean image. */
static rn_transform *colours(rn_context *ctx)
{
    rn_transform *t = NULL;
    ck_ok(rn_transform_create(ctx, &t));
    ck_ok(rn_transform_center_crop(t, 21, 32));
    ck_ok(rn_transform_random_crop(t, 2, 0, 0));
    ck_ok(rn_transform_pca_color(t, 0.1, NULL, NULL));
    ck_ok(rn_transform_normalize(t, 3, mean, deviation));
    ck_ok(rn_transform_cutout(t, 8));
    return t;
}

START_TEST(exact_pixels_of_the_papers)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    rn_dataset *const bytes = test_images(cpu, 12, CHANNELS, 32, 10), *const floats = float_images(cpu, 12, 32);
    rn_transform *const a = of_the_papers(ctx, cpu), *const b = colours(ctx);
    check_against_slow(bytes, a, 32, 30, 27);
    check_against_slow(floats, a, 32, 30, 27);
    check_against_slow(bytes, b, 32, 21, 32);
    check_against_slow(floats, b, 32, 21, 32);
    rn_transform_release(a);
    rn_transform_release(b);
    rn_dataset_release(bytes);
    rn_dataset_release(floats);
    rn_context_release(ctx);
}
END_TEST

/* The mean of a dataset, subtracted from it, leaves 0 on average. */
START_TEST(mean_image)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    rn_dataset *const bytes = test_images(cpu, 6, CHANNELS, 5, 2), *const floats = float_images(cpu, 6, 5);
    rn_dataset *none = NULL;
    rn_tensor *a = NULL, *b = NULL;
    ck_ok(rn_dataset_mean(bytes, &a));
    ck_ok(rn_dataset_mean(floats, &b));
    ck_assert_int_eq(rn_tensor_dim(a, 0), CHANNELS);
    for (int64_t i = 0; i < rn_tensor_count(a); i++) {
        double sum = 0.0;
        for (int64_t n = 0; n < 6; n++)
            sum += test_pixel(n, i / 25, i / 5 % 5, i % 5) / 255.0;
        ck_assert_double_eq_tol(((float *)rn_tensor_data(a))[i], sum / 6, 1e-7);
        ck_assert_double_eq_tol(((float *)rn_tensor_data(b))[i], sum / 6, 1e-7);
    }
    rn_tensor_release(b);
    b = NULL;
    ck_ok(rn_dataset_take(bytes, 0, &none));
    ck_fails(rn_dataset_mean(none, &b), RN_E_INVALID, "expected images to take the mean of, got none");
    ck_fails(rn_dataset_mean(NULL, &b), RN_E_INVALID, "ds is NULL");
    ck_assert_ptr_null(b);
    rn_tensor_release(a);
    rn_dataset_release(none);
    rn_dataset_release(bytes);
    rn_dataset_release(floats);
    rn_context_release(ctx);
}
END_TEST

START_TEST(exact_pixels)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    rn_dataset *const bytes = test_images(cpu, 50, CHANNELS, 32, 10), *const floats = float_images(cpu, 50, 32);
    rn_transform *const a = usual(ctx), *const b = unusual(ctx);
    check_against_slow(bytes, a, 32, 32, 32);
    check_against_slow(floats, a, 32, 32, 32);
    check_against_slow(bytes, b, 32, 28, 35);
    check_against_slow(floats, b, 32, 28, 35);
    rn_transform_release(a);
    rn_transform_release(b);
    rn_dataset_release(bytes);
    rn_dataset_release(floats);
    rn_context_release(ctx);
}
END_TEST

static rni_pipeline make_pipeline(rn_context *ctx, const rn_transform *t, int64_t size, rn_dtype dtype)
{
    rn_dataset_info info = RN_DATASET_INFO_INIT;
    rni_pipeline p;
    info.channels = 1, info.height = info.width = size, info.dtype = dtype;
    ck_ok(rni_pipeline_create(&ctx->allocator, t, &info, &p));
    return p;
}

/* Each of the 81 places of a padded image comes up as often as it should, and each place with each mirroring. */
START_TEST(distribution)
{
    enum { TRIES = 162000 };
    static int seen[9][9][2];
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    rn_transform *t = NULL;
    uint8_t image[8 * 8] = {0};
    float out[8 * 8];
    ck_ok(rn_transform_create(ctx, &t));
    ck_ok(rn_transform_random_crop(t, 4, 8, 8));
    ck_ok(rn_transform_random_hflip(t, 0.5));
    rni_pipeline p = make_pipeline(ctx, t, 8, RN_U8);
    void *const scratch = malloc(rni_pipeline_scratch(&p));
    for (int64_t i = 0; i < 64; i++)
        image[i] = (uint8_t)(i + 1);
    for (uint32_t n = 0; n < TRIES; n++) {
        const rni_draw draw = {5, n % 7, n, 0};
        rni_pipeline_run(&p, scratch, image, &draw, 0, out);
        /* With padding of half the side, some original pixel is always in the middle four. */
        const int left = (int)lroundf(out[4 * 8 + 3] * 255.0f), right = (int)lroundf(out[4 * 8 + 4] * 255.0f);
        const int flipped = left && right ? left > right : 0;
        int at = -1, y = 0, x = 0;
        for (int i = 0; i < 64 && at < 0; i++)
            if (out[i] > 0)
                at = i;
        ck_assert_int_ge(at, 0);
        y = ((int)lroundf(out[at] * 255.0f) - 1) / 8 - at / 8 + 4;
        x = ((int)lroundf(out[at] * 255.0f) - 1) % 8 - (flipped ? 7 - at % 8 : at % 8) + 4;
        if (left && right) /* else the mirroring cannot be told from this row */
            seen[y][x][flipped]++;
    }
    for (int y = 1; y < 8; y++)
        for (int x = 1; x < 8; x++)
            for (int flipped = 0; flipped < 2; flipped++) /* expected 1000, deviation 31.6 */
                ck_assert_msg(abs(seen[y][x][flipped] - 1000) < 160, "place %d, %d, mirrored %d: %d times", y, x,
                              flipped, seen[y][x][flipped]);
    free(scratch);
    rni_pipeline_free(&p);
    rn_transform_release(t);
    rn_context_release(ctx);
}
END_TEST

START_TEST(flip_probability)
{
    static const double p[3] = {0.0, 0.25, 1.0};
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    for (int i = 0; i < 3; i++) {
        rn_transform *t = NULL;
        const float image[4] = {1, 2, 3, 4};
        float out[4];
        int flipped = 0;
        ck_ok(rn_transform_create(ctx, &t));
        ck_ok(rn_transform_random_hflip(t, p[i]));
        rni_pipeline pipeline = make_pipeline(ctx, t, 2, RN_F32);
        void *const scratch = malloc(rni_pipeline_scratch(&pipeline));
        for (uint32_t n = 0; n < 10000; n++) {
            const rni_draw draw = {1, 0, n, 0};
            rni_pipeline_run(&pipeline, scratch, image, &draw, 0, out);
            ck_assert(out[0] + out[1] == 3.0f && out[2] + out[3] == 7.0f);
            flipped += out[0] == 2.0f;
        }
        ck_assert_int_le(abs(flipped - (int)(10000 * p[i])), p[i] == 0.25 ? 220 : 0);
        free(scratch);
        rni_pipeline_free(&pipeline);
        rn_transform_release(t);
    }
    rn_context_release(ctx);
}
END_TEST

/* Images whose channels lie side by side hold the same numbers. */
START_TEST(channels_last)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    rn_transform *const t = unusual(ctx);
    rn_dataset_info info = RN_DATASET_INFO_INIT;
    rni_pipeline p;
    uint8_t image[3 * 32 * 32];
    static float plain[3 * 28 * 35], last[3 * 28 * 35];
    info.channels = 3, info.height = info.width = 32;
    ck_ok(rni_pipeline_create(&ctx->allocator, t, &info, &p));
    void *const scratch = malloc(rni_pipeline_scratch(&p));
    for (int64_t i = 0; i < 3072; i++)
        image[i] = test_pixel(1, i / 1024, i / 32 % 32, i % 32);
    for (uint32_t n = 0; n < 20; n++) {
        const rni_draw draw = {1, 0, n, 0};
        rni_pipeline_run(&p, scratch, image, &draw, 0, plain);
        rni_pipeline_run(&p, scratch, image, &draw, 1, last);
        for (int i = 0; i < 3 * 28 * 35; i++)
            ck_assert(plain[i] == last[i % (28 * 35) * 3 + i / (28 * 35)]);
    }
    free(scratch);
    rni_pipeline_free(&p);
    rn_transform_release(t);
    rn_context_release(ctx);
}
END_TEST

START_TEST(refused_steps)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    rn_transform *t = NULL;
    const double zero = 0.0, one = 1.0, bad = NAN;
    ck_fails(rn_transform_create(NULL, &t), RN_E_INVALID, "ctx is NULL");
    ck_ok(rn_transform_create(ctx, &t));
    ck_fails(rn_transform_random_crop(NULL, 0, 0, 0), RN_E_INVALID, "t is NULL");
    ck_fails(rn_transform_random_crop(t, -1, 0, 0), RN_E_INVALID, "padding: expected 0 or more, got -1");
    ck_fails(rn_transform_random_crop(t, 0, -2, 0), RN_E_INVALID, "height");
    ck_fails(rn_transform_random_crop(t, 0, 0, (int64_t)1 << 40), RN_E_INVALID, "width");
    ck_fails(rn_transform_random_hflip(t, 1.5), RN_E_INVALID, "p: expected 0 to 1, got 1.5");
    ck_fails(rn_transform_random_hflip(t, bad), RN_E_INVALID, "p: expected 0 to 1");
    ck_fails(rn_transform_normalize(t, 0, &zero, &one), RN_E_INVALID, "channels: expected 1 to 16, got 0");
    ck_fails(rn_transform_normalize(t, 17, &zero, &one), RN_E_INVALID, "channels");
    ck_fails(rn_transform_normalize(t, 1, &zero, &zero), RN_E_INVALID, "std[0]");
    ck_fails(rn_transform_normalize(t, 1, &bad, &one), RN_E_INVALID, "mean[0]");
    ck_fails(rn_transform_normalize(t, 1, NULL, &one), RN_E_INVALID, "mean is NULL");
    ck_fails(rn_transform_cutout(t, 0), RN_E_INVALID, "size: expected 1 or more, got 0");
    ck_fails(rn_transform_center_crop(t, 0, 1), RN_E_INVALID, "height: expected 1 or more, got 0");
    ck_fails(rn_transform_ten_crop(t, 1, 0), RN_E_INVALID, "width: expected 1 or more, got 0");
    ck_fails(rn_transform_resize(t, 0, 1), RN_E_INVALID, "height: expected 1 or more, got 0");
    ck_fails(rn_transform_short_side(t, 0, 1), RN_E_INVALID, "shortest: expected 1 or more, got 0");
    ck_fails(rn_transform_short_side(t, 5, 4), RN_E_INVALID, "longest: expected 5 or more, got 4");
    const double falling[2] = {0.5, 0.4}, above[2] = {0.5, 1.5}, nothing[2] = {0.0, 1.0};
    ck_fails(rn_transform_random_resized_crop(t, 0, 1, NULL, NULL), RN_E_INVALID, "height: expected 1 or more");
    ck_fails(rn_transform_random_resized_crop(t, 1, 1, falling, NULL), RN_E_INVALID,
             "area: expected two numbers, rising, above 0 and at most 1, got 0.5 and 0.4");
    ck_fails(rn_transform_random_resized_crop(t, 1, 1, above, NULL), RN_E_INVALID, "area");
    ck_fails(rn_transform_random_resized_crop(t, 1, 1, NULL, nothing), RN_E_INVALID, "ratio");
    ck_fails(rn_transform_pca_color(t, -1.0, NULL, NULL), RN_E_INVALID, "stddev: expected 0 or more, got -1");
    ck_fails(rn_transform_pca_color(t, 1.0, (const double[3]){0.0, NAN, 0.0}, NULL), RN_E_INVALID, "eigenvalues[1]");
    ck_fails(rn_transform_subtract(t, NULL), RN_E_INVALID, "mean is NULL");
    ck_assert_uint_eq(t->num_steps, 0);
    for (int i = 0; i < RNI_MAX_STEPS; i++)
        ck_ok(rn_transform_random_hflip(t, 0.5));
    ck_fails(rn_transform_random_hflip(t, 0.5), RN_E_INVALID, "at most 64");
    rn_transform_release(t);
    rn_transform_release(NULL);
    ck_assert_ptr_null(rn_transform_retain(NULL));
    rn_context_release(ctx);
}
END_TEST

START_TEST(steps_that_do_not_fit)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    rn_dataset *const ds = test_images(cpu, 4, CHANNELS, 8, 4);
    rn_transform *t = NULL;
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    rn_loader *l = NULL;
    ck_ok(rn_transform_create(ctx, &t));
    o.transform = t;
    ck_ok(rn_transform_random_crop(t, 1, 10, 10));
    ck_ok(rn_loader_create(ds, &o, &l));
    rn_loader_release(l);
    l = NULL;
    ck_ok(rn_transform_random_crop(t, 1, 12, 13));
    ck_fails(rn_loader_create(ds, &o, &l), RN_E_SHAPE,
             "step 1, random crop: expected a padded image of at least 12 x 13, got 12 x 12");
    rn_transform_release(t);
    ck_ok(rn_transform_create(ctx, &t));
    o.transform = t;
    ck_ok(rn_transform_normalize(t, 1, mean, deviation));
    ck_fails(rn_loader_create(ds, &o, &l), RN_E_SHAPE,
             "step 0, normalize: has 1 channels, but the dataset's images have 3");
    rn_transform_release(t);
    ck_ok(rn_transform_create(ctx, &t));
    o.transform = t;
    rn_tensor *const subtrahend = some_mean(cpu, 8, 7);
    ck_ok(rn_transform_subtract(t, subtrahend));
    ck_fails(rn_loader_create(ds, &o, &l), RN_E_SHAPE,
             "step 0, subtract: the mean is [3, 8, 7], but images are [3, 8, 8] here");
    ck_fails(rn_transform_subtract(t, subtrahend), RN_E_INVALID, "expected one step subtract, got a second one");
    ck_assert_ptr_null(l);
    rn_tensor_release(subtrahend);
    rn_transform_release(t);
    rn_dataset_release(ds);
    rn_context_release(ctx);
}
END_TEST

SUPPORT_MAIN("transform", to_unit_range, exact_pixels, exact_pixels_of_the_papers, mean_image, distribution,
             flip_probability, channels_last, refused_steps, steps_that_do_not_fit)
