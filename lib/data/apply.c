/* SPDX-License-Identifier: MIT */
/* Transforms without a loader: of one image, and the mean image that one of them subtracts. */
#include "data/picture.h"
#include "tensor/tensor.h"
#include <inttypes.h>

static rn_status check_image(const rn_tensor *image)
{
    char shape[RNI_SHAPE_TEXT];
    if (!rn_tensor_data(image))
        return rni_fail(RN_E_DEVICE, "image: expected host memory, got a tensor of %s", rn_device_name(image->dev));
    if (image->dtype != RN_U8 && image->dtype != RN_F32)
        return rni_fail(RN_E_DTYPE, "image: expected u8 or f32, got %s", rn_dtype_name(image->dtype));
    if (image->rank != 3 || image->count == 0 || image->dims[1] > INT32_MAX || image->dims[2] > INT32_MAX)
        return rni_fail(RN_E_SHAPE, "image: expected [C, H, W] with a pixel or more, got %s",
                        rni_shape_text(shape, image->rank, image->dims));
    return RN_OK;
}

/* All views, one after another, to `out`. `scratch` is the pipeline's, then what a frame makes. */
static rn_status run_views(const rni_pipeline *p, const rn_tensor *image, uint64_t seed, char *scratch, float *out)
{
    const rni_raster raster = rni_raster_planes(rn_tensor_data(image), p->channels, image->dims[1], image->dims[2]);
    const rni_picture picture = {p->allocator, raster.data, raster, 1.0, image->dims[1], image->dims[2], NULL};
    for (rni_draw draw = {seed, 0, 0, 0}; draw.view < p->views; draw.view++) {
        const void *framed = NULL;
        RNI_TRY(rni_picture_view(&picture, p, &draw, scratch + rni_pipeline_scratch(p), &framed));
        rni_pipeline_run(p, scratch, framed, &draw, 0, out);
        out += p->channels * p->out_height * p->out_width;
    }
    return RN_OK;
}

static rn_status make_views(const rni_pipeline *p, const rn_tensor *image, uint64_t seed, rn_tensor **out)
{
    const int64_t dims[4] = {p->views, p->channels, p->out_height, p->out_width};
    const size_t bytes = rni_pipeline_scratch(p) + rni_picture_framed_bytes(p);
    rn_tensor *t = NULL;
    RNI_TRY(rn_tensor_create(image->dev, RN_F32, 4, dims, &t));
    char *const scratch = rni_alloc(p->allocator, bytes);
    const rn_status status =
        scratch ? run_views(p, image, seed, scratch, rn_tensor_data(t)) : rni_nomem("image", bytes);
    rni_free(p->allocator, scratch);
    if (status < 0) {
        rn_tensor_release(t);
        return status;
    }
    *out = t;
    return RN_OK;
}

rn_status rn_transform_apply(const rn_transform *t, const rn_tensor *image, uint64_t seed, rn_tensor **out)
{
    RNI_REQUIRE(t);
    RNI_REQUIRE(image);
    RNI_REQUIRE(out);
    RNI_TRY(check_image(image));
    const rn_dataset_info info = {
        sizeof info, 1, 1, image->dims[0], image->dims[1], image->dims[2], image->dtype, 0,
    };
    rni_pipeline p;
    RNI_TRY(rni_pipeline_create(&t->ctx->allocator, t, &info, &p));
    const rn_status status = make_views(&p, image, seed, out);
    rni_pipeline_free(&p);
    return status;
}

static void add_image(const void *image, rn_dtype dtype, int64_t count, double *sums)
{
    for (int64_t i = 0; i < count; i++)
        sums[i] += dtype == RN_U8 ? ((const uint8_t *)image)[i] / 255.0 : (double)((const float *)image)[i];
}

/* `sums` is zeroed. */
static rn_status sum_images(rn_dataset *ds, void *scratch, int64_t count, double *sums)
{
    for (int64_t i = 0; i < ds->info.count; i++) {
        const void *image = NULL;
        int64_t label;
        RNI_TRY(rni_dataset_fetch(ds, i, scratch, &image, &label));
        add_image(image, ds->info.dtype, count, sums);
    }
    return RN_OK;
}

static rn_status mean_of(rn_dataset *ds, double *sums, void *scratch, rn_tensor *mean)
{
    const int64_t count = rn_tensor_count(mean);
    if (!sums || !scratch)
        return rni_nomem("mean image", (uint64_t)count * sizeof *sums);
    RNI_TRY(sum_images(ds, scratch, count, sums));
    for (int64_t i = 0; i < count; i++)
        ((float *)rn_tensor_data(mean))[i] = (float)(sums[i] / (double)ds->info.count);
    return RN_OK;
}

rn_status rn_dataset_mean(rn_dataset *ds, rn_tensor **out)
{
    RNI_REQUIRE(ds);
    RNI_REQUIRE(out);
    if (ds->cls->decode)
        return rni_fail(RN_E_UNSUPPORTED, "dataset: its images differ in size: they have no mean image");
    if (ds->info.count == 0)
        return rni_fail(RN_E_INVALID, "dataset: expected images to take the mean of, got none");
    const int64_t dims[3] = {ds->info.channels, ds->info.height, ds->info.width};
    rn_device *cpu = NULL;
    rn_tensor *mean = NULL;
    RNI_TRY(rn_context_find_device(ds->ctx, "cpu", &cpu));
    RNI_TRY(rn_tensor_create(cpu, RN_F32, 3, dims, &mean));
    double *const sums = rni_calloc(&ds->ctx->allocator, (size_t)rn_tensor_count(mean), sizeof *sums);
    void *const scratch = rni_alloc(&ds->ctx->allocator, ds->image_bytes);
    const rn_status status = mean_of(ds, sums, scratch, mean);
    rni_free(&ds->ctx->allocator, sums);
    rni_free(&ds->ctx->allocator, scratch);
    if (status < 0) {
        rn_tensor_release(mean);
        return status;
    }
    *out = mean;
    return RN_OK;
}
