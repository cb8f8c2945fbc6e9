/* SPDX-License-Identifier: MIT */
/* Checks around every op, on request. */
#ifndef RNI_BACKEND_VALIDATE_H
#define RNI_BACKEND_VALIDATE_H

#include "backend/context.h"

/* Whether programs on this device are watched (see validate.c). */
int rni_validate_wanted(const rn_device *dev);
rn_status rni_validate_before(const rn_op *op, const rn_program_desc *desc, const rn_run *run, int *had_nan);
rn_status rni_validate_after(const rn_op *op, const rn_program_desc *desc, const rn_run *run, int had_nan);

#endif
