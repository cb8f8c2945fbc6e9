/* SPDX-License-Identifier: MIT */
/*
 * Any backend against the f64 reference of the CPU backend: for whoever writes one.
 *   checkbackend [test|support] [--module=PATH] [--device=N] [--seed=N] [--first=N] [--count=N]
 *     [--function=GLOB] [--dtypes=LIST]
 * Without a module the CPU backend itself is looked at. `test` runs every op kind on random operands in f32, f64,
 * bf16 and f16; what a backend says it does not support is left out and counted, but in the types of --dtypes (f32) it is a
 * failure. `support` prints a table.
 */
#include "backend/context.h"
#include "check_ops.h"
#include <dlfcn.h>
#include <resnet/sys/cpu.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct settings {
    const char *module;
    int32_t device;
} settings;

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

static int parse(checker *k, settings *s, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *const a = argv[i];
        if (strcmp(a, "test") == 0 || strcmp(a, "support") == 0)
            k->support = a[0] == 's';
        else if (strncmp(a, "--module=", 9) == 0)
            s->module = a + 9;
        else if (strncmp(a, "--device=", 9) == 0)
            s->device = (int32_t)atoi(a + 9);
        else if (strncmp(a, "--seed=", 7) == 0)
            k->seed = strtoull(a + 7, NULL, 0);
        else if (strncmp(a, "--first=", 8) == 0)
            k->first = atoi(a + 8);
        else if (strncmp(a, "--count=", 8) == 0)
            k->count = atoi(a + 8);
        else if (strncmp(a, "--function=", 11) == 0)
            k->function = a + 11;
        else if (strncmp(a, "--dtypes=", 9) == 0)
            k->dtypes = a + 9;
        else
            return 0;
    }
    return 1;
}

static void check(checker *k)
{
    const rn_device_info *const info = &k->machine.info;
    printf("%s: %s, seed %llu\n", info->name, info->description, (unsigned long long)k->seed);
    check_memory(k);
    check_bad_label(k);
    check_all(k);
}

int main(int argc, char **argv)
{
    checker k = {.seed = 1, .count = 24};
    settings s = {0};
    void *module = NULL;
    if (!parse(&k, &s, argc, argv)) {
        fprintf(stderr,
                "usage: %s [test|support] [--module=PATH] [--device=N] [--seed=N] [--first=N] [--count=N] "
                "[--function=GLOB] [--dtypes=LIST]\n",
                argv[0]);
        return 2;
    }
    const rn_backend *const backend = load(s.module, &module);
    if (!backend)
        return 1;
    check_table(&k, backend);
    if (k.failures || !checker_open(&k, backend, s.device))
        return 1;
    find_simulator(&k, module);
    k.rounds_terms = module && !(getenv("RN_CUDA_DIRECT") && strcmp(getenv("RN_CUDA_DIRECT"), "1") == 0);
    check(&k);
    checker_close(&k);
    if (module)
        dlclose(module);
    return k.failures ? 1 : 0;
}
