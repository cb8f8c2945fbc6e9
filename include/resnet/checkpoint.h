/* SPDX-License-Identifier: MIT */
/**
 * @file checkpoint.h
 * Checkpoints: all of a training in one safetensors file, so that it goes on exactly.
 */
#ifndef RESNET_CHECKPOINT_H
#define RESNET_CHECKPOINT_H

#include <resnet/data.h>
#include <resnet/ema.h>
#include <resnet/schedule.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The parts of a training. Saving reads them, loading writes into them; NULL parts are left out, and when loading, what
 * the file holds for a NULL part is ignored.
 */
typedef struct rn_checkpoint {
    size_t struct_size;
    uint64_t flags;          /**< 0 */
    rn_model *model;         /**< weights and buffers; always needed */
    rn_optimizer *optimizer; /**< moments, steps, lr */
    rn_schedule *schedule;   /**< what plateau and hold were told */
    rn_loader *loader;       /**< position, also within an epoch; its seed, batch, dataset and transform are compared */
    rn_plan *plan;           /**< step counter (dropout) and metrics since the last reset */
    int64_t epoch;           /**< the host's own counters, kept as they are */
    int64_t step;
    double value[4];         /**< anything the host wants kept, a best accuracy for example */
    rn_ema *ema;             /**< averages and number of updates */
} rn_checkpoint;
#define RN_CHECKPOINT_INIT                                                   \
    {                                                                        \
        sizeof(rn_checkpoint), 0, NULL, NULL, NULL, NULL, NULL, 0, 0,        \
        {                                                                    \
            0, 0, 0, 0                                                       \
        },                                                                   \
            NULL                                                             \
    }

/** Writes a checkpoint; a file of that name is replaced only when the new one is complete and on disk. @return RN_E_IO */
RN_API rn_status rn_checkpoint_save(rn_context *ctx, const char *path, const rn_checkpoint *c);

/**
 * Writes what PyTorch can go on with: a dictionary of "model" and, when it is there, "optimizer" (their state_dicts), "epoch"
 * and "step". rn_model_load() and rn_optimizer_load_torch() read it too. The other parts have no form there and are
 * left out. @return RN_E_IO
 */
RN_API rn_status rn_checkpoint_save_torch(rn_context *ctx, const char *path, const rn_checkpoint *c);

/**
 * Reads a checkpoint into the parts. Net, optimizer kind and groups, dataset, transform, batch, and seed must be those
 * it was saved with. A part that the file lacks is an error: to begin an average in the midst of a training, load
 * without it and make it afterwards. On an error no part has changed.
 * @return RN_E_NOT_FOUND, RN_E_FORMAT, RN_E_STATE naming the field that differs, both values
 */
RN_API rn_status rn_checkpoint_load(rn_context *ctx, const char *path, rn_checkpoint *c);

#ifdef __cplusplus
}
#endif
#endif
