/* SPDX-License-Identifier: MIT */
/* Loss scaling: gradients are divided by the scale, and the scale follows from whether they are finite. */
#include "kernels/kernels.h"
#include "kernels/update.h"
#include <float.h>
#include <math.h>

struct rni_unscale_step {
    float *grads;
    float factor;
    double *nonfinite; /* how many a thread found */

    __device__ __forceinline__ bool aligned(int64_t i) const
    {
        return rni_update_aligned(grads + i);
    }

    template <int V> __device__ __forceinline__ void at(int64_t i) const
    {
        rni_vector<float, V> g = rni_load_vector<float, V>(grads + i);
        UNROLL
        for (int j = 0; j < V; j++) {
            g.v[j] *= factor;
            *nonfinite += fabsf(g.v[j]) <= FLT_MAX ? 0.0 : 1.0;
        }
        rni_store_vector<float, V>(grads + i, g);
    }
};

__global__ void __launch_bounds__(RNI_UPDATE_THREADS)
    rni_kernel_grad_unscale(const rni_update_part *parts, const rn_step_metrics *metrics, float *grads, double *partial)
{
    RN_SHARED(double, room, RNI_UPDATE_THREADS);
    const rni_update_part part = parts[blockIdx.x];
    double nonfinite = 0;
    const rni_unscale_step step = {grads, (float)(1.0 / metrics->loss_scale), &nonfinite};
    rni_update_each(step, (int64_t)part.offset, part.count);
    nonfinite = rni_update_sum(nonfinite, room);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = nonfinite;
}

/* One block. */
__global__ void __launch_bounds__(RNI_UPDATE_THREADS)
    rni_kernel_grad_nonfinite(const double *partial, int64_t count, rn_step_metrics *metrics)
{
    RN_SHARED(double, room, RNI_UPDATE_THREADS);
    double sum = 0;
    for (int64_t i = threadIdx.x; i < count; i += RNI_UPDATE_THREADS)
        sum += partial[i];
    sum = rni_update_sum(sum, room);
    if (threadIdx.x == 0 && sum > 0.0)
        metrics->step_nonfinite = 1;
}

/* torch.amp.GradScaler.update(). */
__global__ void rni_kernel_loss_scale(rn_loss_scale_params p, rn_step_metrics *metrics)
{
    if (threadIdx.x != 0)
        return;
    if (metrics->step_nonfinite) {
        metrics->loss_scale = fmax(metrics->loss_scale * p.backoff, p.least);
        metrics->good_steps = 0;
        metrics->skipped++;
        metrics->uncounted += p.host_counts;
    } else if (++metrics->good_steps >= p.interval) {
        metrics->loss_scale = fmin(metrics->loss_scale * p.growth, p.most);
        metrics->good_steps = 0;
    }
}

extern "C" cudaError_t rni_k_grad_unscale(cudaStream_t stream, const rni_update_part *parts, int64_t count,
                                          float *grads, double *partial, rn_step_metrics *metrics)
{
    const cudaError_t error = RN_LAUNCH(rni_kernel_grad_unscale, dim3((unsigned)count), dim3(RNI_UPDATE_THREADS),
                                        stream, parts, metrics, grads, partial);
    if (error != cudaSuccess)
        return error;
    return RN_LAUNCH(rni_kernel_grad_nonfinite, dim3(1), dim3(RNI_UPDATE_THREADS), stream, partial, count, metrics);
}

extern "C" cudaError_t rni_k_loss_scale(cudaStream_t stream, const rn_loss_scale_params *params,
                                        rn_step_metrics *metrics)
{
    return RN_LAUNCH(rni_kernel_loss_scale, dim3(1), dim3(32), stream, *params, metrics);
}
