/* SPDX-License-Identifier: MIT */
/* Recorded launches: tests/cuda/ptx/FORMAT.md. */
#ifndef RNI_SIMULATOR_RECORD_H
#define RNI_SIMULATOR_RECORD_H

#include <cstddef>
#include <cstdint>
#include <string>

namespace sim
{
struct Launch;

/* The kernel's symbol; "" when it is not exported. */
std::string mangled_name(const Launch &launch);

/* Around a launch; memory is unlocked. */
void record_begin(const Launch &launch);
void record_end(const Launch &launch);

/* The running kernel is about to touch these bytes. True when that was news: a first touch of a page. */
bool record_touch(uintptr_t address, size_t bytes);
} // namespace sim

#endif
