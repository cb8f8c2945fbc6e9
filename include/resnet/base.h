/* SPDX-License-Identifier: MIT */
/**
 * @file base.h
 * Status codes, messages, element types and callbacks shared by every header.
 */
#ifndef RESNET_BASE_H
#define RESNET_BASE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define RN_API __attribute__((visibility("default")))
#else
#define RN_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** Version of these headers; rn_version() tells the loaded library's. */
#define RN_VERSION_MAJOR 0
#define RN_VERSION_MINOR 1
#define RN_VERSION_PATCH 0

/** Result of a call: 0 is success, negative an error, RN_END the one positive value. */
typedef int32_t rn_status;

/** Every status as X(name, number, text). Numbers are never changed. */
#define RN_STATUS_LIST(X)                                                    \
    X(RN_OK, 0, "ok")                                                        \
    X(RN_END, 1, "end of data")                                              \
    X(RN_E_NOMEM, -1, "out of memory")                                       \
    X(RN_E_INVALID, -2, "invalid argument")                                  \
    X(RN_E_SHAPE, -3, "shapes do not fit")                                   \
    X(RN_E_DTYPE, -4, "wrong element type")                                  \
    X(RN_E_DEVICE, -5, "wrong or missing device")                            \
    X(RN_E_STATE, -6, "not possible in this state")                          \
    X(RN_E_UNSUPPORTED, -7, "not supported")                                 \
    X(RN_E_IO, -8, "input or output failed")                                 \
    X(RN_E_FORMAT, -9, "malformed file")                                     \
    X(RN_E_NOT_FOUND, -10, "not found")                                      \
    X(RN_E_VERSION, -11, "incompatible version")                             \
    X(RN_E_BACKEND, -12, "backend failed")                                   \
    X(RN_E_BUFFER, -13, "buffer too small")                                  \
    X(RN_E_CANCELLED, -14, "cancelled")                                      \
    X(RN_E_USER, -15, "failed in the caller's code")                         \
    X(RN_E_INTERNAL, -16, "internal error")

#define RN_STATUS_ENUM_(name, number, text) name = number,
enum { RN_STATUS_LIST(RN_STATUS_ENUM_) RN_STATUS_MAX_ = 0x7fff };
#undef RN_STATUS_ENUM_

/** Element type of a tensor. */
typedef int32_t rn_dtype;
enum {
    RN_F32 = 1,  /**< IEEE 754 binary32 */
    RN_F64 = 2,  /**< IEEE 754 binary64 */
    RN_I64 = 3,  /**< 64-bit signed integer */
    RN_U8 = 4,   /**< 8-bit unsigned integer */
    RN_I32 = 5,  /**< 32-bit signed integer */
    RN_BF16 = 6, /**< bfloat16: storage, and rn_plan_options::compute_dtype */
    RN_F16 = 7   /**< IEEE 754 binary16: storage, and rn_plan_options::compute_dtype */
};

/** Most dimensions a tensor can have. */
#define RN_MAX_RANK 8

/** Log levels, in rn_context_options::log_level: what is at or below it is passed on. */
enum { RN_LOG_NONE = 0, RN_LOG_ERROR = 1, RN_LOG_WARNING = 2, RN_LOG_INFO = 3, RN_LOG_DEBUG = 4 };

/**
 * Receives `length` bytes of UTF-8 text (not terminated). Called on the thread
 * that made the call. Anything but RN_OK stops the writing and is returned.
 */
typedef rn_status (*rn_write_fn)(void *user, const char *text, size_t length);

/** Receives one line without newline. May be called on any thread of the library. */
typedef void (*rn_log_fn)(void *user, int32_t level, const char *text);

/** Gives back memory lent to the library. Called once, on the releasing thread. */
typedef void (*rn_release_fn)(void *user, void *data);

/** One piece of parallel work: index runs from 0 to count-1. */
typedef void (*rn_task_fn)(void *arg, size_t index);

/**
 * The host's parallel-for: must run task(arg, i) once for every i < count, in
 * any order, on any threads, nested or serial, and return when all are done.
 */
typedef rn_status (*rn_parallel_fn)(void *user, rn_task_fn task, void *arg, size_t count);

/**
 * Host memory for everything a context makes. `alloc` returns NULL when there
 * is none; `align` is a power of two, at least 16. Both may be called from any
 * thread. `free` gets the size and alignment given to `alloc`.
 */
typedef struct rn_allocator {
    size_t struct_size; /**< sizeof(rn_allocator) */
    void *(*alloc)(void *user, size_t size, size_t align);
    void (*free)(void *user, void *ptr, size_t size, size_t align);
    void *user; /**< passed to both */
} rn_allocator;

/** @return 0x00MMmmpp of the loaded library. */
RN_API uint32_t rn_version(void);

/** Keys of rn_build_info(). */
enum {
    RN_BUILD_VERSION = 0,   /**< "0.1.0" */
    RN_BUILD_COMPILER = 1,  /**< compiler and its version */
    RN_BUILD_FEATURES = 2,  /**< space-separated optional parts */
    RN_BUILD_CPU_LEVELS = 3 /**< space-separated kernel levels compiled in */
};

/** @return a static string, or NULL for an unknown key. */
RN_API const char *rn_build_info(int32_t key);

/** @return the name of a status, "RN_E_SHAPE"; "RN_E_?" for an unknown number. Static. */
RN_API const char *rn_status_name(rn_status status);

/** @return a few words for a status, "shapes do not fit". Static. */
RN_API const char *rn_status_text(rn_status status);

/**
 * The message of the calling thread's last failed call: one line naming the
 * argument or layer path, what was expected and what came. Never NULL; valid
 * until the thread's next failing call. Successful calls leave it as it was.
 */
RN_API const char *rn_error_message(void);

/** @return bytes of one element, 0 for an unknown type. */
RN_API size_t rn_dtype_size(rn_dtype dtype);

/** @return "f32", "i64", ...; "?" for an unknown type. Static. */
RN_API const char *rn_dtype_name(rn_dtype dtype);

#ifdef __cplusplus
}
#endif
#endif
