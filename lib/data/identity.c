/* SPDX-License-Identifier: MIT */
/* What decides a loader's batches, as a text that checkpoints compare. */
#include "data/loader.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

/* Shortest form that reads back the same would be nicer; 17 digits are exact. A locale's comma becomes a point. */
static void append_number(rni_text *out, double value)
{
    char text[40];
    snprintf(text, sizeof text, "%.17g", value);
    for (char *c = text; *c; c++)
        if (*c == ',')
            *c = '.';
    rni_text_append(out, " %s", text);
}

static void append_numbers(rni_text *out, const char *name, const double *values, int32_t count)
{
    rni_text_append(out, " %s", name);
    for (int32_t i = 0; i < count; i++)
        append_number(out, values[i]);
}

/* CRC-32 of the image that is subtracted. */
static uint32_t mean_sum(const rni_pipeline *p)
{
    const int64_t bytes = p->channels * p->mean_height * p->mean_width * (int64_t)sizeof(float);
    return (uint32_t)crc32(crc32(0, NULL, 0), (const Bytef *)p->mean_image, (uInt)bytes);
}

static void append_step(rni_text *out, const rni_pipeline *p, const rni_step *s)
{
    switch (s->kind) {
    case RNI_STEP_CROP:
        rni_text_append(out, "; crop padding %" PRId64 " to %" PRId64 " x %" PRId64, s->padding, s->height, s->width);
        break;
    case RNI_STEP_HFLIP:
        rni_text_append(out, "; hflip");
        append_number(out, s->p);
        break;
    case RNI_STEP_NORMALIZE:
        rni_text_append(out, "; normalize");
        append_numbers(out, "mean", s->mean, s->channels);
        append_numbers(out, "std", s->std, s->channels);
        break;
    case RNI_STEP_CUTOUT:
        rni_text_append(out, "; cutout %" PRId64, s->height);
        break;
    case RNI_STEP_SHORT_SIDE:
        rni_text_append(out, "; short side %" PRId64 " to %" PRId64, s->shortest, s->longest);
        break;
    case RNI_STEP_RESIZED_CROP:
        rni_text_append(out, "; resized crop to %" PRId64 " x %" PRId64, s->height, s->width);
        append_numbers(out, "area", s->area, 2);
        append_numbers(out, "ratio", s->ratio, 2);
        break;
    case RNI_STEP_PCA_COLOR:
        rni_text_append(out, "; pca color");
        append_number(out, s->p);
        append_numbers(out, "values", s->eigenvalues, 3);
        append_numbers(out, "vectors", s->eigenvectors, 9);
        break;
    case RNI_STEP_SUBTRACT:
        rni_text_append(out, "; subtract %08" PRIx32, mean_sum(p));
        break;
    default:
        rni_text_append(out, "; %s %" PRId64 " x %" PRId64, rni_step_name(s), s->height, s->width);
        break;
    }
}

static void append_mix(rni_text *out, const rn_loader_options *o)
{
    rni_text_append(out, "; mixup");
    append_number(out, o->mixup_alpha);
    rni_text_append(out, " cutmix");
    append_number(out, o->cutmix_alpha);
    rni_text_append(out, " probability");
    append_number(out, o->mix_probability);
    rni_text_append(out, " share of cutmix");
    append_number(out, o->cutmix_share);
}

static void append_dataset(rni_text *out, const rn_dataset *ds)
{
    const rn_dataset_info *const i = &ds->info;
    rni_text_append(out,
                    "dataset %s, %" PRId64 " images [%" PRId64 ", %" PRId64 ", %" PRId64 "] %s, %" PRId64 " classes",
                    ds->cls->kind, i->count, i->channels, i->height, i->width, rn_dtype_name(i->dtype), i->classes);
    if (ds->cls->checksum)
        rni_text_append(out, ", labels %08" PRIx32, ds->cls->checksum(ds));
}

rn_status rni_loader_identity(const rn_loader *l, rni_text *out)
{
    const rn_loader_options *const o = &l->options;
    append_dataset(out, l->ds);
    for (size_t i = 0; i < l->pipeline.num_steps; i++)
        append_step(out, &l->pipeline, &l->pipeline.steps[i]);
    if (l->classes)
        append_mix(out, o);
    rni_text_append(out, "; batch %" PRId64 "%s%s, seed %" PRIu64 ", shard %" PRId64 " of %" PRId64, o->batch,
                    o->flags & RN_LOADER_SHUFFLE ? " shuffled" : "",
                    o->flags & RN_LOADER_DROP_LAST ? " without a short last one" : "", o->seed, o->shard,
                    o->num_shards);
    return out->failed ? rni_nomem("loader's identity", out->length) : RN_OK;
}
