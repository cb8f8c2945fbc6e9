/* SPDX-License-Identifier: MIT */
/*
 * Copies and fills. From and to pinned memory they happen when their turn comes: the source must not change until then,
 * and the destination holds garbage. Pageable memory is read before the call returns, and written before it, too.
 */
#include "access.h"
#include "device.h"
#include "memory.h"
#include "pinned.h"
#include "report.h"
#include "statistics.h"
#include "stream.h"
#include <cstring>

namespace sim
{
/* Tells contents apart. */
static uint64_t digest(const void *data, size_t bytes)
{
    const unsigned char *p = (const unsigned char *)data;
    uint64_t sum = bytes, word;
    for (; bytes >= sizeof word; bytes -= sizeof word, p += sizeof word) {
        memcpy(&word, p, sizeof word);
        sum = (sum ^ word) * 0x9e3779b97f4a7c15u;
        sum ^= sum >> 29;
    }
    while (bytes--)
        sum = (sum ^ *p++) * 0x100000001b3u;
    return sum;
}

namespace
{
struct Copy : Work {
    void *const to;
    const void *const from;
    const size_t bytes;
    Copy(void *where, const void *what, size_t size) : to(where), from(what), bytes(size)
    {
    }
};

/* `from` is pinned, or null: the bytes are in `own`. */
struct ToDevice : Copy {
    using Copy::Copy;
    std::vector<unsigned char> own;
    uint64_t hand_over() override
    {
        return from ? digest(from, bytes) : 0;
    }
    cudaError_t run(uint64_t sum) override
    {
        if (!inside_allocation(to, bytes, "destination of a copy"))
            return cudaErrorIllegalAddress;
        if (from && digest(from, bytes) != sum)
            report("the pinned source of an asynchronous copy of %zu bytes changed before the copy was made", bytes);
        unlock_memory();
        memcpy(to, from ? from : own.data(), bytes);
        mark_defined(to, bytes);
        return cudaSuccess;
    }
};

struct ToHost : Copy {
    using Copy::Copy;
    uint64_t hand_over() override
    {
        memset(to, FRESH, bytes);
        return 0;
    }
    cudaError_t run(uint64_t) override
    {
        if (!inside_allocation(from, bytes, "source of a copy"))
            return cudaErrorIllegalAddress;
        const size_t undefined = first_undefined(from, bytes);
        if (undefined < bytes)
            report(
                "a copy of %zu bytes to the host reads device memory that nobody wrote, %zu bytes from its start: %s",
                bytes, undefined, describe_address((uintptr_t)from + undefined));
        unlock_memory();
        memcpy(to, from, bytes);
        return cudaSuccess;
    }
};

struct OnDevice : Copy {
    using Copy::Copy;
    cudaError_t run(uint64_t) override
    {
        if (!inside_allocation(to, bytes, "destination of a copy") ||
            !inside_allocation(from, bytes, "source of a copy"))
            return cudaErrorIllegalAddress;
        if ((const char *)from < (char *)to + bytes && (char *)to < (const char *)from + bytes)
            report("source and destination of a copy of %zu bytes overlap", bytes);
        unlock_memory();
        memmove(to, from, bytes);
        copy_defined(to, from, bytes);
        return cudaSuccess;
    }
};

struct Fill : Work {
    void *to;
    int value;
    size_t bytes;
    cudaError_t run(uint64_t) override
    {
        if (!inside_allocation(to, bytes, "a fill"))
            return cudaErrorIllegalAddress;
        unlock_memory();
        memset(to, value, bytes);
        mark_defined(to, bytes);
        count_other("fill", 1, 0, bytes);
        return cudaSuccess;
    }
};
} // namespace

static bool host_side(const void *address, const char *who)
{
    if (!in_arena((uintptr_t)address))
        return true;
    report("%s is a device address: %s", who, describe_address((uintptr_t)address));
    return false;
}

/* Pageable memory has no place in a graph. */
static cudaError_t pageable_in_capture(cudaStream_t handle)
{
    CUstream_st *const stream = stream_of(handle);
    if (!stream || !stream->capture)
        return cudaSuccess;
    stream->capture->broken = true;
    return cudaErrorStreamCaptureUnsupported;
}

static cudaError_t copy_in(void *to, const void *from, size_t bytes, cudaStream_t stream)
{
    if (!inside_allocation(to, bytes, "destination of a copy to the device") ||
        !host_side(from, "the source of a copy to the device"))
        return cudaErrorInvalidValue;
    const auto work = std::make_shared<ToDevice>(to, is_pinned(from, bytes) ? from : nullptr, bytes);
    if (!work->from) {
        if (const cudaError_t error = pageable_in_capture(stream))
            return error;
        work->own.assign((const unsigned char *)from, (const unsigned char *)from + bytes);
    }
    return enqueue(stream, work);
}

static cudaError_t copy_out(void *to, const void *from, size_t bytes, cudaStream_t handle)
{
    if (!inside_allocation(from, bytes, "source of a copy to the host") ||
        !host_side(to, "the destination of a copy to the host"))
        return cudaErrorInvalidValue;
    const bool pinned = is_pinned(to, bytes);
    const cudaError_t refused = pinned ? cudaSuccess : pageable_in_capture(handle);
    if (refused != cudaSuccess)
        return refused;
    const cudaError_t error = enqueue(handle, std::make_shared<ToHost>(to, from, bytes));
    return error != cudaSuccess || pinned ? error : run_stream(stream_of(handle));
}

static cudaError_t copy_on(void *to, const void *from, size_t bytes, cudaStream_t stream)
{
    if (!inside_allocation(to, bytes, "destination of a copy on the device") ||
        !inside_allocation(from, bytes, "source of a copy on the device"))
        return cudaErrorInvalidValue;
    return enqueue(stream, std::make_shared<OnDevice>(to, from, bytes));
}

static cudaMemcpyKind kind_of(const void *to, const void *from)
{
    const bool to_device = in_arena((uintptr_t)to), from_device = in_arena((uintptr_t)from);
    return to_device     ? from_device ? cudaMemcpyDeviceToDevice : cudaMemcpyHostToDevice
           : from_device ? cudaMemcpyDeviceToHost
                         : cudaMemcpyHostToHost;
}

static cudaError_t copy_host(void *to, const void *from, size_t bytes, cudaStream_t handle)
{
    if (!host_side(to, "the destination of a copy on the host") || !host_side(from, "the source of a copy on the host"))
        return cudaErrorInvalidValue;
    CUstream_st *const stream = stream_of(handle);
    if (!stream || stream->capture)
        return stream ? pageable_in_capture(handle) : cudaErrorInvalidResourceHandle;
    const cudaError_t error = run_stream(stream);
    if (error == cudaSuccess)
        memmove(to, from, bytes);
    return error;
}
} // namespace sim

using namespace sim;

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream)
{
    const Lock lock;
    if (!stream_of(stream))
        return keep_error(cudaErrorInvalidResourceHandle);
    if (device_ready() != cudaSuccess)
        return keep_error(device_ready());
    if (bytes == 0)
        return cudaSuccess;
    switch (kind == cudaMemcpyDefault ? kind_of(to, from) : kind) {
    case cudaMemcpyHostToDevice:
        return keep_error(copy_in(to, from, bytes, stream));
    case cudaMemcpyDeviceToHost:
        return keep_error(copy_out(to, from, bytes, stream));
    case cudaMemcpyDeviceToDevice:
        return keep_error(copy_on(to, from, bytes, stream));
    case cudaMemcpyHostToHost:
        return keep_error(copy_host(to, from, bytes, stream));
    default:
        return keep_error(cudaErrorInvalidMemcpyDirection);
    }
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
    const Lock lock;
    if (!stream_of(stream))
        return keep_error(cudaErrorInvalidResourceHandle);
    if (device_ready() != cudaSuccess)
        return keep_error(device_ready());
    if (bytes == 0)
        return cudaSuccess;
    if (!inside_allocation(to, bytes, "a fill"))
        return keep_error(cudaErrorInvalidValue);
    const auto work = std::make_shared<Fill>();
    work->to = to;
    work->value = value;
    work->bytes = bytes;
    return keep_error(enqueue(stream, work));
}
