/* SPDX-License-Identifier: MIT */
/* Contexts that keep what is logged of CUDA. */
#ifndef TEST_LOGGED_H
#define TEST_LOGGED_H

#include "../unit/support.h"

/* The last line, and how many there were of the running context. */
extern char logged_text[300];
extern int logged_lines;

/* A context of one thread, without the module. */
rn_context *logged_context(void);

#endif
