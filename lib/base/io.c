/* SPDX-License-Identifier: MIT */
/* Reading files: ranges, whole files, gzip. */
#include "base/io.h"
#include "base/alloc.h"
#include "base/error.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

struct rni_file {
    rn_allocator allocator;
    int fd;
    uint64_t size;
    char *path;
};

static rn_status open_error(const char *path)
{
    const rn_status status = errno == ENOENT || errno == ENOTDIR ? RN_E_NOT_FOUND : RN_E_IO;
    return rni_fail(status, "%s: cannot be opened: %s", path, strerror(errno));
}

rn_status rni_file_open(const rn_allocator *allocator, const char *path, rni_file **out, uint64_t *size)
{
    struct stat about;
    /* O_NONBLOCK: a pipe without a writer must not hold us up before it is refused. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return open_error(path);
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) {
        close(fd);
        return rni_fail(RN_E_IO, "%s: is no regular file", path);
    }
    rni_file *const file = rni_calloc(allocator, 1, sizeof *file);
    char *const copy = rni_strdup(allocator, path);
    if (!file || !copy) {
        rni_free(allocator, file);
        rni_free(allocator, copy);
        close(fd);
        return rni_nomem("an open file", sizeof *file);
    }
    *file = (rni_file){*allocator, fd, (uint64_t)about.st_size, copy};
    *out = file;
    if (size)
        *size = file->size;
    return RN_OK;
}

rn_status rni_file_read(rni_file *file, uint64_t offset, void *dst, size_t nbytes)
{
    size_t done = 0;
    if (offset > file->size || nbytes > file->size - offset)
        return rni_fail(RN_E_FORMAT, "%s: ends early: %llu bytes wanted at %llu, the file has %llu", file->path,
                        (unsigned long long)nbytes, (unsigned long long)offset, (unsigned long long)file->size);
    while (done < nbytes) {
        const ssize_t got = pread(file->fd, (char *)dst + done, nbytes - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return rni_fail(RN_E_IO, "%s: cannot be read: %s", file->path, strerror(errno));
        if (got == 0)
            return rni_fail(RN_E_FORMAT, "%s: ends early: it became shorter while it was read", file->path);
        done += (size_t)got;
    }
    return RN_OK;
}

void rni_file_close(rni_file *file)
{
    if (!file)
        return;
    const rn_allocator allocator = file->allocator;
    close(file->fd);
    rni_free(&allocator, file->path);
    rni_free(&allocator, file);
}

static void *zlib_alloc(void *user, unsigned items, unsigned size)
{
    return rni_calloc(user, items, size);
}

static void zlib_free(void *user, void *ptr)
{
    rni_free(user, ptr);
}

/* The unpacked bytes of all gzip members in `packed`. */
typedef struct unpacking {
    const rn_allocator *allocator;
    const char *path;
    z_stream stream;
    size_t max_bytes, capacity, used;
    unsigned char *data;
} unpacking;

static rn_status grow_output(unpacking *u)
{
    /* One byte more than allowed: only one that is really there is too many. */
    if (u->capacity > u->max_bytes)
        return rni_fail(RN_E_FORMAT, "%s: unpacks to more than %zu bytes", u->path, u->max_bytes);
    const size_t doubled = u->capacity ? u->capacity * 2 : 1 << 16;
    const size_t wanted = doubled > u->max_bytes ? u->max_bytes + 1 : doubled;
    unsigned char *const grown = rni_realloc(u->allocator, u->data, wanted);
    if (!grown)
        return rni_nomem(u->path, wanted);
    u->data = grown;
    u->capacity = wanted;
    return RN_OK;
}

static rn_status inflate_member(unpacking *u)
{
    int code = Z_OK;
    while (code != Z_STREAM_END) {
        if (u->used == u->capacity)
            RNI_TRY(grow_output(u));
        const size_t room = u->capacity - u->used, part = room > 1 << 30 ? 1 << 30 : room;
        u->stream.next_out = u->data + u->used;
        u->stream.avail_out = (unsigned)part;
        code = inflate(&u->stream, Z_NO_FLUSH);
        u->used += part - u->stream.avail_out;
        if (code == Z_MEM_ERROR)
            return rni_nomem("zlib", 1 << 16);
        if (code != Z_OK && code != Z_STREAM_END)
            return rni_fail(RN_E_FORMAT, "%s: broken gzip stream: %s", u->path,
                            u->stream.msg ? u->stream.msg : "it ends early");
    }
    return RN_OK;
}

static rn_status unpack(unpacking *u, void *packed, size_t size)
{
    u->stream.zalloc = zlib_alloc;
    u->stream.zfree = zlib_free;
    u->stream.opaque = (void *)u->allocator;
    u->stream.next_in = packed;
    u->stream.avail_in = (unsigned)size;
    if (inflateInit2(&u->stream, 16 + MAX_WBITS) != Z_OK)
        return rni_nomem("zlib", 1 << 16);
    rn_status status = inflate_member(u);
    while (status == RN_OK && u->stream.avail_in > 0) {
        inflateReset(&u->stream);
        status = inflate_member(u);
    }
    if (status == RN_OK && u->used > u->max_bytes)
        status = grow_output(u);
    inflateEnd(&u->stream);
    return status;
}

static rn_status unpack_gzip(const rn_allocator *allocator, const char *path, size_t max_bytes, void **data,
                             size_t *size)
{
    if (*size > UINT32_MAX)
        return rni_fail(RN_E_FORMAT, "%s: packed files above 4 GiB are not read", path);
    unpacking u = {.allocator = allocator, .path = path, .max_bytes = max_bytes};
    const rn_status status = unpack(&u, *data, *size);
    rni_free(allocator, *data);
    *data = NULL;
    if (status < 0) {
        rni_free(allocator, u.data);
        return status;
    }
    *data = u.data;
    *size = u.used;
    return RN_OK;
}

static rn_status read_raw(const rn_allocator *allocator, rni_file *file, void **data)
{
    *data = rni_alloc(allocator, file->size);
    if (!*data)
        return rni_nomem(file->path, file->size);
    const rn_status status = rni_file_read(file, 0, *data, file->size);
    if (status < 0)
        rni_free(allocator, *data);
    return status;
}

rn_status rni_read_whole(const rn_allocator *allocator, const char *path, size_t max_bytes, void **data, size_t *size)
{
    rni_file *file = NULL;
    uint64_t bytes = 0;
    void *raw = NULL;
    RNI_TRY(rni_file_open(allocator, path, &file, &bytes));
    rn_status status = RN_OK;
    if (bytes > max_bytes)
        status = rni_fail(RN_E_FORMAT, "%s: has %llu bytes, expected at most %zu", path, (unsigned long long)bytes,
                          max_bytes);
    if (status == RN_OK)
        status = read_raw(allocator, file, &raw);
    rni_file_close(file);
    if (status < 0)
        return status;
    size_t used = bytes;
    const unsigned char *const start = raw;
    if (used >= 2 && start[0] == 0x1f && start[1] == 0x8b)
        RNI_TRY(unpack_gzip(allocator, path, max_bytes, &raw, &used));
    *data = raw;
    *size = used;
    return RN_OK;
}
