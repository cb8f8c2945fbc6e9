/* SPDX-License-Identifier: MIT */
#include "check_ops.h"
#include "backend/context.h"
#include "base/half.h"
#include "base/threads.h"
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DTYPES = 4 };

/* What one name of a case did in each dtype. */
typedef struct tally {
    char name[96];
    int ran[DTYPES], unsupported[DTYPES], wrong[DTYPES];
} tally;

static const rn_dtype dtypes[DTYPES] = {RN_F32, RN_F64, RN_BF16, RN_F16};

void check_failed(checker *k, const char *what, const char *message)
{
    k->failures++;
    printf("FAILED %s: %s\n", what, message);
}

void check_table(checker *k, const rn_backend *b)
{
    if (b->struct_size < sizeof *b || b->abi_major != RN_BACKEND_ABI_MAJOR || !b->name || !b->version)
        check_failed(k, "table", "struct_size, abi_major, name or version");
    if (!b->device_count || !b->device_open || !b->device_close || !b->device_info || !b->memory_alloc ||
        !b->memory_free || !b->copy_in || !b->copy_out || !b->copy || !b->fill || !b->queue_create ||
        !b->queue_destroy || !b->queue_wait || !b->op_query || !b->op_run)
        check_failed(k, "table", "a function is missing");
    if (!b->program_create != !b->program_run || !b->program_create != !b->program_destroy)
        check_failed(k, "table", "program_create, program_run and program_destroy go together");
}

void check_memory(checker *k)
{
    enum { BYTES = 100003, ZEROED = 77 };
    const oc_machine *const m = &k->machine;
    const rn_backend *const b = m->backend;
    unsigned char *const host = malloc(2 * BYTES);
    void *first = NULL, *second = NULL;
    if (b->memory_alloc(m->dev, BYTES, &first) != RN_OK || b->memory_alloc(m->dev, BYTES, &second) != RN_OK) {
        check_failed(k, "memory_alloc", oc_host_message(k->host));
    } else {
        for (int i = 0; i < BYTES; i++)
            host[i] = (unsigned char)(i * 7);
        if ((uintptr_t)first % 256 || (uintptr_t)second % 256)
            check_failed(k, "memory_alloc", "not 256-byte aligned");
        if (b->copy_in(m->dev, m->queue, first, host, BYTES) != RN_OK ||
            b->copy(m->dev, m->queue, second, first, BYTES) != RN_OK ||
            b->fill(m->dev, m->queue, second, ZEROED) != RN_OK ||
            b->copy_out(m->dev, m->queue, host + BYTES, second, BYTES) != RN_OK)
            check_failed(k, "copies", oc_host_message(k->host));
        memset(host, 0, ZEROED);
        if (memcmp(host, host + BYTES, BYTES) != 0)
            check_failed(k, "copies", "what came back is not what went in");
    }
    b->memory_free(m->dev, first, BYTES);
    b->memory_free(m->dev, second, BYTES);
    b->memory_free(m->dev, NULL, 0);
    free(host);
}

/* Whether the backend has to have a type. */
static int is_needed(const checker *k, rn_dtype dtype)
{
    const char *const name = rn_dtype_name(dtype);
    const size_t length = strlen(name);
    for (const char *at = k->dtypes ? k->dtypes : "f32"; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || !at[length]))
            return 1;
    }
    return 0;
}

/* What a backend may leave to ops of their own in any type. */
static int is_optional(const oc_case *c)
{
    return (c->ops[c->num_ops - 1].flags & RN_OPF_STATS) != 0;
}

void check_bad_label(checker *k)
{
    oc_rng rng = {k->seed};
    char message[300];
    oc_case c;
    oc_begin(&c, "cross_entropy");
    oc_op(&c, RN_OP_CROSS_ENTROPY, 0, sizeof(rn_cross_entropy_params));
    c.run.batch = 3;
    oc_in(&c, oc_matrix(&c, &rng, 3, 4, OC_NORMAL));
    const uint32_t labels = oc_add(&c, &rng, RN_I64, RN_LAYOUT_PLAIN, 1, (const int64_t[1]){3}, 1, OC_GIVEN);
    c.values[labels].data[1] = 47;
    oc_in(&c, labels);
    oc_out(&c, oc_matrix(&c, &rng, 3, 4, OC_UNSET), OC_BOUND);
    oc_out(&c, oc_metrics(&c, &rng), OC_METRICS);
    oc_result r;
    const int outcome = oc_run(&k->machine, &c, &(oc_options){.dtype = RN_F32, .refused = 1}, &r, message);
    if (outcome == OC_OK)
        check_failed(k, "bad label", "no error");
    else if (outcome == OC_UNSUPPORTED ? is_needed(k, RN_F32) : !strstr(message, "47") || !strstr(message, "-2"))
        check_failed(k, "bad label", message);
    oc_result_free(&r);
    oc_free(&c);
}

static tally *tally_of(tally *all, size_t room, const char *name)
{
    size_t i = 0;
    while (i + 1 < room && all[i].name[0] && strcmp(all[i].name, name) != 0)
        i++;
    snprintf(all[i].name, sizeof all[i].name, "%s", name);
    return &all[i];
}

oc_options check_options_of(rn_dtype dtype)
{
    return (oc_options){.dtype = dtype, .half = rni_is_half(dtype) ? dtype : 0, .linear_weights = 1};
}

/* Another way to the same bits. */
static int same_result(checker *k, const oc_case *c, const oc_options *o, const oc_result *first, char message[300])
{
    oc_result got;
    const int outcome = oc_run(&k->machine, c, o, &got, message);
    const int same = outcome == OC_UNSUPPORTED || (outcome == OC_OK && oc_equal(c, first, &got, 0, message));
    oc_result_free(&got);
    return same;
}

/* Handed over whole, or with an output in an input's place. */
static int same_other_ways(checker *k, const oc_case *c, rn_dtype dtype, const oc_result *first, char message[300])
{
    oc_options program = check_options_of(dtype), in_place = check_options_of(dtype);
    program.program = 1;
    in_place.in_place = 1;
    return same_result(k, c, &program, first, message) && same_result(k, c, &in_place, first, message);
}

/*
 * Where bf16 and f16 may round once more than it must: filter gradients before they are added to those that are there, and a
 * convolution's bias, or its sums before bias, residual and ReLU.
 */
static int may_round_again(const rn_op *op)
{
    return op->kind == RN_OP_CONV_BACKWARD_FILTER ||
           (op->kind == RN_OP_CONV_FORWARD && (op->flags & (RN_OPF_BIAS | RN_OPF_ADD | RN_OPF_RELU)));
}

/* Like the case, with as much room as that takes. */
static oc_case with_room(const checker *k, const oc_case *c)
{
    const rn_op *const op = &c->ops[c->num_ops - 1];
    oc_case loose = *c;
    loose.rounds_again += may_round_again(op);
    if (k->simulator)
        loose.rounds_inside = 0; /* what the CPU's dot products need */
    loose.rounds_term =
        k->rounds_terms && op->kind == RN_OP_CONV_BACKWARD_DATA && (op->flags & RN_OPF_ACCUMULATE) != 0;
    return loose;
}

int check_within(const checker *k, const oc_case *c, rn_dtype dtype, const oc_result *got, const oc_result *expected,
                 const oc_result *scale, char message[300])
{
    const oc_case loose = with_room(k, c);
    return oc_compare(&loose, dtype, got, expected, scale, message);
}

double check_worst(const checker *k, const oc_case *c, rn_dtype dtype, const oc_result *got,
                   const oc_result *expected, const oc_result *scale)
{
    const oc_case loose = with_room(k, c);
    return oc_worst(&loose, dtype, got, expected, scale);
}

/* On a simulated device: blocks, warps and lanes in other orders. */
static int same_in_any_order(checker *k, const oc_case *c, rn_dtype dtype, const oc_result *first, char message[300])
{
    enum { ORDERS = 3 }; /* ascending, which is the first result's, descending, random */
    const oc_options o = check_options_of(dtype);
    int same = 1;
    for (int order = 1; k->simulator && same && order < ORDERS; order++) {
        k->simulator("order", order);
        same = same_result(k, c, &o, first, message);
        k->simulator("order", 0);
    }
    return same;
}

static void check_dtype(checker *k, const oc_case *c, int which, const oc_result *expected, const oc_result *scale,
                        tally *t)
{
    const oc_options o = check_options_of(dtypes[which]);
    char message[300], what[160];
    oc_result got;
    const int outcome = oc_run(&k->machine, c, &o, &got, message);
    const int missing = outcome == OC_UNSUPPORTED && !is_optional(c) && is_needed(k, dtypes[which]);
    t->ran[which] += outcome != OC_UNSUPPORTED;
    t->unsupported[which] += outcome == OC_UNSUPPORTED;
    int wrong = outcome == OC_FAILED || missing ||
                (outcome == OC_OK && !check_within(k, c, dtypes[which], &got, expected, scale, message));
    if (outcome == OC_OK && !wrong)
        wrong = !same_other_ways(k, c, dtypes[which], &got, message) ||
                !same_in_any_order(k, c, dtypes[which], &got, message);
    if (wrong) {
        snprintf(what, sizeof what, "%s in %s", c->name, rn_dtype_name(dtypes[which]));
        check_failed(k, what, message);
        t->wrong[which]++;
    }
    oc_result_free(&got);
}

int check_reference(const checker *k, const oc_case *c, rn_dtype dtype, oc_result *expected, oc_result *scale,
                    char message[300])
{
    oc_options exact = check_options_of(dtype), absolute;
    exact.dtype = RN_F64;
    absolute = exact;
    absolute.absolute = 1;
    const int outcome = oc_run(&k->reference, c, &exact, expected, message);
    const int scaled = oc_run(&k->reference, c, &absolute, scale, outcome == OC_OK ? message : (char[300]){0});
    return outcome == OC_OK && scaled == OC_OK;
}

static void check_against_reference(checker *k, const oc_case *c, int which, tally *t)
{
    oc_result expected, scale;
    char message[300];
    if (check_reference(k, c, dtypes[which], &expected, &scale, message))
        check_dtype(k, c, which, &expected, &scale, t);
    else
        check_failed(k, c->name, message);
    oc_result_free(&expected);
    oc_result_free(&scale);
}

static void check_case(checker *k, const oc_family *f, int index, tally *all, size_t room)
{
    oc_rng rng = {k->seed + (uint64_t)index * 0x9e3779b9u};
    oc_case c;
    memset(&c, 0, sizeof c);
    f->make(&c, &rng, index);
    for (int which = 0; which < DTYPES; which++)
        if (!rni_is_half(dtypes[which]) || oc_computes(&c))
            check_against_reference(k, &c, which, tally_of(all, room, c.name));
    oc_free(&c);
}

static const char *verdict(const tally *t, int which)
{
    return t->wrong[which] ? "wrong" : !t->ran[which] ? "no" : t->unsupported[which] ? "in part" : "yes";
}

static void check_family(checker *k, const oc_family *f)
{
    tally all[32];
    memset(all, 0, sizeof all);
    const int before = k->failures;
    for (int index = k->first; index < k->first + k->count && k->failures < before + 5; index++)
        check_case(k, f, index, all, sizeof all / sizeof *all);
    for (size_t i = 0; i < sizeof all / sizeof *all && all[i].name[0]; i++)
        if (k->support || k->failures > before)
            printf("%-40s %-8s %-8s %-8s %-8s\n", all[i].name, verdict(&all[i], 0), verdict(&all[i], 1),
                   verdict(&all[i], 2), verdict(&all[i], 3));
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (int which = 0; which < DTYPES; which++) {
            k->ran += all[i].ran[which];
            k->unsupported += all[i].unsupported[which];
        }
    if (!k->support)
        printf("%-40s %s\n", f->name, k->failures == before ? "ok" : "FAILED");
    fflush(stdout);
}

void check_all(checker *k)
{
    if (k->support)
        printf("%-40s %-8s %-8s %-8s %-8s\n", "op", "f32", "f64", "bf16", "f16");
    int families = 0;
    for (const oc_family *const *table = oc_families; *table; table++)
        for (const oc_family *f = *table; f->name && (!k->most || k->failures < k->most); f++)
            if (!k->function || fnmatch(k->function, f->name, 0) == 0) {
                check_family(k, f);
                families++;
            }
    printf("%d cases ran, %d are not supported\n", k->ran, k->unsupported);
    if (!families && !k->failures)
        check_failed(k, k->function ? k->function : "families", "there is no such family of ops");
}

int checker_open(checker *k, const rn_backend *backend, int32_t device)
{
    k->host = oc_host_create(rni_available_threads());
    if (!k->host)
        return 0;
    oc_catch_signals();
    oc_host_mode(k->host, OC_THREADS);
    setenv("RN_CPU_LEVEL", "base", 1);
    const int reference = oc_machine_open(&k->reference, k->host, &rni_cpu_backend, 0);
    unsetenv("RN_CPU_LEVEL");
    if (reference && oc_machine_open(&k->machine, k->host, backend, device))
        return 1;
    fprintf(stderr, "device_open: %s\n", oc_host_message(k->host));
    return 0;
}

void checker_close(checker *k)
{
    oc_machine_close(&k->machine);
    oc_machine_close(&k->reference);
    oc_host_destroy(k->host);
    k->host = NULL;
}
