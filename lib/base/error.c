/* SPDX-License-Identifier: MIT */
#include "base/error.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[RNI_MESSAGE_SIZE];

/* A message is one line, whatever was in a path or in a name from a file. */
static void set_message(const char *text)
{
    size_t i = 0;
    for (; text[i] && i < RNI_MESSAGE_SIZE - 1; i++) {
        const unsigned char c = (unsigned char)text[i];
        message[i] = c < 0x20 || c == 0x7f ? '?' : text[i];
    }
    message[i] = '\0';
}

rn_status rni_fail(rn_status status, const char *format, ...)
{
    char text[RNI_MESSAGE_SIZE]; /* arguments may point into the old message */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    set_message(text);
    return status;
}

rn_status rni_fail_prefix(rn_status status, const char *format, ...)
{
    char text[2 * RNI_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, RNI_MESSAGE_SIZE, format, arguments);
    va_end(arguments);
    if (length < 0)
        length = 0;
    if (length >= RNI_MESSAGE_SIZE)
        length = RNI_MESSAGE_SIZE - 1;
    snprintf(text + length, sizeof text - (size_t)length, ": %s", message);
    set_message(text);
    return status;
}

const char *rn_error_message(void)
{
    return message;
}

const char *rni_shape_text(char buffer[RNI_SHAPE_TEXT], int32_t rank, const int64_t *dims)
{
    size_t used = (size_t)snprintf(buffer, RNI_SHAPE_TEXT, "[");
    for (int32_t i = 0; i < rank && i < RN_MAX_RANK; i++)
        used += (size_t)snprintf(buffer + used, RNI_SHAPE_TEXT - used, "%s%lld", i ? ", " : "", (long long)dims[i]);
    snprintf(buffer + used, RNI_SHAPE_TEXT - used, "]");
    return buffer;
}
