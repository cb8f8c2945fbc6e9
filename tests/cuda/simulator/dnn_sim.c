/* SPDX-License-Identifier: MIT */
/*
 * cuDNN without a device: plans are cuDNN's own, made from the record of a device (RNI_SIM_DEVICE: h100, t4, ...; else
 * one of the simulated capability). What a plan would do is checked and computed by plain loops, in stream
 * order, and its workspace comes back full of garbage.
 */
#include "base/error.h"
#include "devices/properties.h"
#include "dnn/plan.h"
#include "simulator/control.h"
#include "simulator/convolve.h"
#include "simulator/narrow.h"
#include <stdlib.h>
#include <string.h>

/* By name, or the newest that is not newer than the simulated device. */
static const rni_device_record *find_record(const rni_cuda_device *device)
{
    const char *const name = getenv("RNI_SIM_DEVICE");
    const rni_device_record *found = NULL;
    for (int i = 0; i < rni_device_record_count; i++) {
        const rni_device_record *const record = &rni_device_records[i];
        if (name && name[0]
                ? strcmp(record->name, name) == 0
                : record->capability <= device->capability && (!found || record->capability > found->capability))
            found = record;
    }
    return found;
}

static rn_status create(rni_cuda_device *device, void **handle, cudnnBackendDescriptor_t *properties)
{
    const rni_device_record *const record = find_record(device);
    if (!record)
        return rni_fail(RN_E_DEVICE, "no record of a device of capability %d or called as RNI_SIM_DEVICE says",
                        (int)device->capability);
    *handle = device;
    return rni_device_properties(record, properties);
}

static void destroy(void *handle)
{
    (void)handle;
}

/* Linked with --wrap: what cuDNN is to refuse. */
rn_status __real_rni_dnn_plan_make(const rni_dnn_rules *rules, const rni_dnn_shape *shape, int32_t rank,
                                   rni_dnn_plan **out);
rn_status __wrap_rni_dnn_plan_make(const rni_dnn_rules *rules, const rni_dnn_shape *shape, int32_t rank,
                                   rni_dnn_plan **out);
rn_status __wrap_rni_dnn_plan_make(const rni_dnn_rules *rules, const rni_dnn_shape *shape, int32_t rank,
                                   rni_dnn_plan **out)
{
    const int64_t refused = rni_sim_get("refuse_prologue");
    if (shape->flags & RNI_DNN_PROLOGUE &&
        (shape->batch == refused || (shape->batch == -refused && shape->kind == RN_OP_CONV_BACKWARD_FILTER)))
        return rni_fail(RN_E_UNSUPPORTED, "cuDNN: no plan for %lld images", (long long)shape->batch);
    return __real_rni_dnn_plan_make(rules, shape, rank, out);
}

/* What is enqueued: all that the plan says, by value. */
typedef struct execution {
    rni_dnn_shape shape;
    convolve_tensors tensors;
    void *workspace;
    uint64_t workspace_bytes;
} execution;

static uint64_t bytes_of(const rni_dnn_shape *s, int64_t count)
{
    return (uint64_t)count * narrow_size(s->dtype);
}

/* Reads and writes as the direction has them; what is added to is read, too. */
static int accesses_are_right(const execution *e)
{
    const rni_dnn_shape *const s = &e->shape;
    const convolve_tensors *const t = &e->tensors;
    const uint64_t x = bytes_of(s, rni_dnn_input_count(s)), w = bytes_of(s, rni_dnn_filter_count(s)),
                   y = bytes_of(s, rni_dnn_output_count(s)), bias = bytes_of(s, s->out[0]),
                   channels = (uint64_t)s->out[0] * sizeof(float);
    const int sum = s->flags & RN_OPF_ACCUMULATE ? RNI_SIM_READ | RNI_SIM_WRITE : RNI_SIM_WRITE;
    const int forward = s->kind == RN_OP_CONV_FORWARD, data = s->kind == RN_OP_CONV_BACKWARD_DATA;
    int right = rni_sim_access(t->x, x, data ? sum : RNI_SIM_READ, data ? "cuDNN: dx" : "cuDNN: x");
    right &= rni_sim_access(t->w, w, forward || data ? RNI_SIM_READ : sum, forward || data ? "cuDNN: w" : "cuDNN: dw");
    right &= rni_sim_access(t->y, y, forward ? sum : RNI_SIM_READ, forward ? "cuDNN: y" : "cuDNN: dy");
    if (t->bias)
        right &= rni_sim_access(t->bias, bias, RNI_SIM_READ, "cuDNN: bias");
    if (t->residual)
        right &= rni_sim_access(t->residual, y, RNI_SIM_READ, "cuDNN: residual");
    if (s->flags & RN_OPF_STATS) {
        right &= rni_sim_access(t->totals, channels, RNI_SIM_WRITE, "cuDNN: sums of y");
        right &= rni_sim_access(t->squares, channels, RNI_SIM_WRITE, "cuDNN: sums of y^2");
    }
    if (s->flags & RNI_DNN_PROLOGUE) {
        right &= rni_sim_access(t->scale, bytes_of(s, s->in[0]), RNI_SIM_READ, "cuDNN: scale");
        right &= rni_sim_access(t->shift, bytes_of(s, s->in[0]), RNI_SIM_READ, "cuDNN: shift");
    }
    if (e->workspace_bytes)
        right &= rni_sim_access(e->workspace, e->workspace_bytes, RNI_SIM_WRITE, "cuDNN: workspace");
    return right;
}

static cudaError_t run(void *argument)
{
    const execution *const e = argument;
    if (!accesses_are_right(e))
        return cudaErrorIllegalAddress;
    if (convolve(&e->shape, &e->tensors) != 0)
        return cudaErrorMemoryAllocation;
    if (e->workspace_bytes)
        memset(e->workspace, 0xff, e->workspace_bytes);
    return cudaSuccess;
}

static void **tensor_of(convolve_tensors *t, int64_t name)
{
    switch (name) {
    case RNI_DNN_X:
        return &t->x;
    case RNI_DNN_W:
        return &t->w;
    case RNI_DNN_Y:
        return &t->y;
    case RNI_DNN_BIAS:
        return &t->bias;
    case RNI_DNN_RESIDUAL:
        return &t->residual;
    case RNI_DNN_TOTALS:
        return &t->totals;
    case RNI_DNN_SQUARES:
        return &t->squares;
    case RNI_DNN_SCALE:
        return &t->scale;
    case RNI_DNN_SHIFT:
        return &t->shift;
    default:
        return NULL;
    }
}

/* Every tensor of the graph exactly once, aligned as its descriptor says. */
static rn_status gather(const rni_dnn_plan *plan, const rni_dnn_operand *operands, int32_t count, convolve_tensors *t)
{
    const int epilogue = rni_dnn_has_epilogue(&plan->shape), add = (plan->shape.flags & RN_OPF_ADD) != 0,
              stats = (plan->shape.flags & RN_OPF_STATS) != 0, prologue = (plan->shape.flags & RNI_DNN_PROLOGUE) != 0;
    for (int32_t i = 0; i < count; i++) {
        void **const at = tensor_of(t, operands[i].uid);
        if (!at || *at)
            return rni_fail(RN_E_INTERNAL, "cuDNN: tensor %d is none of the graph's, or there twice",
                            (int)operands[i].uid);
        if (!operands[i].pointer || (uintptr_t)operands[i].pointer % 16 != 0)
            return rni_fail(RN_E_INTERNAL, "cuDNN: tensor %d is at %p, multiples of 16 expected", (int)operands[i].uid,
                            operands[i].pointer);
        *at = operands[i].pointer;
    }
    if (!t->x || !t->w || !t->y || !t->bias != !epilogue || !t->residual != !add ||
        !t->totals != !stats || !t->squares != !stats || !t->scale != !prologue || !t->shift != !prologue)
        return rni_fail(RN_E_INTERNAL, "cuDNN: %d tensors are not those of the graph", (int)count);
    return RN_OK;
}

static rn_status execute(void *handle, cudaStream_t stream, const rni_dnn_plan *plan, const rni_dnn_operand *operands,
                         int32_t count, void *workspace, uint64_t workspace_bytes)
{
    execution e = {.shape = plan->shape, .workspace = workspace, .workspace_bytes = plan->workspace};
    RNI_TRY(gather(plan, operands, count, &e.tensors));
    if (workspace_bytes < plan->workspace || (plan->workspace && (!workspace || (uintptr_t)workspace % 16 != 0)))
        return rni_fail(RN_E_INTERNAL, "cuDNN: a workspace of %llu bytes at %p, %llu expected",
                        (unsigned long long)workspace_bytes, workspace, (unsigned long long)plan->workspace);
    return rni_cuda_result(handle, rni_sim_enqueue(stream, run, &e, sizeof e), "run a plan of cuDNN");
}

const rni_dnn_api rni_dnn_api_device = {create, destroy, execute};
