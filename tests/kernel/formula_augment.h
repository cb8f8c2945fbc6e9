/* SPDX-License-Identifier: MIT */
/* A formula of its own file, see formulas.c. */
#ifndef FORMULA_AUGMENT_H
#define FORMULA_AUGMENT_H

#include <resnet/sys/backend.h>

/* Operands of RN_OP_AUGMENT as doubles. */
typedef struct oc_augment {
    const rn_augment_params *params;
    const int64_t *stored; /* dims of images */
    const double *images, *labels, *order, *key, *table, *fill, *mean, *after;
    int64_t num_after;
} oc_augment;

void oc_augment_formula(const oc_augment *a, int64_t rows, double *x, double *y);

#endif
