/* SPDX-License-Identifier: MIT */
/* Backend modules: shared objects with the one symbol rn_backend_query. */
#include "backend/registry.h"
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef RNI_MODULE_DIR
#define RNI_MODULE_DIR "/usr/lib/resnet-0"
#endif

enum { PATH_SIZE = 4096 };

static rn_status query(void *module, const char *path, const rn_backend **out)
{
    rn_backend_query_fn function;
    void *const symbol = dlsym(module, "rn_backend_query");
    if (!symbol)
        return rni_fail(RN_E_BACKEND, "%s: is no backend module: it has no symbol rn_backend_query", path);
    memcpy(&function, &symbol, sizeof function); /* ISO C has no cast from object to function pointer */
    const rn_backend *backend = NULL;
    const rn_status status = function(RN_BACKEND_ABI_MAJOR, RN_BACKEND_ABI_MINOR, &backend);
    if (status < 0 || !backend)
        return rni_fail(status < 0 ? status : RN_E_BACKEND, "%s: refuses border version %u.%u (%s)", path,
                        (unsigned)RN_BACKEND_ABI_MAJOR, (unsigned)RN_BACKEND_ABI_MINOR, rn_status_name(status));
    *out = backend;
    return RN_OK;
}

/* The module's devices become the context's; the handle is kept until the context goes. */
static rn_status add_module(rn_context *ctx, void *module, const char *path)
{
    const rn_backend *backend = NULL;
    RNI_TRY(query(module, path, &backend));
    void **const grown = rni_realloc(&ctx->allocator, ctx->modules, (ctx->num_modules + 1) * sizeof *grown);
    if (!grown)
        return rni_nomem("modules", sizeof *grown);
    ctx->modules = grown;
    const rn_status status = rni_registry_add(ctx, backend);
    if (status < 0)
        return rni_fail_prefix(status, "%s", path);
    ctx->modules[ctx->num_modules++] = module;
    return RN_OK;
}

static rn_status load_path(rn_context *ctx, const char *path)
{
    if (access(path, F_OK) != 0)
        return rni_fail(RN_E_NOT_FOUND, "%s: there is no such module", path);
    void *const module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!module) {
        const char *const reason = dlerror();
        return rni_fail(RN_E_BACKEND, "%s: cannot be loaded: %s", path, reason ? reason : "unknown reason");
    }
    const rn_status status = add_module(ctx, module, path);
    if (status < 0)
        dlclose(module);
    return status;
}

/* libresnet-<name>.so in a folder. A relative folder would depend on the current one. */
static rn_status load_from(rn_context *ctx, const char *folder, const char *name)
{
    char path[PATH_SIZE];
    if (folder[0] != '/')
        return rni_fail(RN_E_INVALID, "backend_dir: expected an absolute path, got '%s'", folder);
    const int length = snprintf(path, sizeof path, "%s/libresnet-%s.so", folder, name);
    if (length < 0 || length >= PATH_SIZE)
        return rni_fail(RN_E_INVALID, "name_or_path: longer than %d bytes", PATH_SIZE);
    return load_path(ctx, path);
}

/* In backend_dir, then where the library was installed for. What is wrong with a module that is there is told. */
static rn_status load_name(rn_context *ctx, const char *name)
{
    if (ctx->backend_dir) {
        const rn_status found = load_from(ctx, ctx->backend_dir, name);
        if (found != RN_E_NOT_FOUND)
            return found;
    }
    const rn_status status = load_from(ctx, RNI_MODULE_DIR, name);
    if (status == RN_E_NOT_FOUND && ctx->backend_dir)
        return rni_fail(RN_E_NOT_FOUND, "libresnet-%s.so: is neither in %s nor in %s", name, ctx->backend_dir,
                        RNI_MODULE_DIR);
    return status;
}

rn_status rn_context_load_backend(rn_context *ctx, const char *name_or_path)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(name_or_path);
    if (!*name_or_path)
        return rni_fail(RN_E_INVALID, "name_or_path: is empty");
    return strchr(name_or_path, '/') ? load_path(ctx, name_or_path) : load_name(ctx, name_or_path);
}

void rni_registry_find_modules(rn_context *ctx)
{
    char before[RNI_MESSAGE_SIZE];
    snprintf(before, sizeof before, "%s", rn_error_message());
    const rn_status status = load_name(ctx, "cuda");
    if (status < 0) {
        rni_log(ctx, RN_LOG_INFO, "no CUDA devices: %s", rn_error_message());
        rni_fail(status, "%s", before); /* making the context does not fail for it */
    }
}

void rni_plugin_unload(rn_context *ctx)
{
    while (ctx->num_modules)
        dlclose(ctx->modules[--ctx->num_modules]);
    rni_free(&ctx->allocator, ctx->modules);
}
