/* SPDX-License-Identifier: MIT */
/* A program outside the tree: knows only the installed headers. One training step of a residual block, and a save. */
#include <resnet/resnet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(rn_status status, const char *what)
{
    if (status < 0) {
        fprintf(stderr, "%s: %s: %s\n", what, rn_status_name(status), rn_error_message());
        exit(1);
    }
}

static rn_layer *append(rn_layer *seq, const char *name, rn_layer *child)
{
    must(rn_sequential_append(seq, name, child), name);
    rn_layer_release(child);
    return seq;
}

static rn_layer *convolution(rn_context *ctx, int64_t in, int64_t out)
{
    rn_conv2d_options options = RN_CONV2D_OPTIONS_INIT;
    rn_layer *layer = NULL;
    options.in_channels = in;
    options.out_channels = out;
    must(rn_conv2d_create(ctx, &options, &layer), "conv2d");
    return layer;
}

static rn_layer *network(rn_context *ctx)
{
    rn_layer *net = NULL, *block = NULL, *layer = NULL;
    rn_linear_options linear = RN_LINEAR_OPTIONS_INIT;
    must(rn_sequential_create(ctx, &net), "sequential");
    append(net, "conv", convolution(ctx, 3, 8));
    layer = convolution(ctx, 8, 8);
    must(rn_residual_create(ctx, layer, NULL, NULL, &block), "residual");
    rn_layer_release(layer);
    append(net, "block", block);
    must(rn_global_avgpool2d_create(ctx, &layer), "pool");
    append(net, "pool", layer);
    must(rn_flatten_create(ctx, &layer), "flatten");
    append(net, "flatten", layer);
    linear.in_features = 8;
    linear.out_features = 4;
    must(rn_linear_create(ctx, &linear, &layer), "linear");
    return append(net, "fc", layer);
}

static double train(rn_plan *plan, rn_device *dev)
{
    static float pixels[4 * 3 * 8 * 8];
    static int64_t labels[4] = {0, 1, 2, 3};
    const int64_t image_dims[4] = {4, 3, 8, 8}, label_dims[1] = {4};
    rn_metrics metrics = RN_METRICS_INIT;
    rn_tensor *x = NULL, *y = NULL;
    size_t i;
    for (i = 0; i < sizeof pixels / sizeof *pixels; i++)
        pixels[i] = (float)(i % 17) / 17.0f;
    must(rn_tensor_wrap(dev, RN_F32, 4, image_dims, pixels, sizeof pixels, NULL, NULL, &x), "images");
    must(rn_tensor_wrap(dev, RN_I64, 1, label_dims, labels, sizeof labels, NULL, NULL, &y), "labels");
    must(rn_plan_train_step(plan, x, y), "step");
    must(rn_plan_metrics(plan, &metrics, 0), "metrics");
    rn_tensor_release(x);
    rn_tensor_release(y);
    return metrics.last_loss;
}

int main(int argc, char **argv)
{
    rn_context *ctx = NULL;
    rn_device *dev = NULL;
    rn_layer *net;
    rn_model *model = NULL;
    rn_loss *loss = NULL;
    rn_optimizer *optimizer = NULL;
    rn_plan *plan = NULL;
    rn_plan_options options = RN_PLAN_OPTIONS_INIT;
    double value;

    if (rn_version() != (RN_VERSION_MAJOR << 16 | RN_VERSION_MINOR << 8 | RN_VERSION_PATCH))
        return 1;
    must(rn_context_create(NULL, &ctx), "context");
    must(rn_context_find_device(ctx, "cpu", &dev), "device");
    net = network(ctx);
    must(rn_model_create(ctx, net, dev, &model), "model");
    must(rn_cross_entropy_create(ctx, NULL, &loss), "loss");
    must(rn_sgd_create(model, NULL, &optimizer), "sgd");
    options.mode = RN_PLAN_TRAIN;
    options.input_dims[0] = 4;
    options.input_dims[1] = 3;
    options.input_dims[2] = options.input_dims[3] = 8;
    options.loss = loss;
    options.optimizer = optimizer;
    must(rn_plan_create(model, &options, &plan), "plan");
    value = train(plan, dev);
    if (argc > 1)
        must(rn_model_save(model, argv[1]), "save");
    printf("version %s, %d parameters, loss %.4f\n", rn_build_info(RN_BUILD_VERSION),
           (int)rn_model_parameter_count(model, 0), value);

    rn_plan_release(plan);
    rn_optimizer_release(optimizer);
    rn_loss_release(loss);
    rn_model_release(model);
    rn_layer_release(net);
    rn_context_release(ctx);
    return value > 0.5 && value < 5 ? 0 : 1;
}
