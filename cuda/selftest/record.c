/* SPDX-License-Identifier: MIT */
#include "record.h"
#include "devices/records.h"
#include "selftest.h"
#include <cudnn.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static cudnnStatus_t fill(cudnnBackendDescriptor_t properties, cudnnHandle_t handle, const char *from)
{
    const cudnnStatus_t status =
        from ? cudnnBackendSetAttribute(properties, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                                        (int64_t)strlen(from), from)
             : cudnnBackendSetAttribute(properties, CUDNN_ATTR_DEVICEPROP_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
    return status == CUDNN_STATUS_SUCCESS ? cudnnBackendFinalize(properties) : status;
}

static cudnnStatus_t read_record(cudnnHandle_t handle, const char *from, char text[ST_RECORD])
{
    cudnnBackendDescriptor_t properties;
    int64_t length = 0;
    cudnnStatus_t status = cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &properties);
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    status = fill(properties, handle, from);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendGetAttribute(properties, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                                          ST_RECORD - 1, &length, text);
    if (status == CUDNN_STATUS_SUCCESS)
        text[length < ST_RECORD ? length : ST_RECORD - 1] = '\0';
    cudnnBackendDestroyDescriptor(properties);
    return status;
}

int st_record(const char *from, char text[ST_RECORD])
{
    cudnnHandle_t handle = NULL;
    cudnnStatus_t status = from ? CUDNN_STATUS_SUCCESS : cudnnCreate(&handle);
    if (status == CUDNN_STATUS_SUCCESS)
        status = read_record(handle, from, text);
    if (handle)
        cudnnDestroy(handle);
    if (status != CUDNN_STATUS_SUCCESS) {
        char why[200] = "";
        cudnnGetLastErrorString(why, sizeof why);
        snprintf(text, ST_RECORD, "%s: %s", cudnnGetErrorString(status), why);
    }
    return status == CUDNN_STATUS_SUCCESS;
}

/* The number of entries of `a` that `b` has otherwise, or, with `missing_only`, not at all. */
static int differences(json_t *a, json_t *b, int missing_only, const char *names[2])
{
    const char *key;
    json_t *value;
    int count = 0;
    json_object_foreach(a, key, value)
    {
        json_t *const other = json_object_get(b, key);
        if (missing_only ? other != NULL : json_equal(value, other))
            continue;
        char *const left = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        char *const right = other ? json_dumps(other, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
        st_say("  %-28s %s: %s, %s: %s", key, names[0], left ? left : "?", names[1], right ? right : "none");
        free(left);
        free(right);
        count++;
    }
    return count;
}

int st_record_compare(const char *theirs, const char *ours)
{
    const char *names[2] = {"theirs", "ours"}, *turned[2] = {"ours", "theirs"};
    json_t *const a = json_loads(theirs, 0, NULL), *const b = json_loads(ours, 0, NULL);
    const int count = a && b ? differences(a, b, 0, names) + differences(b, a, 1, turned) : -1;
    json_decref(a);
    json_decref(b);
    return count;
}

const char *st_record_of(const char *device)
{
    for (int i = 0; i < rni_device_record_count; i++) {
        json_t *const record = json_loads(rni_device_records[i].json, 0, NULL);
        const char *const name = json_string_value(json_object_get(record, "deviceName"));
        const int same = name && strcmp(name, device) == 0;
        json_decref(record);
        if (same)
            return rni_device_records[i].json;
    }
    return NULL;
}

const char *st_record_file(const char *path)
{
    static char text[ST_RECORD];
    FILE *const file = fopen(path, "r");
    if (!file)
        return NULL;
    const size_t length = fread(text, 1, sizeof text - 1, file);
    const int whole = !ferror(file) && feof(file);
    fclose(file);
    text[length] = '\0';
    return whole ? text : NULL;
}
