/* SPDX-License-Identifier: MIT */
/* Tensors of a file as the types that models hold, and texts for messages about them. */
#include "format/safetensors.h"
#include "format/types.h"
#include <stdio.h>
#include <string.h>

/* Elements per step of a conversion. */
enum { CHUNK = 1024 };

int rni_st_converts(const rni_st_tensor *t, rn_dtype to)
{
    return t->dtype && rni_st_convertible(t->dtype, to);
}

rn_status rni_st_read_as(const rni_st_file *file, const rni_st_tensor *t, rn_dtype to, void *dst)
{
    char text[RNI_ST_NAME_TEXT];
    int64_t buffer[CHUNK]; /* of the widest type */
    if (!rni_st_converts(t, to))
        return rni_fail(RN_E_DTYPE, "%s: %s is %s, which is not read as %s", rni_st_path(file),
                        rni_st_name_text(text, t->name), t->dtype_name, rn_dtype_name(to));
    if (t->dtype == to)
        return rni_st_read(file, t, 0, dst, t->count);
    for (int64_t first = 0; first < t->count; first += CHUNK) {
        const int64_t count = t->count - first < CHUNK ? t->count - first : CHUNK;
        RNI_TRY(rni_st_read(file, t, first, buffer, count));
        rni_st_convert(buffer, t->dtype, (char *)dst + (size_t)first * rn_dtype_size(to), to, (size_t)count);
    }
    return RN_OK;
}

const char *rni_st_shape_text(char buffer[RNI_SHAPE_TEXT], const rni_st_tensor *t)
{
    if (t->rank <= RN_MAX_RANK)
        return rni_shape_text(buffer, t->rank, t->dims);
    snprintf(buffer, RNI_SHAPE_TEXT, "[%lld, %lld, ... %d sizes]", (long long)t->dims[0], (long long)t->dims[1],
             (int)t->rank);
    return buffer;
}

const char *rni_st_name_text(char buffer[RNI_ST_NAME_TEXT], const char *name)
{
    size_t n = 0;
    for (; name[n] && n < RNI_ST_NAME_TEXT - 4; n++)
        buffer[n] = (unsigned char)name[n] < 32 || name[n] == 127 ? '?' : name[n];
    if (name[n]) {
        while (n > 0 && ((unsigned char)name[n] & 0xc0) == 0x80)
            n--; /* never half a character */
        memcpy(buffer + n, "...", 3);
        n += 3;
    }
    buffer[n] = '\0';
    return buffer;
}
