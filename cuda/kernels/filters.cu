/* SPDX-License-Identifier: MIT */
/* Many filters in one launch: packed, or their gradients added. A block takes a share of one list entry. */
#include "kernels/kernels.h"
#include "kernels/vector.h"

enum { FILTERS_THREADS = 256 };
typedef rni_vector<float, 4> rni_filters_four;

/* What a block takes: whole filters one after the other, or some channels of one. */
struct rni_filters_share {
    int64_t plain; /* its first element there; as many as `count` are neighbours */
    int64_t packed; /* the first element of its first tap */
    uint32_t count, channels; /* channels: of a tap */
    int32_t filter; /* the first */
};

/* The entry that has a block. `found`: shared, one element. */
__device__ __forceinline__ uint32_t rni_filters_entry(const rni_filters_part *parts, uint32_t count, uint32_t block,
                                                      uint32_t *found)
{
    for (uint32_t i = threadIdx.x; i < count; i += FILTERS_THREADS)
        if (parts[i].first_block <= block && block < parts[i + 1].first_block)
            found[0] = i;
    __syncthreads();
    return found[0];
}

__device__ __forceinline__ rni_filters_share rni_filters_share_of(const rni_filters_part &part, uint32_t block)
{
    const uint32_t b = block - part.first_block;
    const uint32_t across = ((uint32_t)part.channels + part.block_channels - 1) / part.block_channels;
    const uint32_t row = b / across, channel = (b - row * across) * part.block_channels;
    const uint32_t filter = row * part.block_filters, filters = min((int)part.block_filters, (int)(part.filters - filter));
    const int64_t plain = (int64_t)filter * part.channels;
    rni_filters_share s;
    s.channels = min((int)part.block_channels, (int)(part.channels - channel));
    s.count = filters * s.channels * part.taps;
    s.plain = (plain + channel) * part.taps;
    s.packed = plain * part.taps + channel;
    s.filter = (int32_t)filter;
    return s;
}

/*
 * each(element, place) for every group of `N` neighbours of a share's packed form: where it is there, and where its first
 * element is among the plain ones, of which the others are `taps` apart; and the filter it is of.
 */
template <int N, class Each>
__device__ __forceinline__ void rni_filters_walk(const rni_filters_share &s, const rni_filters_part &part,
                                                 const Each &each)
{
    const uint32_t across = s.channels / N;
    UNROLL_SOME
    for (uint32_t i = threadIdx.x; i < s.count / N; i += FILTERS_THREADS) {
        const uint32_t row = i / across, channel = (i - row * across) * N;
        const uint32_t filter = row / part.taps, tap = row - filter * part.taps;
        each(s.packed + (int64_t)row * part.channels + channel, (filter * s.channels + channel) * part.taps + tap, filter);
    }
}

template <class T, int N>
__device__ __forceinline__ void rni_filters_write(const rni_filters_share &s, const rni_filters_part &part,
                                                  const float *piece, const float *scale, T *packed)
{
    rni_filters_walk<N>(s, part, [&](int64_t to, uint32_t from, uint32_t filter) {
        const float factor = scale ? scale[s.filter + filter] : 1.0f;
        rni_vector<T, N> v;
        UNROLL
        for (int k = 0; k < N; k++)
            rni_store(v.v[k], piece[from + k * part.taps] * factor);
        rni_store_vector(packed + to, v);
    });
}

template <class T, int N>
__device__ __forceinline__ void rni_filters_read(const rni_filters_share &s, const rni_filters_part &part,
                                                 const T *packed, float *piece)
{
    rni_filters_walk<N>(s, part, [&](int64_t from, uint32_t to, uint32_t) {
        const rni_vector<T, N> v = rni_load_vector<T, N>(packed + from);
        UNROLL
        for (int k = 0; k < N; k++)
            piece[to + k * part.taps] = rni_load(v.v[k]);
    });
}

/* Pairs of channels, where all taps have whole ones. */
__device__ __forceinline__ bool rni_filters_in_pairs(const rni_filters_share &s, const rni_filters_part &part)
{
    return s.channels % 2 == 0 && part.channels % 2 == 0;
}

/* Fours of plain elements: parameters lie side by side, aligned as single ones. */
__device__ __forceinline__ bool rni_filters_in_fours(const rni_filters_share &s, const float *plain)
{
    return (reinterpret_cast<uintptr_t>(plain) & 15u) == 0 && s.count % 4 == 0;
}

template <class T>
__global__ void __launch_bounds__(FILTERS_THREADS)
    rni_kernel_filters_pack(const rni_filters_part *parts, uint32_t count, uint32_t first_block, const char *plain,
                            const char *scales, char *packed)
{
    RN_SHARED(rni_filters_four, fours, RNI_FILTERS_ELEMENTS / 4);
    RN_SHARED(uint32_t, found, 1);
    float *const piece = fours[0].v;
    const uint32_t block = first_block + blockIdx.x;
    const rni_filters_part part = parts[rni_filters_entry(parts, count, block, found)];
    const rni_filters_share s = rni_filters_share_of(part, block);
    const float *const w = reinterpret_cast<const float *>(plain + part.plain) + s.plain;
    const float *const scale =
        part.scale == RNI_FILTERS_NO_SCALE ? nullptr : reinterpret_cast<const float *>(scales + part.scale);
    T *const to = reinterpret_cast<T *>(packed + part.packed);
    if (rni_filters_in_fours(s, w)) {
        UNROLL_SOME
        for (uint32_t i = threadIdx.x * 4; i < s.count; i += FILTERS_THREADS * 4)
            rni_store_vector<float, 4>(piece + i, rni_load_vector<float, 4>(w + i));
    } else {
        for (uint32_t i = threadIdx.x; i < s.count; i += FILTERS_THREADS)
            piece[i] = w[i];
    }
    __syncthreads();
    if (rni_filters_in_pairs(s, part))
        rni_filters_write<T, 2>(s, part, piece, scale, to);
    else
        rni_filters_write<T, 1>(s, part, piece, scale, to);
}

template <class T>
__global__ void __launch_bounds__(FILTERS_THREADS)
    rni_kernel_filters_add(const rni_filters_part *parts, uint32_t count, uint32_t first_block, const char *packed,
                           char *plain)
{
    RN_SHARED(rni_filters_four, fours, RNI_FILTERS_ELEMENTS / 4);
    RN_SHARED(uint32_t, found, 1);
    float *const piece = fours[0].v;
    const uint32_t block = first_block + blockIdx.x;
    const rni_filters_part part = parts[rni_filters_entry(parts, count, block, found)];
    const rni_filters_share s = rni_filters_share_of(part, block);
    float *const dw = reinterpret_cast<float *>(plain + part.plain) + s.plain;
    const T *const from = reinterpret_cast<const T *>(packed + part.packed);
    if (rni_filters_in_pairs(s, part))
        rni_filters_read<T, 2>(s, part, from, piece);
    else
        rni_filters_read<T, 1>(s, part, from, piece);
    __syncthreads();
    if (rni_filters_in_fours(s, dw)) {
        UNROLL_SOME
        for (uint32_t i = threadIdx.x * 4; i < s.count; i += FILTERS_THREADS * 4) {
            rni_vector<float, 4> sum = rni_load_vector<float, 4>(dw + i);
            const rni_vector<float, 4> term = rni_load_vector<float, 4>(piece + i);
            UNROLL
            for (int k = 0; k < 4; k++)
                sum.v[k] += term.v[k];
            rni_store_vector<float, 4>(dw + i, sum);
        }
    } else {
        for (uint32_t i = threadIdx.x; i < s.count; i += FILTERS_THREADS)
            dw[i] += piece[i];
    }
}

template <class T>
static cudaError_t pack(cudaStream_t stream, const rni_filters_run *r, const void *plain, const void *scales,
                        void *packed)
{
    return RN_LAUNCH((rni_kernel_filters_pack<T>), dim3(r->blocks), dim3(FILTERS_THREADS), stream, r->parts, r->count,
                     r->first_block, static_cast<const char *>(plain), static_cast<const char *>(scales),
                     static_cast<char *>(packed));
}

extern "C" cudaError_t rni_k_filters_pack(cudaStream_t stream, int32_t dtype, const rni_filters_run *r,
                                          const void *plain, const void *scales, void *packed)
{
    return RNI_BY_TYPE(dtype, pack, stream, r, plain, scales, packed);
}

template <class T>
static cudaError_t add(cudaStream_t stream, const rni_filters_run *r, const void *packed, void *plain)
{
    return RN_LAUNCH((rni_kernel_filters_add<T>), dim3(r->blocks), dim3(FILTERS_THREADS), stream, r->parts, r->count,
                     r->first_block, static_cast<const char *>(packed), static_cast<char *>(plain));
}

extern "C" cudaError_t rni_k_filters_add(cudaStream_t stream, int32_t dtype, const rni_filters_run *r,
                                         const void *packed, void *plain)
{
    return RNI_BY_TYPE(dtype, add, stream, r, packed, plain);
}
