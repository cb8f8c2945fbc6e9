/* SPDX-License-Identifier: MIT */
/* Captured work, and its replay. A graph is the list of work in the order of the capture. */
#include "control.h"
#include "device.h"
#include "settings.h"
#include "stream.h"
#include <set>

typedef std::shared_ptr<std::vector<sim::WorkPointer>> WorkList;

struct CUgraph_st {
    WorkList work;
};
struct CUgraphExec_st {
    WorkList work;
};

namespace sim
{
static std::set<CUgraph_st *> graphs;
static std::set<CUgraphExec_st *> executables;

int64_t graphs_living()
{
    return (int64_t)(graphs.size() + executables.size());
}

namespace
{
struct GraphWork : Work {
    WorkList list;
    std::vector<uint64_t> given; /* by the list's hand_over */
    uint64_t hand_over() override
    {
        for (const WorkPointer &work : *list)
            given.push_back(work->hand_over());
        return 0;
    }
    cudaError_t run(uint64_t) override
    {
        for (size_t i = 0; i < list->size(); i++)
            if (const cudaError_t error = (*list)[i]->run(given[i]))
                return error;
        return cudaSuccess;
    }
};
} // namespace
} // namespace sim

using namespace sim;

static void (*capture_call)(void);

void rni_sim_on_capture(void (*call)(void))
{
    const Lock lock;
    capture_call = call;
}

static cudaError_t begin_capture(cudaStream_t handle, cudaStreamCaptureMode mode)
{
    CUstream_st *const stream = stream_of(handle);
    if (!stream || !handle || handle == cudaStreamLegacy)
        return keep_error(stream ? cudaErrorStreamCaptureUnsupported : cudaErrorInvalidResourceHandle);
    if (device_ready() != cudaSuccess)
        return keep_error(device_ready());
    if (stream->capture)
        return keep_error(cudaErrorIllegalState);
    if (setting(REFUSE_CAPTURE) == 1)
        return keep_error(cudaErrorStreamCaptureUnsupported);
    stream->capture = std::make_shared<std::vector<WorkPointer>>();
    stream->capture_mode = mode;
    stream->capture_broken = false;
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode)
{
    void (*call)(void) = nullptr;
    cudaError_t error;
    {
        const Lock lock;
        error = begin_capture(handle, mode);
        std::swap(call, capture_call);
    }
    if (call && error == cudaSuccess) /* without the lock: it waits for other threads */
        call();
    return error;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t *graph)
{
    const Lock lock;
    CUstream_st *const stream = stream_of(handle);
    if (graph)
        *graph = nullptr;
    if (!stream || !stream->capture)
        return keep_error(stream ? cudaErrorIllegalState : cudaErrorInvalidResourceHandle);
    const WorkList work = std::move(stream->capture);
    stream->capture = nullptr;
    const bool broken = stream->capture_broken || setting(REFUSE_CAPTURE) == 2;
    stream->capture_broken = false;
    if (device_ready() != cudaSuccess)
        return keep_error(device_ready());
    if (broken)
        return keep_error(cudaErrorStreamCaptureInvalidated);
    *graph = new CUgraph_st{work};
    graphs.insert(*graph);
    return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus *status)
{
    const Lock lock;
    const CUstream_st *const stream = stream_of(handle);
    if (!stream || !status)
        return keep_error(stream ? cudaErrorInvalidValue : cudaErrorInvalidResourceHandle);
    *status = !stream->capture         ? cudaStreamCaptureStatusNone
              : stream->capture_broken ? cudaStreamCaptureStatusInvalidated
                                       : cudaStreamCaptureStatusActive;
    return keep_error(device_ready());
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *executable, cudaGraph_t graph, unsigned long long)
{
    const Lock lock;
    if (!executable || !graphs.count(graph))
        return keep_error(cudaErrorInvalidValue);
    if (device_ready() != cudaSuccess)
        return keep_error(device_ready());
    if (setting(REFUSE_CAPTURE) == 3)
        return keep_error(cudaErrorNotSupported);
    *executable = new CUgraphExec_st{graph->work};
    executables.insert(*executable);
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream)
{
    const Lock lock;
    if (!executables.count(executable))
        return keep_error(cudaErrorInvalidResourceHandle);
    const auto work = std::make_shared<GraphWork>();
    work->list = executable->work;
    return keep_error(enqueue(stream, work));
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable)
{
    const Lock lock;
    if (!executables.erase(executable))
        return keep_error(cudaErrorInvalidResourceHandle);
    delete executable;
    return keep_error(device_error());
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    const Lock lock;
    if (!graphs.erase(graph))
        return keep_error(cudaErrorInvalidResourceHandle);
    delete graph;
    return keep_error(device_error());
}
