/* SPDX-License-Identifier: MIT */
/* Dropout (Srivastava et al. 2014), inverted; backward is the same on dy. Elements are numbered as in NCHW. */
#include "kernels/philox.h"
#include "kernels/pool_window.h"

enum { DROPOUT_WORDS = 4 }; /* elements of one Philox block */

/* What all elements share. */
struct rni_dropout_rule {
    double factor;
    uint32_t threshold, stream;
};

template <class T>
__device__ __forceinline__ T dropped(T x, uint32_t word, const rni_dropout_rule &rule)
{
    T y;
    rni_store(y, word >> 8 >= rule.threshold ? (float)((double)rni_load(x) * rule.factor) : 0.0f);
    return y;
}

/* Where memory is in the order of numbers: a thread takes the elements of one Philox block. */
template <class T, int V>
__global__ void __launch_bounds__(RNI_THREADS)
    rni_kernel_dropout_flat(const T *x, T *y, int64_t count, rni_dropout_rule rule, const rni_cuda_scalars *scalars)
{
    const int64_t block = (int64_t)blockIdx.x * RNI_THREADS + threadIdx.x, first = block * DROPOUT_WORDS;
    if (first >= count)
        return;
    const rni_random_words words =
        rni_philox_words(scalars->seed, rule.stream, (uint32_t)scalars->step, (uint64_t)block);
    if (V == DROPOUT_WORDS && first + V <= count) {
        rni_vector<T, V> v = rni_load_vector<T, V>(x + first);
        UNROLL
        for (int i = 0; i < V; i++)
            v.v[i] = dropped(v.v[i], rni_random_word(words, (uint32_t)i), rule);
        rni_store_vector(y + first, v);
        return;
    }
    UNROLL
    for (int i = 0; i < DROPOUT_WORDS; i++)
        if (first + i < count)
            y[first + i] = dropped(x[first + i], rni_random_word(words, (uint32_t)i), rule);
}

/* NHWC: neighbours in memory are far apart in numbers, so every element makes its own block. */
template <class T>
__global__ void __launch_bounds__(RNI_THREADS)
    rni_kernel_dropout_images(const T *x, T *y, int64_t first_image, uint32_t rows, int64_t channels, int32_t pixels,
                              rni_dropout_rule rule, const rni_cuda_scalars *scalars)
{
    const int64_t column = rni_column<1>();
    if (column >= channels)
        return;
    const uint64_t seed = scalars->seed;
    const uint32_t step = (uint32_t)scalars->step;
    for (uint32_t r = blockIdx.y * blockDim.y + threadIdx.y; r < rows; r += gridDim.y * blockDim.y) {
        const uint32_t image = r / (uint32_t)pixels, pixel = r % (uint32_t)pixels;
        const uint64_t number = (uint64_t)((first_image + image) * channels + column) * (uint64_t)pixels + pixel;
        const rni_random_words words = rni_philox_words(seed, rule.stream, step, number / DROPOUT_WORDS);
        const int64_t at = (int64_t)r * channels + column;
        y[at] = dropped(x[at], rni_random_word(words, (uint32_t)(number % DROPOUT_WORDS)), rule);
    }
}

template <class T, int V>
static cudaError_t flat(cudaStream_t stream, const rni_k_dropout *d, const rni_dropout_rule &rule)
{
    const int64_t count = d->images * d->channels * d->pixels, per_block = RNI_THREADS * DROPOUT_WORDS;
    return RN_LAUNCH((rni_kernel_dropout_flat<T, V>), dim3((uint32_t)((count + per_block - 1) / per_block)),
                     dim3(RNI_THREADS), stream, static_cast<const T *>(d->x), static_cast<T *>(d->y), count, rule,
                     d->scalars);
}

template <class T>
static cudaError_t dropout_of(cudaStream_t stream, const rni_k_dropout *d)
{
    const rni_dropout_rule rule = {d->factor, d->threshold, d->stream};
    if (d->channels == 1 || d->pixels == 1)
        return rni_aligned(d->x, d->y) ? flat<T, DROPOUT_WORDS>(stream, d, rule) : flat<T, 1>(stream, d, rule);
    const rni_columns columns = rni_columns_of(d->channels, 1);
    return rni_by_images(d->images, d->pixels, [&](int64_t first, int64_t images) {
        const int64_t at = first * d->pixels * d->channels;
        return RN_LAUNCH((rni_kernel_dropout_images<T>), rni_pixel_grid(columns, d->processors, images * d->pixels),
                         columns.block, stream, static_cast<const T *>(d->x) + at, static_cast<T *>(d->y) + at, first,
                         (uint32_t)(images * d->pixels), d->channels, (int32_t)d->pixels, rule, d->scalars);
    });
}

cudaError_t rni_k_dropout_rows(cudaStream_t stream, const rni_k_dropout *d)
{
    return RNI_BY_TYPE(d->dtype, dropout_of, stream, d);
}
