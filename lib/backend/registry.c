/* SPDX-License-Identifier: MIT */
#include "backend/registry.h"
#include <stdio.h>
#include <string.h>

static rn_status check_backend(const rn_backend *b)
{
    if (b->abi_major != RN_BACKEND_ABI_MAJOR)
        return rni_fail(RN_E_VERSION, "backend: its border has version %u, the library's %u", (unsigned)b->abi_major,
                        (unsigned)RN_BACKEND_ABI_MAJOR);
    if (b->struct_size < sizeof *b)
        return rni_fail(RN_E_VERSION, "backend: struct_size is %zu, expected at least %zu", b->struct_size, sizeof *b);
    if (!b->name || !b->device_count || !b->device_open || !b->device_close || !b->device_info || !b->memory_alloc ||
        !b->memory_free || !b->copy_in || !b->copy_out || !b->copy || !b->fill || !b->queue_create ||
        !b->queue_destroy || !b->queue_wait || !b->op_query || !b->op_run)
        return rni_fail(RN_E_INVALID, "backend: a function that is not optional is NULL");
    if (b->program_create && (!b->program_run || !b->program_destroy))
        return rni_fail(RN_E_INVALID, "backend: program_create without program_run and program_destroy");
    if (b->mark_create && (!b->mark_destroy || !b->mark_record || !b->mark_elapsed))
        return rni_fail(RN_E_INVALID, "backend: mark_create without mark_destroy, mark_record and mark_elapsed");
    return RN_OK;
}

static void close_device(rn_device *d)
{
    rn_context *const ctx = d->ctx;
    if (d->queue)
        d->backend->queue_destroy(d->dev, d->queue);
    if (d->dev)
        d->backend->device_close(d->dev);
    rni_free(&ctx->allocator, d);
}

static rn_status name_is_free(const rn_context *ctx, const char *name)
{
    for (size_t i = 0; i < ctx->num_devices; i++)
        if (strcmp(ctx->devices[i]->info.name, name) == 0)
            return rni_fail(RN_E_INVALID, "backend: there is already a device '%s'", name);
    return RN_OK;
}

static rn_status fill_device(rn_device *d, int32_t index)
{
    RNI_TRY(d->backend->device_open(&d->ctx->host, index, &d->dev));
    RNI_TRY(d->backend->queue_create(d->dev, &d->queue));
    d->info.struct_size = sizeof d->info;
    RNI_TRY(d->backend->device_info(d->dev, &d->info));
    d->info.name[sizeof d->info.name - 1] = '\0';
    d->info.description[sizeof d->info.description - 1] = '\0';
    return name_is_free(d->ctx, d->info.name);
}

static rn_status open_device(rn_context *ctx, const rn_backend *backend, int32_t index, rn_device **out)
{
    rn_device *const d = rni_calloc(&ctx->allocator, 1, sizeof *d);
    if (!d)
        return rni_nomem("a device", sizeof *d);
    d->ctx = ctx;
    d->backend = backend;
    const rn_status status = fill_device(d, index);
    if (status < 0) {
        close_device(d);
        return status;
    }
    *out = d;
    return RN_OK;
}

static void drop_devices(rn_context *ctx, size_t keep)
{
    while (ctx->num_devices > keep)
        close_device(ctx->devices[--ctx->num_devices]);
}

rn_status rni_registry_add(rn_context *ctx, const rn_backend *backend)
{
    int32_t count = 0;
    const size_t before = ctx->num_devices;
    RNI_TRY(check_backend(backend));
    RNI_TRY(backend->device_count(&ctx->host, &count));
    rn_device **const grown =
        rni_realloc(&ctx->allocator, ctx->devices, (before + (size_t)(count < 0 ? 0 : count) + 1) * sizeof *grown);
    if (!grown)
        return rni_nomem("devices", (before + (size_t)count) * sizeof *grown);
    ctx->devices = grown;
    for (int32_t i = 0; i < count; i++) {
        const rn_status status = open_device(ctx, backend, i, &ctx->devices[ctx->num_devices]);
        if (status < 0) {
            drop_devices(ctx, before);
            return status;
        }
        rni_log(ctx, RN_LOG_INFO, "device %s: %s", ctx->devices[ctx->num_devices]->info.name,
                ctx->devices[ctx->num_devices]->info.description);
        ctx->num_devices++;
    }
    return RN_OK;
}

void rni_registry_clear(rn_context *ctx)
{
    drop_devices(ctx, 0);
    rni_free(&ctx->allocator, ctx->devices);
    rni_plugin_unload(ctx);
}

rn_status rn_context_register_backend(rn_context *ctx, const rn_backend *backend)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(backend);
    return rni_registry_add(ctx, backend);
}

rn_status rn_context_find_device(rn_context *ctx, const char *name, rn_device **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(name);
    RNI_REQUIRE(out);
    const int any = strcmp(name, "auto") == 0;
    for (size_t i = 0; i < ctx->num_devices; i++) {
        rn_device *const d = ctx->devices[i];
        if (any ? strcmp(d->info.name, "cpu") != 0 : strcmp(d->info.name, name) == 0) {
            *out = d;
            return RN_OK;
        }
    }
    if (any)
        return rn_context_find_device(ctx, "cpu", out);
    char list[200] = "";
    for (size_t i = 0, used = 0; i < ctx->num_devices && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", ctx->devices[i]->info.name);
    return rni_fail(RN_E_DEVICE, "name: there is no device '%s'; there are: %s", name, list);
}
