/* SPDX-License-Identifier: MIT */
#include "pinned.h"
#include "device.h"
#include "report.h"
#include "settings.h"
#include "stream.h"
#include <cstdlib>
#include <cstring>
#include <map>

namespace sim
{
constexpr size_t ALIGNMENT = 4096, EDGE = 4096; /* bytes before and behind that must stay */
constexpr unsigned char EDGE_BYTE = 0xa5, FRESH_BYTE = 0xff;

static std::map<uintptr_t, size_t> pinned;

int64_t pinned_living()
{
    return (int64_t)pinned.size();
}

int64_t pinned_bytes()
{
    int64_t sum = 0;
    for (const auto &a : pinned)
        sum += (int64_t)a.second;
    return sum;
}

bool is_pinned(const void *address, size_t bytes)
{
    const uintptr_t at = (uintptr_t)address;
    auto next = pinned.upper_bound(at);
    const bool before = next != pinned.begin();
    if (before && at - std::prev(next)->first < std::prev(next)->second) {
        const auto &a = *std::prev(next);
        if (bytes > a.second - (at - a.first))
            report("a copy of %zu bytes goes %zu bytes beyond the end of a pinned allocation of %zu bytes", bytes,
                   bytes - (a.second - (at - a.first)), a.second);
        return true;
    }
    return false;
}

static unsigned char *allocate(size_t bytes)
{
    const size_t room = (EDGE + bytes + EDGE + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    unsigned char *const p = (unsigned char *)aligned_alloc(ALIGNMENT, room);
    if (!p)
        return nullptr;
    memset(p, EDGE_BYTE, EDGE);
    memset(p + EDGE, FRESH_BYTE, bytes);
    memset(p + EDGE + bytes, EDGE_BYTE, EDGE);
    return p + EDGE;
}

static bool whole(const unsigned char *edge)
{
    for (size_t i = 0; i < EDGE; i++)
        if (edge[i] != EDGE_BYTE)
            return false;
    return true;
}

static void release(uintptr_t address, size_t bytes)
{
    unsigned char *const p = (unsigned char *)address;
    if (!whole(p - EDGE))
        report("memory before a pinned allocation of %zu bytes was overwritten", bytes);
    if (!whole(p + bytes))
        report("memory behind a pinned allocation of %zu bytes was overwritten", bytes);
    free(p - EDGE);
}
} // namespace sim

using namespace sim;

cudaError_t cudaMallocHost(void **address, size_t bytes)
{
    const Lock lock;
    if (!address)
        return keep_error(cudaErrorInvalidValue);
    *address = nullptr;
    if (device_ready() != cudaSuccess)
        return keep_error(device_ready());
    if (refuse_while_capturing() != cudaSuccess)
        return keep_error(cudaErrorStreamCaptureUnsupported);
    *address = now_due(FAIL_MALLOC_HOST) ? nullptr : allocate(bytes);
    if (!*address)
        return keep_error(cudaErrorMemoryAllocation);
    pinned[(uintptr_t)*address] = bytes;
    return cudaSuccess;
}

/* As CUDA's, waits for the device. */
cudaError_t cudaFreeHost(void *address)
{
    const Lock lock;
    if (!address)
        return keep_error(device_error());
    const auto found = pinned.find((uintptr_t)address);
    if (found == pinned.end())
        return keep_error(cudaErrorInvalidValue);
    const cudaError_t refused = refuse_while_capturing();
    run_everything();
    release(found->first, found->second);
    pinned.erase(found);
    return keep_error(refused != cudaSuccess ? refused : device_error());
}
