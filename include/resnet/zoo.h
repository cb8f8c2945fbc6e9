/* SPDX-License-Identifier: MIT */
/**
 * @file zoo.h
 * Published networks as layer trees.
 */
#ifndef RESNET_ZOO_H
#define RESNET_ZOO_H

#include <resnet/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Flags that all options of this header know. */
#define RN_ZOO_ZERO_INIT 0x100u /**< the weight of the last BN of each residual block begins at 0: RN_BATCHNORM_ZERO_INIT */
#define RN_ZOO_FROZEN_BN 0x200u /**< every BN uses its running statistics in training, too: RN_BATCHNORM_FROZEN */

typedef struct rn_zoo_options {
    size_t struct_size;
    uint64_t flags;      /**< RN_ZOO_* */
    int64_t classes;     /**< 0: as published (10, ImageNet nets 1,000) */
    int64_t in_channels; /**< 0: as published (3) */
} rn_zoo_options;
#define RN_ZOO_OPTIONS_INIT {sizeof(rn_zoo_options), 0, 0, 0}

/** Shortcuts (He et al. 2015, section 3.3). The identity where the dimensions stay, but for option C. */
enum {
    RN_SHORTCUT_A = 0,   /**< every second pixel, zero channels added: no parameters */
    RN_SHORTCUT_B = 1,   /**< 1x1 convolution and BN where the dimensions change */
    RN_SHORTCUT_3X3 = 2, /**< 3x3 convolution and BN where the dimensions change: the tutorial's */
    RN_SHORTCUT_C = 3    /**< 1x1 convolution and BN everywhere */
};

/** A CIFAR net of depth 6n+2 (He et al. 2015, section 4.2). */
typedef struct rn_cifar_resnet_options {
    size_t struct_size;
    uint64_t flags;      /**< RN_CIFAR_*, RN_ZOO_* */
    int64_t depth;       /**< 6n+2, n from 1 to 1,000: 8, 14, 20, ... */
    int64_t classes;     /**< 1 or more */
    int64_t in_channels; /**< 1 or more */
    int32_t shortcut;    /**< RN_SHORTCUT_* */
    int32_t init;        /**< RN_INIT_* of convolutions and the linear layer */
    int64_t width;       /**< channels of stem and first stage, doubled from stage to stage; 0: 16, as published */
} rn_cifar_resnet_options;
#define RN_CIFAR_PLAIN 1u       /**< no shortcuts: the plain twin */
#define RN_CIFAR_ZEROS_AFTER 2u /**< option A puts all zero channels after the data (fb.resnet.torch); else half on each side */
#define RN_CIFAR_RESNET_OPTIONS_INIT                                         \
    {                                                                        \
        sizeof(rn_cifar_resnet_options), 0, 20, 10, 3, RN_SHORTCUT_A,        \
            RN_INIT_KAIMING_FAN_IN, 0                                        \
    }

/** Blocks (He et al. 2015, figure 5). */
enum {
    RN_BLOCK_BASIC = 1,     /**< 3x3, 3x3 */
    RN_BLOCK_BOTTLENECK = 2 /**< 1x1, 3x3, 1x1 to four times as many channels */
};

/** An ImageNet net: 7x7 stem, max pooling, four stages (He et al. 2015, table 1), and its relatives. */
typedef struct rn_resnet_options {
    size_t struct_size;
    uint64_t flags;          /**< RN_RESNET_*, RN_ZOO_* */
    int64_t depth;           /**< 18, 34, 50, 101 or 152; 0: what blocks and block say */
    int64_t blocks[4];       /**< blocks of each stage, 1 to 1,000; beside a depth 0 */
    int64_t classes;         /**< 1 or more */
    int64_t in_channels;     /**< 1 or more */
    int64_t width;           /**< channels of the stem and, for basic blocks, of the first stage; doubled from stage to stage */
    int64_t groups;          /**< of a bottleneck's 3x3 convolutions: ResNeXt */
    int64_t width_per_group; /**< a bottleneck's 3x3 has width * width_per_group / 64 * groups channels in the first stage */
    int32_t block;           /**< RN_BLOCK_*; beside a depth 0 */
    int32_t shortcut;        /**< RN_SHORTCUT_* */
    int32_t init;            /**< RN_INIT_* of convolutions and the linear layer */
    int32_t reserved;        /**< 0 */
} rn_resnet_options;
#define RN_RESNET_PLAIN 1u       /**< no shortcuts: the plain twin */
#define RN_RESNET_ZEROS_AFTER 2u /**< option A puts all zero channels after the data (fb.resnet.torch); else half on each side */
#define RN_RESNET_V1 4u          /**< a bottleneck's stride is its first 1x1 convolution's (the paper), not the 3x3's (torchvision) */
/** torchvision's ResNet-50. */
#define RN_RESNET_OPTIONS_INIT                                               \
    {                                                                        \
        sizeof(rn_resnet_options), 0, 50, {0, 0, 0, 0}, 1000, 3, 64, 1, 64,  \
            0, RN_SHORTCUT_B, RN_INIT_KAIMING_FAN_OUT, 0                     \
    }

RN_API rn_status rn_zoo_options_init(rn_zoo_options *options, size_t struct_size);
RN_API rn_status rn_cifar_resnet_options_init(rn_cifar_resnet_options *options, size_t struct_size);
RN_API rn_status rn_resnet_options_init(rn_resnet_options *options, size_t struct_size);

/**
 * Makes a net by name. For CIFAR: "tutorial", "cifar_resnet20" to "cifar_resnet1202" (option A), "cifar_resnet20_b" ...
 * (option B), "cifar_plain20" ... For ImageNet, layer by layer and name by name torchvision's where it has them: "resnet18",
 * "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d",
 * "wide_resnet50_2", "wide_resnet101_2"; besides "plain18", "plain34", "resnet34_a", "resnet34_c" and, with the paper's
 * strides, "resnet50_v1", "resnet101_v1", "resnet152_v1"; and "vgg19", "vgg19_bn", with which the paper compares.
 *
 * Inputs may have any size from 8 px up (VGG: 32; other ImageNet nets give sense from 32): all end in global average
 * pooling, VGG in adaptive pooling to 7x7.
 * @param options [in, optional]
 * @return RN_E_NOT_FOUND; the message lists the names
 */
RN_API rn_status rn_zoo_create(rn_context *ctx, const char *name, const rn_zoo_options *options, rn_layer **out);

/** @return the index-th name, NULL beyond the last. Static. */
RN_API const char *rn_zoo_name(size_t index);

/**
 * Names in published files that differ from the zoo's, as pairs for rn_load_options: "akamaster" for the CIFAR nets of
 * akamaster/pytorch_resnet_cifar10 (`linear` is `fc`, `shortcut` is `downsample`; their files also want strip_prefix
 * "module.").
 * @param table [out] static  @param count [out] of its pairs
 * @return RN_E_NOT_FOUND; the message lists the names
 */
RN_API rn_status rn_zoo_renames(const char *name, const rn_rename **table, size_t *count);

/** Makes a CIFAR net. @return RN_E_INVALID for a depth that is not 6n+2 */
RN_API rn_status rn_cifar_resnet_create(rn_context *ctx, const rn_cifar_resnet_options *options, rn_layer **out);

/** Makes an ImageNet net. @param options [in, optional] @return RN_E_INVALID for what cannot be built */
RN_API rn_status rn_resnet_create(rn_context *ctx, const rn_resnet_options *options, rn_layer **out);

#ifdef __cplusplus
}
#endif
#endif
