/* SPDX-License-Identifier: MIT */
/* Values as people write them. The functions say whether the text was one; messages are the caller's affair. */
#ifndef TEXT_H
#define TEXT_H

#include <stddef.h>
#include <stdint.h>

/* A whole number from least to most. */
int text_count(const char *text, int64_t least, int64_t most, int64_t *out);
/* A finite number. */
int text_number(const char *text, double *out);

/* Letters that must be changed, added or taken away to make one of the other (Levenshtein 1966). */
size_t text_distance(const char *a, const char *b);

/* The best of a search for a name that was meant. */
typedef struct guess {
    const char *name; /* NULL: nothing is near */
    size_t distance;
} guess;
#define GUESS_INIT {NULL, 4}
void guess_try(guess *g, const char *given, const char *name);

#endif
