/* SPDX-License-Identifier: MIT */
/**
 * @file plan.h
 * Plans: a model compiled for given shapes into one program that runs without allocating.
 */
#ifndef RESNET_PLAN_H
#define RESNET_PLAN_H

#include <resnet/loss.h>
#include <resnet/metrics.h>
#include <resnet/model.h>
#include <resnet/optimizer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rn_plan rn_plan;

/** Modes of a plan. */
enum {
    RN_PLAN_INFER = 0, /**< running statistics, dropout off, BN folded into the weights */
    RN_PLAN_TRAIN = 1, /**< batch statistics, gradients */
    /**
     * Batch statistics, no gradients: each rn_plan_forward() takes them into the running statistics with weight 1/k at
     * the k-th batch since rn_model_reset_statistics(), whatever the layers' momentum. After batches of equal size
     * these are their average: torch.optim.swa_utils.update_bn(), and how He et al. ended a training. Weights averaged
     * by an rn_ema need it.
     */
    RN_PLAN_STATISTICS = 2
};

/** Flags of a plan. */
#define RN_PLAN_NO_FUSION 1u  /**< keep the primitive operations; to compare with */
#define RN_PLAN_INPUT_GRAD 2u /**< TRAIN: rn_plan_backward() can give the gradient of the input */
/**
 * 3x3 convolutions of stride 1 are sums of products only. Without it those that gain from it go by Winograd's algorithm (Lavin and
 * Gray 2015, tiles of 4x4), which is faster and in f32 has up to about four times the rounding error.
 */
#define RN_PLAN_NO_WINOGRAD 4u
/**
 * INFER: rn_plan_create() derives all weights at once, then gives the memory of the model's parameters, buffers and gradients
 * back. They are gone for good: this plan is all that can run the model from then on. Runs of the plan, its metrics and reports
 * stay as they are; of the model names, shapes, counts, tables and rn_model_set_trainable(). RN_E_STATE: calls that set, read,
 * copy, load, save or export its values or gradients, checkpoints, further plans, optimizers and averages; tensors of its entries
 * keep their shape and type, but cannot be read, written, copied, sliced or exported, and their rn_tensor_data() is NULL.
 * The model must be used by nobody else: RN_E_STATE, with nothing changed, while there is another plan, optimizer or average of
 * it, or a reference, slice or DLPack export of one of its tensors. Other errors leave the weights as well, except the device's own
 * while it packs them.
 */
#define RN_PLAN_DROP_WEIGHTS 8u
/** TRAIN: the loss scale stays what it is; updates with a gradient that is not finite are left out all the same. */
#define RN_PLAN_STATIC_LOSS_SCALE 16u

typedef struct rn_plan_options {
    size_t struct_size;
    uint64_t flags;                  /**< RN_PLAN_* flags */
    int32_t mode;                    /**< RN_PLAN_INFER, RN_PLAN_TRAIN or RN_PLAN_STATISTICS */
    int32_t rank;                    /**< of the input: 2 or 4 */
    int64_t input_dims[RN_MAX_RANK]; /**< [N, C, H, W] or [N, F]; N is the largest batch unless `batches` says more */
    int64_t batches[8];              /**< other batch sizes to prepare, 0 ends; on the CPU any size up to the largest runs */
    /**
     * RN_F32. RN_F64: reference kernels, tensors of x, y, dy, dx are f64. RN_BF16: activations, their gradients and packed
     * weights are bf16 (rounded to nearest, ties to even); sums, batch statistics, losses, weights, their gradients and the
     * optimizer stay f32, as do tensors of x, y, dy, dx and values for MSE; rn_plan_input() is bf16. RN_F16: the same with f16,
     * whose numbers end at 65504 and whose spacing is 2^-24 at least, so that train steps scale the loss (`loss_scale`); the CPU
     * computes it by converting to f32 and back, which is slow and meant to compare with.
     */
    rn_dtype compute_dtype;
    uint32_t accumulate;             /**< micro-batches per update in rn_plan_train_step(); 0 and 1: one */
    rn_loss *loss;                   /**< [optional] needed for train and eval steps */
    rn_optimizer *optimizer;         /**< [optional] needed for train steps; of the same model */
    double clip_norm;                /**< above 0: clips the gradient norm in train steps */
    uint64_t memory_limit;           /**< above 0: RN_E_NOMEM at creation when more bytes would be needed */
    uint64_t seed;                   /**< of dropout; 0: the context's */
    /**
     * Loss scaling of train steps (Micikevicius et al. 2018, "Mixed precision training"): the gradient of the loss is multiplied by
     * the scale, so that small gradients do not vanish in f16, and the gradients of the parameters are divided by it, in f32, before
     * clipping and update. An update with a gradient that is not finite is left out. The scale moves as torch.amp.GradScaler's:
     * such an update multiplies it by loss_scale_backoff, and every loss_scale_interval updates in a row without one multiply it by
     * loss_scale_growth; it stays within 2^-24 and 2^24. On a GPU all of this happens there. Losses in rn_metrics are not scaled,
     * nor is what rn_plan_backward() does: dy is taken as it is.
     * 0: RN_F16 begins with 65536, the other types do not scale. Above 0: the first scale, for any compute_dtype.
     */
    double loss_scale;
    double loss_scale_growth;    /**< above 1 */
    double loss_scale_backoff;   /**< between 0 and 1, both excluded */
    int64_t loss_scale_interval; /**< at least 1 */
} rn_plan_options;
#define RN_PLAN_OPTIONS_INIT                                                 \
    {                                                                        \
        sizeof(rn_plan_options), 0, RN_PLAN_INFER, 4,                        \
            {0, 0, 0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0, 0, 0}, RN_F32, 1,   \
            NULL, NULL, 0.0, 0, 0, 0.0, 2.0, 0.5, 2000                       \
    }
RN_API rn_status rn_plan_options_init(rn_plan_options *options, size_t struct_size);

/** What a plan needs, in bytes. The caller sets struct_size. */
typedef struct rn_memory {
    size_t struct_size;
    uint64_t arena;       /**< activations, their gradients and workspaces, placed in one block */
    uint64_t lower_bound; /**< no placement of these values can be smaller: the most that is alive at once */
    uint64_t derived;     /**< packed and folded weights of this plan */
    uint64_t io;          /**< the plan's own input, output and metrics */
    uint64_t parameters;  /**< weights and buffers of the model (shared); 0 with RN_PLAN_DROP_WEIGHTS */
    uint64_t gradients;   /**< gradients of the model (shared); 0 in an INFER plan */
    uint64_t optimizer;   /**< state of the optimizer (shared) */
    uint64_t total;       /**< the sum of all but lower_bound */
} rn_memory;
#define RN_MEMORY_INIT {sizeof(rn_memory), 0, 0, 0, 0, 0, 0, 0, 0}

/**
 * Compiles a model. All errors of shape, support and memory surface here.
 * @return RN_E_SHAPE with the path of the layer and the one before it, RN_E_UNSUPPORTED, RN_E_NOMEM with sizes, RN_E_STATE for
 *         weights that were or cannot be dropped (RN_PLAN_DROP_WEIGHTS)
 */
RN_API rn_status rn_plan_create(rn_model *m, const rn_plan_options *options, rn_plan **out);
RN_API rn_plan *rn_plan_retain(rn_plan *p);
RN_API void rn_plan_release(rn_plan *p);

/** The plan's own input, in the layout and type its first layer reads; write it, then pass it as x. Borrowed. */
RN_API rn_status rn_plan_input(rn_plan *p, rn_tensor **out);

/** The shape of the output for a batch of n. @param dims [out] RN_MAX_RANK entries */
RN_API rn_status rn_plan_output_shape(const rn_plan *p, int64_t n, int32_t *rank, int64_t *dims);

/**
 * y = model(x). In a TRAIN or STATISTICS plan it also updates the running statistics, once.
 * @param x [in] [n, ...] with n up to the plan's batch, in plain order, or like rn_plan_input()
 * @param y [out] [n, ...] of rn_plan_output_shape(); may be NULL in a STATISTICS plan
 * @return RN_E_SHAPE, RN_E_DTYPE, RN_E_DEVICE, RN_E_STATE when the plan is stale (rn_model_set_trainable())
 */
RN_API rn_status rn_plan_forward(rn_plan *p, const rn_tensor *x, rn_tensor *y);

/**
 * Adds the gradients for the last forward of this TRAIN plan to the model's.
 * @param dy [in] shape of y  @param dx [out, optional] gradient of x; needs RN_PLAN_INPUT_GRAD
 * @return RN_E_STATE without a forward before it
 */
RN_API rn_status rn_plan_backward(rn_plan *p, const rn_tensor *dy, rn_tensor *dx);

/**
 * One whole step: zero gradients, forward, loss, backward, clip, update. With `accumulate` k the update happens at
 * every k-th call, from the mean of k gradients, as PyTorch's loop of (loss / k).backward() does it. Batch
 * normalisation sees micro-batches: each is normalised by its own statistics and moves the running ones, k times per
 * update. So k micro-batches of n are not quite a batch of k n, and a small n is noisier. A step whose loss is not
 * finite leaves weights and optimizer as they were and is counted in rn_metrics::nonfinite. With loss scaling a gradient that is
 * not finite does the same and is counted in rn_metrics::skipped.
 * @param target [in] cross-entropy: labels i64 [n], or class probabilities like the output; MSE: values like the output
 * @return RN_E_INVALID for a label out of range, with nothing changed
 */
RN_API rn_status rn_plan_train_step(rn_plan *p, const rn_tensor *x, const rn_tensor *target);

/** Forward and loss in an INFER plan with a loss; adds to the metrics. */
RN_API rn_status rn_plan_eval_step(rn_plan *p, const rn_tensor *x, const rn_tensor *target);

/** Waits, then gives the sums since the last reset; `reset` 1 sets them to zero afterwards. */
RN_API rn_status rn_plan_metrics(rn_plan *p, rn_metrics *out, int32_t reset);

/** What the plan needs, known without running. */
RN_API rn_status rn_plan_memory(const rn_plan *p, rn_memory *out);

/**
 * Writes the program: each op with its layer path, inputs, outputs, sizes and places. Of each part of it, and of a train
 * step, the bytes that must be moved and the nominal floating-point operations, with the largest batch: every op reads its
 * operands and writes its results once. Normalisation's gradient reads twice. FLOPs are those of convolutions and products.
 */
RN_API rn_status rn_plan_describe(const rn_plan *p, rn_write_fn write, void *user);

/**
 * Starts (1) or stops (0) timing every op; starting clears what was measured. On the CPU every op is waited for. A GPU
 * notes the times itself: ops are enqueued one by one, without CUDA graphs, and steps overlap as usual.
 */
RN_API rn_status rn_plan_set_profiling(rn_plan *p, int32_t on);

/** Waits for what runs, then writes a table of the timed ops: kind, path, calls, milliseconds, share, GFLOP/s or GB/s. @return RN_E_STATE without timing */
RN_API rn_status rn_plan_profile(const rn_plan *p, rn_write_fn write, void *user);

#ifdef __cplusplus
}
#endif
#endif
