/* SPDX-License-Identifier: MIT */
/* What the fuzz targets share. Each target file defines LLVMFuzzerTestOneInput(). */
#ifndef FUZZ_H
#define FUZZ_H

#include <resnet/resnet.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A context of one thread whose allocator refuses more than 64 MB at a time; made once. */
rn_context *fuzz_context(void);

/* A file in memory with these bytes and its path, valid until the next call with that slot (0 or 1). */
const char *fuzz_file(int slot, const uint8_t *data, size_t size);

/* Stops the run unless the status is a known one and every error has a message. */
void fuzz_check(rn_status status);

#endif
