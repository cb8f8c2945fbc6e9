/* SPDX-License-Identifier: MIT */
/* torch.optim.SGD; momentum after Sutskever et al. 2013, with the learning rate outside the buffer. */
#include "base/abi.h"
#include "train/option.h"
#include "train/segments.h"
#include <math.h>

static const rn_sgd_options defaults = RN_SGD_OPTIONS_INIT;

rn_status rn_sgd_options_init(rn_sgd_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults, "rn_sgd_options");
}

static rn_status check(const rn_sgd_options *o)
{
    RNI_TRY(rni_option_flags(o->flags, RN_SGD_NESTEROV, "rn_sgd_options.flags"));
    RNI_TRY(rni_option_not_negative("rn_sgd_options.lr", o->lr));
    RNI_TRY(rni_option_not_negative("rn_sgd_options.momentum", o->momentum));
    RNI_TRY(rni_option(isfinite(o->dampening), "rn_sgd_options.dampening", o->dampening, "a finite number"));
    RNI_TRY(rni_option_not_negative("rn_sgd_options.weight_decay", o->weight_decay));
    if (!(o->flags & RN_SGD_NESTEROV))
        return RN_OK;
    RNI_TRY(rni_option(o->momentum > 0.0, "rn_sgd_options.momentum", o->momentum, "above 0 with RN_SGD_NESTEROV"));
    return rni_option(o->dampening == 0.0, "rn_sgd_options.dampening", o->dampening, "0 with RN_SGD_NESTEROV");
}

rn_status rn_sgd_create(rn_model *m, const rn_sgd_options *options, rn_optimizer **out)
{
    RNI_REQUIRE(m);
    RNI_REQUIRE(out);
    rn_sgd_options o = defaults;
    RNI_TRY(rni_abi_read(&o, sizeof o, sizeof o, options, "rn_sgd_options"));
    RNI_TRY(check(&o));
    RNI_TRY(rni_model_expect_values(m, "rn_sgd_create"));
    rn_optimizer *opt;
    RNI_TRY(rni_optimizer_create(m, RN_OP_SGD, o.lr, o.weight_decay, o.momentum > 0.0 ? 1 : 0, &opt));
    opt->sgd = o;
    *out = opt;
    return RN_OK;
}

rn_status rni_sgd_append(const rn_optimizer *opt, rni_program *p, uint32_t metrics)
{
    rn_sgd_params params = {
        .momentum = opt->sgd.momentum,
        .dampening = opt->sgd.dampening,
        .nesterov = (opt->sgd.flags & RN_SGD_NESTEROV) != 0,
    };
    RNI_TRY(rni_segments(p, opt->model, opt, &params.segments, &params.num_segments));
    const uint64_t bytes = rni_parameter_bytes(opt->model);
    uint32_t in[2] = {0, metrics}, out[2] = {0, RN_NO_VALUE};
    RNI_TRY(rni_flat_value(p, RN_ROLE_PARAM_GRAD, bytes, &in[0]));
    RNI_TRY(rni_flat_value(p, RN_ROLE_PARAM, bytes, &out[0]));
    if (opt->state)
        RNI_TRY(rni_flat_value(p, RN_ROLE_STATE, bytes, &out[1]));
    return rni_program_append(p, RN_OP_SGD, 0, in, 2, out, 2, &params, sizeof params, "optimizer");
}
