/* SPDX-License-Identifier: MIT */
#include "memory.h"
#include "access.h"
#include "device.h"
#include "fault.h"
#include "report.h"
#include "settings.h"
#include "stream.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <sys/mman.h>

namespace sim
{
Arena arena;

static std::deque<Allocation> all; /* by number */
static std::map<uintptr_t, Allocation *> live; /* by address */
static uint32_t *owners; /* of every page of the arena: a number, or 0 */
static size_t bytes_in_use;
static bool unlocked;

static void *reserve(uintptr_t wanted, size_t bytes, int protection)
{
    void *const p = mmap((void *)wanted, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? nullptr : p;
}

/* As much as the system gives: address space only. */
static void open_arena()
{
    constexpr uintptr_t WANTED = (uintptr_t)1 << 44;
    for (size_t size = (size_t)1 << 38; !arena.size && size >= (size_t)1 << 30; size /= 2) {
        void *const base = reserve(WANTED, size, PROT_NONE);
        if (base) {
            owners = (uint32_t *)reserve(0, size / PAGE * sizeof *owners, PROT_READ | PROT_WRITE);
            if (owners && open_shadow(size))
                arena = {(uintptr_t)base, size, PAGE};
            else
                munmap(base, size);
        }
    }
    if (!arena.size) {
        fprintf(stderr, "simulator: no address space for device memory\n");
        abort();
    }
    catch_faults();
}

static bool room_for(const Allocation &a)
{
    const size_t total = (size_t)setting(MEMORY_MB) << 20;
    return a.bytes <= total && bytes_in_use <= total - a.bytes && a.page_bytes() + 2 * PAGE <= arena.size - arena.used;
}

static void fill_new(const Allocation &a)
{
    unsigned char *const first = (unsigned char *)a.first_page();
    mprotect(first, a.page_bytes(), PROT_READ | PROT_WRITE);
    memset(first, GUARDED, GUARD);
    memset((void *)a.address, FRESH, a.bytes);
    memset((void *)(a.address + a.bytes), GUARDED, a.page_bytes() - GUARD - a.bytes);
    if (!unlocked)
        mprotect(first, a.page_bytes(), PROT_NONE);
}

void *device_allocate(size_t bytes)
{
    if (!arena.size)
        open_arena();
    Allocation a = {arena.base + arena.used + GUARD, bytes, (unsigned)all.size() + 1, true};
    if (!room_for(a))
        return nullptr;
    arena.used += a.page_bytes() + PAGE;
    bytes_in_use += bytes;
    all.push_back(a);
    live[a.address] = &all.back();
    for (size_t i = 0; i < a.page_bytes() / PAGE; i++)
        owners[(a.first_page() - arena.base) / PAGE + i] = a.number;
    fill_new(a);
    return (void *)a.address;
}

bool device_free(void *address)
{
    const auto found = live.find((uintptr_t)address);
    if (found == live.end())
        return false;
    Allocation &a = *found->second;
    live.erase(found);
    a.live = false;
    bytes_in_use -= a.bytes;
    mmap((void *)a.first_page(), a.page_bytes(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
         0);
    forget_shadow(a.first_page(), a.page_bytes());
    return true;
}

const Allocation *page_owner(uintptr_t address)
{
    const uint32_t number = in_arena(address) ? owners[(address - arena.base) / PAGE] : 0;
    return number ? &all[number - 1] : nullptr;
}

const Allocation *holder(const void *address, size_t bytes)
{
    const uintptr_t at = (uintptr_t)address;
    const Allocation *const a = page_owner(at);
    return a && a->live && at >= a->address && bytes <= a->bytes && at - a->address <= a->bytes - bytes ? a : nullptr;
}

bool inside_allocation(const void *address, size_t bytes, const char *who)
{
    if (holder(address, bytes))
        return true;
    report("%s: %zu bytes at %p are not inside one live device allocation: %s", who, bytes, address,
           describe_address((uintptr_t)address));
    return false;
}

const char *describe_address(uintptr_t address)
{
    static char text[160];
    if (!in_arena(address))
        return "host memory";
    const Allocation *a = page_owner(address);
    for (uintptr_t page = address; !a && page > arena.base + PAGE;)
        a = page_owner(page -= PAGE);
    if (!a)
        return "before every allocation";
    if (address < a->address)
        snprintf(text, sizeof text, "%zu bytes before allocation #%u of %zu bytes", (size_t)(a->address - address),
                 a->number, a->bytes);
    else
        snprintf(text, sizeof text, "%zu bytes %s %sallocation #%u of %zu bytes",
                 (size_t)(address - a->address) - (address >= a->address + a->bytes ? a->bytes : 0),
                 address >= a->address + a->bytes ? "behind" : "into", a->live ? "" : "freed ", a->number, a->bytes);
    return text;
}

std::vector<const Allocation *> live_allocations()
{
    std::vector<const Allocation *> result;
    for (const auto &entry : live)
        result.push_back(entry.second);
    return result;
}

size_t device_bytes()
{
    return bytes_in_use;
}

void protect_all(int protection)
{
    for (const auto &entry : live)
        mprotect((void *)entry.second->first_page(), entry.second->page_bytes(), protection);
}

void unlock_memory()
{
    if (!unlocked)
        protect_all(PROT_READ | PROT_WRITE);
    unlocked = true;
}

void lock_memory()
{
    if (unlocked)
        protect_all(PROT_NONE);
    unlocked = false;
}

static void check_guard(const Allocation &a, uintptr_t from, const char *where)
{
    unsigned char expected[GUARD];
    memset(expected, GUARDED, sizeof expected);
    if (memcmp((void *)from, expected, GUARD) == 0)
        return;
    size_t i = 0;
    while (((unsigned char *)from)[i] == GUARDED)
        i++;
    report("the guard %s allocation #%u of %zu bytes was overwritten %zu bytes %s it", where, a.number, a.bytes,
           from < a.address ? (size_t)(a.address - from) - i : i, where);
    memcpy((void *)from, expected, GUARD);
}

void check_guards()
{
    for (const auto &entry : live) {
        const Allocation &a = *entry.second;
        check_guard(a, a.address - GUARD, "before");
        check_guard(a, a.address + a.bytes, "behind");
    }
}
} // namespace sim

using namespace sim;

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
