/* SPDX-License-Identifier: MIT */
#include "training.h"
#include <stdlib.h>
#include <string.h>

static rn_status make_model(const st_device *d, rn_device *on, const st_job *job, rn_model **out)
{
    rn_zoo_options options = RN_ZOO_OPTIONS_INIT;
    rn_layer *root;
    options.classes = job->classes;
    const rn_status status = rn_zoo_create(d->ctx, job->net, &options, &root);
    if (status != RN_OK)
        return status;
    const rn_status made = rn_model_create(d->ctx, root, on, out);
    rn_layer_release(root);
    return made;
}

static rn_status make_plan(const st_job *job, st_trainer *r)
{
    const int64_t dims[4] = {job->batch, 3, job->size, job->size};
    rn_plan_options options = RN_PLAN_OPTIONS_INIT;
    memcpy(options.input_dims, dims, sizeof dims);
    options.mode = RN_PLAN_TRAIN;
    options.flags = job->flags;
    options.compute_dtype = job->dtype;
    options.loss_scale = job->loss_scale;
    options.loss = r->loss;
    options.optimizer = r->optimizer;
    return rn_plan_create(r->model, &options, &r->plan);
}

static rn_status make_optimizer(const st_device *d, const st_job *job, st_trainer *r)
{
    rn_sgd_options sgd = RN_SGD_OPTIONS_INIT;
    sgd.lr = job->lr;
    sgd.weight_decay = 0.01; /* enough to be missed */
    const rn_status status = rn_sgd_create(r->model, &sgd, &r->optimizer);
    return status == RN_OK ? rn_cross_entropy_create(d->ctx, NULL, &r->loss) : status;
}

static uint32_t next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static rn_status fill_images(rn_tensor *x)
{
    const size_t count = (size_t)rn_tensor_count(x);
    float *const pixels = malloc(count * sizeof *pixels);
    uint32_t state = 1;
    if (!pixels)
        return RN_E_NOMEM;
    for (size_t i = 0; i < count; i++)
        pixels[i] = (float)next(&state) * 0x1p-23f - 1;
    const rn_status status = rn_tensor_write(x, pixels, count * sizeof *pixels);
    free(pixels);
    return status;
}

static rn_status fill_labels(rn_tensor *labels, int64_t classes)
{
    const size_t count = (size_t)rn_tensor_count(labels);
    int64_t *const numbers = malloc(count * sizeof *numbers);
    uint32_t state = 2;
    if (!numbers)
        return RN_E_NOMEM;
    for (size_t i = 0; i < count; i++)
        numbers[i] = next(&state) % classes;
    const rn_status status = rn_tensor_write(labels, numbers, count * sizeof *numbers);
    free(numbers);
    return status;
}

static rn_status make_data(rn_device *on, const st_job *job, st_trainer *r)
{
    const int64_t image[4] = {job->batch * job->batches, 3, job->size, job->size};
    int64_t dims[RN_MAX_RANK];
    int32_t rank;
    rn_status status = rn_plan_output_shape(r->plan, job->batch, &rank, dims);
    if (status == RN_OK)
        status = rn_tensor_create(on, RN_F32, 4, image, &r->x);
    if (status == RN_OK)
        status = rn_tensor_create(on, RN_I64, 1, image, &r->labels);
    if (status == RN_OK)
        status = fill_images(r->x);
    return status == RN_OK ? fill_labels(r->labels, dims[1]) : status;
}

/* Every weight by its last bit, up or down. */
static rn_status move(rn_model *model)
{
    uint32_t state = 3;
    rn_status status = RN_OK;
    for (size_t i = 0; i < rn_model_state_count(model) && status == RN_OK; i++) {
        rn_state_entry entry = RN_STATE_ENTRY_INIT;
        status = rn_model_state(model, i, &entry);
        if (status != RN_OK || entry.kind != RN_STATE_PARAMETER)
            continue;
        const size_t bytes = rn_tensor_nbytes(entry.value);
        uint32_t *const bits = malloc(bytes);
        status = bits ? rn_tensor_read(entry.value, bits, bytes) : RN_E_NOMEM;
        for (size_t k = 0; status == RN_OK && k < bytes / sizeof *bits; k++)
            if (bits[k] & 0x7fffffffu)
                bits[k] += next(&state) & 1 ? 1u : -1u;
        if (status == RN_OK)
            status = rn_tensor_write(entry.value, bits, bytes);
        free(bits);
    }
    return status;
}

rn_status st_trainer_open(const st_device *d, rn_device *on, const st_job *job, st_trainer *out)
{
    memset(out, 0, sizeof *out);
    rn_status status = make_model(d, on, job, &out->model);
    if (status == RN_OK && job->moved)
        status = move(out->model);
    if (status == RN_OK)
        status = make_optimizer(d, job, out);
    if (status == RN_OK)
        status = make_plan(job, out);
    if (status == RN_OK)
        status = make_data(on, job, out);
    if (status != RN_OK)
        st_trainer_close(out);
    return status;
}

void st_trainer_close(st_trainer *r)
{
    rn_tensor_release(r->x);
    rn_tensor_release(r->labels);
    rn_plan_release(r->plan);
    rn_optimizer_release(r->optimizer);
    rn_loss_release(r->loss);
    rn_model_release(r->model);
    memset(r, 0, sizeof *r);
}
