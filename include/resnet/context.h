/* SPDX-License-Identifier: MIT */
/**
 * @file context.h
 * The context: threads, memory, log, devices. Everything else is made from one.
 *
 * Contexts are independent of one another; there are no mutable globals. One
 * object (context, model, plan, ...) is used by one thread at a time.
 */
#ifndef RESNET_CONTEXT_H
#define RESNET_CONTEXT_H

#include <resnet/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rn_context rn_context;
typedef struct rn_device rn_device;

typedef struct rn_context_options {
    size_t struct_size;
    uint64_t flags;                /**< 0 */
    uint64_t seed;                 /**< default seed of models, plans and loaders */
    int32_t num_threads;           /**< 0: affinity mask and cgroup quota decide; at most 1024 */
    int32_t log_level;             /**< RN_LOG_*; silent by default */
    const rn_allocator *allocator; /**< NULL: the C library's; copied */
    rn_log_fn log;                 /**< NULL: no log */
    void *log_user;
    rn_parallel_fn parallel;       /**< NULL: the context's own thread pool */
    void *parallel_user;
    const char *backend_dir;       /**< NULL: $libdir/resnet-0; copied */
} rn_context_options;

#define RN_CONTEXT_OPTIONS_INIT                                              \
    {                                                                        \
        sizeof(rn_context_options), 0, 0, 0, 0, NULL, NULL, NULL, NULL,      \
            NULL, NULL                                                       \
    }

/**
 * Writes the defaults into an options struct of `struct_size` bytes.
 * @return RN_E_INVALID for NULL, RN_E_VERSION for an impossible size.
 */
RN_API rn_status rn_context_options_init(rn_context_options *options, size_t struct_size);

/**
 * Makes a context with one CPU device ("cpu") and, when a CUDA module is
 * found, its devices.
 * @param options [in, optional] NULL: the defaults
 * @param out     [out] one reference, for rn_context_release()
 * @return RN_E_NOMEM also when a thread cannot be made; nothing is left then.
 */
RN_API rn_status rn_context_create(const rn_context_options *options, rn_context **out);

/** Adds a reference and returns the handle. NULL is passed through. */
RN_API rn_context *rn_context_retain(rn_context *ctx);
/** Drops a reference. NULL is accepted. Objects made from the context keep it alive. */
RN_API void rn_context_release(rn_context *ctx);

/** @return the number of threads its parallel work is cut for; 0 for NULL. */
RN_API int32_t rn_context_num_threads(const rn_context *ctx);

/** @return the seed given at creation; 0 for NULL. */
RN_API uint64_t rn_context_seed(const rn_context *ctx);

/**
 * Loads a backend module: a path (with a slash) or a name ("cuda"), which is
 * looked for in backend_dir and then $libdir/resnet-0, never in the current
 * directory.
 * @return RN_E_NOT_FOUND, RN_E_VERSION (its major differs), RN_E_BACKEND
 */
RN_API rn_status rn_context_load_backend(rn_context *ctx, const char *name_or_path);

/**
 * Finds a device by name: "cpu", "cuda:0", or "auto" (a usable GPU, else the CPU).
 * @param out [out] borrowed from the context
 * @return RN_E_DEVICE when there is none of that name; the message lists those there are
 */
RN_API rn_status rn_context_find_device(rn_context *ctx, const char *name, rn_device **out);

/** @return how many devices the context has; 0 for NULL. */
RN_API size_t rn_context_device_count(const rn_context *ctx);

/** @return the index-th device, borrowed from the context; NULL beyond the last. */
RN_API rn_device *rn_context_device(rn_context *ctx, size_t index);

#ifdef __cplusplus
}
#endif
#endif
