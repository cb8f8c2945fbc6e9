/* SPDX-License-Identifier: MIT */
/*
 * How to train: a table of values with a text form, `key = value` on lines of their own (docs/recipes.md).
 *
 *   recipe_keys.c     the keys: their fields, what they may be; reading and printing
 *   recipe_builtin.c  the recipes with a name
 *   recipe.c          what is made of a recipe: optimizer, learning rate, augmentation
 */
#ifndef RECIPE_H
#define RECIPE_H

#include "dataset.h"
#include <resnet/resnet.h>
#include <stdio.h>

enum { OPTIMIZER_SGD, OPTIMIZER_ADAM, OPTIMIZER_ADAMW };
enum { SCHEDULE_CONSTANT, SCHEDULE_STEP, SCHEDULE_MULTISTEP, SCHEDULE_COSINE, SCHEDULE_ONE_CYCLE, SCHEDULE_PLATEAU };
enum { WARMUP_LINEAR, WARMUP_CONSTANT };
enum { CROP_RANDOM_RESIZED, CROP_SHORT_SIDE };
enum { NORMALIZE_NO, NORMALIZE_PIXELS, NORMALIZE_IMAGES, NORMALIZE_IMAGENET };
enum { MAX_NUMBERS = 16 };

typedef struct numbers {
    double value[MAX_NUMBERS];
    size_t count;
} numbers;

/* docs/recipes.md explains each; fields are called as their keys. */
typedef struct recipe {
    const char *name; /* as it was asked for */
    int64_t epochs, iterations; /* one of them, the other is 0 */
    int64_t batch, micro_batch, validation;
    int32_t optimizer, nesterov, decay_all;
    double lr, momentum, beta1, beta2, eps, weight_decay, clip_norm, label_smoothing, ema;
    int32_t schedule, warmup_shape;
    double gamma, min_lr, rise, start_div, end_div, threshold;
    int64_t period, patience, cooldown;
    numbers milestones;
    double warmup, warmup_factor, warmup_error;
    int64_t warmup_depth;
    int64_t crop_padding, cutout;
    double flip, color, mixup, cutmix, mix_probability, cutmix_share;
    int64_t size, short_side_min, short_side_max, short_side_test;
    double area_min;
    int32_t train_crop, normalize;
    numbers mean, std;
} recipe;

/* A recipe with a name, or a file. Exits with 2 when there is neither, with 1 when the file is wrong. */
void recipe_load(recipe *r, const char *name_or_path);
/* Replaces one value, from "key=value" of the command line; the flag is named in messages. */
void recipe_set(recipe *r, const char *flag_name, const char *assignment);
/* Sees that the values go together. */
void recipe_check(const recipe *r);
/* All keys in the form that recipe_load() reads. */
void recipe_print(const recipe *r, FILE *file);

/* The text of a recipe with a name, NULL when there is none; the name of the index-th, NULL beyond the last. */
const char *recipe_builtin(const char *name);
const char *recipe_name(size_t index);

/* What a recipe comes to for so many images. */
typedef struct course {
    int64_t micro_batch, accumulate; /* images per call, calls per step */
    int64_t epochs, steps_per_epoch, total_steps; /* the last epoch ends when the total is reached */
    int64_t warmup_steps;
    int warms_up; /* the net is as deep as the recipe wants for that */
} course;

/* `micro_batch` divides the recipe's batch. */
void course_init(course *c, const recipe *r, int64_t micro_batch, int64_t images, const char *arch);

void recipe_optimizer(const recipe *r, rn_model *model, rn_optimizer **out);
void recipe_schedule(const recipe *r, const course *c, rn_context *ctx, rn_schedule **out);
/* Sets the learning rate of step `step` of the training (0 is the first). */
void recipe_set_lr(const recipe *r, const course *c, int64_t step, rn_schedule *schedule, rn_optimizer *optimizer);
void recipe_loss(const recipe *r, rn_context *ctx, rn_loss **out);
/* The moving average of the weights; NULL when the recipe wants none. */
rn_ema *recipe_ema(const recipe *r, rn_model *model);
/* How the loader of training images mixes them. */
void recipe_mix(const recipe *r, rn_loader_options *o);

/* Does recipe_set_lr() follow the training error? It is told by rn_schedule_observe(). */
int recipe_watches_training(const recipe *r, const course *c);

/* The shape [n, C, H, W] in which images of a set reach the net: their own, or the recipe's size where they differ. */
void recipe_input_dims(const recipe *r, const rn_dataset_info *info, int64_t n, int64_t dims[4]);

/* What is done to images of that data set; in training also random crops and mirroring. */
rn_transform *recipe_transform(const recipe *r, rn_context *ctx, const char *dataset, const rn_dataset_info *info,
                               int training);
/* Only what comes last: the pixels' values. */
void recipe_normalize(const recipe *r, rn_transform *t, const char *dataset, int64_t channels);

#endif
