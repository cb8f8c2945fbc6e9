/* SPDX-License-Identifier: MIT */
/* The table at the end lists what is run while memory runs out. */
#include "fault.h"
#include <resnet/dlpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static rn_status make_context(const fault_run *run, int32_t threads, rn_context **ctx, rn_device **cpu)
{
    rn_context_options o = RN_CONTEXT_OPTIONS_INIT;
    rn_status status;
    o.allocator = run->allocator;
    o.num_threads = threads;
    o.seed = 1;
    STEP(rn_context_create(&o, ctx));
    STEP(rn_context_find_device(*ctx, "cpu", cpu));
done:
    return status;
}

static rn_status contexts(const fault_run *run)
{
    rn_context *ctx = NULL;
    rn_device *cpu;
    rn_context_options o = RN_CONTEXT_OPTIONS_INIT;
    rn_status status;
    PASS(make_context(run, 3, &ctx, &cpu));
    rn_context_release(ctx);
    ctx = NULL;
    o.allocator = run->allocator;
    o.num_threads = 1;
    o.backend_dir = "/nonexistent";
    STEP(rn_context_create(&o, &ctx));
done:
    rn_context_release(ctx);
    return status;
}

static rn_status tensors(const fault_run *run)
{
    const int64_t dims[2] = {4, 6};
    float numbers[24] = {1};
    rn_context *ctx = NULL;
    rn_device *cpu;
    rn_tensor *a = NULL, *b = NULL, *part = NULL, *wrapped = NULL;
    rn_status status;
    PASS(make_context(run, 1, &ctx, &cpu));
    STEP(rn_tensor_create(cpu, RN_F32, 2, dims, &a));
    STEP(rn_tensor_create(cpu, RN_F16, 2, dims, &b));
    STEP(rn_tensor_write(a, numbers, sizeof numbers));
    STEP(rn_tensor_copy(a, b));
    STEP(rn_tensor_slice(a, 1, 2, &part));
    STEP(rn_tensor_read(a, numbers, sizeof numbers));
    STEP(rn_tensor_wrap(cpu, RN_F32, 2, dims, numbers, sizeof numbers, NULL, NULL, &wrapped));
done:
    rn_tensor_release(a);
    rn_tensor_release(wrapped);
    rn_context_release(ctx); /* the others keep it alive */
    rn_tensor_release(b);
    rn_tensor_release(part);
    return status;
}

static rn_status exchange(const fault_run *run)
{
    const int64_t dims[2] = {4, 6};
    rn_context *ctx = NULL;
    rn_device *cpu;
    rn_tensor *t = NULL, *shared = NULL, *copied = NULL;
    DLManagedTensorVersioned *lent = NULL, *copy = NULL;
    rn_status status;
    PASS(make_context(run, 1, &ctx, &cpu));
    STEP(rn_tensor_create(cpu, RN_F32, 2, dims, &t));
    STEP(rn_tensor_to_dlpack(t, 0, &lent));
    STEP(rn_tensor_to_dlpack(t, RN_DLPACK_COPY, &copy));
    copy->flags |= DLPACK_FLAG_BITMASK_READ_ONLY;
    STEP(rn_tensor_from_dlpack(ctx, lent, &shared));
    lent = NULL; /* the library's now */
    STEP(rn_tensor_from_dlpack(ctx, copy, &copied));
    copy = NULL;
done:
    if (lent)
        lent->deleter(lent);
    if (copy)
        copy->deleter(copy);
    rn_tensor_release(t);
    rn_tensor_release(shared);
    rn_tensor_release(copied);
    rn_context_release(ctx);
    return status;
}

/* A context, a small net and a model of it on the CPU, with a batch for it. */
typedef struct bench {
    rn_context *ctx;
    rn_device *cpu;
    rn_layer *net;
    rn_model *model;
    rn_tensor *x, *labels;
} bench;

enum { BATCH = 2, CLASSES = 3 };

static void end_bench(bench *b)
{
    rn_tensor_release(b->x);
    rn_tensor_release(b->labels);
    rn_model_release(b->model);
    rn_layer_release(b->net);
    rn_context_release(b->ctx);
}

/* Takes over the child's reference. */
static rn_status append(const fault_run *run, rn_layer *seq, rn_layer *child)
{
    rn_status status;
    STEP(rn_sequential_append(seq, NULL, child));
done:
    rn_layer_release(child);
    return status;
}

static rn_status append_conv(const fault_run *run, rn_context *ctx, rn_layer *seq, int64_t in, int64_t out)
{
    rn_conv2d_options o = RN_CONV2D_OPTIONS_INIT;
    rn_layer *layer = NULL;
    rn_status status;
    o.in_channels = in;
    o.out_channels = out;
    STEP(rn_conv2d_create(ctx, &o, &layer));
    PASS(append(run, seq, layer));
done:
    return status;
}

static rn_status append_bn(const fault_run *run, rn_context *ctx, rn_layer *seq, int64_t channels)
{
    rn_batchnorm2d_options o = RN_BATCHNORM2D_OPTIONS_INIT;
    rn_layer *layer = NULL;
    rn_status status;
    o.channels = channels;
    STEP(rn_batchnorm2d_create(ctx, &o, &layer));
    PASS(append(run, seq, layer));
done:
    return status;
}

typedef rn_status (*plain_create)(rn_context *ctx, rn_layer **out);

static rn_status append_plain(const fault_run *run, rn_context *ctx, rn_layer *seq, plain_create create)
{
    rn_layer *layer = NULL;
    rn_status status;
    STEP(create(ctx, &layer));
    PASS(append(run, seq, layer));
done:
    return status;
}

/* A residual block of two convolutions with the identity as shortcut. */
static rn_status append_block(const fault_run *run, rn_context *ctx, rn_layer *seq, int64_t channels)
{
    rn_layer *branch = NULL, *block = NULL;
    rn_status status;
    STEP(rn_sequential_create(ctx, &branch));
    PASS(append_conv(run, ctx, branch, channels, channels));
    PASS(append_bn(run, ctx, branch, channels));
    PASS(append_plain(run, ctx, branch, rn_relu_create));
    PASS(append_conv(run, ctx, branch, channels, channels));
    PASS(append_bn(run, ctx, branch, channels));
    STEP(rn_residual_create(ctx, branch, NULL, NULL, &block));
    PASS(append(run, seq, block));
done:
    rn_layer_release(branch);
    return status;
}

static rn_status append_head(const fault_run *run, rn_context *ctx, rn_layer *seq, int64_t channels)
{
    rn_linear_options linear = RN_LINEAR_OPTIONS_INIT;
    rn_layer *layer = NULL;
    rn_status status;
    linear.in_features = channels;
    linear.out_features = CLASSES;
    STEP(rn_dropout_create(ctx, 0.25, &layer));
    PASS(append(run, seq, layer));
    PASS(append_plain(run, ctx, seq, rn_global_avgpool2d_create));
    PASS(append_plain(run, ctx, seq, rn_flatten_create));
    STEP(rn_linear_create(ctx, &linear, &layer));
    PASS(append(run, seq, layer));
done:
    return status;
}

static rn_status make_net(const fault_run *run, rn_context *ctx, rn_layer **out)
{
    rn_layer *seq = NULL;
    rn_status status;
    STEP(rn_sequential_create(ctx, &seq));
    PASS(append_conv(run, ctx, seq, 3, 4));
    PASS(append_bn(run, ctx, seq, 4));
    PASS(append_plain(run, ctx, seq, rn_relu_create));
    PASS(append_block(run, ctx, seq, 4));
    PASS(append_head(run, ctx, seq, 4));
    *out = seq;
    return RN_OK;
done:
    rn_layer_release(seq);
    return status;
}

static rn_status make_bench(const fault_run *run, bench *b)
{
    const int64_t dims[4] = {BATCH, 3, 8, 8}, labels[BATCH] = {0, 2};
    rn_status status;
    PASS(make_context(run, 1, &b->ctx, &b->cpu));
    PASS(make_net(run, b->ctx, &b->net));
    STEP(rn_model_create(b->ctx, b->net, b->cpu, &b->model));
    STEP(rn_model_init(b->model, 1));
    STEP(rn_tensor_create(b->cpu, RN_F32, 4, dims, &b->x));
    STEP(rn_tensor_create(b->cpu, RN_I64, 1, dims, &b->labels));
    STEP(rn_tensor_write(b->labels, labels, sizeof labels));
done:
    return status;
}

static rn_status swallow(void *user, const char *text, size_t length)
{
    (void)user, (void)text, (void)length;
    return RN_OK;
}

static rn_status models(const fault_run *run)
{
    const int64_t dims[4] = {BATCH, 3, 8, 8};
    bench b = {0};
    rn_model *copy = NULL;
    rn_layer *other = NULL;
    rn_status status;
    PASS(make_bench(run, &b));
    STEP(rn_model_copy(b.model, b.cpu, &copy));
    STEP(rn_model_set_trainable(copy, "0.*", 0, NULL));
    STEP(rn_model_summary(copy, 4, dims, swallow, NULL));
    STEP(rn_model_write_dot(copy, 4, dims, NULL, swallow, NULL));
    STEP(rn_cifar_resnet_create(b.ctx, NULL, &other));
done:
    rn_layer_release(other);
    rn_model_release(copy);
    end_bench(&b);
    return status;
}

static rn_plan_options plan_options(int32_t mode, rn_loss *loss, rn_optimizer *opt)
{
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    o.mode = mode;
    o.rank = 4;
    o.input_dims[0] = BATCH;
    o.input_dims[1] = 3;
    o.input_dims[2] = o.input_dims[3] = 8;
    o.loss = loss;
    o.optimizer = opt;
    return o;
}

static rn_status infer(const fault_run *run)
{
    const int64_t y_dims[2] = {BATCH, CLASSES};
    bench b = {0};
    rn_plan *plan = NULL;
    rn_tensor *y = NULL, *input;
    const rn_plan_options o = plan_options(RN_PLAN_INFER, NULL, NULL);
    rn_status status;
    PASS(make_bench(run, &b));
    STEP(rn_tensor_create(b.cpu, RN_F32, 2, y_dims, &y));
    STEP(rn_plan_create(b.model, &o, &plan));
    STEP(rn_plan_forward(plan, b.x, y));
    STEP(rn_plan_input(plan, &input));
    STEP(rn_tensor_copy(b.x, input));
    STEP(rn_plan_forward(plan, input, y));
    STEP(rn_plan_describe(plan, swallow, NULL));
    STEP(rn_plan_set_profiling(plan, 1));
    STEP(rn_plan_forward(plan, input, y));
    STEP(rn_plan_profile(plan, swallow, NULL));
done:
    rn_plan_release(plan);
    rn_tensor_release(y);
    end_bench(&b);
    return status;
}

/* Loss, optimizer with a group, and a TRAIN plan of a bench. */
typedef struct training {
    bench b;
    rn_loss *loss;
    rn_optimizer *opt;
    rn_plan *plan;
} training;

static void end_training(training *t)
{
    rn_plan_release(t->plan);
    rn_optimizer_release(t->opt);
    rn_loss_release(t->loss);
    end_bench(&t->b);
}

static rn_status make_training(const fault_run *run, int adam, training *t)
{
    rn_group_options group = RN_GROUP_OPTIONS_INIT;
    rn_plan_options o;
    rn_status status;
    PASS(make_bench(run, &t->b));
    STEP(rn_cross_entropy_create(t->b.ctx, NULL, &t->loss));
    STEP(adam ? rn_adam_create(t->b.model, NULL, &t->opt) : rn_sgd_create(t->b.model, NULL, &t->opt));
    group.lr_factor = 0.5;
    STEP(rn_optimizer_add_group(t->opt, "*.bias", &group));
    STEP(rn_optimizer_exclude_from_decay(t->opt, 1, NULL));
    o = plan_options(RN_PLAN_TRAIN, t->loss, t->opt);
    o.clip_norm = 1;
    STEP(rn_plan_create(t->b.model, &o, &t->plan));
done:
    return status;
}

static rn_status train(const fault_run *run)
{
    training t = {0};
    rn_metrics metrics = {.struct_size = sizeof metrics};
    rn_status status;
    PASS(make_training(run, 0, &t));
    STEP(rn_plan_train_step(t.plan, t.b.x, t.b.labels));
    STEP(rn_plan_train_step(t.plan, t.b.x, t.b.labels));
    STEP(rn_plan_metrics(t.plan, &metrics, 1));
done:
    end_training(&t);
    return status;
}

/* Forward, loss, backward and step by hand. */
static rn_status train_by_hand(const fault_run *run)
{
    const int64_t y_dims[2] = {BATCH, CLASSES};
    training t = {0};
    rn_tensor *y = NULL, *dy = NULL;
    float value;
    double norm;
    int64_t correct;
    rn_status status;
    PASS(make_training(run, 1, &t));
    STEP(rn_tensor_create(t.b.cpu, RN_F32, 2, y_dims, &y));
    STEP(rn_tensor_create(t.b.cpu, RN_F32, 2, y_dims, &dy));
    STEP(rn_model_zero_grad(t.b.model));
    STEP(rn_plan_forward(t.plan, t.b.x, y));
    STEP(rn_loss_compute(t.loss, y, t.b.labels, dy, &value));
    STEP(rn_plan_backward(t.plan, dy, NULL));
    STEP(rn_model_clip_grad_norm(t.b.model, 1, &norm));
    STEP(rn_optimizer_step(t.opt));
    STEP(rn_softmax(y, dy));
    STEP(rn_topk(y, t.b.labels, 1, &correct));
done:
    rn_tensor_release(y);
    rn_tensor_release(dy);
    end_training(&t);
    return status;
}

/* Ten images of 3 x 8 x 8 bytes. */
static rn_status make_dataset(const fault_run *run, rn_context *ctx, rn_device *cpu, rn_dataset **out)
{
    const int64_t dims[4] = {10, 3, 8, 8};
    rn_tensor *images = NULL, *labels = NULL;
    rn_status status;
    (void)ctx;
    STEP(rn_tensor_create(cpu, RN_U8, 4, dims, &images));
    STEP(rn_tensor_create(cpu, RN_I64, 1, dims, &labels));
    STEP(rn_tensor_dataset_create(images, labels, out));
done:
    rn_tensor_release(images);
    rn_tensor_release(labels);
    return status;
}

static rn_status make_transform(const fault_run *run, rn_context *ctx, rn_transform **out)
{
    const double mean[3] = {0.5, 0.5, 0.5}, std[3] = {0.2, 0.2, 0.2};
    rn_status status;
    STEP(rn_transform_create(ctx, out));
    STEP(rn_transform_random_crop(*out, 1, 8, 8));
    STEP(rn_transform_random_hflip(*out, 0.5));
    STEP(rn_transform_normalize(*out, 3, mean, std));
    STEP(rn_transform_cutout(*out, 3));
done:
    return status;
}

static rn_status load_epochs(const fault_run *run, int32_t workers, int32_t residency)
{
    rn_context *ctx = NULL;
    rn_device *cpu;
    rn_dataset *ds = NULL, *part = NULL;
    rn_transform *transform = NULL;
    rn_loader *loader = NULL;
    rn_tensor *x, *y;
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    rn_status status;
    PASS(make_context(run, 1, &ctx, &cpu));
    PASS(make_dataset(run, ctx, cpu, &ds));
    PASS(make_transform(run, ctx, &transform));
    STEP(rn_dataset_take(ds, 7, &part));
    o.batch = 3;
    o.workers = workers;
    o.transform = transform;
    o.mixup_alpha = workers ? 1 : 0;
    o.residency = residency;
    STEP(rn_loader_create(part, &o, &loader));
    for (int i = 0; i < 8; i++)
        STEP(rn_loader_next(loader, &x, &y));
    STEP(rn_loader_seek(loader, 3, 1));
    STEP(rn_loader_next(loader, &x, &y));
    status = RN_OK;
done:
    rn_loader_release(loader);
    rn_transform_release(transform);
    rn_dataset_release(part);
    rn_dataset_release(ds);
    rn_context_release(ctx);
    return status;
}

static rn_status loader(const fault_run *run)
{
    return load_epochs(run, 0, RN_RESIDENCY_HOST);
}

static rn_status loader_with_residency(const fault_run *run)
{
    return load_epochs(run, 0, RN_RESIDENCY_DEVICE);
}

static rn_status loader_in_background(const fault_run *run)
{
    return load_epochs(run, 2, RN_RESIDENCY_HOST);
}

/* Links to pictures of the unit tests: two classes in a folder. */
static void make_pictures(const char *folder)
{
    static const char *const files[2] = {"rgb_420.jpg", "interlaced.png"};
    char from[4200], to[300];
    for (int i = 0; i < 2; i++) {
        snprintf(to, sizeof to, "%s/pictures", folder);
        mkdir(to, 0777);
        snprintf(to, sizeof to, "%s/pictures/%d", folder, i);
        mkdir(to, 0777);
        snprintf(from, sizeof from, "%s/tests/image/data/%s", getenv("RESNET_SOURCE"), files[i]);
        snprintf(to, sizeof to, "%s/pictures/%d/%s", folder, i, files[i]);
        (void)!symlink(from, to); /* may be there */
    }
}

static rn_status make_picture_transform(const fault_run *run, rn_context *ctx, rn_transform **out)
{
    rn_status status;
    STEP(rn_transform_create(ctx, out));
    STEP(rn_transform_short_side(*out, 9, 12));
    STEP(rn_transform_ten_crop(*out, 8, 8));
    STEP(rn_transform_pca_color(*out, 0.1, NULL, NULL));
done:
    return status;
}

/* Broken files would be left out: missing memory is not mistaken for one. */
static rn_status pictures(const fault_run *run)
{
    rn_context *ctx = NULL;
    rn_device *cpu;
    rn_dataset *ds = NULL;
    rn_transform *transform = NULL;
    rn_loader *loader = NULL;
    rn_tensor *x, *y, *image = NULL, *resized = NULL, *views = NULL;
    rn_image_folder_options folder = RN_IMAGE_FOLDER_OPTIONS_INIT;
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    char path[300];
    int64_t label;
    rn_status status;
    PASS(make_context(run, 1, &ctx, &cpu));
    if (!strstr(rn_build_info(RN_BUILD_FEATURES), "images"))
        goto done;
    make_pictures(run->folder);
    snprintf(path, sizeof path, "%s/pictures", run->folder);
    folder.flags = RN_IMAGE_FOLDER_SKIP_BROKEN;
    STEP(rn_image_folder_open(ctx, path, &folder, &ds));
    PASS(make_picture_transform(run, ctx, &transform));
    o.batch = 2, o.workers = 0, o.transform = transform;
    STEP(rn_loader_create(ds, &o, &loader));
    STEP(rn_loader_next(loader, &x, &y));
    STEP(rn_dataset_read_image(ds, 1, &image, &label));
    STEP(rn_image_resize(image, 20, 20, &resized));
    STEP(rn_transform_apply(transform, resized, 1, &views));
    status = rn_tensor_dim(x, 0) == 20 ? RN_OK : RN_E_INTERNAL;
done:
    rn_tensor_release(views);
    rn_tensor_release(resized);
    rn_tensor_release(image);
    rn_loader_release(loader);
    rn_transform_release(transform);
    rn_dataset_release(ds);
    rn_context_release(ctx);
    return status;
}

static rn_status schedules(const fault_run *run)
{
    const int64_t milestones[2] = {10, 20};
    rn_context *ctx = NULL;
    rn_device *cpu;
    rn_schedule *inner = NULL, *outer = NULL, *hold = NULL, *plateau = NULL;
    rn_multistep_schedule_options o = RN_MULTISTEP_SCHEDULE_OPTIONS_INIT;
    double lr;
    rn_status status;
    PASS(make_context(run, 1, &ctx, &cpu));
    o.milestones = milestones;
    o.num_milestones = 2;
    STEP(rn_multistep_schedule_create(ctx, &o, &inner));
    STEP(rn_warmup_schedule_create(ctx, inner, NULL, &outer));
    STEP(rn_hold_schedule_create(ctx, outer, NULL, &hold));
    STEP(rn_schedule_lr(hold, 3, &lr));
    STEP(rn_plateau_schedule_create(ctx, NULL, &plateau));
    STEP(rn_schedule_observe(plateau, 1));
done:
    rn_schedule_release(plateau);
    rn_schedule_release(hold);
    rn_schedule_release(outer);
    rn_schedule_release(inner);
    rn_context_release(ctx);
    return status;
}

static rn_status weights_in_files(const fault_run *run)
{
    char path[200];
    bench b = {0};
    rn_load_options o = RN_LOAD_OPTIONS_INIT;
    rn_checkpoint c = RN_CHECKPOINT_INIT;
    rn_status status;
    const rn_rename renames[1] = {{"7.", "other."}};
    snprintf(path, sizeof path, "%s/weights.safetensors", run->folder);
    PASS(make_bench(run, &b));
    STEP(rn_model_save(b.model, path));
    STEP(rn_model_load(b.model, path, NULL));
    o.flags = RN_LOAD_PARTIAL;
    o.renames = renames;
    o.num_renames = 1;
    STEP(rn_model_load(b.model, path, &o));
    rn_load_report_release(&o);
    c.model = b.model;
    STEP(rn_adam_create(b.model, NULL, &c.optimizer));
    STEP(rn_checkpoint_save_torch(b.ctx, path, &c));
    STEP(rn_model_load(b.model, path, NULL));
    STEP(rn_optimizer_load_torch(c.optimizer, path));
done:
    rn_optimizer_release(c.optimizer);
    rn_load_report_release(&o);
    end_bench(&b);
    return status;
}

static rn_status onnx_files(const fault_run *run)
{
    const int64_t dims[4] = {BATCH, 3, 8, 8};
    char path[200];
    bench b = {0};
    rn_onnx_options o = RN_ONNX_OPTIONS_INIT;
    rn_status status;
    snprintf(path, sizeof path, "%s/model.onnx", run->folder);
    PASS(make_bench(run, &b));
    STEP(rn_model_export_onnx(b.model, 4, dims, NULL, path));
    o.flags = RN_ONNX_FOLD_BATCHNORM;
    STEP(rn_model_export_onnx(b.model, 4, dims, &o, path));
done:
    end_bench(&b);
    return status;
}

static rn_status checkpoints(const fault_run *run)
{
    char path[200];
    training t = {0};
    rn_checkpoint c = RN_CHECKPOINT_INIT;
    rn_dataset *ds = NULL;
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    rn_status status;
    snprintf(path, sizeof path, "%s/checkpoint.safetensors", run->folder);
    PASS(make_training(run, 1, &t));
    PASS(make_dataset(run, t.b.ctx, t.b.cpu, &ds));
    o.batch = BATCH;
    o.workers = 0;
    STEP(rn_loader_create(ds, &o, &c.loader));
    STEP(rn_plan_train_step(t.plan, t.b.x, t.b.labels));
    STEP(rn_plateau_schedule_create(t.b.ctx, NULL, &c.schedule));
    STEP(rn_ema_create(t.b.model, NULL, &c.ema));
    STEP(rn_ema_update(c.ema));
    STEP(rn_ema_update(c.ema));
    c.model = t.b.model;
    c.optimizer = t.opt;
    c.plan = t.plan;
    STEP(rn_checkpoint_save(t.b.ctx, path, &c));
    STEP(rn_checkpoint_load(t.b.ctx, path, &c));
done:
    rn_ema_release(c.ema);
    rn_schedule_release(c.schedule);
    rn_loader_release(c.loader);
    rn_dataset_release(ds);
    end_training(&t);
    return status;
}

static rn_status networks(const fault_run *run)
{
    rn_context *ctx = NULL;
    rn_device *cpu = NULL;
    rn_layer *tutorial = NULL, *vgg = NULL, *resnet = NULL;
    rn_resnet_options o = RN_RESNET_OPTIONS_INIT;
    rn_status status;
    PASS(make_context(run, 1, &ctx, &cpu));
    o.depth = 0;
    o.block = RN_BLOCK_BOTTLENECK;
    for (int i = 0; i < 4; i++)
        o.blocks[i] = 1;
    STEP(rn_zoo_create(ctx, "tutorial", NULL, &tutorial));
    STEP(rn_zoo_create(ctx, "vgg19_bn", NULL, &vgg));
    o.shortcut = RN_SHORTCUT_A;
    STEP(rn_resnet_create(ctx, &o, &resnet));
    rn_layer_release(resnet);
    resnet = NULL;
    o.flags = RN_RESNET_PLAIN;
    STEP(rn_resnet_create(ctx, &o, &resnet));
done:
    rn_layer_release(tutorial);
    rn_layer_release(vgg);
    rn_layer_release(resnet);
    rn_context_release(ctx);
    return status;
}

const fault_scenario fault_scenarios[] = {
    {"contexts", contexts},
    {"tensors", tensors},
    {"exchange", exchange},
    {"models", models},
    {"networks", networks},
    {"infer", infer},
    {"train", train},
    {"train_by_hand", train_by_hand},
    {"loader", loader},
    {"loader_in_background", loader_in_background},
    {"loader_with_residency", loader_with_residency},
    {"pictures", pictures},
    {"schedules", schedules},
    {"weights_in_files", weights_in_files},
    {"onnx_files", onnx_files},
    {"checkpoints", checkpoints},
    {NULL, NULL},
};
