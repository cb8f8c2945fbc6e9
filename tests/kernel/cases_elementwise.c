/* SPDX-License-Identifier: MIT */
/* Elementwise ops, conversions, dropout and the padded shortcut: mostly exact. */
#include "op_case.h"
#include <math.h>
#include <string.h>

static const int64_t bench_shapes[][4] = {{100, 16, 32, 32}, {100, 64, 8, 8}, {8, 64, 112, 112}};
static const int64_t input_shapes[][4] = {{100, 3, 32, 32}, {16, 3, 224, 224}, {100, 64, 8, 8}};

static int pick_shape(oc_case *c, const int64_t shapes[][4], int count, int index, int64_t dims[4])
{
    if (index >= count)
        return 0;
    memcpy(dims, shapes[index], 4 * sizeof *dims);
    c->run.batch = dims[0];
    return 1;
}

static double bytes_of(const int64_t dims[4], int passes)
{
    return 4.0 * passes * (double)(dims[0] * dims[1] * dims[2] * dims[3]);
}

/* An op on `inputs` images that gives one; the batch is in c->run. */
static void simple_of(oc_case *c, oc_rng *rng, const char *name, int32_t kind, uint32_t flags, int inputs,
                      const int64_t dims[4], int fill)
{
    const int64_t batch = c->run.batch;
    oc_begin(c, name);
    c->run.batch = batch;
    oc_op(c, kind, flags, 0);
    for (int i = 0; i < inputs; i++)
        oc_in(c, oc_image(c, rng, dims, fill));
    oc_out(c, oc_image(c, rng, dims, OC_UNSET), OC_EXACT);
    c->per_image = 1;
    c->bytes = bytes_of(dims, inputs + 1);
}

static void make_relu(oc_case *c, oc_rng *rng, int index)
{
    int64_t dims[4];
    oc_shape(c, rng, index, dims);
    simple_of(c, rng, "relu", RN_OP_RELU, 0, 1, dims, index % 2 ? OC_CORNERS : OC_NORMAL);
}

static int bench_relu(oc_case *c, oc_rng *rng, int index)
{
    int64_t dims[4];
    if (!pick_shape(c, bench_shapes, 3, index, dims))
        return 0;
    simple_of(c, rng, "relu", RN_OP_RELU, 0, 1, dims, OC_NORMAL);
    return 1;
}

static void make_relu_backward(oc_case *c, oc_rng *rng, int index)
{
    int64_t dims[4];
    oc_shape(c, rng, index, dims);
    simple_of(c, rng, "relu_backward", RN_OP_RELU_BACKWARD, 0, 2, dims, index % 2 ? OC_CORNERS : OC_NORMAL);
}

static int bench_relu_backward(oc_case *c, oc_rng *rng, int index)
{
    int64_t dims[4];
    if (!pick_shape(c, bench_shapes, 3, index, dims))
        return 0;
    simple_of(c, rng, "relu_backward", RN_OP_RELU_BACKWARD, 0, 2, dims, OC_NORMAL);
    return 1;
}

static void make_add(oc_case *c, oc_rng *rng, int index)
{
    int64_t dims[4];
    oc_shape(c, rng, index, dims);
    const uint32_t flags = index % 2 ? RN_OPF_RELU : 0;
    simple_of(c, rng, flags ? "add relu" : "add", RN_OP_ADD, flags, 2, dims, OC_NORMAL);
}

static int bench_add(oc_case *c, oc_rng *rng, int index)
{
    int64_t dims[4];
    if (!pick_shape(c, bench_shapes, 3, index, dims))
        return 0;
    simple_of(c, rng, "add relu", RN_OP_ADD, RN_OPF_RELU, 2, dims, OC_NORMAL);
    return 1;
}

static void accumulate_of(oc_case *c, oc_rng *rng, const int64_t dims[4])
{
    const int64_t batch = c->run.batch;
    oc_begin(c, "accumulate");
    c->run.batch = batch;
    oc_op(c, RN_OP_ACCUMULATE, 0, 0);
    oc_in(c, oc_image(c, rng, dims, OC_NORMAL));
    oc_out(c, oc_image(c, rng, dims, OC_NORMAL), OC_EXACT);
    c->bytes = bytes_of(dims, 3);
}

static void make_accumulate(oc_case *c, oc_rng *rng, int index)
{
    int64_t dims[4];
    oc_shape(c, rng, index, dims);
    accumulate_of(c, rng, dims);
}

static int bench_accumulate(oc_case *c, oc_rng *rng, int index)
{
    int64_t dims[4];
    if (!pick_shape(c, bench_shapes, 3, index, dims))
        return 0;
    accumulate_of(c, rng, dims);
    return 1;
}

static void fill_of(oc_case *c, oc_rng *rng, int64_t length)
{
    oc_begin(c, "fill");
    oc_op(c, RN_OP_FILL, 0, 0);
    oc_out(c, oc_vector(c, rng, RN_F32, length, OC_NORMAL), OC_EXACT);
    c->bytes = 4.0 * (double)length;
}

static void make_fill(oc_case *c, oc_rng *rng, int index)
{
    fill_of(c, rng, index < 40 ? index + 1 : oc_range(rng, 1, 200000));
}

/* The gradients of the tutorial net and of a ResNet-18. */
static int bench_fill(oc_case *c, oc_rng *rng, int index)
{
    if (index > 1)
        return 0;
    fill_of(c, rng, index ? 11700000 : 195738);
    return 1;
}

static void convert_of(oc_case *c, oc_rng *rng, const int64_t dims[4], int from_layout, int to_layout, int types,
                       int adds)
{
    const int64_t batch = c->run.batch;
    oc_begin(c, from_layout == to_layout ? "convert" : from_layout == OC_IMAGE ? "convert to_plain" : "convert to_image");
    if (adds)
        strcat(c->name, " accumulate");
    c->run.batch = batch;
    oc_op(c, RN_OP_CONVERT, adds ? RN_OPF_ACCUMULATE : 0, 0);
    oc_in(c, oc_add(c, rng, types & 1 ? RN_F32 : OC_T, from_layout, 4, dims, 1, OC_NORMAL));
    oc_out(c, oc_add(c, rng, types & 2 ? RN_F32 : OC_T, to_layout, 4, dims, 1, adds ? OC_NORMAL : OC_UNSET), OC_EXACT);
    c->bytes = bytes_of(dims, 2);
}

static void make_convert(oc_case *c, oc_rng *rng, int index)
{
    int64_t dims[4];
    oc_shape(c, rng, index, dims);
    const int from = index & 1 ? OC_IMAGE : RN_LAYOUT_PLAIN, to = index & 2 ? OC_IMAGE : RN_LAYOUT_PLAIN;
    convert_of(c, rng, dims, from, to, index / 4 % 4, index % 3 == 2);
}

static int bench_convert(oc_case *c, oc_rng *rng, int index)
{
    int64_t dims[4];
    if (!pick_shape(c, input_shapes, 3, index / 2, dims))
        return 0;
    convert_of(c, rng, dims, index & 1 ? OC_IMAGE : RN_LAYOUT_PLAIN, index & 1 ? RN_LAYOUT_PLAIN : OC_IMAGE, 0, 0);
    return 1;
}

static void dropout_of(oc_case *c, oc_rng *rng, const int64_t dims[4], int index)
{
    static const double rates[] = {0.5, 0.1, 0, 1, 0.9};
    const int64_t batch = c->run.batch;
    oc_begin(c, index & 1 ? "dropout_backward" : "dropout");
    oc_op(c, index & 1 ? RN_OP_DROPOUT_BACKWARD : RN_OP_DROPOUT, 0, sizeof(rn_dropout_params));
    c->params.dropout = (rn_dropout_params){.p = rates[index % 5], .stream = (uint32_t)(index % 3)};
    c->run.batch = batch;
    c->run.seed = oc_next(rng);
    c->run.step = oc_range(rng, 0, 1000);
    oc_in(c, index % 4 == 3 ? oc_matrix(c, rng, dims[0], dims[1], OC_NORMAL) : oc_image(c, rng, dims, OC_NORMAL));
    oc_out(c, index % 4 == 3 ? oc_matrix(c, rng, dims[0], dims[1], OC_UNSET) : oc_image(c, rng, dims, OC_UNSET),
           OC_EXACT);
    c->bytes = bytes_of(dims, 2);
}

static void make_dropout(oc_case *c, oc_rng *rng, int index)
{
    int64_t dims[4];
    oc_shape(c, rng, index, dims);
    dropout_of(c, rng, dims, index);
}

static int bench_dropout(oc_case *c, oc_rng *rng, int index)
{
    int64_t dims[4];
    if (!pick_shape(c, bench_shapes, 1, index, dims))
        return 0;
    dropout_of(c, rng, dims, 0);
    return 1;
}

/* From dims to out, or back. The parameters are in the case. */
static void pad_of(oc_case *c, oc_rng *rng, const int64_t dims[4], int backward)
{
    const rn_pad_shortcut_params p = c->params.pad;
    const int64_t batch = c->run.batch;
    const int64_t out[4] = {dims[0], dims[1] + p.channels_before + p.channels_after, (dims[2] - 1) / p.stride[0] + 1,
                            (dims[3] - 1) / p.stride[1] + 1};
    oc_begin(c, backward ? "pad_shortcut_backward" : "pad_shortcut");
    c->run.batch = batch;
    c->params.pad = p;
    oc_op(c, backward ? RN_OP_PAD_SHORTCUT_BACKWARD : RN_OP_PAD_SHORTCUT, 0, sizeof p);
    oc_in(c, oc_image(c, rng, backward ? out : dims, OC_NORMAL));
    oc_out(c, oc_image(c, rng, backward ? dims : out, OC_UNSET), OC_EXACT);
    /* What is read: the pixels of the stride. What is written: all. */
    c->bytes = 4.0 * (double)(dims[0] * dims[1] * out[2] * out[3]) + bytes_of(backward ? dims : out, 1);
}

static void make_pad(oc_case *c, oc_rng *rng, int index)
{
    int64_t dims[4];
    oc_shape(c, rng, index, dims);
    rn_pad_shortcut_params *const p = &c->params.pad;
    for (int i = 0; i < 2; i++)
        p->stride[i] = oc_range(rng, 1, 3);
    p->channels_before = oc_range(rng, 0, 9);
    p->channels_after = oc_range(rng, 0, 9);
    pad_of(c, rng, dims, index & 1);
}

static int bench_pad(oc_case *c, oc_rng *rng, int index)
{
    int64_t dims[4];
    if (!pick_shape(c, bench_shapes, 1, index / 2, dims))
        return 0;
    c->params.pad = (rn_pad_shortcut_params){{2, 2}, 8, 8};
    pad_of(c, rng, dims, index & 1);
    return 1;
}

const oc_family oc_elementwise_families[] = {
    {"relu", make_relu, bench_relu},
    {"relu_backward", make_relu_backward, bench_relu_backward},
    {"add", make_add, bench_add},
    {"accumulate", make_accumulate, bench_accumulate},
    {"fill", make_fill, bench_fill},
    {"convert", make_convert, bench_convert},
    {"dropout", make_dropout, bench_dropout},
    {"pad_shortcut", make_pad, bench_pad},
    {NULL, NULL, NULL},
};
