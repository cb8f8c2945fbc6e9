/* SPDX-License-Identifier: MIT */
/* classify: what a trained network sees in pictures. */
#include "common/check.h"
#include "common/flags.h"
#include "common/labels.h"
#include "common/network.h"
#include "common/recipe.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

const char program_name[] = "classify";

typedef struct options {
    const char *arch, *weights, *labels, *recipe, *dataset, *device, *dtype;
    texts set;
    int64_t classes, batch, top;
    int32_t threads;
} options;

static const char help[] =
    "usage: classify --arch NAME --weights FILE [FLAG...] PICTURE...\n"
    "\n"
    "Prints the classes that a network finds most probable for JPEG and PNG pictures. A PICTURE is a file, a folder (all\n"
    "pictures in it and below), or - for a list of files on standard input, one a line.\n"
    "\n"
    "  --arch NAME          network, see --list-archs (resnet50)\n"
    "  --weights FILE       its weights\n"
    "  --labels FILE        names of the classes, one a line: labels.txt of train_classifier\n"
    "  --classes N          classes of the network, without names (as published: 1000 for ImageNet nets)\n"
    "  --recipe NAME|FILE   the recipe it was trained with, for what it says about test pictures: size, short_side_test,\n"
    "                       normalize (imagenet: the square of 224 in the middle of a short side of 256)\n"
    "  --dataset NAME       data set whose pixel values normalize = pixels and images mean (folder)\n"
    "  --set KEY=VALUE      a value of the recipe; may be given several times\n"
    "  --top N              how many classes are printed (5)\n"
    "  --batch N            pictures at a time (16)\n"
    "  --dtype NAME         fp32, bf16 or fp16 (fp32)\n"
    "  --threads N          threads to compute with (as many as there are)\n"
    "  --device NAME        auto, cpu or cuda:N (auto)\n"
    "  --list-archs         print the names of the networks\n"
    "  --help               print this\n"
    "\n"
    "A picture that cannot be read is reported, and the others go on; the exit status is 1 then.\n";

static const flag flags[] = {
    {"--arch", FLAG_TEXT, offsetof(options, arch)},
    {"--weights", FLAG_TEXT, offsetof(options, weights)},
    {"--labels", FLAG_TEXT, offsetof(options, labels)},
    {"--classes", FLAG_COUNT, offsetof(options, classes)},
    {"--recipe", FLAG_TEXT, offsetof(options, recipe)},
    {"--dataset", FLAG_TEXT, offsetof(options, dataset)},
    {"--set", FLAG_APPEND, offsetof(options, set)},
    {"--top", FLAG_COUNT, offsetof(options, top)},
    {"--batch", FLAG_COUNT, offsetof(options, batch)},
    {"--dtype", FLAG_TEXT, offsetof(options, dtype)},
    {"--threads", FLAG_THREADS, offsetof(options, threads)},
    {"--device", FLAG_TEXT, offsetof(options, device)},
    {"--list-archs", FLAG_ARCHS, 0},
    {"--help", FLAG_HELP, 0},
};
static const flag_table table = {flags, sizeof flags / sizeof flags[0], help};

/* --- which pictures ---------------------------------------------------------------------------------------------- */

typedef struct paths {
    char **item;
    size_t count, capacity;
} paths;

static char *joined(const char *dir, const char *name)
{
    const size_t size = strlen(dir) + strlen(name) + 2;
    char *const path = allocate(size, 1);
    snprintf(path, size, "%s%s%s", dir, *dir ? "/" : "", name);
    return path;
}

static void add_path(paths *p, char *path)
{
    if (p->count == p->capacity) {
        p->capacity = p->capacity ? 2 * p->capacity : 64;
        p->item = realloc(p->item, p->capacity * sizeof *p->item);
        if (!p->item)
            fail(1, "out of memory");
    }
    p->item[p->count++] = path;
}

static int is_picture(const char *name)
{
    const char *const end = strrchr(name, '.');
    return end && (strcasecmp(end, ".jpg") == 0 || strcasecmp(end, ".jpeg") == 0 || strcasecmp(end, ".png") == 0);
}

static int not_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void add_folder(paths *p, const char *dir)
{
    struct dirent **entries;
    struct stat s;
    const int count = scandir(dir, &entries, not_hidden, alphasort);
    if (count < 0)
        fail(1, "%s: the folder cannot be read", dir);
    for (int i = 0; i < count; i++) {
        char *const path = joined(dir, entries[i]->d_name);
        if (stat(path, &s) == 0 && S_ISDIR(s.st_mode))
            add_folder(p, path), free(path);
        else if (is_picture(path))
            add_path(p, path);
        else
            free(path);
        free(entries[i]);
    }
    free(entries);
}

static void add_list(paths *p, FILE *list)
{
    char line[4096];
    while (fgets(line, sizeof line, list)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (*line)
            add_path(p, joined("", line));
    }
}

static void collect(paths *p, char **arguments, int count)
{
    struct stat s;
    for (int i = 0; i < count; i++) {
        if (strcmp(arguments[i], "-") == 0)
            add_list(p, stdin);
        else if (stat(arguments[i], &s) == 0 && S_ISDIR(s.st_mode))
            add_folder(p, arguments[i]);
        else
            add_path(p, joined("", arguments[i]));
    }
    if (!p->count)
        fail(1, "there is no picture to look at");
}

static void free_paths(paths *p)
{
    for (size_t i = 0; i < p->count; i++)
        free(p->item[i]);
    free(p->item);
}

/* --- looking at them --------------------------------------------------------------------------------------------- */

typedef struct classifier {
    const options *o;
    recipe r;
    rn_context *ctx;
    rn_model *model;
    rn_transform *transform;
    predictor p;
    labels names;
    rn_tensor *images;  /* [batch, 3, size, size] */
    const char **shown; /* path of each image of the batch */
    int64_t filled, broken;
} classifier;

static void open_all(classifier *c)
{
    static const rn_dataset_info pictures = {sizeof pictures, 0, 0, 3, 0, 0, RN_U8, 0}; /* of any size */
    rn_context_options context = RN_CONTEXT_OPTIONS_INIT;
    rn_device *device;
    int64_t dims[4];
    context.num_threads = c->o->threads;
    if (c->o->labels)
        labels_read(&c->names, c->o->labels);
    CHECK(rn_context_create(&context, &c->ctx));
    CHECK(rn_context_find_device(c->ctx, c->o->device, &device));
    c->model = network_open(c->ctx, device, c->o->arch, c->o->labels ? c->names.count : c->o->classes, 3, c->o->weights);
    recipe_input_dims(&c->r, &pictures, c->o->batch, dims);
    c->transform = recipe_transform(&c->r, c->ctx, c->o->dataset, &pictures, 0);
    predictor_open(&c->p, c->model, dims, network_dtype(c->o->dtype));
    CHECK(rn_tensor_create(device, RN_F32, 4, dims, &c->images));
    c->shown = allocate((size_t)c->o->batch, sizeof *c->shown);
}

static void close_all(classifier *c)
{
    free(c->shown);
    rn_tensor_release(c->images);
    predictor_close(&c->p);
    rn_transform_release(c->transform);
    rn_model_release(c->model);
    rn_context_release(c->ctx);
    labels_close(&c->names);
}

static void print_answer(const classifier *c, const char *path, const float *scores)
{
    const int64_t top = c->o->top < c->p.classes ? c->o->top : c->p.classes;
    int64_t *const best = allocate((size_t)top, sizeof *best);
    largest(scores, c->p.classes, top, best);
    printf("%s\n", path);
    for (int64_t i = 0; i < top; i++) {
        printf("%7.2f %%  ", 100 * (double)scores[best[i]]);
        if (c->o->labels)
            printf("%s\n", c->names.name[best[i]]);
        else
            printf("class %lld\n", (long long)best[i]);
    }
    free(best);
}

/* Asks for the pictures that have come together. */
static void answer(classifier *c)
{
    rn_tensor *images;
    if (!c->filled)
        return;
    CHECK(rn_tensor_slice(c->images, 0, c->filled, &images));
    predictor_run(&c->p, images);
    rn_tensor_release(images);
    for (int64_t i = 0; i < c->filled; i++)
        print_answer(c, c->shown[i], c->p.scores + i * c->p.classes);
    c->filled = 0;
}

/* The picture as the net wants it, into a row of the batch. */
static rn_status load(classifier *c, const char *path, int64_t row)
{
    rn_tensor *picture, *input = NULL, *place;
    rn_status status = rn_image_read(c->ctx, path, NULL, &picture);
    if (status < 0)
        return status;
    status = rn_transform_apply(c->transform, picture, 0, &input);
    rn_tensor_release(picture);
    if (status < 0)
        return status;
    CHECK(rn_tensor_slice(c->images, row, 1, &place));
    CHECK(rn_tensor_copy(input, place));
    rn_tensor_release(place);
    rn_tensor_release(input);
    return RN_OK;
}

static void look_at(classifier *c, const char *path)
{
    if (load(c, path, c->filled) < 0) {
        fprintf(stderr, "%s: %s\n", program_name, rn_error_message());
        c->broken++;
        return;
    }
    c->shown[c->filled++] = path;
    if (c->filled == c->o->batch)
        answer(c);
}

static void parse(options *o, recipe *r, int argc, char **argv, int *arguments)
{
    *o = (options){.arch = "resnet50", .recipe = "imagenet", .dataset = "folder", .device = "auto", .dtype = "fp32",
                   .batch = 16, .top = 5};
    flags_parse(&table, o, argc, argv, arguments);
    if (!o->weights)
        fail(2, "--weights is missing: the file with the network's weights");
    if (!*arguments)
        fail(2, "a picture is missing: a file, a folder, or - for a list on standard input");
    network_dtype(o->dtype);
    data_statistics(o->dataset);
    recipe_load(r, o->recipe);
    for (size_t i = 0; i < o->set.count; i++)
        recipe_set(r, "--set", o->set.item[i]);
    recipe_check(r);
}

int main(int argc, char **argv)
{
    options o;
    classifier c = {.o = &o};
    paths pictures = {NULL, 0, 0};
    int arguments;
    parse(&o, &c.r, argc, argv, &arguments);
    collect(&pictures, argv, arguments);
    open_all(&c);
    for (size_t i = 0; i < pictures.count; i++)
        look_at(&c, pictures.item[i]);
    answer(&c);
    const int64_t broken = c.broken;
    close_all(&c);
    if (broken && pictures.count > 1)
        fprintf(stderr, "%s: %lld of %zu pictures could not be read\n", program_name, (long long)broken, pictures.count);
    free_paths(&pictures);
    return broken ? 1 : 0;
}
