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

/* Each program says what it is called. */
extern const char program_name[];

/* Prints "<program_name>: <text>" and exits with `status`: 1 for what went wrong, 2 for a command line without sense. */
_Noreturn void fail(int status, const char *format, ...) PRINTF_LIKE(2, 3);

/* Memory that is there; the program ends if it is not. */
void *allocate(size_t count, size_t size);

/* Every call of the library returns a status; rn_error_message() says what was wrong. */
#define CHECK(call)                                                                                                  \
    do {                                                                                                             \
        if ((call) < 0)                                                                                              \
            fail(1, "%s", rn_error_message());                                                                       \
    } while (0)

#endif
