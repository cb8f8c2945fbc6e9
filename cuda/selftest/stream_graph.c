/* SPDX-License-Identifier: MIT */
/* Step 7: ops launched one by one, and the same as a captured graph, must give the same bits. */
#include "training.h"
#include <stdio.h>
#include <string.h>

static int train(selftest *t, const char *setting, const st_job *job, st_course *out)
{
    st_device d;
    if (!st_open(t, setting, &d))
        return 0;
    const int ran = st_train(t, &d, d.dev, job, out);
    if (strstr(d.log, "without CUDA graphs")) /* else it would be a stream against a stream */
        st_fail(t, "%s: no graph was captured: %s", job->net, d.log);
    st_close(&d);
    return ran;
}

static void check(selftest *t, const char *net, rn_dtype dtype)
{
    st_course stream = {0}, graph = {0};
    char what[60];
    const st_job job = {.net = net,
                        .dtype = dtype,
                        .batch = t->quick ? 2 : 100,
                        .size = 32,
                        .lr = 0.02,
                        .steps = t->quick ? 3 : 20,
                        .batches = t->quick ? 1 : 3};
    snprintf(what, sizeof what, "%s in %s", net, rn_dtype_name(dtype));
    if (train(t, "RN_CUDA_GRAPH=0", &job, &stream) && train(t, "RN_CUDA_GRAPH=1", &job, &graph) &&
        st_course_equal(t, &stream, &graph, what))
        st_say("%s: %d steps, the same bits", what, job.steps);
    st_course_free(&stream);
    st_course_free(&graph);
}

void st_step_graph(selftest *t)
{
    static const char *const nets[] = {"tutorial", "cifar_resnet20"};
    st_device d;
    if (!st_open(t, NULL, &d))
        return;
    const int bf16 = st_has_bf16(&d);
    st_close(&d);
    for (int i = 0; i < 2; i++) {
        check(t, nets[i], RN_F32);
        if (bf16 && (i == 0 || !t->quick))
            check(t, nets[i], RN_BF16);
        if (i == 0 || !t->quick)
            check(t, nets[i], RN_F16);
    }
    if (!bf16)
        st_say("bf16: the device has none");
}
