/* SPDX-License-Identifier: MIT */
/**
 * @file optimizer.h
 * Optimizers over the parameters of one model; formulas as PyTorch's.
 */
#ifndef RESNET_OPTIMIZER_H
#define RESNET_OPTIMIZER_H

#include <resnet/model.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rn_optimizer rn_optimizer;

/**
 * torch.optim.SGD: g += wd p; buf = g at the first step, else buf = momentum buf + (1 - dampening) g; with
 * nesterov g += momentum buf, else g = buf; p -= lr g.
 */
typedef struct rn_sgd_options {
    size_t struct_size;
    uint64_t flags;      /**< RN_SGD_* */
    double lr;           /**< 0 or more */
    double momentum;     /**< 0 or more */
    double dampening;    /**< 0 with nesterov */
    double weight_decay; /**< 0 or more */
} rn_sgd_options;
#define RN_SGD_NESTEROV 1u
#define RN_SGD_OPTIONS_INIT {sizeof(rn_sgd_options), 0, 0.1, 0.9, 0.0, 1e-4}

/**
 * torch.optim.Adam: g += wd p; m, v moving averages; p -= lr / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + eps).
 * AdamW (RN_ADAM_DECOUPLED): p *= 1 - lr wd first, and no wd in g.
 */
typedef struct rn_adam_options {
    size_t struct_size;
    uint64_t flags;      /**< RN_ADAM_* */
    double lr;           /**< 0 or more */
    double beta1;        /**< 0 <= beta1 < 1 */
    double beta2;        /**< 0 <= beta2 < 1 */
    double eps;          /**< 0 or more */
    double weight_decay; /**< 0 or more */
} rn_adam_options;
#define RN_ADAM_DECOUPLED 1u
#define RN_ADAM_OPTIONS_INIT {sizeof(rn_adam_options), 0, 1e-3, 0.9, 0.999, 1e-8, 0.0}

/** Own settings for the parameters that match a glob. */
typedef struct rn_group_options {
    size_t struct_size;
    uint64_t flags;      /**< 0 */
    double lr_factor;    /**< times the optimizer's lr; 0 or more */
    double weight_decay; /**< 0 or more */
} rn_group_options;
#define RN_GROUP_OPTIONS_INIT {sizeof(rn_group_options), 0, 1.0, 0.0}

RN_API rn_status rn_sgd_options_init(rn_sgd_options *options, size_t struct_size);
RN_API rn_status rn_adam_options_init(rn_adam_options *options, size_t struct_size);
RN_API rn_status rn_group_options_init(rn_group_options *options, size_t struct_size);

RN_API rn_status rn_sgd_create(rn_model *m, const rn_sgd_options *options, rn_optimizer **out);
RN_API rn_status rn_adam_create(rn_model *m, const rn_adam_options *options, rn_optimizer **out);
RN_API rn_optimizer *rn_optimizer_retain(rn_optimizer *opt);
RN_API void rn_optimizer_release(rn_optimizer *opt);

/**
 * Puts the parameters whose names match a glob into a group of their own. A parameter belongs to the group that
 * named it last. Before the first step and the first plan that uses the optimizer.
 * @return RN_E_NOT_FOUND when nothing matches, RN_E_STATE when it is too late
 */
RN_API rn_status rn_optimizer_add_group(rn_optimizer *opt, const char *name_glob, const rn_group_options *options);

/**
 * No weight decay on parameters of at most so many dimensions. With 1 these are biases and the weights of batch
 * normalisation; matrices and kernels keep theirs. Each goes to a group that is like its own but for the decay; one
 * that is named by rn_optimizer_add_group() afterwards gets that group's.
 * @param max_rank 0 or more  @param excluded [out, optional] how many parameters lost a decay
 * @return RN_E_STATE when it is too late, as for groups
 */
RN_API rn_status rn_optimizer_exclude_from_decay(rn_optimizer *opt, int32_t max_rank, size_t *excluded);

/** Updates the trainable parameters from the model's gradients. @return RN_E_STATE before the model has gradients */
RN_API rn_status rn_optimizer_step(rn_optimizer *opt);

/** Sets the learning rate from the next step on. @return RN_E_INVALID when negative or not finite */
RN_API rn_status rn_optimizer_set_lr(rn_optimizer *opt, double lr);
/** @return the learning rate; 0 for NULL. */
RN_API double rn_optimizer_lr(const rn_optimizer *opt);
/** @return the number of steps done, as kept in checkpoints; 0 for NULL. */
RN_API int64_t rn_optimizer_steps(const rn_optimizer *opt);

/**
 * Writes PyTorch's optimizer.state_dict() of SGD, Adam or AdamW: optimizer.load_state_dict(torch.load(path)). Parameters
 * are numbered in the model's order, as for torch.optim over model.parameters(); with groups, one group after another.
 * Replaces `path` only when the file is complete. @return RN_E_IO
 */
RN_API rn_status rn_optimizer_save_torch(const rn_optimizer *opt, const char *path);

/**
 * Takes over moments, number of steps and learning rate from an optimizer.state_dict() that torch.save() wrote, on its own
 * or in a dictionary under "optimizer", "optimizer_state_dict" or "optim". All other settings must be those of this
 * optimizer, group by group, and its groups must have as many parameters. SGD keeps no number of steps there: it becomes 1
 * when there is momentum, else 0. Parameters without state get moments of zero. On an error nothing has changed.
 * @return RN_E_NOT_FOUND, RN_E_IO, RN_E_FORMAT, RN_E_STATE naming the setting that differs with both values, RN_E_SHAPE
 *         naming the parameter
 */
RN_API rn_status rn_optimizer_load_torch(rn_optimizer *opt, const char *path);

#ifdef __cplusplus
}
#endif
#endif
