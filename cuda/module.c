/* SPDX-License-Identifier: MIT */
/* The module's table, and the border: inside, messages are the module's own (base/error.h); here they go to the host. */
#include "device.h"
#include "mark.h"
#include "memory.h"
#include "program.h"
#include "queue.h"

RN_API rn_status rn_backend_query(uint32_t host_major, uint32_t host_minor, const rn_backend **out);

static rn_status tell(const rn_host_api *host, rn_status status)
{
    return status < 0 ? host->fail(host->host, status, rn_error_message()) : status;
}

static rn_status tell_of(void *dev, rn_status status)
{
    return tell(((rni_cuda_device *)dev)->host, status);
}

static rn_status device_count(const rn_host_api *host, int32_t *count)
{
    return tell(host, rni_cuda_device_count(host, count));
}

static rn_status device_open(const rn_host_api *host, int32_t index, void **dev)
{
    rni_cuda_device *device = NULL;
    const rn_status status = rni_cuda_device_open(host, index, &device);
    *dev = device;
    return tell(host, status);
}

static void device_close(void *dev)
{
    if (dev)
        rni_cuda_device_close(dev);
}

static rn_status device_info(void *dev, rn_device_info *info)
{
    return tell_of(dev, rni_cuda_device_info(dev, info));
}

static rn_status memory_alloc(void *dev, uint64_t bytes, void **ptr)
{
    return tell_of(dev, rni_cuda_alloc(dev, bytes, ptr));
}

static void memory_free(void *dev, void *ptr, uint64_t bytes)
{
    (void)bytes;
    rni_cuda_free(dev, ptr);
}

static rn_status copy_in(void *dev, void *queue, void *dst, const void *src, uint64_t bytes)
{
    return tell_of(dev, rni_cuda_copy_in(queue, dst, src, bytes));
}

static rn_status copy_out(void *dev, void *queue, void *dst, const void *src, uint64_t bytes)
{
    return tell_of(dev, rni_cuda_copy_out(queue, dst, src, bytes));
}

static rn_status copy(void *dev, void *queue, void *dst, const void *src, uint64_t bytes)
{
    return tell_of(dev, rni_cuda_copy(queue, dst, src, bytes));
}

static rn_status fill(void *dev, void *queue, void *dst, uint64_t bytes)
{
    return tell_of(dev, rni_cuda_zero(queue, dst, bytes));
}

static rn_status queue_create(void *dev, void **queue)
{
    rni_cuda_queue *made = NULL;
    const rn_status status = rni_cuda_queue_create(dev, &made);
    *queue = made;
    return tell_of(dev, status);
}

static void queue_destroy(void *dev, void *queue)
{
    (void)dev;
    if (queue)
        rni_cuda_queue_destroy(queue);
}

static rn_status queue_wait(void *dev, void *queue, rn_fault *fault)
{
    return tell_of(dev, rni_cuda_queue_wait(queue, fault));
}

static rn_status op_query(void *dev, const rn_op *op, const rn_value *values, rn_op_info *out)
{
    return tell_of(dev, rni_cuda_op_query(dev, op, values, out));
}

static rn_status program_create(void *dev, const rn_program_desc *desc, void **program)
{
    rni_cuda_program *made = NULL;
    const rn_status status = rni_cuda_program_create(dev, desc, &made);
    *program = made;
    return tell_of(dev, status);
}

static rn_status program_run(void *program, void *queue, const rn_run *run)
{
    rni_cuda_program *const p = program;
    return tell(p->opened->device.host, rni_cuda_program_run(p, queue, run));
}

static void program_destroy(void *program)
{
    if (program)
        rni_cuda_program_destroy(program);
}

static rn_status op_run(void *dev, void *queue, const rn_op *op, const rn_value *values, const rn_run *run)
{
    return tell_of(dev, rni_cuda_op_run(dev, queue, op, values, run));
}

static rn_status mark_create(void *dev, void **mark)
{
    cudaEvent_t made = NULL;
    const rn_status status = rni_cuda_mark_create(dev, &made);
    *mark = made;
    return tell_of(dev, status);
}

static void mark_destroy(void *dev, void *mark)
{
    rni_cuda_mark_destroy(dev, mark);
}

static rn_status mark_record(void *dev, void *queue, void *mark)
{
    return tell_of(dev, rni_cuda_mark_record(queue, mark));
}

static rn_status mark_elapsed(void *dev, void *from, void *to, double *seconds)
{
    return tell_of(dev, rni_cuda_mark_elapsed(dev, from, to, seconds));
}

static const rn_backend backend = {
    .struct_size = sizeof(rn_backend),
    .abi_major = RN_BACKEND_ABI_MAJOR,
    .abi_minor = RN_BACKEND_ABI_MINOR,
    .name = "cuda",
    .version = "0.1.0",
    .device_count = device_count,
    .device_open = device_open,
    .device_close = device_close,
    .device_info = device_info,
    .memory_alloc = memory_alloc,
    .memory_free = memory_free,
    .copy_in = copy_in,
    .copy_out = copy_out,
    .copy = copy,
    .fill = fill,
    .queue_create = queue_create,
    .queue_destroy = queue_destroy,
    .queue_wait = queue_wait,
    .op_query = op_query,
    .program_create = program_create,
    .program_run = program_run,
    .program_destroy = program_destroy,
    .op_run = op_run,
    .mark_create = mark_create,
    .mark_destroy = mark_destroy,
    .mark_record = mark_record,
    .mark_elapsed = mark_elapsed,
};

rn_status rn_backend_query(uint32_t host_major, uint32_t host_minor, const rn_backend **out)
{
    (void)host_minor;
    if (host_major != RN_BACKEND_ABI_MAJOR)
        return RN_E_VERSION;
    *out = &backend;
    return RN_OK;
}
