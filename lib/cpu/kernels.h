/* SPDX-License-Identifier: MIT */
/*
 * The kernels of all families but convolution: loops over a piece of the data that a driver cut off, on one thread.
 *
 * A table serves one element type T (f32, f64 or bf16); `void *` points to T. Rows: `rows` rows of `width` elements, whose
 * first elements are `stride` apart. Drivers make rows of one or several pixels with their channels, so that
 * per-channel values repeat with period `width`; arrays of such values are written `per column` and are of T, for bf16 of f32.
 */
#ifndef RNI_CPU_KERNELS_H
#define RNI_CPU_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* Batch normalisation, backward: g = dy, or dy where y > 0 when y is given, or where x scale + shift > 0 with these. */
typedef struct rni_bn_rows {
    const void *dy, *x, *y; /* y may be NULL */
    void *masked;           /* bn_reduce writes g here; may be NULL */
    void *dx, *dres;        /* of bn_dx; dres += g when given */
    const void *mean;       /* per column */
    const void *scale, *shift; /* per column; may be NULL */
    const void *a, *b, *c;  /* per column: dx = a g + b (x - mean) + c */
    size_t rows, stride, width;
} rni_bn_rows;

/* A pooling window over NHWC images; rows below are rows of the output (forward) or of the input (backward). */
typedef struct rni_pool {
    size_t channels, height, width, out_height, out_width;
    size_t kernel[2], stride[2], padding[2];
    int exclude_padding;
    int adaptive; /* windows follow from the sizes instead */
} rni_pool;

/* The part n0..n1-1, o0..o1-1 of y = x w' + b; x [N, inputs], w [outputs, inputs], y [N, outputs]. */
typedef struct rni_linear {
    const void *x;
    const float *w, *b; /* b may be NULL */
    void *y;
    size_t inputs, outputs, n0, n1, o0, o1;
    int relu;
} rni_linear;

/* Updates of one segment; see recipes of torch.optim.SGD and Adam. */
typedef struct rni_sgd {
    double lr, weight_decay, momentum, dampening;
    int nesterov, first; /* first: the buffer starts as the gradient */
} rni_sgd;

typedef struct rni_adam {
    double lr, weight_decay, beta1, beta2, eps;
    double correction1, correction2; /* 1 - beta^t */
    int decoupled;
} rni_adam;

/* Activations are [image][pixel][channel]; kept elements are times factor. */
typedef struct rni_dropout {
    uint64_t seed;
    uint32_t stream, step;
    double p, factor;
    size_t channels, pixels;
} rni_dropout;

typedef struct rni_typed_kernels {
    /* sum[j] += sum over rows of x[.][j]. */
    void (*sum)(const void *x, size_t rows, size_t stride, size_t width, double *sum);
    /* m1[j] += sum of d, m2[j] += sum of d^2, d = x[.][j] - centre[j]. */
    void (*moments)(const void *x, size_t rows, size_t stride, size_t width, const void *centre, double *m1,
                    double *m2);
    /* y = x scale + shift (+ residual), then ReLU when asked; rows without gaps. y may be x. */
    void (*affine)(void *y, const void *x, const void *residual, const void *scale, const void *shift, size_t rows,
                   size_t width, int relu);
    /* s1[j] += sum of g, s2[j] += sum of g (x - mean). */
    void (*bn_reduce)(const rni_bn_rows *r, double *s1, double *s2);
    void (*bn_dx)(const rni_bn_rows *r);

    /* Flat arrays; outputs may be inputs. */
    void (*relu)(void *y, const void *x, size_t n);
    void (*relu_backward)(void *dx, const void *dy, const void *y, size_t n);
    void (*add)(void *y, const void *a, const void *b, size_t n, int relu);
    /* x *= factor. */
    void (*scale)(void *x, double factor, size_t n);
    double (*sum_squares)(const void *x, size_t n);

    /* Output rows first..last-1, counted through all images. */
    void (*maxpool)(const rni_pool *p, const void *x, void *y, size_t first, size_t last);
    void (*avgpool)(const rni_pool *p, const void *x, void *y, size_t first, size_t last);
    /* Channels c0..c1-1 of one image. */
    void (*maxpool_backward)(const rni_pool *p, const void *dy, const void *x, const void *y, void *dx, size_t image,
                             size_t c0, size_t c1);
    /* Input rows first..last-1, counted through all images. */
    void (*avgpool_backward)(const rni_pool *p, const void *dy, void *dx, size_t first, size_t last);

    void (*linear)(const rni_linear *l);
    /* dx[n][i] = sum over o of dy[n][o] w[o][i], for n0..n1-1; y is dy, `dx` the output; all outputs. */
    void (*linear_data)(const rni_linear *l, void *dx);
    /* dw[o][i] += sum over n of dy[n][o] x[n][i], for o0..o1-1, n0..n1-1; y is dy. */
    void (*linear_filter)(const rni_linear *l, float *dw);

    /* dst[j][i] = src[i][j] (+ dst): `rows` rows of `cols`, src rows `src_stride` apart, dst rows `dst_stride`. */
    void (*transpose)(void *dst, size_t dst_stride, const void *src, size_t src_stride, size_t rows, size_t cols,
                      int accumulate);

    /* The reference serves all levels from here on. Rows of k. */
    void (*softmax)(const void *x, void *y, size_t rows, size_t k);
    void (*softmax_backward)(const void *dy, const void *y, void *dx, size_t rows, size_t k);
    /* Returns the sum of the rows' losses, adds to *correct; dx (may be NULL) is times factor. */
    double (*cross_entropy)(const void *x, const int64_t *labels, size_t rows, size_t k, double smoothing,
                            double factor, void *dx, int64_t *correct);
    /* The same with class probabilities as targets, rows like x. */
    double (*soft_cross_entropy)(const void *x, const void *target, size_t rows, size_t k, double smoothing,
                                 double factor, void *dx, int64_t *correct);
    /*
     * One image's pixels first..last-1: x [pixels][channels] against target [channels][pixels]. Returns the sum of
     * squares; dx (may be NULL) is times factor.
     */
    double (*squared_error)(const void *x, const void *target, size_t channels, size_t pixels, size_t first,
                            size_t last, double factor, void *dx);
    /* Elements first..last-1, counted in NCHW order. */
    void (*dropout)(const rni_dropout *d, const void *x, void *y, size_t first, size_t last);
} rni_typed_kernels;

/* Parameters, gradients and optimizer state are f32 whatever T is. buf may be NULL without momentum. */
typedef struct rni_update_kernels {
    void (*sgd)(const rni_sgd *s, float *p, const float *g, float *buf, size_t n);
    void (*adam)(const rni_adam *a, float *p, const float *g, float *m, float *v, size_t n);
    /* a += weight (b - a) */
    void (*lerp)(double weight, float *a, const float *b, size_t n);
} rni_update_kernels;

/* Between f32 and a type of two bytes: bf16 (see bf16.h) or f16. */
typedef struct rni_half_kernels {
    void (*widen)(float *dst, const uint16_t *src, size_t n);
    void (*narrow)(uint16_t *dst, const float *src, size_t n);
} rni_half_kernels;

struct rni_cpu_kernels {
    rni_typed_kernels f32, f64;
    rni_typed_kernels bf16; /* per-channel values are f32; what is NULL is done with f32 copies (widen.h) */
    rni_half_kernels convert; /* bf16 */
    rni_half_kernels convert_f16; /* the one thing done in f16: its ops run on f32 copies (widen.h) */
    rni_update_kernels update;
};

void rni_kernels_ref_f32(rni_typed_kernels *k);
void rni_kernels_ref_f64(rni_typed_kernels *k);
void rni_kernels_ref_bf16(rni_half_kernels *k);
void rni_kernels_ref_f16(rni_half_kernels *k);
/* Each fills or overwrites what it has; base fills everything. */
void rni_kernels_base(struct rni_cpu_kernels *k);
void rni_kernels_avx2(struct rni_cpu_kernels *k);
void rni_kernels_avx2_bf16(struct rni_cpu_kernels *k);
void rni_kernels_avx2_f16(struct rni_cpu_kernels *k);
void rni_kernels_avx512(struct rni_cpu_kernels *k);
void rni_kernels_avx512_bf16(struct rni_cpu_kernels *k);
void rni_kernels_avx512bf16(struct rni_cpu_kernels *k);

/* kernels_init.c: all levels up to `level` that are compiled in. */
void rni_kernels_init(struct rni_cpu_kernels *k, int32_t level);
/* The highest level compiled in. */
int32_t rni_kernels_built_level(void);

#endif
