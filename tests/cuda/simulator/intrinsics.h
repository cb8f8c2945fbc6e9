/* SPDX-License-Identifier: MIT */
/* Device functions of CUDA that are plain arithmetic. Included by simt.h. */
#ifndef RNI_SIMULATOR_INTRINSICS_H
#define RNI_SIMULATOR_INTRINSICS_H

/* Integer atomics on global and shared memory. */
#define SIMT_ATOMIC(name, operation, type)                                                                             \
    inline type name(type *to, type value)                                                                             \
    {                                                                                                                  \
        return simt::atomic(simt::Atomic::operation, to, value, (type)0);                                              \
    }
#define SIMT_ATOMICS(type)                                                                                             \
    SIMT_ATOMIC(atomicAdd, ADD, type)                                                                                  \
    SIMT_ATOMIC(atomicMax, MAX, type)                                                                                  \
    SIMT_ATOMIC(atomicMin, MIN, type)                                                                                  \
    SIMT_ATOMIC(atomicAnd, AND, type)                                                                                  \
    SIMT_ATOMIC(atomicOr, OR, type)                                                                                    \
    SIMT_ATOMIC(atomicExch, EXCHANGE, type)                                                                            \
    inline type atomicCAS(type *to, type compare, type value)                                                          \
    {                                                                                                                  \
        return simt::atomic(simt::Atomic::COMPARE, to, value, compare);                                                \
    }
SIMT_ATOMICS(int)
SIMT_ATOMICS(unsigned)
SIMT_ATOMICS(unsigned long long)
#undef SIMT_ATOMIC
#undef SIMT_ATOMICS

/* Blocks run one after another here: fences order nothing that is not ordered. */
inline void __threadfence()
{
}
inline void __threadfence_block()
{
}

template <class T>
T __ldg(const T *from)
{
    return *from;
}

/* As CUDA's: mixed signedness goes to unsigned, and of a number and a NaN the number wins. */
#define SIMT_MIN_MAX(type, a_type, b_type)                                                                             \
    inline type min(a_type a, b_type b)                                                                                \
    {                                                                                                                  \
        return (type)a < (type)b ? (type)a : (type)b;                                                                  \
    }                                                                                                                  \
    inline type max(a_type a, b_type b)                                                                                \
    {                                                                                                                  \
        return (type)a < (type)b ? (type)b : (type)a;                                                                  \
    }
SIMT_MIN_MAX(int, int, int)
SIMT_MIN_MAX(unsigned, unsigned, unsigned)
SIMT_MIN_MAX(unsigned, int, unsigned)
SIMT_MIN_MAX(unsigned, unsigned, int)
SIMT_MIN_MAX(long, long, long)
SIMT_MIN_MAX(unsigned long, unsigned long, unsigned long)
SIMT_MIN_MAX(unsigned long, long, unsigned long)
SIMT_MIN_MAX(unsigned long, unsigned long, long)
SIMT_MIN_MAX(long long, long long, long long)
SIMT_MIN_MAX(unsigned long long, unsigned long long, unsigned long long)
SIMT_MIN_MAX(unsigned long long, long long, unsigned long long)
SIMT_MIN_MAX(unsigned long long, unsigned long long, long long)
#undef SIMT_MIN_MAX
inline float min(float a, float b)
{
    return fminf(a, b);
}
inline float max(float a, float b)
{
    return fmaxf(a, b);
}
inline double min(double a, double b)
{
    return fmin(a, b);
}
inline double max(double a, double b)
{
    return fmax(a, b);
}

inline unsigned __float_as_uint(float v)
{
    return __builtin_bit_cast(unsigned, v);
}
inline int __float_as_int(float v)
{
    return __builtin_bit_cast(int, v);
}
inline float __uint_as_float(unsigned v)
{
    return __builtin_bit_cast(float, v);
}
inline float __int_as_float(int v)
{
    return __builtin_bit_cast(float, v);
}
inline long long __double_as_longlong(double v)
{
    return __builtin_bit_cast(long long, v);
}
inline double __longlong_as_double(long long v)
{
    return __builtin_bit_cast(double, v);
}

inline unsigned __umulhi(unsigned a, unsigned b)
{
    return (unsigned)((uint64_t)a * b >> 32);
}
inline int __mulhi(int a, int b)
{
    return (int)((int64_t)a * b >> 32);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b)
{
    __extension__ typedef unsigned __int128 wide;
    return (unsigned long long)((wide)a * b >> 64);
}
inline int __popc(unsigned v)
{
    return __builtin_popcount(v);
}
inline int __popcll(unsigned long long v)
{
    return __builtin_popcountll(v);
}
inline int __clz(int v)
{
    return v ? __builtin_clz((unsigned)v) : 32;
}
inline int __clzll(long long v)
{
    return v ? __builtin_clzll((unsigned long long)v) : 64;
}
inline int __ffs(int v)
{
    return __builtin_ffs(v);
}
inline unsigned __brev(unsigned v)
{
    unsigned reversed = 0;
    for (int i = 0; i < 32; i++)
        reversed |= (v >> i & 1u) << (31 - i);
    return reversed;
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned by)
{
    return (unsigned)((((uint64_t)high << 32 | low) << (by & 31)) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned by)
{
    return (unsigned)(((uint64_t)high << 32 | low) >> (by & 31));
}
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector)
{
    const uint64_t bytes = (uint64_t)b << 32 | a;
    unsigned result = 0;
    for (int i = 0; i < 4; i++)
        result |= (unsigned)(bytes >> (8 * (selector >> (4 * i) & 7u)) & 0xffu) << (8 * i);
    return result;
}

/* Rounded to nearest, and never contracted. */
inline float __fadd_rn(float a, float b)
{
    return a + b;
}
inline float __fsub_rn(float a, float b)
{
    return a - b;
}
inline float __fmul_rn(float a, float b)
{
    return a * b;
}
inline float __fdiv_rn(float a, float b)
{
    return a / b;
}
inline float __fsqrt_rn(float v)
{
    return sqrtf(v);
}
inline float __frcp_rn(float v)
{
    return 1.0f / v;
}
inline float __fmaf_rn(float a, float b, float c)
{
    return fmaf(a, b, c);
}
inline double __dadd_rn(double a, double b)
{
    return a + b;
}
inline double __dmul_rn(double a, double b)
{
    return a * b;
}
inline double __fma_rn(double a, double b, double c)
{
    return fma(a, b, c);
}
inline float rsqrtf(float v)
{
    return 1.0f / sqrtf(v);
}
inline double rsqrt(double v)
{
    return 1.0 / sqrt(v);
}
inline float __expf(float v)
{
    return expf(v);
}
inline float __logf(float v)
{
    return logf(v);
}
inline float __fdividef(float a, float b)
{
    return a / b;
}
inline float __saturatef(float v)
{
    return v > 0.0f ? v < 1.0f ? v : 1.0f : 0.0f;
}

#endif
