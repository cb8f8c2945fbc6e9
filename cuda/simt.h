/* SPDX-License-Identifier: MIT */
/*
 * The dialect of CUDA C++ that kernel files are written in: the only header of theirs that is not the project's own.
 * nvcc makes it CUDA; a C++ compiler makes it the simulator of tests/cuda/simulator, which runs the same file on a CPU
 * and watches every access. Kernels use what is here, __syncthreads, __syncwarp, __shfl_sync, __shfl_xor_sync,
 * __ballot_sync, and rni_add_ordered() and atomicAdd on an int: no inline PTX, no float atomics, no cooperative groups.
 */
#ifndef RNI_CUDA_SIMT_H
#define RNI_CUDA_SIMT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __CUDACC__
#include <cuda_runtime.h>

/* An array shared by the threads of a block. */
#define RN_SHARED(type, name, count) __shared__ type name[count]

template <class... Parameters, class... Arguments>
static inline cudaError_t rni_launch(const char *, void (*kernel)(Parameters...), dim3 grid, dim3 block,
                                     cudaStream_t stream, Arguments... arguments)
{
    kernel<<<grid, block, 0, stream>>>(static_cast<Parameters>(arguments)...);
    return cudaPeekAtLastError();
}
/*
 * atomicAdd() that orders: what the thread did or has seen before is there for whoever adds to the same place later, and
 * then goes on to read. With a barrier before and behind it holds for blocks.
 */
static __device__ __forceinline__ int rni_add_ordered(int *to, int value)
{
    return __nv_atomic_fetch_add(to, value, __NV_ATOMIC_ACQ_REL, __NV_THREAD_SCOPE_DEVICE);
}

/* RN_LAUNCH((kernel<float, 4>), grid, block, stream, arguments...): the launch's error. */
#define RN_LAUNCH(kernel, ...) rni_launch(#kernel, kernel, __VA_ARGS__)
#else
#include "simulator/simt.h"
#endif

#endif
