/* SPDX-License-Identifier: MIT */
/* What training steps give: losses, and the weights in the end. */
#include "training.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static rn_status step_on(st_trainer *r, const st_job *job, int number)
{
    const int64_t first = number % job->batches * job->batch;
    rn_tensor *x = NULL, *labels = NULL;
    rn_status status = rn_tensor_slice(r->x, first, job->batch, &x);
    if (status == RN_OK)
        status = rn_tensor_slice(r->labels, first, job->batch, &labels);
    if (status == RN_OK)
        status = rn_plan_train_step(r->plan, x, labels);
    rn_tensor_release(x);
    rn_tensor_release(labels);
    return status;
}

static rn_status step(st_trainer *r, const st_job *job, int number, double *loss)
{
    rn_metrics metrics = RN_METRICS_INIT;
    /* Another rate every time: what a captured graph must not have kept. */
    rn_status status = rn_optimizer_set_lr(r->optimizer, job->lr * (1 - 0.5 * number / job->steps));
    if (status == RN_OK)
        status = step_on(r, job, number);
    if (status == RN_OK)
        status = rn_plan_metrics(r->plan, &metrics, 0);
    *loss = metrics.last_loss;
    return status;
}

static rn_status read_entry(rn_model *model, size_t index, int32_t kind, float **weights, size_t *count)
{
    rn_state_entry entry = RN_STATE_ENTRY_INIT;
    const rn_status status = rn_model_state(model, index, &entry);
    if (status != RN_OK || entry.kind != kind || rn_tensor_dtype(entry.value) != RN_F32)
        return status;
    const size_t more = (size_t)rn_tensor_count(entry.value);
    float *const grown = realloc(*weights, (*count + more) * sizeof *grown);
    if (!grown)
        return RN_E_NOMEM;
    *weights = grown;
    *count += more;
    return rn_tensor_read(entry.value, grown + *count - more, more * sizeof *grown);
}

static rn_status read_kind(rn_model *model, int32_t kind, float **weights, size_t *count)
{
    rn_status status = RN_OK;
    for (size_t i = 0; i < rn_model_state_count(model) && status == RN_OK; i++)
        status = read_entry(model, i, kind, weights, count);
    return status;
}

static rn_status read_weights(rn_model *model, float **weights, st_course *c)
{
    c->num_weights = 0;
    const rn_status status = read_kind(model, RN_STATE_PARAMETER, weights, &c->num_weights);
    c->num_parameters = c->num_weights;
    return status == RN_OK ? read_kind(model, RN_STATE_BUFFER, weights, &c->num_weights) : status;
}

static rn_status run(st_trainer *r, const st_job *job, st_course *out)
{
    out->loss = calloc((size_t)job->steps, sizeof *out->loss);
    out->steps = (size_t)job->steps;
    if (!out->loss)
        return RN_E_NOMEM;
    rn_status status = read_weights(r->model, &out->start, out);
    for (int i = 0; i < job->steps && status == RN_OK; i++)
        status = step(r, job, i, &out->loss[i]);
    return status == RN_OK ? read_weights(r->model, &out->weights, out) : status;
}

int st_train(selftest *t, const st_device *d, rn_device *on, const st_job *job, st_course *out)
{
    st_trainer r;
    char what[120];
    memset(out, 0, sizeof *out);
    snprintf(what, sizeof what, "%s in %s on %s", job->net, rn_dtype_name(job->dtype), rn_device_name(on));
    if (!st_ok(t, st_trainer_open(d, on, job, &r), what))
        return 0;
    const int ran = st_ok(t, run(&r, job, out), what);
    st_trainer_close(&r);
    if (!ran)
        st_course_free(out);
    return ran;
}

void st_course_free(st_course *c)
{
    free(c->loss);
    free(c->start);
    free(c->weights);
    memset(c, 0, sizeof *c);
}

int st_course_equal(selftest *t, const st_course *a, const st_course *b, const char *what)
{
    for (size_t i = 0; i < a->steps; i++)
        if (memcmp(&a->loss[i], &b->loss[i], sizeof a->loss[i]) != 0) {
            st_fail(t, "%s: loss of step %zu: %.9g and %.9g are not the same bits", what, i + 1, a->loss[i],
                    b->loss[i]);
            return 0;
        }
    for (size_t i = 0; i < a->num_weights; i++)
        if (memcmp(&a->weights[i], &b->weights[i], sizeof a->weights[i]) != 0) {
            st_fail(t, "%s: weight %zu after the last step: %.9g and %.9g are not the same bits", what, i,
                    (double)a->weights[i], (double)b->weights[i]);
            return 0;
        }
    return 1;
}
