/* SPDX-License-Identifier: MIT */
/* The compiler: lower, fuse, differentiate, add loss and update, sort, place. */
#include "base/half.h"
#include "plan/internal.h"
#include <string.h>

static rn_plan *plan_of(rni_lowering *low)
{
    return low->user;
}

/* The value of a state entry, made at its first use. */
static rn_status state_value(rni_lowering *low, const char *name, uint32_t *value)
{
    rn_plan *const p = plan_of(low);
    const size_t index = rni_model_index(p->model, name);
    if (index == SIZE_MAX)
        return rni_fail(RN_E_INTERNAL, "%s: the model lacks it", name);
    if (p->param_of_state[index] == RN_NO_VALUE) {
        const rni_state *const s = &p->model->states[index];
        const int32_t role = s->kind == RN_STATE_PARAMETER ? RN_ROLE_PARAM : RN_ROLE_BUFFER;
        RNI_TRY(rni_program_value(&low->p, s->value->dtype, role, RN_LAYOUT_PLAIN, s->value->rank, s->value->dims, 0,
                                  &p->param_of_state[index]));
        low->p.values[p->param_of_state[index]].offset = s->offset;
    }
    *value = p->param_of_state[index];
    return RN_OK;
}

static size_t state_of_value(const rn_plan *p, uint32_t value)
{
    for (size_t i = 0; i < p->model->num_states; i++)
        if (p->param_of_state[i] == value)
            return i;
    return SIZE_MAX;
}

static rn_status gradient_value(rni_lowering *low, uint32_t param, uint32_t *grad)
{
    rn_plan *const p = plan_of(low);
    const size_t index = state_of_value(p, param);
    *grad = RN_NO_VALUE;
    if (index == SIZE_MAX || !p->model->states[index].trainable)
        return RN_OK;
    if (p->grad_of_state[index] == RN_NO_VALUE) {
        const rn_value v = low->p.values[param];
        RNI_TRY(rni_program_value(&low->p, RN_F32, RN_ROLE_PARAM_GRAD, RN_LAYOUT_PLAIN, v.rank, v.dims, 0,
                                  &p->grad_of_state[index]));
        low->p.values[p->grad_of_state[index]].offset = v.offset;
    }
    *grad = p->grad_of_state[index];
    return RN_OK;
}

static rn_status lower_leaf(rni_visitor *v, const rn_layer *layer, const char *path, const rni_edge *in, rni_edge *out)
{
    return layer->cls->lower(layer, v->user, path, in, out);
}

/* Addition of the branches, then ReLU: Figure 2 of He et al. 2015. */
static rn_status lower_join(rni_visitor *v, const rn_layer *layer, const char *path, const rni_edge *main,
                            const rni_edge *shortcut, rni_edge *out)
{
    rni_lowering *const low = v->user;
    const uint32_t both[2] = {main->value, shortcut->value};
    uint32_t sum;
    RNI_TRY(rni_lower_activation(low, &out->shape, &sum));
    RNI_TRY(rni_lower_op(low, RNI_SECTION_FORWARD, RN_OP_ADD, 0, both, 2, &sum, 1, NULL, 0, path));
    out->value = sum;
    if (layer->u.residual_flags & RN_RESIDUAL_NO_RELU)
        return RN_OK;
    RNI_TRY(rni_lower_activation(low, &out->shape, &out->value));
    return rni_lower_op(low, RNI_SECTION_FORWARD, RN_OP_RELU, 0, &sum, 1, &out->value, 1, NULL, 0, path);
}

/* Of the caller's tensors. bf16 and f16 stay inside. */
static rn_dtype host_dtype(const rn_plan *p)
{
    return rni_wide_dtype(p->dtype);
}

static rn_status start_lowering(rn_plan *p)
{
    rni_lowering *const low = &p->low;
    low->dev = p->dev;
    low->dtype = p->dtype;
    low->channel_dtype = host_dtype(p);
    low->image_layout = p->dev->info.activation_layout;
    low->train = p->options.mode != RN_PLAN_INFER;
    low->cumulative = p->options.mode == RN_PLAN_STATISTICS;
    low->direct = (p->options.flags & RN_PLAN_NO_WINOGRAD) != 0;
    low->min_batch = 1;
    low->state = state_value;
    low->gradient = gradient_value;
    low->user = p;
    const size_t bytes = (p->model->num_states + 1) * sizeof *p->param_of_state;
    p->param_of_state = rni_alloc(&p->ctx->allocator, bytes);
    p->grad_of_state = rni_alloc(&p->ctx->allocator, bytes);
    if (!p->param_of_state || !p->grad_of_state)
        return rni_nomem("a plan", bytes);
    memset(p->param_of_state, 0xff, bytes);
    memset(p->grad_of_state, 0xff, bytes);
    return RN_OK;
}

/* x of the caller, and the input in the layout the first layer reads. */
static rn_status lower_input(rn_plan *p, rni_edge *edge)
{
    rni_lowering *const low = &p->low;
    const rn_plan_options *const o = &p->options;
    const int32_t layout = o->rank == 4 ? low->image_layout : RN_LAYOUT_PLAIN;
    *edge = (rni_edge){.shape = {.rank = o->rank}, .from = "input"};
    memcpy(edge->shape.dims, o->input_dims, sizeof edge->shape.dims);
    edge->shape.dims[0] = p->max_batch;
    RNI_TRY(rni_program_value(&low->p, host_dtype(p), RN_ROLE_X, RN_LAYOUT_PLAIN, o->rank, edge->shape.dims, 1, &p->x));
    RNI_TRY(rni_program_value(&low->p, p->dtype, RN_ROLE_INPUT, layout, o->rank, edge->shape.dims, 1, &p->input));
    edge->value = p->input;
    return rni_lower_op(low, RNI_SECTION_INPUT, RN_OP_CONVERT, 0, &p->x, 1, &p->input, 1, NULL, 0, "input");
}

/* A loss gets images in plain order, and f32 instead of bf16 or f16. */
static rn_status lower_plain_output(rn_plan *p, rni_edge *edge)
{
    uint32_t plain;
    const int image = edge->shape.rank == 4 && p->low.image_layout != RN_LAYOUT_PLAIN && p->loss && p->loss->op == RN_OP_MSE;
    if (!p->loss || (!image && !rni_is_half(p->dtype)))
        return RN_OK;
    RNI_TRY(rni_program_value(&p->low.p, host_dtype(p), RN_ROLE_ARENA, RN_LAYOUT_PLAIN, edge->shape.rank,
                              edge->shape.dims, 1, &plain));
    RNI_TRY(rni_lower_op(&p->low, RNI_SECTION_FORWARD, RN_OP_CONVERT, 0, &edge->value, 1, &plain, 1, NULL, 0,
                         "output"));
    edge->value = plain;
    return RN_OK;
}

static rn_status lower_layers(rn_plan *p)
{
    rni_edge in, out;
    RNI_TRY(lower_input(p, &in));
    rni_visitor v = {.leaf = lower_leaf, .join = lower_join, .user = &p->low};
    RNI_TRY(rni_layer_visit(p->model->root, &v, "", &in, &out));
    RNI_TRY(lower_plain_output(p, &out));
    if (!(p->options.flags & RN_PLAN_NO_FUSION))
        RNI_TRY(rni_graph_fuse(&p->low));
    /* Fusion keeps the last value of a sequence, so out.value is still the output. */
    RNI_TRY(rni_program_value(&p->low.p, host_dtype(p), RN_ROLE_Y, RN_LAYOUT_PLAIN, out.shape.rank, out.shape.dims, 1,
                              &p->y));
    RNI_TRY(rni_lower_op(&p->low, RNI_SECTION_OUTPUT, RN_OP_CONVERT, 0, &out.value, 1, &p->y, 1, NULL, 0, "output"));
    p->target = p->soft_target = RN_NO_VALUE;
    return RN_OK;
}

/* The value that the OUTPUT section reads. */
static uint32_t output_value(const rn_plan *p)
{
    const uint32_t op = rni_graph_producer(&p->low, p->y);
    return p->low.p.ops[op].in[0];
}

/* The loss for targets of a form. A device that has no soft targets goes without that section. */
static rn_status append_loss(rn_plan *p, int form, uint32_t dy, int section, uint32_t *target)
{
    rni_program *const prog = &p->low.p;
    const uint32_t first = prog->num_ops;
    rn_op_info info;
    RNI_TRY(rni_loss_append(p->loss, prog, form, output_value(p), dy, p->metrics, p->scales, target));
    if (rni_graph_ask(&p->low, &prog->ops[first], &info) == RN_E_UNSUPPORTED && section == RNI_SECTION_SOFT_LOSS) {
        prog->num_ops = first;
        *target = RN_NO_VALUE;
    }
    return rni_lower_tag(&p->low, first, section);
}

static rn_status lower_loss(rn_plan *p, uint32_t *dy)
{
    rni_program *const prog = &p->low.p;
    const int64_t bytes = sizeof(rn_step_metrics);
    RNI_TRY(rni_program_value(prog, RN_U8, RN_ROLE_METRICS, RN_LAYOUT_PLAIN, 1, &bytes, 0, &p->metrics));
    *dy = RN_NO_VALUE;
    if (!p->loss)
        return RN_OK;
    const rn_value y = prog->values[output_value(p)];
    if (p->low.train)
        RNI_TRY(rni_program_value(prog, y.dtype, RN_ROLE_ARENA, y.layout, y.rank, y.dims, 1, dy));
    if (!rni_loss_takes(p->loss, RNI_TARGET_LABELS))
        return append_loss(p, RNI_TARGET_VALUES, *dy, RNI_SECTION_LOSS, &p->target);
    RNI_TRY(append_loss(p, RNI_TARGET_LABELS, *dy, RNI_SECTION_LOSS, &p->target));
    return append_loss(p, RNI_TARGET_VALUES, *dy, RNI_SECTION_SOFT_LOSS, &p->soft_target);
}

/* Gradient of the output from the caller or the loss, back to parameters and input. */
static rn_status lower_backward(rn_plan *p, uint32_t dy)
{
    rni_lowering *const low = &p->low;
    const uint32_t y = output_value(p), wanted = p->options.flags & RN_PLAN_INPUT_GRAD ? p->input : RN_NO_VALUE;
    const rn_value y_plain = low->p.values[p->y], y_value = low->p.values[y];
    uint32_t given, dx;
    if (dy == RN_NO_VALUE)
        RNI_TRY(rni_program_value(&low->p, y_value.dtype, RN_ROLE_ARENA, y_value.layout, y_value.rank, y_value.dims, 1,
                                  &dy));
    RNI_TRY(rni_program_value(&low->p, host_dtype(p), RN_ROLE_DY, RN_LAYOUT_PLAIN, y_plain.rank, y_plain.dims, 1, &given));
    RNI_TRY(rni_lower_op(low, RNI_SECTION_DY, RN_OP_CONVERT, 0, &given, 1, &dy, 1, NULL, 0, "output"));
    RNI_TRY(rni_graph_backward(low, y, dy, wanted, &dx));
    if (dx == RN_NO_VALUE)
        return RN_OK;
    const rn_value x = low->p.values[p->x];
    RNI_TRY(rni_program_value(&low->p, host_dtype(p), RN_ROLE_DX, RN_LAYOUT_PLAIN, x.rank, x.dims, 1, &given));
    p->wants_dx = 1;
    return rni_lower_op(low, RNI_SECTION_DX, RN_OP_CONVERT, 0, &dx, 1, &given, 1, NULL, 0, "input");
}

static rn_status lower_update(rn_plan *p)
{
    if (!p->optimizer)
        return RN_OK;
    const uint32_t first = p->low.p.num_ops;
    const rn_loss_scale_params scaling = rni_plan_loss_scaling(p);
    RNI_TRY(rni_optimizer_append(p->optimizer, &p->low.p, p->options.clip_norm, p->scales ? &scaling : NULL, p->metrics));
    return rni_lower_tag(&p->low, first, RNI_SECTION_UPDATE);
}

rn_status rni_plan_compile(rn_plan *p)
{
    uint32_t dy;
    RNI_TRY(start_lowering(p));
    RNI_TRY(lower_layers(p));
    RNI_TRY(lower_loss(p, &dy));
    if (p->options.mode == RN_PLAN_TRAIN) {
        RNI_TRY(lower_backward(p, dy));
        RNI_TRY(lower_update(p));
    }
    if (p->options.flags & RN_PLAN_DROP_WEIGHTS)
        RNI_TRY(rni_graph_detach(&p->low));
    RNI_TRY(rni_graph_sort(&p->low, p->first));
    RNI_TRY(rni_graph_query(&p->low));
    RNI_TRY(rni_graph_place(&p->low, &p->placement));
    return rni_program_verify(&p->low.p);
}
