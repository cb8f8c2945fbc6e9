/* SPDX-License-Identifier: MIT */
/* JPEG files, the EXIF data in them included. */
#include "fuzz.h"
#include "pictures.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_picture("\xff\xd8\xff", 3, data, size);
    return 0;
}
