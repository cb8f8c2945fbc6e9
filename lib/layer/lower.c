/* SPDX-License-Identifier: MIT */
/* What all layers use to turn themselves into ops. */
#include "layer/layer.h"
#include <string.h>

rn_status rni_lower_activation(rni_lowering *low, const rni_shape *shape, uint32_t *out)
{
    const int32_t layout = shape->rank == 4 ? low->image_layout : RN_LAYOUT_PLAIN;
    return rni_program_value(&low->p, low->dtype, RN_ROLE_ARENA, layout, shape->rank, shape->dims, 1, out);
}

rn_status rni_lower_channels(rni_lowering *low, int64_t channels, uint32_t *out)
{
    return rni_program_value(&low->p, low->channel_dtype, RN_ROLE_ARENA, RN_LAYOUT_PLAIN, 1, &channels, 0, out);
}

rn_status rni_lower_derived(rni_lowering *low, rn_dtype dtype, int32_t layout, const rni_shape *shape, uint32_t *out)
{
    return rni_program_value(&low->p, dtype, RN_ROLE_DERIVED, layout, shape->rank, shape->dims, 0, out);
}

rn_status rni_lower_state(rni_lowering *low, const char *path, const char *name, uint32_t *out)
{
    char full[RNI_PATH_SIZE];
    RNI_TRY(rni_path_join(full, path, name));
    return low->state(low, full, out);
}

rn_status rni_lower_tag(rni_lowering *low, uint32_t first, int section)
{
    if (low->p.num_ops > low->cap_section) {
        const uint32_t wanted = low->p.num_ops * 2 + 254;
        uint8_t *const grown = rni_realloc(low->p.allocator, low->section, wanted);
        if (!grown)
            return rni_nomem("a program", wanted);
        low->section = grown;
        low->cap_section = wanted;
    }
    for (uint32_t i = first; i < low->p.num_ops; i++)
        low->section[i] = (uint8_t)section;
    return RN_OK;
}

rn_status rni_lower_op(rni_lowering *low, int section, int32_t kind, uint32_t flags, const uint32_t *in,
                       uint32_t num_in, const uint32_t *out, uint32_t num_out, const void *params, size_t params_size,
                       const char *path)
{
    RNI_TRY(rni_program_append(&low->p, kind, flags, in, num_in, out, num_out, params, params_size, path));
    return rni_lower_tag(low, low->p.num_ops - 1, section);
}

rn_status rni_lower_simple(rni_lowering *low, int32_t kind, uint32_t flags, const void *params, size_t params_size,
                           const char *path, const rni_edge *in, rni_edge *out)
{
    RNI_TRY(rni_lower_activation(low, &out->shape, &out->value));
    return rni_lower_op(low, RNI_SECTION_FORWARD, kind, flags, &in->value, 1, &out->value, 1, params, params_size,
                        path);
}

rn_status rni_lower_cast(rni_lowering *low, uint32_t param, const char *path, uint32_t *out)
{
    const rn_value *const v = &low->p.values[param];
    if (v->dtype == low->channel_dtype) {
        *out = param;
        return RN_OK;
    }
    rni_shape shape = {.rank = v->rank};
    memcpy(shape.dims, v->dims, sizeof shape.dims);
    RNI_TRY(rni_lower_derived(low, low->channel_dtype, RN_LAYOUT_PLAIN, &shape, out));
    return rni_lower_op(low, RNI_SECTION_PREPARE, RN_OP_CONVERT, 0, &param, 1, out, 1, NULL, 0, path);
}

rn_status rni_lower_pack(rni_lowering *low, uint32_t weight, uint32_t scale, const rn_conv_params *params,
                         uint32_t flags, const char *path, uint32_t *out)
{
    rni_shape shape = {.rank = 4};
    memcpy(shape.dims, low->p.values[weight].dims, sizeof shape.dims);
    RNI_TRY(rni_lower_derived(low, low->dtype, RN_LAYOUT_PACKED, &shape, out));
    const uint32_t in[2] = {weight, scale};
    return rni_lower_op(low, RNI_SECTION_PREPARE, RN_OP_PACK, flags, in, 2, out, 1, params, sizeof *params, path);
}
