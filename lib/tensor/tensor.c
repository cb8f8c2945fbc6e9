/* SPDX-License-Identifier: MIT */
/* Life of tensors and storages, and what a tensor tells of itself. */
#include "tensor/tensor.h"
#include <string.h>

/* Tensors that view no bytes still need an address. */
enum { LEAST_BYTES = 64 };

static rn_status new_storage(rn_device *dev, uint64_t bytes, rni_storage **out)
{
    rni_storage *const s = rni_calloc(&dev->ctx->allocator, 1, sizeof *s);
    if (!s)
        return rni_nomem("a tensor", sizeof *s);
    atomic_init(&s->references, 1);
    s->dev = dev;
    s->bytes = bytes;
    rn_context_retain(dev->ctx);
    *out = s;
    return RN_OK;
}

rn_status rni_storage_create(rn_device *dev, uint64_t bytes, const char *what, rni_storage **out)
{
    rni_storage *s = NULL;
    RNI_TRY(new_storage(dev, bytes < LEAST_BYTES ? LEAST_BYTES : bytes, &s));
    const rn_status status = rni_device_alloc(dev, s->bytes, what, &s->data);
    if (status < 0) {
        rni_storage_release(s);
        return status;
    }
    *out = s;
    return RN_OK;
}

void rni_storage_release(rni_storage *s)
{
    if (!s || !rni_unreference(&s->references))
        return;
    rn_context *const ctx = s->dev->ctx;
    if (s->release && !s->dev->info.host_memory)
        (void)rni_device_wait(s->dev); /* enqueued work may still use it; a fault of it is met by the next call */
    if (s->release)
        s->release(s->user, s->data);
    else
        rni_device_free(s->dev, s->data, s->bytes);
    rni_free(&ctx->allocator, s);
    rn_context_release(ctx);
}

void rni_storage_drop(rni_storage *s, const char *why)
{
    rni_device_free(s->dev, s->data, s->bytes);
    s->data = NULL;
    s->dropped = why;
}

rn_status rni_tensor_view(rni_storage *storage, uint64_t offset, rn_dtype dtype, int32_t layout, int32_t rank,
                          const int64_t *dims, rn_tensor **out)
{
    int64_t count;
    size_t nbytes;
    RNI_TRY(rni_shape_check(rank, dims, dtype, "tensor", &count, &nbytes));
    if (offset > storage->bytes || nbytes > storage->bytes - offset)
        return rni_fail(RN_E_INTERNAL, "a view of %zu bytes does not fit its storage", nbytes);
    rn_context *const ctx = storage->dev->ctx;
    rn_tensor *const t = rni_calloc(&ctx->allocator, 1, sizeof *t);
    if (!t)
        return rni_nomem("a tensor", sizeof *t);
    atomic_init(&t->references, 1);
    t->dev = storage->dev;
    t->storage = storage;
    t->offset = offset;
    t->dtype = dtype;
    t->layout = layout;
    t->rank = rank;
    if (rank)
        memcpy(t->dims, dims, (size_t)rank * sizeof *dims);
    t->count = count;
    t->nbytes = nbytes;
    rni_reference(&storage->references);
    rn_context_retain(ctx);
    *out = t;
    return RN_OK;
}

/* A tensor that becomes the storage's only owner. */
static rn_status adopt(rni_storage *storage, rn_dtype dtype, int32_t rank, const int64_t *dims, rn_tensor **out)
{
    const rn_status status = rni_tensor_view(storage, 0, dtype, RN_LAYOUT_PLAIN, rank, dims, out);
    rni_storage_release(storage);
    return status;
}

rn_status rn_tensor_create(rn_device *dev, rn_dtype dtype, int32_t rank, const int64_t *dims, rn_tensor **out)
{
    int64_t count;
    size_t nbytes;
    rni_storage *storage = NULL;
    RNI_REQUIRE(dev);
    RNI_REQUIRE(out);
    RNI_TRY(rni_shape_check(rank, dims, dtype, "dims", &count, &nbytes));
    RNI_TRY(rni_storage_create(dev, nbytes, "a tensor", &storage));
    return adopt(storage, dtype, rank, dims, out);
}

static void keep_memory(void *user, void *data)
{
    (void)user, (void)data;
}

rn_status rn_tensor_wrap(rn_device *dev, rn_dtype dtype, int32_t rank, const int64_t *dims, void *data, size_t nbytes,
                         rn_release_fn release, void *user, rn_tensor **out)
{
    RNI_REQUIRE(dev);
    RNI_REQUIRE(data);
    RNI_REQUIRE(out);
    if (!dev->info.host_memory)
        return rni_fail(RN_E_DEVICE, "dev: %s cannot address memory of the host", dev->info.name);
    return rni_tensor_wrap(dev, dtype, rank, dims, data, nbytes, release, user, out);
}

rn_status rni_tensor_wrap(rn_device *dev, rn_dtype dtype, int32_t rank, const int64_t *dims, void *data, size_t nbytes,
                          rn_release_fn release, void *user, rn_tensor **out)
{
    int64_t count;
    size_t needed;
    rni_storage *storage = NULL;
    RNI_TRY(rni_shape_check(rank, dims, dtype, "dims", &count, &needed));
    if (nbytes != needed)
        return rni_fail(RN_E_INVALID, "nbytes: expected %zu, got %zu", needed, nbytes);
    if ((uintptr_t)data % rn_dtype_size(dtype))
        return rni_fail(RN_E_INVALID, "data: is not aligned to its elements of %zu bytes", rn_dtype_size(dtype));
    RNI_TRY(new_storage(dev, nbytes, &storage));
    storage->data = data;
    storage->release = keep_memory; /* until nothing can fail any more */
    rn_tensor *t = NULL;
    const rn_status status = rni_tensor_view(storage, 0, dtype, RN_LAYOUT_PLAIN, rank, dims, &t);
    if (status == RN_OK && release) {
        storage->release = release;
        storage->user = user;
    }
    rni_storage_release(storage);
    if (status == RN_OK)
        *out = t;
    return status;
}

rn_tensor *rn_tensor_retain(rn_tensor *t)
{
    if (t)
        rni_reference(&t->references);
    return t;
}

void rn_tensor_release(rn_tensor *t)
{
    if (!t || !rni_unreference(&t->references))
        return;
    rn_context *const ctx = t->dev->ctx;
    rni_storage_release(t->storage);
    rni_free(&ctx->allocator, t);
    rn_context_release(ctx);
}

rn_status rn_tensor_slice(rn_tensor *t, int64_t first, int64_t count, rn_tensor **out)
{
    int64_t dims[RN_MAX_RANK];
    RNI_REQUIRE(t);
    RNI_REQUIRE(out);
    RNI_TRY(rni_tensor_expect_memory(t, "rn_tensor_slice"));
    if (t->rank < 1)
        return rni_fail(RN_E_SHAPE, "t: a scalar has nothing to slice");
    if (first < 0 || count < 0 || first > t->dims[0] || count > t->dims[0] - first)
        return rni_fail(RN_E_SHAPE, "first, count: %lld and %lld are not inside the first dimension of %lld",
                        (long long)first, (long long)count, (long long)t->dims[0]);
    memcpy(dims, t->dims, sizeof dims);
    dims[0] = count;
    const uint64_t row = t->dims[0] ? t->nbytes / (uint64_t)t->dims[0] : 0;
    return rni_tensor_view(t->storage, t->offset + row * (uint64_t)first, t->dtype, t->layout, t->rank, dims, out);
}

rn_dtype rn_tensor_dtype(const rn_tensor *t)
{
    return t ? t->dtype : 0;
}

int32_t rn_tensor_rank(const rn_tensor *t)
{
    return t ? t->rank : 0;
}

int64_t rn_tensor_dim(const rn_tensor *t, int32_t axis)
{
    if (!t)
        return -1;
    const int32_t i = axis < 0 ? axis + t->rank : axis;
    return i >= 0 && i < t->rank ? t->dims[i] : -1;
}

int64_t rn_tensor_count(const rn_tensor *t)
{
    return t ? t->count : 0;
}

size_t rn_tensor_nbytes(const rn_tensor *t)
{
    return t ? t->nbytes : 0;
}

rn_device *rn_tensor_device(const rn_tensor *t)
{
    return t ? t->dev : NULL;
}

void *rn_tensor_data(const rn_tensor *t)
{
    if (!t || !t->dev->info.host_memory || t->layout != RN_LAYOUT_PLAIN || t->storage->dropped)
        return NULL;
    return rni_tensor_address(t);
}

rn_status rni_tensor_expect_memory(const rn_tensor *t, const char *what)
{
    if (t->storage->dropped)
        return rni_fail(RN_E_STATE, "%s: %s", what, t->storage->dropped);
    return RN_OK;
}

rn_status rni_tensor_expect(const rn_tensor *t, const rn_device *dev, rn_dtype dtype, const char *what)
{
    if (t->dev != dev)
        return rni_fail(RN_E_DEVICE, "%s: expected a tensor on %s, got one on %s", what, dev->info.name,
                        t->dev->info.name);
    if (t->dtype != dtype)
        return rni_fail(RN_E_DTYPE, "%s: expected %s, got %s", what, rn_dtype_name(dtype), rn_dtype_name(t->dtype));
    return rni_tensor_expect_memory(t, what);
}
