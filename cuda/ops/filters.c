/* SPDX-License-Identifier: MIT */
#include "ops/filters.h"
#include "memory.h"
#include <string.h>

/* A block's share of a filter begins at a multiple of this many channels. */
enum { CHANNELS = 8, MOST_TAPS = RNI_FILTERS_ELEMENTS / CHANNELS, MOST_BLOCKS = 1 << 20 };

static int64_t channels_of(const rn_conv_params *p)
{
    return p->in_channels / p->groups;
}

static int64_t taps_of(const rn_conv_params *p)
{
    return p->kernel[0] * p->kernel[1];
}

/* Channels of a filter that a block takes, and filters. */
static uint32_t block_channels(int64_t channels, int64_t taps)
{
    const int64_t most = RNI_FILTERS_ELEMENTS / taps / CHANNELS * CHANNELS;
    return (uint32_t)(channels < most ? channels : most);
}

static uint32_t block_filters(int64_t channels, int64_t taps)
{
    const int64_t whole = channels <= block_channels(channels, taps) ? RNI_FILTERS_ELEMENTS / (channels * taps) : 1;
    return (uint32_t)(whole > 1 ? whole : 1);
}

static int64_t blocks_of(int64_t filters, int64_t channels, int64_t taps)
{
    const int64_t across = block_channels(channels, taps), down = block_filters(channels, taps);
    return (channels + across - 1) / across * ((filters + down - 1) / down);
}

int rni_filters_serve(const rn_conv_params *p)
{
    return p->kernel[0] <= MOST_TAPS && p->kernel[1] <= MOST_TAPS && taps_of(p) <= MOST_TAPS &&
           p->out_channels <= INT32_MAX && channels_of(p) <= INT32_MAX &&
           blocks_of(p->out_channels, channels_of(p), taps_of(p)) <= MOST_BLOCKS;
}

static size_t bytes_of(uint32_t count)
{
    return ((size_t)count + 1) * sizeof(rni_filters_part);
}

rn_status rni_filters_start(rni_cuda_device *device, uint32_t count, rni_filters *out)
{
    const rn_host_api *const host = device->host;
    rni_filters_part *const parts = host->alloc(host->host, bytes_of(count), _Alignof(rni_filters_part));
    if (!parts)
        return rni_fail(RN_E_NOMEM, "out of memory: a list of filters needs %zu bytes", bytes_of(count));
    memset(parts, 0, bytes_of(count));
    *out = (rni_filters){parts, NULL, count};
    return RN_OK;
}

void rni_filters_set(rni_filters *list, uint32_t index, const rn_conv_params *p, uint64_t plain, uint64_t packed,
                     uint64_t scale)
{
    const int64_t channels = channels_of(p), taps = taps_of(p);
    rni_filters_part *const part = &list->parts[index];
    part->plain = plain;
    part->packed = packed;
    part->scale = scale;
    part->filters = (uint32_t)p->out_channels;
    part->channels = (uint32_t)channels;
    part->taps = (uint32_t)taps;
    part->block_channels = block_channels(channels, taps);
    part->block_filters = block_filters(channels, taps);
    part[1].first_block = part->first_block + (uint32_t)blocks_of(p->out_channels, channels, taps);
}

/* In a stream of our own, as the null one waits for all others of the process. */
rn_status rni_filters_upload(rni_cuda_device *device, rni_filters *list)
{
    void *memory;
    RNI_TRY(rni_cuda_alloc(device, bytes_of(list->count), &memory));
    list->on_device = memory;
    cudaError_t error =
        cudaMemcpyAsync(memory, list->parts, bytes_of(list->count), cudaMemcpyHostToDevice, cudaStreamPerThread);
    if (error == cudaSuccess)
        error = cudaStreamSynchronize(cudaStreamPerThread);
    return rni_cuda_result(device, error, "copy a list of filters");
}

void rni_filters_release(rni_cuda_device *device, rni_filters *list)
{
    const rn_host_api *const host = device->host;
    if (list->on_device)
        rni_cuda_free(device, list->on_device);
    if (list->parts)
        host->free(host->host, list->parts, bytes_of(list->count), _Alignof(rni_filters_part));
    *list = (rni_filters){NULL, NULL, 0};
}

rni_filters_run rni_filters_of(const rni_filters *list, uint32_t first, uint32_t count)
{
    const uint32_t from = list->parts[first].first_block, to = list->parts[first + count].first_block;
    return (rni_filters_run){list->on_device + first, count, from, to - from};
}
