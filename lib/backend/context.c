/* SPDX-License-Identifier: MIT */
/* Life of a context, and the services it lends to backends. */
#include "backend/context.h"
#include "backend/registry.h"
#include "base/abi.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MAX_THREADS = 1024 };

static const rn_context_options defaults = RN_CONTEXT_OPTIONS_INIT;

rn_status rn_context_options_init(rn_context_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults, "rn_context_options");
}

void rni_log(rn_context *ctx, int32_t level, const char *format, ...)
{
    char text[RNI_MESSAGE_SIZE];
    va_list arguments;
    if (!ctx->log || level > ctx->log_level)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ctx->log(ctx->log_user, level, text);
}

static void *host_alloc(void *host, size_t size, size_t align)
{
    const rn_allocator *const a = &((rn_context *)host)->allocator;
    return a->alloc(a->user, size, align < 16 ? 16 : align);
}

static void host_free(void *host, void *ptr, size_t size, size_t align)
{
    const rn_allocator *const a = &((rn_context *)host)->allocator;
    if (ptr)
        a->free(a->user, ptr, size, align < 16 ? 16 : align);
}

static void host_log(void *host, int32_t level, const char *text)
{
    rni_log(host, level, "%s", text);
}

static rn_status host_fail(void *host, rn_status status, const char *text)
{
    (void)host;
    return rni_fail(status, "%.240s", text);
}

static rn_status host_parallel(void *host, rn_task_fn task, void *arg, size_t count)
{
    return rni_pool_run(((rn_context *)host)->pool, task, arg, count);
}

/* The host's allocator, or the C library's. */
static rn_status read_allocator(const rn_allocator *given, rn_allocator *a)
{
    *a = rni_default_allocator;
    RNI_TRY(rni_abi_read(a, sizeof *a, sizeof *a, given, "options.allocator"));
    if (!a->alloc || !a->free)
        return rni_fail(RN_E_INVALID, "options.allocator: alloc or free is NULL");
    return RN_OK;
}

static rn_status check_options(const rn_context_options *o)
{
    if (o->flags)
        return rni_fail(RN_E_INVALID, "options.flags: expected 0, got %llu", (unsigned long long)o->flags);
    if (o->num_threads < 0 || o->num_threads > MAX_THREADS)
        return rni_fail(RN_E_INVALID, "options.num_threads: expected 0 to %d, got %d", MAX_THREADS,
                        (int)o->num_threads);
    if (o->log_level < RN_LOG_NONE || o->log_level > RN_LOG_DEBUG)
        return rni_fail(RN_E_INVALID, "options.log_level: expected %d to %d, got %d", RN_LOG_NONE, RN_LOG_DEBUG,
                        (int)o->log_level);
    if (o->backend_dir && o->backend_dir[0] != '/')
        return rni_fail(RN_E_INVALID, "options.backend_dir: expected an absolute path, got '%s'", o->backend_dir);
    return RN_OK;
}

static rn_status fill(rn_context *ctx, const rn_context_options *o)
{
    const int32_t threads = o->num_threads ? o->num_threads : rni_available_threads();
    ctx->seed = o->seed;
    ctx->log_level = o->log_level;
    ctx->log = o->log;
    ctx->log_user = o->log_user;
    if (o->backend_dir && !(ctx->backend_dir = rni_strdup(&ctx->allocator, o->backend_dir)))
        return rni_nomem("options.backend_dir", strlen(o->backend_dir) + 1);
    RNI_TRY(rni_pool_create(&ctx->allocator, threads, o->parallel, o->parallel_user, &ctx->pool));
    ctx->host = (rn_host_api){sizeof ctx->host, ctx,       host_alloc,    host_free,
                              host_log,         host_fail, host_parallel, threads, 0};
    RNI_TRY(rni_registry_add(ctx, &rni_cpu_backend));
    rni_registry_find_modules(ctx);
    return RN_OK;
}

rn_status rn_context_create(const rn_context_options *options, rn_context **out)
{
    RNI_REQUIRE(out);
    rn_context_options o = defaults;
    RNI_TRY(rni_abi_read(&o, sizeof o, sizeof o, options, "rn_context_options"));
    RNI_TRY(check_options(&o));
    rn_allocator allocator;
    RNI_TRY(read_allocator(o.allocator, &allocator));
    rn_context *const ctx = rni_calloc(&allocator, 1, sizeof *ctx);
    if (!ctx)
        return rni_nomem("a context", sizeof *ctx);
    atomic_init(&ctx->references, 1);
    ctx->allocator = allocator;
    const rn_status status = fill(ctx, &o);
    if (status < 0) {
        rn_context_release(ctx);
        return status;
    }
    *out = ctx;
    return RN_OK;
}

rn_context *rn_context_retain(rn_context *ctx)
{
    if (ctx)
        rni_reference(&ctx->references);
    return ctx;
}

void rn_context_release(rn_context *ctx)
{
    if (!ctx || !rni_unreference(&ctx->references))
        return;
    rni_registry_clear(ctx);
    rni_pool_destroy(ctx->pool);
    const rn_allocator allocator = ctx->allocator;
    rni_free(&allocator, ctx->backend_dir);
    rni_free(&allocator, ctx);
}

int32_t rn_context_num_threads(const rn_context *ctx)
{
    return ctx ? ctx->host.num_threads : 0;
}

uint64_t rn_context_seed(const rn_context *ctx)
{
    return ctx ? ctx->seed : 0;
}

size_t rn_context_device_count(const rn_context *ctx)
{
    return ctx ? ctx->num_devices : 0;
}

rn_device *rn_context_device(rn_context *ctx, size_t index)
{
    return ctx && index < ctx->num_devices ? ctx->devices[index] : NULL;
}
