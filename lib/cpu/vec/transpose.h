/* SPDX-License-Identifier: MIT */
/* Transposition of f32, eight rows and columns at a time. */

/* Eight rows of eight to eight columns. */
RNI_INLINE void transpose_8x8(__m256 r[8])
{
    __m256 t[8], u[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        u[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        u[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        u[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        u[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x20);
        r[i + 4] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x31);
    }
}

RNI_INLINE __m256i first_of_8(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* At most 8 rows and 8 columns. Masked stores take a dozen cycles each on some processors: only where rows are missing. */
RNI_INLINE void transpose_tile(float *dst, size_t dst_stride, const float *src, size_t src_stride, size_t rows,
                               size_t cols, const int accumulate)
{
    const __m256i in = first_of_8(cols), out = first_of_8(rows);
    __m256 r[8];
    for (size_t i = 0; i < 8; i++)
        r[i] = i < rows ? _mm256_maskload_ps(src + i * src_stride, in) : _mm256_setzero_ps();
    transpose_8x8(r);
    for (size_t j = 0; j < cols; j++) {
        float *const d = dst + j * dst_stride;
        if (rows == 8)
            _mm256_storeu_ps(d, accumulate ? _mm256_add_ps(r[j], _mm256_loadu_ps(d)) : r[j]);
        else
            _mm256_maskstore_ps(d, out, accumulate ? _mm256_add_ps(r[j], _mm256_maskload_ps(d, out)) : r[j]);
    }
}

RNI_INLINE void transpose_whole_tile(float *dst, size_t dst_stride, const float *src, size_t src_stride,
                                     const int accumulate)
{
    __m256 r[8];
    for (size_t i = 0; i < 8; i++)
        r[i] = _mm256_loadu_ps(src + i * src_stride);
    transpose_8x8(r);
    for (size_t j = 0; j < 8; j++) {
        float *const d = dst + j * dst_stride;
        _mm256_storeu_ps(d, accumulate ? _mm256_add_ps(r[j], _mm256_loadu_ps(d)) : r[j]);
    }
}

/* Few rows: the colours of an image. */
RNI_INLINE void transpose_few(float *dst, size_t dst_stride, const float *src, size_t src_stride, size_t rows,
                              size_t cols, const int accumulate)
{
    for (size_t j = 0; j < cols; j++)
        for (size_t i = 0; i < rows; i++)
            dst[j * dst_stride + i] = src[i * src_stride + j] + (accumulate ? dst[j * dst_stride + i] : 0);
}

RNI_INLINE void transpose_all(float *dst, size_t dst_stride, const float *src, size_t src_stride, size_t rows,
                              size_t cols, const int accumulate)
{
    if (rows <= 4) {
        transpose_few(dst, dst_stride, src, src_stride, rows, cols, accumulate);
        return;
    }
    for (size_t i = 0; i < rows; i += 8) {
        const size_t h = rows - i < 8 ? rows - i : 8;
        size_t j = 0;
        for (; h == 8 && j + 8 <= cols; j += 8)
            transpose_whole_tile(dst + j * dst_stride + i, dst_stride, src + i * src_stride + j, src_stride,
                                 accumulate);
        for (; j + 8 <= cols; j += 8)
            transpose_tile(dst + j * dst_stride + i, dst_stride, src + i * src_stride + j, src_stride, h, 8, accumulate);
        if (j < cols)
            transpose_tile(dst + j * dst_stride + i, dst_stride, src + i * src_stride + j, src_stride, h, cols - j,
                           accumulate);
    }
}

static void transpose(void *dst, size_t dst_stride, const void *src, size_t src_stride, size_t rows, size_t cols,
                      int accumulate)
{
    if (accumulate)
        transpose_all(dst, dst_stride, src, src_stride, rows, cols, 1);
    else
        transpose_all(dst, dst_stride, src, src_stride, rows, cols, 0);
}
