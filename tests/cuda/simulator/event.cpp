/* SPDX-License-Identifier: MIT */
#include "device.h"
#include "stream.h"
#include <ctime>
#include <set>

/* What is shared with work that records it, which may outlive the event. */
struct EventState {
    bool timed, recorded, captured;
    double time; /* in milliseconds, when its place was reached; negative before */
    sim::Place place;
    std::weak_ptr<sim::Capture> capture; /* the one that recorded it, which holds it in turn */
    size_t node; /* of that capture */
};

struct CUevent_st {
    std::shared_ptr<EventState> state;
};

namespace sim
{
static std::set<CUevent_st *> events;

int64_t events_living()
{
    return (int64_t)events.size();
}

namespace
{
struct RecordWork : Work {
    std::shared_ptr<EventState> state;
    cudaError_t run(uint64_t) override
    {
        timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        state->time = (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
        return cudaSuccess;
    }
};
} // namespace

static EventState *state_of(cudaEvent_t event)
{
    return events.count(event) ? event->state.get() : nullptr;
}

void announce_wait(cudaEvent_t event)
{
    void (*call)(void) = nullptr;
    {
        const Lock lock;
        const EventState *const state = state_of(event);
        if (state && state->recorded && !state->captured)
            take_wait_call(state->place, &call);
    }
    if (call)
        call();
}
} // namespace sim

using namespace sim;

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags)
{
    const Lock lock;
    if (!event || (flags & ~(unsigned)(cudaEventBlockingSync | cudaEventDisableTiming)))
        return keep_error(cudaErrorInvalidValue);
    if (device_ready() != cudaSuccess)
        return keep_error(device_ready());
    const EventState fresh = {!(flags & cudaEventDisableTiming), false, false, -1.0, {}, {}, 0};
    *event = new CUevent_st{std::make_shared<EventState>(fresh)};
    events.insert(*event);
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    const Lock lock;
    if (!events.erase(event))
        return keep_error(cudaErrorInvalidResourceHandle);
    delete event;
    return keep_error(device_error());
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle)
{
    const Lock lock;
    EventState *const state = state_of(event);
    CUstream_st *const stream = stream_of(handle);
    if (!state || !stream)
        return keep_error(cudaErrorInvalidResourceHandle);
    const auto work = std::make_shared<RecordWork>();
    work->state = event->state;
    state->captured = stream->capture != nullptr;
    state->capture = stream->capture;
    state->time = -1.0;
    if (const cudaError_t error = enqueue(handle, work))
        return keep_error(error);
    state->recorded = true;
    state->place = end_of(stream);
    state->node = stream->capture ? stream->last[0] : 0;
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    announce_wait(event);
    const Lock lock;
    EventState *const state = state_of(event);
    if (!state)
        return keep_error(cudaErrorInvalidResourceHandle);
    if (state->captured)
        return keep_error(cudaErrorCapturedEvent);
    if (device_ready() != cudaSuccess)
        return keep_error(device_ready());
    return keep_error(state->recorded ? run_until(state->place) : cudaSuccess);
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t end)
{
    const Lock lock;
    const EventState *const from = state_of(start), *const to = state_of(end);
    if (!from || !to || !from->timed || !to->timed || !from->recorded || !to->recorded)
        return keep_error(cudaErrorInvalidResourceHandle);
    if (!milliseconds)
        return keep_error(cudaErrorInvalidValue);
    if (from->time < 0.0 || to->time < 0.0)
        return keep_error(cudaErrorNotReady);
    *milliseconds = (float)(to->time - from->time);
    return cudaSuccess;
}

/* In a capture: only for what the same one recorded. A stream that captures nothing joins the event's capture. */
static cudaError_t wait_in_capture(CUstream_st *stream, const EventState *state)
{
    const std::shared_ptr<Capture> capture = state->capture.lock();
    if (!state->captured || !capture || (stream->capture && stream->capture != capture)) {
        if (stream->capture)
            stream->capture->broken = true;
        return state->captured ? cudaErrorStreamCaptureUnsupported : cudaErrorStreamCaptureIsolation;
    }
    stream->capture = capture;
    stream->last.push_back(state->node);
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned int)
{
    const Lock lock;
    const EventState *const state = state_of(event);
    CUstream_st *const stream = stream_of(handle);
    if (!state || !stream)
        return keep_error(cudaErrorInvalidResourceHandle);
    if (device_ready() != cudaSuccess)
        return keep_error(device_ready());
    if (stream->capture || state->captured)
        return keep_error(wait_in_capture(stream, state));
    if (state->recorded)
        stream->next_after.push_back(state->place);
    return cudaSuccess;
}
