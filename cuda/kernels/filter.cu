/* SPDX-License-Identifier: MIT */
/* Filters between O,I,taps (parameters and their gradients, f32) and O,taps,I (what convolutions read and write). */
#include "kernels/kernels.h"
#include "kernels/vector.h"

/* What a block takes of one filter: some channels and taps, through shared memory. */
enum { RNI_FILTER_THREADS = 256, RNI_FILTER_CHANNELS = 64, RNI_FILTER_TAPS = 16 };

struct rni_filter_piece {
    int64_t filter, first; /* of the filter's elements in the arrays */
    int32_t channel, channels, tap, taps;
};

__device__ __forceinline__ rni_filter_piece rni_filter_piece_of(int32_t in_channels, int32_t taps)
{
    const uint32_t across = ((uint32_t)in_channels + RNI_FILTER_CHANNELS - 1) / RNI_FILTER_CHANNELS;
    const uint32_t down = ((uint32_t)taps + RNI_FILTER_TAPS - 1) / RNI_FILTER_TAPS;
    const uint32_t rest = blockIdx.x / across, filter = rest / down;
    rni_filter_piece p;
    p.filter = filter;
    p.first = p.filter * in_channels * taps;
    p.channel = (int32_t)(blockIdx.x - rest * across) * RNI_FILTER_CHANNELS;
    p.channels = min(in_channels - p.channel, (int32_t)RNI_FILTER_CHANNELS);
    p.tap = (int32_t)(rest - filter * down) * RNI_FILTER_TAPS;
    p.taps = min(taps - p.tap, (int32_t)RNI_FILTER_TAPS);
    return p;
}

template <class T>
__global__ void __launch_bounds__(RNI_FILTER_THREADS)
    rni_kernel_filter_pack(const float *__restrict__ w, const float *__restrict__ scale, T *__restrict__ packed,
                           int32_t in_channels, int32_t taps)
{
    RN_SHARED(float, piece, RNI_FILTER_TAPS * (RNI_FILTER_CHANNELS + 1));
    const rni_filter_piece p = rni_filter_piece_of(in_channels, taps);
    const uint32_t count = (uint32_t)(p.channels * p.taps);
    const float factor = scale ? scale[p.filter] : 1.0f;
    for (uint32_t i = threadIdx.x; i < count; i += RNI_FILTER_THREADS) {
        const uint32_t channel = i / (uint32_t)p.taps, tap = i - channel * (uint32_t)p.taps;
        const float value = w[p.first + (int64_t)(p.channel + channel) * taps + p.tap + tap];
        piece[tap * (RNI_FILTER_CHANNELS + 1) + channel] = value * factor;
    }
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < count; i += RNI_FILTER_THREADS) {
        const uint32_t tap = i / (uint32_t)p.channels, channel = i - tap * (uint32_t)p.channels;
        rni_store(packed[p.first + (int64_t)(p.tap + tap) * in_channels + p.channel + channel],
                  piece[tap * (RNI_FILTER_CHANNELS + 1) + channel]);
    }
}

template <class T>
__global__ void __launch_bounds__(RNI_FILTER_THREADS)
    rni_kernel_filter_add(const T *__restrict__ filters, int32_t filter_count, int64_t pitch, float *__restrict__ dw,
                          int32_t in_channels, int32_t taps)
{
    RN_SHARED(float, piece, RNI_FILTER_TAPS * (RNI_FILTER_CHANNELS + 1));
    const rni_filter_piece p = rni_filter_piece_of(in_channels, taps);
    const uint32_t count = (uint32_t)(p.channels * p.taps);
    for (uint32_t i = threadIdx.x; i < count; i += RNI_FILTER_THREADS) {
        const uint32_t tap = i / (uint32_t)p.channels, channel = i - tap * (uint32_t)p.channels;
        const T *from = filters + p.first + (int64_t)(p.tap + tap) * in_channels + p.channel + channel;
        float sum = 0;
        for (int32_t k = 0; k < filter_count; k++, from += pitch)
            sum += rni_load(*from);
        piece[tap * (RNI_FILTER_CHANNELS + 1) + channel] = sum;
    }
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < count; i += RNI_FILTER_THREADS) {
        const uint32_t channel = i / (uint32_t)p.taps, tap = i - channel * (uint32_t)p.taps;
        dw[p.first + (int64_t)(p.channel + channel) * taps + p.tap + tap] +=
            piece[tap * (RNI_FILTER_CHANNELS + 1) + channel];
    }
}

/*
 * The same for many filters of f32: neighbouring threads have neighbouring elements, and of one element the block's slices
 * have every so many filters, whose sums are added in their order.
 */
template <int Slices>
__global__ void __launch_bounds__(RNI_FILTER_THREADS)
    rni_kernel_filter_sum(const float *__restrict__ filters, int32_t filter_count, uint32_t elements,
                          float *__restrict__ dw, int32_t in_channels, int32_t taps)
{
    constexpr uint32_t together = RNI_FILTER_THREADS / Slices;
    RN_SHARED(float, sums, RNI_FILTER_THREADS);
    const uint32_t element = blockIdx.x * together + threadIdx.x % together, slice = threadIdx.x / together;
    float sum = 0;
    if (element < elements) {
        const float *from = filters + (int64_t)slice * elements + element;
        UNROLL_SOME
        for (int32_t k = (int32_t)slice; k < filter_count; k += Slices) {
            sum += *from;
            from += (int64_t)Slices * elements;
        }
    }
    sums[threadIdx.x] = sum;
    __syncthreads();
    if (slice > 0 || element >= elements)
        return;
    UNROLL
    for (int n = 1; n < Slices; n++)
        sum += sums[n * together + threadIdx.x];
    const uint32_t row = element / (uint32_t)in_channels, channel = element - row * (uint32_t)in_channels;
    const uint32_t filter = row / (uint32_t)taps, tap = row - filter * (uint32_t)taps;
    dw[((int64_t)filter * in_channels + channel) * taps + tap] += sum;
}

template <int Slices>
static cudaError_t sum_up(cudaStream_t stream, const void *filters, int32_t count, int64_t elements, float *dw,
                          int32_t in_channels, int32_t taps)
{
    constexpr int together = RNI_FILTER_THREADS / Slices;
    return RN_LAUNCH((rni_kernel_filter_sum<Slices>), dim3((unsigned)((elements + together - 1) / together)),
                     dim3(RNI_FILTER_THREADS), stream, static_cast<const float *>(filters), count, (uint32_t)elements, dw,
                     in_channels, taps);
}

/* From so many on a sum is shared by 8 threads, by 32. */
enum { FEW_FILTERS = 8, MANY_FILTERS = 128 };

/* Blocks for all filters; 0: more than a grid may have. */
static unsigned blocks_of(int64_t out_channels, int32_t in_channels, int32_t taps)
{
    const int64_t each = ((in_channels - 1) / RNI_FILTER_CHANNELS + 1) * (int64_t)((taps - 1) / RNI_FILTER_TAPS + 1);
    return out_channels > INT32_MAX / each ? 0 : (unsigned)(out_channels * each);
}

template <class T>
static cudaError_t pack(cudaStream_t stream, unsigned blocks, const float *w, const float *scale, void *packed,
                        int32_t in_channels, int32_t taps)
{
    return RN_LAUNCH((rni_kernel_filter_pack<T>), dim3(blocks), dim3(RNI_FILTER_THREADS), stream, w, scale,
                     static_cast<T *>(packed), in_channels, taps);
}

template <class T>
static cudaError_t add(cudaStream_t stream, unsigned blocks, const void *filters, int32_t count, int64_t pitch,
                       float *dw, int32_t in_channels, int32_t taps)
{
    return RN_LAUNCH((rni_kernel_filter_add<T>), dim3(blocks), dim3(RNI_FILTER_THREADS), stream,
                     static_cast<const T *>(filters), count, pitch, dw, in_channels, taps);
}

extern "C" cudaError_t rni_k_filter_pack(cudaStream_t stream, int32_t dtype, const float *w, const float *scale,
                                         void *packed, int64_t out_channels, int32_t in_channels, int32_t taps)
{
    const unsigned blocks = blocks_of(out_channels, in_channels, taps);
    if (!blocks)
        return cudaErrorInvalidConfiguration;
    return RNI_BY_TYPE(dtype, pack, stream, blocks, w, scale, packed, in_channels, taps);
}

extern "C" cudaError_t rni_k_filter_add(cudaStream_t stream, int32_t dtype, const void *filters, int32_t count,
                                        float *dw, int64_t out_channels, int32_t in_channels, int32_t taps)
{
    const unsigned blocks = blocks_of(out_channels, in_channels, taps);
    const int64_t pitch = out_channels * in_channels * taps;
    if (!blocks)
        return cudaErrorInvalidConfiguration;
    if (dtype == RN_F32 && count >= FEW_FILTERS && pitch <= INT32_MAX - RNI_FILTER_THREADS)
        return count < MANY_FILTERS ? sum_up<8>(stream, filters, count, pitch, dw, in_channels, taps)
                                    : sum_up<32>(stream, filters, count, pitch, dw, in_channels, taps);
    return RNI_BY_TYPE(dtype, add, stream, blocks, filters, count, pitch, dw, in_channels, taps);
}
