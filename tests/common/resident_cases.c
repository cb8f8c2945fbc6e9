/* SPDX-License-Identifier: MIT */
#include "resident_cases.h"
#include "../unit/support.h"
#include "nets.h"

enum { COUNT = 23, BATCH = 5, CLASSES = 10 };

rn_dataset *resident_images(rn_context *ctx, int64_t count, int64_t channels, int64_t height, int64_t width)
{
    const int64_t dims[4] = {count, channels, height, width};
    rn_device *cpu = NULL;
    rn_tensor *images = NULL, *labels = NULL;
    rn_dataset *ds = NULL;
    ck_ok(rn_context_find_device(ctx, "cpu", &cpu));
    ck_ok(rn_tensor_create(cpu, RN_U8, 4, dims, &images));
    ck_ok(rn_tensor_create(cpu, RN_I64, 1, dims, &labels));
    uint32_t state = 9;
    for (int64_t i = 0; i < rn_tensor_count(images); i++) {
        state = state * 1664525u + 1013904223u;
        ((uint8_t *)rn_tensor_data(images))[i] = (uint8_t)(state >> 24);
    }
    for (int64_t i = 0; i < count; i++)
        ((int64_t *)rn_tensor_data(labels))[i] = i % CLASSES;
    ck_ok(rn_tensor_dataset_create(images, labels, &ds));
    rn_tensor_release(images);
    rn_tensor_release(labels);
    return ds;
}

rn_loader *resident_loader(rn_dataset *ds, const rn_loader_options *o, int32_t residency)
{
    rn_loader_options own = *o;
    rn_loader *l = NULL;
    own.residency = residency;
    ck_ok(rn_loader_create(ds, &own, &l));
    ck_assert_int_eq(rn_loader_resident_bytes(l) != 0, residency == RN_RESIDENCY_DEVICE);
    return l;
}

static void *bytes_of(const rn_tensor *t)
{
    void *const bytes = calloc(1, rn_tensor_nbytes(t) + 1);
    ck_ok(rn_tensor_read(t, bytes, rn_tensor_nbytes(t)));
    return bytes;
}

static void same_tensor(const rn_tensor *a, const rn_tensor *b, const char *what)
{
    ck_assert_int_eq(rn_tensor_dtype(a), rn_tensor_dtype(b));
    ck_assert_int_eq(rn_tensor_dim(a, 0), rn_tensor_dim(b, 0));
    ck_assert_uint_eq(rn_tensor_nbytes(a), rn_tensor_nbytes(b));
    unsigned char *const x = bytes_of(a), *const y = bytes_of(b);
    size_t i = 0;
    while (i < rn_tensor_nbytes(a) && x[i] == y[i])
        i++;
    ck_assert_msg(i == rn_tensor_nbytes(a), "%s: byte %zu of %zu differs", what, i, rn_tensor_nbytes(a));
    free(x);
    free(y);
}

/* The next batches of both. Returns their status. */
static rn_status same_batch(rn_loader *a, rn_loader *b, const char *what)
{
    rn_tensor *x[2] = {NULL, NULL}, *y[2] = {NULL, NULL};
    const rn_status status = rn_loader_next(a, &x[0], &y[0]);
    ck_assert_msg(status >= 0, "%s: %s", what, rn_error_message());
    ck_assert_int_eq(rn_loader_next(b, &x[1], &y[1]), status);
    if (status == RN_OK) {
        same_tensor(x[0], x[1], what);
        same_tensor(y[0], y[1], what);
    }
    return status;
}

static void same_epochs(rn_loader *a, rn_loader *b, int epochs, const char *what)
{
    for (int ends = 0; ends < epochs;)
        ends += same_batch(a, b, what) == RN_END;
}

/* Both ways of making batches for `o`, two epochs. */
static void compare(rn_dataset *ds, const rn_loader_options *o, const char *what)
{
    rn_loader *const host = resident_loader(ds, o, RN_RESIDENCY_HOST);
    rn_loader *const resident = resident_loader(ds, o, RN_RESIDENCY_DEVICE);
    same_epochs(host, resident, 2, what);
    rn_loader_release(host);
    rn_loader_release(resident);
}

typedef struct image_shape {
    int64_t channels, height, width;
} image_shape;

static const double means[4] = {0.4914, 0.4822, 0.4465, 0.1}, deviations[4] = {0.2023, 0.1994, 0.2010, 3};

static void add_subtract(rn_transform *t, rn_context *ctx, const image_shape *s)
{
    const int64_t dims[3] = {s->channels, s->height, s->width};
    rn_device *cpu = NULL;
    rn_tensor *mean = NULL;
    ck_ok(rn_context_find_device(ctx, "cpu", &cpu));
    ck_ok(rn_tensor_create(cpu, RN_F32, 3, dims, &mean));
    for (int64_t i = 0; i < rn_tensor_count(mean); i++)
        ((float *)rn_tensor_data(mean))[i] = (float)(i * 37 % 101) / 101.0f;
    ck_ok(rn_transform_subtract(t, mean));
    rn_tensor_release(mean);
}

/* Parts of a transform; each bit of a combination is one. */
enum { CENTER = 1, NORMAL_FIRST = 2, CROP = 4, CUTOUT = 8, FLIP = 16, SUBTRACT = 32, NORMAL = 64, CROP_LAST = 128 };
enum { COMBINATIONS = 256 };

/* `s` becomes the shape of the results. */
static rn_transform *combination(rn_context *ctx, int parts, image_shape *s)
{
    rn_transform *t = NULL;
    ck_ok(rn_transform_create(ctx, &t));
    if (parts & CENTER) {
        s->height -= 2, s->width -= 1;
        ck_ok(rn_transform_center_crop(t, s->height, s->width));
    }
    if (parts & NORMAL_FIRST)
        ck_ok(rn_transform_normalize(t, (int32_t)s->channels, means + 1, deviations + 1));
    if (parts & CROP)
        ck_ok(rn_transform_random_crop(t, 2, 0, 0));
    if (parts & CUTOUT)
        ck_ok(rn_transform_cutout(t, 3));
    if (parts & FLIP)
        ck_ok(rn_transform_random_hflip(t, 0.5));
    if (parts & SUBTRACT)
        add_subtract(t, ctx, s);
    if (parts & NORMAL)
        ck_ok(rn_transform_normalize(t, (int32_t)s->channels, means, deviations));
    if (parts & CROP_LAST) {
        s->height += 1, s->width -= 1;
        ck_ok(rn_transform_random_crop(t, 3, s->height, s->width));
        ck_ok(rn_transform_cutout(t, 4));
    }
    return t;
}

/* Squares that later steps move and cut, padding between normalisations: as many steps as a launch takes. */
static rn_transform *entangled(rn_context *ctx, image_shape *s)
{
    rn_transform *const t = combination(ctx, CROP | CUTOUT | FLIP | NORMAL, s);
    s->height -= 1, s->width += 2;
    ck_ok(rn_transform_random_crop(t, 3, s->height, s->width));
    ck_ok(rn_transform_cutout(t, 6));
    ck_ok(rn_transform_normalize(t, (int32_t)s->channels, means + 1, deviations + 1));
    ck_ok(rn_transform_random_hflip(t, 0.25));
    ck_ok(rn_transform_random_crop(t, 1, 0, 0));
    ck_ok(rn_transform_cutout(t, 2));
    return t;
}

/* A plan that reads such images: one convolution. */
static rn_plan *plan_of(rn_device *dev, const image_shape *s, rn_dtype dtype)
{
    rn_context *const ctx = rn_device_context(dev);
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    rn_layer *const layer = net_conv(ctx, s->channels, 4, 3, 1, 1, 0);
    rn_model *model = NULL;
    rn_plan *plan = NULL;
    ck_assert_ptr_nonnull(layer);
    ck_ok(rn_model_create(ctx, layer, dev, &model));
    o.mode = RN_PLAN_INFER;
    o.compute_dtype = dtype;
    memcpy(o.input_dims, (const int64_t[4]){BATCH, s->channels, s->height, s->width}, 4 * sizeof(int64_t));
    ck_ok(rn_plan_create(model, &o, &plan));
    rn_model_release(model);
    rn_layer_release(layer);
    return plan;
}

static void compare_transform(rn_device *dev, rn_dataset *ds, rn_transform *t, const image_shape *result,
                              rn_dtype dtype, const char *what)
{
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    rn_plan *const plan = dtype ? plan_of(dev, result, dtype) : NULL;
    o.flags = RN_LOADER_SHUFFLE;
    o.batch = BATCH;
    o.transform = t;
    o.device = dev;
    o.plan = plan;
    compare(ds, &o, what);
    rn_plan_release(plan);
}

static void compare_shape(rn_device *dev, const image_shape *stored, const rn_dtype *dtypes, size_t num_dtypes)
{
    rn_context *const ctx = rn_device_context(dev);
    rn_dataset *const ds = resident_images(ctx, COUNT, stored->channels, stored->height, stored->width);
    for (int parts = 0; parts <= COMBINATIONS; parts++) {
        image_shape s = *stored;
        char what[80];
        rn_transform *const t = parts == COMBINATIONS ? entangled(ctx, &s) : combination(ctx, parts, &s);
        const rn_dtype dtype = dtypes[(size_t)(parts + parts / 4 + parts / 16 + parts / 64) % num_dtypes];
        snprintf(what, sizeof what, "transform %d of %d x %d images, type %d", parts, (int)stored->height,
                 (int)stored->width, (int)dtype);
        compare_transform(dev, ds, t, &s, dtype, what);
        rn_transform_release(t);
    }
    rn_dataset_release(ds);
}

void resident_all_transforms(rn_device *dev, const rn_dtype *dtypes, size_t num_dtypes)
{
    static const image_shape shapes[] = {{3, 8, 8}, {1, 7, 5}, {2, 9, 12}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        compare_shape(dev, &shapes[i], dtypes, num_dtypes);
}

static rn_loader_options usual(rn_device *dev, rn_transform *t)
{
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    o.flags = RN_LOADER_SHUFFLE;
    o.batch = BATCH;
    o.transform = t;
    o.device = dev;
    return o;
}

/* Leaves an epoch in its middle, goes back, ahead, and to its end. */
static void compare_seeking(rn_dataset *ds, const rn_loader_options *o)
{
    static const int64_t places[][2] = {{0, 3}, {0, 1}, {5, 2}, {0, 4}, {1, 5}, {1, 0}};
    rn_loader *const host = resident_loader(ds, o, RN_RESIDENCY_HOST);
    rn_loader *const resident = resident_loader(ds, o, RN_RESIDENCY_DEVICE);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int64_t epoch = -1, batch = -1, other_epoch = -1, other_batch = -1;
        ck_ok(rn_loader_seek(host, places[i][0], places[i][1]));
        ck_ok(rn_loader_seek(resident, places[i][0], places[i][1]));
        same_batch(host, resident, "seek");
        same_batch(host, resident, "seek");
        ck_ok(rn_loader_position(host, &epoch, &batch));
        ck_ok(rn_loader_position(resident, &other_epoch, &other_batch));
        ck_assert(epoch == other_epoch && batch == other_batch);
    }
    rn_loader_release(host);
    rn_loader_release(resident);
}

void resident_all_orders(rn_device *dev)
{
    rn_context *const ctx = rn_device_context(dev);
    image_shape s = {3, 6, 6};
    rn_dataset *const ds = resident_images(ctx, COUNT, s.channels, s.height, s.width);
    rn_transform *const t = combination(ctx, CROP | FLIP | NORMAL, &s);
    rn_dataset *part = NULL;
    const rn_loader_options all = usual(dev, t);
    rn_loader_options o = all;
    o.flags = 0;
    compare(ds, &o, "in order");
    o.flags = RN_LOADER_SHUFFLE | RN_LOADER_DROP_LAST;
    compare(ds, &o, "without a short last batch");
    o = all;
    o.batch = 1;
    compare(ds, &o, "one image at a time");
    o.batch = 2 * COUNT;
    compare(ds, &o, "one batch");
    o = all;
    o.num_shards = 3;
    for (o.shard = 0; o.shard < o.num_shards; o.shard++)
        compare(ds, &o, "a shard");
    ck_ok(rn_dataset_take(ds, 11, &part));
    compare(part, &all, "a part");
    compare_seeking(ds, &all);
    rn_dataset_release(part);
    rn_transform_release(t);
    rn_dataset_release(ds);
}

static rn_status read_nothing(void *user, int64_t index, void *image, int64_t *label)
{
    (void)user;
    memset(image, 0, 3 * 6 * 6);
    *label = index % CLASSES;
    return RN_OK;
}

static rn_dataset *custom_images(rn_context *ctx)
{
    const rn_dataset_vtable vt = {sizeof vt, read_nothing, NULL};
    const rn_dataset_info info = {sizeof info, COUNT, CLASSES, 3, 6, 6, RN_U8, 0};
    rn_dataset *ds = NULL;
    ck_ok(rn_custom_dataset_create(ctx, &vt, NULL, &info, &ds));
    return ds;
}

/* Demanded, it is refused with `text` and no loader; asked for, the host makes the batches. */
static void expect_refused(rn_dataset *ds, const rn_loader_options *options, const char *text)
{
    rn_loader_options o = *options;
    rn_loader *l = NULL;
    rn_tensor *x = NULL, *y = NULL;
    o.residency = RN_RESIDENCY_DEVICE;
    ck_fails(rn_loader_create(ds, &o, &l), RN_E_UNSUPPORTED, "options.residency: ");
    ck_fails(rn_loader_create(ds, &o, &l), RN_E_UNSUPPORTED, text);
    ck_assert_ptr_null(l);
    o.residency = RN_RESIDENCY_AUTO;
    ck_ok(rn_loader_create(ds, &o, &l));
    ck_assert_uint_eq(rn_loader_resident_bytes(l), 0);
    ck_ok(rn_loader_next(l, &x, &y));
    rn_loader_release(l);
}

static void refuse_step(rn_device *dev, rn_dataset *ds, rn_transform *t, const char *text)
{
    const rn_loader_options o = usual(dev, t);
    expect_refused(ds, &o, text);
    rn_transform_release(t);
}

static rn_transform *empty(rn_context *ctx)
{
    rn_transform *t = NULL;
    ck_ok(rn_transform_create(ctx, &t));
    return t;
}

static void refuse_steps(rn_device *dev, rn_dataset *ds)
{
    rn_context *const ctx = rn_device_context(dev);
    rn_transform *t = empty(ctx);
    ck_ok(rn_transform_random_resized_crop(t, 6, 6, NULL, NULL));
    refuse_step(dev, ds, t, "step 0, random resized crop: is done on the host only");
    t = empty(ctx);
    ck_ok(rn_transform_random_hflip(t, 0.5));
    ck_ok(rn_transform_pca_color(t, 0.1, NULL, NULL));
    refuse_step(dev, ds, t, "step 1, pca color: is done on the host only");
    t = empty(ctx);
    ck_ok(rn_transform_ten_crop(t, 4, 4));
    refuse_step(dev, ds, t, "step 0, ten crop: is done on the host only");
}

void resident_refusals(rn_device *dev)
{
    rn_context *const ctx = rn_device_context(dev);
    rn_dataset *const ds = resident_images(ctx, COUNT, 3, 6, 6), *const custom = custom_images(ctx);
    rn_loader *l = NULL;
    rn_loader_options o = usual(dev, NULL);
    refuse_steps(dev, ds);
    expect_refused(custom, &o, "a dataset of kind custom does not lie in memory");
    o.mixup_alpha = 1.0;
    expect_refused(ds, &o, "batches are mixed on the host only");
    o = usual(dev, NULL);
    o.residency = 3;
    ck_fails(rn_loader_create(ds, &o, &l), RN_E_INVALID, "options.residency: expected RN_RESIDENCY_*, 0 to 2, got 3");
    rn_dataset_release(custom);
    rn_dataset_release(ds);
}
