/* SPDX-License-Identifier: MIT */
/* CIFAR in the Python version: pickles that Python 2 and 3 wrote, and broken ones. */
#include "data_support.h"
#include "torch_support.h"

static rn_context *ctx;
static rn_device *cpu;

/* Copies a fixture into the folder. */
static const char *copy(files *f, const char *fixture, const char *name)
{
    size_t size;
    unsigned char *const bytes = torch_read(torch_fixture(fixture), &size);
    const char *const path = files_write(f, name, bytes, size);
    free(bytes);
    return path;
}

/* Image `number` of the fixtures' images. */
static void assert_image(rn_dataset *ds, int64_t index, int64_t number, int64_t label)
{
    unsigned char image[3072];
    int64_t got = -1;
    ck_ok(rn_dataset_read(ds, index, image, sizeof image, &got));
    ck_assert_int_eq(got, label);
    for (int j = 0; j < 3072; j++)
        ck_assert_int_eq(image[j], (number * 31 + j / 16) % 256);
}

START_TEST(every_pickle)
{
    static const char *const names[] = {"cifar10_python2", "cifar10_protocol2", "cifar10_protocol4", "cifar10_protocol5",
                                        "cifar10_fortran"};
    ctx = support_context(&cpu);
    for (int i = 0; i < 5; i++) {
        const char *const path = torch_fixture(names[i]);
        rn_dataset *ds = NULL;
        ck_ok(rn_cifar_files_open(ctx, &path, 1, 10, &ds));
        ck_assert_int_eq(rn_dataset_size(ds), 2);
        assert_image(ds, 0, 0, 3);
        assert_image(ds, 1, 1, 9);
        rn_dataset_release(ds);
    }
    rn_context_release(ctx);
}
END_TEST

START_TEST(folders)
{
    static const char *const batches[] = {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"};
    files f = files_begin();
    rn_dataset *ds = NULL;
    ctx = support_context(&cpu);
    ck_fails(rn_cifar10_open(ctx, f.dir, RN_SPLIT_TRAIN, &ds), RN_E_NOT_FOUND, "data_batch_1.bin");
    for (int i = 0; i < 5; i++)
        copy(&f, i % 2 ? "cifar10_protocol4" : "cifar10_python2", batches[i]);
    ck_ok(rn_cifar10_open(ctx, f.dir, RN_SPLIT_TRAIN, &ds));
    ck_assert_int_eq(rn_dataset_size(ds), 10);
    assert_image(ds, 7, 1, 9);
    rn_dataset_release(ds);
    copy(&f, "cifar100_python2", "test");
    ck_ok(rn_cifar100_open(ctx, f.dir, RN_SPLIT_TEST, &ds));
    ck_assert_int_eq(rn_dataset_classes(ds), 100);
    assert_image(ds, 0, 5, 99);
    assert_image(ds, 1, 6, 0);
    rn_dataset_release(ds);
    files_end(&f);
    rn_context_release(ctx);
}
END_TEST

/* Replaces a text of a fixture by another of the same length, and opens what that gives. */
static void refuses(const char *fixture, int64_t classes, const char *text, const char *other, size_t length,
                    rn_status status, const char *message)
{
    files f = files_begin();
    size_t size, i = 0;
    rn_dataset *ds = NULL;
    unsigned char *const bytes = torch_read(torch_fixture(fixture), &size);
    while (i + length < size && memcmp(bytes + i, text, length) != 0)
        i++;
    ck_assert_uint_lt(i + length, size);
    memcpy(bytes + i, other, length);
    const char *const path = files_write(&f, "batch", bytes, size);
    ck_fails(rn_cifar_files_open(ctx, &path, 1, classes, &ds), status, message);
    ck_assert_ptr_nonnull(strstr(rn_error_message(), path));
    free(bytes);
    files_end(&f);
}
#define REFUSES(fixture, classes, text, other, status, message)                                                        \
    refuses(fixture, classes, text, other, sizeof(text) - 1, status, message)

START_TEST(broken_pickles)
{
    files f = files_begin();
    rn_dataset *ds = NULL;
    size_t size;
    ctx = support_context(&cpu);
    REFUSES("cifar10_python2", 10, "K\3", "K\12", RN_E_FORMAT, "labels: label of image 0: expected 0 to 9, got 10");
    REFUSES("cifar10_python2", 10, "K\3", "\x89\x89", RN_E_FORMAT, "expected");
    REFUSES("cifar10_python2", 10, "labels", "Labels", RN_E_FORMAT, "labels: expected a list");
    REFUSES("cifar10_python2", 10, "data", "Data", RN_E_FORMAT, "data: expected a NumPy array of u8 [N, 3072]");
    REFUSES("cifar10_python2", 10, "u1", "i1", RN_E_FORMAT, "data: expected a NumPy array");
    REFUSES("cifar10_python2", 10, "M\0\14", "M\0\15", RN_E_FORMAT, "data: expected a NumPy array");
    REFUSES("cifar10_python2", 10, "numpy.core.multiarray\n_rec", "numpy.core.multiarray\n_xec", RN_E_UNSUPPORTED,
            "names numpy.core.multiarray._xeconstruct");
    REFUSES("cifar10_python2", 100, "K\3", "K\4", RN_E_FORMAT, "fine_labels: expected a list");
    REFUSES("cifar100_python2", 100, "K\23", "K\24", RN_E_FORMAT, "coarse_labels: label of image 0: expected 0 to 19");
    unsigned char *const bytes = torch_read(torch_fixture("cifar10_python2"), &size);
    for (size_t cut = 2; cut < size; cut += cut < 200 ? 1 : 997) {
        const char *const path = files_write(&f, "short", bytes, cut);
        ck_fails(rn_cifar_files_open(ctx, &path, 1, 10, &ds), RN_E_FORMAT, path);
    }
    free(bytes);
    files_end(&f);
    rn_context_release(ctx);
}
END_TEST

SUPPORT_MAIN("cifar_python", every_pickle, folders, broken_pickles)
