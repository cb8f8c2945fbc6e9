/* SPDX-License-Identifier: MIT */
/*
 * The device pages that a launch touches, as they were before. While they are looked for all pages are out of reach; the
 * first touch of each brings the signal handler here. Under full checking the hooks come first.
 */
#ifndef RNI_SIMULATOR_TOUCH_H
#define RNI_SIMULATOR_TOUCH_H

#include "memory.h"
#include <map>

namespace sim
{
struct OldPage {
    unsigned char content[PAGE];
    unsigned char defined[PAGE]; /* 1: somebody had written the byte */
};
typedef std::map<uintptr_t, OldPage *> OldPages; /* by address */

/* Around the launch; memory is unlocked. */
void begin_touches();
void end_touches();

/* What was touched in between; forgotten with forget_touches. */
const OldPages &touched_pages();
void forget_touches();

/* The running kernel is about to touch these bytes. True when that was news: a first touch of a page. */
bool note_touch(uintptr_t address, size_t bytes);
} // namespace sim

#endif
