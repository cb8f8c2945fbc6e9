/* SPDX-License-Identifier: MIT */
/* The direct convolution's input gradient: each input pixel gathers from the outputs whose windows it was in. */
#include "kernels/conv.h"

/* Rows of the tile: of dy, what the taps lead to. */
template <class T, int V> struct rni_backward_windows {
    const T *dy;
    const rni_conv_pixel *pixels;
    const rni_conv_shape *shape;
    int32_t terms, pitch; /* pitch: channels of all groups */
    rni_tap tap;
    bool some;

    __device__ __forceinline__ void term(int32_t k)
    {
        some = k < terms;
        tap = rni_tap_of(*shape, k, shape->out_channels);
    }

    /* The output whose window begins at `at`; -1: none does. */
    __device__ __forceinline__ int32_t output(int32_t at, int axis) const
    {
        const int32_t stride = shape->stride[axis], o = stride == 1 ? at : at / stride;
        return at >= 0 && o < shape->out[axis] && o * stride == at ? o : -1;
    }

    __device__ __forceinline__ rni_vector<T, V> row(int r) const
    {
        const rni_conv_pixel p = pixels[r];
        const int32_t y = output(p.y - tap.y, 0), x = output(p.x - tap.x, 1);
        if (!some || y < 0 || x < 0)
            return {};
        return rni_load_vector<T, V>(dy + (int64_t)(p.image + y * shape->out[1] + x) * pitch + tap.channel);
    }
};

/* Columns of the tile: input channels, which are neighbours in the filters. */
template <class T, int V> struct rni_backward_filters {
    const T *w; /* of the group's first output, from the tile's first channel on */
    const rni_conv_shape *shape;
    int32_t terms, count;

    __device__ __forceinline__ rni_vector<T, V> get(int32_t k, int column) const
    {
        if (k >= terms || column >= count)
            return {};
        const int32_t taps = shape->kernel[0] * shape->kernel[1], tap = k / shape->out_channels;
        const int32_t output = k - tap * shape->out_channels;
        return rni_load_vector<T, V>(w + ((int64_t)output * taps + tap) * shape->in_channels + column);
    }
};

template <class Tile>
__device__ __forceinline__ void rni_backward_pixels(const rni_conv_shape &s, int32_t first, int32_t all,
                                                    rni_conv_pixel *pixels)
{
    const int32_t i = (int32_t)threadIdx.x;
    rni_conv_pixel p = {0, RNI_PIXEL_NOWHERE, 0, 0};
    if (i >= Tile::rows)
        return;
    if (i < all - first) {
        const rni_spot at = rni_spot_of(first + i, s.in);
        p.image = at.image * s.out[0] * s.out[1];
        p.y = at.y + s.padding[0];
        p.x = at.x + s.padding[1];
    }
    pixels[i] = p;
}

/* Neighbouring channels of one pixel. */
template <class T, int N>
__device__ __forceinline__ void rni_backward_finish(const float (&sum)[N], T *dx, int32_t count, int32_t accumulate,
                                                    bool whole)
{
    rni_vector<T, N> out = {};
    if (accumulate && whole)
        out = rni_load_vector<T, N>(dx);
    UNROLL
    for (int j = 0; j < N; j++) {
        if (j >= count)
            break;
        rni_store(out.v[j], accumulate ? sum[j] + rni_load(whole ? out.v[j] : dx[j]) : sum[j]);
        if (!whole)
            dx[j] = out.v[j];
    }
    if (whole)
        rni_store_vector<T, N>(dx, out);
}

/* whole: all of a thread's channels can be read and written at once. */
template <class T, int V, class Tile>
__global__ void __launch_bounds__(RNI_TILE_THREADS, 2)
    rni_kernel_conv_backward_data(rni_conv_shape s, const T *__restrict__ dy, const T *__restrict__ w, T *dx,
                                  int32_t accumulate, int32_t whole)
{
    RN_SHARED(rni_quad, rows_, Tile::depth * Tile::row_pitch / 4);
    RN_SHARED(rni_quad, columns_, Tile::depth * Tile::column_pitch / 4);
    RN_SHARED(rni_conv_pixel, pixels, Tile::rows);
    float *const rows = rows_[0].v, *const columns = columns_[0].v;
    const rni_place place = rni_place_of<Tile>(s.groups, s.in_channels);
    const int32_t taps = s.kernel[0] * s.kernel[1], terms = s.out_channels * taps;
    const int32_t channels = s.in_channels - place.column; /* from the tile's first on */

    rni_backward_windows<T, V> windows = {dy + place.group * s.out_channels, pixels, &s, terms,
                                          s.groups * s.out_channels, {}, false};
    rni_backward_filters<T, V> filters = {w + (int64_t)place.group * terms * s.in_channels + place.column, &s, terms,
                                          channels};
    const int32_t left = s.images * s.in[0] * s.in[1] - place.row; /* pixels from the tile's first on */
    rni_backward_pixels<Tile>(s, place.row, place.row + left, pixels);

    const int32_t row = rni_tile_row<Tile>(), channel = rni_tile_column<Tile>();
    const bool used = row < left && channel < channels;
    float sum[Tile::thread_rows][Tile::thread_columns] = {};
    for (int32_t k = 0; k < terms; k += Tile::depth) {
        __syncthreads();
        rni_tile_fill_by_terms<T, V, Tile::rows, Tile::row_pitch, Tile::depth>(rows, windows, k);
        rni_tile_fill_by_rows<T, V, Tile::columns, Tile::column_pitch, Tile::depth>(columns, filters, k);
        __syncthreads();
        if (used)
            rni_tile_multiply<Tile>(rows, columns, sum);
    }
    if (!used)
        return;
    const int32_t all_channels = s.groups * s.in_channels, first_channel = place.group * s.in_channels + place.column;
    UNROLL
    for (int i = 0; i < Tile::thread_rows; i++) {
        if (row + i >= left)
            return;
        const int64_t at = (int64_t)(place.row + row + i) * all_channels + first_channel + channel;
        rni_backward_finish<T, Tile::thread_columns>(sum[i], dx + at, channels - channel, accumulate,
                                                     whole);
    }
}

template <class T, int V, class Tile>
static cudaError_t launch(cudaStream_t stream, const rni_conv_shape &s, const void *dy, const void *w, void *dx,
                          int32_t accumulate)
{
    const unsigned blocks = rni_conv_blocks<Tile>((int64_t)s.images * s.in[0] * s.in[1], s.groups, s.in_channels);
    const int32_t whole = s.in_channels % Tile::thread_columns == 0 && rni_aligned(dx);
    if (!blocks)
        return cudaErrorInvalidConfiguration;
    return RN_LAUNCH((rni_kernel_conv_backward_data<T, V, Tile>), dim3(blocks), dim3(RNI_TILE_THREADS), stream, s,
                     static_cast<const T *>(dy), static_cast<const T *>(w), static_cast<T *>(dx), accumulate, whole);
}

template <class T>
static cudaError_t choose(cudaStream_t stream, const rni_conv_shape &s, const void *dy, const void *w, void *dx,
                          int32_t accumulate)
{
    constexpr int V = rni_lanes<T>();
    if (s.in_channels <= rni_narrow_tile::columns)
        return launch<T, 1, rni_narrow_tile>(stream, s, dy, w, dx, accumulate);
    if (s.in_channels % V == 0 && s.out_channels % V == 0 && rni_aligned(dy, w))
        return launch<T, V, rni_square_tile<V>>(stream, s, dy, w, dx, accumulate);
    return launch<T, 1, rni_square_tile<1>>(stream, s, dy, w, dx, accumulate);
}

extern "C" cudaError_t rni_k_conv_backward_data(cudaStream_t stream, int32_t dtype, const rni_conv_shape *shape,
                                                const void *dy, const void *w, void *dx, int32_t accumulate)
{
    return RNI_BY_TYPE(dtype, choose, stream, *shape, dy, w, dx, accumulate);
}
