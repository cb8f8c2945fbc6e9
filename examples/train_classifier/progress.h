/* SPDX-License-Identifier: MIT */
/* A bar with images per second and the time left, on stderr when that is a terminal. */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdint.h>

typedef struct progress {
    int on;
    int64_t epochs, steps, total_steps; /* of an epoch; of the whole training */
    int64_t epoch;       /* 0 is the first */
    double begun, drawn; /* times */
    int64_t images, first_step; /* since `begun` */
    int width;           /* of what is on the line */
} progress;

/* Seconds of a clock that only goes forward. */
double now(void);

void progress_init(progress *p, int64_t epochs, int64_t total_steps);
void progress_epoch(progress *p, int64_t epoch, int64_t steps, int64_t global_step);
/* After a step of so many images; `step` counts from 1 in its epoch, `global_step` from 1 in the training. */
void progress_step(progress *p, int64_t step, int64_t global_step, int64_t images);
/* Says what is going on besides training. */
void progress_note(progress *p, const char *text);
/* Takes the bar away, so that a line can be printed. */
void progress_clear(progress *p);

#endif
