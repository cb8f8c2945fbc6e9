/* SPDX-License-Identifier: MIT */
#include "roofline.h"
#include "plan/internal.h"

st_traffic st_traffic_of(const rn_plan *plan)
{
    static const int sections[] = {RNI_SECTION_PREPARE, RNI_SECTION_INPUT,    RNI_SECTION_FORWARD,
                                   RNI_SECTION_LOSS,    RNI_SECTION_BACKWARD, RNI_SECTION_UPDATE};
    const rni_traffic least = rni_plan_step_traffic(plan);
    st_traffic sum = {.bytes = least.bytes, .flops = least.flops};
    for (size_t s = 0; s < sizeof sections / sizeof sections[0]; s++)
        sum.ops += (int)(plan->first[sections[s] + 1] - plan->first[sections[s]]);
    return sum;
}
