/* SPDX-License-Identifier: MIT */
/*
 * resnet-cuda-selftest: what a GPU, its driver and the libraries do with the CUDA module, as one report. Every step runs
 * in a process of its own, so that a device that is lost, or a crash, ends one step only.
 */
#ifndef SELFTEST_H
#define SELFTEST_H

#include "backend/context.h"
#include <resnet/resnet.h>

enum { ST_STEPS = 9 };

typedef struct selftest {
    const char *program; /* as it was called */
    const char *module; /* --module; NULL: the installed one */
    const char *record; /* --record: a file to compare the device's properties with; NULL */
    const char *folder; /* backend_dir with the module of --module; NULL */
    int32_t device; /* CUDA's number */
    int quick, all, direct;
    unsigned steps; /* bits 1 << number */
    int failures; /* of this process */
} selftest;

/* report.c: lines of the report. st_fail's begin with "FAILED". */
void st_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void st_fail(selftest *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* 1 when status is RN_OK; else the library's message becomes a failure. */
int st_ok(selftest *t, rn_status status, const char *what);
double st_now(void);

/* open.c: a context of its own with the module's device. */
typedef struct st_device {
    rn_context *ctx;
    rn_device *dev, *cpu;
    const rn_backend *backend;
    int32_t index; /* as the module counts */
    char log[1000]; /* what the library and the module told */
} st_device;
/*
 * `setting` is a variable of the environment, "RN_CUDA_GRAPH=0", set while the device is opened; NULL: none. A failure
 * is told, and nothing is to be closed.
 */
int st_open(selftest *t, const char *setting, st_device *d);
void st_close(st_device *d);
/* The file that the module was loaded from. */
const char *st_module_path(const st_device *d);
/* A simulator behind the module instead of a device. */
int st_simulated(const st_device *d);
/* Whether the device computes in bf16. */
int st_has_bf16(const st_device *d);

/* The steps. */
void st_step_device(selftest *t);
void st_step_memory(selftest *t);
void st_step_kernels(selftest *t);
void st_step_convolutions(selftest *t);
void st_step_sanitizer(selftest *t);
void st_step_training(selftest *t);
void st_step_graph(selftest *t);
void st_step_benchmark(selftest *t);
void st_step_fused(selftest *t);
/* Of step 9, when nets are noted: what normalises in the engine. (prologue.c) */
void st_check_prologues(selftest *t, const st_device *d);

#endif
