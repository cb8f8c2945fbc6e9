/* SPDX-License-Identifier: MIT */
/**
 * @file sys/backend.h
 * The border between the library and a backend: values, ops, the vtable. Stable for a minor release only.
 *
 * A plan is a flat program: an array of values and an array of ops that read and write them. A backend gets it whole
 * (program_create) or op by op (op_run). An op's address of a value is run->base[value.role] + value.offset. Ops know
 * nothing of layers or models. Addresses in the caller's tensors (roles X, TARGET, Y, DY, DX, on a device with host memory
 * also INPUT) are aligned to their elements, all others to 64 bytes.
 */
#ifndef RESNET_SYS_BACKEND_H
#define RESNET_SYS_BACKEND_H

#include <resnet/context.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RN_BACKEND_ABI_MAJOR 1
#define RN_BACKEND_ABI_MINOR 0

/** Roles of values: each has its own base address in a run. */
enum {
    RN_ROLE_X = 0,       /**< input tensor of the caller, plain layout */
    RN_ROLE_TARGET,      /**< labels or target values of the caller, plain */
    RN_ROLE_Y,           /**< output tensor of the caller, plain */
    RN_ROLE_DY,          /**< gradient of the output, of the caller, plain */
    RN_ROLE_DX,          /**< gradient of the input, of the caller, plain */
    RN_ROLE_INPUT,       /**< the input in the backend's layout: the plan's own or a loader's */
    RN_ROLE_ARENA,       /**< activations, their gradients, workspaces */
    RN_ROLE_PARAM,       /**< parameters, canonical (OIHW f32), flat */
    RN_ROLE_PARAM_GRAD,  /**< gradients, f32, same offsets as PARAM */
    RN_ROLE_BUFFER,      /**< running statistics, canonical, flat */
    RN_ROLE_STATE,       /**< optimizer state, f32 */
    RN_ROLE_DERIVED,     /**< packed, cast and folded weights */
    RN_ROLE_METRICS,     /**< one rn_step_metrics */
    RN_ROLE_COUNT
};

/** Memory orders of a value. */
enum {
    RN_LAYOUT_PLAIN = 0,  /**< dims in order, last fastest: NCHW, OIHW */
    RN_LAYOUT_NHWC = 1,   /**< dims are N, C, H, W; memory is N, H, W, C */
    RN_LAYOUT_PACKED = 2  /**< known to the backend only; see RN_OP_PACK */
};

typedef struct rn_value {
    size_t struct_size;
    int32_t dtype;
    int32_t role;
    int32_t layout;
    int32_t rank;
    int32_t batch_axis; /**< 0 when dims[0] is the batch (its largest size); -1 otherwise */
    int32_t reserved;
    int64_t dims[RN_MAX_RANK];
    uint64_t bytes;  /**< size of the memory; for PACKED as op_query told */
    uint64_t offset; /**< from the role's base; a multiple of 64 */
} rn_value;

/** Absent operand in rn_op::in or out. */
#define RN_NO_VALUE UINT32_MAX

/** Flags of ops. */
#define RN_OPF_RELU 1u       /**< ends in ReLU (forward); the mask is y > 0 (backward) */
#define RN_OPF_ADD 2u        /**< adds a residual operand before ReLU; backward: also writes its gradient */
#define RN_OPF_BIAS 4u       /**< adds a per-channel bias */
#define RN_OPF_ACCUMULATE 8u /**< adds to the output instead of overwriting it */
#define RN_OPF_STATS 16u     /**< convolution: also delivers mean and biased variance of its output */
#define RN_OPF_CUMULATIVE 32u /**< RN_OP_BN_RUNNING: weight 1/k at the k-th update */
#define RN_OPF_BACKWARD_DATA 64u /**< RN_OP_PACK: for RN_OP_CONV_BACKWARD_DATA */
#define RN_OPF_EXCLUDE_PADDING 128u /**< average pooling */
#define RN_OPF_NO_GRAD 256u  /**< loss ops: metrics only, no gradient output */
#define RN_OPF_FROZEN 512u   /**< batch normalisation: mean and var are constants, not those of x */
#define RN_OPF_ADAPTIVE 1024u /**< average pooling: windows follow from the sizes, see there */
#define RN_OPF_LOSS_SCALE 2048u /**< loss ops: the gradient is also multiplied by metrics.loss_scale */

/**
 * Kinds of ops with their operands. `[x]` marks an optional operand (RN_NO_VALUE when absent). T is the compute dtype
 * (f32, f64, bf16 or f16), activations are NHWC when they have rank 4, and n is run->batch. Per-channel values have dims [C];
 * where they are T they are f32 beside activations of bf16 and f16.
 */
enum {
    /** in: a. out: b. Copies between dtypes and layouts of the same dims. ACCUMULATE adds. */
    RN_OP_CONVERT = 1,
    /** out: a. Zeroes all of a. */
    RN_OP_FILL,
    /** in: w (OIHW f32), [scale T [O]]. out: packed T. params rn_conv_params. Multiplies by scale[o] when given. */
    RN_OP_PACK,
    /** in: x, packed, [bias T [O]], [residual]. out: y, [mean T], [var T]. params rn_conv_params. BIAS ADD RELU STATS */
    RN_OP_CONV_FORWARD,
    /** in: dy, packed (BACKWARD_DATA). out: dx. params rn_conv_params. ACCUMULATE */
    RN_OP_CONV_BACKWARD_DATA,
    /** in: x, dy. out: dw (OIHW f32). params rn_conv_params. Always adds to dw. */
    RN_OP_CONV_BACKWARD_FILTER,
    /** in: dy (NHWC or [N, F]). out: db f32 [C]. Sums over all but channels; always adds. */
    RN_OP_BIAS_GRAD,
    /** in: x. out: mean T [C], var T [C] (biased). Over all but channels. */
    RN_OP_BN_STATS,
    /**
     * in: mean, var. inout as out: running_mean f32, running_var f32, num_batches_tracked i64 (scalar). params
     * rn_bn_params. Takes the unbiased variance: var * count / (count - 1), count = n * params.pixels.
     */
    RN_OP_BN_RUNNING,
    /** in: x, mean, var, [gamma f32], [beta f32], [residual]. out: y. params rn_bn_params. ADD RELU FROZEN */
    RN_OP_BN_APPLY,
    /**
     * in: dy, x, mean, var, [gamma f32], [y for RELU], [beta f32 for RELU without ADD]. out: dx, [dgamma f32, adds], [dbeta f32, adds], [dres for ADD].
     * params rn_bn_params. RELU: dy is masked by y > 0 first;
     * given beta instead of y, y is made from x again, to the bit as RN_OP_BN_APPLY made it before it rounded to T. ADD: dres = masked dy (adds to it with ACCUMULATE).
     * FROZEN: dx = gamma / sqrt(var + eps) masked dy; the others as without.
     */
    RN_OP_BN_BACKWARD,
    /**
     * in: [gamma], [beta], running_mean, running_var (f32), [conv bias f32]. out: scale T, shift T. params rn_bn_params.
     * scale = gamma / sqrt(var + eps), shift = beta + (conv bias - mean) * scale.
     */
    RN_OP_BN_FOLD,
    /** in: x, scale T [C], shift T [C], [residual]. out: y. ADD RELU */
    RN_OP_SCALE_SHIFT,
    /** in: x. out: y. */
    RN_OP_RELU,
    /** in: dy, y. out: dx. */
    RN_OP_RELU_BACKWARD,
    /** in: a, b. out: y. RELU */
    RN_OP_ADD,
    /** in: a. out: b, b += a. Same dtype and layout: gradients that meet. */
    RN_OP_ACCUMULATE,
    /** in: x. out: y. params rn_pool_params. Pads with -inf; NaN wins. */
    RN_OP_MAXPOOL,
    /** in: dy, x, y. out: dx (overwritten). The first maximum of a window, row by row, gets the gradient. */
    RN_OP_MAXPOOL_BACKWARD,
    /**
     * in: x. out: y. params rn_pool_params. EXCLUDE_PADDING. ADAPTIVE, without params' windows: with I pixels in and O out on an
     * axis, output o is the average of pixels floor(o I / O) to ceil((o + 1) I / O) - 1.
     */
    RN_OP_AVGPOOL,
    /** in: dy. out: dx (overwritten). params rn_pool_params. EXCLUDE_PADDING ADAPTIVE */
    RN_OP_AVGPOOL_BACKWARD,
    /** in: x [N,C,H,W]. out: y [N,C,1,1]. */
    RN_OP_GLOBAL_AVGPOOL,
    /** in: dy [N,C,1,1]. out: dx [N,C,H,W]. */
    RN_OP_GLOBAL_AVGPOOL_BACKWARD,
    /** in: x [N,I], w f32 [O,I], [b f32 [O]]. out: y [N,O]. BIAS RELU */
    RN_OP_LINEAR,
    /** in: dy [N,O], w f32 [O,I]. out: dx [N,I]. */
    RN_OP_LINEAR_BACKWARD_DATA,
    /** in: x [N,I], dy [N,O]. out: dw f32 [O,I]; always adds. */
    RN_OP_LINEAR_BACKWARD_FILTER,
    /** in: x [N,K] or NHWC. out: y. Softmax over dimension 1 (with the largest taken off first). */
    RN_OP_SOFTMAX,
    /** in: dy, y. out: dx = y (dy - sum(dy y)). */
    RN_OP_SOFTMAX_BACKWARD,
    /** in: x. out: y. params rn_dropout_params. Element e (in NCHW order) is kept when u(seed, step, stream, e) >= p. */
    RN_OP_DROPOUT,
    /** in: dy. out: dx: the same mask again. */
    RN_OP_DROPOUT_BACKWARD,
    /** in: x [N,C,H,W]. out: y [N,before+C+after,OH,OW]. params rn_pad_shortcut_params. */
    RN_OP_PAD_SHORTCUT,
    /** in: dy. out: dx (overwritten). */
    RN_OP_PAD_SHORTCUT_BACKWARD,
    /**
     * in: logits T [N,K], labels i64 [N]. out: [dlogits T, times 1/n and run->grad_scale], metrics. params
     * rn_cross_entropy_params. A label outside 0..K-1 is RN_E_INVALID.
     */
    RN_OP_CROSS_ENTROPY,
    /** in: pred T, target T (plain layout, same dims). out: [dpred], metrics. */
    RN_OP_MSE,
    /** in: grads (the whole flat buffer). out: metrics (grad_norm). params rn_segments: over these. */
    RN_OP_GRAD_NORM,
    /** in: metrics. out: grads. params rn_segments, clip_norm: times min(1, clip_norm / (grad_norm + 1e-6)). */
    RN_OP_GRAD_CLIP,
    /**
     * in: grads, metrics. out: params, state. params rn_sgd_params then segments. Skipped when metrics.step_nonfinite. It is
     * update number run->optimizer_step - metrics.uncounted.
     */
    RN_OP_SGD,
    /** in: grads, metrics. out: params, state (m, then v). params rn_adam_params then segments. Skipped and counted as SGD. */
    RN_OP_ADAM,
    /**
     * in: logits T [N,K], target T [N,K]. out and params as RN_OP_CROSS_ENTROPY: the sum over classes of -t log p with
     * t = target (1 - label_smoothing) + label_smoothing / K; correct when the largest logit and the largest target are
     * of one class.
     */
    RN_OP_SOFT_CROSS_ENTROPY,
    /**
     * in: b f32. out: a f32, as many elements. a += lr[0] (b - a); a is b when lr[0] is 1 and stays when it is 0, also where
     * the other is not finite. For averages of weights.
     */
    RN_OP_LERP,
    /**
     * in: images u8 [N,C,H,W], labels i64 [N], order i64 [n], key i64 [2], table f32 [C,256], fill f32 [L,C],
     * [mean f32 [C,MH,MW]], [after f32 [A,2,C]]; all plain. out: x T [n,C,OH,OW] (plain or NHWC), y i64 [n]. params
     * rn_augment_params. Makes a batch of stored images: row i of x is image order[i] after the steps, y[i] its label.
     * A pixel of x is traced back through the steps, the last one first. Where a step puts in zeros, its value is
     * fill[step.level], else table[byte] of the stored pixel. Having passed RN_AUGMENT_SUBTRACT, it is then less the mean,
     * and x = (x - after[a][0]) / after[a][1] for each a. All in f32, and then T. key is the seed and
     * the epoch of the random words.
     */
    RN_OP_AUGMENT,
    /**
     * out: grads, metrics. params rn_segments_params: over these. Multiplies by 1 / metrics.loss_scale, in f32. When any of them
     * is not finite then, step_nonfinite becomes 1.
     */
    RN_OP_GRAD_UNSCALE,
    /**
     * out: metrics. params rn_loss_scale_params. After the update: step_nonfinite multiplies loss_scale by backoff, starts
     * good_steps again and counts in skipped, and in uncounted when params say so; else good_steps counts, and at `interval` loss_scale is multiplied by growth and
     * good_steps starts again. loss_scale stays within least and most.
     */
    RN_OP_LOSS_SCALE,
    RN_OP_COUNT_
};

typedef struct rn_conv_params {
    int64_t in_channels, out_channels, groups;
    int64_t in_height, in_width, out_height, out_width;
    int64_t kernel[2], stride[2], padding[2], dilation[2];
    int64_t batch;  /**< about how many images come at once; 0: not known. For the choice of an algorithm */
    int32_t direct; /**< 1: no algorithm that rounds otherwise than the sum of products does (Winograd) */
    int32_t reserved;
} rn_conv_params;

typedef struct rn_bn_params {
    double eps, momentum;
    int64_t pixels; /**< height * width: values per image and channel */
} rn_bn_params;

typedef struct rn_pool_params {
    int64_t kernel[2], stride[2], padding[2];
} rn_pool_params;

typedef struct rn_dropout_params {
    double p;
    uint32_t stream; /**< number of the dropout layer in its program */
    uint32_t reserved;
} rn_dropout_params;

typedef struct rn_pad_shortcut_params {
    int64_t stride[2], channels_before, channels_after;
} rn_pad_shortcut_params;

typedef struct rn_cross_entropy_params {
    double label_smoothing;
} rn_cross_entropy_params;

/** A run of parameters that share their settings; offsets and counts in f32 elements of the flat buffers. */
typedef struct rn_segment {
    uint64_t offset, count;
    uint32_t group; /**< scalars[group] is its lr */
    uint32_t reserved;
    double weight_decay;
} rn_segment;

typedef struct rn_segments_params {
    double clip_norm;
    uint64_t num_segments;
    const rn_segment *segments;
} rn_segments_params;

typedef struct rn_sgd_params {
    double momentum, dampening;
    int32_t nesterov, reserved;
    uint64_t num_segments;
    const rn_segment *segments;
} rn_sgd_params;

typedef struct rn_adam_params {
    double beta1, beta2, eps;
    int32_t decoupled, reserved;
    uint64_t state_stride; /**< elements from m to v in the state buffer */
    uint64_t num_segments;
    const rn_segment *segments;
} rn_adam_params;

/**
 * Kinds of steps of RN_OP_AUGMENT. Their random words w0 to w3: Philox4x32-10, key = seed, counter = (3, epoch, index of
 * the image, lane). below(a, b, k) is the integer part of (2^32 a + b) k / 2^64.
 */
enum {
    RN_AUGMENT_CROP = 1, /**< keeps height x width from row top + below(w0, w1, down), column left + below(w2, w3, across)
                              on; outside of the image are zeros */
    RN_AUGMENT_FLIP,     /**< left becomes right when w0 >> 8 < threshold */
    RN_AUGMENT_CUT,      /**< puts zeros into height x width from there on, as far as they are inside */
    RN_AUGMENT_SUBTRACT  /**< the mean, which is as large as the image here; at most one */
};

typedef struct rn_augment_step {
    int32_t kind;
    uint32_t lane;
    int32_t level;               /**< CROP, CUT: its zeros' row of fill */
    int32_t in_height, in_width; /**< of the image before it */
    int32_t top, left;
    int32_t down, across;        /**< CROP, CUT: 1 or more */
    int32_t height, width;
    uint32_t threshold;          /**< FLIP: 0 to 2^24 */
} rn_augment_step;

typedef struct rn_augment_params {
    uint64_t num_steps;
    const rn_augment_step *steps;
} rn_augment_params;

typedef struct rn_loss_scale_params {
    double growth, backoff; /**< both 1: the scale stays */
    double least, most;
    int64_t interval;
    int32_t host_counts; /**< 1: the host counts updates before it knows whether they are skipped */
    int32_t reserved;
} rn_loss_scale_params;

/** The metrics a program keeps on its device (role METRICS). */
typedef struct rn_step_metrics {
    double loss_sum, last_loss, grad_norm;
    int64_t count, correct, steps, nonfinite;
    int64_t step_nonfinite; /**< 1: a loss or gradient of the running update is not finite; ops only set it */
    double loss_scale;      /**< see RN_OP_LOSS_SCALE; 0 in a program without it */
    int64_t good_steps;     /**< updates since loss_scale changed */
    int64_t skipped;        /**< updates that were skipped */
    int64_t uncounted;      /**< those of them that rn_run::optimizer_step has counted: its host does not wait to learn of them */
} rn_step_metrics;

typedef struct rn_op {
    size_t struct_size;
    int32_t kind;
    uint32_t flags;
    const uint32_t *in, *out; /**< indexes of values */
    uint32_t num_in, num_out;
    const void *params; /**< the struct its kind names; NULL for none */
    size_t params_size;
    const char *path; /**< layer path, for errors and profiles */
    uint32_t workspace; /**< value in the arena of at least the size op_query asked for, or RN_NO_VALUE */
    uint32_t reserved;
} rn_op;

/** What a backend says of an op. */
typedef struct rn_op_info {
    size_t struct_size;
    uint64_t workspace;   /**< bytes it needs while it runs */
    uint64_t out_bytes;   /**< RN_OP_PACK: bytes of the packed value */
    int32_t in_place;     /**< index of the input that out[0] may share memory with, or -1 */
    int32_t one_packing;  /**< RN_OP_PACK: 1 when BACKWARD_DATA makes no difference, so that one serves both directions */
    /** for so many ops after this one nothing else is put into its operands' memory, so that they may run beside it; 0: none */
    int32_t late;
    int32_t reserved;
} rn_op_info;

typedef struct rn_program_desc {
    size_t struct_size;
    const rn_value *values;
    const rn_op *ops;
    uint32_t num_values, num_ops;
} rn_program_desc;

/** What changes from run to run. */
typedef struct rn_run {
    size_t struct_size;
    int64_t batch;               /**< images in this run, at most the values' dims[0] */
    uint32_t first_op, num_ops;
    void *const *base;           /**< RN_ROLE_COUNT addresses */
    const double *lr;            /**< one per optimizer group */
    int64_t optimizer_step;      /**< 1 at the first update */
    int64_t step;                /**< number of the forward, for dropout */
    uint64_t seed;
    double grad_scale;           /**< loss gradients are multiplied by it */
} rn_run;

/** The first failure of enqueued work. */
typedef struct rn_fault {
    size_t struct_size;
    rn_status status;
    int32_t reserved;
    char message[240];
} rn_fault;

/** Services of the library for a backend, which does not link it. */
typedef struct rn_host_api {
    size_t struct_size;
    void *host;
    void *(*alloc)(void *host, size_t size, size_t align);
    void (*free)(void *host, void *ptr, size_t size, size_t align);
    void (*log)(void *host, int32_t level, const char *text);
    /** Sets the calling thread's message (cut at 240 bytes) and returns `status`. */
    rn_status (*fail)(void *host, rn_status status, const char *message);
    rn_status (*parallel)(void *host, rn_task_fn task, void *arg, size_t count);
    int32_t num_threads, reserved;
} rn_host_api;

typedef struct rn_device_info {
    size_t struct_size;
    char name[32];         /**< "cpu", "cuda:0" */
    char description[160];
    uint64_t free_bytes, total_bytes;
    int32_t host_memory;   /**< 1: the host can address its memory */
    int32_t dlpack_type, dlpack_id; /**< as DLDevice; type 0: not expressible */
    int32_t activation_layout; /**< RN_LAYOUT_* of rank-4 activations */
} rn_device_info;

/**
 * A backend. Functions marked (optional) may be NULL. All return RN_OK or fail through host->fail(). Pointers named
 * `dev` come from device_open, `queue` from queue_create, `program` from program_create.
 */
typedef struct rn_backend {
    size_t struct_size;
    uint32_t abi_major, abi_minor;
    const char *name, *version;
    rn_status (*device_count)(const rn_host_api *host, int32_t *count);
    rn_status (*device_open)(const rn_host_api *host, int32_t index, void **dev);
    void (*device_close)(void *dev);
    rn_status (*device_info)(void *dev, rn_device_info *info);
    rn_status (*memory_alloc)(void *dev, uint64_t bytes, void **ptr); /**< 256-byte aligned, contents undefined */
    void (*memory_free)(void *dev, void *ptr, uint64_t bytes);
    rn_status (*copy_in)(void *dev, void *queue, void *dst, const void *src, uint64_t bytes);  /**< src is consumed on return */
    rn_status (*copy_out)(void *dev, void *queue, void *dst, const void *src, uint64_t bytes); /**< waits */
    rn_status (*copy)(void *dev, void *queue, void *dst, const void *src, uint64_t bytes);
    rn_status (*fill)(void *dev, void *queue, void *dst, uint64_t bytes); /**< zeroes */
    rn_status (*queue_create)(void *dev, void **queue);
    void (*queue_destroy)(void *dev, void *queue);
    rn_status (*queue_wait)(void *dev, void *queue, rn_fault *fault); /**< fault->status is RN_OK when all went well */
    /** RN_E_UNSUPPORTED when it has no such op, else what it needs. `values` have dims, dtype, layout, role; no offsets yet. */
    rn_status (*op_query)(void *dev, const rn_op *op, const rn_value *values, rn_op_info *out);
    rn_status (*program_create)(void *dev, const rn_program_desc *desc, void **program); /**< (optional) desc outlives it */
    rn_status (*program_run)(void *program, void *queue, const rn_run *run);             /**< with program_create */
    void (*program_destroy)(void *program);                                              /**< with program_create */
    rn_status (*op_run)(void *dev, void *queue, const rn_op *op, const rn_value *values, const rn_run *run);
    /** (optional) The contents of part of an allocation are no longer needed: its memory may go, its addresses stay. */
    void (*memory_discard)(void *dev, void *ptr, uint64_t bytes);
    /** (optional) A mark: a place in a queue's work, of which the device notes when it comes there. For profiles. */
    rn_status (*mark_create)(void *dev, void **mark);
    void (*mark_destroy)(void *dev, void *mark); /**< with mark_create */
    /** With mark_create. Behind what is enqueued, in place of where it was. */
    rn_status (*mark_record)(void *dev, void *queue, void *mark);
    /** With mark_create. Waits for both, of one queue; `seconds` from the first to the second by the device's clock. */
    rn_status (*mark_elapsed)(void *dev, void *from, void *to, double *seconds);
} rn_backend;

/** The one symbol of a module, `rn_backend_query`. @return RN_E_VERSION when the majors differ */
typedef rn_status (*rn_backend_query_fn)(uint32_t host_major, uint32_t host_minor, const rn_backend **out);

/** Adds a backend that is linked into the host; its devices are opened. `backend` must outlive the context. */
RN_API rn_status rn_context_register_backend(rn_context *ctx, const rn_backend *backend);

#ifdef __cplusplus
}
#endif
#endif
