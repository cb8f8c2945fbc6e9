/* SPDX-License-Identifier: MIT */
/*
 * PNG files. Checksums would stop nearly every change, so those of chunks are made right: what the bytes mean is then
 * read.
 */
#include "fuzz.h"
#include "pictures.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static uint32_t big_endian(const uint8_t *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static void set_checksums(uint8_t *data, size_t size)
{
    for (size_t at = 8; size - at >= 12;) {
        const size_t length = big_endian(data + at);
        if (length > size - at - 12)
            return;
        const uint32_t sum = (uint32_t)crc32(crc32(0, NULL, 0), data + at + 4, (uInt)length + 4);
        for (int i = 0; i < 4; i++)
            data[at + 8 + length + (size_t)i] = (uint8_t)(sum >> (24 - 8 * i));
        at += length + 12;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char magic[] = "\x89PNG\r\n\x1a\n";
    uint8_t *const right = malloc(size + 1);
    fuzz_picture(magic, 8, data, size);
    if (right && size >= 8) {
        memcpy(right, data, size);
        set_checksums(right, size);
        fuzz_picture(magic, 8, right, size);
    }
    free(right);
    return 0;
}
