/* SPDX-License-Identifier: MIT */
#include "access.h"
#include "fiber.h"
#include "report.h"

namespace
{
template <class T>
T combined(simt::Atomic operation, T old, T value, T compare)
{
    switch (operation) {
    case simt::Atomic::ADD:
        return (T)((unsigned long long)old + (unsigned long long)value); /* wraps */
    case simt::Atomic::MAX:
        return old > value ? old : value;
    case simt::Atomic::MIN:
        return old < value ? old : value;
    case simt::Atomic::AND:
        return old & value;
    case simt::Atomic::OR:
        return old | value;
    case simt::Atomic::EXCHANGE:
        return value;
    case simt::Atomic::COMPARE:
        return old == compare ? value : old;
    }
    return old;
}

template <class T>
T apply(simt::Atomic operation, T *to, T value, T compare, const void *code)
{
    if ((uintptr_t)to % sizeof(T)) {
        sim::report("misaligned atomic access at address %p, at %s", (void *)to, sim::code_place(code).c_str());
        sim::abandon_kernel(cudaErrorMisalignedAddress);
    }
    if (sim::checking)
        sim::check_access(to, sizeof *to, sim::Access::ATOMIC, code);
    const T old = *to;
    *to = combined(operation, old, value, compare);
    return old;
}
} // namespace

int32_t simt::atomic(Atomic operation, int32_t *to, int32_t value, int32_t compare)
{
    return apply(operation, to, value, compare, __builtin_return_address(0));
}

uint32_t simt::atomic(Atomic operation, uint32_t *to, uint32_t value, uint32_t compare)
{
    return apply(operation, to, value, compare, __builtin_return_address(0));
}

unsigned long long simt::atomic(Atomic operation, unsigned long long *to, unsigned long long value,
                                unsigned long long compare)
{
    return apply(operation, to, value, compare, __builtin_return_address(0));
}
