/* SPDX-License-Identifier: MIT */
/* How plans are chosen and kept, on devices of which only the records are there. */
#include "deviceless/record_device.h"
#include "devices/properties.h"
#include "dnn/plan.h"
#include "unit/support.h"

static const rni_device_record *record_of(const char *name)
{
    for (int i = 0; i < rni_device_record_count; i++)
        if (strcmp(rni_device_records[i].name, name) == 0)
            return &rni_device_records[i];
    ck_abort_msg("no record of %s", name);
    return NULL;
}

static rni_cuda_device open_device(const char *name, uint64_t limit)
{
    rni_cuda_device device;
    ck_ok(record_device_open(record_of(name), 0, 1, limit, &device));
    return device;
}

/* 3x3 with stride 2 from 14 to 7 pixels. */
static const rn_conv_params plain = {.in_channels = 16,
                                     .out_channels = 32,
                                     .groups = 1,
                                     .in_height = 14,
                                     .in_width = 14,
                                     .out_height = 7,
                                     .out_width = 7,
                                     .kernel = {3, 3},
                                     .stride = {2, 2},
                                     .padding = {1, 1},
                                     .dilation = {1, 1}};

static const rn_conv_params first_layer = {.in_channels = 3,
                                           .out_channels = 64,
                                           .groups = 1,
                                           .in_height = 224,
                                           .in_width = 224,
                                           .out_height = 112,
                                           .out_width = 112,
                                           .kernel = {7, 7},
                                           .stride = {2, 2},
                                           .padding = {3, 3},
                                           .dilation = {1, 1}};

static rni_dnn_problem problem_of(const rn_conv_params *params, int32_t kind, uint32_t flags, int32_t dtype)
{
    return (rni_dnn_problem){params, kind, flags, dtype, 8, NULL};
}

static rn_status query(rni_cuda_device *device, const rn_conv_params *params, int32_t dtype, int64_t batch)
{
    uint64_t workspace;
    rni_dnn_problem problem = problem_of(params, RN_OP_CONV_FORWARD, 0, dtype);
    problem.batch = batch;
    return rni_dnn_conv_query(device, &problem, &workspace);
}

/* cuDNN takes a filter of other channels for groups, and sizes beyond 32 bits as they come. */
START_TEST(what_does_not_fit_is_refused)
{
    rni_cuda_device device = open_device("h100", UINT64_C(1) << 30);
    rn_conv_params p = plain;
    p.groups = 3;
    ck_fails(query(&device, &p, RN_F32, 8), RN_E_INVALID, "16 to 32 channels in 3 groups");
    p = plain;
    p.out_width = 8;
    ck_fails(query(&device, &p, RN_F32, 8), RN_E_INVALID, "axis 1 does not give 8");
    p = plain;
    p.stride[0] = 0;
    ck_fails(query(&device, &p, RN_F32, 8), RN_E_INVALID, "a size of 0");
    p = plain;
    p.padding[1] = -1;
    ck_fails(query(&device, &p, RN_F32, 8), RN_E_UNSUPPORTED, "padding");
    ck_fails(query(&device, &plain, RN_F32, INT64_C(1) << 31), RN_E_UNSUPPORTED, "2^31 elements");
    ck_fails(query(&device, &plain, RN_F32, INT64_MAX), RN_E_UNSUPPORTED, "2^31 elements");
    ck_fails(query(&device, &plain, RN_F64, 8), RN_E_UNSUPPORTED, "dtype");
    record_device_close(&device);
    ck_assert_int_eq(record_device_memory(), 0);
}
END_TEST

START_TEST(bf16_needs_capability_8)
{
    rni_cuda_device device = open_device("t4", UINT64_C(1) << 30);
    ck_fails(query(&device, &plain, RN_BF16, 8), RN_E_UNSUPPORTED, "capability 7.5");
    ck_ok(query(&device, &plain, RN_F16, 8));
    device.capability = 80; /* cuDNN is asked, and has none for the real one */
    ck_fails(query(&device, &plain, RN_BF16, 8), RN_E_UNSUPPORTED, "no plan for conv_forward 8x16x14x14 to 32x7x7");
    const int64_t kept = record_device_memory();
    ck_fails(query(&device, &plain, RN_BF16, 8), RN_E_UNSUPPORTED, "no plan");
    ck_assert_int_eq(record_device_memory(), kept);
    record_device_close(&device);
    ck_assert_int_eq(record_device_memory(), 0);
}
END_TEST

/* The plan of a problem as cuDNN writes it. */
static void describe(rni_cuda_device *device, const rni_dnn_problem *problem, char *text, size_t room, int32_t *padded)
{
    rni_dnn_conv *conv;
    char *json;
    size_t size;
    ck_ok(rni_dnn_conv_prepare(device, problem, &conv));
    const rni_dnn_plan *const plan = rni_dnn_conv_plan(conv, padded);
    ck_ok(rni_dnn_plan_write(plan, &json, &size));
    ck_assert_uint_eq(size, strlen(json) + 1);
    ck_assert_uint_lt(size, room);
    memcpy(text, json, size);
    plan->host->free(plan->host->host, json, size, 1);
    rni_dnn_conv_release(device, conv);
}

static void expect(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "'%s' is not in '%s'", part, text);
}

static const struct {
    int32_t kind;
    uint32_t flags;
    const char *parts[5];
} graphs[] = {
    {RN_OP_CONV_FORWARD,
     0,
     {"CONVOLUTION_FORWARD", "\"beta\":0.0,\"pad\":[1,1],\"stride\":[2,2],\"dilation\":[1,1]", "[8,16,14,14]",
      "[32,16,3,3]", "[8,32,7,7]"}},
    {RN_OP_CONV_BACKWARD_DATA,
     0,
     {"CONVOLUTION_BACKWARD_DATA", "\"beta\":0.0", "[8,32,7,7]", "\"mathPrec\":\"CUDNN_DATA_FLOAT\""}},
    {RN_OP_CONV_BACKWARD_DATA, RN_OPF_ACCUMULATE, {"CONVOLUTION_BACKWARD_DATA", "\"beta\":1.0"}},
    {RN_OP_CONV_BACKWARD_FILTER, 0, {"CONVOLUTION_BACKWARD_FILTER", "\"beta\":0.0"}},
    {RN_OP_CONV_BACKWARD_FILTER, RN_OPF_ACCUMULATE, {"CONVOLUTION_BACKWARD_FILTER", "\"beta\":1.0"}},
    {RN_OP_CONV_FORWARD, RN_OPF_BIAS, {"CUDNN_POINTWISE_ADD", "[1,32,1,1]"}},
    {RN_OP_CONV_FORWARD, RN_OPF_RELU, {"CUDNN_POINTWISE_ADD", "CUDNN_POINTWISE_RELU_FWD"}},
    {RN_OP_CONV_FORWARD,
     RN_OPF_BIAS | RN_OPF_ADD | RN_OPF_RELU,
     {"CUDNN_POINTWISE_ADD", "CUDNN_POINTWISE_RELU_FWD", "\"isVirtual\":true"}},
};

/* What cuDNN makes of the descriptors is what was asked. */
START_TEST(graphs_say_what_the_op_says)
{
    static const int32_t dtypes[] = {RN_F32, RN_BF16, RN_F16};
    static const char *const names[] = {"CUDNN_DATA_FLOAT", "CUDNN_DATA_BFLOAT16", "CUDNN_DATA_HALF"};
    rni_cuda_device device = open_device("h100", UINT64_C(1) << 30);
    static char text[1 << 16];
    int32_t padded;
    for (size_t d = 0; d < 3; d++) {
        const rni_dnn_problem problem = problem_of(&plain, graphs[_i].kind, graphs[_i].flags, dtypes[d]);
        describe(&device, &problem, text, sizeof text, &padded);
        ck_assert_int_eq(padded, 0);
        expect(text, names[d]);
        expect(text, "\"stride\":[3136,1,224,16]"); /* N, H, W, C */
        for (size_t i = 0; i < 5 && graphs[_i].parts[i]; i++)
            expect(text, graphs[_i].parts[i]);
    }
    record_device_close(&device);
    ck_assert_int_eq(record_device_memory(), 0);
}
END_TEST

/* Ready engines only, which f16 has on some devices; never beside another epilogue, and only when asked. */
START_TEST(statistics_follow_a_convolution)
{
    static char text[1 << 16];
    uint64_t workspace;
    int32_t padded;
    rni_cuda_device device = open_device("h100", UINT64_C(1) << 30);
    rni_dnn_problem problem = problem_of(&plain, RN_OP_CONV_FORWARD, RN_OPF_STATS, RN_F16);
    describe(&device, &problem, text, sizeof text, &padded);
    expect(text, "GEN_STATS");
    expect(text, "\"X\":\"3\",\"Sum\":\"6\",\"SqSum\":\"7\"");
    expect(text, "[1,32,1,1]");
    problem.flags = RN_OPF_STATS | RN_OPF_RELU;
    ck_fails(rni_dnn_conv_query(&device, &problem, &workspace), RN_E_UNSUPPORTED, "besides bias, residual or ReLU");
    problem.flags = RN_OPF_STATS;
    for (int32_t dtype = RN_F32; dtype <= RN_BF16; dtype += RN_BF16 - RN_F32) {
        problem.dtype = dtype;
        ck_fails(rni_dnn_conv_query(&device, &problem, &workspace), RN_E_UNSUPPORTED, " stats");
    }
    problem.dtype = RN_F16;
    device.fuse = 0;
    ck_fails(rni_dnn_conv_query(&device, &problem, &workspace), RN_E_UNSUPPORTED, "unless RN_CUDA_FUSE asks");
    record_device_close(&device);
    device = open_device("b200", UINT64_C(1) << 30); /* its only one is marked */
    ck_fails(rni_dnn_conv_query(&device, &problem, &workspace), RN_E_UNSUPPORTED, "no plan for");
    record_device_close(&device);
    ck_assert_int_eq(record_device_memory(), 0);
}
END_TEST

/* Ready engines only, of f16 with whole vectors of channels, and only when asked. */
START_TEST(a_convolution_of_what_is_normalised)
{
    static char text[1 << 16];
    static const int32_t kinds[] = {RN_OP_CONV_FORWARD, RN_OP_CONV_BACKWARD_FILTER};
    uint64_t workspace;
    int32_t padded;
    rni_cuda_device device = open_device("h100", UINT64_C(1) << 30);
    rni_dnn_problem problem = problem_of(&plain, RN_OP_CONV_FORWARD, RN_OPF_STATS | RNI_DNN_PROLOGUE, RN_F16);
    ck_fails(rni_dnn_conv_query(&device, &problem, &workspace), RN_E_UNSUPPORTED, "unless RN_CUDA_FUSE asks");
    device.fuse = RNI_CUDA_FUSE_PROLOGUE;
    for (int i = 0; i < 2; i++) {
        problem.kind = kinds[i];
        describe(&device, &problem, text, sizeof text, &padded);
        ck_assert_int_eq(padded, 0);
        expect(text, "CUDNN_POINTWISE_MUL");
        expect(text, "CUDNN_POINTWISE_ADD");
        expect(text, "CUDNN_POINTWISE_RELU_FWD");
        expect(text, "[1,16,1,1]");
        expect(text, i ? "CONVOLUTION_BACKWARD_FILTER" : "GEN_STATS");
        for (int32_t dtype = RN_F32; dtype <= RN_BF16; dtype += RN_BF16 - RN_F32) {
            problem.dtype = dtype;
            ck_fails(rni_dnn_conv_query(&device, &problem, &workspace), RN_E_UNSUPPORTED, "another type than f16");
        }
        problem.dtype = RN_F16;
        problem.params = &first_layer;
        ck_fails(rni_dnn_conv_query(&device, &problem, &workspace), RN_E_UNSUPPORTED, "of 3 to 64 channels");
        problem.params = &plain;
    }
    problem.flags |= RN_OPF_ACCUMULATE;
    ck_fails(rni_dnn_conv_query(&device, &problem, &workspace), RN_E_UNSUPPORTED, "besides");
    problem = problem_of(&plain, RN_OP_CONV_FORWARD, RN_OPF_RELU | RNI_DNN_PROLOGUE, RN_F16);
    ck_fails(rni_dnn_conv_query(&device, &problem, &workspace), RN_E_UNSUPPORTED, "besides");
    problem = problem_of(&plain, RN_OP_CONV_BACKWARD_DATA, RNI_DNN_PROLOGUE, RN_F16);
    ck_fails(rni_dnn_conv_query(&device, &problem, &workspace), RN_E_UNSUPPORTED, "besides");
    record_device_close(&device);
    ck_assert_int_eq(record_device_memory(), 0);
}
END_TEST

START_TEST(three_channels_become_eight)
{
    static char text[1 << 16];
    int32_t padded;
    rni_cuda_device device = open_device("a100", UINT64_C(1) << 30);
    rni_dnn_problem problem = problem_of(&first_layer, RN_OP_CONV_FORWARD, RN_OPF_BIAS, RN_BF16);
    uint64_t workspace;
    describe(&device, &problem, text, sizeof text, &padded);
    ck_assert_int_eq(padded, 1);
    expect(text, "[8,8,224,224]");
    expect(text, "[64,8,7,7]");
    ck_ok(rni_dnn_conv_query(&device, &problem, &workspace));
    ck_assert_uint_ge(workspace, 8 * 224 * 224 * 8 * 2 + 64 * 7 * 7 * 8 * 2 + 64 * 2);
    problem.kind = RN_OP_CONV_BACKWARD_FILTER;
    problem.flags = 0;
    describe(&device, &problem, text, sizeof text, &padded);
    ck_assert_int_eq(padded, 1);
    problem.flags = RN_OPF_ACCUMULATE; /* into a dw of three channels */
    describe(&device, &problem, text, sizeof text, &padded);
    ck_assert_int_eq(padded, 0);
    problem.kind = RN_OP_CONV_BACKWARD_DATA;
    describe(&device, &problem, text, sizeof text, &padded);
    ck_assert_int_eq(padded, 0);
    problem.kind = RN_OP_CONV_FORWARD;
    problem.dtype = RN_F32;
    describe(&device, &problem, text, sizeof text, &padded);
    ck_assert_int_eq(padded, 0);
    record_device_close(&device);
    ck_assert_int_eq(record_device_memory(), 0);
}
END_TEST

/* Without room for the filled-up images, the plain ones must do. */
START_TEST(workspace_stays_within_the_limit)
{
    static char text[1 << 16];
    int32_t padded;
    for (uint64_t limit = 0; limit <= UINT64_C(1) << 26; limit = limit ? limit * 4 : 1) {
        rni_cuda_device device = open_device("h100", limit);
        for (int32_t dtype = RN_F32; dtype <= RN_F16; dtype++) {
            rni_dnn_problem problem = problem_of(&first_layer, RN_OP_CONV_FORWARD, 0, dtype);
            uint64_t workspace;
            if (dtype != RN_F32 && dtype != RN_BF16 && dtype != RN_F16)
                continue;
            ck_ok(rni_dnn_conv_query(&device, &problem, &workspace));
            ck_assert_uint_le(workspace, limit);
            describe(&device, &problem, text, sizeof text, &padded);
            ck_assert_int_eq(padded, dtype != RN_F32 && limit >= UINT64_C(1) << 23);
        }
        record_device_close(&device);
    }
    ck_assert_int_eq(record_device_memory(), 0);
}
END_TEST

START_TEST(notes_decide)
{
    const rni_dnn_rules strict = {.tf32 = 0}, relaxed = {.tf32 = 1}, compiling = {.runtime = 1};
    rni_dnn_shape shape = {.dtype = RN_F32};
    const uint32_t tensor_core = 1u << CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
    const uint32_t winograd = 1u << CUDNN_NUMERICAL_NOTE_WINOGRAD;
    const uint32_t random = 1u << CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
    const uint32_t compiled = 1u << CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION;
    ck_assert_int_eq(rni_dnn_acceptable(&strict, &shape, 0, 0), 1);
    ck_assert_int_eq(rni_dnn_acceptable(&strict, &shape, tensor_core, 0), 0);
    ck_assert_int_eq(rni_dnn_acceptable(&relaxed, &shape, tensor_core, 0), 1);
    ck_assert_int_eq(rni_dnn_acceptable(&relaxed, &shape, random, 0), 0);
    ck_assert_int_eq(rni_dnn_acceptable(&relaxed, &shape, 1u << CUDNN_NUMERICAL_NOTE_FFT, 0), 0);
    ck_assert_int_eq(rni_dnn_acceptable(&strict, &shape, winograd, 0), 1);
    ck_assert_int_eq(rni_dnn_acceptable(&strict, &shape, 0, compiled), 0);
    ck_assert_int_eq(rni_dnn_acceptable(&compiling, &shape, 0, compiled), 1);
    shape.flags = RN_OPF_STATS; /* compiled ones add floats in any order */
    ck_assert_int_eq(rni_dnn_acceptable(&compiling, &shape, 0, compiled), 0);
    ck_assert_int_eq(rni_dnn_acceptable(&compiling, &shape, 0, 0), 1);
    shape.flags = RNI_DNN_PROLOGUE;
    ck_assert_int_eq(rni_dnn_acceptable(&compiling, &shape, 0, compiled), 0);
    shape.flags = 0;
    shape.direct = 1;
    ck_assert_int_eq(rni_dnn_acceptable(&strict, &shape, winograd, 0), 0);
    shape.direct = 0;
    shape.dtype = RN_BF16;
    ck_assert_int_eq(rni_dnn_acceptable(&strict, &shape, tensor_core, 0), 1);
    ck_assert_int_eq(rni_dnn_acceptable(&strict, &shape, winograd | tensor_core, 0), 0);
}
END_TEST

/* A run of fewer images finds its plan in the workspace of the most; there is just nothing that runs it. */
START_TEST(smaller_batches_are_planned_when_they_come)
{
    rni_cuda_device device = open_device("h100", UINT64_C(1) << 30);
    rni_dnn_problem problem = problem_of(&plain, RN_OP_CONV_BACKWARD_FILTER, 0, RN_BF16);
    rni_dnn_conv *conv;
    char memory[16];
    const rni_dnn_operands operands = {.x = memory, .w = memory, .y = memory};
    problem.batch = 100;
    ck_ok(rni_dnn_conv_prepare(&device, &problem, &conv));
    for (int64_t batch = 1; batch <= 100; batch += 33)
        ck_fails(rni_dnn_conv_run(conv, NULL, batch, &operands, memory), RN_E_DEVICE, "there is no device");
    const int64_t kept = record_device_memory();
    ck_fails(rni_dnn_conv_run(conv, NULL, 34, &operands, memory), RN_E_DEVICE, "there is no device");
    ck_assert_int_eq(record_device_memory(), kept);
    rni_dnn_conv_release(&device, conv);
    record_device_close(&device);
    ck_assert_int_eq(record_device_memory(), 0);
}
END_TEST

START_TEST(ranks_are_other_plans)
{
    rni_cuda_device device = open_device("h100", UINT64_C(1) << 30);
    rni_dnn_problem problem = problem_of(&plain, RN_OP_CONV_FORWARD, 0, RN_BF16);
    rni_dnn_conv *conv;
    int32_t padded, rank = 0;
    ck_ok(rni_dnn_conv_prepare(&device, &problem, &conv));
    const rni_dnn_plan *const first = rni_dnn_conv_plan(conv, &padded);
    cudnnBackendDescriptor_t properties;
    ck_ok(rni_device_properties(record_of("h100"), &properties));
    const rni_dnn_rules rules = {device.host, properties, 0, 0};
    rni_dnn_plan *plan;
    while (rni_dnn_plan_make(&rules, &first->shape, rank, &plan) == RN_OK) {
        ck_assert_int_eq(plan->rank, rank);
        ck_assert(rank > 0 || plan->engine == first->engine);
        rni_dnn_plan_destroy(plan);
        rank++;
    }
    ck_fails(rni_dnn_plan_make(&rules, &first->shape, rank, &plan), RN_E_UNSUPPORTED, "no plan for");
    ck_assert_int_gt(rank, 8); /* enough to measure */
    cudnnBackendDestroyDescriptor(properties);
    rni_dnn_conv_release(&device, conv);
    record_device_close(&device);
    ck_assert_int_eq(record_device_memory(), 0);
}
END_TEST

/* Opening, planning, preparing and running another batch, with the Nth request for memory refused. */
static rn_status whole_life(void)
{
    rni_cuda_device device;
    rni_dnn_problem problem = problem_of(&plain, RN_OP_CONV_FORWARD, RN_OPF_RELU, RN_BF16);
    rni_dnn_conv *conv = NULL;
    char memory[16];
    const rni_dnn_operands operands = {.x = memory, .w = memory, .y = memory};
    rn_status status = record_device_open(record_of("h100"), 0, 1, UINT64_C(1) << 30, &device);
    if (status != RN_OK)
        return status;
    status = rni_dnn_conv_prepare(&device, &problem, &conv);
    if (status == RN_OK)
        status = rni_dnn_conv_run(conv, NULL, 3, &operands, memory);
    rni_dnn_conv_release(&device, conv);
    record_device_close(&device);
    return status;
}

START_TEST(out_of_memory_is_said_and_nothing_is_lost)
{
    int request = 1;
    for (;; request++) {
        record_device_fail(request);
        const rn_status status = whole_life();
        record_device_fail(0);
        ck_assert_int_eq(record_device_memory(), 0);
        if (status != RN_E_NOMEM) {
            ck_assert_int_eq(status, RN_E_BACKEND); /* the kernel that makes a bias finds no device */
            break;
        }
    }
    ck_assert_int_gt(request, 6);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("dnn_plans");
    TCase *const tests = tcase_create("plans");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, what_does_not_fit_is_refused);
    tcase_add_test(tests, bf16_needs_capability_8);
    tcase_add_loop_test(tests, graphs_say_what_the_op_says, 0, sizeof graphs / sizeof graphs[0]);
    tcase_add_test(tests, statistics_follow_a_convolution);
    tcase_add_test(tests, a_convolution_of_what_is_normalised);
    tcase_add_test(tests, three_channels_become_eight);
    tcase_add_test(tests, workspace_stays_within_the_limit);
    tcase_add_test(tests, notes_decide);
    tcase_add_test(tests, smaller_batches_are_planned_when_they_come);
    tcase_add_test(tests, ranks_are_other_plans);
    tcase_add_test(tests, out_of_memory_is_said_and_nothing_is_lost);
    suite_add_tcase(suite, tests);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
