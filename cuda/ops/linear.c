/* SPDX-License-Identifier: MIT */
/* Fully connected layers: cuBLAS's products, or the module's own where there is none. */
#include "base/error.h"
#include "base/half.h"
#include "blas.h"
#include "kernels/kernels.h"
#include "ops/drivers.h"
#include "ops/operands.h"
#include "workspace.h"

/* Parts of the workspace: the weights in the compute type, f32 sums that are rounded after the bias, cuBLAS's own. */
typedef struct linear_parts {
    uint64_t weights, sums, blas, total;
    int32_t casts, sums_apart;
} linear_parts;

/* The sizes of an op: x [rows, inputs], w [outputs, inputs], y [rows, outputs]. */
typedef struct linear_sizes {
    int64_t rows, inputs, outputs;
    int32_t dtype;
} linear_sizes;

static linear_sizes sizes_of(const rn_op *op, const rn_value *values)
{
    const int32_t filter = op->kind == RN_OP_LINEAR_BACKWARD_FILTER;
    const rn_value *const w = &values[filter ? op->out[0] : op->in[1]], *const batched = &values[op->in[0]];
    return (linear_sizes){batched->dims[0], w->dims[1], w->dims[0], batched->dtype};
}

static linear_parts parts_of(const rni_cuda_device *device, const rn_op *op, const linear_sizes *s)
{
    linear_parts p = {.total = 0};
    p.casts = rni_is_half(s->dtype) && op->kind != RN_OP_LINEAR_BACKWARD_FILTER;
    p.sums_apart = rni_is_half(s->dtype) && (op->flags & (RN_OPF_BIAS | RN_OPF_RELU));
    p.weights = rni_part(&p.total, p.casts ? (uint64_t)(s->inputs * s->outputs) * 2 : 0);
    p.sums = rni_part(&p.total, p.sums_apart ? (uint64_t)(s->rows * s->outputs) * sizeof(float) : 0);
    p.blas = rni_part(&p.total, device->blas ? RNI_BLAS_WORKSPACE : 0);
    return p;
}

static rn_status query(rni_cuda_device *device, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    RNI_TRY(rni_ops_check_linear(op, values));
    const linear_sizes s = sizes_of(op, values);
    const int64_t sizes[] = {s.rows, s.inputs, s.outputs};
    for (int i = 0; i < 3; i++)
        if (sizes[i] > INT32_MAX / 2)
            return rni_ops_refuse(op, RN_E_UNSUPPORTED, "sizes up to %d, got %lld", INT32_MAX / 2, (long long)sizes[i]);
    info->workspace = rni_parts_bytes(parts_of(device, op, &s).total);
    return RN_OK;
}

/* The product of an op, with the operands' places to be filled in. */
static rni_blas_product product_of(const rni_cuda_call *c, const linear_sizes *s, const linear_parts *parts)
{
    rni_blas_product p = {.alpha = 1, .type = s->dtype, .c_type = parts->sums_apart ? RN_F32 : s->dtype};
    const int64_t rows = rni_cuda_images(c, rni_cuda_in_value(c, 0));
    p.workspace = c->device->blas ? rni_part_of(c, parts->blas) : NULL;
    p.ldb = p.ldc = s->inputs;
    if (c->op->kind == RN_OP_LINEAR) { /* y = x w^T */
        p.transpose_b = 1;
        p.m = rows;
        p.n = p.ldc = s->outputs;
        p.k = p.lda = s->inputs;
    } else if (c->op->kind == RN_OP_LINEAR_BACKWARD_DATA) { /* dx = dy w */
        p.m = rows;
        p.n = s->inputs;
        p.k = p.lda = s->outputs;
    } else { /* dw += dy^T x */
        p.transpose_a = 1;
        p.m = p.lda = s->outputs;
        p.n = s->inputs;
        p.k = rows;
        p.beta = 1;
        p.c_type = RN_F32;
    }
    return p;
}

static rn_status multiply(const rni_cuda_call *c, const rni_blas_product *p)
{
    if (c->device->blas) {
        const rn_status status = rni_blas_multiply(c->device->blas, c->stream, p);
        if (status != RN_E_UNSUPPORTED)
            return status;
    }
    const rni_product own = {.m = p->m,
                             .n = p->n,
                             .lda = p->lda,
                             .ldb = p->ldb,
                             .ldc = p->ldc,
                             .k = (int32_t)p->k,
                             .transpose_a = p->transpose_a,
                             .transpose_b = p->transpose_b,
                             .accumulate = p->beta != 0};
    return rni_cuda_launched(c, rni_k_product(c->stream, p->type, p->c_type, &own, p->a, p->b, p->c));
}

/* The weights in the compute type. */
static rn_status weights_of(const rni_cuda_call *c, const linear_sizes *s, const linear_parts *parts, const void **out)
{
    const void *const w = rni_cuda_in(c, 1);
    void *const cast = rni_part_of(c, parts->weights);
    *out = parts->casts ? cast : w;
    if (!parts->casts)
        return RN_OK;
    return rni_cuda_launched(c, rni_k_convert(c->stream, RN_F32, s->dtype, w, cast, s->inputs * s->outputs, 0));
}

static rn_status forward_run(const rni_cuda_call *c)
{
    const linear_sizes s = sizes_of(c->op, c->values);
    const linear_parts parts = parts_of(c->device, c->op, &s);
    rni_blas_product p = product_of(c, &s, &parts);
    const float *const bias = c->op->flags & RN_OPF_BIAS ? rni_cuda_in(c, 2) : NULL;
    const int32_t relu = (c->op->flags & RN_OPF_RELU) != 0;
    void *const y = rni_cuda_out(c, 0);
    p.a = rni_cuda_in(c, 0);
    RNI_TRY(weights_of(c, &s, &parts, &p.b));
    p.c = parts.sums_apart ? rni_part_of(c, parts.sums) : y;
    RNI_TRY(multiply(c, &p));
    if (!bias && !relu)
        return RN_OK;
    return rni_cuda_launched(c, rni_k_finish_rows(c->stream, RN_F32, s.dtype, p.c, bias, NULL, y, p.m, s.outputs, relu));
}

static rn_status data_run(const rni_cuda_call *c)
{
    const linear_sizes s = sizes_of(c->op, c->values);
    const linear_parts parts = parts_of(c->device, c->op, &s);
    rni_blas_product p = product_of(c, &s, &parts);
    p.a = rni_cuda_in(c, 0);
    RNI_TRY(weights_of(c, &s, &parts, &p.b));
    p.c = rni_cuda_out(c, 0);
    return multiply(c, &p);
}

static rn_status filter_run(const rni_cuda_call *c)
{
    const linear_sizes s = sizes_of(c->op, c->values);
    const linear_parts parts = parts_of(c->device, c->op, &s);
    rni_blas_product p = product_of(c, &s, &parts);
    p.a = rni_cuda_in(c, 1);
    p.b = rni_cuda_in(c, 0);
    p.c = rni_cuda_out(c, 0);
    return multiply(c, &p);
}

const rni_cuda_driver rni_cuda_linear = {.query = query, .run = forward_run};
const rni_cuda_driver rni_cuda_linear_backward_data = {.query = query, .run = data_run};
const rni_cuda_driver rni_cuda_linear_backward_filter = {.query = query, .run = filter_run};
