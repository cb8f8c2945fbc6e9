/* SPDX-License-Identifier: MIT */
/* Max pooling over NHWC images. Padding is -inf; NaN wins. */
#include "kernels/pool_window.h"

template <class T, int V>
__global__ void __launch_bounds__(RNI_THREADS) rni_kernel_maxpool(const T *x, T *y, rni_k_pool p, uint32_t pixels)
{
    const int64_t column = rni_column<V>();
    if (column >= p.channels)
        return;
    for (uint32_t o = blockIdx.y * blockDim.y + threadIdx.y; o < pixels; o += gridDim.y * blockDim.y) {
        const rni_pixel at = rni_pixel_of(o, p.out_height, p.out_width);
        const rni_window w = rni_pool_window(p, at.y, at.x);
        const T *const image = x + (int64_t)at.image * p.height * p.width * p.channels + column;
        float best[V];
        UNROLL
        for (int v = 0; v < V; v++)
            best[v] = -INFINITY;
        ROLLED
        for (int32_t iy = w.y0; iy < w.y1; iy++) {
            const T *const row = image + (int64_t)iy * p.width * p.channels;
            ROLLED
            for (int32_t ix = w.x0; ix < w.x1; ix++) {
                const rni_vector<T, V> in = rni_load_vector<T, V>(row + ix * p.channels);
                UNROLL
                for (int v = 0; v < V; v++) {
                    const float value = rni_load(in.v[v]);
                    best[v] = value > best[v] || value != value ? value : best[v];
                }
            }
        }
        rni_vector<T, V> out;
        UNROLL
        for (int v = 0; v < V; v++)
            rni_store(out.v[v], best[v]);
        rni_store_vector(y + (int64_t)o * p.channels + column, out);
    }
}

/* A NaN maximum is equal to any NaN. */
__device__ __forceinline__ bool same(float value, float best)
{
    return value == best || (value != value && best != best);
}

/*
 * Which of the channels in `mask` have an earlier element in the window, row by row, that is the maximum too: that one gets
 * the gradient. x is the image.
 */
template <class T, int V>
__device__ __forceinline__ uint32_t found_before(const T *x, const rni_k_pool &p, const rni_window &w, int32_t y,
                                                 int32_t x_end, const rni_vector<T, V> &best, uint32_t mask)
{
    uint32_t before = 0;
    ROLLED
    for (int32_t iy = w.y0; iy <= y; iy++) {
        const T *const row = x + (int64_t)iy * p.width * p.channels;
        const int32_t end = iy == y ? x_end : w.x1;
        ROLLED
        for (int32_t ix = w.x0; ix < end; ix++) {
            const rni_vector<T, V> in = rni_load_vector<T, V>(row + ix * p.channels);
            UNROLL
            for (int v = 0; v < V; v++)
                before |= (uint32_t)same(rni_load(in.v[v]), rni_load(best.v[v])) << v;
        }
        if ((before & mask) == mask)
            break;
    }
    return before;
}

/* A pixel of dx gathers from the windows that hold it: nothing is added by two threads. */
template <class T, int V>
__global__ void __launch_bounds__(RNI_THREADS, 2)
    rni_kernel_maxpool_backward(const T *dy, const T *x, const T *y, T *dx, rni_k_pool p, uint32_t pixels)
{
    const int64_t column = rni_column<V>();
    if (column >= p.channels)
        return;
    for (uint32_t i = blockIdx.y * blockDim.y + threadIdx.y; i < pixels; i += gridDim.y * blockDim.y) {
        const rni_pixel at = rni_pixel_of(i, p.height, p.width);
        const rni_window outs = rni_pool_covering(p, at.y, at.x);
        const T *const image = x + (int64_t)at.image * p.height * p.width * p.channels + column;
        const rni_vector<T, V> own = rni_load_vector<T, V>(x + (int64_t)i * p.channels + column);
        float sum[V];
        UNROLL
        for (int v = 0; v < V; v++)
            sum[v] = 0.0f;
        ROLLED
        for (int32_t oy = outs.y0; oy < outs.y1; oy++) {
            ROLLED
            for (int32_t ox = outs.x0; ox < outs.x1; ox++) {
                const int64_t o = (((int64_t)at.image * p.out_height + oy) * p.out_width + ox) * p.channels + column;
                const rni_vector<T, V> best = rni_load_vector<T, V>(y + o);
                uint32_t mask = 0;
                UNROLL
                for (int v = 0; v < V; v++)
                    mask |= (uint32_t)same(rni_load(own.v[v]), rni_load(best.v[v])) << v;
                if (mask == 0)
                    continue;
                mask &= ~found_before<T, V>(image, p, rni_pool_window(p, oy, ox), at.y, at.x, best, mask);
                if (mask == 0)
                    continue;
                const rni_vector<T, V> in = rni_load_vector<T, V>(dy + o);
                UNROLL
                for (int v = 0; v < V; v++)
                    sum[v] += mask >> v & 1u ? rni_load(in.v[v]) : 0.0f;
            }
        }
        rni_vector<T, V> out;
        UNROLL
        for (int v = 0; v < V; v++)
            rni_store(out.v[v], sum[v]);
        rni_store_vector(dx + (int64_t)i * p.channels + column, out);
    }
}

template <class T, int V>
static cudaError_t forward(cudaStream_t stream, const void *x, void *y, const rni_k_pool *p)
{
    const rni_columns columns = rni_columns_of(p->channels, V);
    const int64_t in = (int64_t)p->height * p->width, out = (int64_t)p->out_height * p->out_width;
    return rni_by_images(p->images, out, [&](int64_t first, int64_t images) {
        return RN_LAUNCH((rni_kernel_maxpool<T, V>), rni_pixel_grid(columns, p->processors, images * out),
                         columns.block, stream, static_cast<const T *>(x) + first * in * p->channels,
                         static_cast<T *>(y) + first * out * p->channels, *p, (uint32_t)(images * out));
    });
}

template <class T>
static cudaError_t forward_of(cudaStream_t stream, const void *x, void *y, const rni_k_pool *p)
{
    return RNI_BY_WIDTH(T, p->channels % rni_lanes<T>() == 0 && rni_aligned(x, y), forward, stream, x, y, p);
}

cudaError_t rni_k_maxpool(cudaStream_t stream, const void *x, void *y, const rni_k_pool *p)
{
    return RNI_BY_TYPE(p->dtype, forward_of, stream, x, y, p);
}

template <class T, int V>
static cudaError_t backward(cudaStream_t stream, const void *dy, const void *x, const void *y, void *dx,
                            const rni_k_pool *p)
{
    const rni_columns columns = rni_columns_of(p->channels, V);
    const int64_t in = (int64_t)p->height * p->width, out = (int64_t)p->out_height * p->out_width;
    return rni_by_images(p->images, in, [&](int64_t first, int64_t images) {
        const int64_t at = first * in * p->channels, o = first * out * p->channels;
        return RN_LAUNCH((rni_kernel_maxpool_backward<T, V>), rni_pixel_grid(columns, p->processors, images * in),
                         columns.block, stream, static_cast<const T *>(dy) + o, static_cast<const T *>(x) + at,
                         static_cast<const T *>(y) + o, static_cast<T *>(dx) + at, *p, (uint32_t)(images * in));
    });
}

template <class T>
static cudaError_t backward_of(cudaStream_t stream, const void *dy, const void *x, const void *y, void *dx,
                               const rni_k_pool *p)
{
    const bool fits = p->channels % rni_lanes<T>() == 0 && rni_aligned(dy, x, y, dx);
    if (fits && rni_maxpool_tiles_serve(p))
        return rni_k_maxpool_tiles(stream, dy, x, dx, p);
    return RNI_BY_WIDTH(T, fits, backward, stream, dy, x, y, dx, p);
}

cudaError_t rni_k_maxpool_backward(cudaStream_t stream, const void *dy, const void *x, const void *y, void *dx,
                                   const rni_k_pool *p)
{
    return RNI_BY_TYPE(p->dtype, backward_of, stream, dy, x, y, dx, p);
}
