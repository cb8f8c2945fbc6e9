/* SPDX-License-Identifier: MIT */
/* A training from its first step, or from a checkpoint, to its last. */
#ifndef TRAIN_H
#define TRAIN_H

#include "options.h"
#include <signal.h>

/* Trains, evaluates and writes all files. Returns the exit status; 130 when *interrupted became true. */
int train(const options *o, const volatile sig_atomic_t *interrupted);

#endif
