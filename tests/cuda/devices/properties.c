/* SPDX-License-Identifier: MIT */
#include "devices/properties.h"
#include "dnn/descriptor.h"
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/*
 * Where cuDNN's engines that compile find no driver, they load the compiler and unload it again, for nearly every plan:
 * nine tenths of the time, unless someone else keeps it loaded.
 */
static void keep_compiler(void)
{
    static void *kept;
    char name[32];
    snprintf(name, sizeof name, "libnvrtc.so.%d", CUDART_VERSION / 1000);
    if (!kept)
        kept = dlopen(name, RTLD_LAZY);
}

rn_status rni_device_properties(const rni_device_record *record, cudnnBackendDescriptor_t *out)
{
    rni_dnn_bag bag = {0};
    keep_compiler();
    rn_status status = rni_dnn_make(&bag, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, out);
    if (status == RN_OK)
        status = rni_dnn_set(*out, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                             (int64_t)strlen(record->json), record->json);
    if (status == RN_OK)
        status = rni_dnn_finalize(*out);
    if (status != RN_OK)
        rni_dnn_bag_empty(&bag);
    return status;
}
