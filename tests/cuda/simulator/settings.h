/* SPDX-License-Identifier: MIT */
/* Settings of control.h. */
#ifndef RNI_SIMULATOR_SETTINGS_H
#define RNI_SIMULATOR_SETTINGS_H

#include <cstdint>

namespace sim
{
enum Setting {
    ORDER,
    SEED,
    DEVICES,
    DRIVER,
    CAPABILITY,
    PROCESSORS,
    MEMORY_MB,
    FAIL_MALLOC,
    FAIL_MALLOC_HOST,
    FAIL_LAUNCH,
    FAIL_LIBRARY,
    REFUSE_CAPTURE,
    LOSE_AFTER,
    REPORTS,
    LEAKS,
    COMPARE_ORDERS,
    REFUSE_PROLOGUE,
    COUNT_ONLY,
    SETTINGS
};
enum Order { ASCENDING, DESCENDING, RANDOM };

int64_t setting(Setting which);

/* Counts a setting that says "the Nth from now on" down: true when it has come to that one. */
bool now_due(Setting which);

/* A number below `bound`, from the seed. */
uint32_t random_below(uint32_t bound);
} // namespace sim

#endif
