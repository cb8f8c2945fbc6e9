/* SPDX-License-Identifier: MIT */
/* Devices of a fake backend: registration, failures of enqueued work, programs run whole and op by op, watched ops. */
#include "backend/context.h"
#include "counting.h"
#include "fake_backend.h"
#include "support.h"
#include <math.h>

static counting used;

static rn_context *counted_context(void)
{
    static rn_allocator allocator;
    rn_context_options o = RN_CONTEXT_OPTIONS_INIT;
    rn_context *ctx = NULL;
    allocator = counting_allocator(&used);
    o.num_threads = 1;
    o.allocator = &allocator;
    ck_ok(rn_context_create(&o, &ctx));
    return ctx;
}

static rn_context *fake_context(const rn_backend *backend, rn_device **dev)
{
    rn_context *const ctx = counted_context();
    ck_ok(rn_context_register_backend(ctx, backend));
    ck_ok(rn_context_find_device(ctx, "fake:0", dev));
    return ctx;
}

static void settle(rn_context *ctx)
{
    rn_context_release(ctx);
    ck_assert_int_eq(used.blocks, 0);
    ck_assert_int_eq(used.wrong, 0);
}

static fake_device *fake_of(rn_device *dev)
{
    return dev->dev;
}

static void break_work(rn_device *dev, const char *message)
{
    fake_of(dev)->fault.status = RN_E_BACKEND;
    snprintf(fake_of(dev)->fault.message, sizeof fake_of(dev)->fault.message, "%s", message);
}

/* --- registration --- */

static rn_status three_devices(const rn_host_api *host, int32_t *count)
{
    (void)host;
    *count = 3;
    return RN_OK;
}

static rn_status no_devices(const rn_host_api *host, int32_t *count)
{
    (void)host;
    *count = 0;
    return RN_OK;
}

static rn_status count_fails(const rn_host_api *host, int32_t *count)
{
    (void)count;
    return (host->fail)(host->host, RN_E_BACKEND, "fake: no driver");
}

static rn_status only_two_open(const rn_host_api *host, int32_t index, void **dev)
{
    if (index == 2)
        return (host->fail)(host->host, RN_E_DEVICE, "fake: third is broken");
    return fake_open(host, index, dev);
}

static int named;

/* Names that no two devices share, without a terminator. */
static rn_status long_name(void *dev, rn_device_info *info)
{
    ck_ok(fake_info(dev, info));
    memset(info->name, 'a' + named++, sizeof info->name);
    memset(info->description, 'd', sizeof info->description);
    return RN_OK;
}

static void ck_refused(const rn_backend *backend, rn_status status, const char *text)
{
    rn_context *const ctx = counted_context();
    const size_t before = rn_context_device_count(ctx);
    ck_fails(rn_context_register_backend(ctx, backend), status, text);
    ck_assert_uint_eq(rn_context_device_count(ctx), before);
    settle(ctx);
}

START_TEST(backends_that_make_no_sense)
{
    const rn_backend good = FAKE_BACKEND;
    rn_backend b = good;
    b.abi_major = 7;
    ck_refused(&b, RN_E_VERSION, "backend: its border has version 7, the library's 1");
    b = good, b.struct_size = 16;
    ck_refused(&b, RN_E_VERSION, "backend: struct_size is 16");
    b = good, b.op_run = NULL;
    ck_refused(&b, RN_E_INVALID, "backend: a function that is not optional is NULL");
    b = good, b.name = NULL;
    ck_refused(&b, RN_E_INVALID, "backend: a function that is not optional is NULL");
    b = good, b.device_count = count_fails;
    ck_refused(&b, RN_E_BACKEND, "fake: no driver");
    b = good, b.device_count = three_devices;
    ck_refused(&b, RN_E_INVALID, "backend: there is already a device 'fake:0'"); /* all have one name */
    b = good, b.device_count = three_devices, b.device_open = only_two_open, b.device_info = long_name;
    ck_refused(&b, RN_E_DEVICE, "fake: third is broken");
    ck_fails(rn_context_register_backend(NULL, &good), RN_E_INVALID, "ctx is NULL");
    rn_context *const ctx = counted_context();
    ck_fails(rn_context_register_backend(ctx, NULL), RN_E_INVALID, "backend is NULL");
    settle(ctx);
}
END_TEST

START_TEST(several_devices)
{
    rn_backend b = FAKE_BACKEND;
    b.device_count = three_devices;
    b.device_info = long_name;
    rn_context *const ctx = counted_context();
    const size_t before = rn_context_device_count(ctx);
    rn_device *dev = NULL;
    ck_ok(rn_context_register_backend(ctx, &b));
    ck_assert_uint_eq(rn_context_device_count(ctx), before + 3);
    ck_assert_uint_eq(strlen(rn_device_name(rn_context_device(ctx, before))), 31);
    ck_assert_uint_eq(strlen(rn_device_description(rn_context_device(ctx, before + 2))), 159);
    ck_fails(rn_context_find_device(ctx, "nobody", &dev), RN_E_DEVICE, "there are: cpu");
    ck_ok(rn_context_find_device(ctx, "auto", &dev));
    ck_assert_str_ne(rn_device_name(dev), "cpu");
    b.device_count = no_devices;
    ck_ok(rn_context_register_backend(ctx, &b));
    ck_assert_uint_eq(rn_context_device_count(ctx), before + 3);
    settle(ctx);
}
END_TEST

/* --- memory and failures of enqueued work --- */

START_TEST(memory_of_a_device)
{
    const rn_backend b = FAKE_BACKEND;
    rn_device *dev = NULL;
    rn_context *const ctx = fake_context(&b, &dev);
    const int64_t dims[] = {1000}, large[] = {1 << 20};
    uint64_t free_bytes = 0, total = 0;
    rn_tensor *t = NULL;
    ck_ok(rn_device_memory(dev, &free_bytes, &total));
    ck_assert(free_bytes == 12345 && total == 99999);
    ck_ok(rn_tensor_create(dev, RN_F32, 1, dims, &t));
    ck_assert_uint_eq(fake_of(dev)->bytes, 4000);
    rn_tensor_release(t), t = NULL;
    ck_assert_uint_eq(fake_of(dev)->bytes, 0);
    ck_fails(rn_tensor_create(dev, RN_F32, 1, large, &t), RN_E_NOMEM,
             "out of memory: a tensor needs 4194304 bytes on fake:0, which has 12345 free");
    fake_of(dev)->fails = 1; /* filling with zeros */
    ck_fails(rn_tensor_create(dev, RN_F32, 1, dims, &t), RN_E_BACKEND, "fake: fill failed");
    ck_assert(!t && fake_of(dev)->bytes == 0);
    settle(ctx);
}
END_TEST

START_TEST(a_fault_poisons_until_reset)
{
    const rn_backend b = FAKE_BACKEND;
    rn_device *dev = NULL, *cpu = NULL;
    rn_context *const ctx = fake_context(&b, &dev);
    rn_tensor *t = NULL, *other = NULL, *wide = NULL;
    float x = 1;
    ck_ok(rn_context_find_device(ctx, "cpu", &cpu));
    ck_ok(rn_tensor_create(dev, RN_F32, 0, NULL, &t));
    ck_ok(rn_tensor_create(dev, RN_F32, 0, NULL, &other));
    ck_ok(rn_tensor_create(cpu, RN_F64, 0, NULL, &wide));
    break_work(dev, "layer1.conv: a kernel failed");
    ck_fails(rn_tensor_read(t, &x, sizeof x), RN_E_BACKEND, "layer1.conv: a kernel failed");
    const char *const later = "fake:0 failed earlier and needs rn_device_reset(): layer1.conv: a kernel failed";
    ck_fails(rn_tensor_read(t, &x, sizeof x), RN_E_BACKEND, later);
    ck_fails(rn_tensor_write(t, &x, sizeof x), RN_E_BACKEND, later);
    ck_fails(rn_tensor_copy(t, other), RN_E_BACKEND, later);
    ck_fails(rn_tensor_copy(t, wide), RN_E_BACKEND, later);
    ck_fails(rn_device_synchronize(dev), RN_E_BACKEND, later);
    ck_ok(rn_device_synchronize(cpu)); /* the other device is well */
    rn_tensor *none = NULL;
    ck_fails(rn_tensor_create(dev, RN_F32, 0, NULL, &none), RN_E_BACKEND, later);
    ck_assert(x == 1 && !none);
    ck_ok(rn_device_reset(dev));
    ck_ok(rn_tensor_read(t, &x, sizeof x));
    ck_assert(x == 0);
    ck_ok(rn_device_synchronize(dev));
    rn_tensor_release(t);
    rn_tensor_release(other);
    rn_tensor_release(wide);
    settle(ctx);
}
END_TEST

START_TEST(synchronize_tells_the_first_fault)
{
    const rn_backend b = FAKE_BACKEND;
    rn_device *dev = NULL;
    rn_context *const ctx = fake_context(&b, &dev);
    memset(fake_of(dev)->fault.message, 'm', sizeof fake_of(dev)->fault.message); /* no terminator */
    fake_of(dev)->fault.status = RN_E_NOMEM;
    ck_fails(rn_device_synchronize(dev), RN_E_NOMEM, "mmmm");
    ck_assert_uint_eq(strlen(rn_error_message()), sizeof(((rn_fault *)0)->message) - 1);
    break_work(dev, "a second one");
    const int waits = fake_of(dev)->waits;
    ck_fails(rn_device_synchronize(dev), RN_E_NOMEM, "mmmm");
    ck_assert_int_eq(fake_of(dev)->waits, waits);
    ck_ok(rn_device_reset(dev)); /* waits, and takes what comes with it */
    ck_assert_int_eq(fake_of(dev)->waits, waits + 1);
    ck_ok(rn_device_synchronize(dev));
    fake_of(dev)->fails = 1;
    ck_fails(rn_device_synchronize(dev), RN_E_BACKEND, "fake: waiting failed");
    ck_fails(rn_device_reset(dev), RN_E_BACKEND, "fake: waiting failed");
    settle(ctx);
}
END_TEST

START_TEST(tensors_of_two_devices)
{
    const rn_backend b = FAKE_BACKEND;
    const int64_t dims[] = {3};
    const float data[3] = {1, 2, 3};
    float out[3];
    rn_device *dev = NULL, *cpu = NULL;
    rn_context *const ctx = fake_context(&b, &dev);
    rn_tensor *a = NULL, *c = NULL;
    ck_ok(rn_context_find_device(ctx, "cpu", &cpu));
    ck_ok(rn_tensor_create(dev, RN_F32, 1, dims, &a));
    ck_ok(rn_tensor_create(cpu, RN_F32, 1, dims, &c));
    ck_ok(rn_tensor_write(a, data, sizeof data));
    ck_ok(rn_tensor_copy(a, c));
    ck_ok(rn_tensor_read(c, out, sizeof out));
    ck_assert_mem_eq(out, data, sizeof out);
    rn_tensor_release(a);
    rn_tensor_release(c);
    settle(ctx);
}
END_TEST

/* --- programs --- */

enum { VALUES = 3, OPS = 3, BATCH = 4, WIDTH = 2 };

/* x -> a -> b -> y, each [BATCH, WIDTH] f32; the fake's op copies. Op 1 may be told to write a NaN. */
typedef struct program {
    rn_value values[VALUES + 1];
    uint32_t in[OPS], out[OPS];
    rn_op ops[OPS];
    rn_program_desc desc;
    float memory[VALUES + 1][BATCH * WIDTH];
    void *base[RN_ROLE_COUNT];
    rn_run run;
} program;

static int ops_run, bad_op, programs, whole_runs;

static void setup(program *p)
{
    static const int32_t roles[] = {RN_ROLE_X, RN_ROLE_ARENA, RN_ROLE_DERIVED, RN_ROLE_Y};
    static const char *const paths[] = {"stem", "layer1.0.conv1", "fc"};
    *p = (program){.run = {.struct_size = sizeof p->run, .batch = BATCH, .num_ops = OPS}};
    for (int i = 0; i <= VALUES; i++) {
        p->values[i] = (rn_value){.struct_size = sizeof(rn_value), .dtype = RN_F32, .role = roles[i], .rank = 2,
                                  .dims = {BATCH, WIDTH}, .bytes = sizeof p->memory[i]};
        p->base[roles[i]] = p->memory[i];
    }
    for (uint32_t i = 0; i < OPS; i++) {
        p->in[i] = i;
        p->out[i] = i + 1;
        p->ops[i] = (rn_op){.struct_size = sizeof(rn_op), .kind = RN_OP_CONVERT, .in = &p->in[i], .out = &p->out[i],
                            .num_in = 1, .num_out = 1, .path = paths[i], .workspace = RN_NO_VALUE};
    }
    p->desc = (rn_program_desc){sizeof p->desc, p->values, p->ops, VALUES + 1, OPS};
    p->run.base = p->base;
    for (int i = 0; i < BATCH * WIDTH; i++)
        p->memory[0][i] = (float)(i + 1);
    ops_run = programs = whole_runs = 0;
    bad_op = -1;
}

static rn_status copy_op(void *dev, void *queue, const rn_op *op, const rn_value *values, const rn_run *run)
{
    float *const dst = run->base[values[op->out[0]].role];
    RNI_TRY(fake_op_run(dev, queue, op, values, run));
    memcpy(dst, run->base[values[op->in[0]].role], (size_t)run->batch * WIDTH * sizeof(float));
    if ((int)op->in[0] == bad_op)
        dst[run->batch * WIDTH - 1] = NAN;
    ops_run++;
    return RN_OK;
}

typedef struct whole {
    void *dev;
    const rn_program_desc *desc;
} whole;

static rn_status whole_create(void *dev, const rn_program_desc *desc, void **out)
{
    static whole w;
    RNI_TRY(fake_failing(dev, "fake: no such program"));
    w = (whole){dev, desc};
    programs++;
    *out = &w;
    return RN_OK;
}

static rn_status whole_run(void *handle, void *queue, const rn_run *run)
{
    const whole *const w = handle;
    whole_runs++;
    for (uint32_t i = run->first_op; i < run->first_op + run->num_ops; i++)
        RNI_TRY(copy_op(w->dev, queue, &w->desc->ops[i], w->desc->values, run));
    return RN_OK;
}

static void whole_destroy(void *handle)
{
    (void)handle;
    programs--;
}

static rn_backend backend_with_ops(int takes_programs)
{
    rn_backend b = FAKE_BACKEND;
    b.op_run = copy_op;
    if (takes_programs) {
        b.program_create = whole_create;
        b.program_run = whole_run;
        b.program_destroy = whole_destroy;
    }
    return b;
}

START_TEST(half_of_the_program_functions)
{
    rn_backend b = backend_with_ops(1);
    b.program_run = NULL;
    ck_refused(&b, RN_E_INVALID, "backend: program_create without program_run and program_destroy");
}
END_TEST

static rn_status no_mark(void *dev, void **mark)
{
    (void)dev, (void)mark;
    return RN_E_INTERNAL;
}

START_TEST(half_of_the_mark_functions)
{
    rn_backend b = FAKE_BACKEND;
    b.mark_create = no_mark;
    ck_refused(&b, RN_E_INVALID, "backend: mark_create without mark_destroy, mark_record and mark_elapsed");
}
END_TEST

START_TEST(programs_whole_and_op_by_op)
{
    for (int takes = 0; takes < 2; takes++) {
        const rn_backend b = backend_with_ops(takes);
        rn_device *dev = NULL;
        rn_context *const ctx = fake_context(&b, &dev);
        rni_compiled *c = NULL;
        program p;
        setup(&p);
        ck_ok(rni_compiled_create(dev, &p.desc, &c));
        ck_assert_int_eq(programs, takes);
        ck_ok(rni_compiled_run(c, &p.run));
        ck_assert_int_eq(ops_run, OPS);
        ck_assert_int_eq(whole_runs, takes);
        ck_assert_mem_eq(p.memory[VALUES], p.memory[0], sizeof p.memory[0]);
        p.run.first_op = 1, p.run.num_ops = 1; /* a part */
        ck_ok(rni_compiled_run(c, &p.run));
        ck_assert_int_eq(ops_run, OPS + 1);
        fake_of(dev)->fails = 1;
        ck_fails(rni_compiled_run(c, &p.run), RN_E_BACKEND, "fake: op failed");
        fake_of(dev)->fails = 0;
        break_work(dev, "fc: failed");
        ck_fails(rn_device_synchronize(dev), RN_E_BACKEND, "fc: failed");
        ck_fails(rni_compiled_run(c, &p.run), RN_E_BACKEND, "fake:0 failed earlier");
        ck_assert_int_eq(ops_run, OPS + 1);
        rni_compiled_destroy(c);
        rni_compiled_destroy(NULL);
        ck_assert_int_eq(programs, 0);
        settle(ctx);
    }
}
END_TEST

START_TEST(programs_that_cannot_be_made)
{
    const rn_backend b = backend_with_ops(1);
    rn_device *dev = NULL;
    rn_context *const ctx = fake_context(&b, &dev);
    rni_compiled *c = NULL;
    program p;
    setup(&p);
    fake_of(dev)->fails = 1;
    ck_fails(rni_compiled_create(dev, &p.desc, &c), RN_E_BACKEND, "fake: no such program");
    fake_of(dev)->fails = 0;
    used.fail_at = used.calls + 1;
    ck_fails(rni_compiled_create(dev, &p.desc, &c), RN_E_NOMEM, "a program");
    used.fail_at = 0;
    ck_assert(!c && programs == 0);
    settle(ctx);
}
END_TEST

/* --- RN_VALIDATE=1 --- */

static rni_compiled *watched(rn_device *dev, program *p)
{
    rni_compiled *c = NULL;
    setup(p);
    ck_assert_int_eq(setenv("RN_VALIDATE", "1", 1), 0);
    ck_ok(rni_compiled_create(dev, &p->desc, &c));
    ck_assert_int_eq(unsetenv("RN_VALIDATE"), 0);
    return c;
}

START_TEST(a_watched_op_that_writes_a_nan_is_named)
{
    for (int takes = 0; takes < 2; takes++) {
        const rn_backend b = backend_with_ops(takes);
        rn_device *dev = NULL;
        rn_context *const ctx = fake_context(&b, &dev);
        program p;
        rni_compiled *const c = watched(dev, &p);
        ck_ok(rni_compiled_run(c, &p.run));
        ck_assert_int_eq(ops_run, OPS);
        ck_assert_int_eq(whole_runs, takes * OPS); /* one at a time */
        bad_op = 1;
        ck_fails(rni_compiled_run(c, &p.run), RN_E_BACKEND, "layer1.0.conv1: op kind 1 wrote a NaN although it read none");
        ck_assert_int_eq(ops_run, OPS + 2); /* and the next did not run */
        p.run.batch = 2; /* beyond the batch there may be anything */
        p.memory[1][BATCH * WIDTH - 1] = p.memory[3][BATCH * WIDTH - 1] = NAN;
        bad_op = -1;
        ck_ok(rni_compiled_run(c, &p.run));
        p.memory[0][0] = NAN; /* the input has one: nobody's fault */
        ck_ok(rni_compiled_run(c, &p.run));
        rni_compiled_destroy(c);
        settle(ctx);
    }
}
END_TEST

START_TEST(a_watched_op_is_waited_for)
{
    const rn_backend b = backend_with_ops(0);
    rn_device *dev = NULL;
    rn_context *const ctx = fake_context(&b, &dev);
    program p;
    rni_compiled *const c = watched(dev, &p);
    break_work(dev, "stem: failed");
    ck_fails(rni_compiled_run(c, &p.run), RN_E_BACKEND, "stem: failed");
    ck_assert_int_eq(ops_run, 1);
    rni_compiled_destroy(c);
    settle(ctx);
}
END_TEST

START_TEST(watched_operands_that_cannot_be)
{
    const rn_backend b = backend_with_ops(0);
    rn_device *dev = NULL;
    rn_context *const ctx = fake_context(&b, &dev);
    program p;
    rni_compiled *const c = watched(dev, &p);
    p.base[RN_ROLE_ARENA] = NULL;
    ck_fails(rni_compiled_run(c, &p.run), RN_E_INTERNAL, "stem: op kind 1: output 0 has no address");
    p.base[RN_ROLE_ARENA] = p.memory[1];
    p.run.batch = BATCH + 1;
    ck_fails(rni_compiled_run(c, &p.run), RN_E_INTERNAL, "stem: op kind 1: a batch of 5 is too large for input 0");
    p.run.batch = BATCH;
    p.in[2] = VALUES + 1;
    ck_fails(rni_compiled_run(c, &p.run), RN_E_INTERNAL, "fc: op kind 1: input 0 is value 4 of 4");
    rni_compiled_destroy(c);
    settle(ctx);
}
END_TEST

START_TEST(only_on_request)
{
    const rn_backend b = backend_with_ops(0);
    rn_device *dev = NULL;
    rn_context *const ctx = fake_context(&b, &dev);
    static const char *const wishes[] = {NULL, "0", "yes"};
    for (size_t i = 0; i < 3; i++) {
        rni_compiled *c = NULL;
        program p;
        setup(&p);
        ck_assert_int_eq(wishes[i] ? setenv("RN_VALIDATE", wishes[i], 1) : unsetenv("RN_VALIDATE"), 0);
        ck_ok(rni_compiled_create(dev, &p.desc, &c));
        bad_op = 1;
        ck_ok(rni_compiled_run(c, &p.run));
        rni_compiled_destroy(c);
    }
    ck_assert_int_eq(unsetenv("RN_VALIDATE"), 0);
    settle(ctx);
}
END_TEST

SUPPORT_MAIN("device", backends_that_make_no_sense, several_devices, memory_of_a_device, a_fault_poisons_until_reset,
             synchronize_tells_the_first_fault, tensors_of_two_devices, half_of_the_program_functions,
             half_of_the_mark_functions, programs_whole_and_op_by_op, programs_that_cannot_be_made,
             a_watched_op_that_writes_a_nan_is_named, a_watched_op_is_waited_for, watched_operands_that_cannot_be,
             only_on_request)
