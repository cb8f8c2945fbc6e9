/* SPDX-License-Identifier: MIT */
/* Inside of datasets and loaders, for checkpoints. */
#ifndef RNI_DATA_H
#define RNI_DATA_H

#include "base/alloc.h"
#include <resnet/data.h>

/*
 * A text that names all that decides the loader's batches but its position: dataset (kind, count, shape, a checksum of
 * labels), transform steps with their numbers, batch, flags, seed, shard. Equal texts mean equal batches.
 */
rn_status rni_loader_identity(const rn_loader *l, rni_text *out);

#endif
