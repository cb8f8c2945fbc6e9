/* SPDX-License-Identifier: MIT */
/*
 * Readers of pickles and of torch.save()'s files. The first byte chooses: 0 a file as it is; 1 a pickle, which is put into
 * an archive with right CRC-32s and two storages; 2 and 3 a CIFAR file of the Python version.
 */
#include "format/bytes.h"
#include "fuzz.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

typedef struct nets {
    rn_model *model; /* fc.weight [2, 3], fc.bias [2] */
    rn_optimizer *sgd, *adam;
} nets;

static nets make_nets(void)
{
    static nets n;
    const rn_linear_options linear = {sizeof linear, 0, 3, 2, 1, 0};
    rn_layer *layer = NULL, *seq = NULL;
    rn_device *dev = NULL;
    if (n.model != NULL)
        return n;
    if (rn_context_find_device(fuzz_context(), "cpu", &dev) < 0 || rn_sequential_create(fuzz_context(), &seq) < 0 ||
        rn_linear_create(fuzz_context(), &linear, &layer) < 0 || rn_sequential_append(seq, "fc", layer) < 0 ||
        rn_model_create(fuzz_context(), seq, dev, &n.model) < 0 || rn_sgd_create(n.model, NULL, &n.sgd) < 0 ||
        rn_adam_create(n.model, NULL, &n.adam) < 0)
        abort();
    rn_layer_release(layer);
    rn_layer_release(seq);
    return n;
}

/* What an entry's local header and the list say alike. */
static void put_common(rni_bytes *b, const char *name, const void *data, size_t size)
{
    rni_bytes_number(b, 0, 8); /* flags, stored, time; the version was put before */
    rni_bytes_number(b, 0, 2);
    rni_bytes_number(b, crc32(crc32(0, NULL, 0), data, (uInt)size), 4);
    rni_bytes_number(b, size, 4);
    rni_bytes_number(b, size, 4);
    rni_bytes_number(b, strlen(name), 2);
    rni_bytes_number(b, 0, 2);
}

static void put(rni_bytes *file, rni_bytes *list, const char *name, const void *data, size_t size)
{
    rni_bytes_number(list, 0x02014b50, 4);
    rni_bytes_number(list, 0, 4);
    put_common(list, name, data, size);
    rni_bytes_number(list, 0, 8);
    rni_bytes_number(list, 0, 2);
    rni_bytes_number(list, file->length, 4);
    rni_bytes_append(list, name, strlen(name));
    rni_bytes_number(file, 0x04034b50, 4);
    rni_bytes_number(file, 0, 2);
    put_common(file, name, data, size);
    rni_bytes_append(file, name, strlen(name));
    rni_bytes_append(file, data, size);
}

static const char *archive(const uint8_t *pickle, size_t size)
{
    static const uint8_t storage[64];
    rni_bytes file = {.allocator = &rni_default_allocator}, list = {.allocator = &rni_default_allocator};
    put(&file, &list, "a/data.pkl", pickle, size);
    put(&file, &list, "a/data/0", storage, 24);
    put(&file, &list, "a/data/1", storage, 64);
    const uint64_t place = file.length;
    rni_bytes_append(&file, list.data, list.length);
    rni_bytes_number(&file, 0x06054b50, 8);
    rni_bytes_number(&file, 0x30003, 4);
    rni_bytes_number(&file, list.length, 4);
    rni_bytes_number(&file, place, 4);
    rni_bytes_number(&file, 0, 2);
    if (file.failed || list.failed)
        abort();
    const char *path = fuzz_file(0, file.data, file.length);
    rni_bytes_free(&file);
    rni_bytes_free(&list);
    return path;
}

static void load_all(const char *path)
{
    const nets n = make_nets();
    rn_load_options options = RN_LOAD_OPTIONS_INIT;
    fuzz_check(rn_model_load(n.model, path, &options));
    rn_load_report_release(&options);
    options.flags = RN_LOAD_PARTIAL;
    options.strip_prefix = "module.";
    fuzz_check(rn_model_load(n.model, path, &options));
    rn_load_report_release(&options);
    fuzz_check(rn_optimizer_load_torch(n.sgd, path));
    fuzz_check(rn_optimizer_load_torch(n.adam, path));
}

static void open_cifar(const char *path, int64_t classes)
{
    rn_dataset *dataset = NULL;
    uint8_t image[3072];
    int64_t label;
    const rn_status status = rn_cifar_files_open(fuzz_context(), &path, 1, classes, &dataset);
    fuzz_check(status);
    for (int64_t i = 0; i < rn_dataset_size(dataset) && i < 64; i++) {
        fuzz_check(rn_dataset_read(dataset, i, image, sizeof image, &label));
        if (label < 0 || label >= classes)
            abort();
    }
    rn_dataset_release(dataset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    if (data[0] % 4 >= 2) {
        open_cifar(fuzz_file(0, data + 1, size - 1), data[0] % 4 == 2 ? 10 : 100);
    } else if (data[0] % 4 == 0) {
        load_all(fuzz_file(0, data + 1, size - 1));
    } else {
        load_all(archive(data + 1, size - 1));
    }
    return 0;
}
