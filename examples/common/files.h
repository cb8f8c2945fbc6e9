/* SPDX-License-Identifier: MIT */
/* The output folder, and files that appear only when they are complete. */
#ifndef FILES_H
#define FILES_H

#include <stdio.h>

/* The text of a file; free() it. Exits with 1 when it cannot be read, is longer than `most` bytes or holds a byte of 0. */
char *read_file(const char *path, size_t most);

/* DIR/NAME; free() it. */
char *path_in(const char *dir, const char *name);

/* Makes the folder and those above it, and sees that files can be written there. Exits with 1 if not. */
void folder_prepare(const char *dir);

/* Opens a temporary file beside `path`; replace_end() gives it that name. */
FILE *replace_begin(const char *path, char **temporary);
void replace_end(FILE *file, char *temporary, const char *path);

#endif
