/* SPDX-License-Identifier: MIT */
#include "device.h"
#include "access.h"
#include "control.h"
#include "copy.h"
#include "fault.h"
#include "launch.h"
#include "memory.h"
#include "pinned.h"
#include "report.h"
#include "settings.h"
#include "statistics.h"
#include "stream.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unistd.h>

namespace sim
{
static std::recursive_mutex mutex;
static int entries; /* of the thread that has the mutex */
static cudaError_t sticky;
static thread_local cudaError_t last;

static void report_leaks()
{
    static const char *const kinds[] = {"device_allocations", "host_allocations", "streams", "events", "graphs"};
    for (const char *kind : kinds)
        if (count_of(kind) > 0)
            report("%lld %s left at the end", (long long)count_of(kind), kind);
}

/* When the module is unloaded or the process ends, before the destructors of what it looks at. */
static void conclude()
{
    release_faults();
    if (setting(LEAKS))
        report_leaks();
    write_statistics();
    if (reports() == 0 || !setting(FATAL))
        return;
    fprintf(stderr, "simulator: %lld errors\n", (long long)reports());
    fflush(nullptr);
    _exit(97);
}
Lock::Lock()
{
    mutex.lock();
    entries++;
    static const int registered = atexit(conclude);
    (void)registered;
}

Lock::~Lock()
{
    if (--entries == 0)
        lock_memory();
    mutex.unlock();
}

cudaError_t device_error()
{
    return sticky;
}

void lose_device(cudaError_t error)
{
    if (sticky != cudaSuccess)
        return;
    sticky = error;
    drop_everything();
}

cudaError_t keep_error(cudaError_t error)
{
    if (error != cudaSuccess)
        last = error;
    return error;
}

static cudaError_t any_device()
{
    if (setting(DRIVER) < CUDART_VERSION / 1000 * 1000)
        return cudaErrorInsufficientDriver;
    return setting(DEVICES) > 0 ? cudaSuccess : cudaErrorNoDevice;
}

cudaError_t device_ready()
{
    const cudaError_t none = any_device();
    return none != cudaSuccess ? none : sticky;
}

int64_t count_of(const char *name)
{
    const struct {
        const char *name;
        int64_t value;
    } counts[] = {
        {"errors", reports()},
        {"device_allocations", (int64_t)live_allocations().size()},
        {"device_bytes", (int64_t)device_bytes()},
        {"host_allocations", pinned_living()},
        {"streams", streams_living()},
        {"events", events_living()},
        {"graphs", graphs_living()},
        {"queued", work_queued()},
        {"launches", launch_counts.launches},
        {"blocks", launch_counts.blocks},
        {"threads", launch_counts.threads},
        {"copies", copies_done()},
        {"checking", checking},
    };
    for (const auto &c : counts)
        if (strcmp(c.name, name) == 0)
            return c.value;
    return -1;
}

} // namespace sim

using namespace sim;

void rni_sim_forget()
{
    const Lock lock;
    forget_reports();
    drop_everything();
    sticky = cudaSuccess;
    last = cudaSuccess;
}

cudaError_t cudaGetLastError()
{
    const cudaError_t error = cudaPeekAtLastError();
    last = cudaSuccess;
    return error;
}

cudaError_t cudaPeekAtLastError()
{
    const Lock lock;
    return device_error() != cudaSuccess ? device_error() : last;
}

cudaError_t cudaMalloc(void **address, size_t bytes)
{
    const Lock lock;
    if (!address)
        return keep_error(cudaErrorInvalidValue);
    if (device_ready() != cudaSuccess)
        return keep_error(device_ready());
    if (refuse_while_capturing() != cudaSuccess)
        return keep_error(cudaErrorStreamCaptureUnsupported);
    *address = nullptr;
    if (bytes == 0)
        return cudaSuccess;
    *address = now_due(FAIL_MALLOC) ? nullptr : device_allocate(bytes);
    return keep_error(*address ? cudaSuccess : cudaErrorMemoryAllocation);
}

/* As CUDA's, waits for the device. Memory of a lost device goes, too, so that leaks can be counted. */
cudaError_t cudaFree(void *address)
{
    const Lock lock;
    if (!address)
        return keep_error(device_error());
    const cudaError_t refused = refuse_while_capturing();
    run_everything();
    if (!device_free(address)) {
        report("cudaFree of %p, which is not a live allocation: %s", address, describe_address((uintptr_t)address));
        return keep_error(cudaErrorInvalidValue);
    }
    return keep_error(refused != cudaSuccess ? refused : device_error());
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
    const Lock lock;
    if (device_ready() != cudaSuccess)
        return keep_error(device_ready());
    *total = (size_t)setting(MEMORY_MB) << 20;
    *available = *total > device_bytes() ? *total - device_bytes() : 0;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    const Lock lock;
    *count = any_device() == cudaSuccess ? (int)setting(DEVICES) : 0;
    return keep_error(any_device());
}
