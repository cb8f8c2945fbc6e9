/* SPDX-License-Identifier: MIT */
/*
 * sweep_fused: the convolutions of the zoo's nets whose output's statistics training takes, planned with the statistics
 * by the module's own code, for devices of which only the records are there; and those whose input it would normalise in the
 * engine, with the gradients of their filters. Prints tables; fails when an engine was taken that breaks a rule, and where
 * docs/cuda-plans.md says that there is one and there is none, or the other way round.
 */
#include "deviceless/networks.h"
#include "deviceless/paper.h"
#include "deviceless/record_device.h"
#include "deviceless/sweep.h"
#include <resnet/base.h>
#include <stdio.h>

enum { LIMIT_MB = 1024 };

static const int64_t batches[] = {1, 100, 256};
enum { BATCHES = sizeof batches / sizeof batches[0] };

/* What normalising in the engine takes. */
enum { FORWARD, FILTER, PAIR, PAIRED };

/* What the plans of one device in one dtype come to. */
typedef struct tally {
    int asked, planned, wrong, ordinary_missing, padded, no_workspace;
    uint64_t most; /* bytes of workspace */
} tally;

/* A convolution without groups, of a usual window. */
static int is_ordinary(const paper_convolution *c)
{
    return c->params.groups == 1 && c->params.kernel[0] <= 3;
}

static void plan_one(rni_cuda_device *device, const rni_device_record *record, int32_t dtype,
                     const paper_convolution *c, int64_t batch, tally *t)
{
    const rni_dnn_problem problem = {&c->params, c->kind, c->flags, dtype, batch, NULL};
    sweep_row row;
    sweep_plan(device, &problem, &row);
    t->asked++;
    t->planned += row.planned;
    t->ordinary_missing += !row.planned && is_ordinary(c);
    t->padded += row.padded;
    t->no_workspace += row.planned && row.workspace == 0;
    t->most = row.workspace > t->most ? row.workspace : t->most;
    if (row.wrong) {
        printf("  %s: %s\n", record->name, row.wrong);
        t->wrong++;
    }
}

/* In f16, from capability 8.0 to 9.0. */
static int documented(const rni_device_record *record, int32_t dtype)
{
    return dtype == RN_F16 && record->capability >= 80 && record->capability <= 90;
}

static int judge(const rni_device_record *record, int32_t dtype, const tally *t)
{
    printf("%-8s %-4s %4d of %4d planned, %3d padded, %4d without workspace, up to %6.1f MiB\n", record->name,
           rn_dtype_name((rn_dtype)dtype), t->planned, t->asked, t->padded, t->no_workspace,
           (double)t->most / 1048576.0);
    if (t->wrong)
        return 1;
    if (documented(record, dtype) ? t->ordinary_missing == 0 : t->planned == 0)
        return 0;
    printf("  %d ordinary ones without an engine\n", t->ordinary_missing);
    return 1;
}

static int sweep_device(const rni_device_record *record, int32_t dtype)
{
    rni_cuda_device device;
    tally t = {0};
    if (record_device_open(record, 0, 1, (uint64_t)LIMIT_MB << 20, &device) != RN_OK) {
        printf("%s: %s\n", record->name, rn_error_message());
        return 1;
    }
    for (int i = 0; i < paper_statistics_count; i++)
        for (int b = 0; b < BATCHES && paper_statistics[i].flags == RN_OPF_STATS; b++) /* with a bias: two ops */
            plan_one(&device, record, dtype, &paper_statistics[i], batches[b], &t);
    record_device_close(&device);
    return judge(record, dtype, &t);
}

/* The forward pass of one, with statistics where training has them with the convolution, and the gradient of its filter. */
static void plan_pair(rni_cuda_device *device, const rni_device_record *record, const paper_convolution *c, int64_t batch,
                      tally of[PAIRED])
{
    rni_dnn_problem problem = {&c->params, c->kind, RN_OPF_STATS, RN_F16, batch, NULL};
    uint64_t workspace;
    const uint32_t stats = rni_dnn_conv_query(device, &problem, &workspace) == RN_OK ? RN_OPF_STATS : 0;
    paper_convolution both[] = {*c, *c};
    both[FORWARD].flags = RNI_DNN_PROLOGUE | stats;
    both[FILTER].flags = RNI_DNN_PROLOGUE;
    both[FILTER].kind = RN_OP_CONV_BACKWARD_FILTER;
    const int before[] = {of[FORWARD].planned, of[FILTER].planned};
    for (int i = FORWARD; i <= FILTER; i++)
        plan_one(device, record, RN_F16, &both[i], batch, &of[i]);
    of[PAIR].asked++;
    of[PAIR].planned += of[FORWARD].planned > before[FORWARD] && of[FILTER].planned > before[FILTER];
}

static int sweep_prologues(const rni_device_record *record)
{
    static const char *const names[PAIR] = {"forward", "filter"};
    rni_cuda_device device;
    tally of[PAIRED] = {{0}};
    int failed = 0;
    if (record_device_open(record, 0, 2, (uint64_t)LIMIT_MB << 20, &device) != RN_OK) {
        printf("%s: %s\n", record->name, rn_error_message());
        return 1;
    }
    for (int i = 0; i < paper_prologue_count; i++)
        for (int b = 0; b < BATCHES; b++)
            plan_pair(&device, record, &paper_prologues[i], batches[b], of);
    record_device_close(&device);
    printf("%-8s %4d of %4d planned\n", record->name, of[PAIR].planned, of[PAIR].asked);
    for (int i = 0; i < PAIR; i++) {
        printf("  %-7s %4d of %4d, %4d without workspace, up to %6.1f MiB\n", names[i], of[i].planned, of[i].asked,
               of[i].no_workspace, (double)of[i].most / 1048576.0);
        failed += of[i].wrong > 0 || (documented(record, RN_F16) && of[i].ordinary_missing > 0);
    }
    return failed || (!documented(record, RN_F16) && of[PAIR].planned > 0);
}

int main(void)
{
    static const int32_t dtypes[] = {RN_F32, RN_BF16, RN_F16};
    int failed = 0;
    if (networks_note(NULL))
        return 1;
    printf("%d convolutions with statistics, those with a bias among them\n", paper_statistics_count);
    for (int i = 0; i < rni_device_record_count; i++)
        for (int t = 0; t < 3; t++)
            failed += sweep_device(&rni_device_records[i], dtypes[t]);
    printf("%d convolutions whose input may be normalised in the engine, in f16\n", paper_prologue_count);
    for (int i = 0; i < rni_device_record_count; i++)
        failed += sweep_prologues(&rni_device_records[i]);
    if (record_device_memory() != 0) {
        printf("%lld bytes were not given back\n", (long long)record_device_memory());
        failed++;
    }
    return failed ? 1 : 0;
}
