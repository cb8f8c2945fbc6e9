/* SPDX-License-Identifier: MIT */
/* An optimizer as PyTorch sees it: groups of parameters, numbered through all groups, with named moments. */
#ifndef RNI_FORMAT_TORCH_OPTIMIZER_H
#define RNI_FORMAT_TORCH_OPTIMIZER_H

#include "train/train.h"

/* A parameter of the model in PyTorch's order: group after group, within a group in the model's order. */
typedef struct rni_torch_parameter {
    size_t state;   /* index of the model's entry */
    uint32_t group; /* of the optimizer */
} rni_torch_parameter;

/* All parameters of an optimizer, for rni_free(). `count` [out] how many. */
rn_status rni_torch_parameters(const rn_optimizer *opt, rni_torch_parameter **out, size_t *count);

/* Names of the flat moments that the optimizer keeps, 0 to 2: "momentum_buffer". */
size_t rni_torch_moments(const rn_optimizer *opt, const char *names[2]);

#endif
