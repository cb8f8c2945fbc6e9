/* SPDX-License-Identifier: MIT */
#include "flags.h"
#include "check.h"
#include "text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void unknown_flag(const flag_table *table, const char *given, size_t length)
{
    char name[32];
    guess g = GUESS_INIT;
    snprintf(name, sizeof name, "%.*s", (int)length, given);
    for (size_t i = 0; i < table->count; i++)
        guess_try(&g, name, table->flags[i].name);
    if (g.name)
        fail(2, "unknown flag %s; did you mean %s? (--help lists all)", name, g.name);
    fail(2, "unknown flag %s; --help lists all", name);
}

static const flag *find_flag(const flag_table *table, const char *argument, size_t length)
{
    for (size_t i = 0; i < table->count; i++)
        if (strlen(table->flags[i].name) == length && memcmp(table->flags[i].name, argument, length) == 0)
            return &table->flags[i];
    unknown_flag(table, argument, length);
}

static int64_t parse_count(const char *name, const char *text, int64_t least, int64_t most)
{
    int64_t value;
    if (!text_count(text, least, most, &value))
        fail(2, "%s: expected a whole number from %lld to %lld, got '%s'", name, (long long)least, (long long)most, text);
    return value;
}

static double parse_rate(const char *name, const char *text)
{
    double value;
    if (!text_number(text, &value) || value <= 0.0)
        fail(2, "%s: expected a number above 0, got '%s'", name, text);
    return value;
}

static uint64_t parse_bytes(const char *name, char *text)
{
    static const char units[] = "KMG";
    char *const last = text + strlen(text) - 1;
    const char *const unit = strchr(units, *last);
    int64_t value;
    if (unit)
        *last = '\0';
    if (!text_count(text, 1, INT32_MAX, &value))
        fail(2, "%s: expected a number of bytes like 800M or 4G", name);
    return (uint64_t)value << (unit ? 10 * (unit - units + 1) : 0);
}

static void append(texts *list, const char *name, const char *text)
{
    if (list->count == MAX_TEXTS)
        fail(2, "%s: expected at most %d", name, MAX_TEXTS);
    list->item[list->count++] = text;
}

void texts_split(texts *list, const char *name, char *text)
{
    list->count = 0;
    for (char *item = strtok(text, ","); item; item = strtok(NULL, ","))
        append(list, name, item);
    if (!list->count)
        fail(2, "%s: a value is missing", name);
}

static void set_value(const flag *f, void *field, char *value)
{
    switch (f->kind) {
    case FLAG_TEXT:
        *(const char **)field = value;
        break;
    case FLAG_TEXTS:
        texts_split(field, f->name, value);
        break;
    case FLAG_APPEND:
        append(field, f->name, value);
        break;
    case FLAG_RATE:
        *(double *)field = parse_rate(f->name, value);
        break;
    case FLAG_BYTES:
        *(uint64_t *)field = parse_bytes(f->name, value);
        break;
    case FLAG_SEED:
        *(uint64_t *)field = (uint64_t)parse_count(f->name, value, 0, INT64_MAX);
        break;
    case FLAG_THREADS:
        *(int32_t *)field = (int32_t)parse_count(f->name, value, 1, 1024);
        break;
    default:
        *(int64_t *)field = parse_count(f->name, value, 1, INT32_MAX);
        break;
    }
}

static void set_switch(const flag_table *table, const flag *f, void *field)
{
    if (f->kind == FLAG_SWITCH) {
        *(int *)field = 1;
        return;
    }
    if (f->kind == FLAG_HELP)
        fputs(table->help, stdout);
    else
        for (size_t i = 0; rn_zoo_name(i); i++)
            puts(rn_zoo_name(i));
    exit(0);
}

/* Takes the flag at argv[i] and returns how many arguments it used. */
static int parse_flag(const flag_table *table, void *options, int argc, char **argv, int i)
{
    char *const equals = strchr(argv[i], '=');
    const flag *const f = find_flag(table, argv[i], equals ? (size_t)(equals - argv[i]) : strlen(argv[i]));
    void *const field = (char *)options + f->offset;
    if (f->kind >= FLAG_SWITCH) {
        if (equals)
            fail(2, "%s takes no value", f->name);
        set_switch(table, f, field);
        return 1;
    }
    char *const value = equals ? equals + 1 : i + 1 < argc ? argv[i + 1] : NULL;
    if (!value || !*value)
        fail(2, "%s: a value is missing", f->name);
    set_value(f, field, value);
    return equals ? 1 : 2;
}

void flags_parse(const flag_table *table, void *options, int argc, char **argv, int *arguments)
{
    int kept = 0;
    for (int i = 1; i < argc;) {
        if (strncmp(argv[i], "--", 2) == 0) {
            i += parse_flag(table, options, argc, argv, i);
            continue;
        }
        if (!arguments)
            fail(2, "unexpected argument '%s'; --help lists the flags", argv[i]);
        argv[kept++] = argv[i++];
    }
    if (arguments)
        *arguments = kept;
}
