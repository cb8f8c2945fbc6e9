/* SPDX-License-Identifier: MIT */
/*
 * Parts of programs as CUDA graphs: one launch instead of one for every kernel. A part is captured when it runs for the
 * second time with the same batch and addresses; what changes else is read from device memory (rni_cuda_scalars). When
 * it cannot be captured, the program runs in streams from then on.
 */
#include "lanes.h"
#include <resnet/context.h>
#include <stdio.h>
#include <string.h>

static void use_operands(const rn_value *values, const uint32_t *operands, uint32_t count, const rn_run *run,
                         rni_graph_key *key)
{
    for (uint32_t i = 0; i < count; i++)
        if (operands[i] != RN_NO_VALUE)
            key->base[values[operands[i]].role] = run->base[values[operands[i]].role];
}

static void make_key(const rni_cuda_program *program, const rni_cuda_queue *queue, const rn_run *run,
                     rni_graph_key *key)
{
    const rn_program_desc *const desc = program->desc;
    memset(key, 0, sizeof *key); /* keys are compared whole */
    key->queue = queue;
    key->scalars = queue->scalars.on_device;
    key->first_op = run->first_op;
    key->num_ops = run->num_ops;
    key->batch = run->batch;
    for (uint32_t i = run->first_op; i < run->first_op + run->num_ops; i++) {
        const rn_op *const op = &desc->ops[i];
        use_operands(desc->values, op->in, op->num_in, run, key);
        use_operands(desc->values, op->out, op->num_out, run, key);
        use_operands(desc->values, &op->workspace, 1, run, key);
    }
}

static rni_graph *find(rni_graphs *graphs, const rni_graph_key *key)
{
    for (int32_t i = 0; i < graphs->count; i++)
        if (memcmp(&graphs->graph[i].key, key, sizeof *key) == 0)
            return &graphs->graph[i];
    return NULL;
}

static void drop(rni_graph *graph)
{
    if (graph->exec)
        cudaGraphExecDestroy(graph->exec);
    graph->exec = NULL;
}

static rni_graph *add(rni_graphs *graphs, const rni_graph_key *key)
{
    rni_graph *place = &graphs->graph[0];
    if (graphs->count < RNI_GRAPHS) {
        place = &graphs->graph[graphs->count++];
    } else {
        for (int32_t i = 1; i < RNI_GRAPHS; i++)
            if (graphs->graph[i].used < place->used)
                place = &graphs->graph[i];
        drop(place);
    }
    *place = (rni_graph){.key = *key};
    return place;
}

void rni_graphs_clear(rni_graphs *graphs)
{
    for (int32_t i = 0; i < graphs->count; i++)
        drop(&graphs->graph[i]);
    graphs->count = 0;
}

void rni_graphs_forget(rni_graphs *graphs, const rni_cuda_queue *queue)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < graphs->count; i++)
        if (graphs->graph[i].key.queue == queue)
            drop(&graphs->graph[i]);
        else
            graphs->graph[kept++] = graphs->graph[i];
    graphs->count = kept;
}

/* Kernels of a stream with a higher priority go first where both have some: the first lane of a graph. */
static rn_status make_stream(rni_cuda_queue *queue, int first, cudaStream_t *stream)
{
    int least = 0, greatest = 0;
    if (*stream)
        return RN_OK;
    RNI_TRY(rni_cuda_result(queue->device, cudaDeviceGetStreamPriorityRange(&least, &greatest), "ask for priorities"));
    return rni_cuda_result(queue->device,
                           cudaStreamCreateWithPriority(stream, cudaStreamNonBlocking, first ? greatest : least),
                           "make a stream");
}

static rn_status start_capture(rni_cuda_queue *queue)
{
    RNI_TRY(make_stream(queue, 1, &queue->capture));
    for (int lane = 1; lane < RNI_LANES; lane++)
        RNI_TRY(make_stream(queue, 0, &queue->aside[lane]));
    return rni_cuda_result(queue->device, cudaStreamBeginCapture(queue->capture, cudaStreamCaptureModeRelaxed),
                           "begin to capture a stream");
}

/*
 * The ops of the run as a graph. They are captured in streams that nothing else uses: meanwhile other threads may
 * copy in the queue's. When an op fails, its failure is told, not what CUDA makes of it.
 */
static rn_status capture(rni_cuda_program *program, rni_cuda_queue *queue, const rn_run *run, cudaGraph_t *graph)
{
    const int32_t overlap = program->opened->device.overlap;
    *graph = NULL;
    if (overlap)
        rni_lanes_prepare(program);
    RNI_TRY(start_capture(queue));
    const rn_status status = overlap ? rni_lanes_enqueue(program, queue, run)
                                     : rni_cuda_program_enqueue(program, queue, queue->capture, run);
    const cudaError_t error = cudaStreamEndCapture(queue->capture, graph);
    if (status < 0) {
        cudaGetLastError();
        return status;
    }
    return rni_cuda_result(queue->device, error, "end to capture a stream");
}

static rn_status make_graph(rni_cuda_program *program, rni_cuda_queue *queue, const rn_run *run, cudaGraphExec_t *exec)
{
    cudaGraph_t graph;
    rn_status status = capture(program, queue, run, &graph);
    if (status == RN_OK)
        status = rni_cuda_result(queue->device, cudaGraphInstantiate(exec, graph, 0), "instantiate a graph");
    if (graph)
        cudaGraphDestroy(graph);
    return status;
}

/* Why is the last failure. */
static rn_status give_up(rni_cuda_program *program, rni_cuda_queue *queue, const rn_run *run)
{
    const rn_host_api *const host = program->opened->device.host;
    char text[300];
    snprintf(text, sizeof text, "%s: a program runs without CUDA graphs: %s", program->opened->name,
             rn_error_message());
    host->log(host->host, RN_LOG_INFO, text);
    rni_graphs_clear(&program->graphs);
    program->graphs.off = 1;
    return rni_cuda_program_enqueue(program, queue, queue->stream, run);
}

rn_status rni_graphs_run(rni_cuda_program *program, rni_cuda_queue *queue, const rn_run *run)
{
    rni_graphs *const graphs = &program->graphs;
    rni_graph_key key;
    if (graphs->off || run->num_ops < RNI_GRAPH_LEAST_OPS)
        return rni_cuda_program_enqueue(program, queue, queue->stream, run);
    make_key(program, queue, run, &key);
    rni_graph *graph = find(graphs, &key);
    const int first = !graph;
    if (first)
        graph = add(graphs, &key);
    graph->used = ++graphs->clock;
    if (first)
        return rni_cuda_program_enqueue(program, queue, queue->stream, run);
    if (!graph->exec && make_graph(program, queue, run, &graph->exec) < 0)
        return give_up(program, queue, run);
    return rni_cuda_result(&program->opened->device, cudaGraphLaunch(graph->exec, queue->stream), "launch a graph");
}
