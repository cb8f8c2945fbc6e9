/* SPDX-License-Identifier: MIT */
/*
 * One op with random operands, for checkkernel and checkbackend. Operands are doubles in plain order (NCHW, OIHW);
 * the runner puts them into a backend's element type and layout. What a correct f32 result may differ from the f64
 * reference is bounded by arithmetic: factor * sqrt(terms) * eps * scale, where scale is the sum of the absolute
 * values that were added up.
 */
#ifndef OP_CASE_H
#define OP_CASE_H

#include <resnet/sys/backend.h>
#include <stddef.h>
#include <stdint.h>

enum { OC_T = 0 };                /* dtype: the compute dtype of the run; per-channel values of a bf16 or f16 run are f32 */
enum { OC_IMAGE = 100 };          /* layout: the backend's layout of activations */
enum { OC_MAX_VALUES = 16, OC_MAX_OPS = 4, OC_MAX_GROUPS = 3 };

/* What a value holds before the run. */
enum {
    OC_NORMAL,   /* normal(0, 1), now and then a signed zero */
    OC_POSITIVE, /* 0.5 to 2 */
    OC_CORNERS,  /* NaN, infinities, zeroes, tiny and huge among normals */
    OC_TIES,     /* few different numbers */
    OC_UNSET,    /* to be overwritten */
    OC_GIVEN     /* the builder fills data */
};

/* How a value is compared after the run. */
enum { OC_INPUT, OC_EXACT, OC_BOUND, OC_METRICS, OC_OPAQUE };

typedef struct oc_value {
    rn_value v; /* dtype OC_T, layout OC_IMAGE */
    int32_t check;
    int32_t absolute; /* taken absolute in the run that finds the scale */
    size_t count;
    double *data;
    double *scale; /* NULL: from a run on absolute operands */
    double bf16_scale, f16_scale; /* more of it in such a run: what rounding operands adds */
} oc_value;

typedef struct oc_case {
    char name[96];
    oc_value values[OC_MAX_VALUES];
    uint32_t num_values;
    rn_op ops[OC_MAX_OPS];
    uint32_t in[OC_MAX_OPS][8], out[OC_MAX_OPS][8];
    uint32_t num_ops;
    union {
        rn_conv_params conv;
        rn_bn_params bn;
        rn_pool_params pool;
        rn_dropout_params dropout;
        rn_pad_shortcut_params pad;
        rn_cross_entropy_params cross_entropy;
        rn_segments_params segments;
        rn_sgd_params sgd;
        rn_adam_params adam;
        rn_augment_params augment;
        rn_loss_scale_params loss_scale;
    } params;
    rn_bn_params norm; /* of a batch normalisation among ops of `params`; no pixels: there is none */
    rn_segment segments[8];
    rn_augment_step augment[8];
    rn_run run;
    double lr[OC_MAX_GROUPS];
    double terms, factor; /* of the error bound */
    int shared_scale;     /* the largest scale of a value holds for all its elements: transforms mix neighbours */
    int rounds_again;     /* how often bf16 and f16 round besides outputs: packed weights that are products, or sums on their way */
    double rounds_inside; /* where bf16 is transformed: so many roundings of the scale over the root of the terms, at most */
    int rounds_term;      /* 1: what is added to an output of bf16 or f16 is rounded by itself first */
    int per_image;        /* an image's result must not depend on the batch */
    double bytes, flops;  /* of one run in f32, for --bench */
} oc_case;

/* Random numbers of the tests: xoshiro-like, seeded by the command line. */
typedef struct oc_rng {
    uint64_t state;
} oc_rng;
uint64_t oc_next(oc_rng *rng);
int64_t oc_range(oc_rng *rng, int64_t low, int64_t high); /* both included */
double oc_normal(oc_rng *rng);
int oc_chance(oc_rng *rng, int percent);
int64_t oc_pick(oc_rng *rng, const int64_t *list, size_t count);

/*
 * A family of cases. make() builds case `index`: small indexes walk through tails, later ones are random. bench() builds
 * shape `index` of the tables worth measuring and returns 0 when there are no more.
 */
typedef struct oc_family {
    const char *name;
    void (*make)(oc_case *c, oc_rng *rng, int index);
    int (*bench)(oc_case *c, oc_rng *rng, int index);
} oc_family;

/* All families, ended by one without a name. */
extern const oc_family oc_norm_families[], oc_elementwise_families[], oc_pool_families[], oc_linear_families[],
    oc_loss_families[], oc_update_families[], oc_conv_families[], oc_augment_families[];
/* The tables of families, ended by NULL. */
extern const oc_family *const oc_families[];

/*
 * A convolution of these parameters with its packed weights; `images` is dims[0], of which a run takes `batch`. flags are the
 * op's; scaled: weights are multiplied by a scale as they are packed.
 */
void oc_conv_forward(oc_case *c, oc_rng *rng, const rn_conv_params *p, int64_t images, int64_t batch, uint32_t flags,
                     int scaled);
/*
 * With the statistics of the output, in the op or, `apart`, by an op of their own. `offset` is added to the inputs: 0, or
 * what takes means away from zero.
 */
void oc_conv_forward_stats(oc_case *c, oc_rng *rng, const rn_conv_params *p, int64_t batch, double offset, int apart);
void oc_conv_backward_data(oc_case *c, oc_rng *rng, const rn_conv_params *p, int64_t images, int64_t batch,
                           uint32_t flags, int scaled);
void oc_conv_backward_filter(oc_case *c, oc_rng *rng, const rn_conv_params *p, int64_t images, int64_t batch);

/*
 * Batch normalisation with ReLU before a convolution with statistics, and the gradient of its filter. `offset` takes what is
 * normalised away from zero. The activation between them is OC_OPAQUE, so is the variance.
 */
void oc_conv_prologue(oc_case *c, oc_rng *rng, const rn_conv_params *p, int64_t batch, double offset);

/* Starts an op in the case; params are those of the case's union. */
rn_op *oc_op(oc_case *c, int32_t kind, uint32_t flags, size_t params_size);
/* Adds a value filled as `fill` says. batch: dims[0] is the batch. Returns its index. */
uint32_t oc_add(oc_case *c, oc_rng *rng, int32_t dtype, int32_t layout, int32_t rank, const int64_t *dims, int batch,
                int fill);
/* Makes a value the next operand of the last op; RN_NO_VALUE is passed on. */
void oc_in(oc_case *c, uint32_t value);
void oc_out(oc_case *c, uint32_t value, int check);

/* Shorter: an image [N,C,H,W] or matrix [N,C] of T with batch; a vector of T or f32. */
uint32_t oc_image(oc_case *c, oc_rng *rng, const int64_t dims[4], int fill);
uint32_t oc_matrix(oc_case *c, oc_rng *rng, int64_t rows, int64_t cols, int fill);
uint32_t oc_vector(oc_case *c, oc_rng *rng, int32_t dtype, int64_t count, int fill);
uint32_t oc_metrics(oc_case *c, oc_rng *rng);

/* Room for the scale of a value, zeroed. */
double *oc_scale(oc_case *c, uint32_t value);

/* [N,C,H,W] for case `index`: channels go through 1, 2, 3 ... then odd and usual counts. Sets run.batch. */
void oc_shape(oc_case *c, oc_rng *rng, int index, int64_t dims[4]);

void oc_begin(oc_case *c, const char *name);
void oc_free(oc_case *c);

#endif
