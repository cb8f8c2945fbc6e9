/* SPDX-License-Identifier: MIT */
/* Exchange with other libraries through DLPack 1. */
#include "tensor/tensor.h"
#include <resnet/dlpack.h>
#include <string.h>

/* What an exported tensor keeps alive. */
typedef struct exported {
    DLManagedTensorVersioned managed;
    rn_tensor *tensor;
    int64_t shape[RN_MAX_RANK], strides[RN_MAX_RANK];
} exported;

static const struct {
    rn_dtype dtype;
    DLDataType type;
} types[] = {
    {RN_F32, {kDLFloat, 32, 1}}, {RN_F64, {kDLFloat, 64, 1}}, {RN_I64, {kDLInt, 64, 1}},   {RN_I32, {kDLInt, 32, 1}},
    {RN_U8, {kDLUInt, 8, 1}},    {RN_F16, {kDLFloat, 16, 1}}, {RN_BF16, {kDLBfloat, 16, 1}},
};

static DLDataType type_of(rn_dtype dtype)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].dtype == dtype)
            return types[i].type;
    return (DLDataType){0, 0, 0};
}

static rn_dtype dtype_of(DLDataType type)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].type.code == type.code && types[i].type.bits == type.bits && type.lanes == 1)
            return types[i].dtype;
    return 0;
}

/* May be called from any thread. */
static void delete_exported(DLManagedTensorVersioned *self)
{
    exported *const e = self->manager_ctx;
    rn_tensor *const tensor = e->tensor;
    rni_free(&tensor->dev->ctx->allocator, e);
    rn_tensor_release(tensor);
}

static void describe(exported *e, const rn_tensor *t, uint64_t flags)
{
    int64_t stride = 1;
    for (int32_t i = t->rank; i-- > 0;) {
        e->shape[i] = t->dims[i];
        e->strides[i] = stride;
        stride *= t->dims[i] ? t->dims[i] : 1;
    }
    e->managed.version = (DLPackVersion){DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION};
    e->managed.manager_ctx = e;
    e->managed.deleter = delete_exported;
    e->managed.flags = flags & RN_DLPACK_COPY ? DLPACK_FLAG_BITMASK_IS_COPIED : 0;
    e->managed.dl_tensor = (DLTensor){.data = t->nbytes ? rni_tensor_address(t) : NULL, /* as DLPack demands */
                                      .device = {(DLDeviceType)t->dev->info.dlpack_type, t->dev->info.dlpack_id},
                                      .ndim = t->rank,
                                      .dtype = type_of(t->dtype),
                                      .shape = e->shape,
                                      .strides = e->strides};
}

/* The tensor itself, or a copy, with no work under way; one reference. */
static rn_status take(rn_tensor *t, uint64_t flags, rn_tensor **out)
{
    if (!(flags & RN_DLPACK_COPY)) {
        RNI_TRY(rni_device_wait(t->dev));
        *out = rn_tensor_retain(t);
        return RN_OK;
    }
    rn_tensor *copy = NULL;
    RNI_TRY(rn_tensor_create(t->dev, t->dtype, t->rank, t->dims, &copy));
    rn_status status = rn_tensor_copy(t, copy);
    if (status == RN_OK)
        status = rni_device_wait(t->dev);
    if (status < 0) {
        rn_tensor_release(copy);
        return status;
    }
    *out = copy;
    return RN_OK;
}

rn_status rn_tensor_to_dlpack(rn_tensor *t, uint64_t flags, struct DLManagedTensorVersioned **out)
{
    rn_tensor *held = NULL;
    RNI_REQUIRE(t);
    RNI_REQUIRE(out);
    if (flags & ~(uint64_t)RN_DLPACK_COPY)
        return rni_fail(RN_E_INVALID, "flags: unknown flag in %llu", (unsigned long long)flags);
    RNI_TRY(rni_tensor_expect_memory(t, "rn_tensor_to_dlpack"));
    if (!t->dev->info.dlpack_type)
        return rni_fail(RN_E_DEVICE, "t: DLPack has no name for %s", t->dev->info.name);
    if (t->layout != RN_LAYOUT_PLAIN)
        return rni_fail(RN_E_UNSUPPORTED, "t: is in the backend's own layout");
    RNI_TRY(take(t, flags, &held));
    exported *const e = rni_calloc(&t->dev->ctx->allocator, 1, sizeof *e);
    if (!e) {
        rn_tensor_release(held);
        return rni_nomem("a DLPack tensor", sizeof *e);
    }
    e->tensor = held;
    describe(e, held, flags);
    *out = &e->managed;
    return RN_OK;
}

static void delete_managed(void *user, void *data)
{
    DLManagedTensorVersioned *const managed = user;
    (void)data;
    if (managed->deleter)
        managed->deleter(managed);
}

static int is_contiguous(const DLTensor *d)
{
    int64_t stride = 1;
    for (int32_t i = d->ndim; d->strides && i-- > 0;) {
        if (d->shape[i] != 1 && d->strides[i] != stride)
            return 0;
        stride *= d->shape[i];
    }
    return 1;
}

/* Copies `dims` from strided memory, last dimension fastest. */
static void gather(const DLTensor *d, size_t element, int64_t count, const char *src, char *dst)
{
    int64_t index[RN_MAX_RANK] = {0};
    for (int64_t i = 0; i < count; i++) {
        int64_t at = 0;
        for (int32_t k = 0; k < d->ndim; k++)
            at += index[k] * d->strides[k];
        memcpy(dst + (size_t)i * element, src + at * (int64_t)element, element);
        for (int32_t k = d->ndim; k-- > 0 && ++index[k] == d->shape[k];)
            index[k] = 0;
    }
}

/* The elements that it reaches, counted from data: some strides may be negative. */
static void reach_of(const DLTensor *d, int64_t *first, int64_t *last)
{
    *first = *last = 0;
    for (int32_t k = 0; k < d->ndim; k++)
        *(d->strides[k] < 0 ? first : last) += (d->shape[k] - 1) * d->strides[k];
}

/* Strided memory of a device that the host cannot address: all that is reached comes over, and goes back in order. */
static rn_status gather_through_host(const DLTensor *d, const char *data, rn_tensor *t)
{
    const rn_allocator *const allocator = &t->dev->ctx->allocator;
    const size_t element = rn_dtype_size(t->dtype);
    int64_t first, last;
    size_t bytes;
    reach_of(d, &first, &last);
    if (!rni_mul_size((size_t)(last - first + 1), element, &bytes))
        return rni_nomem("a DLPack tensor", SIZE_MAX);
    char *const from = rni_alloc(allocator, bytes), *const to = rni_alloc(allocator, t->nbytes);
    rn_status status = from && to ? RN_OK : rni_nomem("a DLPack tensor", bytes + t->nbytes);
    if (status == RN_OK)
        status = t->dev->backend->copy_out(t->dev->dev, t->dev->queue, from, data + first * (int64_t)element, bytes);
    if (status == RN_OK) {
        gather(d, element, t->count, from - first * (int64_t)element, to);
        status = rn_tensor_write(t, to, t->nbytes);
    }
    rni_free(allocator, from);
    rni_free(allocator, to);
    return status;
}

static rn_status copy_elements(const DLTensor *d, const char *data, rn_tensor *t)
{
    rn_device *const dev = t->dev;
    if (!t->nbytes) /* the data of an empty one may be NULL */
        return RN_OK;
    if (is_contiguous(d)) {
        RNI_TRY(dev->backend->copy(dev->dev, dev->queue, rni_tensor_address(t), data, t->nbytes));
        return rni_device_wait(dev);
    }
    if (!dev->info.host_memory)
        return gather_through_host(d, data, t);
    gather(d, rn_dtype_size(t->dtype), t->count, data, rni_tensor_address(t));
    return RN_OK;
}

static rn_status copy_foreign(rn_device *dev, const DLTensor *d, rn_dtype dtype, const char *data, rn_tensor **out)
{
    rn_tensor *t = NULL;
    RNI_TRY(rn_tensor_create(dev, dtype, d->ndim, d->shape, &t));
    const rn_status status = copy_elements(d, data, t);
    if (status < 0) {
        rn_tensor_release(t);
        return status;
    }
    *out = t;
    return RN_OK;
}

/* The device of the context whose memory it is. Pinned memory of the host is the CPU's as well. */
static rn_status find_owner(rn_context *ctx, DLDevice where, rn_device **out)
{
    if (where.device_type == kDLCPU || where.device_type == kDLCUDAHost)
        return rn_context_find_device(ctx, "cpu", out);
    for (size_t i = 0; i < ctx->num_devices; i++) {
        const rn_device_info *const info = &ctx->devices[i]->info;
        if (info->dlpack_type == (int32_t)where.device_type && info->dlpack_id == where.device_id) {
            *out = ctx->devices[i];
            return RN_OK;
        }
    }
    return rni_fail(RN_E_DEVICE, "managed: expected a tensor on a device of the context, got DLPack device type %d, number %d",
                    (int)where.device_type, (int)where.device_id);
}

static rn_status check_foreign(const DLTensor *d, rn_dtype dtype, size_t *nbytes)
{
    int64_t count;
    if (!dtype)
        return rni_fail(RN_E_DTYPE, "managed: no element type for DLPack code %u, %u bits, %u lanes",
                        (unsigned)d->dtype.code, (unsigned)d->dtype.bits, (unsigned)d->dtype.lanes);
    RNI_TRY(rni_shape_check(d->ndim, d->shape, dtype, "managed", &count, nbytes));
    if (!d->data && *nbytes)
        return rni_fail(RN_E_INVALID, "managed: its data is NULL");
    return RN_OK;
}

rn_status rn_tensor_from_dlpack(rn_context *ctx, struct DLManagedTensorVersioned *managed, rn_tensor **out)
{
    rn_device *dev = NULL;
    size_t nbytes = 0;
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(managed);
    RNI_REQUIRE(out);
    if (managed->version.major != DLPACK_MAJOR_VERSION) {
        const uint32_t major = managed->version.major;
        delete_managed(managed, NULL);
        return rni_fail(RN_E_VERSION, "managed: expected DLPack version %d, got %u", DLPACK_MAJOR_VERSION,
                        (unsigned)major);
    }
    const DLTensor *const d = &managed->dl_tensor;
    const rn_dtype dtype = dtype_of(d->dtype);
    RNI_TRY(find_owner(ctx, d->device, &dev));
    RNI_TRY(check_foreign(d, dtype, &nbytes));
    char *const data = nbytes ? (char *)d->data + d->byte_offset : NULL;
    const int share = nbytes && is_contiguous(d) && !(managed->flags & DLPACK_FLAG_BITMASK_READ_ONLY) &&
                      (uintptr_t)data % rn_dtype_size(dtype) == 0;
    if (share)
        return rni_tensor_wrap(dev, dtype, d->ndim, d->shape, data, nbytes, delete_managed, managed, out);
    RNI_TRY(copy_foreign(dev, d, dtype, data, out));
    delete_managed(managed, NULL);
    return RN_OK;
}
