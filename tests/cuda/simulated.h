/* SPDX-License-Identifier: MIT */
/* Tests of the library over the simulated module: its device, its controls, and a small training. */
#ifndef TEST_SIMULATED_H
#define TEST_SIMULATED_H

#include "../common/nets.h"
#include "logged.h"
#include <dlfcn.h>
#include <stdint.h>

/* The module and the simulator's controls in it (simulator/control.h). It stays loaded: so do settings and counts. */
typedef struct simulated {
    const char *path;
    void (*set)(const char *name, int64_t value);
    int64_t (*get)(const char *name);
    const char *(*report)(int64_t index);
    void (*forget)(void);
    void (*on_capture)(void (*call)(void));
    void (*on_wait)(void (*call)(void));
} simulated;
extern simulated sim;

/* Loads the module; 0 and a line when it cannot be. */
int sim_open(const char *path);
/* Nothing of the device's is left, and the simulator has nothing to say. */
void sim_settled(void);

/* A context with the simulated devices. */
rn_context *sim_context(void);
/* The same and "cuda:0". */
rn_context *sim_device(rn_device **dev);

typedef struct sim_training {
    const char *net; /* of the zoo */
    int64_t batch, side;
    int32_t steps, adam;
    rn_dtype dtype;
    uint32_t accumulate;
    double loss_scale;     /* 0: the type's */
    int64_t loss_interval; /* of its growth; 0: the usual one */
} sim_training;

enum { SIM_MAX_STEPS = 16 };
/* What a training came to. */
typedef struct sim_outcome {
    double losses[SIM_MAX_STEPS], grad_norms[SIM_MAX_STEPS], scales[SIM_MAX_STEPS];
    int64_t skipped;
    float *start, *state; /* before and after: the parameters, and behind them the running statistics */
    size_t parameters, count;
} sim_outcome;

/* Images and labels of a step; a tensor on `dev`. */
rn_tensor *sim_images(rn_device *dev, const sim_training *t, int step);
rn_tensor *sim_labels(rn_device *dev, const sim_training *t, int step);

/* What builds the layers that are trained; NULL: they are the training's `net`. */
extern rn_layer *(*sim_build)(rn_context *ctx);

/* Parts of a training; everything is given back by sim_end(). */
typedef struct sim_parts {
    rn_model *model;
    rn_loss *loss;
    rn_optimizer *optimizer;
    rn_plan *plan;
} sim_parts;
/* The first failure; what was made until then is in `parts`. */
rn_status sim_begin(rn_device *dev, const sim_training *t, sim_parts *parts);
rn_status sim_step(rn_device *dev, const sim_training *t, const sim_parts *parts, int step);
void sim_end(sim_parts *parts);
/* The elements of the model's first parameter, to be freed. */
float *sim_first_parameter(rn_model *model, size_t *count);

/* A whole training on a device of a context. */
void sim_train(rn_device *dev, const sim_training *t, sim_outcome *out);
/* The same on the simulated "cuda:0" of a context of its own. */
void sim_train_alone(const sim_training *t, sim_outcome *out);
void sim_outcome_free(sim_outcome *o);
/* Bit by bit. */
void sim_same(const sim_outcome *a, const sim_outcome *b, int steps, const char *what);

#endif
