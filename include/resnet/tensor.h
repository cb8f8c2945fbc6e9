/* SPDX-License-Identifier: MIT */
/**
 * @file tensor.h
 * Tensors: n-dimensional arrays on a device. Contiguous, last dimension
 * fastest; images are [N, C, H, W], convolution weights [O, I, KH, KW].
 */
#ifndef RESNET_TENSOR_H
#define RESNET_TENSOR_H

#include <resnet/device.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rn_tensor rn_tensor;
struct DLManagedTensorVersioned;

/**
 * Makes a tensor filled with zeros.
 * @param rank 0 (a scalar) to RN_MAX_RANK
 * @param dims [in] rank sizes, each 0 or more; may be NULL for rank 0
 * @param out  [out] one reference
 * @return RN_E_DTYPE, RN_E_SHAPE (negative, or the size overflows), RN_E_NOMEM
 */
RN_API rn_status rn_tensor_create(rn_device *dev, rn_dtype dtype, int32_t rank, const int64_t *dims, rn_tensor **out);

/**
 * Wraps memory of the host without a copy, on a device whose memory the host
 * can address (the CPU). `data` must be aligned to its element and stay valid
 * until `release` is called, and unchanged while enqueued work reads it.
 * @param nbytes  must be exactly the tensor's size
 * @param release [optional] called with (user, data) when the last reference goes
 * @return RN_E_DEVICE for a device without host memory, RN_E_SHAPE, RN_E_INVALID;
 *         on failure `release` is not called
 */
RN_API rn_status rn_tensor_wrap(rn_device *dev, rn_dtype dtype, int32_t rank, const int64_t *dims, void *data,
                                size_t nbytes, rn_release_fn release, void *user, rn_tensor **out);

RN_API rn_tensor *rn_tensor_retain(rn_tensor *t);
RN_API void rn_tensor_release(rn_tensor *t);

/** @return the element type, 0 for NULL. */
RN_API rn_dtype rn_tensor_dtype(const rn_tensor *t);
/** @return the number of dimensions, 0 for NULL. */
RN_API int32_t rn_tensor_rank(const rn_tensor *t);
/** @return the size of dimension `axis`; negative axes count from the end; -1 beyond. */
RN_API int64_t rn_tensor_dim(const rn_tensor *t, int32_t axis);
/** @return the number of elements, 0 for NULL. */
RN_API int64_t rn_tensor_count(const rn_tensor *t);
/** @return the size in bytes, 0 for NULL. */
RN_API size_t rn_tensor_nbytes(const rn_tensor *t);
/** @return the device it lives on, borrowed. */
RN_API rn_device *rn_tensor_device(const rn_tensor *t);
/**
 * @return the elements in plain order, or NULL on a device without host memory, for a
 *         tensor in a backend's own layout (rn_plan_input()) and for weights that were
 *         dropped (RN_PLAN_DROP_WEIGHTS). After writing weights through it, call rn_model_mark_written().
 */
RN_API void *rn_tensor_data(const rn_tensor *t);

/** Waits, then copies all elements to `dst`. @return RN_E_BUFFER unless nbytes is the tensor's size */
RN_API rn_status rn_tensor_read(const rn_tensor *t, void *dst, size_t nbytes);

/** Copies all elements from `src`, which may be reused on return. @return RN_E_BUFFER unless nbytes is the size */
RN_API rn_status rn_tensor_write(rn_tensor *t, const void *src, size_t nbytes);

/**
 * Copies between tensors of equal shape, across devices and element types
 * (numbers are converted as C converts them; to an integer type, values are
 * truncated towards zero, clamped to its range, and NaN becomes 0).
 */
RN_API rn_status rn_tensor_copy(const rn_tensor *src, rn_tensor *dst);

/**
 * A view of `count` entries of the first dimension, beginning with `first`. It
 * shares the memory and keeps it alive.
 * @return RN_E_SHAPE for rank 0 or a range that is not inside
 */
RN_API rn_status rn_tensor_slice(rn_tensor *t, int64_t first, int64_t count, rn_tensor **out);

/** Flag of rn_tensor_to_dlpack(): give a copy, marked DLPACK_FLAG_BITMASK_IS_COPIED. */
#define RN_DLPACK_COPY 1u

/**
 * Exports to DLPack (v1). The result shares the memory and holds a reference to
 * the tensor until its deleter is called (from any thread).
 * @return RN_E_DEVICE on a device DLPack cannot name, RN_E_UNSUPPORTED for a tensor in a
 *         backend's own layout
 */
RN_API rn_status rn_tensor_to_dlpack(rn_tensor *t, uint64_t flags, struct DLManagedTensorVersioned **out);

/**
 * Takes over a DLPack tensor on the CPU or another device of the context (pinned
 * memory of CUDA counts as the CPU's): contiguous ones are shared, others and
 * read-only ones copied. Work that fills it must be done. On success the library owns `managed` and calls its
 * deleter when done; on failure the caller still owns it, except that a major
 * version other than 1 is given back through its deleter, as DLPack demands.
 * @return RN_E_VERSION, RN_E_DTYPE, RN_E_DEVICE
 */
RN_API rn_status rn_tensor_from_dlpack(rn_context *ctx, struct DLManagedTensorVersioned *managed, rn_tensor **out);

#ifdef __cplusplus
}
#endif
#endif
