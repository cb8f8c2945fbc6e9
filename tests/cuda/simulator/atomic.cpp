/* SPDX-License-Identifier: MIT */
#include "access.h"
#include "fiber.h"
#include "order.h"
#include "report.h"

int32_t simt::atomic_add(int32_t *to, int32_t value)
{
    const void *const code = __builtin_return_address(0);
    if ((uintptr_t)to % sizeof *to) {
        sim::report("misaligned atomic access at address %p, at %s", (void *)to, sim::code_place(code).c_str());
        sim::abandon_kernel(cudaErrorMisalignedAddress);
    }
    if (sim::instrumented)
        sim::check_access(to, sizeof *to, sim::Access::ATOMIC, code);
    sim::note_atomic(to);
    const int32_t old = *to;
    *to = (int32_t)((uint32_t)old + (uint32_t)value); /* wraps */
    return old;
}
