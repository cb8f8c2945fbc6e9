/* SPDX-License-Identifier: MIT */
/**
 * @file device.h
 * Devices: where tensors live and plans run. Borrowed from their context.
 *
 * All work of a context on one device runs in order. Work may be enqueued;
 * reading (rn_tensor_read(), rn_plan_metrics(), rn_device_synchronize()) waits.
 * A failed enqueued operation poisons the device: later calls return its status
 * and path until rn_device_reset().
 */
#ifndef RESNET_DEVICE_H
#define RESNET_DEVICE_H

#include <resnet/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/** @return "cpu", "cuda:0"; NULL for NULL. Valid as long as the context. */
RN_API const char *rn_device_name(const rn_device *dev);

/** @return a line for people: processor or GPU, kernel level. Valid as long as the context. */
RN_API const char *rn_device_description(const rn_device *dev);

/** @return the context it belongs to, borrowed. */
RN_API rn_context *rn_device_context(const rn_device *dev);

/** Free and total memory of the device in bytes (for the CPU: of the machine). Either may be NULL. */
RN_API rn_status rn_device_memory(const rn_device *dev, uint64_t *free_bytes, uint64_t *total_bytes);

/** Waits for all enqueued work. @return the first failure among it */
RN_API rn_status rn_device_synchronize(rn_device *dev);

/** Waits, then forgets a failure of enqueued work, so that the device can be used again. */
RN_API rn_status rn_device_reset(rn_device *dev);

#ifdef __cplusplus
}
#endif
#endif
