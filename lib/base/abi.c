/* SPDX-License-Identifier: MIT */
#include "base/abi.h"
#include "base/error.h"
#include <string.h>

/* No struct of ours will ever be larger: a bigger size is not a size. */
enum { LARGEST = 4096 };

static rn_status check_size(size_t size, size_t first_size, const char *what)
{
    if (size < first_size || size > LARGEST)
        return rni_fail(RN_E_VERSION, "%s: struct_size is %zu, expected at least %zu: use its _INIT or _init", what,
                        size, first_size);
    return RN_OK;
}

rn_status rni_abi_read(void *known, size_t known_size, size_t first_size, const void *given, const char *what)
{
    size_t size;
    if (!given)
        return RN_OK;
    memcpy(&size, given, sizeof size);
    RNI_TRY(check_size(size, first_size, what));
    for (size_t i = known_size; i < size; i++)
        if (((const unsigned char *)given)[i])
            return rni_fail(RN_E_VERSION, "%s: a field at byte %zu is set that this library does not know", what, i);
    memcpy(known, given, size < known_size ? size : known_size);
    memcpy(known, &known_size, sizeof known_size);
    return RN_OK;
}

rn_status rni_abi_write(void *given, const void *known, size_t known_size, size_t first_size, const char *what)
{
    size_t size;
    memcpy(&size, given, sizeof size);
    RNI_TRY(check_size(size, first_size, what));
    const size_t common = size < known_size ? size : known_size;
    memcpy(given, known, common);
    memset((char *)given + common, 0, size - common);
    memcpy(given, &size, sizeof size);
    return RN_OK;
}

rn_status rni_abi_init(void *given, size_t struct_size, const void *defaults, size_t known_size, size_t first_size,
                       const char *what)
{
    if (!given)
        return rni_fail(RN_E_INVALID, "%s: options is NULL", what);
    RNI_TRY(check_size(struct_size, first_size, what));
    memcpy(given, &struct_size, sizeof struct_size);
    return rni_abi_write(given, defaults, known_size, first_size, what);
}
