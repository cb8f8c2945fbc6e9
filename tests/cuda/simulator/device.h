/* SPDX-License-Identifier: MIT */
/* The device as a whole: one at a time may use it, its state, its errors. */
#ifndef RNI_SIMULATOR_DEVICE_H
#define RNI_SIMULATOR_DEVICE_H

#include <cstdint>
#include <cuda_runtime_api.h>

namespace sim
{
/* Held by every entry into the simulator. The last one out puts device memory out of reach. */
class Lock
{
  public:
    Lock();
    ~Lock();
    Lock(const Lock &) = delete;
    Lock &operator=(const Lock &) = delete;
};

/* What every call answers once the device is lost; cudaSuccess before. */
cudaError_t device_error();
void lose_device(cudaError_t error);

/* The calling thread's last error becomes this one, unless it is none. Gives it back. */
cudaError_t keep_error(cudaError_t error);

/* Whether there is a device at all, lost or not: cudaErrorNoDevice, or that there is no driver for one. */
cudaError_t any_device();
/* Whether there is a device to work with: its error, or that there is none. */
cudaError_t device_ready();

/* A count of control.h, -1: no such. */
int64_t count_of(const char *name);
} // namespace sim

#endif
