/* SPDX-License-Identifier: MIT */
/*
 * sweep [--all] [--csv FILE]: every convolution of every net of the zoo, planned by the module's own code for devices
 * of which only the records are there. Fails when a plan is missing that should be there, and when one was taken that
 * does not give the same bits every time or rounds f32 below f32. --all: batches of 1, 32, 100 and 256 instead of 1 and
 * 100.
 */
#include "deviceless/networks.h"
#include "deviceless/paper.h"
#include "deviceless/record_device.h"
#include "deviceless/sweep.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct {
    int32_t dtype;
    const char *name;
} dtypes[] = {{RN_F32, "f32"}, {RN_BF16, "bf16"}, {RN_F16, "f16"}};
enum { DTYPES = sizeof dtypes / sizeof dtypes[0], LIMIT_MB = 1024 };

static FILE *csv;

static const char *kind_name(const paper_convolution *c)
{
    return c->kind == RN_OP_CONV_FORWARD ? "forward" : c->kind == RN_OP_CONV_BACKWARD_DATA ? "data" : "filter";
}

static void write_row(const rni_device_record *record, const char *dtype, const paper_convolution *c, int64_t batch,
                      const sweep_row *row)
{
    const rn_conv_params *const p = &c->params;
    if (!csv)
        return;
    fprintf(csv, "%s,%s,%s,%s%s%s%s,%lld,%lld,%lld,%lld,%lld,%lld,%lld,%lld,%lld,%lld,%s,", record->name, dtype,
            kind_name(c), c->flags & RN_OPF_BIAS ? "+bias" : "", c->flags & RN_OPF_ADD ? "+add" : "",
            c->flags & RN_OPF_RELU ? "+relu" : "", c->flags & RN_OPF_ACCUMULATE ? "+accumulate" : "", (long long)batch,
            (long long)p->in_channels, (long long)p->in_height, (long long)p->in_width, (long long)p->out_channels,
            (long long)p->out_height, (long long)p->kernel[0], (long long)p->stride[0], (long long)p->dilation[0],
            (long long)p->groups, c->net);
    if (row->planned)
        fprintf(csv, "%lld,%d,%d,%d,%llu,%llu\n", (long long)row->engine, row->refused, row->padded, row->tensor_cores,
                (unsigned long long)row->plan_workspace, (unsigned long long)row->workspace);
    else
        fprintf(csv, ",,,,,\n");
}

static void report_gap(const rni_device_record *record, const char *dtype, const paper_convolution *c, int64_t batch)
{
    const rn_conv_params *const p = &c->params;
    printf("  no plan: %s %s %s%s%s%s batch %lld, %lldx%lldx%lld to %lld, %lldx%lld stride %lld groups %lld (%s)\n",
           record->name, dtype, kind_name(c), c->flags & RN_OPF_BIAS ? " bias" : "",
           c->flags & RN_OPF_ADD ? " add" : "", c->flags & RN_OPF_RELU ? " relu" : "", (long long)batch,
           (long long)p->in_channels, (long long)p->in_height, (long long)p->in_width, (long long)p->out_channels,
           (long long)p->kernel[0], (long long)p->kernel[1], (long long)p->stride[0], (long long)p->groups, c->net);
}

/* What the plans of one device in one dtype come to. */
typedef struct tally {
    int planned, missing, wrong, padded, tensor_cores, refused;
    uint64_t most, without_padding; /* bytes of workspace */
    double seconds;
} tally;

static void sweep_one(rni_cuda_device *device, const rni_device_record *record, int dtype, const paper_convolution *c,
                      int64_t batch, tally *t)
{
    const rni_dnn_problem problem = {&c->params, c->kind, c->flags, dtypes[dtype].dtype, batch, NULL};
    sweep_row row;
    sweep_plan(device, &problem, &row);
    write_row(record, dtypes[dtype].name, c, batch, &row);
    t->planned += row.planned;
    t->padded += row.padded;
    t->tensor_cores += row.tensor_cores;
    t->refused += row.planned && row.refused > 0;
    t->most = row.workspace > t->most ? row.workspace : t->most;
    if (row.wrong) {
        printf("  %s: %s\n", record->name, row.wrong);
        t->wrong++;
    }
    if (!row.planned) {
        report_gap(record, dtypes[dtype].name, c, batch);
        t->missing++;
    }
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int sweep_device(const rni_device_record *record, int dtype, const int64_t *batches, int num_batches)
{
    rni_cuda_device device;
    tally t = {0};
    const double begin = now();
    if (record_device_open(record, 0, 0, (uint64_t)LIMIT_MB << 20, &device) != RN_OK) {
        printf("%s: %s\n", record->name, rn_error_message());
        return 1;
    }
    for (int i = 0; i < paper_count; i++)
        for (int b = 0; b < num_batches; b++)
            sweep_one(&device, record, dtype, &paper_convolutions[i], batches[b], &t);
    record_device_close(&device);
    t.seconds = now() - begin;
    printf(
        "%-8s %-4s %5d planned, %4d without, %4d not the first choice, %5d on tensor cores, %3d padded, workspace up "
        "to %6.1f MiB, %5.1f s\n",
        record->name, dtypes[dtype].name, t.planned, t.missing, t.refused, t.tensor_cores, t.padded,
        (double)t.most / 1048576.0, t.seconds);
    return t.missing + t.wrong;
}

/* The same with TF32 allowed finds tensor cores in f32: there was something to keep out. */
static int sweep_tf32(void)
{
    rni_cuda_device device;
    const rni_dnn_problem problem = {
        &paper_convolutions[paper_count - 1].params, RN_OP_CONV_FORWARD, 0, RN_F32, 100, NULL};
    sweep_row row = {0};
    for (int i = 0; i < rni_device_record_count; i++) {
        if (strcmp(rni_device_records[i].name, "a100") != 0 ||
            record_device_open(&rni_device_records[i], 1, 0, (uint64_t)LIMIT_MB << 20, &device) != RN_OK)
            continue;
        sweep_plan(&device, &problem, &row);
        record_device_close(&device);
    }
    if (row.tensor_cores)
        return 0;
    printf("f32 with TF32 allowed does not run on tensor cores on an A100\n");
    return 1;
}

static int sweep_all(const int64_t *batches, int num_batches)
{
    int failed = 0;
    for (int i = 0; i < rni_device_record_count; i++)
        for (int t = 0; t < DTYPES; t++)
            if (dtypes[t].dtype != RN_BF16 || rni_device_records[i].capability >= 80)
                failed += sweep_device(&rni_device_records[i], t, batches, num_batches);
    failed += sweep_tf32();
    if (record_device_memory() != 0) {
        printf("%lld bytes were not given back\n", (long long)record_device_memory());
        failed++;
    }
    return failed;
}

int main(int argc, char **argv)
{
    static const int64_t few[] = {1, 100}, all[] = {1, 32, 100, 256};
    int full = 0;
    for (int i = 1; i < argc; i++) {
        full = full || strcmp(argv[i], "--all") == 0;
        if (strcmp(argv[i], "--csv") == 0 && i + 1 < argc)
            csv = fopen(argv[++i], "w");
    }
    if (csv)
        fprintf(csv, "device,dtype,kind,with,batch,in,height,width,out,out height,kernel,stride,dilation,groups,net,"
                     "engine,refused before,padded,tensor cores,plan workspace,workspace\n");
    const double begin = now();
    if (networks_note(NULL))
        return 1;
    printf("%d convolutions of the zoo's nets, noted in %.1f s\n", paper_count, now() - begin);
    const int failed = sweep_all(full ? all : few, full ? 4 : 2);
    if (csv)
        fclose(csv);
    return failed ? 1 : 0;
}
