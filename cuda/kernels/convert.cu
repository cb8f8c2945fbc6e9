/* SPDX-License-Identifier: MIT */
/* Copies between element types, and between [channels][pixels] and [pixels][channels]. */
#include "kernels/kernels.h"
#include "kernels/vector.h"

enum { RNI_CONVERT_THREADS = 256 };

template <class S, class D> __device__ __forceinline__ void rni_convert_one(S from, D &to, int32_t accumulate)
{
    rni_store(to, accumulate ? rni_load(to) + rni_load(from) : rni_load(from));
}

/* V elements at once; the first threads take what is left over at the end. */
template <class S, class D, int V>
__global__ void __launch_bounds__(RNI_CONVERT_THREADS)
    rni_kernel_convert(const S *from, D *to, int64_t count, int32_t accumulate)
{
    const int64_t i = (int64_t)blockIdx.x * RNI_CONVERT_THREADS + threadIdx.x, vectors = count / V;
    if (i < vectors) {
        const rni_vector<S, V> in = rni_load_vector<S, V>(from + i * V);
        rni_vector<D, V> out = {};
        if (accumulate)
            out = rni_load_vector<D, V>(to + i * V);
        UNROLL
        for (int j = 0; j < V; j++)
            rni_convert_one(in.v[j], out.v[j], accumulate);
        rni_store_vector<D, V>(to + i * V, out);
    }
    if (V > 1 && i < count - vectors * V)
        rni_convert_one(from[vectors * V + i], to[vectors * V + i], accumulate);
}

template <class S, class D, int V>
static cudaError_t convert(cudaStream_t stream, const void *from, void *to, int64_t count, int32_t accumulate)
{
    const int64_t threads = count / V > V ? count / V : V;
    const int64_t blocks = (threads + RNI_CONVERT_THREADS - 1) / RNI_CONVERT_THREADS;
    if (blocks > INT32_MAX)
        return cudaErrorInvalidConfiguration;
    return RN_LAUNCH((rni_kernel_convert<S, D, V>), dim3((unsigned)blocks), dim3(RNI_CONVERT_THREADS), stream,
                     static_cast<const S *>(from), static_cast<D *>(to), count, accumulate);
}

template <class S, class D>
static cudaError_t convert_any(cudaStream_t stream, const void *from, void *to, int64_t count, int32_t accumulate)
{
    constexpr int V = 16 / (int)(sizeof(S) > sizeof(D) ? sizeof(S) : sizeof(D));
    if (rni_aligned(from, to))
        return convert<S, D, V>(stream, from, to, count, accumulate);
    return convert<S, D, 1>(stream, from, to, count, accumulate);
}

template <class T>
static cudaError_t convert_same(cudaStream_t stream, const void *from, void *to, int64_t count, int32_t accumulate)
{
    return convert_any<T, T>(stream, from, to, count, accumulate);
}

template <class T>
static cudaError_t convert_widening(cudaStream_t stream, const void *from, void *to, int64_t count, int32_t accumulate)
{
    return convert_any<T, float>(stream, from, to, count, accumulate);
}

template <class T>
static cudaError_t convert_narrowing(cudaStream_t stream, const void *from, void *to, int64_t count, int32_t accumulate)
{
    return convert_any<float, T>(stream, from, to, count, accumulate);
}

extern "C" cudaError_t rni_k_convert(cudaStream_t stream, int32_t from_dtype, int32_t to_dtype, const void *from,
                                     void *to, int64_t count, int32_t accumulate)
{
    if (from_dtype == to_dtype)
        return RNI_BY_TYPE(to_dtype, convert_same, stream, from, to, count, accumulate);
    if (to_dtype == RN_F32)
        return RNI_BY_TYPE(from_dtype, convert_widening, stream, from, to, count, accumulate);
    return RNI_BY_TYPE(to_dtype, convert_narrowing, stream, from, to, count, accumulate);
}

/* What a block transposes: up to 1024 elements, fewer pixels the more channels there are. */
struct rni_transposition {
    int64_t channels, pixels;
    int32_t tile_channels, pixel_bits; /* the tile has 1 << pixel_bits pixels */
    uint32_t across, down;             /* tiles along pixels, along channels */
    int32_t to_nhwc, accumulate;
};

enum { RNI_TRANSPOSITION_ELEMENTS = 1024, RNI_TRANSPOSITION_ROOM = RNI_TRANSPOSITION_ELEMENTS + 32 };

/* One element of a block's tile, counted as either array has them. */
struct rni_transposed {
    int32_t channel, pixel;
};

__device__ __forceinline__ rni_transposed rni_transposed_nchw(uint32_t i, int32_t pixel_bits)
{
    return {(int32_t)(i >> pixel_bits), (int32_t)(i & ((1u << pixel_bits) - 1))};
}

__device__ __forceinline__ rni_transposed rni_transposed_nhwc(uint32_t i, int32_t channels)
{
    const uint32_t pixel = channels == 32 ? i / 32 : i / (uint32_t)channels;
    return {(int32_t)(i - pixel * (uint32_t)channels), (int32_t)pixel};
}

/* Rows of pixels in shared memory, one float longer than they are so that columns lie in different banks. */
template <class S, class D>
__global__ void __launch_bounds__(RNI_CONVERT_THREADS)
    rni_kernel_convert_layout(rni_transposition t, const S *__restrict__ from, D *__restrict__ to)
{
    RN_SHARED(float, tile, RNI_TRANSPOSITION_ROOM);
    const uint32_t rest = blockIdx.x / t.across, image = rest / t.down;
    const int64_t pixel0 = (int64_t)(blockIdx.x - rest * t.across) << t.pixel_bits;
    const int64_t channel0 = (int64_t)(rest - image * t.down) * t.tile_channels;
    const int64_t first = (int64_t)image * t.channels * t.pixels;
    const int32_t pitch = (1 << t.pixel_bits) + 1;
    const uint32_t count = (uint32_t)t.tile_channels << t.pixel_bits;
    for (uint32_t i = threadIdx.x; i < count; i += RNI_CONVERT_THREADS) {
        const rni_transposed e =
            t.to_nhwc ? rni_transposed_nchw(i, t.pixel_bits) : rni_transposed_nhwc(i, t.tile_channels);
        const int64_t channel = channel0 + e.channel, pixel = pixel0 + e.pixel;
        if (channel < t.channels && pixel < t.pixels)
            tile[e.channel * pitch + e.pixel] =
                rni_load(from[first + (t.to_nhwc ? channel * t.pixels + pixel : pixel * t.channels + channel)]);
    }
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < count; i += RNI_CONVERT_THREADS) {
        const rni_transposed e =
            t.to_nhwc ? rni_transposed_nhwc(i, t.tile_channels) : rni_transposed_nchw(i, t.pixel_bits);
        const int64_t channel = channel0 + e.channel, pixel = pixel0 + e.pixel;
        if (channel >= t.channels || pixel >= t.pixels)
            continue;
        D &out = to[first + (t.to_nhwc ? pixel * t.channels + channel : channel * t.pixels + pixel)];
        const float value = tile[e.channel * pitch + e.pixel];
        rni_store(out, t.accumulate ? rni_load(out) + value : value);
    }
}

template <class S, class D>
static cudaError_t transpose(cudaStream_t stream, rni_transposition t, int64_t images, const void *from, void *to)
{
    t.tile_channels = (int32_t)(t.channels < 32 ? t.channels : 32);
    t.pixel_bits = 5;
    while (t.tile_channels << (t.pixel_bits + 1) <= RNI_TRANSPOSITION_ELEMENTS)
        t.pixel_bits++;
    const int64_t across = ((t.pixels - 1) >> t.pixel_bits) + 1, down = (t.channels - 1) / t.tile_channels + 1;
    if (images > INT32_MAX / across / down)
        return cudaErrorInvalidConfiguration;
    t.across = (uint32_t)across;
    t.down = (uint32_t)down;
    return RN_LAUNCH((rni_kernel_convert_layout<S, D>), dim3((unsigned)(images * across * down)),
                     dim3(RNI_CONVERT_THREADS), stream, t, static_cast<const S *>(from), static_cast<D *>(to));
}

template <class T>
static cudaError_t transpose_same(cudaStream_t stream, rni_transposition t, int64_t images, const void *from, void *to)
{
    return transpose<T, T>(stream, t, images, from, to);
}

template <class T>
static cudaError_t transpose_widening(cudaStream_t stream, rni_transposition t, int64_t images, const void *from, void *to)
{
    return transpose<T, float>(stream, t, images, from, to);
}

template <class T>
static cudaError_t transpose_narrowing(cudaStream_t stream, rni_transposition t, int64_t images, const void *from, void *to)
{
    return transpose<float, T>(stream, t, images, from, to);
}

extern "C" cudaError_t rni_k_convert_layout(cudaStream_t stream, int32_t from_dtype, int32_t to_dtype, const void *from,
                                            void *to, int64_t images, int64_t channels, int64_t pixels,
                                            int32_t to_nhwc, int32_t accumulate)
{
    const rni_transposition t = {channels, pixels, 0, 0, 0, 0, to_nhwc, accumulate};
    if (from_dtype == to_dtype)
        return RNI_BY_TYPE(to_dtype, transpose_same, stream, t, images, from, to);
    if (to_dtype == RN_F32)
        return RNI_BY_TYPE(from_dtype, transpose_widening, stream, t, images, from, to);
    return RNI_BY_TYPE(to_dtype, transpose_narrowing, stream, t, images, from, to);
}
