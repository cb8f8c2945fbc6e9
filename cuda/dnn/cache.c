/* SPDX-License-Identifier: MIT */
#include "dnn/cache.h"
#include "base/error.h"
#include <string.h>

struct rni_dnn_entry {
    rni_dnn_entry *next;
    rni_dnn_shape shape;
    rni_dnn_plan *plan; /* NULL: there is none */
};

static rn_status no_plan(const rni_dnn_shape *shape)
{
    char text[RNI_DNN_SHAPE_TEXT];
    return rni_fail(RN_E_UNSUPPORTED, "cuDNN has no plan for %s", rni_dnn_shape_text(text, shape));
}

static rn_status keep(rni_dnn *dnn, const rni_dnn_shape *shape, rni_dnn_plan *plan)
{
    const rn_host_api *const host = dnn->rules.host;
    rni_dnn_entry *const entry = host->alloc(host->host, sizeof *entry, _Alignof(rni_dnn_entry));
    if (!entry) {
        rni_dnn_plan_destroy(plan);
        return rni_fail(RN_E_NOMEM, "no memory for a plan of a convolution");
    }
    *entry = (rni_dnn_entry){dnn->entries, *shape, plan};
    dnn->entries = entry;
    return RN_OK;
}

rn_status rni_dnn_find(rni_dnn *dnn, const rni_dnn_shape *shape, int measure, const rni_dnn_rival *rival,
                       const rni_dnn_plan **out)
{
    for (const rni_dnn_entry *e = dnn->entries; e; e = e->next)
        if (memcmp(&e->shape, shape, sizeof *shape) == 0) {
            *out = e->plan;
            return e->plan ? RN_OK : no_plan(shape);
        }
    rni_dnn_plan *plan = NULL;
    const rn_status status =
        measure && dnn->device->autotune ? rni_dnn_measure(dnn, shape, rival, &plan) : rni_dnn_plan_make(&dnn->rules, shape, 0, &plan);
    if (status != RN_OK && status != RN_E_UNSUPPORTED)
        return status;
    RNI_TRY(keep(dnn, shape, plan));
    *out = plan;
    return plan ? RN_OK : no_plan(shape);
}

void rni_dnn_forget(rni_dnn *dnn)
{
    const rn_host_api *const host = dnn->rules.host;
    while (dnn->entries) {
        rni_dnn_entry *const entry = dnn->entries;
        dnn->entries = entry->next;
        rni_dnn_plan_destroy(entry->plan);
        host->free(host->host, entry, sizeof *entry, _Alignof(rni_dnn_entry));
    }
}
