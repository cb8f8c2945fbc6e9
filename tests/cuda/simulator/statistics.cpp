/* SPDX-License-Identifier: MIT */
#include "statistics.h"
#include "access.h"
#include "launch.h"
#include "record.h"
#include <cstdio>
#include <cstdlib>
#include <map>

namespace sim
{
namespace
{
struct Sum {
    uint64_t launches, threads;
    Traffic traffic;
};
} // namespace

/* Never destroyed: it is read at the very end. */
static std::map<std::string, Sum> &sums = *new std::map<std::string, Sum>;

static const char *file()
{
    static const char *const name = getenv("RNI_SIM_STATISTICS");
    return name;
}

void count_launch(const Launch &launch)
{
    if (!file())
        return;
    const std::string name = mangled_name(launch);
    Sum &sum = sums[name.empty() ? launch.kernel.name : name];
    sum.launches++;
    sum.threads += launch.threads();
    sum.traffic.read += traffic.read;
    sum.traffic.written += traffic.written;
    traffic = {};
}

void count_other(const char *name, uint64_t launches, uint64_t read, uint64_t written)
{
    if (!file())
        return;
    Sum &sum = sums[name];
    sum.launches += launches;
    sum.traffic.read += read;
    sum.traffic.written += written;
}

void write_statistics()
{
    FILE *const f = file() ? fopen(file(), "a") : nullptr;
    if (!f)
        return;
    for (const auto &s : sums)
        fprintf(f, "%s,%llu,%llu,%llu,%llu\n", s.first.c_str(), (unsigned long long)s.second.launches,
                (unsigned long long)s.second.threads, (unsigned long long)s.second.traffic.read,
                (unsigned long long)s.second.traffic.written);
    fclose(f);
}
} // namespace sim
