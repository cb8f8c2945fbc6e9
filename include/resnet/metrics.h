/* SPDX-License-Identifier: MIT */
/**
 * @file metrics.h
 * What a plan counted, and measures on logits.
 */
#ifndef RESNET_METRICS_H
#define RESNET_METRICS_H

#include <resnet/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Sums since the last reset. The caller sets struct_size. */
typedef struct rn_metrics {
    size_t struct_size;
    double loss_sum;   /**< sum over images of their loss; loss_sum / count is the mean */
    double last_loss;  /**< mean loss of the last step */
    double grad_norm;  /**< gradient norm of the last step before clipping; 0 without clipping */
    int64_t count;     /**< images */
    int64_t correct;   /**< images whose largest logit is their label's or largest target's (cross-entropy only) */
    int64_t steps;     /**< steps */
    int64_t nonfinite; /**< steps whose loss was not finite; they did not change the weights */
    double loss_scale; /**< what the next step multiplies the loss gradient by (rn_plan_options::loss_scale); 1 without scaling */
    int64_t skipped;   /**< with loss scaling: updates left out because a gradient or loss was not finite */
} rn_metrics;
#define RN_METRICS_INIT {sizeof(rn_metrics), 0, 0, 0, 0, 0, 0, 0, 0, 0}

/** Softmax over dimension 1 of [N, K], f32 or f64, into a tensor of the same shape and type. */
RN_API rn_status rn_softmax(const rn_tensor *logits, rn_tensor *probabilities);

/**
 * Counts the images whose label is among the k largest logits. Equal logits: the lower class goes first.
 * @param logits [N, K] f32 or f64  @param labels [N] i64  @param k 1..K
 */
RN_API rn_status rn_topk(const rn_tensor *logits, const rn_tensor *labels, int32_t k, int64_t *correct);

#ifdef __cplusplus
}
#endif
#endif
