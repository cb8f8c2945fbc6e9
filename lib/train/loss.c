/* SPDX-License-Identifier: MIT */
#include "base/abi.h"
#include "train/option.h"
#include "train/train.h"

static const rn_cross_entropy_options cross_entropy_defaults = RN_CROSS_ENTROPY_OPTIONS_INIT;
static const rn_mse_options mse_defaults = RN_MSE_OPTIONS_INIT;

rn_status rn_cross_entropy_options_init(rn_cross_entropy_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &cross_entropy_defaults, sizeof cross_entropy_defaults,
                        sizeof cross_entropy_defaults, "rn_cross_entropy_options");
}

rn_status rn_mse_options_init(rn_mse_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &mse_defaults, sizeof mse_defaults, sizeof mse_defaults,
                        "rn_mse_options");
}

static rn_status create(rn_context *ctx, int32_t op, double label_smoothing, rn_loss **out)
{
    rn_loss *const loss = rni_calloc(&ctx->allocator, 1, sizeof *loss);
    if (!loss)
        return rni_nomem("a loss", sizeof *loss);
    atomic_init(&loss->references, 1);
    loss->ctx = rn_context_retain(ctx);
    loss->op = op;
    loss->label_smoothing = label_smoothing;
    *out = loss;
    return RN_OK;
}

rn_status rn_cross_entropy_create(rn_context *ctx, const rn_cross_entropy_options *options, rn_loss **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(out);
    rn_cross_entropy_options o = cross_entropy_defaults;
    RNI_TRY(rni_abi_read(&o, sizeof o, sizeof o, options, "rn_cross_entropy_options"));
    RNI_TRY(rni_option_flags(o.flags, 0, "rn_cross_entropy_options.flags"));
    RNI_TRY(rni_option(o.label_smoothing >= 0.0 && o.label_smoothing < 1.0, "rn_cross_entropy_options.label_smoothing",
                       o.label_smoothing, "0 or more and below 1"));
    return create(ctx, RN_OP_CROSS_ENTROPY, o.label_smoothing, out);
}

rn_status rn_mse_create(rn_context *ctx, const rn_mse_options *options, rn_loss **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(out);
    rn_mse_options o = mse_defaults;
    RNI_TRY(rni_abi_read(&o, sizeof o, sizeof o, options, "rn_mse_options"));
    RNI_TRY(rni_option_flags(o.flags, 0, "rn_mse_options.flags"));
    return create(ctx, RN_OP_MSE, 0.0, out);
}

rn_loss *rn_loss_retain(rn_loss *loss)
{
    if (loss)
        rni_reference(&loss->references);
    return loss;
}

void rn_loss_release(rn_loss *loss)
{
    if (!loss || !rni_unreference(&loss->references))
        return;
    rn_context *const ctx = loss->ctx;
    rni_own_free(&loss->own);
    rni_free(&ctx->allocator, loss);
    rn_context_release(ctx);
}

int rni_loss_takes(const rn_loss *loss, int form)
{
    return form == RNI_TARGET_VALUES || loss->op == RN_OP_CROSS_ENTROPY;
}

static rn_status check_logits(const rn_value *pred)
{
    if (pred->rank == 2 && pred->dims[1] >= 1)
        return RN_OK;
    char text[RNI_SHAPE_TEXT];
    return rni_fail(RN_E_SHAPE, "cross-entropy: got logits of shape %s, expected [N, classes]",
                    rni_shape_text(text, pred->rank, pred->dims));
}

static rn_status append_target(rni_program *p, int form, const rn_value *pred, uint32_t *target)
{
    if (form == RNI_TARGET_VALUES)
        return rni_program_value(p, pred->dtype, RN_ROLE_TARGET, RN_LAYOUT_PLAIN, pred->rank, pred->dims, 1, target);
    return rni_program_value(p, RN_I64, RN_ROLE_TARGET, RN_LAYOUT_PLAIN, 1, pred->dims, 1, target);
}

rn_status rni_loss_append(const rn_loss *loss, rni_program *p, int form, uint32_t pred, uint32_t dpred,
                          uint32_t metrics, int scaled, uint32_t *target)
{
    const rn_value v = p->values[pred]; /* a copy: the array may move */
    const int classes = loss->op == RN_OP_CROSS_ENTROPY;
    const int32_t kind = classes && form == RNI_TARGET_VALUES ? RN_OP_SOFT_CROSS_ENTROPY : loss->op;
    const rn_cross_entropy_params params = {.label_smoothing = loss->label_smoothing};
    if (classes)
        RNI_TRY(check_logits(&v));
    RNI_TRY(append_target(p, form, &v, target));
    const uint32_t in[] = {pred, *target}, out[] = {dpred, metrics};
    const uint32_t flags = dpred == RN_NO_VALUE ? RN_OPF_NO_GRAD : scaled ? RN_OPF_LOSS_SCALE : 0;
    return rni_program_append(p, kind, flags, in, 2, out, 2,
                              classes ? &params : NULL, classes ? sizeof params : 0, "loss");
}

rn_status rni_check_labels(const int64_t *labels, int64_t count, int64_t classes)
{
    for (int64_t i = 0; i < count; i++)
        if (labels[i] < 0 || labels[i] >= classes)
            return rni_fail(RN_E_INVALID, "label %lld of image %lld is not in 0..%lld", (long long)labels[i],
                            (long long)i, (long long)classes - 1);
    return RN_OK;
}
