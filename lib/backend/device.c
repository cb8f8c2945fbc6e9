/* SPDX-License-Identifier: MIT */
#include "backend/context.h"
#include <stdio.h>
#include <string.h>

const char *rn_device_name(const rn_device *dev)
{
    return dev ? dev->info.name : NULL;
}

const char *rn_device_description(const rn_device *dev)
{
    return dev ? dev->info.description : NULL;
}

rn_context *rn_device_context(const rn_device *dev)
{
    return dev ? dev->ctx : NULL;
}

rn_status rn_device_memory(const rn_device *dev, uint64_t *free_bytes, uint64_t *total_bytes)
{
    rn_device_info info = {.struct_size = sizeof info};
    RNI_REQUIRE(dev);
    RNI_TRY(dev->backend->device_info(dev->dev, &info));
    if (free_bytes)
        *free_bytes = info.free_bytes;
    if (total_bytes)
        *total_bytes = info.total_bytes;
    return RN_OK;
}

rn_status rni_device_check(rn_device *dev)
{
    if (dev->fault.status < 0)
        return rni_fail(dev->fault.status, "%s failed earlier and needs rn_device_reset(): %s", dev->info.name,
                        dev->fault.message);
    return RN_OK;
}

rn_status rni_device_wait(rn_device *dev)
{
    rn_fault fault = {.struct_size = sizeof fault};
    RNI_TRY(rni_device_check(dev));
    const rn_status status = dev->backend->queue_wait(dev->dev, dev->queue, &fault);
    if (status < 0)
        return status;
    if (fault.status >= 0)
        return RN_OK;
    fault.message[sizeof fault.message - 1] = '\0';
    dev->fault = fault;
    return rni_fail(fault.status, "%s", fault.message);
}

rn_status rn_device_synchronize(rn_device *dev)
{
    RNI_REQUIRE(dev);
    return rni_device_wait(dev);
}

rn_status rn_device_reset(rn_device *dev)
{
    rn_fault fault = {.struct_size = sizeof fault};
    RNI_REQUIRE(dev);
    const rn_status status = dev->backend->queue_wait(dev->dev, dev->queue, &fault);
    memset(&dev->fault, 0, sizeof dev->fault);
    return status;
}

rn_status rni_device_reserve(rn_device *dev, uint64_t bytes, const char *what, void **out)
{
    void *memory = NULL;
    *out = NULL;
    if (!bytes)
        return RN_OK;
    RNI_TRY(rni_device_check(dev));
    const rn_status status = dev->backend->memory_alloc(dev->dev, bytes, &memory);
    if (status == RN_E_NOMEM) {
        rn_device_info info = {.struct_size = sizeof info};
        if (dev->backend->device_info(dev->dev, &info) == RN_OK)
            return rni_fail(RN_E_NOMEM, "out of memory: %s needs %llu bytes on %s, which has %llu free", what,
                            (unsigned long long)bytes, dev->info.name, (unsigned long long)info.free_bytes);
        return rni_nomem(what, bytes);
    }
    if (status < 0)
        return status;
    *out = memory;
    return RN_OK;
}

rn_status rni_device_clear(rn_device *dev, void *ptr, uint64_t bytes)
{
    return bytes ? dev->backend->fill(dev->dev, dev->queue, ptr, bytes) : RN_OK;
}

int rni_device_discards(const rn_device *dev)
{
    return dev->backend->memory_discard != NULL;
}

void rni_device_discard(rn_device *dev, void *ptr, uint64_t bytes)
{
    if (bytes && dev->backend->memory_discard)
        dev->backend->memory_discard(dev->dev, ptr, bytes);
}

rn_status rni_device_alloc(rn_device *dev, uint64_t bytes, const char *what, void **out)
{
    RNI_TRY(rni_device_reserve(dev, bytes, what, out));
    const rn_status status = rni_device_clear(dev, *out, bytes);
    if (status < 0) {
        rni_device_free(dev, *out, bytes);
        *out = NULL;
    }
    return status;
}

void rni_device_free(rn_device *dev, void *ptr, uint64_t bytes)
{
    if (ptr)
        dev->backend->memory_free(dev->dev, ptr, bytes);
}
