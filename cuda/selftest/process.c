/* SPDX-License-Identifier: MIT */
#include "process.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static const int ending[] = {SIGINT, SIGTERM, SIGHUP};
enum { ENDING = sizeof ending / sizeof ending[0], TENTHS_TO_END = 20 };

/* What a handler has to undo. */
static volatile pid_t running;
static char folder[PATH_MAX], module_link[PATH_MAX + 32];

/*
 * All that the group's leader started, and itself. compute-sanitizer's own child is this program, with a step and a folder
 * to remove: so they are asked before they are killed.
 */
static void end_group(pid_t leader)
{
    if (kill(-leader, SIGTERM) != 0)
        return;
    for (int i = 0; i < TENTHS_TO_END; i++) {
        waitpid(leader, NULL, WNOHANG); /* unreaped it would count as running */
        if (kill(-leader, 0) != 0)
            return;
        poll(NULL, 0, 100);
    }
    kill(-leader, SIGKILL);
}

void st_remove_folder(void)
{
    if (!folder[0])
        return;
    unlink(module_link);
    rmdir(folder);
    folder[0] = '\0';
}

static void end(int number)
{
    if (running > 0)
        end_group(running);
    st_remove_folder();
    signal(number, SIG_DFL);
    raise(number);
}

static void all_ending(sigset_t *set)
{
    sigemptyset(set);
    for (int i = 0; i < ENDING; i++)
        sigaddset(set, ending[i]);
}

void st_catch_signals(void)
{
    struct sigaction action = {.sa_handler = end}, before;
    all_ending(&action.sa_mask);
    for (int i = 0; i < ENDING; i++)
        if (sigaction(ending[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) /* nohup */
            sigaction(ending[i], &action, NULL);
}

static void release_signals(void)
{
    struct sigaction before;
    for (int i = 0; i < ENDING; i++)
        if (sigaction(ending[i], NULL, &before) == 0 && before.sa_handler == end)
            signal(ending[i], SIG_DFL);
}

pid_t st_fork(void)
{
    sigset_t held, before;
    all_ending(&held);
    sigprocmask(SIG_BLOCK, &held, &before);
    const pid_t child = fork();
    if (child == 0) {
        release_signals();
        setpgid(0, 0);
    } else if (child > 0) {
        setpgid(child, child); /* whoever of the two comes first */
        running = child;
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return child;
}

int st_wait(pid_t child, int *status)
{
    sigset_t held, before;
    siginfo_t ended;
    int waited;
    if (child < 0)
        return 0;
    do /* a handler that comes now has the child still */
        waited = waitid(P_PID, (id_t)child, &ended, WEXITED | WNOWAIT);
    while (waited != 0 && errno == EINTR);
    all_ending(&held);
    sigprocmask(SIG_BLOCK, &held, &before);
    const int reaped = waitpid(child, status, 0) == child;
    end_group(child);
    running = 0;
    sigprocmask(SIG_SETMASK, &before, NULL);
    return reaped;
}

const char *st_make_folder(const char *module)
{
    static char path[PATH_MAX];
    const char *const place = getenv("TMPDIR");
    if (!realpath(module, path)) {
        fprintf(stderr, "%s: there is no such file\n", module);
        return NULL;
    }
    snprintf(folder, sizeof folder, "%s/resnet-cuda-selftest.XXXXXX", place && *place == '/' ? place : "/tmp");
    if (!mkdtemp(folder)) {
        perror(folder);
        folder[0] = '\0';
        return NULL;
    }
    snprintf(module_link, sizeof module_link, "%s/libresnet-cuda.so", folder);
    if (symlink(path, module_link) == 0)
        return folder;
    perror(module_link);
    st_remove_folder();
    return NULL;
}
