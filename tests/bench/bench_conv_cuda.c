/* SPDX-License-Identifier: MIT */
/*
 * Times the convolutions of some nets on a GPU, in f32, or the filter gradients in bf16: by cuDNN as its heuristics choose, by
 * the module's general kernel, and by its kernels with each tile. cuDNN's filter gradients of 3x3 and of bf16 must be added
 * to the op's, which is not in their time.
 *
 *     bench_conv_cuda --batch N [--net NAME] [--runs N] [--dtype fp32|bf16]
 *
 * A line per convolution and direction: microseconds and TFLOP/s of cuDNN, of the tile that would be chosen and of the
 * fastest one; then the microseconds of all. "wrong" follows a tile whose result is not the general kernel's.
 */
#include "base/bf16.h"
#include "device.h"
#include "dnn/conv.h"
#include "ops/conv_direct.h"
#include "ops/conv_f32.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct layer {
    const char *net;
    int32_t in_channels, out_channels, size, kernel, stride;
} layer;

/* The distinct ones. cifar_resnet20 to 110 are of the tutorial's. */
static const layer layers[] = {
    {"cifar", 3, 16, 32, 3, 1},        {"cifar", 16, 16, 32, 3, 1},       {"cifar", 16, 32, 32, 3, 2},
    {"cifar", 32, 32, 16, 3, 1},       {"cifar", 32, 64, 16, 3, 2},       {"cifar", 64, 64, 8, 3, 1},
    {"resnet50", 3, 64, 224, 7, 2},    {"resnet50", 64, 64, 56, 1, 1},    {"resnet50", 64, 64, 56, 3, 1},
    {"resnet50", 64, 256, 56, 1, 1},   {"resnet50", 256, 64, 56, 1, 1},   {"resnet50", 256, 128, 56, 1, 1},
    {"resnet50", 128, 128, 56, 3, 2},  {"resnet50", 128, 512, 28, 1, 1},  {"resnet50", 256, 512, 56, 1, 2},
    {"resnet50", 512, 128, 28, 1, 1},  {"resnet50", 128, 128, 28, 3, 1},  {"resnet50", 512, 256, 28, 1, 1},
    {"resnet50", 256, 256, 28, 3, 2},  {"resnet50", 256, 1024, 14, 1, 1}, {"resnet50", 512, 1024, 28, 1, 2},
    {"resnet50", 1024, 256, 14, 1, 1}, {"resnet50", 256, 256, 14, 3, 1},  {"resnet50", 1024, 512, 14, 1, 1},
    {"resnet50", 512, 512, 14, 3, 2},  {"resnet50", 512, 2048, 7, 1, 1},  {"resnet50", 1024, 2048, 14, 1, 2},
    {"resnet50", 2048, 512, 7, 1, 1},  {"resnet50", 512, 512, 7, 3, 1},
};

/* What is timed: the operands' places are the same for all. */
typedef struct bench {
    rni_cuda_device *device;
    cudaStream_t stream;
    cudaEvent_t begin, end;
    int32_t runs, kind, dtype;
    int64_t batch;
    rn_conv_params params;
    void *x, *y, *workspace;
    float *w;
    rni_dnn_conv *conv; /* NULL: the module's own kernels */
    int32_t tile;
} bench;

enum { WORKSPACE_MB = 2048, COMPARED = 1 << 20 };

static void check(cudaError_t error, const char *what)
{
    if (error == cudaSuccess)
        return;
    fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
    exit(1);
}

static void *host_alloc(void *host, size_t size, size_t align)
{
    (void)host;
    return aligned_alloc(align < 16 ? 16 : align, (size + 63) / 64 * 64);
}

static void host_free(void *host, void *ptr, size_t size, size_t align)
{
    (void)host, (void)size, (void)align;
    free(ptr);
}

static void host_log(void *host, int32_t level, const char *text)
{
    (void)host, (void)level;
    fprintf(stderr, "%s\n", text);
}

static char message[300];
static rn_status host_fail(void *host, rn_status status, const char *text)
{
    (void)host;
    snprintf(message, sizeof message, "%s", text);
    return status;
}

static const rn_host_api host_api = {
    .struct_size = sizeof host_api, .alloc = host_alloc, .free = host_free, .log = host_log, .fail = host_fail};

static int64_t in_count(const bench *b)
{
    return b->batch * b->params.in_height * b->params.in_width * b->params.in_channels;
}

static int64_t out_count(const bench *b)
{
    return b->batch * b->params.out_height * b->params.out_width * b->params.out_channels;
}

static int64_t weight_count(const bench *b)
{
    return b->params.in_channels * b->params.out_channels * b->params.kernel[0] * b->params.kernel[1];
}

/* Values between -1 and 1, in memory that f32 would need. */
static void *values(int64_t count, int32_t dtype)
{
    enum { CHUNK = 1 << 20 };
    static float floats[CHUNK];
    static uint16_t halves[CHUNK];
    const size_t size = rn_dtype_size((rn_dtype)dtype);
    const void *const chunk = dtype == RN_F32 ? (const void *)floats : halves;
    uint32_t state = 1;
    void *to;
    for (int i = 0; i < CHUNK; i++) {
        state = state * 1664525u + 1013904223u;
        floats[i] = (float)(int32_t)state * 0x1p-31f;
        halves[i] = rni_bf16_round(floats[i]);
    }
    check(cudaMalloc(&to, (size_t)count * sizeof(float)), "cudaMalloc");
    for (int64_t i = 0; i < count; i += CHUNK)
        check(cudaMemcpy((char *)to + (size_t)i * size, chunk, (size_t)(count - i < CHUNK ? count - i : CHUNK) * size,
                         cudaMemcpyDefault),
              "cudaMemcpy");
    return to;
}

static void run(bench *b)
{
    if (b->conv) {
        const rni_dnn_operands operands = {.x = b->x, .w = b->w, .y = b->y};
        if (rni_dnn_conv_run(b->conv, b->stream, b->batch, &operands, b->workspace) != RN_OK) {
            fprintf(stderr, "cuDNN: %s\n", message);
            exit(1);
        }
        return;
    }
    const rni_direct d = {&b->params, b->dtype, b->device->processors, b->batch, (uint64_t)WORKSPACE_MB << 20, b->tile};
    if (b->kind == RN_OP_CONV_FORWARD)
        check(rni_direct_forward(&d, b->stream, b->x, b->w, NULL, NULL, b->y, 0), "forward");
    else if (b->kind == RN_OP_CONV_BACKWARD_DATA)
        check(rni_direct_backward_data(&d, b->stream, b->y, b->w, b->x, 0), "backward data");
    else
        check(rni_direct_backward_filter(&d, &d, b->stream, b->x, b->y, b->w, b->workspace), "backward filter");
}

/* Microseconds of a run. */
static double time_runs(bench *b)
{
    float milliseconds;
    run(b);
    check(cudaEventRecord(b->begin, b->stream), "cudaEventRecord");
    for (int i = 0; i < b->runs; i++)
        run(b);
    check(cudaEventRecord(b->end, b->stream), "cudaEventRecord");
    check(cudaEventSynchronize(b->end), "cudaEventSynchronize");
    check(cudaEventElapsedTime(&milliseconds, b->begin, b->end), "cudaEventElapsedTime");
    return milliseconds * 1000.0 / b->runs;
}

/* The first and the last of what one run makes, from zeros. */
static void result(bench *b, float *to)
{
    void *const out = b->kind == RN_OP_CONV_FORWARD ? b->y : b->kind == RN_OP_CONV_BACKWARD_DATA ? b->x : b->w;
    const int64_t count = b->kind == RN_OP_CONV_FORWARD         ? out_count(b)
                          : b->kind == RN_OP_CONV_BACKWARD_DATA ? in_count(b)
                                                                : weight_count(b);
    const int64_t part = count < COMPARED ? count : COMPARED;
    check(cudaMemsetAsync(out, 0, (size_t)count * sizeof(float), b->stream), "cudaMemset");
    run(b);
    check(cudaStreamSynchronize(b->stream), "run");
    memset(to, 0, 2 * COMPARED * sizeof *to);
    check(cudaMemcpy(to, out, (size_t)part * sizeof(float), cudaMemcpyDefault), "cudaMemcpy");
    check(cudaMemcpy(to + COMPARED, (float *)out + (count - part), (size_t)part * sizeof(float), cudaMemcpyDefault),
          "cudaMemcpy");
}

/* The largest difference as a share of the largest value. */
static double difference(const float *a, const float *b)
{
    double most = 0, largest = 0;
    for (int i = 0; i < 2 * COMPARED; i++) {
        most = fmax(most, fabs((double)a[i] - b[i]));
        largest = fmax(largest, fabs((double)a[i]));
    }
    return most / largest;
}

static double time_dnn(bench *b)
{
    const rni_dnn_problem problem = {&b->params, b->kind, 0, b->dtype, b->batch, NULL};
    uint64_t workspace = 0;
    if (rni_dnn_conv_query(b->device, &problem, &workspace) != RN_OK || workspace > (uint64_t)WORKSPACE_MB << 20 ||
        rni_dnn_conv_prepare(b->device, &problem, &b->conv) != RN_OK)
        return INFINITY;
    const double time = time_runs(b);
    rni_dnn_conv_release(b->device, b->conv);
    b->conv = NULL;
    return time;
}

static int32_t chosen(const bench *b)
{
    const rni_direct d = {&b->params, b->dtype, b->device->processors, b->batch, (uint64_t)WORKSPACE_MB << 20, 0};
    return rni_direct_tile(&d, b->kind);
}

/* As ops/conv_direct.c has it, for one group. */
static rni_conv_shape shape_of(const bench *b)
{
    const rn_conv_params *const p = &b->params;
    rni_conv_shape s = {(int32_t)b->batch,
                        1,
                        (int32_t)p->in_channels,
                        (int32_t)p->out_channels,
                        {(int32_t)p->in_height, (int32_t)p->in_width},
                        {(int32_t)p->out_height, (int32_t)p->out_width},
                        {(int32_t)p->kernel[0], (int32_t)p->kernel[1]},
                        {(int32_t)p->stride[0], (int32_t)p->stride[1]},
                        {(int32_t)p->padding[0], (int32_t)p->padding[1]},
                        {1, 1}};
    return s;
}

static void measure(bench *b, const char *net, float *expected, float *got)
{
    static const char *const kinds[] = {"forward", "data", "filter"};
    const rn_conv_params *const p = &b->params;
    const double flops = 2.0 * (double)out_count(b) * (double)(p->in_channels * p->kernel[0] * p->kernel[1]);
    const rni_conv_shape shape = shape_of(b);
    const int32_t choice = chosen(b);
    double best = INFINITY, by_choice = 0, times[16];
    int32_t count, fastest = 0;
    char text[400] = "";
    rni_f32_tiles(b->kind, &count);
    const double dnn = time_dnn(b);
    for (int32_t t = -1; t < count; t++) {
        b->tile = t < 0 ? RNI_DIRECT_GENERAL : RNI_DIRECT_TILE + t;
        if (t >= 0 && !rni_f32_serves(b->kind, b->dtype, &shape, t))
            continue;
        times[t + 1] = time_runs(b);
        result(b, t < 0 ? expected : got);
        const int wrong = t >= 0 && !(difference(expected, got) < 1e-4);
        const size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, " %d:%.1f%s", t, times[t + 1], wrong ? "wrong" : "");
        if (times[t + 1] < best) {
            best = times[t + 1];
            fastest = t;
        }
        if (b->tile == choice)
            by_choice = times[t + 1];
    }
    printf("%s %lld %lldx%lld/%lld %lld>%lld %lld %s cudnn %.1f us %.1f chosen %d %.1f us %.1f best %d %.1f us %.1f "
           "all%s\n",
           net, (long long)b->batch, (long long)p->kernel[0], (long long)p->kernel[1], (long long)p->stride[0],
           (long long)p->in_channels, (long long)p->out_channels, (long long)p->in_height,
           kinds[b->kind == RN_OP_CONV_BACKWARD_DATA     ? 1
                 : b->kind == RN_OP_CONV_BACKWARD_FILTER ? 2
                                                         : 0],
           dnn, flops / dnn * 1e-6, (int)choice - RNI_DIRECT_TILE, by_choice, flops / by_choice * 1e-6, (int)fastest,
           best, flops / best * 1e-6, text);
    fflush(stdout);
}

static void measure_layer(bench *b, const layer *l, float *expected, float *got)
{
    static const int32_t directions[] = {RN_OP_CONV_FORWARD, RN_OP_CONV_BACKWARD_DATA, RN_OP_CONV_BACKWARD_FILTER};
    const int64_t padding = l->kernel / 2, out = (l->size + 2 * padding - l->kernel) / l->stride + 1;
    b->params = (rn_conv_params){.in_channels = l->in_channels,
                                 .out_channels = l->out_channels,
                                 .groups = 1,
                                 .in_height = l->size,
                                 .in_width = l->size,
                                 .out_height = out,
                                 .out_width = out,
                                 .kernel = {l->kernel, l->kernel},
                                 .stride = {l->stride, l->stride},
                                 .padding = {padding, padding},
                                 .dilation = {1, 1}};
    for (int d = 0; d < 3; d++) {
        b->kind = directions[d];
        if (b->kind == RN_OP_CONV_BACKWARD_DATA ? l->in_channels == 3 || b->dtype != RN_F32
                                                : b->kind == RN_OP_CONV_FORWARD && b->dtype != RN_F32)
            continue;
        b->x = values(in_count(b), b->dtype);
        b->y = values(out_count(b), b->dtype);
        b->w = values(weight_count(b), RN_F32);
        measure(b, l->net, expected, got);
        cudaFree(b->x);
        cudaFree(b->y);
        cudaFree(b->w);
    }
}

int main(int argc, char **argv)
{
    const char *net = "";
    bench b = {.runs = 5, .dtype = RN_F32};
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--net") == 0)
            net = argv[i + 1];
        else if (strcmp(argv[i], "--batch") == 0)
            b.batch = atoll(argv[i + 1]);
        else if (strcmp(argv[i], "--runs") == 0)
            b.runs = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--dtype") == 0)
            b.dtype = strcmp(argv[i + 1], "bf16") == 0 ? RN_BF16 : RN_F32;
    }
    if (b.batch < 1 || b.runs < 1) {
        fprintf(stderr, "usage: bench_conv_cuda --batch N [--net cifar|resnet50] [--runs N] [--dtype fp32|bf16]\n");
        return 2;
    }
    if (rni_cuda_device_open(&host_api, 0, &b.device) != RN_OK || rni_cuda_enter(b.device) != RN_OK ||
        rni_dnn_open(b.device, &b.device->dnn) != RN_OK) {
        fprintf(stderr, "%s\n", message);
        return 1;
    }
    check(cudaStreamCreateWithFlags(&b.stream, cudaStreamNonBlocking), "cudaStreamCreate");
    check(cudaEventCreateWithFlags(&b.begin, cudaEventDefault), "cudaEventCreate");
    check(cudaEventCreateWithFlags(&b.end, cudaEventDefault), "cudaEventCreate");
    check(cudaMalloc(&b.workspace, (size_t)WORKSPACE_MB << 20), "cudaMalloc");
    float *const expected = malloc(2 * COMPARED * sizeof *expected), *const got = malloc(2 * COMPARED * sizeof *got);
    for (size_t i = 0; expected && got && i < sizeof layers / sizeof *layers; i++)
        if (!*net || strcmp(net, layers[i].net) == 0)
            measure_layer(&b, &layers[i], expected, got);
    free(expected);
    free(got);
    cudaFree(b.workspace);
    rni_dnn_close(b.device->dnn);
    b.device->dnn = NULL;
    rni_cuda_device_close(b.device);
    return 0;
}
