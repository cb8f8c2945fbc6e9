/* SPDX-License-Identifier: MIT */
/*
 * Max pooling backward for windows of three columns, which overlap: a block takes a tile of dx. First it finds where each
 * window's maximum lies, once; then every pixel asks the windows that hold it. x is read about once, y not at all.
 */
#include "kernels/pool_window.h"

/* A tile's pixels, vectors of channels, and windows at most: with rows of a window at stride 1. */
enum { TILE_HEIGHT = 16, TILE_WIDTH = 16, TILE_PIXELS = TILE_HEIGHT * TILE_WIDTH, TILE_VECTORS = 16 };
enum { WINDOW_WIDTH = 3, WINDOW_MOST_ROWS = 5, PLACE_BITS = 4 };
enum { TILE_WINDOWS = (TILE_HEIGHT + WINDOW_MOST_ROWS - 1) * (TILE_WIDTH + WINDOW_WIDTH - 1) };

struct rni_pool_tile {
    int64_t image;
    int32_t y, x; /* its first pixel */
    rni_reach rows, columns; /* the windows that hold some of it */
};

/* Windows that hold some of `count` positions from `at` on; length: how many. */
__device__ __forceinline__ rni_reach rni_pool_covering_some(const rni_k_pool &p, int axis, int32_t at, int32_t count,
                                                            int32_t size, int32_t outputs)
{
    const int32_t last = min(at + count, size) - 1;
    const int32_t first = rni_pool_covering_axis(p, axis, at, outputs).first;
    const int32_t end = rni_pool_covering_axis(p, axis, last, outputs).end;
    return {first, end, end > first ? end - first : 0};
}

__device__ __forceinline__ rni_pool_tile rni_pool_tile_of(const rni_k_pool &p, uint32_t tile)
{
    const uint32_t across = ((uint32_t)p.width + TILE_WIDTH - 1) / TILE_WIDTH;
    const uint32_t down = ((uint32_t)p.height + TILE_HEIGHT - 1) / TILE_HEIGHT;
    const uint32_t row = tile / across, image = row / down;
    rni_pool_tile t;
    t.image = image;
    t.y = (int32_t)(row - image * down) * TILE_HEIGHT;
    t.x = (int32_t)(tile - row * across) * TILE_WIDTH;
    t.rows = rni_pool_covering_some(p, 0, t.y, TILE_HEIGHT, p.height, p.out_height);
    t.columns = rni_pool_covering_some(p, 1, t.x, TILE_WIDTH, p.width, p.out_width);
    return t;
}

/*
 * The place of a window's maximum, PLACE_BITS for each of V channels: the first one row by row, and NaN is larger than
 * anything. image: from the thread's column on.
 */
template <class T, int V>
__device__ __forceinline__ uint32_t rni_pool_maximum(const T *image, const rni_k_pool &p, int32_t oy, int32_t ox)
{
    const int32_t y = oy * p.stride[0] - p.padding[0], x = ox * p.stride[1] - p.padding[1];
    float best[V];
    uint32_t place[V];
    UNROLL
    for (int v = 0; v < V; v++) {
        best[v] = -INFINITY;
        place[v] = (uint32_t)((y < 0 ? -y : 0) * WINDOW_WIDTH + (x < 0 ? -x : 0)); /* where all are -inf */
    }
    ROLLED
    for (int32_t ky = 0; ky < p.kernel[0]; ky++) {
        if (y + ky < 0 || y + ky >= p.height)
            continue;
        const T *const row = image + ((int64_t)(y + ky) * p.width + x) * p.channels;
        rni_vector<T, V> in[WINDOW_WIDTH];
        UNROLL
        for (int kx = 0; kx < WINDOW_WIDTH; kx++)
            if (x + kx >= 0 && x + kx < p.width)
                in[kx] = rni_load_vector<T, V>(row + kx * p.channels);
        UNROLL
        for (int kx = 0; kx < WINDOW_WIDTH; kx++) {
            if (x + kx < 0 || x + kx >= p.width)
                continue;
            UNROLL
            for (int v = 0; v < V; v++) {
                const float value = rni_load(in[kx].v[v]);
                const bool take = !(value <= best[v]) && best[v] == best[v];
                best[v] = take ? value : best[v];
                place[v] = take ? (uint32_t)(ky * WINDOW_WIDTH + kx) : place[v];
            }
        }
    }
    uint32_t places = 0;
    UNROLL
    for (int v = 0; v < V; v++)
        places |= place[v] << PLACE_BITS * v;
    return places;
}

/* Windows of a tile that hold a row or column of it, counted from the tile's first. */
struct rni_pool_few {
    int16_t first, end;
};

/* The gradient of one pixel. dy: the tile's first window, from the thread's column on. */
template <class T, int V>
__device__ __forceinline__ rni_vector<T, V> rni_pool_gather(const uint32_t *places, const rni_pool_tile &t,
                                                            const rni_k_pool &p, const T *dy, rni_pool_few rows,
                                                            rni_pool_few columns, int32_t y, int32_t x)
{
    float sum[V];
    UNROLL
    for (int v = 0; v < V; v++)
        sum[v] = 0.0f;
    ROLLED
    for (int32_t oy = rows.first; oy < rows.end; oy++) {
        const int32_t ky = y + p.padding[0] - (t.rows.first + oy) * p.stride[0];
        ROLLED
        for (int32_t ox = columns.first; ox < columns.end; ox++) {
            const int32_t kx = x + p.padding[1] - (t.columns.first + ox) * p.stride[1];
            const uint32_t own = (uint32_t)(ky * WINDOW_WIDTH + kx);
            const uint32_t other = places[(oy * t.columns.length + ox) * blockDim.x + threadIdx.x] ^ own * 0x11111111u;
            const rni_vector<T, V> in = rni_load_vector<T, V>(dy + ((int64_t)oy * p.out_width + ox) * p.channels);
            UNROLL
            for (int v = 0; v < V; v++)
                sum[v] += (other >> PLACE_BITS * v & 15u) == 0 ? rni_load(in.v[v]) : 0.0f;
        }
    }
    rni_vector<T, V> out;
    UNROLL
    for (int v = 0; v < V; v++)
        rni_store(out.v[v], sum[v]);
    return out;
}

template <class T, int V>
__global__ void __launch_bounds__(RNI_THREADS)
    rni_kernel_maxpool_tiles(const T *dy, const T *x, T *dx, rni_k_pool p, uint32_t tiles)
{
    RN_SHARED(uint32_t, places, TILE_WINDOWS * TILE_VECTORS);
    RN_SHARED(rni_pool_few, few, TILE_HEIGHT + TILE_WIDTH);
    const int64_t column = rni_column<V>();
    const bool inside = column < p.channels;
    const int32_t thread = (int32_t)(threadIdx.y * blockDim.x + threadIdx.x);
    ROLLED
    for (uint32_t tile = blockIdx.y; tile < tiles; tile += gridDim.y) {
        const rni_pool_tile t = rni_pool_tile_of(p, tile);
        const T *const image = x + t.image * p.height * p.width * p.channels + column;
        if (thread < TILE_HEIGHT + TILE_WIDTH) {
            const bool is_row = thread < TILE_HEIGHT;
            const rni_reach r = is_row ? rni_pool_covering_axis(p, 0, t.y + thread, p.out_height)
                                       : rni_pool_covering_axis(p, 1, t.x + thread - TILE_HEIGHT, p.out_width);
            const int32_t from = is_row ? t.rows.first : t.columns.first;
            few[thread] = {(int16_t)(r.first - from), (int16_t)(r.end - from)};
        }
        const int32_t windows = t.rows.length * t.columns.length;
        ROLLED
        for (int32_t o = (int32_t)threadIdx.y; o < windows && inside; o += (int32_t)blockDim.y) {
            const int32_t row = o / t.columns.length;
            places[o * blockDim.x + threadIdx.x] =
                rni_pool_maximum<T, V>(image, p, t.rows.first + row, t.columns.first + o - row * t.columns.length);
        }
        __syncthreads();
        const int64_t first = (t.image * p.out_height + t.rows.first) * p.out_width + t.columns.first;
        ROLLED
        for (int32_t i = (int32_t)threadIdx.y; i < TILE_PIXELS && inside; i += (int32_t)blockDim.y) {
            const int32_t row = i / TILE_WIDTH, y = t.y + row, at = t.x + i % TILE_WIDTH;
            if (y >= p.height || at >= p.width)
                continue;
            const int64_t pixel = (t.image * p.height + y) * p.width + at;
            rni_store_vector(dx + pixel * p.channels + column,
                             rni_pool_gather<T, V>(places, t, p, dy + first * p.channels + column, few[row],
                                                   few[TILE_HEIGHT + i % TILE_WIDTH], y, at));
        }
        __syncthreads(); /* places and few are about to be those of another tile */
    }
}

int rni_maxpool_tiles_serve(const rni_k_pool *p)
{
    return !p->adaptive && p->kernel[1] == WINDOW_WIDTH && p->kernel[0] <= WINDOW_MOST_ROWS;
}

template <class T>
static cudaError_t backward(cudaStream_t stream, const void *dy, const void *x, void *dx, const rni_k_pool *p)
{
    constexpr int V = rni_lanes<T>();
    const rni_columns columns = rni_columns_of_at_most(p->channels, V, TILE_VECTORS);
    const int64_t in = (int64_t)p->height * p->width, out = (int64_t)p->out_height * p->out_width;
    const int64_t down = (p->height + TILE_HEIGHT - 1) / TILE_HEIGHT, across = (p->width + TILE_WIDTH - 1) / TILE_WIDTH;
    return rni_by_images(p->images, in, [&](int64_t first, int64_t images) {
        const int64_t tiles = images * down * across, at = first * in * p->channels, o = first * out * p->channels;
        const dim3 grid(columns.blocks, (uint32_t)(tiles < 65535 ? tiles : 65535));
        return RN_LAUNCH((rni_kernel_maxpool_tiles<T, V>), grid, columns.block, stream, static_cast<const T *>(dy) + o,
                         static_cast<const T *>(x) + at, static_cast<T *>(dx) + at, *p, (uint32_t)tiles);
    });
}

cudaError_t rni_k_maxpool_tiles(cudaStream_t stream, const void *dy, const void *x, void *dx, const rni_k_pool *p)
{
    return RNI_BY_TYPE(p->dtype, backward, stream, dy, x, dx, p);
}
