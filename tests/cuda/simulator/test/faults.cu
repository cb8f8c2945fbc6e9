/* SPDX-License-Identifier: MIT */
#include "simt.h"
#include "kernels/element.h"
#include "simulator/test/faults.h"

#define INDEX (blockIdx.x * blockDim.x + threadIdx.x)
#define EVERY_LANE 0xffffffffu

__global__ void rni_kernel_add(float *x, float value)
{
    x[INDEX] += value;
}

__global__ void rni_kernel_append(int *list)
{
    const int at = atomicAdd(list, 1);
    list[1 + at] = (int)(blockIdx.x * blockDim.x + threadIdx.x);
}

/* Sums of 64 in two warps: right. */
__global__ void rni_kernel_sum(const float *x, float *y)
{
    RN_SHARED(float, part, 2);
    float v = x[INDEX];
    for (int by = 16; by > 0; by >>= 1)
        v += __shfl_xor_sync(EVERY_LANE, v, by);
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = v;
    __syncthreads();
    if (threadIdx.x == 0)
        y[blockIdx.x] = part[0] + part[1];
}

__global__ void rni_kernel_missing_barrier(const float *x, float *y)
{
    RN_SHARED(float, s, 64);
    s[threadIdx.x] = x[INDEX];
    y[INDEX] = s[63 - threadIdx.x];
}

/* The barrier that keeps the next round's write from this round's reads is missing. */
__global__ void rni_kernel_missing_second_barrier(const float *x, float *y)
{
    RN_SHARED(float, s, 64);
    float sum = 0.0f;
    for (int k = 0; k < 3; k++) {
        s[threadIdx.x] = x[INDEX] + (float)k;
        __syncthreads();
        sum += s[63 - threadIdx.x];
    }
    y[INDEX] = sum;
}

__global__ void rni_kernel_two_barriers(const float *x, float *y)
{
    RN_SHARED(float, s, 64);
    float sum = 0.0f;
    for (int k = 0; k < 3; k++) {
        s[threadIdx.x] = x[INDEX] + (float)k;
        __syncthreads();
        sum += s[63 - threadIdx.x];
        __syncthreads();
    }
    y[INDEX] = sum;
}

/* Lanes of a warp are not in step by themselves. */
__global__ void rni_kernel_implicit_warp(const float *x, float *y)
{
    RN_SHARED(float, s, 64);
    s[threadIdx.x] = x[INDEX];
    y[INDEX] = s[threadIdx.x ^ 1];
}

__global__ void rni_kernel_explicit_warp(const float *x, float *y)
{
    RN_SHARED(float, s, 64);
    s[threadIdx.x] = x[INDEX];
    __syncwarp();
    y[INDEX] = s[threadIdx.x ^ 1];
}

/* Everybody reads one word, then one of the readers writes it: in step with its own warp, but not with the other. */
__global__ void rni_kernel_read_then_write(const float *x, float *y)
{
    RN_SHARED(float, s, 1);
    if (threadIdx.x == 0)
        s[0] = x[0];
    __syncthreads();
    y[INDEX] = s[0];
    __syncwarp();
    if (threadIdx.x == 63)
        s[0] = 0.0f;
}

/* The same within a warp. */
__global__ void rni_kernel_lane_writes(const float *x, float *y)
{
    RN_SHARED(float, s, 2);
    if (threadIdx.x % 32 == 0)
        s[threadIdx.x / 32] = x[INDEX];
    __syncthreads();
    y[INDEX] = s[threadIdx.x / 32];
    if (threadIdx.x % 32 == 31)
        s[threadIdx.x / 32] = 0.0f;
}

__global__ void rni_kernel_lane_writes_later(const float *x, float *y)
{
    RN_SHARED(float, s, 2);
    if (threadIdx.x % 32 == 0)
        s[threadIdx.x / 32] = x[INDEX];
    __syncwarp();
    y[INDEX] = s[threadIdx.x / 32];
    __syncwarp();
    if (threadIdx.x % 32 == 31)
        s[threadIdx.x / 32] = 0.0f;
}

__global__ void rni_kernel_blocks_write(const float *x, float *y)
{
    y[threadIdx.x] = x[INDEX];
}

/* A block reads what another one writes. */
__global__ void rni_kernel_blocks_read(float *x, float *y)
{
    y[INDEX] = x[(INDEX + blockDim.x) % (gridDim.x * blockDim.x)];
    x[INDEX] = 0.0f;
}

/* All blocks read one place; the last of them writes it when all of its own threads have. */
__global__ void rni_kernel_blocks_share(float *x, float *y)
{
    y[INDEX] = x[0];
    __syncthreads();
    if (blockIdx.x + 1 == gridDim.x && threadIdx.x == 0)
        x[0] = 1.0f;
}

__global__ void rni_kernel_missing_guard(const float *x, float *y)
{
    y[INDEX] = INDEX < 64 ? x[INDEX] : 0.0f;
}

__global__ void rni_kernel_read_behind(const float *x, float *y, int n)
{
    y[INDEX] = x[INDEX + (INDEX + 1 == (unsigned)n)];
}

__global__ void rni_kernel_far(float *y)
{
    y[INDEX + (1 << 24)] = 1.0f;
}

__global__ void rni_kernel_null(float *none)
{
    none[INDEX] = 1.0f;
}

__global__ void rni_kernel_shared_size(const float *x, float *y)
{
    RN_SHARED(float, s, 63);
    RN_SHARED(float, t, 64);
    t[threadIdx.x] = 0.0f;
    s[threadIdx.x] = x[INDEX];
    __syncthreads();
    y[INDEX] = s[threadIdx.x] + t[threadIdx.x];
}

/* Sums one warp more than there is. */
__global__ void rni_kernel_ninth_warp(const float *x, float *y)
{
    RN_SHARED(float, s, 16);
    if (threadIdx.x % 32 == 0)
        s[threadIdx.x / 32] = x[INDEX];
    __syncthreads();
    float sum = 0.0f;
    for (int w = 0; w < 3; w++)
        sum += s[w];
    y[INDEX] = sum;
}

__global__ void rni_kernel_fresh_global(float *y)
{
    y[INDEX] += 1.0f;
}

__global__ void rni_kernel_divergent_barrier(float *y)
{
    if (threadIdx.x < 40)
        __syncthreads();
    y[INDEX] = 1.0f;
}

/* Both on one line. clang-format would part them. */
/* clang-format off */
__global__ void rni_kernel_different_barriers(float *y)
{
    if (threadIdx.x & 1) { __syncthreads(); } else { __syncthreads(); }
    y[INDEX] = 1.0f;
}
/* clang-format on */

__global__ void rni_kernel_half_warp(const float *x, float *y)
{
    float v = x[INDEX];
    if (threadIdx.x % 32 < 16)
        v += __shfl_xor_sync(EVERY_LANE, v, 1);
    y[INDEX] = v;
}

__global__ void rni_kernel_half_mask(const float *x, float *y)
{
    float v = x[INDEX];
    if (threadIdx.x % 32 < 16)
        v += __shfl_xor_sync(0xffffu, v, 1);
    y[INDEX] = v;
}

__global__ void rni_kernel_lane_not_in_mask(const float *x, float *y)
{
    float v = x[INDEX];
    if (threadIdx.x % 32 < 16)
        v += __shfl_xor_sync(0xffffu, v, 16);
    y[INDEX] = v;
}

__global__ void rni_kernel_foreign_mask(const float *x, float *y)
{
    y[INDEX] = __shfl_sync(threadIdx.x % 32 < 16 ? 0xffff0000u : 0xffffu, x[INDEX], 0);
}

__global__ void rni_kernel_returned_lanes(const float *x, float *y)
{
    if (threadIdx.x % 32 < 8)
        return;
    y[INDEX] = __shfl_xor_sync(EVERY_LANE, x[INDEX], 1);
}

__global__ void rni_kernel_different_operations(const float *x, float *y)
{
    float v = x[INDEX];
    if (threadIdx.x % 2)
        v = __shfl_xor_sync(EVERY_LANE, v, 1);
    else
        v = __shfl_sync(EVERY_LANE, v, 0);
    y[INDEX] = v;
}

__global__ void rni_kernel_misaligned(float *x, float *y)
{
    const rni_vector<float, 4> v = *reinterpret_cast<rni_vector<float, 4> *>(x + 1 + 4 * threadIdx.x);
    y[INDEX] = v.v[0] + v.v[1] + v.v[2] + v.v[3];
}

/* A shared array of floats is aligned as floats are. */
__global__ void rni_kernel_shared_cast(const float *x, float *y)
{
    RN_SHARED(float, s, 64);
    s[threadIdx.x] = x[INDEX];
    __syncthreads();
    const rni_vector<float, 4> v = *reinterpret_cast<rni_vector<float, 4> *>(s + threadIdx.x / 4 * 4);
    y[INDEX] = v.v[threadIdx.x % 4];
}

__global__ void rni_kernel_vectors(const float *x, float *y)
{
    RN_SHARED(float4, s, 64);
    s[threadIdx.x] = make_float4(x[INDEX], 0.0f, 1.0f, 2.0f);
    __syncthreads();
    y[INDEX] = s[63 - threadIdx.x].x;
}

__global__ void rni_kernel_too_much_shared(const float *x, float *y)
{
    RN_SHARED(float, s, 12289);
    s[threadIdx.x] = x[INDEX];
    y[INDEX] = s[threadIdx.x];
}

struct rni_pointers {
    float *of[2];
};

__global__ void rni_kernel_pointer_in_struct(rni_pointers p, float *y)
{
    y[INDEX] = p.of[0][0];
}

__global__ void rni_kernel_atomic_and_plain(float *y, int *count)
{
    if (threadIdx.x == 0)
        *count = 0;
    __syncthreads();
    atomicAdd(count, 1);
    y[INDEX] = (float)*count;
}

__global__ void rni_kernel_atomic(float *y, int *count)
{
    if (threadIdx.x == 0)
        *count = 0;
    __syncthreads();
    atomicAdd(count, 1);
    __syncthreads();
    y[INDEX] = (float)*count;
}

/*
 * The last block to come adds up what both wrote. What must be there: a barrier and a fence before the count, behind it
 * a fence and, for other threads than the one that counts, a barrier.
 */
enum { BEFORE_BARRIER = 1, BEFORE_FENCE = 2, BEHIND_FENCE = 4, BEHIND_BARRIER = 8, ALL_FOUR = 15 };
__global__ void rni_kernel_last_block(const float *x, float *y, int *count, int has)
{
    RN_SHARED(int, last, 1);
    y[INDEX] = x[threadIdx.x];
    if (has & BEFORE_BARRIER)
        __syncthreads();
    if (threadIdx.x == 0) {
        if (has & BEFORE_FENCE)
            __threadfence();
        last[0] = atomicAdd(count, 1) == (int)gridDim.x - 1;
        if (has & BEHIND_FENCE)
            __threadfence();
        if (last[0])
            *count = 0;
    }
    if (has & BEHIND_BARRIER)
        __syncthreads();
    if ((threadIdx.x == 0 || has & BEHIND_BARRIER) && last[0])
        y[threadIdx.x] += y[64 + threadIdx.x];
}

/* It is taken for the last one without having counted. */
__global__ void rni_kernel_last_uncounted(const float *x, float *y, int *count)
{
    y[INDEX] = x[threadIdx.x];
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        if (y[127 - 127 * blockIdx.x] > 1.0f)
            atomicAdd(count, 1);
        __threadfence();
    }
    __syncthreads();
    if (blockIdx.x == 1)
        y[threadIdx.x] += 1.0f;
}

__global__ void rni_kernel_division(const float *x, float *y, int zero)
{
    y[INDEX] = (float)((int)x[INDEX] / zero);
}

__global__ void rni_kernel_index(const float *x, float *y, int n)
{
    float local[4] = {1.0f, 2.0f, 3.0f, 4.0f};
    local[n / 32] = x[INDEX];
    y[INDEX] = local[0] + local[3];
}

/* Bytes that neighbours write side by side: right. */
__global__ void rni_kernel_bytes(const float *x, float *y)
{
    unsigned char *const bytes = reinterpret_cast<unsigned char *>(y);
    bytes[INDEX] = x[INDEX] > 0.0f;
}

/* One of them writes its neighbour's byte, too. */
__global__ void rni_kernel_byte_too_many(const float *x, float *y)
{
    unsigned char *const bytes = reinterpret_cast<unsigned char *>(y);
    bytes[INDEX] = x[INDEX] > 0.0f;
    if (threadIdx.x == 40)
        bytes[INDEX + 1] = 0;
}

/* Bytes, and two of them at once by a thread that has neither. */
__global__ void rni_kernel_byte_and_pair(const float *x, float *y)
{
    unsigned char *const bytes = reinterpret_cast<unsigned char *>(y);
    bytes[INDEX] = x[INDEX] > 0.0f;
    if (threadIdx.x == 40)
        *reinterpret_cast<unsigned short *>(bytes + 2) = 0;
}

/* Launchers for the table: one block of 64 threads, or two. */
#define LAUNCHER(name, blocks, ...)                                                                                    \
    static cudaError_t launch_##name(cudaStream_t stream, float *x, float *y, int n)                                   \
    {                                                                                                                  \
        (void)x, (void)y, (void)n;                                                                                     \
        return RN_LAUNCH(rni_kernel_##name, dim3(blocks), dim3(64), stream, __VA_ARGS__);                              \
    }
LAUNCHER(sum, 1, x, y)
LAUNCHER(missing_barrier, 1, x, y)
LAUNCHER(missing_second_barrier, 1, x, y)
LAUNCHER(two_barriers, 1, x, y)
LAUNCHER(implicit_warp, 1, x, y)
LAUNCHER(explicit_warp, 1, x, y)
LAUNCHER(read_then_write, 1, x, y)
LAUNCHER(lane_writes, 1, x, y)
LAUNCHER(lane_writes_later, 1, x, y)
LAUNCHER(blocks_write, 2, x, y)
LAUNCHER(blocks_read, 2, x, y)
LAUNCHER(blocks_share, 2, x, y)
LAUNCHER(missing_guard, n / 64 + 1, x, y)
LAUNCHER(read_behind, n / 64, x, y, n)
LAUNCHER(far, 1, y)
LAUNCHER(null, 1, nullptr)
LAUNCHER(shared_size, 1, x, y)
LAUNCHER(ninth_warp, 1, x, y)
LAUNCHER(fresh_global, 1, y)
LAUNCHER(divergent_barrier, 1, y)
LAUNCHER(different_barriers, 1, y)
LAUNCHER(half_warp, 1, x, y)
LAUNCHER(half_mask, 1, x, y)
LAUNCHER(lane_not_in_mask, 1, x, y)
LAUNCHER(foreign_mask, 1, x, y)
LAUNCHER(returned_lanes, 1, x, y)
LAUNCHER(different_operations, 1, x, y)
LAUNCHER(misaligned, 1, x, y)
LAUNCHER(shared_cast, 1, x, y)
LAUNCHER(vectors, 1, x, y)
LAUNCHER(too_much_shared, 1, x, y)
LAUNCHER(atomic_and_plain, 1, y, reinterpret_cast<int *>(x))
LAUNCHER(atomic, 1, y, reinterpret_cast<int *>(x))

/* The counter is behind what is read of x. */
template <int has>
static cudaError_t launch_last(cudaStream_t stream, float *x, float *y, int n)
{
    int *const count = reinterpret_cast<int *>(x + n - 1);
    const cudaError_t error = cudaMemsetAsync(count, 0, sizeof *count, stream);
    if (error != cudaSuccess)
        return error;
    return RN_LAUNCH(rni_kernel_last_block, dim3(2), dim3(64), stream, x, y, count, has);
}

static cudaError_t launch_last_uncounted(cudaStream_t stream, float *x, float *y, int n)
{
    return RN_LAUNCH(rni_kernel_last_uncounted, dim3(2), dim3(64), stream, x, y, reinterpret_cast<int *>(x + n - 1));
}
LAUNCHER(division, 1, x, y, n - n)
LAUNCHER(index, 1, x, y, n)
LAUNCHER(bytes, 1, x, y)
LAUNCHER(byte_too_many, 1, x, y)
LAUNCHER(byte_and_pair, 1, x, y)

static float host_value;

static cudaError_t launch_host_pointer(cudaStream_t stream, float *, float *y, int)
{
    return RN_LAUNCH(rni_kernel_sum, dim3(1), dim3(64), stream, &host_value, y);
}

static cudaError_t launch_pointer_in_struct(cudaStream_t stream, float *, float *y, int)
{
    const rni_pointers p = {{&host_value, nullptr}};
    return RN_LAUNCH(rni_kernel_pointer_in_struct, dim3(1), dim3(64), stream, p, y);
}

constexpr faults_kernel of(const char *name, faults_launcher *launch, const char *checked, const char *fast, int lost)
{
    return {name, launch, checked, fast, lost};
}
#define RIGHT(name) of(#name, launch_##name, nullptr, nullptr, 0)
#define WRONG(name, ...) of(#name, launch_##name, __VA_ARGS__)
const faults_kernel faults_kernels[] = {
    RIGHT(sum),
    WRONG(missing_barrier, "shared memory that nobody wrote", nullptr, 0),
    WRONG(missing_second_barrier, "shared memory that thread", nullptr, 0),
    RIGHT(two_barriers),
    WRONG(implicit_warp, "shared memory that nobody wrote", nullptr, 0),
    RIGHT(explicit_warp),
    WRONG(read_then_write, "shared memory that thread", nullptr, 0),
    WRONG(lane_writes, "shared memory that thread", nullptr, 0),
    RIGHT(lane_writes_later),
    WRONG(blocks_write, "race: overwrites global memory that thread", nullptr, 0),
    WRONG(blocks_read, "of another block", nullptr, 0),
    WRONG(blocks_share, "global memory that thread", nullptr, 0),
    WRONG(missing_guard, "write of 4 bytes outside every allocation", "the guard behind allocation #2", 1),
    WRONG(read_behind, "read of 4 bytes outside every allocation", nullptr, 1),
    WRONG(far, "outside every allocation", "write outside every allocation", 2),
    WRONG(null, "[rni_kernel_null", "write at address", 2),
    WRONG(shared_size, "outside the shared arrays", "shared memory beside the array s was overwritten", 1),
    WRONG(ninth_warp, "shared memory that nobody wrote", nullptr, 0),
    WRONG(fresh_global, "global memory that nobody wrote", nullptr, 0),
    WRONG(divergent_barrier, "is reached by 40 of 64 threads", "is reached by 40 of 64 threads", 0),
    WRONG(different_barriers, "wait at different barriers", "wait at different barriers", 0),
    WRONG(half_warp, "names lanes that", "names lanes that", 3),
    RIGHT(half_mask),
    WRONG(lane_not_in_mask, "which is not in the mask 0000ffff", "which is not in the mask 0000ffff", 0),
    WRONG(foreign_mask, "does not name the lane that calls", "does not name the lane that calls", 3),
    WRONG(returned_lanes, "names lanes that", "names lanes that", 3),
    WRONG(different_operations, "meet in different operations", "meet in different operations", 0),
    WRONG(misaligned, "misaligned access", "?", 3),
    WRONG(shared_cast, "misaligned access", "?", 3),
    RIGHT(vectors),
    WRONG(too_much_shared, "more than 49152 bytes of shared memory", "more than 49152 bytes of shared memory", 0),
    WRONG(atomic_and_plain, "race: reads global memory", nullptr, 0),
    RIGHT(atomic),
    of("last_block", launch_last<ALL_FOUR>, nullptr, nullptr, 0),
    of("last_block_one_thread", launch_last<ALL_FOUR - BEHIND_BARRIER>, nullptr, nullptr, 0),
    of("last_block_no_barrier", launch_last<ALL_FOUR - BEFORE_BARRIER>, "of another block", nullptr, 0),
    of("last_block_no_release", launch_last<ALL_FOUR - BEFORE_FENCE>, "of another block", nullptr, 0),
    of("last_block_no_acquire", launch_last<ALL_FOUR - BEHIND_FENCE>, "of another block", nullptr, 0),
    WRONG(last_uncounted, "of another block", nullptr, 0),
    WRONG(division, "division by zero", "division by zero", 2),
    WRONG(index, "index outside an array", nullptr, 0),
    RIGHT(bytes),
    WRONG(byte_too_many, "race: ", nullptr, 0),
    WRONG(byte_and_pair, "race: ", nullptr, 0),
    WRONG(host_pointer, "parameter 1 is", "parameter 1 is", 1),
    WRONG(pointer_in_struct, "read of 4 bytes of host memory", nullptr, 1),
    {nullptr, nullptr, nullptr, nullptr, 0},
};

cudaError_t faults_add(cudaStream_t stream, float *x, float value, int n)
{
    return RN_LAUNCH(rni_kernel_add, dim3((unsigned)n / 64), dim3(64), stream, x, value);
}

cudaError_t faults_append(cudaStream_t stream, int *list, int blocks, int threads)
{
    return RN_LAUNCH(rni_kernel_append, dim3((unsigned)blocks), dim3((unsigned)threads), stream, list);
}

cudaError_t faults_sum(cudaStream_t stream, const float *x, float *y, int n)
{
    return RN_LAUNCH(rni_kernel_sum, dim3((unsigned)n / 64), dim3(64), stream, x, y);
}

cudaError_t faults_too_large(cudaStream_t stream, float *x)
{
    return RN_LAUNCH(rni_kernel_far, dim3(1), dim3(2048), stream, x);
}
