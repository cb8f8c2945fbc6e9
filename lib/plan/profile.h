/* SPDX-License-Identifier: MIT */
#ifndef RNI_PLAN_PROFILE_H
#define RNI_PLAN_PROFILE_H

#include "backend/context.h"

typedef struct rni_profile rni_profile;

rn_status rni_profile_create(rn_device *dev, uint32_t num_ops, rni_profile **out);
void rni_profile_free(rni_profile *profile); /* NULL is fine */
/* The run's ops one by one, timed. */
rn_status rni_profile_run(rni_profile *profile, rni_compiled *compiled, const rn_run *run);

#endif
