/* SPDX-License-Identifier: MIT */
/*
 * Memory: every root value in the arena is a block that is alive from the op that writes it first to the op that uses
 * it last, or some ops longer where the device may run that op beside others; blocks alive together must not overlap.
 * Blocks are placed one by one into the lowest gap that fits; several orders are tried and the smallest result is kept.
 * No result can be below the most bytes alive at one op.
 */
#include "graph/graph.h"
#include <stdlib.h>
#include <string.h>

enum { PLACE_ALIGN = 64 };

typedef struct block {
    uint32_t value; /* root */
    uint32_t first, last;
    uint64_t bytes, offset, best;
} block;

typedef struct placing {
    rni_lowering *low;
    block *blocks;
    uint32_t num_blocks;
    uint32_t *block_of; /* per value; RN_NO_VALUE: none yet */
    block **order, **placed; /* placed: sorted by offset */
    rn_op_info *infos; /* of the ops */
} placing;

static uint64_t align_up(uint64_t bytes)
{
    return (bytes + PLACE_ALIGN - 1) / PLACE_ALIGN * PLACE_ALIGN;
}

/* Extends the life of the block behind a value from op i to op `last`. */
static void use(placing *pl, uint32_t value, uint32_t i, uint32_t last)
{
    const rni_program *const p = &pl->low->p;
    if (value == RN_NO_VALUE || p->values[value].role != RN_ROLE_ARENA)
        return;
    const uint32_t root = p->root[value];
    if (pl->block_of[root] == RN_NO_VALUE) {
        pl->block_of[root] = pl->num_blocks;
        pl->blocks[pl->num_blocks++] = (block){root, i, i, align_up(p->values[root].bytes), 0, 0};
    }
    block *const b = &pl->blocks[pl->block_of[root]];
    b->last = last > b->last ? last : b->last;
}

static void find_lives(placing *pl)
{
    const rni_program *const p = &pl->low->p;
    for (uint32_t i = 0; i < p->num_ops; i++) {
        const rn_op *const op = &p->ops[i];
        const uint32_t late = (uint32_t)pl->infos[i].late, last = late < p->num_ops - i ? i + late : p->num_ops - 1;
        for (uint32_t k = 0; k < op->num_in; k++)
            use(pl, op->in[k], i, last);
        for (uint32_t k = 0; k < op->num_out; k++)
            use(pl, op->out[k], i, last);
        use(pl, op->workspace, i, i);
    }
}

/*
 * An op that may write its output over an input joins both blocks, when the input ends there, the output begins
 * there and both have the same size.
 */
static void join_in_place(placing *pl, uint32_t i)
{
    rni_program *const p = &pl->low->p;
    const rn_op *const op = &p->ops[i];
    const int32_t in_place = pl->infos[i].in_place;
    if (in_place < 0 || (uint32_t)in_place >= op->num_in || (op->flags & RN_OPF_ACCUMULATE))
        return;
    const uint32_t in = op->in[in_place], out = op->out[0];
    if (in == RN_NO_VALUE || p->values[in].role != RN_ROLE_ARENA || p->values[out].role != RN_ROLE_ARENA)
        return;
    const uint32_t from = pl->block_of[p->root[in]], to = pl->block_of[p->root[out]];
    block *const a = &pl->blocks[from], *const b = &pl->blocks[to];
    if (from == to || a->last != i || b->first != i || a->bytes != b->bytes)
        return;
    a->last = b->last;
    b->bytes = 0;
    for (uint32_t v = 0; v < p->num_values; v++)
        if (pl->block_of[v] == to)
            pl->block_of[v] = from;
}

static uint64_t most_alive(const placing *pl)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < pl->low->p.num_ops; i++) {
        uint64_t alive = 0;
        for (uint32_t b = 0; b < pl->num_blocks; b++)
            if (pl->blocks[b].first <= i && i <= pl->blocks[b].last)
                alive += pl->blocks[b].bytes;
        most = alive > most ? alive : most;
    }
    return most;
}

static int by_bytes(const void *x, const void *y)
{
    const block *const a = *(block *const *)x, *const b = *(block *const *)y;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? 1 : -1;
    return a->first < b->first ? -1 : a->first > b->first;
}

static int by_area(const void *x, const void *y)
{
    const block *const a = *(block *const *)x, *const b = *(block *const *)y;
    const uint64_t area_a = a->bytes * (a->last - a->first + 1), area_b = b->bytes * (b->last - b->first + 1);
    return area_a == area_b ? by_bytes(x, y) : area_a < area_b ? 1 : -1;
}

static int by_first(const void *x, const void *y)
{
    const block *const a = *(block *const *)x, *const b = *(block *const *)y;
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    return by_bytes(x, y);
}

static int by_life(const void *x, const void *y)
{
    const block *const a = *(block *const *)x, *const b = *(block *const *)y;
    const uint32_t life_a = a->last - a->first, life_b = b->last - b->first;
    return life_a == life_b ? by_bytes(x, y) : life_a < life_b ? 1 : -1;
}

/* The lowest gap among what is placed and alive at the same time. */
static void place_block(placing *pl, uint32_t count, block *b)
{
    uint64_t end = 0;
    for (uint32_t k = 0; k < count; k++) {
        const block *const other = pl->placed[k];
        if (other->last < b->first || b->last < other->first)
            continue;
        if (other->offset >= end + b->bytes)
            break;
        if (other->offset + other->bytes > end)
            end = other->offset + other->bytes;
    }
    b->offset = end;
    uint32_t at = count;
    for (; at > 0 && pl->placed[at - 1]->offset > b->offset; at--)
        pl->placed[at] = pl->placed[at - 1];
    pl->placed[at] = b;
}

static uint64_t place_all(placing *pl, int (*order)(const void *, const void *))
{
    uint64_t top = 0;
    uint32_t count = 0;
    qsort(pl->order, pl->num_blocks, sizeof *pl->order, order);
    for (uint32_t i = 0; i < pl->num_blocks; i++) {
        block *const b = pl->order[i];
        if (!b->bytes)
            continue;
        place_block(pl, count++, b);
        top = b->offset + b->bytes > top ? b->offset + b->bytes : top;
    }
    return top;
}

static uint64_t best_placement(placing *pl)
{
    static int (*const orders[])(const void *, const void *) = {by_bytes, by_area, by_first, by_life};
    uint64_t best = UINT64_MAX;
    for (size_t k = 0; k < sizeof orders / sizeof *orders; k++) {
        const uint64_t top = place_all(pl, orders[k]);
        if (top >= best)
            continue;
        best = top;
        for (uint32_t i = 0; i < pl->num_blocks; i++)
            pl->blocks[i].best = pl->blocks[i].offset;
    }
    return best == UINT64_MAX ? 0 : best;
}

static void write_offsets(placing *pl, rni_placement *out)
{
    rni_program *const p = &pl->low->p;
    uint64_t derived = 0;
    for (uint32_t v = 0; v < p->num_values; v++) {
        rn_value *const value = &p->values[v];
        if (value->role == RN_ROLE_ARENA && pl->block_of[p->root[v]] != RN_NO_VALUE)
            value->offset = pl->blocks[pl->block_of[p->root[v]]].best;
        if (value->role == RN_ROLE_DERIVED) {
            value->offset = derived;
            derived += align_up(value->bytes);
        }
    }
    out->derived = derived;
}

static rn_status place(placing *pl, rni_placement *out)
{
    const uint32_t ops = pl->low->p.num_ops;
    for (uint32_t i = 0; i < ops; i++)
        RNI_TRY(rni_graph_ask(pl->low, &pl->low->p.ops[i], &pl->infos[i]));
    find_lives(pl);
    for (uint32_t i = 0; i < ops; i++)
        join_in_place(pl, i);
    for (uint32_t i = 0; i < pl->num_blocks; i++)
        pl->order[i] = &pl->blocks[i];
    out->lower_bound = most_alive(pl);
    out->arena = best_placement(pl);
    write_offsets(pl, out);
    return RN_OK;
}

rn_status rni_graph_place(rni_lowering *low, rni_placement *out)
{
    const rn_allocator *const allocator = low->p.allocator;
    const uint32_t n = low->p.num_values + 1;
    const uint32_t ops = low->p.num_ops + 1;
    placing pl = {.low = low};
    rn_status status = RN_OK;
    pl.blocks = rni_calloc(allocator, n, sizeof *pl.blocks);
    pl.block_of = rni_alloc(allocator, n * sizeof *pl.block_of);
    pl.order = rni_calloc(allocator, n, sizeof *pl.order);
    pl.placed = rni_calloc(allocator, n, sizeof *pl.placed);
    pl.infos = rni_calloc(allocator, ops, sizeof *pl.infos);
    if (!pl.blocks || !pl.block_of || !pl.order || !pl.placed || !pl.infos) {
        status = rni_nomem("placing values", n * sizeof *pl.blocks + ops * sizeof *pl.infos);
    } else {
        memset(pl.block_of, 0xff, n * sizeof *pl.block_of);
        status = place(&pl, out);
    }
    rni_free(allocator, pl.blocks);
    rni_free(allocator, pl.block_of);
    rni_free(allocator, pl.order);
    rni_free(allocator, pl.placed);
    rni_free(allocator, pl.infos);
    return status;
}
