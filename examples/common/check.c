/* SPDX-License-Identifier: MIT */
#include "check.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

_Noreturn void fail(int status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fflush(stdout);
    fprintf(stderr, "%s: ", program_name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(status);
}

void *allocate(size_t count, size_t size)
{
    void *const block = calloc(count ? count : 1, size);
    if (!block)
        fail(1, "out of memory");
    return block;
}
