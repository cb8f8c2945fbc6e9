/* SPDX-License-Identifier: MIT */
#include "train/option.h"
#include "base/error.h"
#include <math.h>

rn_status rni_option(int ok, const char *field, double value, const char *expected)
{
    return ok ? RN_OK : rni_fail(RN_E_INVALID, "%s is %.9g, expected %s", field, value, expected);
}

rn_status rni_option_int(int ok, const char *field, int64_t value, const char *expected)
{
    return ok ? RN_OK : rni_fail(RN_E_INVALID, "%s is %lld, expected %s", field, (long long)value, expected);
}

rn_status rni_option_flags(uint64_t flags, uint64_t known, const char *field)
{
    if ((flags & ~known) == 0)
        return RN_OK;
    return rni_fail(RN_E_INVALID, "%s has the unknown bits 0x%llx", field, (unsigned long long)(flags & ~known));
}

rn_status rni_option_not_negative(const char *field, double value)
{
    return rni_option(isfinite(value) && value >= 0.0, field, value, "a finite number, 0 or more");
}

rn_status rni_option_positive(const char *field, double value)
{
    return rni_option(isfinite(value) && value > 0.0, field, value, "a finite number above 0");
}

rn_status rni_option_at_least(const char *field, int64_t value, int64_t least)
{
    if (value >= least)
        return RN_OK;
    return rni_fail(RN_E_INVALID, "%s is %lld, expected %lld or more", field, (long long)value, (long long)least);
}
