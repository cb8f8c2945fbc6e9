/* SPDX-License-Identifier: MIT */
/*
 * The filter gradient with sums in f32 for one group, as in conv_backward_filter.cu: dy^T [channels, pixels] x windows [pixels,
 * taps x channels], sums of every share of the pixels left side by side. Both operands lie in shared memory as [pixel][...],
 * in one of two buffers while the other is filled. Where a tile is too small for a block, groups of threads take the pixels
 * of a filling in turn, and add up at the end. Operands of 16 bits become f32 on their way into shared memory.
 */
#include "kernels/conv_filter.h"

/* A thread's place in its group's tile: quads of outputs, quads of terms, single terms. */
template <class Block>
__device__ __forceinline__ int rni_filter_down()
{
    return (int)threadIdx.x % Block::group_threads / Block::across;
}

template <class Block>
__device__ __forceinline__ int rni_filter_across()
{
    return (int)threadIdx.x % Block::across;
}

template <class Block>
__device__ __forceinline__ void rni_filter_multiply(const float *buffer, int part,
                                                    float (&sum)[Block::thread_rows][Block::thread_columns])
{
    constexpr int TR = Block::thread_rows, TC = Block::thread_columns;
    const int first = (int)threadIdx.x / Block::group_threads * Block::group_pixels + part * Block::part_pixels;
    const float *const rows = buffer + first * Block::row_pitch + rni_filter_down<Block>() * 4;
    const float *const columns = buffer + Block::row_floats + first * Block::column_pitch;
    __syncwarp(); /* no operands of later pixels before, or there would not be registers enough */
    UNROLL
    for (int k = 0; k < Block::part_pixels; k++) {
        rni_float4 a[TR / 4], b[Block::quads + 1];
        UNROLL
        for (int q = 0; q < TR / 4; q++)
            a[q] = rni_load_vector<float, 4>(rows + k * Block::row_pitch + q * Block::down * 4);
        UNROLL
        for (int q = 0; q < Block::quads; q++)
            b[q] = rni_load_vector<float, 4>(columns + k * Block::column_pitch +
                                             (rni_filter_across<Block>() + q * Block::across) * 4);
        UNROLL
        for (int j = 0; j < Block::singles; j++)
            b[Block::quads].v[j] =
                columns[k * Block::column_pitch + (Block::quads * 4 + j) * Block::across + rni_filter_across<Block>()];
        UNROLL
        for (int i = 0; i < TR; i++)
            UNROLL
        for (int j = 0; j < TC; j++)
            sum[i][j] += a[i / 4].v[i % 4] * b[j / 4].v[j % 4];
    }
}

/* Output i and term j of a thread's sums, in the tile. */
template <class Block>
__device__ __forceinline__ int rni_filter_row(int i)
{
    return (rni_filter_down<Block>() + i / 4 * Block::down) * 4 + i % 4;
}

template <class Block>
__device__ __forceinline__ int rni_filter_column(int j)
{
    return j < Block::quads * 4 ? (rni_filter_across<Block>() + j / 4 * Block::across) * 4 + j % 4
                                : j * Block::across + rni_filter_across<Block>();
}

/* The pixels of a filling, which the block's first threads keep in shared memory: one each, then how far the next are. */
template <int Depth>
struct rni_filter_spots {
    rni_spot at[Depth], step;

    __device__ __forceinline__ void begin(const rni_conv_shape &s, int32_t first_pixel)
    {
        if (threadIdx.x < Depth)
            at[threadIdx.x] = rni_spot_of(first_pixel + (int32_t)threadIdx.x, s.out);
        if (threadIdx.x == 0)
            step = rni_spot_of(Depth, s.out);
        __syncthreads();
    }

    /* The windows of a filling with so many pixels left. */
    __device__ __forceinline__ void next(const rni_conv_shape &s, int32_t left, rni_filter_window *windows)
    {
        if (threadIdx.x >= Depth)
            return;
        rni_spot spot = at[threadIdx.x];
        windows[threadIdx.x] = rni_filter_window_of(s, spot, (int32_t)threadIdx.x < left);
        rni_filter_walk(s, step, spot);
        at[threadIdx.x] = spot;
    }
};

/* The sums of a share. */
template <class T, class Block, int V>
__device__ __forceinline__ void rni_filter_sum(rni_filter_source<T, Block, V> &source,
                                               rni_filter_spots<Block::depth> &spots, float *buffers,
                                               rni_filter_window *windows,
                                               float (&sum)[Block::thread_rows][Block::thread_columns])
{
    rni_filter_part<T, Block, V> part = {};
    int32_t now = 0;
    spots.next(source.s, source.pixels, windows);
    spots.next(source.s, source.pixels - Block::depth, windows + Block::depth);
    __syncthreads();
    UNROLL
    for (int p = 0; p < Block::parts; p++) {
        part.load(source, p, windows);
        part.store(source, p, buffers);
    }
    __syncthreads();
    ROLLED
    while (source.pixels > 0) {
        const int32_t other = 1 - now;
        source.pixels -= Block::depth;
        source.row += Block::depth * source.s.out_channels;
        spots.next(source.s, source.pixels - Block::depth, windows + now * Block::depth); /* after the next filling */
        UNROLL
        for (int p = 0; p < Block::parts; p++) {
            if (source.pixels > 0)
                part.load(source, p, windows + other * Block::depth);
            rni_filter_multiply<Block>(buffers + now * Block::buffer, p, sum);
            if (source.pixels > 0)
                part.store(source, p, buffers + other * Block::buffer);
        }
        now = other;
        __syncthreads();
    }
}

template <class T, class Block, int V>
__global__ void __launch_bounds__(Block::threads, Block::blocks)
    rni_kernel_conv_filter(rni_conv_shape s, const T *x, const T *dy, int32_t pixels_per_share, float *sums)
{
    RN_SHARED(rni_float4, buffers, 2 * Block::buffer / 4);
    RN_SHARED(rni_filter_window, windows, 2 * Block::depth);
    RN_SHARED(rni_filter_spots<Block::depth>, spots, 1);
    const uint32_t terms = (uint32_t)(s.in_channels * s.kernel[0] * s.kernel[1]);
    const uint32_t across = (terms + Block::columns - 1) / Block::columns;
    const uint32_t down = ((uint32_t)s.out_channels + Block::rows - 1) / Block::rows;
    const uint32_t tile = blockIdx.x / across, share = tile / down;
    const int32_t first_term = (int32_t)(blockIdx.x - tile * across) * Block::columns;
    const int32_t first_row = (int32_t)(tile - share * down) * Block::rows, rows = s.out_channels - first_row;
    const int32_t first_pixel = (int32_t)share * pixels_per_share;
    const int32_t pixels = min(s.images * s.out[0] * s.out[1] - first_pixel, pixels_per_share);

    rni_filter_source<T, Block, V> source = {s,    x,  dy, pixels, first_pixel * s.out_channels + first_row,
                                             rows, {}, 0,  false};
    source.begin(first_term);
    spots[0].begin(s, first_pixel);
    float sum[Block::thread_rows][Block::thread_columns] = {};
    rni_filter_sum<T, Block, V>(source, spots[0], buffers[0].v, windows, sum);
    rni_block_join<Block>(buffers[0].v, sum);
    if ((int)threadIdx.x >= Block::group_threads)
        return;
    float *const out = sums + ((int64_t)share * s.out_channels + first_row) * terms + first_term;
    UNROLL
    for (int i = 0; i < Block::thread_rows; i++)
        UNROLL
    for (int j = 0; j < Block::thread_columns; j++) {
        const int r = rni_filter_row<Block>(i), c = rni_filter_column<Block>(j);
        if (r < rows && c < (int32_t)terms - first_term)
            out[(int64_t)r * terms + c] = sum[i][j];
    }
}

template <class T, class Block, int V>
static cudaError_t launch(cudaStream_t stream, const rni_conv_shape &s, const void *x, const void *dy, int32_t pixels,
                          float *sums)
{
    const int64_t shares = ((int64_t)s.images * s.out[0] * s.out[1] + pixels - 1) / pixels;
    const int64_t terms = (int64_t)s.in_channels * s.kernel[0] * s.kernel[1];
    const int64_t across = (terms + Block::columns - 1) / Block::columns;
    const int64_t down = (s.out_channels + Block::rows - 1) / Block::rows;
    if (shares > INT32_MAX / across / down)
        return cudaErrorInvalidConfiguration;
    return RN_LAUNCH((rni_kernel_conv_filter<T, Block, V>), dim3((unsigned)(across * down * shares)),
                     dim3(Block::threads), stream, s, static_cast<const T *>(x), static_cast<const T *>(dy), pixels,
                     sums);
}

/* Tiles of operands of 16 bits: for layers of few channels, where no tensor core helps. */
template <class T>
static cudaError_t choose(cudaStream_t stream, int32_t block, const rni_conv_shape &s, const void *x, const void *dy,
                          int32_t pixels, float *sums)
{
    constexpr int V = rni_lanes<T>();
    switch (block) {
    case 1:
        return launch<T, rni_filter_block<64, 64, 8, 8, 2>, V>(stream, s, x, dy, pixels, sums);
    case 3:
        return launch<T, rni_filter_block<16, 144, 8, 9, 4>, V>(stream, s, x, dy, pixels, sums);
    case 5:
        return launch<T, rni_filter_block<16, 32, 8, 4, 8>, 1>(stream, s, x, dy, pixels, sums);
    default:
        return cudaErrorInvalidValue;
    }
}

template <>
cudaError_t choose<float>(cudaStream_t stream, int32_t block, const rni_conv_shape &s, const void *x, const void *dy,
                          int32_t pixels, float *sums)
{
    switch (block) {
    case 0:
        return launch<float, rni_filter_block<128, 128, 8, 8, 1>, 4>(stream, s, x, dy, pixels, sums);
    case 1:
        return launch<float, rni_filter_block<64, 64, 8, 8, 2>, 4>(stream, s, x, dy, pixels, sums);
    case 2:
        return launch<float, rni_filter_block<32, 144, 8, 9, 2>, 4>(stream, s, x, dy, pixels, sums);
    case 3:
        return launch<float, rni_filter_block<16, 144, 8, 9, 4>, 4>(stream, s, x, dy, pixels, sums);
    case 4:
        return launch<float, rni_filter_block<64, 64, 8, 8, 2>, 1>(stream, s, x, dy, pixels, sums);
    case 5:
        return launch<float, rni_filter_block<16, 32, 8, 4, 8>, 1>(stream, s, x, dy, pixels, sums);
    default:
        return cudaErrorInvalidValue;
    }
}

extern "C" cudaError_t rni_k_conv_filter(cudaStream_t stream, int32_t dtype, int32_t block, const rni_conv_shape *shape,
                                         const void *x, const void *dy, int32_t pixels, float *sums)
{
    return RNI_BY_TYPE(dtype, choose, stream, block, *shape, x, dy, pixels, sums);
}
