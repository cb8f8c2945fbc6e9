/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* dladdr */
#include "selftest.h"
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void keep_log(void *user, int32_t level, const char *text)
{
    st_device *const d = user;
    const size_t used = strlen(d->log);
    (void)level;
    snprintf(d->log + used, sizeof d->log - used, "%s%s", used ? "; " : "", text);
}

/* The module counts only devices that it can use. */
static int32_t index_of(const st_device *d)
{
    int32_t index = 0;
    for (size_t i = 0; rn_context_device(d->ctx, i) != d->dev; i++)
        index += rn_context_device(d->ctx, i)->backend == d->backend;
    return index;
}

static rn_status open_context(const selftest *t, st_device *d)
{
    rn_context_options options = RN_CONTEXT_OPTIONS_INIT;
    options.seed = 1;
    options.backend_dir = t->folder;
    options.log_level = RN_LOG_INFO;
    options.log = keep_log;
    options.log_user = d;
    return rn_context_create(&options, &d->ctx);
}

static int find_devices(selftest *t, st_device *d)
{
    char name[32];
    snprintf(name, sizeof name, "cuda:%d", (int)t->device);
    if (!st_ok(t, rn_context_find_device(d->ctx, "cpu", &d->cpu), "cpu"))
        return 0;
    if (rn_context_find_device(d->ctx, name, &d->dev) != RN_OK) {
        st_fail(t, "device %s: %s (%s)", name, rn_error_message(), d->log);
        return 0;
    }
    d->backend = d->dev->backend;
    d->index = index_of(d);
    return 1;
}

static void set(const char *setting, int on)
{
    char name[64];
    if (!setting)
        return;
    const char *const value = strchr(setting, '=');
    snprintf(name, sizeof name, "%.*s", (int)(value - setting), setting);
    if (on)
        setenv(name, value + 1, 1);
    else
        unsetenv(name);
}

int st_open(selftest *t, const char *setting, st_device *d)
{
    memset(d, 0, sizeof *d);
    set(setting, 1);
    const int made = st_ok(t, open_context(t, d), "context");
    set(setting, 0);
    if (made && find_devices(t, d))
        return 1;
    st_close(d);
    return 0;
}

void st_close(st_device *d)
{
    rn_context_release(d->ctx);
    d->ctx = NULL;
}

const char *st_module_path(const st_device *d)
{
    static char path[PATH_MAX];
    Dl_info info;
    if (!dladdr(d->backend, &info) || !realpath(info.dli_fname, path))
        return "?";
    return path;
}

int st_simulated(const st_device *d)
{
    void *const module = dlopen(st_module_path(d), RTLD_NOW | RTLD_NOLOAD);
    if (!module)
        return 0;
    const int found = dlsym(module, "rni_sim_get") != NULL;
    dlclose(module);
    return found;
}

int st_has_bf16(const st_device *d)
{
    const uint32_t in = 0, out = 1;
    rn_value values[2];
    for (int i = 0; i < 2; i++)
        values[i] = (rn_value){.struct_size = sizeof values[i],
                               .dtype = RN_BF16,
                               .role = RN_ROLE_ARENA,
                               .rank = 1,
                               .batch_axis = -1,
                               .dims = {8},
                               .bytes = 16};
    const rn_op op = {.struct_size = sizeof op,
                      .kind = RN_OP_RELU,
                      .in = &in,
                      .out = &out,
                      .num_in = 1,
                      .num_out = 1,
                      .path = "relu",
                      .workspace = RN_NO_VALUE};
    rn_op_info info = {.struct_size = sizeof info};
    return d->backend->op_query(d->dev->dev, &op, values, &info) == RN_OK;
}
