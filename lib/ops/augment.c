/* SPDX-License-Identifier: MIT */
/* Operands of RN_OP_AUGMENT: the steps lead from the stored images' size to that of the batch. */
#include "base/error.h"
#include "base/half.h"
#include "ops/operands.h"

/* Sizes and offsets of steps are at most this, so that their sums are 32-bit numbers. */
enum { MOST = 1 << 30, THRESHOLDS = 1 << 24, MOST_STEPS = 64 };

enum { IMAGES, LABELS, ORDER, KEY, TABLE, FILL, MEAN, AFTER };

static const rn_value *operand(const rn_op *op, const rn_value *values, uint32_t i)
{
    return i < op->num_in && op->in[i] != RN_NO_VALUE ? &values[op->in[i]] : NULL;
}

/* An operand of known dims. */
static rn_status check_value(const rn_op *op, const char *name, const rn_value *v, int32_t dtype, int32_t rank,
                             const int64_t *dims)
{
    char expected[RNI_SHAPE_TEXT], got[RNI_SHAPE_TEXT];
    int equal = v->rank == rank && v->layout == RN_LAYOUT_PLAIN;
    for (int32_t i = 0; equal && i < rank; i++)
        equal = v->dims[i] == dims[i];
    if (v->dtype != dtype)
        return rni_ops_refuse(op, RN_E_DTYPE, "%s: %s expected, got %s", name, rn_dtype_name(dtype),
                              rn_dtype_name(v->dtype));
    if (!equal)
        return rni_ops_refuse(op, RN_E_SHAPE, "%s: plain %s expected, got %s", name,
                              rni_shape_text(expected, rank, dims), rni_shape_text(got, v->rank, v->dims));
    return RN_OK;
}

/* Images of rank 4 whose numbers can be counted in 32 bits. */
static rn_status check_images(const rn_op *op, const char *name, const rn_value *v)
{
    char text[RNI_SHAPE_TEXT];
    int64_t numbers = 1;
    int good = v->rank == 4 && v->dims[0] >= 1;
    for (int32_t i = 1; good && i < 4; i++) {
        good = v->dims[i] >= 1 && v->dims[i] <= MOST / numbers;
        numbers *= good ? v->dims[i] : 1;
    }
    if (good)
        return RN_OK;
    return rni_ops_refuse(op, RN_E_SHAPE, "%s: [N, C, H, W] with at most 2^30 numbers an image expected, got %s", name,
                          rni_shape_text(text, v->rank, v->dims));
}

static int is_offset(int32_t value)
{
    return value >= -MOST && value <= MOST;
}

static int is_size(int32_t value)
{
    return value >= 1 && value <= MOST;
}

/* What a step may have, and the size of the image behind it. */
static rn_status check_step(const rn_op *op, const rn_augment_step *s, uint64_t number, int64_t levels, int64_t size[2])
{
    const int moves = s->kind == RN_AUGMENT_CROP || s->kind == RN_AUGMENT_CUT;
    int good = s->kind >= RN_AUGMENT_CROP && s->kind <= RN_AUGMENT_SUBTRACT;
    good = good && s->in_height == size[0] && s->in_width == size[1];
    if (moves)
        good = good && is_size(s->height) && is_size(s->width) && is_size(s->down) && is_size(s->across) &&
               is_offset(s->top) && is_offset(s->left) && s->level >= 0 && s->level < levels;
    if (s->kind == RN_AUGMENT_FLIP)
        good = good && s->threshold <= THRESHOLDS;
    if (!good)
        return rni_ops_refuse(op, RN_E_INVALID, "step %llu, of kind %d, does not fit images of %lld x %lld",
                              (unsigned long long)number, (int)s->kind, (long long)size[0], (long long)size[1]);
    if (s->kind == RN_AUGMENT_CROP) {
        size[0] = s->height;
        size[1] = s->width;
    }
    return RN_OK;
}

/* Exactly the step that subtracts has a mean, of the images' size there. */
static rn_status check_mean(const rn_op *op, const rn_value *values, uint64_t subtracts, const int64_t size[2])
{
    const rn_value *const mean = operand(op, values, MEAN), *const after = operand(op, values, AFTER);
    const int64_t channels = values[op->in[IMAGES]].dims[1], dims[3] = {channels, size[0], size[1]};
    if (subtracts != (mean != NULL) || (after && !mean))
        return rni_ops_refuse(op, RN_E_INVALID, "%llu steps subtract a mean, of which there %s",
                              (unsigned long long)subtracts, mean ? "is one" : "is none");
    if (!mean)
        return RN_OK;
    RNI_TRY(check_value(op, "mean", mean, RN_F32, 3, dims));
    return after ? check_value(op, "after", after, RN_F32, 3, (const int64_t[3]){after->dims[0], 2, channels}) : RN_OK;
}

static rn_status check_steps(const rn_op *op, const rn_value *values)
{
    const rn_augment_params *const p = op->params;
    const rn_value *const from = &values[op->in[IMAGES]], *const x = &values[op->out[0]];
    int64_t size[2] = {from->dims[2], from->dims[3]}, mean_size[2] = {0, 0};
    uint64_t subtracts = 0;
    if (p->num_steps > MOST_STEPS || (p->num_steps && !p->steps))
        return rni_ops_refuse(op, RN_E_INVALID, "%llu steps, 0 to %d expected", (unsigned long long)p->num_steps,
                              MOST_STEPS);
    for (uint64_t i = 0; i < p->num_steps; i++) {
        RNI_TRY(check_step(op, &p->steps[i], i, values[op->in[FILL]].dims[0], size));
        if (p->steps[i].kind != RN_AUGMENT_SUBTRACT)
            continue;
        subtracts++;
        mean_size[0] = size[0];
        mean_size[1] = size[1];
    }
    if (x->dims[1] != from->dims[1] || x->dims[2] != size[0] || x->dims[3] != size[1])
        return rni_ops_refuse(op, RN_E_SHAPE,
                              "x: [n, %lld, %lld, %lld] expected behind the steps, got [n, %lld, %lld, %lld]",
                              (long long)from->dims[1], (long long)size[0], (long long)size[1], (long long)x->dims[1],
                              (long long)x->dims[2], (long long)x->dims[3]);
    return check_mean(op, values, subtracts, mean_size);
}

static rn_status check_x(const rn_op *op, const rn_value *x)
{
    RNI_TRY(check_images(op, "x", x));
    if (!rni_is_compute_dtype(x->dtype))
        return rni_ops_refuse(op, RN_E_UNSUPPORTED, "x: makes f32, f64, bf16 and f16, not %s", rn_dtype_name(x->dtype));
    if (x->layout != RN_LAYOUT_PLAIN && x->layout != RN_LAYOUT_NHWC)
        return rni_ops_refuse(op, RN_E_UNSUPPORTED, "x: layout %d", (int)x->layout);
    return RN_OK;
}

rn_status rni_ops_check_augment(const rn_op *op, const rn_value *values)
{
    const rn_value *const from = &values[op->in[IMAGES]], *const x = &values[op->out[0]];
    const rn_value *const fill = &values[op->in[FILL]];
    RNI_TRY(check_images(op, "images", from));
    RNI_TRY(check_x(op, x));
    const int64_t stored = from->dims[0], channels = from->dims[1], levels = fill->dims[0] < 1 ? 1 : fill->dims[0];
    RNI_TRY(check_value(op, "images", from, RN_U8, 4, from->dims));
    RNI_TRY(check_value(op, "labels", &values[op->in[LABELS]], RN_I64, 1, &stored));
    RNI_TRY(check_value(op, "order", &values[op->in[ORDER]], RN_I64, 1, x->dims));
    RNI_TRY(check_value(op, "key", &values[op->in[KEY]], RN_I64, 1, (const int64_t[1]){2}));
    RNI_TRY(check_value(op, "table", &values[op->in[TABLE]], RN_F32, 2, (const int64_t[2]){channels, 256}));
    RNI_TRY(check_value(op, "fill", fill, RN_F32, 2, (const int64_t[2]){levels, channels}));
    RNI_TRY(check_value(op, "y", &values[op->out[1]], RN_I64, 1, x->dims));
    return check_steps(op, values);
}
