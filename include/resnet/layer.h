/* SPDX-License-Identifier: MIT */
/**
 * @file layer.h
 * Layers: descriptions that a model is made of.
 *
 * A layer owns no weights. Used in two places it makes two sets of parameters.
 * rn_model_create() freezes the tree: appending to or replacing in it fails
 * with RN_E_STATE from then on. Names follow torchvision
 * ("layer1.0.conv1.weight"); a child with an empty name adds no path component.
 */
#ifndef RESNET_LAYER_H
#define RESNET_LAYER_H

#include <resnet/context.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rn_layer rn_layer;

/** How weights are drawn by rn_model_init(). */
enum {
    RN_INIT_DEFAULT = 0,        /**< PyTorch's default: U(-1/sqrt(fan_in), 1/sqrt(fan_in)); biases the same bound */
    RN_INIT_KAIMING_FAN_IN = 1, /**< normal, variance 2/fan_in (He et al. 2015, arXiv 1502.01852, eq. 10) */
    RN_INIT_KAIMING_FAN_OUT = 2, /**< normal, variance 2/(out*kh*kw), torchvision's ResNets (eq. 14 there) */
    RN_INIT_NORMAL_001 = 3       /**< normal, standard deviation 0.01 (Krizhevsky et al. 2012), torchvision's VGG classifiers */
};

/** torch.nn.Conv2d: cross-correlation, zero padding. Pairs are {height, width}. */
typedef struct rn_conv2d_options {
    size_t struct_size;
    uint64_t flags;       /**< RN_CONV2D_* */
    int64_t in_channels;  /**< 1 or more; a multiple of groups */
    int64_t out_channels; /**< 1 or more; a multiple of groups */
    int64_t kernel[2];    /**< 1 or more */
    int64_t stride[2];    /**< 1 or more */
    int64_t padding[2];   /**< 0 or more, on both sides */
    int64_t dilation[2];  /**< 1 or more */
    int64_t groups;       /**< 1 or more */
    int32_t bias;         /**< 1: adds a bias per output channel */
    int32_t init;         /**< RN_INIT_* of the weight */
} rn_conv2d_options;
/** The bias begins at 0, whatever `init` says of the weight. */
#define RN_CONV2D_ZERO_BIAS 1u
/** 3x3, stride 1, padding 1, no bias: the convolution of the ResNets. Set the channels. */
#define RN_CONV2D_OPTIONS_INIT                                               \
    {                                                                        \
        sizeof(rn_conv2d_options), 0, 0, 0, {3, 3}, {1, 1}, {1, 1}, {1, 1},  \
            1, 0, 0                                                          \
    }

/** torch.nn.BatchNorm2d. */
typedef struct rn_batchnorm2d_options {
    size_t struct_size;
    uint64_t flags;   /**< RN_BATCHNORM_* */
    int64_t channels; /**< 1 or more */
    double eps;       /**< above 0 */
    double momentum;  /**< weight of the new batch in the running statistics, 0 to 1 */
} rn_batchnorm2d_options;
/** momentum=None of PyTorch: the k-th batch weighs 1/k. */
#define RN_BATCHNORM_CUMULATIVE 1u
/** affine=False of PyTorch: no weight and bias. */
#define RN_BATCHNORM_NOT_AFFINE 2u
/** The weight begins at 0 instead of 1: a residual block that ends in it begins as its shortcut (Goyal et al. 2017). */
#define RN_BATCHNORM_ZERO_INIT 4u
/**
 * Training normalises with the running statistics, too, and leaves them alone: for fine-tuning with small batches. Weight
 * and bias are trained unless rn_model_set_trainable() freezes them.
 */
#define RN_BATCHNORM_FROZEN 8u
#define RN_BATCHNORM2D_OPTIONS_INIT                                          \
    {                                                                        \
        sizeof(rn_batchnorm2d_options), 0, 0, 1e-5, 0.1                      \
    }

/** torch.nn.MaxPool2d (pads with minus infinity) and AvgPool2d. */
typedef struct rn_pool2d_options {
    size_t struct_size;
    uint64_t flags;     /**< RN_POOL_* */
    int64_t kernel[2];  /**< 1 or more */
    int64_t stride[2];  /**< 0: the kernel's */
    int64_t padding[2]; /**< at most half the kernel */
} rn_pool2d_options;
/** Average over the pixels inside the image only (count_include_pad=False). */
#define RN_POOL_EXCLUDE_PADDING 1u
#define RN_POOL2D_OPTIONS_INIT                                               \
    {                                                                        \
        sizeof(rn_pool2d_options), 0, {2, 2}, {0, 0}, {0, 0}                 \
    }

/** torch.nn.Linear on [N, in_features]. */
typedef struct rn_linear_options {
    size_t struct_size;
    uint64_t flags;       /**< RN_LINEAR_* */
    int64_t in_features;  /**< 1 or more */
    int64_t out_features; /**< 1 or more */
    int32_t bias;         /**< 1: with bias */
    int32_t init;         /**< RN_INIT_* of the weight */
} rn_linear_options;
/** The bias begins at 0, whatever `init` says of the weight. */
#define RN_LINEAR_ZERO_BIAS 1u
#define RN_LINEAR_OPTIONS_INIT                                               \
    {                                                                        \
        sizeof(rn_linear_options), 0, 0, 0, 1, 0                             \
    }

/** Shortcut option A of the paper: every stride-th pixel, zero channels added. */
typedef struct rn_pad_shortcut_options {
    size_t struct_size;
    uint64_t flags;          /**< 0 */
    int64_t stride[2];       /**< 1 or more */
    int64_t channels_before; /**< zero channels before the data */
    int64_t channels_after;  /**< zero channels after the data */
} rn_pad_shortcut_options;
#define RN_PAD_SHORTCUT_OPTIONS_INIT                                         \
    {                                                                        \
        sizeof(rn_pad_shortcut_options), 0, {2, 2}, 0, 0                     \
    }

/** y = main(x) + shortcut(x), then ReLU unless RN_RESIDUAL_NO_RELU. */
typedef struct rn_residual_options {
    size_t struct_size;
    uint64_t flags;            /**< RN_RESIDUAL_* */
    const char *main_name;     /**< path component of the main branch; "" adds none; copied */
    const char *shortcut_name; /**< path component of the shortcut; copied */
} rn_residual_options;
#define RN_RESIDUAL_NO_RELU 1u
#define RN_RESIDUAL_OPTIONS_INIT                                             \
    {                                                                        \
        sizeof(rn_residual_options), 0, "", "downsample"                     \
    }

RN_API rn_status rn_conv2d_options_init(rn_conv2d_options *options, size_t struct_size);
RN_API rn_status rn_batchnorm2d_options_init(rn_batchnorm2d_options *options, size_t struct_size);
RN_API rn_status rn_pool2d_options_init(rn_pool2d_options *options, size_t struct_size);
RN_API rn_status rn_linear_options_init(rn_linear_options *options, size_t struct_size);
RN_API rn_status rn_pad_shortcut_options_init(rn_pad_shortcut_options *options, size_t struct_size);
RN_API rn_status rn_residual_options_init(rn_residual_options *options, size_t struct_size);

RN_API rn_layer *rn_layer_retain(rn_layer *layer);
RN_API void rn_layer_release(rn_layer *layer);

/** [N, in, H, W] to [N, out, OH, OW], OH = floor((H + 2 pad - dilation (k-1) - 1) / stride) + 1. State: weight, bias. */
RN_API rn_status rn_conv2d_create(rn_context *ctx, const rn_conv2d_options *options, rn_layer **out);

/**
 * [N, C, H, W] to the same. Training: y = weight (x - mean) / sqrt(var + eps) + bias over N, H, W with the
 * biased variance; running statistics take the unbiased one (Ioffe and Szegedy 2015, as PyTorch does). One value per
 * channel in training is RN_E_SHAPE. Frozen: as in inference, always. State: weight, bias, running_mean, running_var,
 * num_batches_tracked.
 */
RN_API rn_status rn_batchnorm2d_create(rn_context *ctx, const rn_batchnorm2d_options *options, rn_layer **out);

/** max(x, 0), any shape; the gradient at 0 is 0. */
RN_API rn_status rn_relu_create(rn_context *ctx, rn_layer **out);

/** [N, C, H, W]; the first of equal maxima gets the gradient. */
RN_API rn_status rn_maxpool2d_create(rn_context *ctx, const rn_pool2d_options *options, rn_layer **out);

/** [N, C, H, W]; padding counts as zeros unless RN_POOL_EXCLUDE_PADDING. */
RN_API rn_status rn_avgpool2d_create(rn_context *ctx, const rn_pool2d_options *options, rn_layer **out);

/** [N, C, H, W] to [N, C, 1, 1], torch.nn.AdaptiveAvgPool2d(1). */
RN_API rn_status rn_global_avgpool2d_create(rn_context *ctx, rn_layer **out);

/**
 * [N, C, H, W] to [N, C, height, width], torch.nn.AdaptiveAvgPool2d((height, width)): output i is the average over pixels
 * floor(i H / height) to ceil((i + 1) H / height) - 1. Images of that size pass through; smaller ones have pixels repeated.
 * @param height 1 or more @param width 1 or more
 */
RN_API rn_status rn_adaptive_avgpool2d_create(rn_context *ctx, int64_t height, int64_t width, rn_layer **out);

/** [N, in] to [N, out]: y = x W^T + b. State: weight [out, in], bias [out]. */
RN_API rn_status rn_linear_create(rn_context *ctx, const rn_linear_options *options, rn_layer **out);

/** [N, C, H, W] to [N, C*H*W], in that order; [N, F] is passed through. */
RN_API rn_status rn_flatten_create(rn_context *ctx, rn_layer **out);

/** Training: zeroes with probability p and scales the rest by 1/(1-p); inference: identity. 0 <= p < 1. */
RN_API rn_status rn_dropout_create(rn_context *ctx, double p, rn_layer **out);

/** Over dimension 1, torch.nn.Softmax(dim=1). [N, K] or [N, C, H, W]. */
RN_API rn_status rn_softmax_create(rn_context *ctx, rn_layer **out);

/** y = x. */
RN_API rn_status rn_identity_create(rn_context *ctx, rn_layer **out);

/** [N, C, H, W] to [N, before + C + after, ceil(H/stride), ceil(W/stride)]. */
RN_API rn_status rn_pad_shortcut_create(rn_context *ctx, const rn_pad_shortcut_options *options, rn_layer **out);

/** A chain of layers, empty at first (an empty one is the identity). */
RN_API rn_status rn_sequential_create(rn_context *ctx, rn_layer **out);

/**
 * Appends a child; the sequence takes its own reference.
 * @param name [optional] path component, without dots; NULL: the child's index; "" adds none
 * @return RN_E_INVALID for a name that is there already or a cycle, RN_E_STATE once frozen
 */
RN_API rn_status rn_sequential_append(rn_layer *seq, const char *name, rn_layer *child);

/**
 * A residual block (He et al. 2015, eqs. 1 and 2).
 * @param main     the residual function F
 * @param shortcut [optional] NULL: the identity
 */
RN_API rn_status rn_residual_create(rn_context *ctx, rn_layer *main, rn_layer *shortcut,
                                    const rn_residual_options *options, rn_layer **out);

/**
 * The shape a layer gives for an input shape, in training mode's rules.
 * @param out_rank [out] @param out_dims [out] RN_MAX_RANK entries
 * @return RN_E_SHAPE with the path of the layer that does not fit
 */
RN_API rn_status rn_layer_output_shape(const rn_layer *layer, int32_t rank, const int64_t *dims, int32_t *out_rank,
                                       int64_t *out_dims);

/**
 * Replaces a descendant, "fc" or "layer1.0", before a model is made of the tree.
 * @return RN_E_NOT_FOUND, RN_E_STATE once frozen, RN_E_INVALID for a cycle
 */
RN_API rn_status rn_layer_replace_child(rn_layer *layer, const char *path, rn_layer *child);

#ifdef __cplusplus
}
#endif
#endif
