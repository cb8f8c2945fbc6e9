/* SPDX-License-Identifier: MIT */
/*
 * bf16 for drivers without bf16 kernels, and f16: operands are copied to f32 in the workspace, the f32 op runs on the copies,
 * and what it wrote is rounded once. The portable level computes every op so.
 */
#ifndef RNI_CPU_WIDEN_H
#define RNI_CPU_WIDEN_H

#include "cpu/cpu.h"

/* Whether an op with these operands goes this way at a level. */
int rni_widen_wanted(const rni_cpu_driver *driver, int32_t level, const rn_op *op, const rn_value *values);
/* As a driver's functions, but for `driver`. */
rn_status rni_widen_query(const rni_cpu_driver *driver, const rni_cpu *cpu, const rn_op *op, const rn_value *values,
                          rn_op_info *info);
rn_status rni_widen_run(const rni_cpu_driver *driver, const rni_cpu_call *call);

#endif
