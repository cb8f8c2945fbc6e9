/* SPDX-License-Identifier: MIT */
#include "settings.h"
#include "control.h"
#include "device.h"
#include "report.h"
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <string>
#include <strings.h>

namespace sim
{
static struct {
    const char *name;
    int64_t value;
} settings[SETTINGS] = {
    {"order", 0},          {"seed", 1},           {"devices", 1},     {"driver", 13000},       {"capability", 90},
    {"processors", 6},     {"memory_mb", 4096},   {"fail_malloc", 0}, {"fail_malloc_host", 0}, {"fail_launch", 0},
    {"fail_library", 0},   {"refuse_capture", 0}, {"lose_after", 0},  {"reports", 20},         {"leaks", 1},
    {"compare_orders", 0}, {"refuse_prologue", 0}, {"count_only", 0},
};

static uint64_t random_state;

static void seed(int64_t value)
{
    random_state = (uint64_t)value * 0x9e3779b97f4a7c15u + 1;
}

static int64_t number_of(const char *text)
{
    static const char *const orders[] = {"ascending", "descending", "random"};
    for (int i = 0; i < 3; i++)
        if (strcmp(text, orders[i]) == 0)
            return i;
    return strtoll(text, nullptr, 0);
}

static void read_environment()
{
    static bool done;
    if (done)
        return;
    done = true;
    for (auto &s : settings) {
        std::string name = "RNI_SIM_";
        for (const char *c = s.name; *c; c++)
            name += (char)toupper(*c);
        const char *const text = getenv(name.c_str());
        if (text && *text)
            s.value = number_of(text);
    }
    seed(settings[SEED].value);
}

int64_t setting(Setting which)
{
    read_environment();
    return settings[which].value;
}

bool now_due(Setting which)
{
    int64_t &value = settings[which].value;
    const int64_t left = setting(which);
    if (left == 0)
        return false;
    if (left > 0)
        return --value == 0;
    return left == -1 || ++value == 0; /* stays at -1: every one from here on */
}

uint32_t random_below(uint32_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 32) * bound >> 32);
}
} // namespace sim

using namespace sim;

void rni_sim_set(const char *name, int64_t value)
{
    const Lock lock;
    read_environment();
    for (auto &s : settings)
        if (strcmp(s.name, name) == 0) {
            s.value = value;
            if (&s == &settings[SEED])
                seed(value);
            return;
        }
    report("rni_sim_set: there is no setting %s", name);
}

int64_t rni_sim_get(const char *name)
{
    const Lock lock;
    read_environment();
    for (const auto &s : settings)
        if (strcmp(s.name, name) == 0)
            return s.value;
    return count_of(name);
}
