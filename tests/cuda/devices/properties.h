/* SPDX-License-Identifier: MIT */
/* cuDNN's descriptor of a device that is not here. */
#ifndef RNI_DEVICE_PROPERTIES_H
#define RNI_DEVICE_PROPERTIES_H

#include "devices/records.h"
#include <cudnn.h>
#include <resnet/base.h>

/* A finalized CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR. */
rn_status rni_device_properties(const rni_device_record *record, cudnnBackendDescriptor_t *out);

#endif
