/* SPDX-License-Identifier: MIT */
/* Losses outside a plan: a program of one op through the device's backend, kept in the loss for the next call. */
#include "train/train.h"
#include <string.h>

/* f32 or f64 in plain order, of the context, with memory. */
static rn_status check_values(const rn_tensor *t, const rn_context *ctx, const char *what)
{
    if (t->dev->ctx != ctx)
        return rni_fail(RN_E_DEVICE, "%s is on a device of another context", what);
    if (t->dtype != RN_F32 && t->dtype != RN_F64)
        return rni_fail(RN_E_DTYPE, "%s is %s, expected f32 or f64", what, rn_dtype_name(t->dtype));
    if (t->layout != RN_LAYOUT_PLAIN)
        return rni_fail(RN_E_UNSUPPORTED, "%s is in the backend's own layout, expected plain order", what);
    return rni_tensor_expect_memory(t, what);
}

/* Device, type and shape of `like`, plain order. */
static rn_status check_alike(const rn_tensor *t, const rn_tensor *like, const char *what)
{
    RNI_TRY(rni_tensor_expect(t, like->dev, like->dtype, what));
    RNI_TRY(check_values(t, like->dev->ctx, what));
    if (rni_shape_equal(t->rank, t->dims, like->rank, like->dims))
        return RN_OK;
    char got[RNI_SHAPE_TEXT], expected[RNI_SHAPE_TEXT];
    return rni_fail(RN_E_SHAPE, "%s has shape %s, expected %s", what, rni_shape_text(got, t->rank, t->dims),
                    rni_shape_text(expected, like->rank, like->dims));
}

static rn_status check_labels(const rn_tensor *labels, const rn_tensor *pred, const char *what)
{
    RNI_TRY(rni_tensor_expect(labels, pred->dev, RN_I64, what));
    if (labels->rank != 1 || labels->dims[0] != pred->dims[0]) {
        char text[RNI_SHAPE_TEXT];
        return rni_fail(RN_E_SHAPE, "%s has shape %s, expected [%lld]", what,
                        rni_shape_text(text, labels->rank, labels->dims), (long long)pred->dims[0]);
    }
    if (!pred->dev->info.host_memory)
        return RN_OK; /* the backend looks at them where they are */
    RNI_TRY(rni_device_wait(pred->dev));
    return rni_check_labels(rni_tensor_address(labels), labels->count, pred->dims[1]);
}

static rn_status check_pred(const rn_loss *loss, const rn_tensor *pred)
{
    RNI_TRY(check_values(pred, loss->ctx, "rn_loss_compute: pred"));
    const int logits = loss->op == RN_OP_CROSS_ENTROPY;
    if (pred->count > 0 && (!logits || pred->rank == 2))
        return RN_OK;
    char text[RNI_SHAPE_TEXT];
    return rni_fail(RN_E_SHAPE, "rn_loss_compute: pred has shape %s, expected %s",
                    rni_shape_text(text, pred->rank, pred->dims),
                    logits ? "[N, classes], not empty" : "at least one element");
}

/* Cross-entropy takes floating-point targets as class probabilities. */
static int form_of(const rn_loss *loss, const rn_tensor *target)
{
    const int floats = target->dtype == RN_F32 || target->dtype == RN_F64;
    return loss->op == RN_OP_CROSS_ENTROPY && !floats ? RNI_TARGET_LABELS : RNI_TARGET_VALUES;
}

static rn_status check_arguments(const rn_loss *loss, const rn_tensor *pred, const rn_tensor *target,
                                 const rn_tensor *dpred)
{
    RNI_TRY(check_pred(loss, pred));
    if (form_of(loss, target) == RNI_TARGET_LABELS)
        RNI_TRY(check_labels(target, pred, "rn_loss_compute: target"));
    else
        RNI_TRY(check_alike(target, pred, "rn_loss_compute: target"));
    return dpred ? check_alike(dpred, pred, "rn_loss_compute: dpred") : RN_OK;
}

/* Any shape as [N, rest]: the mean over all elements does not care. */
static void flat_shape(const rn_tensor *t, int64_t dims[2])
{
    dims[0] = t->rank > 0 ? t->dims[0] : 1;
    dims[1] = t->count / dims[0];
}

/* The program kept in the loss is for this call as well. */
static int fits(const rn_loss *loss, int form, const rn_tensor *pred, const int64_t dims[2], int with_grad)
{
    if (!loss->own.compiled || loss->own.dev != pred->dev || loss->own_gradient != with_grad || loss->own_form != form)
        return 0;
    const rn_value *const v = &loss->own.program.values[loss->own.metrics_value + 1];
    return v->dtype == pred->dtype && v->dims[0] == dims[0] && v->dims[1] == dims[1];
}

static rn_status fill_program(rn_loss *loss, int form, rn_dtype dtype, const int64_t dims[2], int with_grad)
{
    rni_program *const p = &loss->own.program;
    uint32_t x, target, dpred = RN_NO_VALUE;
    RNI_TRY(rni_program_value(p, dtype, RN_ROLE_X, RN_LAYOUT_PLAIN, 2, dims, 1, &x));
    if (with_grad)
        RNI_TRY(rni_program_value(p, dtype, RN_ROLE_DX, RN_LAYOUT_PLAIN, 2, dims, 1, &dpred));
    RNI_TRY(rni_loss_append(loss, p, form, x, dpred, loss->own.metrics_value, 0, &target));
    return rni_own_compile(&loss->own);
}

static rn_status prepare(rn_loss *loss, int form, const rn_tensor *pred, const int64_t dims[2], int with_grad)
{
    if (fits(loss, form, pred, dims, with_grad))
        return rni_device_check(pred->dev);
    rni_own_free(&loss->own);
    RNI_TRY(rni_own_begin(&loss->own, pred->dev));
    const rn_status status = fill_program(loss, form, pred->dtype, dims, with_grad);
    if (status < 0)
        rni_own_free(&loss->own);
    loss->own_gradient = with_grad;
    loss->own_form = form;
    return status;
}

rn_status rn_loss_compute(rn_loss *loss, const rn_tensor *pred, const rn_tensor *target, rn_tensor *dpred, float *value)
{
    RNI_REQUIRE(loss);
    RNI_REQUIRE(pred);
    RNI_REQUIRE(target);
    RNI_TRY(check_arguments(loss, pred, target, dpred));
    int64_t dims[2];
    flat_shape(pred, dims);
    RNI_TRY(prepare(loss, form_of(loss, target), pred, dims, dpred != NULL));
    void *base[RN_ROLE_COUNT] = {NULL};
    base[RN_ROLE_X] = rni_tensor_address(pred);
    base[RN_ROLE_TARGET] = rni_tensor_address(target);
    base[RN_ROLE_DX] = dpred ? rni_tensor_address(dpred) : NULL;
    const rn_run run = {.batch = dims[0], .grad_scale = 1.0};
    RNI_TRY(rni_own_run(&loss->own, base, &run));
    if (!value)
        return RN_OK;
    rn_step_metrics metrics;
    RNI_TRY(rni_own_metrics(&loss->own, &metrics));
    *value = (float)metrics.last_loss;
    return RN_OK;
}
