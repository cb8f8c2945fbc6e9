/* SPDX-License-Identifier: MIT */
/* Shapes of convolutions: what nets are made of, and what each way to compute one finds hard. */
#ifndef CONV_SHAPES_H
#define CONV_SHAPES_H

#include "op_case.h"

/* The random shape number `index`. */
rn_conv_params oc_conv_params(oc_rng *rng, int index);

/* Fills in the sizes of the output; makes the image larger until there is one. */
void oc_settle_conv(rn_conv_params *p);

#endif
