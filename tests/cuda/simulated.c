/* SPDX-License-Identifier: MIT */
#include "simulated.h"

simulated sim;
rn_layer *(*sim_build)(rn_context *ctx);

static int find(void *module, const char *name, void *function)
{
    void *const symbol = dlsym(module, name);
    memcpy(function, &symbol, sizeof symbol); /* ISO C has no cast from object to function pointer */
    return symbol != NULL;
}

int sim_open(const char *path)
{
    void *const module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    sim.path = path;
    if (module && find(module, "rni_sim_set", &sim.set) && find(module, "rni_sim_get", &sim.get) &&
        find(module, "rni_sim_report", &sim.report) && find(module, "rni_sim_forget", &sim.forget) &&
        find(module, "rni_sim_on_capture", &sim.on_capture) && find(module, "rni_sim_on_wait", &sim.on_wait))
        return 1;
    printf("%s: %s\n", path, module ? "is no simulated module" : dlerror());
    return 0;
}

void sim_settled(void)
{
    static const char *const counts[] = {"device_allocations", "host_allocations", "streams", "events", "graphs"};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        ck_assert_msg(sim.get(counts[i]) == 0, "%s: %lld are left", counts[i], (long long)sim.get(counts[i]));
    ck_assert_msg(sim.get("errors") == 0, "%s", sim.report(0));
}

rn_context *sim_context(void)
{
    rn_context *const ctx = logged_context();
    ck_ok(rn_context_load_backend(ctx, sim.path));
    return ctx;
}

rn_context *sim_device(rn_device **dev)
{
    rn_context *const ctx = sim_context();
    ck_ok(rn_context_find_device(ctx, "cuda:0", dev));
    return ctx;
}

rn_tensor *sim_images(rn_device *dev, const sim_training *t, int step)
{
    const int64_t dims[] = {t->batch, 3, t->side, t->side};
    uint32_t state = (uint32_t)step * 977u + 5u;
    rn_tensor *x = NULL;
    ck_ok(rn_tensor_create(dev, RN_F32, 4, dims, &x));
    float *const values = malloc(rn_tensor_nbytes(x));
    for (int64_t i = 0; i < rn_tensor_count(x); i++)
        values[i] = support_random(&state);
    ck_ok(rn_tensor_write(x, values, rn_tensor_nbytes(x)));
    free(values);
    return x;
}

rn_tensor *sim_labels(rn_device *dev, const sim_training *t, int step)
{
    rn_tensor *y = NULL;
    ck_ok(rn_tensor_create(dev, RN_I64, 1, &t->batch, &y));
    int64_t *const values = malloc(rn_tensor_nbytes(y));
    for (int64_t i = 0; i < t->batch; i++)
        values[i] = (7 * i + 3 + step) % 10;
    ck_ok(rn_tensor_write(y, values, rn_tensor_nbytes(y)));
    free(values);
    return y;
}

static rn_status make_model(rn_device *dev, const sim_training *t, rn_model **out)
{
    rn_layer *layer = NULL;
    rn_status status = RN_OK;
    if (sim_build)
        layer = sim_build(rn_device_context(dev));
    else
        status = rn_zoo_create(rn_device_context(dev), t->net, NULL, &layer);
    if (status == RN_OK)
        status = rn_model_create(rn_device_context(dev), layer, dev, out);
    rn_layer_release(layer);
    return status == RN_OK ? rn_model_init(*out, 42) : status;
}

static rn_status make_optimizer(const sim_training *t, sim_parts *parts)
{
    rn_sgd_options sgd = RN_SGD_OPTIONS_INIT;
    sgd.lr = 0.02;
    return t->adam ? rn_adam_create(parts->model, NULL, &parts->optimizer)
                   : rn_sgd_create(parts->model, &sgd, &parts->optimizer);
}

rn_status sim_begin(rn_device *dev, const sim_training *t, sim_parts *parts)
{
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    *parts = (sim_parts){NULL, NULL, NULL, NULL};
    rn_status status = make_model(dev, t, &parts->model);
    if (status == RN_OK)
        status = rn_cross_entropy_create(rn_device_context(dev), NULL, &parts->loss);
    if (status == RN_OK)
        status = make_optimizer(t, parts);
    o.mode = RN_PLAN_TRAIN;
    o.compute_dtype = t->dtype;
    memcpy(o.input_dims, (const int64_t[4]){t->batch, 3, t->side, t->side}, 4 * sizeof(int64_t));
    o.loss = parts->loss;
    o.optimizer = parts->optimizer;
    o.clip_norm = 5.0;
    o.accumulate = t->accumulate;
    o.loss_scale = t->loss_scale;
    o.loss_scale_interval = t->loss_interval ? t->loss_interval : o.loss_scale_interval;
    return status == RN_OK ? rn_plan_create(parts->model, &o, &parts->plan) : status;
}

rn_status sim_step(rn_device *dev, const sim_training *t, const sim_parts *parts, int step)
{
    rn_tensor *const x = sim_images(dev, t, step), *const y = sim_labels(dev, t, step);
    const rn_status status = rn_plan_train_step(parts->plan, x, y);
    rn_tensor_release(x);
    rn_tensor_release(y);
    return status;
}

void sim_end(sim_parts *parts)
{
    rn_plan_release(parts->plan);
    rn_optimizer_release(parts->optimizer);
    rn_loss_release(parts->loss);
    rn_model_release(parts->model);
}

float *sim_first_parameter(rn_model *model, size_t *count)
{
    rn_state_entry entry = RN_STATE_ENTRY_INIT;
    ck_ok(rn_model_state(model, 0, &entry));
    ck_assert(entry.kind == RN_STATE_PARAMETER && rn_tensor_dtype(entry.value) == RN_F32);
    *count = (size_t)rn_tensor_count(entry.value);
    float *const elements = malloc(*count * sizeof(float));
    ck_ok(rn_tensor_read(entry.value, elements, *count * sizeof(float)));
    return elements;
}

/* All values of a kind that are floats, behind those that are there. */
static void add_kind(rn_model *m, int32_t kind, float **values, size_t *count)
{
    for (size_t i = 0; i < rn_model_state_count(m); i++) {
        rn_state_entry entry = RN_STATE_ENTRY_INIT;
        ck_ok(rn_model_state(m, i, &entry));
        if (rn_tensor_dtype(entry.value) != RN_F32 || entry.kind != kind)
            continue;
        const size_t more = (size_t)rn_tensor_count(entry.value);
        *values = realloc(*values, (*count + more) * sizeof(float));
        ck_ok(rn_tensor_read(entry.value, *values + *count, more * sizeof(float)));
        *count += more;
    }
}

static float *gather(rn_model *m, sim_outcome *out)
{
    float *values = NULL;
    out->count = 0;
    add_kind(m, RN_STATE_PARAMETER, &values, &out->count);
    out->parameters = out->count;
    add_kind(m, RN_STATE_BUFFER, &values, &out->count);
    return values;
}

void sim_train(rn_device *dev, const sim_training *t, sim_outcome *out)
{
    sim_parts parts;
    *out = (sim_outcome){.start = NULL};
    ck_assert_int_le(t->steps, SIM_MAX_STEPS);
    ck_ok(sim_begin(dev, t, &parts));
    out->start = gather(parts.model, out);
    for (int step = 0; step < t->steps; step++) {
        rn_metrics metrics = RN_METRICS_INIT;
        ck_ok(sim_step(dev, t, &parts, step));
        ck_ok(rn_plan_metrics(parts.plan, &metrics, 1));
        out->losses[step] = metrics.last_loss;
        out->grad_norms[step] = metrics.grad_norm;
        out->scales[step] = metrics.loss_scale;
        out->skipped += metrics.skipped;
    }
    out->state = gather(parts.model, out);
    sim_end(&parts);
}

void sim_train_alone(const sim_training *t, sim_outcome *out)
{
    rn_device *dev = NULL;
    rn_context *const ctx = sim_device(&dev);
    sim_train(dev, t, out);
    rn_context_release(ctx);
}

void sim_outcome_free(sim_outcome *o)
{
    free(o->start);
    free(o->state);
    o->start = o->state = NULL;
}

void sim_same(const sim_outcome *a, const sim_outcome *b, int steps, const char *what)
{
    for (int i = 0; i < steps; i++)
        ck_assert_msg(a->losses[i] == b->losses[i] && a->grad_norms[i] == b->grad_norms[i],
                      "%s: step %d: losses %.17g and %.17g", what, i, a->losses[i], b->losses[i]);
    ck_assert_uint_eq(a->count, b->count);
    ck_assert_msg(memcmp(a->state, b->state, a->count * sizeof(float)) == 0, "%s: other weights", what);
}
