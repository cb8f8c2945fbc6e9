/* SPDX-License-Identifier: MIT */
/*
 * tutorial  the PyTorch tutorial for deep residual networks (yunjey/pytorch-tutorial)
 * paper     He et al. 2015, arXiv 1512.03385, section 4.2; normalised per channel instead of per pixel
 * cosine    the one behind the best published results of these nets (chenyaofo/image-classification-codebase)
 */
#include "recipe.h"
#include "check.h"
#include <string.h>

static const recipe recipes[] = {
    {.name = "tutorial", .epochs = 80, .batch = 100, .lr = 1e-3},
    {.name = "paper", .total_steps = 64000, .batch = 128, .lr = 0.1, .per_step = 1},
    {.name = "cosine", .epochs = 200, .batch = 256, .lr = 0.1, .per_step = 1},
};

static int is(const recipe *r, const char *name)
{
    return strcmp(r->name, name) == 0;
}

void recipe_init(recipe *r, const options *o, int64_t images)
{
    for (size_t i = 0; i < sizeof recipes / sizeof recipes[0]; i++)
        if (strcmp(recipes[i].name, o->recipe) == 0)
            *r = recipes[i];
    r->batch = o->batch ? o->batch : r->batch;
    r->lr = o->lr > 0 ? o->lr : r->lr;
    r->steps_per_epoch = (images + r->batch - 1) / r->batch;
    if (o->epochs)
        r->epochs = o->epochs;
    if (o->epochs || !r->total_steps)
        r->total_steps = r->epochs * r->steps_per_epoch;
    else
        r->epochs = (r->total_steps + r->steps_per_epoch - 1) / r->steps_per_epoch;
    if (is(r, "paper") && strstr(o->arch, "110"))
        r->warmup_steps = r->total_steps / 160; /* 400 of 64,000 */
}

void recipe_optimizer(const recipe *r, rn_model *model, rn_optimizer **out)
{
    if (is(r, "tutorial")) {
        rn_adam_options adam = RN_ADAM_OPTIONS_INIT;
        adam.lr = r->lr;
        CHECK(rn_adam_create(model, &adam, out));
        return;
    }
    rn_sgd_options sgd = RN_SGD_OPTIONS_INIT;
    sgd.lr = r->lr;
    sgd.momentum = 0.9;
    sgd.flags = is(r, "cosine") ? RN_SGD_NESTEROV : 0;
    sgd.weight_decay = is(r, "cosine") ? 5e-4 : 1e-4;
    CHECK(rn_sgd_create(model, &sgd, out));
}

static void tutorial_schedule(const recipe *r, rn_context *ctx, rn_schedule **out)
{
    rn_step_schedule_options o = RN_STEP_SCHEDULE_OPTIONS_INIT;
    o.lr = r->lr;
    o.gamma = 1.0 / 3.0;
    o.period = 20;
    CHECK(rn_step_schedule_create(ctx, &o, out));
}

static void paper_schedule(const recipe *r, rn_context *ctx, rn_schedule **out)
{
    const int64_t milestones[] = {r->total_steps / 2, r->total_steps - r->total_steps / 4};
    rn_multistep_schedule_options o = RN_MULTISTEP_SCHEDULE_OPTIONS_INIT;
    o.lr = r->lr;
    o.gamma = 0.1;
    o.milestones = milestones;
    o.num_milestones = 2;
    CHECK(rn_multistep_schedule_create(ctx, &o, out));
}

static void cosine_schedule(const recipe *r, rn_context *ctx, rn_schedule **out)
{
    rn_cosine_schedule_options o = RN_COSINE_SCHEDULE_OPTIONS_INIT;
    o.lr = r->lr;
    o.min_lr = 0.0;
    o.steps = r->total_steps;
    CHECK(rn_cosine_schedule_create(ctx, &o, out));
}

void recipe_schedule(const recipe *r, rn_context *ctx, rn_schedule **out)
{
    if (is(r, "tutorial"))
        tutorial_schedule(r, ctx, out);
    else if (is(r, "paper"))
        paper_schedule(r, ctx, out);
    else
        cosine_schedule(r, ctx, out);
}

void recipe_set_lr(const recipe *r, int64_t step, rn_schedule *schedule, rn_optimizer *optimizer)
{
    if (step < r->warmup_steps)
        CHECK(rn_optimizer_set_lr(optimizer, r->lr / 10));
    else
        CHECK(rn_schedule_apply(schedule, r->per_step ? step : step / r->steps_per_epoch, optimizer));
}

static void normalize(const recipe *r, rn_transform *t, int64_t channels)
{
    static const double gray_mean[] = {0.2860}, gray_std[] = {0.3530};
    static const double mean[] = {0.4914, 0.4822, 0.4465};
    static const double pixel_std[] = {0.2470, 0.2435, 0.2616}; /* over all pixels */
    static const double image_std[] = {0.2023, 0.1994, 0.2010}; /* the mean of the images' own, in wide use */
    if (channels == 1)
        CHECK(rn_transform_normalize(t, 1, gray_mean, gray_std));
    else
        CHECK(rn_transform_normalize(t, 3, mean, is(r, "cosine") ? image_std : pixel_std));
}

rn_transform *recipe_transform(const recipe *r, rn_context *ctx, const rn_dataset_info *info, int training)
{
    rn_transform *t;
    CHECK(rn_transform_create(ctx, &t));
    if (training) {
        CHECK(rn_transform_random_hflip(t, 0.5));
        CHECK(rn_transform_random_crop(t, 4, info->height, info->width)); /* pads by 4 first */
    }
    if (!is(r, "tutorial"))
        normalize(r, t, info->channels);
    return t;
}
