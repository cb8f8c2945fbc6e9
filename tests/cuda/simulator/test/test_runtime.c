/* SPDX-License-Identifier: MIT */
/* The part of the CUDA runtime that the simulator has: order, copies, graphs, errors, and the faults it is told to make. */
#include "faults.h"
#include "simulator/control.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { N = 64, BYTES = N * sizeof(float) };

#define OK(call) ck_assert_int_eq(call, cudaSuccess)

static cudaStream_t stream, other;
static float *x, *y; /* on the device, N floats */
static float *pinned, *pageable;

static void setup(void)
{
    rni_sim_set("reports", 0);
    OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    OK(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking));
    OK(cudaMalloc((void **)&x, BYTES));
    OK(cudaMalloc((void **)&y, BYTES));
    OK(cudaMallocHost((void **)&pinned, BYTES));
    pageable = malloc(BYTES);
    OK(cudaMemsetAsync(x, 0, BYTES, stream));
    OK(cudaMemsetAsync(y, 0, BYTES, stream));
    OK(cudaStreamSynchronize(stream));
}

static void teardown(void)
{
    OK(cudaStreamDestroy(stream));
    OK(cudaStreamDestroy(other));
    OK(cudaFree(x));
    OK(cudaFree(y));
    OK(cudaFreeHost(pinned));
    free(pageable);
    if (rni_sim_get("errors") != 0)
        ck_abort_msg("reported: %s", rni_sim_report(0));
}

static void expect_report(const char *text)
{
    const char *found = NULL;
    for (int64_t i = 0; rni_sim_report(i) && !found; i++)
        found = strstr(rni_sim_report(i), text);
    if (!found)
        ck_abort_msg("no report says \"%s\"; the first one is: %s", text, rni_sim_report(0));
    rni_sim_forget();
}

static void set_all(float *values, float value)
{
    for (int i = 0; i < N; i++)
        values[i] = value;
}

/* The first of the values that stream order gives x; all are alike. */
static float value_of(const float *device)
{
    float values[N];
    OK(cudaMemcpyAsync(values, device, BYTES, cudaMemcpyDeviceToHost, stream));
    for (int i = 1; i < N; i++)
        ck_assert(memcmp(&values[0], &values[i], sizeof *values) == 0);
    return values[0];
}

static int is_nan(float value)
{
    return value != value;
}

START_TEST(work_waits_for_a_wait)
{
    OK(faults_add(stream, x, 1.0f, N));
    OK(faults_add(stream, x, 2.0f, N));
    ck_assert_int_eq(rni_sim_get("queued"), 2);
    ck_assert_int_eq(rni_sim_get("launches"), 0);
    OK(cudaStreamSynchronize(other));
    ck_assert_int_eq(rni_sim_get("launches"), 0);
    OK(cudaStreamSynchronize(stream));
    ck_assert_int_eq(rni_sim_get("launches"), 2);
    ck_assert_float_eq(value_of(x), 3.0f);
}
END_TEST

/* Copies out to pinned memory come late, and until then there is nothing sensible. */
START_TEST(pinned_destination)
{
    set_all(pinned, 5.0f);
    OK(faults_add(stream, x, 1.0f, N));
    OK(cudaMemcpyAsync(pinned, x, BYTES, cudaMemcpyDeviceToHost, stream));
    ck_assert(is_nan(pinned[0]) && is_nan(pinned[N - 1]));
    OK(cudaStreamSynchronize(stream));
    ck_assert_float_eq(pinned[0], 1.0f);
}
END_TEST

START_TEST(pinned_source)
{
    set_all(pinned, 5.0f);
    OK(cudaMemcpyAsync(x, pinned, BYTES, cudaMemcpyHostToDevice, stream));
    OK(cudaStreamSynchronize(stream));
    ck_assert_int_eq(rni_sim_get("errors"), 0);
    OK(cudaMemcpyAsync(x, pinned, BYTES, cudaMemcpyHostToDevice, stream));
    pinned[7] = 6.0f;
    OK(cudaStreamSynchronize(stream));
    expect_report("the pinned source of an asynchronous copy of 256 bytes changed");
}
END_TEST

START_TEST(pageable_memory)
{
    set_all(pageable, 5.0f);
    OK(cudaMemcpyAsync(x, pageable, BYTES, cudaMemcpyHostToDevice, stream));
    set_all(pageable, 6.0f);
    OK(faults_add(stream, x, 1.0f, N));
    OK(cudaMemcpyAsync(pageable, x, BYTES, cudaMemcpyDeviceToHost, stream));
    ck_assert_float_eq(pageable[0], 6.0f);
    ck_assert_float_eq(pageable[N - 1], 6.0f);
}
END_TEST

START_TEST(wrong_sides)
{
    ck_assert_int_eq(cudaMemcpyAsync(pageable, pinned, BYTES, cudaMemcpyHostToDevice, stream), cudaErrorInvalidValue);
    expect_report("destination of a copy to the device");
    ck_assert_int_eq(cudaMemcpyAsync(x, y, BYTES, cudaMemcpyHostToDevice, stream), cudaErrorInvalidValue);
    expect_report("the source of a copy to the device is a device address");
    ck_assert_int_eq(cudaMemcpyAsync(x, y, BYTES + 1, cudaMemcpyDeviceToDevice, stream), cudaErrorInvalidValue);
    expect_report("257 bytes at");
    ck_assert_int_eq(cudaMemsetAsync(pageable, 0, BYTES, stream), cudaErrorInvalidValue);
    expect_report("host memory");
    OK(cudaMemcpyAsync(x, x + N / 2 - 1, BYTES / 2, cudaMemcpyDeviceToDevice, stream));
    OK(cudaStreamSynchronize(stream));
    expect_report("overlap");
    ck_assert_int_eq(cudaMemcpyAsync(pinned + 1, x, BYTES, cudaMemcpyDeviceToHost, stream), cudaSuccess);
    rni_sim_forget();
    pinned[N] = 0.0f; /* what the copy would have done */
    OK(cudaFreeHost(pinned));
    expect_report("memory behind a pinned allocation");
    OK(cudaMallocHost((void **)&pinned, BYTES));
}
END_TEST

START_TEST(undefined_bytes_to_host)
{
    float *fresh;
    OK(cudaMalloc((void **)&fresh, BYTES));
    OK(cudaMemsetAsync(fresh, 0, 100, stream));
    OK(cudaMemcpyAsync(y, fresh, BYTES, cudaMemcpyDeviceToDevice, stream));
    OK(cudaMemcpyAsync(pinned, y, BYTES, cudaMemcpyDeviceToHost, stream));
    OK(cudaStreamSynchronize(stream));
    ck_assert_float_eq(pinned[24], 0.0f);
    ck_assert(is_nan(pinned[25]));
    if (rni_sim_get("checking"))
        expect_report("nobody wrote, 100 bytes from its start");
    OK(cudaFree(fresh));
}
END_TEST

/* Without an event the reader comes first, and sees what was there before. */
START_TEST(streams_are_not_ordered)
{
    OK(faults_add(stream, x, 1.0f, N));
    OK(cudaMemcpyAsync(pinned, x, BYTES, cudaMemcpyDeviceToHost, other));
    OK(cudaStreamSynchronize(other));
    ck_assert_float_eq(pinned[0], 0.0f);
    OK(cudaStreamSynchronize(stream));
}
END_TEST

START_TEST(events_order_streams)
{
    cudaEvent_t event;
    OK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    OK(faults_add(stream, x, 1.0f, N));
    OK(cudaEventRecord(event, stream));
    OK(faults_add(stream, x, 10.0f, N));
    OK(cudaStreamWaitEvent(other, event, 0));
    OK(cudaMemcpyAsync(pinned, x, BYTES, cudaMemcpyDeviceToHost, other));
    OK(cudaStreamSynchronize(other));
    ck_assert_float_eq(pinned[0], 1.0f);
    ck_assert_int_eq(rni_sim_get("launches"), 1); /* no further than the event */
    OK(faults_add(stream, x, 100.0f, N));
    OK(cudaEventRecord(event, stream));
    OK(faults_add(stream, x, 1000.0f, N));
    OK(cudaEventSynchronize(event));
    ck_assert_int_eq(rni_sim_get("launches"), 3);
    ck_assert_float_eq(value_of(x), 1111.0f);
    OK(cudaEventDestroy(event));
    ck_assert_int_eq(cudaEventRecord(event, stream), cudaErrorInvalidResourceHandle);
}
END_TEST

START_TEST(events_tell_time)
{
    cudaEvent_t from, to, untimed;
    float milliseconds = -1.0f;
    OK(cudaEventCreateWithFlags(&from, cudaEventDefault));
    OK(cudaEventCreateWithFlags(&to, cudaEventDefault));
    OK(cudaEventCreateWithFlags(&untimed, cudaEventDisableTiming));
    OK(cudaEventRecord(from, stream));
    OK(faults_add(stream, x, 1.0f, N));
    OK(cudaEventRecord(to, stream));
    OK(cudaEventRecord(untimed, stream));
    ck_assert_int_eq(cudaEventElapsedTime(&milliseconds, from, to), cudaErrorNotReady);
    OK(cudaEventSynchronize(to));
    OK(cudaEventElapsedTime(&milliseconds, from, to));
    ck_assert(milliseconds > 0.0f);
    ck_assert_int_eq(cudaEventElapsedTime(&milliseconds, from, untimed), cudaErrorInvalidResourceHandle);
    OK(cudaEventDestroy(from));
    OK(cudaEventDestroy(to));
    OK(cudaEventDestroy(untimed));
}
END_TEST

/* Streams made without cudaStreamNonBlocking wait for the null stream, and it for them. */
START_TEST(null_stream)
{
    cudaStream_t blocking;
    OK(cudaStreamCreateWithFlags(&blocking, cudaStreamDefault));
    OK(faults_add(blocking, x, 1.0f, N));
    OK(faults_add(NULL, x, 1.0f, N));
    OK(cudaMemcpyAsync(pinned, x, BYTES, cudaMemcpyDeviceToHost, blocking));
    OK(cudaStreamSynchronize(blocking));
    ck_assert_float_eq(pinned[0], 2.0f);
    OK(cudaStreamDestroy(blocking));
}
END_TEST

/* So does the stream of a thread, which is there without being made. */
START_TEST(stream_of_a_thread)
{
    OK(faults_add(cudaStreamPerThread, x, 1.0f, N));
    OK(faults_add(NULL, x, 1.0f, N));
    OK(cudaMemcpyAsync(pinned, x, BYTES, cudaMemcpyDeviceToHost, cudaStreamPerThread));
    OK(cudaStreamSynchronize(cudaStreamPerThread));
    ck_assert_float_eq(pinned[0], 2.0f);
    ck_assert_int_eq(cudaStreamDestroy(cudaStreamPerThread), cudaErrorInvalidResourceHandle);
    ck_assert_int_eq(cudaGetLastError(), cudaErrorInvalidResourceHandle);
}
END_TEST

static void begin(void)
{
    OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
}

START_TEST(graphs)
{
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    enum cudaStreamCaptureStatus status;
    begin();
    OK(cudaStreamIsCapturing(stream, &status));
    ck_assert_int_eq(status, cudaStreamCaptureStatusActive);
    OK(cudaMemcpyAsync(x, pinned, BYTES, cudaMemcpyHostToDevice, stream));
    OK(faults_add(stream, x, 1.0f, N));
    OK(cudaMemcpyAsync(y, x, BYTES, cudaMemcpyDeviceToDevice, stream));
    OK(cudaStreamEndCapture(stream, &graph));
    ck_assert_int_eq(rni_sim_get("launches"), 0);
    OK(cudaGraphInstantiate(&executable, graph, 0));
    OK(cudaGraphDestroy(graph));
    for (int i = 0; i < 3; i++) {
        set_all(pinned, (float)i);
        OK(cudaGraphLaunch(executable, stream));
        OK(cudaStreamSynchronize(stream));
        ck_assert_float_eq(value_of(y), (float)i + 1.0f);
    }
    OK(cudaGraphLaunch(executable, stream));
    set_all(pinned, 77.0f);
    OK(cudaGraphLaunch(executable, stream));
    OK(cudaGraphExecDestroy(executable));
    ck_assert_int_eq(rni_sim_get("graphs"), 0);
    OK(cudaStreamSynchronize(stream));
    expect_report("changed before the copy was made");
    ck_assert_float_eq(value_of(y), 78.0f);
}
END_TEST

START_TEST(what_breaks_a_capture)
{
    cudaGraph_t graph = NULL, earlier = NULL;
    cudaEvent_t event;
    void *address = NULL;
    OK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    for (int i = 0; i < 6; i++) {
        if (i == 5) /* in an earlier capture of the same stream */
            begin();
        OK(cudaEventRecord(event, i == 5 ? stream : other));
        if (i == 5)
            OK(cudaStreamEndCapture(stream, &earlier));
        begin();
        const cudaError_t error = i == 0   ? cudaMalloc(&address, 16)
                                  : i == 1 ? cudaMallocHost(&address, 16)
                                  : i == 2 ? cudaStreamSynchronize(stream)
                                  : i == 3 ? cudaMemcpyAsync(x, pageable, BYTES, cudaMemcpyHostToDevice, stream)
                                           : cudaStreamWaitEvent(stream, event, 0);
        ck_assert_int_eq(error, i == 4 ? cudaErrorStreamCaptureIsolation : cudaErrorStreamCaptureUnsupported);
        ck_assert_ptr_null(address);
        ck_assert_int_eq(faults_add(stream, x, 1.0f, N), cudaErrorStreamCaptureInvalidated);
        ck_assert_int_eq(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
        ck_assert_ptr_null(graph);
        ck_assert_int_eq(cudaGetLastError(), cudaErrorStreamCaptureInvalidated);
    }
    OK(faults_add(stream, x, 1.0f, N));
    ck_assert_float_eq(value_of(x), 1.0f);
    OK(cudaGraphDestroy(earlier));
    OK(cudaEventDestroy(event));
}
END_TEST

/* A stream that waits for a captured event joins the capture; in whatever order the graph allows, the same result. */
START_TEST(two_streams_in_one_graph)
{
    cudaGraph_t graph = NULL;
    cudaGraphExec_t exec;
    cudaEvent_t forked, done;
    OK(cudaEventCreateWithFlags(&forked, cudaEventDisableTiming));
    OK(cudaEventCreateWithFlags(&done, cudaEventDisableTiming));
    begin();
    OK(cudaMemsetAsync(x, 0, BYTES, stream));
    OK(cudaEventRecord(forked, stream));
    OK(cudaStreamWaitEvent(other, forked, 0));
    OK(faults_add(other, x, 1.0f, N));
    ck_assert_int_eq(cudaStreamEndCapture(other, &graph), cudaErrorStreamCaptureUnmatched);
    ck_assert_int_eq(cudaGetLastError(), cudaErrorStreamCaptureUnmatched);
    OK(cudaMemsetAsync(y, 0, BYTES, stream));
    OK(cudaEventRecord(forked, stream));
    OK(cudaStreamWaitEvent(other, forked, 0));
    OK(cudaMemcpyAsync(y, x, BYTES, cudaMemcpyDeviceToDevice, other));
    OK(cudaEventRecord(done, other));
    OK(cudaStreamWaitEvent(stream, done, 0));
    OK(faults_add(stream, y, 1.0f, N));
    OK(cudaStreamEndCapture(stream, &graph));
    OK(cudaGraphInstantiate(&exec, graph, 0));
    for (int order = 0; order < 3; order++) {
        rni_sim_set("order", order);
        OK(cudaGraphLaunch(exec, stream));
        OK(cudaStreamSynchronize(stream));
        ck_assert_float_eq(value_of(y), 2.0f);
    }
    rni_sim_set("order", 0);
    OK(cudaGraphExecDestroy(exec));
    OK(cudaGraphDestroy(graph));
    OK(cudaEventDestroy(forked));
    OK(cudaEventDestroy(done));
}
END_TEST

START_TEST(a_stream_that_is_not_joined)
{
    cudaGraph_t graph = NULL;
    cudaEvent_t forked;
    OK(cudaEventCreateWithFlags(&forked, cudaEventDisableTiming));
    begin();
    OK(cudaMemsetAsync(x, 0, BYTES, stream));
    OK(cudaEventRecord(forked, stream));
    OK(cudaStreamWaitEvent(other, forked, 0));
    OK(faults_add(other, x, 1.0f, N));
    ck_assert_int_eq(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureUnjoined);
    ck_assert_int_eq(cudaGetLastError(), cudaErrorStreamCaptureUnjoined);
    ck_assert_ptr_null(graph);
    OK(faults_add(other, x, 1.0f, N)); /* captures no more */
    OK(cudaStreamSynchronize(other));
    OK(cudaEventDestroy(forked));
}
END_TEST

START_TEST(priorities)
{
    cudaStream_t made = NULL;
    int least, greatest;
    OK(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    ck_assert_int_lt(greatest, least);
    OK(cudaStreamCreateWithPriority(&made, cudaStreamNonBlocking, greatest));
    OK(cudaStreamDestroy(made));
    ck_assert_int_eq(cudaStreamCreateWithPriority(&made, cudaStreamNonBlocking, least + 1), cudaErrorInvalidValue);
    ck_assert_int_eq(cudaGetLastError(), cudaErrorInvalidValue);
}
END_TEST

START_TEST(captures_refused)
{
    cudaGraph_t graph = NULL;
    cudaGraphExec_t executable = NULL;
    rni_sim_set("refuse_capture", 1);
    ck_assert_int_eq(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed), cudaErrorStreamCaptureUnsupported);
    rni_sim_set("refuse_capture", 2);
    begin();
    ck_assert_int_eq(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
    rni_sim_set("refuse_capture", 3);
    begin();
    OK(cudaStreamEndCapture(stream, &graph));
    ck_assert_int_eq(cudaGraphInstantiate(&executable, graph, 0), cudaErrorNotSupported);
    OK(cudaGraphDestroy(graph));
}
END_TEST

START_TEST(memory_runs_out)
{
    size_t available, total;
    void *address;
    rni_sim_set("memory_mb", 1);
    OK(cudaMemGetInfo(&available, &total));
    ck_assert_uint_eq(total, 1 << 20);
    ck_assert_uint_eq(available, (1 << 20) - 2 * BYTES);
    ck_assert_int_eq(cudaMalloc(&address, available + 1), cudaErrorMemoryAllocation);
    ck_assert_ptr_null(address);
    ck_assert_int_eq(cudaGetLastError(), cudaErrorMemoryAllocation);
    ck_assert_int_eq(cudaGetLastError(), cudaSuccess);
    OK(cudaMalloc(&address, available));
    OK(cudaFree(address));
    OK(cudaMalloc(&address, available));
    OK(cudaFree(address));
}
END_TEST

/* The Nth one, and only it; or that and all later ones. */
START_TEST(allocations_fail)
{
    void *address[4];
    for (int device = 0; device < 2; device++)
        for (int last = 0; last < 2; last++) {
            rni_sim_set(device ? "fail_malloc" : "fail_malloc_host", last ? -2 : 2);
            for (int i = 0; i < 4; i++) {
                const cudaError_t error = device ? cudaMalloc(&address[i], 16) : cudaMallocHost(&address[i], 16);
                ck_assert_int_eq(error, i == 1 || (last && i > 1) ? cudaErrorMemoryAllocation : cudaSuccess);
            }
            rni_sim_set(device ? "fail_malloc" : "fail_malloc_host", 0);
            for (int i = 0; i < 4; i++)
                OK(device ? cudaFree(address[i]) : cudaFreeHost(address[i]));
        }
    ck_assert_int_eq(rni_sim_get("device_allocations"), 2);
    ck_assert_int_eq(rni_sim_get("host_allocations"), 1);
}
END_TEST

/* From then on everything says so; what is freed counts as freed. */
START_TEST(lost_device)
{
    void *address;
    rni_sim_set("lose_after", 2);
    OK(faults_add(stream, x, 1.0f, N));
    OK(cudaStreamSynchronize(stream));
    OK(faults_add(stream, x, 1.0f, N));
    OK(faults_add(other, x, 1.0f, N));
    ck_assert_int_eq(cudaStreamSynchronize(stream), cudaErrorLaunchFailure);
    ck_assert_int_eq(rni_sim_get("queued"), 0);
    ck_assert_int_eq(cudaGetLastError(), cudaErrorLaunchFailure);
    ck_assert_int_eq(cudaGetLastError(), cudaErrorLaunchFailure);
    ck_assert_int_eq(cudaMalloc(&address, 16), cudaErrorLaunchFailure);
    ck_assert_int_eq(faults_add(stream, x, 1.0f, N), cudaErrorLaunchFailure);
    ck_assert_int_eq(cudaMemcpyAsync(pinned, x, BYTES, cudaMemcpyDeviceToHost, stream), cudaErrorLaunchFailure);
    ck_assert_int_eq(cudaFree(y), cudaErrorLaunchFailure);
    ck_assert_int_eq(rni_sim_get("device_allocations"), 1);
    rni_sim_forget();
    OK(cudaMalloc((void **)&y, BYTES));
}
END_TEST

START_TEST(no_device)
{
    int count = 7, version = 7;
    void *address;
    rni_sim_set("driver", 0);
    OK(cudaDriverGetVersion(&version));
    ck_assert_int_eq(version, 0);
    ck_assert_int_eq(cudaGetDeviceCount(&count), cudaErrorInsufficientDriver);
    ck_assert_int_eq(count, 0);
    ck_assert_int_eq(cudaMalloc(&address, 16), cudaErrorInsufficientDriver);
    rni_sim_set("driver", 12080);
    ck_assert_int_eq(cudaGetDeviceCount(&count), cudaErrorInsufficientDriver);
    rni_sim_set("driver", 13000);
    rni_sim_set("devices", 0);
    ck_assert_int_eq(cudaGetDeviceCount(&count), cudaErrorNoDevice);
    ck_assert_str_eq(cudaGetErrorString(cudaErrorNoDevice), "no CUDA-capable device is detected");
    ck_assert_str_eq(cudaGetErrorName(cudaErrorNoDevice), "cudaErrorNoDevice");
    rni_sim_set("devices", 2);
    rni_sim_set("capability", 75);
    struct cudaDeviceProp p;
    OK(cudaGetDeviceProperties(&p, 1));
    ck_assert(p.major == 7 && p.minor == 5);
    ck_assert_int_eq(cudaSetDevice(2), cudaErrorInvalidDevice);
    cudaGetLastError();
}
END_TEST

/* What `blocks` blocks of `threads` threads leave in the list that they append their numbers to. */
static void append(int *list, int *device, int order, int blocks, int threads)
{
    const size_t bytes = (size_t)(1 + blocks * threads) * sizeof *list;
    rni_sim_set("order", order);
    OK(cudaMemsetAsync(device, 0, bytes, stream));
    OK(faults_append(stream, device, blocks, threads));
    OK(cudaMemcpyAsync(list, device, bytes, cudaMemcpyDeviceToHost, stream));
    ck_assert_int_eq(list[0], blocks * threads);
}

/* Blocks and threads come in the order that was asked for, each once. */
START_TEST(orders)
{
    enum { MANY = 80 };
    const int blocks = _i ? MANY : 1, threads = MANY / blocks;
    int list[3][1 + MANY], *device;
    OK(cudaMalloc((void **)&device, sizeof list[0]));
    for (int order = 0; order < 3; order++) {
        int seen[MANY] = {0};
        append(list[order], device, order, blocks, threads);
        for (int i = 0; i < MANY; i++)
            ck_assert_int_eq(seen[list[order][1 + i]]++, 0);
    }
    for (int i = 0; i < MANY; i++) {
        ck_assert_int_eq(list[0][1 + i], i);
        ck_assert_int_eq(list[1][1 + i], MANY - 1 - i);
    }
    ck_assert(memcmp(list[2], list[0], sizeof list[0]) != 0 && memcmp(list[2], list[1], sizeof list[0]) != 0);
    OK(cudaFree(device));
}
END_TEST

/* Atomics of integers that only add up are the same in all orders; which thread came when is not. */
START_TEST(results_that_depend_on_order)
{
    int *list;
    OK(cudaMalloc((void **)&list, 41 * sizeof *list));
    OK(cudaMemsetAsync(list, 0, 41 * sizeof *list, stream));
    rni_sim_set("compare_orders", 1);
    OK(faults_add(stream, x, 2.0f, N));
    OK(faults_sum(stream, x, y, N));
    OK(cudaMemcpyAsync(pinned, y, BYTES, cudaMemcpyDeviceToHost, stream));
    OK(cudaStreamSynchronize(stream));
    ck_assert_float_eq(pinned[0], 128.0f);
    ck_assert_int_eq(rni_sim_get("errors"), 0);
    OK(faults_append(stream, list, 40, 1));
    OK(cudaMemcpyAsync(pageable, list, sizeof *list, cudaMemcpyDeviceToHost, stream));
    ck_assert_int_eq(*(int *)pageable, 40);
    expect_report("depends on the order");
    OK(cudaFree(list));
}
END_TEST

static cudaError_t double_first(void *argument)
{
    float *const at = *(float **)argument;
    if (!rni_sim_access(at, BYTES, RNI_SIM_READ | RNI_SIM_WRITE, "a stand-in"))
        return cudaErrorIllegalAddress;
    for (int i = 0; i < N; i++)
        at[i] *= 2.0f;
    return cudaSuccess;
}

START_TEST(enqueued_work)
{
    float *at = x;
    OK(faults_add(stream, x, 3.0f, N));
    OK(rni_sim_enqueue(stream, double_first, &at, sizeof at));
    at = NULL;
    OK(faults_add(stream, x, 1.0f, N));
    ck_assert_float_eq(value_of(x), 7.0f);
    at = x + 1;
    OK(rni_sim_enqueue(stream, double_first, &at, sizeof at));
    ck_assert_int_eq(cudaStreamSynchronize(stream), cudaErrorIllegalAddress);
    expect_report("a stand-in: 256 bytes at");
}
END_TEST

START_TEST(fences)
{
    float *at = x;
    if (!rni_sim_get("checking"))
        return;
    rni_sim_fence(x + 63, sizeof *x, 1);
    OK(faults_add(stream, x, 1.0f, N));
    OK(cudaStreamSynchronize(stream));
    expect_report("in reach of a fence");
    OK(rni_sim_enqueue(stream, double_first, &at, sizeof at));
    OK(cudaStreamSynchronize(stream));
    expect_report("a stand-in: 256 bytes at");
    rni_sim_fence(x + 63, sizeof *x, 0);
    rni_sim_fence(x, 0, 1);
    OK(faults_add(stream, x, 1.0f, N));
    OK(cudaStreamSynchronize(stream));
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("simulator runtime");
    TCase *const tests = tcase_create("runtime");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, work_waits_for_a_wait);
    tcase_add_test(tests, pinned_destination);
    tcase_add_test(tests, pinned_source);
    tcase_add_test(tests, pageable_memory);
    tcase_add_test(tests, wrong_sides);
    tcase_add_test(tests, undefined_bytes_to_host);
    tcase_add_test(tests, streams_are_not_ordered);
    tcase_add_test(tests, events_order_streams);
    tcase_add_test(tests, events_tell_time);
    tcase_add_test(tests, null_stream);
    tcase_add_test(tests, stream_of_a_thread);
    tcase_add_test(tests, graphs);
    tcase_add_test(tests, what_breaks_a_capture);
    tcase_add_test(tests, two_streams_in_one_graph);
    tcase_add_test(tests, a_stream_that_is_not_joined);
    tcase_add_test(tests, priorities);
    tcase_add_test(tests, captures_refused);
    tcase_add_test(tests, memory_runs_out);
    tcase_add_test(tests, allocations_fail);
    tcase_add_test(tests, lost_device);
    tcase_add_test(tests, no_device);
    tcase_add_loop_test(tests, orders, 0, 2);
    tcase_add_test(tests, results_that_depend_on_order);
    tcase_add_test(tests, enqueued_work);
    tcase_add_test(tests, fences);
    suite_add_tcase(suite, tests);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
