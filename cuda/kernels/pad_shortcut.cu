/* SPDX-License-Identifier: MIT */
/* The parameter-free shortcut of He et al. 2015 (option A): every stride-th pixel, zeroes in the added channels. */
#include "kernels/pool_window.h"

/* Moves elements of a size, whatever they mean. */
template <class T, int V>
__device__ __forceinline__ rni_vector<T, V> nothing()
{
    rni_vector<T, V> zero;
    UNROLL
    for (int v = 0; v < V; v++)
        zero.v[v] = 0;
    return zero;
}

template <class T, int V>
__global__ void __launch_bounds__(RNI_THREADS) rni_kernel_pad_shortcut(const T *x, T *y, rni_k_pad p, uint32_t pixels)
{
    const int64_t column = rni_column<V>(), source = column - p.before;
    if (column >= p.out_channels)
        return;
    const bool inside = source >= 0 && source < p.channels;
    for (uint32_t o = blockIdx.y * blockDim.y + threadIdx.y; o < pixels; o += gridDim.y * blockDim.y) {
        const rni_pixel at = rni_pixel_of(o, p.out_height, p.out_width);
        const int64_t in = ((int64_t)at.image * p.height + at.y * p.stride[0]) * p.width + at.x * p.stride[1];
        const rni_vector<T, V> out = inside ? rni_load_vector<T, V>(x + in * p.channels + source) : nothing<T, V>();
        rni_store_vector(y + (int64_t)o * p.out_channels + column, out);
    }
}

template <class T, int V>
__global__ void __launch_bounds__(RNI_THREADS)
    rni_kernel_pad_shortcut_backward(const T *dy, T *dx, rni_k_pad p, uint32_t pixels)
{
    const int64_t column = rni_column<V>();
    if (column >= p.channels)
        return;
    for (uint32_t i = blockIdx.y * blockDim.y + threadIdx.y; i < pixels; i += gridDim.y * blockDim.y) {
        const rni_pixel at = rni_pixel_of(i, p.height, p.width);
        const int32_t oy = at.y / p.stride[0], ox = at.x / p.stride[1];
        const bool taken = oy * p.stride[0] == at.y && ox * p.stride[1] == at.x;
        const int64_t o = ((int64_t)at.image * p.out_height + oy) * p.out_width + ox;
        const rni_vector<T, V> in =
            taken ? rni_load_vector<T, V>(dy + o * p.out_channels + p.before + column) : nothing<T, V>();
        rni_store_vector(dx + (int64_t)i * p.channels + column, in);
    }
}

template <class T, int V>
static cudaError_t pad(cudaStream_t stream, const void *from, void *to, const rni_k_pad *p, int backward)
{
    const rni_columns columns = rni_columns_of(backward ? p->channels : p->out_channels, V);
    const int64_t in = (int64_t)p->height * p->width, out = (int64_t)p->out_height * p->out_width;
    return rni_by_images(p->images, in, [&](int64_t first, int64_t images) {
        const int64_t at = first * in * p->channels, o = first * out * p->out_channels;
        if (backward)
            return RN_LAUNCH((rni_kernel_pad_shortcut_backward<T, V>),
                             rni_pixel_grid(columns, p->processors, images * in), columns.block, stream,
                             static_cast<const T *>(from) + o, static_cast<T *>(to) + at, *p, (uint32_t)(images * in));
        return RN_LAUNCH((rni_kernel_pad_shortcut<T, V>), rni_pixel_grid(columns, p->processors, images * out),
                         columns.block, stream, static_cast<const T *>(from) + at, static_cast<T *>(to) + o, *p,
                         (uint32_t)(images * out));
    });
}

template <class T>
static cudaError_t pad_of(cudaStream_t stream, const void *from, void *to, const rni_k_pad *p, int backward)
{
    const int lanes = rni_lanes<T>();
    const bool fits = p->channels % lanes == 0 && p->before % lanes == 0 && p->out_channels % lanes == 0;
    return RNI_BY_WIDTH(T, fits && rni_aligned(from, to), pad, stream, from, to, p, backward);
}

cudaError_t rni_k_pad_shortcut(cudaStream_t stream, const void *from, void *to, const rni_k_pad *p, int32_t backward)
{
    return p->dtype == RN_F32 ? pad_of<uint32_t>(stream, from, to, p, backward)
                              : pad_of<uint16_t>(stream, from, to, p, backward);
}
