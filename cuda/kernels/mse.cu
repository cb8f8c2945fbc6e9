/* SPDX-License-Identifier: MIT */
/* Mean squared error. The target is in plain layout whatever the prediction's is. */
#include "kernels/loss.h"

static const int64_t most_blocks = RNI_K_MSE_BYTES / sizeof(rni_loss_part);

/* Memory of x in order: [image][pixel][channel]. In plain layout everything is one image of one channel. */
template <class T>
__global__ void __launch_bounds__(RNI_THREADS)
    rni_kernel_mse(const T *x, const T *target, T *dx, int64_t images, int64_t channels, int64_t pixels,
                   const rni_cuda_scalars *scalars, const rn_step_metrics *scaled, double divisor, rni_loss_part *parts)
{
    RN_SHARED(rni_loss_part, shared, RNI_THREADS);
    const int64_t each = channels * pixels, step = (int64_t)gridDim.x * RNI_THREADS;
    const double factor = dx ? rni_gradient_factor(scalars, scaled) / divisor : 0.0;
    rni_loss_part own = {0.0, 0};
    for (int64_t image = blockIdx.y; image < images; image += gridDim.y) {
        ROLLED
        for (int64_t e = (int64_t)blockIdx.x * RNI_THREADS + threadIdx.x; e < each; e += step) {
            int64_t other = e;
            if (channels > 1) /* an image has fewer than 2^32 elements: the driver looks */
                other = (int64_t)((uint32_t)e % (uint32_t)channels) * pixels + (uint32_t)e / (uint32_t)channels;
            const int64_t at = image * each + e;
            const double d = (double)rni_load(x[at]) - (double)rni_load(target[image * each + other]);
            own.loss += d * d;
            if (dx)
                rni_store(dx[at], (float)(2.0 * d * factor));
        }
    }
    const rni_loss_part all = rni_sum_parts(own, shared);
    if (threadIdx.x == 0)
        parts[blockIdx.y * gridDim.x + blockIdx.x] = all;
}

template <class T>
static cudaError_t mse(cudaStream_t stream, const rni_k_squares *s)
{
    const bool flat = s->channels == 1 || s->pixels == 1; /* the orders are one */
    const int64_t all = s->images * s->channels * s->pixels, images = flat ? 1 : s->images;
    const int64_t channels = flat ? 1 : s->channels, pixels = flat ? all : s->pixels;
    const int64_t wanted = (channels * pixels + RNI_THREADS - 1) / RNI_THREADS;
    const int64_t width = wanted < most_blocks ? wanted : most_blocks, room = most_blocks / width;
    const dim3 grid((uint32_t)width, (uint32_t)(images < room ? images : room));
    rni_loss_part *const parts = static_cast<rni_loss_part *>(s->workspace);
    const cudaError_t error =
        RN_LAUNCH((rni_kernel_mse<T>), grid, dim3(RNI_THREADS), stream, static_cast<const T *>(s->x),
                  static_cast<const T *>(s->target), static_cast<T *>(s->dx), images, channels, pixels, s->scalars,
                  s->scaled ? s->metrics : nullptr, (double)all, parts);
    if (error != cudaSuccess)
        return error;
    return rni_loss_finish(stream, parts, (int64_t)grid.x * grid.y, nullptr, (double)all, s->images, s->metrics);
}

cudaError_t rni_k_mse(cudaStream_t stream, const rni_k_squares *s)
{
    return RNI_BY_TYPE(s->dtype, mse, stream, s);
}
