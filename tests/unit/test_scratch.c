/* SPDX-License-Identifier: MIT */
/* Scratch memory of tasks: whose slot it is. */
#include "cpu/scratch.h"
#include "support.h"

enum { SLOTS = 3, BYTES = 100, TASKS = 12 };

static _Alignas(64) char memory[SLOTS * (RNI_SCRATCH_HEAD + 128)];

/* A thread takes neighbouring tasks: they have one slot, and those of other threads have others. */
START_TEST(neighbours_have_the_same_slot)
{
    const rni_scratch s = rni_scratch_make(memory, BYTES, SLOTS, TASKS);
    void *of[TASKS];
    for (size_t i = 0; i < TASKS; i++) {
        of[i] = rni_scratch_take(&s, i);
        rni_scratch_give(of[i]);
    }
    for (size_t i = 1; i < TASKS; i++)
        ck_assert_int_eq(of[i] == of[i - 1], i % (TASKS / SLOTS) != 0);
}
END_TEST

START_TEST(what_is_taken_is_not_taken_again)
{
    const rni_scratch s = rni_scratch_make(memory, BYTES, SLOTS, 2);
    char *taken[SLOTS];
    for (int i = 0; i < SLOTS; i++) {
        taken[i] = rni_scratch_take(&s, 1);
        ck_assert(taken[i] >= memory);
        ck_assert(taken[i] + BYTES <= memory + sizeof memory);
        for (int k = 0; k < i; k++)
            ck_assert(taken[i] - taken[k] >= BYTES || taken[k] - taken[i] >= BYTES);
    }
    rni_scratch_give(taken[1]);
    ck_assert_ptr_eq(rni_scratch_take(&s, 0), taken[1]);
}
END_TEST

/* What a run has left in a slot is nothing to the next run, and something to its own tasks. */
START_TEST(notes_last_for_a_run)
{
    memset(memory, 0x55, sizeof memory);
    for (int run = 0; run < 2; run++) {
        const rni_scratch s = rni_scratch_make(memory, BYTES, SLOTS, TASKS);
        for (size_t i = 0; i < TASKS; i++) {
            void *const taken = rni_scratch_take(&s, i);
            ck_assert_int_eq(*rni_scratch_note(taken), i % (TASKS / SLOTS) != 0);
            *rni_scratch_note(taken) = 1;
            memset(taken, 0x55, BYTES);
            rni_scratch_give(taken);
        }
    }
}
END_TEST

SUPPORT_MAIN("scratch", neighbours_have_the_same_slot, what_is_taken_is_not_taken_again, notes_last_for_a_run)
