/* SPDX-License-Identifier: MIT */
/* Adam (Kingma and Ba 2015, arXiv 1412.6980) and AdamW (Loshchilov and Hutter 2019, 1711.05101), as torch.optim's. */
#include "base/abi.h"
#include "train/option.h"
#include "train/segments.h"

static const rn_adam_options defaults = RN_ADAM_OPTIONS_INIT;

rn_status rn_adam_options_init(rn_adam_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults, "rn_adam_options");
}

static rn_status check(const rn_adam_options *o)
{
    static const char *const decay = "0 or more and below 1";
    RNI_TRY(rni_option_flags(o->flags, RN_ADAM_DECOUPLED, "rn_adam_options.flags"));
    RNI_TRY(rni_option_not_negative("rn_adam_options.lr", o->lr));
    RNI_TRY(rni_option(o->beta1 >= 0.0 && o->beta1 < 1.0, "rn_adam_options.beta1", o->beta1, decay));
    RNI_TRY(rni_option(o->beta2 >= 0.0 && o->beta2 < 1.0, "rn_adam_options.beta2", o->beta2, decay));
    RNI_TRY(rni_option_not_negative("rn_adam_options.eps", o->eps));
    return rni_option_not_negative("rn_adam_options.weight_decay", o->weight_decay);
}

rn_status rn_adam_create(rn_model *m, const rn_adam_options *options, rn_optimizer **out)
{
    RNI_REQUIRE(m);
    RNI_REQUIRE(out);
    rn_adam_options o = defaults;
    RNI_TRY(rni_abi_read(&o, sizeof o, sizeof o, options, "rn_adam_options"));
    RNI_TRY(check(&o));
    RNI_TRY(rni_model_expect_values(m, "rn_adam_create"));
    rn_optimizer *opt;
    RNI_TRY(rni_optimizer_create(m, RN_OP_ADAM, o.lr, o.weight_decay, 2, &opt));
    opt->adam = o;
    *out = opt;
    return RN_OK;
}

rn_status rni_adam_append(const rn_optimizer *opt, rni_program *p, uint32_t metrics)
{
    const uint64_t bytes = rni_parameter_bytes(opt->model);
    rn_adam_params params = {
        .beta1 = opt->adam.beta1,
        .beta2 = opt->adam.beta2,
        .eps = opt->adam.eps,
        .decoupled = (opt->adam.flags & RN_ADAM_DECOUPLED) != 0,
        .state_stride = bytes / sizeof(float),
    };
    RNI_TRY(rni_segments(p, opt->model, opt, &params.segments, &params.num_segments));
    uint32_t in[2] = {0, metrics}, out[2];
    RNI_TRY(rni_flat_value(p, RN_ROLE_PARAM_GRAD, bytes, &in[0]));
    RNI_TRY(rni_flat_value(p, RN_ROLE_PARAM, bytes, &out[0]));
    RNI_TRY(rni_flat_value(p, RN_ROLE_STATE, 2 * bytes, &out[1]));
    return rni_program_append(p, RN_OP_ADAM, 0, in, 2, out, 2, &params, sizeof params, "optimizer");
}
