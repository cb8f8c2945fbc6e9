/* SPDX-License-Identifier: MIT */
/*
 * Step 9, second part: batch normalisation with ReLU, the convolution behind it and the gradient of its filter as a program,
 * where the activation between them may never be in memory, beside the same op by op, where it is: within the bounds
 * of the f64 result both.
 */
#include "check_ops.h"
#include "deviceless/paper.h"
#include "moments.h"
#include "selftest.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How far inputs are from zero, in deviations. */
static const double offsets[] = {0, 16};
enum { OFFSETS = sizeof offsets / sizeof offsets[0] };

enum { FUSED, APART, WAYS };
enum { RUNS = 5, MOST_FAILURES = 20 };

typedef struct tally {
    int ran, without; /* in engines that normalise, and those that were run op by op either way */
    int same; /* of those that ran: the same bits again and again */
    double worst[OFFSETS][WAYS]; /* of the bound */
} tally;

typedef struct comparison {
    selftest *t;
    checker k;
    const paper_convolution *convolution;
    int offset;
    tally y;
} comparison;

static void tell_failure(const comparison *m, const char *what, const char *message)
{
    const rn_conv_params *const p = &m->convolution->params;
    st_fail(m->t, "normalised: %dx%d, %d to %d channels, %dx%d pixels, stride %d, inputs - %g (%s): %s: %s",
            (int)p->kernel[0], (int)p->kernel[1], (int)p->in_channels, (int)p->out_channels, (int)p->in_height,
            (int)p->in_width, (int)p->stride[0], offsets[m->offset], m->convolution->net, what, message);
}

static int run(const comparison *m, const oc_case *c, int way, oc_result *got)
{
    static const char *const names[WAYS] = {"as a program", "op by op"};
    oc_options o = check_options_of(RN_F16);
    char message[300];
    o.program = way == FUSED;
    const int outcome = oc_run(&m->k.machine, c, &o, got, message);
    if (outcome == OC_FAILED)
        tell_failure(m, names[way], message);
    return outcome;
}

enum { ACTIVATION_OP = 1, FORWARD_OP = 2 };

/* Where the activation is not in memory, other things are. */
static int is_fused(const oc_case *c, const oc_result got[WAYS])
{
    const uint32_t activation = c->out[ACTIVATION_OP][0];
    return memcmp(got[FUSED].data[activation], got[APART].data[activation],
                  c->values[activation].count * sizeof(double)) != 0;
}

/*
 * How far a variance may be from that of the stored outputs. Sums of n terms in f32, in any order, and of squares, which are
 * rounded before, are off by shares of (n + 1) 2^-24 of their absolute ones, so that what is made of them is by 3 times that
 * of variance + mean^2; the last unit is for its own rounding. An engine may also take its sums before it rounds the outputs
 * to f16: each moves by up to 2^-11 of itself, 2^-11 / sqrt(3) on average, independent of the others; six deviations.
 */
static double variance_bound(const st_moments *m)
{
    return 3 * (m->n + 2) * 0x1p-24 * m->squares / m->n + 6 * 2 / m->n * m->slope * 0x1p-11 / sqrt(3);
}

static void judge_variances(const comparison *m, const oc_case *c, const oc_result *got)
{
    const uint32_t *const out = c->out[FORWARD_OP];
    const rn_value *const v = &c->values[out[0]].v;
    for (size_t k = 0; k < (size_t)v->dims[1]; k++) {
        const st_moments stored = st_moments_of(got->data[out[0]], v, k);
        const double variance = got->data[out[2]][k], bound = variance_bound(&stored);
        if (!(fabs(variance - stored.variance) <= bound)) {
            char message[160];
            snprintf(message, sizeof message, "channel %zu: %.9g, that of the outputs is %.9g, %.3g allowed", k, variance,
                     stored.variance, bound);
            tell_failure(m, "variance", message);
            return;
        }
    }
}

static void judge(comparison *m, const oc_case *c, const oc_result got[WAYS])
{
    oc_result expected, scale;
    char message[300];
    if (!check_reference(&m->k, c, RN_F16, &expected, &scale, message)) {
        tell_failure(m, "reference", message);
        return;
    }
    for (int way = 0; way < WAYS; way++) {
        double *const worst = &m->y.worst[m->offset][way];
        *worst = fmax(*worst, check_worst(&m->k, c, RN_F16, &got[way], &expected, &scale));
        if (!check_within(&m->k, c, RN_F16, &got[way], &expected, &scale, message))
            tell_failure(m, way == FUSED ? "in the engines" : "op by op", message);
    }
    judge_variances(m, c, &got[FUSED]);
    oc_result_free(&expected);
    oc_result_free(&scale);
}

static int gives_the_same_bits(const comparison *m, const oc_case *c, const oc_result *first)
{
    char message[300];
    int same = 1;
    for (int i = 0; i < RUNS && same; i++) {
        oc_result again;
        same = run(m, c, FUSED, &again) == OC_OK && oc_equal(c, first, &again, 0, message);
        oc_result_free(&again);
    }
    return same;
}

static void compare(comparison *m)
{
    const rn_conv_params *const p = &m->convolution->params;
    oc_rng rng = {7};
    oc_case c;
    oc_result got[WAYS] = {{{NULL}}};
    oc_conv_prologue(&c, &rng, p, p->in_height > 64 ? 1 : 3, offsets[m->offset]);
    const int outcome = run(m, &c, APART, &got[APART]);
    const int fused = outcome == OC_OK && run(m, &c, FUSED, &got[FUSED]) == OC_OK && is_fused(&c, got);
    m->y.ran += fused;
    m->y.without += outcome != OC_FAILED && !fused;
    if (fused) {
        judge(m, &c, got);
        m->y.same += gives_the_same_bits(m, &c, &got[FUSED]);
    }
    for (int way = 0; way < WAYS; way++)
        oc_result_free(&got[way]);
    oc_free(&c);
}

/* docs/cuda-plans.md: which devices have engines. */
static int is_expected(const comparison *m)
{
    const char *const at = strstr(m->k.machine.info.description, "capability ");
    const double capability = at ? strtod(at + strlen("capability "), NULL) : 0;
    return capability > 7.9 && capability < 9.1;
}

static void compare_all(comparison *m)
{
    static const char *const names[OFFSETS] = {"inputs about zero", "inputs far from zero"};
    for (int i = 0; i < paper_prologue_count && m->t->failures < MOST_FAILURES; i++)
        for (m->offset = 0; m->offset < OFFSETS; m->offset++) {
            m->convolution = &paper_prologues[i];
            compare(m);
        }
    const tally *const y = &m->y;
    st_say("normalised in the engine, f16: %d ran, %d of them with the same bits %d times, %d without an engine", y->ran,
           y->same, RUNS + 1, y->without);
    for (int i = 0; i < OFFSETS && y->ran; i++)
        st_say("  %-20s: at most %.3f of the bound in the engine, %.3f op by op", names[i], y->worst[i][FUSED],
               y->worst[i][APART]);
    if (y->without && !y->ran && is_expected(m))
        st_fail(m->t, "no engine normalises its input, where there should be some");
}

void st_check_prologues(selftest *t, const st_device *d)
{
    comparison m = {.t = t};
    setenv("RN_CUDA_FUSE", "2", 1);
    const int opened = checker_open(&m.k, d->backend, d->index);
    unsetenv("RN_CUDA_FUSE");
    st_say("%d convolutions of what is normalised", paper_prologue_count);
    if (opened)
        compare_all(&m);
    else
        st_fail(t, "device_open: %s", m.k.host ? oc_host_message(m.k.host) : "out of memory");
    checker_close(&m.k);
}
