/* SPDX-License-Identifier: MIT */
/*
 * Gradient norm and clipping, SGD and Adam over parts of the flat buffers, one block each, and averages of weights.
 * Coefficients are made in double, elements in f32, as the CPU's vector kernels do.
 */
#include "kernels/kernels.h"
#include "kernels/update.h"

/* Without updates that were skipped after the host had counted them. */
__device__ __forceinline__ int64_t rni_update_number(const rni_cuda_scalars *scalars, const rn_step_metrics *metrics)
{
    return scalars->optimizer_step - metrics->uncounted;
}

/* base to a whole power. */
__device__ __forceinline__ double rni_update_power(double base, int64_t exponent)
{
    double result = 1;
    for (; exponent > 0; exponent /= 2, base *= base)
        if (exponent % 2)
            result *= base;
    return result;
}

struct rni_squares_step {
    const float *grads;
    double *sum;

    __device__ __forceinline__ bool aligned(int64_t i) const
    {
        return rni_update_aligned(grads + i);
    }

    /* Squares are exact in double. */
    template <int V> __device__ __forceinline__ void at(int64_t i) const
    {
        const rni_vector<float, V> g = rni_load_vector<float, V>(grads + i);
        UNROLL
        for (int j = 0; j < V; j++)
            *sum += (double)g.v[j] * (double)g.v[j];
    }
};

__global__ void __launch_bounds__(RNI_UPDATE_THREADS)
    rni_kernel_grad_squares(const rni_update_part *parts, const float *grads, double *partial)
{
    RN_SHARED(double, room, RNI_UPDATE_THREADS);
    const rni_update_part part = parts[blockIdx.x];
    double sum = 0;
    const rni_squares_step step = {grads, &sum};
    rni_update_each(step, (int64_t)part.offset, part.count);
    sum = rni_update_sum(sum, room);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = sum;
}

/* One block. */
__global__ void __launch_bounds__(RNI_UPDATE_THREADS)
    rni_kernel_grad_norm(const double *partial, int64_t count, rn_step_metrics *metrics)
{
    RN_SHARED(double, room, RNI_UPDATE_THREADS);
    double sum = 0;
    for (int64_t i = threadIdx.x; i < count; i += RNI_UPDATE_THREADS)
        sum += partial[i];
    sum = rni_update_sum(sum, room);
    if (threadIdx.x == 0)
        metrics->grad_norm = sqrt(sum);
}

struct rni_clip_step {
    float *grads;
    float factor;

    __device__ __forceinline__ bool aligned(int64_t first) const
    {
        return rni_update_aligned(grads + first);
    }

    template <int V> __device__ __forceinline__ void at(int64_t i) const
    {
        rni_vector<float, V> g = rni_load_vector<float, V>(grads + i);
        UNROLL
        for (int j = 0; j < V; j++)
            g.v[j] *= factor;
        rni_store_vector<float, V>(grads + i, g);
    }
};

/* torch.nn.utils.clip_grad_norm_. */
__global__ void __launch_bounds__(RNI_UPDATE_THREADS)
    rni_kernel_grad_clip(const rni_update_part *parts, double clip_norm, const rn_step_metrics *metrics, float *grads)
{
    const double factor = clip_norm / (metrics->grad_norm + 1e-6);
    const rni_update_part part = parts[blockIdx.x];
    if (factor >= 1)
        return;
    const rni_clip_step step = {grads, (float)factor};
    rni_update_each(step, (int64_t)part.offset, part.count);
}

struct rni_sgd_coefficients {
    float momentum, keep; /* keep: 1 - dampening */
    int32_t nesterov;
};

struct rni_sgd_step {
    const float *grads;
    float *params, *momentum; /* momentum: NULL for none */
    float rate, decay;
    rni_sgd_coefficients k;
    bool first; /* the momentum buffer has nothing yet */

    __device__ __forceinline__ bool aligned(int64_t i) const
    {
        return rni_update_aligned(grads + i) && rni_update_aligned(params + i) &&
               (!momentum || rni_update_aligned(momentum + i));
    }

    template <int V> __device__ __forceinline__ void at(int64_t i) const
    {
        rni_vector<float, V> d = rni_load_vector<float, V>(grads + i), w = rni_load_vector<float, V>(params + i);
        rni_vector<float, V> b = {};
        if (momentum && !first)
            b = rni_load_vector<float, V>(momentum + i);
        UNROLL
        for (int j = 0; j < V; j++) {
            d.v[j] += decay * w.v[j];
            b.v[j] = first ? d.v[j] : k.momentum * b.v[j] + k.keep * d.v[j];
            if (momentum)
                d.v[j] = k.nesterov ? d.v[j] + k.momentum * b.v[j] : b.v[j];
            w.v[j] -= rate * d.v[j];
        }
        if (momentum)
            rni_store_vector<float, V>(momentum + i, b);
        rni_store_vector<float, V>(params + i, w);
    }
};

__global__ void __launch_bounds__(RNI_UPDATE_THREADS)
    rni_kernel_sgd(const rni_update_part *parts, rni_sgd_coefficients k, const rni_cuda_scalars *scalars,
                   const rn_step_metrics *metrics, const float *grads, float *params, float *momentum)
{
    if (metrics->step_nonfinite)
        return;
    const rni_update_part part = parts[blockIdx.x];
    const rni_sgd_step step = {grads, params, momentum, (float)scalars->lr[part.group], (float)part.weight_decay, k,
                               rni_update_number(scalars, metrics) <= 1};
    rni_update_each(step, (int64_t)part.offset, part.count);
}

struct rni_adam_coefficients {
    double beta1, beta2;
    float eps;
    int32_t decoupled;
    int64_t stride; /* elements from m to v */
};

struct rni_adam_step {
    const float *grads;
    float *params, *m, *v;
    float beta1, rest1, beta2, rest2, eps;
    float rate, root; /* lr over the first moment's correction, one over the root of the second's */
    float shrink, decay;

    __device__ __forceinline__ bool aligned(int64_t i) const
    {
        return rni_update_aligned(grads + i) && rni_update_aligned(params + i) && rni_update_aligned(m + i) &&
               rni_update_aligned(v + i);
    }

    template <int V> __device__ __forceinline__ void at(int64_t i) const
    {
        const rni_vector<float, V> g = rni_load_vector<float, V>(grads + i);
        rni_vector<float, V> w = rni_load_vector<float, V>(params + i), mean = rni_load_vector<float, V>(m + i);
        rni_vector<float, V> square = rni_load_vector<float, V>(v + i);
        UNROLL
        for (int j = 0; j < V; j++) {
            const float d = g.v[j] + decay * w.v[j];
            mean.v[j] = beta1 * mean.v[j] + rest1 * d;
            square.v[j] = beta2 * square.v[j] + rest2 * d * d;
            w.v[j] = shrink * w.v[j] - rate * (mean.v[j] / (sqrtf(square.v[j]) * root + eps));
        }
        rni_store_vector<float, V>(m + i, mean);
        rni_store_vector<float, V>(v + i, square);
        rni_store_vector<float, V>(params + i, w);
    }
};

__global__ void __launch_bounds__(RNI_UPDATE_THREADS)
    rni_kernel_adam(const rni_update_part *parts, rni_adam_coefficients k, const rni_cuda_scalars *scalars,
                    const rn_step_metrics *metrics, const float *grads, float *params, float *moments)
{
    RN_SHARED(float, common, 2);
    if (metrics->step_nonfinite)
        return;
    const rni_update_part part = parts[blockIdx.x];
    const double lr = scalars->lr[part.group];
    if (threadIdx.x == 0) {
        const int64_t number = rni_update_number(scalars, metrics);
        common[0] = (float)(lr / (1 - rni_update_power(k.beta1, number)));
        common[1] = (float)(1 / sqrt(1 - rni_update_power(k.beta2, number)));
    }
    __syncthreads();
    const rni_adam_step step = {grads,
                                params,
                                moments,
                                moments + k.stride,
                                (float)k.beta1,
                                (float)(1 - k.beta1),
                                (float)k.beta2,
                                (float)(1 - k.beta2),
                                k.eps,
                                common[0],
                                common[1],
                                k.decoupled ? (float)(1 - lr * part.weight_decay) : 1.0f,
                                k.decoupled ? 0.0f : (float)part.weight_decay};
    rni_update_each(step, (int64_t)part.offset, part.count);
}

struct rni_lerp_step {
    const float *b;
    float *a;
    float weight; /* of b - a, added to a, or to b when `far` */
    bool far;

    __device__ __forceinline__ bool aligned(int64_t i) const
    {
        return rni_update_aligned(b + i) && rni_update_aligned(a + i);
    }

    /* As torch.lerp: from the nearer end. At an end nothing is added: the difference of infinities would be NaN. */
    template <int V> __device__ __forceinline__ void at(int64_t i) const
    {
        const rni_vector<float, V> to = rni_load_vector<float, V>(b + i);
        rni_vector<float, V> from = rni_load_vector<float, V>(a + i);
        UNROLL
        for (int j = 0; j < V; j++) {
            const float nearer = far ? to.v[j] : from.v[j];
            from.v[j] = weight == 0 ? nearer : nearer + weight * (to.v[j] - from.v[j]);
        }
        rni_store_vector<float, V>(a + i, from);
    }
};

__global__ void __launch_bounds__(RNI_UPDATE_THREADS)
    rni_kernel_lerp(const rni_cuda_scalars *scalars, const float *b, float *a, int64_t count)
{
    const double weight = scalars->lr[0];
    const bool far = weight >= 0.5;
    const int64_t first = (int64_t)blockIdx.x * RNI_UPDATE_ELEMENTS, left = count - first;
    const rni_lerp_step step = {b, a, (float)(far ? weight - 1 : weight), far};
    rni_update_each(step, first, left < RNI_UPDATE_ELEMENTS ? (uint32_t)left : (uint32_t)RNI_UPDATE_ELEMENTS);
}

extern "C" cudaError_t rni_k_grad_norm(cudaStream_t stream, const rni_update_part *parts, int64_t count,
                                       const float *grads, double *partial, rn_step_metrics *metrics)
{
    cudaError_t error = cudaSuccess;
    if (count > 0)
        error = RN_LAUNCH(rni_kernel_grad_squares, dim3((unsigned)count), dim3(RNI_UPDATE_THREADS), stream, parts,
                          grads, partial);
    if (error != cudaSuccess)
        return error;
    return RN_LAUNCH(rni_kernel_grad_norm, dim3(1), dim3(RNI_UPDATE_THREADS), stream, partial, count, metrics);
}

extern "C" cudaError_t rni_k_grad_clip(cudaStream_t stream, const rni_update_part *parts, int64_t count,
                                       double clip_norm, const rn_step_metrics *metrics, float *grads)
{
    return RN_LAUNCH(rni_kernel_grad_clip, dim3((unsigned)count), dim3(RNI_UPDATE_THREADS), stream, parts, clip_norm,
                     metrics, grads);
}

extern "C" cudaError_t rni_k_sgd(cudaStream_t stream, const rni_update_part *parts, int64_t count,
                                 const rn_sgd_params *sgd, const rni_cuda_scalars *scalars,
                                 const rn_step_metrics *metrics, const float *grads, float *params, float *momentum)
{
    const rni_sgd_coefficients k = {(float)sgd->momentum, (float)(1 - sgd->dampening), sgd->nesterov};
    return RN_LAUNCH(rni_kernel_sgd, dim3((unsigned)count), dim3(RNI_UPDATE_THREADS), stream, parts, k, scalars,
                     metrics, grads, params, momentum);
}

extern "C" cudaError_t rni_k_adam(cudaStream_t stream, const rni_update_part *parts, int64_t count,
                                  const rn_adam_params *adam, const rni_cuda_scalars *scalars,
                                  const rn_step_metrics *metrics, const float *grads, float *params, float *moments)
{
    const rni_adam_coefficients k = {adam->beta1, adam->beta2, (float)adam->eps, adam->decoupled,
                                     (int64_t)adam->state_stride};
    return RN_LAUNCH(rni_kernel_adam, dim3((unsigned)count), dim3(RNI_UPDATE_THREADS), stream, parts, k, scalars,
                     metrics, grads, params, moments);
}

extern "C" cudaError_t rni_k_lerp(cudaStream_t stream, const rni_cuda_scalars *scalars, const float *b, float *a,
                                  int64_t count)
{
    const int64_t blocks = (count + RNI_UPDATE_ELEMENTS - 1) / RNI_UPDATE_ELEMENTS;
    return RN_LAUNCH(rni_kernel_lerp, dim3((unsigned)blocks), dim3(RNI_UPDATE_THREADS), stream, scalars, b, a, count);
}
