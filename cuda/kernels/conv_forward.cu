/* SPDX-License-Identifier: MIT */
/* The direct convolution: a product of windows [pixels, taps x channels] and filters, windows gathered as they are read. */
#include "kernels/conv.h"

/* Rows of the tile: windows of x. */
template <class T, int V> struct rni_forward_windows {
    const T *x;
    const rni_conv_pixel *pixels;
    const rni_conv_shape *shape;
    int32_t terms, pitch; /* pitch: channels of all groups */
    rni_tap tap;
    bool some;

    __device__ __forceinline__ void term(int32_t k)
    {
        some = k < terms;
        tap = rni_tap_of(*shape, k, shape->in_channels);
    }

    __device__ __forceinline__ rni_vector<T, V> row(int r) const
    {
        const rni_conv_pixel p = pixels[r];
        const int32_t y = p.y + tap.y, x0 = p.x + tap.x;
        if (!some || (uint32_t)y >= (uint32_t)shape->in[0] || (uint32_t)x0 >= (uint32_t)shape->in[1])
            return {};
        return rni_load_vector<T, V>(x + (int64_t)(p.image + y * shape->in[1] + x0) * pitch + tap.channel);
    }
};

/* Columns of the tile: filters. */
template <class T, int V> struct rni_forward_filters {
    const T *w; /* of the tile's first */
    int32_t terms, count, at;

    __device__ __forceinline__ void term(int32_t k)
    {
        at = k;
    }

    __device__ __forceinline__ rni_vector<T, V> row(int r) const
    {
        return r < count && at < terms ? rni_load_vector<T, V>(w + (int64_t)r * terms + at) : rni_vector<T, V>{};
    }
};

template <class Tile>
__device__ __forceinline__ void rni_forward_pixels(const rni_conv_shape &s, int32_t first, int32_t all,
                                                   rni_conv_pixel *pixels)
{
    const int32_t i = (int32_t)threadIdx.x;
    if (i < Tile::rows && i < all - first)
        pixels[i] = rni_window_of(s, rni_spot_of(first + i, s.out));
    else if (i < Tile::rows)
        pixels[i] = {0, RNI_PIXEL_NOWHERE, 0, 0};
}

/* What is added to neighbouring channels of every pixel. */
template <int N>
__device__ __forceinline__ void rni_forward_shift(float (&shift)[N], const float *bias, int32_t count)
{
    UNROLL
    for (int j = 0; j < N; j++)
        shift[j] = bias && j < count ? bias[j] : 0.0f;
}

/* Neighbouring channels of one pixel: bias, residual, ReLU. */
template <class T, int N>
__device__ __forceinline__ void rni_forward_finish(const float (&sum)[N], const float (&shift)[N], const T *residual,
                                                   T *y, int32_t count, int32_t relu, bool whole)
{
    rni_vector<T, N> out = {};
    if (residual && whole)
        out = rni_load_vector<T, N>(residual);
    UNROLL
    for (int j = 0; j < N; j++) {
        if (residual && !whole && j < count)
            out.v[j] = residual[j];
        const float v = sum[j] + shift[j] + rni_load(out.v[j]);
        rni_store(out.v[j], relu ? rni_relu(v) : v);
        if (!whole && j < count)
            y[j] = out.v[j];
    }
    if (whole)
        rni_store_vector<T, N>(y, out);
}

/* whole: all of a thread's channels can be read and written at once. */
template <class T, int V, class Tile>
__global__ void __launch_bounds__(RNI_TILE_THREADS, 2)
    rni_kernel_conv_forward(rni_conv_shape s, const T *__restrict__ x, const T *__restrict__ w,
                            const float *__restrict__ bias, const T *residual, T *y, int32_t relu, int32_t whole)
{
    RN_SHARED(rni_quad, rows_, Tile::depth * Tile::row_pitch / 4);
    RN_SHARED(rni_quad, columns_, Tile::depth * Tile::column_pitch / 4);
    RN_SHARED(rni_conv_pixel, pixels, Tile::rows);
    float *const rows = rows_[0].v, *const columns = columns_[0].v;
    const rni_place place = rni_place_of<Tile>(s.groups, s.out_channels);
    const int32_t terms = s.in_channels * s.kernel[0] * s.kernel[1], all_outputs = s.groups * s.out_channels;
    const int32_t outputs = s.out_channels - place.column; /* from the tile's first on */
    const int32_t first_output = place.group * s.out_channels + place.column;

    rni_forward_windows<T, V> windows = {x + place.group * s.in_channels, pixels, &s, terms,
                                         s.groups * s.in_channels, {}, false};
    rni_forward_filters<T, V> filters = {w + (int64_t)first_output * terms, terms, outputs, 0};
    const int32_t left = s.images * s.out[0] * s.out[1] - place.row; /* pixels from the tile's first on */
    rni_forward_pixels<Tile>(s, place.row, place.row + left, pixels);

    const int32_t row = rni_tile_row<Tile>(), output = rni_tile_column<Tile>();
    const bool used = row < left && output < outputs;
    float sum[Tile::thread_rows][Tile::thread_columns] = {};
    for (int32_t k = 0; k < terms; k += Tile::depth) {
        __syncthreads();
        rni_tile_fill_by_terms<T, V, Tile::rows, Tile::row_pitch, Tile::depth>(rows, windows, k);
        rni_tile_fill_by_terms<T, V, Tile::columns, Tile::column_pitch, Tile::depth>(columns, filters, k);
        __syncthreads();
        if (used)
            rni_tile_multiply<Tile>(rows, columns, sum);
    }
    if (!used)
        return;
    float shift[Tile::thread_columns];
    rni_forward_shift(shift, bias ? bias + first_output + output : nullptr, outputs - output);
    UNROLL
    for (int i = 0; i < Tile::thread_rows; i++) {
        if (row + i >= left)
            return;
        const int64_t at = (int64_t)(place.row + row + i) * all_outputs + first_output + output;
        rni_forward_finish<T, Tile::thread_columns>(sum[i], shift, residual ? residual + at : nullptr, y + at,
                                                    outputs - output, relu, whole);
    }
}

template <class T, int V, class Tile>
static cudaError_t launch(cudaStream_t stream, const rni_conv_shape &s, const void *x, const void *w,
                          const float *bias, const void *residual, void *y, int32_t relu)
{
    const unsigned blocks = rni_conv_blocks<Tile>((int64_t)s.images * s.out[0] * s.out[1], s.groups, s.out_channels);
    const int32_t whole = s.out_channels % Tile::thread_columns == 0 && rni_aligned(y, residual);
    if (!blocks)
        return cudaErrorInvalidConfiguration;
    return RN_LAUNCH((rni_kernel_conv_forward<T, V, Tile>), dim3(blocks), dim3(RNI_TILE_THREADS), stream, s,
                     static_cast<const T *>(x), static_cast<const T *>(w), bias, static_cast<const T *>(residual),
                     static_cast<T *>(y), relu, whole);
}

template <class T>
static cudaError_t choose(cudaStream_t stream, const rni_conv_shape &s, const void *x, const void *w,
                          const float *bias, const void *residual, void *y, int32_t relu)
{
    constexpr int V = rni_lanes<T>();
    if (s.out_channels <= rni_narrow_tile::columns)
        return launch<T, 1, rni_narrow_tile>(stream, s, x, w, bias, residual, y, relu);
    if (s.in_channels % V == 0 && rni_aligned(x, w))
        return launch<T, V, rni_square_tile<V>>(stream, s, x, w, bias, residual, y, relu);
    return launch<T, 1, rni_square_tile<1>>(stream, s, x, w, bias, residual, y, relu);
}

extern "C" cudaError_t rni_k_conv_forward(cudaStream_t stream, int32_t dtype, const rni_conv_shape *shape,
                                          const void *x, const void *w, const float *bias, const void *residual,
                                          void *y, int32_t relu)
{
    return RNI_BY_TYPE(dtype, choose, stream, *shape, x, w, bias, residual, y, relu);
}
