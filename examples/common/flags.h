/* SPDX-License-Identifier: MIT */
/* Command lines: a table says which flags there are and which field of the program's options each one sets. */
#ifndef FLAGS_H
#define FLAGS_H

#include <stddef.h>
#include <stdint.h>

enum { MAX_TEXTS = 64 };

typedef struct texts {
    const char *item[MAX_TEXTS];
    size_t count;
} texts;

typedef enum flag_kind {
    FLAG_TEXT,    /* const char * */
    FLAG_TEXTS,   /* texts, between commas */
    FLAG_APPEND,  /* texts, one each time the flag is given */
    FLAG_COUNT,   /* int64_t, 1 or more */
    FLAG_SEED,    /* uint64_t */
    FLAG_RATE,    /* double above 0 */
    FLAG_BYTES,   /* uint64_t above 0, with K, M or G after it or not */
    FLAG_THREADS, /* int32_t, 1 to 1024 */
    FLAG_SWITCH,  /* int, becomes 1; takes no value, nor do those that follow */
    FLAG_HELP,    /* prints the help and exits with 0 */
    FLAG_ARCHS    /* prints the names of the networks and exits with 0 */
} flag_kind;

typedef struct flag {
    const char *name; /* "--batch" */
    flag_kind kind;
    size_t offset; /* of the field */
} flag;

typedef struct flag_table {
    const flag *flags;
    size_t count;
    const char *help;
} flag_table;

/*
 * Sets the fields; `--flag value` and `--flag=value` are the same. Arguments that are no flags are moved to the front of
 * argv and *arguments says how many they are; with NULL there must be none. Exits with 2 and a line that names the flag when
 * something is wrong.
 */
void flags_parse(const flag_table *table, void *options, int argc, char **argv, int *arguments);

/* Cuts a list in place. */
void texts_split(texts *list, const char *flag, char *text);

#endif
