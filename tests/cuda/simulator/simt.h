/* SPDX-License-Identifier: MIT */
/*
 * CUDA C++ for a CPU: what cuda/simt.h becomes when the compiler is not nvcc. Types are the toolkit's own, so that
 * kernels, launchers and C host code agree; what the hardware does is a call into the simulator's runtime.
 */
#ifndef RNI_SIMULATOR_SIMT_H
#define RNI_SIMULATOR_SIMT_H

#include <cuda_runtime_api.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <type_traits>
#include <utility>
#include <vector_functions.h>

#define __launch_bounds__(...)
/* An ordinary variable to this compiler: RN_SHARED is the way. */
#undef __shared__
#define __shared__ static_assert(false, "shared arrays are declared with RN_SHARED");

#define SIMT_API __attribute__((visibility("hidden")))
/* Runs on the simulator's side of a kernel: its accesses are not the kernel's. */
#define SIMT_UNSEEN __attribute__((noinline, no_sanitize("thread", "undefined")))

namespace simt
{
/* Where in a kernel threads meet. The object's address tells two meetings on one line apart. */
struct Site {
    const char *file;
    int line;
    const char *name;
};

/* One RN_SHARED of one kernel instance: its place in the block's shared memory, for one launch. */
struct Shared {
    uint64_t launch;
    void *place;
};

/* Constant for a thread, hence for everything the compiler sees of one call of a kernel. */
SIMT_API uint3 thread_index() __attribute__((const));
SIMT_API uint3 block_index() __attribute__((const));
SIMT_API dim3 block_size() __attribute__((const));
SIMT_API dim3 grid_size() __attribute__((const));
SIMT_API int lane() __attribute__((const));

SIMT_API void barrier(const Site *site);
SIMT_API void warp_barrier(uint32_t mask, const Site *site);
/* Every lane of the mask gives a value and gets that of lane `source`. */
SIMT_API uint64_t exchange(uint32_t mask, uint64_t value, int source, const Site *site);
SIMT_API uint32_t ballot(uint32_t mask, bool vote, const Site *site);
SIMT_API void *shared(Shared *key, const char *name, size_t bytes, size_t alignment);

SIMT_API int32_t atomic_add(int32_t *to, int32_t value);
SIMT_API void fence();

/* One parameter of a kernel in its parameter block. */
struct Parameter {
    uint32_t offset, bytes;
    bool pointer;
};

struct Kernel {
    const char *name; /* as written at the launch */
    void (*function)(); /* the kernel */
    void (*call)(void (*function)(), const unsigned char *parameters);
    const Parameter *layout;
    uint32_t count, bytes; /* parameters, and bytes of their block */
};
SIMT_API cudaError_t launch(const Kernel &kernel, dim3 grid, dim3 block, cudaStream_t stream,
                            const unsigned char *parameters);

/* The layout of a parameter block: natural alignment, in order. */
template <class... P>
struct Layout {
    static constexpr uint32_t COUNT = sizeof...(P);
    Parameter at[COUNT + 1] = {};
    uint32_t bytes = 0;
    constexpr Layout()
    {
        const uint32_t sizes[] = {(uint32_t)sizeof(P)..., 0}, alignments[] = {(uint32_t)alignof(P)..., 1};
        const bool pointers[] = {std::is_pointer<P>::value..., false};
        for (uint32_t i = 0; i < COUNT; i++) {
            const uint32_t offset = (bytes + alignments[i] - 1) / alignments[i] * alignments[i];
            at[i] = {offset, sizes[i], pointers[i]};
            bytes = offset + sizes[i];
        }
    }
};
template <class... P>
constexpr Layout<P...> layout{};

template <class... P, size_t... I>
SIMT_UNSEEN void call_with(void (*kernel)(P...), const unsigned char *parameters, std::index_sequence<I...>)
{
    kernel(*reinterpret_cast<const P *>(parameters + layout<P...>.at[I].offset)...);
}

template <class... P>
SIMT_UNSEEN void call(void (*function)(), const unsigned char *parameters)
{
    call_with<P...>(reinterpret_cast<void (*)(P...)>(function), parameters, std::index_sequence_for<P...>{});
}

template <class P>
void put(unsigned char *at, P value)
{
    static_assert(std::is_trivially_copyable<P>::value, "a kernel's parameters are copied as bytes");
    __builtin_memcpy(at, &value, sizeof value);
}

template <class... P, size_t... I>
void put_all(unsigned char *block, std::index_sequence<I...>, P... values)
{
    (put(block + layout<P...>.at[I].offset, values), ...);
}

template <class T>
uint64_t bits(T value)
{
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "lanes exchange 4 or 8 bytes");
    return __builtin_bit_cast(std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>, value);
}

template <class T>
T value(uint64_t bits)
{
    return __builtin_bit_cast(T, (std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>)bits);
}

/* The lanes that __shfl_* read: within groups of `width`, the own one where there is no such lane. */
inline int lane_at(int source, int width)
{
    return (lane() & ~(width - 1)) | (source & (width - 1));
}

inline int lane_xor(int bits, int width)
{
    const int l = lane(), other = l ^ bits;
    return (other & ~(width - 1)) > (l & ~(width - 1)) ? l : other;
}

inline int width_of(int width = 32)
{
    return width;
}

inline uint32_t mask_of(uint32_t mask = 0xffffffffu)
{
    return mask;
}

template <class T>
T shuffle(uint32_t mask, T v, int source, const Site *site)
{
    return value<T>(exchange(mask, bits(v), source, site));
}
} // namespace simt

#define threadIdx (simt::thread_index())
#define blockIdx (simt::block_index())
#define blockDim (simt::block_size())
#define gridDim (simt::grid_size())

#define SIMT_SITE(name)                                                                                                \
    ([]() -> const simt::Site * {                                                                                      \
        static constexpr simt::Site site = {__FILE__, __LINE__, name};                                                 \
        return &site;                                                                                                  \
    }())
#define __syncthreads() simt::barrier(SIMT_SITE("__syncthreads"))
#define __threadfence() simt::fence()
#define __syncwarp(...) simt::warp_barrier(simt::mask_of(__VA_ARGS__), SIMT_SITE("__syncwarp"))
#define SIMT_SHUFFLE(lane_of, mask, value, by, ...)                                                                    \
    simt::shuffle(mask, value, simt::lane_of((int)(by), simt::width_of(__VA_ARGS__)), SIMT_SITE("__shfl_sync"))
#define __shfl_sync(mask, value, ...) SIMT_SHUFFLE(lane_at, mask, value, __VA_ARGS__)
#define __shfl_xor_sync(mask, value, ...) SIMT_SHUFFLE(lane_xor, mask, value, __VA_ARGS__)
#define __ballot_sync(mask, vote) simt::ballot(mask, (vote) != 0, SIMT_SITE("__ballot_sync"))

#define RN_SHARED(type, name, count)                                                                                   \
    static simt::Shared simt_shared_##name;                                                                            \
    type(&name)[count] = *reinterpret_cast<type(*)[count]>(                                                            \
        simt::shared(&simt_shared_##name, #name, sizeof(type) * (count), alignof(type)))

template <class... Parameters, class... Arguments>
static inline cudaError_t rni_launch(const char *name, void (*kernel)(Parameters...), dim3 grid, dim3 block,
                                     cudaStream_t stream, Arguments... arguments)
{
    static_assert(sizeof...(Parameters) == sizeof...(Arguments), "as many arguments as the kernel has parameters");
    constexpr const simt::Layout<Parameters...> &layout = simt::layout<Parameters...>;
    alignas(16) unsigned char block_of[layout.bytes + 1] = {};
    simt::put_all<Parameters...>(block_of, std::index_sequence_for<Parameters...>{},
                                 static_cast<Parameters>(arguments)...);
    const simt::Kernel what = {
        name, reinterpret_cast<void (*)()>(kernel), simt::call<Parameters...>, layout.at, layout.COUNT, layout.bytes};
    return simt::launch(what, grid, block, stream, block_of);
}
#define RN_LAUNCH(kernel, ...) rni_launch(#kernel, kernel, __VA_ARGS__)

inline int atomicAdd(int *to, int value)
{
    return simt::atomic_add(to, value);
}

inline int rni_add_ordered(int *to, int value)
{
    __threadfence();
    const int before = atomicAdd(to, value);
    __threadfence();
    return before;
}

inline int min(int a, int b)
{
    return a < b ? a : b;
}

#endif
