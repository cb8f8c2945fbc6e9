/* SPDX-License-Identifier: MIT */
/* Image folders: which files they find, what loaders make of them, files that cannot be read; training on one. */
#include "image_support.h"
#include "data/data.h"
#include <pthread.h>
#include <sys/stat.h>
#include <jpeglib.h>

enum { FIXTURE_WIDTH = 23 }; /* when upright; 17 high */

static rn_context *ctx;
static rn_device *cpu;
static char root[64];

/* Warnings that were logged, by any thread. */
static pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;
static char logged[4000];
static int num_logged;

static void log_line(void *user, int32_t level, const char *text)
{
    (void)user, (void)level;
    pthread_mutex_lock(&log_mutex);
    num_logged++;
    snprintf(logged, sizeof logged, "%s", text);
    pthread_mutex_unlock(&log_mutex);
}

static void setup(void)
{
    rn_context_options o = RN_CONTEXT_OPTIONS_INIT;
    o.num_threads = 2;
    o.seed = 7;
    o.log = log_line;
    o.log_level = RN_LOG_WARNING;
    num_logged = 0;
    logged[0] = '\0';
    ck_ok(rn_context_create(&o, &ctx));
    ck_ok(rn_context_find_device(ctx, "cpu", &cpu));
    strcpy(root, "/tmp/resnet-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
}

static void teardown(void)
{
    char command[100];
    snprintf(command, sizeof command, "rm -r %s", root);
    ck_assert_int_eq(system(command), 0);
    rn_context_release(ctx);
}

static const char *below(const char *name)
{
    static char path[4][400];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", root, name);
    return path[next];
}

static void make_dir(const char *name)
{
    ck_assert_int_eq(mkdir(below(name), 0777), 0);
}

static void put(const char *name, const void *data, size_t size)
{
    FILE *const file = fopen(below(name), "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

/* A copy of a fixture. */
static void put_fixture(const char *name, const char *fixture)
{
    size_t size;
    unsigned char *const data = read_bytes(fixture_path(fixture), &size);
    put(name, data, size);
    free(data);
}

/* Two classes of three pictures each. */
static void make_small(void)
{
    make_dir("train");
    make_dir("train/cat");
    make_dir("train/dog");
    put_fixture("train/cat/1.jpg", "rgb_420.jpg");
    put_fixture("train/cat/2.png", "rgb.png");
    put_fixture("train/cat/3.jpeg", "orientation_6.jpg");
    put_fixture("train/dog/1.jpg", "grey.jpg");
    put_fixture("train/dog/2.jpg", "cmyk.jpg");
    put_fixture("train/dog/3.PNG", "palette.png");
}

static rn_dataset *open_folder(const char *name, uint64_t flags)
{
    rn_image_folder_options o = RN_IMAGE_FOLDER_OPTIONS_INIT;
    rn_dataset *ds = NULL;
    o.flags = flags;
    ck_ok(rn_image_folder_open(ctx, below(name), &o, &ds));
    return ds;
}

static rn_transform *new_transform(void)
{
    rn_transform *t = NULL;
    ck_ok(rn_transform_create(ctx, &t));
    return t;
}

static rn_loader *new_loader(rn_dataset *ds, rn_transform *t, int64_t batch, int32_t workers)
{
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    rn_loader *l = NULL;
    o.batch = batch, o.workers = workers, o.transform = t, o.seed = 3;
    ck_ok(rn_loader_create(ds, &o, &l));
    return l;
}

/* A JPEG whose grey level at (y, x) is what `level` says. */
static void put_jpeg(const char *name, int height, int width, int (*level)(int y, int x, int height, int width))
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    FILE *const file = fopen(below(name), "wb");
    JSAMPLE row[3 * 200];
    JSAMPROW rows[1] = {row};
    ck_assert_ptr_nonnull(file);
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, file);
    jpeg.image_height = (JDIMENSION)height;
    jpeg.image_width = (JDIMENSION)width;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 90, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < 3 * width; x++)
            row[x] = (JSAMPLE)level(y, x / 3, height, width);
        jpeg_write_scanlines(&jpeg, rows, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(finds_files)
{
    static const char *const expected[] = {"B/z.jpg",        "B/a/1.jpg", "B/a/2.JPG",      "B/a-b/x.png",
                                           "B/a/deep/3.jpg", "a/1.jpeg",  "a/linked/1.jpg", "\xc3\xa4/x.PnG"};
    static const int64_t labels[] = {0, 0, 0, 0, 0, 1, 1, 2};
    static const char *const dirs[] = {"d",          "d/a",        "d/B",    "d/B/a",    "d/B/a-b",
                                       "d/B/a/deep", "d/\xc3\xa4", "d/.git", "elsewhere"};
    static const char *const pictures[] = {
        "d/B/a/deep/3.jpg", "d/B/a/2.JPG",      "d/B/a/1.jpg",     "d/B/a-b/x.png", "d/B/z.jpg",
        "d/a/1.jpeg",       "d/\xc3\xa4/x.PnG", "elsewhere/1.jpg", "d/.git/1.jpg",  "d/a/.hidden.jpg",
        "d/beside.jpg",     "d/a/.jpg",         "d/a/other.bmp",   "d/a/jpg",
    };
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++)
        make_dir(dirs[i]);
    for (size_t i = 0; i < sizeof pictures / sizeof *pictures; i++)
        put_fixture(pictures[i], "rgb.png");
    ck_assert_int_eq(symlink(below("elsewhere"), below("d/a/linked")), 0);
    rn_dataset *const ds = open_folder("d", 0);
    rn_dataset_info info = RN_DATASET_INFO_INIT;
    ck_assert_int_eq(rn_dataset_size(ds), 8);
    ck_assert_int_eq(rn_dataset_classes(ds), 3);
    ck_assert_str_eq(rn_dataset_class_name(ds, 0), "B");
    ck_assert_str_eq(rn_dataset_class_name(ds, 1), "a");
    ck_assert_str_eq(rn_dataset_class_name(ds, 2), "\xc3\xa4");
    ck_assert_ptr_null(rn_dataset_class_name(ds, 3));
    ck_assert_ptr_null(rn_dataset_class_name(ds, -1));
    ck_assert_ptr_null(rn_dataset_item_name(ds, 8));
    ck_assert_ptr_null(rn_dataset_item_name(NULL, 0));
    for (int64_t i = 0; i < 8; i++) {
        rn_tensor *image = NULL;
        int64_t label = -1;
        ck_assert_str_eq(rn_dataset_item_name(ds, i), expected[i]);
        ck_ok(rn_dataset_read_image(ds, i, &image, &label));
        ck_assert_int_eq(label, labels[i]);
        ck_assert_int_eq(difference(image, "rgb.png"), 0);
        rn_tensor_release(image);
    }
    ck_ok(rn_dataset_describe(ds, &info));
    ck_assert_int_eq(info.channels, 3);
    ck_assert_int_eq(info.height, 0);
    ck_assert_int_eq(info.width, 0);
    ck_assert_int_eq(info.dtype, RN_U8);
    ck_assert_int_eq(num_logged, 1);
    ck_assert_ptr_nonnull(strstr(logged, "/d: 2 files are neither .jpg, .jpeg nor .png and are left out, such as a/"));
    rn_dataset_release(ds);
}
END_TEST

START_TEST(wrong_folders)
{
    rn_image_folder_options o = RN_IMAGE_FOLDER_OPTIONS_INIT;
    rn_dataset *ds = NULL;
    make_dir("d");
    put_fixture("file.jpg", "rgb_420.jpg");
    ck_fails(rn_image_folder_open(ctx, below("nothing"), NULL, &ds), RN_E_NOT_FOUND,
             "/nothing: cannot be read as a folder");
    ck_fails(rn_image_folder_open(ctx, below("file.jpg"), NULL, &ds), RN_E_NOT_FOUND,
             "/file.jpg: cannot be read as a folder");
    put_fixture("d/beside.jpg", "rgb_420.jpg");
    ck_fails(rn_image_folder_open(ctx, below("d"), NULL, &ds), RN_E_NOT_FOUND,
             "/d: expected a folder of pictures for each class, got no folders");
    make_dir("d/one");
    put_fixture("d/one/1.jpg", "rgb_420.jpg");
    ck_fails(rn_image_folder_open(ctx, below("d"), NULL, &ds), RN_E_INVALID,
             "/d: expected folders of two classes or more, got one, 'one'");
    make_dir("d/two");
    put("d/two/readme.txt", "x", 1);
    ck_fails(rn_image_folder_open(ctx, below("d"), NULL, &ds), RN_E_NOT_FOUND,
             "/d/two: expected .jpg, .jpeg or .png files of the class, got none");
    put_fixture("d/two/1.jpg", "rgb_420.jpg");
    ck_assert_int_eq(symlink(below("d"), below("d/two/again")), 0);
    ck_fails(rn_image_folder_open(ctx, below("d"), NULL, &ds), RN_E_INVALID, "folders are nested more than 32 deep");
    ck_assert_int_eq(unlink(below("d/two/again")), 0);
    o.flags = 64;
    ck_fails(rn_image_folder_open(ctx, below("d"), &o, &ds), RN_E_INVALID, "options.flags: unknown flag in 0x40");
    o.flags = 0, o.max_pixels = -1;
    ck_fails(rn_image_folder_open(ctx, below("d"), &o, &ds), RN_E_INVALID,
             "options.max_pixels: expected 1 or more, got -1");
    o.struct_size = 4;
    ck_fails(rn_image_folder_open(ctx, below("d"), &o, &ds), RN_E_VERSION, "rn_image_folder_options");
    ck_fails(rn_image_folder_open(NULL, "d", NULL, &ds), RN_E_INVALID, "ctx is NULL");
    ck_fails(rn_image_folder_open(ctx, NULL, NULL, &ds), RN_E_INVALID, "dir is NULL");
    ck_ok(rn_image_folder_options_init(&o, sizeof o));
    ck_assert_ptr_null(o.classes_of);
    ck_assert_ptr_null(ds);
}
END_TEST

/* A test set has the training set's labels, whatever folders it lacks. */
START_TEST(classes_of_another)
{
    rn_image_folder_options o = RN_IMAGE_FOLDER_OPTIONS_INIT;
    rn_dataset *ds = NULL;
    rn_tensor *image = NULL;
    int64_t label = -1;
    make_small();
    rn_dataset *const train = open_folder("train", 0);
    make_dir("val"), make_dir("val/dog");
    put_fixture("val/dog/1.jpg", "rgb_420.jpg");
    o.classes_of = train;
    ck_ok(rn_image_folder_open(ctx, below("val"), &o, &ds));
    ck_assert_int_eq(rn_dataset_classes(ds), 2);
    ck_assert_str_eq(rn_dataset_class_name(ds, 0), "cat");
    ck_ok(rn_dataset_read_image(ds, 0, &image, &label));
    ck_assert_int_eq(label, 1);
    rn_tensor_release(image);
    rn_dataset_release(ds);
    ds = NULL;
    make_dir("val/cow");
    put_fixture("val/cow/1.jpg", "rgb_420.jpg");
    ck_fails(rn_image_folder_open(ctx, below("val"), &o, &ds), RN_E_INVALID,
             "/val: expected folders named as the classes of options.classes_of, got 'cow'");
    o.classes_of = test_images(cpu, 2, 1, 2, 2);
    ck_fails(rn_image_folder_open(ctx, below("val"), &o, &ds), RN_E_INVALID,
             "options.classes_of: expected a dataset whose classes have names");
    ck_assert_ptr_null(ds);
    rn_dataset_release(o.classes_of);
    rn_dataset_release(train);
}
END_TEST

START_TEST(named_files)
{
    rn_image_folder_options o = RN_IMAGE_FOLDER_OPTIONS_INIT;
    rn_dataset *ds = NULL;
    rn_tensor *image = NULL;
    int64_t label = -1;
    const char *paths[3] = {fixture_path("rgb.png"), "/nonexistent.jpg", fixture_path("rgb_420.jpg")};
    const int64_t labels[3] = {4, 0, 2}, wrong[3] = {4, 5, 2};
    ck_ok(rn_image_files_open(ctx, paths, labels, 3, 5, NULL, &ds));
    ck_assert_int_eq(rn_dataset_size(ds), 3);
    ck_assert_int_eq(rn_dataset_classes(ds), 5);
    ck_assert_str_eq(rn_dataset_item_name(ds, 2), paths[2]);
    ck_assert_ptr_null(rn_dataset_class_name(ds, 0));
    ck_ok(rn_dataset_read_image(ds, 0, &image, &label));
    ck_assert_int_eq(label, 4);
    ck_assert_int_eq(difference(image, "rgb.png"), 0);
    rn_tensor_release(image);
    image = NULL;
    ck_fails(rn_dataset_read_image(ds, 1, &image, &label), RN_E_NOT_FOUND, "/nonexistent.jpg: cannot be opened");
    ck_fails(rn_dataset_read_image(ds, 3, &image, &label), RN_E_INVALID, "index: expected 0 to 2, got 3");
    ck_fails(rn_dataset_read(ds, 0, &label, 8, &label), RN_E_UNSUPPORTED, "rn_dataset_read_image() reads one");
    ck_fails(rn_dataset_mean(ds, &image), RN_E_UNSUPPORTED, "images differ in size: they have no mean image");
    ck_assert_ptr_null(image);
    ck_assert_int_eq(label, 4);
    rn_dataset_release(ds);
    ds = NULL;
    ck_fails(rn_image_files_open(ctx, paths, wrong, 3, 5, NULL, &ds), RN_E_INVALID,
             "labels[1]: expected 0 to 4, got 5");
    ck_fails(rn_image_files_open(ctx, paths, NULL, 3, 0, NULL, &ds), RN_E_INVALID,
             "classes: expected 1 or more, got 0");
    paths[1] = NULL;
    ck_fails(rn_image_files_open(ctx, paths, NULL, 3, 1, NULL, &ds), RN_E_INVALID, "paths[1] is NULL");
    make_small();
    o.classes_of = open_folder("train", 0);
    ck_fails(rn_image_files_open(ctx, paths, NULL, 1, 3, &o, &ds), RN_E_INVALID,
             "options.classes_of: expected a dataset of 3 classes, got 2");
    ck_assert_ptr_null(ds);
    ck_ok(rn_image_files_open(ctx, paths, NULL, 1, 2, &o, &ds));
    ck_assert_str_eq(rn_dataset_class_name(ds, 1), "dog");
    rn_dataset_release(ds);
    rn_dataset_release(o.classes_of);
}
END_TEST

/* Loaders say what is missing of the transform. */
START_TEST(needs_a_size)
{
    make_small();
    rn_dataset *const ds = open_folder("train", 0);
    rn_transform *const t = new_transform();
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    rn_loader *l = NULL;
    ck_fails(rn_loader_create(ds, &o, &l), RN_E_SHAPE,
             "the dataset's images differ in size: expected a random resized crop");
    o.transform = t;
    ck_ok(rn_transform_random_hflip(t, 0.5));
    ck_fails(rn_loader_create(ds, &o, &l), RN_E_SHAPE, "at the beginning, got random hflip");
    ck_assert_ptr_null(l);
    rn_transform_release(t);
    rn_dataset_release(ds);
}
END_TEST

/* With full decoding a batch holds what resizing and cropping each picture by hand gives. */
START_TEST(batches_of_full_size)
{
    make_small();
    rn_dataset *const ds = open_folder("train", RN_IMAGE_FOLDER_FULL_SIZE);
    rn_transform *const t = new_transform();
    rn_tensor *images = NULL, *labels = NULL;
    ck_ok(rn_transform_short_side(t, 8, 8));
    ck_ok(rn_transform_center_crop(t, 7, 6));
    rn_loader *const l = new_loader(ds, t, 6, 0);
    ck_ok(rn_loader_next(l, &images, &labels));
    for (int64_t i = 0; i < 6; i++) {
        rn_tensor *image = NULL, *resized = NULL;
        int64_t label = -1;
        ck_ok(rn_dataset_read_image(ds, i, &image, &label));
        ck_assert_int_eq(((int64_t *)rn_tensor_data(labels))[i], label);
        const int on_its_side = rn_tensor_dim(image, 1) == FIXTURE_WIDTH;
        ck_assert_int_eq(on_its_side, i == 2);
        const int64_t height = on_its_side ? 10 : 8, width = on_its_side ? 8 : 10;
        ck_ok(rn_image_resize(image, height, width, &resized));
        const uint8_t *const from = rn_tensor_data(resized);
        const float *const got = (float *)rn_tensor_data(images) + i * 3 * 7 * 6;
        const int64_t top = on_its_side ? 2 : 0, left = on_its_side ? 1 : 2; /* 1.5 and 0.5, to even */
        for (int64_t k = 0; k < 3 * 7 * 6; k++)
            ck_assert(got[k] == (float)from[(k / 42 * height + k / 6 % 7 + top) * width + k % 6 + left] / 255.0f);
        rn_tensor_release(image), rn_tensor_release(resized);
    }
    rn_loader_release(l);
    rn_transform_release(t);
    rn_dataset_release(ds);
}
END_TEST

static int slope(int y, int x, int height, int width)
{
    return 40 + 100 * y / height + 80 * x / width;
}

/* Decoding at a reduced size shows the same, nearly. */
START_TEST(batches_of_reduced_size)
{
    make_dir("d"), make_dir("d/a"), make_dir("d/b");
    put_jpeg("d/a/1.jpg", 150, 200, slope), put_jpeg("d/a/2.jpg", 200, 63, slope), put_jpeg("d/b/1.jpg", 40, 41, slope);
    rn_dataset *const full = open_folder("d", RN_IMAGE_FOLDER_FULL_SIZE), *const reduced = open_folder("d", 0);
    rn_transform *const t = new_transform();
    rn_tensor *a = NULL, *b = NULL, *labels = NULL;
    ck_ok(rn_transform_random_resized_crop(t, 20, 20, NULL, NULL));
    rn_loader *const x = new_loader(full, t, 3, 0), *const y = new_loader(reduced, t, 3, 0);
    int different = 0;
    for (int epoch = 0; epoch < 10; epoch++) {
        ck_ok(rn_loader_next(x, &a, &labels));
        ck_ok(rn_loader_next(y, &b, &labels));
        for (int64_t i = 0; i < rn_tensor_count(a); i++) {
            const float full_level = ((float *)rn_tensor_data(a))[i], level = ((float *)rn_tensor_data(b))[i];
            ck_assert_float_le(full_level - level, 3.0f / 255.0f);
            ck_assert_float_le(level - full_level, 3.0f / 255.0f);
            different += full_level != level;
        }
        ck_assert_int_eq(rn_loader_next(x, &a, &labels), RN_END);
        ck_assert_int_eq(rn_loader_next(y, &b, &labels), RN_END);
    }
    ck_assert_int_gt(different, 0); /* else nothing was reduced */
    rn_loader_release(x), rn_loader_release(y);
    rn_transform_release(t);
    rn_dataset_release(full), rn_dataset_release(reduced);
}
END_TEST

/* The same bits for any number of workers. */
START_TEST(any_number_of_workers)
{
    make_small();
    rn_dataset *const ds = open_folder("train", 0);
    rn_transform *const t = new_transform();
    ck_ok(rn_transform_short_side(t, 9, 16));
    ck_ok(rn_transform_random_crop(t, 0, 8, 9));
    ck_ok(rn_transform_random_hflip(t, 0.5));
    ck_ok(rn_transform_pca_color(t, 0.1, NULL, NULL));
    rn_loader *l[3] = {new_loader(ds, t, 4, 0), new_loader(ds, t, 4, 1), new_loader(ds, t, 4, 3)};
    for (int batch = 0; batch < 12; batch++) {
        rn_tensor *first = NULL, *images = NULL, *labels = NULL;
        const rn_status status = rn_loader_next(l[0], &first, &labels);
        for (int i = 1; i < 3; i++) {
            ck_assert_int_eq(rn_loader_next(l[i], &images, &labels), status);
            if (status == RN_OK)
                ck_assert_int_eq(memcmp(rn_tensor_data(first), rn_tensor_data(images), rn_tensor_nbytes(first)), 0);
        }
    }
    for (int i = 0; i < 3; i++)
        rn_loader_release(l[i]);
    rn_transform_release(t);
    rn_dataset_release(ds);
}
END_TEST

static void break_some(void)
{
    make_small();
    put("train/cat/2.png", "nonsense", 8);
    put("train/dog/1.jpg", "", 0);
    put("train/dog/2.jpg", "\xff\xd8\xff", 3);
    ck_assert_int_eq(unlink(below("train/dog/3.PNG")), 0);
    ck_assert_int_eq(symlink("/nonexistent", below("train/dog/3.PNG")), 0);
}

static rn_transform *small_crop(void)
{
    rn_transform *const t = new_transform();
    ck_ok(rn_transform_random_resized_crop(t, 8, 8, NULL, NULL));
    return t;
}

START_TEST(broken_files_are_errors)
{
    break_some();
    rn_dataset *const ds = open_folder("train", 0);
    rn_transform *const t = small_crop();
    rn_tensor *images = NULL, *labels = NULL;
    for (int32_t workers = 0; workers < 3; workers++) {
        rn_loader *const l = new_loader(ds, t, 1, workers);
        ck_ok(rn_loader_next(l, &images, &labels));
        for (int again = 0; again < 2; again++)
            ck_fails(rn_loader_next(l, &images, &labels), RN_E_FORMAT,
                     "/train/cat/2.png: expected a JPEG or PNG picture");
        ck_ok(rn_loader_seek(l, 0, 2));
        ck_ok(rn_loader_next(l, &images, &labels));
        ck_fails(rn_loader_next(l, &images, &labels), RN_E_FORMAT,
                 "/train/dog/1.jpg: expected a JPEG or PNG picture, got no");
        ck_ok(rn_loader_seek(l, 0, 5));
        ck_fails(rn_loader_next(l, &images, &labels), RN_E_NOT_FOUND, "/train/dog/3.PNG: cannot be opened");
        rn_loader_release(l);
    }
    ck_assert_int_eq(num_logged, 0);
    ck_assert_int_eq(rn_image_folder_broken(ds), 0);
    ck_assert_int_eq(rn_image_folder_broken(NULL), 0);
    rn_transform_release(t);
    rn_dataset_release(ds);
}
END_TEST

/* Left out, with a warning each; what is left is as without them, and a batch without images does not appear. */
START_TEST(broken_files_left_out)
{
    break_some();
    rn_dataset *const ds = open_folder("train", RN_IMAGE_FOLDER_SKIP_BROKEN);
    rn_transform *const t = small_crop();
    for (int32_t workers = 0; workers < 3; workers++) {
        rn_loader *const l = new_loader(ds, t, 2, workers), *const single = new_loader(ds, t, 1, 0);
        for (int epoch = 0; epoch < 2; epoch++) {
            rn_tensor *images = NULL, *labels = NULL, *image = NULL;
            ck_ok(rn_loader_next(single, &image, &labels));
            ck_ok(rn_loader_next(l, &images, &labels));
            ck_assert_int_eq(rn_tensor_dim(images, 0), 1);
            ck_assert_int_eq(rn_tensor_dim(labels, 0), 1);
            ck_assert_int_eq(memcmp(rn_tensor_data(image), rn_tensor_data(images), rn_tensor_nbytes(image)), 0);
            ck_ok(rn_loader_next(single, &image, &labels));
            ck_ok(rn_loader_next(l, &images, &labels));
            ck_assert_int_eq(rn_tensor_dim(images, 0), 1);
            ck_assert_int_eq(memcmp(rn_tensor_data(image), rn_tensor_data(images), rn_tensor_nbytes(image)), 0);
            ck_assert_int_eq(rn_loader_next(l, &images, &labels), RN_END);
            ck_assert_int_eq(rn_loader_next(single, &images, &labels), RN_END);
        }
        rn_loader_release(l), rn_loader_release(single);
    }
    ck_assert_int_eq(rn_image_folder_broken(ds), 4);
    ck_assert_int_eq(num_logged, 4);
    ck_assert_ptr_nonnull(strstr(logged, ": left out"));
    rn_transform_release(t);
    rn_dataset_release(ds);
}
END_TEST

/* Another folder, another order or another way of decoding is another training. */
START_TEST(identity)
{
    make_small();
    char *texts[4];
    for (int i = 0; i < 4; i++) {
        if (i == 3)
            ck_assert_int_eq(rename(below("train/cat/1.jpg"), below("train/cat/4.jpg")), 0);
        rn_dataset *const ds = open_folder("train", i == 2 ? RN_IMAGE_FOLDER_FULL_SIZE : 0);
        rn_transform *const t = small_crop();
        rn_loader *const l = new_loader(ds, t, 2, 0);
        rni_text text = {.allocator = &rni_default_allocator};
        ck_ok(rni_loader_identity(l, &text));
        texts[i] = strdup(text.data);
        rni_text_free(&text);
        rn_loader_release(l), rn_transform_release(t), rn_dataset_release(ds);
    }
    ck_assert_str_eq(texts[0], texts[1]);
    ck_assert_str_ne(texts[0], texts[2]);
    ck_assert_str_ne(texts[0], texts[3]);
    ck_assert_ptr_nonnull(strstr(texts[0], "dataset images, 6 images [3, 0, 0] u8, 2 classes, labels "));
    ck_assert_ptr_nonnull(strstr(texts[0], "; resized crop to 8 x 8 area 0.0800"));
    for (int i = 0; i < 4; i++)
        free(texts[i]);
}
END_TEST

/* --- end to end -------------------------------------------------------------------------------------------------- */

static int bright_above(int y, int x, int height, int width)
{
    return (y < height / 2 ? 200 : 60) + (x * 7 + y * 3 + width) % 23;
}

static int bright_below(int y, int x, int height, int width)
{
    return (y < height / 2 ? 60 : 200) + (x * 5 + y * 3 + width) % 23;
}

/* ImageNet's layout: pictures of many sizes, two classes, for training and validation. */
static void make_imagenet(void)
{
    static const char *const splits[] = {"train", "val"};
    for (int split = 0; split < 2; split++) {
        make_dir(splits[split]);
        for (int class = 0; class < 2; class ++) {
            char name[100];
            snprintf(name, sizeof name, "%s/n%08d", splits[split], class);
            make_dir(name);
            for (int i = 0; i < (split ? 6 : 16); i++) {
                snprintf(name, sizeof name, "%s/n%08d/%d.JPEG", splits[split], class, i);
                put_jpeg(name, 40 + 17 * i % 60, 45 + 29 * i % 70, class ? bright_below : bright_above);
            }
        }
    }
}

static rn_plan *new_plan(rn_model *model, rn_optimizer *optimizer, rn_loss *loss, int64_t batch)
{
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    rn_plan *plan = NULL;
    o.mode = optimizer ? RN_PLAN_TRAIN : RN_PLAN_INFER;
    o.input_dims[0] = batch, o.input_dims[1] = 3, o.input_dims[2] = o.input_dims[3] = 24;
    o.loss = loss, o.optimizer = optimizer;
    ck_ok(rn_plan_create(model, &o, &plan));
    return plan;
}

static const double mean[3] = {0.485, 0.456, 0.406}, deviation[3] = {0.229, 0.224, 0.225};

static void train(rn_dataset *ds, rn_plan *plan)
{
    rn_transform *const t = new_transform();
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    const double area[2] = {0.6, 1.0};
    rn_loader *l = NULL;
    rn_tensor *images = NULL, *labels = NULL;
    ck_ok(rn_transform_random_resized_crop(t, 24, 24, area, NULL));
    ck_ok(rn_transform_random_hflip(t, 0.5));
    ck_ok(rn_transform_pca_color(t, 0.1, NULL, NULL));
    ck_ok(rn_transform_normalize(t, 3, mean, deviation));
    o.batch = 8, o.workers = 2, o.flags = RN_LOADER_SHUFFLE, o.transform = t, o.plan = plan;
    ck_ok(rn_loader_create(ds, &o, &l));
    for (int epoch = 0; epoch < 6; epoch++) {
        rn_status status;
        while ((status = rn_loader_next(l, &images, &labels)) == RN_OK)
            ck_ok(rn_plan_train_step(plan, images, labels));
        ck_assert_int_eq(status, RN_END);
    }
    rn_loader_release(l);
    rn_transform_release(t);
}

static rn_transform *for_testing(int ten)
{
    rn_transform *const t = new_transform();
    ck_ok(rn_transform_short_side(t, 28, 28));
    ck_ok(ten ? rn_transform_ten_crop(t, 24, 24) : rn_transform_center_crop(t, 24, 24));
    ck_ok(rn_transform_normalize(t, 3, mean, deviation));
    return t;
}

static void evaluate(rn_dataset *ds, rn_plan *plan)
{
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    rn_metrics metrics = RN_METRICS_INIT;
    rn_loader *l = NULL;
    rn_tensor *images = NULL, *labels = NULL;
    o.batch = 5, o.plan = plan, o.transform = for_testing(0);
    ck_ok(rn_loader_create(ds, &o, &l));
    while (rn_loader_next(l, &images, &labels) == RN_OK)
        ck_ok(rn_plan_eval_step(plan, images, labels));
    ck_ok(rn_plan_metrics(plan, &metrics, 1));
    ck_assert_int_eq(metrics.count, 12);
    ck_assert_int_eq(metrics.correct, 12);
    rn_loader_release(l);
    rn_transform_release(o.transform);
}

/* One file, ten views of it, the class that has most of all. */
static void classify(rn_plan *plan, const char *path, int expected)
{
    const int64_t dims[2] = {10, 2};
    rn_transform *const t = for_testing(1);
    rn_tensor *image = NULL, *views = NULL, *logits = NULL;
    float sum[2] = {0};
    ck_ok(rn_image_read(ctx, below(path), NULL, &image));
    ck_ok(rn_transform_apply(t, image, 0, &views));
    ck_ok(rn_tensor_create(cpu, RN_F32, 2, dims, &logits));
    ck_ok(rn_plan_forward(plan, views, logits));
    for (int i = 0; i < 20; i++)
        sum[i % 2] += ((float *)rn_tensor_data(logits))[i];
    ck_assert_int_eq(sum[1] > sum[0], expected);
    rn_tensor_release(image), rn_tensor_release(views), rn_tensor_release(logits);
    rn_transform_release(t);
}

START_TEST(from_files_to_classes)
{
    rn_image_folder_options o = RN_IMAGE_FOLDER_OPTIONS_INIT;
    rn_sgd_options sgd = RN_SGD_OPTIONS_INIT;
    rn_dataset *val = NULL;
    rn_model *model = NULL;
    rn_loss *loss = NULL;
    rn_optimizer *optimizer = NULL;
    make_imagenet();
    rn_dataset *const set = open_folder("train", 0);
    o.classes_of = set;
    ck_ok(rn_image_folder_open(ctx, below("val"), &o, &val));
    rn_layer *const net = support_plain(ctx, rn_sequential_create);
    support_append(net, "unit", support_unit(ctx, 3, 4, 2, 1));
    support_append(net, "flatten", support_plain(ctx, rn_flatten_create));
    support_append(net, "fc", support_linear(ctx, 4 * 12 * 12, 2));
    sgd.lr = 0.01, sgd.momentum = 0.9;
    ck_ok(rn_model_create(ctx, net, cpu, &model));
    ck_ok(rn_cross_entropy_create(ctx, NULL, &loss));
    ck_ok(rn_sgd_create(model, &sgd, &optimizer));
    rn_plan *const training = new_plan(model, optimizer, loss, 8), *const testing = new_plan(model, NULL, loss, 10);
    train(set, training);
    evaluate(val, testing);
    classify(testing, "val/n00000000/3.JPEG", 0);
    classify(testing, "val/n00000001/3.JPEG", 1);
    rn_plan_release(training), rn_plan_release(testing);
    rn_optimizer_release(optimizer), rn_loss_release(loss), rn_model_release(model), rn_layer_release(net);
    rn_dataset_release(set), rn_dataset_release(val);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        finds_files,
        wrong_folders,
        classes_of_another,
        named_files,
        needs_a_size,
        batches_of_full_size,
        batches_of_reduced_size,
        any_number_of_workers,
        broken_files_are_errors,
        broken_files_left_out,
        identity,
        from_files_to_classes,
    };
    Suite *suite = suite_create("image_folder");
    TCase *tcase = tcase_create("image_folder");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
