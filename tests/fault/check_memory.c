/* SPDX-License-Identifier: MIT */
/*
 * Memory runs out. Each scenario runs with the first allocation failing, then the second, ... until it gets through,
 * in three ways: that one fails; that one and all after it; that one, and the call that failed is made again. A failure
 * must be RN_E_NOMEM with a message, and must leave nothing allocated; the second try must succeed.
 *
 *     check_memory [scenario ...]
 */
#include "fault.h"
#include "../unit/counting.h"
#include <stdio.h>
#include <string.h>

enum { ONCE, FOR_GOOD, AGAIN, WAYS };
static const char *const ways[WAYS] = {"fails", "fails, and all after it", "fails, and the call is made again"};

static int complain(const char *scenario, long long n, int way, const char *what)
{
    printf("%s: allocation %lld %s: %s (%s)\n", scenario, n, ways[way], what, rn_error_message());
    return 1;
}

/* One run with the n-th allocation failing; 1 when something was wrong. *through: no allocation failed any more. */
static int run_once(const fault_scenario *s, const char *folder, long long n, int way, int *through)
{
    counting c = {0};
    const rn_allocator allocator = counting_allocator(&c);
    const fault_run run = {&allocator, folder, way == AGAIN};
    int wrong = 0;
    atomic_store(&c.fail_at, n);
    atomic_store(&c.persistent, way == FOR_GOOD);
    (void)rn_tensor_create(NULL, 0, 0, NULL, NULL); /* a message that has nothing to do with memory */
    const rn_status status = s->run(&run);
    *through = !atomic_load(&c.failures);
    if (*through || way == AGAIN)
        wrong |= status == RN_OK ? 0 : complain(s->name, n, way, rn_status_name(status));
    else if (status == RN_OK)
        wrong |= complain(s->name, n, way, "nobody noticed");
    else if (status != RN_E_NOMEM)
        wrong |= complain(s->name, n, way, rn_status_name(status));
    else if (!strstr(rn_error_message(), "memory"))
        wrong |= complain(s->name, n, way, "the message does not tell");
    if (atomic_load(&c.blocks) || atomic_load(&c.bytes))
        wrong |= complain(s->name, n, way, "something is still allocated");
    if (atomic_load(&c.wrong))
        wrong |= complain(s->name, n, way, "a block was freed with another size or alignment");
    return wrong;
}

/* The number of runs that were wrong. */
static int check(const fault_scenario *s, const char *folder)
{
    int wrong = 0;
    for (int way = 0; way < WAYS; way++) {
        int through = 0;
        long long n = 0;
        while (!through && wrong < 10)
            wrong += run_once(s, folder, ++n, way, &through);
        if (way == ONCE)
            printf("%s: %lld allocations%s", s->name, n - 1, wrong ? "\n" : "");
        if (n == 1)
            wrong += complain(s->name, n, way, "the scenario allocates nothing");
    }
    printf("%s\n", wrong ? "" : ": ok");
    return wrong;
}

static int is_named(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return 1;
    return argc < 2;
}

int main(int argc, char **argv)
{
    char folder[] = "/tmp/resnet-fault-XXXXXX", command[64];
    int wrong = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!mkdtemp(folder))
        return 2;
    for (const fault_scenario *s = fault_scenarios; s->name; s++)
        if (is_named(s->name, argc, argv))
            wrong += check(s, folder);
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) != 0 || wrong != 0;
}
