/* SPDX-License-Identifier: MIT */
/* The calling thread's error message. Setting it never allocates. */
#ifndef RNI_BASE_ERROR_H
#define RNI_BASE_ERROR_H

#include <resnet/base.h>

#if defined(__GNUC__)
#define RNI_PRINTF(index, first) __attribute__((format(printf, index, first)))
#else
#define RNI_PRINTF(index, first)
#endif

/* Longest message, terminator included. */
#define RNI_MESSAGE_SIZE 512

/* Sets the message and returns `status`. */
rn_status rni_fail(rn_status status, const char *format, ...) RNI_PRINTF(2, 3);

/* Puts "prefix: " before the message that is there, and returns `status`. */
rn_status rni_fail_prefix(rn_status status, const char *format, ...) RNI_PRINTF(2, 3);

#define RNI_TRY(call)                                                        \
    do {                                                                     \
        const rn_status rni_status_ = (call);                                \
        if (rni_status_ < 0)                                                 \
            return rni_status_;                                              \
    } while (0)

/* For public functions: a NULL argument is RN_E_INVALID naming it. */
#define RNI_REQUIRE(pointer)                                                 \
    do {                                                                     \
        if ((pointer) == NULL)                                               \
            return rni_fail(RN_E_INVALID, "%s: " #pointer " is NULL",        \
                            __func__);                                       \
    } while (0)

/* "[100, 16, 32, 32]" into a buffer, for messages; returns buffer. */
#define RNI_SHAPE_TEXT 200
const char *rni_shape_text(char buffer[RNI_SHAPE_TEXT], int32_t rank, const int64_t *dims);

#endif
