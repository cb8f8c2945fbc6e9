/* SPDX-License-Identifier: MIT */
#include "cpu/driver.h"

size_t rni_cpu_images(const rni_cpu_call *c, const rn_value *v)
{
    if (v->rank == 0)
        return 1;
    return (size_t)(v->batch_axis == 0 ? c->run->batch : v->dims[0]);
}

static size_t product(const rn_value *v, int32_t first)
{
    size_t n = 1;
    for (int32_t i = first; i < v->rank; i++)
        n *= (size_t)v->dims[i];
    return n;
}

size_t rni_cpu_count(const rni_cpu_call *c, const rn_value *v)
{
    return rni_cpu_images(c, v) * product(v, 1);
}

size_t rni_cpu_pixels(const rn_value *v)
{
    return product(v, 2);
}

size_t rni_cpu_capacity(const rn_value *v)
{
    return product(v, 0);
}

const rni_typed_kernels *rni_cpu_typed(const rni_cpu_call *c, int32_t dtype)
{
    return dtype == RN_F64 ? &c->kernels->f64 : dtype == RN_BF16 ? &c->kernels->bf16 : &c->kernels->f32;
}

rn_status rni_cpu_for(const rni_cpu_call *c, rn_task_fn task, void *arg, size_t count, size_t elements)
{
    if (count > 1 && elements >= RNI_SERIAL_ELEMENTS)
        return rni_cpu_parallel(c, task, arg, count);
    for (size_t i = 0; i < count; i++)
        task(arg, i);
    return RN_OK;
}
