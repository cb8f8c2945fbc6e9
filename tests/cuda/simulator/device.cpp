/* SPDX-License-Identifier: MIT */
#include "device.h"
#include "access.h"
#include "control.h"
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
    if (reports() == 0)
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

cudaError_t any_device()
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
        {"host_allocations", pinned_living()},
        {"host_bytes", pinned_bytes()},
        {"streams", streams_living()},
        {"events", events_living()},
        {"graphs", graphs_living()},
        {"graph_width", graph_width()},
        {"queued", work_queued()},
        {"launches", launches_done()},
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
