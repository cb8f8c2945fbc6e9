/* SPDX-License-Identifier: MIT */
/*
 * Programs under construction: growing arrays of values and ops. Everything an
 * op points to (operands, params, path) lives in the program's own arena, so a
 * program is freed as a whole.
 */
#ifndef RNI_PROGRAM_H
#define RNI_PROGRAM_H

#include "base/alloc.h"
#include "base/error.h"
#include <resnet/sys/backend.h>

typedef struct rni_program {
    const rn_allocator *allocator;
    rn_value *values;
    uint32_t *root; /* per value: itself, or the value whose memory it views */
    uint32_t num_values, cap_values;
    rn_op *ops;
    uint32_t num_ops, cap_ops;
    void *chunks; /* list of blocks that operands, params and paths live in */
    size_t chunk_used, chunk_size;
} rni_program;

void rni_program_init(rni_program *p, const rn_allocator *allocator);
void rni_program_free(rni_program *p);

/* Memory that lives as long as the program, 16-byte aligned, zeroed; NULL when there is none. */
void *rni_program_memory(rni_program *p, size_t bytes);
/* A copy of a text in it. */
const char *rni_program_text(rni_program *p, const char *text);

/* A plain or NHWC value; bytes computed from dims. batch: 1 when dims[0] is the batch. */
rn_status rni_program_value(rni_program *p, rn_dtype dtype, int32_t role, int32_t layout, int32_t rank,
                            const int64_t *dims, int batch, uint32_t *out);

/* Another shape and layout for the memory of `of` (equal in bytes). */
rn_status rni_program_view(rni_program *p, uint32_t of, int32_t layout, int32_t rank, const int64_t *dims,
                           uint32_t *out);

/* Appends an op; operands and params are copied. */
rn_status rni_program_append(rni_program *p, int32_t kind, uint32_t flags, const uint32_t *in, uint32_t num_in,
                             const uint32_t *out, uint32_t num_out, const void *params, size_t params_size,
                             const char *path);

/* "conv_forward" ...; "?" for an unknown kind. */
const char *rni_op_name(int32_t kind);

/*
 * Checks what every program must hold: operand indexes in range, every ARENA
 * value written before it is read, params of the right size, workspace where asked.
 * RN_E_INTERNAL naming the op.
 */
rn_status rni_program_verify(const rni_program *p);

#endif
