/* SPDX-License-Identifier: MIT */
#include "cpu/vec/kernels.h"

void rni_kernels_avx2(struct rni_cpu_kernels *k)
{
    fill_table(k);
}
