/* SPDX-License-Identifier: MIT */
/* What cuDNN knows of a device: the record that it plans by. */
#ifndef SELFTEST_RECORD_H
#define SELFTEST_RECORD_H

#include <stddef.h>

enum { ST_RECORD = 8192 };

/*
 * The record as JSON, of CUDA's current device, or, given one, what cuDNN makes of that. 0 with why in `text` when there
 * is none.
 */
int st_record(const char *from, char text[ST_RECORD]);

/* Prints entries that differ. The number of them; -1 when one of the two cannot be read. */
int st_record_compare(const char *theirs, const char *ours);

/* The record that is compiled in for a device of that name; NULL. */
const char *st_record_of(const char *device);

/* A file's text; NULL when it cannot be read, or is too long. Static. */
const char *st_record_file(const char *path);

#endif
