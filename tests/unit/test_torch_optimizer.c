/* SPDX-License-Identifier: MIT */
/* State of PyTorch's optimizers: what is taken over, what must be equal, and what is written. */
#include "torch_support.h"
#include "train/train.h"
#include <math.h>
#include <unistd.h>

static rn_context *ctx;
static rn_device *cpu;
static rn_model *model;
static char path[64];

static rn_model *make_model(int64_t classes)
{
    rn_layer *const net = support_plain(ctx, rn_sequential_create);
    rn_model *m = NULL;
    support_append(net, "conv", support_conv(ctx, 1, 2, 3, 1, 0));
    support_append(net, "bn", support_bn(ctx, 2));
    support_append(net, "pool", support_plain(ctx, rn_global_avgpool2d_create));
    support_append(net, "flatten", support_plain(ctx, rn_flatten_create));
    support_append(net, "fc", support_linear(ctx, 2, classes));
    ck_ok(rn_model_create(ctx, net, cpu, &m));
    rn_layer_release(net);
    return m;
}

static void start(void)
{
    ctx = support_context(&cpu);
    model = make_model(3);
    snprintf(path, sizeof path, "/tmp/optimizer-%ld", (long)getpid());
}

static void stop(void)
{
    unlink(path);
    rn_model_release(model);
    rn_context_release(ctx);
}

static rn_optimizer *sgd(rn_model *m, double momentum)
{
    rn_sgd_options o = RN_SGD_OPTIONS_INIT;
    rn_optimizer *opt = NULL;
    o.momentum = momentum;
    o.weight_decay = 0.0;
    ck_ok(rn_sgd_create(m, &o, &opt));
    return opt;
}

static rn_optimizer *adam(rn_model *m, uint64_t flags, double weight_decay)
{
    rn_adam_options o = RN_ADAM_OPTIONS_INIT;
    rn_optimizer *opt = NULL;
    o.flags = flags;
    o.weight_decay = weight_decay;
    ck_ok(rn_adam_create(m, &o, &opt));
    return opt;
}

/* A flat buffer of moments: `factor` times the gradients i / 4 - 1 that the files were made with, or their squares. */
static void assert_moments(const rn_optimizer *opt, size_t moment, double factor, int squared)
{
    for (size_t k = 0; k < model->num_states; k++) {
        const rni_state *const s = &model->states[k];
        const float *const got =
            (const float *)((const char *)opt->state->data + moment * model->params->bytes + s->offset);
        for (int64_t i = 0; s->kind == RN_STATE_PARAMETER && i < s->value->count; i++) {
            const double g = (double)i / 4 - 1;
            ck_assert_double_eq_tol((double)got[i], factor * (squared ? g * g : g), 1e-6);
        }
    }
}

START_TEST(momentum)
{
    start();
    rn_optimizer *opt = sgd(model, 0.5);
    ck_ok(rn_optimizer_load_torch(opt, torch_fixture("sgd.pth")));
    assert_moments(opt, 0, 1.75, 0);
    ck_assert_double_eq(rn_optimizer_lr(opt), 0.25);
    ck_assert_int_eq(rn_optimizer_steps(opt), 1);
    rn_optimizer_release(opt);
    opt = sgd(model, 0.0);
    ck_ok(rn_optimizer_load_torch(opt, torch_fixture("sgd_plain.pth")));
    ck_assert_double_eq(rn_optimizer_lr(opt), 0.25);
    ck_assert_int_eq(rn_optimizer_steps(opt), 0);
    rn_optimizer_release(opt);
    stop();
}
END_TEST

START_TEST(adam_and_adamw)
{
    static const char *const names[] = {"adam.pth", "old_adam.pth", "adamw.pth"};
    start();
    for (int i = 0; i < 3; i++) {
        rn_optimizer *const opt = adam(model, i == 2 ? RN_ADAM_DECOUPLED : 0, i == 2 ? 0.5 : 0.0);
        ck_ok(rn_optimizer_load_torch(opt, torch_fixture(names[i])));
        assert_moments(opt, 0, 1 - pow(0.9, 3), 0);
        assert_moments(opt, 1, 1 - pow(0.999, 3), 1);
        ck_assert_double_eq(rn_optimizer_lr(opt), 0.25);
        ck_assert_int_eq(rn_optimizer_steps(opt), 3);
        rn_optimizer_release(opt);
    }
    stop();
}
END_TEST

START_TEST(written_and_read)
{
    rn_group_options group = RN_GROUP_OPTIONS_INIT;
    rn_optimizer *pair[2];
    start();
    for (int i = 0; i < 2; i++) {
        pair[i] = adam(model, 0, 0.125);
        group.lr_factor = 0.5;
        group.weight_decay = 0.25;
        ck_ok(rn_optimizer_add_group(pair[i], "bn.*", &group));
    }
    ck_ok(rn_optimizer_save_torch(pair[0], path)); /* before the first step */
    ck_ok(rn_optimizer_load_torch(pair[1], path));
    ck_assert_int_eq(rn_optimizer_steps(pair[1]), 0);
    for (size_t i = 0; i < pair[0]->state->bytes / sizeof(float); i++)
        ((float *)pair[0]->state->data)[i] = (float)i;
    pair[0]->steps = 12345;
    ck_ok(rn_optimizer_set_lr(pair[0], 0.375));
    ck_ok(rn_optimizer_save_torch(pair[0], path));
    ck_ok(rn_optimizer_load_torch(pair[1], path));
    ck_assert_int_eq(rn_optimizer_steps(pair[1]), 12345);
    ck_assert_double_eq(rn_optimizer_lr(pair[1]), 0.375);
    for (size_t k = 0; k < 2 * model->num_states; k++) { /* all but the gaps between parameters */
        const rni_state *const s = &model->states[k / 2];
        const size_t at = k % 2 * model->params->bytes + s->offset;
        if (s->kind == RN_STATE_PARAMETER)
            ck_assert_mem_eq((char *)pair[0]->state->data + at, (char *)pair[1]->state->data + at, s->value->nbytes);
    }
    rn_optimizer *const plain = adam(model, 0, 0.125);
    ck_fails(rn_optimizer_load_torch(plain, path), RN_E_STATE, "param_groups has 2 groups in the file and 1 here");
    rn_optimizer_release(plain);
    rn_optimizer_release(pair[0]);
    rn_optimizer_release(pair[1]);
    rni_io_fail_after(1);
    rn_optimizer *const opt = sgd(model, 0.5);
    ck_fails(rn_optimizer_save_torch(opt, path), RN_E_IO, path);
    rni_io_fail_after(0);
    ck_fails(rn_optimizer_save_torch(NULL, path), RN_E_INVALID, "opt is NULL");
    ck_fails(rn_optimizer_save_torch(opt, NULL), RN_E_INVALID, "path is NULL");
    rn_optimizer_release(opt);
    stop();
}
END_TEST

static void refuses(rn_optimizer *opt, const char *name, rn_status status, const char *text)
{
    ck_fails(rn_optimizer_load_torch(opt, name[0] == '/' ? name : torch_fixture(name)), status, text);
    ck_assert_double_ne(rn_optimizer_lr(opt), 0.25);
    ck_assert_int_eq(rn_optimizer_steps(opt), 0);
    for (size_t i = 0; i < opt->state->bytes / sizeof(float); i++)
        ck_assert_float_eq(((float *)opt->state->data)[i], 0.0f);
    rn_optimizer_release(opt);
}

START_TEST(refusals)
{
    rn_sgd_options nesterov = RN_SGD_OPTIONS_INIT;
    rn_optimizer *opt = NULL;
    start();
    refuses(adam(model, 0, 0), "sgd.pth", RN_E_STATE, "param_groups[0] has no betas: it is no state of Adam");
    refuses(sgd(model, 0.5), "adam.pth", RN_E_STATE, "param_groups[0] has no momentum: it is no state of SGD");
    refuses(sgd(model, 0.75), "sgd.pth", RN_E_STATE, "momentum is 0.5 in the file and 0.75 here");
    refuses(adam(model, 0, 0.5), "adam.pth", RN_E_STATE, "weight_decay is 0 in the file and 0.5 here");
    refuses(adam(model, 0, 0.5), "adamw.pth", RN_E_STATE, "decoupled_weight_decay is True in the file and False here");
    refuses(adam(model, 0, 0), "amsgrad.pth", RN_E_STATE, "amsgrad is True in the file and False here");
    refuses(sgd(model, 0.5), "zip.pth", RN_E_FORMAT, "no state of an optimizer");
    refuses(sgd(model, 0.5), "cifar10_python2", RN_E_FORMAT, "not written by torch.save()");
    refuses(sgd(model, 0.5), "/nowhere", RN_E_NOT_FOUND, "/nowhere");
    nesterov.flags = RN_SGD_NESTEROV;
    nesterov.momentum = 0.5;
    nesterov.weight_decay = 0.0;
    ck_ok(rn_sgd_create(model, &nesterov, &opt));
    refuses(opt, "sgd.pth", RN_E_STATE, "nesterov is False in the file and True here");
    rn_model *const wider = make_model(4);
    refuses(sgd(wider, 0.5), "sgd.pth", RN_E_SHAPE, "momentum_buffer of fc.weight has shape [3, 2], expected [4, 2]");
    rn_model_release(wider);
    ck_fails(rn_optimizer_load_torch(NULL, path), RN_E_INVALID, "opt is NULL");
    stop();
}
END_TEST

START_TEST(one_file_for_both)
{
    rn_checkpoint c = RN_CHECKPOINT_INIT;
    start();
    rn_optimizer *const opt = sgd(model, 0.5);
    c.model = model;
    c.optimizer = opt;
    c.epoch = 3;
    ck_ok(rn_model_load(model, torch_fixture("zip.pth"), NULL));
    ck_ok(rn_optimizer_load_torch(opt, torch_fixture("sgd.pth")));
    ck_ok(rn_checkpoint_save_torch(ctx, path, &c));
    memset(opt->state->data, 0, opt->state->bytes);
    ck_ok(rn_model_init(model, 3));
    ck_ok(rn_model_load(model, path, NULL));
    ck_ok(rn_optimizer_load_torch(opt, path));
    assert_moments(opt, 0, 1.75, 0);
    ck_assert_float_eq(((float *)rn_tensor_data(model->states[7].value))[1], 7.125f);
    c.optimizer = NULL;
    ck_ok(rn_checkpoint_save_torch(ctx, path, &c));
    ck_fails(rn_optimizer_load_torch(opt, path), RN_E_FORMAT, "no state of an optimizer");
    ck_fails(rn_checkpoint_save_torch(NULL, path, &c), RN_E_INVALID, "ctx is NULL");
    ck_fails(rn_checkpoint_save_torch(ctx, path, NULL), RN_E_INVALID, "c is NULL");
    c.model = NULL;
    ck_fails(rn_checkpoint_save_torch(ctx, path, &c), RN_E_INVALID, "model is NULL");
    rn_optimizer_release(opt);
    stop();
}
END_TEST

SUPPORT_MAIN("torch_optimizer", momentum, adam_and_adamw, written_and_read, refusals, one_file_for_both)
