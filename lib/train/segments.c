/* SPDX-License-Identifier: MIT */
#include "train/segments.h"

static int same_settings(const rn_optimizer *opt, uint32_t a, uint32_t b)
{
    return !opt || a == b ||
           (opt->groups[a].lr_factor == opt->groups[b].lr_factor &&
            opt->groups[a].weight_decay == opt->groups[b].weight_decay);
}

static void append(rn_segment *segments, uint64_t *count, int joins, const rn_optimizer *opt, const rni_state *s,
                   uint32_t group)
{
    const uint64_t offset = s->offset / sizeof(float), size = (uint64_t)s->value->count;
    rn_segment *const last = *count ? &segments[*count - 1] : NULL;
    /* The gap that alignment leaves between two neighbours is part of the run: it holds zeros that stay zeros. */
    if (joins && last && offset >= last->offset + last->count && same_settings(opt, last->group, group)) {
        last->count = offset + size - last->offset;
        return;
    }
    segments[(*count)++] = (rn_segment){
        .offset = offset,
        .count = size,
        .group = group,
        .weight_decay = opt ? opt->groups[group].weight_decay : 0.0,
    };
}

rn_status rni_segments(rni_program *p, const rn_model *m, const rn_optimizer *opt, const rn_segment **segments,
                       uint64_t *count)
{
    const size_t bytes = (m->num_states + 1) * sizeof(rn_segment);
    rn_segment *const table = rni_program_memory(p, bytes);
    if (!table)
        return rni_nomem("segments of an optimizer", bytes);
    uint64_t n = 0;
    int joins = 0; /* the parameter before this one is in the table */
    for (size_t i = 0; i < m->num_states; i++) {
        const rni_state *const s = &m->states[i];
        if (s->kind != RN_STATE_PARAMETER || s->value->count == 0)
            continue;
        if (s->trainable)
            append(table, &n, joins, opt, s, opt ? opt->group_of[i] : 0);
        joins = s->trainable != 0;
    }
    *segments = table;
    *count = n;
    return RN_OK;
}

rn_status rni_flat_value(rni_program *p, int32_t role, uint64_t bytes, uint32_t *out)
{
    const int64_t count = bytes >= sizeof(float) ? (int64_t)(bytes / sizeof(float)) : 1;
    return rni_program_value(p, RN_F32, role, RN_LAYOUT_PLAIN, 1, &count, 0, out);
}

uint64_t rni_parameter_bytes(const rn_model *m)
{
    return m->params ? m->params->bytes : 0;
}
