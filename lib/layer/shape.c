/* SPDX-License-Identifier: MIT */
/* Shape rules that several layers share. */
#include "layer/layer.h"

rn_status rni_expect_image(const rni_shape *in)
{
    if (in->rank != 4)
        return rni_fail(RN_E_SHAPE, "expected [N, C, H, W]");
    return RN_OK;
}

rn_status rni_window_size(int64_t size, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation,
                          const char *axis, int64_t *out)
{
    const int64_t window = dilation * (kernel - 1) + 1;
    if (size + 2 * padding < window)
        return rni_fail(RN_E_SHAPE, "expected a %s of at least %lld for its window of %lld", axis,
                        (long long)(window - 2 * padding), (long long)window);
    *out = (size + 2 * padding - window) / stride + 1;
    return RN_OK;
}
