/* SPDX-License-Identifier: MIT */
/* CIFAR and IDX readers. The first byte chooses the reader, for IDX the next two where images end and labels begin. */
#include "fuzz.h"
#include <stdlib.h>

static void read_all(rn_dataset *dataset)
{
    rn_dataset_info info = RN_DATASET_INFO_INIT;
    int64_t label, count = rn_dataset_size(dataset);
    size_t bytes;
    void *image;
    fuzz_check(rn_dataset_describe(dataset, &info));
    bytes = (size_t)(info.channels * info.height * info.width) * rn_dtype_size(info.dtype);
    image = malloc(bytes ? bytes : 1);
    for (int64_t i = 0; image != NULL && i < count && i < 64; i++) {
        fuzz_check(rn_dataset_read(dataset, i, image, bytes, &label));
        if (label < 0 || label >= info.classes)
            abort();
    }
    free(image);
    rn_dataset_release(dataset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rn_dataset *dataset = NULL;
    rn_status status;
    if (size < 3)
        return 0;
    if (data[0] < 2) {
        const char *path = fuzz_file(0, data + 3, size - 3);
        status = rn_cifar_files_open(fuzz_context(), &path, 1, data[0] == 0 ? 10 : 100, &dataset);
    } else {
        size_t cut = (size_t)data[1] << 8 | data[2];
        cut = cut > size - 3 ? size - 3 : cut;
        status = rn_idx_open(fuzz_context(), fuzz_file(0, data + 3, cut), fuzz_file(1, data + 3 + cut, size - 3 - cut),
                             &dataset);
    }
    fuzz_check(status);
    if (status == RN_OK)
        read_all(dataset);
    else if (dataset != NULL)
        abort();
    return 0;
}
