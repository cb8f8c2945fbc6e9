/* SPDX-License-Identifier: MIT */
/* Step 5: a short run under each of compute-sanitizer's tools, where there is one. */
#include "selftest.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const tools[] = {"memcheck", "racecheck", "initcheck", "synccheck"};
enum { TOOLS = sizeof tools / sizeof tools[0], ERRORS_FOUND = 99, MOST_ARGUMENTS = 20 };

static int on_path(const char *name)
{
    static char text[32768];
    char file[PATH_MAX];
    const char *const path = getenv("PATH");
    snprintf(text, sizeof text, "%s", path ? path : "");
    for (char *rest = text, *folder; (folder = strsep(&rest, ":"));) {
        snprintf(file, sizeof file, "%s/%s", folder, name);
        if (*folder && access(file, X_OK) == 0)
            return 1;
    }
    return 0;
}

/* This program's own file: argv[0] may be found by PATH only. */
static const char *own_file(const selftest *t)
{
    static char file[PATH_MAX];
    const ssize_t length = readlink("/proc/self/exe", file, sizeof file - 1);
    if (length <= 0)
        return t->program;
    file[length] = '\0';
    return file;
}

static int add(const char **arguments, int n, const char *const *more, size_t count)
{
    for (size_t i = 0; i < count; i++)
        arguments[n++] = more[i];
    return n;
}

/*
 * racecheck and initcheck look at the module's kernels, which do all the work then: cuDNN's engines for capability 9.0
 * synchronize and write in ways that these tools do not know.
 */
static int own_kernels_only(const char *tool)
{
    return strcmp(tool, "racecheck") == 0 || strcmp(tool, "initcheck") == 0;
}

/* Calls of CUDA that fail are told by the steps, and step 2 has some fail on purpose. */
static void fill(const selftest *t, const char *tool, const char **arguments, char device[16])
{
    const char *const quiet[] = {"--report-api-errors", "no"}, *const direct[] = {"--direct"};
    const char *const sanitizer[] = {"compute-sanitizer",  "--tool", tool, "--error-exitcode", "99",
                                     "--target-processes", "all"};
    const int own = own_kernels_only(tool);
    const char *const self[] = {own_file(t), "--quick", "--steps", own ? "2,3,7" : "2,3,4,7", "--device", device};
    const char *const module[] = {"--module", t->module};
    snprintf(device, 16, "%d", (int)t->device);
    int n = add(arguments, 0, sanitizer, sizeof sanitizer / sizeof sanitizer[0]);
    if (strcmp(tool, "memcheck") == 0)
        n = add(arguments, n, quiet, 2);
    n = add(arguments, n, self, sizeof self / sizeof self[0]);
    if (own)
        n = add(arguments, n, direct, 1);
    if (t->module)
        n = add(arguments, n, module, 2);
    arguments[n] = NULL;
}

static void print(const char *const *arguments)
{
    printf("   ");
    for (; *arguments; arguments++)
        printf(" %s", *arguments);
    printf("\n");
    fflush(stdout);
}

static void run(selftest *t, const char *tool, const char *const *arguments)
{
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
        execvp(arguments[0], (char *const *)arguments);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        st_fail(t, "%s: cannot be run", tool);
    else if (WIFEXITED(status) && WEXITSTATUS(status) == ERRORS_FOUND)
        st_fail(t, "%s: found errors, see above", tool);
    else if (status != 0)
        st_fail(t, "%s: ends with %s %d", tool, WIFEXITED(status) ? "status" : "signal",
                WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    else
        st_say("%s: nothing found", tool);
}

void st_step_sanitizer(selftest *t)
{
    const char *arguments[MOST_ARGUMENTS];
    char device[16];
    const int found = on_path("compute-sanitizer");
    if (!found)
        st_say("not run: compute-sanitizer is not on the PATH. By hand (it comes with the CUDA toolkit):");
    for (int i = 0; i < TOOLS; i++) {
        fill(t, tools[i], arguments, device);
        print(arguments);
        if (found)
            run(t, tools[i], arguments);
    }
}
