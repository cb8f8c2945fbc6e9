/* SPDX-License-Identifier: MIT */
/* The services a backend gets in these tests. */
#include "base/threads.h"
#include "base/alloc.h"
#include "op_runner.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct oc_host {
    rn_host_api api;
    rni_pool *pool;
    int mode;
    char message[300];
};

static void *host_alloc(void *host, size_t size, size_t align)
{
    void *p = NULL;
    (void)host;
    return posix_memalign(&p, align < sizeof(void *) ? sizeof(void *) : align, size ? size : 1) == 0 ? p : NULL;
}

static void host_free(void *host, void *ptr, size_t size, size_t align)
{
    (void)host;
    (void)size;
    (void)align;
    free(ptr);
}

static void host_log(void *host, int32_t level, const char *text)
{
    (void)host;
    fprintf(stderr, "log %d: %s\n", (int)level, text);
}

static rn_status host_fail(void *host, rn_status status, const char *message)
{
    oc_host *const h = host;
    snprintf(h->message, sizeof h->message, "%s", message);
    return status;
}

static rn_status host_parallel(void *host, rn_task_fn task, void *arg, size_t count)
{
    const oc_host *const h = host;
    if (h->mode == OC_THREADS)
        return rni_pool_run(h->pool, task, arg, count);
    for (size_t i = 0; i < count; i++)
        task(arg, h->mode == OC_REVERSED ? count - 1 - i : i);
    return RN_OK;
}

oc_host *oc_host_create(int32_t threads)
{
    oc_host *const h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->api = (rn_host_api){.struct_size = sizeof h->api, .host = h, .alloc = host_alloc, .free = host_free};
    h->api.log = host_log;
    h->api.fail = host_fail;
    h->api.parallel = host_parallel;
    h->api.num_threads = threads;
    if (rni_pool_create(&rni_default_allocator, threads, NULL, NULL, &h->pool) == RN_OK)
        return h;
    free(h);
    return NULL;
}

void oc_host_destroy(oc_host *host)
{
    if (!host)
        return;
    rni_pool_destroy(host->pool);
    free(host);
}

const rn_host_api *oc_host_api(oc_host *host)
{
    return &host->api;
}

void oc_host_mode(oc_host *host, int mode)
{
    host->mode = mode;
}

/* A linked-in backend sets the thread's message itself. */
const char *oc_host_message(const oc_host *host)
{
    return host->message[0] ? host->message : rn_error_message();
}

int oc_machine_open(oc_machine *m, oc_host *host, const rn_backend *backend, int32_t index)
{
    *m = (oc_machine){.host = host, .backend = backend};
    m->info.struct_size = sizeof m->info;
    if (backend->device_open(&host->api, index, &m->dev) != RN_OK)
        return 0;
    if (backend->queue_create(m->dev, &m->queue) == RN_OK && backend->device_info(m->dev, &m->info) == RN_OK)
        return 1;
    oc_machine_close(m);
    return 0;
}

void oc_machine_close(oc_machine *m)
{
    if (m->queue)
        m->backend->queue_destroy(m->dev, m->queue);
    if (m->dev)
        m->backend->device_close(m->dev);
    m->queue = m->dev = NULL;
}
