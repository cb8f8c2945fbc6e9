/* SPDX-License-Identifier: MIT */
/**
 * @file loss.h
 * Loss functions. All are means over the batch.
 */
#ifndef RESNET_LOSS_H
#define RESNET_LOSS_H

#include <resnet/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rn_loss rn_loss;

/**
 * torch.nn.CrossEntropyLoss on logits [N, K]. The target is labels i64 [N] in 0..K-1, or class probabilities [N, K] of
 * the logits' type (soft targets, as a loader with mixup gives them): sum_k(-t_k log p_k). These are taken as they are,
 * whatever their sum. Each call may bring the one or the other.
 */
typedef struct rn_cross_entropy_options {
    size_t struct_size;
    uint64_t flags;         /**< 0 */
    double label_smoothing; /**< e: (1-e) CE + e mean_k(-log p_k), so t_k (1-e) + e/K of a soft target; 0 <= e < 1 */
} rn_cross_entropy_options;
#define RN_CROSS_ENTROPY_OPTIONS_INIT {sizeof(rn_cross_entropy_options), 0, 0.0}

/** torch.nn.MSELoss: mean over all elements of (prediction - target)^2; target of the prediction's shape and type. */
typedef struct rn_mse_options {
    size_t struct_size;
    uint64_t flags; /**< 0 */
} rn_mse_options;
#define RN_MSE_OPTIONS_INIT {sizeof(rn_mse_options), 0}

RN_API rn_status rn_cross_entropy_options_init(rn_cross_entropy_options *options, size_t struct_size);
RN_API rn_status rn_mse_options_init(rn_mse_options *options, size_t struct_size);

RN_API rn_status rn_cross_entropy_create(rn_context *ctx, const rn_cross_entropy_options *options, rn_loss **out);
RN_API rn_status rn_mse_create(rn_context *ctx, const rn_mse_options *options, rn_loss **out);
RN_API rn_loss *rn_loss_retain(rn_loss *loss);
RN_API void rn_loss_release(rn_loss *loss);

/**
 * Computes the loss and its gradient outside a plan.
 * @param pred   [in] f32 or f64, [N, K] (cross-entropy) or any shape (MSE)
 * @param target [in] labels i64 [N] or class probabilities like pred (cross-entropy), values like pred (MSE)
 * @param dpred  [out, optional] gradient, shape and type of pred
 * @param value  [out, optional] the loss; NULL does not wait
 * @return RN_E_INVALID for a label out of range, naming its index and value
 */
RN_API rn_status rn_loss_compute(rn_loss *loss, const rn_tensor *pred, const rn_tensor *target, rn_tensor *dpred,
                                 float *value);

#ifdef __cplusplus
}
#endif
#endif
