/* SPDX-License-Identifier: MIT */
/*
 * Inside of layers. A leaf knows its shape rule, its state and how it is lowered to ops; containers (sequential,
 * residual) are walked by rni_layer_visit() for everybody: lowering, shapes, summaries.
 */
#ifndef RNI_LAYER_H
#define RNI_LAYER_H

#include "backend/context.h"
#include "program/program.h"
#include <resnet/layer.h>

/* Longest path of a layer, terminator included, and deepest nesting. */
enum { RNI_PATH_SIZE = 256, RNI_MAX_DEPTH = 64, RNI_MAX_STATES = 5 };

typedef struct rni_shape {
    int32_t rank;
    int64_t dims[RN_MAX_RANK];
} rni_shape;

/* How rn_model_init() fills a state entry. */
enum { RNI_FILL_CONSTANT = 0, RNI_FILL_UNIFORM = 1, RNI_FILL_NORMAL = 2 };

/* A parameter or buffer that a layer needs. */
typedef struct rni_state_decl {
    const char *name; /* "weight" */
    int32_t kind;     /* RN_STATE_*: see model.h */
    rn_dtype dtype;
    rni_shape shape;
    int32_t fill;  /* RNI_FILL_* */
    double amount; /* the constant, the bound of U(-amount, amount), or the standard deviation */
} rni_state_decl;

/* What flows between two layers. */
typedef struct rni_edge {
    rni_shape shape;
    uint32_t value;            /* in the program, when one is being made */
    char from[RNI_PATH_SIZE]; /* path of the layer it comes from */
} rni_edge;

typedef struct rni_lowering rni_lowering;

typedef struct rni_layer_class {
    const char *type; /* as torchinfo names it: "Conv2d" */
    /* Output shape; an error message without path or input shape. */
    rn_status (*infer)(const rn_layer *layer, const rni_shape *in, rni_shape *out);
    uint32_t (*states)(const rn_layer *layer, rni_state_decl *out); /* NULL: none */
    rn_status (*lower)(const rn_layer *layer, rni_lowering *low, const char *path, const rni_edge *in, rni_edge *out);
    int64_t (*macs)(const rn_layer *layer, const rni_shape *out); /* NULL: 0 */
    void (*describe)(const rn_layer *layer, char *text, size_t size); /* NULL: nothing; "3, 16, kernel 3x3" */
} rni_layer_class;

typedef struct rni_child {
    char *name;
    rn_layer *layer;
} rni_child;

struct rn_layer {
    atomic_int references;
    rn_context *ctx;
    const rni_layer_class *cls;
    int32_t frozen;       /* a model was made of it */
    int32_t level;        /* containers above it, at least: nesting stays within RNI_MAX_DEPTH */
    rni_child *children;  /* sequential: in order; residual: main, then shortcut if there is one */
    size_t num_children, cap_children;
    union {
        rn_conv2d_options conv;
        rn_batchnorm2d_options bn;
        rn_pool2d_options pool;
        int64_t output[2]; /* adaptive pooling: height and width */
        rn_linear_options linear;
        rn_pad_shortcut_options pad;
        uint64_t residual_flags;
        double dropout;
    } u;
};

extern const rni_layer_class rni_conv2d_class, rni_batchnorm2d_class, rni_relu_class, rni_maxpool2d_class,
    rni_avgpool2d_class, rni_global_avgpool2d_class, rni_adaptive_avgpool2d_class, rni_linear_class, rni_flatten_class,
    rni_dropout_class, rni_softmax_class, rni_identity_class, rni_pad_shortcut_class, rni_sequential_class,
    rni_residual_class;

rn_status rni_layer_create(rn_context *ctx, const rni_layer_class *cls, rn_layer **out);
/* Takes a reference to the child; name is copied. */
rn_status rni_layer_add_child(rn_layer *layer, const char *name, rn_layer *child);
/* RN_E_INVALID when `layer` (NULL: none) can be reached from `child`, or the tree would be too large or too deep. */
rn_status rni_layer_check_child(const rn_layer *layer, const rn_layer *child);
/* After a child found its place: its level and those below it. */
void rni_layer_raise_level(rn_layer *child, int32_t level);
/* RN_E_INVALID unless it is a legal path component ("" included). */
rn_status rni_layer_check_name(const char *name);
/* Freezes a tree. */
void rni_layer_freeze(rn_layer *layer);

/* How a weight of those fans and its bias begin; `init` is RN_INIT_*. */
void rni_fill_weight(rni_state_decl *weight, int32_t init, double fan_in, double fan_out);
void rni_fill_bias(rni_state_decl *bias, int zero, double fan_in);

/* [N, C, H, W] expected; a message otherwise. */
rn_status rni_expect_image(const rni_shape *in);
/* floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1; RN_E_SHAPE when below 1. */
rn_status rni_window_size(int64_t size, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation,
                          const char *axis, int64_t *out);

/* A walk over a tree in the order of execution (a shortcut before its main branch unless main_first). */
typedef struct rni_visitor {
    /* `out->shape` and `out->from` are set; may set out->value. NULL: shapes only. */
    rn_status (*leaf)(struct rni_visitor *v, const rn_layer *layer, const char *path, const rni_edge *in,
                      rni_edge *out);
    /* Joins the branches of a residual block. NULL: nothing to do. */
    rn_status (*join)(struct rni_visitor *v, const rn_layer *layer, const char *path, const rni_edge *main,
                      const rni_edge *shortcut, rni_edge *out);
    /* Before and after a container. NULL: nothing to do. */
    rn_status (*enter)(struct rni_visitor *v, const rn_layer *layer, const char *path, const rni_edge *in);
    rn_status (*leave)(struct rni_visitor *v, const rn_layer *layer, const char *path, const rni_edge *out);
    int main_first;
    int32_t depth;
    void *user;
} rni_visitor;

/* `path` is "" for the root. RN_E_SHAPE names the layer, what it expected, what came and from which layer. */
rn_status rni_layer_visit(const rn_layer *layer, rni_visitor *v, const char *path, const rni_edge *in, rni_edge *out);
/* What a net gets: value 0, of these sizes. RN_E_INVALID for the rank, RN_E_SHAPE for a size below 1. */
rn_status rni_input_edge(int32_t rank, const int64_t *dims, rni_edge *out);

/* Calls `state` for every state entry in the order of PyTorch's state_dict. */
typedef rn_status (*rni_state_fn)(void *user, const rn_layer *layer, uint32_t slot, const char *name,
                                  const rni_state_decl *decl);
rn_status rni_layer_states(const rn_layer *layer, const char *path, rni_state_fn state, void *user);

/* "path.name", without the dot when one of them is empty. RN_E_INVALID when it is too long. */
rn_status rni_path_join(char out[RNI_PATH_SIZE], const char *path, const char *name);

/* Sections of a program, in the order they stand in it. */
enum {
    RNI_SECTION_PREPARE = 0, /* derived weights; each op runs when it is stale */
    RNI_SECTION_INPUT,       /* the caller's x to the backend's layout */
    RNI_SECTION_FORWARD,
    RNI_SECTION_OUTPUT,      /* to the caller's y */
    RNI_SECTION_LOSS,        /* one of the two runs: against labels (MSE: values) */
    RNI_SECTION_SOFT_LOSS,   /* or against class probabilities */
    RNI_SECTION_DY,          /* the caller's dy to the backend's layout */
    RNI_SECTION_BACKWARD,
    RNI_SECTION_DX,          /* to the caller's dx */
    RNI_SECTION_UPDATE,
    RNI_SECTION_COUNT
};

/* A program under construction, as layers and passes see it. */
struct rni_lowering {
    rni_program p;
    uint8_t *section; /* per op */
    uint32_t cap_section;
    rn_device *dev;
    rn_dtype dtype;        /* of activations and packed weights */
    rn_dtype channel_dtype; /* of per-channel values: f32 beside bf16 and f16 */
    int32_t image_layout;  /* of rank-4 activations */
    int train;
    int cumulative;        /* running statistics are cumulative averages, whatever the layers say */
    int direct;            /* no Winograd */
    uint32_t dropouts;     /* lowered so far: their streams */
    int64_t min_batch;     /* fewest images a run needs: 2 where BN sees one pixel in training */
    /* The value of a state entry by its full name. */
    rn_status (*state)(rni_lowering *low, const char *name, uint32_t *value);
    /* The value of a parameter's gradient; RN_NO_VALUE when the parameter is frozen. */
    rn_status (*gradient)(rni_lowering *low, uint32_t param, uint32_t *grad);
    void *user;
};

/* An activation (ARENA) of the lowering's dtype; the batch is dims[0]. */
rn_status rni_lower_activation(rni_lowering *low, const rni_shape *shape, uint32_t *out);
/* A per-channel ARENA value. */
rn_status rni_lower_channels(rni_lowering *low, int64_t channels, uint32_t *out);
/* A DERIVED value. */
rn_status rni_lower_derived(rni_lowering *low, rn_dtype dtype, int32_t layout, const rni_shape *shape, uint32_t *out);
/* The value of state `name` of the layer at `path`. */
rn_status rni_lower_state(rni_lowering *low, const char *path, const char *name, uint32_t *out);
/* An op in a section. */
rn_status rni_lower_op(rni_lowering *low, int section, int32_t kind, uint32_t flags, const uint32_t *in,
                       uint32_t num_in, const uint32_t *out, uint32_t num_out, const void *params, size_t params_size,
                       const char *path);
/* Puts the ops from `first` on, appended by others, into a section. */
rn_status rni_lower_tag(rni_lowering *low, uint32_t first, int section);
/* One input, one output, in FORWARD: makes the output activation. */
rn_status rni_lower_simple(rni_lowering *low, int32_t kind, uint32_t flags, const void *params, size_t params_size,
                           const char *path, const rni_edge *in, rni_edge *out);
/* A per-channel parameter as it is, or converted to the type of such values by a PREPARE op. */
rn_status rni_lower_cast(rni_lowering *low, uint32_t param, const char *path, uint32_t *out);
/* Packs a convolution's weight (and optional scale); flags RN_OPF_BACKWARD_DATA. */
rn_status rni_lower_pack(rni_lowering *low, uint32_t weight, uint32_t scale, const rn_conv_params *params,
                         uint32_t flags, const char *path, uint32_t *out);

#endif
