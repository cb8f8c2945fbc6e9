/* SPDX-License-Identifier: MIT */
/* Launchers of the kernels over activations, between convolutions. They enqueue and return the launch's error; sizes are those of the run. */
#ifndef RNI_CUDA_ACTIVATIONS_H
#define RNI_CUDA_ACTIVATIONS_H

#include "cuda.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Per-channel sums and batch normalisation (bn_*.cu, bias_grad.cu): activations are [rows][channels]. */

/*
 * Counters of the sums' kernels: zero whenever none runs; one for every column of blocks, which is enough for so many
 * channels.
 */
enum { RNI_K_COUNTERS = 4096, RNI_K_MOST_CHANNELS = RNI_K_COUNTERS * 32 };

/* Bytes of the partial results of `sums` sums per channel; they grow with the rows. */
uint64_t rni_k_partial_bytes(int32_t processors, int64_t rows, int64_t channels, int32_t sums);

typedef struct rni_k_stats {
    const void *x;
    float *mean, *var, *partial; /* partial: rni_k_partial_bytes() of RNI_K_STATS_SUMS */
    float *running_mean, *running_var; /* NULL: these and what follows stay */
    int64_t *batches;
    double momentum, unbiased; /* unbiased: what the biased variance is multiplied by */
    double inverse; /* of rows; the launcher's */
    int64_t rows, channels;
    int32_t *counters;
    int32_t dtype, processors;
} rni_k_stats;
enum { RNI_K_STATS_SUMS = 3 };
/* Mean and variance of x, and from them the running ones. */
cudaError_t rni_k_bn_stats(cudaStream_t stream, const rni_k_stats *s);
/* The running ones alone. cumulative: the weight of the k-th update is 1/k. */
cudaError_t rni_k_bn_running(cudaStream_t stream, const rni_k_stats *s, int32_t cumulative);

/* y = x scale + shift (+ residual) (ReLU); scale NULL: batch normalisation's, with gamma and beta or NULL. y may be x. */
typedef struct rni_k_affine {
    const void *x, *residual;
    void *y;
    const float *scale, *shift, *mean, *var, *gamma, *beta;
    double eps;
    int64_t rows, channels;
    int32_t relu, dtype, processors;
} rni_k_affine;
cudaError_t rni_k_affine_rows(cudaStream_t stream, const rni_k_affine *a);

/* mean, var, gamma, beta, eps and channels: scale and behind it shift to y, in f16. */
cudaError_t rni_k_bn_factors(cudaStream_t stream, const rni_k_affine *a);

cudaError_t rni_k_bn_fold(cudaStream_t stream, const float *gamma, const float *beta, const float *mean,
                          const float *var, const float *bias, float *scale, float *shift, int64_t channels,
                          double eps);

typedef struct rni_k_bn_backward {
    const void *dy, *x, *y; /* y: for the mask, or NULL */
    const float *mean, *var, *gamma, *beta;
    void *dx, *dres;
    float *dgamma, *dbeta;
    float *workspace; /* rni_k_bn_backward_bytes() */
    int32_t *counters;
    double eps;
    int64_t rows, channels;
    int32_t from_x; /* the mask is made from x */
    int32_t accumulate, frozen, dtype, processors;
} rni_k_bn_backward;
cudaError_t rni_k_bn_backward_all(cudaStream_t stream, const rni_k_bn_backward *b);
uint64_t rni_k_bn_backward_bytes(int32_t processors, int64_t rows, int64_t channels);

/* db += sum of dy. partial: rni_k_partial_bytes() of one sum. */
typedef struct rni_k_bias {
    const void *dy;
    float *db, *partial;
    int32_t *counters;
    int64_t rows, channels;
    int32_t dtype, processors;
} rni_k_bias;
cudaError_t rni_k_bias_grad(cudaStream_t stream, const rni_k_bias *b);

/* Flat arrays (elementwise.cu). y may be a or b. */
enum {
    RNI_FLAT_RELU, /* ReLU of a */
    RNI_FLAT_RELU_BACKWARD, /* a where b is above zero */
    RNI_FLAT_ADD,
    RNI_FLAT_ADD_RELU
};
cudaError_t rni_k_flat(cudaStream_t stream, int32_t op, const void *a, const void *b, void *y, int64_t count,
                       int32_t dtype);

/* Pooling of NHWC images (maxpool.cu, avgpool.cu). */
typedef struct rni_k_pool {
    int64_t images, channels;
    int32_t height, width, out_height, out_width;
    int32_t kernel[2], stride[2], padding[2];
    int32_t exclude_padding, adaptive;
    int32_t global; /* average: one window, which is the image */
    int32_t dtype, processors;
} rni_k_pool;
cudaError_t rni_k_maxpool(cudaStream_t stream, const void *x, void *y, const rni_k_pool *p);
cudaError_t rni_k_maxpool_backward(cudaStream_t stream, const void *dy, const void *x, const void *y, void *dx,
                                   const rni_k_pool *p);
/* maxpool_tiles.cu: whole vectors of channels in windows three wide; what rni_k_maxpool_backward() leaves to it. */
int rni_maxpool_tiles_serve(const rni_k_pool *p);
cudaError_t rni_k_maxpool_tiles(cudaStream_t stream, const void *dy, const void *x, void *dx, const rni_k_pool *p);
cudaError_t rni_k_avgpool(cudaStream_t stream, const void *x, void *y, const rni_k_pool *p);
cudaError_t rni_k_avgpool_backward(cudaStream_t stream, const void *dy, void *dx, const rni_k_pool *p);

/* The shortcut without parameters (pad_shortcut.cu): from x to y, or backward from dy to dx. */
typedef struct rni_k_pad {
    int64_t images, channels, out_channels, before;
    int32_t height, width, out_height, out_width, stride[2];
    int32_t dtype, processors;
} rni_k_pad;
cudaError_t rni_k_pad_shortcut(cudaStream_t stream, const void *from, void *to, const rni_k_pad *p, int32_t backward);

/* Softmax over rows of k values (softmax.cu). y may be x, dx may be dy. */
cudaError_t rni_k_softmax(cudaStream_t stream, const void *x, void *y, int64_t rows, int64_t k, int32_t dtype);
cudaError_t rni_k_softmax_backward(cudaStream_t stream, const void *dy, const void *y, void *dx, int64_t rows,
                                   int64_t k, int32_t dtype);

/* Losses (loss.cu, mse.cu): their value goes to the metrics, their gradient, times grad_scale, to dx, unless NULL. */
typedef struct rni_k_loss {
    const void *x;
    const int64_t *labels; /* or NULL and targets */
    const void *target;
    void *dx;
    rn_step_metrics *metrics;
    void *workspace; /* rni_k_loss_bytes(images) */
    const rni_cuda_scalars *scalars;
    rni_cuda_mailbox *mailbox;
    int64_t images, k;
    double smoothing;
    uint32_t ticket;
    int32_t dtype, scaled; /* scaled: by the metrics' loss scale, too */
} rni_k_loss;
cudaError_t rni_k_cross_entropy(cudaStream_t stream, const rni_k_loss *l);
uint64_t rni_k_loss_bytes(int64_t images);

/* The prediction is [images][pixels][channels], the target [images][channels][pixels]. */
typedef struct rni_k_squares {
    const void *x, *target;
    void *dx;
    rn_step_metrics *metrics;
    void *workspace; /* RNI_K_MSE_BYTES */
    const rni_cuda_scalars *scalars;
    int64_t images, channels, pixels;
    int32_t dtype, processors, scaled;
} rni_k_squares;
enum { RNI_K_MSE_BYTES = 8192 };
cudaError_t rni_k_mse(cudaStream_t stream, const rni_k_squares *s);

/* Element (image, pixel, channel) of memory is number (image channels + channel) pixels + pixel. y may be x. */
typedef struct rni_k_dropout {
    const void *x;
    void *y;
    const rni_cuda_scalars *scalars; /* seed and step */
    int64_t images, channels, pixels;
    double factor; /* of what is kept */
    uint32_t threshold; /* kept when 24 random bits are at least that */
    uint32_t stream;
    int32_t dtype, processors;
} rni_k_dropout;
cudaError_t rni_k_dropout_rows(cudaStream_t stream, const rni_k_dropout *d);

#ifdef __cplusplus
}
#endif

#endif
