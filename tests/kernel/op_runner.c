/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include "op_runner.h"
#include "base/f16.h"
#include "base/half.h"
#include "cpu/bf16.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, GUARD = 256, PATTERN = 0xa5 };
enum { MOST_VALUES = OC_MAX_VALUES + OC_MAX_OPS };

/*
 * All values in one block. Each ends at a page that nobody may touch (on the host), with its alignment's slack and a
 * guard before it filled with a pattern.
 */
typedef struct memory {
    const oc_machine *m;
    unsigned char *host, *before; /* what the device holds, and a copy from before the run */
    void *device;                 /* equal to host when it can be addressed */
    size_t size;
} memory;

typedef struct running {
    const oc_case *c;
    const oc_options *o;
    rn_value values[MOST_VALUES];
    uint32_t num_values;
    rn_op ops[OC_MAX_OPS];
    uint32_t in[8], out[8]; /* of the last op */
    rn_run run;
    int32_t shared; /* value that out[0] shares memory with, or -1 */
    memory memory;
} running;

static sigjmp_buf escape;
static volatile sig_atomic_t inside; /* an op runs on the main thread */
static pthread_t main_thread;
static const char *running_name = "";

static void caught(int signal)
{
    if (inside && pthread_equal(pthread_self(), main_thread))
        siglongjmp(escape, signal);
    const char text[] = "signal in ";
    (void)!write(2, text, sizeof text - 1);
    (void)!write(2, running_name, strlen(running_name));
    (void)!write(2, "\n", 1);
    _exit(1);
}

void oc_catch_signals(void)
{
    static const int signals[] = {SIGSEGV, SIGILL, SIGFPE, SIGBUS};
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = caught;
    action.sa_flags = SA_NODEFER;
    main_thread = pthread_self();
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, NULL);
}

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

static size_t element_size(const rn_value *v)
{
    return rni_is_half(v->dtype) ? 2 : v->dtype == RN_F32 || v->dtype == RN_I32 ? 4 : v->dtype == RN_U8 ? 1 : 8;
}

static size_t batch_bytes(const running *r, const rn_value *v)
{
    return v->batch_axis == 0 ? (size_t)v->bytes / (size_t)v->dims[0] * (size_t)r->run.batch : (size_t)v->bytes;
}

/* Position in memory of element i in plain order. */
static size_t position(const rn_value *v, size_t i)
{
    if (v->layout != RN_LAYOUT_NHWC)
        return i;
    const size_t channels = (size_t)v->dims[1], pixels = (size_t)(v->dims[2] * v->dims[3]);
    const size_t image = i / (channels * pixels), rest = i % (channels * pixels);
    return (image * pixels + rest % pixels) * channels + rest / pixels;
}

int oc_metric_is_real(size_t field)
{
    return field < offsetof(rn_step_metrics, count) / 8 || field == offsetof(rn_step_metrics, loss_scale) / 8;
}

static void put(const rn_value *v, unsigned char *bytes, size_t i, double x)
{
    const int is_whole = v->dtype == RN_I64 || (v->role == RN_ROLE_METRICS && !oc_metric_is_real(i));
    const int64_t whole = is_whole ? (int64_t)x : 0;
    const float single = (float)x;
    unsigned char *const at = bytes + position(v, i) * element_size(v);
    const uint16_t half = v->dtype == RN_F16 ? rni_f16_round(single) : rni_bf16_of(single);
    if (v->dtype == RN_F32)
        memcpy(at, &single, sizeof single);
    else if (rni_is_half(v->dtype))
        memcpy(at, &half, sizeof half);
    else if (is_whole)
        memcpy(at, &whole, sizeof whole);
    else if (v->dtype == RN_U8)
        *at = (unsigned char)x;
    else
        memcpy(at, &x, sizeof x);
}

static double get(const rn_value *v, const unsigned char *bytes, size_t i)
{
    int64_t whole;
    float single;
    uint16_t half;
    double x;
    const unsigned char *const at = bytes + position(v, i) * element_size(v);
    if (v->dtype == RN_F32) {
        memcpy(&single, at, sizeof single);
        return (double)single;
    }
    if (rni_is_half(v->dtype)) {
        memcpy(&half, at, sizeof half);
        return (double)(v->dtype == RN_F16 ? rni_f16_value(half) : rni_bf16_value(half));
    }
    if (v->dtype == RN_I64 || (v->role == RN_ROLE_METRICS && !oc_metric_is_real(i))) {
        memcpy(&whole, at, sizeof whole);
        return (double)whole;
    }
    if (v->dtype == RN_U8)
        return (double)*at;
    memcpy(&x, at, sizeof x);
    return x;
}

rn_dtype oc_dtype_of(const oc_value *v, rn_dtype compute)
{
    const int per_channel = v->v.rank == 1 && v->v.batch_axis < 0 && v->v.layout != RN_LAYOUT_PACKED;
    if (v->v.dtype != OC_T)
        return v->v.dtype;
    return per_channel ? rni_wide_dtype(compute) : compute;
}

int oc_computes(const oc_case *c)
{
    for (uint32_t i = 0; i < c->num_values; i++)
        if (rni_is_half(oc_dtype_of(&c->values[i], RN_BF16)))
            return 1;
    return 0;
}

static void resolve_values(running *r, const oc_machine *m)
{
    r->num_values = r->c->num_values;
    for (uint32_t i = 0; i < r->num_values; i++) {
        rn_value *const v = &r->values[i];
        *v = r->c->values[i].v;
        v->dtype = oc_dtype_of(&r->c->values[i], r->o->dtype);
        if (v->layout == OC_IMAGE)
            v->layout = m->info.activation_layout;
        v->bytes = v->layout == RN_LAYOUT_PACKED ? 0 : r->c->values[i].count * element_size(v);
    }
}

static const void *params_of(const oc_case *c, const rn_op *op)
{
    if (!op->params_size)
        return NULL;
    return op->kind == RN_OP_BN_APPLY && c->norm.pixels ? (const void *)&c->norm : &c->params;
}

/* Asks about every op; makes workspaces; learns the size of packed values. */
static int query_ops(running *r, const oc_machine *m, char message[300])
{
    for (uint32_t i = 0; i < r->c->num_ops; i++) {
        rn_op_info info = {.struct_size = sizeof info};
        r->ops[i] = r->c->ops[i];
        rn_op *const op = &r->ops[i];
        op->in = r->c->in[i];
        op->out = r->c->out[i];
        op->params = params_of(r->c, op);
        op->path = r->c->name;
        const rn_status status = m->backend->op_query(m->dev, op, r->values, &info);
        if (status != RN_OK) {
            snprintf(message, 300, "op_query: %s", oc_host_message(m->host));
            return status == RN_E_UNSUPPORTED ? OC_UNSUPPORTED : OC_FAILED;
        }
        if (op->kind == RN_OP_PACK)
            r->values[op->out[0]].bytes = info.out_bytes;
        if (info.workspace) {
            op->workspace = r->num_values;
            r->values[r->num_values++] = (rn_value){.struct_size = sizeof(rn_value), .dtype = RN_U8, .rank = 1,
                                                    .role = RN_ROLE_ARENA, .batch_axis = -1, .bytes = info.workspace,
                                                    .dims = {(int64_t)info.workspace}};
        }
        r->shared = -1;
        if (r->o->in_place && i + 1 == r->c->num_ops) {
            if (info.in_place < 0)
                return OC_UNSUPPORTED;
            r->shared = (int32_t)op->in[info.in_place];
        }
    }
    return OC_OK;
}

static int place(running *r, const oc_machine *m, char message[300])
{
    memory *const a = &r->memory;
    *a = (memory){.m = m};
    for (uint32_t i = 0; i < r->num_values; i++) {
        const size_t room = round_up((size_t)r->values[i].bytes, 64);
        a->size += round_up(room + GUARD, PAGE);
        r->values[i].offset = a->size - room;
        a->size += PAGE;
    }
    if (r->shared >= 0)
        r->values[r->ops[r->c->num_ops - 1].out[0]].offset = r->values[r->shared].offset;
    a->host = mmap(NULL, a->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    a->before = malloc(a->size);
    a->device = a->host;
    if (a->host == MAP_FAILED || !a->before || (!m->info.host_memory &&
                                                m->backend->memory_alloc(m->dev, a->size, &a->device) != RN_OK)) {
        snprintf(message, 300, "no memory for %zu bytes", a->size);
        return OC_FAILED;
    }
    return OC_OK;
}

static void release(running *r)
{
    memory *const a = &r->memory;
    if (a->device && a->device != a->host)
        a->m->backend->memory_free(a->m->dev, a->device, a->size);
    if (a->host && a->host != MAP_FAILED)
        munmap(a->host, a->size);
    free(a->before);
}

/* The pages behind values: the last of each value's part of the block. */
static void protect(const running *r, int how)
{
    size_t at = 0;
    for (uint32_t i = 0; i < r->num_values; i++) {
        at += round_up(round_up((size_t)r->values[i].bytes, 64) + GUARD, PAGE);
        mprotect(r->memory.host + at, PAGE, how);
        at += PAGE;
    }
}

/* The same on a device that can: what lies around values, and beyond the batch in them. */
static void fence(const running *r, const oc_machine *m, int up)
{
    const unsigned char *const device = r->memory.device;
    size_t at = 0;
    for (uint32_t i = 0; m->fence && i < r->num_values; i++) {
        const size_t room = round_up((size_t)r->values[i].bytes, 64), end = at + round_up(room + GUARD, PAGE);
        const size_t first = end - room, last = first + batch_bytes(r, &r->values[i]);
        m->fence(device + at, first - at, up);
        m->fence(device + last, end + PAGE - last, up);
        at = end + PAGE;
    }
}

double oc_stored(rn_dtype dtype, double x)
{
    if (dtype == RN_BF16)
        return (double)rni_bf16_value(rni_bf16_of((float)x));
    if (dtype == RN_F16)
        return (double)rni_f16_value(rni_f16_round((float)x));
    return dtype == RN_F32 ? (double)(float)x : x;
}

static double rounded(const oc_options *o, const oc_value *v, double x)
{
    const int weight = v->v.dtype == RN_F32 && (v->v.rank == 4 || (v->v.rank == 2 && o->linear_weights));
    return o->half && (weight || oc_dtype_of(v, o->half) == o->half) ? oc_stored(o->half, x) : x;
}

static void write_values(running *r)
{
    const memory *const a = &r->memory;
    memset(a->host, PATTERN, a->size);
    for (uint32_t i = 0; i < r->c->num_values; i++) {
        const oc_value *const from = &r->c->values[i];
        const rn_value *const v = &r->values[i];
        const int hidden = v->layout == RN_LAYOUT_PACKED ||
                           (r->shared >= 0 && i == r->ops[r->c->num_ops - 1].out[0]);
        for (size_t k = 0; !hidden && k < from->count; k++) {
            const double x = rounded(r->o, from, from->data[k]);
            put(v, a->host + v->offset, k, r->o->absolute && from->absolute && x < 0 ? -x : x);
        }
    }
    memcpy(a->before, a->host, a->size);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* What enqueued work ran into; its text becomes the message. */
static rn_status wait_for(const oc_machine *m)
{
    const rn_host_api *const api = oc_host_api(m->host);
    rn_fault fault = {.struct_size = sizeof fault};
    const rn_status status = m->backend->queue_wait(m->dev, m->queue, &fault);
    return status != RN_OK || fault.status == RN_OK ? status : api->fail(api->host, fault.status, fault.message);
}

static rn_status run_program(const running *r, const oc_machine *m)
{
    const rn_program_desc desc = {sizeof desc, r->values, r->ops, r->num_values, r->c->num_ops};
    rn_run run = r->run;
    void *program;
    run.first_op = 0;
    run.num_ops = r->c->num_ops;
    rn_status status = m->backend->program_create(m->dev, &desc, &program);
    if (status != RN_OK)
        return status;
    status = m->backend->program_run(program, m->queue, &run);
    const rn_status waited = wait_for(m);
    m->backend->program_destroy(program);
    return status != RN_OK ? status : waited;
}

static rn_status run_once(const running *r, const oc_machine *m, uint32_t first)
{
    rn_status status = RN_OK;
    if (r->o->program)
        return run_program(r, m);
    for (uint32_t i = first; i < r->c->num_ops && status == RN_OK; i++)
        status = m->backend->op_run(m->dev, m->queue, &r->ops[i], r->values, &r->run);
    return status == RN_OK ? wait_for(m) : status;
}

/* The last op alone, again and again. */
static void time_it(const running *r, const oc_machine *m)
{
    const double end = now() + r->o->seconds;
    *r->o->best = 1e30;
    for (int rounds = 0; rounds < 3 || now() < end; rounds++) {
        const double start = now();
        run_once(r, m, r->c->num_ops - 1);
        const double took = now() - start;
        if (took < *r->o->best)
            *r->o->best = took;
    }
}

static int run_ops(running *r, const oc_machine *m, char message[300])
{
    void *base[RN_ROLE_COUNT];
    for (int i = 0; i < RN_ROLE_COUNT; i++)
        base[i] = r->memory.device;
    r->run.base = base;
    running_name = r->c->name;
    const int signal = sigsetjmp(escape, 1);
    if (signal) {
        inside = 0;
        snprintf(message, 300, "%s", strsignal(signal));
        return OC_FAILED;
    }
    inside = 1;
    const rn_status status = run_once(r, m, 0);
    if (status == RN_OK && r->o->seconds > 0)
        time_it(r, m);
    inside = 0;
    if (status == RN_OK)
        return OC_OK;
    snprintf(message, 300, "op_run: status %d: %s", (int)status, oc_host_message(m->host));
    return OC_FAILED;
}

static int changed(const running *r, size_t from, size_t to)
{
    return memcmp(r->memory.host + from, r->memory.before + from, to - from) != 0;
}

/* Nothing outside of outputs changed, and nothing beyond the batch in them. */
static int check_guards(const running *r, char message[300])
{
    size_t at = 0;
    for (uint32_t i = 0; i < r->num_values; i++) {
        const rn_value *const v = &r->values[i];
        const size_t room = round_up((size_t)v->bytes, 64), end = at + round_up(room + GUARD, PAGE);
        const size_t first = end - room, last = first + (size_t)v->bytes;
        const int input = i < r->c->num_values && r->c->values[i].check == OC_INPUT && (int32_t)i != r->shared;
        const size_t may_change = input || r->o->seconds > 0 ? 0 : batch_bytes(r, v);
        if (changed(r, at, first) || changed(r, last, end)) {
            snprintf(message, 300, "wrote outside of value %u", (unsigned)i);
            return OC_FAILED;
        }
        if (r->o->seconds <= 0 && changed(r, first + may_change, last)) {
            snprintf(message, 300, "%s value %u", input ? "changed input" : "wrote beyond the batch in", (unsigned)i);
            return OC_FAILED;
        }
        at = end + PAGE;
    }
    return OC_OK;
}

/* A device that learns late of a label may say by then that the step has no gradient. */
static void allow_nonfinite(const memory *a, const rn_value *v)
{
    const size_t at = v->offset + offsetof(rn_step_metrics, step_nonfinite);
    if (v->role == RN_ROLE_METRICS)
        memcpy(a->before + at, a->host + at, sizeof(((rn_step_metrics *)0)->step_nonfinite));
}

/* After an op that was to be refused. */
static void check_unchanged(const running *r, const oc_machine *m, char message[300])
{
    const memory *const a = &r->memory;
    if (a->device != a->host && m->backend->copy_out(m->dev, m->queue, a->host, a->device, a->size) != RN_OK)
        snprintf(message, 300, "copy_out: %s", oc_host_message(m->host));
    for (uint32_t i = 0; i < r->c->num_values; i++) {
        const rn_value *const v = &r->values[i];
        allow_nonfinite(a, v);
        if (changed(r, v->offset, v->offset + (size_t)v->bytes))
            snprintf(message, 300, "refused, but changed value %u", (unsigned)i);
    }
}

static void read_values(const running *r, oc_result *result)
{
    for (uint32_t i = 0; i < r->c->num_values; i++) {
        const rn_value *const v = &r->values[i];
        const size_t count = v->layout == RN_LAYOUT_PACKED ? 0 : r->c->values[i].count;
        result->data[i] = malloc((count + 1) * sizeof(double));
        for (size_t k = 0; k < count; k++)
            result->data[i][k] = get(v, r->memory.host + v->offset, k);
    }
}

static int run_on_device(running *r, const oc_machine *m, char message[300])
{
    const memory *const a = &r->memory;
    if (a->device == a->host) {
        protect(r, m->readable ? PROT_READ : PROT_NONE);
        const int ran = run_ops(r, m, message);
        protect(r, PROT_READ | PROT_WRITE);
        return ran;
    }
    if (m->backend->copy_in(m->dev, m->queue, a->device, a->host, a->size) != RN_OK || wait_for(m) != RN_OK) {
        snprintf(message, 300, "copy_in: %s", oc_host_message(m->host));
        return OC_FAILED;
    }
    fence(r, m, 1);
    const int ran = run_ops(r, m, message);
    fence(r, m, 0);
    if (ran == OC_OK && m->backend->copy_out(m->dev, m->queue, a->host, a->device, a->size) != RN_OK) {
        snprintf(message, 300, "copy_out: %s", oc_host_message(m->host));
        return OC_FAILED;
    }
    return ran;
}

int oc_run(const oc_machine *m, const oc_case *c, const oc_options *o, oc_result *result, char message[300])
{
    running r = {.c = c, .o = o, .run = c->run, .shared = -1};
    memset(result, 0, sizeof *result);
    message[0] = '\0';
    if (o->program && !m->backend->program_create)
        return OC_UNSUPPORTED;
    if (o->batch)
        r.run.batch = o->batch;
    r.run.lr = c->lr;
    resolve_values(&r, m);
    int outcome = query_ops(&r, m, message);
    if (outcome == OC_OK)
        outcome = place(&r, m, message);
    if (outcome == OC_OK) {
        write_values(&r);
        outcome = run_on_device(&r, m, message);
    }
    if (outcome == OC_FAILED && o->refused)
        check_unchanged(&r, m, message);
    if (outcome == OC_OK)
        outcome = check_guards(&r, message);
    if (outcome == OC_OK)
        read_values(&r, result);
    release(&r);
    return outcome;
}

void oc_result_free(oc_result *r)
{
    for (int i = 0; i < OC_MAX_VALUES; i++)
        free(r->data[i]);
    memset(r, 0, sizeof *r);
}
