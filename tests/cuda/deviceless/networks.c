/* SPDX-License-Identifier: MIT */
#include "deviceless/networks.h"
#include "deviceless/paper.h"
#include <resnet/loss.h>
#include <resnet/plan.h>
#include <resnet/zoo.h>
#include <stdio.h>
#include <string.h>

/* Nobody looks at the weights that models are made with, and drawing them took half of the time: linked with --wrap. */
void __wrap_rni_normal(uint32_t a, uint32_t b, double out[2]);
void __wrap_rni_normal(uint32_t a, uint32_t b, double out[2])
{
    (void)a, (void)b;
    out[0] = out[1] = 0;
}

/* CIFAR nets see 32 pixels, the others 224, and VGG as well. */
static int64_t image_size(const char *net)
{
    return strcmp(net, "tutorial") == 0 || strncmp(net, "cifar", 5) == 0 ? 32 : 224;
}

static rn_status note_plan(rn_model *model, const char *net, int32_t mode, uint64_t flags)
{
    rn_plan_options options = RN_PLAN_OPTIONS_INIT;
    const int64_t size = image_size(net);
    const int64_t dims[4] = {1, 3, size, size};
    rn_plan *plan;
    memcpy(options.input_dims, dims, sizeof dims);
    options.mode = mode;
    options.compute_dtype = RN_F16; /* of which alone engines normalise what they read; else it makes no difference here */
    options.flags = flags;
    const rn_status status = rn_plan_create(model, &options, &plan);
    if (status == RN_OK)
        rn_plan_release(plan);
    return status;
}

static rn_status note_net(rn_context *ctx, rn_device *device, const char *net)
{
    rn_layer *root;
    rn_model *model;
    rn_zoo_options options = RN_ZOO_OPTIONS_INIT;
    options.classes = 10; /* convolutions are the same, and there is less to draw */
    paper_net = net;
    rn_status status = rn_zoo_create(ctx, net, &options, &root);
    if (status != RN_OK)
        return status;
    status = rn_model_create(ctx, root, device, &model);
    rn_layer_release(root);
    if (status != RN_OK)
        return status;
    status = note_plan(model, net, RN_PLAN_TRAIN, 0);
    if (status == RN_OK)
        status = note_plan(model, net, RN_PLAN_TRAIN, RN_PLAN_INPUT_GRAD);
    if (status == RN_OK)
        status = note_plan(model, net, RN_PLAN_INFER, 0);
    rn_model_release(model);
    return status;
}

static rn_status note_all(rn_context *ctx, const char *const *nets)
{
    rn_device *device;
    rn_status status = rn_context_register_backend(ctx, &paper_backend);
    if (status == RN_OK)
        status = rn_context_find_device(ctx, "paper:0", &device);
    for (size_t i = 0; status == RN_OK && (nets ? nets[i] : rn_zoo_name(i)); i++)
        status = note_net(ctx, device, nets ? nets[i] : rn_zoo_name(i));
    return status;
}

int networks_note(const char *const *nets)
{
    rn_context *ctx;
    rn_status status = rn_context_create(NULL, &ctx);
    if (status == RN_OK) {
        status = note_all(ctx, nets);
        rn_context_release(ctx);
    }
    if (status != RN_OK)
        fprintf(stderr, "%s: %s\n", paper_net, rn_error_message());
    return status != RN_OK || paper_count == PAPER_MAX;
}
