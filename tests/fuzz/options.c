/* SPDX-License-Identifier: MIT */
/* Option structs of arbitrary sizes and bytes, and the shapes that layers made of them give. */
#include "fuzz.h"
#include <stdlib.h>
#include <string.h>

static int64_t dims[4] = {2, 3, 17, 12};

static void use_layer(rn_layer *layer)
{
    int64_t out_dims[RN_MAX_RANK];
    int32_t rank;
    fuzz_check(rn_layer_output_shape(layer, 4, dims, &rank, out_dims));
    fuzz_check(rn_layer_output_shape(layer, 2, dims, &rank, out_dims));
    rn_layer_release(layer);
}

static void use_schedule(rn_schedule *schedule)
{
    double lr;
    for (int64_t step = 0; step < 5; step++) {
        fuzz_check(rn_schedule_lr(schedule, step * step * step, &lr));
        fuzz_check(rn_schedule_observe(schedule, (double)step));
    }
    rn_schedule_release(schedule);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* The library may read what struct_size says, up to 4096 bytes; more is refused. */
    static uint64_t buffer[512];
    rn_context *ctx = fuzz_context();
    rn_layer *layer = NULL;
    rn_schedule *schedule = NULL;
    rn_loss *loss = NULL;
    rn_status status;
    if (size < 1)
        return 0;
    memset(buffer, 0, sizeof buffer);
    memcpy(buffer, data + 1, size - 1 < sizeof buffer ? size - 1 : sizeof buffer);

    switch (data[0] % 13) {
    case 0: status = rn_conv2d_create(ctx, (void *)buffer, &layer); break;
    case 1: status = rn_batchnorm2d_create(ctx, (void *)buffer, &layer); break;
    case 2: status = rn_maxpool2d_create(ctx, (void *)buffer, &layer); break;
    case 3: status = rn_avgpool2d_create(ctx, (void *)buffer, &layer); break;
    case 4: status = rn_linear_create(ctx, (void *)buffer, &layer); break;
    case 5: status = rn_pad_shortcut_create(ctx, (void *)buffer, &layer); break;
    case 6: status = rn_step_schedule_create(ctx, (void *)buffer, &schedule); break;
    case 7: status = rn_cosine_schedule_create(ctx, (void *)buffer, &schedule); break;
    case 8: status = rn_one_cycle_schedule_create(ctx, (void *)buffer, &schedule); break;
    case 9: status = rn_plateau_schedule_create(ctx, (void *)buffer, &schedule); break;
    case 10: status = rn_cifar_resnet_create(ctx, (void *)buffer, &layer); break;
    case 11: status = rn_resnet_create(ctx, (void *)buffer, &layer); break;
    default: status = rn_cross_entropy_create(ctx, (void *)buffer, &loss); break;
    }
    fuzz_check(status);
    if (status < 0 && (layer || schedule || loss))
        abort(); /* outputs are untouched when a call fails */
    if (layer)
        use_layer(layer);
    if (schedule)
        use_schedule(schedule);
    rn_loss_release(loss);
    return 0;
}
