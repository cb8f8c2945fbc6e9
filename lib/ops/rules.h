/* SPDX-License-Identifier: MIT */
/* What op_query checks of every op before a backend's driver is asked: the same on all backends, and the same texts. */
#ifndef RNI_OPS_RULES_H
#define RNI_OPS_RULES_H

#include <resnet/sys/backend.h>

/* Number of operands, params, dtypes, dims and layouts. RN_E_UNSUPPORTED for an element type there are no kernels of. */
rn_status rni_ops_check(const rn_op *op, const rn_value *values, rn_op_info *info);

/* Fails with "path: kind: text". */
rn_status rni_ops_refuse(const rn_op *op, rn_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
