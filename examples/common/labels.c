/* SPDX-License-Identifier: MIT */
#include "labels.h"
#include "check.h"
#include "files.h"
#include <stdlib.h>
#include <string.h>

/* Takes the next line off the text. */
static char *next_line(char **text)
{
    char *const line = *text, *const end = line + strcspn(line, "\n");
    *text = *end ? end + 1 : NULL;
    *end = '\0';
    if (end > line && end[-1] == '\r')
        end[-1] = '\0';
    return line;
}

void labels_read(labels *l, const char *path)
{
    int64_t lines = 1;
    l->text = read_file(path, 1 << 20);
    for (const char *c = l->text; *c; c++)
        lines += *c == '\n';
    l->name = allocate((size_t)lines, sizeof *l->name);
    l->count = 0;
    for (char *rest = l->text; rest;)
        l->name[l->count++] = next_line(&rest);
    while (l->count && !*l->name[l->count - 1])
        l->count--;
    if (!l->count)
        fail(1, "%s: expected the name of a class on each line, got nothing", path);
}

void labels_close(labels *l)
{
    free(l->name);
    free(l->text);
}
