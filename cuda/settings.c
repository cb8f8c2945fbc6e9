/* SPDX-License-Identifier: MIT */
/* Settings of the environment, read when a device is opened. */
#include "device.h"
#include <stdlib.h>
#include <string.h>

static rn_status read_switch(const char *name, int32_t *value)
{
    const char *const text = getenv(name);
    if (!text || !*text)
        return RN_OK;
    if (strcmp(text, "0") != 0 && strcmp(text, "1") != 0)
        return rni_fail(RN_E_INVALID, "%s: 0 or 1 expected, got \"%.40s\"", name, text);
    *value = text[0] == '1';
    return RN_OK;
}

static rn_status read_fuse(int32_t *value)
{
    const char *const text = getenv("RN_CUDA_FUSE");
    if (!text || !*text)
        return RN_OK;
    if (text[0] < '0' || text[0] > '0' + RNI_CUDA_FUSE_PROLOGUE || text[1])
        return rni_fail(RN_E_INVALID, "RN_CUDA_FUSE: 0, 1 or 2 expected, got \"%.40s\"", text);
    *value = text[0] - '0';
    return RN_OK;
}

static rn_status read_megabytes(const char *name, uint64_t *bytes)
{
    const char *const text = getenv(name);
    if (!text || !*text)
        return RN_OK;
    char *end = NULL;
    const unsigned long long megabytes = strtoull(text, &end, 10);
    if (*end || text[0] < '0' || text[0] > '9' || megabytes < 1 || megabytes > 1u << 20)
        return rni_fail(RN_E_INVALID, "%s: a number from 1 to 1048576 expected, got \"%.40s\"", name, text);
    *bytes = (uint64_t)megabytes << 20;
    return RN_OK;
}

rn_status rni_cuda_settings_read(rni_cuda_settings *settings)
{
    *settings = (rni_cuda_settings){.direct = -1, .graphs = 1, .overlap = 1};
    RNI_TRY(read_switch("RN_CUDA_DIRECT", &settings->direct));
    RNI_TRY(read_switch("RN_CUDA_TF32", &settings->tf32));
    RNI_TRY(read_switch("RN_CUDA_GRAPH", &settings->graphs));
    RNI_TRY(read_switch("RN_CUDA_OVERLAP", &settings->overlap));
    RNI_TRY(read_switch("RN_CUDA_AUTOTUNE", &settings->autotune));
    RNI_TRY(read_switch("RN_CUDA_RUNTIME_ENGINES", &settings->runtime_engines));
    RNI_TRY(read_fuse(&settings->fuse));
    return read_megabytes("RN_CUDA_WORKSPACE_MB", &settings->workspace_limit);
}
