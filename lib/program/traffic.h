/* SPDX-License-Identifier: MIT */
/* What ops must move and compute at least. */
#ifndef RNI_TRAFFIC_H
#define RNI_TRAFFIC_H

#include "program/program.h"

/* Bytes read and written, and nominal floating-point operations: taps of convolutions in the padding count. */
typedef struct rni_traffic {
    double bytes, flops;
} rni_traffic;

/*
 * Of one op, for `share` of the largest batch (0 to 1). Every operand is read once and every result written once; a result
 * that is added to is read as well. The gradient of batch normalisation is the exception: dx needs sums over all of dy and x,
 * which are read a second time for it, in whatever form is the smaller. Workspaces do not count, nor does what caches hold.
 * FLOPs are those of convolutions and matrix products.
 */
rni_traffic rni_op_traffic(const rni_program *p, const rn_op *op, double share);

#endif
