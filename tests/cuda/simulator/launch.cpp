/* SPDX-License-Identifier: MIT */
#include "launch.h"
#include "access.h"
#include "device.h"
#include "fault.h"
#include "fiber.h"
#include "memory.h"
#include "record.h"
#include "report.h"
#include "settings.h"
#include "shared.h"
#include "statistics.h"
#include "stream.h"
#include "touch.h"
#include <cstdio>
#include <cstring>
#include <memory>

namespace sim
{
static int64_t done;
static uint64_t number;
static const Launch *running;

int64_t launches_done()
{
    return done;
}

uint64_t launch_number()
{
    return number;
}

std::string running_place()
{
    if (!running)
        return "";
    char text[120] = "";
    if (block.current)
        snprintf(text, sizeof text, ", block (%u, %u, %u), thread (%u, %u, %u)", block.index.x, block.index.y,
                 block.index.z, block.current->index.x, block.current->index.y, block.current->index.z);
    return std::string("[") + running->kernel.name + text + "] ";
}

/* Pointers among the parameters are of device memory, or null. */
static void check_pointers(const Launch &launch)
{
    for (uint32_t i = 0; i < launch.kernel.count; i++) {
        const simt::Parameter &p = launch.kernel.layout[i];
        const void *pointer = nullptr;
        if (p.pointer)
            memcpy(&pointer, launch.parameters.data() + p.offset, sizeof pointer);
        if (pointer && !holder(pointer, 0))
            report("parameter %u is %p, not an address in live device memory: %s", i + 1, pointer,
                   describe_address((uintptr_t)pointer));
    }
}

static void call_kernel(void *argument)
{
    const Launch *const launch = (const Launch *)argument;
    launch->kernel.call(launch->kernel.function, launch->parameters.data());
}

static uint3 block_at(uint64_t i, dim3 grid)
{
    return {(unsigned)(i % grid.x), (unsigned)(i / grid.x % grid.y), (unsigned)(i / grid.x / grid.y)};
}

/* A walk through all numbers below n in an order of the seed's: steps of a stride that has no factor in common. */
static uint64_t random_stride(uint64_t n)
{
    for (;;) {
        uint64_t stride = 1 + random_below(n < 0x7fffffff ? (uint32_t)n : 0x7fffffffu), a = n, b = stride;
        while (b) {
            const uint64_t r = a % b;
            a = b;
            b = r;
        }
        if (a == 1)
            return stride;
    }
}

static bool run_one_block(const Launch &launch, uint64_t i)
{
    begin_block_shared();
    begin_block_accesses();
    const bool ended = run_block(block_at(i, launch.grid), call_kernel, (void *)&launch);
    if (ended)
        end_block_shared();
    return ended;
}

static cudaError_t run_blocks(const Launch &launch, int64_t order)
{
    const uint64_t count = (uint64_t)launch.grid.x * launch.grid.y * launch.grid.z;
    const bool random = order == RANDOM && count > 1;
    const uint64_t stride = random ? random_stride(count) : 1;
    uint64_t at = random ? random_below((uint32_t)(count < 0x7fffffff ? count : 0x7fffffff)) : 0;
    for (uint64_t i = 0; i < count; i++, at = (at + stride) % count)
        if (!run_one_block(launch, order == DESCENDING ? count - 1 - i : at))
            return abandoned_with();
    return cudaSuccess;
}

static cudaError_t run_once(const Launch &launch, int64_t order)
{
    number++;
    shape_blocks(launch.grid, launch.block, order);
    begin_launch_shared();
    begin_launch_accesses();
    return run_blocks(launch, order);
}

/* What the launch made of the pages that it touched, or these put back. */
static std::vector<unsigned char> results()
{
    std::vector<unsigned char> all;
    for (const auto &page : touched_pages())
        all.insert(all.end(), (unsigned char *)page.first, (unsigned char *)page.first + PAGE);
    return all;
}

static void put_back()
{
    for (const auto &page : touched_pages())
        memcpy((void *)page.first, page.second->content, PAGE);
}

static void put_results(const std::vector<unsigned char> &results)
{
    size_t at = 0;
    for (const auto &page : touched_pages()) {
        memcpy((void *)page.first, &results[at], PAGE);
        at += PAGE;
    }
}

static void compare_orders(const Launch &launch)
{
    const std::vector<unsigned char> first = results();
    for (int64_t order = ASCENDING; order <= RANDOM; order++) {
        put_back();
        if (run_once(launch, order) != cudaSuccess || results() != first) {
            report("the result depends on the order in which threads and blocks run");
            break;
        }
    }
    put_results(first);
}

/* What is asked for beyond a plain run needs the pages that the launch touches. */
static cudaError_t run_and_look(const Launch &launch)
{
    const bool recorded = record_wanted(launch), compared = setting(COMPARE_ORDERS);
    const int64_t reports_before = reports();
    if (recorded || compared)
        begin_touches();
    const cudaError_t error = run_once(launch, setting(ORDER));
    if (recorded || compared)
        end_touches();
    const bool right = error == cudaSuccess && reports() == reports_before;
    if (recorded && right)
        record(launch);
    if (compared && right)
        compare_orders(launch);
    forget_touches();
    return error;
}

cudaError_t run_launch(const Launch &launch)
{
    running = &launch;
    catch_faults();
    check_pointers(launch);
    const cudaError_t error = run_and_look(launch);
    check_guards();
    running = nullptr;
    done++;
    count_launch(launch);
    return error == cudaSuccess && now_due(LOSE_AFTER) ? cudaErrorLaunchFailure : error;
}

namespace
{
struct KernelWork : Work {
    Launch launch;
    explicit KernelWork(Launch what) : launch(std::move(what))
    {
    }
    cudaError_t run(uint64_t) override
    {
        unlock_memory();
        return run_launch(launch);
    }
};

bool possible(dim3 grid, dim3 block)
{
    const uint64_t threads = (uint64_t)block.x * block.y * block.z;
    return threads > 0 && threads <= MOST_THREADS && block.x <= 1024 && block.y <= 1024 && block.z <= 64 &&
           grid.x > 0 && grid.x <= 0x7fffffffu && grid.y > 0 && grid.y <= 65535 && grid.z > 0 && grid.z <= 65535;
}
} // namespace
} // namespace sim

/* As nvcc's side: what comes back is the thread's last error, which may be an older one. */
cudaError_t simt::launch(const Kernel &kernel, dim3 grid, dim3 block, cudaStream_t stream,
                         const unsigned char *parameters)
{
    using namespace sim;
    const Lock lock;
    if (!possible(grid, block)) {
        keep_error(cudaErrorInvalidConfiguration);
    } else if (now_due(FAIL_LAUNCH)) {
        keep_error(cudaErrorLaunchOutOfResources);
    } else if (device_error() == cudaSuccess) {
        Launch launch = {kernel, grid, block, {parameters, parameters + kernel.bytes}};
        keep_error(enqueue(stream, std::make_shared<KernelWork>(std::move(launch))));
    }
    return cudaPeekAtLastError();
}
