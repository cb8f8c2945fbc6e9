/* SPDX-License-Identifier: MIT */
/* cuBLAS without a device: a product by plain loops, sums in double, in stream order. */
#include "base/error.h"
#include "blas.h"
#include "simulator/control.h"
#include "simulator/narrow.h"
#include <stdlib.h>
#include <string.h>

static rn_status create(rni_cuda_device *device, void **handle)
{
    *handle = device;
    return RN_OK;
}

static void destroy(void *handle)
{
    (void)handle;
}

/* Bytes from the first to the last element of `rows` rows. */
static size_t extent(int64_t rows, int64_t columns, int64_t leading, int32_t dtype)
{
    return (size_t)((rows - 1) * leading + columns) * narrow_size(dtype);
}

/* Row by row, so that what lies between rows need not be there. */
static int rows_are_right(const void *at, int64_t rows, int64_t columns, int64_t leading, int32_t dtype, int mode,
                          const char *who)
{
    const size_t size = narrow_size(dtype);
    if (leading == columns)
        return rni_sim_access(at, extent(rows, columns, leading, dtype), mode, who);
    for (int64_t i = 0; i < rows; i++)
        if (!rni_sim_access((const char *)at + (size_t)(i * leading) * size, (size_t)columns * size, mode, who))
            return 0;
    return 1;
}

static int accesses_are_right(const rni_blas_product *p)
{
    const int sum = p->beta != 0 ? RNI_SIM_READ | RNI_SIM_WRITE : RNI_SIM_WRITE;
    int right = rows_are_right(p->a, p->transpose_a ? p->k : p->m, p->transpose_a ? p->m : p->k, p->lda, p->type,
                               RNI_SIM_READ, "cuBLAS: A");
    right &= rows_are_right(p->b, p->transpose_b ? p->n : p->k, p->transpose_b ? p->k : p->n, p->ldb, p->type,
                            RNI_SIM_READ, "cuBLAS: B");
    right &= rows_are_right(p->c, p->m, p->n, p->ldc, p->c_type, sum, "cuBLAS: C");
    if (p->workspace)
        right &= rni_sim_access(p->workspace, RNI_BLAS_WORKSPACE, RNI_SIM_WRITE, "cuBLAS: workspace");
    return right;
}

/* op(B) as rows of n, widened. */
static float *widen_b(const rni_blas_product *p)
{
    float *const b = malloc((size_t)(p->k * p->n) * sizeof *b);
    for (int64_t l = 0; b && l < p->k; l++)
        for (int64_t j = 0; j < p->n; j++)
            b[l * p->n + j] = narrow_load(p->b, p->transpose_b ? j * p->ldb + l : l * p->ldb + j, p->type);
    return b;
}

static void multiply_row(const rni_blas_product *p, int64_t i, const float *b, double *sums)
{
    memset(sums, 0, (size_t)p->n * sizeof *sums);
    for (int64_t l = 0; l < p->k; l++) {
        const double a = (double)narrow_load(p->a, p->transpose_a ? l * p->lda + i : i * p->lda + l, p->type);
        for (int64_t j = 0; j < p->n; j++)
            sums[j] += a * (double)b[l * p->n + j];
    }
    for (int64_t j = 0; j < p->n; j++) {
        const int64_t at = i * p->ldc + j;
        const double old = p->beta != 0 ? (double)p->beta * (double)narrow_load(p->c, at, p->c_type) : 0;
        narrow_store(p->c, at, p->c_type, (double)p->alpha * sums[j] + old);
    }
}

static cudaError_t run(void *argument)
{
    const rni_blas_product *const p = argument;
    if (!accesses_are_right(p))
        return cudaErrorIllegalAddress;
    float *const b = widen_b(p);
    double *const sums = malloc((size_t)p->n * sizeof *sums);
    for (int64_t i = 0; b && sums && i < p->m; i++)
        multiply_row(p, i, b, sums);
    const cudaError_t error = b && sums ? cudaSuccess : cudaErrorMemoryAllocation;
    free(b);
    free(sums);
    if (p->workspace)
        memset(p->workspace, 0xff, RNI_BLAS_WORKSPACE);
    return error;
}

static rn_status multiply(void *handle, cudaStream_t stream, const rni_blas_product *p)
{
    if ((uintptr_t)p->workspace % 256 != 0)
        return rni_fail(RN_E_INTERNAL, "cuBLAS: a workspace at %p, multiples of 256 expected", p->workspace);
    return rni_cuda_result(handle, rni_sim_enqueue(stream, run, p, sizeof *p), "multiply");
}

const rni_blas_api rni_blas_api_device = {create, destroy, multiply};
