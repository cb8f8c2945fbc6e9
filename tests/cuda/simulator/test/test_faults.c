/* SPDX-License-Identifier: MIT */
/* Every planted fault is found and named, and nothing is found in what is right. Built for both modes. */
#include "faults.h"
#include "simulator/control.h"
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N = 128 };

static cudaStream_t stream;
static float *x, *y;

static void setup(void)
{
    float ones[N];
    for (int i = 0; i < N; i++)
        ones[i] = 1.0f;
    rni_sim_set("reports", 0);
    ck_assert_int_eq(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
    ck_assert_int_eq(cudaMalloc((void **)&x, sizeof ones), cudaSuccess);
    ck_assert_int_eq(cudaMalloc((void **)&y, sizeof ones), cudaSuccess);
    ck_assert_int_eq(cudaMemcpyAsync(x, ones, sizeof ones, cudaMemcpyHostToDevice, stream), cudaSuccess);
}

static void teardown(void)
{
    rni_sim_forget();
    cudaFree(x);
    cudaFree(y);
    cudaStreamDestroy(stream);
}

static const char *reported(const char *text)
{
    for (int64_t i = 0; rni_sim_report(i); i++)
        if (strstr(rni_sim_report(i), text))
            return rni_sim_report(i);
    return NULL;
}

static void check_reports(const faults_kernel *k, const char *expected)
{
    if (expected && strcmp(expected, "?") == 0)
        return;
    if (!expected && rni_sim_get("errors") != 0)
        ck_abort_msg("%s: reported, but nothing was to be: %s", k->name, rni_sim_report(0));
    if (expected && !reported(expected))
        ck_abort_msg("%s: no report says \"%s\"; the first one is: %s", k->name, expected, rni_sim_report(0));
    if (expected && !strstr(reported(expected), "[rni_kernel_"))
        ck_abort_msg("%s: the report does not name the kernel: %s", k->name, reported(expected));
}

START_TEST(each_order)
{
    const int checking = (int)rni_sim_get("checking");
    for (const faults_kernel *k = faults_kernels; k->name; k++) {
        setup();
        rni_sim_set("order", _i % 3);
        rni_sim_set("seed", 1 + _i / 3);
        ck_assert_msg(k->launch(stream, x, y, N) == cudaSuccess, "%s: launch", k->name);
        const int lost = cudaStreamSynchronize(stream) != cudaSuccess;
        check_reports(k, checking ? k->checked : k->fast);
        ck_assert_msg(k->lost == 3 || lost == (k->lost == 2 || (k->lost == 1 && checking)), "%s: lost %d", k->name,
                      lost);
        teardown();
    }
}
END_TEST

/* What a process writes to its standard error output and how it ends. */
static int in_a_process(void (*what)(void), char *text, size_t room)
{
    int ends[2], status;
    ck_assert_int_eq(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        rni_sim_set("reports", 20);
        what();
        exit(0);
    }
    close(ends[1]);
    size_t length = 0;
    for (ssize_t n; length + 1 < room && (n = read(ends[0], text + length, room - 1 - length)) > 0;)
        length += (size_t)n;
    text[length] = 0;
    close(ends[0]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

static void touch_device_memory(void)
{
    x[3] = 1.0f;
}

START_TEST(host_touches_device_memory)
{
    char text[500];
    setup();
    ck_assert_int_eq(cudaStreamSynchronize(stream), cudaSuccess);
    const int status = in_a_process(touch_device_memory, text, sizeof text);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "status %x: %s", status, text);
    ck_assert_msg(strstr(text, "host code at") && strstr(text, "writes device memory, 12 bytes into allocation #1"),
                  "%s", text);
    teardown();
}
END_TEST

static void leave_a_report(void)
{
    rni_sim_set("leaks", 0);
    faults_kernels[0].launch(stream, (float *)&stream, y, N);
    cudaStreamSynchronize(stream);
}

static void leave_memory(void)
{
    cudaMalloc((void **)&x, 100);
}

START_TEST(reports_fail_the_process)
{
    char text[2000];
    setup();
    int status = in_a_process(leave_a_report, text, sizeof text);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 97, "status %x: %s", status, text);
    ck_assert_msg(strstr(text, "parameter 1 is") && strstr(text, "simulator: "), "%s", text);
    status = in_a_process(leave_memory, text, sizeof text);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 97, "status %x: %s", status, text);
    ck_assert_msg(strstr(text, "3 device_allocations left") && strstr(text, "1 streams left"), "%s", text);
    teardown();
}
END_TEST

START_TEST(freed_memory)
{
    setup();
    ck_assert_int_eq(cudaStreamSynchronize(stream), cudaSuccess);
    float *const old = x;
    ck_assert_int_eq(cudaFree(x), cudaSuccess);
    ck_assert_int_eq(faults_add(stream, old, 1.0f, N), cudaSuccess);
    ck_assert_int_ne(cudaStreamSynchronize(stream), cudaSuccess);
    ck_assert_ptr_nonnull(reported("0 bytes into freed allocation #1"));
    rni_sim_forget();
    ck_assert_int_eq(cudaFree(old), cudaErrorInvalidValue);
    ck_assert_ptr_nonnull(reported("not a live allocation"));
    x = NULL;
    teardown();
}
END_TEST

/* Shapes that a device refuses at once, and which take nothing with them. */
START_TEST(impossible_launches)
{
    setup();
    ck_assert_int_eq(faults_too_large(stream, x), cudaErrorInvalidConfiguration);
    ck_assert_int_eq(cudaGetLastError(), cudaErrorInvalidConfiguration);
    ck_assert_int_eq(faults_add(stream, x, 1.0f, 0), cudaErrorInvalidConfiguration);
    /* Nobody looked at it: it comes back with the next launch, which is right. */
    ck_assert_int_eq(faults_add(stream, x, 1.0f, N), cudaErrorInvalidConfiguration);
    ck_assert_int_eq(cudaGetLastError(), cudaErrorInvalidConfiguration);
    ck_assert_int_eq(cudaGetLastError(), cudaSuccess);
    ck_assert_int_eq(cudaStreamSynchronize(stream), cudaSuccess);
    ck_assert_int_eq(rni_sim_get("launches"), 1);
    teardown();
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("simulator faults");
    TCase *const tests = tcase_create("faults");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, each_order, 0, 9);
    tcase_add_test(tests, host_touches_device_memory);
    tcase_add_test(tests, reports_fail_the_process);
    tcase_add_test(tests, freed_memory);
    tcase_add_test(tests, impossible_launches);
    suite_add_tcase(suite, tests);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
