/* SPDX-License-Identifier: MIT */
/* From a lowering to the order it runs in, and what the device says about each op. */
#include "graph/graph.h"
#include <string.h>

rn_status rni_graph_sort(rni_lowering *low, uint32_t first[RNI_SECTION_COUNT + 1])
{
    rn_op *const sorted = rni_calloc(low->p.allocator, low->p.num_ops + 1, sizeof *sorted);
    if (!sorted)
        return rni_nomem("a program", low->p.num_ops * sizeof *sorted);
    uint32_t count = 0;
    for (int section = 0; section < RNI_SECTION_COUNT; section++) {
        first[section] = count;
        for (uint32_t i = 0; i < low->p.num_ops; i++)
            if (low->p.ops[i].kind && low->section[i] == section)
                sorted[count++] = low->p.ops[i];
    }
    first[RNI_SECTION_COUNT] = count;
    for (int section = 0; section < RNI_SECTION_COUNT; section++)
        memset(low->section + first[section], section, first[section + 1] - first[section]);
    memcpy(low->p.ops, sorted, count * sizeof *sorted);
    low->p.num_ops = count;
    rni_free(low->p.allocator, sorted);
    return RN_OK;
}

static rn_status query_op(rni_lowering *low, uint32_t i)
{
    rn_op_info info;
    rn_op *const op = &low->p.ops[i];
    const rn_status status = rni_graph_ask(low, op, &info);
    if (status < 0)
        return rni_fail_prefix(status, "%s", op->path);
    if (op->kind == RN_OP_PACK)
        low->p.values[op->out[0]].bytes = info.out_bytes;
    if (!info.workspace)
        return RN_OK;
    uint32_t workspace;
    const int64_t bytes = (int64_t)info.workspace;
    RNI_TRY(rni_program_value(&low->p, RN_U8, RN_ROLE_ARENA, RN_LAYOUT_PLAIN, 1, &bytes, 0, &workspace));
    low->p.ops[i].workspace = workspace;
    return RN_OK;
}

rn_status rni_graph_query(rni_lowering *low)
{
    for (uint32_t i = 0; i < low->p.num_ops; i++)
        RNI_TRY(query_op(low, i));
    return RN_OK;
}
