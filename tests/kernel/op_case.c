/* SPDX-License-Identifier: MIT */
#include "op_case.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const oc_family *const oc_families[] = {oc_norm_families,   oc_elementwise_families, oc_pool_families,
                                        oc_linear_families, oc_loss_families,        oc_update_families,
                                        oc_conv_families,   oc_augment_families,     NULL};

uint64_t oc_next(oc_rng *rng)
{
    uint64_t z = rng->state += 0x9e3779b97f4a7c15u; /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

int64_t oc_range(oc_rng *rng, int64_t low, int64_t high)
{
    return low + (int64_t)(oc_next(rng) % (uint64_t)(high - low + 1));
}

static double uniform(oc_rng *rng)
{
    return (double)(oc_next(rng) >> 11) * 0x1p-53;
}

double oc_normal(oc_rng *rng)
{
    const double u = uniform(rng) + 0x1p-54, v = uniform(rng);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

int oc_chance(oc_rng *rng, int percent)
{
    return oc_range(rng, 1, 100) <= percent;
}

int64_t oc_pick(oc_rng *rng, const int64_t *list, size_t count)
{
    return list[oc_range(rng, 0, (int64_t)count - 1)];
}

static double corner(oc_rng *rng)
{
    static const double corners[] = {0, -0.0, NAN, INFINITY, -INFINITY, 1e-40, -1e-40, 1e-30, 3e38, -3e38, 1e20};
    return corners[oc_range(rng, 0, (int64_t)(sizeof corners / sizeof *corners) - 1)];
}

static double one_value(oc_rng *rng, int fill)
{
    switch (fill) {
    case OC_NORMAL:
        return oc_chance(rng, 2) ? (oc_chance(rng, 50) ? 0 : -0.0) : oc_normal(rng);
    case OC_POSITIVE:
        return 0.5 + 1.5 * uniform(rng);
    case OC_CORNERS:
        return oc_chance(rng, 20) ? corner(rng) : oc_normal(rng);
    case OC_TIES:
        return (double)oc_range(rng, -2, 2);
    case OC_UNSET:
        return -0x1.234568p+100;
    default:
        return 0;
    }
}

void oc_begin(oc_case *c, const char *name)
{
    memset(c, 0, sizeof *c);
    snprintf(c->name, sizeof c->name, "%s", name);
    c->run = (rn_run){.struct_size = sizeof c->run, .batch = 1, .optimizer_step = 1, .grad_scale = 1};
    c->terms = 1;
    c->factor = 4;
}

void oc_free(oc_case *c)
{
    for (uint32_t i = 0; i < c->num_values; i++) {
        free(c->values[i].data);
        free(c->values[i].scale);
    }
    c->num_values = 0;
}

rn_op *oc_op(oc_case *c, int32_t kind, uint32_t flags, size_t params_size)
{
    const uint32_t i = c->num_ops++;
    rn_op *const op = &c->ops[i];
    *op = (rn_op){.struct_size = sizeof *op, .kind = kind, .flags = flags, .path = c->name};
    op->in = c->in[i];
    op->out = c->out[i];
    op->params = params_size ? &c->params : NULL;
    op->params_size = params_size;
    op->workspace = RN_NO_VALUE;
    return op;
}

uint32_t oc_add(oc_case *c, oc_rng *rng, int32_t dtype, int32_t layout, int32_t rank, const int64_t *dims, int batch,
                int fill)
{
    oc_value *const value = &c->values[c->num_values];
    value->v = (rn_value){.struct_size = sizeof value->v, .dtype = dtype, .role = RN_ROLE_ARENA, .layout = layout};
    value->v.rank = rank;
    value->v.batch_axis = batch ? 0 : -1;
    value->count = 1;
    for (int32_t i = 0; i < rank; i++) {
        value->v.dims[i] = dims[i];
        value->count *= (size_t)dims[i];
    }
    value->data = calloc(value->count ? value->count : 1, sizeof(double));
    for (size_t i = 0; i < value->count; i++)
        value->data[i] = (double)(float)one_value(rng, fill);
    return c->num_values++;
}

void oc_in(oc_case *c, uint32_t value)
{
    const uint32_t i = c->num_ops - 1;
    c->in[i][c->ops[i].num_in++] = value;
}

void oc_out(oc_case *c, uint32_t value, int check)
{
    const uint32_t i = c->num_ops - 1;
    c->out[i][c->ops[i].num_out++] = value;
    if (value != RN_NO_VALUE)
        c->values[value].check = check;
}

uint32_t oc_image(oc_case *c, oc_rng *rng, const int64_t dims[4], int fill)
{
    return oc_add(c, rng, OC_T, OC_IMAGE, 4, dims, 1, fill);
}

uint32_t oc_matrix(oc_case *c, oc_rng *rng, int64_t rows, int64_t cols, int fill)
{
    const int64_t dims[2] = {rows, cols};
    return oc_add(c, rng, OC_T, RN_LAYOUT_PLAIN, 2, dims, 1, fill);
}

uint32_t oc_vector(oc_case *c, oc_rng *rng, int32_t dtype, int64_t count, int fill)
{
    return oc_add(c, rng, dtype, RN_LAYOUT_PLAIN, 1, &count, 0, fill);
}

/* The struct's fields in order, as numbers. */
uint32_t oc_metrics(oc_case *c, oc_rng *rng)
{
    const int64_t fields = sizeof(rn_step_metrics) / 8;
    const uint32_t i = oc_vector(c, rng, RN_F64, fields, OC_UNSET);
    static const double before[] = {1.5, 2.5, 3.5, 10, 4, 2, 1, 0, 1024, 5, 2, 0};
    memcpy(c->values[i].data, before, sizeof before);
    c->values[i].v.role = RN_ROLE_METRICS;
    c->values[i].check = OC_METRICS;
    return i;
}

double *oc_scale(oc_case *c, uint32_t value)
{
    oc_value *const v = &c->values[value];
    return v->scale = calloc(v->count ? v->count : 1, sizeof(double));
}

void oc_shape(oc_case *c, oc_rng *rng, int index, int64_t dims[4])
{
    static const int64_t channels[] = {1, 3, 16, 24, 31, 33, 63, 64, 65, 96, 100, 127, 128, 130, 192, 256, 257};
    dims[0] = oc_range(rng, 1, 4);
    dims[1] = index < 40 ? index + 1 : oc_pick(rng, channels, sizeof channels / sizeof *channels);
    dims[2] = oc_range(rng, 1, 9);
    dims[3] = oc_range(rng, 1, 9);
    if (index % 8 == 7) { /* several chunks */
        dims[0] = 5;
        dims[2] = dims[1] <= 16 ? 37 : 13;
        dims[3] = dims[1] <= 16 ? 31 : 11;
    }
    c->run.batch = oc_range(rng, 1, dims[0]);
}
