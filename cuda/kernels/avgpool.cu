/* SPDX-License-Identifier: MIT */
/* Average pooling over NHWC images. Sums are taken row by row, which keeps them short. */
#include "kernels/pool_window.h"

template <class T, int V>
__device__ __forceinline__ void add_vector(float (&sum)[V], const T *from)
{
    const rni_vector<T, V> in = rni_load_vector<T, V>(from);
    UNROLL
    for (int v = 0; v < V; v++)
        sum[v] += rni_load(in.v[v]);
}

template <class T, int V>
__device__ __forceinline__ void store_product(T *to, const float (&sum)[V], float factor)
{
    rni_vector<T, V> out;
    UNROLL
    for (int v = 0; v < V; v++)
        rni_store(out.v[v], sum[v] * factor);
    rni_store_vector(to, out);
}

template <class T, int V>
__global__ void __launch_bounds__(RNI_THREADS) rni_kernel_avgpool(const T *x, T *y, rni_k_pool p, uint32_t pixels)
{
    const int64_t column = rni_column<V>();
    if (column >= p.channels)
        return;
    for (uint32_t o = blockIdx.y * blockDim.y + threadIdx.y; o < pixels; o += gridDim.y * blockDim.y) {
        const rni_pixel at = rni_pixel_of(o, p.out_height, p.out_width);
        const rni_window w = rni_pool_window(p, at.y, at.x);
        const T *const image = x + (int64_t)at.image * p.height * p.width * p.channels + column;
        float sum[1][V];
        rni_zero(sum);
        ROLLED
        for (int32_t iy = w.y0; iy < w.y1; iy++) {
            const T *const row = image + (int64_t)iy * p.width * p.channels;
            float part[1][V];
            rni_zero(part);
            ROLLED
            for (int32_t ix = w.x0; ix < w.x1; ix++)
                add_vector<T, V>(part[0], row + ix * p.channels);
            UNROLL
            for (int v = 0; v < V; v++)
                sum[0][v] += part[0][v];
        }
        store_product<T, V>(y + (int64_t)o * p.channels + column, sum[0], 1.0f / (float)w.count);
    }
}

template <class T, int V>
__global__ void __launch_bounds__(RNI_THREADS)
    rni_kernel_avgpool_backward(const T *dy, T *dx, rni_k_pool p, uint32_t pixels)
{
    const int64_t column = rni_column<V>();
    if (column >= p.channels)
        return;
    for (uint32_t i = blockIdx.y * blockDim.y + threadIdx.y; i < pixels; i += gridDim.y * blockDim.y) {
        const rni_pixel at = rni_pixel_of(i, p.height, p.width);
        const rni_window outs = rni_pool_covering(p, at.y, at.x);
        const T *const image = dy + (int64_t)at.image * p.out_height * p.out_width * p.channels + column;
        float sum[1][V];
        rni_zero(sum);
        ROLLED
        for (int32_t oy = outs.y0; oy < outs.y1; oy++) {
            ROLLED
            for (int32_t ox = outs.x0; ox < outs.x1; ox++) {
                const float factor = 1.0f / (float)rni_pool_window(p, oy, ox).count;
                const rni_vector<T, V> in =
                    rni_load_vector<T, V>(image + ((int64_t)oy * p.out_width + ox) * p.channels);
                UNROLL
                for (int v = 0; v < V; v++)
                    sum[0][v] = fmaf(rni_load(in.v[v]), factor, sum[0][v]);
            }
        }
        store_product<T, V>(dx + (int64_t)i * p.channels + column, sum[0], 1.0f);
    }
}

/* Whole images: the threads of a column share the pixels of one. */
template <class T, int V>
__global__ void __launch_bounds__(RNI_THREADS)
    rni_kernel_global_avgpool(const T *x, T *y, int64_t images, int32_t pixels, int64_t channels)
{
    RN_SHARED(float, shared, (rni_sum_shared<V, 1>));
    const int64_t column = rni_column<V>();
    const float factor = 1.0f / (float)pixels;
    for (int64_t image = blockIdx.y; image < images; image += gridDim.y) {
        float sum[1][V];
        rni_zero(sum);
        if (column < channels)
            for (int32_t i = (int32_t)threadIdx.y; i < pixels; i += (int32_t)blockDim.y)
                add_vector<T, V>(sum[0], x + (image * pixels + i) * channels + column);
        __syncthreads(); /* the last image's sums have been read */
        rni_sum_threads<V, 1>(sum, shared);
        if (column < channels && threadIdx.y == 0)
            store_product<T, V>(y + image * channels + column, sum[0], factor);
    }
}

template <class T, int V>
__global__ void __launch_bounds__(RNI_THREADS)
    rni_kernel_global_avgpool_backward(const T *dy, T *dx, int64_t images, int32_t pixels, int64_t channels)
{
    const int64_t column = rni_column<V>();
    const float factor = 1.0f / (float)pixels;
    if (column >= channels)
        return;
    for (int64_t image = blockIdx.y; image < images; image += gridDim.y) {
        const rni_vector<T, V> in = rni_load_vector<T, V>(dy + image * channels + column);
        rni_vector<T, V> out;
        UNROLL
        for (int v = 0; v < V; v++)
            rni_store(out.v[v], rni_load(in.v[v]) * factor);
        for (int32_t i = (int32_t)threadIdx.y; i < pixels; i += (int32_t)blockDim.y)
            rni_store_vector(dx + (image * pixels + i) * channels + column, out);
    }
}

static dim3 image_grid(const rni_columns &columns, int64_t images)
{
    return dim3(columns.blocks, (uint32_t)(images < 65535 ? images : 65535));
}

template <class T, int V>
static cudaError_t forward(cudaStream_t stream, const void *x, void *y, const rni_k_pool *p)
{
    const rni_columns columns = rni_columns_of(p->channels, V);
    const int64_t in = (int64_t)p->height * p->width, out = (int64_t)p->out_height * p->out_width;
    if (p->global)
        return RN_LAUNCH((rni_kernel_global_avgpool<T, V>), image_grid(columns, p->images), columns.block, stream,
                         static_cast<const T *>(x), static_cast<T *>(y), p->images, (int32_t)in, p->channels);
    return rni_by_images(p->images, out, [&](int64_t first, int64_t images) {
        return RN_LAUNCH((rni_kernel_avgpool<T, V>), rni_pixel_grid(columns, p->processors, images * out),
                         columns.block, stream, static_cast<const T *>(x) + first * in * p->channels,
                         static_cast<T *>(y) + first * out * p->channels, *p, (uint32_t)(images * out));
    });
}

template <class T>
static cudaError_t forward_of(cudaStream_t stream, const void *x, void *y, const rni_k_pool *p)
{
    return RNI_BY_WIDTH(T, p->channels % rni_lanes<T>() == 0 && rni_aligned(x, y), forward, stream, x, y, p);
}

cudaError_t rni_k_avgpool(cudaStream_t stream, const void *x, void *y, const rni_k_pool *p)
{
    return RNI_BY_TYPE(p->dtype, forward_of, stream, x, y, p);
}

template <class T, int V>
static cudaError_t backward(cudaStream_t stream, const void *dy, void *dx, const rni_k_pool *p)
{
    const rni_columns columns = rni_columns_of(p->channels, V);
    const int64_t in = (int64_t)p->height * p->width, out = (int64_t)p->out_height * p->out_width;
    if (p->global)
        return RN_LAUNCH((rni_kernel_global_avgpool_backward<T, V>), image_grid(columns, p->images), columns.block,
                         stream, static_cast<const T *>(dy), static_cast<T *>(dx), p->images, (int32_t)in, p->channels);
    return rni_by_images(p->images, in, [&](int64_t first, int64_t images) {
        return RN_LAUNCH((rni_kernel_avgpool_backward<T, V>), rni_pixel_grid(columns, p->processors, images * in),
                         columns.block, stream, static_cast<const T *>(dy) + first * out * p->channels,
                         static_cast<T *>(dx) + first * in * p->channels, *p, (uint32_t)(images * in));
    });
}

template <class T>
static cudaError_t backward_of(cudaStream_t stream, const void *dy, void *dx, const rni_k_pool *p)
{
    return RNI_BY_WIDTH(T, p->channels % rni_lanes<T>() == 0 && rni_aligned(dy, dx), backward, stream, dy, dx, p);
}

cudaError_t rni_k_avgpool_backward(cudaStream_t stream, const void *dy, void *dx, const rni_k_pool *p)
{
    return RNI_BY_TYPE(p->dtype, backward_of, stream, dy, dx, p);
}
