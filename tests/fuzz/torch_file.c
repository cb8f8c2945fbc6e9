/* SPDX-License-Identifier: MIT */
/*
 * Readers of pickles and of torch.save()'s files. The first byte chooses: 0 a file as it is; 1 a pickle, which is put into
 * an archive with right CRC-32s and two storages; 2 and 3 a CIFAR file of the Python version.
 */
#include "base/io.h"
#include "format/zip_write.h"
#include "fuzz.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
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

static void put(rni_zip_writer *z, const char *name, const void *data, size_t size)
{
    if (rni_zip_put(z, name, size, (uint32_t)crc32(crc32(0, NULL, 0), data, (uInt)size)) < 0 ||
        rni_zip_write(z, data, size) < 0)
        abort();
}

/* A file of its own: archives are written by replacing. */
static const char *archive(const uint8_t *pickle, size_t size)
{
    static char path[64];
    static const uint8_t storage[64];
    rni_writer *out = NULL;
    rni_zip_writer z;
    snprintf(path, sizeof path, "/tmp/fuzz-torch-%ld", (long)getpid());
    if (rni_writer_open(&rni_default_allocator, path, &out) < 0)
        abort();
    rni_zip_begin(&z, &rni_default_allocator, out);
    put(&z, "a/data.pkl", pickle, size);
    put(&z, "a/data/0", storage, 24);
    put(&z, "a/data/1", storage, 64);
    if (rni_zip_finish(&z) < 0 || rni_writer_commit(out) < 0)
        abort();
    rni_zip_end(&z);
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
        const char *path = archive(data + 1, size - 1);
        load_all(path);
        unlink(path);
    }
    return 0;
}
