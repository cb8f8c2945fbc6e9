/* SPDX-License-Identifier: MIT */
/* Errors end the program: one line on stderr, exit status 1. */
#ifndef CHECK_H
#define CHECK_H

#include <resnet/resnet.h>

#if defined(__GNUC__)
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
#else
#define PRINTF_LIKE(text, first)
#endif

/* Prints "train_classifier: <text>" and exits with `status`. */
_Noreturn void fail(int status, const char *format, ...) PRINTF_LIKE(2, 3);

/* Every call of the library returns a status; rn_error_message() says what was wrong. */
#define CHECK(call)                                                                                                  \
    do {                                                                                                             \
        if ((call) < 0)                                                                                              \
            fail(1, "%s", rn_error_message());                                                                       \
    } while (0)

#endif
