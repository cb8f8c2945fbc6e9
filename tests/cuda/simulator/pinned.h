/* SPDX-License-Identifier: MIT */
/* Host memory that the device copies from and to on its own: page-locked in CUDA, here only remembered. */
#ifndef RNI_SIMULATOR_PINNED_H
#define RNI_SIMULATOR_PINNED_H

#include <cstddef>
#include <cstdint>

namespace sim
{
/* Whether a range begins in such an allocation. One that goes on behind its end is reported. */
bool is_pinned(const void *address, size_t bytes);

int64_t pinned_living(), pinned_bytes();
} // namespace sim

#endif
