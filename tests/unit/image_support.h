/* SPDX-License-Identifier: MIT */
/* Fixtures of tests/image/data. */
#ifndef TEST_IMAGE_SUPPORT_H
#define TEST_IMAGE_SUPPORT_H

#include "data_support.h"

/* Path of a fixture, in one of a few buffers that are used in turn. */
static inline const char *fixture_path(const char *name)
{
    static char path[4][4096];
    static int next;
    const char *const source = getenv("RESNET_SOURCE");
    next = (next + 1) % 4;
    ck_assert_msg(source != NULL, "RESNET_SOURCE is not set");
    snprintf(path[next], sizeof path[next], "%s/tests/image/data/%s", source, name);
    return path[next];
}

/* The bytes of a file; the caller frees them. */
static inline unsigned char *read_bytes(const char *path, size_t *size)
{
    FILE *const file = fopen(path, "rb");
    unsigned char *const data = calloc(1, (1 << 20) + 1);
    ck_assert_msg(file != NULL, "%s is not there", path);
    *size = fread(data, 1, 1 << 20, file);
    fclose(file);
    return data;
}

/* Largest difference of u8 [3, H, W] from the array u8 [H, W, 3] in NAME.npy; the sizes must be equal. */
static inline int difference(const rn_tensor *image, const char *name)
{
    char file[300];
    size_t size;
    int height = 0, width = 0, largest = 0;
    snprintf(file, sizeof file, "%s.npy", name);
    unsigned char *const data = read_bytes(fixture_path(file), &size);
    const size_t start = 10 + (size_t)data[8] + 256 * (size_t)data[9];
    char *const shape = strstr((char *)data + 10, "'shape': (");
    ck_assert_ptr_nonnull(shape);
    ck_assert_int_eq(sscanf(shape, "'shape': (%d, %d, 3)", &height, &width), 2);
    ck_assert_int_eq(rn_tensor_dtype(image), RN_U8);
    ck_assert_int_eq(rn_tensor_rank(image), 3);
    ck_assert_int_eq(rn_tensor_dim(image, 0), 3);
    ck_assert_int_eq(rn_tensor_dim(image, 1), height);
    ck_assert_int_eq(rn_tensor_dim(image, 2), width);
    ck_assert_uint_eq(size, start + 3 * (size_t)(height * width));
    const uint8_t *const got = rn_tensor_data(image);
    for (int i = 0; i < 3 * height * width; i++) {
        const int apart = abs(got[i % 3 * height * width + i / 3] - data[start + (size_t)i]);
        largest = apart > largest ? apart : largest;
    }
    free(data);
    return largest;
}

#endif
