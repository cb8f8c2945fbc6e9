/* SPDX-License-Identifier: MIT */
/* A backend for tests: host memory, no op of its own. Copies are plain; what it is asked is counted. */
#ifndef TEST_FAKE_BACKEND_H
#define TEST_FAKE_BACKEND_H

#include <resnet/sys/backend.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct fake_device {
    const rn_host_api *host;
    char queue;
    rn_fault fault; /* what the next wait tells, once */
    int waits, fails; /* fails: calls of memory, copies and waits fail themselves */
    uint64_t bytes; /* handed out */
} fake_device;

static inline rn_status fake_count(const rn_host_api *host, int32_t *count)
{
    (void)host;
    *count = 1;
    return RN_OK;
}

static inline rn_status fake_open(const rn_host_api *host, int32_t index, void **dev)
{
    fake_device *const d = host->alloc(host->host, sizeof *d, 16);
    (void)index;
    if (!d)
        return (host->fail)(host->host, RN_E_NOMEM, "fake: no memory for a device");
    memset(d, 0, sizeof *d);
    d->host = host;
    *dev = d;
    return RN_OK;
}

static inline void fake_close(void *dev)
{
    fake_device *const d = dev;
    d->host->free(d->host->host, d, sizeof *d, 16);
}

static inline rn_status fake_info(void *dev, rn_device_info *info)
{
    (void)dev;
    *info = (rn_device_info){.struct_size = info->struct_size, .name = "fake:0", .description = "a fake",
                             .free_bytes = 12345, .total_bytes = 99999, .host_memory = 1};
    return RN_OK;
}

static inline rn_status fake_failing(void *dev, const char *what)
{
    fake_device *const d = dev;
    return d->fails ? (d->host->fail)(d->host->host, RN_E_BACKEND, what) : RN_OK;
}

static inline rn_status fake_memory_alloc(void *dev, uint64_t bytes, void **ptr)
{
    fake_device *const d = dev;
    if (bytes > 1 << 20)
        return (d->host->fail)(d->host->host, RN_E_NOMEM, "fake: full");
    *ptr = d->host->alloc(d->host->host, (size_t)bytes, 256);
    d->bytes += *ptr ? bytes : 0;
    return *ptr ? RN_OK : (d->host->fail)(d->host->host, RN_E_NOMEM, "fake: no memory");
}

static inline void fake_memory_free(void *dev, void *ptr, uint64_t bytes)
{
    fake_device *const d = dev;
    d->bytes -= bytes;
    d->host->free(d->host->host, ptr, (size_t)bytes, 256);
}

static inline rn_status fake_copy_in(void *dev, void *queue, void *dst, const void *src, uint64_t bytes)
{
    (void)queue;
    memmove(dst, src, (size_t)bytes);
    return fake_failing(dev, "fake: copy failed");
}

static inline rn_status fake_fill(void *dev, void *queue, void *dst, uint64_t bytes)
{
    (void)queue;
    memset(dst, 0, (size_t)bytes);
    return fake_failing(dev, "fake: fill failed");
}

static inline rn_status fake_queue_create(void *dev, void **queue)
{
    *queue = &((fake_device *)dev)->queue;
    return RN_OK;
}

static inline void fake_queue_destroy(void *dev, void *queue)
{
    (void)dev, (void)queue;
}

static inline rn_status fake_queue_wait(void *dev, void *queue, rn_fault *fault)
{
    fake_device *const d = dev;
    (void)queue;
    d->waits++;
    fault->status = d->fault.status;
    memcpy(fault->message, d->fault.message, sizeof fault->message);
    d->fault.status = RN_OK;
    return fake_failing(dev, "fake: waiting failed");
}

static inline rn_status fake_op_query(void *dev, const rn_op *op, const rn_value *values, rn_op_info *out)
{
    (void)op, (void)values, (void)out;
    return (((fake_device *)dev)->host->fail)(((fake_device *)dev)->host->host, RN_E_UNSUPPORTED, "fake: no ops");
}

static inline rn_status fake_op_run(void *dev, void *queue, const rn_op *op, const rn_value *values, const rn_run *run)
{
    (void)queue, (void)op, (void)values, (void)run;
    return fake_failing(dev, "fake: op failed");
}

#define FAKE_BACKEND                                                         \
    {                                                                        \
        .struct_size = sizeof(rn_backend), .abi_major = RN_BACKEND_ABI_MAJOR, .abi_minor = RN_BACKEND_ABI_MINOR, \
        .name = "fake", .version = "1", .device_count = fake_count, .device_open = fake_open,                    \
        .device_close = fake_close, .device_info = fake_info, .memory_alloc = fake_memory_alloc,                 \
        .memory_free = fake_memory_free, .copy_in = fake_copy_in, .copy_out = fake_copy_in, .copy = fake_copy_in, \
        .fill = fake_fill, .queue_create = fake_queue_create, .queue_destroy = fake_queue_destroy,               \
        .queue_wait = fake_queue_wait, .op_query = fake_op_query, .op_run = fake_op_run,                         \
    }

#endif
