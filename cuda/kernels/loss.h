/* SPDX-License-Identifier: MIT */
/* What losses leave behind: partial results of blocks, and the metrics. */
#ifndef RNI_CUDA_LOSS_H
#define RNI_CUDA_LOSS_H

#include "kernels/columns.h"
#include "kernels/activations.h"
#include <float.h>
#include <math.h>

/* Moved whole. */
struct alignas(16) rni_loss_part {
    double loss;
    int64_t correct;
};

/* The sum over the block's threads, in the first. shared: RNI_THREADS. */
__device__ __forceinline__ rni_loss_part rni_sum_parts(const rni_loss_part &own, rni_loss_part *shared)
{
    shared[threadIdx.x] = own;
    for (uint32_t half = RNI_THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) {
            shared[threadIdx.x].loss += shared[threadIdx.x + half].loss;
            shared[threadIdx.x].correct += shared[threadIdx.x + half].correct;
        }
    }
    return shared[threadIdx.x]; /* a place that the thread itself wrote last */
}

/* What the gradient of the loss is multiplied by. scaled: the metrics when their loss scale counts, else NULL. */
__device__ __forceinline__ double rni_gradient_factor(const rni_cuda_scalars *scalars, const rn_step_metrics *scaled)
{
    return scaled ? scalars->grad_scale * scaled->loss_scale : scalars->grad_scale;
}

/* One batch's mean loss. The sum grows by images, so that batches of several sizes average right. */
__device__ __forceinline__ void rni_add_metrics(rn_step_metrics *m, double loss, int64_t images, int64_t correct)
{
    const int64_t nonfinite = !(fabs(loss) <= DBL_MAX);
    m->loss_sum += loss * (double)images;
    m->last_loss = loss;
    m->count += images;
    m->correct += correct;
    m->steps += 1;
    m->nonfinite += nonfinite;
    m->step_nonfinite |= nonfinite; /* stays over micro-batches; the plan clears it */
}

/* Adds the blocks' results up and, divided, to the metrics, unless a label was bad; `bad` may be NULL. (loss.cu) */
cudaError_t rni_loss_finish(cudaStream_t stream, const rni_loss_part *parts, int64_t count, const int64_t *bad,
                            double divisor, int64_t images, rn_step_metrics *metrics);

#endif
