/* SPDX-License-Identifier: MIT */
/*
 * Work waits in its stream until somebody waits for it: as late as CUDA allows, so that whoever forgets to wait sees old
 * data. Work of one stream is done in order; between streams only events order it.
 */
#ifndef RNI_SIMULATOR_STREAM_H
#define RNI_SIMULATOR_STREAM_H

#include <cstdint>
#include <cuda_runtime_api.h>
#include <deque>
#include <memory>
#include <vector>

namespace sim
{
struct Work {
    virtual ~Work() = default;
    /* When it is handed over, alone or in a graph, perhaps many times: what its run has to know of the host's side. */
    virtual uint64_t hand_over()
    {
        return 0;
    }
    virtual cudaError_t run(uint64_t handed_over) = 0;
};
typedef std::shared_ptr<Work> WorkPointer;

/* A place in a stream: everything up to number `count` of it. */
struct Place {
    cudaStream_t stream;
    unsigned number; /* the stream's, so that a new stream at the same address is not mistaken for it */
    uint64_t count;
};

struct Item {
    WorkPointer work;
    uint64_t handed_over; /* what its hand_over gave */
    std::vector<Place> after;
};

/* Work of a graph, in the order of its capture, and the earlier work that it follows. */
struct Node {
    WorkPointer work;
    std::vector<size_t> after;
};

/* What streams capture together: the one it began in, and those that waited for an event of it. */
struct Capture {
    CUstream_st *origin;
    cudaStreamCaptureMode mode;
    bool broken;
    std::vector<Node> nodes;
};
} // namespace sim

/* The toolkit's handle types are pointers to these. */
struct CUstream_st {
    unsigned number;
    bool blocking; /* orders itself with the null stream */
    uint64_t handed_over, done;
    std::deque<sim::Item> queue;
    std::vector<sim::Place> next_after; /* what the next item has to wait for */
    /* While capturing: */
    std::shared_ptr<sim::Capture> capture;
    std::vector<size_t> last; /* of its nodes: what the next one follows */
};

namespace sim
{
/* The stream that a handle stands for; nullptr: it is none (any more). The null stream is one, too. */
CUstream_st *stream_of(cudaStream_t handle);
std::vector<CUstream_st *> all_streams();

/* Hands work over to a stream, or to the graph that it captures. */
cudaError_t enqueue(cudaStream_t stream, WorkPointer work);

/* Does all work up to a place, with all that it depends on. The device's error. */
cudaError_t run_until(const Place &place);
cudaError_t run_stream(CUstream_st *stream);
cudaError_t run_everything();
/* Before a call that waits for a place, without the lock: what rni_sim_on_wait() was given, if there is work to wait for. */
void announce_wait(cudaStream_t stream);
void announce_wait(cudaEvent_t event);
void take_wait_call(const Place &place, void (**call)(void));
void drop_everything();
Place end_of(CUstream_st *stream);

/* A call that may not be made while a stream captures breaks the capture: cudaErrorStreamCaptureUnsupported. */
cudaError_t refuse_while_capturing();

int64_t streams_living(), events_living(), graphs_living(), graph_width(), work_queued();
} // namespace sim

#endif
