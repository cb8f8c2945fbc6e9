/* SPDX-License-Identifier: MIT */
/* Step 4: the convolutions of nets, by cuDNN and by the module's own kernel, within the bounds of the f64 result. */
#include "check_ops.h"
#include "deviceless/networks.h"
#include "deviceless/paper.h"
#include "selftest.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* These have every kind of window, grouped ones and fused ones; CIFAR's are small. */
static const char *const quick_nets[] = {"tutorial", "cifar_resnet20", "cifar_resnet20_b", NULL};
static const char *const some_nets[] = {"tutorial", "cifar_resnet20",  "cifar_resnet20_b",
                                        "resnet50", "resnext50_32x4d", NULL};

enum { CUDNN, OWN, WAYS };
static const char *const way_names[WAYS] = {"cuDNN", "the module's kernel"};

enum { FORWARD, BACKWARD_DATA, BACKWARD_FILTER, DIRECTIONS };
static const char *const direction_names[DIRECTIONS] = {"forward", "backward data", "backward filter"};

enum { MOST_FAILURES = 20 };

typedef struct tally {
    int ran[DIRECTIONS], same[DIRECTIONS]; /* same: the very bits by both ways */
    int unsupported;
    double worst[WAYS]; /* of the bound */
    char where[WAYS][160];
} tally;

enum { TYPES = 3 };
static const rn_dtype dtypes[TYPES] = {RN_F32, RN_BF16, RN_F16};

typedef struct comparison {
    selftest *t;
    checker ways[WAYS]; /* each with the module's device, opened with other settings; the first has the reference */
    const paper_convolution *convolution;
    tally tallies[TYPES];
} comparison;


static int direction_of(const paper_convolution *c)
{
    return c->kind == RN_OP_CONV_FORWARD         ? FORWARD
           : c->kind == RN_OP_CONV_BACKWARD_DATA ? BACKWARD_DATA
                                                 : BACKWARD_FILTER;
}

static void describe(const paper_convolution *c, rn_dtype dtype, char text[160])
{
    const rn_conv_params *const p = &c->params;
    snprintf(text, 160, "%s %dx%d, %d to %d channels, %dx%d pixels, stride %d, groups %d, flags %x, %s (%s)",
             direction_names[direction_of(c)], (int)p->kernel[0], (int)p->kernel[1], (int)p->in_channels,
             (int)p->out_channels, (int)p->in_height, (int)p->in_width, (int)p->stride[0], (int)p->groups,
             (unsigned)c->flags, rn_dtype_name(dtype), c->net);
}

/*
 * What a sum begins with when it adds to its output: so much that a beta of 0, or a sum that the module's kernel rounds before
 * it is added, cannot hide in the bound.
 */
static void make_loud(oc_case *c)
{
    oc_value *const out = &c->values[c->out[c->num_ops - 1][0]];
    const double factor = fmax(1, c->terms / 64);
    for (size_t i = 0; i < out->count; i++)
        out->data[i] = (double)(float)(out->data[i] * factor);
}

static void make_case(const paper_convolution *from, uint32_t flags, oc_case *c)
{
    oc_rng rng = {7};
    const rn_conv_params *const p = &from->params;
    const int64_t images = p->in_height > 64 ? 1 : 3;
    if (from->kind == RN_OP_CONV_FORWARD)
        oc_conv_forward(c, &rng, p, images, images, flags, 0);
    else if (from->kind == RN_OP_CONV_BACKWARD_DATA)
        oc_conv_backward_data(c, &rng, p, images, images, flags, 0);
    else
        oc_conv_backward_filter(c, &rng, p, images, images);
    if (from->kind == RN_OP_CONV_BACKWARD_FILTER || flags & RN_OPF_ACCUMULATE)
        make_loud(c);
}

static void judge(comparison *m, const oc_case *c, rn_dtype dtype, int way, const oc_result *got,
                  const oc_result *expected, const oc_result *scale, tally *y)
{
    char message[300], where[160];
    const checker *const k = &m->ways[way];
    const double worst = check_worst(k, c, dtype, got, expected, scale);
    describe(m->convolution, dtype, where);
    if (!check_within(k, c, dtype, got, expected, scale, message))
        st_fail(m->t, "%s: %s: %s", where, way_names[way], message);
    if (worst > y->worst[way]) {
        y->worst[way] = worst;
        memcpy(y->where[way], where, sizeof where);
    }
}

/* OC_FAILED is told. */
static int run_ways(comparison *m, const oc_case *c, rn_dtype dtype, oc_result got[WAYS])
{
    const oc_options o = check_options_of(dtype);
    char message[300], where[160];
    for (int way = 0; way < WAYS; way++) {
        const int outcome = oc_run(&m->ways[way].machine, c, &o, &got[way], message);
        describe(m->convolution, dtype, where);
        if (outcome == OC_FAILED)
            st_fail(m->t, "%s: %s: %s", where, way_names[way], message);
        if (outcome != OC_OK)
            return outcome;
    }
    return OC_OK;
}

static void compare(comparison *m, const oc_case *c, int which)
{
    const rn_dtype dtype = dtypes[which];
    tally *const y = &m->tallies[which];
    oc_result got[WAYS] = {{{NULL}}}, expected, scale;
    char message[300];
    const int outcome = run_ways(m, c, dtype, got), direction = direction_of(m->convolution);
    y->ran[direction] += outcome == OC_OK;
    y->unsupported += outcome == OC_UNSUPPORTED;
    if (outcome == OC_OK) {
        if (check_reference(&m->ways[0], c, dtype, &expected, &scale, message))
            for (int way = 0; way < WAYS; way++)
                judge(m, c, dtype, way, &got[way], &expected, &scale, y);
        else
            st_fail(m->t, "reference: %s", message);
        y->same[direction] += oc_equal(c, &got[CUDNN], &got[OWN], 0, message);
        oc_result_free(&expected);
        oc_result_free(&scale);
    }
    for (int way = 0; way < WAYS; way++)
        oc_result_free(&got[way]);
}

static void check_one(comparison *m, const paper_convolution *convolution, uint32_t flags)
{
    oc_case c;
    memset(&c, 0, sizeof c);
    paper_convolution with = *convolution;
    with.flags = flags;
    m->convolution = &with;
    make_case(convolution, flags, &c);
    for (int which = 0; which < TYPES; which++)
        compare(m, &c, which);
    oc_free(&c);
}

static int is_noted(const paper_convolution *c, uint32_t flags)
{
    for (int i = 0; i < paper_count; i++)
        if (paper_convolutions[i].kind == c->kind && paper_convolutions[i].flags == flags &&
            memcmp(&paper_convolutions[i].params, &c->params, sizeof c->params) == 0)
            return 1;
    return 0;
}

/* Nets ask for gradients that are added where paths meet: every shape must be able to. */
static void check_noted(comparison *m, const paper_convolution *c)
{
    const uint32_t added = c->flags | RN_OPF_ACCUMULATE;
    check_one(m, c, c->flags);
    if (c->kind == RN_OP_CONV_BACKWARD_DATA && !is_noted(c, added))
        check_one(m, c, added);
}

static void check_all_noted(comparison *m)
{
    double begin = st_now();
    int i = 0;
    for (int count = 1; i < paper_count && m->t->failures < MOST_FAILURES; i++, count++) {
        const paper_convolution *const c = &paper_convolutions[i];
        check_noted(m, c);
        if (i + 1 < paper_count && strcmp(c[1].net, c->net) == 0)
            continue;
        st_say("%-18s %3d new ones, %.1f s", c->net, count, st_now() - begin);
        begin = st_now();
        count = 0;
    }
    if (i < paper_count)
        st_say("after %d failures the last %d convolutions are left out", m->t->failures, paper_count - i);
}

/*
 * The module runs what cuDNN has no plan for by its own kernel, without a word. The two ways add in other orders, so that
 * some results of a direction always differ in their last bits: where none does, one kernel was compared with itself.
 */
static void check_ways_differ(comparison *m, int which)
{
    const tally *const y = &m->tallies[which];
    for (int i = 0; i < DIRECTIONS; i++)
        if (y->ran[i] && y->same[i] == y->ran[i])
            st_fail(m->t, "%s, %s: all %d gave the same bits by both ways: cuDNN did not run",
                    rn_dtype_name(dtypes[which]), direction_names[i], y->ran[i]);
}

static void tell(comparison *m, const st_device *d)
{
    for (int which = 0; which < TYPES; which++) {
        const tally *const y = &m->tallies[which];
        const int ran = y->ran[FORWARD] + y->ran[BACKWARD_DATA] + y->ran[BACKWARD_FILTER];
        st_say("%s: %d ran, %d the device cannot; %d gave the same bits by both ways", rn_dtype_name(dtypes[which]),
               ran, y->unsupported, y->same[FORWARD] + y->same[BACKWARD_DATA] + y->same[BACKWARD_FILTER]);
        for (int way = 0; way < WAYS && ran; way++)
            st_say("  %-20s at most %.3f of the bound: %s", way_names[way], y->worst[way], y->where[way]);
        if (y->unsupported && (dtypes[which] != RN_BF16 || st_has_bf16(d)))
            st_fail(m->t, "%s: %d convolutions were refused", rn_dtype_name(dtypes[which]), y->unsupported);
        check_ways_differ(m, which);
    }
}

static int open_way(comparison *m, const st_device *d, int way)
{
    checker *const k = &m->ways[way];
    k->rounds_terms = way == CUDNN;
    setenv("RN_CUDA_DIRECT", way == OWN ? "1" : "0", 1);
    const int opened = checker_open(k, d->backend, d->index);
    unsetenv("RN_CUDA_DIRECT");
    if (!opened)
        st_fail(m->t, "device_open: %s", k->host ? oc_host_message(k->host) : "out of memory");
    return opened;
}

void st_step_convolutions(selftest *t)
{
    st_device d;
    comparison m = {.t = t};
    if (networks_note(t->all ? NULL : t->quick ? quick_nets : some_nets) != 0) {
        st_fail(t, "nets: %s", rn_error_message());
        return;
    }
    if (!st_open(t, NULL, &d))
        return;
    st_say("%d convolutions of %s", paper_count, t->all ? "all nets" : t->quick ? "CIFAR's nets" : "some nets");
    if (open_way(&m, &d, CUDNN) && open_way(&m, &d, OWN)) {
        check_all_noted(&m);
        tell(&m, &d);
    }
    for (int way = 0; way < WAYS; way++)
        checker_close(&m.ways[way]);
    st_close(&d);
}
