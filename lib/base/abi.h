/* SPDX-License-Identifier: MIT */
/* Versioned structs that cross the border: struct_size first, append only. */
#ifndef RNI_BASE_ABI_H
#define RNI_BASE_ABI_H

#include <resnet/base.h>

/*
 * Reads a caller's struct into `known`, which holds the defaults. `first_size`
 * is the size of the struct's first version, `known_size` this library's.
 * A NULL `given` leaves the defaults. RN_E_VERSION when struct_size is out of
 * range or a byte beyond known_size is set. `what` is for the message.
 */
rn_status rni_abi_read(void *known, size_t known_size, size_t first_size, const void *given, const char *what);

/* Fills a caller's struct (struct_size set): writes what fits, zeroes the rest. */
rn_status rni_abi_write(void *given, const void *known, size_t known_size, size_t first_size, const char *what);

/* The body of every rn_x_options_init(). */
rn_status rni_abi_init(void *given, size_t struct_size, const void *defaults, size_t known_size, size_t first_size,
                       const char *what);

#endif
