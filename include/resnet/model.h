/* SPDX-License-Identifier: MIT */
/**
 * @file model.h
 * Models: named parameters and buffers on a device.
 */
#ifndef RESNET_MODEL_H
#define RESNET_MODEL_H

#include <resnet/layer.h>
#include <resnet/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rn_model rn_model;

/** Kinds of state. */
enum {
    RN_STATE_PARAMETER = 0, /**< learned by an optimizer */
    RN_STATE_BUFFER = 1     /**< running statistics */
};

/** One parameter or buffer. The caller sets struct_size, the library fills what fits. */
typedef struct rn_state_entry {
    size_t struct_size;
    const char *name; /**< "layer1.0.conv1.weight"; lives as long as the model */
    rn_tensor *value; /**< borrowed from the model; f32, num_batches_tracked i64 */
    rn_tensor *grad;  /**< borrowed; NULL for buffers and before the first TRAIN plan */
    int32_t kind;     /**< RN_STATE_* */
    int32_t trainable; /**< 1: optimizers update it */
} rn_state_entry;
#define RN_STATE_ENTRY_INIT {sizeof(rn_state_entry), NULL, NULL, NULL, 0, 0}

/**
 * Makes the weights of a layer tree, initialised as by rn_model_init() with the context's seed, and freezes the tree.
 * @return RN_E_INVALID when two entries get the same name
 */
RN_API rn_status rn_model_create(rn_context *ctx, rn_layer *root, rn_device *dev, rn_model **out);
RN_API rn_model *rn_model_retain(rn_model *m);
RN_API void rn_model_release(rn_model *m);

/** @return its device, borrowed. */
RN_API rn_device *rn_model_device(const rn_model *m);
/** @return the layer tree, borrowed. */
RN_API rn_layer *rn_model_root(const rn_model *m);

/** Draws all weights anew by their layers' rules (RN_INIT_*); BN 1 and 0, buffers 0, 1, 0. Gradients are kept. */
RN_API rn_status rn_model_init(rn_model *m, uint64_t seed);

/** Sets running means to 0, variances to 1 and num_batches_tracked to 0: before an RN_PLAN_STATISTICS plan. */
RN_API rn_status rn_model_reset_statistics(rn_model *m);

/** A copy with its own weights, on the same or another device. Gradients are not copied. */
RN_API rn_status rn_model_copy(const rn_model *m, rn_device *dev, rn_model **out);

/** @return the number of state entries, parameters and buffers, in PyTorch's order of a state_dict. */
RN_API size_t rn_model_state_count(const rn_model *m);
/** Describes the index-th entry. @return RN_E_NOT_FOUND beyond the last */
RN_API rn_status rn_model_state(rn_model *m, size_t index, rn_state_entry *out);
/** Describes the entry of that name. @return RN_E_NOT_FOUND */
RN_API rn_status rn_model_find_state(rn_model *m, const char *name, rn_state_entry *out);

/** @return the number of elements in parameters; with `trainable_only` those that are not frozen. */
RN_API int64_t rn_model_parameter_count(const rn_model *m, int32_t trainable_only);

/**
 * Freezes (0) or thaws (1) the parameters whose names match a glob (`*`, `?`; a star also crosses dots). TRAIN plans
 * made before become stale: RN_E_STATE.
 * @param matched [out, optional] how many matched
 * @return RN_E_NOT_FOUND when none did
 */
RN_API rn_status rn_model_set_trainable(rn_model *m, const char *name_glob, int32_t trainable, size_t *matched);

/** Tells the model that weights were written through rn_tensor_data(), so that plans derive theirs anew. */
RN_API rn_status rn_model_mark_written(rn_model *m);

/** Sets all gradients to zero; nothing to do before the first TRAIN plan. */
RN_API rn_status rn_model_zero_grad(rn_model *m);

/**
 * Scales the gradients of all trainable parameters so that their joint 2-norm is at most max_norm, as
 * torch.nn.utils.clip_grad_norm_ does (coefficient max_norm / (norm + 1e-6), at most 1).
 * @param norm [out, optional] the norm before; asking for it waits
 */
RN_API rn_status rn_model_clip_grad_norm(rn_model *m, double max_norm, double *norm);

/** Writes a table in the manner of torchinfo: layer, output shape, parameters, multiply-adds for that input shape. */
RN_API rn_status rn_model_summary(const rn_model *m, int32_t rank, const int64_t *dims, rn_write_fn write, void *user);

/** How rn_model_write_dot() draws. */
typedef struct rn_dot_options {
    size_t struct_size;
    uint64_t flags;   /**< RN_DOT_* */
    const char *name; /**< [optional] of the net: the picture's title; keeps nets in one picture apart */
} rn_dot_options;
/** A box for every layer; else batch normalisation, ReLU, flatten, dropout and identity belong to the box before. */
#define RN_DOT_ALL_LAYERS 1u
#define RN_DOT_NAMES 2u         /**< paths in boxes and on blocks */
#define RN_DOT_SHAPES 4u        /**< in every box what it gives, without the batch: "64 x 56 x 56" */
#define RN_DOT_LEFT_TO_RIGHT 8u /**< else from top to bottom */
#define RN_DOT_SUBGRAPH 16u     /**< a subgraph, to stand in a digraph of the caller's with others; needs a name */
#define RN_DOT_OPTIONS_INIT {sizeof(rn_dot_options), 0, NULL}
RN_API rn_status rn_dot_options_init(rn_dot_options *options, size_t struct_size);

/**
 * Writes a picture in Graphviz's language DOT (`dot -Tsvg`), in the manner of He et al. 2015, figure 3: "3x3 conv, 64,
 * /2", a colour and "output size: 56" for every size of images, residual blocks framed, their shortcuts solid where they
 * are the identity and dotted where the dimensions change; a dotted line without a box pads with zeros. The same model
 * gives the same text.
 * @param dims    of the input, batch included
 * @param options [optional]
 * @return RN_E_SHAPE for an input that does not fit; what `write` returned
 */
RN_API rn_status rn_model_write_dot(const rn_model *m, int32_t rank, const int64_t *dims, const rn_dot_options *options,
                                    rn_write_fn write, void *user);

/** Multiply-adds of convolutions and linear layers for an input shape, batch included. */
RN_API rn_status rn_model_macs(const rn_model *m, int32_t rank, const int64_t *dims, int64_t *out);

/**
 * Replaces `from` at the start of a name, or the whole name, by `to`. With a star before it, `from` is replaced where it
 * first stands in the name: {"*.shortcut.", ".downsample."}. rn_zoo_renames() has tables for well-known files.
 */
typedef struct rn_rename {
    const char *from;
    const char *to;
} rn_rename;

/**
 * How rn_model_load() treats names. The lists are filled by the library, also when the load fails for them: one
 * name per line, malloc'ed by the library and given back with rn_load_report_release().
 */
typedef struct rn_load_options {
    size_t struct_size;
    uint64_t flags;           /**< RN_LOAD_* */
    const char *strip_prefix; /**< [optional] taken off names that begin with it: "module." of DataParallel */
    const rn_rename *renames; /**< [optional] tried in order after the prefix; the first that fits is used */
    size_t num_renames;
    char *missing;    /**< [out] names of the model that the file lacks; NULL when none */
    char *unexpected; /**< [out] names of the file that the model lacks; NULL when none */
    char *misshapen;  /**< [out] names with both shapes; NULL when none */
} rn_load_options;
/** Missing and unexpected names are no error. Misshapen ones always are. */
#define RN_LOAD_PARTIAL 1u
#define RN_LOAD_OPTIONS_INIT                                                 \
    {                                                                        \
        sizeof(rn_load_options), 0, NULL, NULL, 0, NULL, NULL, NULL          \
    }
RN_API rn_status rn_load_options_init(rn_load_options *options, size_t struct_size);
/** Frees the three lists and sets them to NULL. */
RN_API void rn_load_report_release(rn_load_options *options);

/** Writes all entries as a safetensors file, replacing `path` only when it is complete. @return RN_E_IO */
RN_API rn_status rn_model_save(const rn_model *m, const char *path);

/**
 * Writes all entries as PyTorch's state_dict: model.load_state_dict(torch.load(path, weights_only=True)). Replaces `path`
 * only when the file is complete. @return RN_E_IO, RN_E_UNSUPPORTED for more than 4 GiB
 */
RN_API rn_status rn_model_save_torch(const rn_model *m, const char *path);

/**
 * Reads weights from a safetensors file or from one that torch.save() wrote (zip archives of PyTorch 1.6 and later, and
 * the form before); the format is found by the file's first bytes. A dictionary of tensors is read, or the one it holds
 * as "state_dict", "model_state_dict", "model" or "net". Nothing in a file is ever called: pickles that name anything but
 * tensors, dictionaries and NumPy arrays are refused, and memory is bounded by the file's size. An absent
 * num_batches_tracked is taken as 0. Types f64, f16 and bf16 are converted. Either everything is loaded or, on an error,
 * nothing.
 * @param options [in, out, optional]
 * @return RN_E_NOT_FOUND or RN_E_IO for the file, RN_E_FORMAT (broken), RN_E_UNSUPPORTED (a name in a pickle, or packing,
 *         that is not read), RN_E_SHAPE (misshapen), RN_E_NOT_FOUND (missing or unexpected)
 */
RN_API rn_status rn_model_load(rn_model *m, const char *path, rn_load_options *options);

/** How rn_model_export_onnx() writes. */
typedef struct rn_onnx_options {
    size_t struct_size;
    uint64_t flags; /**< RN_ONNX_* */
} rn_onnx_options;
#define RN_ONNX_FOLD_BATCHNORM 1u /**< into the convolution before it, where nothing else reads that one */
#define RN_ONNX_FIXED_BATCH 2u    /**< dims[0] is the batch; else the graph takes any, named "batch" */
#define RN_ONNX_OPTIONS_INIT {sizeof(rn_onnx_options), 0}
RN_API rn_status rn_onnx_options_init(rn_onnx_options *options, size_t struct_size);

/**
 * Writes the model in inference mode as an ONNX file (IR version 8, opset 17), replacing `path` only when it is complete.
 * The graph has an input "input" and an output "output", f32; weights have the names of the model's state.
 * @param dims    of the input; all but the batch are fixed in the graph
 * @param options [optional]
 * @return RN_E_SHAPE for an input that does not fit, RN_E_UNSUPPORTED for a layer that ONNX has not or a file above 2 GiB
 *         (the format's limit), RN_E_INVALID for names that are not UTF-8, RN_E_IO
 */
RN_API rn_status rn_model_export_onnx(const rn_model *m, int32_t rank, const int64_t *dims,
                                      const rn_onnx_options *options, const char *path);

#ifdef __cplusplus
}
#endif
#endif
