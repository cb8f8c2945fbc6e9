/* SPDX-License-Identifier: MIT */
/* RN_CUDA_AUTOTUNE=1: runs the first plans of a shape on memory of their own and takes the fastest, or the problem's rival. */
#include "dnn/cache.h"
#include "base/error.h"
#include <string.h>

enum { CANDIDATES = 8, RUNS = 5, AREAS = RNI_DNN_NAMES };

/* What candidates run on. */
typedef struct bench {
    rni_dnn *dnn;
    cudaStream_t stream;
    cudaEvent_t begin, end;
    void *area[AREAS]; /* by name of the tensor; 0: the workspace */
    uint64_t workspace;
} bench;

static uint64_t area_bytes(const rni_dnn_shape *s, int area, uint64_t workspace)
{
    const uint64_t size = rn_dtype_size((rn_dtype)s->dtype);
    switch (area) {
    case RNI_DNN_X:
        return (uint64_t)rni_dnn_input_count(s) * size;
    case RNI_DNN_W: /* f32 for the rival, which adds to the op's dw itself */
        return (uint64_t)rni_dnn_filter_count(s) * sizeof(float);
    case RNI_DNN_Y:
        return (uint64_t)rni_dnn_output_count(s) * size;
    case RNI_DNN_BIAS:
        return rni_dnn_has_epilogue(s) ? (uint64_t)s->out[0] * size : 0;
    case RNI_DNN_RESIDUAL:
        return s->flags & RN_OPF_ADD ? (uint64_t)rni_dnn_output_count(s) * size : 0;
    case RNI_DNN_TOTALS:
    case RNI_DNN_SQUARES:
        return s->flags & RN_OPF_STATS ? (uint64_t)s->out[0] * sizeof(float) : 0;
    case RNI_DNN_SCALE:
    case RNI_DNN_SHIFT:
        return s->flags & RNI_DNN_PROLOGUE ? (uint64_t)s->in[0] * size : 0;
    default:
        return workspace;
    }
}

static rn_status result(const bench *b, cudaError_t error)
{
    return rni_cuda_result(b->dnn->device, error, "measure plans of a convolution");
}

/* Zeros: denormals or NaN might take another time. */
static rn_status set_up(bench *b, const rni_dnn_shape *shape)
{
    RNI_TRY(result(b, cudaStreamCreateWithFlags(&b->stream, cudaStreamNonBlocking)));
    RNI_TRY(result(b, cudaEventCreateWithFlags(&b->begin, cudaEventDefault)));
    RNI_TRY(result(b, cudaEventCreateWithFlags(&b->end, cudaEventDefault)));
    for (int i = 0; i < AREAS; i++) {
        const uint64_t bytes = area_bytes(shape, i, b->workspace);
        if (!bytes)
            continue;
        RNI_TRY(result(b, cudaMalloc(&b->area[i], bytes)));
        RNI_TRY(result(b, cudaMemsetAsync(b->area[i], 0, bytes, b->stream)));
    }
    return RN_OK;
}

static void tear_down(bench *b)
{
    if (b->stream)
        cudaStreamSynchronize(b->stream);
    for (int i = 0; i < AREAS; i++)
        if (b->area[i])
            cudaFree(b->area[i]);
    if (b->begin)
        cudaEventDestroy(b->begin);
    if (b->end)
        cudaEventDestroy(b->end);
    if (b->stream)
        cudaStreamDestroy(b->stream);
}

static rn_status execute(const bench *b, const rni_dnn_plan *plan)
{
    rni_dnn_operand operands[AREAS];
    int32_t count = 0;
    for (int i = 1; i < AREAS; i++)
        if (b->area[i])
            operands[count++] = (rni_dnn_operand){i, b->area[i]};
    return b->dnn->api->execute(b->dnn->handle, b->stream, plan, operands, count, b->area[0], b->workspace);
}

static rn_status execute_rival(const bench *b, const rni_dnn_rival *rival)
{
    const rni_dnn_operands operands = {.x = b->area[RNI_DNN_X],
                                       .w = b->area[RNI_DNN_W],
                                       .y = b->area[RNI_DNN_Y],
                                       .bias = b->area[RNI_DNN_BIAS],
                                       .residual = b->area[RNI_DNN_RESIDUAL]};
    return result(b, rival->run(rival, b->stream, &operands, b->area[0]));
}

static rn_status run(const bench *b, const rni_dnn_plan *plan, const rni_dnn_rival *rival)
{
    return plan ? execute(b, plan) : execute_rival(b, rival);
}

/* Milliseconds of RUNS runs, after one that loads the kernels. plan: NULL for the rival. */
static rn_status time_plan(const bench *b, const rni_dnn_plan *plan, const rni_dnn_rival *rival, float *milliseconds)
{
    RNI_TRY(run(b, plan, rival));
    RNI_TRY(result(b, cudaEventRecord(b->begin, b->stream)));
    for (int i = 0; i < RUNS; i++)
        RNI_TRY(run(b, plan, rival));
    RNI_TRY(result(b, cudaEventRecord(b->end, b->stream)));
    RNI_TRY(result(b, cudaEventSynchronize(b->end)));
    return result(b, cudaEventElapsedTime(milliseconds, b->begin, b->end));
}

/* The index of the fastest, `count` for the rival; a candidate that fails to run is none, and -1 when all do. */
static int32_t fastest(bench *b, rni_dnn_plan *const *plans, int32_t count, const rni_dnn_rival *rival)
{
    int32_t best = -1;
    float least = 0;
    for (int32_t i = 0; i < count + (rival != NULL); i++) {
        float milliseconds;
        if (time_plan(b, i < count ? plans[i] : NULL, rival, &milliseconds) != RN_OK)
            continue;
        if (best < 0 || milliseconds < least) {
            least = milliseconds;
            best = i;
        }
    }
    return best;
}

/* 1 when the plan is the one that was fastest before. */
static int is_chosen(const rni_dnn_plan *plan, const char *choice)
{
    char *json;
    size_t size;
    if (rni_dnn_plan_write(plan, &json, &size) != RN_OK)
        return 0;
    const int equal = strcmp(json, choice) == 0;
    plan->host->free(plan->host->host, json, size, 1);
    return equal;
}

static int32_t known(const rni_dnn *dnn, const rni_dnn_shape *shape, rni_dnn_plan *const *plans, int32_t count,
                     const rni_dnn_rival *rival)
{
    size_t size;
    char *const choice = rni_dnn_choice_read(dnn, shape, &size);
    int32_t found = -1;
    for (int32_t i = 0; choice && i < count && found < 0; i++)
        if (is_chosen(plans[i], choice))
            found = i;
    if (choice && rival && strcmp(choice, RNI_DNN_RIVAL) == 0)
        found = count;
    if (choice)
        dnn->rules.host->free(dnn->rules.host->host, choice, size, 1);
    return found;
}

static void remember(const rni_dnn *dnn, const rni_dnn_shape *shape, const rni_dnn_plan *plan)
{
    char *json;
    size_t size;
    if (!plan)
        rni_dnn_choice_write(dnn, shape, RNI_DNN_RIVAL);
    if (!plan)
        return;
    if (rni_dnn_plan_write(plan, &json, &size) != RN_OK)
        return;
    rni_dnn_choice_write(dnn, shape, json);
    plan->host->free(plan->host->host, json, size, 1);
}

/* The best of several; when nothing could be measured, cuDNN's own order decides, this time. */
static int32_t best_of(rni_dnn *dnn, const rni_dnn_shape *shape, rni_dnn_plan *const *plans, int32_t count,
                       const rni_dnn_rival *rival)
{
    int32_t best = known(dnn, shape, plans, count, rival);
    if (best >= 0)
        return best;
    bench b = {.dnn = dnn, .workspace = rival ? rival->workspace : 0};
    for (int32_t i = 0; i < count; i++)
        b.workspace = plans[i]->workspace > b.workspace ? plans[i]->workspace : b.workspace;
    if (set_up(&b, shape) == RN_OK)
        best = fastest(&b, plans, count, rival);
    tear_down(&b);
    if (best < 0)
        return 0;
    remember(dnn, shape, best < count ? plans[best] : NULL);
    return best;
}

rn_status rni_dnn_measure(rni_dnn *dnn, const rni_dnn_shape *shape, const rni_dnn_rival *rival, rni_dnn_plan **out)
{
    rni_dnn_plan *plans[CANDIDATES];
    int32_t count = 0;
    rn_status status = RN_OK;
    while (count < CANDIDATES && status == RN_OK) {
        status = rni_dnn_plan_make(&dnn->rules, shape, count, &plans[count]);
        count += status == RN_OK;
    }
    if (count == 0)
        return status;
    const int32_t best = count > 1 || rival ? best_of(dnn, shape, plans, count, rival) : 0;
    for (int32_t i = 0; i < count; i++)
        if (i != best)
            rni_dnn_plan_destroy(plans[i]);
    *out = best < count ? plans[best] : NULL;
    return RN_OK;
}
