/* SPDX-License-Identifier: MIT */
/*
 * A residual block put together by hand, a small net made of two of them, and a training loop of its own:
 *
 *     cc residual_block.c $(pkg-config --cflags --libs resnet) -lm -o residual_block && ./residual_block
 *
 * The images are made here: noisy stripes, to be told apart by their direction. No files are needed.
 */
#include <math.h>
#include <resnet/resnet.h>
#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 32, STEPS = 120, CHANNELS = 1, SIZE = 16, CLASSES = 4, TEST_IMAGES = 512 };

/* Every call of the library returns a status; the message says what was wrong, and where. */
#define CHECK(call)                                                                                                  \
    do {                                                                                                             \
        const rn_status status_ = (call);                                                                            \
        if (status_ < 0) {                                                                                           \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, rn_status_name(status_), rn_error_message());     \
            exit(1);                                                                                                 \
        }                                                                                                            \
    } while (0)

/* Appends a layer under a name; the sequence has its own reference, so ours is given up. */
static void append(rn_layer *sequence, const char *name, rn_layer *layer)
{
    CHECK(rn_sequential_append(sequence, name, layer));
    rn_layer_release(layer);
}

/* A convolution without bias and its batch normalisation. */
static void append_conv_bn(rn_context *ctx, rn_layer *sequence, const char *conv_name, const char *bn_name, int64_t in,
                           int64_t out, int64_t kernel, int64_t stride)
{
    rn_conv2d_options conv = RN_CONV2D_OPTIONS_INIT;
    rn_batchnorm2d_options bn = RN_BATCHNORM2D_OPTIONS_INIT;
    rn_layer *layer;
    conv.in_channels = in;
    conv.out_channels = bn.channels = out;
    conv.kernel[0] = conv.kernel[1] = kernel;
    conv.stride[0] = conv.stride[1] = stride;
    conv.padding[0] = conv.padding[1] = kernel / 2;
    conv.init = RN_INIT_KAIMING_FAN_IN;
    CHECK(rn_conv2d_create(ctx, &conv, &layer));
    append(sequence, conv_name, layer);
    CHECK(rn_batchnorm2d_create(ctx, &bn, &layer));
    append(sequence, bn_name, layer);
}

static void append_relu(rn_context *ctx, rn_layer *sequence, const char *name)
{
    rn_layer *layer;
    CHECK(rn_relu_create(ctx, &layer));
    append(sequence, name, layer);
}

/*
 * y = ReLU(F(x) + shortcut(x)), with F two convolutions. Where F changes the dimensions the shortcut is a 1x1
 * convolution, elsewhere the identity (He et al. 2015, equations 1 and 2).
 */
static rn_layer *residual_block(rn_context *ctx, int64_t in, int64_t out, int64_t stride)
{
    rn_layer *residual, *shortcut = NULL, *block;
    CHECK(rn_sequential_create(ctx, &residual));
    append_conv_bn(ctx, residual, "conv1", "bn1", in, out, 3, stride);
    append_relu(ctx, residual, "relu");
    append_conv_bn(ctx, residual, "conv2", "bn2", out, out, 3, 1);
    if (in != out || stride != 1) {
        CHECK(rn_sequential_create(ctx, &shortcut));
        append_conv_bn(ctx, shortcut, "0", "1", in, out, 1, stride);
    }
    CHECK(rn_residual_create(ctx, residual, shortcut, NULL, &block)); /* adds and applies ReLU */
    rn_layer_release(residual);
    rn_layer_release(shortcut);
    return block;
}

/* [N, 1, 16, 16] to [N, 4]. */
static rn_layer *small_net(rn_context *ctx)
{
    rn_linear_options linear = RN_LINEAR_OPTIONS_INIT;
    rn_layer *net, *layer;
    CHECK(rn_sequential_create(ctx, &net));
    append_conv_bn(ctx, net, "conv", "bn", CHANNELS, 8, 3, 1);
    append_relu(ctx, net, "relu");
    append(net, "block1", residual_block(ctx, 8, 8, 1));
    append(net, "block2", residual_block(ctx, 8, 16, 2));
    CHECK(rn_global_avgpool2d_create(ctx, &layer));
    append(net, "pool", layer);
    CHECK(rn_flatten_create(ctx, &layer));
    append(net, "flatten", layer);
    linear.in_features = 16;
    linear.out_features = CLASSES;
    CHECK(rn_linear_create(ctx, &linear, &layer));
    append(net, "fc", layer);
    return net;
}

/* Stripes along one of four directions, with a random phase, under noise that is stronger. */
static void make_images(rn_tensor *images, rn_tensor *labels)
{
    float *pixel = rn_tensor_data(images);
    int64_t *label = rn_tensor_data(labels);
    for (int64_t n = 0; n < rn_tensor_dim(images, 0); n++) {
        label[n] = rand() % CLASSES;
        const float angle = 3.14159265f * (float)label[n] / CLASSES, phase = (float)(rand() % 1000);
        for (int y = 0; y < SIZE; y++)
            for (int x = 0; x < SIZE; x++)
                *pixel++ = sinf(1.3f * (cosf(angle) * (float)x + sinf(angle) * (float)y) + phase) +
                           6.0f * ((float)rand() / (float)RAND_MAX - 0.5f);
    }
}

static rn_plan *make_plan(rn_model *model, int32_t mode, int64_t batch)
{
    rn_plan_options options = RN_PLAN_OPTIONS_INIT;
    rn_plan *plan;
    options.mode = mode;
    options.input_dims[0] = batch;
    options.input_dims[1] = CHANNELS;
    options.input_dims[2] = options.input_dims[3] = SIZE;
    CHECK(rn_plan_create(model, &options, &plan));
    return plan;
}

static rn_tensor *make_tensor(rn_device *device, rn_dtype dtype, int32_t rank, const int64_t *dims)
{
    rn_tensor *tensor;
    CHECK(rn_tensor_create(device, dtype, rank, dims, &tensor));
    return tensor;
}

static void train(rn_context *ctx, rn_device *device, rn_model *model)
{
    const int64_t image_dims[] = {BATCH, CHANNELS, SIZE, SIZE}, logit_dims[] = {BATCH, CLASSES};
    rn_tensor *images = make_tensor(device, RN_F32, 4, image_dims), *labels = make_tensor(device, RN_I64, 1, image_dims);
    rn_tensor *logits = make_tensor(device, RN_F32, 2, logit_dims), *gradient = make_tensor(device, RN_F32, 2, logit_dims);
    rn_plan *plan = make_plan(model, RN_PLAN_TRAIN, BATCH);
    rn_sgd_options sgd = RN_SGD_OPTIONS_INIT; /* lr 0.1, momentum 0.9, weight decay 1e-4 */
    rn_optimizer *optimizer;
    rn_loss *loss;
    CHECK(rn_cross_entropy_create(ctx, NULL, &loss));
    CHECK(rn_sgd_create(model, &sgd, &optimizer));
    for (int step = 1; step <= STEPS; step++) {
        float value;
        make_images(images, labels);
        CHECK(rn_model_zero_grad(model));
        CHECK(rn_plan_forward(plan, images, logits));
        CHECK(rn_loss_compute(loss, logits, labels, gradient, &value));
        CHECK(rn_plan_backward(plan, gradient, NULL));
        CHECK(rn_optimizer_step(optimizer));
        if (step == 1 || step % 20 == 0)
            printf("step %3d  loss %.4f\n", step, (double)value);
    }
    rn_optimizer_release(optimizer);
    rn_loss_release(loss);
    rn_plan_release(plan);
    rn_tensor_release(gradient);
    rn_tensor_release(logits);
    rn_tensor_release(labels);
    rn_tensor_release(images);
}

static void test(rn_device *device, rn_model *model)
{
    const int64_t image_dims[] = {TEST_IMAGES, CHANNELS, SIZE, SIZE}, logit_dims[] = {TEST_IMAGES, CLASSES};
    rn_tensor *images = make_tensor(device, RN_F32, 4, image_dims), *labels = make_tensor(device, RN_I64, 1, image_dims);
    rn_tensor *logits = make_tensor(device, RN_F32, 2, logit_dims);
    rn_plan *plan = make_plan(model, RN_PLAN_INFER, TEST_IMAGES);
    int64_t correct;
    make_images(images, labels);
    CHECK(rn_plan_forward(plan, images, logits));
    CHECK(rn_topk(logits, labels, 1, &correct));
    printf("accuracy on %d new images: %.1f %%\n", TEST_IMAGES, 100.0 * (double)correct / TEST_IMAGES);
    rn_plan_release(plan);
    rn_tensor_release(logits);
    rn_tensor_release(labels);
    rn_tensor_release(images);
}

int main(void)
{
    rn_context *ctx;
    rn_device *device;
    rn_model *model;
    CHECK(rn_context_create(NULL, &ctx)); /* NULL: default options */
    CHECK(rn_context_find_device(ctx, "cpu", &device));
    rn_layer *net = small_net(ctx);
    CHECK(rn_model_create(ctx, net, device, &model)); /* weights are drawn from the context's seed */
    printf("%lld parameters\n", (long long)rn_model_parameter_count(model, 1));
    train(ctx, device, model);
    test(device, model);
    rn_model_release(model);
    rn_layer_release(net);
    rn_context_release(ctx);
    return 0;
}
