/* SPDX-License-Identifier: MIT */
/* Life of a plan: options, memory, what it needs. */
#include "base/abi.h"
#include "base/half.h"
#include "plan/internal.h"
#include <math.h>
#include <stddef.h>
#include <string.h>

static const rn_plan_options defaults = RN_PLAN_OPTIONS_INIT;

/* Of rn_plan_options as first released. */
enum { FIRST_SIZE = offsetof(rn_plan_options, loss_scale) };

rn_status rn_plan_options_init(rn_plan_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &defaults, sizeof defaults, FIRST_SIZE, "rn_plan_options");
}

static rn_status check_mode(const rn_plan_options *o)
{
    if (o->mode != RN_PLAN_INFER && o->mode != RN_PLAN_TRAIN && o->mode != RN_PLAN_STATISTICS)
        return rni_fail(RN_E_INVALID,
                        "options.mode: expected RN_PLAN_INFER, RN_PLAN_TRAIN or RN_PLAN_STATISTICS, got %d",
                        (int)o->mode);
    if (o->flags & ~(uint64_t)(RN_PLAN_NO_FUSION | RN_PLAN_INPUT_GRAD | RN_PLAN_NO_WINOGRAD |
                                RN_PLAN_DROP_WEIGHTS | RN_PLAN_STATIC_LOSS_SCALE))
        return rni_fail(RN_E_INVALID, "options.flags: unknown flag in %llu", (unsigned long long)o->flags);
    if ((o->flags & RN_PLAN_INPUT_GRAD) && o->mode != RN_PLAN_TRAIN)
        return rni_fail(RN_E_INVALID, "options.flags: RN_PLAN_INPUT_GRAD needs a TRAIN plan");
    if ((o->flags & RN_PLAN_DROP_WEIGHTS) && o->mode != RN_PLAN_INFER)
        return rni_fail(RN_E_INVALID, "options.flags: RN_PLAN_DROP_WEIGHTS needs an INFER plan");
    if (o->optimizer && o->mode != RN_PLAN_TRAIN)
        return rni_fail(RN_E_INVALID, "options.optimizer: only a TRAIN plan takes one");
    if (o->loss && o->mode == RN_PLAN_STATISTICS)
        return rni_fail(RN_E_INVALID, "options.loss: a STATISTICS plan takes none");
    if (o->optimizer && !o->loss)
        return rni_fail(RN_E_INVALID, "options.loss: an optimizer needs a loss");
    return RN_OK;
}

static rn_status check_numbers(const rn_plan_options *o)
{
    if (!rni_is_compute_dtype(o->compute_dtype))
        return rni_fail(RN_E_UNSUPPORTED, "options.compute_dtype: expected f32, f64, bf16 or f16, got %s",
                        rn_dtype_name(o->compute_dtype));
    if (!(o->clip_norm >= 0) || !isfinite(o->clip_norm))
        return rni_fail(RN_E_INVALID, "options.clip_norm: expected 0 or more, got %g", o->clip_norm);
    if (o->accumulate > 1 << 20)
        return rni_fail(RN_E_INVALID, "options.accumulate: expected at most %d, got %u", 1 << 20,
                        (unsigned)o->accumulate);
    return rni_plan_check_loss_scale(o);
}

/* The input's shape and the largest batch. */
static rn_status check_input(const rn_plan_options *o, int64_t *max_batch)
{
    char text[RNI_SHAPE_TEXT];
    if (o->rank != 2 && o->rank != 4)
        return rni_fail(RN_E_INVALID, "options.rank: expected 2 or 4, got %d", (int)o->rank);
    for (int32_t i = 0; i < o->rank; i++)
        if (o->input_dims[i] < 1 || o->input_dims[i] > INT64_C(1) << 40)
            return rni_fail(RN_E_SHAPE, "options.input_dims: expected sizes of 1 or more, got %s",
                            rni_shape_text(text, o->rank, o->input_dims));
    *max_batch = o->input_dims[0];
    for (int i = 0; i < 8 && o->batches[i]; i++) {
        if (o->batches[i] < 1)
            return rni_fail(RN_E_INVALID, "options.batches[%d]: expected 1 or more, got %lld", i,
                            (long long)o->batches[i]);
        *max_batch = o->batches[i] > *max_batch ? o->batches[i] : *max_batch;
    }
    return RN_OK;
}

static rn_status check_parts(const rn_model *m, const rn_plan_options *o)
{
    if (o->optimizer && o->optimizer->model != m)
        return rni_fail(RN_E_INVALID, "options.optimizer: it is another model's");
    if (o->loss && o->loss->ctx != m->ctx)
        return rni_fail(RN_E_INVALID, "options.loss: it is another context's");
    return o->flags & RN_PLAN_DROP_WEIGHTS ? rni_model_may_drop(m) : rni_model_expect_values(m, "rn_plan_create");
}

static void fill_memory(const rn_plan *p, rn_memory *out)
{
    *out = (rn_memory){.struct_size = sizeof *out};
    out->arena = p->placement.arena;
    out->lower_bound = p->placement.lower_bound;
    out->derived = p->placement.derived;
    out->io = p->low.p.values[p->input].bytes + sizeof(rn_step_metrics);
    if (!(p->options.flags & RN_PLAN_DROP_WEIGHTS))
        out->parameters = p->model->params->bytes + p->model->buffers->bytes;
    out->gradients = p->options.mode == RN_PLAN_TRAIN ? p->model->params->bytes : 0;
    out->optimizer = p->optimizer ? rni_optimizer_state_bytes(p->optimizer) : 0;
    out->total = out->arena + out->derived + out->io + out->parameters + out->gradients + out->optimizer;
}

static rn_status check_limit(const rn_plan *p)
{
    rn_memory memory;
    fill_memory(p, &memory);
    if (p->options.memory_limit && memory.total > p->options.memory_limit)
        return rni_fail(RN_E_NOMEM, "options.memory_limit: the plan needs %llu bytes, the limit is %llu",
                        (unsigned long long)memory.total, (unsigned long long)p->options.memory_limit);
    return RN_OK;
}

static rn_status allocate(rn_plan *p)
{
    const rn_value *const input = &p->low.p.values[p->input];
    const uint32_t prepares = p->first[RNI_SECTION_PREPARE + 1];
    RNI_TRY(check_limit(p));
    p->made = rni_calloc(&p->ctx->allocator, prepares + 1, sizeof *p->made);
    p->wanted = rni_calloc(&p->ctx->allocator, prepares + 1, sizeof *p->wanted);
    if (!p->made || !p->wanted)
        return rni_nomem("a plan", prepares * sizeof *p->made);
    RNI_TRY(rni_device_reserve(p->dev, p->placement.arena, "the arena of a plan", &p->arena));
    RNI_TRY(rni_device_reserve(p->dev, p->placement.derived, "the derived weights of a plan", &p->derived));
    RNI_TRY(rni_storage_create(p->dev, input->bytes, "the input of a plan", &p->input_storage));
    RNI_TRY(rni_tensor_view(p->input_storage, 0, input->dtype, input->layout, input->rank, input->dims,
                            &p->input_tensor));
    RNI_TRY(rni_storage_create(p->dev, sizeof(rn_step_metrics), "the metrics of a plan", &p->metrics_storage));
    RNI_TRY(rni_plan_start_loss_scale(p));
    if (p->options.mode == RN_PLAN_TRAIN)
        RNI_TRY(rni_model_ensure_gradients(p->model));
    return RN_OK;
}

static rn_status build(rn_plan *p)
{
    RNI_TRY(rni_plan_compile(p));
    RNI_TRY(allocate(p));
    const rn_program_desc desc = {sizeof desc, p->low.p.values, p->low.p.ops, p->low.p.num_values, p->low.p.num_ops};
    rn_program_desc *const kept = rni_program_memory(&p->low.p, sizeof *kept);
    if (!kept)
        return rni_nomem("a plan", sizeof *kept);
    *kept = desc;
    RNI_TRY(rni_compiled_create(p->dev, kept, &p->compiled));
    if (p->options.flags & RN_PLAN_DROP_WEIGHTS)
        RNI_TRY(rni_plan_drop_weights(p));
    else
        RNI_TRY(rni_device_clear(p->dev, p->derived, p->placement.derived));
    /* Last: on a host the arena takes up memory only from here on, when weights that are dropped have made room. */
    return rni_device_clear(p->dev, p->arena, p->placement.arena);
}

rn_status rn_plan_create(rn_model *m, const rn_plan_options *options, rn_plan **out)
{
    RNI_REQUIRE(m);
    RNI_REQUIRE(options);
    RNI_REQUIRE(out);
    rn_plan_options o = defaults;
    int64_t max_batch = 0;
    RNI_TRY(rni_abi_read(&o, sizeof o, FIRST_SIZE, options, "rn_plan_options"));
    RNI_TRY(check_mode(&o));
    RNI_TRY(check_numbers(&o));
    RNI_TRY(check_input(&o, &max_batch));
    RNI_TRY(check_parts(m, &o));
    RNI_TRY(rni_device_check(m->dev));
    rn_plan *const p = rni_calloc(&m->ctx->allocator, 1, sizeof *p);
    if (!p)
        return rni_nomem("a plan", sizeof *p);
    atomic_init(&p->references, 1);
    p->ctx = rn_context_retain(m->ctx);
    p->dev = m->dev;
    p->model = rni_model_use(m);
    p->loss = rn_loss_retain(o.loss);
    p->optimizer = rn_optimizer_retain(o.optimizer);
    p->options = o;
    p->max_batch = max_batch;
    p->dtype = o.compute_dtype;
    p->scales = rni_plan_scales(&o);
    p->seed = o.seed ? o.seed : m->ctx->seed;
    p->trainable_clock = m->trainable_clock;
    rni_program_init(&p->low.p, &p->ctx->allocator);
    const rn_status status = build(p);
    if (status < 0) {
        rn_plan_release(p);
        return status;
    }
    *out = p;
    return RN_OK;
}

rn_plan *rn_plan_retain(rn_plan *p)
{
    if (p)
        rni_reference(&p->references);
    return p;
}

void rn_plan_release(rn_plan *p)
{
    if (!p || !rni_unreference(&p->references))
        return;
    rn_context *const ctx = p->ctx;
    rni_compiled_destroy(p->compiled);
    rni_device_free(p->dev, p->arena, p->placement.arena);
    rni_device_free(p->dev, p->derived, p->placement.derived);
    rn_tensor_release(p->bound_x);
    rn_tensor_release(p->input_tensor);
    rni_storage_release(p->input_storage);
    rni_storage_release(p->metrics_storage);
    rni_program_free(&p->low.p);
    rni_free(&ctx->allocator, p->low.section);
    rni_free(&ctx->allocator, p->param_of_state);
    rni_free(&ctx->allocator, p->grad_of_state);
    rni_free(&ctx->allocator, p->made);
    rni_free(&ctx->allocator, p->wanted);
    rni_profile_free(p->profile);
    rn_optimizer_release(p->optimizer);
    rn_loss_release(p->loss);
    rni_model_unuse(p->model);
    rni_free(&ctx->allocator, p);
    rn_context_release(ctx);
}

rn_status rn_plan_memory(const rn_plan *p, rn_memory *out)
{
    rn_memory known;
    RNI_REQUIRE(p);
    RNI_REQUIRE(out);
    fill_memory(p, &known);
    return rni_abi_write(out, &known, sizeof known, sizeof known, "rn_memory");
}

rn_status rn_plan_input(rn_plan *p, rn_tensor **out)
{
    RNI_REQUIRE(p);
    RNI_REQUIRE(out);
    *out = p->input_tensor;
    return RN_OK;
}

rn_status rn_plan_output_shape(const rn_plan *p, int64_t n, int32_t *rank, int64_t *dims)
{
    RNI_REQUIRE(p);
    RNI_REQUIRE(rank);
    RNI_REQUIRE(dims);
    if (n < 1 || n > p->max_batch)
        return rni_fail(RN_E_INVALID, "n: expected 1 to %lld, got %lld", (long long)p->max_batch, (long long)n);
    const rn_value *const y = &p->low.p.values[p->y];
    *rank = y->rank;
    memcpy(dims, y->dims, sizeof y->dims);
    dims[0] = n;
    return RN_OK;
}

rn_status rni_plan_input_layout(const rn_plan *p, int32_t *layout, rn_dtype *dtype, int32_t *rank, int64_t *dims)
{
    const rn_value *const input = &p->low.p.values[p->input];
    *layout = input->layout;
    *dtype = input->dtype;
    *rank = input->rank;
    memcpy(dims, input->dims, sizeof input->dims);
    return RN_OK;
}
