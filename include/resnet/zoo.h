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

typedef struct rn_zoo_options {
    size_t struct_size;
    uint64_t flags;      /**< 0 */
    int64_t classes;     /**< 0: as published (10, ImageNet nets 1,000) */
    int64_t in_channels; /**< 0: as published (3) */
} rn_zoo_options;
#define RN_ZOO_OPTIONS_INIT {sizeof(rn_zoo_options), 0, 0, 0}

/** Shortcuts where the dimensions change. */
enum {
    RN_SHORTCUT_A = 0, /**< every second pixel, zero channels added: no parameters */
    RN_SHORTCUT_B = 1, /**< 1x1 convolution and BN */
    RN_SHORTCUT_3X3 = 2 /**< 3x3 convolution and BN: the tutorial's */
};

/** A CIFAR net of depth 6n+2 (He et al. 2015, section 4.2). */
typedef struct rn_cifar_resnet_options {
    size_t struct_size;
    uint64_t flags;      /**< RN_CIFAR_* */
    int64_t depth;       /**< 6n+2, n from 1 to 1,000: 8, 14, 20, ... */
    int64_t classes;     /**< 1 or more */
    int64_t in_channels; /**< 1 or more */
    int32_t shortcut;    /**< RN_SHORTCUT_* */
    int32_t init;        /**< RN_INIT_* of convolutions and the linear layer */
} rn_cifar_resnet_options;
#define RN_CIFAR_PLAIN 1u       /**< no shortcuts: the plain twin */
#define RN_CIFAR_ZEROS_AFTER 2u /**< option A puts all zero channels after the data (fb.resnet.torch); else half on each side */
#define RN_CIFAR_RESNET_OPTIONS_INIT                                         \
    {                                                                        \
        sizeof(rn_cifar_resnet_options), 0, 20, 10, 3, RN_SHORTCUT_A,        \
            RN_INIT_KAIMING_FAN_IN                                           \
    }

RN_API rn_status rn_zoo_options_init(rn_zoo_options *options, size_t struct_size);
RN_API rn_status rn_cifar_resnet_options_init(rn_cifar_resnet_options *options, size_t struct_size);

/**
 * Makes a net by name: "tutorial", "cifar_resnet20" to "cifar_resnet110" (option A), "cifar_resnet20_b" ... (option B),
 * "cifar_plain20" ...; "resnet18", "resnet34", "resnet50", "resnet101" and "resnet152" for ImageNet, layer by layer and name
 * by name torchvision's. Inputs may have any size from 8 px up (ImageNet nets: 32): all end in global average pooling.
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

#ifdef __cplusplus
}
#endif
#endif
