/* SPDX-License-Identifier: MIT */
/* Matrix products through cuBLAS, behind a table as small as what is used of it, so that the simulator can stand in. */
#ifndef RNI_CUDA_BLAS_H
#define RNI_CUDA_BLAS_H

#include "cuda.h"

/* Row-major C[m, n] = alpha op(A) op(B) + beta C, sums in f32. A and B: f32, bf16 or f16, both of one type; C: that
   type or f32. transpose_a: A is stored [k, m]; transpose_b: B is stored [n, k]. Leading dimensions in elements. */
typedef struct rni_blas_product {
    int32_t transpose_a, transpose_b;
    int64_t m, n, k;
    float alpha, beta;
    int32_t type, c_type; /* rn_dtype */
    const void *a, *b;
    void *c;
    int64_t lda, ldb, ldc;
    /* On the device, 256-byte aligned, RNI_BLAS_WORKSPACE bytes: from the op's workspace, so that two streams do not
       share one. NULL: cuBLAS does without and may be slower. */
    void *workspace;
} rni_blas_product;
enum { RNI_BLAS_WORKSPACE = 4 << 20 };

typedef struct rni_blas_api {
    rn_status (*create)(rni_cuda_device *device, void **handle);
    void (*destroy)(void *handle);
    rn_status (*multiply)(void *handle, cudaStream_t stream, const rni_blas_product *product);
} rni_blas_api;
extern const rni_blas_api rni_blas_api_device; /* real cuBLAS, or the simulator's */

/* device->blas, through rni_blas_api_device. */
rn_status rni_blas_open(rni_cuda_device *device, rni_blas **out);
void rni_blas_close(rni_blas *blas); /* NULL is fine */
/* Enqueues it; leading dimensions and sizes beyond 32 bits are RN_E_UNSUPPORTED. */
rn_status rni_blas_multiply(rni_blas *blas, cudaStream_t stream, const rni_blas_product *product);

#endif
