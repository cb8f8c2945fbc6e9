/* SPDX-License-Identifier: MIT */
/* Steps that resize: which part of a picture they take, and how large; the ten crops. */
#include "data_support.h"
#include "data/picture.h"
#include "data/transform.h"
#include <math.h>

static rn_context *ctx;
static rn_device *cpu;

static void begin(void)
{
    ctx = support_context(&cpu);
}

static rn_transform *new_transform(void)
{
    rn_transform *t = NULL;
    ck_ok(rn_transform_create(ctx, &t));
    return t;
}

/* A pipeline for pictures of any size, or of one. */
static rni_pipeline make_pipeline(rn_transform *t, int64_t height, int64_t width)
{
    rn_dataset_info info = RN_DATASET_INFO_INIT;
    rni_pipeline p;
    info.channels = 3, info.height = height, info.width = width;
    ck_ok(rni_pipeline_create(&ctx->allocator, t, &info, &p));
    rn_transform_release(t);
    return p;
}

static rn_status refused(rn_transform *t, rn_dtype dtype, int64_t height, int64_t width)
{
    rn_dataset_info info = RN_DATASET_INFO_INIT;
    rni_pipeline p;
    info.channels = 3, info.height = height, info.width = width, info.dtype = dtype;
    const rn_status status = rni_pipeline_create(&ctx->allocator, t, &info, &p);
    if (status == RN_OK)
        rni_pipeline_free(&p);
    rn_transform_release(t);
    return status;
}

static rni_frame frame_of(const rni_pipeline *p, int64_t height, int64_t width, uint32_t n)
{
    const rni_draw draw = {11, 0, n, 0};
    rni_frame f;
    rni_pipeline_frame(p, height, width, &draw, &f);
    return f;
}

/* Area and shape come up as they should: their means, and nothing outside the limits that rounding does not explain. */
START_TEST(resized_crop)
{
    enum { TRIES = 20000 };
    begin();
    rn_transform *const t = new_transform();
    double area = 0.0, shape = 0.0, top = 0.0, left = 0.0;
    ck_ok(rn_transform_random_resized_crop(t, 224, 200, NULL, NULL));
    rni_pipeline p = make_pipeline(t, 0, 0);
    ck_assert_int_eq(p.out_height, 224);
    ck_assert_int_eq(p.out_width, 200);
    for (uint32_t n = 0; n < TRIES; n++) {
        const rni_frame f = frame_of(&p, 500, 600, n);
        const double part = f.box_height * f.box_width / (500 * 600), ratio = f.box_width / f.box_height;
        ck_assert(f.top == floor(f.top) && f.left == floor(f.left) && f.top >= 0 && f.left >= 0);
        ck_assert(f.top + f.box_height <= 500 && f.left + f.box_width <= 600);
        ck_assert(part > 0.079 && part <= 1.0 && ratio > 0.74 && ratio < 1.35);
        ck_assert(f.height == 224 && f.width == 200 && f.window_height == 224 && f.window_width == 200);
        ck_assert(f.window_top == 0 && f.window_left == 0);
        area += part, shape += log(ratio);
        top += f.top / (501 - f.box_height), left += f.left / (601 - f.box_width);
    }
    /* Large boxes often do not fit and are drawn again. torchvision's code gives these means, with Python's numbers. */
    ck_assert_double_eq_tol(area / TRIES, 0.4625, 0.01);
    ck_assert_double_eq_tol(shape / TRIES, 0.024, 0.006);
    ck_assert_double_eq_tol(top / TRIES, 0.5, 0.02);
    ck_assert_double_eq_tol(left / TRIES, 0.5, 0.02);
    rni_pipeline_free(&p);
    rn_context_release(ctx);
}
END_TEST

/* Where no box fits, the largest of an allowed shape in the middle. */
START_TEST(resized_crop_of_strips)
{
    begin();
    rn_transform *const t = new_transform();
    const double whole[2] = {1.0, 1.0};
    ck_ok(rn_transform_random_resized_crop(t, 10, 10, whole, NULL));
    rni_pipeline p = make_pipeline(t, 0, 0);
    rni_frame f = frame_of(&p, 30, 1000, 1);
    ck_assert(f.top == 0 && f.left == 480 && f.box_height == 30 && f.box_width == 40);
    f = frame_of(&p, 1001, 30, 1);
    ck_assert(f.top == 480 && f.left == 0 && f.box_height == 40 && f.box_width == 30);
    f = frame_of(&p, 1, 1, 1);
    ck_assert(f.top == 0 && f.left == 0 && f.box_height == 1 && f.box_width == 1);
    rni_pipeline_free(&p);
    rn_context_release(ctx);
}
END_TEST

START_TEST(short_side)
{
    enum { TRIES = 22500 };
    static int seen[481];
    begin();
    rn_transform *t = new_transform();
    ck_ok(rn_transform_short_side(t, 256, 480));
    ck_ok(rn_transform_random_crop(t, 0, 224, 220));
    rni_pipeline p = make_pipeline(t, 0, 0);
    ck_assert_uint_eq(p.frame_steps, 2);
    for (uint32_t n = 0; n < TRIES; n++) {
        const rni_frame f = frame_of(&p, 375, 500, n);
        seen[f.height]++;
        ck_assert_int_eq(f.width, f.height * 500 / 375);
        ck_assert(f.top == 0 && f.left == 0 && f.box_height == 375 && f.box_width == 500);
        ck_assert(f.window_height == 224 && f.window_width == 220);
        ck_assert(f.window_top >= 0 && f.window_top <= f.height - 224 && f.window_left >= 0);
        ck_assert(f.window_left <= f.width - 220);
    }
    for (int i = 256; i <= 480; i++) /* 100 expected each */
        ck_assert_msg(seen[i] > 50 && seen[i] < 150, "short side %d came up %d times", i, seen[i]);
    const rni_frame tall = frame_of(&p, 500, 375, 3);
    ck_assert_int_eq(tall.height, tall.width * 500 / 375);
    rni_pipeline_free(&p);

    /* torchvision: Resize(256), CenterCrop(224) of 375 x 500 is 256 x 341, then (16, round(58.5) = 58). */
    t = new_transform();
    ck_ok(rn_transform_short_side(t, 256, 256));
    ck_ok(rn_transform_center_crop(t, 224, 224));
    p = make_pipeline(t, 0, 0);
    rni_frame f = frame_of(&p, 375, 500, 0);
    ck_assert(f.height == 256 && f.width == 341 && f.window_top == 16 && f.window_left == 58);
    f = frame_of(&p, 375, 504, 0); /* 344: an even rest */
    ck_assert(f.width == 344 && f.window_left == 60);
    f = frame_of(&p, 375, 506, 0); /* 345: 60.5 to 60 */
    ck_assert(f.width == 345 && f.window_left == 60);
    f = frame_of(&p, 375, 509, 0); /* 347: 61.5 to 62 */
    ck_assert(f.width == 347 && f.window_left == 62);
    rni_pipeline_free(&p);
    rn_context_release(ctx);
}
END_TEST

/* u8 [3, height, width]. */
static rn_tensor *some_image(int64_t height, int64_t width)
{
    const int64_t dims[3] = {3, height, width};
    rn_tensor *image = NULL;
    ck_ok(rn_tensor_create(cpu, RN_U8, 3, dims, &image));
    for (int64_t i = 0; i < 3 * height * width; i++)
        ((uint8_t *)rn_tensor_data(image))[i] = test_pixel(5, i / (height * width), i / width % height, i % width);
    return image;
}

/* Row `view` of `views`, f32 [n, 3, height, width], is that part of `image`, u8 [3, H, W], mirrored or not. */
static void expect_part(const rn_tensor *views, int64_t view, const rn_tensor *image, int64_t top, int64_t left,
                        int mirrored)
{
    const int64_t height = rn_tensor_dim(views, 2), width = rn_tensor_dim(views, 3);
    const int64_t h = rn_tensor_dim(image, 1), w = rn_tensor_dim(image, 2);
    const float *got = (const float *)rn_tensor_data(views) + view * 3 * height * width;
    for (int64_t i = 0; i < 3 * height * width; i++) {
        const int64_t x = i % width, column = left + (mirrored ? width - 1 - x : x);
        const uint8_t from =
            ((uint8_t *)rn_tensor_data(image))[(i / (height * width) * h + top + i / width % height) * w + column];
        ck_assert_msg(got[i] == (float)from / 255.0f, "view %d, element %d", (int)view, (int)i);
    }
}

/* The corners and the middle of an image, 10 x 13 in 15 x 20, then of the mirrored one. */
static void expect_ten(const rn_tensor *views, const rn_tensor *image)
{
    static const int64_t places[10][2] = {{0, 0}, {0, 7}, {5, 0}, {5, 7}, {2, 4}, /* 2.5 and 3.5, to even */
                                          {0, 7}, {0, 0}, {5, 7}, {5, 0}, {2, 3}}; /* 3.5 to 4 from the right */
    ck_assert_int_eq(rn_tensor_dim(views, 0), 10);
    for (int i = 0; i < 10; i++)
        expect_part(views, i, image, places[i][0], places[i][1], i >= 5);
}

START_TEST(ten_crops)
{
    begin();
    rn_tensor *const image = some_image(15, 20), *large = NULL, *views = NULL;
    rn_transform *t = new_transform();
    ck_ok(rn_transform_ten_crop(t, 10, 13));
    ck_ok(rn_transform_apply(t, image, 0, &views));
    expect_ten(views, image);
    rn_tensor_release(views);
    ck_fails(rn_transform_ten_crop(t, 5, 5), RN_E_INVALID, "expected one step ten crop, got a second one");
    rn_transform_release(t);

    /* The same behind a resized short side, where they are part of the frame. */
    t = new_transform();
    ck_ok(rn_image_resize(image, 30, 40, &large));
    ck_ok(rn_transform_short_side(t, 15, 15));
    ck_ok(rn_transform_ten_crop(t, 10, 13));
    ck_ok(rn_transform_apply(t, large, 0, &views));
    rn_tensor *small = NULL;
    ck_ok(rn_image_resize(large, 15, 20, &small));
    expect_ten(views, small);
    rn_transform_release(t);
    rn_tensor_release(views), rn_tensor_release(image), rn_tensor_release(large), rn_tensor_release(small);
    rn_context_release(ctx);
}
END_TEST

/* A batch has ten rows per image, with its label each. */
START_TEST(ten_crop_batches)
{
    begin();
    rn_dataset *const ds = test_images(cpu, 5, 3, 12, 4);
    rn_transform *const t = new_transform();
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    rn_loader *l = NULL;
    rn_tensor *images = NULL, *labels = NULL;
    ck_ok(rn_transform_ten_crop(t, 8, 7));
    o.batch = 3, o.transform = t;
    ck_ok(rn_loader_create(ds, &o, &l));
    for (int64_t first = 0; first < 5; first += 3) {
        const int64_t n = first == 0 ? 3 : 2;
        ck_ok(rn_loader_next(l, &images, &labels));
        ck_assert_int_eq(rn_tensor_dim(images, 0), 10 * n);
        ck_assert_int_eq(rn_tensor_dim(labels, 0), 10 * n);
        for (int64_t i = 0; i < n; i++) {
            rn_tensor *image = NULL, *views = NULL, *part = NULL;
            int64_t label = -1;
            ck_ok(rn_dataset_read_image(ds, first + i, &image, &label));
            ck_ok(rn_transform_apply(t, image, 0, &views));
            ck_ok(rn_tensor_slice(images, 10 * i, 10, &part));
            ck_assert_int_eq(memcmp(rn_tensor_data(part), rn_tensor_data(views), rn_tensor_nbytes(views)), 0);
            for (int64_t k = 0; k < 10; k++)
                ck_assert_int_eq(((int64_t *)rn_tensor_data(labels))[10 * i + k], label);
            rn_tensor_release(image), rn_tensor_release(views), rn_tensor_release(part);
        }
    }
    ck_assert_int_eq(rn_loader_next(l, &images, &labels), RN_END);
    rn_loader_release(l);
    rn_transform_release(t);
    rn_dataset_release(ds);
    rn_context_release(ctx);
}
END_TEST

/* Datasets of one size may be resized, too; later steps see the new size. */
START_TEST(resizes_images_of_one_size)
{
    begin();
    rn_tensor *const image = some_image(12, 18), *resized = NULL, *views = NULL;
    rn_transform *t = new_transform();
    ck_ok(rn_transform_short_side(t, 8, 8));
    ck_ok(rn_transform_apply(t, image, 0, &views));
    ck_ok(rn_image_resize(image, 8, 12, &resized));
    ck_assert_int_eq(rn_tensor_dim(views, 3), 12);
    expect_part(views, 0, resized, 0, 0, 0);
    rn_tensor_release(views), rn_tensor_release(resized);
    rn_transform_release(t);
    t = new_transform();
    ck_ok(rn_transform_resize(t, 20, 30));
    ck_ok(rn_transform_random_hflip(t, 1.0));
    ck_ok(rn_transform_center_crop(t, 10, 10));
    ck_ok(rn_transform_apply(t, image, 0, &views));
    ck_ok(rn_image_resize(image, 20, 30, &resized));
    expect_part(views, 0, resized, 5, 10, 1);
    rn_tensor_release(views), rn_tensor_release(resized), rn_tensor_release(image);
    rn_transform_release(t);
    rn_context_release(ctx);
}
END_TEST

START_TEST(applies_at_random)
{
    begin();
    rn_tensor *const image = some_image(12, 18), *a = NULL, *b = NULL, *c = NULL;
    rn_transform *const t = new_transform();
    ck_ok(rn_transform_random_resized_crop(t, 6, 6, NULL, NULL));
    ck_ok(rn_transform_apply(t, image, 1, &a));
    ck_ok(rn_transform_apply(t, image, 1, &b));
    ck_ok(rn_transform_apply(t, image, 2, &c));
    ck_assert_int_eq(memcmp(rn_tensor_data(a), rn_tensor_data(b), rn_tensor_nbytes(a)), 0);
    ck_assert_int_ne(memcmp(rn_tensor_data(a), rn_tensor_data(c), rn_tensor_nbytes(a)), 0);
    rn_tensor_release(a), rn_tensor_release(b), rn_tensor_release(c), rn_tensor_release(image);
    rn_transform_release(t);
    rn_context_release(ctx);
}
END_TEST

START_TEST(what_does_not_fit)
{
    begin();
    rn_transform *t = new_transform();
    ck_fails(
        refused(rn_transform_retain(NULL), RN_U8, 0, 0), RN_E_SHAPE,
        "images differ in size: expected a random resized crop, a resize, or a short side and a crop at the beginning, "
        "got no steps");
    ck_ok(rn_transform_center_crop(t, 5, 5));
    ck_fails(refused(t, RN_U8, 0, 0), RN_E_SHAPE,
             "images differ in size: expected a random resized crop, a resize, or a "
             "short side and a crop at the beginning, got center crop");
    t = new_transform();
    ck_ok(rn_transform_short_side(t, 8, 8));
    ck_fails(refused(t, RN_U8, 0, 0), RN_E_SHAPE,
             "expected a crop to a size, without padding, as step 1, got no more steps");
    t = new_transform();
    ck_ok(rn_transform_short_side(t, 8, 9));
    ck_ok(rn_transform_random_crop(t, 1, 4, 4));
    ck_fails(refused(t, RN_U8, 20, 20), RN_E_SHAPE, "without padding, as step 1, got random crop");
    t = new_transform();
    ck_ok(rn_transform_short_side(t, 8, 9));
    ck_ok(rn_transform_random_crop(t, 0, 8, 9));
    ck_fails(refused(t, RN_U8, 0, 0), RN_E_SHAPE, "step 1, random crop: expected at most the short side, 8, got 8 x 9");
    t = new_transform();
    ck_ok(rn_transform_resize(t, 8, 9));
    ck_ok(rn_transform_resize(t, 8, 9));
    ck_fails(refused(t, RN_U8, 0, 0), RN_E_INVALID, "step 1, resize: expected at the beginning only");
    t = new_transform();
    ck_ok(rn_transform_resize(t, 8, 9));
    ck_ok(rn_transform_center_crop(t, 9, 9));
    ck_fails(refused(t, RN_U8, 0, 0), RN_E_SHAPE,
             "step 1, center crop: expected a padded image of at least 9 x 9, got 8 x 9");
    t = new_transform();
    ck_ok(rn_transform_resize(t, 8, 9));
    ck_fails(refused(t, RN_F32, 8, 8), RN_E_DTYPE, "step 0, resize: expected a dataset of u8, got f32");

    rn_tensor *const image = some_image(4, 4), *views = NULL, *flat = NULL;
    const int64_t dims[1] = {3};
    t = new_transform();
    ck_ok(rn_tensor_create(cpu, RN_U8, 1, dims, &flat));
    ck_fails(rn_transform_apply(NULL, image, 0, &views), RN_E_INVALID, "t is NULL");
    ck_fails(rn_transform_apply(t, NULL, 0, &views), RN_E_INVALID, "image is NULL");
    ck_fails(rn_transform_apply(t, flat, 0, &views), RN_E_SHAPE,
             "image: expected [C, H, W] with a pixel or more, got [3]");
    ck_assert_ptr_null(views);
    rn_tensor_release(image), rn_tensor_release(flat);
    rn_transform_release(t);
    rn_context_release(ctx);
}
END_TEST

SUPPORT_MAIN("frame", resized_crop, resized_crop_of_strips, short_side, ten_crops, ten_crop_batches,
             resizes_images_of_one_size, applies_at_random, what_does_not_fit)
