/* SPDX-License-Identifier: MIT */
/* How many threads this process may use: affinity mask, cut by the cgroup's quota. */
#define _GNU_SOURCE
#include "base/threads.h"
#include <sched.h>
#include <stdio.h>

/* quota / period as whole threads; 0 when there is no quota. */
static int32_t threads_of(double quota, double period)
{
    if (!(quota > 0) || !(period > 0))
        return 0;
    const double threads = quota / period;
    return threads < 1 ? 1 : threads > 1024 ? 1024 : (int32_t)(threads + 0.5);
}

/* cgroup v2: "max 100000" or "200000 100000". */
static int32_t quota_v2(void)
{
    double quota = 0, period = 0;
    FILE *const f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%lf %lf", &quota, &period) != 2)
        quota = 0;
    fclose(f);
    return threads_of(quota, period);
}

static double read_number(const char *path)
{
    double number = 0;
    FILE *const f = fopen(path, "re");
    if (!f)
        return 0;
    if (fscanf(f, "%lf", &number) != 1)
        number = 0;
    fclose(f);
    return number;
}

static int32_t quota_v1(void)
{
    return threads_of(read_number("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
                      read_number("/sys/fs/cgroup/cpu/cpu.cfs_period_us"));
}

int32_t rni_available_threads(void)
{
    cpu_set_t set;
    int32_t threads = 1;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        threads = (int32_t)CPU_COUNT(&set);
    int32_t quota = quota_v2();
    if (!quota)
        quota = quota_v1();
    if (quota && quota < threads)
        threads = quota;
    return threads < 1 ? 1 : threads;
}
