/* SPDX-License-Identifier: MIT */
#include "process.h"
#include "selftest.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STEP_SECONDS = 3600 }; /* a kernel that never ends must not hide what else there is to tell */

static const struct {
    const char *name;
    void (*run)(selftest *t);
} steps[ST_STEPS + 1] = {
    {NULL, NULL},
    {"versions and the device", st_step_device},
    {"memory, copies, an empty program", st_step_memory},
    {"the module's kernels against the CPU", st_step_kernels},
    {"convolutions: cuDNN, the module's own and the CPU", st_step_convolutions},
    {"compute-sanitizer", st_step_sanitizer},
    {"training against the CPU", st_step_training},
    {"stream against captured graph", st_step_graph},
    {"speed", st_step_benchmark},
    {"convolutions with statistics in one engine", st_step_fused},
};

static const char usage[] =
    "usage: %s [--module PATH] [--device N] [--steps LIST] [--quick] [--all] [--direct] [--record FILE] [--help]\n"
    "Checks the CUDA module on a GPU and writes a report, which is worth sending to whoever looks after the library.\n"
    "  --module PATH   the module to look at; else the installed one\n"
    "  --device N      CUDA's number of the device (0)\n"
    "  --steps LIST    some steps only: 1,3,6-8\n"
    "  --quick         less of everything: a minute instead of many\n"
    "  --all           step 4: every net of the zoo\n"
    "  --direct        steps 6 to 8: no cuDNN and cuBLAS, the module's own kernels\n"
    "  --record FILE   step 1: a device record (JSON) to compare the device's own with\n"
    "The exit status is 0 when nothing failed, 1 when something did, 2 for wrong arguments. Steps:\n";

static void print_usage(FILE *to, const char *program)
{
    fprintf(to, usage, program);
    for (int i = 1; i <= ST_STEPS; i++)
        fprintf(to, "  %d  %s\n", i, steps[i].name);
}

/* "1,3,6-8". 0 when it is none. */
static int parse_steps(const char *text, unsigned *bits)
{
    *bits = 0;
    while (*text) {
        char *end;
        const long first = strtol(text, &end, 10);
        const long last = *end == '-' ? strtol(end + 1, &end, 10) : first;
        if (end == text || first < 1 || last > ST_STEPS || first > last || (*end && *end != ','))
            return 0;
        for (long i = first; i <= last; i++)
            *bits |= 1u << i;
        text = *end ? end + 1 : end;
    }
    return *bits != 0;
}

static int parse_number(const char *text, int32_t *number)
{
    char *end;
    const long value = strtol(text, &end, 10);
    *number = (int32_t)value;
    return *text && !*end && value >= 0 && value < 1024;
}

/* A flag with a value; 0 when there is no such flag, or the value is none. */
static int parse_value(selftest *t, const char *flag, const char *value)
{
    if (!value)
        return 0;
    if (strcmp(flag, "--steps") == 0)
        return parse_steps(value, &t->steps);
    if (strcmp(flag, "--device") == 0)
        return parse_number(value, &t->device);
    if (strcmp(flag, "--module") == 0)
        t->module = value;
    else if (strcmp(flag, "--record") == 0)
        t->record = value;
    else
        return 0;
    return 1;
}

static int parse(selftest *t, int argc, char **argv)
{
    t->program = argv[0];
    t->steps = ~0u;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0)
            t->quick = 1;
        else if (strcmp(argv[i], "--all") == 0)
            t->all = 1;
        else if (strcmp(argv[i], "--direct") == 0)
            t->direct = 1;
        else if (strcmp(argv[i], "--help") == 0)
            return -1;
        else if (parse_value(t, argv[i], argv[i + 1]))
            i++;
        else
            return 0;
    }
    return 1;
}

/* Steps choose these themselves, but for what --direct says. */
static void set_settings(const selftest *t)
{
    static const char *const names[] = {"RN_CUDA_DIRECT", "RN_CUDA_TF32", "RN_CUDA_GRAPH", "RN_CUDA_FUSE"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unsetenv(names[i]);
    if (t->direct)
        setenv("RN_CUDA_DIRECT", "1", 1);
}

static void run_here(selftest *t, int number)
{
    alarm(t->all ? 0 : STEP_SECONDS);
    steps[number].run(t);
    exit(t->failures ? 1 : 0); /* a step's own failures are told; atexit has its say as well */
}

/* How a step's process ended. 1 when all was well. */
static int tell_end(int number, int status, double seconds)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        printf("FAILED step %d: it took longer than %d s\n", number, STEP_SECONDS);
    else if (WIFSIGNALED(status))
        printf("FAILED step %d: %s\n", number, strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) > 1)
        printf("FAILED step %d: exit status %d\n", number, WEXITSTATUS(status));
    printf("  %s, %.1f s\n", status == 0 ? "ok" : "failed", seconds);
    return status == 0;
}

static int run_step(selftest *t, int number)
{
    const double begin = st_now();
    int status = 0;
    printf("\n== step %d: %s\n", number, steps[number].name);
    fflush(stdout);
    const pid_t child = st_fork();
    if (child == 0)
        run_here(t, number);
    if (!st_wait(child, &status)) {
        perror("fork");
        return 0;
    }
    return tell_end(number, status, st_now() - begin);
}

static int run_steps(selftest *t)
{
    char failed[80] = "";
    for (int i = 1; i <= ST_STEPS; i++)
        if (t->steps & 1u << i && !run_step(t, i))
            snprintf(failed + strlen(failed), sizeof failed - strlen(failed), " %d", i);
    printf("\n== result: %s%s\n", failed[0] ? "FAILED, steps" : "passed", failed);
    return failed[0] != '\0';
}

int main(int argc, char **argv)
{
    selftest t = {0};
    char date[40];
    const time_t now = time(NULL);
    const int understood = parse(&t, argc, argv);
    if (understood != 1) {
        print_usage(understood ? stdout : stderr, argv[0]);
        return understood ? 0 : 2;
    }
    strftime(date, sizeof date, "%Y-%m-%d %H:%M UTC", gmtime(&now));
    printf("resnet-cuda-selftest, library %s, %s%s\n", rn_build_info(RN_BUILD_VERSION), date, t.quick ? ", quick" : "");
    set_settings(&t);
    st_catch_signals();
    t.folder = t.module ? st_make_folder(t.module) : NULL;
    const int failed = t.folder || !t.module ? run_steps(&t) : 1;
    st_remove_folder();
    return failed;
}
