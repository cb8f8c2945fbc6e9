/* SPDX-License-Identifier: MIT */
/* Reading, unpacking and replacing files. */
#include "base/io.h"
#include "base/alloc.h"
#include "support.h"
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static const rn_allocator *const memory = &rni_default_allocator;
static char folder[64];
static char path[128];

static void make_folder(void)
{
    snprintf(folder, sizeof folder, "/tmp/resnet-io-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
}

static size_t count_files(void)
{
    DIR *const d = opendir(folder);
    size_t count = 0;
    for (const struct dirent *e = readdir(d); e; e = readdir(d))
        count += e->d_name[0] != '.';
    closedir(d);
    return count;
}

static void remove_folder(void)
{
    char command[100];
    rni_io_fail_after(0);
    snprintf(command, sizeof command, "rm -r %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static void put(const void *data, size_t size)
{
    FILE *const f = fopen(path, "wb");
    ck_assert_uint_eq(fwrite(data, 1, size, f), size);
    fclose(f);
}

static void expect_content(const char *text)
{
    void *data;
    size_t size;
    ck_ok(rni_read_whole(memory, path, 1 << 20, &data, &size));
    ck_assert_uint_eq(size, strlen(text));
    ck_assert_mem_eq(data, text, size);
    rni_free(memory, data);
}

START_TEST(ranges_are_read)
{
    rni_file *f;
    uint64_t size;
    char buffer[8] = "";
    put("0123456789", 10);
    ck_ok(rni_file_open(memory, path, &f, &size));
    ck_assert_uint_eq(size, 10);
    ck_ok(rni_file_read(f, 3, buffer, 4));
    ck_assert_str_eq(buffer, "3456");
    ck_ok(rni_file_read(f, 10, buffer, 0));
    ck_fails(rni_file_read(f, 7, buffer, 4), RN_E_FORMAT, "ends early: 4 bytes wanted at 7, the file has 10");
    ck_fails(rni_file_read(f, UINT64_MAX, buffer, 4), RN_E_FORMAT, "ends early");
    rni_file_close(f);
    rni_file_close(NULL);
}
END_TEST

START_TEST(a_file_that_shrinks_is_noticed)
{
    rni_file *f;
    char buffer[10];
    put("0123456789", 10);
    ck_ok(rni_file_open(memory, path, &f, NULL));
    ck_assert_int_eq(truncate(path, 5), 0);
    ck_fails(rni_file_read(f, 0, buffer, 10), RN_E_FORMAT, "became shorter");
    rni_file_close(f);
}
END_TEST

START_TEST(what_cannot_be_opened)
{
    rni_file *f = (void *)&f;
    char other[160];
    ck_fails(rni_file_open(memory, path, &f, NULL), RN_E_NOT_FOUND, path);
    ck_fails(rni_file_open(memory, folder, &f, NULL), RN_E_IO, "is no regular file");
    put("", 0);
    snprintf(other, sizeof other, "%s/below", path);
    ck_fails(rni_file_open(memory, other, &f, NULL), RN_E_NOT_FOUND, "Not a directory");
    snprintf(other, sizeof other, "%s.pipe", path);
    ck_assert_int_eq(mkfifo(other, 0600), 0);
    ck_fails(rni_file_open(memory, other, &f, NULL), RN_E_IO, "is no regular file"); /* and does not wait */
    ck_assert_ptr_eq(f, (void *)&f);
}
END_TEST

START_TEST(whole_files)
{
    void *data = (void *)1;
    size_t size = 1;
    put("hello", 5);
    expect_content("hello");
    ck_fails(rni_read_whole(memory, path, 4, &data, &size), RN_E_FORMAT, "has 5 bytes, expected at most 4");
    ck_assert_ptr_eq(data, (void *)1);
    ck_assert_uint_eq(size, 1);
    put("", 0);
    expect_content("");
    put("\x1f", 1);
    expect_content("\x1f");
}
END_TEST

/* Packs as gzip does. */
static size_t pack(const void *src, size_t size, unsigned char *dst, size_t room)
{
    z_stream z = {0};
    ck_assert_int_eq(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (void *)src;
    z.avail_in = (unsigned)size;
    z.next_out = dst;
    z.avail_out = (unsigned)room;
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return room - z.avail_out;
}

enum { PLAIN_SIZE = 300000 };
static unsigned char plain[PLAIN_SIZE], packed[400000];

static size_t packed_sample(void)
{
    for (size_t i = 0; i < PLAIN_SIZE; i++)
        plain[i] = (unsigned char)(i * i / 7 ^ i >> 5);
    return pack(plain, PLAIN_SIZE, packed, sizeof packed);
}

START_TEST(packed_files_are_unpacked)
{
    void *data;
    size_t size;
    put(packed, packed_sample());
    ck_ok(rni_read_whole(memory, path, PLAIN_SIZE, &data, &size)); /* exactly as large as allowed */
    ck_assert_uint_eq(size, PLAIN_SIZE);
    ck_assert_mem_eq(data, plain, size);
    rni_free(memory, data);
    ck_fails(rni_read_whole(memory, path, PLAIN_SIZE - 1, &data, &size), RN_E_FORMAT,
             "unpacks to more than 299999 bytes");
}
END_TEST

START_TEST(packed_members_follow_one_another)
{
    size_t used = pack("hello ", 6, packed, 1000);
    used += pack("world", 5, packed + used, 1000);
    put(packed, used);
    expect_content("hello world");
}
END_TEST

START_TEST(as_many_bytes_as_allowed)
{
    enum { SIZE = 65536 };
    static const unsigned char zeros[SIZE + 1];
    void *data;
    size_t size;
    size_t used = pack(zeros, SIZE, packed, 1000);
    used += pack(zeros, 0, packed + used, 1000); /* a last member of nothing */
    put(packed, used);
    ck_ok(rni_read_whole(memory, path, SIZE, &data, &size));
    ck_assert_uint_eq(size, SIZE);
    ck_assert_mem_eq(data, zeros, SIZE);
    rni_free(memory, data);
    ck_fails(rni_read_whole(memory, path, SIZE - 1, &data, &size), RN_E_FORMAT, "unpacks to more than 65535 bytes");
    used = pack(zeros, SIZE, packed, 1000);
    used += pack(zeros, 1, packed + used, 1000);
    put(packed, used);
    ck_fails(rni_read_whole(memory, path, SIZE, &data, &size), RN_E_FORMAT, "unpacks to more than 65536 bytes");
}
END_TEST

START_TEST(broken_packed_files_are_refused)
{
    void *data;
    size_t size;
    const size_t used = packed_sample();
    for (size_t cut = 2; cut < used; cut += used / 9) {
        put(packed, cut);
        ck_fails(rni_read_whole(memory, path, 1 << 20, &data, &size), RN_E_FORMAT, "broken gzip stream");
    }
    put(packed, used - 1);
    ck_fails(rni_read_whole(memory, path, 1 << 20, &data, &size), RN_E_FORMAT, "broken gzip stream");
    packed[used - 6] ^= 1; /* in the checksum */
    put(packed, used);
    ck_fails(rni_read_whole(memory, path, 1 << 20, &data, &size), RN_E_FORMAT, "incorrect data check");
}
END_TEST

static void *no_alloc(void *user, size_t size, size_t align)
{
    int *const left = user;
    return (*left)-- > 0 ? rni_default_allocator.alloc(NULL, size, align) : NULL;
}

static void any_free(void *user, void *ptr, size_t size, size_t align)
{
    (void)user;
    rni_default_allocator.free(NULL, ptr, size, align);
}

START_TEST(unpacking_takes_memory_from_the_allocator)
{
    void *data;
    size_t size;
    int left, n = 0;
    const rn_allocator a = {sizeof a, no_alloc, any_free, &left};
    put(packed, packed_sample());
    for (rn_status status = RN_E_NOMEM; status != RN_OK; n++) {
        left = n;
        status = rni_read_whole(&a, path, 1 << 20, &data, &size);
        if (status == RN_OK)
            rni_free(&a, data);
        else
            ck_fails(status, RN_E_NOMEM, "out of memory");
    }
    ck_assert_int_ge(n, 6); /* the file, its name, the bytes, zlib's state and window, the output */
}
END_TEST

static rn_status write_text(const char *text)
{
    rni_writer *w;
    rn_status status = rni_writer_open(memory, path, &w);
    if (status < 0)
        return status;
    status = rni_writer_write(w, text, strlen(text));
    if (status < 0) {
        rni_writer_abort(w);
        return status;
    }
    return rni_writer_commit(w);
}

START_TEST(nothing_changes_before_the_commit)
{
    rni_writer *w;
    put("old", 3);
    ck_ok(rni_writer_open(memory, path, &w));
    ck_ok(rni_writer_write(w, "new", 3));
    expect_content("old");
    ck_ok(rni_writer_commit(w));
    expect_content("new");
    ck_assert_uint_eq(count_files(), 1);
}
END_TEST

START_TEST(an_abort_leaves_nothing)
{
    rni_writer *w;
    ck_ok(rni_writer_open(memory, path, &w));
    ck_ok(rni_writer_write(w, "new", 3));
    rni_writer_abort(w);
    rni_writer_abort(NULL);
    ck_assert_uint_eq(count_files(), 0);
}
END_TEST

START_TEST(pieces_of_all_sizes_come_out_in_order)
{
    static char data[300000];
    const size_t sizes[] = {1, 65535, 1, 65536, 70000, 3, 0, 90000};
    rni_writer *w;
    void *got;
    size_t size, at = 0;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 31 + i / 1000);
    ck_ok(rni_writer_open(memory, path, &w));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; at += sizes[i++])
        ck_ok(rni_writer_write(w, data + at, sizes[i]));
    ck_ok(rni_writer_commit(w));
    ck_ok(rni_read_whole(memory, path, sizeof data, &got, &size));
    ck_assert_uint_eq(size, at);
    ck_assert_mem_eq(got, data, at);
    rni_free(memory, got);
}
END_TEST

START_TEST(the_old_files_permissions_stay)
{
    struct stat about;
    put("old", 3);
    ck_assert_int_eq(chmod(path, 0664), 0);
    umask(077);
    ck_ok(write_text("new"));
    ck_assert_int_eq(stat(path, &about), 0);
    ck_assert_int_eq(about.st_mode & 0777, 0664);
    ck_assert_int_eq(unlink(path), 0);
    ck_ok(write_text("new"));
    ck_assert_int_eq(stat(path, &about), 0);
    ck_assert_int_eq(about.st_mode & 0777, 0600);
    umask(022);
}
END_TEST

START_TEST(the_current_folder_is_a_folder)
{
    ck_assert_int_eq(chdir(folder), 0);
    snprintf(path, sizeof path, "file");
    ck_ok(write_text("here"));
    expect_content("here");
    ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

START_TEST(what_cannot_be_written)
{
    rni_writer *w = (void *)&w;
    char other[200];
    ck_fails(rni_writer_open(memory, folder, &w), RN_E_IO, "is there and no regular file");
    snprintf(other, sizeof other, "%s/none/file", folder);
    ck_fails(rni_writer_open(memory, other, &w), RN_E_IO, "none/file: cannot be written");
    ck_assert_ptr_eq(w, (void *)&w);
}
END_TEST

START_TEST(a_failed_write_leaves_the_old_file)
{
    static char large[200000];
    rni_writer *w;
    put("old", 3);
    rni_io_fail_after(1);
    ck_fails(write_text("new"), RN_E_IO, "No space left");
    expect_content("old");
    rni_io_fail_after(1);
    ck_ok(rni_writer_open(memory, path, &w));
    ck_fails(rni_writer_write(w, large, sizeof large), RN_E_IO, "cannot be written");
    rni_io_fail_after(0);
    ck_fails(rni_writer_commit(w), RN_E_IO, "a write failed before"); /* bytes are missing */
    expect_content("old");
    ck_assert_uint_eq(count_files(), 1);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("io");
    TCase *const tcase = tcase_create("io");
    tcase_add_checked_fixture(tcase, make_folder, remove_folder);
    tcase_add_test(tcase, ranges_are_read);
    tcase_add_test(tcase, a_file_that_shrinks_is_noticed);
    tcase_add_test(tcase, what_cannot_be_opened);
    tcase_add_test(tcase, whole_files);
    tcase_add_test(tcase, packed_files_are_unpacked);
    tcase_add_test(tcase, packed_members_follow_one_another);
    tcase_add_test(tcase, as_many_bytes_as_allowed);
    tcase_add_test(tcase, broken_packed_files_are_refused);
    tcase_add_test(tcase, unpacking_takes_memory_from_the_allocator);
    tcase_add_test(tcase, nothing_changes_before_the_commit);
    tcase_add_test(tcase, an_abort_leaves_nothing);
    tcase_add_test(tcase, pieces_of_all_sizes_come_out_in_order);
    tcase_add_test(tcase, the_old_files_permissions_stay);
    tcase_add_test(tcase, the_current_folder_is_a_folder);
    tcase_add_test(tcase, what_cannot_be_written);
    tcase_add_test(tcase, a_failed_write_leaves_the_old_file);
    suite_add_tcase(suite, tcase);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
