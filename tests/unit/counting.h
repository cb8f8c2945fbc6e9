/* SPDX-License-Identifier: MIT */
/* An allocator that counts what is out, checks what comes back, and can run dry. */
#ifndef TEST_COUNTING_H
#define TEST_COUNTING_H

#include <resnet/base.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct counting {
    atomic_llong bytes, blocks; /* handed out and not given back */
    atomic_llong calls;         /* of alloc */
    atomic_llong fail_at;       /* this call fails; 0: none */
    atomic_int persistent;      /* and all later ones */
    atomic_int failures, wrong; /* calls that failed; frees that do not fit their alloc */
} counting;

/* Kept behind each block, to see that size and alignment come back as they were. */
typedef struct counting_mark {
    size_t size, align;
} counting_mark;

static inline void *counting_alloc(void *user, size_t size, size_t align)
{
    counting *const c = user;
    void *block = NULL;
    const long long call = atomic_fetch_add(&c->calls, 1) + 1, fail_at = atomic_load(&c->fail_at);
    if (fail_at && (call == fail_at || (atomic_load(&c->persistent) && call > fail_at))) {
        atomic_fetch_add(&c->failures, 1);
        return NULL;
    }
    const size_t body = (size + 15) / 16 * 16;
    if (align < 16 || (align & (align - 1)) || posix_memalign(&block, align, body + sizeof(counting_mark)) != 0)
        return NULL;
    *(counting_mark *)(void *)((char *)block + body) = (counting_mark){size, align};
    atomic_fetch_add(&c->bytes, (long long)size);
    atomic_fetch_add(&c->blocks, 1);
    return block;
}

static inline void counting_free(void *user, void *ptr, size_t size, size_t align)
{
    counting *const c = user;
    const size_t body = (size + 15) / 16 * 16;
    const counting_mark mark = *(counting_mark *)(void *)((char *)ptr + body);
    if (mark.size != size || mark.align != align)
        atomic_fetch_add(&c->wrong, 1);
    atomic_fetch_sub(&c->bytes, (long long)size);
    atomic_fetch_sub(&c->blocks, 1);
    free(ptr);
}

static inline rn_allocator counting_allocator(counting *c)
{
    return (rn_allocator){sizeof(rn_allocator), counting_alloc, counting_free, c};
}

#endif
