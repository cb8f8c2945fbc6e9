/* SPDX-License-Identifier: MIT */
/* Gradient norm and clipping, SGD and Adam over the segments of the flat parameter buffers; averages of weights. */
#include "base/error.h"
#include "ops/operands.h"
#include "cpu/driver.h"
#include <math.h>
#include <string.h>

typedef struct update_task {
    const rni_cpu_call *call;
    const rn_segment *segments;
    size_t num_segments;
    float *params, *state;
    const float *grads;
    double *partial;
    double factor;                     /* of clipping */
    double correction1, correction2;   /* of Adam */
} update_task;

/* A part of one segment. */
typedef void (*part_fn)(update_task *t, const rn_segment *segment, size_t first, size_t count, double *sum);

static size_t total(const rn_segment *segments, size_t num)
{
    size_t n = 0;
    for (size_t i = 0; i < num; i++)
        n += (size_t)segments[i].count;
    return n;
}

/* Chunk `index` of all segments strung together: calls part() for what it holds of each. */
static double for_chunk(update_task *t, size_t index, part_fn part)
{
    size_t skip = index * RNI_FLAT_CHUNK, left = RNI_FLAT_CHUNK;
    double sum = 0;
    for (size_t i = 0; i < t->num_segments && left; i++) {
        const rn_segment *const s = &t->segments[i];
        if (skip >= s->count) {
            skip -= (size_t)s->count;
            continue;
        }
        const size_t count = rni_min_size(left, (size_t)s->count - skip);
        part(t, s, (size_t)s->offset + skip, count, &sum);
        left -= count;
        skip = 0;
    }
    return sum;
}

static rn_status run_chunks(update_task *t, rn_task_fn task)
{
    const size_t n = total(t->segments, t->num_segments);
    return rni_cpu_for(t->call, task, t, rni_ceil_div(n, RNI_FLAT_CHUNK), n);
}

/* Asks for no workspace. */
static rn_status check(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    (void)cpu;
    (void)info;
    return rni_ops_check_update(op, values);
}

static void norm_part(update_task *t, const rn_segment *segment, size_t first, size_t count, double *sum)
{
    (void)segment;
    *sum += t->call->kernels->f32.sum_squares(t->grads + first, count);
}

static void norm_chunk(void *arg, size_t index)
{
    update_task *const t = arg;
    t->partial[index] = for_chunk(t, index, norm_part);
}

static rn_status norm_query(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    const rn_segments_params *const p = op->params;
    (void)cpu;
    RNI_TRY(rni_ops_check_update(op, values));
    info->workspace =
        rni_ceil_div(total(p->segments, (size_t)p->num_segments), RNI_FLAT_CHUNK) * sizeof(double);
    return RN_OK;
}

static rn_status norm_run(const rni_cpu_call *c)
{
    const rn_segments_params *const p = c->op->params;
    update_task t = {.call = c, .segments = p->segments, .num_segments = (size_t)p->num_segments};
    t.grads = rni_cpu_in(c, 0);
    t.partial = rni_cpu_workspace(c);
    RNI_TRY(run_chunks(&t, norm_chunk));
    const size_t chunks = rni_ceil_div(total(t.segments, t.num_segments), RNI_FLAT_CHUNK);
    double sum = 0;
    for (size_t i = 0; i < chunks; i++)
        sum += t.partial[i];
    ((rn_step_metrics *)rni_cpu_out(c, 0))->grad_norm = sqrt(sum);
    return RN_OK;
}

static void clip_part(update_task *t, const rn_segment *segment, size_t first, size_t count, double *sum)
{
    (void)segment;
    (void)sum;
    t->call->kernels->f32.scale(t->params + first, t->factor, count);
}

static void clip_chunk(void *arg, size_t index)
{
    for_chunk(arg, index, clip_part);
}

/* torch.nn.utils.clip_grad_norm_. */
static rn_status clip_run(const rni_cpu_call *c)
{
    const rn_segments_params *const p = c->op->params;
    const rn_step_metrics *const m = rni_cpu_in(c, 0);
    update_task t = {.call = c, .segments = p->segments, .num_segments = (size_t)p->num_segments};
    t.params = rni_cpu_out(c, 0);
    t.factor = p->clip_norm / (m->grad_norm + 1e-6);
    return t.factor >= 1 ? RN_OK : run_chunks(&t, clip_chunk);
}

static size_t count_nonfinite(const float *x, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += !isfinite(x[i]);
    return count;
}

static void unscale_part(update_task *t, const rn_segment *segment, size_t first, size_t count, double *sum)
{
    (void)segment;
    t->call->kernels->f32.scale(t->params + first, t->factor, count);
    *sum += (double)count_nonfinite(t->params + first, count);
}

static void unscale_chunk(void *arg, size_t index)
{
    update_task *const t = arg;
    t->partial[index] = for_chunk(t, index, unscale_part);
}

static rn_status unscale_run(const rni_cpu_call *c)
{
    const rn_segments_params *const p = c->op->params;
    rn_step_metrics *const m = rni_cpu_out(c, 1);
    update_task t = {.call = c, .segments = p->segments, .num_segments = (size_t)p->num_segments};
    t.params = rni_cpu_out(c, 0);
    t.partial = rni_cpu_workspace(c);
    t.factor = 1 / m->loss_scale;
    RNI_TRY(run_chunks(&t, unscale_chunk));
    const size_t chunks = rni_ceil_div(total(t.segments, t.num_segments), RNI_FLAT_CHUNK);
    for (size_t i = 0; i < chunks; i++)
        if (t.partial[i] > 0)
            m->step_nonfinite = 1;
    return RN_OK;
}

/* torch.amp.GradScaler.update(). */
static rn_status loss_scale_run(const rni_cpu_call *c)
{
    const rn_loss_scale_params *const p = c->op->params;
    rn_step_metrics *const m = rni_cpu_out(c, 0);
    if (m->step_nonfinite) {
        m->loss_scale = fmax(m->loss_scale * p->backoff, p->least);
        m->good_steps = 0;
        m->skipped++;
        m->uncounted += p->host_counts;
    } else if (++m->good_steps >= p->interval) {
        m->loss_scale = fmin(m->loss_scale * p->growth, p->most);
        m->good_steps = 0;
    }
    return RN_OK;
}

/* Without those that were skipped after the host had counted them. */
static int64_t update_number(const rni_cpu_call *c)
{
    return c->run->optimizer_step - ((const rn_step_metrics *)rni_cpu_in(c, 1))->uncounted;
}

static void sgd_part(update_task *t, const rn_segment *segment, size_t first, size_t count, double *sum)
{
    const rn_sgd_params *const p = t->call->op->params;
    const rni_sgd s = {.lr = t->call->run->lr[segment->group],
                       .weight_decay = segment->weight_decay,
                       .momentum = p->momentum,
                       .dampening = p->dampening,
                       .nesterov = p->nesterov,
                       .first = update_number(t->call) <= 1};
    (void)sum;
    t->call->kernels->update.sgd(&s, t->params + first, t->grads + first, t->state ? t->state + first : NULL, count);
}

static void sgd_chunk(void *arg, size_t index)
{
    for_chunk(arg, index, sgd_part);
}

static rn_status sgd_run(const rni_cpu_call *c)
{
    const rn_sgd_params *const p = c->op->params;
    update_task t = {.call = c, .segments = p->segments, .num_segments = (size_t)p->num_segments};
    t.grads = rni_cpu_in(c, 0);
    t.params = rni_cpu_out(c, 0);
    t.state = p->momentum != 0 ? rni_cpu_out(c, 1) : NULL;
    return ((const rn_step_metrics *)rni_cpu_in(c, 1))->step_nonfinite ? RN_OK : run_chunks(&t, sgd_chunk);
}

static void adam_part(update_task *t, const rn_segment *segment, size_t first, size_t count, double *sum)
{
    const rn_adam_params *const p = t->call->op->params;
    const rni_adam a = {.lr = t->call->run->lr[segment->group],
                        .weight_decay = segment->weight_decay,
                        .beta1 = p->beta1,
                        .beta2 = p->beta2,
                        .eps = p->eps,
                        .correction1 = t->correction1,
                        .correction2 = t->correction2,
                        .decoupled = p->decoupled};
    float *const m = t->state + first;
    (void)sum;
    t->call->kernels->update.adam(&a, t->params + first, t->grads + first, m, m + p->state_stride, count);
}

static void adam_chunk(void *arg, size_t index)
{
    for_chunk(arg, index, adam_part);
}

static rn_status adam_run(const rni_cpu_call *c)
{
    const rn_adam_params *const p = c->op->params;
    const double step = (double)update_number(c);
    update_task t = {.call = c, .segments = p->segments, .num_segments = (size_t)p->num_segments};
    t.grads = rni_cpu_in(c, 0);
    t.params = rni_cpu_out(c, 0);
    t.state = rni_cpu_out(c, 1);
    t.correction1 = 1 - pow(p->beta1, step);
    t.correction2 = 1 - pow(p->beta2, step);
    return ((const rn_step_metrics *)rni_cpu_in(c, 1))->step_nonfinite ? RN_OK : run_chunks(&t, adam_chunk);
}

typedef struct lerp_task {
    const rni_cpu_call *call;
    size_t count;
} lerp_task;

static void lerp_chunk(void *arg, size_t index)
{
    const lerp_task *const t = arg;
    const size_t first = index * RNI_FLAT_CHUNK, count = rni_min_size(RNI_FLAT_CHUNK, t->count - first);
    float *const a = (float *)rni_cpu_out(t->call, 0) + first;
    const float *const b = (const float *)rni_cpu_in(t->call, 0) + first;
    const double weight = t->call->run->lr[0];
    if (weight == 1) /* no difference of infinities */
        memcpy(a, b, count * sizeof *a);
    else if (weight != 0)
        t->call->kernels->update.lerp(weight, a, b, count);
}

static rn_status lerp_run(const rni_cpu_call *c)
{
    lerp_task t = {.call = c, .count = (size_t)rni_cpu_in_value(c, 0)->bytes / sizeof(float)};
    return rni_cpu_for(c, lerp_chunk, &t, rni_ceil_div(t.count, RNI_FLAT_CHUNK), t.count);
}

const rni_cpu_driver rni_cpu_grad_norm = {norm_query, norm_run, RNI_BF16_WIDENED};
const rni_cpu_driver rni_cpu_grad_clip = {check, clip_run, RNI_BF16_WIDENED};
const rni_cpu_driver rni_cpu_sgd = {check, sgd_run, RNI_BF16_WIDENED};
const rni_cpu_driver rni_cpu_adam = {check, adam_run, RNI_BF16_WIDENED};
const rni_cpu_driver rni_cpu_grad_unscale = {norm_query, unscale_run, RNI_BF16_WIDENED};
const rni_cpu_driver rni_cpu_loss_scale = {check, loss_scale_run, RNI_BF16_WIDENED};
const rni_cpu_driver rni_cpu_lerp = {check, lerp_run, RNI_BF16_WIDENED};
