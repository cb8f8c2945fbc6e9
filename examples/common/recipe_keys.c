/* SPDX-License-Identifier: MIT */
#include "check.h"
#include "files.h"
#include "recipe.h"
#include "text.h"
#include <float.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef enum key_kind {
    KEY_HEADING, /* no key: begins a group in print */
    KEY_COUNT,   /* int64_t */
    KEY_NUMBER,  /* double */
    KEY_NUMBERS, /* numbers, or none */
    KEY_SWITCH,  /* int32_t: no or yes */
    KEY_CHOICE   /* int32_t: one of the names */
} key_kind;

typedef struct key {
    const char *name;
    key_kind kind;
    size_t offset;
    double least, most;
    const char *expected;   /* numbers: in words */
    const char *choices[7]; /* in the order of their enum */
} key;

#define COUNT(field, least) {#field, KEY_COUNT, offsetof(recipe, field), least, INT32_MAX, NULL, {NULL}}
#define NUMBER(field, ...) {#field, KEY_NUMBER, offsetof(recipe, field), __VA_ARGS__, {NULL}}
#define NUMBERS(field, ...) {#field, KEY_NUMBERS, offsetof(recipe, field), __VA_ARGS__, {NULL}}
#define SWITCH(field) {#field, KEY_SWITCH, offsetof(recipe, field), 0, 0, NULL, {"no", "yes", NULL}}
#define CHOICE(field, ...) {#field, KEY_CHOICE, offsetof(recipe, field), 0, 0, NULL, {__VA_ARGS__, NULL}}
#define HEADING(text) {text, KEY_HEADING, 0, 0, 0, NULL, {NULL}}
#define ABOVE_0 DBL_MIN, DBL_MAX, "a number above 0"
#define FROM_0 0, DBL_MAX, "a number of 0 or more"
#define FRACTION 0, 1, "a number from 0 to 1"
#define BELOW_1 0, 1 - DBL_EPSILON, "a number from 0 to below 1"

static const key keys[] = {
    HEADING("length and batches"),
    COUNT(epochs, 1),
    COUNT(iterations, 1),
    COUNT(batch, 1),
    COUNT(micro_batch, 0),
    COUNT(validation, 0),
    HEADING("optimizer and loss"),
    CHOICE(optimizer, "sgd", "adam", "adamw"),
    NUMBER(lr, ABOVE_0),
    NUMBER(momentum, BELOW_1),
    SWITCH(nesterov),
    NUMBER(beta1, BELOW_1),
    NUMBER(beta2, BELOW_1),
    NUMBER(eps, FROM_0),
    NUMBER(weight_decay, FROM_0),
    SWITCH(decay_all),
    NUMBER(clip_norm, FROM_0),
    NUMBER(label_smoothing, BELOW_1),
    NUMBER(ema, BELOW_1),
    HEADING("learning rate over time"),
    CHOICE(schedule, "constant", "step", "multistep", "cosine", "one-cycle", "plateau"),
    NUMBER(gamma, ABOVE_0),
    COUNT(period, 1),
    NUMBERS(milestones, FRACTION),
    NUMBER(min_lr, FROM_0),
    NUMBER(rise, FRACTION),
    NUMBER(start_div, 1, DBL_MAX, "a number of 1 or more"),
    NUMBER(end_div, 1, DBL_MAX, "a number of 1 or more"),
    COUNT(patience, 0),
    NUMBER(threshold, BELOW_1),
    COUNT(cooldown, 0),
    NUMBER(warmup, FRACTION),
    NUMBER(warmup_factor, FRACTION),
    CHOICE(warmup_shape, "linear", "constant"),
    NUMBER(warmup_error, FRACTION),
    COUNT(warmup_depth, 0),
    HEADING("images"),
    COUNT(crop_padding, 0),
    NUMBER(flip, FRACTION),
    COUNT(cutout, 0),
    NUMBER(mixup, FROM_0),
    NUMBER(cutmix, FROM_0),
    NUMBER(mix_probability, FRACTION),
    NUMBER(cutmix_share, FRACTION),
    NUMBER(color, FROM_0),
    CHOICE(train_crop, "random-resized", "short-side"),
    COUNT(size, 1),
    NUMBER(area_min, FRACTION),
    COUNT(short_side_min, 1),
    COUNT(short_side_max, 1),
    COUNT(short_side_test, 1),
    CHOICE(normalize, "no", "pixels", "images", "imagenet"),
    NUMBERS(mean, FRACTION),
    NUMBERS(std, ABOVE_0),
};
enum { NUM_KEYS = sizeof keys / sizeof keys[0] };

static const recipe defaults = {
    .epochs = 200,
    .batch = 128,
    .optimizer = OPTIMIZER_SGD,
    .lr = 0.1,
    .momentum = 0.9,
    .beta1 = 0.9,
    .beta2 = 0.999,
    .eps = 1e-8,
    .weight_decay = 1e-4,
    .decay_all = 1,
    .schedule = SCHEDULE_COSINE,
    .gamma = 0.1,
    .period = 30,
    .rise = 0.3,
    .start_div = 25,
    .end_div = 1e4,
    .patience = 10,
    .threshold = 1e-4,
    .warmup_factor = 0.1,
    .warmup_shape = WARMUP_LINEAR,
    .crop_padding = 4,
    .flip = 0.5,
    .mix_probability = 1,
    .cutmix_share = 0.5,
    .size = 224,
    .area_min = 0.08,
    .short_side_min = 256,
    .short_side_max = 480,
    .short_side_test = 256,
    .normalize = NORMALIZE_PIXELS,
};

/* Where a value comes from: a line of a file, or a flag (line 0). */
typedef struct place {
    const char *name;
    int line;
} place;

static _Noreturn void wrong(const place *at, const char *key_name, const char *expected, const char *got)
{
    if (at->line)
        fail(1, "%s:%d: %s: expected %s, got '%s'", at->name, at->line, key_name, expected, got);
    fail(2, "%s: %s: expected %s, got '%s'", at->name, key_name, expected, got);
}

static const key *find_key(const place *at, const char *name)
{
    guess g = GUESS_INIT;
    for (size_t i = 0; i < NUM_KEYS; i++) {
        if (keys[i].kind == KEY_HEADING)
            continue;
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
        guess_try(&g, name, keys[i].name);
    }
    char text[64] = "";
    if (g.name)
        snprintf(text, sizeof text, "; did you mean %s?", g.name);
    if (at->line)
        fail(1, "%s:%d: unknown key '%s'%s", at->name, at->line, name, text);
    fail(2, "%s: unknown key '%s'%s", at->name, name, text);
}

/* "a, b or c" */
static void list_choices(const key *k, char *text, size_t size)
{
    size_t length = 0;
    for (int i = 0; k->choices[i] && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%s",
                                   i == 0 ? "" : k->choices[i + 1] ? ", " : " or ", k->choices[i]);
}

static void set_choice(const place *at, const key *k, int32_t *field, const char *value)
{
    char expected[128];
    for (int32_t i = 0; k->choices[i]; i++)
        if (strcmp(k->choices[i], value) == 0) {
            *field = i;
            return;
        }
    list_choices(k, expected, sizeof expected);
    wrong(at, k->name, expected, value);
}

static void set_count(const place *at, const key *k, int64_t *field, const char *value)
{
    char expected[80];
    if (text_count(value, (int64_t)k->least, (int64_t)k->most, field))
        return;
    snprintf(expected, sizeof expected, "a whole number from %.0f to %.0f", k->least, k->most);
    wrong(at, k->name, expected, value);
}

static double number_of(const place *at, const key *k, const char *text)
{
    double value;
    if (!text_number(text, &value) || value < k->least || value > k->most)
        wrong(at, k->name, k->expected, text);
    return value;
}

/* Numbers between blanks; "none" is an empty list. */
static void set_numbers(const place *at, const key *k, numbers *field, char *value)
{
    field->count = 0;
    if (strcmp(value, "none") == 0)
        return;
    for (char *item = strtok(value, " "); item; item = strtok(NULL, " ")) {
        if (field->count == MAX_NUMBERS)
            wrong(at, k->name, "at most 16 numbers", item);
        field->value[field->count++] = number_of(at, k, item);
    }
}

static void parse(recipe *r, const char *path, char *text);

static char *copy_of(const char *text)
{
    const size_t size = strlen(text) + 1;
    return memcpy(allocate(size, 1), text, size);
}

/* All values of a recipe with a name. */
static void start_from(recipe *r, const place *at, const char *base)
{
    const char *const own_name = r->name;
    if (!recipe_builtin(base))
        wrong(at, "base", "the name of a recipe that comes with the program", base);
    char *const text = copy_of(recipe_builtin(base));
    *r = defaults;
    r->name = own_name;
    parse(r, base, text);
    free(text);
}

static void set_key(recipe *r, const place *at, const char *name, char *value)
{
    if (strcmp(name, "base") == 0) {
        start_from(r, at, value);
        return;
    }
    const key *const k = find_key(at, name);
    void *const field = (char *)r + k->offset;
    if (k->kind == KEY_COUNT)
        set_count(at, k, field, value);
    else if (k->kind == KEY_NUMBER)
        *(double *)field = number_of(at, k, value);
    else if (k->kind == KEY_NUMBERS)
        set_numbers(at, k, field, value);
    else
        set_choice(at, k, field, value);
    /* A training has one length: the last that is given. */
    if (field == (void *)&r->epochs)
        r->iterations = 0;
    if (field == (void *)&r->iterations)
        r->epochs = 0;
}

/* Takes blanks off both ends. */
static char *trimmed(char *text)
{
    char *end = text + strlen(text);
    while (end > text && strchr(" \t\r\n", end[-1]))
        end--;
    *end = '\0';
    return text + strspn(text, " \t");
}

/* `assignment` is cut up. */
static void assign(recipe *r, const place *at, char *assignment)
{
    char *const equals = strchr(assignment, '=');
    if (!equals || !*trimmed(equals + 1)) {
        if (at->line)
            fail(1, "%s:%d: expected key = value, got '%s'", at->name, at->line, trimmed(assignment));
        fail(2, "%s: expected KEY=VALUE, got '%s'", at->name, assignment);
    }
    *equals = '\0';
    set_key(r, at, trimmed(assignment), trimmed(equals + 1));
}

void recipe_set(recipe *r, const char *flag_name, const char *assignment)
{
    const place at = {flag_name, 0};
    char *const copy = copy_of(assignment);
    assign(r, &at, copy);
    free(copy);
}

/* `text` is cut up. What follows a # is a remark. */
static void parse(recipe *r, const char *path, char *text)
{
    place at = {path, 0};
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        at.line++;
        line[strcspn(line, "#")] = '\0';
        line = trimmed(line);
        if (*line)
            assign(r, &at, line);
    }
}

static _Noreturn void no_such_recipe(const char *name)
{
    char all[256] = "";
    for (size_t i = 0, length = 0; recipe_name(i) && length < sizeof all; i++)
        length += (size_t)snprintf(all + length, sizeof all - length, "%s%s", i ? ", " : "", recipe_name(i));
    fail(2, "--recipe: expected %s or a file, got '%s'", all, name);
}

void recipe_load(recipe *r, const char *name_or_path)
{
    const char *const builtin = recipe_builtin(name_or_path);
    struct stat s;
    *r = defaults;
    r->name = name_or_path;
    if (!builtin && !strchr(name_or_path, '/') && stat(name_or_path, &s) != 0)
        no_such_recipe(name_or_path);
    char *const text = builtin ? copy_of(builtin) : read_file(name_or_path, 1 << 16);
    parse(r, name_or_path, text);
    free(text);
}

void recipe_check(const recipe *r)
{
    if (r->micro_batch && r->batch % r->micro_batch != 0)
        fail(2, "recipe %s: micro_batch: expected a divisor of the batch of %lld images, got %lld", r->name,
             (long long)r->batch, (long long)r->micro_batch);
    for (size_t i = 1; i < r->milestones.count; i++)
        if (r->milestones.value[i] < r->milestones.value[i - 1])
            fail(2, "recipe %s: milestones: expected ascending numbers", r->name);
    if (r->mean.count != r->std.count)
        fail(2, "recipe %s: mean and std: expected as many numbers of one as of the other, got %zu and %zu", r->name,
             r->mean.count, r->std.count);
    if (r->warmup > 0 && r->warmup_error > 0)
        fail(2, "recipe %s: warmup and warmup_error: expected 0 for one of them", r->name);
    if (r->schedule == SCHEDULE_PLATEAU && r->warmup_error > 0)
        fail(2, "recipe %s: warmup_error: expected 0 with schedule = plateau, got %g", r->name, r->warmup_error);
    if (r->size > r->short_side_test)
        fail(2, "recipe %s: size: expected at most short_side_test, %lld, got %lld", r->name, (long long)r->short_side_test,
             (long long)r->size);
    if (r->train_crop == CROP_SHORT_SIDE && (r->size > r->short_side_min || r->short_side_min > r->short_side_max))
        fail(2, "recipe %s: expected size <= short_side_min <= short_side_max, got %lld, %lld and %lld", r->name,
             (long long)r->size, (long long)r->short_side_min, (long long)r->short_side_max);
    if (r->schedule == SCHEDULE_PLATEAU && r->gamma >= 1)
        fail(2, "recipe %s: gamma: expected a number below 1 with schedule = plateau, got %g", r->name, r->gamma);
    if (r->schedule == SCHEDULE_PLATEAU && r->warmup > 0 && r->warmup_shape == WARMUP_LINEAR)
        fail(2, "recipe %s: warmup_shape: expected constant with schedule = plateau, got linear", r->name);
}

/* The shortest text that reads as the same number. */
static void print_number(FILE *file, double value)
{
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    fputs(text, file);
}

static void print_numbers(FILE *file, const numbers *list)
{
    if (!list->count)
        fputs("none", file);
    for (size_t i = 0; i < list->count; i++) {
        if (i)
            fputc(' ', file);
        print_number(file, list->value[i]);
    }
}

static void print_key(const recipe *r, const key *k, FILE *file)
{
    const void *const field = (const char *)r + k->offset;
    fprintf(file, "%s = ", k->name);
    if (k->kind == KEY_COUNT)
        fprintf(file, "%lld", (long long)*(const int64_t *)field);
    else if (k->kind == KEY_NUMBER)
        print_number(file, *(const double *)field);
    else if (k->kind == KEY_NUMBERS)
        print_numbers(file, field);
    else
        fputs(k->choices[*(const int32_t *)field], file);
    fputc('\n', file);
}

void recipe_print(const recipe *r, FILE *file)
{
    fprintf(file, "# recipe %s\n", r->name);
    for (size_t i = 0; i < NUM_KEYS; i++) {
        const key *const k = &keys[i];
        const int other_length = k->offset == offsetof(recipe, epochs) ? !r->epochs
                                 : k->offset == offsetof(recipe, iterations) && !r->iterations;
        if (k->kind == KEY_HEADING)
            fprintf(file, "\n# %s\n", k->name);
        else if (!other_length)
            print_key(r, k, file);
    }
}
