/* SPDX-License-Identifier: MIT */
/* Copies between element types and layouts; zeroes. */
#include "base/error.h"
#include "base/half.h"
#include "kernels/kernels.h"
#include "ops/drivers.h"
#include "ops/operands.h"

/* Bytes that move as they are. */
static int plain_copy(const rn_op *op, const rn_value *from, const rn_value *to)
{
    return from->dtype == to->dtype && from->layout == to->layout && !(op->flags & RN_OPF_ACCUMULATE);
}

static rn_status query(rni_cuda_device *device, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    const rn_value *const from = &values[op->in[0]], *const to = &values[op->out[0]];
    (void)device;
    (void)info;
    RNI_TRY(rni_ops_check_convert(op, values));
    const int between = from->dtype != to->dtype && rni_is_half(from->dtype) && rni_is_half(to->dtype);
    if (between || (!plain_copy(op, from, to) && (from->dtype == RN_F64 || to->dtype == RN_F64)))
        return rni_ops_refuse(op, RN_E_UNSUPPORTED, "from %s to %s", rn_dtype_name((rn_dtype)from->dtype),
                              rn_dtype_name((rn_dtype)to->dtype));
    return RN_OK;
}

static rn_status run(const rni_cuda_call *c)
{
    const rn_value *const from = rni_cuda_in_value(c, 0), *const to = rni_cuda_out_value(c, 0);
    const void *const src = rni_cuda_in(c, 0);
    void *const dst = rni_cuda_out(c, 0);
    const int64_t count = rni_cuda_count(c, to), channels = to->rank > 1 ? to->dims[1] : 1, pixels = rni_cuda_pixels(to);
    const int32_t accumulate = (c->op->flags & RN_OPF_ACCUMULATE) != 0;
    if (count == 0)
        return RN_OK;
    if (from->layout != to->layout && channels > 1 && pixels > 1)
        return rni_cuda_launched(c, rni_k_convert_layout(c->stream, from->dtype, to->dtype, src, dst,
                                                         rni_cuda_images(c, to), channels, pixels,
                                                         to->layout == RN_LAYOUT_NHWC, accumulate));
    if (from->dtype == to->dtype && !accumulate)
        return rni_cuda_result(c->device,
                               cudaMemcpyAsync(dst, src, (size_t)count * rn_dtype_size((rn_dtype)to->dtype),
                                               cudaMemcpyDeviceToDevice, c->stream),
                               "copy values");
    return rni_cuda_launched(c, rni_k_convert(c->stream, from->dtype, to->dtype, src, dst, count, accumulate));
}

static rn_status fill_run(const rni_cuda_call *c)
{
    return rni_cuda_result(c->device,
                           cudaMemsetAsync(rni_cuda_out(c, 0), 0, (size_t)rni_cuda_out_value(c, 0)->bytes, c->stream),
                           "zero values");
}

const rni_cuda_driver rni_cuda_convert = {.query = query, .run = run};
const rni_cuda_driver rni_cuda_fill = {.run = fill_run};
