/* SPDX-License-Identifier: MIT */
/* Runs a case on a backend, with guards around all memory, and compares results. */
#ifndef OP_RUNNER_H
#define OP_RUNNER_H

#include "op_case.h"

/* How the test's host runs parallel work. All must give the same bits. */
enum { OC_SERIAL, OC_REVERSED, OC_THREADS, OC_MODES };

typedef struct oc_host oc_host;
/* `threads` for OC_THREADS. NULL when there is no memory. */
oc_host *oc_host_create(int32_t threads);
void oc_host_destroy(oc_host *host);
const rn_host_api *oc_host_api(oc_host *host);
void oc_host_mode(oc_host *host, int mode);
/* The last message a backend gave. */
const char *oc_host_message(const oc_host *host);

/* An open device. */
typedef struct oc_machine {
    oc_host *host;
    const rn_backend *backend;
    void *dev, *queue;
    rn_device_info info;
    /* Puts bytes of device memory out of an op's reach, or back: what a simulated device offers. NULL: nothing does. */
    void (*fence)(const void *address, size_t bytes, int up);
    int readable; /* pages behind values may be read: emulators read all lanes of a masked load */
} oc_machine;

int oc_machine_open(oc_machine *m, oc_host *host, const rn_backend *backend, int32_t index);
void oc_machine_close(oc_machine *m);

enum { OC_OK, OC_UNSUPPORTED, OC_FAILED };

typedef struct oc_options {
    rn_dtype dtype;
    int64_t batch;   /* 0: the case's */
    int in_place;    /* out[0] shares memory where the backend says it may; OC_UNSUPPORTED when it may not */
    int absolute;    /* operands marked so are absolute */
    rn_dtype half;   /* bf16 or f16: operands are rounded as it stores them, and weights, so that an f64 run sees the same */
    int linear_weights; /* half: those of linear layers are rounded, too: some backends keep them in f32 */
    int program;     /* through program_create and program_run; OC_UNSUPPORTED when there are none */
    int refused;     /* it is to fail and to change no value: the message tells when one did */
    double seconds;  /* > 0: repeats for so long and gives the best time in *best */
    double *best;
} oc_options;

/* Values after the run as doubles in plain order; owned by the result. */
typedef struct oc_result {
    double *data[OC_MAX_VALUES];
} oc_result;
void oc_result_free(oc_result *r);

/* SIGSEGV, SIGILL, SIGFPE and SIGBUS in an op become OC_FAILED (on another thread: a message and exit). */
void oc_catch_signals(void);

/* Whether a field of rn_step_metrics, counted from 0, is a double. */
int oc_metric_is_real(size_t field);

/* Rounded as values of a type store it. */
double oc_stored(rn_dtype dtype, double x);

/* The element type of a value in a run. */
rn_dtype oc_dtype_of(const oc_value *v, rn_dtype compute);
/* Whether any value is of the compute dtype, also where per-channel values are f32. */
int oc_computes(const oc_case *c);

int oc_run(const oc_machine *m, const oc_case *c, const oc_options *o, oc_result *r, char message[300]);

/* Against an f64 result; `scale` is the f64 run on absolute operands. 0 and a message when out of bounds. */
int oc_compare(const oc_case *c, rn_dtype dtype, const oc_result *got, const oc_result *expected,
               const oc_result *scale, char message[300]);
/* The largest error as a share of its bound: oc_compare() takes up to 1. Of bounded values only. */
double oc_worst(const oc_case *c, rn_dtype dtype, const oc_result *got, const oc_result *expected,
                const oc_result *scale);
/* What the last op must give by its definition; 0 when there is no formula for its kind (convolutions). */
int oc_formula(const oc_case *c, const oc_result *got, oc_result *expected);
/* Bit by bit; `images` > 0 looks at the first images of batched values only. */
int oc_equal(const oc_case *c, const oc_result *a, const oc_result *b, int64_t images, char message[300]);

#endif
