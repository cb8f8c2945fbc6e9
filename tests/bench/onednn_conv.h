/* SPDX-License-Identifier: MIT */
/* One convolution of oneDNN alone: the primitive in the layouts it chooses itself, on as many OpenMP threads. */
#ifndef ONEDNN_CONV_H
#define ONEDNN_CONV_H

#include "conv_case.h"

typedef struct onednn_conv onednn_conv;
/* NULL and a line of text when there is no such primitive. setup->direct and level are not looked at. */
onednn_conv *onednn_conv_open(const conv_setup *setup, char message[300]);
void onednn_conv_close(onednn_conv *c);
/* One run; ends the program when it fails. `c` is an onednn_conv. */
void onednn_conv_run(void *c);
/* What oneDNN calls its implementation. */
const char *onednn_conv_name(const onednn_conv *c);
/* "2.6.3" */
const char *onednn_version(void);

#endif
