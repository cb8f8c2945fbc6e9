/* SPDX-License-Identifier: MIT */
/* Launches: from RN_LAUNCH into a stream's queue, and out of it through all blocks. */
#ifndef RNI_SIMULATOR_LAUNCH_H
#define RNI_SIMULATOR_LAUNCH_H

#include "simt.h"
#include <string>
#include <vector>
#undef threadIdx
#undef blockIdx
#undef blockDim
#undef gridDim

namespace sim
{
struct Launch {
    simt::Kernel kernel;
    dim3 grid, block;
    std::vector<unsigned char> parameters;
    uint64_t threads() const
    {
        return (uint64_t)grid.x * grid.y * grid.z * block.x * block.y * block.z;
    }
};

/* Runs it; memory is unlocked. */
cudaError_t run_launch(const Launch &launch);

/* Of the launch that runs or ran last, from 1. */
uint64_t launch_number();

/* "[kernel, block (x, y, z), thread (x, y, z)] " of what runs, "" outside. */
std::string running_place();

int64_t launches_done();
} // namespace sim

#endif
