/* SPDX-License-Identifier: MIT */
/* Models as ONNX files. */
#include "base/abi.h"
#include "format/onnx_layers.h"
#include <inttypes.h>

static const rn_onnx_options defaults = RN_ONNX_OPTIONS_INIT;

rn_status rn_onnx_options_init(rn_onnx_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults, "rn_onnx_options");
}

rn_status rn_model_export_onnx(const rn_model *m, int32_t rank, const int64_t *dims, const rn_onnx_options *options,
                               const char *path)
{
    RNI_REQUIRE(m);
    RNI_REQUIRE(dims);
    RNI_REQUIRE(path);
    RNI_TRY(rni_model_expect_values(m, "rn_model_export_onnx"));
    rn_onnx_options o = defaults;
    RNI_TRY(rni_abi_read(&o, sizeof o, sizeof o, options, "rn_onnx_options"));
    if (o.flags & ~(uint64_t)(RN_ONNX_FOLD_BATCHNORM | RN_ONNX_FIXED_BATCH))
        return rni_fail(RN_E_INVALID, "options.flags: unknown flag in 0x%" PRIx64, o.flags);
    rni_onnx_export x = {.model = m, .flags = o.flags};
    rn_status status = rni_onnx_begin(&x.graph, &m->ctx->allocator);
    x.graph.fixed_batch = (o.flags & RN_ONNX_FIXED_BATCH) != 0;
    if (status == RN_OK)
        status = rni_onnx_from_model(&x, rank, dims);
    if (status == RN_OK)
        status = rni_onnx_save(&x.graph, path);
    rni_onnx_end(&x.graph);
    return status;
}
