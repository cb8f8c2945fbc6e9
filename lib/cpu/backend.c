/* SPDX-License-Identifier: MIT */
/* The CPU backend's table: one device, memory of the host, work done by the time a call returns. */
#include "backend/context.h"
#include "base/error.h"
#include "ops/rules.h"
#include "cpu/driver.h"
#include "cpu/levels.h"
#include "cpu/widen.h"
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MEMORY_ALIGN = 256, DLPACK_CPU = 1 };

/* The device with its kernel tables. */
typedef struct cpu_device {
    rni_cpu cpu; /* first: drivers and rn_cpu_level() see this part */
    rni_cpu_kernels kernels[RNI_CPU_LEVELS];
} cpu_device;

typedef struct cpu_program {
    const rni_cpu *cpu;
    const rn_program_desc *desc;
    int32_t level;
} cpu_program;

/* By kind. The convolution family's drivers are in conv.c. */
static const rni_cpu_driver *const drivers[RN_OP_COUNT_] = {
    [RN_OP_CONVERT] = &rni_cpu_convert,
    [RN_OP_FILL] = &rni_cpu_fill,
    [RN_OP_PACK] = &rni_cpu_pack,
    [RN_OP_CONV_FORWARD] = &rni_cpu_conv_forward,
    [RN_OP_CONV_BACKWARD_DATA] = &rni_cpu_conv_backward_data,
    [RN_OP_CONV_BACKWARD_FILTER] = &rni_cpu_conv_backward_filter,
    [RN_OP_BIAS_GRAD] = &rni_cpu_bias_grad,
    [RN_OP_BN_STATS] = &rni_cpu_bn_stats,
    [RN_OP_BN_RUNNING] = &rni_cpu_bn_running,
    [RN_OP_BN_APPLY] = &rni_cpu_bn_apply,
    [RN_OP_BN_BACKWARD] = &rni_cpu_bn_backward,
    [RN_OP_BN_FOLD] = &rni_cpu_bn_fold,
    [RN_OP_SCALE_SHIFT] = &rni_cpu_scale_shift,
    [RN_OP_RELU] = &rni_cpu_relu,
    [RN_OP_RELU_BACKWARD] = &rni_cpu_relu_backward,
    [RN_OP_ADD] = &rni_cpu_add,
    [RN_OP_ACCUMULATE] = &rni_cpu_accumulate,
    [RN_OP_MAXPOOL] = &rni_cpu_maxpool,
    [RN_OP_MAXPOOL_BACKWARD] = &rni_cpu_maxpool_backward,
    [RN_OP_AVGPOOL] = &rni_cpu_avgpool,
    [RN_OP_AVGPOOL_BACKWARD] = &rni_cpu_avgpool_backward,
    [RN_OP_GLOBAL_AVGPOOL] = &rni_cpu_avgpool,
    [RN_OP_GLOBAL_AVGPOOL_BACKWARD] = &rni_cpu_avgpool_backward,
    [RN_OP_LINEAR] = &rni_cpu_linear,
    [RN_OP_LINEAR_BACKWARD_DATA] = &rni_cpu_linear_backward_data,
    [RN_OP_LINEAR_BACKWARD_FILTER] = &rni_cpu_linear_backward_filter,
    [RN_OP_SOFTMAX] = &rni_cpu_softmax,
    [RN_OP_SOFTMAX_BACKWARD] = &rni_cpu_softmax_backward,
    [RN_OP_DROPOUT] = &rni_cpu_dropout,
    [RN_OP_DROPOUT_BACKWARD] = &rni_cpu_dropout,
    [RN_OP_PAD_SHORTCUT] = &rni_cpu_pad_shortcut,
    [RN_OP_PAD_SHORTCUT_BACKWARD] = &rni_cpu_pad_shortcut_backward,
    [RN_OP_CROSS_ENTROPY] = &rni_cpu_cross_entropy,
    [RN_OP_SOFT_CROSS_ENTROPY] = &rni_cpu_soft_cross_entropy,
    [RN_OP_MSE] = &rni_cpu_mse,
    [RN_OP_GRAD_NORM] = &rni_cpu_grad_norm,
    [RN_OP_GRAD_CLIP] = &rni_cpu_grad_clip,
    [RN_OP_SGD] = &rni_cpu_sgd,
    [RN_OP_ADAM] = &rni_cpu_adam,
    [RN_OP_LERP] = &rni_cpu_lerp,
    [RN_OP_AUGMENT] = &rni_cpu_augment,
    [RN_OP_GRAD_UNSCALE] = &rni_cpu_grad_unscale,
    [RN_OP_LOSS_SCALE] = &rni_cpu_loss_scale,
};

static rn_status device_count(const rn_host_api *host, int32_t *count)
{
    (void)host;
    *count = 1;
    return RN_OK;
}

static rn_status device_open(const rn_host_api *host, int32_t index, void **dev)
{
    uint32_t mask;
    if (index != 0)
        return rni_fail(RN_E_DEVICE, "cpu: device 0 expected, got %d", (int)index);
    RNI_TRY(rni_cpu_mask_from_environment(&mask));
    cpu_device *const d = host->alloc(host->host, sizeof *d, 64);
    if (!d)
        return rni_fail(RN_E_NOMEM, "out of memory: the CPU device needs %zu bytes", sizeof *d);
    const int32_t highest = rni_cpu_usable_level(UINT32_MAX);
    d->cpu = (rni_cpu){.host = host, .level = rni_cpu_usable_level(mask)};
    for (int32_t level = RN_CPU_BASE; level < RNI_CPU_LEVELS; level++) {
        rni_kernels_init(&d->kernels[level], level < highest ? level : highest);
        d->cpu.kernels[level] = &d->kernels[level];
    }
    *dev = d;
    return RN_OK;
}

static void device_close(void *dev)
{
    cpu_device *const d = dev;
    if (d)
        d->cpu.host->free(d->cpu.host->host, d, sizeof *d, 64);
}

/* A line of /proc/meminfo, in bytes; 0 when there is none. */
static uint64_t meminfo(const char *key)
{
    char line[128];
    unsigned long long kilobytes = 0;
    FILE *const f = fopen("/proc/meminfo", "r");
    if (!f)
        return 0;
    while (fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0 && sscanf(line + strlen(key), ": %llu", &kilobytes) == 1)
            break;
    fclose(f);
    return kilobytes * 1024;
}

static rn_status device_info(void *dev, rn_device_info *info)
{
    const rni_cpu *const cpu = dev;
    char name[49];
    rni_cpu_processor_name(name);
    snprintf(info->name, sizeof info->name, "cpu");
    snprintf(info->description, sizeof info->description, "%s, %s kernels, %d thread%s", name,
             rni_cpu_level_name(cpu->level), (int)cpu->host->num_threads, cpu->host->num_threads == 1 ? "" : "s");
    info->free_bytes = meminfo("MemAvailable");
    info->total_bytes = meminfo("MemTotal");
    info->host_memory = 1;
    info->dlpack_type = DLPACK_CPU;
    info->dlpack_id = 0;
    info->activation_layout = RN_LAYOUT_NHWC;
    return RN_OK;
}

/* Tells the system about the whole pages of that size inside a range. Only advice; it may fail. */
static void advise(void *memory, uint64_t bytes, uintptr_t page, int advice)
{
    const uintptr_t start = (uintptr_t)memory, first = (start + page - 1) & ~(page - 1);
    const uintptr_t last = (start + (uintptr_t)bytes) & ~(page - 1);
    if (last > first)
        madvise((char *)memory + (first - start), last - first, advice);
}

/* Large memory on large pages: a net's activations otherwise miss the TLB at every turn. */
static void ask_for_huge_pages(void *memory, uint64_t bytes)
{
#if defined(MADV_HUGEPAGE)
    advise(memory, bytes, (uintptr_t)1 << 21, MADV_HUGEPAGE);
#else
    (void)memory;
    (void)bytes;
#endif
}

static rn_status memory_alloc(void *dev, uint64_t bytes, void **ptr)
{
    const rni_cpu *const cpu = dev;
    void *const memory = bytes <= SIZE_MAX ? cpu->host->alloc(cpu->host->host, (size_t)bytes, MEMORY_ALIGN) : NULL;
    if (!memory)
        return rni_fail(RN_E_NOMEM, "out of memory: %llu bytes on the CPU", (unsigned long long)bytes);
    ask_for_huge_pages(memory, bytes);
    *ptr = memory;
    return RN_OK;
}

static void memory_free(void *dev, void *ptr, uint64_t bytes)
{
    const rni_cpu *const cpu = dev;
    if (ptr)
        cpu->host->free(cpu->host->host, ptr, (size_t)bytes, MEMORY_ALIGN);
}

static void memory_discard(void *dev, void *ptr, uint64_t bytes)
{
    (void)dev;
    advise(ptr, bytes, (uintptr_t)sysconf(_SC_PAGESIZE), MADV_DONTNEED);
}

static rn_status copy(void *dev, void *queue, void *dst, const void *src, uint64_t bytes)
{
    (void)dev;
    (void)queue;
    if (bytes)
        memmove(dst, src, (size_t)bytes);
    return RN_OK;
}

static rn_status fill(void *dev, void *queue, void *dst, uint64_t bytes)
{
    (void)dev;
    (void)queue;
    if (bytes)
        memset(dst, 0, (size_t)bytes);
    return RN_OK;
}

/* Calls return when their work is done: a queue has nothing to remember. */
static rn_status queue_create(void *dev, void **queue)
{
    *queue = dev;
    return RN_OK;
}

static void queue_destroy(void *dev, void *queue)
{
    (void)dev;
    (void)queue;
}

static rn_status queue_wait(void *dev, void *queue, rn_fault *fault)
{
    (void)dev;
    (void)queue;
    if (fault) {
        fault->status = RN_OK;
        fault->message[0] = '\0';
    }
    return RN_OK;
}

static rn_status op_query(void *dev, const rn_op *op, const rn_value *values, rn_op_info *out)
{
    const rni_cpu *const cpu = dev;
    rn_op_info info = {.struct_size = sizeof info, .in_place = -1};
    RNI_TRY(rni_ops_check(op, values, &info));
    const rni_cpu_driver *const driver = drivers[op->kind];
    if (rni_widen_wanted(driver, cpu->level, op, values))
        RNI_TRY(rni_widen_query(driver, cpu, op, values, &info));
    else if (driver->query)
        RNI_TRY(driver->query(cpu, op, values, &info));
    *out = info;
    return RN_OK;
}

static rn_status run_op(const rni_cpu *cpu, int32_t level, const rn_op *op, const rn_value *values, const rn_run *run)
{
    const rni_cpu_call call = {cpu, cpu->kernels[level], level, op, values, run};
    const rni_cpu_driver *const driver = drivers[op->kind];
    return rni_widen_wanted(driver, level, op, values) ? rni_widen_run(driver, &call) : driver->run(&call);
}

static rn_status program_create(void *dev, const rn_program_desc *desc, void **program)
{
    const rni_cpu *const cpu = dev;
    cpu_program *const p = cpu->host->alloc(cpu->host->host, sizeof *p, 16);
    if (!p)
        return rni_fail(RN_E_NOMEM, "out of memory: a program needs %zu bytes", sizeof *p);
    *p = (cpu_program){cpu, desc, cpu->level};
    *program = p;
    return RN_OK;
}

static rn_status program_run(void *program, void *queue, const rn_run *run)
{
    const cpu_program *const p = program;
    (void)queue;
    for (uint32_t i = 0; i < run->num_ops; i++)
        RNI_TRY(run_op(p->cpu, p->level, &p->desc->ops[run->first_op + i], p->desc->values, run));
    return RN_OK;
}

static void program_destroy(void *program)
{
    cpu_program *const p = program;
    if (p)
        p->cpu->host->free(p->cpu->host->host, p, sizeof *p, 16);
}

static rn_status op_run(void *dev, void *queue, const rn_op *op, const rn_value *values, const rn_run *run)
{
    const rni_cpu *const cpu = dev;
    (void)queue;
    return run_op(cpu, cpu->level, op, values, run);
}

const rn_backend rni_cpu_backend = {
    .struct_size = sizeof(rn_backend),
    .abi_major = RN_BACKEND_ABI_MAJOR,
    .abi_minor = RN_BACKEND_ABI_MINOR,
    .name = "cpu",
    .version = "0.1.0",
    .device_count = device_count,
    .device_open = device_open,
    .device_close = device_close,
    .device_info = device_info,
    .memory_alloc = memory_alloc,
    .memory_free = memory_free,
    .copy_in = copy,
    .copy_out = copy,
    .copy = copy,
    .fill = fill,
    .queue_create = queue_create,
    .queue_destroy = queue_destroy,
    .queue_wait = queue_wait,
    .op_query = op_query,
    .program_create = program_create,
    .program_run = program_run,
    .program_destroy = program_destroy,
    .op_run = op_run,
    .memory_discard = memory_discard,
};
