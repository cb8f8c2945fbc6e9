/* SPDX-License-Identifier: MIT */
#include "recipe.h"
#include "check.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The number in a net's name is its layers: cifar_resnet110_b. */
static long depth_of(const char *arch)
{
    return strtol(arch + strcspn(arch, "0123456789"), NULL, 10);
}

static int64_t part(double fraction, int64_t whole)
{
    return llround(fraction * (double)whole);
}

void course_init(course *c, const recipe *r, int64_t micro_batch, int64_t images, const char *arch)
{
    *c = (course){.micro_batch = micro_batch, .accumulate = r->batch / micro_batch};
    /* With micro-batches an epoch ends after its last whole step; without, its last step may be a smaller batch. */
    c->steps_per_epoch = c->accumulate > 1 ? images / r->batch : (images + r->batch - 1) / r->batch;
    if (!c->steps_per_epoch)
        fail(1, "micro_batch: expected at least as many training images as a batch of %lld, got %lld", (long long)r->batch,
             (long long)images);
    c->total_steps = r->iterations ? r->iterations : r->epochs * c->steps_per_epoch;
    c->epochs = (c->total_steps + c->steps_per_epoch - 1) / c->steps_per_epoch;
    c->warms_up = depth_of(arch) >= r->warmup_depth;
    if (c->warms_up)
        c->warmup_steps = part(r->warmup, c->total_steps);
}

static void make_sgd(const recipe *r, rn_model *model, rn_optimizer **out)
{
    rn_sgd_options o = RN_SGD_OPTIONS_INIT;
    o.flags = r->nesterov ? RN_SGD_NESTEROV : 0;
    o.lr = r->lr;
    o.momentum = r->momentum;
    o.weight_decay = r->weight_decay;
    CHECK(rn_sgd_create(model, &o, out));
}

static void make_adam(const recipe *r, rn_model *model, rn_optimizer **out)
{
    rn_adam_options o = RN_ADAM_OPTIONS_INIT;
    o.flags = r->optimizer == OPTIMIZER_ADAMW ? RN_ADAM_DECOUPLED : 0;
    o.lr = r->lr;
    o.beta1 = r->beta1;
    o.beta2 = r->beta2;
    o.eps = r->eps;
    o.weight_decay = r->weight_decay;
    CHECK(rn_adam_create(model, &o, out));
}

void recipe_optimizer(const recipe *r, rn_model *model, rn_optimizer **out)
{
    if (r->optimizer == OPTIMIZER_SGD)
        make_sgd(r, model, out);
    else
        make_adam(r, model, out);
    if (!r->decay_all)
        CHECK(rn_optimizer_exclude_from_decay(*out, 1, NULL));
}

static void make_step(const recipe *r, const course *c, rn_context *ctx, rn_schedule **out)
{
    rn_step_schedule_options o = RN_STEP_SCHEDULE_OPTIONS_INIT;
    o.lr = r->lr;
    o.gamma = r->gamma;
    o.period = r->period * c->steps_per_epoch;
    CHECK(rn_step_schedule_create(ctx, &o, out));
}

/* Without milestones: a constant. */
static void make_multistep(const recipe *r, const course *c, rn_context *ctx, rn_schedule **out)
{
    int64_t milestones[MAX_NUMBERS];
    rn_multistep_schedule_options o = RN_MULTISTEP_SCHEDULE_OPTIONS_INIT;
    o.lr = r->lr;
    o.gamma = r->gamma;
    o.milestones = milestones;
    o.num_milestones = r->schedule == SCHEDULE_CONSTANT ? 0 : r->milestones.count;
    for (size_t i = 0; i < o.num_milestones; i++)
        milestones[i] = part(r->milestones.value[i], c->total_steps);
    CHECK(rn_multistep_schedule_create(ctx, &o, out));
}

static void make_cosine(const recipe *r, const course *c, rn_context *ctx, rn_schedule **out)
{
    rn_cosine_schedule_options o = RN_COSINE_SCHEDULE_OPTIONS_INIT;
    o.lr = r->lr;
    o.min_lr = r->min_lr;
    o.steps = c->total_steps;
    CHECK(rn_cosine_schedule_create(ctx, &o, out));
}

static void make_one_cycle(const recipe *r, const course *c, rn_context *ctx, rn_schedule **out)
{
    rn_one_cycle_schedule_options o = RN_ONE_CYCLE_SCHEDULE_OPTIONS_INIT;
    o.max_lr = r->lr;
    o.pct_start = r->rise;
    o.div = r->start_div;
    o.final_div = r->end_div;
    o.steps = c->total_steps < 2 ? 2 : c->total_steps;
    CHECK(rn_one_cycle_schedule_create(ctx, &o, out));
}

static void make_plateau(const recipe *r, rn_context *ctx, rn_schedule **out)
{
    rn_plateau_schedule_options o = RN_PLATEAU_SCHEDULE_OPTIONS_INIT;
    o.lr = r->lr;
    o.factor = r->gamma;
    o.threshold = r->threshold;
    o.min_lr = r->min_lr;
    o.patience = r->patience;
    o.cooldown = r->cooldown;
    CHECK(rn_plateau_schedule_create(ctx, &o, out));
}

static void warm_up(const recipe *r, const course *c, rn_context *ctx, rn_schedule **schedule)
{
    rn_warmup_schedule_options o = RN_WARMUP_SCHEDULE_OPTIONS_INIT;
    rn_schedule *const inner = *schedule;
    o.start_factor = r->warmup_factor;
    o.steps = c->warmup_steps;
    CHECK(rn_warmup_schedule_create(ctx, inner, &o, schedule));
    rn_schedule_release(inner); /* the warm-up has its own reference */
}

static void hold(const recipe *r, rn_context *ctx, rn_schedule **schedule)
{
    rn_hold_schedule_options o = RN_HOLD_SCHEDULE_OPTIONS_INIT;
    rn_schedule *const inner = *schedule;
    o.factor = r->warmup_factor;
    o.threshold = r->warmup_error;
    CHECK(rn_hold_schedule_create(ctx, inner, &o, schedule));
    rn_schedule_release(inner);
}

int recipe_watches_training(const recipe *r, const course *c)
{
    return c->warms_up && r->warmup_error > 0;
}

void recipe_schedule(const recipe *r, const course *c, rn_context *ctx, rn_schedule **out)
{
    if (r->schedule == SCHEDULE_STEP)
        make_step(r, c, ctx, out);
    else if (r->schedule == SCHEDULE_COSINE)
        make_cosine(r, c, ctx, out);
    else if (r->schedule == SCHEDULE_ONE_CYCLE)
        make_one_cycle(r, c, ctx, out);
    else if (r->schedule == SCHEDULE_PLATEAU)
        make_plateau(r, ctx, out);
    else
        make_multistep(r, c, ctx, out);
    if (c->warmup_steps && r->warmup_shape == WARMUP_LINEAR)
        warm_up(r, c, ctx, out);
    if (recipe_watches_training(r, c))
        hold(r, ctx, out);
}

void recipe_set_lr(const recipe *r, const course *c, int64_t step, rn_schedule *schedule, rn_optimizer *optimizer)
{
    if (step < c->warmup_steps && r->warmup_shape == WARMUP_CONSTANT)
        CHECK(rn_optimizer_set_lr(optimizer, r->lr * r->warmup_factor));
    else
        CHECK(rn_schedule_apply(schedule, step, optimizer));
}

void recipe_loss(const recipe *r, rn_context *ctx, rn_loss **out)
{
    rn_cross_entropy_options o = RN_CROSS_ENTROPY_OPTIONS_INIT;
    o.label_smoothing = r->label_smoothing;
    CHECK(rn_cross_entropy_create(ctx, &o, out));
}

/* Running statistics are averaged like weights, so that they belong to them; short trainings forget their start sooner. */
rn_ema *recipe_ema(const recipe *r, rn_model *model)
{
    rn_ema_options o = RN_EMA_OPTIONS_INIT;
    rn_ema *ema;
    if (r->ema <= 0)
        return NULL;
    o.flags = RN_EMA_AVERAGE_BUFFERS | RN_EMA_WARMUP;
    o.decay = r->ema;
    CHECK(rn_ema_create(model, &o, &ema));
    return ema;
}

void recipe_mix(const recipe *r, rn_loader_options *o)
{
    o->mixup_alpha = r->mixup;
    o->cutmix_alpha = r->cutmix;
    o->mix_probability = r->mix_probability;
    o->cutmix_share = r->cutmix_share;
}

void recipe_normalize(const recipe *r, rn_transform *t, const char *dataset, int64_t channels)
{
    static const double imagenet_mean[] = {0.485, 0.456, 0.406}, imagenet_std[] = {0.229, 0.224, 0.225};
    const pixel_statistics *const s = data_statistics(dataset);
    const double *mean = s->mean, *std = r->normalize == NORMALIZE_IMAGES ? s->image_std : s->pixel_std;
    if (!r->normalize && !r->mean.count)
        return;
    if (r->mean.count && (int64_t)r->mean.count != channels)
        fail(1, "recipe %s: mean and std: expected a number for each of %lld channels, got %zu", r->name,
             (long long)channels, r->mean.count);
    if (r->normalize == NORMALIZE_IMAGENET && channels != 3)
        fail(1, "recipe %s: normalize: imagenet is for images of 3 channels, %s has %lld", r->name, dataset,
             (long long)channels);
    if (r->normalize == NORMALIZE_IMAGENET)
        mean = imagenet_mean, std = imagenet_std;
    if (r->mean.count)
        mean = r->mean.value, std = r->std.value;
    CHECK(rn_transform_normalize(t, (int32_t)channels, mean, std));
}

void recipe_input_dims(const recipe *r, const rn_dataset_info *info, int64_t n, int64_t dims[4])
{
    dims[0] = n;
    dims[1] = info->channels;
    dims[2] = info->height ? info->height : r->size;
    dims[3] = info->width ? info->width : r->size;
}

/* Pictures of any size to squares of one size. */
static void cut_pictures(const recipe *r, rn_transform *t, int training)
{
    const double area[] = {r->area_min, 1};
    if (!training) {
        CHECK(rn_transform_short_side(t, r->short_side_test, r->short_side_test));
        CHECK(rn_transform_center_crop(t, r->size, r->size));
    } else if (r->train_crop == CROP_RANDOM_RESIZED) {
        CHECK(rn_transform_random_resized_crop(t, r->size, r->size, area, NULL));
    } else {
        CHECK(rn_transform_short_side(t, r->short_side_min, r->short_side_max));
        CHECK(rn_transform_random_crop(t, 0, r->size, r->size));
    }
}

rn_transform *recipe_transform(const recipe *r, rn_context *ctx, const char *dataset, const rn_dataset_info *info,
                               int training)
{
    rn_transform *t;
    CHECK(rn_transform_create(ctx, &t));
    if (!info->height)
        cut_pictures(r, t, training);
    if (training && r->flip > 0)
        CHECK(rn_transform_random_hflip(t, r->flip));
    if (training && r->crop_padding && info->height)
        CHECK(rn_transform_random_crop(t, r->crop_padding, info->height, info->width));
    if (training && r->color > 0)
        CHECK(rn_transform_pca_color(t, r->color, NULL, NULL));
    recipe_normalize(r, t, dataset, info->channels);
    if (training && r->cutout)
        CHECK(rn_transform_cutout(t, r->cutout));
    return t;
}
