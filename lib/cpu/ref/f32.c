/* SPDX-License-Identifier: MIT */
#define T float
#include "cpu/ref/typed.h"

void rni_kernels_ref_f32(rni_typed_kernels *k)
{
    fill_table(k);
}
