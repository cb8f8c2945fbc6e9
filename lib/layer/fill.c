/* SPDX-License-Identifier: MIT */
/* How weights and biases begin, for all layers that have them. */
#include "layer/layer.h"
#include <math.h>

void rni_fill_weight(rni_state_decl *weight, int32_t init, double fan_in, double fan_out)
{
    weight->fill = init == RN_INIT_DEFAULT ? RNI_FILL_UNIFORM : RNI_FILL_NORMAL;
    switch (init) {
    case RN_INIT_KAIMING_FAN_IN:
        weight->amount = sqrt(2.0 / fan_in);
        break;
    case RN_INIT_KAIMING_FAN_OUT:
        weight->amount = sqrt(2.0 / fan_out);
        break;
    case RN_INIT_NORMAL_001:
        weight->amount = 0.01;
        break;
    default:
        weight->amount = 1.0 / sqrt(fan_in);
        break;
    }
}

void rni_fill_bias(rni_state_decl *bias, int zero, double fan_in)
{
    bias->fill = zero ? RNI_FILL_CONSTANT : RNI_FILL_UNIFORM;
    bias->amount = zero ? 0.0 : 1.0 / sqrt(fan_in);
}
