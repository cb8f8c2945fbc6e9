/* SPDX-License-Identifier: MIT */
/* How many threads this process may use: affinity mask, cut by the cgroup's quota. */
#define _GNU_SOURCE
#include "base/threads.h"
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 1024, MAX_THREADS = 1024 };

/* The smaller of two numbers of threads, where 0 says nothing. */
static int32_t tighter(int32_t a, int32_t b)
{
    return !a || (b && b < a) ? b : a;
}

/* quota / period as whole threads; 0 when there is no quota. */
static int32_t threads_of(double quota, double period)
{
    if (!(quota > 0) || !(period > 0))
        return 0;
    const double threads = quota / period;
    return threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : (int32_t)(threads + 0.5);
}

/* Up to two numbers at the start of a file in the folder; how many there were. */
static int read_numbers(const char *folder, const char *file, double *a, double *b)
{
    char path[PATH_SIZE + 64];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    FILE *const f = fopen(path, "re");
    if (!f)
        return 0;
    const int found = fscanf(f, "%lf %lf", a, b);
    fclose(f);
    return found;
}

/* Version 2: cpu.max is "max 100000" or "200000 100000"; version 1: a file for each number, quota -1 for none. */
static int32_t quota_of_folder(const char *folder)
{
    double quota = 0, period = 0, none;
    if (read_numbers(folder, "cpu.max", &quota, &period) == 2)
        return threads_of(quota, period);
    if (read_numbers(folder, "cpu.cfs_quota_us", &quota, &none) < 1 ||
        read_numbers(folder, "cpu.cfs_period_us", &period, &none) < 1)
        return 0;
    return threads_of(quota, period);
}

/* The tightest quota from a group's folder up to the mount's. */
static int32_t quota_upwards(const char *mount, const char *group)
{
    char folder[PATH_SIZE];
    int32_t quota = 0;
    const int length = snprintf(folder, sizeof folder, "%s%s", mount, group);
    if (length < 0 || length >= PATH_SIZE)
        return quota_of_folder(mount);
    for (;;) {
        quota = tighter(quota, quota_of_folder(folder));
        char *const slash = strrchr(folder + strlen(mount), '/');
        if (!slash)
            return quota;
        *slash = '\0';
    }
}

/* A line of /proc/self/cgroup, "0::/a/b" (version 2) or "4:cpu,cpuacct:/a/b" (version 1). */
static int32_t quota_of_line(char *line)
{
    char *const controllers = strchr(line, ':');
    char *const group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group)
        return 0;
    group[strcspn(group, "\n")] = '\0';
    if (group == controllers + 1)
        return quota_upwards("/sys/fs/cgroup", group + 1);
    *group = '\0';
    for (char *name = controllers + 1; name; name = strchr(name, ',')) {
        name += *name == ',';
        if (strncmp(name, "cpu", 3) == 0 && (name[3] == ',' || name[3] == '\0'))
            return quota_upwards("/sys/fs/cgroup/cpu", group + 1);
    }
    return 0;
}

static int32_t quota_threads(void)
{
    char line[PATH_SIZE];
    /* In a container the process's own group is often mounted as the top. */
    int32_t quota = tighter(quota_of_folder("/sys/fs/cgroup"), quota_of_folder("/sys/fs/cgroup/cpu"));
    FILE *const f = fopen("/proc/self/cgroup", "re");
    if (!f)
        return quota;
    while (fgets(line, sizeof line, f))
        quota = tighter(quota, quota_of_line(line));
    fclose(f);
    return quota;
}

int32_t rni_available_threads(void)
{
    cpu_set_t set;
    int32_t threads = 1;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        threads = (int32_t)CPU_COUNT(&set);
    else /* more processors than the set has room for */
        threads = (int32_t)sysconf(_SC_NPROCESSORS_ONLN);
    threads = threads > MAX_THREADS ? MAX_THREADS : threads;
    threads = tighter(threads, quota_threads());
    return threads < 1 ? 1 : threads;
}
