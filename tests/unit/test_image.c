/* SPDX-License-Identifier: MIT */
/* Pictures: what Pillow makes of the same files, resizing, damage of every kind. */
#include "image_support.h"
#include "image/format.h"

static const char *const jpegs[] = {
    "rgb_420.jpg",       "rgb_422.jpg",       "rgb_444.jpg",       "progressive.jpg",   "grey.jpg",
    "cmyk.jpg",          "orientation_1.jpg", "orientation_2.jpg", "orientation_3.jpg", "orientation_4.jpg",
    "orientation_5.jpg", "orientation_6.jpg", "orientation_7.jpg", "orientation_8.jpg",
};
static const char *const pngs[] = {
    "rgb.png",       "rgba.png",         "grey.png",          "grey_alpha.png", "grey_1bit.png",
    "palette.png",   "palette_4bit.png", "palette_clear.png", "rgb_clear.png",  "interlaced.png",
    "rgb_16bit.png", "grey_16bit.png",   "orientation_6.png",
};
enum { NUM_JPEGS = sizeof jpegs / sizeof *jpegs, NUM_PNGS = sizeof pngs / sizeof *pngs };

/* Sides of the picture that the fixtures show. */
enum { HEIGHT = 17, WIDTH = 23 };

static rn_context *ctx;
static rn_device *cpu;

static void setup(void)
{
    ctx = support_context(&cpu);
}

static void teardown(void)
{
    rn_context_release(ctx);
}

/* The release of libjpeg may round otherwise than the one that Pillow had. */
START_TEST(jpeg_as_pillow)
{
    rn_tensor *image = NULL;
    ck_ok(rn_image_read(ctx, fixture_path(jpegs[_i]), NULL, &image));
    ck_assert_msg(difference(image, jpegs[_i]) <= 1, "%s: off by %d", jpegs[_i], difference(image, jpegs[_i]));
    rn_tensor_release(image);
}
END_TEST

START_TEST(png_as_pillow)
{
    rn_tensor *image = NULL;
    ck_ok(rn_image_read(ctx, fixture_path(pngs[_i]), NULL, &image));
    ck_assert_msg(difference(image, pngs[_i]) == 0, "%s: off by %d", pngs[_i], difference(image, pngs[_i]));
    rn_tensor_release(image);
}
END_TEST

/* Fixtures 2 to 8 hold the same pixels as fixture 1. */
START_TEST(as_stored)
{
    rn_image_options o = RN_IMAGE_OPTIONS_INIT;
    rn_tensor *image = NULL;
    o.flags = RN_IMAGE_AS_STORED;
    for (int i = 2; i <= 8; i++) {
        char name[40];
        snprintf(name, sizeof name, "orientation_%d.jpg", i);
        ck_ok(rn_image_read(ctx, fixture_path(name), &o, &image));
        ck_assert_int_le(difference(image, "orientation_1.jpg"), 1);
        rn_tensor_release(image);
    }
    ck_ok(rn_image_read(ctx, fixture_path("orientation_6.png"), &o, &image));
    ck_assert_int_eq(difference(image, "rgb.png"), 0);
    rn_tensor_release(image);
}
END_TEST

START_TEST(exif)
{
    static const unsigned char little[] = "II*\0\10\0\0\0\2\0\x0f\1\2\0\1\0\0\0a\0\0\0\x12\1\3\0\1\0\0\0\6\0\0\0";
    static const unsigned char big[] = "MM\0*\0\0\0\10\0\1\1\x12\0\3\0\0\0\1\0\10\0\0";
    unsigned char changed[sizeof little];
    ck_assert_int_eq(rni_exif_orientation(little, sizeof little), 6);
    ck_assert_int_eq(rni_exif_orientation(big, sizeof big), 8);
    for (size_t size = 0; size < 34; size++) {
        unsigned char *const exact = malloc(size + 1); /* so that a byte too many is seen */
        memcpy(exact, little, size);
        ck_assert_int_eq(rni_exif_orientation(exact, size), 1);
        free(exact);
    }
    memcpy(changed, little, sizeof little);
    changed[4] = 0xff, changed[7] = 0xff; /* a directory far away */
    ck_assert_int_eq(rni_exif_orientation(changed, sizeof changed), 1);
    memcpy(changed, little, sizeof little);
    changed[30] = 9; /* no orientation */
    ck_assert_int_eq(rni_exif_orientation(changed, sizeof changed), 1);
}
END_TEST

START_TEST(resize_as_pillow)
{
    static const int sizes[][2] = {{7, 9}, {17, 23}, {31, 40}, {40, 5}, {1, 1}, {17, 11}, {8, 23}, {3, 100}};
    rn_tensor *image = NULL, *resized = NULL;
    ck_ok(rn_image_read(ctx, fixture_path("rgb.png"), NULL, &image));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char name[40];
        snprintf(name, sizeof name, "resize_%dx%d", sizes[i][0], sizes[i][1]);
        ck_ok(rn_image_resize(image, sizes[i][0], sizes[i][1], &resized));
        ck_assert_msg(difference(resized, name) == 0, "%s: off by %d", name, difference(resized, name));
        rn_tensor_release(resized);
    }
    rn_tensor_release(image);
}
END_TEST

/* A window is that part of the whole; a box is the picture that was cut out before. */
START_TEST(windows_and_boxes)
{
    static uint8_t whole[3 * 31 * 29], part[3 * 31 * 29];
    rn_tensor *image = NULL;
    ck_ok(rn_image_read(ctx, fixture_path("rgb.png"), NULL, &image));
    const rni_raster from = rni_raster_planes(rn_tensor_data(image), 3, HEIGHT, WIDTH);
    rni_frame f = rni_frame_whole(HEIGHT, WIDTH, 31, 29);
    ck_ok(rni_resize(&rni_default_allocator, &from, &f, whole));
    f.window_top = 4, f.window_left = 9, f.window_height = 20, f.window_width = 7;
    ck_ok(rni_resize(&rni_default_allocator, &from, &f, part));
    for (int i = 0; i < 3 * 20 * 7; i++)
        ck_assert_int_eq(part[i], whole[(i / 140 * 31 + i / 7 % 20 + 4) * 29 + i % 7 + 9]);

    const rni_raster cut = {from.data + 5 * from.row + 8, 3, 10, 12, from.plane, from.row, 1};
    f = rni_frame_whole(10, 12, 6, 5);
    ck_ok(rni_resize(&rni_default_allocator, &cut, &f, whole));
    f.top = 5, f.left = 8;
    ck_ok(rni_resize(&rni_default_allocator, &from, &f, part));
    ck_assert_int_eq(memcmp(whole, part, 3 * 6 * 5), 0);
    rn_tensor_release(image);
}
END_TEST

/* Reduced decoding keeps to the sides asked for, and shows the same picture. */
START_TEST(reduced)
{
    static const struct {
        int64_t least_height, least_width, height, width;
    } cases[] = {{0, 0, 17, 23},  {17, 23, 17, 23}, {9, 1, 17, 23}, {8, 11, 9, 12},
                 {8, 12, 17, 23}, {1, 5, 5, 6},     {1, 1, 3, 3}};
    const rn_image_options o = RN_IMAGE_OPTIONS_INIT;
    size_t size;
    unsigned char *const data = read_bytes(fixture_path("rgb_444.jpg"), &size);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rni_decoder *d = NULL;
        rni_pixels pixels;
        ck_ok(rni_decoder_open(&rni_default_allocator, data, size, &o, &d));
        ck_assert_int_eq(rni_decoder_height(d), HEIGHT);
        ck_assert_int_eq(rni_decoder_width(d), WIDTH);
        ck_ok(rni_decoder_read(d, cases[i].least_height, cases[i].least_width, &pixels));
        ck_assert_int_eq(pixels.height, cases[i].height);
        ck_assert_int_eq(pixels.width, cases[i].width);
        ck_assert_int_eq((int64_t)(HEIGHT * pixels.scale + 0.999), cases[i].height);
        rni_free(&rni_default_allocator, pixels.data);
        rni_decoder_close(d);
    }
    free(data);
}
END_TEST

static void refuse(const void *data, size_t size, rn_status expected, const char *message)
{
    rn_tensor *image = NULL;
    ck_fails(rn_image_decode(ctx, data, size, NULL, &image), expected, message);
    ck_assert_ptr_null(image);
}

START_TEST(no_pictures)
{
    rn_tensor *image = NULL;
    refuse("", 0, RN_E_FORMAT, "expected a JPEG or PNG picture, got no bytes");
    refuse("Hello, world", 12, RN_E_FORMAT, "expected a JPEG or PNG picture, got bytes that begin with 48 65");
    refuse("\xff\xd8\xff", 3, RN_E_FORMAT, "JPEG: ends early");
    refuse("\x89PNG\r\n\x1a\n", 8, RN_E_FORMAT, "PNG: ends early");
    refuse("\xff\xd8\xff\xd9", 4, RN_E_FORMAT, "JPEG: ");
    ck_fails(rn_image_read(ctx, "/nonexistent/x.jpg", NULL, &image), RN_E_NOT_FOUND, "/nonexistent/x.jpg: ");
    ck_fails(rn_image_read(ctx, "/tmp", NULL, &image), RN_E_IO, "/tmp: is no regular file");
    files f = files_begin();
    const char *const path = files_write(&f, "text.jpg", "some text", 9);
    ck_fails(rn_image_read(ctx, path, NULL, &image), RN_E_FORMAT, "text.jpg: expected a JPEG or PNG");
    ck_fails(rn_image_read(ctx, files_write(&f, "empty.png", "", 0), NULL, &image), RN_E_FORMAT, "empty.png: ");
    files_end(&f);
    ck_assert_ptr_null(image);
}
END_TEST

/* Cut short at any byte: an error, or what is there is whole. PNG's end chunk and JPEG's end marker may be missing. */
START_TEST(truncated)
{
    static const struct {
        const char *name;
        size_t spared;
    } cases[] = {{"rgb_420.jpg", 6}, {"grey.jpg", 6}, {"progressive.jpg", 1}, {"rgb.png", 20}, {"interlaced.png", 20}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size;
        unsigned char *const data = read_bytes(fixture_path(cases[i].name), &size);
        for (size_t cut = 0; cut < size; cut++) {
            rn_tensor *image = NULL;
            unsigned char *const part = malloc(cut + 1);
            memcpy(part, data, cut);
            const rn_status status = rn_image_decode(ctx, part, cut, NULL, &image);
            if (cut + cases[i].spared < size)
                ck_assert_msg(status == RN_E_FORMAT, "%s, %zu bytes: %s", cases[i].name, cut, rn_status_name(status));
            ck_assert((status == RN_OK) == (image != NULL));
            rn_tensor_release(image);
            free(part);
        }
        free(data);
    }
    size_t size;
    unsigned char *const data = read_bytes(fixture_path("rgb_444.jpg"), &size);
    refuse(data, size / 2 + 200, RN_E_FORMAT, "JPEG: ends early");
    free(data);
}
END_TEST

/* Sizes are refused from the header, before memory is taken. */
START_TEST(too_large)
{
    rn_image_options o = RN_IMAGE_OPTIONS_INIT;
    rn_tensor *image = NULL;
    size_t size;
    unsigned char *const data = read_bytes(fixture_path("rgb_420.jpg"), &size);
    o.max_pixels = HEIGHT * WIDTH;
    ck_ok(rn_image_decode(ctx, data, size, &o, &image));
    rn_tensor_release(image);
    image = NULL;
    o.max_pixels--;
    ck_fails(rn_image_decode(ctx, data, size, &o, &image), RN_E_FORMAT,
             "JPEG: expected at most 390 pixels, got 17 x 23");
    for (size_t i = 0; i + 9 < size; i++)
        if (data[i] == 0xff && data[i + 1] == 0xc0)
            memset(data + i + 5, 0xee, 4); /* the frame header's sides */
    refuse(data, size, RN_E_FORMAT, "JPEG: expected at most 67108864 pixels, got 61166 x 61166");
    free(data);

    static const unsigned char png[] =
        "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xff\xff\0\0\xff\xff\10\2\0\0\0\x39\x67\x4e\x07"
        "\0\0\0\0IDAT\x35\xaf\x06\x1e";
    refuse(png, sizeof png - 1, RN_E_FORMAT, "PNG: expected at most 67108864 pixels, got 65535 x 65535");
    ck_assert_ptr_null(image);
}
END_TEST

/* Every byte of a file set to other values: never a crash; what comes back is a picture or an error with a message. */
START_TEST(changed_bytes)
{
    static const char *const names[] = {"progressive.jpg", "cmyk.jpg", "palette_4bit.png", "interlaced.png"};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        size_t size;
        unsigned char *const data = read_bytes(fixture_path(names[n]), &size);
        for (size_t i = 0; i < size; i++) {
            rn_image_options o = RN_IMAGE_OPTIONS_INIT;
            rn_tensor *image = NULL;
            const unsigned char old = data[i];
            o.max_pixels = 1 << 16;
            data[i] = (unsigned char)(old + 1 + 97 * i % 255);
            if (rn_image_decode(ctx, data, size, &o, &image) < 0)
                ck_assert_uint_gt(strlen(rn_error_message()), 0);
            rn_tensor_release(image);
            data[i] = old;
        }
        free(data);
    }
}
END_TEST

START_TEST(arguments)
{
    rn_image_options o = RN_IMAGE_OPTIONS_INIT;
    const int64_t dims[] = {3, 4, 5}, four[] = {1, 3, 4, 5};
    rn_tensor *image = NULL, *floats = NULL, *batch = NULL, *out = NULL;
    ck_ok(rn_image_options_init(&o, sizeof o));
    ck_assert_int_eq(o.max_pixels, 67108864);
    ck_fails(rn_image_read(NULL, "x", NULL, &out), RN_E_INVALID, "ctx is NULL");
    ck_fails(rn_image_read(ctx, NULL, NULL, &out), RN_E_INVALID, "path is NULL");
    ck_fails(rn_image_read(ctx, "x", NULL, NULL), RN_E_INVALID, "out is NULL");
    ck_fails(rn_image_decode(ctx, NULL, 3, NULL, &out), RN_E_INVALID, "data is NULL");
    o.flags = 2;
    ck_fails(rn_image_decode(ctx, "x", 1, &o, &out), RN_E_INVALID, "options.flags: unknown flag in 0x2");
    o.flags = 0, o.max_pixels = 0;
    ck_fails(rn_image_decode(ctx, "x", 1, &o, &out), RN_E_INVALID, "options.max_pixels: expected 1 or more, got 0");
    o.struct_size = 1;
    ck_fails(rn_image_decode(ctx, "x", 1, &o, &out), RN_E_VERSION, "rn_image_options");

    ck_ok(rn_tensor_create(cpu, RN_U8, 3, dims, &image));
    ck_ok(rn_tensor_create(cpu, RN_F32, 3, dims, &floats));
    ck_ok(rn_tensor_create(cpu, RN_U8, 4, four, &batch));
    ck_fails(rn_image_resize(NULL, 1, 1, &out), RN_E_INVALID, "image is NULL");
    ck_fails(rn_image_resize(image, 0, 1, &out), RN_E_INVALID, "height: expected 1 to 2147483647, got 0");
    ck_fails(rn_image_resize(image, 1, -1, &out), RN_E_INVALID, "width: expected 1 to 2147483647, got -1");
    ck_fails(rn_image_resize(floats, 1, 1, &out), RN_E_DTYPE, "image: expected u8, got f32");
    ck_fails(rn_image_resize(batch, 1, 1, &out), RN_E_SHAPE,
             "image: expected [C, H, W] with a pixel or more, got [1, 3, 4, 5]");
    ck_assert_ptr_null(out);
    ck_assert_ptr_nonnull(strstr(rn_build_info(RN_BUILD_FEATURES), "images"));
    rn_tensor_release(image), rn_tensor_release(floats), rn_tensor_release(batch);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("image");
    TCase *tcase = tcase_create("image");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, jpeg_as_pillow, 0, NUM_JPEGS);
    tcase_add_loop_test(tcase, png_as_pillow, 0, NUM_PNGS);
    tcase_add_test(tcase, as_stored);
    tcase_add_test(tcase, exif);
    tcase_add_test(tcase, resize_as_pillow);
    tcase_add_test(tcase, windows_and_boxes);
    tcase_add_test(tcase, reduced);
    tcase_add_test(tcase, no_pictures);
    tcase_add_test(tcase, truncated);
    tcase_add_test(tcase, too_large);
    tcase_add_test(tcase, changed_bytes);
    tcase_add_test(tcase, arguments);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
