/* SPDX-License-Identifier: MIT */
/*
 * The C API of oneDNN 2. All memory is format_tag_any, so that the primitive gets the layouts it likes best; what puts
 * tensors into them is not timed, as packing our weights is not. Both "direct" and "auto", which may choose Winograd, are
 * made and tried, and the faster one is kept.
 */
#include "onednn_conv.h"
#include "bench.h"
#include <dnnl.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPERANDS = 3 };

struct onednn_conv {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_desc_t forward, desc; /* desc: of the direction; gradients take forward as a hint */
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t args[OPERANDS];
    char name[80];
};

/* The window and the three tensors of a convolution. */
typedef struct problem {
    dnnl_dims_t stride, padding;
    dnnl_memory_desc_t x, w, y;
} problem;

static int make_tensor(dnnl_memory_desc_t *desc, dnnl_data_type_t type, int64_t a, int64_t b, int64_t c, int64_t d)
{
    const dnnl_dims_t dims = {a, b, c, d};
    return dnnl_memory_desc_init_by_tag(desc, 4, dims, type, dnnl_format_tag_any) == dnnl_success;
}

static int make_problem(problem *p, const conv_setup *s)
{
    const rn_conv_params c = conv_params_of(&s->shape, 0);
    const dnnl_data_type_t type = s->dtype == RN_BF16 ? dnnl_bf16 : dnnl_f32;
    p->stride[0] = p->stride[1] = s->shape.stride;
    p->padding[0] = p->padding[1] = s->shape.padding;
    return make_tensor(&p->x, type, s->shape.images, c.in_channels, c.in_height, c.in_width) &&
           make_tensor(&p->w, type, c.out_channels, c.in_channels, c.kernel[0], c.kernel[1]) &&
           make_tensor(&p->y, type, s->shape.images, c.out_channels, c.out_height, c.out_width);
}

static int make_desc(onednn_conv *c, const problem *p, int direction, dnnl_alg_kind_t algorithm)
{
    dnnl_convolution_desc_t d;
    if (dnnl_convolution_forward_desc_init(&d, dnnl_forward_training, algorithm, &p->x, &p->w, NULL, &p->y, p->stride,
                                           p->padding, p->padding) != dnnl_success ||
        dnnl_primitive_desc_create(&c->forward, &d, NULL, c->engine, NULL) != dnnl_success)
        return 0;
    if (direction == CONV_FORWARD)
        return dnnl_primitive_desc_clone(&c->desc, c->forward) == dnnl_success;
    const dnnl_status_t made =
        direction == CONV_BACKWARD_DATA
            ? dnnl_convolution_backward_data_desc_init(&d, algorithm, &p->x, &p->w, &p->y, p->stride, p->padding,
                                                       p->padding)
            : dnnl_convolution_backward_weights_desc_init(&d, algorithm, &p->x, &p->w, NULL, &p->y, p->stride,
                                                          p->padding, p->padding);
    return made == dnnl_success && dnnl_primitive_desc_create(&c->desc, &d, NULL, c->engine, c->forward) == dnnl_success;
}

/* Uniform in [-1, 1). */
static void fill(void *memory, size_t bytes, dnnl_data_type_t type)
{
    static uint32_t state = 12345;
    const size_t size = type == dnnl_bf16 ? 2 : 4;
    for (size_t i = 0; i + size <= bytes; i += size) {
        state = state * 1664525u + 1013904223u;
        const float x = (float)(int32_t)state * 0x1p-31f;
        memcpy((char *)memory + i, (const char *)&x + 4 - size, size);
    }
}

static int make_operand(onednn_conv *c, int index, dnnl_query_t query, int argument)
{
    const dnnl_memory_desc_t *const desc = dnnl_primitive_desc_query_md(c->desc, query, 0);
    void *data;
    c->args[index].arg = argument;
    if (!desc || dnnl_memory_create(&c->args[index].memory, desc, c->engine, DNNL_MEMORY_ALLOCATE) != dnnl_success ||
        dnnl_memory_get_data_handle(c->args[index].memory, &data) != dnnl_success)
        return 0;
    fill(data, dnnl_memory_desc_get_size(desc), desc->data_type);
    return 1;
}

static int make_operands(onednn_conv *c, int direction)
{
    static const dnnl_query_t queries[CONV_DIRECTIONS][OPERANDS] = {
        {dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md},
        {dnnl_query_diff_src_md, dnnl_query_weights_md, dnnl_query_diff_dst_md},
        {dnnl_query_src_md, dnnl_query_diff_weights_md, dnnl_query_diff_dst_md},
    };
    static const int arguments[CONV_DIRECTIONS][OPERANDS] = {
        {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
        {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
        {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST},
    };
    for (int i = 0; i < OPERANDS; i++)
        if (!make_operand(c, i, queries[direction][i], arguments[direction][i]))
            return 0;
    return 1;
}

static onednn_conv *open_with(const conv_setup *s, dnnl_alg_kind_t algorithm)
{
    onednn_conv *const c = calloc(1, sizeof *c);
    problem p;
    const char *name = "";
    if (!c)
        bench_die("out of memory");
    if (dnnl_engine_create(&c->engine, dnnl_cpu, 0) == dnnl_success &&
        dnnl_stream_create(&c->stream, c->engine, dnnl_stream_default_flags) == dnnl_success && make_problem(&p, s) &&
        make_desc(c, &p, s->direction, algorithm) && make_operands(c, s->direction) &&
        dnnl_primitive_create(&c->primitive, c->desc) == dnnl_success) {
        dnnl_primitive_desc_query(c->desc, dnnl_query_impl_info_str, 0, (void *)&name);
        snprintf(c->name, sizeof c->name, "%s", name);
        return c;
    }
    onednn_conv_close(c);
    return NULL;
}

/* Of two ways the one that is faster now, when they are two ways. */
static onednn_conv *faster(onednn_conv *a, onednn_conv *b)
{
    static const double seconds = 0.02;
    if (!a || !b || strcmp(a->name, b->name) == 0) {
        if (a)
            onednn_conv_close(b);
        return a ? a : b;
    }
    const double time_a = bench_time(onednn_conv_run, a, seconds), time_b = bench_time(onednn_conv_run, b, seconds);
    onednn_conv_close(time_a < time_b ? b : a);
    return time_a < time_b ? a : b;
}

onednn_conv *onednn_conv_open(const conv_setup *s, char message[300])
{
    omp_set_num_threads(s->threads);
    onednn_conv *const c = faster(open_with(s, dnnl_convolution_direct), open_with(s, dnnl_convolution_auto));
    if (!c)
        snprintf(message, 300, "oneDNN %s has no such convolution on this processor", onednn_version());
    return c;
}

void onednn_conv_close(onednn_conv *c)
{
    if (!c)
        return;
    for (int i = 0; i < OPERANDS; i++)
        if (c->args[i].memory)
            dnnl_memory_destroy(c->args[i].memory);
    if (c->primitive)
        dnnl_primitive_destroy(c->primitive);
    if (c->desc)
        dnnl_primitive_desc_destroy(c->desc);
    if (c->forward)
        dnnl_primitive_desc_destroy(c->forward);
    if (c->stream)
        dnnl_stream_destroy(c->stream);
    if (c->engine)
        dnnl_engine_destroy(c->engine);
    free(c);
}

void onednn_conv_run(void *arg)
{
    const onednn_conv *const c = arg;
    if (dnnl_primitive_execute(c->primitive, c->stream, OPERANDS, c->args) != dnnl_success ||
        dnnl_stream_wait(c->stream) != dnnl_success)
        bench_die("oneDNN: a convolution failed");
}

const char *onednn_conv_name(const onednn_conv *c)
{
    return c->name;
}

const char *onednn_version(void)
{
    static char text[40];
    const dnnl_version_t *const v = dnnl_version();
    snprintf(text, sizeof text, "%d.%d.%d", v->major, v->minor, v->patch);
    return text;
}
