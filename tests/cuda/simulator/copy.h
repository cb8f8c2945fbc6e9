/* SPDX-License-Identifier: MIT */
#ifndef RNI_SIMULATOR_COPY_H
#define RNI_SIMULATOR_COPY_H

#include <cstdint>

namespace sim
{
int64_t copies_done();
} // namespace sim

#endif
