/* SPDX-License-Identifier: MIT */
/* rn_model_save() and rn_model_load(): names, shapes, types, and that a refused load changes nothing. */
#include "base/io.h"
#include "format/safetensors.h"
#include "model/model.h"
#include "support.h"
#include <unistd.h>

static rn_context *ctx;
static rn_device *cpu;
static rn_model *model;
static char path[64];

static rn_model *make_model(uint64_t seed)
{
    rn_model *m = NULL;
    rn_layer *net = support_net(ctx, 3, 10);
    ck_ok(rn_model_create(ctx, net, cpu, &m));
    ck_ok(rn_model_init(m, seed));
    rn_layer_release(net);
    return m;
}

static void start(void)
{
    ctx = support_context(&cpu);
    model = make_model(1);
    for (size_t i = 0; i < model->num_states; i++) /* counters that differ from 0 */
        if (model->states[i].value->dtype == RN_I64)
            *(int64_t *)rn_tensor_data(model->states[i].value) = 41;
    snprintf(path, sizeof path, "/tmp/load-%ld", (long)getpid());
    unlink(path);
}

static void stop(void)
{
    unlink(path);
    rn_model_release(model);
    rn_context_release(ctx);
}

static int same_state(const rn_model *a, const rn_model *b, size_t i)
{
    return memcmp(rn_tensor_data(a->states[i].value), rn_tensor_data(b->states[i].value), a->states[i].value->nbytes) ==
           0;
}

static void assert_same(const rn_model *a, const rn_model *b)
{
    for (size_t i = 0; i < a->num_states; i++)
        ck_assert_msg(same_state(a, b, i), "%s differs", a->states[i].name);
}

/* How the file that write_variant() makes differs from the model's own. */
typedef struct variant {
    const char *prefix; /* before every name */
    const char *without; /* leaves out names that match this glob */
    const char *renamed, *to; /* one name */
    const char *extra; /* one more name */
    const char *reshaped; /* this one has shape [1, 2] */
    rn_dtype float_dtype; /* of everything that is f32; 0: f32 */
    rn_dtype counter_dtype; /* of counters; 0: i64 */
} variant;

static void put_variant(rni_st_builder *b, const variant *v, const rni_state *s)
{
    static char pool[1 << 20];
    static size_t used;
    char name[200];
    const rn_tensor *const t = s->value;
    const int64_t two[] = {1, 2};
    if (v->without && rni_glob(v->without, s->name))
        return;
    snprintf(name, sizeof name, "%s%s", v->prefix ? v->prefix : "",
             v->renamed && strcmp(v->renamed, s->name) == 0 ? v->to : s->name);
    if (v->reshaped && strcmp(v->reshaped, s->name) == 0) {
        ck_ok(rni_st_put_host(b, name, RN_F32, 2, two, rn_tensor_data(t)));
        return;
    }
    const rn_dtype wanted = t->dtype == RN_F32 ? v->float_dtype : v->counter_dtype;
    rn_tensor *copy = NULL;
    ck_ok(rn_tensor_create(cpu, wanted ? wanted : t->dtype, t->rank, t->dims, &copy));
    ck_ok(rn_tensor_copy(t, copy));
    used = (used + 63) / 64 * 64;
    if (used + copy->nbytes > sizeof pool)
        used = 0;
    memcpy(pool + used, rn_tensor_data(copy), copy->nbytes);
    ck_ok(rni_st_put_host(b, name, copy->dtype, copy->rank, copy->dims, pool + used));
    used += copy->nbytes;
    rn_tensor_release(copy);
}

static void write_variant(const variant *v)
{
    static const float one = 1.0f;
    rni_st_builder b;
    rni_st_begin(&b, &ctx->allocator);
    for (size_t i = 0; i < model->num_states; i++)
        put_variant(&b, v, &model->states[i]);
    if (v->extra)
        ck_ok(rni_st_put_host(&b, v->extra, RN_F32, 0, NULL, &one));
    ck_ok(rni_st_save(&b, path));
    rni_st_end(&b);
}

START_TEST(save_and_load)
{
    start();
    rn_model *other = make_model(2);
    const uint64_t generation = other->states[0].generation;
    ck_ok(rn_model_save(model, path));
    ck_assert(!same_state(model, other, 0));
    ck_ok(rn_model_load(other, path, NULL));
    assert_same(model, other);
    ck_assert_uint_gt(other->states[0].generation, generation); /* plans derive their weights anew */
    rni_st_file *f = NULL;
    ck_ok(rni_st_open(&ctx->allocator, path, &f));
    ck_assert_str_eq(rni_st_metadata(f, "format"), "pt");
    ck_assert_uint_eq(rni_st_count(f), model->num_states);
    rni_st_close(f);
    rn_model_release(other);
    stop();
}
END_TEST

START_TEST(prefix_and_renames)
{
    static const rn_rename renames[] = {
        {"stem.conv.", "first."}, {"stem.", "trunk."}, {"trunk", "nowhere"}, {"fc.bias", "fc.b"}};
    static const rn_rename back[] = {{"first.", "stem.conv."}};
    start();
    rn_model *other = make_model(2);
    rn_load_options o = RN_LOAD_OPTIONS_INIT;
    const variant v = {.prefix = "module."};
    write_variant(&v);
    ck_fails(rn_model_load(other, path, NULL), RN_E_NOT_FOUND, "missing");
    o.strip_prefix = "module.";
    ck_ok(rn_model_load(other, path, &o));
    assert_same(model, other);
    ck_assert_ptr_null(o.missing);
    ck_assert_ptr_null(o.unexpected);

    /* The first pair that fits is used, and only that one. */
    o.renames = renames;
    o.num_renames = 4;
    ck_fails(rn_model_load(other, path, &o), RN_E_NOT_FOUND, "the first: missing stem.conv.weight");
    ck_assert_ptr_nonnull(strstr(o.unexpected, "module.stem.bn.weight"));
    rn_load_report_release(&o);
    const variant renamed = {.renamed = "stem.conv.weight", .to = "first.weight"};
    write_variant(&renamed);
    o.renames = back;
    o.num_renames = 1;
    o.strip_prefix = NULL;
    ck_ok(rn_model_init(other, 3));
    ck_ok(rn_model_load(other, path, &o));
    assert_same(model, other);
    /* Two names that become one. */
    const variant twice = {.extra = "first.weight"};
    write_variant(&twice);
    ck_fails(rn_model_load(other, path, &o), RN_E_INVALID,
             "first.weight and stem.conv.weight both become stem.conv.weight");
    rn_load_report_release(&o);
    rn_model_release(other);
    stop();
}
END_TEST

/* A star lets a rename fit anywhere in a name; the first pair that fits is the only one used. */
START_TEST(renames_within_names)
{
    static const rn_rename renames[] = {{"*.bn.", ".norm."}, {"head.", "fc."}, {"*.norm.", ".bn."}};
    rn_load_options o = RN_LOAD_OPTIONS_INIT;
    start();
    rn_model *other = make_model(2);
    const variant v = {.renamed = "block2.downsample.bn.weight", .to = "block2.downsample.norm.weight"};
    write_variant(&v);
    o.renames = renames + 1;
    o.num_renames = 2;
    ck_ok(rn_model_load(other, path, &o));
    assert_same(model, other);
    o.renames = renames;
    o.num_renames = 3;
    ck_fails(rn_model_load(other, path, &o), RN_E_NOT_FOUND, "missing stem.bn.weight");
    rn_load_report_release(&o);
    rn_model_release(other);
    stop();
}
END_TEST

START_TEST(missing_and_unexpected)
{
    start();
    rn_model *other = make_model(2), *before = make_model(2);
    rn_load_options o = RN_LOAD_OPTIONS_INIT;
    const variant v = {.without = "fc.*", .extra = "head.weight"};
    write_variant(&v);
    ck_fails(rn_model_load(other, path, &o), RN_E_NOT_FOUND,
             "2 names missing, 1 unexpected, 0 misshapen; the first: missing fc.weight");
    ck_assert_ptr_nonnull(strstr(rn_error_message(), path));
    ck_assert_str_eq(o.missing, "fc.weight\nfc.bias");
    ck_assert_str_eq(o.unexpected, "head.weight");
    ck_assert_ptr_null(o.misshapen);
    assert_same(before, other);
    rn_load_report_release(&o);
    ck_assert_ptr_null(o.missing);

    const variant more = {.extra = "head\nweight"};
    write_variant(&more);
    ck_fails(rn_model_load(other, path, &o), RN_E_NOT_FOUND, "the first: unexpected head?weight");
    ck_assert_str_eq(o.unexpected, "head?weight");
    ck_assert_ptr_null(o.missing);
    rn_load_report_release(&o);
    assert_same(before, other);

    write_variant(&v); /* what fits is loaded when the host says so; the lists tell the rest */
    o.flags = RN_LOAD_PARTIAL;
    ck_ok(rn_model_load(other, path, &o));
    ck_assert_str_eq(o.missing, "fc.weight\nfc.bias");
    ck_assert_str_eq(o.unexpected, "head.weight");
    for (size_t i = 0; i < model->num_states; i++)
        ck_assert(same_state(strncmp(model->states[i].name, "fc.", 3) ? model : before, other, i));
    rn_load_report_release(&o);
    rn_load_report_release(NULL);
    rn_model_release(other);
    rn_model_release(before);
    stop();
}
END_TEST

START_TEST(misshapen)
{
    start();
    rn_model *other = make_model(2), *before = make_model(2);
    rn_load_options o = RN_LOAD_OPTIONS_INIT;
    const variant v = {.reshaped = "fc.weight", .without = "stem.bn.*"};
    write_variant(&v);
    for (int partial = 0; partial < 2; partial++) { /* wrong shapes are never let pass */
        o.flags = partial ? RN_LOAD_PARTIAL : 0;
        ck_fails(
            rn_model_load(other, path, &o), RN_E_SHAPE,
            "5 names missing, 0 unexpected, 1 misshapen; the first: misshapen fc.weight: file [1, 2], model [10, 16]");
        ck_assert_str_eq(o.misshapen, "fc.weight: file [1, 2], model [10, 16]");
        ck_assert_ptr_nonnull(
            strstr(o.missing, "stem.bn.running_mean\nstem.bn.running_var\nstem.bn.num_batches_tracked"));
        rn_load_report_release(&o);
        assert_same(before, other);
    }
    rn_model_release(other);
    rn_model_release(before);
    stop();
}
END_TEST

START_TEST(absent_counters_are_zero)
{
    start();
    rn_model *other = make_model(2);
    const size_t counter = rni_model_index(other, "stem.bn.num_batches_tracked");
    int64_t *const value = rn_tensor_data(other->states[counter].value);
    const variant v = {.without = "*.num_batches_tracked"};
    rn_load_options o = RN_LOAD_OPTIONS_INIT;
    write_variant(&v);
    *value = 17;
    ck_ok(rn_model_load(other, path, &o));
    ck_assert_int_eq(*value, 0);
    ck_assert_ptr_null(o.missing);
    /* A batch normalisation that is missing as a whole keeps its counter. */
    const variant none = {.without = "stem.bn.*"};
    write_variant(&none);
    *value = 17;
    o.flags = RN_LOAD_PARTIAL;
    ck_ok(rn_model_load(other, path, &o));
    ck_assert_int_eq(*value, 17);
    ck_assert_ptr_nonnull(strstr(o.missing, "stem.bn.num_batches_tracked"));
    rn_load_report_release(&o);
    rn_model_release(other);
    stop();
}
END_TEST

START_TEST(types_are_converted)
{
    static const rn_dtype types[] = {RN_F64, RN_F16, RN_BF16};
    start();
    rn_model *other = make_model(2);
    for (int i = 0; i < 3; i++) {
        const variant v = {.float_dtype = types[i], .counter_dtype = RN_I32};
        write_variant(&v);
        ck_ok(rn_model_load(other, path, NULL));
        for (size_t s = 0; s < model->num_states; s++) {
            const rn_tensor *const a = model->states[s].value, *const b = other->states[s].value;
            if (types[i] == RN_F64 || a->dtype == RN_I64) {
                ck_assert_msg(same_state(model, other, s), "%s differs", model->states[s].name);
                continue;
            }
            for (int64_t k = 0; k < a->count; k++) {
                const float x = ((float *)rn_tensor_data(a))[k], y = ((float *)rn_tensor_data(b))[k];
                ck_assert_float_eq_tol(x, y, (x < 0 ? -x : x) * (types[i] == RN_F16 ? 0.0005f : 0.004f) + 1e-7f);
            }
        }
    }
    rn_model *before = make_model(2);
    ck_ok(rn_model_init(other, 2));
    const variant integers = {.float_dtype = RN_I32};
    write_variant(&integers);
    ck_fails(rn_model_load(other, path, NULL), RN_E_DTYPE, "is I32, which is not read as f32");
    const variant counters = {.counter_dtype = RN_F32};
    write_variant(&counters);
    ck_fails(rn_model_load(other, path, NULL), RN_E_DTYPE, "num_batches_tracked is F32, which is not read as i64");
    assert_same(before, other);
    rn_model_release(before);
    rn_model_release(other);
    stop();
}
END_TEST

START_TEST(broken_files_change_nothing)
{
    start();
    rn_model *other = make_model(2), *before = make_model(2);
    rn_load_options o = RN_LOAD_OPTIONS_INIT;
    ck_fails(rn_model_load(other, path, &o), RN_E_NOT_FOUND, path);
    ck_ok(rn_model_save(model, path));
    ck_assert_int_eq(truncate(path, 5000), 0);
    ck_fails(rn_model_load(other, path, &o), RN_E_FORMAT, path);
    ck_assert_ptr_null(o.missing);
    assert_same(before, other);
    rn_model_release(other);
    rn_model_release(before);
    stop();
}
END_TEST

START_TEST(saving_fails_cleanly)
{
    char before[16] = {0};
    start();
    FILE *f = fopen(path, "w");
    fputs("before", f);
    fclose(f);
    ck_fails(rn_model_save(model, "/nowhere/at/all"), RN_E_IO, "/nowhere/at/all");
    rni_io_fail_after(1);
    ck_fails(rn_model_save(model, path), RN_E_IO, path);
    rni_io_fail_after(0);
    f = fopen(path, "r");
    ck_assert_uint_eq(fread(before, 1, sizeof before, f), 6);
    fclose(f);
    ck_assert_str_eq(before, "before");
    ck_fails(rn_model_save(NULL, path), RN_E_INVALID, "m is NULL");
    ck_fails(rn_model_save(model, NULL), RN_E_INVALID, "path is NULL");
    stop();
}
END_TEST

START_TEST(options_refuse)
{
    static const rn_rename half[] = {{"a", NULL}};
    rn_load_options o = RN_LOAD_OPTIONS_INIT;
    start();
    ck_fails(rn_model_load(NULL, path, NULL), RN_E_INVALID, "m is NULL");
    ck_fails(rn_model_load(model, NULL, NULL), RN_E_INVALID, "path is NULL");
    o.flags = 6;
    ck_fails(rn_model_load(model, path, &o), RN_E_INVALID, "rn_load_options.flags has the unknown bits 0x6");
    o.flags = 0;
    o.num_renames = 1;
    ck_fails(rn_model_load(model, path, &o), RN_E_INVALID, "renames is NULL, expected 1 pairs");
    o.renames = half;
    ck_fails(rn_model_load(model, path, &o), RN_E_INVALID, "renames[0] has a NULL name");
    o.struct_size = 0;
    ck_fails(rn_model_load(model, path, &o), RN_E_VERSION, "rn_load_options");
    ck_ok(rn_load_options_init(&o, sizeof o));
    ck_assert_uint_eq(o.struct_size, sizeof o);
    stop();
}
END_TEST

SUPPORT_MAIN("load", save_and_load, prefix_and_renames, renames_within_names, missing_and_unexpected, misshapen,
             absent_counters_are_zero, types_are_converted, broken_files_change_nothing, saving_fails_cleanly,
             options_refuse)
