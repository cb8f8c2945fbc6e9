/* SPDX-License-Identifier: MIT */
/*
 * Files for torch.load(), also with weights_only=True: a zip archive with a pickle of protocol 2. Values are put in the
 * order in which the pickle has them: a dictionary is begun, its keys and values follow in turn, it is ended. What goes
 * wrong while they are put is remembered for rni_torch_save().
 */
#ifndef RNI_FORMAT_TORCH_WRITE_H
#define RNI_FORMAT_TORCH_WRITE_H

#include "format/bytes.h"
#include "format/safetensors.h"
#include "train/train.h"

typedef struct rni_torch_builder {
    rni_bytes pickle;
    rni_st_builder tensors; /* named by their keys, "0" first */
    rn_status status;       /* of the first thing that went wrong */
} rni_torch_builder;

void rni_torch_begin(rni_torch_builder *b, const rn_allocator *allocator);
void rni_torch_end(rni_torch_builder *b);

void rni_torch_put_dict(rni_torch_builder *b);
void rni_torch_put_ordered_dict(rni_torch_builder *b);
void rni_torch_end_dict(rni_torch_builder *b); /* of both kinds */
void rni_torch_put_list(rni_torch_builder *b);
void rni_torch_end_list(rni_torch_builder *b);
void rni_torch_put_text(rni_torch_builder *b, const char *text);
void rni_torch_put_int(rni_torch_builder *b, int64_t number);
void rni_torch_put_float(rni_torch_builder *b, double number);
void rni_torch_put_pair(rni_torch_builder *b, double first, double second); /* a tuple */
void rni_torch_put_bool(rni_torch_builder *b, int value);
void rni_torch_put_none(rni_torch_builder *b);
/* Elements stay where they are until the file is saved. */
void rni_torch_put_tensor(rni_torch_builder *b, rn_dtype dtype, int32_t rank, const int64_t *dims,
                          const rni_storage *storage, uint64_t offset);
void rni_torch_put_host_tensor(rni_torch_builder *b, rn_dtype dtype, int32_t rank, const int64_t *dims,
                               const void *data);

/* The larger things: model.state_dict(), optimizer.state_dict(). `step` holds the optimizer's steps until the save. */
void rni_torch_put_model(rni_torch_builder *b, const rn_model *m);
void rni_torch_put_optimizer(rni_torch_builder *b, const rn_optimizer *opt, float *step);

/* Writes the file, replacing `path` when it is complete. */
rn_status rni_torch_save(rni_torch_builder *b, const char *path);

#endif
