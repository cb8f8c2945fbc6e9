/* SPDX-License-Identifier: MIT */
#include "dnn/cache.h"
#include "dnn/conv.h"
#include "base/error.h"
#include <string.h>

/* Plans from a device's properties came with 9.8; another major number is another interface. */
static rn_status check_version(void)
{
    const size_t loaded = cudnnGetVersion();
    if (loaded >= 90800 && loaded / 10000 == CUDNN_MAJOR)
        return RN_OK;
    return rni_fail(RN_E_VERSION,
                    "cuDNN %zu.%zu.%zu is loaded, 9.8 or a later 9 is needed (RN_CUDA_DIRECT=1 does without)",
                    loaded / 10000, loaded / 100 % 100, loaded % 100);
}

rn_status rni_dnn_open(rni_cuda_device *device, rni_dnn **out)
{
    const rn_host_api *const host = device->host;
    RNI_TRY(check_version());
    rni_dnn *const dnn = host->alloc(host->host, sizeof *dnn, _Alignof(rni_dnn));
    *out = NULL;
    if (!dnn)
        return rni_fail(RN_E_NOMEM, "no memory for cuDNN's plans");
    memset(dnn, 0, sizeof *dnn);
    dnn->device = device;
    dnn->api = &rni_dnn_api_device;
    dnn->rules = (rni_dnn_rules){host, NULL, device->tf32, device->runtime_engines};
    const rn_status status = dnn->api->create(device, &dnn->handle, &dnn->rules.properties);
    if (status != RN_OK) {
        host->free(host->host, dnn, sizeof *dnn, _Alignof(rni_dnn));
        return status;
    }
    pthread_mutex_init(&dnn->lock, NULL);
    *out = dnn;
    return RN_OK;
}

void rni_dnn_close(rni_dnn *dnn)
{
    if (!dnn)
        return;
    const rn_host_api *const host = dnn->rules.host;
    rni_dnn_forget(dnn);
    cudnnBackendDestroyDescriptor(dnn->rules.properties);
    dnn->api->destroy(dnn->handle);
    pthread_mutex_destroy(&dnn->lock);
    host->free(host->host, dnn, sizeof *dnn, _Alignof(rni_dnn));
}
