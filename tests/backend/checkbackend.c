/* SPDX-License-Identifier: MIT */
/*
 * Any backend against the f64 reference of the CPU backend: for whoever writes one.
 *   checkbackend [test|support] [--module=PATH] [--device=N] [--seed=N] [--first=N] [--count=N] [--function=GLOB]
 * Without a module the CPU backend itself is looked at. `test` runs every op kind on random operands in f32, f64 and
 * bf16; what a backend says it does not support is left out and counted. `support` prints a table.
 */
#include "backend/context.h"
#include "base/threads.h"
#include "op_runner.h"
#include <dlfcn.h>
#include <fnmatch.h>
#include <resnet/sys/cpu.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct settings {
    const char *mode, *module, *function;
    uint64_t seed;
    int first, count; /* of a family's cases */
    int32_t device;
} settings;

typedef struct checker {
    settings s;
    oc_host *host;
    oc_machine reference, machine;
    void (*simulator)(const char *setting, int64_t value); /* a simulated device's; NULL: a real one */
    int failures;
} checker;

enum { DTYPES = 3 };

/* What one name of a case did in each dtype. */
typedef struct tally {
    char name[96];
    int ran[DTYPES], unsupported[DTYPES], wrong[DTYPES];
} tally;

static const rn_dtype dtypes[DTYPES] = {RN_F32, RN_F64, RN_BF16};

static void fail(checker *k, const char *what, const char *message)
{
    k->failures++;
    printf("FAILED %s: %s\n", what, message);
}

static const rn_backend *load(const char *path, void **module)
{
    const rn_backend *backend = NULL;
    *module = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!path)
        return &rni_cpu_backend;
    if (!*module) {
        fprintf(stderr, "%s\n", dlerror());
        return NULL;
    }
    void *const symbol = dlsym(*module, "rn_backend_query");
    rn_backend_query_fn query;
    memcpy(&query, &symbol, sizeof query);
    if (!symbol || query(RN_BACKEND_ABI_MAJOR, RN_BACKEND_ABI_MINOR, &backend) != RN_OK) {
        fprintf(stderr, "%s: no rn_backend_query for version %d.%d\n", path, RN_BACKEND_ABI_MAJOR,
                RN_BACKEND_ABI_MINOR);
        return NULL;
    }
    return backend;
}

/* A simulated device can tell when an op reads or writes what is not its operand, and fail on request. */
static void find_simulator(checker *k, void *module)
{
    void *const fence = module ? dlsym(module, "rni_sim_fence") : NULL;
    void *const set = module ? dlsym(module, "rni_sim_set") : NULL;
    memcpy(&k->machine.fence, &fence, sizeof fence);
    memcpy(&k->simulator, &set, sizeof set);
}

/* The functions that no backend may lack. */
static void check_table(checker *k, const rn_backend *b)
{
    if (b->struct_size < sizeof *b || b->abi_major != RN_BACKEND_ABI_MAJOR || !b->name || !b->version)
        fail(k, "table", "struct_size, abi_major, name or version");
    if (!b->device_count || !b->device_open || !b->device_close || !b->device_info || !b->memory_alloc ||
        !b->memory_free || !b->copy_in || !b->copy_out || !b->copy || !b->fill || !b->queue_create ||
        !b->queue_destroy || !b->queue_wait || !b->op_query || !b->op_run)
        fail(k, "table", "a function is missing");
    if (!b->program_create != !b->program_run || !b->program_create != !b->program_destroy)
        fail(k, "table", "program_create, program_run and program_destroy go together");
}

/* In, a copy on the device, a part zeroed, out. */
static void check_memory(checker *k)
{
    enum { BYTES = 100003, ZEROED = 77 };
    const oc_machine *const m = &k->machine;
    const rn_backend *const b = m->backend;
    unsigned char *const host = malloc(2 * BYTES);
    void *first = NULL, *second = NULL;
    if (b->memory_alloc(m->dev, BYTES, &first) != RN_OK || b->memory_alloc(m->dev, BYTES, &second) != RN_OK) {
        fail(k, "memory_alloc", oc_host_message(k->host));
    } else {
        for (int i = 0; i < BYTES; i++)
            host[i] = (unsigned char)(i * 7);
        if ((uintptr_t)first % 256 || (uintptr_t)second % 256)
            fail(k, "memory_alloc", "not 256-byte aligned");
        if (b->copy_in(m->dev, m->queue, first, host, BYTES) != RN_OK ||
            b->copy(m->dev, m->queue, second, first, BYTES) != RN_OK ||
            b->fill(m->dev, m->queue, second, ZEROED) != RN_OK ||
            b->copy_out(m->dev, m->queue, host + BYTES, second, BYTES) != RN_OK)
            fail(k, "copies", oc_host_message(k->host));
        memset(host, 0, ZEROED);
        if (memcmp(host, host + BYTES, BYTES) != 0)
            fail(k, "copies", "what came back is not what went in");
    }
    b->memory_free(m->dev, first, BYTES);
    b->memory_free(m->dev, second, BYTES);
    b->memory_free(m->dev, NULL, 0);
    free(host);
}

/* A label out of range must be an error that names it, at once or when waited for, and change nothing. */
static void check_bad_label(checker *k)
{
    oc_rng rng = {k->s.seed};
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
    const int outcome = oc_run(&k->machine, &c, &(oc_options){.dtype = RN_F32}, &r, message);
    if (outcome == OC_OK)
        fail(k, "bad label", "no error");
    else if (outcome == OC_FAILED && (!strstr(message, "47") || !strstr(message, "-2")))
        fail(k, "bad label", message);
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

/* How operands are made: for bf16 as it can hold them, so that f64 computes with the same. */
static oc_options options_of(rn_dtype dtype)
{
    return (oc_options){.dtype = dtype, .bf16 = dtype == RN_BF16 ? OC_BF16_WEIGHTS : 0};
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
    oc_options program = options_of(dtype), in_place = options_of(dtype);
    program.program = 1;
    in_place.in_place = 1;
    return same_result(k, c, &program, first, message) && same_result(k, c, &in_place, first, message);
}

/*
 * Where bf16 may round once more than it must: filter gradients before they are added to those that are there, and a
 * convolution's bias, or its sums before bias, residual and ReLU.
 */
static int may_round_again(const rn_op *op)
{
    return op->kind == RN_OP_CONV_BACKWARD_FILTER ||
           (op->kind == RN_OP_CONV_FORWARD && (op->flags & (RN_OPF_BIAS | RN_OPF_ADD | RN_OPF_RELU)));
}

static int within_bounds(const oc_case *c, rn_dtype dtype, const oc_result *got, const oc_result *expected,
                         const oc_result *scale, char message[300])
{
    oc_case loose = *c;
    loose.rounds_again += may_round_again(&c->ops[c->num_ops - 1]);
    return oc_compare(&loose, dtype, got, expected, scale, message);
}

/* On a simulated device: blocks, warps and lanes in other orders. */
static int same_in_any_order(checker *k, const oc_case *c, rn_dtype dtype, const oc_result *first, char message[300])
{
    enum { ORDERS = 3 }; /* ascending, which is the first result's, descending, random */
    const oc_options o = options_of(dtype);
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
    const oc_options o = options_of(dtypes[which]);
    char message[300], what[160];
    oc_result got;
    const int outcome = oc_run(&k->machine, c, &o, &got, message);
    t->ran[which] += outcome != OC_UNSUPPORTED;
    t->unsupported[which] += outcome == OC_UNSUPPORTED;
    int wrong =
        outcome == OC_FAILED || (outcome == OC_OK && !within_bounds(c, dtypes[which], &got, expected, scale, message));
    if (outcome == OC_OK && !wrong)
        wrong = !same_other_ways(k, c, dtypes[which], &got, message) ||
                !same_in_any_order(k, c, dtypes[which], &got, message);
    if (wrong) {
        snprintf(what, sizeof what, "%s in %s", c->name, rn_dtype_name(dtypes[which]));
        fail(k, what, message);
        t->wrong[which]++;
    }
    oc_result_free(&got);
}

static int has_bf16(const oc_case *c)
{
    for (uint32_t i = 0; i < c->num_values; i++)
        if (oc_dtype_of(&c->values[i], RN_BF16) == RN_BF16)
            return 1;
    return 0;
}

static void check_against_reference(checker *k, const oc_case *c, int which, tally *t)
{
    oc_options exact = options_of(dtypes[which]), absolute;
    oc_result expected, scale;
    char message[300];
    exact.dtype = RN_F64;
    absolute = exact;
    absolute.absolute = 1;
    const int outcome = oc_run(&k->reference, c, &exact, &expected, message);
    const int scaled = oc_run(&k->reference, c, &absolute, &scale, outcome == OC_OK ? message : (char[300]){0});
    if (outcome == OC_OK && scaled == OC_OK)
        check_dtype(k, c, which, &expected, &scale, t);
    else
        fail(k, c->name, message);
    oc_result_free(&expected);
    oc_result_free(&scale);
}

static void check_case(checker *k, const oc_family *f, int index, tally *all, size_t room)
{
    oc_rng rng = {k->s.seed + (uint64_t)index * 0x9e3779b9u};
    oc_case c;
    memset(&c, 0, sizeof c);
    f->make(&c, &rng, index);
    for (int which = 0; which < DTYPES; which++)
        if (dtypes[which] != RN_BF16 || has_bf16(&c))
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
    for (int index = k->s.first; index < k->s.first + k->s.count && k->failures < before + 5; index++)
        check_case(k, f, index, all, sizeof all / sizeof *all);
    for (size_t i = 0; i < sizeof all / sizeof *all && all[i].name[0]; i++)
        if (strcmp(k->s.mode, "support") == 0 || k->failures > before)
            printf("%-40s %-8s %-8s %-8s\n", all[i].name, verdict(&all[i], 0), verdict(&all[i], 1),
                   verdict(&all[i], 2));
    if (strcmp(k->s.mode, "test") == 0)
        printf("%-40s %s\n", f->name, k->failures == before ? "ok" : "FAILED");
    fflush(stdout);
}

static void check_all(checker *k)
{
    if (strcmp(k->s.mode, "support") == 0)
        printf("%-40s %-8s %-8s %-8s\n", "op", "f32", "f64", "bf16");
    for (const oc_family *const *table = oc_families; *table; table++)
        for (const oc_family *f = *table; f->name; f++)
            if (!k->s.function || fnmatch(k->s.function, f->name, 0) == 0)
                check_family(k, f);
}

static int open_machines(checker *k, const rn_backend *backend)
{
    setenv("RN_CPU_LEVEL", "base", 1);
    const int reference = oc_machine_open(&k->reference, k->host, &rni_cpu_backend, 0);
    unsetenv("RN_CPU_LEVEL");
    if (!reference || !oc_machine_open(&k->machine, k->host, backend, k->s.device)) {
        fprintf(stderr, "device_open: %s\n", oc_host_message(k->host));
        return 0;
    }
    printf("%s: %s, seed %llu\n", k->machine.info.name, k->machine.info.description, (unsigned long long)k->s.seed);
    return 1;
}

static int parse(settings *s, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *const a = argv[i];
        if (strcmp(a, "test") == 0 || strcmp(a, "support") == 0)
            s->mode = a;
        else if (strncmp(a, "--module=", 9) == 0)
            s->module = a + 9;
        else if (strncmp(a, "--device=", 9) == 0)
            s->device = (int32_t)atoi(a + 9);
        else if (strncmp(a, "--seed=", 7) == 0)
            s->seed = strtoull(a + 7, NULL, 0);
        else if (strncmp(a, "--first=", 8) == 0)
            s->first = atoi(a + 8);
        else if (strncmp(a, "--count=", 8) == 0)
            s->count = atoi(a + 8);
        else if (strncmp(a, "--function=", 11) == 0)
            s->function = a + 11;
        else
            return 0;
    }
    return 1;
}

int main(int argc, char **argv)
{
    checker k = {.s = {.mode = "test", .seed = 1, .count = 24}};
    void *module = NULL;
    if (!parse(&k.s, argc, argv)) {
        fprintf(stderr,
                "usage: %s [test|support] [--module=PATH] [--device=N] [--seed=N] [--first=N] [--count=N] "
                "[--function=GLOB]\n",
                argv[0]);
        return 2;
    }
    const rn_backend *const backend = load(k.s.module, &module);
    k.host = oc_host_create(rni_available_threads());
    if (!backend || !k.host)
        return 1;
    check_table(&k, backend);
    oc_catch_signals();
    oc_host_mode(k.host, OC_THREADS);
    if (k.failures || !open_machines(&k, backend))
        return 1;
    find_simulator(&k, module);
    check_memory(&k);
    check_bad_label(&k);
    check_all(&k);
    oc_machine_close(&k.machine);
    oc_machine_close(&k.reference);
    oc_host_destroy(k.host);
    if (module)
        dlclose(module);
    return k.failures ? 1 : 0;
}
