/* SPDX-License-Identifier: MIT */
/**
 * @file ema.h
 * Exponential moving averages of a model's weights, which often classify better than the weights of any single step.
 */
#ifndef RESNET_EMA_H
#define RESNET_EMA_H

#include <resnet/model.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rn_ema rn_ema;

/**
 * torch.optim.swa_utils.AveragedModel with get_ema_multi_avg_fn(decay): the first update copies, each later one is
 * average = decay average + (1 - decay) weight. Running statistics are copied at every update, unless
 * RN_EMA_AVERAGE_BUFFERS treats them like weights; num_batches_tracked is always copied.
 */
typedef struct rn_ema_options {
    size_t struct_size;
    uint64_t flags; /**< RN_EMA_* */
    double decay;   /**< 0 to 1; about 1 - 1 / (updates that count) */
} rn_ema_options;
#define RN_EMA_AVERAGE_BUFFERS 1u /**< AveragedModel's use_buffers */
#define RN_EMA_WARMUP 2u          /**< update t, from 0 on, has decay min(decay, (1 + t) / (10 + t)) */
#define RN_EMA_OPTIONS_INIT {sizeof(rn_ema_options), 0, 0.999}
RN_API rn_status rn_ema_options_init(rn_ema_options *options, size_t struct_size);

/** Makes the average of a model, which begins as a copy of it, on its device. @param options [optional] */
RN_API rn_status rn_ema_create(rn_model *m, const rn_ema_options *options, rn_ema **out);
RN_API rn_ema *rn_ema_retain(rn_ema *ema);
RN_API void rn_ema_release(rn_ema *ema);

/**
 * Takes the model's weights as they are now into the average. Call it after steps that updated the weights (with
 * rn_plan_options::accumulate every so many train steps). Between calls the average does not change.
 */
RN_API rn_status rn_ema_update(rn_ema *ema);

/**
 * The average as a model, borrowed: for INFER plans, which see it as it is when they are called, rn_model_save(),
 * rn_model_copy(). NULL for NULL.
 */
RN_API rn_model *rn_ema_model(rn_ema *ema);

/** @return the number of updates, as kept in checkpoints; 0 for NULL. */
RN_API int64_t rn_ema_updates(const rn_ema *ema);

#ifdef __cplusplus
}
#endif
#endif
