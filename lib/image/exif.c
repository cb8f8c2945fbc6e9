/* SPDX-License-Identifier: MIT */
/* The one entry of EXIF data that is of use here. Data that makes no sense tells nothing. */
#include "image/format.h"
#include <string.h>

enum { TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, ENTRY_BYTES = 12, MAX_ENTRIES = 1000 };

typedef struct tiff {
    const unsigned char *data;
    size_t size;
    int big_endian;
} tiff;

static uint32_t number(const tiff *t, size_t at, int bytes)
{
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint32_t)t->data[at + i] << 8 * (t->big_endian ? bytes - 1 - i : i);
    return value;
}

static int find_orientation(const tiff *t, size_t directory)
{
    if (directory > t->size || t->size - directory < 2)
        return 1;
    const uint32_t entries = number(t, directory, 2);
    for (uint32_t i = 0; i < entries && i < MAX_ENTRIES; i++) {
        const size_t at = directory + 2 + i * ENTRY_BYTES;
        if (t->size < at + ENTRY_BYTES)
            return 1;
        if (number(t, at, 2) != TAG_ORIENTATION || number(t, at + 2, 2) != TYPE_SHORT || number(t, at + 4, 4) != 1)
            continue;
        const uint32_t value = number(t, at + 8, 2);
        return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

int rni_exif_orientation(const unsigned char *data, size_t size)
{
    tiff t = {data, size, 0};
    if (size < 8)
        return 1;
    if (memcmp(data, "MM\0*", 4) == 0)
        t.big_endian = 1;
    else if (memcmp(data, "II*\0", 4) != 0)
        return 1;
    return find_orientation(&t, number(&t, 4, 4));
}
