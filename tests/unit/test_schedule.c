/* SPDX-License-Identifier: MIT */
/* Schedules against numbers of torch.optim.lr_scheduler (PyTorch 1.13) and their refusals. */
#include "support.h"
#include "train/train.h"
#include <math.h>

static rn_context *ctx;
static rn_device *cpu;

static double lr_at(const rn_schedule *s, int64_t step)
{
    double lr = -1.0;
    ck_ok(rn_schedule_lr(s, step, &lr));
    return lr;
}

static void check_curve(rn_schedule *s, const double *expected, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const double lr = lr_at(s, i);
        ck_assert_msg(fabs(lr - expected[i]) <= 1e-14, "step %d: expected %.17g, got %.17g", (int)i, expected[i], lr);
    }
    rn_schedule_release(s);
}

static rn_schedule *step_schedule(double lr, double gamma, int64_t period)
{
    rn_step_schedule_options o = RN_STEP_SCHEDULE_OPTIONS_INIT;
    rn_schedule *s = NULL;
    o.lr = lr;
    o.gamma = gamma;
    o.period = period;
    ck_ok(rn_step_schedule_create(ctx, &o, &s));
    return s;
}

START_TEST(step_is_StepLR)
{
    static const double expected[] = {0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025};
    ctx = support_context(&cpu);
    rn_schedule *s = step_schedule(0.1, 0.5, 3);
    ck_assert_double_eq_tol(lr_at(s, 3000), 0.1 * pow(0.5, 1000), 1e-320);
    check_curve(s, expected, 8);
    rn_context_release(ctx);
}
END_TEST

START_TEST(multistep_is_MultiStepLR)
{
    static const double expected[] = {0.1, 0.1, 0.01, 0.01, 0.01, 0.0001, 0.0001, 0.00001, 0.00001};
    int64_t milestones[] = {2, 5, 5, 7};
    rn_multistep_schedule_options o = RN_MULTISTEP_SCHEDULE_OPTIONS_INIT;
    rn_schedule *s = NULL;
    ctx = support_context(&cpu);
    o.milestones = milestones;
    o.num_milestones = 4;
    ck_ok(rn_multistep_schedule_create(ctx, &o, &s));
    milestones[0] = 1; /* they were copied */
    check_curve(s, expected, 9);
    o.num_milestones = 0;
    ck_ok(rn_multistep_schedule_create(ctx, &o, &s));
    ck_assert_double_eq(lr_at(s, 1000000), 0.1);
    rn_schedule_release(s);
    rn_context_release(ctx);
}
END_TEST

START_TEST(cosine_is_CosineAnnealingLR)
{
    static const double expected[] = {0.1,
                                      0.097577297556610113,
                                      0.090546341221559898,
                                      0.079595369988477424,
                                      0.065796341221559904,
                                      0.050500000000000003,
                                      0.03520365877844011,
                                      0.021404630011522589,
                                      0.010453658778440109,
                                      0.0034227024433899004,
                                      0.001,
                                      0.001};
    rn_cosine_schedule_options o = RN_COSINE_SCHEDULE_OPTIONS_INIT;
    rn_schedule *s = NULL;
    ctx = support_context(&cpu);
    o.min_lr = 0.001;
    o.steps = 10;
    ck_ok(rn_cosine_schedule_create(ctx, &o, &s));
    check_curve(s, expected, 12);
    rn_context_release(ctx);
}
END_TEST

START_TEST(warmup_is_LinearLR_times_inner)
{
    static const double expected[] = {0.01, 0.028, 0.046, 0.064, 0.082, 0.1, 0.1, 0.01, 0.01};
    static const int64_t milestones[] = {7};
    rn_multistep_schedule_options inner_options = RN_MULTISTEP_SCHEDULE_OPTIONS_INIT;
    rn_schedule *inner = NULL, *s = NULL;
    ctx = support_context(&cpu);
    inner_options.milestones = milestones;
    inner_options.num_milestones = 1;
    ck_ok(rn_multistep_schedule_create(ctx, &inner_options, &inner));
    ck_ok(rn_warmup_schedule_create(ctx, inner, NULL, &s));
    rn_schedule_release(inner); /* the warm-up has its own reference */
    check_curve(s, expected, 9);
    rn_context_release(ctx);
}
END_TEST

static rn_schedule *one_cycle(double pct_start, double div, double final_div, int64_t steps, uint64_t flags)
{
    rn_one_cycle_schedule_options o = RN_ONE_CYCLE_SCHEDULE_OPTIONS_INIT;
    rn_schedule *s = NULL;
    o.flags = flags;
    o.max_lr = 0.4;
    o.pct_start = pct_start;
    o.div = div;
    o.final_div = final_div;
    o.steps = steps;
    ck_ok(rn_one_cycle_schedule_create(ctx, &o, &s));
    return s;
}

START_TEST(one_cycle_is_OneCycleLR)
{
    static const double cosine[] = {0.04,
                                    0.22,
                                    0.4,
                                    0.38021357980690335,
                                    0.324773262411375,
                                    0.24465968260447163,
                                    0.1557403173955284,
                                    0.075626737588625051,
                                    0.020186420193096678,
                                    0.0004,
                                    0.0004};
    static const double linear[] = {0.04, 0.28, 0.37336, 0.32008, 0.2668, 0.21352, 0.16024, 0.10696, 0.05368, 0.0004};
    static const double early_peak[] = {0.37387495373796559, 0.23886139464505143, 0.079656416111124825, 0.01};
    static const double all_rise[] = {0.04, 0.16, 0.28, 0.4};
    ctx = support_context(&cpu);
    check_curve(one_cycle(0.3, 10, 100, 10, 0), cosine, 11);
    check_curve(one_cycle(0.25, 10, 100, 10, RN_ONE_CYCLE_LINEAR), linear, 10);
    check_curve(one_cycle(0.1, 4, 10, 4, 0), early_peak, 4);
    check_curve(one_cycle(1.0, 10, 100, 4, RN_ONE_CYCLE_LINEAR), all_rise, 4);
    rn_schedule *s = one_cycle(0.25, 10, 100, 4, 0); /* the peak is at step 0: no division by it */
    ck_assert_double_eq(lr_at(s, 0), 0.4);
    rn_schedule_release(s);
    rn_context_release(ctx);
}
END_TEST

static void check_plateau(const rn_plateau_schedule_options *o, const double *metrics, const double *expected,
                          size_t count)
{
    rn_schedule *s = NULL;
    ck_ok(rn_plateau_schedule_create(ctx, o, &s));
    for (size_t i = 0; i < count; i++) {
        ck_ok(rn_schedule_observe(s, metrics[i]));
        const double lr = lr_at(s, 99);
        ck_assert_msg(fabs(lr - expected[i]) <= 1e-15, "after %zu: expected %.17g, got %.17g", i, expected[i], lr);
    }
    rn_schedule_release(s);
}

START_TEST(plateau_is_ReduceLROnPlateau)
{
    static const double metrics[] = {1.0,  0.9,  0.91, 0.92, 0.89995, 0.5, 0.6, 0.7, 0.8, 0.9,
                                     0.55, 0.51, 0.49, NAN,  0.5,     0.5, 0.5, 0.5, 0.5, 0.5};
    static const double expected[] = {0.1,   0.1,    0.1,    0.05,   0.05,   0.05, 0.05, 0.025, 0.025, 0.025,
                                      0.025, 0.0125, 0.0125, 0.0125, 0.0125, 0.01, 0.01, 0.01,  0.01,  0.01};
    static const double rising[] = {0.1, 0.2, 0.2, 0.2, 0.2, 0.20001, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3};
    static const double expected_rising[] = {1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01};
    rn_plateau_schedule_options o = RN_PLATEAU_SCHEDULE_OPTIONS_INIT;
    ctx = support_context(&cpu);
    o.factor = 0.5;
    o.patience = 1;
    o.cooldown = 2;
    o.min_lr = 0.01;
    check_plateau(&o, metrics, expected, 20);
    ck_ok(rn_plateau_schedule_options_init(&o, sizeof o));
    o.flags = RN_PLATEAU_MAXIMIZE;
    o.lr = 1.0;
    o.patience = 2;
    o.threshold = 1e-3;
    o.min_lr = 0.005;
    o.eps = 1e-3;
    check_plateau(&o, rising, expected_rising, 12);
    rn_context_release(ctx);
}
END_TEST

static rn_schedule *hold_schedule(rn_schedule *inner, uint64_t flags, double factor, double threshold)
{
    rn_hold_schedule_options o = RN_HOLD_SCHEDULE_OPTIONS_INIT;
    rn_schedule *s = NULL;
    o.flags = flags;
    o.factor = factor;
    o.threshold = threshold;
    ck_ok(rn_hold_schedule_create(ctx, inner, &o, &s));
    rn_schedule_release(inner);
    return s;
}

/* The paper's training of 110 layers, with milestones that count from the beginning. */
START_TEST(hold_ends_when_training_works)
{
    static const double errors[] = {0.9, 0.81, NAN, 0.8};
    ctx = support_context(&cpu);
    rn_schedule *s = NULL, *inner = step_schedule(0.1, 0.1, 5);
    ck_ok(rn_hold_schedule_create(ctx, inner, NULL, &s));
    rn_schedule_release(inner);
    for (int i = 0; i < 4; i++) {
        ck_ok(rn_schedule_observe(s, errors[i]));
        ck_assert_double_eq_tol(lr_at(s, i), 0.01, 1e-17);
    }
    ck_ok(rn_schedule_observe(s, 0.79));
    ck_assert_double_eq_tol(lr_at(s, 4), 0.1, 1e-17);
    ck_ok(rn_schedule_observe(s, 0.95)); /* for good */
    ck_assert_double_eq_tol(lr_at(s, 4), 0.1, 1e-17);
    ck_assert_double_eq_tol(lr_at(s, 5), 0.01, 1e-17);
    rn_schedule_release(s);
    s = hold_schedule(step_schedule(1.0, 0.5, 10), RN_HOLD_UNTIL_ABOVE, 0.25, 0.2);
    ck_ok(rn_schedule_observe(s, 0.2));
    ck_assert_double_eq(lr_at(s, 0), 0.25);
    ck_ok(rn_schedule_observe(s, 0.21));
    ck_assert_double_eq(lr_at(s, 0), 1.0);
    rn_schedule_release(s);
    rn_context_release(ctx);
}
END_TEST

START_TEST(hold_state_comes_back)
{
    rni_schedule_state state[8];
    double released = 1, odd = 0.5;
    ctx = support_context(&cpu);
    rn_schedule *a = hold_schedule(step_schedule(1.0, 0.5, 10), 0, 0.5, 0.3);
    rn_schedule *b = hold_schedule(step_schedule(1.0, 0.5, 10), 0, 0.5, 0.3);
    ck_assert_uint_eq(rni_schedule_settings(a, state, 8), 6); /* its own three and the inner's */
    ck_assert_str_eq(state[2].name, "hold.threshold");
    ck_assert_double_eq(state[2].value, 0.3);
    ck_assert_str_eq(state[5].name, "step.period");
    ck_ok(rn_schedule_observe(a, 0.1));
    ck_assert_uint_eq(rni_schedule_progress(a, state, 8), 1);
    ck_assert_double_eq(state[0].value, 1.0);
    ck_fails(rni_schedule_set_progress(b, &odd, 1), RN_E_FORMAT, "the progress of a hold schedule is 0.5");
    ck_assert_double_eq(lr_at(b, 0), 0.5);
    ck_ok(rni_schedule_set_progress(b, &released, 1));
    ck_assert_double_eq(lr_at(b, 0), 1.0);
    rn_schedule_release(a);
    rn_schedule_release(b);
    rn_context_release(ctx);
}
END_TEST

START_TEST(hold_refuses)
{
    rn_hold_schedule_options o = RN_HOLD_SCHEDULE_OPTIONS_INIT;
    rn_schedule *s = NULL, *plateau = NULL, *inner;
    ctx = support_context(&cpu);
    inner = step_schedule(0.1, 0.1, 1);
    ck_ok(rn_plateau_schedule_create(ctx, NULL, &plateau));
    ck_fails(rn_hold_schedule_create(ctx, plateau, &o, &s), RN_E_INVALID,
             "rn_hold_schedule_create: inner is a plateau schedule, expected a function of the step");
    ck_fails(rn_hold_schedule_create(ctx, NULL, &o, &s), RN_E_INVALID, "inner is NULL");
    o.factor = 1.5;
    ck_fails(rn_hold_schedule_create(ctx, inner, &o, &s), RN_E_INVALID, "factor is 1.5, expected 0 to 1");
    o.factor = 0.5;
    o.threshold = INFINITY;
    ck_fails(rn_hold_schedule_create(ctx, inner, &o, &s), RN_E_INVALID, "threshold is inf, expected a finite number");
    o.threshold = 0.5;
    o.flags = 2;
    ck_fails(rn_hold_schedule_create(ctx, inner, &o, &s), RN_E_INVALID, "rn_hold_schedule_options.flags");
    ck_assert_ptr_null(s);
    s = hold_schedule(inner, 0, 0.1, 0.8);
    ck_fails(rn_warmup_schedule_create(ctx, s, NULL, &inner), RN_E_INVALID, "inner is a hold schedule");
    rn_schedule_release(s);
    rn_schedule_release(plateau);
    rn_context_release(ctx);
}
END_TEST

START_TEST(plateau_state_comes_back)
{
    rn_plateau_schedule_options o = RN_PLATEAU_SCHEDULE_OPTIONS_INIT;
    rni_schedule_state state[8];
    double values[4], impossible[4];
    rn_schedule *a = NULL, *b = NULL;
    ctx = support_context(&cpu);
    o.patience = 1;
    ck_ok(rn_plateau_schedule_create(ctx, &o, &a));
    ck_ok(rn_plateau_schedule_create(ctx, &o, &b));
    ck_ok(rn_schedule_observe(a, 1.0));
    ck_ok(rn_schedule_observe(a, 2.0));
    ck_assert_uint_eq(rni_schedule_progress(a, state, 8), 4);
    for (int i = 0; i < 4; i++)
        values[i] = impossible[i] = state[i].value;
    ck_ok(rni_schedule_set_progress(b, values, 4));
    ck_ok(rn_schedule_observe(b, 2.0)); /* the second bad one reduces */
    ck_assert_double_eq_tol(lr_at(b, 0), 0.01, 1e-17);

    impossible[2] = 0.5;
    ck_fails(rni_schedule_set_progress(a, impossible, 4), RN_E_FORMAT, "bad 0.5");
    ck_fails(rni_schedule_set_progress(a, values, 3), RN_E_FORMAT, "3 numbers, expected 4");
    ck_assert_uint_eq(rni_schedule_progress(a, state, 8), 4);
    ck_assert_double_eq(state[2].value, 1.0);
    rn_schedule_release(a);
    rn_schedule_release(b);
    rn_context_release(ctx);
}
END_TEST

START_TEST(apply_sets_the_optimizer)
{
    rn_model *model = NULL;
    rn_optimizer *opt = NULL;
    ctx = support_context(&cpu);
    rn_layer *layer = support_linear(ctx, 2, 2);
    ck_ok(rn_model_create(ctx, layer, cpu, &model));
    ck_ok(rn_sgd_create(model, NULL, &opt));
    rn_schedule *s = step_schedule(0.5, 0.1, 2);
    ck_ok(rn_schedule_apply(s, 2, opt));
    ck_assert_double_eq_tol(rn_optimizer_lr(opt), 0.05, 1e-16);
    ck_ok(rn_schedule_observe(s, 1.0)); /* ignored */
    ck_fails(rn_schedule_apply(s, -1, opt), RN_E_INVALID, "step is -1");
    ck_assert_double_eq_tol(rn_optimizer_lr(opt), 0.05, 1e-16);
    rn_schedule_release(s);
    s = step_schedule(1.0, 1e300, 1);
    ck_fails(rn_schedule_apply(s, 2, opt), RN_E_INVALID, "lr is inf");
    rn_schedule_release(s);
    rn_optimizer_release(opt);
    rn_model_release(model);
    rn_layer_release(layer);
    rn_context_release(ctx);
}
END_TEST

START_TEST(impossible_options)
{
    static const int64_t falling[] = {3, 2}, negative[] = {-1};
    rn_step_schedule_options step = RN_STEP_SCHEDULE_OPTIONS_INIT;
    rn_multistep_schedule_options multistep = RN_MULTISTEP_SCHEDULE_OPTIONS_INIT;
    rn_cosine_schedule_options cosine = RN_COSINE_SCHEDULE_OPTIONS_INIT;
    rn_schedule *s = NULL;
    ctx = support_context(&cpu);
    step.lr = NAN;
    ck_fails(rn_step_schedule_create(ctx, &step, &s), RN_E_INVALID, "rn_step_schedule_options.lr is nan");
    step.lr = 0.1;
    step.gamma = 0.0;
    ck_fails(rn_step_schedule_create(ctx, &step, &s), RN_E_INVALID, "rn_step_schedule_options.gamma is 0");
    step.gamma = 0.1;
    step.period = 0;
    ck_fails(rn_step_schedule_create(ctx, &step, &s), RN_E_INVALID, "rn_step_schedule_options.period is 0");
    step.period = 1;
    step.flags = 4;
    ck_fails(rn_step_schedule_create(ctx, &step, &s), RN_E_INVALID, "unknown bits 0x4");

    multistep.num_milestones = 2;
    ck_fails(rn_multistep_schedule_create(ctx, &multistep, &s), RN_E_INVALID, "milestones is NULL");
    multistep.milestones = falling;
    ck_fails(rn_multistep_schedule_create(ctx, &multistep, &s), RN_E_INVALID, "milestones[1] is 2, expected 3 or more");
    multistep.milestones = negative;
    ck_fails(rn_multistep_schedule_create(ctx, &multistep, &s), RN_E_INVALID, "milestones[0] is -1");
    multistep.num_milestones = 65;
    ck_fails(rn_multistep_schedule_create(ctx, &multistep, &s), RN_E_INVALID, "num_milestones is 65");

    cosine.min_lr = -1.0;
    ck_fails(rn_cosine_schedule_create(ctx, &cosine, &s), RN_E_INVALID, "rn_cosine_schedule_options.min_lr is -1");
    cosine.min_lr = 0.0;
    cosine.steps = 0;
    ck_fails(rn_cosine_schedule_create(ctx, &cosine, &s), RN_E_INVALID, "rn_cosine_schedule_options.steps is 0");
    ck_assert_ptr_null(s);
    rn_context_release(ctx);
}
END_TEST

START_TEST(more_impossible_options)
{
    rn_one_cycle_schedule_options cycle = RN_ONE_CYCLE_SCHEDULE_OPTIONS_INIT;
    rn_plateau_schedule_options plateau = RN_PLATEAU_SCHEDULE_OPTIONS_INIT;
    rn_schedule *s = NULL;
    ctx = support_context(&cpu);
    cycle.max_lr = 0.0;
    ck_fails(rn_one_cycle_schedule_create(ctx, &cycle, &s), RN_E_INVALID, "max_lr is 0");
    cycle.max_lr = 1.0;
    cycle.pct_start = 1.5;
    ck_fails(rn_one_cycle_schedule_create(ctx, &cycle, &s), RN_E_INVALID, "pct_start is 1.5, expected 0 to 1");
    cycle.pct_start = 0.3;
    cycle.div = 0.5;
    ck_fails(rn_one_cycle_schedule_create(ctx, &cycle, &s), RN_E_INVALID, "rn_one_cycle_schedule_options.div is 0.5");
    cycle.div = 25.0;
    cycle.final_div = INFINITY;
    ck_fails(rn_one_cycle_schedule_create(ctx, &cycle, &s), RN_E_INVALID, "final_div is inf");
    cycle.final_div = 1.0;
    cycle.steps = 1;
    ck_fails(rn_one_cycle_schedule_create(ctx, &cycle, &s), RN_E_INVALID, "steps is 1, expected 2 or more");

    plateau.factor = 1.0;
    ck_fails(rn_plateau_schedule_create(ctx, &plateau, &s), RN_E_INVALID, "factor is 1, expected above 0 and below 1");
    plateau.factor = 0.1;
    plateau.threshold = -1.0;
    ck_fails(rn_plateau_schedule_create(ctx, &plateau, &s), RN_E_INVALID, "threshold is -1");
    plateau.threshold = 0.0;
    plateau.patience = -1;
    ck_fails(rn_plateau_schedule_create(ctx, &plateau, &s), RN_E_INVALID, "patience is -1");
    plateau.patience = 0;
    plateau.cooldown = -2;
    ck_fails(rn_plateau_schedule_create(ctx, &plateau, &s), RN_E_INVALID, "cooldown is -2");
    plateau.cooldown = 0;
    plateau.struct_size = 3;
    ck_fails(rn_plateau_schedule_create(ctx, &plateau, &s), RN_E_VERSION, "rn_plateau_schedule_options");
    ck_assert_ptr_null(s);
    rn_context_release(ctx);
}
END_TEST

START_TEST(warmup_refuses)
{
    rn_warmup_schedule_options o = RN_WARMUP_SCHEDULE_OPTIONS_INIT;
    rn_schedule *plateau = NULL, *s = NULL;
    ctx = support_context(&cpu);
    rn_schedule *inner = step_schedule(0.1, 0.1, 1);
    ck_ok(rn_plateau_schedule_create(ctx, NULL, &plateau));
    ck_fails(rn_warmup_schedule_create(ctx, plateau, &o, &s), RN_E_INVALID, "inner is a plateau schedule");
    ck_fails(rn_warmup_schedule_create(ctx, NULL, &o, &s), RN_E_INVALID, "inner is NULL");
    o.start_factor = 1.01;
    ck_fails(rn_warmup_schedule_create(ctx, inner, &o, &s), RN_E_INVALID, "start_factor is 1.01, expected 0 to 1");
    o.start_factor = 0.5;
    o.steps = 0;
    ck_fails(rn_warmup_schedule_create(ctx, inner, &o, &s), RN_E_INVALID, "steps is 0");
    rn_status status = RN_OK;
    for (int depth = 0; depth < 100 && status == RN_OK; depth++) {
        status = rn_warmup_schedule_create(ctx, inner, NULL, &s);
        if (status == RN_OK) {
            rn_schedule_release(inner);
            inner = s;
        }
    }
    ck_assert_int_eq(status, RN_E_INVALID);
    ck_assert_ptr_nonnull(strstr(rn_error_message(), "warm-ups deep"));
    rn_schedule_release(inner);
    rn_schedule_release(plateau);
    rn_schedule_release(NULL);
    rn_context_release(ctx);
}
END_TEST

SUPPORT_MAIN("schedule", step_is_StepLR, multistep_is_MultiStepLR, cosine_is_CosineAnnealingLR,
             warmup_is_LinearLR_times_inner, one_cycle_is_OneCycleLR, plateau_is_ReduceLROnPlateau,
             plateau_state_comes_back, hold_ends_when_training_works, hold_state_comes_back, hold_refuses,
             apply_sets_the_optimizer, impossible_options, more_impossible_options, warmup_refuses)
