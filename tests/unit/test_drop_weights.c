/* SPDX-License-Identifier: MIT */
/* RN_PLAN_DROP_WEIGHTS: the same outputs, less memory, and a model that says why it has no values any more. */
#include "../common/nets.h"
#include "backend/context.h"
#include "counting.h"
#include "support.h"
#include <resnet/dlpack.h>

static rn_context *ctx;
static rn_device *cpu;
static rn_layer *net;
static rn_model *model;

static const int64_t image[4] = {2, 3, 8, 8};
static const char gone[] = "given up to a plan with RN_PLAN_DROP_WEIGHTS";

static void start(void)
{
    ctx = support_context(&cpu);
    net = support_net(ctx, 3, 10);
    ck_ok(rn_model_create(ctx, net, cpu, &model));
}

static void stop(void)
{
    rn_model_release(model);
    rn_layer_release(net);
    rn_context_release(ctx);
}

static rn_plan_options options(uint64_t flags)
{
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    o.flags = flags;
    memcpy(o.input_dims, image, sizeof image);
    return o;
}

static rn_plan *make(uint64_t flags)
{
    const rn_plan_options o = options(flags);
    rn_plan *p = NULL;
    ck_ok(rn_plan_create(model, &o, &p));
    return p;
}

static rn_tensor *value_of(const char *name)
{
    rn_state_entry entry = RN_STATE_ENTRY_INIT;
    ck_ok(rn_model_find_state(model, name, &entry));
    return entry.value;
}

/* A plan of those options runs on n of the images: its output on the heap. */
static float *output(rn_model *m, const rn_plan_options *o, int64_t n, size_t *bytes)
{
    const rn_dtype dtype = o->compute_dtype == RN_F64 ? RN_F64 : RN_F32;
    rn_plan *p = NULL;
    rn_tensor *y = NULL, *numbers = support_tensor(cpu, o->rank, o->input_dims, 5), *x = NULL, *some = NULL;
    int64_t dims[RN_MAX_RANK];
    int32_t rank;
    ck_ok(rn_plan_create(m, o, &p));
    ck_ok(rn_plan_output_shape(p, n, &rank, dims));
    ck_ok(rn_tensor_create(cpu, dtype, rank, dims, &y));
    ck_ok(rn_tensor_create(cpu, dtype, o->rank, o->input_dims, &x));
    ck_ok(rn_tensor_copy(numbers, x));
    ck_ok(rn_tensor_slice(x, 0, n, &some));
    for (int i = 0; i < 2; i++)
        ck_ok(rn_plan_forward(p, some, y));
    *bytes = rn_tensor_nbytes(y);
    float *const out = malloc(*bytes);
    ck_ok(rn_tensor_read(y, out, *bytes));
    rn_tensor_release(some);
    rn_tensor_release(x);
    rn_tensor_release(y);
    rn_tensor_release(numbers);
    rn_plan_release(p);
    return out;
}

/* The same bits with and without the flag. */
static void compare(rn_layer *root, rn_plan_options o)
{
    rn_model *m = NULL;
    size_t bytes, same;
    ck_ok(rn_model_create(ctx, root, cpu, &m));
    ck_ok(net_fill(m, 3));
    for (int64_t n = o.input_dims[0]; n > 0; n--) {
        rn_model *copy = NULL;
        ck_ok(rn_model_copy(m, cpu, &copy));
        const uint64_t flags = o.flags;
        float *const kept = output(copy, &o, n, &bytes);
        o.flags = flags | RN_PLAN_DROP_WEIGHTS;
        float *const dropped = output(copy, &o, n, &same);
        o.flags = flags;
        ck_assert_uint_eq(bytes, same);
        ck_assert_mem_eq(kept, dropped, bytes);
        free(kept);
        free(dropped);
        rn_model_release(copy);
    }
    rn_model_release(m);
}

static void compare_zoo(const char *name, int64_t size, rn_dtype dtype, uint64_t flags)
{
    rn_layer *root = NULL;
    rn_plan_options o = options(flags);
    o.input_dims[2] = o.input_dims[3] = size;
    o.compute_dtype = dtype;
    ck_ok(rn_zoo_create(ctx, name, NULL, &root));
    compare(root, o);
    rn_layer_release(root);
}

START_TEST(outputs_are_the_same_bits)
{
    ctx = support_context(&cpu);
    compare_zoo("tutorial", 32, RN_F32, 0);
    compare_zoo("tutorial", 32, RN_BF16, 0);
    compare_zoo("tutorial", 32, RN_F32, RN_PLAN_NO_FUSION);
    compare_zoo("tutorial", 32, RN_F64, 0);
    compare_zoo("resnet18", 32, RN_F32, 0);
    compare_zoo("resnet18", 32, RN_BF16, 0);
    rn_context_release(ctx);
}
END_TEST

/* Every kind of layer: those with a bias of their own, without BN, without a linear layer, without any weights. */
START_TEST(every_layer_runs_without_the_model)
{
    ctx = support_context(&cpu);
    for (const net_case *c = net_cases; c->name; c++)
        for (uint64_t flags = 0; flags <= RN_PLAN_NO_FUSION; flags += RN_PLAN_NO_FUSION) {
            rn_layer *const root = c->build(ctx);
            rn_plan_options o = options(flags);
            ck_assert_ptr_nonnull(root);
            o.rank = c->rank;
            memcpy(o.input_dims, c->dims, sizeof c->dims);
            compare(root, o);
            rn_layer_release(root);
        }
    rn_context_release(ctx);
}
END_TEST

START_TEST(evaluation_and_reports_go_on)
{
    static support_text text;
    rn_loss *loss = NULL;
    rn_plan *p = NULL;
    rn_metrics kept = RN_METRICS_INIT, dropped = RN_METRICS_INIT;
    start();
    ck_ok(rn_cross_entropy_create(ctx, NULL, &loss));
    rn_tensor *x = support_tensor(cpu, 4, image, 5), *labels = support_labels(cpu, 2, 10);
    rn_plan_options o = options(0);
    o.loss = loss;
    ck_ok(rn_plan_create(model, &o, &p));
    ck_ok(rn_plan_eval_step(p, x, labels));
    ck_ok(rn_plan_metrics(p, &kept, 0));
    rn_plan_release(p);
    o.flags = RN_PLAN_DROP_WEIGHTS;
    ck_ok(rn_plan_create(model, &o, &p));
    ck_ok(rn_plan_set_profiling(p, 1));
    ck_ok(rn_plan_eval_step(p, x, labels));
    ck_ok(rn_plan_metrics(p, &dropped, 0));
    ck_assert_mem_eq(&kept, &dropped, sizeof kept);
    ck_ok(rn_plan_profile(p, support_write, &text));
    ck_ok(rn_plan_describe(p, support_write, &text));
    ck_assert_ptr_nonnull(strstr(text.data, "convert [fc]"));
    rn_model_release(model); /* the plan keeps what it needs */
    model = NULL;
    ck_ok(rn_plan_eval_step(p, x, labels));
    rn_tensor_release(x);
    rn_tensor_release(labels);
    rn_plan_release(p);
    rn_loss_release(loss);
    stop();
}
END_TEST

START_TEST(memory_goes_back)
{
    counting count = {0};
    const rn_allocator allocator = counting_allocator(&count);
    rn_context_options o = RN_CONTEXT_OPTIONS_INIT;
    rn_memory kept = RN_MEMORY_INIT, dropped = RN_MEMORY_INIT;
    o.num_threads = 2;
    o.allocator = &allocator;
    ck_ok(rn_context_create(&o, &ctx));
    ck_ok(rn_context_find_device(ctx, "cpu", &cpu));
    net = support_net(ctx, 3, 10);
    ck_ok(rn_model_create(ctx, net, cpu, &model));
    rn_plan *p = make(0);
    const long long with_model = atomic_load(&count.bytes);
    ck_ok(rn_plan_memory(p, &kept));
    rn_plan_release(p);
    p = make(RN_PLAN_DROP_WEIGHTS);
    ck_ok(rn_plan_memory(p, &dropped));
    ck_assert_uint_gt(kept.parameters, 0);
    ck_assert_uint_eq(dropped.parameters, 0);
    ck_assert_uint_gt(dropped.derived, kept.derived); /* the linear layer's */
    ck_assert_uint_eq(dropped.arena, kept.arena);
    ck_assert_uint_eq(dropped.total, dropped.arena + dropped.derived + dropped.io);
    /* What the plan has more are the derived copies and their few ops. */
    const long long saved = with_model - atomic_load(&count.bytes);
    const long long expected = (long long)(kept.parameters + kept.derived - dropped.derived);
    ck_assert_int_le(saved, expected);
    ck_assert_int_gt(saved, expected - 4096);
    rn_plan_release(p);
    stop();
    ck_assert_int_eq(atomic_load(&count.bytes), 0);
    ck_assert_int_eq(atomic_load(&count.blocks), 0);
    ck_assert_int_eq(atomic_load(&count.wrong), 0);
}
END_TEST

/* Gradients of a TRAIN plan that is gone go as well. */
START_TEST(gradients_go_too)
{
    start();
    rn_plan_options o = options(0);
    rn_state_entry entry = RN_STATE_ENTRY_INIT;
    rn_plan *p = NULL;
    float value;
    double norm = -1;
    o.mode = RN_PLAN_TRAIN;
    ck_ok(rn_plan_create(model, &o, &p));
    rn_plan_release(p);
    ck_ok(rn_model_find_state(model, "fc.bias", &entry));
    rn_tensor *const held = rn_tensor_retain(entry.grad);
    o = options(RN_PLAN_DROP_WEIGHTS);
    ck_fails(rn_plan_create(model, &o, &p), RN_E_STATE, "'fc.bias' is held");
    rn_tensor_release(held);
    p = make(RN_PLAN_DROP_WEIGHTS);
    ck_fails(rn_tensor_read(entry.grad, &value, sizeof value), RN_E_STATE, gone);
    ck_fails(rn_model_zero_grad(model), RN_E_STATE, "rn_model_zero_grad: the model's weights were given up");
    ck_fails(rn_model_clip_grad_norm(model, 1, &norm), RN_E_STATE, "rn_model_clip_grad_norm: ");
    ck_assert_double_eq(norm, -1);
    rn_plan_release(p);
    stop();
}
END_TEST

START_TEST(the_model_says_that_it_has_no_values)
{
    start();
    rn_plan *const p = make(RN_PLAN_DROP_WEIGHTS), *other = NULL;
    rn_model *copy = NULL;
    rn_optimizer *opt = NULL;
    rn_plan_options o = options(0);
    rn_checkpoint c = RN_CHECKPOINT_INIT;
    rn_ema *ema = NULL;
    c.model = model;
    ck_fails(rn_model_init(model, 1), RN_E_STATE, "rn_model_init: the model's weights were given up to a plan");
    ck_fails(rn_model_copy(model, cpu, &copy), RN_E_STATE, "rn_model_copy: ");
    ck_fails(rn_model_save(model, "dropped.safetensors"), RN_E_STATE, "rn_model_save: ");
    ck_fails(rn_model_load(model, "dropped.safetensors", NULL), RN_E_STATE, "rn_model_load: ");
    ck_fails(rn_model_save_torch(model, "dropped.pth"), RN_E_STATE, "rn_model_save_torch: ");
    ck_fails(rn_model_reset_statistics(model), RN_E_STATE, "rn_model_reset_statistics: ");
    ck_fails(rn_ema_create(model, NULL, &ema), RN_E_STATE, "rn_ema_create: ");
    ck_fails(rn_model_mark_written(model), RN_E_STATE, "rn_model_mark_written: ");
    ck_fails(rn_sgd_create(model, NULL, &opt), RN_E_STATE, "rn_sgd_create: ");
    ck_fails(rn_adam_create(model, NULL, &opt), RN_E_STATE, "rn_adam_create: ");
    ck_fails(rn_plan_create(model, &o, &other), RN_E_STATE, "rn_plan_create: ");
    o.flags = RN_PLAN_DROP_WEIGHTS;
    ck_fails(rn_plan_create(model, &o, &other), RN_E_STATE, "rn_plan_create: ");
    ck_fails(rn_checkpoint_save(ctx, "dropped.safetensors", &c), RN_E_STATE, "rn_checkpoint.model: ");
    ck_fails(rn_checkpoint_load(ctx, "dropped.safetensors", &c), RN_E_STATE, "rn_checkpoint.model: ");
    ck_assert_ptr_null(copy);
    ck_assert_ptr_null(opt);
    ck_assert_ptr_null(other);
    /* What needs no values stays. */
    static support_text text;
    size_t matched = 0;
    ck_assert_uint_gt(rn_model_state_count(model), 0);
    ck_assert_int_gt(rn_model_parameter_count(model, 0), 0);
    ck_ok(rn_model_summary(model, 4, image, support_write, &text));
    ck_ok(rn_model_set_trainable(model, "fc.*", 0, &matched));
    ck_assert_uint_eq(matched, 2);
    rn_plan_release(p);
    stop();
}
END_TEST

/* A model whose plan is gone is no better off. */
START_TEST(its_tensors_keep_their_shapes_only)
{
    start();
    rn_plan_release(make(RN_PLAN_DROP_WEIGHTS));
    rn_tensor *const weight = value_of("fc.weight"), *const counter = value_of("stem.bn.num_batches_tracked");
    rn_tensor *other = support_tensor(cpu, 2, (int64_t[]){10, 16}, 1), *slice = NULL;
    struct DLManagedTensorVersioned *managed = NULL;
    float values[160];
    int64_t batches;
    ck_assert_int_eq(rn_tensor_dtype(weight), RN_F32);
    ck_assert_int_eq(rn_tensor_dim(weight, 1), 16);
    ck_assert_uint_eq(rn_tensor_nbytes(weight), sizeof values);
    ck_assert_ptr_null(rn_tensor_data(weight));
    ck_fails(rn_tensor_read(weight, values, sizeof values), RN_E_STATE, "rn_tensor_read: the model's weights were given");
    ck_fails(rn_tensor_read(counter, &batches, sizeof batches), RN_E_STATE, gone);
    ck_fails(rn_tensor_write(weight, values, sizeof values), RN_E_STATE, "rn_tensor_write: ");
    ck_fails(rn_tensor_copy(weight, other), RN_E_STATE, "rn_tensor_copy: src: ");
    ck_fails(rn_tensor_copy(other, weight), RN_E_STATE, "rn_tensor_copy: dst: ");
    ck_fails(rn_tensor_slice(weight, 0, 1, &slice), RN_E_STATE, "rn_tensor_slice: ");
    ck_fails(rn_tensor_to_dlpack(weight, 0, &managed), RN_E_STATE, "rn_tensor_to_dlpack: ");
    ck_fails(rn_tensor_to_dlpack(weight, RN_DLPACK_COPY, &managed), RN_E_STATE, "rn_tensor_to_dlpack: ");
    ck_assert_ptr_null(slice);
    ck_assert_ptr_null(managed);
    rn_tensor_retain(weight);
    rn_model_release(model);
    model = NULL;
    ck_fails(rn_tensor_read(weight, values, sizeof values), RN_E_STATE, gone); /* also after the model */
    rn_tensor_release(weight);
    rn_tensor_release(other);
    stop();
}
END_TEST

/* Wherever tensors are taken, one of a dropped model is refused. */
START_TEST(its_tensors_are_no_inputs)
{
    start();
    rn_plan *const p = make(RN_PLAN_DROP_WEIGHTS);
    rn_tensor *const weight = value_of("fc.weight"), *const images = value_of("stem.conv.weight");
    rn_tensor *x = support_tensor(cpu, 4, image, 1), *like = support_tensor(cpu, 2, (int64_t[]){10, 16}, 1);
    rn_tensor *labels = support_labels(cpu, 10, 10);
    rn_model *m = NULL;
    rn_plan *other = NULL;
    rn_loss *mse = NULL, *ce = NULL;
    rn_dataset *ds = NULL;
    rn_layer *conv = support_conv(ctx, 3, 8, 3, 1, 1);
    rn_plan_options o = options(0);
    int64_t correct = -1;
    o.input_dims[0] = 8;
    o.input_dims[2] = o.input_dims[3] = 3;
    ck_ok(rn_model_create(ctx, conv, cpu, &m));
    ck_ok(rn_plan_create(m, &o, &other));
    rn_tensor *y = support_tensor(cpu, 4, (int64_t[]){8, 8, 3, 3}, 1);
    ck_fails(rn_plan_forward(other, images, y), RN_E_STATE, "x: the model's weights were given up");
    ck_ok(rn_mse_create(ctx, NULL, &mse));
    ck_ok(rn_cross_entropy_create(ctx, NULL, &ce));
    ck_fails(rn_loss_compute(mse, weight, like, NULL, NULL), RN_E_STATE, "rn_loss_compute: pred: ");
    ck_fails(rn_loss_compute(mse, like, weight, NULL, NULL), RN_E_STATE, "rn_loss_compute: target: ");
    ck_fails(rn_loss_compute(mse, like, like, weight, NULL), RN_E_STATE, "rn_loss_compute: dpred: ");
    ck_fails(rn_loss_compute(ce, weight, labels, NULL, NULL), RN_E_STATE, "rn_loss_compute: pred: ");
    ck_fails(rn_softmax(weight, like), RN_E_STATE, "rn_softmax: logits: ");
    ck_fails(rn_softmax(like, weight), RN_E_STATE, "rn_softmax: probabilities: ");
    ck_fails(rn_topk(weight, labels, 1, &correct), RN_E_STATE, "rn_topk: logits: ");
    ck_assert_int_eq(correct, -1);
    ck_fails(rn_tensor_dataset_create(images, labels, &ds), RN_E_STATE, "images: ");
    rn_loss_release(mse);
    rn_loss_release(ce);
    rn_plan_release(other);
    rn_plan_release(p);
    rn_model_release(m);
    rn_layer_release(conv);
    rn_tensor_release(x);
    rn_tensor_release(y);
    rn_tensor_release(like);
    rn_tensor_release(labels);
    stop();
}
END_TEST

/* The model still runs and saves as before a refusal. */
static void check_whole(void)
{
    float bias[10];
    ck_ok(rn_tensor_read(value_of("fc.bias"), bias, sizeof bias));
    rn_plan_release(make(0));
}

START_TEST(other_holders_keep_the_weights)
{
    start();
    const rn_plan_options o = options(RN_PLAN_DROP_WEIGHTS);
    rn_plan *p = make(0), *untouched = (rn_plan *)&ctx, *out = untouched;
    rn_optimizer *sgd = NULL;
    rn_tensor *slice = NULL;
    DLManagedTensorVersioned *managed = NULL;
    ck_fails(rn_plan_create(model, &o, &out), RN_E_STATE, "another plan, optimizer or average uses the model");
    rn_plan_release(p);
    ck_ok(rn_sgd_create(model, NULL, &sgd));
    ck_fails(rn_plan_create(model, &o, &out), RN_E_STATE, "another plan, optimizer or average uses the model");
    rn_optimizer_release(sgd);
    rn_ema *average = NULL;
    ck_ok(rn_ema_create(model, NULL, &average));
    ck_fails(rn_plan_create(model, &o, &out), RN_E_STATE, "another plan, optimizer or average uses the model");
    ck_fails(rn_plan_create(rn_ema_model(average), &o, &out), RN_E_STATE, "another plan, optimizer or average uses the model");
    rn_ema_release(average);
    rn_tensor *const held = rn_tensor_retain(value_of("stem.bn.running_var"));
    ck_fails(rn_plan_create(model, &o, &out), RN_E_STATE, "'stem.bn.running_var' is held by a reference or an export");
    rn_tensor_release(held);
    ck_ok(rn_tensor_slice(value_of("fc.weight"), 1, 2, &slice));
    ck_fails(rn_plan_create(model, &o, &out), RN_E_STATE, "a slice of the weights is held");
    rn_tensor_release(slice);
    ck_ok(rn_tensor_to_dlpack(value_of("fc.weight"), 0, &managed));
    ck_fails(rn_plan_create(model, &o, &out), RN_E_STATE, "'fc.weight' is held by a reference or an export");
    managed->deleter(managed);
    ck_assert_ptr_eq(out, untouched);
    check_whole();
    ck_ok(rn_tensor_to_dlpack(value_of("fc.weight"), RN_DLPACK_COPY, &managed)); /* holds nothing */
    rn_plan_release(make(RN_PLAN_DROP_WEIGHTS));
    managed->deleter(managed);
    stop();
}
END_TEST

START_TEST(options_that_do_not_go_with_it)
{
    start();
    rn_plan_options o = options(RN_PLAN_DROP_WEIGHTS);
    rn_plan *p = NULL;
    o.mode = RN_PLAN_TRAIN;
    ck_fails(rn_plan_create(model, &o, &p), RN_E_INVALID, "options.flags: RN_PLAN_DROP_WEIGHTS needs an INFER plan");
    o = options(RN_PLAN_DROP_WEIGHTS);
    o.input_dims[1] = 4;
    ck_fails(rn_plan_create(model, &o, &p), RN_E_SHAPE, "stem.conv");
    o = options(RN_PLAN_DROP_WEIGHTS);
    o.memory_limit = 1000;
    ck_fails(rn_plan_create(model, &o, &p), RN_E_NOMEM, "the limit is 1000");
    check_whole();
    stop();
}
END_TEST

/* Whichever allocation fails, the model keeps its values. */
START_TEST(without_memory_the_model_stays_whole)
{
    counting count = {0};
    const rn_allocator allocator = counting_allocator(&count);
    rn_context_options c = RN_CONTEXT_OPTIONS_INIT;
    rn_plan *p = NULL;
    float before[10], after[10];
    c.num_threads = 2;
    c.allocator = &allocator;
    ck_ok(rn_context_create(&c, &ctx));
    ck_ok(rn_context_find_device(ctx, "cpu", &cpu));
    net = support_net(ctx, 3, 10);
    ck_ok(rn_model_create(ctx, net, cpu, &model));
    ck_ok(rn_tensor_read(value_of("fc.bias"), before, sizeof before));
    const rn_plan_options o = options(RN_PLAN_DROP_WEIGHTS);
    const long long blocks = atomic_load(&count.blocks);
    int refused = 0;
    for (long long next = 1; !p; next++) {
        atomic_store(&count.fail_at, atomic_load(&count.calls) + next);
        const rn_status status = rn_plan_create(model, &o, &p);
        atomic_store(&count.fail_at, 0);
        if (status == RN_OK)
            break;
        ck_assert_int_eq(status, RN_E_NOMEM);
        ck_assert_int_eq(atomic_load(&count.blocks), blocks);
        ck_ok(rn_tensor_read(value_of("fc.bias"), after, sizeof after));
        ck_assert_mem_eq(before, after, sizeof before);
        refused++;
    }
    ck_assert_int_gt(refused, 10);
    ck_fails(rn_tensor_read(value_of("fc.bias"), after, sizeof after), RN_E_STATE, gone);
    rn_plan_release(p);
    stop();
    ck_assert_int_eq(atomic_load(&count.bytes), 0);
}
END_TEST

/* The CPU's backend, op by op: it can fail at an op, counts what is discarded and spoils it. */
static struct {
    int ops_left; /* until one fails; below 0: none does */
    uint64_t discarded;
} rig;

static rn_status rigged_info(void *dev, rn_device_info *info)
{
    const rn_status status = rni_cpu_backend.device_info(dev, info);
    snprintf(info->name, sizeof info->name, "rigged");
    return status;
}

static rn_status rigged_op(void *dev, void *queue, const rn_op *op, const rn_value *values, const rn_run *run)
{
    if (rig.ops_left >= 0 && rig.ops_left-- == 0)
        return rni_fail(RN_E_BACKEND, "rigged: %s fails", op->path);
    return rni_cpu_backend.op_run(dev, queue, op, values, run);
}

static void rigged_discard(void *dev, void *ptr, uint64_t bytes)
{
    (void)dev;
    rig.discarded += bytes;
    memset(ptr, 0xff, (size_t)bytes);
}

/* A model of `build` on a rigged device. */
static void start_rigged(rn_backend *backend, int discards, rn_layer *(*build)(rn_context *ctx))
{
    ctx = support_context(&cpu);
    *backend = rni_cpu_backend;
    backend->name = "rigged";
    backend->program_create = NULL;
    backend->device_info = rigged_info;
    backend->op_run = rigged_op;
    backend->memory_discard = discards ? rigged_discard : NULL;
    rig.ops_left = -1;
    rig.discarded = 0;
    ck_ok(rn_context_register_backend(ctx, backend));
    ck_ok(rn_context_find_device(ctx, "rigged", &cpu));
    net = build(ctx);
    ck_ok(rn_model_create(ctx, net, cpu, &model));
    ck_ok(net_fill(model, 3));
}

static rn_layer *small_net(rn_context *c)
{
    return support_net(c, 3, 10);
}

/* In f64 two ops read the bias: one converts it, one folds it. */
static rn_layer *biased_net(rn_context *c)
{
    rn_layer *const seq = support_plain(c, rn_sequential_create);
    support_append(seq, "conv", support_conv(c, 3, 8, 3, 1, 1));
    support_append(seq, "bn", support_bn(c, 8));
    return seq;
}

/* What is discarded is not read again; a device that cannot discard does as well. */
static void check_discarding(int discards, rn_layer *(*build)(rn_context *ctx), rn_dtype dtype)
{
    rn_backend backend;
    size_t bytes, same;
    start_rigged(&backend, discards, build);
    rn_plan_options o = options(0);
    o.compute_dtype = dtype;
    float *const kept = output(model, &o, 2, &bytes);
    o.flags = RN_PLAN_DROP_WEIGHTS;
    float *const dropped = output(model, &o, 2, &same);
    ck_assert_mem_eq(kept, dropped, bytes);
    const uint64_t all = (uint64_t)rn_model_parameter_count(model, 0) * sizeof(float);
    ck_assert_uint_eq(rig.discarded, discards ? all : 0);
    free(kept);
    free(dropped);
    stop();
}

START_TEST(weights_are_discarded_one_by_one)
{
    check_discarding(1, small_net, RN_F32);
    check_discarding(0, small_net, RN_F32);
    check_discarding(1, biased_net, RN_F32);
    check_discarding(1, biased_net, RN_F64);
}
END_TEST

/* Until something was discarded a failure of the device loses nothing; from then on the model says so. */
START_TEST(a_device_that_fails)
{
    for (int discards = 0; discards < 2; discards++) {
        rn_backend backend;
        rn_plan *p = NULL;
        float bias[10];
        start_rigged(&backend, discards, small_net);
        const rn_plan_options o = options(RN_PLAN_DROP_WEIGHTS);
        rig.ops_left = 0;
        ck_fails(rn_plan_create(model, &o, &p), RN_E_BACKEND, "rigged: stem.bn fails");
        check_whole();
        rig.ops_left = 3;
        ck_fails(rn_plan_create(model, &o, &p), RN_E_BACKEND, "rigged: ");
        ck_assert_ptr_null(p);
        rig.ops_left = -1;
        if (discards)
            ck_fails(rn_tensor_read(value_of("fc.bias"), bias, sizeof bias), RN_E_STATE, gone);
        else
            check_whole();
        stop();
    }
}
END_TEST

SUPPORT_MAIN("drop_weights", outputs_are_the_same_bits, every_layer_runs_without_the_model, evaluation_and_reports_go_on,
             memory_goes_back, gradients_go_too, the_model_says_that_it_has_no_values,
             its_tensors_keep_their_shapes_only, its_tensors_are_no_inputs, other_holders_keep_the_weights,
             options_that_do_not_go_with_it, without_memory_the_model_stays_whole, weights_are_discarded_one_by_one,
             a_device_that_fails)
