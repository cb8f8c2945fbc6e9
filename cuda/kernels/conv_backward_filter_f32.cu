/* SPDX-License-Identifier: MIT */
/*
 * The filter gradient in f32 for one group, as in conv_backward_filter.cu: dy^T [channels, pixels] x windows [pixels,
 * taps x channels], sums of every share of the pixels left side by side. Both operands lie in shared memory as [pixel][...],
 * in one of two buffers while the other is filled. Where a tile is too small for a block, groups of threads take the pixels
 * of a filling in turn, and add up at the end.
 */
#include "kernels/conv.h"
#include "kernels/block.h"

/* Outputs x terms. A thread has its outputs in quads, terms in quads and then, if any, single ones. */
template <int Rows, int Columns, int ThreadRows, int ThreadColumns, int Groups> struct rni_filter_block {
    static constexpr int rows = Rows, columns = Columns, depth = 16, groups = Groups;
    static constexpr int thread_rows = ThreadRows, thread_columns = ThreadColumns;
    static constexpr int down = Rows / ThreadRows, across = Columns / ThreadColumns;
    static constexpr int group_threads = down * across, threads = group_threads * Groups;
    static constexpr int quads = ThreadColumns / 4, singles = ThreadColumns % 4;
    static constexpr int row_pitch = Rows + 4, column_pitch = Columns + 4;
    static constexpr int row_floats = depth * row_pitch, buffer = row_floats + depth * column_pitch;
    static constexpr int part_pixels = 1, group_pixels = depth / Groups, parts = group_pixels / part_pixels;
    static constexpr int blocks = 512 / threads;
    static_assert(Rows * Columns <= 2 * buffer || Groups == 1, "sums of a group fit in the buffers");
};

/* `depth` pixels on, which are as many images, rows and pixels as step says. */
__device__ __forceinline__ void rni_filter_walk(const rni_conv_shape &s, const rni_spot &step, rni_spot &at)
{
    at.x += step.x;
    at.y += step.y + (at.x >= s.out[1] ? 1 : 0);
    at.x -= at.x >= s.out[1] ? s.out[1] : 0;
    at.image += step.image + (at.y >= s.out[0] ? 1 : 0);
    at.y -= at.y >= s.out[0] ? s.out[0] : 0;
}

/* Where a pixel's window begins in x; `at` may lie outside, and is in elements. */
struct alignas(16) rni_filter_window {
    int32_t at, y, x, unused;
};

__device__ __forceinline__ rni_filter_window rni_filter_window_of(const rni_conv_shape &s, const rni_spot &spot, bool some)
{
    rni_filter_window w;
    w.y = some ? spot.y * s.stride[0] - s.padding[0] : RNI_PIXEL_NOWHERE;
    w.x = spot.x * s.stride[1] - s.padding[1];
    w.at = some ? ((spot.image * s.in[0] + w.y) * s.in[1] + w.x) * s.in_channels : 0;
    w.unused = 0;
    return w;
}

/* What a thread loads: V terms of the windows, always the same, of pixels some apart; quads of dy. */
template <class Block, int V> struct rni_filter_source {
    static constexpr int vectors = Block::columns / V, together = Block::threads / vectors; /* pixels at once */
    static constexpr int column_vectors = (Block::depth + together - 1) / together;
    static constexpr int row_all = Block::depth * Block::rows / 4;
    static constexpr int row_vectors = (row_all + Block::threads - 1) / Block::threads;

    const rni_conv_shape &s;
    const float *x, *dy;
    int32_t pixels;      /* of the share, from the filling's first on */
    int32_t row;         /* the filling's first pixel of dy, in elements, from the tile's first channel on */
    int32_t rows;        /* channels from there on */
    rni_tap tap;         /* of the thread's terms */
    int32_t tap_at;      /* the same in elements */
    bool some;           /* the thread has terms */

    __device__ __forceinline__ void begin(int32_t first_term)
    {
        const int32_t term = first_term + (int)threadIdx.x % vectors * V;
        some = (int)threadIdx.x < together * vectors && term < s.in_channels * s.kernel[0] * s.kernel[1];
        tap = rni_tap_of(s, term, s.in_channels);
        tap_at = (tap.y * s.in[1] + tap.x) * s.in_channels + tap.channel;
    }

    __device__ __forceinline__ rni_vector<float, V> load_column(int i, const rni_filter_window *windows) const
    {
        const int k = (int)threadIdx.x / vectors + i * together;
        if (!some || k >= Block::depth)
            return {};
        const rni_filter_window w = windows[k];
        const int32_t y = w.y + tap.y, x0 = w.x + tap.x;
        if ((uint32_t)y >= (uint32_t)s.in[0] || (uint32_t)x0 >= (uint32_t)s.in[1])
            return {};
        return rni_load_vector<float, V>(x + (w.at + tap_at));
    }

    __device__ __forceinline__ void store_column(int i, const rni_vector<float, V> &v, float *columns) const
    {
        const int k = (int)threadIdx.x / vectors + i * together;
        if ((int)threadIdx.x < together * vectors && k < Block::depth)
            rni_store_vector<float, V>(columns + k * Block::column_pitch + (int)threadIdx.x % vectors * V, v);
    }

    __device__ __forceinline__ rni_float4 load_row(int i) const
    {
        const int v = (int)threadIdx.x + i * Block::threads, k = v / (Block::rows / 4), r = v % (Block::rows / 4) * 4;
        if (v >= row_all || k >= pixels || r >= rows)
            return {};
        return rni_load_vector<float, 4>(dy + (row + k * s.out_channels + r));
    }

    __device__ __forceinline__ void store_row(int i, const rni_float4 &value, float *to) const
    {
        const int v = (int)threadIdx.x + i * Block::threads, k = v / (Block::rows / 4), r = v % (Block::rows / 4) * 4;
        if (v < row_all)
            rni_store_vector<float, 4>(to + k * Block::row_pitch + r, value);
    }
};

/* Part `part` of a filling, on its way from memory to a buffer. */
template <class Block, int V> struct rni_filter_part {
    typedef rni_filter_source<Block, V> source_type;
    static constexpr int row_count = (source_type::row_vectors + Block::parts - 1) / Block::parts;
    static constexpr int column_count = (source_type::column_vectors + Block::parts - 1) / Block::parts;
    rni_float4 row[row_count];
    rni_vector<float, V> column[column_count];

    __device__ __forceinline__ void load(const source_type &source, int part, const rni_filter_window *windows)
    {
        UNROLL
        for (int i = 0; i < row_count; i++)
            if (part + i * Block::parts < source_type::row_vectors)
                row[i] = source.load_row(part + i * Block::parts);
        UNROLL
        for (int i = 0; i < column_count; i++)
            if (part + i * Block::parts < source_type::column_vectors)
                column[i] = source.load_column(part + i * Block::parts, windows);
    }

    __device__ __forceinline__ void store(const source_type &source, int part, float *buffer) const
    {
        UNROLL
        for (int i = 0; i < row_count; i++)
            if (part + i * Block::parts < source_type::row_vectors)
                source.store_row(part + i * Block::parts, row[i], buffer);
        UNROLL
        for (int i = 0; i < column_count; i++)
            if (part + i * Block::parts < source_type::column_vectors)
                source.store_column(part + i * Block::parts, column[i], buffer + Block::row_floats);
    }
};

/* A thread's place in its group's tile: quads of outputs, quads of terms, single terms. */
template <class Block> __device__ __forceinline__ int rni_filter_down()
{
    return (int)threadIdx.x % Block::group_threads / Block::across;
}

template <class Block> __device__ __forceinline__ int rni_filter_across()
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
            b[Block::quads].v[j] = columns[k * Block::column_pitch + (Block::quads * 4 + j) * Block::across +
                                           rni_filter_across<Block>()];
        UNROLL
        for (int i = 0; i < TR; i++)
            UNROLL for (int j = 0; j < TC; j++)
                sum[i][j] += a[i / 4].v[i % 4] * b[j / 4].v[j % 4];
    }
}

/* Output i and term j of a thread's sums, in the tile. */
template <class Block> __device__ __forceinline__ int rni_filter_row(int i)
{
    return (rni_filter_down<Block>() + i / 4 * Block::down) * 4 + i % 4;
}

template <class Block> __device__ __forceinline__ int rni_filter_column(int j)
{
    return j < Block::quads * 4 ? (rni_filter_across<Block>() + j / 4 * Block::across) * 4 + j % 4
                                : j * Block::across + rni_filter_across<Block>();
}

/* Adds the groups' sums to the first one's, in their order. */
template <class Block>
__device__ __forceinline__ void rni_filter_join(float *shared, float (&sum)[Block::thread_rows][Block::thread_columns])
{
    const int group = (int)threadIdx.x / Block::group_threads;
    float *const own = shared + (int)threadIdx.x % Block::group_threads;
    ROLLED
    for (int g = 1; g < Block::groups; g++) {
        UNROLL
        for (int n = 0; group == g && n < Block::thread_rows * Block::thread_columns; n++)
            own[n * Block::group_threads] = sum[n / Block::thread_columns][n % Block::thread_columns];
        __syncthreads();
        UNROLL
        for (int n = 0; group == 0 && n < Block::thread_rows * Block::thread_columns; n++)
            sum[n / Block::thread_columns][n % Block::thread_columns] += own[n * Block::group_threads];
        __syncthreads();
    }
}

/* The pixels of a filling, which the block's first threads keep in shared memory: one each, then how far the next are. */
template <int Depth> struct rni_filter_spots {
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
template <class Block, int V>
__device__ __forceinline__ void rni_filter_sum(rni_filter_source<Block, V> &source,
                                               rni_filter_spots<Block::depth> &spots, float *buffers,
                                               rni_filter_window *windows,
                                               float (&sum)[Block::thread_rows][Block::thread_columns])
{
    rni_filter_part<Block, V> part;
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

template <class Block, int V>
__global__ void __launch_bounds__(Block::threads, Block::blocks)
    rni_kernel_conv_filter(rni_conv_shape s, const float *x, const float *dy, int32_t pixels_per_share, float *sums)
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

    rni_filter_source<Block, V> source = {s,  x, dy, pixels, first_pixel * s.out_channels + first_row, rows, {}, 0,
                                          false};
    source.begin(first_term);
    spots[0].begin(s, first_pixel);
    float sum[Block::thread_rows][Block::thread_columns] = {};
    rni_filter_sum<Block, V>(source, spots[0], buffers[0].v, windows, sum);
    rni_filter_join<Block>(buffers[0].v, sum);
    if ((int)threadIdx.x >= Block::group_threads)
        return;
    float *const out = sums + ((int64_t)share * s.out_channels + first_row) * terms + first_term;
    UNROLL
    for (int i = 0; i < Block::thread_rows; i++)
        UNROLL for (int j = 0; j < Block::thread_columns; j++)
        {
            const int r = rni_filter_row<Block>(i), c = rni_filter_column<Block>(j);
            if (r < rows && c < (int32_t)terms - first_term)
                out[(int64_t)r * terms + c] = sum[i][j];
        }
}

template <class Block, int V>
static cudaError_t launch(cudaStream_t stream, const rni_conv_shape &s, const float *x, const float *dy, int32_t pixels,
                          float *sums)
{
    const int64_t shares = ((int64_t)s.images * s.out[0] * s.out[1] + pixels - 1) / pixels;
    const int64_t terms = (int64_t)s.in_channels * s.kernel[0] * s.kernel[1];
    const int64_t across = (terms + Block::columns - 1) / Block::columns;
    const int64_t down = (s.out_channels + Block::rows - 1) / Block::rows;
    if (shares > INT32_MAX / across / down)
        return cudaErrorInvalidConfiguration;
    return RN_LAUNCH((rni_kernel_conv_filter<Block, V>), dim3((unsigned)(across * down * shares)), dim3(Block::threads),
                     stream, s, x, dy, pixels, sums);
}

extern "C" cudaError_t rni_k_conv_backward_filter_f32(cudaStream_t stream, int32_t block, const rni_conv_shape *shape,
                                                      const float *x, const float *dy, int32_t pixels, float *sums)
{
    switch (block) {
    case 0:
        return launch<rni_filter_block<128, 128, 8, 8, 1>, 4>(stream, *shape, x, dy, pixels, sums);
    case 1:
        return launch<rni_filter_block<64, 64, 8, 8, 2>, 4>(stream, *shape, x, dy, pixels, sums);
    case 2:
        return launch<rni_filter_block<32, 144, 8, 9, 2>, 4>(stream, *shape, x, dy, pixels, sums);
    case 3:
        return launch<rni_filter_block<16, 144, 8, 9, 4>, 4>(stream, *shape, x, dy, pixels, sums);
    case 4:
        return launch<rni_filter_block<64, 64, 8, 8, 2>, 1>(stream, *shape, x, dy, pixels, sums);
    case 5:
        return launch<rni_filter_block<16, 32, 8, 4, 8>, 1>(stream, *shape, x, dy, pixels, sums);
    default:
        return cudaErrorInvalidValue;
    }
}
