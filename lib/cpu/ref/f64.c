/* SPDX-License-Identifier: MIT */
#define T double
#include "cpu/ref/typed.h"

void rni_kernels_ref_f64(rni_typed_kernels *k)
{
    fill_table(k);
}
