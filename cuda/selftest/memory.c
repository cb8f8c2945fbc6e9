/* SPDX-License-Identifier: MIT */
/* Step 2: what everything else stands on. */
#include "check_ops.h"
#include "selftest.h"
#include <stdint.h>
#include <string.h>

static void *base[RN_ROLE_COUNT];

/* A program without ops, and one that zeroes what the host wrote. */
static void check_program(selftest *t, const oc_machine *m, uint32_t num_ops)
{
    enum { COUNT = 1000 };
    static float back[COUNT];
    const uint32_t out = 0;
    const rn_value value = {.struct_size = sizeof value,
                            .dtype = RN_F32,
                            .role = RN_ROLE_ARENA,
                            .rank = 1,
                            .batch_axis = -1,
                            .dims = {COUNT},
                            .bytes = sizeof back};
    const rn_op op = {.struct_size = sizeof op,
                      .kind = RN_OP_FILL,
                      .out = &out,
                      .num_out = 1,
                      .path = "fill",
                      .workspace = RN_NO_VALUE};
    const rn_program_desc desc = {sizeof desc, &value, &op, 1, num_ops};
    const rn_run run = {.struct_size = sizeof run, .batch = 1, .num_ops = num_ops, .base = base, .grad_scale = 1};
    void *program = NULL;
    rn_fault fault = {.struct_size = sizeof fault};
    if (m->backend->program_create(m->dev, &desc, &program) != RN_OK) {
        st_fail(t, "program of %u ops: %s", num_ops, oc_host_message(m->host));
        return;
    }
    memset(back, 0x11, sizeof back);
    if (m->backend->copy_in(m->dev, m->queue, base[RN_ROLE_ARENA], back, sizeof back) != RN_OK ||
        m->backend->program_run(program, m->queue, &run) != RN_OK ||
        m->backend->queue_wait(m->dev, m->queue, &fault) != RN_OK || fault.status != RN_OK ||
        m->backend->copy_out(m->dev, m->queue, back, base[RN_ROLE_ARENA], sizeof back) != RN_OK)
        st_fail(t, "program of %u ops: %s%s", num_ops, oc_host_message(m->host), fault.message);
    else
        for (int i = 0; i < COUNT; i++)
            if ((back[i] == 0) != (num_ops == 1)) {
                st_fail(t, "program of %u ops: element %d is %g", num_ops, i, (double)back[i]);
                break;
            }
    m->backend->program_destroy(program);
}

static void check_programs(selftest *t, const oc_machine *m)
{
    enum { BYTES = 4096 };
    const int before = t->failures;
    if (m->backend->memory_alloc(m->dev, BYTES, &base[RN_ROLE_ARENA]) != RN_OK) {
        st_fail(t, "memory_alloc: %s", oc_host_message(m->host));
        return;
    }
    check_program(t, m, 0);
    check_program(t, m, 1);
    m->backend->memory_free(m->dev, base[RN_ROLE_ARENA], BYTES);
    if (t->failures == before)
        st_say("programs of no op and of one op run");
}

/* More than the device has must be refused, and leave it as it was. */
static void check_too_much(selftest *t, const oc_machine *m)
{
    void *memory = NULL;
    if (m->backend->memory_alloc(m->dev, m->info.total_bytes * 2, &memory) != RN_OK) {
        st_say("twice the device's memory is refused: %s", oc_host_message(m->host));
        return;
    }
    st_fail(t, "memory_alloc: gives twice the memory that there is");
    m->backend->memory_free(m->dev, memory, m->info.total_bytes * 2);
}

void st_step_memory(selftest *t)
{
    st_device d;
    checker k = {.seed = 1};
    if (!st_open(t, NULL, &d))
        return;
    check_table(&k, d.backend);
    if (!checker_open(&k, d.backend, d.index)) {
        st_fail(t, "device_open: %s", k.host ? oc_host_message(k.host) : "out of memory");
    } else {
        check_memory(&k);
        if (!k.failures)
            st_say("allocation, copies in, on the device and out, zeroes: as they should be");
        check_programs(t, &k.machine);
        check_too_much(t, &k.machine);
    }
    checker_close(&k);
    t->failures += k.failures;
    st_close(&d);
}
