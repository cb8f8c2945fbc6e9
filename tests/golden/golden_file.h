/* SPDX-License-Identifier: MIT */
/* Golden files as make_goldens.py writes them, and the rule they are held to. */
#ifndef GOLDEN_FILE_H
#define GOLDEN_FILE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

typedef struct golden {
    unsigned char *bytes;      /* the whole file */
    const unsigned char *data; /* where its tensors begin */
    json_t *header;            /* safetensors header */
    json_t *spec;              /* the case: net, inputs, errors of PyTorch */
    const char *name;
    uint64_t salt;
} golden;

/*
 * How strict: as another float32 implementation, as one that computes in double and keeps state in float, or as float32
 * with Winograd's algorithm, which may have four times the error.
 */
enum { GOLDEN_F32, GOLDEN_F64, GOLDEN_WINOGRAD };

/* 0, or -1 with a line on stderr. */
int golden_open(golden *g, const char *path);
/* Any safetensors file: only header and data. */
int golden_open_plain(golden *g, const char *path);
void golden_close(golden *g);
/* The stored bytes of a tensor. */
const void *golden_bytes(const golden *g, const char *key, size_t *nbytes);

/* The numbers that golden_file.py draws for the same names. */
void golden_uniform(const golden *g, const char *what, size_t count, double low, double high, float *out);
void golden_labels(const golden *g, const char *what, size_t count, uint64_t classes, int64_t *out);

double golden_number(const json_t *object, const char *key);
int64_t golden_integer(const json_t *object, const char *key);
/* dims of a JSON array; returns the rank. */
int32_t golden_dims(const json_t *array, int64_t *dims);

int golden_has(const golden *g, const char *key);
/* Number of elements of the whole tensor that was sampled; 0 when there is none of that name. */
size_t golden_count(const golden *g, const char *key);
/* Compares with a whole tensor of ours. 0 when it keeps the rule, else 1 and a line on stdout. */
int golden_compare(const golden *g, const char *key, const double *ours, size_t count, int precision, const char *how);

/* What a tensor of norm `size` may be off by in float32, where PyTorch is off by `torch_error`. */
double golden_bound(double torch_error, double size, int precision);

/* Counts a comparison that needed this share of its bound. */
void golden_used(double share);
/* The largest share of its bound that any comparison so far needed. */
double golden_worst(void);

#endif
