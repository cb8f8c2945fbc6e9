/* SPDX-License-Identifier: MIT */
/*
 * What cuDNN wants to know of a device to plan for it, of devices that are not here. The H100's is what cuDNN kept of a
 * real one (CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION), the others are written by hand from public specifications until
 * a real one takes their place.
 */
#ifndef RNI_DEVICE_RECORDS_H
#define RNI_DEVICE_RECORDS_H

typedef struct rni_device_record {
    const char *name; /* "h100" */
    int capability; /* 10 * major + minor */
    int processors;
    const char *json;
} rni_device_record;

extern const rni_device_record rni_device_records[];
extern const int rni_device_record_count;

#endif
