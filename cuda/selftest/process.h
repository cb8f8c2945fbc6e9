/* SPDX-License-Identifier: MIT */
/* A step's process, which leads a group of its own, so that what it starts ends with it; and the folder of this program. */
#ifndef SELFTEST_PROCESS_H
#define SELFTEST_PROCESS_H

#include <sys/types.h>

/* SIGINT, SIGTERM and SIGHUP end the step that runs and remove the folder before they end this process. */
void st_catch_signals(void);

/* fork(); the child has no such handlers. */
pid_t st_fork(void);
/* waitpid(), and then the end of whatever the child left running. 0 when there is nothing to wait for. */
int st_wait(pid_t child, int *status);

/*
 * A temporary folder that has the module under the name by which the library looks for it: an installed one is not loaded
 * beside. NULL: stderr says why.
 */
const char *st_make_folder(const char *module);
/* Does nothing when there is none. */
void st_remove_folder(void);

#endif
