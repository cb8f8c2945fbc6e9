/* SPDX-License-Identifier: MIT */
/* Ops and programs of ops: asking, preparing, running. */
#include "program.h"
#include "blas.h"
#include "dnn/conv.h"
#include "lanes.h"
#include "memory.h"
#include "ops/rules.h"
#include <string.h>

rn_status rni_cuda_launched(const rni_cuda_call *call, cudaError_t error)
{
    if (error == cudaSuccess)
        return RN_OK;
    const rn_status status = rni_cuda_result(call->device, error, "launch a kernel");
    return rni_ops_refuse(call->op, status, "cannot be launched: %s (%s)", cudaGetErrorString(error),
                          cudaGetErrorName(error));
}

/* f64 is the CPU's; bf16 needs a device that has it. */
static rn_status check_dtype(const rni_cuda_device *device, const rn_op *op, const rn_value *v)
{
    if (v->dtype == RN_F64 && v->role != RN_ROLE_METRICS && op->kind != RN_OP_CONVERT)
        return rni_ops_refuse(op, RN_E_UNSUPPORTED, "computes in f32, bf16 and f16, not in f64");
    if (v->dtype == RN_BF16 && device->capability < RNI_CUDA_LEAST_BF16)
        return rni_ops_refuse(op, RN_E_UNSUPPORTED, "bf16 needs a device of capability 8.0, cuda:%d has %d.%d",
                              (int)device->index, (int)device->capability / 10, (int)device->capability % 10);
    return RN_OK;
}

static rn_status check_dtypes(const rni_cuda_device *device, const rn_op *op, const rn_value *values, int output)
{
    const uint32_t *const operands = output ? op->out : op->in;
    const uint32_t count = output ? op->num_out : op->num_in;
    for (uint32_t i = 0; i < count; i++)
        if (operands[i] != RN_NO_VALUE)
            RNI_TRY(check_dtype(device, op, &values[operands[i]]));
    return RN_OK;
}

/* cuDNN and cuBLAS take time and memory: with the first op that may use them. */
static rn_status open_libraries(rni_cuda_device *device, int32_t kind)
{
    if (device->direct)
        return RN_OK;
    switch (kind) {
    case RN_OP_CONV_FORWARD:
    case RN_OP_CONV_BACKWARD_DATA:
    case RN_OP_CONV_BACKWARD_FILTER:
        return device->dnn ? RN_OK : rni_dnn_open(device, &device->dnn);
    case RN_OP_LINEAR:
    case RN_OP_LINEAR_BACKWARD_DATA:
    case RN_OP_LINEAR_BACKWARD_FILTER:
        return device->blas ? RN_OK : rni_blas_open(device, &device->blas);
    default:
        return RN_OK;
    }
}

static rn_status query(rni_cuda_device *device, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    RNI_TRY(rni_ops_check(op, values, info));
    RNI_TRY(check_dtypes(device, op, values, 0));
    RNI_TRY(check_dtypes(device, op, values, 1));
    const rni_cuda_driver *const driver = rni_cuda_driver_of(op->kind);
    if (!driver)
        return rni_ops_refuse(op, RN_E_UNSUPPORTED, "the CUDA module has no kernels of this kind");
    RNI_TRY(open_libraries(device, op->kind));
    return driver->query ? driver->query(device, op, values, info) : RN_OK;
}

rn_status rni_cuda_op_query(rni_cuda_device *device, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    rn_op_info answer = {.struct_size = sizeof answer, .in_place = -1};
    RNI_TRY(rni_cuda_enter(device));
    pthread_mutex_lock(&rni_cuda_opened_of(device)->lock);
    const rn_status status = query(device, op, values, &answer);
    pthread_mutex_unlock(&rni_cuda_opened_of(device)->lock);
    if (status == RN_OK)
        *info = answer;
    return status;
}

/* Optimizer groups whose rates an op reads. */
static int32_t groups_of(const rn_op *op)
{
    const rn_segment *segments = NULL;
    uint64_t count = 0;
    int32_t groups = op->kind == RN_OP_LERP;
    if (op->kind == RN_OP_SGD) {
        segments = ((const rn_sgd_params *)op->params)->segments;
        count = ((const rn_sgd_params *)op->params)->num_segments;
    } else if (op->kind == RN_OP_ADAM) {
        segments = ((const rn_adam_params *)op->params)->segments;
        count = ((const rn_adam_params *)op->params)->num_segments;
    }
    for (uint64_t i = 0; i < count; i++)
        if (groups <= (int32_t)segments[i].group)
            groups = (int32_t)segments[i].group + 1;
    return groups;
}

/* What all ops of a run share. */
static rni_cuda_call call_of(rni_cuda_queue *queue, cudaStream_t stream, const rn_value *values, const rn_run *run,
                             uint32_t ticket)
{
    return (rni_cuda_call){
        .device = queue->device,
        .stream = stream,
        .scalars = queue->scalars.on_device,
        .mailbox = queue->mailbox,
        .counters = queue->counters,
        .ticket = ticket,
        .num_ops = 1,
        .values = values,
        .run = run,
    };
}

static rn_status run_one(rni_cuda_queue *queue, const rn_op *op, const rn_value *values, const rn_run *run,
                         uint32_t ticket, void *state)
{
    rni_cuda_call call = call_of(queue, queue->stream, values, run, ticket);
    call.op = op;
    call.state = state;
    return rni_cuda_driver_of(op->kind)->run(&call);
}

static rn_status run_alone(rni_cuda_queue *queue, const rn_op *op, const rn_value *values, const rn_run *run,
                           void **state)
{
    const rni_cuda_driver *const driver = rni_cuda_driver_of(op->kind);
    const int reports = op->kind == RN_OP_CROSS_ENTROPY;
    if (driver->prepare)
        RNI_TRY(driver->prepare(queue->device, op, values, state));
    RNI_TRY(rni_cuda_queue_room(queue, groups_of(op), reports));
    if (op->kind != RN_OP_AUGMENT) /* reads none: the next step's need not be written again for it */
        RNI_TRY(rni_cuda_scalars_write(queue, run, groups_of(op)));
    const uint32_t ticket = reports ? rni_cuda_queue_ticket(queue, op) : 0;
    return run_one(queue, op, values, run, ticket, *state);
}

rn_status rni_cuda_op_run(rni_cuda_device *device, rni_cuda_queue *queue, const rn_op *op, const rn_value *values,
                          const rn_run *run)
{
    pthread_mutex_t *const lock = &rni_cuda_opened_of(device)->lock;
    void *state = NULL; /* what the driver prepares lives as long as its work */
    RNI_TRY(rni_cuda_queue_start(queue));
    pthread_mutex_lock(lock);
    rn_status status = run_alone(queue, op, values, run, &state);
    pthread_mutex_unlock(lock);
    if (!state)
        return status;
    if (status == RN_OK)
        status = rni_cuda_queue_collect(queue);
    pthread_mutex_lock(lock);
    rni_cuda_driver_of(op->kind)->release(device, state);
    pthread_mutex_unlock(lock);
    return status;
}

static void count_groups(rni_cuda_program *program)
{
    for (uint32_t i = 0; i < program->desc->num_ops; i++) {
        const int32_t groups = groups_of(&program->desc->ops[i]);
        if (program->groups < groups)
            program->groups = groups;
    }
}

static void free_program(rni_cuda_program *program)
{
    const rn_host_api *const host = program->opened->device.host;
    if (program->lanes)
        host->free(host->host, program->lanes, rni_lanes_bytes(program->desc), 16);
    host->free(host->host, program, sizeof *program, 16);
}

static rn_status make_program(rni_cuda_opened *opened, const rn_program_desc *desc, rni_cuda_program **out)
{
    const rn_host_api *const host = opened->device.host;
    rni_cuda_program *const program = host->alloc(host->host, sizeof *program, 16);
    if (!program)
        return rni_fail(RN_E_NOMEM, "out of memory: a program needs %zu bytes", sizeof *program);
    memset(program, 0, sizeof *program);
    program->opened = opened;
    program->desc = desc;
    program->graphs.off = !opened->settings.graphs;
    program->lanes = host->alloc(host->host, rni_lanes_bytes(desc), 16);
    if (!program->lanes) {
        free_program(program);
        return rni_fail(RN_E_NOMEM, "out of memory: a program needs %zu bytes", rni_lanes_bytes(desc));
    }
    count_groups(program);
    *out = program;
    return RN_OK;
}

/* Into the device's list, where tickets are looked up. */
static void enlist(rni_cuda_program *program)
{
    rni_cuda_opened *const opened = program->opened;
    program->first_ticket = opened->next_ticket;
    opened->next_ticket += program->desc->num_ops;
    program->next = opened->programs;
    opened->programs = program;
}

static void delist(rni_cuda_program *program)
{
    rni_cuda_program **at = &program->opened->programs;
    while (*at && *at != program)
        at = &(*at)->next;
    if (*at)
        *at = program->next;
}

rn_status rni_cuda_program_create(rni_cuda_device *device, const rn_program_desc *desc, rni_cuda_program **out)
{
    rni_cuda_opened *const opened = rni_cuda_opened_of(device);
    rni_cuda_program *program = NULL;
    RNI_TRY(rni_cuda_enter(device));
    RNI_TRY(make_program(opened, desc, &program));
    pthread_mutex_lock(&opened->lock);
    const rn_status status = rni_steps_make(device, desc, &program->steps);
    if (status == RN_OK)
        enlist(program);
    pthread_mutex_unlock(&opened->lock);
    if (status == RN_OK)
        *out = program;
    else
        free_program(program);
    return status;
}

void rni_cuda_program_destroy(rni_cuda_program *program)
{
    rni_cuda_opened *const opened = program->opened;
    cudaSetDevice(opened->device.index);
    if (program->queue) /* its work may need what goes now; a failure is told by the next call */
        rni_cuda_queue_collect(program->queue);
    pthread_mutex_lock(&opened->lock);
    delist(program);
    rni_graphs_clear(&program->graphs);
    rni_steps_release(&program->steps);
    rni_cuda_free(&opened->device, program->lane_workspace[1]);
    pthread_mutex_unlock(&opened->lock);
    free_program(program);
}

rni_cuda_call rni_cuda_program_call(const rni_cuda_program *program, rni_cuda_queue *queue, cudaStream_t stream,
                                    const rn_run *run)
{
    return call_of(queue, stream, program->desc->values, run, program->first_ticket);
}

rn_status rni_cuda_program_enqueue(rni_cuda_program *program, rni_cuda_queue *queue, cudaStream_t stream,
                                   const rn_run *run)
{
    const rni_cuda_call call = rni_cuda_program_call(program, queue, stream, run);
    return rni_steps_run(&program->steps, &call);
}

rn_status rni_cuda_program_run(rni_cuda_program *program, rni_cuda_queue *queue, const rn_run *run)
{
    rni_cuda_opened *const opened = program->opened;
    RNI_TRY(rni_cuda_queue_start(queue));
    pthread_mutex_lock(&opened->lock);
    program->queue = queue;
    rn_status status = rni_cuda_queue_room(queue, program->groups, 0);
    if (status == RN_OK)
        status = rni_cuda_scalars_write(queue, run, program->groups);
    if (status == RN_OK)
        status = rni_graphs_run(program, queue, run);
    pthread_mutex_unlock(&opened->lock);
    return status;
}

const char *rni_cuda_program_path(const rni_cuda_opened *opened, uint32_t ticket)
{
    for (const rni_cuda_program *p = opened->programs; p; p = p->next)
        if (ticket - p->first_ticket < p->desc->num_ops && p->desc->ops[ticket - p->first_ticket].path)
            return p->desc->ops[ticket - p->first_ticket].path;
    return "?";
}

void rni_cuda_programs_forget(rni_cuda_queue *queue)
{
    rni_cuda_opened *const opened = rni_cuda_opened_of(queue->device);
    pthread_mutex_lock(&opened->lock);
    for (rni_cuda_program *p = opened->programs; p; p = p->next) {
        rni_graphs_forget(&p->graphs, queue);
        if (p->queue == queue)
            p->queue = NULL;
    }
    pthread_mutex_unlock(&opened->lock);
}
