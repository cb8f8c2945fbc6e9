/* SPDX-License-Identifier: MIT */
/*
 * Watching a backend. With RN_VALIDATE=1 in the environment programs on devices with host memory run op by op, and each
 * op is looked at: its operands have addresses and room for the batch, and what it wrote holds no NaN that was not in
 * what it read. For writing a backend and for finding where a network goes wrong; slow.
 */
#include "backend/validate.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

int rni_validate_wanted(const rn_device *dev)
{
    const char *const wish = getenv("RN_VALIDATE");
    return wish && strcmp(wish, "1") == 0 && dev->info.host_memory;
}

static int has_nan(const rn_value *v, const void *data, int64_t batch)
{
    size_t count = rn_dtype_size(v->dtype) ? (size_t)v->bytes / rn_dtype_size(v->dtype) : 0;
    if (v->layout == RN_LAYOUT_PACKED)
        return 0;
    if (v->batch_axis == 0 && v->dims[0] > 0)
        count = count / (size_t)v->dims[0] * (size_t)batch;
    for (size_t i = 0; i < count; i++) {
        if (v->dtype == RN_F32 && isnan(((const float *)data)[i]))
            return 1;
        if (v->dtype == RN_F64 && isnan(((const double *)data)[i]))
            return 1;
    }
    return 0;
}

static const char *path_of(const rn_op *op)
{
    return op->path ? op->path : "?";
}

/* Whether any operand holds a NaN; RN_E_INTERNAL for one that cannot be. */
static rn_status scan(const rn_op *op, const uint32_t *operands, uint32_t count, const rn_program_desc *desc,
                      const rn_run *run, int *found)
{
    for (uint32_t k = 0; k < count; k++) {
        if (operands[k] == RN_NO_VALUE)
            continue;
        if (operands[k] >= desc->num_values)
            return rni_fail(RN_E_INTERNAL, "%s: op kind %d: operand %u is value %u of %u", path_of(op), (int)op->kind,
                            k, operands[k], desc->num_values);
        const rn_value *const v = &desc->values[operands[k]];
        if (v->role < 0 || v->role >= RN_ROLE_COUNT || !run->base[v->role])
            return rni_fail(RN_E_INTERNAL, "%s: op kind %d: operand %u has no address", path_of(op), (int)op->kind, k);
        if (run->batch < 1 || (v->batch_axis == 0 && run->batch > v->dims[0]))
            return rni_fail(RN_E_INTERNAL, "%s: op kind %d: a batch of %lld is too large for operand %u", path_of(op),
                            (int)op->kind, (long long)run->batch, k);
        *found |= has_nan(v, (const char *)run->base[v->role] + v->offset, run->batch);
    }
    return RN_OK;
}

rn_status rni_validate_before(const rn_op *op, const rn_program_desc *desc, const rn_run *run, int *had_nan)
{
    *had_nan = 0;
    return scan(op, op->in, op->num_in, desc, run, had_nan);
}

rn_status rni_validate_after(const rn_op *op, const rn_program_desc *desc, const rn_run *run, int had_nan)
{
    int found = 0;
    RNI_TRY(scan(op, op->out, op->num_out, desc, run, &found));
    if (found && !had_nan)
        return rni_fail(RN_E_BACKEND, "%s: op kind %d wrote a NaN although it read none", path_of(op), (int)op->kind);
    return RN_OK;
}
