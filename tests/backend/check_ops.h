/* SPDX-License-Identifier: MIT */
/* A backend's functions and ops against the f64 reference of the CPU backend. */
#ifndef CHECK_OPS_H
#define CHECK_OPS_H

#include "op_runner.h"

typedef struct checker {
    uint64_t seed;
    int first, count; /* cases of every family */
    int support; /* 1: a table of what runs in which dtype, instead of a line a family */
    const char *function; /* a glob of families; NULL: all */
    const char *dtypes; /* in which every op has to run, "f32,bf16,f16"; NULL: "f32". In others it may be unsupported */
    oc_host *host;
    oc_machine reference, machine;
    void (*simulator)(const char *setting, int64_t value); /* a simulated device's; NULL: a real one */
    int rounds_terms; /* 1: in bf16 a convolution's data gradient is rounded before it is added: cuDNN's engines do so */
    int most; /* failures after which check_all() ends; 0: it goes on */
    int failures; /* each has printed a line that begins with "FAILED" */
    int ran, unsupported; /* cases, each dtype counted by itself */
} checker;

/* A host with as many threads as there are, and both devices. 0 when they cannot be opened: a line on stderr says why. */
int checker_open(checker *k, const rn_backend *backend, int32_t device);
void checker_close(checker *k);

void check_failed(checker *k, const char *what, const char *message);

/* The functions that no backend may lack. */
void check_table(checker *k, const rn_backend *b);
/* In, a copy on the device, a part zeroed, out. */
void check_memory(checker *k);
/* A label out of range must be an error that names it, at once or when waited for, and change nothing but
 * rn_step_metrics::step_nonfinite. */
void check_bad_label(checker *k);
/*
 * Every kind of op on random operands in f32, f64, bf16 and f16, and how many cases did not run because the backend does not
 * support them. No family to look at is a failure.
 */
void check_all(checker *k);

/* How operands are made: for bf16 and f16 as they can hold them, so that f64 computes with the same. */
oc_options check_options_of(rn_dtype dtype);
/* oc_compare() and oc_worst(), where bf16 and f16 may round once more than it must. */
int check_within(const checker *k, const oc_case *c, rn_dtype dtype, const oc_result *got, const oc_result *expected,
                 const oc_result *scale, char message[300]);
double check_worst(const checker *k, const oc_case *c, rn_dtype dtype, const oc_result *got,
                   const oc_result *expected, const oc_result *scale);
/* What a case gives in f64 from the operands that a run in `dtype` has, and on absolute ones: the scale of its bound. */
int check_reference(const checker *k, const oc_case *c, rn_dtype dtype, oc_result *expected, oc_result *scale,
                    char message[300]);

#endif
