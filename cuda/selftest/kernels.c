/* SPDX-License-Identifier: MIT */
/* Step 3: every kind of op on random operands, within the bounds of the f64 result. */
#include "check_ops.h"
#include "selftest.h"
#include <stdlib.h>

static void check(selftest *t, const st_device *d, const char *function)
{
    checker k = {.seed = 1, .count = t->quick ? 2 : 24, .function = function, .most = 20};
    if (checker_open(&k, d->backend, d->index)) {
        check_bad_label(&k);
        check_all(&k);
    } else {
        st_fail(t, "device_open: %s", k.host ? oc_host_message(k.host) : "out of memory");
    }
    checker_close(&k);
    t->failures += k.failures;
}

void st_step_kernels(selftest *t)
{
    st_device d;
    if (!st_open(t, NULL, &d))
        return;
    st_say("f32, bf16 and f16, RN_CUDA_DIRECT=1: convolutions and products by the module's kernels");
    setenv("RN_CUDA_DIRECT", "1", 1);
    check(t, &d, NULL);
    unsetenv("RN_CUDA_DIRECT");
    st_say("products by cuBLAS");
    check(t, &d, "linear*");
    st_close(&d);
}
