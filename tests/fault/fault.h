/* SPDX-License-Identifier: MIT */
/* Scenarios that are run again and again, each time with another allocation failing. */
#ifndef TEST_FAULT_H
#define TEST_FAULT_H

#include <resnet/resnet.h>

typedef struct fault_run {
    const rn_allocator *allocator; /* for the contexts the scenario makes */
    const char *folder;            /* for files, empty at the start of the program; there is still room on the disk */
    int again;                     /* a call that finds no memory is made once more, and must succeed then */
} fault_run;

typedef struct fault_scenario {
    const char *name;
    /* Uses the library and releases all it has. Returns the first failure (see STEP), RN_OK when all went well. */
    rn_status (*run)(const fault_run *run);
} fault_scenario;

/* Ends with a NULL name. */
extern const fault_scenario fault_scenarios[];

/* Within a scenario, with `rn_status status`, `run` and the label `done`. */
#define STEP(call)                                                           \
    do {                                                                     \
        status = (call);                                                     \
        if (status == RN_E_NOMEM && run->again)                              \
            status = (call);                                                 \
        if (status < 0)                                                      \
            goto done;                                                       \
    } while (0)

/* The same for a helper that has steps of its own. */
#define PASS(call)                                                           \
    do {                                                                     \
        status = (call);                                                     \
        if (status < 0)                                                      \
            goto done;                                                       \
    } while (0)

#endif
