/* SPDX-License-Identifier: MIT */
/* Moving elements: between host and device, between devices, types and memory orders. */
#include "tensor/convert.h"
#include "tensor/tensor.h"

/* Waits, then copies the memory of a tensor as it is. */
static rn_status fetch(const rn_tensor *t, void *dst)
{
    RNI_TRY(rni_device_wait(t->dev));
    return t->dev->backend->copy_out(t->dev->dev, t->dev->queue, dst, rni_tensor_address(t), t->nbytes);
}

rn_status rni_tensor_put(rn_tensor *t, const void *src)
{
    RNI_TRY(rni_device_check(t->dev));
    RNI_TRY(t->dev->backend->copy_in(t->dev->dev, t->dev->queue, rni_tensor_address(t), src, t->nbytes));
    rni_tensor_written(t);
    return RN_OK;
}

/* A buffer on the host for a tensor in the backend's order. */
static rn_status stage(const rn_tensor *t, void **out)
{
    *out = rni_alloc(&t->dev->ctx->allocator, t->nbytes);
    return *out ? RN_OK : rni_nomem("copying a tensor", t->nbytes);
}

static rn_status check_size(const rn_tensor *t, size_t nbytes)
{
    if (nbytes != t->nbytes)
        return rni_fail(RN_E_BUFFER, "nbytes: expected %zu, got %zu", t->nbytes, nbytes);
    return RN_OK;
}

rn_status rn_tensor_read(const rn_tensor *t, void *dst, size_t nbytes)
{
    void *staged;
    RNI_REQUIRE(t);
    RNI_REQUIRE(dst);
    RNI_TRY(rni_tensor_expect_memory(t, "rn_tensor_read"));
    RNI_TRY(check_size(t, nbytes));
    if (t->layout == RN_LAYOUT_PLAIN)
        return fetch(t, dst);
    RNI_TRY(stage(t, &staged));
    const rn_status status = fetch(t, staged);
    if (status == RN_OK)
        rni_to_nchw(t->dims, rn_dtype_size(t->dtype), staged, dst);
    rni_free(&t->dev->ctx->allocator, staged);
    return status;
}

rn_status rn_tensor_write(rn_tensor *t, const void *src, size_t nbytes)
{
    void *staged;
    RNI_REQUIRE(t);
    RNI_REQUIRE(src);
    RNI_TRY(rni_tensor_expect_memory(t, "rn_tensor_write"));
    RNI_TRY(check_size(t, nbytes));
    if (t->layout == RN_LAYOUT_PLAIN)
        return rni_tensor_put(t, src);
    RNI_TRY(stage(t, &staged));
    rni_to_nhwc(t->dims, rn_dtype_size(t->dtype), src, staged);
    const rn_status status = rni_tensor_put(t, staged);
    rni_free(&t->dev->ctx->allocator, staged);
    return status;
}

/* Through the host: plain elements of src, converted, written to dst. */
static rn_status copy_staged(const rn_tensor *src, rn_tensor *dst)
{
    const rn_allocator *const allocator = &dst->dev->ctx->allocator;
    void *const from = rni_alloc(allocator, src->nbytes), *const to = rni_alloc(allocator, dst->nbytes);
    rn_status status = from && to ? RN_OK : rni_nomem("copying a tensor", src->nbytes + dst->nbytes);
    if (status == RN_OK)
        status = rn_tensor_read(src, from, src->nbytes);
    if (status == RN_OK) {
        rni_convert(src->dtype, from, dst->dtype, to, src->count);
        status = rn_tensor_write(dst, to, dst->nbytes);
    }
    rni_free(allocator, from);
    rni_free(allocator, to);
    return status;
}

/* Elements as they are, in plain order, in memory of the host. */
static int is_plain_on_host(const rn_tensor *t, const rn_tensor *other)
{
    return t->dev->info.host_memory && t->layout == RN_LAYOUT_PLAIN && t->dtype == other->dtype;
}

static rn_status copy_across(const rn_tensor *src, rn_tensor *dst)
{
    if (is_plain_on_host(src, dst)) {
        RNI_TRY(rni_device_wait(src->dev));
        return rn_tensor_write(dst, rni_tensor_address(src), dst->nbytes);
    }
    if (!is_plain_on_host(dst, src))
        return copy_staged(src, dst);
    RNI_TRY(rni_device_wait(dst->dev)); /* its enqueued work may still read what is overwritten */
    RNI_TRY(rn_tensor_read(src, rni_tensor_address(dst), src->nbytes));
    rni_tensor_written(dst);
    return RN_OK;
}

rn_status rn_tensor_copy(const rn_tensor *src, rn_tensor *dst)
{
    char expected[RNI_SHAPE_TEXT], got[RNI_SHAPE_TEXT];
    RNI_REQUIRE(src);
    RNI_REQUIRE(dst);
    RNI_TRY(rni_tensor_expect_memory(src, "rn_tensor_copy: src"));
    RNI_TRY(rni_tensor_expect_memory(dst, "rn_tensor_copy: dst"));
    if (!rni_shape_equal(src->rank, src->dims, dst->rank, dst->dims))
        return rni_fail(RN_E_SHAPE, "dst: expected %s, got %s", rni_shape_text(expected, src->rank, src->dims),
                        rni_shape_text(got, dst->rank, dst->dims));
    if (src == dst)
        return RN_OK;
    if (src->dev != dst->dev)
        return copy_across(src, dst);
    if (src->dtype != dst->dtype || src->layout != dst->layout)
        return copy_staged(src, dst);
    RNI_TRY(rni_device_check(dst->dev));
    RNI_TRY(dst->dev->backend->copy(dst->dev->dev, dst->dev->queue, rni_tensor_address(dst), rni_tensor_address(src),
                                    src->nbytes));
    rni_tensor_written(dst);
    return RN_OK;
}
