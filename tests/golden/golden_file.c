/* SPDX-License-Identifier: MIT */
#include "golden_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double worst_share;

static unsigned char *read_whole(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    unsigned char *bytes = NULL;
    long end = -1;
    if (fseek(file, 0, SEEK_END) == 0 && (end = ftell(file)) > 8 && fseek(file, 0, SEEK_SET) == 0)
        bytes = malloc((size_t)end);
    if (bytes && fread(bytes, 1, (size_t)end, file) != (size_t)end) {
        free(bytes);
        bytes = NULL;
    }
    fclose(file);
    *size = bytes ? (size_t)end : 0;
    return bytes;
}

int golden_open_plain(golden *g, const char *path)
{
    memset(g, 0, sizeof *g);
    size_t size = 0;
    uint64_t length = 0;
    g->bytes = read_whole(path, &size);
    if (g->bytes)
        memcpy(&length, g->bytes, sizeof length);
    if (g->bytes && length <= size - 8) {
        g->header = json_loadb((const char *)g->bytes + 8, length, JSON_REJECT_DUPLICATES, NULL);
        g->data = g->bytes + 8 + length;
    }
    if (g->header)
        return 0;
    fprintf(stderr, "%s: cannot be read as a safetensors file\n", path);
    golden_close(g);
    return -1;
}

int golden_open(golden *g, const char *path)
{
    if (golden_open_plain(g, path) != 0)
        return -1;
    const json_t *text = json_object_get(json_object_get(g->header, "__metadata__"), "case");
    if (text)
        g->spec = json_loads(json_string_value(text), 0, NULL);
    if (!g->spec) {
        fprintf(stderr, "%s: is no golden file\n", path);
        golden_close(g);
        return -1;
    }
    g->name = json_string_value(json_object_get(g->spec, "name"));
    g->salt = (uint64_t)golden_integer(g->spec, "salt");
    return 0;
}

void golden_close(golden *g)
{
    json_decref(g->spec);
    json_decref(g->header);
    free(g->bytes);
    memset(g, 0, sizeof *g);
}

/* FNV-1a over "name/what". */
static uint64_t hash_name(const golden *g, const char *what)
{
    const char *parts[] = {g->name, "/", what};
    uint64_t value = 0xCBF29CE484222325u;
    for (size_t i = 0; i < 3; i++)
        for (const char *p = parts[i]; *p; p++)
            value = (value ^ (unsigned char)*p) * 0x100000001B3u;
    return value;
}

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

void golden_uniform(const golden *g, const char *what, size_t count, double low, double high, float *out)
{
    uint64_t state = hash_name(g, what) ^ g->salt;
    for (size_t i = 0; i < count; i++)
        out[i] = (float)(low + (high - low) * ((double)(splitmix(&state) >> 40) / 16777216.0));
}

void golden_labels(const golden *g, const char *what, size_t count, uint64_t classes, int64_t *out)
{
    uint64_t state = hash_name(g, what) ^ g->salt;
    for (size_t i = 0; i < count; i++)
        out[i] = (int64_t)(splitmix(&state) % classes);
}

double golden_number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

int64_t golden_integer(const json_t *object, const char *key)
{
    return (int64_t)json_integer_value(json_object_get(object, key));
}

int32_t golden_dims(const json_t *array, int64_t *dims)
{
    size_t rank = json_array_size(array);
    for (size_t i = 0; i < rank; i++)
        dims[i] = (int64_t)json_integer_value(json_array_get(array, i));
    return (int32_t)rank;
}

static const json_t *about(const golden *g, const char *key)
{
    return json_object_get(json_object_get(g->spec, "tensors"), key);
}

int golden_has(const golden *g, const char *key)
{
    return about(g, key) != NULL;
}

size_t golden_count(const golden *g, const char *key)
{
    const json_t *tensor = about(g, key);
    int64_t dims[8] = {0};
    if (!tensor)
        return 0;
    size_t count = 1;
    int32_t rank = golden_dims(json_object_get(tensor, "dims"), dims);
    for (int32_t i = 0; i < rank; i++)
        count *= (size_t)dims[i];
    return count;
}

const void *golden_bytes(const golden *g, const char *key, size_t *nbytes)
{
    const json_t *offsets = json_object_get(json_object_get(g->header, key), "data_offsets");
    size_t begin = (size_t)json_integer_value(json_array_get(offsets, 0));
    size_t end = (size_t)json_integer_value(json_array_get(offsets, 1));
    *nbytes = end - begin;
    return g->data + begin;
}

static double norm(const double *a, const double *b, size_t count, size_t stride)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        double d = a[i * stride] - (b ? b[i] : 0);
        sum += d * d;
    }
    return sqrt(sum);
}

/*
 * In double, what is not kept in float is exact to some thousand roundings; gradients and running statistics are
 * rounded to float once (2^-24 = 6e-8) or, after a first forward, twice, and inference from them inherits that. Losses are given as float.
 */
static double double_share(const char *key)
{
    if (strncmp(key, "after.", 6) == 0)
        return 1e-6;
    int kept_in_float = strncmp(key, "grad.", 5) == 0 || strncmp(key, "buffer.", 7) == 0 || !strcmp(key, "train.loss");
    return kept_in_float ? 2e-7 : 1e-12;
}

double golden_bound(double torch_error, double size, int precision)
{
    return (precision == GOLDEN_WINOGRAD ? 4 : 1) * fmax(2 * torch_error, 1e-6 * size);
}

static double bound_of(const char *key, double torch_error, double size, int precision)
{
    return precision == GOLDEN_F64 ? double_share(key) * size : golden_bound(torch_error, size, precision);
}

void golden_used(double share)
{
    worst_share = fmax(worst_share, share);
}

int golden_compare(const golden *g, const char *key, const double *ours, size_t count, int precision, const char *how)
{
    const json_t *tensor = about(g, key);
    if (!tensor || golden_count(g, key) != count) {
        printf("FAIL %s (%s) %s: %zu elements, expected %zu\n", g->name, how, key, count, golden_count(g, key));
        return 1;
    }
    size_t kept = 0;
    const double *exact = golden_bytes(g, key, &kept);
    kept /= sizeof(double);
    size_t stride = (size_t)golden_integer(tensor, "stride");
    double error = norm(ours, exact, kept, stride);
    double bound = bound_of(key, golden_number(tensor, "error"), norm(exact, NULL, kept, 1), precision);
    /* | ||a|| - ||b|| | <= ||a - b||: elements that are not stored cannot be wrong by more without showing here. */
    double whole = golden_number(tensor, "norm");
    double drift = fabs(norm(ours, NULL, count, 1) - whole);
    double drift_bound = bound_of(key, golden_number(tensor, "full_error"), whole, precision);
    golden_used(bound > 0 ? error / bound : 0);
    golden_used(drift_bound > 0 ? drift / drift_bound : 0);
    if (error <= bound && drift <= drift_bound)
        return 0;
    printf("FAIL %s (%s) %s: error %.3e, bound %.3e; norm off by %.3e, bound %.3e; norm %.3e\n", g->name, how, key,
           error, bound, drift, drift_bound, whole);
    return 1;
}

double golden_worst(void)
{
    return worst_share;
}
