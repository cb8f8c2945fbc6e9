/* SPDX-License-Identifier: MIT */
/* What the targets of picture files share. */
#ifndef FUZZ_PICTURES_H
#define FUZZ_PICTURES_H

#include <stddef.h>
#include <stdint.h>

/*
 * Decodes bytes that begin with `magic` whatever `data` holds there: whole, and through a loader that crops and
 * resizes, so that JPEGs are also decoded at reduced sizes. At most 2^18 pixels.
 */
void fuzz_picture(const char *magic, size_t magic_size, const uint8_t *data, size_t size);

#endif
