/* SPDX-License-Identifier: MIT */
/* Inside of tensors, for the floors above. */
#ifndef RNI_TENSOR_H
#define RNI_TENSOR_H

#include "backend/context.h"
#include <resnet/tensor.h>

/* Memory that several tensors view. */
typedef struct rni_storage {
    atomic_int references;
    rn_device *dev;
    void *data; /* device address; NULL once dropped */
    uint64_t bytes;
    const char *dropped; /* why there is no memory any more; NULL: there is */
    rn_release_fn release; /* NULL: device memory of ours */
    void *user;
    /* Told when bytes were written through the API; the owner clears it before it goes. */
    void (*written)(void *owner, uint64_t offset, uint64_t bytes);
    void *owner;
} rni_storage;

struct rn_tensor {
    atomic_int references;
    rn_device *dev; /* a reference on its context is held */
    rni_storage *storage;
    uint64_t offset; /* bytes from storage->data */
    rn_dtype dtype;
    int32_t rank;
    int32_t layout; /* RN_LAYOUT_PLAIN or RN_LAYOUT_NHWC */
    int64_t dims[RN_MAX_RANK];
    int64_t count;
    size_t nbytes;
};

/* Product of dims, times element size; RN_E_SHAPE for a bad rank, a negative size or overflow. `what` names it. */
rn_status rni_shape_check(int32_t rank, const int64_t *dims, rn_dtype dtype, const char *what, int64_t *count,
                          size_t *nbytes);
int rni_shape_equal(int32_t rank_a, const int64_t *a, int32_t rank_b, const int64_t *b);

/* A storage of zeroed device memory, one reference. */
rn_status rni_storage_create(rn_device *dev, uint64_t bytes, const char *what, rni_storage **out);
void rni_storage_release(rni_storage *storage);
/*
 * Gives back the device memory of a storage of ours before its last reference goes. Tensors over it keep their shapes;
 * calls that need their elements fail with RN_E_STATE and `why` (static).
 */
void rni_storage_drop(rni_storage *storage, const char *why);

/* A tensor over part of a storage (takes its own reference). layout as given. */
rn_status rni_tensor_view(rni_storage *storage, uint64_t offset, rn_dtype dtype, int32_t layout, int32_t rank,
                          const int64_t *dims, rn_tensor **out);

/* rn_tensor_wrap() of memory of any device. */
rn_status rni_tensor_wrap(rn_device *dev, rn_dtype dtype, int32_t rank, const int64_t *dims, void *data, size_t nbytes,
                          rn_release_fn release, void *user, rn_tensor **out);

/* The whole memory of a tensor from the host's, in the tensor's own order of elements. */
rn_status rni_tensor_put(rn_tensor *t, const void *src);

/* Device address of the first element. */
static inline void *rni_tensor_address(const rn_tensor *t)
{
    return (char *)t->storage->data + t->offset;
}

/* To be called after a tensor's elements were changed. */
static inline void rni_tensor_written(const rn_tensor *t)
{
    if (t->storage->written)
        t->storage->written(t->storage->owner, t->offset, t->nbytes);
}

/* RN_E_STATE when its memory was dropped; `what` names call or argument. */
rn_status rni_tensor_expect_memory(const rn_tensor *t, const char *what);

/* RN_E_DEVICE, RN_E_DTYPE, RN_E_STATE unless it is as expected and has its memory; `what` names the argument. */
rn_status rni_tensor_expect(const rn_tensor *t, const rn_device *dev, rn_dtype dtype, const char *what);

#endif
