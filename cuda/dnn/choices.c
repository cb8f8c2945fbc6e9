/* SPDX-License-Identifier: MIT */
/*
 * Measured choices of plans, kept in a folder of the user's: RN_CUDA_CACHE, or libresnet in XDG_CACHE_HOME or in
 * ~/.cache. A file is of one device and one version of cuDNN, a line "shape TAB limit TAB plan". What cannot be read or
 * written is measured again next time.
 */
#include "dnn/cache.h"
#include "base/error.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_PATH = 4096 };

/* Makes the folder; 0 when there is no place for one. */
static int folder(char path[MAX_PATH])
{
    const char *const own = getenv("RN_CUDA_CACHE"), *const cache = getenv("XDG_CACHE_HOME"),
                      *const home = getenv("HOME");
    int length;
    if (own && own[0])
        length = snprintf(path, MAX_PATH, "%s", own);
    else if (cache && cache[0])
        length = snprintf(path, MAX_PATH, "%s/libresnet", cache);
    else if (home && home[0])
        length = snprintf(path, MAX_PATH, "%s/.cache/libresnet", home);
    else
        return 0;
    if (length < 0 || length >= MAX_PATH)
        return 0;
    mkdir(path, 0700); /* there already, or opening a file in it fails */
    return 1;
}

/* The device's name with letters and digits only. */
static int file_path(const rni_dnn *dnn, char path[MAX_PATH])
{
    struct cudaDeviceProp properties;
    if (!folder(path) || cudaGetDeviceProperties(&properties, dnn->device->index) != cudaSuccess)
        return 0;
    const size_t used = strlen(path);
    const int length =
        snprintf(path + used, MAX_PATH - used, "/cudnn-%zu-%s.plans", cudnnGetVersion(), properties.name);
    if (length < 0 || (size_t)length >= MAX_PATH - used)
        return 0;
    for (char *c = path + used + 1; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '.')
            *c = '-';
    return 1;
}

static void line_key(char key[RNI_DNN_SHAPE_TEXT + 32], const rni_dnn_shape *shape)
{
    char text[RNI_DNN_SHAPE_TEXT];
    snprintf(key, RNI_DNN_SHAPE_TEXT + 32, "%s\t%llu\t", rni_dnn_shape_text(text, shape),
             (unsigned long long)shape->limit);
}

/* The whole file, terminated; NULL when it cannot be read. */
static char *read_all(const rn_host_api *host, FILE *file, size_t *size)
{
    struct stat info;
    if (fstat(fileno(file), &info) != 0 || info.st_size < 0)
        return NULL;
    *size = (size_t)info.st_size + 1;
    char *const text = host->alloc(host->host, *size, 1);
    if (text)
        text[fread(text, 1, *size - 1, file)] = 0;
    return text;
}

/* What follows the key in the last line that begins with it, cut off behind; NULL when there is none. */
static char *find_line(char *text, const char *key)
{
    const size_t length = strlen(key);
    char *found = NULL;
    for (char *line = text; *line;) {
        char *const end = strchr(line, '\n');
        if (!end)
            break; /* not written to its end */
        *end = 0;
        if (strncmp(line, key, length) == 0)
            found = line + length;
        line = end + 1;
    }
    return found;
}

char *rni_dnn_choice_read(const rni_dnn *dnn, const rni_dnn_shape *shape, size_t *size)
{
    const rn_host_api *const host = dnn->rules.host;
    char path[MAX_PATH], key[RNI_DNN_SHAPE_TEXT + 32];
    FILE *const file = file_path(dnn, path) ? fopen(path, "r") : NULL;
    if (!file)
        return NULL;
    char *const text = read_all(host, file, size);
    fclose(file);
    if (!text)
        return NULL;
    line_key(key, shape);
    char *const found = find_line(text, key);
    if (found) {
        memmove(text, found, strlen(found) + 1);
        return text;
    }
    host->free(host->host, text, *size, 1);
    return NULL;
}

void rni_dnn_choice_write(const rni_dnn *dnn, const rni_dnn_shape *shape, const char *json)
{
    char path[MAX_PATH], key[RNI_DNN_SHAPE_TEXT + 32];
    if (strchr(json, '\n'))
        return;
    FILE *const file = file_path(dnn, path) ? fopen(path, "a") : NULL;
    if (!file)
        return;
    line_key(key, shape);
    fprintf(file, "%s%s\n", key, json);
    fclose(file);
}
