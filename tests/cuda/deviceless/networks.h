/* SPDX-License-Identifier: MIT */
/* The convolutions of nets of the zoo. */
#ifndef RNI_DEVICELESS_NETWORKS_H
#define RNI_DEVICELESS_NETWORKS_H

/*
 * Makes plans for training and inference of these nets (NULL at the end; NULL: every one of the zoo) on the paper backend,
 * which notes what they ask for; 0 when all went well.
 */
int networks_note(const char *const *nets);

#endif
