/* SPDX-License-Identifier: MIT */
/* Measures on logits: softmax on their device, top-k on the host. */
#include "train/train.h"
#include <math.h>
#include <resnet/metrics.h>

static rn_status check_logits(const rn_tensor *logits, const char *what)
{
    if (logits->dtype != RN_F32 && logits->dtype != RN_F64)
        return rni_fail(RN_E_DTYPE, "%s is %s, expected f32 or f64", what, rn_dtype_name(logits->dtype));
    if (logits->rank == 2 && logits->dims[1] > 0 && logits->layout == RN_LAYOUT_PLAIN)
        return rni_tensor_expect_memory(logits, what);
    char text[RNI_SHAPE_TEXT];
    return rni_fail(RN_E_SHAPE, "%s has shape %s, expected [N, classes]", what,
                    rni_shape_text(text, logits->rank, logits->dims));
}

static rn_status append_softmax(rni_own *own, const rn_tensor *logits)
{
    uint32_t x, y;
    RNI_TRY(rni_program_value(&own->program, logits->dtype, RN_ROLE_X, RN_LAYOUT_PLAIN, 2, logits->dims, 1, &x));
    RNI_TRY(rni_program_value(&own->program, logits->dtype, RN_ROLE_Y, RN_LAYOUT_PLAIN, 2, logits->dims, 1, &y));
    RNI_TRY(rni_program_append(&own->program, RN_OP_SOFTMAX, 0, &x, 1, &y, 1, NULL, 0, "softmax"));
    return rni_own_compile(own);
}

static rn_status run_softmax(rni_own *own, const rn_tensor *logits, rn_tensor *probabilities)
{
    RNI_TRY(append_softmax(own, logits));
    void *base[RN_ROLE_COUNT] = {NULL};
    base[RN_ROLE_X] = rni_tensor_address(logits);
    base[RN_ROLE_Y] = rni_tensor_address(probabilities);
    const rn_run run = {.batch = logits->dims[0], .grad_scale = 1.0};
    return rni_own_run(own, base, &run);
}

rn_status rn_softmax(const rn_tensor *logits, rn_tensor *probabilities)
{
    RNI_REQUIRE(logits);
    RNI_REQUIRE(probabilities);
    RNI_TRY(check_logits(logits, "rn_softmax: logits"));
    RNI_TRY(rni_tensor_expect(probabilities, logits->dev, logits->dtype, "rn_softmax: probabilities"));
    RNI_TRY(check_logits(probabilities, "rn_softmax: probabilities"));
    if (!rni_shape_equal(logits->rank, logits->dims, probabilities->rank, probabilities->dims)) {
        char got[RNI_SHAPE_TEXT], expected[RNI_SHAPE_TEXT];
        return rni_fail(RN_E_SHAPE, "rn_softmax: probabilities have shape %s, expected %s",
                        rni_shape_text(got, probabilities->rank, probabilities->dims),
                        rni_shape_text(expected, logits->rank, logits->dims));
    }
    if (logits->count == 0)
        return RN_OK;
    rni_own own;
    RNI_TRY(rni_own_begin(&own, logits->dev));
    const rn_status status = run_softmax(&own, logits, probabilities);
    rni_own_free(&own);
    return status;
}

/* How many classes come before the label's; `classes` when its logit is no number. NaN counts as the largest. */
static int64_t place_f32(const float *row, int64_t classes, int64_t label)
{
    int64_t place = isnan(row[label]) ? classes : 0;
    for (int64_t j = 0; j < classes; j++)
        place += row[j] > row[label] || (row[j] == row[label] && j < label) || isnan(row[j]);
    return place;
}

static int64_t place_f64(const double *row, int64_t classes, int64_t label)
{
    int64_t place = isnan(row[label]) ? classes : 0;
    for (int64_t j = 0; j < classes; j++)
        place += row[j] > row[label] || (row[j] == row[label] && j < label) || isnan(row[j]);
    return place;
}

static int64_t count_hits(const rn_tensor *logits, const void *rows, const int64_t *labels, int64_t k)
{
    const int64_t classes = logits->dims[1];
    int64_t hits = 0;
    for (int64_t i = 0; i < logits->dims[0]; i++) {
        const int64_t place = logits->dtype == RN_F32
                                  ? place_f32((const float *)rows + i * classes, classes, labels[i])
                                  : place_f64((const double *)rows + i * classes, classes, labels[i]);
        hits += place < k;
    }
    return hits;
}

static rn_status read_and_count(const rn_tensor *logits, const rn_tensor *labels, void *rows, int64_t *wanted,
                                int32_t k, int64_t *correct)
{
    RNI_TRY(rn_tensor_read(logits, rows, logits->nbytes));
    RNI_TRY(rn_tensor_read(labels, wanted, labels->nbytes));
    RNI_TRY(rni_check_labels(wanted, labels->count, logits->dims[1]));
    *correct = count_hits(logits, rows, wanted, k);
    return RN_OK;
}

rn_status rn_topk(const rn_tensor *logits, const rn_tensor *labels, int32_t k, int64_t *correct)
{
    RNI_REQUIRE(logits);
    RNI_REQUIRE(labels);
    RNI_REQUIRE(correct);
    RNI_TRY(check_logits(logits, "rn_topk: logits"));
    RNI_TRY(rni_tensor_expect(labels, logits->dev, RN_I64, "rn_topk: labels"));
    if (labels->rank != 1 || labels->dims[0] != logits->dims[0]) {
        char text[RNI_SHAPE_TEXT];
        return rni_fail(RN_E_SHAPE, "rn_topk: labels have shape %s, expected [%lld]",
                        rni_shape_text(text, labels->rank, labels->dims), (long long)logits->dims[0]);
    }
    if (k < 1 || k > logits->dims[1])
        return rni_fail(RN_E_INVALID, "rn_topk: k is %d, expected 1 to %lld", (int)k, (long long)logits->dims[1]);
    const rn_allocator *const allocator = &logits->dev->ctx->allocator;
    void *const rows = rni_alloc(allocator, logits->nbytes);
    int64_t *const wanted = rni_alloc(allocator, labels->nbytes);
    const rn_status status = rows && wanted ? read_and_count(logits, labels, rows, wanted, k, correct)
                                            : rni_nomem("rn_topk", logits->nbytes + labels->nbytes);
    rni_free(allocator, rows);
    rni_free(allocator, wanted);
    return status;
}
