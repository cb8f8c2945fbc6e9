/* SPDX-License-Identifier: MIT */
#include "conv_case.h"
#include "backend/context.h"
#include "bench.h"
#include "cpu/cpu.h"
#include "cpu/levels.h"
#include "op_runner.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 256, MOST_VALUES = 6 };

const conv_shape conv_shapes[] = {
    {100, 3, 16, 32, 3, 1, 1},  {100, 16, 16, 32, 3, 1, 1},  {100, 16, 32, 32, 3, 2, 1},    {100, 32, 32, 16, 3, 1, 1},
    {100, 32, 64, 16, 3, 2, 1}, {100, 64, 64, 8, 3, 1, 1},   {16, 3, 64, 224, 7, 2, 3},     {16, 64, 64, 56, 3, 1, 1},
    {16, 64, 256, 56, 1, 1, 0}, {16, 128, 128, 28, 3, 1, 1}, {16, 256, 256, 14, 3, 1, 1},   {16, 512, 512, 7, 3, 1, 1},
    {16, 512, 128, 28, 1, 1, 0}, {16, 1024, 2048, 14, 1, 2, 0},
};
const int conv_shape_count = (int)(sizeof conv_shapes / sizeof *conv_shapes);
const char *const conv_direction_names[CONV_DIRECTIONS] = {"fwd", "bwd_data", "bwd_filter"};

struct conv_case {
    oc_host *host;
    oc_machine machine;
    rn_conv_params params;
    rn_value values[MOST_VALUES];
    uint32_t num_values;
    rn_op pack, op; /* pack.kind 0: none */
    uint32_t pack_in[2], pack_out[1], in[4], out[3];
    void *memory;
    void *base[RN_ROLE_COUNT];
    rn_run run;
};

int conv_shape_valid(const conv_shape *s)
{
    return s->images > 0 && s->in > 0 && s->out > 0 && s->size > 0 && s->kernel > 0 && s->stride > 0 &&
           s->padding >= 0 && s->size + 2 * s->padding >= s->kernel;
}

rn_conv_params conv_params_of(const conv_shape *s, int direct)
{
    const int64_t out = (s->size + 2 * s->padding - s->kernel) / s->stride + 1;
    return (rn_conv_params){
        .in_channels = s->in,
        .out_channels = s->out,
        .groups = 1,
        .in_height = s->size,
        .in_width = s->size,
        .out_height = out,
        .out_width = out,
        .kernel = {s->kernel, s->kernel},
        .stride = {s->stride, s->stride},
        .padding = {s->padding, s->padding},
        .dilation = {1, 1},
        .batch = s->images,
        .direct = direct,
    };
}

static uint32_t add_value(conv_case *c, rn_dtype dtype, int32_t layout, const int64_t dims[4], int batch)
{
    rn_value *const v = &c->values[c->num_values];
    *v = (rn_value){.struct_size = sizeof *v, .dtype = dtype, .role = RN_ROLE_ARENA, .layout = layout, .rank = 4};
    v->batch_axis = batch ? 0 : -1;
    v->bytes = rn_dtype_size(dtype);
    for (int i = 0; i < 4; i++) {
        v->dims[i] = dims[i];
        v->bytes *= (uint64_t)dims[i];
    }
    return c->num_values++;
}

static rn_op op_of(const conv_case *c, int32_t kind, const uint32_t *in, uint32_t num_in, const uint32_t *out,
                   uint32_t num_out)
{
    return (rn_op){.struct_size = sizeof(rn_op), .kind = kind, .in = in, .out = out, .num_in = num_in,
                   .num_out = num_out, .params = &c->params, .params_size = sizeof c->params, .path = "conv",
                   .workspace = RN_NO_VALUE};
}

/* Asks about an op; adds its workspace, and gives the packed weights their size. 0 when the backend has no such op. */
static int ask(conv_case *c, rn_op *op)
{
    rn_op_info info = {.struct_size = sizeof info, .in_place = -1};
    if (c->machine.backend->op_query(c->machine.dev, op, c->values, &info) != RN_OK)
        return 0;
    if (op->kind == RN_OP_PACK)
        c->values[op->out[0]].bytes = info.out_bytes;
    if (info.workspace) {
        op->workspace = add_value(c, RN_U8, RN_LAYOUT_PLAIN, (const int64_t[4]){(int64_t)info.workspace, 1, 1, 1}, 0);
    }
    return 1;
}

static void describe(conv_case *c, const conv_setup *s)
{
    const rn_conv_params *const p = &c->params;
    const int64_t x_dims[4] = {s->shape.images, p->in_channels, p->in_height, p->in_width};
    const int64_t y_dims[4] = {s->shape.images, p->out_channels, p->out_height, p->out_width};
    const int64_t w_dims[4] = {p->out_channels, p->in_channels, p->kernel[0], p->kernel[1]};
    const int32_t layout = c->machine.info.activation_layout;
    const uint32_t x = add_value(c, s->dtype, layout, x_dims, 1), y = add_value(c, s->dtype, layout, y_dims, 1);
    const uint32_t w = add_value(c, RN_F32, RN_LAYOUT_PLAIN, w_dims, 0);
    if (s->direction == CONV_BACKWARD_FILTER) {
        c->in[0] = x;
        c->in[1] = y;
        c->out[0] = w;
        c->op = op_of(c, RN_OP_CONV_BACKWARD_FILTER, c->in, 2, c->out, 1);
        return;
    }
    const int back = s->direction == CONV_BACKWARD_DATA;
    const uint32_t packed = add_value(c, s->dtype, RN_LAYOUT_PACKED, w_dims, 0);
    c->pack_in[0] = w;
    c->pack_in[1] = RN_NO_VALUE;
    c->pack_out[0] = packed;
    c->pack = op_of(c, RN_OP_PACK, c->pack_in, 2, c->pack_out, 1);
    c->pack.flags = back ? RN_OPF_BACKWARD_DATA : 0;
    c->in[0] = back ? y : x;
    c->in[1] = packed;
    c->in[2] = c->in[3] = RN_NO_VALUE;
    c->out[0] = back ? x : y;
    c->out[1] = c->out[2] = RN_NO_VALUE;
    c->op = op_of(c, back ? RN_OP_CONV_BACKWARD_DATA : RN_OP_CONV_FORWARD, c->in, back ? 2 : 4, c->out, back ? 1 : 3);
}

/* Uniform in [-1, 1). */
static void fill(const rn_value *v, void *memory)
{
    static uint32_t state = 12345;
    char *const to = (char *)memory + v->offset;
    const size_t size = rn_dtype_size(v->dtype);
    for (size_t i = 0; i + size <= v->bytes; i += size) {
        state = state * 1664525u + 1013904223u;
        const float x = (float)(int32_t)state * 0x1p-31f;
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        const uint16_t half = (uint16_t)(bits >> 16);
        memcpy(to + i, size == sizeof half ? (const void *)&half : (const void *)&x, size);
    }
}

static int place(conv_case *c)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < c->num_values; i++) {
        c->values[i].offset = size;
        size += (c->values[i].bytes + ALIGN - 1) / ALIGN * ALIGN;
    }
    if (posix_memalign(&c->memory, ALIGN, (size_t)size) != 0)
        return 0;
    memset(c->memory, 0, (size_t)size);
    for (uint32_t i = 0; i < 3; i++)
        fill(&c->values[i], c->memory);
    for (int i = 0; i < RN_ROLE_COUNT; i++)
        c->base[i] = c->memory;
    return 1;
}

static int open_machine(conv_case *c, const conv_setup *s)
{
    c->host = oc_host_create(s->threads);
    if (!c->host)
        return 0;
    oc_host_mode(c->host, OC_THREADS);
    if (s->level[0])
        setenv("RN_CPU_LEVEL", s->level, 1);
    return oc_machine_open(&c->machine, c->host, &rni_cpu_backend, 0);
}

static int run_op(conv_case *c, const rn_op *op)
{
    const rn_backend *const b = c->machine.backend;
    return b->op_run(c->machine.dev, c->machine.queue, op, c->values, &c->run) == RN_OK;
}

conv_case *conv_case_open(const conv_setup *s, char message[300])
{
    conv_case *const c = calloc(1, sizeof *c);
    if (!c)
        bench_die("out of memory");
    c->params = conv_params_of(&s->shape, s->direct);
    c->run = (rn_run){.struct_size = sizeof c->run, .batch = s->shape.images, .base = c->base, .grad_scale = 1};
    int ready = open_machine(c, s);
    if (ready) {
        describe(c, s);
        ready = (!c->pack.kind || ask(c, &c->pack)) && ask(c, &c->op) && place(c) && (!c->pack.kind || run_op(c, &c->pack));
    }
    if (ready)
        return c;
    snprintf(message, 300, "%s", c->host ? oc_host_message(c->host) : rn_error_message());
    conv_case_close(c);
    return NULL;
}

void conv_case_close(conv_case *c)
{
    if (!c)
        return;
    if (c->machine.dev)
        oc_machine_close(&c->machine);
    oc_host_destroy(c->host);
    free(c->memory);
    free(c);
}

void conv_case_run(void *arg)
{
    conv_case *const c = arg;
    if (!run_op(c, &c->op))
        bench_die(oc_host_message(c->host));
}

int conv_case_level_number(const conv_case *c)
{
    return (int)((const rni_cpu *)c->machine.dev)->level;
}

const char *conv_case_level(const conv_case *c)
{
    return rni_cpu_level_name(conv_case_level_number(c));
}
