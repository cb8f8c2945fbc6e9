/* SPDX-License-Identifier: MIT */
/* Step 1: what there is. */
#include "device.h"
#include "record.h"
#include "selftest.h"
#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

/* The driver's own line, where it tells one. */
static void tell_driver(void)
{
    char line[200] = "";
    FILE *const file = fopen("/proc/driver/nvidia/version", "r");
    if (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        st_say("%s", line);
    }
    if (file)
        fclose(file);
}

static void tell_versions(void)
{
    struct utsname system;
    int driver = 0, runtime = 0, cublas[3] = {0};
    if (uname(&system) == 0)
        st_say("system   %s %s %s", system.sysname, system.release, system.machine);
    tell_driver();
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    for (int i = 0; i < 3; i++)
        cublasGetProperty((libraryPropertyType)i, &cublas[i]);
    st_say("driver   for CUDA %d.%d%s", driver / 1000, driver % 100 / 10, driver ? "" : " (there is none)");
    st_say("runtime  CUDA %d.%d", runtime / 1000, runtime % 100 / 10);
    st_say("cuDNN    %zu, made for CUDA %zu.%zu", cudnnGetVersion(), cudnnGetCudartVersion() / 1000,
           cudnnGetCudartVersion() % 100 / 10);
    st_say("cuBLAS   %d.%d.%d", cublas[0], cublas[1], cublas[2]);
}

/* Of the environment: what the steps do not choose themselves. */
static void tell_settings(void)
{
    static const char *const names[] = {"RN_CUDA_WORKSPACE_MB", "RN_CUDA_AUTOTUNE",     "RN_CUDA_RUNTIME_ENGINES",
                                        "CUDA_VISIBLE_DEVICES", "CUDA_LAUNCH_BLOCKING", "CUDNN_LOGLEVEL_DBG"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (getenv(names[i]))
            st_say("%s=%s", names[i], getenv(names[i]));
}

static void tell_properties(const struct cudaDeviceProp *p)
{
    st_say("name %s, capability %d.%d, %d multiprocessors, %zu bytes of memory", p->name, p->major, p->minor,
           p->multiProcessorCount, p->totalGlobalMem);
    st_say("L2 %d bytes, shared memory a block %zu (at most %zu), a multiprocessor %zu, reserved %zu", p->l2CacheSize,
           p->sharedMemPerBlock, p->sharedMemPerBlockOptin, p->sharedMemPerMultiprocessor,
           p->reservedSharedMemPerBlock);
    st_say("registers a block %d, a multiprocessor %d; threads a multiprocessor %d, blocks %d", p->regsPerBlock,
           p->regsPerMultiprocessor, p->maxThreadsPerMultiProcessor, p->maxBlocksPerMultiProcessor);
    st_say("ECC %d, integrated %d, PCI %04x:%02x:%02x", p->ECCEnabled, p->integrated, (unsigned)p->pciDomainID,
           (unsigned)p->pciBusID, (unsigned)p->pciDeviceID);
}

static void tell_limits(int32_t device)
{
    st_limits limits;
    st_limits_of(device, &limits);
    if (limits.bytes_per_second > 0)
        st_say("at most %.0f GB/s, %.1f TFLOP/s in f32, %.0f in f16: %s", limits.bytes_per_second * 1e-9,
               limits.f32_flops * 1e-12, limits.half_flops * 1e-12, limits.derivation);
    else
        st_say("clocks are not told: no bandwidth and no peaks");
}

/* What to compare a record with: --record's file, else ours of that name; NULL. A file that cannot be read is a failure. */
static const char *expected_record(selftest *t, const char *name)
{
    const char *const file = t->record ? st_record_file(t->record) : NULL;
    if (t->record && !file)
        st_fail(t, "--record %s: cannot be read", t->record);
    else if (!t->record && !st_record_of(name))
        st_say("no record of a device of that name is compiled in");
    return t->record ? file : st_record_of(name);
}

/* The device's record, and what ours of the same name has otherwise: most of ours were written by hand, and
   two devices may differ, so that is no failure. */
static void tell_record(selftest *t, const char *name)
{
    char record[ST_RECORD];
    if (!st_record(NULL, record)) {
        st_fail(t, "device record: %s", record);
        return;
    }
    st_say("device record:");
    printf("%s\n", record);
    const char *const ours = expected_record(t, name);
    if (!ours)
        return;
    const int count = st_record_compare(record, ours);
    if (count < 0)
        st_fail(t, "device record: this, or ours, is no JSON");
    else
        st_say("%d entries differ from ours", count);
}

static void tell_device(selftest *t)
{
    struct cudaDeviceProp properties;
    const cudaError_t error = cudaGetDeviceProperties(&properties, t->device);
    if (error != cudaSuccess || cudaSetDevice(t->device) != cudaSuccess) {
        st_fail(t, "CUDA's runtime: %s (%s)", cudaGetErrorString(error), cudaGetErrorName(error));
        return;
    }
    tell_properties(&properties);
    tell_limits(t->device);
    tell_record(t, properties.name);
}

/* Without a device there is still cuDNN: does it read our records as they are written? */
static void tell_simulated(selftest *t)
{
    const char *const ours = expected_record(t, "NVIDIA H100 80GB HBM3");
    char record[ST_RECORD];
    st_say("THE DEVICE IS SIMULATED: this report says nothing of a GPU");
    if (!ours)
        return;
    if (!st_record(ours, record)) {
        st_fail(t, "device record: %s", record);
    } else {
        st_say("cuDNN's reading of a record for planning:");
        printf("%s\n", record);
        if (st_record_compare(record, ours) != 0)
            st_fail(t, "device record: cuDNN reads it otherwise");
    }
}

void st_step_device(selftest *t)
{
    st_device d;
    uint64_t free_bytes = 0, total_bytes = 0;
    tell_versions();
    tell_settings();
    if (!st_open(t, NULL, &d))
        return;
    st_say("module   %s", st_module_path(&d));
    st_say("device   %s: %s", rn_device_name(d.dev), rn_device_description(d.dev));
    if (st_ok(t, rn_device_memory(d.dev, &free_bytes, &total_bytes), "memory"))
        st_say("memory   %.2f of %.2f GB are free", (double)free_bytes * 0x1p-30, (double)total_bytes * 0x1p-30);
    st_say("processor %s, %d threads", rn_device_description(d.cpu), (int)rn_context_num_threads(d.ctx));
    if (st_simulated(&d))
        tell_simulated(t);
    else
        tell_device(t);
    st_close(&d);
}
