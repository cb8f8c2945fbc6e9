/* SPDX-License-Identifier: MIT */
/* Captured work, and its replay: in the order of the capture, or another one that the graph allows. */
#include "control.h"
#include "device.h"
#include "settings.h"
#include "stream.h"
#include <algorithm>
#include <set>

typedef std::shared_ptr<std::vector<sim::Node>> NodeList;

struct CUgraph_st {
    NodeList nodes;
};
struct CUgraphExec_st {
    NodeList nodes;
};

namespace sim
{
static std::set<CUgraph_st *> graphs;
static std::set<CUgraphExec_st *> executables;

/* The most nodes that could have run at once. */
static int64_t widest;

int64_t graph_width()
{
    return widest;
}

int64_t graphs_living()
{
    return (int64_t)(graphs.size() + executables.size());
}

namespace
{
/* Takes out the next one to run, of those that may. */
size_t take(std::vector<size_t> &ready)
{
    const size_t at = setting(ORDER) == ASCENDING    ? 0
                      : setting(ORDER) == DESCENDING ? ready.size() - 1
                                                     : random_below((uint32_t)ready.size());
    const size_t node = ready[at];
    ready.erase(ready.begin() + (ptrdiff_t)at);
    return node;
}

struct GraphWork : Work {
    NodeList nodes;
    std::vector<uint64_t> given; /* by the nodes' hand_over */
    uint64_t hand_over() override
    {
        for (const Node &node : *nodes)
            given.push_back(node.work->hand_over());
        return 0;
    }
    cudaError_t run(uint64_t) override
    {
        std::vector<std::vector<size_t>> followers(nodes->size());
        std::vector<size_t> missing(nodes->size()), ready;
        for (size_t i = 0; i < nodes->size(); i++) {
            for (const size_t before : (*nodes)[i].after)
                followers[before].push_back(i);
            missing[i] = (*nodes)[i].after.size();
            if (!missing[i])
                ready.push_back(i);
        }
        while (!ready.empty()) {
            if ((int64_t)ready.size() > widest)
                widest = (int64_t)ready.size();
            const size_t node = take(ready);
            if (const cudaError_t error = (*nodes)[node].work->run(given[node]))
                return error;
            for (const size_t next : followers[node])
                if (--missing[next] == 0)
                    ready.insert(std::lower_bound(ready.begin(), ready.end(), next), next);
        }
        return cudaSuccess;
    }
};

/* Whether all that streams captured comes before the end of the stream where the capture began. */
bool joined(const Capture &capture)
{
    std::vector<bool> seen(capture.nodes.size());
    std::vector<size_t> left = capture.origin->last;
    while (!left.empty()) {
        const size_t node = left.back();
        left.pop_back();
        if (seen[node])
            continue;
        seen[node] = true;
        left.insert(left.end(), capture.nodes[node].after.begin(), capture.nodes[node].after.end());
    }
    return std::all_of(seen.begin(), seen.end(), [](bool s) { return s; });
}

/* No stream captures it any more. */
void leave(const std::shared_ptr<Capture> &capture)
{
    for (CUstream_st *stream : all_streams())
        if (stream->capture == capture) {
            stream->capture = nullptr;
            stream->last.clear();
        }
}
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
    stream->capture = std::make_shared<Capture>(Capture{stream, mode, false, {}});
    stream->last.clear();
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
    const std::shared_ptr<Capture> capture = stream->capture;
    if (capture->origin != stream)
        return keep_error(cudaErrorStreamCaptureUnmatched);
    const bool whole = joined(*capture);
    leave(capture);
    if (device_ready() != cudaSuccess)
        return keep_error(device_ready());
    if (capture->broken || setting(REFUSE_CAPTURE) == 2)
        return keep_error(cudaErrorStreamCaptureInvalidated);
    if (!whole)
        return keep_error(cudaErrorStreamCaptureUnjoined);
    *graph = new CUgraph_st{std::make_shared<std::vector<Node>>(std::move(capture->nodes))};
    graphs.insert(*graph);
    return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus *status)
{
    const Lock lock;
    const CUstream_st *const stream = stream_of(handle);
    if (!stream || !status)
        return keep_error(stream ? cudaErrorInvalidValue : cudaErrorInvalidResourceHandle);
    *status = !stream->capture          ? cudaStreamCaptureStatusNone
              : stream->capture->broken ? cudaStreamCaptureStatusInvalidated
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
    *executable = new CUgraphExec_st{graph->nodes};
    executables.insert(*executable);
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream)
{
    const Lock lock;
    if (!executables.count(executable))
        return keep_error(cudaErrorInvalidResourceHandle);
    const auto work = std::make_shared<GraphWork>();
    work->nodes = executable->nodes;
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
