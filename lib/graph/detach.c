/* SPDX-License-Identifier: MIT */
/* Programs that run without the model: what ops read of parameters and buffers is copied by PREPARE ops. */
#include "graph/graph.h"
#include <string.h>

static int is_state(const rni_lowering *low, uint32_t value)
{
    if (value == RN_NO_VALUE)
        return 0;
    const int32_t role = low->p.values[value].role;
    return role == RN_ROLE_PARAM || role == RN_ROLE_BUFFER;
}

/* The copy of a state value, made at its first use. `copies` is per value. */
static rn_status copy_of(rni_lowering *low, uint32_t *copies, uint32_t value, const char *path, uint32_t *copy)
{
    if (copies[value] == RN_NO_VALUE) {
        const rn_value v = low->p.values[value];
        rni_shape shape = {.rank = v.rank};
        memcpy(shape.dims, v.dims, sizeof shape.dims);
        RNI_TRY(rni_lower_derived(low, v.dtype, v.layout, &shape, &copies[value]));
        RNI_TRY(rni_lower_op(low, RNI_SECTION_PREPARE, RN_OP_CONVERT, 0, &value, 1, &copies[value], 1, NULL, 0, path));
    }
    *copy = copies[value];
    return RN_OK;
}

static rn_status detach_op(rni_lowering *low, uint32_t *copies, uint32_t i)
{
    const rn_op op = low->p.ops[i]; /* a copy: the array grows */
    uint32_t *in = NULL;
    for (uint32_t k = 0; k < op.num_in; k++) {
        if (!is_state(low, op.in[k]))
            continue;
        if (!in) {
            in = rni_program_memory(&low->p, op.num_in * sizeof *in);
            if (!in)
                return rni_nomem("a program", op.num_in * sizeof *in);
            memcpy(in, op.in, op.num_in * sizeof *in);
        }
        RNI_TRY(copy_of(low, copies, op.in[k], op.path, &in[k]));
    }
    if (in)
        low->p.ops[i].in = in;
    return RN_OK;
}

static rn_status detach(rni_lowering *low, uint32_t *copies)
{
    const uint32_t count = low->p.num_ops;
    for (uint32_t i = 0; i < count; i++)
        if (low->p.ops[i].kind && low->section[i] != RNI_SECTION_PREPARE)
            RNI_TRY(detach_op(low, copies, i));
    return RN_OK;
}

rn_status rni_graph_detach(rni_lowering *low)
{
    const size_t bytes = (low->p.num_values + 1) * sizeof(uint32_t);
    uint32_t *const copies = rni_alloc(low->p.allocator, bytes);
    if (!copies)
        return rni_nomem("a program", bytes);
    memset(copies, 0xff, bytes);
    const rn_status status = detach(low, copies);
    rni_free(low->p.allocator, copies);
    return status;
}
