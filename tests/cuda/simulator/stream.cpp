/* SPDX-License-Identifier: MIT */
#include "stream.h"
#include "control.h"
#include "device.h"
#include "memory.h"
#include "report.h"
#include "settings.h"
#include "statistics.h"
#include <set>

namespace sim
{
/* Work that a stream holds at most; the hardware goes on by itself, too. */
constexpr size_t DEPTH = 1024;

static CUstream_st null_stream = {0, true, 0, 0, {}, {}, nullptr, {}};
/* Always there, too; one for all threads, which orders more than CUDA would, but only among themselves. */
static CUstream_st thread_stream = {1, true, 0, 0, {}, {}, nullptr, {}};
static std::set<CUstream_st *> streams;
static unsigned streams_made = 1;

CUstream_st *stream_of(cudaStream_t handle)
{
    if (!handle || handle == cudaStreamLegacy)
        return &null_stream;
    if (handle == cudaStreamPerThread)
        return &thread_stream;
    return streams.count(handle) ? handle : nullptr;
}

std::vector<CUstream_st *> all_streams()
{
    std::vector<CUstream_st *> all(streams.begin(), streams.end());
    all.push_back(&null_stream);
    all.push_back(&thread_stream);
    return all;
}

int64_t streams_living()
{
    return (int64_t)streams.size();
}

int64_t work_queued()
{
    int64_t n = 0;
    for (const CUstream_st *s : all_streams())
        n += (int64_t)s->queue.size();
    return n;
}

Place end_of(CUstream_st *stream)
{
    return {stream, stream->number, stream->handed_over};
}

static cudaError_t run_front(CUstream_st *stream)
{
    const Item item = std::move(stream->queue.front());
    stream->queue.pop_front();
    for (const Place &place : item.after)
        if (const cudaError_t error = run_until(place))
            return error;
    const cudaError_t error = item.work->run(item.handed_over);
    stream->done++;
    if (error != cudaSuccess)
        lose_device(error);
    return error;
}

cudaError_t run_until(const Place &place)
{
    const bool always_there = place.stream == &null_stream || place.stream == &thread_stream;
    CUstream_st *const stream = always_there ? place.stream : stream_of(place.stream);
    while (device_error() == cudaSuccess && stream && stream->number == place.number && stream->done < place.count &&
           !stream->queue.empty())
        run_front(stream);
    return device_error();
}

/* In the random order other streams get on a bit, as they would. */
static void run_others(const CUstream_st *stream)
{
    if (setting(ORDER) != RANDOM)
        return;
    for (CUstream_st *other : all_streams())
        if (other != stream && !other->queue.empty())
            run_until({other, other->number, other->done + random_below((uint32_t)other->queue.size() + 1)});
}

cudaError_t run_stream(CUstream_st *stream)
{
    if (!stream->queue.empty())
        run_others(stream);
    return run_until(end_of(stream));
}

cudaError_t run_everything()
{
    for (CUstream_st *stream : all_streams())
        run_stream(stream);
    return device_error();
}

static void (*wait_call)(void);

void take_wait_call(const Place &place, void (**call)(void))
{
    const bool always_there = place.stream == &null_stream || place.stream == &thread_stream;
    const CUstream_st *const stream = always_there ? place.stream : stream_of(place.stream);
    if (stream && stream->number == place.number && stream->done < place.count)
        std::swap(*call, wait_call);
}

void announce_wait(cudaStream_t handle)
{
    void (*call)(void) = nullptr;
    {
        const Lock lock;
        if (CUstream_st *const stream = stream_of(handle))
            take_wait_call(end_of(stream), &call);
    }
    if (call)
        call();
}

void drop_everything()
{
    for (CUstream_st *stream : all_streams()) {
        stream->queue.clear();
        stream->next_after.clear();
        stream->done = stream->handed_over;
    }
}

/* The null stream and blocking streams wait for each other. */
static void order_with_null_stream(CUstream_st *stream)
{
    if (stream == &null_stream) {
        for (CUstream_st *other : all_streams())
            if (other != stream && other->blocking && other->done < other->handed_over)
                stream->next_after.push_back(end_of(other));
    } else if (stream->blocking && null_stream.done < null_stream.handed_over) {
        stream->next_after.push_back(end_of(&null_stream));
    }
}

cudaError_t enqueue(cudaStream_t handle, WorkPointer work)
{
    CUstream_st *const stream = stream_of(handle);
    if (!stream)
        return cudaErrorInvalidResourceHandle;
    if (device_ready() != cudaSuccess)
        return device_ready();
    if (stream->capture && stream->capture->broken)
        return cudaErrorStreamCaptureInvalidated;
    if (stream->capture) {
        stream->capture->nodes.push_back({std::move(work), std::move(stream->last)});
        stream->last = {stream->capture->nodes.size() - 1};
        return cudaSuccess;
    }
    order_with_null_stream(stream);
    const uint64_t handed_over = work->hand_over();
    stream->queue.push_back({std::move(work), handed_over, std::move(stream->next_after)});
    stream->next_after.clear();
    stream->handed_over++;
    return stream->queue.size() > DEPTH ? run_front(stream) : cudaSuccess;
}

cudaError_t refuse_while_capturing()
{
    cudaError_t error = cudaSuccess;
    for (CUstream_st *s : all_streams())
        if (s->capture && s->capture->mode != cudaStreamCaptureModeRelaxed) {
            s->capture->broken = true;
            error = cudaErrorStreamCaptureUnsupported;
        }
    return error;
}

namespace
{
struct CalledWork : Work {
    rni_sim_work work;
    std::vector<unsigned char> argument;
    cudaError_t run(uint64_t) override
    {
        unlock_memory();
        count_other("library", 1, 0, 0);
        const cudaError_t error = work(argument.data());
        check_guards();
        return error;
    }
};
} // namespace
} // namespace sim

using namespace sim;

cudaError_t rni_sim_enqueue(cudaStream_t stream, rni_sim_work work, const void *argument, size_t bytes)
{
    const Lock lock;
    if (now_due(FAIL_LIBRARY))
        return keep_error(cudaErrorLaunchOutOfResources);
    const auto called = std::make_shared<CalledWork>();
    called->work = work;
    called->argument.assign((const unsigned char *)argument, (const unsigned char *)argument + bytes);
    return keep_error(enqueue(stream, called));
}

/* As devices of today have them; here nothing depends on them. */
enum { LEAST_PRIORITY = 0, GREATEST_PRIORITY = -5 };

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
    const Lock lock;
    if (device_ready() != cudaSuccess)
        return keep_error(device_ready());
    if (least)
        *least = LEAST_PRIORITY;
    if (greatest)
        *greatest = GREATEST_PRIORITY;
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned int flags, int priority)
{
    const Lock lock;
    if (!stream || (flags != cudaStreamNonBlocking && flags != cudaStreamDefault) || priority > LEAST_PRIORITY ||
        priority < GREATEST_PRIORITY)
        return keep_error(cudaErrorInvalidValue);
    if (device_ready() != cudaSuccess)
        return keep_error(device_ready());
    *stream = new CUstream_st{++streams_made, flags == cudaStreamDefault, 0, 0, {}, {}, nullptr, {}};
    streams.insert(*stream);
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned int flags)
{
    return cudaStreamCreateWithPriority(stream, flags, LEAST_PRIORITY);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    const Lock lock;
    if (!streams.count(stream))
        return keep_error(cudaErrorInvalidResourceHandle);
    run_until(end_of(stream));
    streams.erase(stream);
    delete stream;
    return keep_error(device_error());
}

void rni_sim_on_wait(void (*call)(void))
{
    const Lock lock;
    wait_call = call;
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle)
{
    announce_wait(handle);
    const Lock lock;
    CUstream_st *const stream = stream_of(handle);
    if (!stream)
        return keep_error(cudaErrorInvalidResourceHandle);
    if (stream->capture) {
        stream->capture->broken = true;
        return keep_error(cudaErrorStreamCaptureUnsupported);
    }
    if (device_ready() != cudaSuccess)
        return keep_error(device_ready());
    return keep_error(run_stream(stream));
}
