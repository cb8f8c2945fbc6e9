/* SPDX-License-Identifier: MIT */
#include "files.h"
#include "check.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *read_file(const char *path, size_t most)
{
    char *const text = allocate(most + 1, 1);
    struct stat s;
    FILE *const file = fopen(path, "r");
    if (!file)
        fail(1, "%s: %s", path, strerror(errno));
    if (fstat(fileno(file), &s) != 0 || !S_ISREG(s.st_mode) || s.st_size > (off_t)most)
        fail(1, "%s: expected a text file of at most %zu bytes", path, most);
    const size_t length = fread(text, 1, most, file);
    if (ferror(file))
        fail(1, "%s: it cannot be read", path);
    fclose(file);
    if (strlen(text) != length)
        fail(1, "%s: expected text, got bytes of value 0", path);
    return text;
}

char *path_in(const char *dir, const char *name)
{
    const size_t size = strlen(dir) + strlen(name) + 2;
    char *const path = allocate(size, 1);
    snprintf(path, size, "%s/%s", dir, name);
    return path;
}

static void make_folder(const char *dir)
{
    if (mkdir(dir, 0777) != 0 && errno != EEXIST)
        fail(1, "--out %s: the folder cannot be made: %s", dir, strerror(errno));
}

void folder_prepare(const char *dir)
{
    char *const parent = path_in(dir, "");
    for (char *slash = strchr(parent + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        make_folder(parent);
        *slash = '/';
    }
    free(parent);
    char *const probe = path_in(dir, ".write-test");
    FILE *const file = fopen(probe, "w");
    if (!file || fclose(file) != 0)
        fail(1, "--out %s: files cannot be written there: %s", dir, strerror(errno));
    unlink(probe);
    free(probe);
}

FILE *replace_begin(const char *path, char **temporary)
{
    const size_t size = strlen(path) + sizeof ".tmp";
    *temporary = allocate(size, 1);
    snprintf(*temporary, size, "%s.tmp", path);
    FILE *const file = fopen(*temporary, "w");
    if (!file)
        fail(1, "%s: %s", *temporary, strerror(errno));
    return file;
}

void replace_end(FILE *file, char *temporary, const char *path)
{
    const int written = !ferror(file);
    if (fclose(file) != 0 || !written || rename(temporary, path) != 0)
        fail(1, "%s: it cannot be written: %s", path, strerror(errno));
    free(temporary);
}
