/* SPDX-License-Identifier: MIT */
/*
 * Disks that are full. Each way of saving runs with the first write failing, then the second, ... until it gets through.
 * A failure must be RN_E_IO naming the file, leave the file that was there as it was, and leave no other.
 */
#include "base/io.h"
#include "base/alloc.h"
#include <dirent.h>
#include <resnet/resnet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct saving {
    rn_context *ctx;
    rn_model *model;
    rn_optimizer *opt;
} saving;

typedef struct way {
    const char *name;
    rn_status (*save)(const saving *s, const char *path);
} way;

static rn_status save_model(const saving *s, const char *path)
{
    return rn_model_save(s->model, path);
}

static rn_status save_checkpoint(const saving *s, const char *path)
{
    rn_checkpoint c = RN_CHECKPOINT_INIT;
    c.model = s->model;
    c.optimizer = s->opt;
    return rn_checkpoint_save(s->ctx, path, &c);
}

static rn_status save_torch(const saving *s, const char *path)
{
    return rn_optimizer_save_torch(s->opt, path);
}

static rn_status export_onnx(const saving *s, const char *path)
{
    const int64_t dims[2] = {1, 200};
    return rn_model_export_onnx(s->model, 2, dims, NULL, path);
}

static const way ways[] = {{"rn_model_save", save_model},
                            {"rn_checkpoint_save", save_checkpoint},
                            {"rn_optimizer_save_torch", save_torch},
                            {"rn_model_export_onnx", export_onnx}};

static void must(rn_status status, const char *what)
{
    if (status == RN_OK)
        return;
    printf("%s: %s: %s\n", what, rn_status_name(status), rn_error_message());
    exit(2);
}

/* A model large enough for several writes. */
static saving make(void)
{
    saving s = {NULL, NULL, NULL};
    rn_device *cpu;
    rn_layer *layer;
    rn_context_options o = RN_CONTEXT_OPTIONS_INIT;
    rn_linear_options linear = RN_LINEAR_OPTIONS_INIT;
    o.num_threads = 1;
    linear.in_features = linear.out_features = 200;
    must(rn_context_create(&o, &s.ctx), "context");
    must(rn_context_find_device(s.ctx, "cpu", &cpu), "device");
    must(rn_linear_create(s.ctx, &linear, &layer), "layer");
    must(rn_model_create(s.ctx, layer, cpu, &s.model), "model");
    must(rn_adam_create(s.model, NULL, &s.opt), "optimizer");
    must(rn_model_init(s.model, 1), "init");
    rn_layer_release(layer);
    return s;
}

static int count_files(const char *folder)
{
    int count = 0;
    DIR *const d = opendir(folder);
    for (const struct dirent *e = readdir(d); e; e = readdir(d))
        count += e->d_name[0] != '.';
    closedir(d);
    return count;
}

static int complain(const way *w, int64_t n, const char *what)
{
    printf("%s: write %d fails: %s (%s)\n", w->name, (int)n, what, rn_error_message());
    return 1;
}

/* The file is as it was: the text "old", or not there. */
static int is_untouched(const char *path, int there)
{
    void *data;
    size_t size;
    const rn_status status = rni_read_whole(&rni_default_allocator, path, 1 << 30, &data, &size);
    if (status < 0)
        return !there && status == RN_E_NOT_FOUND;
    const int same = there && size == 3 && memcmp(data, "old", 3) == 0;
    rni_free(&rni_default_allocator, data);
    return same;
}

static int check(const way *w, const saving *s, const char *folder, int there)
{
    char path[200];
    int wrong = 0;
    int64_t n = 0;
    rn_status status = RN_E_IO;
    snprintf(path, sizeof path, "%s/file", folder);
    remove(path);
    if (there) {
        FILE *const f = fopen(path, "wb");
        fputs("old", f);
        fclose(f);
    }
    while (status != RN_OK && wrong < 10 && n < 1000) {
        rni_io_fail_after(++n);
        status = w->save(s, path);
        rni_io_fail_after(0);
        if (status == RN_OK)
            break;
        char message[600];
        snprintf(message, sizeof message, "%s", rn_error_message());
        if (status != RN_E_IO || !strstr(message, path) || !strstr(message, "No space left"))
            wrong += complain(w, n, rn_status_name(status));
        if (!is_untouched(path, there))
            wrong += complain(w, n, "the file has changed");
        if (count_files(folder) != there)
            wrong += complain(w, n, "another file is there");
    }
    if (n < 3)
        wrong += complain(w, n, "there were hardly any writes");
    if (count_files(folder) != 1 || is_untouched(path, there))
        wrong += complain(w, n, "the file was not written in the end");
    printf("%s over %s file: %d writes: %s\n", w->name, there ? "an old" : "no", (int)n - 1, wrong ? "wrong" : "ok");
    return wrong;
}

int main(void)
{
    char folder[] = "/tmp/resnet-fault-XXXXXX", command[64];
    int wrong = 0;
    if (!mkdtemp(folder))
        return 2;
    const saving s = make();
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        for (int there = 0; there < 2; there++)
            wrong += check(&ways[i], &s, folder, there);
    rn_optimizer_release(s.opt);
    rn_model_release(s.model);
    rn_context_release(s.ctx);
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) != 0 || wrong != 0;
}
