/* SPDX-License-Identifier: MIT */
/*
 * Step 9: convolutions that deliver the statistics of their output, beside their twins of two ops, within the bounds of the
 * f64 result. Some engines take sums in any order, which cuDNN does not note: whether bits are the same again is told.
 */
#include "check_ops.h"
#include "deviceless/networks.h"
#include "deviceless/paper.h"
#include "moments.h"
#include "selftest.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const quick_nets[] = {"tutorial", "cifar_resnet20_b", NULL};
static const char *const some_nets[] = {"tutorial", "cifar_resnet20_b", "resnet50", NULL};

static const rn_dtype dtypes[] = {RN_BF16, RN_F16};
enum { DTYPES = sizeof dtypes / sizeof dtypes[0] };

/* What is added to the inputs: means then are as far from zero, beside the deviations from them. */
static const double offsets[] = {0, 16};
enum { OFFSETS = sizeof offsets / sizeof offsets[0] };

enum { FUSED, APART, WAYS };
enum { RUNS = 5, MOST_FAILURES = 20 };

typedef struct tally {
    int ran, without; /* convolutions that an engine took with their statistics, and those that none did */
    int same; /* of those that ran: the same bits again and again */
    double worst[OFFSETS][WAYS]; /* of the bound */
    double variance[OFFSETS][WAYS]; /* how far one is off that of the outputs as they are, in proportion to it */
} tally;

typedef struct comparison {
    selftest *t;
    checker k;
    const paper_convolution *convolution;
    rn_dtype dtype;
    int offset;
    tally *y;
} comparison;

static void tell_failure(const comparison *m, const char *what, const char *message)
{
    const rn_conv_params *const p = &m->convolution->params;
    st_fail(m->t, "%dx%d, %d to %d channels, %dx%d pixels, stride %d, %s, inputs + %g (%s): %s: %s", (int)p->kernel[0],
            (int)p->kernel[1], (int)p->in_channels, (int)p->out_channels, (int)p->in_height, (int)p->in_width,
            (int)p->stride[0], rn_dtype_name(m->dtype), offsets[m->offset], m->convolution->net, what, message);
}

static int run(const comparison *m, const oc_case *c, const char *what, oc_result *got)
{
    const oc_options o = check_options_of(m->dtype);
    char message[300];
    const int outcome = oc_run(&m->k.machine, c, &o, got, message);
    if (outcome == OC_FAILED)
        tell_failure(m, what, message);
    return outcome;
}

/* The largest of all channels, in proportion. */
static double worst_variance(const oc_case *c, const oc_result *got)
{
    const uint32_t *const out = c->out[1]; /* behind the packed weights */
    const double *const y = got->data[out[0]], *const var = got->data[out[2]];
    double worst = 0;
    for (size_t k = 0; k < c->values[out[2]].count; k++) {
        const double exact = st_moments_of(y, &c->values[out[0]].v, k).variance;
        if (exact > 0)
            worst = fmax(worst, fabs(var[k] - exact) / exact);
    }
    return worst;
}

static void judge(const comparison *m, const oc_case *c, const oc_result got[WAYS])
{
    static const char *const names[WAYS] = {"in one engine", "as two ops"};
    oc_result expected, scale;
    char message[300];
    if (!check_reference(&m->k, c, m->dtype, &expected, &scale, message)) {
        tell_failure(m, "reference", message);
        return;
    }
    for (int way = 0; way < WAYS; way++) {
        double *const worst = &m->y->worst[m->offset][way], *const variance = &m->y->variance[m->offset][way];
        *worst = fmax(*worst, check_worst(&m->k, c, m->dtype, &got[way], &expected, &scale));
        *variance = fmax(*variance, worst_variance(c, &got[way]));
        if (!check_within(&m->k, c, m->dtype, &got[way], &expected, &scale, message))
            tell_failure(m, names[way], message);
    }
    oc_result_free(&expected);
    oc_result_free(&scale);
}

static int gives_the_same_bits(const comparison *m, const oc_case *c, const oc_result *first)
{
    char message[300];
    int same = 1;
    for (int i = 0; i < RUNS && same; i++) {
        oc_result again;
        same = run(m, c, "again", &again) == OC_OK && oc_equal(c, first, &again, 0, message);
        oc_result_free(&again);
    }
    return same;
}

/* The same operands twice: the random numbers begin anew. */
static void make_cases(const comparison *m, oc_case cases[WAYS])
{
    const rn_conv_params *const p = &m->convolution->params;
    for (int way = 0; way < WAYS; way++) {
        oc_rng rng = {7};
        memset(&cases[way], 0, sizeof cases[way]);
        oc_conv_forward_stats(&cases[way], &rng, p, p->in_height > 64 ? 1 : 3, offsets[m->offset], way == APART);
    }
}

static void compare(const comparison *m)
{
    oc_case cases[WAYS];
    oc_result got[WAYS] = {{{NULL}}};
    make_cases(m, cases);
    if (run(m, &cases[APART], "as two ops", &got[APART]) == OC_OK) {
        const int outcome = run(m, &cases[FUSED], "in one engine", &got[FUSED]);
        m->y->ran += outcome == OC_OK;
        m->y->without += outcome == OC_UNSUPPORTED;
        if (outcome == OC_OK) {
            judge(m, &cases[FUSED], got);
            m->y->same += gives_the_same_bits(m, &cases[FUSED], &got[FUSED]);
        }
    }
    for (int way = 0; way < WAYS; way++) {
        oc_result_free(&got[way]);
        oc_free(&cases[way]);
    }
}

/* docs/cuda-plans.md: which devices have engines. */
static int is_expected(const comparison *m)
{
    const char *const at = strstr(m->k.machine.info.description, "capability ");
    const double capability = at ? strtod(at + strlen("capability "), NULL) : 0;
    return m->dtype == RN_F16 && capability > 7.9 && capability < 9.1;
}

static void check_dtype(comparison *m)
{
    static const char *const names[OFFSETS] = {"means about zero", "means far from zero"};
    tally y = {0};
    m->y = &y;
    for (int i = 0; i < paper_statistics_count && m->t->failures < MOST_FAILURES; i++)
        for (m->offset = 0; m->offset < OFFSETS; m->offset++) {
            m->convolution = &paper_statistics[i];
            compare(m);
        }
    st_say("%s: %d ran, %d of them with the same bits %d times, %d without an engine", rn_dtype_name(m->dtype), y.ran,
           y.same, RUNS + 1, y.without);
    for (int i = 0; i < OFFSETS && y.ran; i++)
        st_say("  %-19s: at most %.3f of the bound in one engine, %.3f as two ops; variances off by %.2g and %.2g",
               names[i], y.worst[i][FUSED], y.worst[i][APART], y.variance[i][FUSED], y.variance[i][APART]);
    if (y.without && !y.ran && is_expected(m))
        st_fail(m->t, "%s: no engine delivers statistics, where there should be some", rn_dtype_name(m->dtype));
}

static void check_all_dtypes(comparison *m, const st_device *d)
{
    setenv("RN_CUDA_FUSE", "1", 1);
    const int opened = checker_open(&m->k, d->backend, d->index);
    unsetenv("RN_CUDA_FUSE");
    if (!opened)
        st_fail(m->t, "device_open: %s", m->k.host ? oc_host_message(m->k.host) : "out of memory");
    for (int i = 0; opened && i < DTYPES; i++) {
        m->dtype = dtypes[i];
        check_dtype(m);
    }
    checker_close(&m->k);
}

void st_step_fused(selftest *t)
{
    st_device d;
    comparison m = {.t = t};
    if (networks_note(t->all ? NULL : t->quick ? quick_nets : some_nets) != 0) {
        st_fail(t, "nets: %s", rn_error_message());
        return;
    }
    if (!st_open(t, NULL, &d))
        return;
    st_say("%d convolutions before batch normalisation", paper_statistics_count);
    check_all_dtypes(&m, &d);
    st_check_prologues(t, &d);
    st_close(&d);
}
