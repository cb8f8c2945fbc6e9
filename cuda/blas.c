/* SPDX-License-Identifier: MIT */
#include "blas.h"

struct rni_blas {
    rni_cuda_device *device;
    const rni_blas_api *api;
    void *handle;
};

rn_status rni_blas_open(rni_cuda_device *device, rni_blas **out)
{
    const rn_host_api *const host = device->host;
    rni_blas *const blas = host->alloc(host->host, sizeof *blas, _Alignof(rni_blas));
    *out = NULL;
    if (!blas)
        return rni_fail(RN_E_NOMEM, "no memory for cuBLAS");
    *blas = (rni_blas){device, &rni_blas_api_device, NULL};
    const rn_status status = blas->api->create(device, &blas->handle);
    if (status != RN_OK)
        host->free(host->host, blas, sizeof *blas, _Alignof(rni_blas));
    else
        *out = blas;
    return status;
}

void rni_blas_close(rni_blas *blas)
{
    if (!blas)
        return;
    const rn_host_api *const host = blas->device->host;
    blas->api->destroy(blas->handle);
    host->free(host->host, blas, sizeof *blas, _Alignof(rni_blas));
}

/* Row-major sizes: op(A) is m x k, op(B) k x n; a leading dimension is at least the stored row. */
static rn_status check(const rni_blas_product *p)
{
    const int64_t sizes[] = {p->m, p->n, p->k, p->lda, p->ldb, p->ldc};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (sizes[i] < 1)
            return rni_fail(RN_E_INVALID, "a product with a size of %lld", (long long)sizes[i]);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (sizes[i] > INT32_MAX)
            return rni_fail(RN_E_UNSUPPORTED, "a product with a size of %lld", (long long)sizes[i]);
    if (p->lda < (p->transpose_a ? p->m : p->k) || p->ldb < (p->transpose_b ? p->k : p->n) || p->ldc < p->n)
        return rni_fail(RN_E_INVALID, "a product with rows longer than its leading dimensions");
    if (p->type != RN_F32 && p->type != RN_BF16 && p->type != RN_F16)
        return rni_fail(RN_E_UNSUPPORTED, "a product in dtype %d", (int)p->type);
    return p->c_type == p->type || p->c_type == RN_F32
               ? RN_OK
               : rni_fail(RN_E_UNSUPPORTED, "a product of dtype %d into dtype %d", (int)p->type, (int)p->c_type);
}

rn_status rni_blas_multiply(rni_blas *blas, cudaStream_t stream, const rni_blas_product *product)
{
    RNI_TRY(check(product));
    return blas->api->multiply(blas->handle, stream, product);
}
