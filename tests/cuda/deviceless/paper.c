/* SPDX-License-Identifier: MIT */
#include "deviceless/paper.h"
#include "prologue.h"
#include <stdio.h>
#include <string.h>

paper_convolution paper_convolutions[PAPER_MAX], paper_statistics[PAPER_MAX], paper_prologues[PAPER_MAX];
int paper_count, paper_statistics_count, paper_prologue_count;
const char *paper_net = "";

static rn_status device_count(const rn_host_api *host, int32_t *count)
{
    (void)host;
    *count = 1;
    return RN_OK;
}

static rn_status device_open(const rn_host_api *host, int32_t index, void **dev)
{
    (void)index;
    *dev = (void *)host;
    return RN_OK;
}

static void device_close(void *dev)
{
    (void)dev;
}

static rn_status device_info(void *dev, rn_device_info *info)
{
    (void)dev;
    snprintf(info->name, sizeof info->name, "paper:0");
    snprintf(info->description, sizeof info->description, "computes nothing");
    info->free_bytes = info->total_bytes = UINT64_MAX / 4;
    info->activation_layout = RN_LAYOUT_NHWC;
    return RN_OK;
}

/* Addresses that nobody looks at, 256 bytes apart from each other at least. */
static rn_status memory_alloc(void *dev, uint64_t bytes, void **ptr)
{
    static uintptr_t next = 1 << 16;
    (void)dev;
    *ptr = (void *)next;
    next += (bytes + 255) / 256 * 256;
    return RN_OK;
}

static void memory_free(void *dev, void *ptr, uint64_t bytes)
{
    (void)dev, (void)ptr, (void)bytes;
}

static rn_status copy_in(void *dev, void *queue, void *dst, const void *src, uint64_t bytes)
{
    (void)dev, (void)queue, (void)dst, (void)src, (void)bytes;
    return RN_OK;
}

static rn_status copy_out(void *dev, void *queue, void *dst, const void *src, uint64_t bytes)
{
    (void)dev, (void)queue, (void)src;
    memset(dst, 0, bytes);
    return RN_OK;
}

static rn_status fill(void *dev, void *queue, void *dst, uint64_t bytes)
{
    (void)dev, (void)queue, (void)dst, (void)bytes;
    return RN_OK;
}

static rn_status queue_create(void *dev, void **queue)
{
    *queue = dev;
    return RN_OK;
}

static void queue_destroy(void *dev, void *queue)
{
    (void)dev, (void)queue;
}

static rn_status queue_wait(void *dev, void *queue, rn_fault *fault)
{
    (void)dev, (void)queue;
    fault->status = RN_OK;
    return RN_OK;
}

static int is_convolution(const rn_op *op)
{
    return op->kind == RN_OP_CONV_FORWARD || op->kind == RN_OP_CONV_BACKWARD_DATA ||
           op->kind == RN_OP_CONV_BACKWARD_FILTER;
}

static void note(const rn_op *op, paper_convolution list[PAPER_MAX], int *count)
{
    paper_convolution c;
    memset(&c, 0, sizeof c);
    c.kind = op->kind;
    c.flags = op->flags;
    c.params = *(const rn_conv_params *)op->params;
    c.params.batch = 0;
    for (int i = 0; i < *count; i++)
        if (c.kind == list[i].kind && c.flags == list[i].flags &&
            memcmp(&c.params, &list[i].params, sizeof c.params) == 0)
            return;
    if (*count == PAPER_MAX)
        return;
    snprintf(c.net, sizeof c.net, "%s", paper_net);
    list[(*count)++] = c;
}

static rn_status op_query(void *dev, const rn_op *op, const rn_value *values, rn_op_info *out)
{
    const rn_host_api *const host = dev;
    out->workspace = 0;
    out->in_place = -1;
    if (op->kind == RN_OP_PACK)
        out->out_bytes = values[op->in[0]].bytes;
    if (op->flags & RN_OPF_STATS && op->kind == RN_OP_CONV_FORWARD) {
        note(op, paper_statistics, &paper_statistics_count);
        return host->fail(host->host, RN_E_UNSUPPORTED, "no statistics");
    }
    if (is_convolution(op))
        note(op, paper_convolutions, &paper_count);
    return RN_OK;
}

static rn_status op_run(void *dev, void *queue, const rn_op *op, const rn_value *values, const rn_run *run)
{
    (void)dev, (void)queue, (void)op, (void)values, (void)run;
    return RN_OK;
}

static rn_status program_create(void *dev, const rn_program_desc *desc, void **program)
{
    rni_prologue_ops ops;
    for (uint32_t i = 0; i < desc->num_ops; i++)
        if (rni_prologue_match(desc, i, &ops))
            note(&desc->ops[ops.forward], paper_prologues, &paper_prologue_count);
    *program = dev;
    return RN_OK;
}

static rn_status program_run(void *program, void *queue, const rn_run *run)
{
    (void)program, (void)queue, (void)run;
    return RN_OK;
}

static void program_destroy(void *program)
{
    (void)program;
}

const rn_backend paper_backend = {
    .struct_size = sizeof(rn_backend),
    .abi_major = RN_BACKEND_ABI_MAJOR,
    .abi_minor = RN_BACKEND_ABI_MINOR,
    .name = "paper",
    .version = "1",
    .device_count = device_count,
    .device_open = device_open,
    .device_close = device_close,
    .device_info = device_info,
    .memory_alloc = memory_alloc,
    .memory_free = memory_free,
    .copy_in = copy_in,
    .copy_out = copy_out,
    .copy = copy_in,
    .fill = fill,
    .queue_create = queue_create,
    .queue_destroy = queue_destroy,
    .queue_wait = queue_wait,
    .op_query = op_query,
    .program_create = program_create,
    .program_run = program_run,
    .program_destroy = program_destroy,
    .op_run = op_run,
};
