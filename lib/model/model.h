/* SPDX-License-Identifier: MIT */
/* Inside of models, for train, plan and format. */
#ifndef RNI_MODEL_H
#define RNI_MODEL_H

#include "tensor/tensor.h"
#include <resnet/model.h>

typedef struct rni_state {
    char *name;
    rn_tensor *value, *grad; /* grad NULL until gradients exist, and for buffers */
    int32_t kind, trainable;
    uint64_t offset;     /* bytes in the flat parameter or buffer storage */
    uint64_t generation; /* raised by every write */
    const rn_layer *layer; /* that declared it */
    uint32_t slot;         /* which of the layer's states */
} rni_state;

struct rn_model {
    atomic_int references;
    atomic_int users; /* plans and optimizers among them */
    rn_context *ctx;
    rn_device *dev;
    rn_layer *root;
    rni_state *states;
    size_t num_states;
    uint32_t *by_name; /* indexes into states, sorted by name */
    rni_storage *params, *grads, *buffers; /* flat; grads NULL until the first TRAIN plan */
    uint64_t clock;           /* of generations */
    uint64_t trainable_clock; /* raised by set_trainable; TRAIN plans compare */
};

/* Index of an entry by name, or SIZE_MAX. */
size_t rni_model_index(const rn_model *m, const char *name);
/* Makes the gradient storage and tensors if they are not there. */
rn_status rni_model_ensure_gradients(rn_model *m);
/* Raises the generation of one entry; of all trainable parameters; of all buffers. */
void rni_model_written(rn_model *m, size_t index);
void rni_model_stepped(rn_model *m);
void rni_model_buffers_updated(rn_model *m);

/* A reference by a plan or an optimizer, which need the weights. */
rn_model *rni_model_use(rn_model *m);
void rni_model_unuse(rn_model *m);

/* RN_E_STATE unless the values may go: nobody uses the model, and nothing but the model holds its tensors. */
rn_status rni_model_may_drop(const rn_model *m);
/* Gives the memory of parameters, buffers and gradients back. Names and shapes stay. */
void rni_model_drop(rn_model *m);
/* RN_E_STATE naming the call when the values were dropped. */
rn_status rni_model_expect_values(const rn_model *m, const char *call);

/* Shell-like match: `*` any run of characters, `?` one. */
int rni_glob(const char *pattern, const char *text);

#endif
