/* SPDX-License-Identifier: MIT */
#include "text.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int text_count(const char *text, int64_t least, int64_t most, int64_t *out)
{
    char *end = NULL;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || value < least || value > most)
        return 0;
    *out = value;
    return 1;
}

int text_number(const char *text, double *out)
{
    char *end = NULL;
    const double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value))
        return 0;
    *out = value;
    return 1;
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    const size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

size_t text_distance(const char *a, const char *b)
{
    size_t row[64];
    const size_t length = strlen(b);
    if (length >= 64)
        return length;
    for (size_t j = 0; j <= length; j++)
        row[j] = j;
    for (size_t i = 1; *a; a++, i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= length; j++) {
            const size_t changed = diagonal + (*a != b[j - 1]);
            diagonal = row[j];
            row[j] = smallest(changed, row[j] + 1, row[j - 1] + 1);
        }
    }
    return row[length];
}

void guess_try(guess *g, const char *given, const char *name)
{
    const size_t d = text_distance(given, name);
    if (d < g->distance) {
        g->distance = d;
        g->name = name;
    }
}
