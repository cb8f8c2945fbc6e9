/* SPDX-License-Identifier: MIT */
/*
 * CIFAR files of the Python version, as torchvision downloads them: a pickled dictionary of "data" (NumPy u8 [N, 3072], rows
 * as in the binary version) and "labels", CIFAR-100 "fine_labels" and "coarse_labels".
 */
#ifndef RNI_CIFAR_PYTHON_H
#define RNI_CIFAR_PYTHON_H

#include <resnet/base.h>

enum { RNI_CIFAR_PIXELS = 3 * 32 * 32 };

/* Whether a file begins as a pickle does: no record of the binary version has such a label. */
rn_status rni_cifar_is_python(const rn_allocator *allocator, const char *path, int *yes);

/* How many images a file holds. RN_E_FORMAT, RN_E_UNSUPPORTED; messages begin with the path. */
rn_status rni_cifar_python_count(const rn_allocator *allocator, const char *path, int64_t classes, uint64_t *count);

/* Its images as `count` records of the binary version. RN_E_IO when it has another number of them by now. */
rn_status rni_cifar_python_read(const rn_allocator *allocator, const char *path, int64_t classes, unsigned char *dst,
                                uint64_t count);

#endif
