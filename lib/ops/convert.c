/* SPDX-License-Identifier: MIT */
/* Operands of RN_OP_CONVERT. */
#include "ops/operands.h"
#include "base/error.h"
#include "base/half.h"
#include "ops/rules.h"

rn_status rni_ops_check_convert(const rn_op *op, const rn_value *values)
{
    const rn_value *const a = &values[op->in[0]], *const b = &values[op->out[0]];
    int equal = a->rank == b->rank && a->batch_axis == b->batch_axis;
    for (int32_t i = 0; equal && i < a->rank; i++)
        equal = a->dims[i] == b->dims[i];
    if (!equal) {
        char from[RNI_SHAPE_TEXT], to[RNI_SHAPE_TEXT];
        return rni_ops_refuse(op, RN_E_SHAPE, "equal dims expected, got %s and %s",
                              rni_shape_text(from, a->rank, a->dims), rni_shape_text(to, b->rank, b->dims));
    }
    const int same = a->dtype == b->dtype && a->layout == b->layout && !(op->flags & RN_OPF_ACCUMULATE);
    if (!same && (!rni_is_compute_dtype(a->dtype) || !rni_is_compute_dtype(b->dtype)))
        return rni_ops_refuse(op, RN_E_UNSUPPORTED, "from %s to %s", rn_dtype_name(a->dtype), rn_dtype_name(b->dtype));
    const int packed = a->layout == RN_LAYOUT_PACKED || b->layout == RN_LAYOUT_PACKED;
    if (packed || (a->layout != b->layout && a->rank != 4))
        return rni_ops_refuse(op, RN_E_UNSUPPORTED, "from layout %d to %d at rank %d", (int)a->layout, (int)b->layout,
                              (int)a->rank);
    return RN_OK;
}
