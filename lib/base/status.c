/* SPDX-License-Identifier: MIT */
/* Names of statuses and element types, and what the library says of itself. */
#include <resnet/base.h>

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

const char *rn_status_name(rn_status status)
{
#define NAME(name, number, text)                                             \
    case number:                                                             \
        return #name;
    switch (status) {
        RN_STATUS_LIST(NAME)
    default:
        return "RN_E_?";
    }
#undef NAME
}

const char *rn_status_text(rn_status status)
{
#define NAME(name, number, text)                                             \
    case number:                                                             \
        return text;
    switch (status) {
        RN_STATUS_LIST(NAME)
    default:
        return "unknown status";
    }
#undef NAME
}

size_t rn_dtype_size(rn_dtype dtype)
{
    static const uint8_t sizes[] = {0, 4, 8, 8, 1, 4, 2, 2};
    return dtype >= RN_F32 && dtype <= RN_F16 ? sizes[dtype] : 0;
}

const char *rn_dtype_name(rn_dtype dtype)
{
    static const char *const names[] = {"?", "f32", "f64", "i64", "u8", "i32", "bf16", "f16"};
    return dtype >= RN_F32 && dtype <= RN_F16 ? names[dtype] : "?";
}

uint32_t rn_version(void)
{
    return (uint32_t)RN_VERSION_MAJOR << 16 | (uint32_t)RN_VERSION_MINOR << 8 | (uint32_t)RN_VERSION_PATCH;
}

const char *rn_build_info(int32_t key)
{
    switch (key) {
    case RN_BUILD_VERSION:
        return TEXT(RN_VERSION_MAJOR) "." TEXT(RN_VERSION_MINOR) "." TEXT(RN_VERSION_PATCH);
    case RN_BUILD_COMPILER:
#if defined(__clang__)
        return "clang " __clang_version__;
#else
        return "gcc " __VERSION__;
#endif
    case RN_BUILD_FEATURES:
        return "cpu zlib jansson"
#ifdef RNI_IMAGES
               " images"
#endif
            ;
    case RN_BUILD_CPU_LEVELS:
        return "base"
#ifdef RNI_CPU_AVX2
               " avx2"
#endif
#ifdef RNI_CPU_AVX512
               " avx512"
#endif
            ;
    default:
        return NULL;
    }
}
