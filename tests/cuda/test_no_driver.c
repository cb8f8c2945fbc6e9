/* SPDX-License-Identifier: MIT */
/*
 * The real module where there is no NVIDIA driver: it loads, says why there is no device, and goes again. With a driver
 * there is nothing to see here, and the test is skipped.
 *   test_no_driver MODULE
 */
#include "logged.h"
#include <dlfcn.h>
#include <resnet/sys/backend.h>

static const char *module_path;

START_TEST(loads_and_says_why_there_is_no_device)
{
    rn_device *dev = NULL;
    rn_context *const ctx = logged_context();
    const size_t before = rn_context_device_count(ctx);
    ck_ok(rn_context_load_backend(ctx, module_path));
    ck_assert_uint_eq(rn_context_device_count(ctx), before);
    ck_assert_msg(strstr(logged_text, "there is no NVIDIA driver"), "logged: '%s'", logged_text);
    ck_fails(rn_context_find_device(ctx, "cuda:0", &dev), RN_E_DEVICE, "there is no device 'cuda:0'");
    ck_ok(rn_context_find_device(ctx, "auto", &dev));
    ck_assert_str_eq(rn_device_name(dev), "cpu");
    rn_context_release(ctx);
}
END_TEST

START_TEST(again_and_in_two_contexts)
{
    rn_context *const a = logged_context(), *const b = logged_context();
    ck_ok(rn_context_load_backend(a, module_path));
    ck_ok(rn_context_load_backend(a, module_path));
    ck_ok(rn_context_load_backend(b, module_path));
    rn_context_release(a);
    ck_ok(rn_context_load_backend(b, module_path));
    rn_context_release(b);
}
END_TEST

static rn_status told;
static char message[300];

static rn_status on_fail(void *host, rn_status status, const char *text)
{
    (void)host;
    told = status;
    snprintf(message, sizeof message, "%s", text);
    return status;
}

static void no_log(void *host, int32_t level, const char *text)
{
    (void)host, (void)level, (void)text;
}

static void *plain_alloc(void *host, size_t size, size_t align)
{
    (void)host, (void)align;
    return malloc(size);
}

static void plain_free(void *host, void *ptr, size_t size, size_t align)
{
    (void)host, (void)size, (void)align;
    free(ptr);
}

/* Without the library: what a module may rely on is the host's table. */
START_TEST(table_and_border)
{
    const rn_host_api host = {.struct_size = sizeof host,
                              .alloc = plain_alloc,
                              .free = plain_free,
                              .log = no_log,
                              .fail = on_fail,
                              .num_threads = 1};
    const rn_backend *backend = NULL;
    rn_backend_query_fn query;
    void *dev = NULL;
    int32_t count = -1;
    void *const module = dlopen(module_path, RTLD_NOW | RTLD_LOCAL);
    ck_assert_msg(module != NULL, "%s", dlerror());
    void *const symbol = dlsym(module, "rn_backend_query");
    ck_assert_ptr_nonnull(symbol);
    memcpy(&query, &symbol, sizeof query);
    ck_assert_int_eq(query(RN_BACKEND_ABI_MAJOR + 1, 0, &backend), RN_E_VERSION);
    ck_assert_ptr_null(backend);
    ck_assert_int_eq(query(RN_BACKEND_ABI_MAJOR, RN_BACKEND_ABI_MINOR, &backend), RN_OK);
    ck_assert_str_eq(backend->name, "cuda");
    ck_assert_int_eq(backend->device_count(&host, &count), RN_OK);
    ck_assert_int_eq(count, 0);
    ck_assert_int_eq(backend->device_open(&host, 0, &dev), RN_E_DEVICE);
    ck_assert_ptr_null(dev);
    ck_assert_int_eq(told, RN_E_DEVICE);
    ck_assert_str_eq(message, "cuda: there is no device 0: there are 0");
    backend->device_close(NULL);
    ck_assert_int_eq(dlclose(module), 0);
    ck_assert_msg(dlopen(module_path, RTLD_NOW | RTLD_NOLOAD) == NULL, "the module stays in memory");
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *const tests[] = {loads_and_says_why_there_is_no_device, again_and_in_two_contexts, table_and_border};
    if (argc != 2)
        return 2;
    if (dlopen("libcuda.so.1", RTLD_NOW)) {
        printf("there is an NVIDIA driver\n");
        return 77;
    }
    module_path = argv[1];
    return support_main("no_driver", tests, sizeof tests / sizeof *tests);
}
