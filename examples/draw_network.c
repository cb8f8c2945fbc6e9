/* SPDX-License-Identifier: MIT */
/*
 * draw_network: networks of the zoo as a picture for Graphviz, side by side when there are several:
 *
 *     draw_network --arch resnet18,resnet34 --out nets.dot && dot -Tsvg nets.dot -o nets.svg
 */
#include <errno.h>
#include <resnet/resnet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: draw_network --arch NAME[,NAME...] --out FILE [FLAG...]\n"
    "\n"
    "Writes a picture of networks in Graphviz's language; `dot -Tsvg FILE -o PICTURE` draws it.\n"
    "\n"
    "  --arch NAMES      networks, separated by commas: columns of one picture\n"
    "  --out FILE        the file to write\n"
    "  --size N          height and width of the input (224; networks for CIFAR: 32)\n"
    "  --channels N      of the input (3)\n"
    "  --all-layers      a box for every layer, not only for those the paper draws\n"
    "  --names           paths in the boxes\n"
    "  --shapes          in every box what it gives\n"
    "  --left-to-right   not from top to bottom\n"
    "  --help            print this\n";

typedef struct options {
    char *arch;
    const char *out;
    int64_t size, channels;
    uint64_t flags; /* RN_DOT_* */
} options;

static char *unfinished; /* the file that is being written, under a name of its own */

static _Noreturn void fail(const char *what, const char *why)
{
    if (unfinished)
        remove(unfinished);
    fprintf(stderr, "draw_network: %s: %s\n", what, why);
    exit(1);
}

static _Noreturn void misused(const char *what, const char *why)
{
    fprintf(stderr, "draw_network: %s: %s (--help says more)\n", what, why);
    exit(2);
}

/* Every call of the library returns a status; the message says what was wrong. */
static void check(const char *net, rn_status status)
{
    if (status < 0)
        fail(net, rn_error_message());
}

static uint64_t flag_of(const char *argument)
{
    static const struct {
        const char *name;
        uint64_t flag;
    } flags[] = {{"--all-layers", RN_DOT_ALL_LAYERS},
                 {"--names", RN_DOT_NAMES},
                 {"--shapes", RN_DOT_SHAPES},
                 {"--left-to-right", RN_DOT_LEFT_TO_RIGHT}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (strcmp(argument, flags[i].name) == 0)
            return flags[i].flag;
    return 0;
}

static int64_t number(const char *name, const char *text)
{
    char *end;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || value < 1 || value > 1 << 20)
        misused(name, "expected a whole number from 1 to 1048576");
    return value;
}

static void take_value(options *o, const char *name, char *value)
{
    if (strcmp(name, "--arch") == 0)
        o->arch = value;
    else if (strcmp(name, "--out") == 0)
        o->out = value;
    else if (strcmp(name, "--size") == 0)
        o->size = number(name, value);
    else if (strcmp(name, "--channels") == 0)
        o->channels = number(name, value);
    else
        misused(name, "unknown flag");
}

static options parse(int argc, char **argv)
{
    options o = {NULL, NULL, 0, 3, 0};
    for (int i = 1; i < argc; i++) {
        const uint64_t flag = flag_of(argv[i]);
        o.flags |= flag;
        if (strcmp(argv[i], "--help") == 0) {
            fputs(help, stdout);
            exit(0);
        }
        if (flag)
            continue;
        if (i + 1 == argc)
            misused(argv[i], strncmp(argv[i], "--", 2) == 0 ? "expected a value" : "unknown argument");
        take_value(&o, argv[i], argv[i + 1]);
        i++;
    }
    if (!o.arch || !o.out)
        misused(o.arch ? "--out" : "--arch", "is missing");
    return o;
}

/* What rn_model_write_dot() hands over goes into the file. */
static rn_status write_text(void *user, const char *text, size_t length)
{
    return fwrite(text, 1, length, user) == length ? RN_OK : RN_E_USER;
}

static void draw(const options *o, const char *net, uint64_t flags, FILE *file)
{
    rn_dot_options dot = RN_DOT_OPTIONS_INIT;
    rn_context *ctx;
    rn_device *cpu;
    rn_layer *layer;
    rn_model *model;
    const int64_t size = o->size ? o->size : strncmp(net, "cifar_", 6) == 0 || strcmp(net, "tutorial") == 0 ? 32 : 224;
    const int64_t dims[] = {1, o->channels, size, size};
    const rn_zoo_options zoo = {sizeof zoo, 0, 0, o->channels};
    dot.flags = flags;
    dot.name = net;
    check(net, rn_context_create(NULL, &ctx));
    check(net, rn_context_find_device(ctx, "cpu", &cpu));
    check(net, rn_zoo_create(ctx, net, &zoo, &layer));
    check(net, rn_model_create(ctx, layer, cpu, &model));
    check(net, rn_model_write_dot(model, 4, dims, &dot, write_text, file));
    rn_model_release(model);
    rn_layer_release(layer);
    rn_context_release(ctx);
}

/* One net is a graph of its own; several are subgraphs of one. */
static void draw_all(const options *o, FILE *file)
{
    if (!strchr(o->arch, ',')) {
        draw(o, o->arch, o->flags, file);
        return;
    }
    fprintf(file, "digraph networks {\nrankdir=%s;\n", o->flags & RN_DOT_LEFT_TO_RIGHT ? "LR" : "TB");
    for (const char *net = strtok(o->arch, ","); net; net = strtok(NULL, ","))
        draw(o, net, o->flags | RN_DOT_SUBGRAPH, file);
    fputs("}\n", file);
}

/* The file appears when it is complete. */
static void write_file(const options *o)
{
    char *const part = malloc(strlen(o->out) + sizeof ".part");
    if (!part)
        fail(o->out, "out of memory");
    sprintf(part, "%s.part", o->out);
    FILE *const file = fopen(part, "w");
    if (!file)
        fail(part, strerror(errno));
    unfinished = part;
    draw_all(o, file);
    const int written = fflush(file) == 0 && !ferror(file);
    if (fclose(file) != 0 || !written || rename(part, o->out) != 0)
        fail(o->out, strerror(errno));
    unfinished = NULL;
    free(part);
}

int main(int argc, char **argv)
{
    const options o = parse(argc, argv);
    write_file(&o);
    return 0;
}
