/* SPDX-License-Identifier: MIT */
#include "constants.h"
#include <link.h>
#include <utility>
#include <vector>

namespace sim
{
static std::vector<std::pair<uintptr_t, uintptr_t>> ranges;

static bool holds_us(const dl_phdr_info *info)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const uintptr_t from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        if (info->dlpi_phdr[i].p_type == PT_LOAD && (uintptr_t)is_constant - from < info->dlpi_phdr[i].p_memsz)
            return true;
    }
    return false;
}

/* Tables with addresses in them are written by the loader and read-only then: PT_GNU_RELRO. */
static int add_ranges(dl_phdr_info *info, size_t, void *)
{
    if (!holds_us(info))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const auto &p = info->dlpi_phdr[i];
        const bool constant = (p.p_type == PT_LOAD && !(p.p_flags & PF_W)) || p.p_type == PT_GNU_RELRO;
        if (constant)
            ranges.push_back({info->dlpi_addr + p.p_vaddr, info->dlpi_addr + p.p_vaddr + p.p_memsz});
    }
    return 1;
}

bool is_constant(uintptr_t address)
{
    if (ranges.empty())
        dl_iterate_phdr(add_ranges, nullptr);
    for (const auto &r : ranges)
        if (address >= r.first && address < r.second)
            return true;
    return false;
}
} // namespace sim
