/* SPDX-License-Identifier: MIT */
/* Weights in files: saving, and loading with names mapped and everything checked before anything changes. */
#include "base/abi.h"
#include "format/weights.h"
#include "model/model.h"
#include <stdlib.h>
#include <string.h>

static const rn_load_options defaults = RN_LOAD_OPTIONS_INIT;

rn_status rn_load_options_init(rn_load_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults, "rn_load_options");
}

void rn_load_report_release(rn_load_options *options)
{
    if (!options)
        return;
    rni_free(&rni_default_allocator, options->missing);
    rni_free(&rni_default_allocator, options->unexpected);
    rni_free(&rni_default_allocator, options->misshapen);
    options->missing = options->unexpected = options->misshapen = NULL;
}

static rn_status put_states(const rn_model *m, rni_st_builder *b)
{
    for (size_t i = 0; i < m->num_states; i++) {
        const rn_tensor *const t = m->states[i].value;
        RNI_TRY(rni_st_put_storage(b, m->states[i].name, t->dtype, t->rank, t->dims, t->storage, t->offset));
    }
    return rni_st_put_metadata(b, "format", "pt"); /* some readers insist on it */
}

rn_status rn_model_save(const rn_model *m, const char *path)
{
    RNI_REQUIRE(m);
    RNI_REQUIRE(path);
    RNI_TRY(rni_device_check(m->dev));
    rni_st_builder b;
    rni_st_begin(&b, &m->ctx->allocator);
    rn_status status = put_states(m, &b);
    if (status >= 0)
        status = rni_st_save(&b, path);
    rni_st_end(&b);
    return status;
}

/* Names of one kind of trouble, one per line. */
typedef struct name_list {
    rni_text text;
    size_t count;
} name_list;

typedef struct loading {
    rn_model *m;
    const rn_load_options *options;
    const rn_allocator *allocator;
    rni_weights *file;
    const rni_st_tensor **source; /* per state entry: where it comes from, or NULL */
    unsigned char *zero; /* per state entry: absent, taken as 0 */
    name_list missing, unexpected, misshapen;
    int refused; /* for what the lists hold */
} loading;

static void list_name(name_list *list, const char *name)
{
    char safe[RNI_ST_NAME_TEXT];
    rni_text_append(&list->text, "%s%s", list->count ? "\n" : "", rni_st_name_text(safe, name));
    list->count++;
}

/* Where `from` stands in a name, or NULL: at its start, with a leading '*' anywhere. */
static const char *find_from(const char *name, const char *from, size_t *length)
{
    const int anywhere = from[0] == '*';
    *length = strlen(from + anywhere);
    if (anywhere)
        return strstr(name, from + 1);
    return strncmp(name, from, *length) == 0 ? name : NULL;
}

/* A name with `length` bytes at `at` replaced by `to`. NULL without memory. */
static char *replaced(const loading *l, const char *name, const char *at, size_t length, const char *to)
{
    rni_text text = {.allocator = l->allocator};
    rni_text_append(&text, "%.*s%s%s", (int)(at - name), name, to, at + length);
    if (!text.failed)
        return text.data;
    rni_text_free(&text);
    return NULL;
}

/* After the prefix, the first pair that fits. NULL without memory. */
static char *map_name(const loading *l, const char *name)
{
    const char *const prefix = l->options->strip_prefix;
    const size_t strip = prefix ? strlen(prefix) : 0;
    if (strip && strncmp(name, prefix, strip) == 0)
        name += strip;
    for (size_t i = 0; i < l->options->num_renames; i++) {
        const rn_rename *const pair = &l->options->renames[i];
        size_t length;
        const char *const at = find_from(name, pair->from, &length);
        if (at)
            return replaced(l, name, at, length, pair->to);
    }
    return replaced(l, name, name, 0, "");
}

static rn_status match_shape(loading *l, const rni_st_tensor *t, const rni_state *s)
{
    char safe[RNI_ST_NAME_TEXT], from[RNI_SHAPE_TEXT], to[RNI_SHAPE_TEXT];
    const rn_tensor *const v = s->value;
    if (!rni_shape_equal(t->rank, t->dims, v->rank, v->dims)) {
        list_name(&l->misshapen, s->name);
        rni_text_append(&l->misshapen.text, ": file %s, model %s", rni_st_shape_text(from, t),
                        rni_shape_text(to, v->rank, v->dims));
        return RN_OK;
    }
    if (rni_st_converts(t, v->dtype))
        return RN_OK;
    return rni_fail(RN_E_DTYPE, "%s: %s is %s, which is not read as %s", rni_weights_path(l->file),
                    rni_st_name_text(safe, t->name), t->dtype_name, rn_dtype_name(v->dtype));
}

static rn_status match_tensor(loading *l, const rni_st_tensor *t)
{
    char *const name = map_name(l, t->name);
    if (!name)
        return rni_nomem("a name", strlen(t->name) + 1);
    const size_t index = rni_model_index(l->m, name);
    rni_free(l->allocator, name);
    if (index == SIZE_MAX) {
        list_name(&l->unexpected, t->name);
        return RN_OK;
    }
    const rni_state *const s = &l->m->states[index];
    if (l->source[index]) {
        char a[RNI_ST_NAME_TEXT], b[RNI_ST_NAME_TEXT];
        return rni_fail(RN_E_INVALID, "%s: %s and %s both become %s", rni_weights_path(l->file),
                        rni_st_name_text(a, l->source[index]->name), rni_st_name_text(b, t->name), s->name);
    }
    l->source[index] = t;
    return match_shape(l, t, s);
}

/* Files from before PyTorch 0.4.1 have no num_batches_tracked: it goes with the running_mean beside it. */
static int absent_counter(const loading *l, const rni_state *s)
{
    static const char counter[] = "num_batches_tracked", mean[] = "running_mean";
    const size_t length = strlen(s->name), tail = sizeof counter - 1;
    if (s->value->dtype != RN_I64 || length < tail || strcmp(s->name + length - tail, counter) != 0)
        return 0;
    for (size_t i = 0; i < l->m->num_states; i++) {
        const char *const other = l->m->states[i].name;
        if (l->source[i] && strlen(other) == length - tail + sizeof mean - 1 &&
            strncmp(other, s->name, length - tail) == 0 && strcmp(other + length - tail, mean) == 0)
            return 1;
    }
    return 0;
}

static rn_status match(loading *l)
{
    for (size_t i = 0; i < rni_weights_count(l->file); i++)
        RNI_TRY(match_tensor(l, rni_weights_at(l->file, i)));
    for (size_t i = 0; i < l->m->num_states; i++) {
        if (l->source[i])
            continue;
        l->zero[i] = (unsigned char)absent_counter(l, &l->m->states[i]);
        if (!l->zero[i])
            list_name(&l->missing, l->m->states[i].name);
    }
    if (l->missing.text.failed || l->unexpected.text.failed || l->misshapen.text.failed)
        return rni_nomem("lists of names", l->missing.text.length + l->unexpected.text.length);
    return RN_OK;
}

/* The first of the names that keep the file from being loaded, and how many there are. */
static rn_status judge(const loading *l)
{
    const int partial = (l->options->flags & RN_LOAD_PARTIAL) != 0;
    const name_list *first = NULL;
    const char *what = "";
    if (l->misshapen.count) {
        first = &l->misshapen;
        what = "misshapen";
    } else if (l->missing.count && !partial) {
        first = &l->missing;
        what = "missing";
    } else if (l->unexpected.count && !partial) {
        first = &l->unexpected;
        what = "unexpected";
    }
    if (!first)
        return RN_OK;
    const int length = (int)strcspn(first->text.data, "\n");
    return rni_fail(l->misshapen.count ? RN_E_SHAPE : RN_E_NOT_FOUND,
                    "%s: %zu names missing, %zu unexpected, %zu misshapen; the first: %s %.*s", rni_weights_path(l->file),
                    l->missing.count, l->unexpected.count, l->misshapen.count, what, length, first->text.data);
}

/* Where entry i stands in the block of converted values, which entries keep aligned. */
static size_t place_after(size_t place, const rni_state *s)
{
    return place + (s->value->nbytes + 63) / 64 * 64;
}

static rn_status read_all(const loading *l, char *block)
{
    size_t place = 0;
    for (size_t i = 0; i < l->m->num_states; i++) {
        const rni_state *const s = &l->m->states[i];
        if (l->source[i])
            RNI_TRY(rni_weights_read_as(l->file, l->source[i], s->value->dtype, block + place));
        else
            memset(block + place, 0, s->value->nbytes);
        place = place_after(place, s);
    }
    return RN_OK;
}

static rn_status write_all(const loading *l, const char *block)
{
    size_t place = 0;
    for (size_t i = 0; i < l->m->num_states; i++) {
        const rni_state *const s = &l->m->states[i];
        if (l->source[i] || l->zero[i])
            RNI_TRY(rn_tensor_write(s->value, block + place, s->value->nbytes));
        place = place_after(place, s);
    }
    return RN_OK;
}

static rn_status transfer(const loading *l)
{
    size_t bytes = 0;
    for (size_t i = 0; i < l->m->num_states; i++)
        bytes = place_after(bytes, &l->m->states[i]);
    char *const block = rni_alloc(l->allocator, bytes);
    if (!block)
        return rni_nomem("weights to be loaded", bytes);
    rn_status status = read_all(l, block);
    if (status >= 0)
        status = write_all(l, block);
    rni_free(l->allocator, block);
    return status;
}

static rn_status load(loading *l, const char *path)
{
    RNI_TRY(rni_device_check(l->m->dev));
    l->source = rni_calloc(l->allocator, l->m->num_states + 1, sizeof *l->source);
    l->zero = rni_calloc(l->allocator, l->m->num_states + 1, sizeof *l->zero);
    if (!l->source || !l->zero)
        return rni_nomem("loading weights", l->m->num_states * sizeof *l->source);
    RNI_TRY(rni_weights_open(l->allocator, path, &l->file));
    RNI_TRY(match(l));
    const rn_status judged = judge(l);
    l->refused = judged < 0 && judged != RN_E_NOMEM;
    RNI_TRY(judged);
    return transfer(l);
}

static rn_status check_options(const rn_load_options *o)
{
    if (o->flags & ~(uint64_t)RN_LOAD_PARTIAL)
        return rni_fail(RN_E_INVALID, "rn_load_options.flags has the unknown bits 0x%llx",
                        (unsigned long long)(o->flags & ~(uint64_t)RN_LOAD_PARTIAL));
    if (o->num_renames && !o->renames)
        return rni_fail(RN_E_INVALID, "rn_load_options.renames is NULL, expected %zu pairs", o->num_renames);
    for (size_t i = 0; i < o->num_renames; i++)
        if (!o->renames[i].from || !o->renames[i].to)
            return rni_fail(RN_E_INVALID, "rn_load_options.renames[%zu] has a NULL name", i);
    return RN_OK;
}

/* Hands the lists to the caller, or frees them: a call that fails for anything else leaves nothing to free. */
static void give_lists(loading *l, int told, rn_load_options *options)
{
    if (options && told) {
        options->missing = l->missing.text.data;
        options->unexpected = l->unexpected.text.data;
        options->misshapen = l->misshapen.text.data;
        return;
    }
    rni_text_free(&l->missing.text);
    rni_text_free(&l->unexpected.text);
    rni_text_free(&l->misshapen.text);
}

rn_status rn_model_load(rn_model *m, const char *path, rn_load_options *options)
{
    RNI_REQUIRE(m);
    RNI_REQUIRE(path);
    rn_load_options o = defaults;
    RNI_TRY(rni_abi_read(&o, sizeof o, sizeof o, options, "rn_load_options"));
    RNI_TRY(check_options(&o));
    loading l = {.m = m, .options = &o, .allocator = &m->ctx->allocator};
    l.missing.text.allocator = l.unexpected.text.allocator = l.misshapen.text.allocator = &rni_default_allocator;
    const rn_status status = load(&l, path);
    rni_weights_close(l.file);
    rni_free(l.allocator, l.source);
    rni_free(l.allocator, l.zero);
    give_lists(&l, status == RN_OK || l.refused, options);
    return status;
}
