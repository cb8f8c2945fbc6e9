/* SPDX-License-Identifier: MIT */
/* Contexts: what can be asked for, what is refused, memory, log, devices by name. */
#include "backend/context.h"
#include "counting.h"
#include "support.h"

static rn_context *context_of(const rn_context_options *o)
{
    rn_context *ctx = NULL;
    ck_ok(rn_context_create(o, &ctx));
    return ctx;
}

START_TEST(defaults)
{
    rn_context_options o;
    const rn_context_options init = RN_CONTEXT_OPTIONS_INIT;
    ck_ok(rn_context_options_init(&o, sizeof o));
    ck_assert_mem_eq(&o, &init, sizeof o);
    ck_fails(rn_context_options_init(NULL, sizeof o), RN_E_INVALID, "options is NULL");
    ck_fails(rn_context_options_init(&o, sizeof o - 1), RN_E_VERSION, "rn_context_options: struct_size is 79, expected at least 80");
    rn_context *const ctx = context_of(NULL);
    ck_assert_int_eq(rn_context_num_threads(ctx), rni_available_threads());
    ck_assert_uint_eq(rn_context_seed(ctx), 0);
    rn_context_release(ctx);
}
END_TEST

static void ck_refused(const rn_context_options *o, rn_status status, const char *text)
{
    rn_context *ctx = NULL;
    ck_fails(rn_context_create(o, &ctx), status, text);
    ck_assert_ptr_null(ctx);
}

START_TEST(options_out_of_range)
{
    const rn_context_options init = RN_CONTEXT_OPTIONS_INIT;
    rn_context_options o = init;
    o.flags = 4;
    ck_refused(&o, RN_E_INVALID, "options.flags: expected 0, got 4");
    o = init, o.num_threads = -1;
    ck_refused(&o, RN_E_INVALID, "options.num_threads: expected 0 to 1024, got -1");
    o.num_threads = 1025;
    ck_refused(&o, RN_E_INVALID, "options.num_threads: expected 0 to 1024, got 1025");
    o = init, o.log_level = 5;
    ck_refused(&o, RN_E_INVALID, "options.log_level: expected 0 to 4, got 5");
    o.log_level = -1;
    ck_refused(&o, RN_E_INVALID, "options.log_level");
    o = init, o.backend_dir = "modules";
    ck_refused(&o, RN_E_INVALID, "options.backend_dir: expected an absolute path, got 'modules'");
    o.backend_dir = "";
    ck_refused(&o, RN_E_INVALID, "options.backend_dir");
    o = init, o.struct_size = 0;
    ck_refused(&o, RN_E_VERSION, "rn_context_options: struct_size is 0");
    ck_fails(rn_context_create(NULL, NULL), RN_E_INVALID, "out is NULL");
}
END_TEST

START_TEST(allocators_that_make_no_sense)
{
    counting c = {0};
    rn_context_options o = RN_CONTEXT_OPTIONS_INIT;
    struct {
        rn_allocator known;
        uint64_t appended;
    } a = {counting_allocator(&c), 0};
    o.allocator = &a.known;
    a.known.struct_size = 8;
    ck_refused(&o, RN_E_VERSION, "options.allocator: struct_size is 8");
    a.known.struct_size = sizeof a;
    a.appended = 1;
    ck_refused(&o, RN_E_VERSION, "options.allocator: a field at byte");
    a.appended = 0;
    a.known.alloc = NULL;
    ck_refused(&o, RN_E_INVALID, "options.allocator: alloc or free is NULL");
    a.known = counting_allocator(&c);
    a.known.free = NULL;
    ck_refused(&o, RN_E_INVALID, "options.allocator: alloc or free is NULL");
    ck_assert_int_eq(c.calls, 0);
    a.known = counting_allocator(&c);
    a.known.struct_size = sizeof a; /* a newer program that sets nothing new */
    rn_context_release(context_of(&o));
    ck_assert_int_gt(c.calls, 0);
}
END_TEST

START_TEST(all_memory_comes_from_the_allocator)
{
    counting c = {0};
    rn_allocator a = counting_allocator(&c);
    rn_context_options o = RN_CONTEXT_OPTIONS_INIT;
    const int64_t dims[] = {1000};
    rn_device *cpu = NULL;
    rn_tensor *t = NULL;
    o.num_threads = 3;
    o.backend_dir = "/nonexistent";
    o.allocator = &a;
    rn_context *const ctx = context_of(&o);
    a.alloc = NULL; /* it was copied */
    ck_ok(rn_context_find_device(ctx, "cpu", &cpu));
    const long long before = c.bytes;
    ck_ok(rn_tensor_create(cpu, RN_F32, 1, dims, &t));
    ck_assert_int_ge(c.bytes - before, 4000);
    rn_tensor_release(t);
    ck_assert_int_eq(c.bytes, before);
    rn_context_release(ctx);
    ck_assert_int_eq(c.bytes, 0);
    ck_assert_int_eq(c.wrong, 0);
}
END_TEST

START_TEST(objects_keep_it_alive)
{
    counting c = {0};
    const rn_allocator a = counting_allocator(&c);
    rn_context_options o = RN_CONTEXT_OPTIONS_INIT;
    rn_device *cpu = NULL;
    rn_tensor *t = NULL;
    o.allocator = &a;
    rn_context *const ctx = context_of(&o);
    ck_ok(rn_context_find_device(ctx, "cpu", &cpu));
    ck_ok(rn_tensor_create(cpu, RN_F32, 0, NULL, &t));
    ck_assert_ptr_eq(rn_context_retain(ctx), ctx);
    rn_context_release(ctx);
    rn_context_release(ctx);
    ck_assert_str_eq(rn_device_name(rn_tensor_device(t)), "cpu");
    rn_tensor_release(t);
    ck_assert_int_eq(c.blocks, 0);
}
END_TEST

START_TEST(nothing_of_nothing)
{
    rn_device *dev = NULL;
    rn_context *const ctx = context_of(NULL);
    rn_context_release(NULL);
    ck_assert_ptr_null(rn_context_retain(NULL));
    ck_assert_int_eq(rn_context_num_threads(NULL), 0);
    ck_assert_uint_eq(rn_context_seed(NULL), 0);
    ck_assert_uint_eq(rn_context_device_count(NULL), 0);
    ck_assert_ptr_null(rn_context_device(NULL, 0));
    ck_assert_ptr_null(rn_context_device(ctx, rn_context_device_count(ctx)));
    ck_assert_ptr_null(rn_device_name(NULL));
    ck_assert_ptr_null(rn_device_description(NULL));
    ck_assert_ptr_null(rn_device_context(NULL));
    ck_fails(rn_context_find_device(NULL, "cpu", &dev), RN_E_INVALID, "ctx is NULL");
    ck_fails(rn_context_find_device(ctx, NULL, &dev), RN_E_INVALID, "name is NULL");
    ck_fails(rn_context_find_device(ctx, "cpu", NULL), RN_E_INVALID, "out is NULL");
    ck_fails(rn_context_load_backend(NULL, "x"), RN_E_INVALID, "ctx is NULL");
    ck_fails(rn_context_load_backend(ctx, NULL), RN_E_INVALID, "name_or_path is NULL");
    ck_fails(rn_device_memory(NULL, NULL, NULL), RN_E_INVALID, "dev is NULL");
    ck_fails(rn_device_synchronize(NULL), RN_E_INVALID, "dev is NULL");
    ck_fails(rn_device_reset(NULL), RN_E_INVALID, "dev is NULL");
    rn_context_release(ctx);
}
END_TEST

START_TEST(devices_by_name)
{
    rn_context *const ctx = context_of(NULL);
    rn_device *cpu = NULL, *dev = NULL;
    uint64_t free_bytes = 0, total = 0;
    ck_ok(rn_context_find_device(ctx, "cpu", &cpu));
    ck_assert_ptr_eq(cpu, rn_context_device(ctx, 0));
    ck_assert_str_eq(rn_device_name(cpu), "cpu");
    ck_assert_uint_gt(strlen(rn_device_description(cpu)), 0);
    ck_assert_ptr_eq(rn_device_context(cpu), ctx);
    ck_ok(rn_device_memory(cpu, &free_bytes, &total));
    ck_assert(free_bytes > 0 && free_bytes <= total);
    ck_ok(rn_device_memory(cpu, NULL, NULL));
    ck_ok(rn_device_synchronize(cpu));
    ck_ok(rn_device_reset(cpu));
    ck_fails(rn_context_find_device(ctx, "tpu:7", &dev), RN_E_DEVICE, "there is no device 'tpu:7'; there are: cpu");
    ck_fails(rn_context_find_device(ctx, "", &dev), RN_E_DEVICE, "there is no device ''");
    ck_assert_ptr_null(dev);
    ck_ok(rn_context_find_device(ctx, "auto", &dev));
    ck_assert_ptr_eq(dev, rn_context_device(ctx, rn_context_device_count(ctx) > 1)); /* a GPU goes before */
    rn_context_release(ctx);
}
END_TEST

typedef struct lines {
    char text[4096];
    int count[RN_LOG_DEBUG + 1];
} lines;

static void note(void *user, int32_t level, const char *text)
{
    lines *const l = user;
    l->count[level]++;
    strncat(l->text, text, sizeof l->text - strlen(l->text) - 2);
    strcat(l->text, "\n");
}

START_TEST(log_by_level)
{
    lines l = {0};
    rn_context_options o = RN_CONTEXT_OPTIONS_INIT;
    o.log = note;
    o.log_user = &l;
    rn_context *ctx = context_of(&o);
    rni_log(ctx, RN_LOG_ERROR, "an error");
    ck_assert_str_eq(l.text, ""); /* silent by default */
    rn_context_release(ctx);
    o.log_level = RN_LOG_INFO;
    ctx = context_of(&o);
    ck_assert_ptr_nonnull(strstr(l.text, "device cpu: "));
    rni_log(ctx, RN_LOG_WARNING, "%d of %s", 1, "two");
    rni_log(ctx, RN_LOG_DEBUG, "not wanted");
    ck_assert_ptr_nonnull(strstr(l.text, "1 of two\n"));
    ck_assert_int_eq(l.count[RN_LOG_WARNING], 1);
    ck_assert_int_eq(l.count[RN_LOG_DEBUG], 0);
    rn_context_release(ctx);
    o.log = NULL; /* a level without anybody to tell */
    rn_context_release(context_of(&o));
}
END_TEST

START_TEST(making_one_leaves_the_message)
{
    rni_fail(RN_E_IO, "from before");
    rn_context_release(context_of(NULL));
    ck_assert_str_eq(rn_error_message(), "from before");
}
END_TEST

static rn_status backwards(void *user, rn_task_fn task, void *arg, size_t count)
{
    ++*(int *)user;
    while (count)
        task(arg, --count);
    return RN_OK;
}

static rn_status refuse(void *user, rn_task_fn task, void *arg, size_t count)
{
    (void)user, (void)task, (void)arg, (void)count;
    return 5;
}

static void mark(void *arg, size_t index)
{
    ((int *)arg)[index]++;
}

/* The services a backend gets. */
START_TEST(host_services)
{
    counting c = {0};
    lines l = {0};
    int calls = 0, seen[5] = {0};
    const rn_allocator a = counting_allocator(&c);
    rn_context_options o = RN_CONTEXT_OPTIONS_INIT;
    o.allocator = &a;
    o.num_threads = 4;
    o.parallel = backwards;
    o.parallel_user = &calls;
    o.log = note;
    o.log_user = &l;
    o.log_level = RN_LOG_ERROR;
    rn_context *const ctx = context_of(&o);
    const rn_host_api *const h = &ctx->host;
    ck_assert_int_eq(h->num_threads, 4);
    const long long before = c.blocks;
    void *const ptr = h->alloc(h->host, 100, 4);
    ck_assert(ptr && c.blocks == before + 1);
    h->free(h->host, ptr, 100, 4);
    h->free(h->host, NULL, 0, 16);
    ck_assert(c.blocks == before && c.wrong == 0);
    h->log(h->host, RN_LOG_ERROR, "100% wrong");
    ck_assert_str_eq(l.text, "100% wrong\n");
    ck_fails((h->fail)(h->host, RN_E_BACKEND, "100% sad"), RN_E_BACKEND, "100% sad");
    ck_ok(h->parallel(h->host, mark, seen, 5));
    ck_assert(calls == 1 && seen[0] == 1 && seen[4] == 1);
    rn_context_release(ctx);
}
END_TEST

START_TEST(a_host_that_refuses_work_is_told_of)
{
    int seen[2] = {0};
    rn_context_options o = RN_CONTEXT_OPTIONS_INIT;
    o.parallel = refuse;
    rn_context *const ctx = context_of(&o);
    ck_fails(ctx->host.parallel(ctx, mark, seen, 2), RN_E_USER, "options.parallel: the host's parallel-for returned 5");
    ck_ok(ctx->host.parallel(ctx, mark, seen, 1)); /* one task needs no help */
    ck_assert_int_eq(seen[0], 1);
    rn_context_release(ctx);
}
END_TEST

SUPPORT_MAIN("context", defaults, options_out_of_range, allocators_that_make_no_sense, all_memory_comes_from_the_allocator,
             objects_keep_it_alive, nothing_of_nothing, devices_by_name, log_by_level, making_one_leaves_the_message,
             host_services, a_host_that_refuses_work_is_told_of)
