/* SPDX-License-Identifier: MIT */
/* Cross entropy with labels or with target distributions: a warp per row, then one block for the metrics. */
#include "kernels/loss.h"
#include "kernels/rows.h"

/* The workspace: where the labels are bad, then the blocks' partial results. */
struct rni_loss_workspace {
    int64_t bad; /* the first image with a label out of range, or -1 */
    int64_t reserved;
};

/* Looks through all labels before anything is written. One block. */
__global__ void __launch_bounds__(RNI_THREADS)
    rni_kernel_check_labels(const int64_t *labels, int64_t images, int64_t classes, rni_loss_workspace *work,
                            rni_cuda_mailbox *mailbox, uint32_t ticket)
{
    RN_SHARED(int64_t, shared, RNI_THREADS);
    int64_t first = images;
    for (int64_t i = threadIdx.x; i < images; i += RNI_THREADS) {
        if (labels[i] < 0 || labels[i] >= classes) {
            first = i;
            break;
        }
    }
    shared[threadIdx.x] = first;
    for (uint32_t half = RNI_THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half && shared[threadIdx.x + half] < shared[threadIdx.x])
            shared[threadIdx.x] = shared[threadIdx.x + half];
    }
    if (threadIdx.x != 0)
        return;
    first = shared[0];
    work->bad = first < images ? first : -1;
    if (first >= images || mailbox->kind != 0)
        return;
    mailbox->kind = RNI_CUDA_BAD_LABEL;
    mailbox->ticket = ticket;
    mailbox->detail[0] = first;
    mailbox->detail[1] = labels[first];
    mailbox->detail[2] = classes;
}

/* What the rows of a loss have in common. */
struct rni_loss_terms {
    int64_t k;
    double smoothing, factor; /* factor: of the gradient */
};

/* Softmax of a row: element j is exp(x[j] - largest) * share. */
struct rni_row_softmax {
    double largest, share, log_sum;
    int64_t best;
};

template <class T>
__device__ __forceinline__ rni_row_softmax row_softmax(const T *x, int64_t k)
{
    const rni_largest most = rni_row_largest(x, k);
    rni_row_softmax s;
    s.largest = (double)most.value;
    s.best = most.index;
    const double sum = rni_row_exp_sum(x, k, s.largest);
    s.share = 1.0 / sum;
    s.log_sum = s.largest + log(sum);
    return s;
}

/* (1 - e) CE + e mean_k(-log p_k); gradient (softmax - target) times factor. Equal logits: the lower class wins. */
template <class T>
__device__ __forceinline__ rni_loss_part label_row(const T *x, int64_t label, const rni_loss_terms &t, T *dx)
{
    const rni_row_softmax s = row_softmax(x, t.k);
    const double e = t.smoothing, each = 1.0 / (double)t.k;
    double mean = 0.0;
    ROLLED
    for (int64_t j = rni_lane(); j < t.k; j += RNI_WARP)
        mean += (double)rni_load(x[j]) * each;
    mean = rni_warp_sum(mean);
    ROLLED
    for (int64_t j = rni_lane(); dx && j < t.k; j += RNI_WARP) {
        const double target = (j == label ? 1.0 - e : 0.0) + e * each;
        rni_store(dx[j], (float)((exp((double)rni_load(x[j]) - s.largest) * s.share - target) * t.factor));
    }
    return {(1.0 - e) * (s.log_sum - (double)rni_load(x[label])) + e * (s.log_sum - mean), s.best == label};
}

/* sum_k(-t log p), t = target (1 - e) + e / k; gradient (softmax sum(t) - t) times factor. */
template <class T>
__device__ __forceinline__ rni_loss_part target_row(const T *x, const T *target, const rni_loss_terms &t, T *dx)
{
    const rni_row_softmax s = row_softmax(x, t.k);
    const int64_t wanted = rni_row_largest(target, t.k).index;
    const double kept = 1.0 - t.smoothing, added = t.smoothing / (double)t.k;
    double loss = 0.0, total = 0.0;
    ROLLED
    for (int64_t j = rni_lane(); j < t.k; j += RNI_WARP) {
        const double share = (double)rni_load(target[j]) * kept + added;
        loss += share * (s.log_sum - (double)rni_load(x[j]));
        total += share;
    }
    loss = rni_warp_sum(loss);
    total = rni_warp_sum(total);
    ROLLED
    for (int64_t j = rni_lane(); dx && j < t.k; j += RNI_WARP) {
        const double share = (double)rni_load(target[j]) * kept + added;
        rni_store(dx[j], (float)((exp((double)rni_load(x[j]) - s.largest) * s.share * total - share) * t.factor));
    }
    return {loss, s.best == wanted};
}

/* One row per warp; with labels or with targets. */
template <class T>
__global__ void __launch_bounds__(RNI_THREADS)
    rni_kernel_cross_entropy(const T *x, const int64_t *labels, const T *target, T *dx, int64_t images, int64_t k,
                             double smoothing, const rni_cuda_scalars *scalars, const rn_step_metrics *scaled,
                             const rni_loss_workspace *work, rni_loss_part *parts)
{
    RN_SHARED(rni_loss_part, shared, RNI_BLOCK_ROWS);
    const int64_t row = rni_first_row();
    if (labels && work->bad >= 0)
        return;
    rni_loss_part part = {0.0, 0};
    if (row < images) {
        const rni_loss_terms terms = {k, smoothing, dx ? rni_gradient_factor(scalars, scaled) / (double)images : 0.0};
        T *const out = dx ? dx + row * k : nullptr;
        part = labels ? label_row(x + row * k, labels[row], terms, out)
                      : target_row(x + row * k, target + row * k, terms, out);
    }
    if (rni_lane() == 0)
        shared[threadIdx.x / RNI_WARP] = part;
    __syncthreads();
    if (threadIdx.x != 0)
        return;
    for (int i = 1; i < RNI_BLOCK_ROWS; i++) {
        part.loss += shared[i].loss;
        part.correct += shared[i].correct;
    }
    parts[blockIdx.x] = part;
}

__global__ void __launch_bounds__(RNI_THREADS)
    rni_kernel_loss_finish(const rni_loss_part *parts, int64_t count, const int64_t *bad, double divisor,
                           int64_t images, rn_step_metrics *metrics)
{
    RN_SHARED(rni_loss_part, shared, RNI_THREADS);
    rni_loss_part own = {0.0, 0};
    if (bad && *bad >= 0) {
        if (threadIdx.x == 0)
            metrics->step_nonfinite = 1; /* there is no gradient: the update is skipped */
        return;
    }
    for (int64_t i = threadIdx.x; i < count; i += RNI_THREADS) {
        own.loss += parts[i].loss;
        own.correct += parts[i].correct;
    }
    const rni_loss_part all = rni_sum_parts(own, shared);
    if (threadIdx.x == 0)
        rni_add_metrics(metrics, all.loss / divisor, images, all.correct);
}

cudaError_t rni_loss_finish(cudaStream_t stream, const rni_loss_part *parts, int64_t count, const int64_t *bad,
                            double divisor, int64_t images, rn_step_metrics *metrics)
{
    return RN_LAUNCH(rni_kernel_loss_finish, dim3(1), dim3(RNI_THREADS), stream, parts, count, bad, divisor, images,
                     metrics);
}

static int64_t blocks_of(int64_t images)
{
    return (images + RNI_BLOCK_ROWS - 1) / RNI_BLOCK_ROWS;
}

uint64_t rni_k_loss_bytes(int64_t images)
{
    return sizeof(rni_loss_workspace) + (uint64_t)blocks_of(images) * sizeof(rni_loss_part);
}

template <class T>
static cudaError_t cross_entropy(cudaStream_t stream, const rni_k_loss *l)
{
    rni_loss_workspace *const work = static_cast<rni_loss_workspace *>(l->workspace);
    rni_loss_part *const parts = reinterpret_cast<rni_loss_part *>(work + 1);
    const int64_t blocks = blocks_of(l->images);
    cudaError_t error = cudaSuccess;
    if (l->labels)
        error = RN_LAUNCH(rni_kernel_check_labels, dim3(1), dim3(RNI_THREADS), stream, l->labels, l->images, l->k, work,
                          l->mailbox, l->ticket);
    if (error == cudaSuccess)
        error = RN_LAUNCH((rni_kernel_cross_entropy<T>), dim3((uint32_t)blocks), dim3(RNI_THREADS), stream,
                          static_cast<const T *>(l->x), l->labels, static_cast<const T *>(l->target),
                          static_cast<T *>(l->dx), l->images, l->k, l->smoothing, l->scalars, l->scaled ? l->metrics : nullptr,
                          work, parts);
    if (error != cudaSuccess)
        return error;
    return rni_loss_finish(stream, parts, blocks, l->labels ? &work->bad : nullptr, (double)l->images, l->images,
                           l->metrics);
}

cudaError_t rni_k_cross_entropy(cudaStream_t stream, const rni_k_loss *l)
{
    return RNI_BY_TYPE(l->dtype, cross_entropy, stream, l);
}
