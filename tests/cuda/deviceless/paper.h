/* SPDX-License-Identifier: MIT */
/*
 * A backend that computes nothing and whose memory is addresses only: plans of any size can be made on it, and it notes
 * the convolutions that they ask for.
 */
#ifndef RNI_DEVICELESS_PAPER_H
#define RNI_DEVICELESS_PAPER_H

#include <resnet/sys/backend.h>

/* A convolution op that a plan asked for; no dtype, no batch. */
typedef struct paper_convolution {
    int32_t kind;
    uint32_t flags;
    rn_conv_params params;
    char net[32]; /* the first that asked */
} paper_convolution;

enum { PAPER_MAX = 4096 };
extern paper_convolution paper_convolutions[PAPER_MAX];
extern int paper_count;
/* Those that plans would have had deliver statistics, which the paper backend cannot. */
extern paper_convolution paper_statistics[PAPER_MAX];
extern int paper_statistics_count;
/* Forward convolutions whose input the module would normalise in the engine, with the gradient of their filter (prologue.h). */
extern paper_convolution paper_prologues[PAPER_MAX];
extern int paper_prologue_count;
extern const char *paper_net; /* noted with what comes next */

extern const rn_backend paper_backend; /* its device is "paper:0" */

#endif
