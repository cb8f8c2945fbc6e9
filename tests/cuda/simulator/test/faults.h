/* SPDX-License-Identifier: MIT */
/* Kernels with one fault each, and right ones that look alike. */
#ifndef RNI_SIMULATOR_FAULTS_H
#define RNI_SIMULATOR_FAULTS_H

#include <cuda_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif

/* x: `n` floats, all written; y: `n` floats, fresh; n is a multiple of 64. A launcher runs its kernel on them. */
typedef cudaError_t faults_launcher(cudaStream_t stream, float *x, float *y, int n);

typedef struct faults_kernel {
    const char *name;
    faults_launcher *launch;
    const char *checked; /* what a report says under full checking; NULL: no report may be made */
    const char *fast; /* the same without, NULL: cannot be seen there, "?": it depends */
    int lost; /* the device goes with it: 1 under full checking, 2 always, 3 in some orders */
} faults_kernel;

extern const faults_kernel faults_kernels[]; /* up to one without a name */

/* Right kernels for the tests of the runtime. */
cudaError_t faults_add(cudaStream_t stream, float *x, float value, int n); /* x[i] += value */
cudaError_t faults_append(cudaStream_t stream, int *list, int blocks, int threads); /* list[1 + list[0]++] = index */
cudaError_t faults_sum(cudaStream_t stream, const float *x, float *y, int n); /* y[block]: sums of 64 */
cudaError_t faults_too_large(cudaStream_t stream, float *x); /* a block of 2048 threads */

#ifdef __cplusplus
}
#endif

#endif
