/* SPDX-License-Identifier: MIT */
/*
 * Processes that are killed while they save. A child saves a model again and again, each time with another number in all
 * its weights; it is killed at some moment; the file must hold one save, whole.
 */
#include <dirent.h>
#include <resnet/resnet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 40, SIZE = 250 };

static void must(rn_status status, const char *what)
{
    if (status == RN_OK)
        return;
    printf("%s: %s: %s\n", what, rn_status_name(status), rn_error_message());
    exit(2);
}

static rn_model *make_model(void)
{
    rn_context *ctx;
    rn_device *cpu;
    rn_layer *layer;
    rn_model *model;
    rn_context_options o = RN_CONTEXT_OPTIONS_INIT;
    rn_linear_options linear = RN_LINEAR_OPTIONS_INIT;
    o.num_threads = 1;
    linear.in_features = linear.out_features = SIZE;
    must(rn_context_create(&o, &ctx), "context");
    must(rn_context_find_device(ctx, "cpu", &cpu), "device");
    must(rn_linear_create(ctx, &linear, &layer), "layer");
    must(rn_model_create(ctx, layer, cpu, &model), "model");
    rn_layer_release(layer);
    rn_context_release(ctx);
    return model;
}

/* All weights and biases become the number. */
static void fill(rn_model *model, float number)
{
    for (size_t i = 0; i < rn_model_state_count(model); i++) {
        rn_state_entry e = RN_STATE_ENTRY_INIT;
        must(rn_model_state(model, i, &e), "state");
        float *const data = rn_tensor_data(e.value);
        for (int64_t k = 0; k < rn_tensor_count(e.value); k++)
            data[k] = number;
    }
    must(rn_model_mark_written(model), "mark");
}

static int is_filled(rn_model *model)
{
    float number = 0;
    for (size_t i = 0; i < rn_model_state_count(model); i++) {
        rn_state_entry e = RN_STATE_ENTRY_INIT;
        must(rn_model_state(model, i, &e), "state");
        const float *const data = rn_tensor_data(e.value);
        if (i == 0)
            number = data[0];
        for (int64_t k = 0; k < rn_tensor_count(e.value); k++)
            if (!(data[k] == number))
                return 0;
    }
    return number > 0;
}

static void save_for_ever(rn_model *model, const char *path, int ready)
{
    for (float number = 1;; number++) {
        fill(model, number);
        must(rn_model_save(model, path), "save");
        if (number == 1 && write(ready, "", 1) != 1)
            exit(2);
    }
}

/* Removes what killed processes left; how many files it was. */
static int remove_leftovers(const char *folder)
{
    int count = 0;
    DIR *const d = opendir(folder);
    for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
        char path[400];
        if (e->d_name[0] == '.' || strcmp(e->d_name, "file") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        count += remove(path) == 0;
    }
    closedir(d);
    return count;
}

static int kill_one(rn_model *model, const char *path, long nanoseconds)
{
    int pipes[2], status;
    char byte;
    if (pipe(pipes) != 0)
        return -1;
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0)
        save_for_ever(model, path, pipes[1]);
    close(pipes[1]);
    if (read(pipes[0], &byte, 1) == 1)
        nanosleep(&(struct timespec){0, nanoseconds}, NULL);
    close(pipes[0]);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? 0 : -1;
}

int main(void)
{
    char folder[] = "/tmp/resnet-fault-XXXXXX", path[64];
    int wrong = 0, leftovers = 0;
    if (!mkdtemp(folder))
        return 2;
    snprintf(path, sizeof path, "%s/file", folder);
    rn_model *const model = make_model();
    for (int round = 0; round < ROUNDS && !wrong; round++) {
        if (kill_one(model, path, round * 97001L) != 0) {
            printf("round %d: the child ended by itself\n", round);
            wrong++;
            break;
        }
        fill(model, 0);
        if (rn_model_load(model, path, NULL) != RN_OK || !is_filled(model)) {
            printf("round %d: the file is not whole: %s\n", round, rn_error_message());
            wrong++;
        }
        leftovers += remove_leftovers(folder);
    }
    printf("%d processes killed, %d of them in the midst of a file\n", ROUNDS, leftovers);
    rn_model_release(model);
    remove(path);
    return remove(folder) != 0 || wrong != 0;
}
