/* SPDX-License-Identifier: MIT */
/* Inside of contexts and devices, for the floors above. */
#ifndef RNI_BACKEND_CONTEXT_H
#define RNI_BACKEND_CONTEXT_H

#include "base/alloc.h"
#include "base/error.h"
#include "base/threads.h"
#include <resnet/device.h>
#include <resnet/sys/backend.h>
#include <stdatomic.h>

struct rn_device {
    rn_context *ctx; /* borrowed: the context owns its devices */
    const rn_backend *backend;
    void *dev, *queue; /* the backend's */
    rn_device_info info;
    rn_fault fault; /* status below 0: poisoned */
};

struct rn_context {
    atomic_int references;
    rn_allocator allocator;
    rn_host_api host;
    rni_pool *pool;
    uint64_t seed;
    int32_t log_level;
    rn_log_fn log;
    void *log_user;
    char *backend_dir;
    rn_device **devices;
    size_t num_devices;
    void **modules; /* dlopen handles */
    size_t num_modules;
};

/* Formats and passes on a line when the level asks for it. */
void rni_log(rn_context *ctx, int32_t level, const char *format, ...) RNI_PRINTF(3, 4);

/* Device memory, 256-byte aligned, zeroed. RN_E_NOMEM names `what` and the sizes. bytes 0 gives NULL. */
rn_status rni_device_alloc(rn_device *dev, uint64_t bytes, const char *what, void **out);
/* The same in two halves: memory of unknown contents, which a host has not touched yet, and zeroes. */
rn_status rni_device_reserve(rn_device *dev, uint64_t bytes, const char *what, void **out);
rn_status rni_device_clear(rn_device *dev, void *ptr, uint64_t bytes);
/* Whether the device can leave memory to the system that is still allocated, and doing so: contents are unknown after. */
int rni_device_discards(const rn_device *dev);
void rni_device_discard(rn_device *dev, void *ptr, uint64_t bytes);
void rni_device_free(rn_device *dev, void *ptr, uint64_t bytes);

/* Poisoned devices return their fault here; otherwise RN_OK. */
rn_status rni_device_check(rn_device *dev);
/* Waits for the queue; remembers and returns the first fault. */
rn_status rni_device_wait(rn_device *dev);

/* A program on a device: whole where the backend takes it, else op by op. `desc` must outlive it. */
typedef struct rni_compiled rni_compiled;
rn_status rni_compiled_create(rn_device *dev, const rn_program_desc *desc, rni_compiled **out);
rn_status rni_compiled_run(rni_compiled *compiled, const rn_run *run);
void rni_compiled_destroy(rni_compiled *compiled);

/* Reference counts, shared by all handles. */
static inline void rni_reference(atomic_int *references)
{
    atomic_fetch_add_explicit(references, 1, memory_order_relaxed);
}
/* Returns 1 when the last one went. */
static inline int rni_unreference(atomic_int *references)
{
    return atomic_fetch_sub_explicit(references, 1, memory_order_acq_rel) == 1;
}

/* The CPU backend, linked in (lib/cpu). */
extern const rn_backend rni_cpu_backend;

#endif
