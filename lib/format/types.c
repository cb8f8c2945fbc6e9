/* SPDX-License-Identifier: MIT */
#include "format/types.h"
#include "base/bf16.h"
#include "base/f16.h"
#include <string.h>

static const rni_st_type types[] = {
    {"F64", 8, RN_F64}, {"F32", 4, RN_F32}, {"F16", 2, RN_F16}, {"BF16", 2, RN_BF16}, {"I64", 8, RN_I64},
    {"I32", 4, RN_I32}, {"U8", 1, RN_U8},   {"I16", 2, 0},      {"I8", 1, 0},         {"U64", 8, 0},
    {"U32", 4, 0},      {"U16", 2, 0},      {"BOOL", 1, 0},     {"C64", 8, 0},        {"F8_E4M3", 1, 0},
    {"F8_E5M2", 1, 0},  {"F8_E8M0", 1, 0},
};

enum { NUM_TYPES = sizeof types / sizeof types[0] };

const rni_st_type *rni_st_type_named(const char *name)
{
    for (size_t i = 0; i < NUM_TYPES; i++)
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}

const rni_st_type *rni_st_type_of(rn_dtype dtype)
{
    for (size_t i = 0; i < NUM_TYPES; i++)
        if (dtype && types[i].dtype == dtype)
            return &types[i];
    return NULL;
}

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
void rni_st_swap(void *elements, size_t size, size_t count)
{
    unsigned char *const bytes = elements;
    for (size_t i = 0; i < count; i++) {
        for (size_t a = 0, b = size - 1; a < b; a++, b--) {
            const unsigned char byte = bytes[i * size + a];
            bytes[i * size + a] = bytes[i * size + b];
            bytes[i * size + b] = byte;
        }
    }
}
#else
void rni_st_swap(void *elements, size_t size, size_t count)
{
    (void)elements;
    (void)size;
    (void)count;
}
#endif

/* Element i of an array of floats of any width. */
static double float_at(const void *src, rn_dtype from, size_t i)
{
    switch (from) {
    case RN_F64:
        return ((const double *)src)[i];
    case RN_F32:
        return (double)((const float *)src)[i];
    case RN_F16:
        return (double)rni_f16_value(((const uint16_t *)src)[i]);
    default:
        return (double)rni_bf16_value(((const uint16_t *)src)[i]);
    }
}

static int is_float(rn_dtype dtype)
{
    return dtype == RN_F64 || dtype == RN_F32 || dtype == RN_F16 || dtype == RN_BF16;
}

int rni_st_convertible(rn_dtype from, rn_dtype to)
{
    if (to == RN_F32 || to == RN_F64)
        return is_float(from);
    return to == RN_I64 && (from == RN_I64 || from == RN_I32);
}

void rni_st_convert(const void *src, rn_dtype from, void *dst, rn_dtype to, size_t count)
{
    if (from == to) {
        memcpy(dst, src, count * rn_dtype_size(to));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (to == RN_F32)
            ((float *)dst)[i] = (float)float_at(src, from, i);
        else if (to == RN_F64)
            ((double *)dst)[i] = float_at(src, from, i);
        else
            ((int64_t *)dst)[i] = ((const int32_t *)src)[i];
    }
}
