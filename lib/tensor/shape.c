/* SPDX-License-Identifier: MIT */
#include "tensor/tensor.h"
#include <string.h>

rn_status rni_shape_check(int32_t rank, const int64_t *dims, rn_dtype dtype, const char *what, int64_t *count,
                          size_t *nbytes)
{
    char text[RNI_SHAPE_TEXT];
    size_t elements = 1, bytes = rn_dtype_size(dtype);
    int empty = 0;
    if (!bytes)
        return rni_fail(RN_E_DTYPE, "%s: %d is no element type", what, (int)dtype);
    if (rank < 0 || rank > RN_MAX_RANK)
        return rni_fail(RN_E_SHAPE, "%s: expected a rank of 0 to %d, got %d", what, RN_MAX_RANK, (int)rank);
    if (rank && !dims)
        return rni_fail(RN_E_INVALID, "%s: dims is NULL", what);
    for (int32_t i = 0; i < rank; i++)
        if (dims[i] < 0)
            return rni_fail(RN_E_SHAPE, "%s: a negative size in %s", what, rni_shape_text(text, rank, dims));
    /* Sizes of 0 are left out here, so that strides cannot overflow either. */
    for (int32_t i = 0; i < rank; i++) {
        empty |= dims[i] == 0;
        if (dims[i] && !rni_mul_size(elements, (size_t)dims[i], &elements))
            return rni_fail(RN_E_SHAPE, "%s: the size of %s overflows", what, rni_shape_text(text, rank, dims));
    }
    if (!rni_mul_size(bytes, elements, &bytes) || bytes > PTRDIFF_MAX)
        return rni_fail(RN_E_SHAPE, "%s: the size of %s overflows", what, rni_shape_text(text, rank, dims));
    *count = empty ? 0 : (int64_t)elements;
    *nbytes = empty ? 0 : bytes;
    return RN_OK;
}

int rni_shape_equal(int32_t rank_a, const int64_t *a, int32_t rank_b, const int64_t *b)
{
    return rank_a == rank_b && (rank_a == 0 || memcmp(a, b, (size_t)rank_a * sizeof *a) == 0);
}
