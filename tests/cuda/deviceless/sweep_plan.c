/* SPDX-License-Identifier: MIT */
/* Asks cuDNN anew for the notes of the engine that was taken: what the module read of them may be wrong. */
#include "deviceless/sweep.h"
#include "dnn/plan.h"
#include <string.h>

/* 1 when the engine of the plan has the note. */
static int has_note(const rni_dnn_plan *plan, cudnnBackendNumericalNote_t note)
{
    cudnnBackendDescriptor_t engine;
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    /* The bag ends in the engine's configuration and the plan. */
    const cudnnBackendDescriptor_t config = plan->bag.made[plan->bag.count - 2];
    int64_t count = 0;
    int found = 0;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) != CUDNN_STATUS_SUCCESS)
        return 1;
    if (cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count,
                                 &engine) != CUDNN_STATUS_SUCCESS ||
        cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                 CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, notes) != CUDNN_STATUS_SUCCESS)
        found = 1;
    for (int64_t i = 0; i < count && !found; i++)
        found = notes[i] == note;
    cudnnBackendDestroyDescriptor(engine);
    return found;
}

static const char *judge(const rni_cuda_device *device, const rni_dnn_plan *plan)
{
    if (has_note(plan, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC))
        return "a plan gives other bits from run to run";
    if (has_note(plan, CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION))
        return "a plan sums in less than f32";
    if (plan->shape.dtype == RN_F32 && !device->tf32 &&
        (has_note(plan, CUDNN_NUMERICAL_NOTE_TENSOR_CORE) || has_note(plan, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS)))
        return "a plan for f32 rounds to TF32";
    if (plan->shape.dtype != RN_F32 && has_note(plan, CUDNN_NUMERICAL_NOTE_WINOGRAD))
        return "a plan for 2-byte elements is Winograd's";
    return NULL;
}

void sweep_plan(rni_cuda_device *device, const rni_dnn_problem *problem, sweep_row *row)
{
    rni_dnn_conv *conv;
    int32_t padded;
    memset(row, 0, sizeof *row);
    if (rni_dnn_conv_query(device, problem, &row->workspace) != RN_OK ||
        rni_dnn_conv_prepare(device, problem, &conv) != RN_OK)
        return;
    const rni_dnn_plan *const plan = rni_dnn_conv_plan(conv, &padded);
    row->planned = 1;
    row->padded = padded;
    row->refused = plan->refused;
    row->engine = plan->engine;
    row->plan_workspace = plan->workspace;
    row->tensor_cores = has_note(plan, CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
    row->wrong = row->workspace > device->workspace_limit ? "a plan asks for more workspace than is allowed"
                                                          : judge(device, plan);
    rni_dnn_conv_release(device, conv);
}
