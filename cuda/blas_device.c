/* SPDX-License-Identifier: MIT */
/* The one file that uses a handle of cuBLAS. */
#include "blas.h"
#include <cublas_v2.h>
#include <pthread.h>

typedef struct blas_handle {
    rni_cuda_device *device;
    cublasHandle_t cublas;
    pthread_mutex_t lock; /* the handle carries the stream and the workspace of a call */
} blas_handle;

static rn_status result(cublasStatus_t status, const char *what)
{
    if (status == CUBLAS_STATUS_SUCCESS)
        return RN_OK;
    return rni_fail(status == CUBLAS_STATUS_ALLOC_FAILED    ? RN_E_NOMEM
                    : status == CUBLAS_STATUS_NOT_SUPPORTED ? RN_E_UNSUPPORTED
                                                            : RN_E_BACKEND,
                    "cuBLAS cannot %s: %s", what, cublasGetStatusString(status));
}

/* Sums stay f32 from beginning to end, also those of parts of a product. */
static rn_status set_math(cublasHandle_t cublas)
{
    const cublasMath_t math = (cublasMath_t)(CUBLAS_DEFAULT_MATH | CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION);
    RNI_TRY(result(cublasSetMathMode(cublas, math), "set its mode"));
    return result(cublasSetAtomicsMode(cublas, CUBLAS_ATOMICS_NOT_ALLOWED), "do without atomics");
}

static rn_status create(rni_cuda_device *device, void **handle)
{
    const rn_host_api *const host = device->host;
    RNI_TRY(rni_cuda_result(device, cudaSetDevice(device->index), "select the device"));
    blas_handle *const h = host->alloc(host->host, sizeof *h, _Alignof(blas_handle));
    if (!h)
        return rni_fail(RN_E_NOMEM, "no memory for cuBLAS");
    h->device = device;
    rn_status status = result(cublasCreate(&h->cublas), "open the device");
    if (status == RN_OK) {
        status = set_math(h->cublas);
        if (status != RN_OK)
            cublasDestroy(h->cublas);
    }
    if (status != RN_OK) {
        host->free(host->host, h, sizeof *h, _Alignof(blas_handle));
        return status;
    }
    pthread_mutex_init(&h->lock, NULL);
    *handle = h;
    return RN_OK;
}

static void destroy(void *handle)
{
    blas_handle *const h = handle;
    const rn_host_api *const host = h->device->host;
    cublasDestroy(h->cublas);
    pthread_mutex_destroy(&h->lock);
    host->free(host->host, h, sizeof *h, _Alignof(blas_handle));
}

static cudaDataType data_type(int32_t dtype)
{
    return dtype == RN_BF16 ? CUDA_R_16BF : dtype == RN_F16 ? CUDA_R_16F : CUDA_R_32F;
}

static cublasComputeType_t compute_type(const rni_cuda_device *device, int32_t dtype)
{
    if (dtype != RN_F32)
        return CUBLAS_COMPUTE_32F;
    return device->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F_PEDANTIC;
}

/*
 * cuBLAS counts by columns, where our rows are columns: C^T = op(B)^T op(A)^T, so the operands change places and keep
 * their transposition.
 */
static rn_status product(const blas_handle *h, const rni_blas_product *p)
{
    const cublasOperation_t a = p->transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasOperation_t b = p->transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cudaDataType type = data_type(p->type);
    return result(cublasGemmEx(h->cublas, b, a, (int)p->n, (int)p->m, (int)p->k, &p->alpha, p->b, type, (int)p->ldb,
                               p->a, type, (int)p->lda, &p->beta, p->c, data_type(p->c_type), (int)p->ldc,
                               compute_type(h->device, p->type), CUBLAS_GEMM_DEFAULT),
                  "multiply");
}

static rn_status multiply(void *handle, cudaStream_t stream, const rni_blas_product *p)
{
    blas_handle *const h = handle;
    pthread_mutex_lock(&h->lock);
    /* A new stream gives the handle its own workspace back: the product's is set after it. */
    rn_status status = result(cublasSetStream(h->cublas, stream), "take a stream");
    if (status == RN_OK)
        status = result(cublasSetWorkspace(h->cublas, p->workspace, p->workspace ? RNI_BLAS_WORKSPACE : 0),
                        "take a workspace");
    if (status == RN_OK)
        status = product(h, p);
    pthread_mutex_unlock(&h->lock);
    return status;
}

const rni_blas_api rni_blas_api_device = {create, destroy, multiply};
