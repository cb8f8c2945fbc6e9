/* SPDX-License-Identifier: MIT */
/*
 * What instrumented kernels call. The compiler's -fsanitize=thread reports every load and store to functions that
 * are normally ThreadSanitizer's; here they are the simulator's. Likewise for -fsanitize=undefined's findings.
 */
#include "access.h"
#include "fiber.h"
#include "report.h"
#include "settings.h"

using namespace sim;

/* The compiler takes 16 bytes for aligned at 8; vectors' own alignment is looked at where their type is. */
static void aligned(const void *address, size_t bytes, Access access, const void *code)
{
    if ((uintptr_t)address % (bytes < 8 ? bytes : 8) && in_kernel())
        report("misaligned access of %zu bytes at address %p, at %s", bytes, address, code_place(code).c_str());
    check_access(address, bytes, access, code);
}

#define HOOK(name, check, bytes, access)                                                                               \
    void name(void *address);                                                                                          \
    void name(void *address)                                                                                           \
    {                                                                                                                  \
        check(address, bytes, Access::access, __builtin_return_address(0));                                            \
    }
#define HOOKS(bytes)                                                                                                   \
    HOOK(__tsan_read##bytes, aligned, bytes, READ)                                                                     \
    HOOK(__tsan_write##bytes, aligned, bytes, WRITE)                                                                   \
    HOOK(__tsan_volatile_read##bytes, aligned, bytes, READ)                                                            \
    HOOK(__tsan_volatile_write##bytes, aligned, bytes, WRITE)                                                          \
    HOOK(__tsan_unaligned_read##bytes, check_access, bytes, READ)                                                      \
    HOOK(__tsan_unaligned_write##bytes, check_access, bytes, WRITE)                                                    \
    HOOK(__tsan_unaligned_volatile_read##bytes, check_access, bytes, READ)                                             \
    HOOK(__tsan_unaligned_volatile_write##bytes, check_access, bytes, WRITE)

/* As the undefined behaviour sanitizer lays them out: all data begin with the place. */
struct SourceLocation {
    const char *file;
    uint32_t line, column;
};

static void undefined(const void *data, const char *what)
{
    const SourceLocation *const place = (const SourceLocation *)data;
    if (in_kernel())
        report("%s at %s:%u:%u", what, place->file ? place->file : "?", place->line, place->column);
}

#define FINDING(name, what, parameters)                                                                                \
    void __ubsan_handle_##name parameters;                                                                             \
    void __ubsan_handle_##name parameters                                                                              \
    {                                                                                                                  \
        undefined(data, what);                                                                                         \
    }

extern "C" {
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)

void __tsan_read_range(void *address, size_t bytes);
void __tsan_read_range(void *address, size_t bytes)
{
    check_access(address, bytes, Access::READ, __builtin_return_address(0));
}

void __tsan_write_range(void *address, size_t bytes);
void __tsan_write_range(void *address, size_t bytes)
{
    check_access(address, bytes, Access::WRITE, __builtin_return_address(0));
}

/* Called before main for every instrumented file: this is how the simulator knows. */
void __tsan_init();
void __tsan_init()
{
    instrumented = true;
    checking = !setting(COUNT_ONLY);
}

void __tsan_func_entry(void *);
void __tsan_func_entry(void *)
{
}

void __tsan_func_exit(void *);
void __tsan_func_exit(void *)
{
}

/* An address that its type does not allow, or null. */
void __ubsan_handle_type_mismatch_v1(void *data, void *address);
void __ubsan_handle_type_mismatch_v1(void *data, void *address)
{
    undefined(data, address ? "misaligned access" : "access through a null pointer");
    if (!address && in_kernel())
        abandon_kernel(cudaErrorIllegalAddress);
}

FINDING(out_of_bounds, "index outside an array", (void *data, void *))
FINDING(shift_out_of_bounds, "shift by a negative number or too far", (void *data, void *, void *))
FINDING(add_overflow, "signed addition overflows", (void *data, void *, void *))
FINDING(sub_overflow, "signed subtraction overflows", (void *data, void *, void *))
FINDING(mul_overflow, "signed multiplication overflows", (void *data, void *, void *))
FINDING(negate_overflow, "signed negation overflows", (void *data, void *))
FINDING(divrem_overflow, "division by zero, or it overflows", (void *data, void *, void *))
FINDING(builtin_unreachable, "the end of a function that returns a value", (void *data))
FINDING(missing_return, "the end of a function that returns a value", (void *data))
}
