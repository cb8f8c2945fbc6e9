/* SPDX-License-Identifier: MIT */
#include "options.h"
#include "check.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: train_classifier --dataset fashion-mnist|cifar10 [FLAG...]\n"
    "\n"
    "Trains a residual network on images and evaluates it on test images after every epoch.\n"
    "\n"
    "  --dataset NAME       fashion-mnist or cifar10\n"
    "  --data DIR           folder of its files; fashion-mnist: /usr/share/datasets/fashion-mnist unless given\n"
    "  --train FILE,FILE    CIFAR-10 binary files to train on, in place of data_batch_1..5.bin\n"
    "  --test FILE          CIFAR-10 binary file to test on, in place of test_batch.bin\n"
    "  --arch NAME          network, see --list-archs (tutorial)\n"
    "  --recipe NAME        tutorial: Adam 1e-3, a third of it every 20 of 80 epochs, batch 100\n"
    "                       paper:    SGD 0.1, a tenth of it at 1/2 and 3/4 of 64,000 steps, batch 128\n"
    "                       cosine:   SGD with Nesterov momentum, cosine from 0.1 to 0, 200 epochs, batch 256\n"
    "  --epochs N           instead of the recipe's; paper and cosine are stretched to it\n"
    "  --batch N            images per step, instead of the recipe's\n"
    "  --lr X               learning rate at the start, instead of the recipe's\n"
    "  --seed N             of weights, order of images and augmentation (0)\n"
    "  --dtype NAME         fp32, or bf16: activations of half the size, weights and sums stay fp32 (fp32)\n"
    "  --threads N          threads to compute with (as many as there are)\n"
    "  --device NAME        auto, cpu or cuda:N (auto)\n"
    "  --out DIR            folder for what is written (resnet-out)\n"
    "  --resume             go on from DIR/checkpoint.safetensors, exactly where it was saved\n"
    "  --weights FILE       begin with these: safetensors, or what torch.save() wrote (.pth)\n"
    "  --export FILE        write the trained weights there too: .pth, .pt, .ckpt, .th for PyTorch, else safetensors\n"
    "  --limit-train N      only the first N training images\n"
    "  --limit-test N       only the first N test images\n"
    "  --list-archs         print the names of the networks\n"
    "  --help               print this\n"
    "\n"
    "Written to the folder: model.safetensors (weights), checkpoint.safetensors (all that --resume needs),\n"
    "history.csv (a line per epoch; accuracies are fractions) and learning-curve.svg. Ctrl-C finishes the step,\n"
    "saves and exits with 130.\n";

typedef enum flag_kind { FLAG_TEXT, FLAG_FILES, FLAG_COUNT, FLAG_SEED, FLAG_RATE, FLAG_SWITCH, FLAG_HELP, FLAG_LIST } flag_kind;

typedef struct flag {
    const char *name;
    flag_kind kind;
    size_t offset; /* of its field in options */
} flag;

static const flag flags[] = {
    {"--dataset", FLAG_TEXT, offsetof(options, dataset)},
    {"--data", FLAG_TEXT, offsetof(options, data)},
    {"--train", FLAG_FILES, 0},
    {"--test", FLAG_TEXT, offsetof(options, test)},
    {"--arch", FLAG_TEXT, offsetof(options, arch)},
    {"--recipe", FLAG_TEXT, offsetof(options, recipe)},
    {"--device", FLAG_TEXT, offsetof(options, device)},
    {"--dtype", FLAG_TEXT, offsetof(options, dtype)},
    {"--out", FLAG_TEXT, offsetof(options, out)},
    {"--weights", FLAG_TEXT, offsetof(options, weights)},
    {"--export", FLAG_TEXT, offsetof(options, exported)},
    {"--epochs", FLAG_COUNT, offsetof(options, epochs)},
    {"--batch", FLAG_COUNT, offsetof(options, batch)},
    {"--limit-train", FLAG_COUNT, offsetof(options, limit_train)},
    {"--limit-test", FLAG_COUNT, offsetof(options, limit_test)},
    {"--threads", FLAG_COUNT, offsetof(options, threads)},
    {"--lr", FLAG_RATE, offsetof(options, lr)},
    {"--seed", FLAG_SEED, offsetof(options, seed)},
    {"--resume", FLAG_SWITCH, offsetof(options, resume)},
    {"--list-archs", FLAG_LIST, 0},
    {"--help", FLAG_HELP, 0},
};
enum { NUM_FLAGS = sizeof flags / sizeof flags[0] };

static size_t smallest(size_t a, size_t b, size_t c)
{
    const size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* How many letters must be changed, added or taken away (Levenshtein 1966). */
static size_t distance(const char *a, const char *b)
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

static _Noreturn void unknown_flag(const char *given, size_t length)
{
    char name[32];
    size_t best = 4;
    const char *nearest = NULL;
    snprintf(name, sizeof name, "%.*s", (int)length, given);
    for (size_t i = 0; i < NUM_FLAGS; i++) {
        const size_t d = distance(name, flags[i].name);
        if (d < best) {
            best = d;
            nearest = flags[i].name;
        }
    }
    if (nearest)
        fail(2, "unknown flag %s; did you mean %s? (--help lists all)", name, nearest);
    fail(2, "unknown flag %s; --help lists all", name);
}

static const flag *find_flag(const char *argument, size_t length)
{
    for (size_t i = 0; i < NUM_FLAGS; i++)
        if (strlen(flags[i].name) == length && memcmp(flags[i].name, argument, length) == 0)
            return &flags[i];
    unknown_flag(argument, length);
}

static int64_t parse_count(const char *name, const char *text, int64_t least, int64_t most)
{
    char *end = NULL;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || value < least || value > most)
        fail(2, "%s: expected a whole number from %lld to %lld, got '%s'", name, (long long)least, (long long)most, text);
    return value;
}

static double parse_rate(const char *name, const char *text)
{
    char *end = NULL;
    const double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value) || value <= 0.0)
        fail(2, "%s: expected a number above 0, got '%s'", name, text);
    return value;
}

/* Cuts the list in place. */
static void parse_files(options *o, char *list)
{
    o->num_train = 0;
    for (char *file = strtok(list, ","); file; file = strtok(NULL, ",")) {
        if (o->num_train == MAX_FILES)
            fail(2, "--train: expected at most %d files", MAX_FILES);
        o->train[o->num_train++] = file;
    }
    if (!o->num_train)
        fail(2, "--train: expected FILE,FILE...");
}

static void list_archs(void)
{
    for (size_t i = 0; rn_zoo_name(i); i++)
        puts(rn_zoo_name(i));
}

static void set_value(options *o, const flag *f, char *value)
{
    void *const field = (char *)o + f->offset;
    if (f->kind == FLAG_TEXT)
        *(const char **)field = value;
    else if (f->kind == FLAG_FILES)
        parse_files(o, value);
    else if (f->kind == FLAG_RATE)
        *(double *)field = parse_rate(f->name, value);
    else if (f->kind == FLAG_SEED)
        *(uint64_t *)field = (uint64_t)parse_count(f->name, value, 0, INT64_MAX);
    else if (field == (void *)&o->threads)
        o->threads = (int32_t)parse_count(f->name, value, 1, 1024);
    else
        *(int64_t *)field = parse_count(f->name, value, 1, INT32_MAX);
}

static void set_switch(options *o, const flag *f)
{
    if (f->kind == FLAG_SWITCH) {
        o->resume = 1;
        return;
    }
    if (f->kind == FLAG_HELP)
        fputs(help, stdout);
    else
        list_archs();
    exit(0);
}

/* Takes the flag at argv[i] and returns how many arguments it used: `--flag value` and `--flag=value` are the same. */
static int parse_flag(options *o, int argc, char **argv, int i)
{
    char *const equals = strchr(argv[i], '=');
    const flag *const f = find_flag(argv[i], equals ? (size_t)(equals - argv[i]) : strlen(argv[i]));
    if (f->kind >= FLAG_SWITCH) {
        if (equals)
            fail(2, "%s takes no value", f->name);
        set_switch(o, f);
        return 1;
    }
    if (!equals && i + 1 == argc)
        fail(2, "%s: a value is missing", f->name);
    char *const value = equals ? equals + 1 : argv[i + 1];
    if (!*value)
        fail(2, "%s: a value is missing", f->name);
    set_value(o, f, value);
    return equals ? 1 : 2;
}

static int one_of(const char *text, const char *a, const char *b, const char *c)
{
    return strcmp(text, a) == 0 || strcmp(text, b) == 0 || (c && strcmp(text, c) == 0);
}

static void check_together(options *o)
{
    if (!o->dataset)
        fail(2, "--dataset is missing: fashion-mnist or cifar10 (--help tells more)");
    if (!one_of(o->dataset, "fashion-mnist", "cifar10", NULL))
        fail(2, "--dataset: expected fashion-mnist or cifar10, got '%s'", o->dataset);
    if (!one_of(o->recipe, "tutorial", "paper", "cosine"))
        fail(2, "--recipe: expected tutorial, paper or cosine, got '%s'", o->recipe);
    if (!one_of(o->dtype, "fp32", "bf16", NULL))
        fail(2, "--dtype: expected fp32 or bf16, got '%s'", o->dtype);
    const int cifar = strcmp(o->dataset, "cifar10") == 0;
    if (!cifar && (o->num_train || o->test))
        fail(2, "--train and --test name CIFAR-10 files: they go with --dataset cifar10");
    if (!cifar && !o->data)
        o->data = "/usr/share/datasets/fashion-mnist";
    if (cifar && !o->data && !(o->num_train && o->test))
        fail(2, "--data is missing: the folder with data_batch_1.bin (examples/fetch_cifar10 downloads it)");
}

void options_parse(options *o, int argc, char **argv)
{
    *o = (options){.arch = "tutorial", .recipe = "tutorial", .device = "auto", .out = "resnet-out", .dtype = "fp32"};
    for (int i = 1; i < argc;) {
        if (strncmp(argv[i], "--", 2) != 0)
            fail(2, "unexpected argument '%s'; --help lists the flags", argv[i]);
        i += parse_flag(o, argc, argv, i);
    }
    check_together(o);
}
