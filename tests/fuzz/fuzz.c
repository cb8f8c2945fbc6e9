/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "fuzz.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define LARGEST ((size_t)64 << 20)

static void *allocate(void *user, size_t size, size_t align)
{
    void *ptr = NULL;
    (void)user;
    return size > LARGEST || posix_memalign(&ptr, align, size ? size : 1) ? NULL : ptr;
}

static void give_back(void *user, void *ptr, size_t size, size_t align)
{
    (void)user, (void)size, (void)align;
    free(ptr);
}

rn_context *fuzz_context(void)
{
    static rn_context *ctx;
    const rn_allocator allocator = {sizeof allocator, allocate, give_back, NULL};
    rn_context_options options = RN_CONTEXT_OPTIONS_INIT;
    options.num_threads = 1;
    options.allocator = &allocator;
    if (ctx == NULL && rn_context_create(&options, &ctx) < 0)
        abort();
    return ctx;
}

const char *fuzz_file(int slot, const uint8_t *data, size_t size)
{
    static int files[2] = {-1, -1};
    static char paths[2][40];
    if (files[slot] < 0)
        files[slot] = memfd_create("fuzz", 0);
    if (files[slot] < 0 || ftruncate(files[slot], 0) || pwrite(files[slot], data, size, 0) != (ssize_t)size)
        abort();
    snprintf(paths[slot], sizeof paths[slot], "/proc/self/fd/%d", files[slot]);
    return paths[slot];
}

void fuzz_check(rn_status status)
{
    if (rn_status_name(status)[5] == '?' || status == RN_E_INTERNAL || status == RN_E_USER)
        abort();
    if (status < 0 && rn_error_message()[0] == '\0')
        abort();
}
