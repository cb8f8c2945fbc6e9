/* SPDX-License-Identifier: MIT */
/* How to train: optimizer, learning rate over time, augmentation. */
#ifndef RECIPE_H
#define RECIPE_H

#include "options.h"
#include <resnet/resnet.h>

typedef struct recipe {
    const char *name;
    int64_t epochs, batch;
    int64_t steps_per_epoch, total_steps; /* the last epoch ends when the total is reached */
    double lr;
    int64_t warmup_steps; /* at a tenth of the lr: very deep nets do not start to learn otherwise */
    int per_step;         /* the schedule counts steps, not epochs */
} recipe;

/* Chooses and completes a recipe for so many training images. */
void recipe_init(recipe *r, const options *o, int64_t images);

void recipe_optimizer(const recipe *r, rn_model *model, rn_optimizer **out);
void recipe_schedule(const recipe *r, rn_context *ctx, rn_schedule **out);
/* Sets the learning rate of step `step` of the training (0 is the first). */
void recipe_set_lr(const recipe *r, int64_t step, rn_schedule *schedule, rn_optimizer *optimizer);

/* What is done to images: in training also random crops and mirroring. NULL: nothing. */
rn_transform *recipe_transform(const recipe *r, rn_context *ctx, const rn_dataset_info *info, int training);

#endif
