/* SPDX-License-Identifier: MIT */
/*
 * The direct convolution's filter gradient: a product of dy^T [channels, pixels] and windows [pixels, taps x channels].
 * Pixels are shared out to blocks that leave sums of their own, so that the order of blocks does not matter.
 */
#include "kernels/conv.h"

/* Goes some output pixels on. */
__device__ __forceinline__ void rni_walk_on(const rni_conv_shape &s, rni_spot &at, int32_t pixels)
{
    at.x += pixels;
    if (at.x < s.out[1])
        return;
    const int32_t rows = at.x / s.out[1];
    at.x -= rows * s.out[1];
    at.y += rows;
    if (at.y < s.out[0])
        return;
    const int32_t images = at.y / s.out[0];
    at.y -= images * s.out[0];
    at.image += images;
}

/* Rows of the tile: channels of dy. */
template <class T, int V> struct rni_filter_outputs {
    const T *dy; /* of the block's first pixel and the tile's first channel */
    int32_t pixels, count, pitch;

    __device__ __forceinline__ rni_vector<T, V> get(int32_t k, int row) const
    {
        if (k >= pixels || row >= count)
            return {};
        return rni_load_vector<T, V>(dy + (int64_t)k * pitch + row);
    }
};

/* Columns of the tile: what the taps see; a thread's is always the same. */
template <class T, int V> struct rni_filter_windows {
    const T *x;
    const rni_conv_pixel *window; /* of the tile's terms */
    const rni_conv_shape *shape;
    int32_t pixels, first, pitch;
    rni_tap tap;
    bool some;

    __device__ __forceinline__ rni_vector<T, V> get(int32_t k, int) const
    {
        if (!some || k >= pixels)
            return {};
        const rni_conv_pixel p = window[k - first];
        const int32_t y = p.y + tap.y, x0 = p.x + tap.x;
        if ((uint32_t)y >= (uint32_t)shape->in[0] || (uint32_t)x0 >= (uint32_t)shape->in[1])
            return {};
        return rni_load_vector<T, V>(x + (int64_t)(p.image + y * shape->in[1] + x0) * pitch + tap.channel);
    }
};

/* The block's place: columns, then rows, then groups, then its share of the pixels. */
struct rni_filter_place {
    int32_t column, row, group, share;
};

template <class Tile> __device__ __forceinline__ rni_filter_place rni_filter_place_of(const rni_conv_shape &s)
{
    const uint32_t terms = (uint32_t)(s.in_channels * s.kernel[0] * s.kernel[1]);
    const uint32_t across = (terms + Tile::columns - 1) / Tile::columns;
    const uint32_t down = ((uint32_t)s.out_channels + Tile::rows - 1) / Tile::rows;
    const uint32_t tile = blockIdx.x / across, group = tile / down, share = group / (uint32_t)s.groups;
    rni_filter_place p;
    p.column = (int32_t)(blockIdx.x - tile * across) * Tile::columns;
    p.row = (int32_t)(tile - group * down) * Tile::rows;
    p.group = (int32_t)(group - share * (uint32_t)s.groups);
    p.share = (int32_t)share;
    return p;
}

template <class T, int V, class Tile>
__global__ void __launch_bounds__(RNI_TILE_THREADS, 2)
    rni_kernel_conv_backward_filter(rni_conv_shape s, const T *__restrict__ x, const T *__restrict__ dy,
                                    int32_t pixels_per_share, float *__restrict__ sums)
{
    RN_SHARED(rni_quad, rows_, Tile::depth * Tile::row_pitch / 4);
    RN_SHARED(rni_quad, columns_, Tile::depth * Tile::column_pitch / 4);
    RN_SHARED(rni_conv_pixel, window, Tile::depth);
    float *const rows = rows_[0].v, *const columns = columns_[0].v;
    const rni_filter_place place = rni_filter_place_of<Tile>(s);
    const int32_t terms = s.in_channels * s.kernel[0] * s.kernel[1], all_outputs = s.groups * s.out_channels;
    const int32_t first_pixel = place.share * pixels_per_share;
    const int32_t pixels = min(s.images * s.out[0] * s.out[1] - first_pixel, pixels_per_share);
    const int32_t first_output = place.group * s.out_channels + place.row, outputs = s.out_channels - place.row;

    const int32_t column = place.column + (int)threadIdx.x % (Tile::columns / V) * V;
    const rni_filter_outputs<T, V> dys = {dy + (int64_t)first_pixel * all_outputs + first_output, pixels, outputs, all_outputs};
    rni_filter_windows<T, V> xs = {x + place.group * s.in_channels, window, &s, pixels, 0, s.groups * s.in_channels,
                                   rni_tap_of(s, column, s.in_channels), column < terms};
    rni_spot walk = rni_spot_of(first_pixel + (int32_t)(threadIdx.x % Tile::depth), s.out);

    const int32_t row = rni_tile_row<Tile>(), made = place.column + rni_tile_column<Tile>();
    const bool used = row < outputs && made < terms;
    float sum[Tile::thread_rows][Tile::thread_columns] = {};
    for (int32_t k = 0; k < pixels; k += Tile::depth) {
        if (threadIdx.x < Tile::depth) {
            window[threadIdx.x] = rni_window_of(s, walk);
            rni_walk_on(s, walk, Tile::depth);
        }
        __syncthreads();
        xs.first = k;
        rni_tile_fill_by_rows<T, V, Tile::rows, Tile::row_pitch, Tile::depth>(rows, dys, k);
        rni_tile_fill_by_rows<T, V, Tile::columns, Tile::column_pitch, Tile::depth>(columns, xs, k);
        __syncthreads();
        if (used)
            rni_tile_multiply<Tile>(rows, columns, sum);
    }
    float *const out = sums + ((int64_t)place.share * all_outputs + first_output) * terms;
    UNROLL
    for (int i = 0; i < Tile::thread_rows; i++)
        UNROLL for (int j = 0; j < Tile::thread_columns; j++)
            if (row + i < outputs && made + j < terms)
                out[(int64_t)(row + i) * terms + made + j] = sum[i][j];
}

template <class T, int V, class Tile>
static cudaError_t launch(cudaStream_t stream, const rni_conv_shape &s, const void *x, const void *dy, int32_t pixels,
                          float *sums)
{
    const int64_t shares = ((int64_t)s.images * s.out[0] * s.out[1] + pixels - 1) / pixels;
    const int64_t terms = (int64_t)s.in_channels * s.kernel[0] * s.kernel[1];
    const int64_t across = (terms + Tile::columns - 1) / Tile::columns;
    const int64_t down = (s.out_channels + Tile::rows - 1) / Tile::rows;
    if (shares > INT32_MAX / across / down / s.groups)
        return cudaErrorInvalidConfiguration;
    return RN_LAUNCH((rni_kernel_conv_backward_filter<T, V, Tile>), dim3((unsigned)(across * down * s.groups * shares)),
                     dim3(RNI_TILE_THREADS), stream, s, static_cast<const T *>(x), static_cast<const T *>(dy), pixels,
                     sums);
}

template <class T>
static cudaError_t choose(cudaStream_t stream, const rni_conv_shape &s, const void *x, const void *dy, int32_t pixels,
                          float *sums)
{
    constexpr int V = rni_lanes<T>();
    if (s.in_channels % V == 0 && s.out_channels % V == 0 && rni_aligned(x, dy))
        return launch<T, V, rni_square_tile<V>>(stream, s, x, dy, pixels, sums);
    return launch<T, 1, rni_square_tile<1>>(stream, s, x, dy, pixels, sums);
}

extern "C" cudaError_t rni_k_conv_backward_filter(cudaStream_t stream, int32_t dtype, const rni_conv_shape *shape,
                                                  const void *x, const void *dy, int32_t pixels, float *sums)
{
    return RNI_BY_TYPE(dtype, choose, stream, *shape, x, dy, pixels, sums);
}
