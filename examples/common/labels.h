/* SPDX-License-Identifier: MIT */
/* Names of classes from a text file, one a line. */
#ifndef LABELS_H
#define LABELS_H

#include <stdint.h>

typedef struct labels {
    char *text;
    const char **name;
    int64_t count;
} labels;

/* Empty lines at the end do not count. Exits with 1 when the file cannot be read or holds no name. */
void labels_read(labels *l, const char *path);
void labels_close(labels *l);

#endif
