/* SPDX-License-Identifier: MIT */
/* Training steps on random images, and what came of them. */
#ifndef SELFTEST_TRAINING_H
#define SELFTEST_TRAINING_H

#include "selftest.h"

typedef struct st_job {
    const char *net;
    rn_dtype dtype;
    int64_t batch, size; /* images of 3 x size x size */
    int64_t classes; /* 0: the net's */
    double lr; /* of the first step; it falls to half of it */
    int steps, batches; /* batches: how many different ones there are, in turn */
    int moved; /* 1: begins with weights moved by their last bit */
    uint64_t flags; /* of the plan */
    double loss_scale; /* 0: the type's */
} st_job;

/* A net that is ready to take steps. */
typedef struct st_trainer {
    rn_model *model;
    rn_loss *loss;
    rn_optimizer *optimizer;
    rn_plan *plan;
    rn_tensor *x, *labels; /* all batches */
} st_trainer;

/* RN_OK, or all is given back. */
rn_status st_trainer_open(const st_device *d, rn_device *on, const st_job *job, st_trainer *out);
void st_trainer_close(st_trainer *r);

/* The loss of every step, and the weights before the first and after the last: parameters, then buffers. */
typedef struct st_course {
    double *loss;
    float *start, *weights;
    size_t steps, num_parameters, num_weights;
} st_course;

/* A failure is told, and leaves nothing. */
int st_train(selftest *t, const st_device *d, rn_device *on, const st_job *job, st_course *out);
void st_course_free(st_course *c);
/* 1 when all bits are equal; else the first difference is told as a failure. */
int st_course_equal(selftest *t, const st_course *a, const st_course *b, const char *what);

#endif
