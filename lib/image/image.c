/* SPDX-License-Identifier: MIT */
/* Pictures as tensors. */
#include "image/image.h"
#include "base/abi.h"
#include "tensor/tensor.h"
#include <inttypes.h>
#include <string.h>

static const rn_image_options defaults = RN_IMAGE_OPTIONS_INIT;

rn_status rn_image_options_init(rn_image_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults, "rn_image_options");
}

static rn_status read_options(const rn_image_options *given, rn_image_options *o)
{
    *o = defaults;
    RNI_TRY(rni_abi_read(o, sizeof *o, sizeof *o, given, "rn_image_options"));
    if (o->flags & ~(uint64_t)RN_IMAGE_AS_STORED)
        return rni_fail(RN_E_INVALID, "options.flags: unknown flag in 0x%" PRIx64, o->flags);
    if (o->max_pixels < 1)
        return rni_fail(RN_E_INVALID, "options.max_pixels: expected 1 or more, got %" PRId64, o->max_pixels);
    return RN_OK;
}

rn_status rni_image_tensor(rn_context *ctx, const rni_pixels *pixels, rn_tensor **out)
{
    const int64_t dims[3] = {3, pixels->height, pixels->width}, count = pixels->height * pixels->width;
    rn_device *cpu = NULL;
    rn_tensor *t = NULL;
    RNI_TRY(rn_context_find_device(ctx, "cpu", &cpu));
    RNI_TRY(rn_tensor_create(cpu, RN_U8, 3, dims, &t));
    uint8_t *const to = rn_tensor_data(t);
    for (int64_t i = 0; i < count; i++)
        for (int64_t c = 0; c < 3; c++)
            to[c * count + i] = pixels->data[3 * i + c];
    *out = t;
    return RN_OK;
}

static rn_status decode(rn_context *ctx, const void *data, size_t size, const rn_image_options *o, rn_tensor **out)
{
    rni_decoder *decoder = NULL;
    rni_pixels pixels = {.data = NULL};
    RNI_TRY(rni_decoder_open(&ctx->allocator, data, size, o, &decoder));
    rn_status status = rni_decoder_read(decoder, 0, 0, &pixels);
    rni_decoder_close(decoder);
    if (status == RN_OK)
        status = rni_image_tensor(ctx, &pixels, out);
    rni_free(&ctx->allocator, pixels.data);
    return status;
}

rn_status rn_image_decode(rn_context *ctx, const void *data, size_t size, const rn_image_options *options,
                          rn_tensor **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(data);
    RNI_REQUIRE(out);
    rn_image_options o;
    RNI_TRY(read_options(options, &o));
    return decode(ctx, data, size, &o, out);
}

rn_status rn_image_read(rn_context *ctx, const char *path, const rn_image_options *options, rn_tensor **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(path);
    RNI_REQUIRE(out);
    rn_image_options o;
    void *data = NULL;
    size_t size = 0;
    RNI_TRY(read_options(options, &o));
    RNI_TRY(rni_image_file(&ctx->allocator, path, &data, &size));
    const rn_status status = decode(ctx, data, size, &o, out);
    rni_free(&ctx->allocator, data);
    return status < 0 ? rni_fail_prefix(status, "%s", path) : status;
}

static rn_status check_image(const rn_tensor *image)
{
    char shape[RNI_SHAPE_TEXT];
    if (!rn_tensor_data(image))
        return rni_fail(RN_E_DEVICE, "image: expected host memory, got a tensor of %s", rn_device_name(image->dev));
    if (image->dtype != RN_U8)
        return rni_fail(RN_E_DTYPE, "image: expected u8, got %s", rn_dtype_name(image->dtype));
    if (image->rank != 3 || image->count == 0 || image->dims[1] > INT32_MAX || image->dims[2] > INT32_MAX)
        return rni_fail(RN_E_SHAPE, "image: expected [C, H, W] with a pixel or more, got %s",
                        rni_shape_text(shape, image->rank, image->dims));
    return RN_OK;
}

static rn_status check_side(const char *name, int64_t side)
{
    if (side < 1 || side > INT32_MAX)
        return rni_fail(RN_E_INVALID, "%s: expected 1 to %" PRId32 ", got %" PRId64, name, INT32_MAX, side);
    return RN_OK;
}

rn_status rn_image_resize(const rn_tensor *image, int64_t height, int64_t width, rn_tensor **out)
{
    RNI_REQUIRE(image);
    RNI_REQUIRE(out);
    RNI_TRY(check_image(image));
    RNI_TRY(check_side("height", height));
    RNI_TRY(check_side("width", width));
    const int64_t dims[3] = {image->dims[0], height, width};
    const rni_raster from = rni_raster_planes(rn_tensor_data(image), dims[0], image->dims[1], image->dims[2]);
    const rni_frame frame = rni_frame_whole(from.height, from.width, height, width);
    rn_tensor *t = NULL;
    RNI_TRY(rn_tensor_create(image->dev, RN_U8, 3, dims, &t));
    const rn_status status = rni_resize(&image->dev->ctx->allocator, &from, &frame, rn_tensor_data(t));
    if (status < 0) {
        rn_tensor_release(t);
        return status;
    }
    *out = t;
    return RN_OK;
}
