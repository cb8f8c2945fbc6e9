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

/* RN_E_INTERNAL for an operand that cannot be: `side` is "input" or "output". */
static rn_status check(const rn_op *op, const char *side, uint32_t k, uint32_t index, const rn_program_desc *desc,
                       const rn_run *run)
{
    if (index >= desc->num_values)
        return rni_fail(RN_E_INTERNAL, "%s: op kind %d: %s %u is value %u of %u", path_of(op), (int)op->kind, side, k,
                        index, desc->num_values);
    const rn_value *const v = &desc->values[index];
    if (v->role < 0 || v->role >= RN_ROLE_COUNT || !run->base[v->role])
        return rni_fail(RN_E_INTERNAL, "%s: op kind %d: %s %u has no address", path_of(op), (int)op->kind, side, k);
    if (run->batch < 1 || (v->batch_axis == 0 && run->batch > v->dims[0]))
        return rni_fail(RN_E_INTERNAL, "%s: op kind %d: a batch of %lld is too large for %s %u", path_of(op),
                        (int)op->kind, (long long)run->batch, side, k);
    return RN_OK;
}

static rn_status check_all(const rn_op *op, const rn_program_desc *desc, const rn_run *run)
{
    for (uint32_t k = 0; k < op->num_in; k++)
        if (op->in[k] != RN_NO_VALUE)
            RNI_TRY(check(op, "input", k, op->in[k], desc, run));
    for (uint32_t k = 0; k < op->num_out; k++)
        if (op->out[k] != RN_NO_VALUE)
            RNI_TRY(check(op, "output", k, op->out[k], desc, run));
    return RN_OK;
}

static int any_nan(const uint32_t *operands, uint32_t count, const rn_program_desc *desc, const rn_run *run)
{
    for (uint32_t k = 0; k < count; k++) {
        if (operands[k] == RN_NO_VALUE)
            continue;
        const rn_value *const v = &desc->values[operands[k]];
        if (has_nan(v, (const char *)run->base[v->role] + v->offset, run->batch))
            return 1;
    }
    return 0;
}

rn_status rni_validate_before(const rn_op *op, const rn_program_desc *desc, const rn_run *run, int *had_nan)
{
    RNI_TRY(check_all(op, desc, run));
    *had_nan = any_nan(op->in, op->num_in, desc, run);
    return RN_OK;
}

rn_status rni_validate_after(const rn_op *op, const rn_program_desc *desc, const rn_run *run, int had_nan)
{
    if (!had_nan && any_nan(op->out, op->num_out, desc, run))
        return rni_fail(RN_E_BACKEND, "%s: op kind %d wrote a NaN although it read none", path_of(op), (int)op->kind);
    return RN_OK;
}
