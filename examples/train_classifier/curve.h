/* SPDX-License-Identifier: MIT */
/* learning-curve.svg: loss and accuracy over the epochs. */
#ifndef CURVE_H
#define CURVE_H

#include "history.h"

typedef struct curve_labels {
    char title[160], subtitle[240];
} curve_labels;

/* Replaces DIR/learning-curve.svg. Nothing is drawn before the first epoch has ended. */
void curve_write(const history *h, const char *dir, const curve_labels *labels);

#endif
