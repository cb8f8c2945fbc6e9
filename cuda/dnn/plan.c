/* SPDX-License-Identifier: MIT */
#include "dnn/plan.h"
#include "base/error.h"
#include <string.h>

typedef cudnnBackendDescriptor_t descriptor;

/* More results of the heuristics than any convolution has. */
enum { MAX_CONFIGS = 128 };

#define NOTE(name) (1u << CUDNN_NUMERICAL_NOTE_##name)
#define WINOGRAD (NOTE(WINOGRAD) | NOTE(WINOGRAD_TILE_4x4) | NOTE(WINOGRAD_TILE_6x6) | NOTE(WINOGRAD_TILE_13x13))

int rni_dnn_acceptable(const rni_dnn_rules *rules, const rni_dnn_shape *shape, uint32_t notes, uint32_t behaviour)
{
    /* The error of a Fourier transform is that of the whole image, not of the window. */
    uint32_t refused = NOTE(NONDETERMINISTIC) | NOTE(REDUCED_PRECISION_REDUCTION) | NOTE(FFT);
    if (shape->dtype == RN_F32 && !rules->tf32)
        refused |= NOTE(TENSOR_CORE) | NOTE(DOWN_CONVERT_INPUTS);
    if (shape->dtype != RN_F32 || shape->direct)
        refused |= WINOGRAD;
    const uint32_t compiled = 1u << CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION;
    /* What is compiled for statistics adds floats atomically, and does not say so; nor is it known of the rest that is fused. */
    const int runtime = rules->runtime && !(shape->flags & (RN_OPF_STATS | RNI_DNN_PROLOGUE));
    return !(notes & refused) && (runtime || !(behaviour & compiled));
}

void rni_dnn_plan_destroy(rni_dnn_plan *plan)
{
    if (!plan)
        return;
    rni_dnn_bag_empty(&plan->bag);
    plan->host->free(plan->host->host, plan, sizeof *plan, _Alignof(rni_dnn_plan));
}

static rn_status create_plan(const rni_dnn_rules *rules, const rni_dnn_shape *shape, rni_dnn_plan **out)
{
    rni_dnn_plan *const plan = rules->host->alloc(rules->host->host, sizeof *plan, _Alignof(rni_dnn_plan));
    if (!plan)
        return rni_fail(RN_E_NOMEM, "no memory for a plan of a convolution");
    memset(plan, 0, sizeof *plan);
    plan->shape = *shape;
    plan->host = rules->host;
    *out = plan;
    return RN_OK;
}

/* What the heuristics answered. */
typedef struct configs {
    int64_t count;
    descriptor config[MAX_CONFIGS];
} configs;

static void drop_configs(configs *c)
{
    while (c->count > 0)
        cudnnBackendDestroyDescriptor(c->config[--c->count]);
}

static rn_status ask(const rni_dnn_rules *rules, descriptor heuristics, descriptor graph, cudnnBackendHeurMode_t mode)
{
    RNI_TRY(rni_dnn_set_descriptor(heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph));
    RNI_TRY(rni_dnn_set(heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode));
    RNI_TRY(rni_dnn_set_descriptor(heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, rules->properties));
    return rni_dnn_finalize(heuristics);
}

/* As many fresh configurations as there are results at most. */
static rn_status make_configs(descriptor heuristics, configs *found)
{
    int64_t most = 0;
    RNI_TRY(rni_dnn_result(cudnnBackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                                    CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &most, NULL),
                           "count engines"));
    while (found->count < most && found->count < MAX_CONFIGS) {
        descriptor *const next = &found->config[found->count];
        RNI_TRY(rni_dnn_result(cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, next),
                               "create a descriptor"));
        found->count++;
    }
    return RN_OK;
}

static rn_status fetch_configs(descriptor heuristics, configs *found)
{
    int64_t count = 0;
    RNI_TRY(make_configs(heuristics, found));
    if (found->count == 0)
        return RN_OK;
    const rn_status status =
        rni_dnn_result(cudnnBackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                                CUDNN_TYPE_BACKEND_DESCRIPTOR, found->count, &count, found->config),
                       "list engines");
    while (found->count > count) /* those that were not filled */
        cudnnBackendDestroyDescriptor(found->config[--found->count]);
    return status;
}

/* No results for a graph that no engine takes, also where the heuristics say so by an error. */
static rn_status list_configs(const rni_dnn_rules *rules, descriptor graph, cudnnBackendHeurMode_t mode, configs *found)
{
    rni_dnn_bag bag = {0};
    descriptor heuristics;
    rn_status status = rni_dnn_make(&bag, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &heuristics);
    if (status == RN_OK)
        status = ask(rules, heuristics, graph, mode);
    if (status == RN_OK)
        status = fetch_configs(heuristics, found);
    rni_dnn_bag_empty(&bag);
    return status == RN_E_UNSUPPORTED ? RN_OK : status;
}

static uint32_t bits(descriptor engine, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type)
{
    enum { MOST = 32 };
    int32_t notes[MOST] = {0}; /* both kinds of notes are enumerations of int's size */
    int64_t count = 0;
    uint32_t set = 0;
    if (cudnnBackendGetAttribute(engine, name, type, MOST, &count, notes) != CUDNN_STATUS_SUCCESS)
        return 0;
    for (int64_t i = 0; i < count && i < MOST; i++)
        if (notes[i] >= 0 && notes[i] < 32)
            set |= 1u << notes[i];
    return set;
}

_Static_assert(sizeof(cudnnBackendNumericalNote_t) == sizeof(int32_t), "notes are read as int32_t");
_Static_assert(sizeof(cudnnBackendBehaviorNote_t) == sizeof(int32_t), "notes are read as int32_t");

/* What the engine of a configuration says of itself. */
static rn_status read_engine(descriptor config, rni_dnn_plan *plan)
{
    rni_dnn_bag bag = {0};
    descriptor engine;
    int64_t count = 0;
    rn_status status = rni_dnn_make(&bag, CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine);
    if (status == RN_OK)
        status = rni_dnn_result(cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE,
                                                         CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &engine),
                                "read an engine");
    if (status == RN_OK)
        status = rni_dnn_result(cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1,
                                                         &count, &plan->engine),
                                "read an engine's number");
    if (status == RN_OK) {
        plan->notes = bits(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE);
        plan->behaviour = bits(engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE);
    }
    rni_dnn_bag_empty(&bag);
    return status;
}

/* Makes `made` the plan of a configuration. */
static rn_status finalize_plan(const rni_dnn_rules *rules, descriptor made, descriptor config, uint64_t *workspace)
{
    int64_t bytes = 0, count = 0;
    RNI_TRY(rni_dnn_set_descriptor(made, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config));
    RNI_TRY(rni_dnn_set_descriptor(made, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, rules->properties));
    RNI_TRY(rni_dnn_finalize(made));
    RNI_TRY(rni_dnn_result(
        cudnnBackendGetAttribute(made, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count, &bytes),
        "read a plan's workspace"));
    *workspace = bytes > 0 ? (uint64_t)bytes : 0;
    return RN_OK;
}

/* 1 when the configuration became plan->plan; what cuDNN cannot finalize after all is no failure, the next one serves. */
static int take(const rni_dnn_rules *rules, descriptor config, rni_dnn_plan *plan)
{
    rni_dnn_bag bag = {0};
    descriptor made;
    if (read_engine(config, plan) != RN_OK || !rni_dnn_acceptable(rules, &plan->shape, plan->notes, plan->behaviour) ||
        rni_dnn_make(&bag, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &made) != RN_OK)
        return 0;
    if (finalize_plan(rules, made, config, &plan->workspace) != RN_OK || plan->workspace > plan->shape.limit) {
        rni_dnn_bag_empty(&bag);
        return 0;
    }
    plan->plan = made;
    return 1;
}

/* Goes through one list; *left is how many acceptable plans are still to be passed over. */
static rn_status take_from(const rni_dnn_rules *rules, configs *found, rni_dnn_plan *plan, int32_t *left)
{
    for (int64_t i = 0; i < found->count && !plan->plan; i++) {
        if (!take(rules, found->config[i], plan)) {
            plan->refused++;
            continue;
        }
        if ((*left)-- > 0) {
            cudnnBackendDestroyDescriptor(plan->plan);
            plan->plan = NULL;
            continue;
        }
        const descriptor config = found->config[i];
        found->config[i] = found->config[--found->count];
        const rn_status status = rni_dnn_keep(&plan->bag, config);
        if (status != RN_OK) {
            cudnnBackendDestroyDescriptor(plan->plan);
            return status;
        }
        return rni_dnn_keep(&plan->bag, plan->plan);
    }
    return RN_OK;
}

static rn_status search(const rni_dnn_rules *rules, rni_dnn_plan *plan)
{
    static const cudnnBackendHeurMode_t modes[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
    descriptor graph;
    int32_t left = plan->rank;
    RNI_TRY(rni_dnn_graph_make(&plan->bag, &plan->shape, &graph));
    for (size_t i = 0; i < sizeof modes / sizeof modes[0] && !plan->plan; i++) {
        configs found = {0};
        rn_status status = list_configs(rules, graph, modes[i], &found);
        if (status == RN_OK)
            status = take_from(rules, &found, plan, &left);
        drop_configs(&found);
        RNI_TRY(status);
    }
    if (plan->plan)
        return RN_OK;
    char text[RNI_DNN_SHAPE_TEXT];
    return rni_fail(RN_E_UNSUPPORTED, "cuDNN has no plan for %s in %llu bytes of workspace",
                    rni_dnn_shape_text(text, &plan->shape), (unsigned long long)plan->shape.limit);
}

rn_status rni_dnn_plan_make(const rni_dnn_rules *rules, const rni_dnn_shape *shape, int32_t rank, rni_dnn_plan **out)
{
    rni_dnn_plan *plan = NULL;
    *out = NULL;
    RNI_TRY(rni_dnn_shape_check(shape));
    RNI_TRY(create_plan(rules, shape, &plan));
    plan->rank = rank;
    const rn_status status = search(rules, plan);
    if (status == RN_OK)
        *out = plan;
    else
        rni_dnn_plan_destroy(plan);
    return status;
}

rn_status rni_dnn_plan_write(const rni_dnn_plan *plan, char **json, size_t *size)
{
    int64_t length = 0;
    RNI_TRY(rni_dnn_result(cudnnBackendGetAttribute(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION,
                                                    CUDNN_TYPE_CHAR, 0, &length, NULL),
                           "measure a plan's text"));
    const size_t bytes = (size_t)length + 1;
    char *const text = plan->host->alloc(plan->host->host, bytes, 1);
    if (!text)
        return rni_fail(RN_E_NOMEM, "no memory for a plan's text of %zu bytes", bytes);
    memset(text, 0, bytes);
    const rn_status status =
        rni_dnn_result(cudnnBackendGetAttribute(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION,
                                                CUDNN_TYPE_CHAR, length, &length, text),
                       "write a plan's text");
    if (status != RN_OK) {
        plan->host->free(plan->host->host, text, bytes, 1);
        return status;
    }
    *json = text;
    *size = bytes;
    return RN_OK;
}
