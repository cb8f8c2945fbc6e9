/* SPDX-License-Identifier: MIT */
/* The plans a device has made so far. */
#ifndef RNI_CUDA_DNN_CACHE_H
#define RNI_CUDA_DNN_CACHE_H

#include "dnn/plan.h"
#include <pthread.h>

typedef struct rni_dnn_entry rni_dnn_entry;

struct rni_dnn {
    rni_cuda_device *device;
    const rni_dnn_api *api;
    void *handle;
    rni_dnn_rules rules;
    rni_dnn_entry *entries; /* the last made first */
    pthread_mutex_t lock; /* held while a plan is looked for, and while the handle is used */
};

/*
 * The plan of a shape, made and kept at its first use; that there is none is kept, too (RN_E_UNSUPPORTED). With
 * `measure` and autotune the fastest of the first few, and none where the rival (NULL: none) is faster. The caller holds
 * the lock.
 */
rn_status rni_dnn_find(rni_dnn *dnn, const rni_dnn_shape *shape, int measure, const rni_dnn_rival *rival,
                       const rni_dnn_plan **out);
void rni_dnn_forget(rni_dnn *dnn); /* all plans */

/* autotune.c: the fastest of the first plans, by running them on memory of their own; NULL: the rival is. */
rn_status rni_dnn_measure(rni_dnn *dnn, const rni_dnn_shape *shape, const rni_dnn_rival *rival, rni_dnn_plan **out);

/*
 * choices.c: what was measured before, in a file for this device and this version of cuDNN. A line is the shape's text
 * and the plan's JSON, or RNI_DNN_RIVAL.
 */
#define RNI_DNN_RIVAL "own"
/* The host's memory, terminated; NULL when nothing is known. *size is that of the memory. */
char *rni_dnn_choice_read(const rni_dnn *dnn, const rni_dnn_shape *shape, size_t *size);
void rni_dnn_choice_write(const rni_dnn *dnn, const rni_dnn_shape *shape, const char *json);

#endif
