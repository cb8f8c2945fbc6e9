/* SPDX-License-Identifier: MIT */
/* Optimizers and clipping against plain loops in double. Gradients are written by hand: no plan is needed. */
#include "support.h"
#include "train/train.h"
#include <math.h>

enum { STATES = 4, STEPS = 6, LARGEST = 5 * 19 };

static rn_context *ctx;
static rn_device *cpu;
static rn_model *model;

/* One parameter's values in double. */
typedef struct twin {
    double p[LARGEST], m[LARGEST], v[LARGEST];
    double lr_factor, weight_decay;
    int frozen;
} twin;

typedef struct recipe {
    int adam;
    rn_sgd_options sgd;
    rn_adam_options adam_options;
} recipe;

static void start(void)
{
    ctx = support_context(&cpu);
    rn_layer *net = support_plain(ctx, rn_sequential_create);
    support_append(net, "a", support_linear(ctx, 19, 5)); /* 95 and 5 elements: gaps between them in the flat buffer */
    support_append(net, "b", support_linear(ctx, 5, 3));
    ck_ok(rn_model_create(ctx, net, cpu, &model));
    rn_layer_release(net);
    ck_ok(rni_model_ensure_gradients(model));
}

static void stop(void)
{
    rn_model_release(model);
    rn_context_release(ctx);
}

static rn_state_entry entry(size_t i)
{
    rn_state_entry e = RN_STATE_ENTRY_INIT;
    ck_ok(rn_model_state(model, i, &e));
    return e;
}

static void init_twins(twin *t, double weight_decay)
{
    ck_assert_uint_eq(rn_model_state_count(model), STATES);
    memset(t, 0, STATES * sizeof *t);
    for (size_t i = 0; i < STATES; i++) {
        const rn_state_entry e = entry(i);
        for (int64_t k = 0; k < rn_tensor_count(e.value); k++)
            t[i].p[k] = (double)((float *)rn_tensor_data(e.value))[k];
        t[i].lr_factor = 1.0;
        t[i].weight_decay = weight_decay;
    }
}

/* New gradients, the same numbers for the same step. */
static void write_gradients(int step)
{
    uint32_t seed = (uint32_t)step * 77 + 5;
    for (size_t i = 0; i < STATES; i++) {
        const rn_state_entry e = entry(i);
        for (int64_t k = 0; k < rn_tensor_count(e.grad); k++)
            ((float *)rn_tensor_data(e.grad))[k] = support_random(&seed);
    }
}

/* torch.optim.SGD */
static void sgd_element(twin *t, int64_t k, double g, const rn_sgd_options *o, double lr, int step)
{
    g += t->weight_decay * t->p[k];
    if (o->momentum > 0) {
        t->m[k] = step == 1 ? g : o->momentum * t->m[k] + (1 - o->dampening) * g;
        g = (o->flags & RN_SGD_NESTEROV) ? g + o->momentum * t->m[k] : t->m[k];
    }
    t->p[k] -= lr * g;
}

/* torch.optim.Adam and AdamW */
static void adam_element(twin *t, int64_t k, double g, const rn_adam_options *o, double lr, int step)
{
    if (o->flags & RN_ADAM_DECOUPLED)
        t->p[k] *= 1 - lr * t->weight_decay;
    else
        g += t->weight_decay * t->p[k];
    t->m[k] = o->beta1 * t->m[k] + (1 - o->beta1) * g;
    t->v[k] = o->beta2 * t->v[k] + (1 - o->beta2) * g * g;
    const double m = t->m[k] / (1 - pow(o->beta1, step)), v = t->v[k] / (1 - pow(o->beta2, step));
    t->p[k] -= lr * m / (sqrt(v) + o->eps);
}

static void twin_step(twin *t, const recipe *r, double lr, int step)
{
    for (size_t i = 0; i < STATES; i++) {
        const rn_state_entry e = entry(i);
        for (int64_t k = 0; k < rn_tensor_count(e.value) && !t[i].frozen; k++) {
            const double g = (double)((float *)rn_tensor_data(e.grad))[k];
            if (r->adam)
                adam_element(&t[i], k, g, &r->adam_options, lr * t[i].lr_factor, step);
            else
                sgd_element(&t[i], k, g, &r->sgd, lr * t[i].lr_factor, step);
        }
    }
}

static void check_twins(const twin *t, int step)
{
    for (size_t i = 0; i < STATES; i++) {
        const rn_state_entry e = entry(i);
        for (int64_t k = 0; k < rn_tensor_count(e.value); k++) {
            const double got = (double)((float *)rn_tensor_data(e.value))[k];
            ck_assert_msg(fabs(got - t[i].p[k]) <= 2e-6 * (1 + fabs(t[i].p[k])),
                          "step %d, %s[%d]: expected %.9g, got %.9g", step, e.name, (int)k, t[i].p[k], got);
        }
    }
}

static void run_steps(rn_optimizer *opt, twin *t, const recipe *r, int first, int last)
{
    for (int step = first; step <= last; step++) {
        write_gradients(step);
        twin_step(t, r, rn_optimizer_lr(opt), step);
        ck_ok(rn_optimizer_step(opt));
        check_twins(t, step);
        ck_assert_int_eq(rn_optimizer_steps(opt), step);
    }
}

static rn_optimizer *make(const recipe *r)
{
    rn_optimizer *opt = NULL;
    if (r->adam)
        ck_ok(rn_adam_create(model, &r->adam_options, &opt));
    else
        ck_ok(rn_sgd_create(model, &r->sgd, &opt));
    return opt;
}

static void check_recipe(const recipe *r)
{
    twin t[STATES];
    start();
    init_twins(t, r->adam ? r->adam_options.weight_decay : r->sgd.weight_decay);
    rn_optimizer *opt = make(r);
    run_steps(opt, t, r, 1, STEPS);
    ck_ok(rn_optimizer_set_lr(opt, 0.5 * rn_optimizer_lr(opt)));
    run_steps(opt, t, r, STEPS + 1, STEPS + 2);
    rn_optimizer_release(opt);
    stop();
}

static recipe sgd_recipe(uint64_t flags, double momentum, double dampening, double weight_decay)
{
    return (recipe){.sgd = {sizeof(rn_sgd_options), flags, 0.1, momentum, dampening, weight_decay}};
}

static recipe adam_recipe(uint64_t flags, double weight_decay)
{
    return (recipe){.adam = 1, .adam_options = {sizeof(rn_adam_options), flags, 0.01, 0.9, 0.99, 1e-3, weight_decay}};
}

START_TEST(sgd_follows_the_formula)
{
    const recipe recipes[] = {sgd_recipe(0, 0, 0, 0), sgd_recipe(0, 0.9, 0, 0.1), sgd_recipe(0, 0.8, 0.3, 0.01),
                              sgd_recipe(RN_SGD_NESTEROV, 0.9, 0, 0.05)};
    for (int i = 0; i < 4; i++)
        check_recipe(&recipes[i]);
}
END_TEST

START_TEST(adam_follows_the_formula)
{
    const recipe recipes[] = {adam_recipe(0, 0), adam_recipe(0, 0.1), adam_recipe(RN_ADAM_DECOUPLED, 0.1)};
    for (int i = 0; i < 3; i++)
        check_recipe(&recipes[i]);
}
END_TEST

static void check_groups(const recipe *r)
{
    twin t[STATES];
    rn_group_options o = RN_GROUP_OPTIONS_INIT;
    start();
    init_twins(t, r->adam ? r->adam_options.weight_decay : r->sgd.weight_decay);
    rn_optimizer *opt = make(r);
    o.lr_factor = 64.0;
    ck_ok(rn_optimizer_add_group(opt, "*.bias", &o)); /* a.bias, b.bias */
    o.lr_factor = 0.25;
    o.weight_decay = 0.7;
    ck_ok(rn_optimizer_add_group(opt, "b.*", &o)); /* takes b.bias over */
    t[1].lr_factor = 64.0;
    t[1].weight_decay = 0.0;
    for (int i = 2; i < 4; i++) {
        t[i].lr_factor = 0.25;
        t[i].weight_decay = 0.7;
    }
    run_steps(opt, t, r, 1, STEPS);
    ck_fails(rn_optimizer_add_group(opt, "a.*", &o), RN_E_STATE, "too late");
    rn_optimizer_release(opt);
    stop();
}

START_TEST(groups_have_their_own_settings)
{
    const recipe sgd = sgd_recipe(0, 0.9, 0, 0.1), adamw = adam_recipe(RN_ADAM_DECOUPLED, 0.1);
    check_groups(&sgd);
    check_groups(&adamw);
}
END_TEST

/* Biases lose their decay, keep their group's lr_factor, and share nothing else. */
static void check_exclusion(const recipe *r)
{
    const double decay = r->adam ? r->adam_options.weight_decay : r->sgd.weight_decay;
    twin t[STATES];
    size_t excluded = 99;
    rn_group_options o = RN_GROUP_OPTIONS_INIT;
    start();
    init_twins(t, decay);
    rn_optimizer *opt = make(r);
    o.lr_factor = 0.25;
    o.weight_decay = 0.7;
    ck_ok(rn_optimizer_add_group(opt, "b.*", &o));
    ck_ok(rn_optimizer_exclude_from_decay(opt, 0, &excluded)); /* scalars: there are none */
    ck_assert_uint_eq(excluded, 0);
    ck_assert_uint_eq(opt->num_groups, 2);
    ck_ok(rn_optimizer_exclude_from_decay(opt, 1, &excluded));
    ck_assert_uint_eq(excluded, 2);
    ck_assert_uint_eq(opt->num_groups, 4);
    ck_assert_str_eq(opt->groups[2].glob, "rank 0 to 1 of *");
    ck_assert_str_eq(opt->groups[3].glob, "rank 0 to 1 of b.*");
    ck_ok(rn_optimizer_exclude_from_decay(opt, 1, &excluded)); /* nothing is left to do */
    ck_assert_uint_eq(excluded, 0);
    ck_assert_uint_eq(opt->num_groups, 4);
    t[1].weight_decay = t[3].weight_decay = 0.0;
    t[2].lr_factor = t[3].lr_factor = 0.25;
    t[2].weight_decay = 0.7;
    run_steps(opt, t, r, 1, STEPS);
    ck_fails(rn_optimizer_exclude_from_decay(opt, 1, &excluded), RN_E_STATE, "too late");
    rn_optimizer_release(opt);
    stop();
}

START_TEST(vectors_lose_their_decay)
{
    const recipe sgd = sgd_recipe(RN_SGD_NESTEROV, 0.9, 0, 0.1), adamw = adam_recipe(RN_ADAM_DECOUPLED, 0.1);
    check_exclusion(&sgd);
    check_exclusion(&adamw);
    start();
    rn_optimizer *opt = make(&sgd);
    ck_fails(rn_optimizer_exclude_from_decay(NULL, 1, NULL), RN_E_INVALID, "opt is NULL");
    ck_fails(rn_optimizer_exclude_from_decay(opt, -1, NULL), RN_E_INVALID, "max_rank is -1, expected 0 or more");
    ck_ok(rn_optimizer_exclude_from_decay(opt, 8, NULL)); /* of everything */
    ck_assert_uint_eq(opt->num_groups, 2);
    rn_optimizer_release(opt);
    stop();
}
END_TEST

START_TEST(frozen_parameters_stay)
{
    const recipe r = adam_recipe(0, 0.1);
    twin t[STATES];
    start();
    init_twins(t, 0.1);
    rn_optimizer *opt = make(&r);
    ck_ok(rn_model_set_trainable(model, "a.bias", 0, NULL));
    t[1].frozen = 1;
    run_steps(opt, t, &r, 1, 2);
    ck_ok(rn_model_set_trainable(model, "b.weight", 0, NULL)); /* the own program is made anew */
    t[2].frozen = 1;
    run_steps(opt, t, &r, 3, 4);
    ck_ok(rn_model_set_trainable(model, "*", 0, NULL));
    for (int i = 0; i < STATES; i++)
        t[i].frozen = 1;
    run_steps(opt, t, &r, 5, 5);
    ck_ok(rn_model_set_trainable(model, "b.*", 1, NULL));
    t[2].frozen = t[3].frozen = 0;
    run_steps(opt, t, &r, 6, 7);
    rn_optimizer_release(opt);
    stop();
}
END_TEST

/* Neighbours of equal settings are one run of the flat buffer; a frozen one or other settings cut it. */
START_TEST(segments_are_merged)
{
    rni_program p;
    uint32_t metrics;
    const int64_t bytes = sizeof(rn_step_metrics);
    const recipe r = sgd_recipe(0, 0.9, 0, 0.1);
    rn_group_options o = RN_GROUP_OPTIONS_INIT;
    start();
    rn_optimizer *opt = make(&r);
    o.weight_decay = 0.1; /* what the optimizer's own group has: no cut */
    ck_ok(rn_optimizer_add_group(opt, "a.weight", &o));
    for (int cut = 0; cut < 2; cut++) {
        if (cut)
            ck_ok(rn_model_set_trainable(model, "a.bias", 0, NULL));
        rni_program_init(&p, &ctx->allocator);
        ck_ok(rni_program_value(&p, RN_U8, RN_ROLE_METRICS, RN_LAYOUT_PLAIN, 1, &bytes, 0, &metrics));
        ck_ok(rni_optimizer_append(opt, &p, 1.5, NULL, metrics));
        ck_assert_uint_eq(p.num_ops, 3);
        ck_assert_int_eq(p.ops[0].kind, RN_OP_GRAD_NORM);
        ck_assert_int_eq(p.ops[1].kind, RN_OP_GRAD_CLIP);
        ck_assert_double_eq(((const rn_segments_params *)p.ops[1].params)->clip_norm, 1.5);
        const rn_sgd_params *const sgd = p.ops[2].params;
        ck_assert_uint_eq(sgd->num_segments, cut ? 2 : 1);
        ck_assert_uint_eq(sgd->segments[0].offset, 0);
        ck_assert_uint_eq(sgd->segments[0].count, cut ? 95 : 96 + 16 + 16 + 3);
        if (cut)
            ck_assert_uint_eq(sgd->segments[1].offset, 96 + 16);
        ck_ok(rni_program_verify(&p));
        rni_program_free(&p);
    }
    ck_assert_uint_eq(rni_optimizer_state_bytes(opt), model->params->bytes);
    rn_optimizer_release(opt);
    stop();
}
END_TEST

static double norm_of(int without)
{
    double sum = 0;
    for (size_t i = 0; i < STATES; i++) {
        const rn_state_entry e = entry(i);
        for (int64_t k = 0; k < rn_tensor_count(e.grad) && (int)i != without; k++)
            sum += pow((double)((float *)rn_tensor_data(e.grad))[k], 2);
    }
    return sqrt(sum);
}

START_TEST(clipping_scales_the_joint_norm)
{
    double norm = -1;
    start();
    write_gradients(1);
    const double before = norm_of(-1);
    ck_ok(rn_model_clip_grad_norm(model, 2 * before, &norm)); /* small enough: untouched */
    ck_assert_double_eq_tol(norm, before, 1e-6 * before);
    ck_assert(norm_of(-1) == before);
    ck_ok(rn_model_clip_grad_norm(model, 0.5, &norm));
    ck_assert_double_eq_tol(norm, before, 1e-6 * before);
    ck_assert_double_eq_tol(norm_of(-1), 0.5, 1e-5);
    ck_ok(rn_model_clip_grad_norm(model, 0.25, NULL));
    ck_assert_double_eq_tol(norm_of(-1), 0.25, 1e-5);

    write_gradients(2); /* frozen ones neither count nor change */
    ck_ok(rn_model_set_trainable(model, "a.bias", 0, NULL));
    const float kept = ((float *)rn_tensor_data(entry(1).grad))[2];
    const double rest = norm_of(1);
    ck_ok(rn_model_clip_grad_norm(model, 0.5, &norm));
    ck_assert_double_eq_tol(norm, rest, 1e-6 * rest);
    ck_assert_double_eq_tol(norm_of(1), 0.5, 1e-5);
    ck_assert(((float *)rn_tensor_data(entry(1).grad))[2] == kept);

    norm = 42;
    ck_fails(rn_model_clip_grad_norm(model, 0.0, &norm), RN_E_INVALID, "max_norm is 0");
    ck_fails(rn_model_clip_grad_norm(model, NAN, &norm), RN_E_INVALID, "max_norm is nan");
    ck_fails(rn_model_clip_grad_norm(NULL, 1.0, &norm), RN_E_INVALID, "m is NULL");
    ck_assert_double_eq(norm, 42);
    stop();
}
END_TEST

START_TEST(a_step_tells_the_model)
{
    const recipe r = sgd_recipe(0, 0, 0, 0);
    start();
    write_gradients(1);
    rn_optimizer *opt = make(&r);
    ck_assert_uint_eq(rni_optimizer_state_bytes(opt), 0);
    const uint64_t before = model->states[0].generation;
    ck_ok(rn_optimizer_step(opt));
    ck_assert_uint_gt(model->states[0].generation, before);
    rn_optimizer_release(opt);
    stop();
}
END_TEST

START_TEST(no_gradients_yet)
{
    rn_optimizer *opt = NULL;
    double norm;
    ctx = support_context(&cpu);
    rn_layer *layer = support_linear(ctx, 2, 2);
    ck_ok(rn_model_create(ctx, layer, cpu, &model));
    ck_ok(rn_adam_create(model, NULL, &opt));
    ck_fails(rn_optimizer_step(opt), RN_E_STATE, "no gradients yet");
    ck_fails(rn_model_clip_grad_norm(model, 1.0, &norm), RN_E_STATE, "no gradients yet");
    ck_assert_int_eq(rn_optimizer_steps(opt), 0);
    /* The optimizer keeps the model, the model the context. */
    rn_layer_release(layer);
    rn_model_release(model);
    rn_context_release(ctx);
    ck_assert_double_eq(rn_optimizer_lr(opt), 1e-3);
    rn_optimizer_release(rn_optimizer_retain(opt));
    rn_optimizer_release(opt);
}
END_TEST

START_TEST(sgd_refuses)
{
    rn_optimizer *opt = NULL;
    start();
    rn_sgd_options o = RN_SGD_OPTIONS_INIT;
    o.lr = -1;
    ck_fails(rn_sgd_create(model, &o, &opt), RN_E_INVALID,
             "rn_sgd_options.lr is -1, expected a finite number, 0 or more");
    o.lr = INFINITY;
    ck_fails(rn_sgd_create(model, &o, &opt), RN_E_INVALID, "rn_sgd_options.lr is inf");
    o = (rn_sgd_options)RN_SGD_OPTIONS_INIT;
    o.momentum = NAN;
    ck_fails(rn_sgd_create(model, &o, &opt), RN_E_INVALID, "rn_sgd_options.momentum is nan");
    o.momentum = 0;
    o.flags = RN_SGD_NESTEROV;
    ck_fails(rn_sgd_create(model, &o, &opt), RN_E_INVALID, "momentum is 0, expected above 0 with RN_SGD_NESTEROV");
    o.momentum = 0.9;
    o.dampening = 0.1;
    ck_fails(rn_sgd_create(model, &o, &opt), RN_E_INVALID, "dampening is 0.1, expected 0 with RN_SGD_NESTEROV");
    o.dampening = NAN;
    ck_fails(rn_sgd_create(model, &o, &opt), RN_E_INVALID, "dampening is nan");
    o = (rn_sgd_options)RN_SGD_OPTIONS_INIT;
    o.weight_decay = -0.5;
    ck_fails(rn_sgd_create(model, &o, &opt), RN_E_INVALID, "rn_sgd_options.weight_decay is -0.5");
    o.flags = 8;
    ck_fails(rn_sgd_create(model, &o, &opt), RN_E_INVALID, "unknown bits 0x8");
    o.struct_size = 1;
    ck_fails(rn_sgd_create(model, &o, &opt), RN_E_VERSION, "rn_sgd_options");
    ck_fails(rn_sgd_create(NULL, NULL, &opt), RN_E_INVALID, "m is NULL");
    ck_fails(rn_sgd_create(model, NULL, NULL), RN_E_INVALID, "out is NULL");
    ck_assert_ptr_null(opt);
    stop();
}
END_TEST

START_TEST(adam_and_groups_refuse)
{
    rn_optimizer *opt = NULL;
    rn_group_options g = RN_GROUP_OPTIONS_INIT;
    start();
    rn_adam_options o = RN_ADAM_OPTIONS_INIT;
    o.beta1 = 1.0;
    ck_fails(rn_adam_create(model, &o, &opt), RN_E_INVALID,
             "rn_adam_options.beta1 is 1, expected 0 or more and below 1");
    o.beta1 = 0.9;
    o.beta2 = -0.1;
    ck_fails(rn_adam_create(model, &o, &opt), RN_E_INVALID, "rn_adam_options.beta2 is -0.1");
    o.beta2 = 0.9;
    o.eps = NAN;
    ck_fails(rn_adam_create(model, &o, &opt), RN_E_INVALID, "rn_adam_options.eps is nan");
    o.eps = 0;
    o.flags = 2;
    ck_fails(rn_adam_create(model, &o, &opt), RN_E_INVALID, "rn_adam_options.flags");
    ck_assert_ptr_null(opt);
    ck_ok(rn_adam_create(model, NULL, &opt));
    ck_fails(rn_optimizer_set_lr(opt, -1), RN_E_INVALID, "lr is -1");
    ck_fails(rn_optimizer_set_lr(opt, NAN), RN_E_INVALID, "lr is nan");
    ck_fails(rn_optimizer_set_lr(NULL, 1), RN_E_INVALID, "opt is NULL");
    ck_assert_double_eq(rn_optimizer_lr(opt), 1e-3);
    ck_fails(rn_optimizer_add_group(opt, "c.*", NULL), RN_E_NOT_FOUND, "no parameter's name matches \"c.*\"");
    ck_fails(rn_optimizer_add_group(opt, NULL, NULL), RN_E_INVALID, "name_glob is NULL");
    g.lr_factor = -1;
    ck_fails(rn_optimizer_add_group(opt, "a.*", &g), RN_E_INVALID, "rn_group_options.lr_factor is -1");
    g.lr_factor = 1;
    g.weight_decay = INFINITY;
    ck_fails(rn_optimizer_add_group(opt, "a.*", &g), RN_E_INVALID, "rn_group_options.weight_decay is inf");
    ck_assert_uint_eq(opt->num_groups, 1);
    rn_optimizer_release(opt);
    ck_assert_double_eq(rn_optimizer_lr(NULL), 0.0);
    ck_assert_int_eq(rn_optimizer_steps(NULL), 0);
    rn_optimizer_release(NULL);
    stop();
}
END_TEST

SUPPORT_MAIN("optimizer", sgd_follows_the_formula, adam_follows_the_formula, groups_have_their_own_settings,
             vectors_lose_their_decay, frozen_parameters_stay, segments_are_merged, clipping_scales_the_joint_norm,
             a_step_tells_the_model, no_gradients_yet, sgd_refuses, adam_and_groups_refuse)
