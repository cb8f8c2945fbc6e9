/* SPDX-License-Identifier: MIT */
/*
 * What tests ask of the simulator and tell it: faults to make, counts, reports. The functions are exported by the module
 * that the simulator is linked into (dlsym); they take names so that one pair serves all settings.
 */
#ifndef RNI_SIMULATOR_CONTROL_H
#define RNI_SIMULATOR_CONTROL_H

#include <cuda_runtime_api.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RNI_SIM_EXPORT __attribute__((visibility("default")))

/*
 * Settings; each begins with the value of the environment variable RNI_SIM_NAME (name in capitals):
 *   order           0 ascending, 1 descending, 2 random: of lanes, warps, blocks and streams
 *   seed            of the random order
 *   devices         how many there are (1); 0: cudaErrorNoDevice
 *   driver          version (13000); 0: no driver is installed
 *   capability      10 * major + minor (90)
 *   processors      streaming multiprocessors (6)
 *   memory_mb       device memory (4096)
 *   fail_malloc     N: the Nth cudaMalloc from now on fails, and so does every later one if N is negative (0)
 *   fail_malloc_host  the same for cudaMallocHost
 *   fail_launch     the same for launches of kernels: cudaErrorLaunchOutOfResources
 *   fail_library    the same for what stand-ins of device libraries enqueue
 *   refuse_capture  1: cudaStreamBeginCapture fails, 2: cudaStreamEndCapture does, 3: cudaGraphInstantiate does (0)
 *   lose_after      N: the Nth kernel from now on takes the device with it (0)
 *   reports         reports printed at most (20); all are counted, and with one that was not forgotten the process exits
 *                   with status 97
 *   compare_orders  1: every kernel runs in all three orders, and has to give the same bits (0)
 *   refuse_prologue N: cuDNN has no plan for convolutions of N images that normalise what they read, and for gradients of
 *                   filters that do if N is negative (0)
 *   count_only      1: where kernels were compiled for full checking, bytes are counted and nothing else is; only from the
 *                   environment (0)
 *   leaks           1: device and pinned memory, streams, events and graphs left at the end are reported (1)
 */
RNI_SIM_EXPORT void rni_sim_set(const char *name, int64_t value);

/* A setting, or a count; -1 when there is no such name. Counts:
 *   errors          reports made
 *   device_allocations, host_allocations, streams, events, graphs   now living
 *   graph_width     the most nodes of a graph that could have run at once
 *   host_bytes      of pinned memory, now living
 *   launches        of kernels, done so far
 *   queued          work not yet done
 *   checking        1: kernels were compiled for full checking */
RNI_SIM_EXPORT int64_t rni_sim_get(const char *name);

/* Called once, after the next cudaStreamBeginCapture: what other threads may do meanwhile. */
RNI_SIM_EXPORT void rni_sim_on_capture(void (*call)(void));

/* Called once, when a thread next waits for work that is not done, before it is: what other threads may do meanwhile. */
RNI_SIM_EXPORT void rni_sim_on_wait(void (*call)(void));

/* The text of report `index`; NULL behind the last. */
RNI_SIM_EXPORT const char *rni_sim_report(int64_t index);

/* Reports are forgotten, a lost device comes back, queued work is dropped. */
RNI_SIM_EXPORT void rni_sim_forget(void);

/*
 * For stand-ins of device libraries. rni_sim_enqueue: `work` runs in stream order with a copy of the argument; device
 * memory may be touched only inside it. rni_sim_access, inside it: whether [address, address + bytes) lies in one live
 * device allocation, reported in the name of `who` when not; a range read must have been written before.
 */
typedef cudaError_t (*rni_sim_work)(void *argument);
enum { RNI_SIM_READ = 1, RNI_SIM_WRITE = 2 };
RNI_SIM_EXPORT cudaError_t rni_sim_enqueue(cudaStream_t stream, rni_sim_work work, const void *argument, size_t bytes);
RNI_SIM_EXPORT int rni_sim_access(const void *address, size_t bytes, int mode, const char *who);

/* Under full checking: device bytes that no kernel and no stand-in may touch, up = 1, or may again, 0. */
RNI_SIM_EXPORT void rni_sim_fence(const void *address, size_t bytes, int up);

#ifdef __cplusplus
}
#endif

#endif
