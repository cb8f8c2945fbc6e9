/* SPDX-License-Identifier: MIT */
/* Checks of option values, so that every refusal names field, value and what is allowed. */
#ifndef RNI_TRAIN_OPTION_H
#define RNI_TRAIN_OPTION_H

#include <resnet/base.h>

/* RN_E_INVALID "<field> is <value>, expected <expected>" unless `ok`. */
rn_status rni_option(int ok, const char *field, double value, const char *expected);
/* The same for whole numbers. */
rn_status rni_option_int(int ok, const char *field, int64_t value, const char *expected);
/* RN_E_INVALID for bits outside `known`. */
rn_status rni_option_flags(uint64_t flags, uint64_t known, const char *field);

/* The ranges that come again and again. */
rn_status rni_option_not_negative(const char *field, double value);
rn_status rni_option_positive(const char *field, double value);
rn_status rni_option_at_least(const char *field, int64_t value, int64_t least);

#endif
