/* SPDX-License-Identifier: MIT */
/*
 * Batches of images that lie on the device as bytes: crops, mirroring, cutout and normalisation in one pass. Blocks share
 * an image; each makes its random words again. Every pixel is traced back through the steps to the one it comes from.
 */
#include "kernels/augment.h"
#include "kernels/philox.h"

enum { RNI_AUGMENT_THREADS = 128, RNI_AUGMENT_BLOCKS = 8 /* per processor, where there is work for them */ };
enum { RNI_AUGMENT_STREAM = 3 /* of Philox: base/rng.h */ };

/* What random words make of a step for one image. */
struct rni_augment_drawn {
    int32_t top, left, flips;
};

/* Where a pixel of the result comes from: `at` in its channel of the stored image, or zeros of `level`. */
struct rni_augment_origin {
    int32_t at, level, mean_at; /* level, mean_at: -1 for none */
};

/* The integer part of (2^32 a + b) count / 2^64; count is below 2^31. */
__device__ __forceinline__ int32_t rni_augment_below(uint32_t a, uint32_t b, int32_t count)
{
    const uint64_t low = (uint64_t)b * (uint32_t)count, high = (uint64_t)a * (uint32_t)count;
    return (int32_t)((high + (low >> 32)) >> 32);
}

__device__ __forceinline__ rni_augment_drawn rni_augment_draw(const rn_augment_step &step, const int64_t *key,
                                                              int64_t image)
{
    const rni_random_words w = rni_philox_words((uint64_t)key[0], RNI_AUGMENT_STREAM, (uint32_t)key[1],
                                                (uint64_t)step.lane << 32 | (uint32_t)image);
    return {step.top + rni_augment_below(w.word0, w.word1, step.down),
            step.left + rni_augment_below(w.word2, w.word3, step.across), (w.word0 >> 8) < step.threshold};
}

__device__ __forceinline__ bool rni_augment_inside(int32_t y, int32_t x, int32_t height, int32_t width)
{
    return (uint32_t)y < (uint32_t)height && (uint32_t)x < (uint32_t)width;
}

__device__ __forceinline__ rni_augment_origin rni_augment_trace(const rni_k_augment &a, const rni_augment_drawn *drawn,
                                                                int32_t y, int32_t x)
{
    rni_augment_origin o = {0, -1, -1};
    ROLLED
    for (int32_t i = a.num_steps - 1; i >= 0 && o.level < 0; i--) {
        const rn_augment_step &step = a.steps[i];
        const rni_augment_drawn d = drawn[i];
        if (step.kind == RN_AUGMENT_CROP) {
            y += d.top;
            x += d.left;
            if (!rni_augment_inside(y, x, step.in_height, step.in_width))
                o.level = step.level;
        } else if (step.kind == RN_AUGMENT_FLIP) {
            x = d.flips ? step.in_width - 1 - x : x;
        } else if (step.kind == RN_AUGMENT_CUT) {
            if (rni_augment_inside(y - d.top, x - d.left, step.height, step.width))
                o.level = step.level;
        } else {
            o.mean_at = y * a.mean_width + x;
        }
    }
    o.at = y * a.in_width + x;
    return o;
}

__device__ __forceinline__ float rni_augment_value(const rni_k_augment &a, const uint8_t *image,
                                                   const rni_augment_origin &o, int32_t c)
{
    float v =
        o.level >= 0 ? a.fill[o.level * a.channels + c] : a.table[c * 256 + image[c * a.in_height * a.in_width + o.at]];
    if (o.mean_at < 0)
        return v;
    v -= a.mean[c * a.mean_height * a.mean_width + o.mean_at];
    ROLLED
    for (int32_t i = 0; i < a.num_after; i++)
        v = (v - a.after[2 * i * a.channels + c]) / a.after[(2 * i + 1) * a.channels + c];
    return v;
}

/* A place in the result, in the order of memory. */
struct rni_augment_place {
    int32_t y, x, channel;
};

template <bool NHWC>
__device__ __forceinline__ rni_augment_place rni_augment_begin(const rni_k_augment &a, uint32_t element)
{
    const uint32_t pixels = (uint32_t)(a.out_height * a.out_width);
    const uint32_t channel = NHWC ? element % (uint32_t)a.channels : element / pixels;
    const uint32_t pixel = NHWC ? element / (uint32_t)a.channels : element - channel * pixels;
    const uint32_t y = pixel / (uint32_t)a.out_width;
    return {(int32_t)y, (int32_t)(pixel - y * (uint32_t)a.out_width), (int32_t)channel};
}

/* To the next element; true when that is another pixel. */
template <bool NHWC>
__device__ __forceinline__ bool rni_augment_next(const rni_k_augment &a, rni_augment_place &p)
{
    if (NHWC && ++p.channel < a.channels)
        return false;
    if (NHWC)
        p.channel = 0;
    if (++p.x < a.out_width)
        return true;
    p.x = 0;
    if (++p.y < a.out_height)
        return true;
    p.y = 0;
    if (!NHWC)
        p.channel++;
    return true;
}

/* blockIdx.x: the image, blockIdx.y: a part of it. */
template <class T, int V, bool NHWC>
__global__ void __launch_bounds__(RNI_AUGMENT_THREADS) rni_kernel_augment(rni_k_augment a, uint32_t vectors)
{
    using vector = rni_vector<T, V>;
    RN_SHARED(rni_augment_drawn, drawn, RNI_AUGMENT_STEPS);
    RN_SHARED(vector, made, RNI_AUGMENT_THREADS); /* a thread's own, so that its elements need no registers */
    const int64_t row = blockIdx.x, index = a.order[row];
    const int32_t numbers = a.channels * a.in_height * a.in_width;
    if ((int32_t)threadIdx.x < a.num_steps)
        drawn[threadIdx.x] = rni_augment_draw(a.steps[threadIdx.x], a.key, index);
    if (blockIdx.y == 0 && threadIdx.x == 0)
        a.y[row] = a.labels[index];
    __syncthreads();
    const uint8_t *const image = a.images + index * numbers;
    T *const to = static_cast<T *>(a.x) + row * ((int64_t)vectors * V);
    for (uint32_t i = blockIdx.y * RNI_AUGMENT_THREADS + threadIdx.x; i < vectors;
         i += gridDim.y * RNI_AUGMENT_THREADS) {
        rni_augment_place p = rni_augment_begin<NHWC>(a, i * V);
        rni_augment_origin o = rni_augment_trace(a, drawn, p.y, p.x);
        vector &v = made[threadIdx.x];
        ROLLED
        for (int k = 0; k < V; k++) {
            rni_store(v.v[k], rni_augment_value(a, image, o, p.channel));
            if (k + 1 < V && rni_augment_next<NHWC>(a, p))
                o = rni_augment_trace(a, drawn, p.y, p.x);
        }
        rni_store_vector(to + i * V, v);
    }
}

template <class T, int V, bool NHWC>
static cudaError_t augment(cudaStream_t stream, const rni_k_augment *a)
{
    const int64_t vectors = (int64_t)a->channels * a->out_height * a->out_width / V;
    const int64_t wanted = ((int64_t)RNI_AUGMENT_BLOCKS * a->processors + a->rows - 1) / a->rows;
    const int64_t most = (vectors + RNI_AUGMENT_THREADS - 1) / RNI_AUGMENT_THREADS;
    const int64_t parts = wanted < most ? wanted : most;
    return RN_LAUNCH((rni_kernel_augment<T, V, NHWC>),
                     dim3((unsigned)a->rows, (unsigned)(parts < 65535 ? parts : 65535)), dim3(RNI_AUGMENT_THREADS),
                     stream, *a, (uint32_t)vectors);
}

template <class T, int V>
static cudaError_t augment_layout(cudaStream_t stream, const rni_k_augment *a)
{
    return a->nhwc ? augment<T, V, true>(stream, a) : augment<T, V, false>(stream, a);
}

template <class T>
static cudaError_t augment_of(cudaStream_t stream, const rni_k_augment *a)
{
    const int64_t numbers = (int64_t)a->channels * a->out_height * a->out_width;
    return RNI_BY_WIDTH(T, rni_aligned(a->x) && numbers % rni_lanes<T>() == 0, augment_layout, stream, a);
}

extern "C" cudaError_t rni_k_augment_rows(cudaStream_t stream, const rni_k_augment *a)
{
    return a->rows ? RNI_BY_TYPE(a->dtype, augment_of, stream, a) : cudaSuccess;
}
