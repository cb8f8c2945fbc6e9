/* SPDX-License-Identifier: MIT */
/* What PyTorch loads: state_dicts of models and optimizers. */
#include "format/checkpoint.h"
#include "format/torch_optimizer.h"
#include "format/torch_write.h"

void rni_torch_put_model(rni_torch_builder *b, const rn_model *m)
{
    rni_torch_put_ordered_dict(b);
    for (size_t i = 0; i < m->num_states; i++) {
        const rn_tensor *const t = m->states[i].value;
        rni_torch_put_text(b, m->states[i].name);
        rni_torch_put_tensor(b, t->dtype, t->rank, t->dims, t->storage, t->offset);
    }
    rni_torch_end_dict(b);
}

rn_status rni_torch_parameters(const rn_optimizer *opt, rni_torch_parameter **out, size_t *count)
{
    const rn_model *const m = opt->model;
    rni_torch_parameter *const list = rni_calloc(&opt->ctx->allocator, m->num_states + 1, sizeof *list);
    if (!list)
        return rni_nomem("a list of parameters", m->num_states * sizeof *list);
    *count = 0;
    for (uint32_t group = 0; group < opt->num_groups; group++)
        for (size_t i = 0; i < m->num_states; i++)
            if (m->states[i].kind == RN_STATE_PARAMETER && opt->group_of[i] == group)
                list[(*count)++] = (rni_torch_parameter){i, group};
    *out = list;
    return RN_OK;
}

size_t rni_torch_moments(const rn_optimizer *opt, const char *names[2])
{
    const int sgd = opt->kind == RN_OP_SGD;
    names[0] = sgd ? "momentum_buffer" : "exp_avg";
    names[1] = "exp_avg_sq";
    return !opt->state ? 0 : sgd ? 1 : 2;
}

/* Moments of one parameter; Adam counts steps per parameter, each count a tensor of its own since PyTorch adds to it. */
static void put_state(rni_torch_builder *b, const rn_optimizer *opt, const rni_state *s, const float *step)
{
    const char *names[2];
    const size_t count = rni_torch_moments(opt, names);
    const rn_tensor *const t = s->value;
    rni_torch_put_dict(b);
    if (opt->kind != RN_OP_SGD) {
        rni_torch_put_text(b, "step");
        rni_torch_put_host_tensor(b, RN_F32, 0, NULL, step);
    }
    for (size_t i = 0; i < count; i++) {
        rni_torch_put_text(b, names[i]);
        rni_torch_put_tensor(b, RN_F32, t->rank, t->dims, opt->state, s->offset + i * opt->model->params->bytes);
    }
    rni_torch_end_dict(b);
}

static void put_number(rni_torch_builder *b, const char *key, double value)
{
    rni_torch_put_text(b, key);
    rni_torch_put_float(b, value);
}

static void put_switch(rni_torch_builder *b, const char *key, int value)
{
    rni_torch_put_text(b, key);
    rni_torch_put_bool(b, value);
}

static void put_settings(rni_torch_builder *b, const rn_optimizer *opt, const rni_group *group)
{
    put_number(b, "lr", opt->lr * group->lr_factor);
    put_number(b, "weight_decay", group->weight_decay);
    if (opt->kind == RN_OP_SGD) {
        put_number(b, "momentum", opt->sgd.momentum);
        put_number(b, "dampening", opt->sgd.dampening);
        put_switch(b, "nesterov", (opt->sgd.flags & RN_SGD_NESTEROV) != 0);
    } else {
        rni_torch_put_text(b, "betas");
        rni_torch_put_pair(b, opt->adam.beta1, opt->adam.beta2);
        put_number(b, "eps", opt->adam.eps);
        put_switch(b, "amsgrad", 0);
        put_switch(b, "capturable", 0);
        put_switch(b, "decoupled_weight_decay", (opt->adam.flags & RN_ADAM_DECOUPLED) != 0);
    }
    put_switch(b, "maximize", 0);
    put_switch(b, "differentiable", 0);
    rni_torch_put_text(b, "foreach"); /* PyTorch chooses */
    rni_torch_put_none(b);
    rni_torch_put_text(b, "fused");
    rni_torch_put_none(b);
}

/* Groups without parameters are left out. */
static void put_groups(rni_torch_builder *b, const rn_optimizer *opt, const rni_torch_parameter *list, size_t count)
{
    rni_torch_put_text(b, "param_groups");
    rni_torch_put_list(b);
    for (size_t i = 0; i < count;) {
        const uint32_t group = list[i].group;
        rni_torch_put_dict(b);
        put_settings(b, opt, &opt->groups[group]);
        rni_torch_put_text(b, "params");
        rni_torch_put_list(b);
        for (; i < count && list[i].group == group; i++)
            rni_torch_put_int(b, (int64_t)i);
        rni_torch_end_list(b);
        rni_torch_end_dict(b);
    }
    rni_torch_end_list(b);
}

void rni_torch_put_optimizer(rni_torch_builder *b, const rn_optimizer *opt, float *step)
{
    rni_torch_parameter *list;
    size_t count;
    if (b->status >= 0)
        b->status = rni_torch_parameters(opt, &list, &count);
    if (b->status < 0)
        return;
    *step = (float)opt->steps;
    rni_torch_put_dict(b);
    rni_torch_put_text(b, "state");
    rni_torch_put_dict(b);
    for (size_t i = 0; i < count && opt->steps > 0 && opt->state; i++) {
        rni_torch_put_int(b, (int64_t)i);
        put_state(b, opt, &opt->model->states[list[i].state], step);
    }
    rni_torch_end_dict(b);
    put_groups(b, opt, list, count);
    rni_torch_end_dict(b);
    rni_free(&opt->ctx->allocator, list);
}

rn_status rn_model_save_torch(const rn_model *m, const char *path)
{
    RNI_REQUIRE(m);
    RNI_REQUIRE(path);
    RNI_TRY(rni_device_check(m->dev));
    rni_torch_builder b;
    rni_torch_begin(&b, &m->ctx->allocator);
    rni_torch_put_model(&b, m);
    const rn_status status = rni_torch_save(&b, path);
    rni_torch_end(&b);
    return status;
}

rn_status rn_optimizer_save_torch(const rn_optimizer *opt, const char *path)
{
    RNI_REQUIRE(opt);
    RNI_REQUIRE(path);
    RNI_TRY(rni_device_check(opt->model->dev));
    rni_torch_builder b;
    float step;
    rni_torch_begin(&b, &opt->ctx->allocator);
    rni_torch_put_optimizer(&b, opt, &step);
    const rn_status status = rni_torch_save(&b, path);
    rni_torch_end(&b);
    return status;
}

static void put_checkpoint(rni_torch_builder *b, const rn_checkpoint *c, float *step)
{
    rni_torch_put_dict(b);
    rni_torch_put_text(b, "model");
    rni_torch_put_model(b, c->model);
    if (c->optimizer) {
        rni_torch_put_text(b, "optimizer");
        rni_torch_put_optimizer(b, c->optimizer, step);
    }
    rni_torch_put_text(b, "epoch");
    rni_torch_put_int(b, c->epoch);
    rni_torch_put_text(b, "step");
    rni_torch_put_int(b, c->step);
    rni_torch_end_dict(b);
}

rn_status rn_checkpoint_save_torch(rn_context *ctx, const char *path, const rn_checkpoint *c)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(path);
    RNI_REQUIRE(c);
    rn_checkpoint known;
    RNI_TRY(rni_cp_parts(ctx, c, &known));
    rni_torch_builder b;
    float step;
    rni_torch_begin(&b, &ctx->allocator);
    put_checkpoint(&b, &known, &step);
    const rn_status status = rni_torch_save(&b, path);
    rni_torch_end(&b);
    return status;
}
