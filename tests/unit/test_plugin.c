/* SPDX-License-Identifier: MIT */
/* Backend modules: where they are looked for, and all that can be wrong with one. */
#include "counting.h"
#include "support.h"
#include <dlfcn.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

/* The folder of the modules, as libresnet-<what>.so. */
static char modules[PATH_MAX];

static void find_modules(void)
{
    const char *const folder = getenv("TEST_MODULES");
    ck_assert_msg(folder && realpath(folder, modules), "TEST_MODULES is not set to the folder of the modules");
}

static counting used;

static rn_context *context_with(const char *backend_dir)
{
    static rn_allocator allocator;
    rn_context_options o = RN_CONTEXT_OPTIONS_INIT;
    rn_context *ctx = NULL;
    find_modules();
    allocator = counting_allocator(&used);
    o.num_threads = 1;
    o.backend_dir = backend_dir;
    o.allocator = &allocator;
    ck_ok(rn_context_create(&o, &ctx));
    return ctx;
}

static void settle(rn_context *ctx)
{
    rn_context_release(ctx);
    ck_assert_int_eq(used.blocks, 0);
    ck_assert_int_eq(used.wrong, 0);
}

static const char *path_of(const char *what)
{
    static char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/libresnet-%s.so", modules, what);
    return path;
}

START_TEST(a_good_one_by_path)
{
    rn_context *const ctx = context_with(NULL);
    const size_t before = rn_context_device_count(ctx);
    rn_device *dev = NULL;
    rn_tensor *t = NULL;
    float x = 3;
    ck_ok(rn_context_load_backend(ctx, path_of("good")));
    ck_assert_uint_eq(rn_context_device_count(ctx), before + 1);
    ck_ok(rn_context_find_device(ctx, "fake:0", &dev));
    ck_assert_str_eq(rn_device_description(dev), "a fake");
    ck_ok(rn_tensor_create(dev, RN_F32, 0, NULL, &t));
    ck_ok(rn_tensor_write(t, &x, sizeof x));
    x = 0;
    ck_ok(rn_tensor_read(t, &x, sizeof x));
    ck_assert(x == 3);
    rn_tensor_release(t);
    ck_fails(rn_context_load_backend(ctx, path_of("good")), RN_E_INVALID, "there is already a device 'fake:0'");
    ck_assert_uint_eq(rn_context_device_count(ctx), before + 1);
    settle(ctx);
}
END_TEST

START_TEST(a_good_one_by_name)
{
    find_modules();
    rn_context *const ctx = context_with(modules);
    ck_ok(rn_context_load_backend(ctx, "good"));
    settle(ctx);
    ck_assert_ptr_null(dlopen(path_of("good"), RTLD_NOW | RTLD_NOLOAD)); /* it went with the context */
}
END_TEST

START_TEST(broken_ones)
{
    static const struct {
        const char *name;
        rn_status status;
        const char *text;
    } cases[] = {
        {"nosymbol", RN_E_BACKEND, "libresnet-nosymbol.so: is no backend module: it has no symbol rn_backend_query"},
        {"othermajor", RN_E_VERSION, "libresnet-othermajor.so: backend: its border has version 2, the library's 1"},
        {"refuses", RN_E_VERSION, "libresnet-refuses.so: refuses border version 1.0 (RN_E_VERSION)"},
        {"empty", RN_E_BACKEND, "libresnet-empty.so: refuses border version 1.0 (RN_OK)"},
        {"missing", RN_E_NOT_FOUND, "libresnet-missing.so"},
    };
    find_modules();
    rn_context *const ctx = context_with(modules);
    const size_t before = rn_context_device_count(ctx);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_fails(rn_context_load_backend(ctx, cases[i].name), cases[i].status, cases[i].text);
        ck_fails(rn_context_load_backend(ctx, path_of(cases[i].name)), cases[i].status, cases[i].text);
        ck_assert_ptr_null(dlopen(path_of(cases[i].name), RTLD_NOW | RTLD_NOLOAD)); /* it did not stay */
    }
    ck_assert_uint_eq(rn_context_device_count(ctx), before);
    settle(ctx);
}
END_TEST

START_TEST(no_library_at_all)
{
    char folder[] = "test_plugin_XXXXXX", path[64];
    rn_context *const ctx = context_with(NULL);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/libresnet-text.so", folder);
    FILE *const f = fopen(path, "w");
    fputs("this is no library\n", f);
    fclose(f);
    ck_fails(rn_context_load_backend(ctx, path), RN_E_BACKEND, "libresnet-text.so: cannot be loaded: ");
    unlink(path);
    rmdir(folder);
    ck_fails(rn_context_load_backend(ctx, "/"), RN_E_BACKEND, "/: cannot be loaded: ");
    settle(ctx);
}
END_TEST

START_TEST(names_that_are_none)
{
    rn_context *const ctx = context_with("/nonexistent");
    char name[5000];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    ck_fails(rn_context_load_backend(ctx, ""), RN_E_INVALID, "name_or_path: is empty");
    ck_fails(rn_context_load_backend(ctx, name), RN_E_INVALID, "name_or_path: longer than 4096 bytes");
    ck_fails(rn_context_load_backend(ctx, "missing"), RN_E_NOT_FOUND, "/nonexistent");
    settle(ctx);
}
END_TEST

/* A module that lies in the current folder is not found by name, nor by LD_LIBRARY_PATH. */
START_TEST(never_the_current_folder)
{
    char before[PATH_MAX];
    find_modules();
    ck_assert_ptr_nonnull(getcwd(before, sizeof before));
    ck_assert_int_eq(chdir(modules), 0);
    ck_assert_int_eq(setenv("LD_LIBRARY_PATH", modules, 1), 0);
    rn_context *const ctx = context_with(NULL);
    ck_fails(rn_context_load_backend(ctx, "good"), RN_E_NOT_FOUND, "libresnet-good.so");
    ck_fails(rn_context_load_backend(ctx, "libresnet-good.so"), RN_E_NOT_FOUND, "libresnet-libresnet-good.so.so");
    settle(ctx);
    ck_assert_int_eq(chdir(before), 0);
}
END_TEST

/* Each allocation on the way fails once. */
START_TEST(without_memory)
{
    for (int n = 1;; n++) {
        rn_context *const ctx = context_with(NULL);
        const size_t before = rn_context_device_count(ctx);
        used.fail_at = used.calls + n;
        const rn_status status = rn_context_load_backend(ctx, path_of("good"));
        used.fail_at = 0;
        ck_assert_uint_eq(rn_context_device_count(ctx), before + (status == RN_OK));
        settle(ctx);
        if (status == RN_OK) {
            ck_assert_int_gt(n, 3);
            return;
        }
        ck_assert_int_eq(status, RN_E_NOMEM);
    }
}
END_TEST

SUPPORT_MAIN("plugin", a_good_one_by_path, a_good_one_by_name, broken_ones, no_library_at_all, names_that_are_none,
             never_the_current_folder, without_memory)
