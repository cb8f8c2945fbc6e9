/* SPDX-License-Identifier: MIT */
#include "network.h"
#include "check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void report_names(const char *kind, const char *names)
{
    enum { SHOWN = 5 };
    int count = 0;
    while (names && *names) {
        const size_t length = strcspn(names, "\n");
        if (count++ < SHOWN)
            fprintf(stderr, "  %s: %.*s\n", kind, (int)length, names);
        names += length + (names[length] == '\n');
    }
    if (count > SHOWN)
        fprintf(stderr, "  %s: and %d more\n", kind, count - SHOWN);
}

void network_report(const rn_load_options *load)
{
    report_names("missing", load->missing);
    report_names("unexpected", load->unexpected);
    report_names("of another shape", load->misshapen);
}

void network_load(rn_model *model, const char *arch, const char *path)
{
    rn_load_options load = RN_LOAD_OPTIONS_INIT;
    load.strip_prefix = "module.";
    CHECK(rn_zoo_renames("akamaster", &load.renames, &load.num_renames));
    if (rn_model_load(model, path, &load) < 0) {
        network_report(&load);
        fail(1, "--weights do not fit %s: %s", arch, rn_error_message());
    }
    rn_load_report_release(&load);
}

rn_model *network_open(rn_context *ctx, rn_device *device, const char *arch, int64_t classes, int64_t channels,
                       const char *weights)
{
    rn_zoo_options zoo = RN_ZOO_OPTIONS_INIT;
    rn_layer *net;
    rn_model *model;
    zoo.classes = classes;
    zoo.in_channels = channels;
    CHECK(rn_zoo_create(ctx, arch, &zoo, &net));
    CHECK(rn_model_create(ctx, net, device, &model));
    rn_layer_release(net);
    network_load(model, arch, weights);
    return model;
}

rn_dtype network_dtype(const char *name)
{
    if (strcmp(name, "fp32") == 0)
        return RN_F32;
    if (strcmp(name, "bf16") == 0)
        return RN_BF16;
    if (strcmp(name, "fp16") != 0)
        fail(2, "--dtype: expected fp32, bf16 or fp16, got '%s'", name);
    return RN_F16;
}

void predictor_open(predictor *p, rn_model *model, const int64_t dims[4], rn_dtype dtype)
{
    rn_plan_options o = RN_PLAN_OPTIONS_INIT; /* RN_PLAN_INFER */
    rn_device *const device = rn_model_device(model);
    int64_t shape[RN_MAX_RANK];
    int32_t rank;
    memcpy(o.input_dims, dims, 4 * sizeof *dims);
    o.compute_dtype = dtype;
    CHECK(rn_plan_create(model, &o, &p->plan));
    CHECK(rn_plan_output_shape(p->plan, dims[0], &rank, shape));
    p->classes = shape[1];
    CHECK(rn_tensor_create(device, RN_F32, 2, shape, &p->logits));
    CHECK(rn_tensor_create(device, RN_F32, 2, shape, &p->probabilities));
    p->scores = allocate((size_t)(shape[0] * shape[1]), sizeof *p->scores);
}

/* The last batch of a set is smaller than the others: views of the first rows fit it. */
int64_t predictor_run(predictor *p, rn_tensor *images)
{
    const int64_t n = rn_tensor_dim(images, 0);
    rn_tensor *logits, *probabilities;
    CHECK(rn_tensor_slice(p->logits, 0, n, &logits));
    CHECK(rn_tensor_slice(p->probabilities, 0, n, &probabilities));
    CHECK(rn_plan_forward(p->plan, images, logits));
    CHECK(rn_softmax(logits, probabilities));
    CHECK(rn_tensor_read(probabilities, p->scores, (size_t)(n * p->classes) * sizeof *p->scores));
    rn_tensor_release(probabilities);
    rn_tensor_release(logits);
    return n;
}

void predictor_close(predictor *p)
{
    free(p->scores);
    rn_tensor_release(p->probabilities);
    rn_tensor_release(p->logits);
    rn_plan_release(p->plan);
}

static int taken(const int64_t *classes, int64_t count, int64_t candidate)
{
    for (int64_t i = 0; i < count; i++)
        if (classes[i] == candidate)
            return 1;
    return 0;
}

void largest(const float *scores, int64_t classes, int64_t k, int64_t *out)
{
    for (int64_t i = 0; i < k; i++) {
        out[i] = -1;
        for (int64_t c = 0; c < classes; c++)
            if (!taken(out, i, c) && (out[i] < 0 || scores[c] > scores[out[i]]))
                out[i] = c;
    }
}
