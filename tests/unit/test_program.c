/* SPDX-License-Identifier: MIT */
/* Programs, and the placement of their values. */
#include "graph/graph.h"
#include "support.h"

static rn_context *ctx;
static rn_device *cpu;
static rni_lowering low;

static void start(void)
{
    ctx = support_context(&cpu);
    memset(&low, 0, sizeof low);
    rni_program_init(&low.p, &ctx->allocator);
    low.dev = cpu;
    low.dtype = RN_F32;
    low.image_layout = RN_LAYOUT_NHWC;
}

static void stop(void)
{
    rni_program_free(&low.p);
    rni_free(&ctx->allocator, low.section);
    rn_context_release(ctx);
}

static uint32_t arena(int64_t images)
{
    uint32_t value = 0;
    const int64_t dims[2] = {images, 16};
    ck_ok(rni_program_value(&low.p, RN_F32, RN_ROLE_ARENA, RN_LAYOUT_PLAIN, 2, dims, 0, &value));
    return value;
}

static void append(int32_t kind, const uint32_t *in, uint32_t num_in, uint32_t out)
{
    ck_ok(rni_lower_op(&low, RNI_SECTION_FORWARD, kind, 0, in, num_in, &out, 1, NULL, 0, "somewhere"));
}

START_TEST(verification_names_the_op)
{
    start();
    const uint32_t a = arena(4), b = arena(4);
    append(RN_OP_RELU, &a, 1, b);
    ck_fails(rni_program_verify(&low.p), RN_E_INTERNAL, "op 0 (relu, somewhere): reads a value that nothing wrote");
    append(RN_OP_FILL, NULL, 0, a);
    const rn_op first = low.p.ops[0];
    low.p.ops[0] = low.p.ops[1];
    low.p.ops[1] = first;
    ck_ok(rni_program_verify(&low.p));
    low.p.ops[1].num_in = 0;
    ck_fails(rni_program_verify(&low.p), RN_E_INTERNAL, "wrong number of inputs");
    low.p.ops[1].num_in = 1;
    low.p.ops[1].kind = 999;
    ck_fails(rni_program_verify(&low.p), RN_E_INTERNAL, "unknown kind");
    low.p.ops[1].kind = RN_OP_MAXPOOL;
    ck_fails(rni_program_verify(&low.p), RN_E_INTERNAL, "params of the wrong size");
    const uint32_t beyond = 77;
    low.p.ops[1] = first;
    low.p.ops[1].in = &beyond;
    ck_fails(rni_program_verify(&low.p), RN_E_INTERNAL, "an input is no value");
    stop();
}
END_TEST

START_TEST(every_kind_has_a_name)
{
    for (int32_t kind = 1; kind < RN_OP_COUNT_; kind++)
        ck_assert_str_ne(rni_op_name(kind), "?");
    ck_assert_str_eq(rni_op_name(0), "?");
    ck_assert_str_eq(rni_op_name(RN_OP_COUNT_), "?");
}
END_TEST

START_TEST(views_share_their_root)
{
    start();
    const uint32_t a = arena(4);
    const int64_t flat = 64, wrong = 65;
    uint32_t view = 0, again = 0;
    ck_ok(rni_program_view(&low.p, a, RN_LAYOUT_PLAIN, 1, &flat, &view));
    ck_ok(rni_program_view(&low.p, view, RN_LAYOUT_PLAIN, 1, &flat, &again));
    ck_assert_uint_eq(low.p.root[again], a);
    ck_fails(rni_program_view(&low.p, a, RN_LAYOUT_PLAIN, 1, &wrong, &view), RN_E_INTERNAL, "a view of 260 bytes");
    const int64_t huge[3] = {INT64_C(1) << 40, INT64_C(1) << 40, 8};
    ck_fails(rni_program_value(&low.p, RN_F32, RN_ROLE_ARENA, RN_LAYOUT_PLAIN, 3, huge, 0, &view), RN_E_SHAPE,
             "too large");
    stop();
}
END_TEST

enum { MOST = 120, LINES = 8192 };

/*
 * Runs a placed program on lines of memory that hold the number of the value written there: an op whose input was
 * overwritten by another value finds a foreign number.
 */
static void check_by_running(uint64_t bytes)
{
    static uint32_t lines[LINES];
    ck_assert_uint_le(bytes / 64, LINES);
    memset(lines, 0xff, sizeof lines);
    for (uint32_t i = 0; i < low.p.num_ops; i++) {
        const rn_op *const op = &low.p.ops[i];
        for (uint32_t k = 0; k < op->num_in; k++) {
            const rn_value *const v = &low.p.values[op->in[k]];
            for (uint64_t line = v->offset / 64; line < (v->offset + v->bytes) / 64; line++)
                ck_assert_uint_eq(lines[line], op->in[k]);
        }
        const rn_value *const v = &low.p.values[op->out[0]];
        ck_assert_uint_le(v->offset + v->bytes, bytes);
        for (uint64_t line = v->offset / 64; line < (v->offset + v->bytes) / 64; line++)
            lines[line] = op->out[0];
    }
}

/* Sums of earlier values, ReLUs, and now and then a fresh start; sizes differ between chains. */
static void random_program(uint32_t seed)
{
    uint32_t made[MOST];
    int64_t sizes[MOST];
    for (uint32_t i = 0; i < MOST; i++) {
        const uint32_t pick = (uint32_t)((support_random(&seed) + 1) * 1000);
        const uint32_t a = i ? pick % i : 0, b = i ? (pick / 7) % i : 0;
        if (i < 3 || pick % 5 == 0) {
            sizes[i] = 1 + pick % 9;
            made[i] = arena(sizes[i]);
            append(RN_OP_FILL, NULL, 0, made[i]);
            continue;
        }
        sizes[i] = sizes[a];
        made[i] = arena(sizes[i]);
        const uint32_t in[2] = {made[a], made[b]};
        if (sizes[a] == sizes[b] && a != b)
            append(RN_OP_ADD, in, 2, made[i]);
        else
            append(RN_OP_RELU, in, 1, made[i]);
    }
}

START_TEST(no_value_is_overwritten_while_it_is_needed)
{
    uint64_t placed = 0, apart = 0;
    for (uint32_t seed = 1; seed <= 40; seed++) {
        rni_placement placement;
        start();
        random_program(seed * 2654435761u);
        ck_ok(rni_graph_place(&low, &placement));
        ck_assert_uint_ge(placement.arena, placement.lower_bound);
        check_by_running(placement.arena);
        placed += placement.arena;
        for (uint32_t v = 0; v < low.p.num_values; v++)
            apart += low.p.values[v].bytes;
        stop();
    }
    ck_assert_uint_lt(placed, apart); /* memory is shared at all */
}
END_TEST

SUPPORT_MAIN("program", verification_names_the_op, every_kind_has_a_name, views_share_their_root,
             no_value_is_overwritten_while_it_is_needed)
