/* SPDX-License-Identifier: MIT */
/* Writing a file that appears only when it is complete: temporary file, sync, rename, sync of the folder. */
#include "base/alloc.h"
#include "base/error.h"
#include "base/io.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER_SIZE = 1 << 16, MAX_TRIES = 100 };

struct rni_writer {
    rn_allocator allocator;
    int fd;
    char *path, *temporary;
    size_t used;
    int failed; /* bytes are missing: nothing to commit */
    char buffer[BUFFER_SIZE];
};

/* The calling thread's writes until one fails, for tests; 0: none does. */
static _Thread_local int64_t fail_after;

void rni_io_fail_after(int64_t n)
{
    fail_after = n;
}

static ssize_t write_some(int fd, const void *data, size_t nbytes)
{
    if (fail_after == 1) { /* and stays so, as a full disk does */
        errno = ENOSPC;
        return -1;
    }
    fail_after -= fail_after > 0;
    return write(fd, data, nbytes);
}

static rn_status write_error(const rni_writer *w, const char *what)
{
    return rni_fail(RN_E_IO, "%s: %s: %s", w->path, what, strerror(errno));
}

static void discard(rni_writer *w, int remove_temporary)
{
    const rn_allocator allocator = w->allocator;
    if (w->fd >= 0)
        close(w->fd);
    if (remove_temporary && w->temporary)
        unlink(w->temporary);
    rni_free(&allocator, w->path);
    rni_free(&allocator, w->temporary);
    rni_free(&allocator, w);
}

/* A new file beside the path; the number makes the name free. */
static rn_status open_temporary(rni_writer *w)
{
    const size_t size = strlen(w->path) + 48;
    struct stat old;
    const int replaces = stat(w->path, &old) == 0;
    char *const name = rni_alloc(&w->allocator, size);
    if (!name)
        return rni_nomem("a file name", size);
    for (int i = 0; i < MAX_TRIES && w->fd < 0; i++) {
        snprintf(name, size, "%s.%ld-%d.part", w->path, (long)getpid(), i);
        w->fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (w->fd < 0 && errno != EEXIST)
            break;
    }
    if (w->fd < 0) {
        const rn_status status = write_error(w, "cannot be written");
        rni_free(&w->allocator, name);
        return status;
    }
    if (replaces)
        (void)!fchmod(w->fd, old.st_mode & 0777); /* as the old one was; file systems without modes are let be */
    w->temporary = name;
    return RN_OK;
}

rn_status rni_writer_open(const rn_allocator *allocator, const char *path, rni_writer **out)
{
    struct stat about;
    rni_writer *const w = rni_alloc(allocator, sizeof *w);
    if (!w)
        return rni_nomem("writing a file", sizeof *w);
    w->allocator = *allocator;
    w->fd = -1;
    w->used = 0;
    w->failed = 0;
    w->temporary = NULL;
    w->path = rni_strdup(allocator, path);
    rn_status status = w->path ? RN_OK : rni_nomem("a file name", strlen(path));
    if (status == RN_OK && stat(path, &about) == 0 && !S_ISREG(about.st_mode))
        status = rni_fail(RN_E_IO, "%s: is there and no regular file", path);
    if (status == RN_OK)
        status = open_temporary(w);
    if (status < 0) {
        discard(w, 0);
        return status;
    }
    *out = w;
    return RN_OK;
}

static rn_status write_all(rni_writer *w, const char *data, size_t nbytes)
{
    while (nbytes) {
        const ssize_t put = write_some(w->fd, data, nbytes);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0) {
            w->failed = 1;
            return write_error(w, "cannot be written");
        }
        data += put;
        nbytes -= (size_t)put;
    }
    return RN_OK;
}

static rn_status flush_buffer(rni_writer *w)
{
    const size_t used = w->used;
    w->used = 0;
    return write_all(w, w->buffer, used);
}

rn_status rni_writer_write(rni_writer *w, const void *data, size_t nbytes)
{
    if (w->used + nbytes > BUFFER_SIZE)
        RNI_TRY(flush_buffer(w));
    if (nbytes > BUFFER_SIZE)
        return write_all(w, data, nbytes);
    memcpy(w->buffer + w->used, data, nbytes);
    w->used += nbytes;
    return RN_OK;
}

/* The rename is on disk when the folder is. File systems that cannot sync a folder are let be. */
static rn_status sync_folder(rni_writer *w)
{
    char *const slash = strrchr(w->temporary, '/');
    const char *folder = ".";
    if (slash) {
        slash[slash == w->temporary] = '\0';
        folder = w->temporary;
    }
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return RN_OK;
    const int failed = fsync(fd) != 0 && errno != EINVAL && errno != EROFS;
    const int error = errno;
    close(fd);
    errno = error;
    return failed ? write_error(w, "its folder cannot be synced") : RN_OK;
}

static rn_status finish(rni_writer *w, int *renamed)
{
    if (w->failed)
        return rni_fail(RN_E_IO, "%s: a write failed before the commit", w->path);
    RNI_TRY(flush_buffer(w));
    if (fsync(w->fd) != 0)
        return write_error(w, "cannot be synced");
    const int fd = w->fd;
    w->fd = -1;
    if (close(fd) != 0)
        return write_error(w, "cannot be closed");
    if (rename(w->temporary, w->path) != 0)
        return write_error(w, "cannot be replaced");
    *renamed = 1;
    return sync_folder(w);
}

rn_status rni_writer_commit(rni_writer *w)
{
    int renamed = 0;
    const rn_status status = finish(w, &renamed);
    discard(w, !renamed);
    return status;
}

void rni_writer_abort(rni_writer *w)
{
    if (w)
        discard(w, 1);
}
