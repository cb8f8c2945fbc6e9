/* SPDX-License-Identifier: MIT */
/* Flat arrays, in the type T. ReLU keeps NaN: only what is below zero becomes zero. */

static void relu(void *vy, const void *vx, size_t n)
{
    T *const y = vy;
    const T *const x = vx;
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] < 0 ? 0 : x[i];
}

static void relu_backward(void *vdx, const void *vdy, const void *vy, size_t n)
{
    T *const dx = vdx;
    const T *const dy = vdy, *const y = vy;
    for (size_t i = 0; i < n; i++)
        dx[i] = y[i] > 0 ? dy[i] : 0;
}

static void add(void *vy, const void *va, const void *vb, size_t n, int with_relu)
{
    T *const y = vy;
    const T *const a = va, *const b = vb;
    for (size_t i = 0; i < n; i++) {
        const T v = a[i] + b[i];
        y[i] = with_relu && v < 0 ? 0 : v;
    }
}

static void scale(void *vx, double factor, size_t n)
{
    T *const x = vx;
    for (size_t i = 0; i < n; i++)
        x[i] = (T)((double)x[i] * factor);
}

static double sum_squares(const void *vx, size_t n)
{
    const T *const x = vx;
    double s = 0;
    for (size_t i = 0; i < n; i++)
        s += (double)x[i] * (double)x[i];
    return s;
}

static void transpose(void *vdst, size_t dst_stride, const void *vsrc, size_t src_stride, size_t rows, size_t cols,
                      int accumulate)
{
    T *const dst = vdst;
    const T *const src = vsrc;
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < cols; j++) {
            T *const d = &dst[j * dst_stride + i];
            *d = accumulate ? *d + src[i * src_stride + j] : src[i * src_stride + j];
        }
    }
}
