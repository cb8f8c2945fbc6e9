/* SPDX-License-Identifier: MIT */
#include "cpu/vec/kernels_bf16.h"

void rni_kernels_avx2_bf16(struct rni_cpu_kernels *k)
{
    fill_table(k);
}
