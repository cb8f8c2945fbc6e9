/* SPDX-License-Identifier: MIT */
#include "selftest.h"
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

void st_say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("  ");
    vprintf(format, arguments);
    printf("\n");
    fflush(stdout);
    va_end(arguments);
}

void st_fail(selftest *t, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    t->failures++;
    printf("FAILED ");
    vprintf(format, arguments);
    printf("\n");
    fflush(stdout);
    va_end(arguments);
}

int st_ok(selftest *t, rn_status status, const char *what)
{
    if (status == RN_OK)
        return 1;
    st_fail(t, "%s: %s: %s", what, rn_status_name(status), rn_error_message());
    return 0;
}

double st_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
