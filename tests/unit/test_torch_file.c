/* SPDX-License-Identifier: MIT */
/* Weights in files of torch.save(), in every form; and files that are broken or mean harm. */
#include "model/model.h"
#include "torch_support.h"
#include <unistd.h>

static rn_context *ctx;
static rn_device *cpu;
static rn_model *model;
static char path[64];

/* conv.weight [2, 1, 3, 3], bn.* [2], fc.weight [3, 2], fc.bias [3] */
static rn_model *make_model(void)
{
    rn_layer *const net = support_plain(ctx, rn_sequential_create);
    rn_model *m = NULL;
    support_append(net, "conv", support_conv(ctx, 1, 2, 3, 1, 0));
    support_append(net, "bn", support_bn(ctx, 2));
    support_append(net, "pool", support_plain(ctx, rn_global_avgpool2d_create));
    support_append(net, "flatten", support_plain(ctx, rn_flatten_create));
    support_append(net, "fc", support_linear(ctx, 2, 3));
    ck_ok(rn_model_create(ctx, net, cpu, &m));
    rn_layer_release(net);
    return m;
}

static void start(void)
{
    ctx = support_context(&cpu);
    model = make_model();
    snprintf(path, sizeof path, "/tmp/torch-%ld", (long)getpid());
}

static void stop(void)
{
    unlink(path);
    rn_model_release(model);
    rn_context_release(ctx);
}

/* Element i of entry k is k + i/8, counters are 7; or everything is as it was first. */
static void assert_numbers(const rn_model *m, const char *what)
{
    for (size_t k = 0; k < m->num_states; k++) {
        const rn_tensor *const t = m->states[k].value;
        for (int64_t i = 0; i < t->count; i++) {
            const double value =
                t->dtype == RN_I64 ? (double)((int64_t *)rn_tensor_data(t))[i] : (double)((float *)rn_tensor_data(t))[i];
            const double expected = t->dtype == RN_I64 ? 7.0 : (double)k + (double)i / 8;
            ck_assert_msg(value == expected, "%s: element %d of %s is %g, expected %g", what, (int)i,
                          m->states[k].name, value, expected);
        }
    }
}

START_TEST(every_form)
{
    static const char *const names[] = {
        "zip.pth",     "zip64.pth",    "old_zip.pth",       "legacy.pth",     "old_legacy.pth", "protocol4.pth",
        "protocol5.pth", "strided.pth", "strided_legacy.pth", "double.pth",    "half.pth",       "bfloat16.pth",
        "parameters.pth", "nested.pth", "nested2.pth",
    };
    start();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        rn_load_options o = RN_LOAD_OPTIONS_INIT;
        o.strip_prefix = "module.";
        ck_ok(rn_model_init(model, 5));
        ck_ok(rn_model_load(model, torch_fixture(names[i]), &o));
        ck_assert_ptr_null(o.missing);
        assert_numbers(model, names[i]);
    }
    stop();
}
END_TEST

START_TEST(saved_and_loaded)
{
    start();
    ck_ok(rn_model_load(model, torch_fixture("zip.pth"), NULL));
    ck_ok(rn_model_save_torch(model, path));
    ck_ok(rn_model_init(model, 5));
    ck_ok(rn_model_load(model, path, NULL));
    assert_numbers(model, path);
    rni_io_fail_after(1);
    ck_fails(rn_model_save_torch(model, path), RN_E_IO, path);
    rni_io_fail_after(0);
    ck_ok(rn_model_load(model, path, NULL));
    ck_fails(rn_model_save_torch(model, "/nowhere/at/all"), RN_E_IO, "/nowhere/at/all");
    ck_fails(rn_model_save_torch(NULL, path), RN_E_INVALID, "m is NULL");
    ck_fails(rn_model_save_torch(model, NULL), RN_E_INVALID, "path is NULL");
    stop();
}
END_TEST

START_TEST(other_names_and_shapes)
{
    rn_load_options o = RN_LOAD_OPTIONS_INIT;
    rn_model *other = NULL;
    start();
    rn_layer *const net = support_plain(ctx, rn_sequential_create);
    support_append(net, "conv", support_conv(ctx, 1, 2, 3, 1, 0));
    support_append(net, "fc", support_linear(ctx, 4, 3));
    support_append(net, "head", support_linear(ctx, 3, 1));
    ck_ok(rn_model_create(ctx, net, cpu, &other));
    ck_fails(rn_model_load(other, torch_fixture("zip.pth"), &o), RN_E_SHAPE, "2 names missing, 5 unexpected, 1 misshapen");
    ck_assert_str_eq(o.missing, "head.weight\nhead.bias");
    ck_assert_str_eq(o.misshapen, "fc.weight: file [3, 2], model [3, 4]");
    ck_assert_ptr_nonnull(strstr(o.unexpected, "bn.running_mean"));
    rn_load_report_release(&o);
    rn_layer_release(net);
    rn_model_release(other);
    stop();
}
END_TEST

#define STORAGE "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0000X\3\0\0\0cpuK\20tQ"
#define TENSOR "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE
#define END "\x89" "ccollections\nOrderedDict\n)RtR"
#define NAMED(tensor) "\x80\2}X\1\0\0\0w" tensor "s."

typedef struct hostile {
    const char *pickle;
    size_t size;
    rn_status status;
    const char *text;
} hostile;
#define HOSTILE(pickle, status, text) {pickle, sizeof(pickle) - 1, status, text}

static const hostile pickles[] = {
    HOSTILE("\x80\2cposix\nsystem\nX\2\0\0\0hi\x85R.", RN_E_UNSUPPORTED, "data.pkl: at byte 16: the pickle names posix.system"),
    HOSTILE("\x80\2c__builtin__\neval\nX\2\0\0\0hi\x85R.", RN_E_UNSUPPORTED, "names __builtin__.eval"),
    HOSTILE("\x80\4\x8c\5posix\x8c\6system\x93.", RN_E_UNSUPPORTED, "names posix.system"),
    HOSTILE("\x80\2cpo\1ix\nsys\xfftem\n.", RN_E_UNSUPPORTED, "names po?ix.sys?tem"),
    HOSTILE("\x80\2ctorch\nFloatStorage\n)R.", RN_E_UNSUPPORTED, "calls torch.FloatStorage"),
    HOSTILE("\x80\2R.", RN_E_FORMAT, "takes a value that is not there"),
    HOSTILE("\x80\2(.", RN_E_FORMAT, "takes a value that is not there"),
    HOSTILE("\x80\2(R.", RN_E_FORMAT, "takes a value that is not there"),
    HOSTILE("\x80\2K\1)R.", RN_E_FORMAT, "calls a value that is no function"),
    HOSTILE("\x80\2t.", RN_E_FORMAT, "a mark that is not there"),
    HOSTILE("\x80\2h\5.", RN_E_FORMAT, "recalls value 5"),
    HOSTILE("\x80\2Nr\xff\xff\xff\xff.", RN_E_FORMAT, "make values of more than"),
    HOSTILE("\x80\2X\xff\xff\xff\x7f.", RN_E_FORMAT, "ends early: 2147483647 bytes wanted, 1 are left"),
    HOSTILE("\x80\2X\2\0\0\0\xc0\x80.", RN_E_FORMAT, "not UTF-8"),
    HOSTILE("\x80\4\x95\xff\0\0\0\0\0\0\0.", RN_E_FORMAT, "a frame of 255 bytes"),
    HOSTILE("\x80\2cposix", RN_E_FORMAT, "within a name"),
    HOSTILE("\x80\2", RN_E_FORMAT, "ends early"),
    HOSTILE("\x80\x09N.", RN_E_UNSUPPORTED, "protocol 9"),
    HOSTILE("\x80\2I1\n.", RN_E_UNSUPPORTED, "opcode 0x49"),
    HOSTILE("\x80\2\x8a\x09\1\1\1\1\1\1\1\1\1.", RN_E_UNSUPPORTED, "whole number of 9 bytes"),
    HOSTILE("N.", RN_E_FORMAT, "no pickle of protocol 2"),
    HOSTILE("", RN_E_FORMAT, "no pickle of protocol 2"),
    HOSTILE("\x80\2K\1}b.", RN_E_UNSUPPORTED, "gives attributes"),
    HOSTILE("\x80\2K\1K\2a.", RN_E_FORMAT, "no list"),
    HOSTILE("\x80\2}(K\1u.", RN_E_FORMAT, "a key without a value"),
    HOSTILE("\x80\2K\1Q.", RN_E_FORMAT, "no storage of torch"),
    HOSTILE("\x80\2}.", RN_E_FORMAT, "no dictionary of tensors"),
    HOSTILE("\x80\2K\1.", RN_E_FORMAT, "no dictionary of tensors"),
    HOSTILE("\x80\2}K\1" TENSOR "K\0K\2\x85K\1\x85" END "s.", RN_E_FORMAT, "name is no text"),
    HOSTILE("\x80\2}X\2\0\0\0w\0" TENSOR "K\0K\2\x85K\1\x85" END "s.", RN_E_FORMAT, "a zero byte"),
    HOSTILE(NAMED(TENSOR "K\1K\20\x85K\1\x85" END), RN_E_FORMAT, "ends at element 16 of a storage of 16"),
    HOSTILE(NAMED(TENSOR "K\0K\3\x85K\10\x85" END), RN_E_FORMAT, "ends at element 16"),
    HOSTILE(NAMED(TENSOR "K\0J\xff\xff\xff\xff\x85K\1\x85" END), RN_E_FORMAT, "0 or more"),
    HOSTILE(NAMED(TENSOR "K\0K\2\x85J\xff\xff\xff\xff\x85" END), RN_E_FORMAT, "0 or more"),
    HOSTILE(NAMED(TENSOR "J\xff\xff\xff\xffK\2\x85K\1\x85" END), RN_E_FORMAT, "arguments that cannot be"),
    HOSTILE(NAMED(TENSOR "K\0K\2\x85K\1K\1\x86" END), RN_E_FORMAT, "arguments that cannot be"),
    HOSTILE(NAMED(TENSOR "K\0\x8a\x08\0\0\0\0\0\0\0\x40\x8a\x08\0\0\0\0\0\0\0\x40\x86K\0K\0\x86" END), RN_E_FORMAT, "overflow"),
};

START_TEST(hostile_pickles)
{
    start();
    ck_ok(rn_model_load(model, torch_fixture("zip.pth"), NULL));
    for (size_t i = 0; i < sizeof pickles / sizeof pickles[0]; i++) {
        torch_archive(path, pickles[i].pickle, pickles[i].size, NULL, NULL);
        ck_fails(rn_model_load(model, path, NULL), pickles[i].status, pickles[i].text);
        ck_assert_msg(strncmp(rn_error_message(), path, strlen(path)) == 0, "'%s' lacks the path", rn_error_message());
        ck_assert_msg(!strstr(rn_error_message() + 1, path), "'%s' has the path twice", rn_error_message());
    }
    assert_numbers(model, "afterwards");
    stop();
}
END_TEST

/* A tensor of the model's own shape over a storage that is not as the pickle says. */
static void load_fc(const char *pickle, size_t size, rn_status status, const char *text)
{
    rn_load_options o = RN_LOAD_OPTIONS_INIT;
    o.flags = RN_LOAD_PARTIAL;
    torch_archive(path, pickle, size, NULL, NULL);
    if (status == RN_OK)
        ck_ok(rn_model_load(model, path, &o));
    else
        ck_fails(rn_model_load(model, path, &o), status, text);
    rn_load_report_release(&o);
}

#define BIAS(class, key, count)                                                                                        \
    "\x80\2}X\7\0\0\0fc.biasctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\n" class "\nX\1\0\0\0" key     \
    "X\3\0\0\0cpuK" count "tQK\0K\3\x85K\5\x85" END "s."
#define LOAD_FC(pickle, status, text) load_fc(pickle, sizeof(pickle) - 1, status, text)

START_TEST(storages_are_checked)
{
    start();
    LOAD_FC(BIAS("FloatStorage", "0", "\20"), RN_OK, "");
    const float *const bias = rn_tensor_data(model->states[model->num_states - 1].value);
    ck_assert_float_eq(bias[0] + bias[1] * 10 + bias[2] * 100, 0 + 50 + 1000);
    LOAD_FC(BIAS("FloatStorage", "1", "\20"), RN_E_FORMAT, "fc.bias: there is no entry data/1");
    LOAD_FC(BIAS("FloatStorage", "0", "\21"), RN_E_FORMAT, "a storage has 64 bytes, expected 17 elements of F32");
    LOAD_FC(BIAS("DoubleStorage", "0", "\20"), RN_E_FORMAT, "expected 16 elements of F64");
    LOAD_FC(BIAS("ByteStorage", "0", "\20"), RN_E_DTYPE, "fc.bias is U8, which is not read as f32");
    LOAD_FC(BIAS("BoolStorage", "0", "\20"), RN_E_DTYPE, "fc.bias is BOOL, which is not read as f32");
    stop();
}
END_TEST

/* Values may not take many times the memory of the pickle that makes them. */
START_TEST(memory_is_bounded)
{
    static char lists[1 << 20];
    start();
    memset(lists, ']', sizeof lists);
    lists[0] = '\x80';
    lists[1] = 2;
    torch_archive(path, lists, sizeof lists, NULL, NULL);
    ck_fails(rn_model_load(model, path, NULL), RN_E_FORMAT, "make values of more than");
    /* A list that holds itself, and a value that is twice as large at every step. */
    LOAD_FC("\x80\2]q\0h\0a.", RN_E_FORMAT, "no dictionary of tensors");
    char *at = lists + 2;
    *at++ = 'N';
    for (int i = 0; i < 200; i++, at += 2)
        memcpy(at, "2\x86", 2);
    *at++ = '.';
    torch_archive(path, lists, (size_t)(at - lists), NULL, NULL);
    ck_fails(rn_model_load(model, path, NULL), RN_E_FORMAT, "no dictionary of tensors");
    stop();
}
END_TEST

/* Sets bytes at the place where the text first stands, or `before` it. */
static void patch(unsigned char *bytes, size_t size, const char *text, size_t length, size_t behind, unsigned char value)
{
    for (size_t i = 0; i + length <= size; i++) {
        if (memcmp(bytes + i, text, length) != 0)
            continue;
        bytes[i + behind] = value;
        return;
    }
    ck_abort_msg("a text to be patched is not there");
}

START_TEST(damaged_archives)
{
    size_t size;
    start();
    unsigned char *const good = torch_read(torch_fixture("zip.pth"), &size), *const bad = malloc(size + 100);
#define DAMAGE(change, status, text)                                                                                   \
    memcpy(bad, good, size);                                                                                           \
    change;                                                                                                            \
    torch_write(path, bad, size);                                                                                      \
    ck_fails(rn_model_load(model, path, NULL), status, text)
    const char *const entry = "PK\1\2", *const end = "PK\6\6";
    DAMAGE(patch(bad, size, "\0\0\xe0\x40", 4, 0, 1), RN_E_FORMAT, "its CRC-32 is"); /* fc.bias[0] = 7 */
    DAMAGE(patch(bad, size, "fc.weight", 9, 0, 'g'), RN_E_FORMAT, "data.pkl: its CRC-32 is");
    DAMAGE(patch(bad, size, entry, 4, 10, 8), RN_E_UNSUPPORTED, "is deflated, expected stored");
    DAMAGE(patch(bad, size, entry, 4, 10, 12), RN_E_UNSUPPORTED, "is packed, expected stored");
    DAMAGE(patch(bad, size, entry, 4, 8, 1), RN_E_UNSUPPORTED, "is encrypted");
    DAMAGE(patch(bad, size, entry, 4, 3, 9), RN_E_FORMAT, "list of entries is broken");
    DAMAGE(patch(bad, size, entry, 4, 29, 255), RN_E_FORMAT, "list of entries is broken");
    DAMAGE(patch(bad, size, entry, 4, 45, 255), RN_E_FORMAT, "lies outside of the file");
    DAMAGE(patch(bad, size, entry, 4, 42, 1), RN_E_FORMAT, "is not where the list says");
    DAMAGE(patch(bad, size, end, 4, 55, 255), RN_E_FORMAT, "lies outside of the file");
    DAMAGE(patch(bad, size, end, 4, 33, 255), RN_E_FORMAT, "entries in a list of");
    DAMAGE(patch(bad, size, end, 4, 0, 'Q'), RN_E_FORMAT, "64-bit end record is not where it should be");
    DAMAGE(patch(bad, size, "PK\6\7", 4, 15, 255), RN_E_FORMAT, "64-bit end record is not where it should be");
    memcpy(bad, good, size); /* without 64-bit records */
    patch(bad, size, "PK\6\7", 4, 0, 'Q');
    torch_write(path, bad, size);
    ck_ok(rn_model_load(model, path, NULL));
    DAMAGE((patch(bad, size, "PK\6\7", 4, 0, 'Q'), patch(bad, size, "PK\5\6", 4, 19, 255)), RN_E_FORMAT, "outside");
    memcpy(bad, good, size);
    for (size_t cut = 0; cut < size; cut += cut < 100 ? 1 : 97) {
        torch_write(path, bad, cut);
        ck_fails(rn_model_load(model, path, NULL), RN_E_FORMAT, path);
    }
    free(good);
    free(bad);
    torch_archive(path, "\x80\2}.", 4, "a/byteorder", "big");
    ck_fails(rn_model_load(model, path, NULL), RN_E_UNSUPPORTED, "not little-endian");
    torch_archive(path, "\x80\2}.", 4, "a/data/0", "again");
    ck_fails(rn_model_load(model, path, NULL), RN_E_FORMAT, "two entries a/data/0");
    stop();
}
END_TEST

START_TEST(damaged_legacy_files)
{
    size_t size;
    start();
    unsigned char *const bytes = torch_read(torch_fixture("legacy.pth"), &size);
    for (size_t cut = 0; cut < size; cut += cut < 100 ? 1 : 53) {
        torch_write(path, bytes, cut);
        ck_fails(rn_model_load(model, path, NULL), RN_E_FORMAT, path);
    }
    bytes[19] = 9; /* of the protocol's number */
    torch_write(path, bytes, size);
    ck_fails(rn_model_load(model, path, NULL), RN_E_VERSION, "another version");
    bytes[5] = 9;
    torch_write(path, bytes, size);
    ck_fails(rn_model_load(model, path, NULL), RN_E_FORMAT, "a pickle, but not written by torch.save()");
    free(bytes);
    stop();
}
END_TEST

/* A header of 640 bytes makes a safetensors file begin with bytes 0x80 and 2, as a pickle does. */
START_TEST(safetensors_that_look_like_pickles)
{
    unsigned char bytes[8 + 640] = {0x80, 2};
    start();
    memset(bytes + 8, ' ', 640);
    memcpy(bytes + 8, "{}", 2);
    torch_write(path, bytes, sizeof bytes);
    ck_fails(rn_model_load(model, path, NULL), RN_E_NOT_FOUND, "8 names missing");
    stop();
}
END_TEST

SUPPORT_MAIN("torch_file", every_form, saved_and_loaded, other_names_and_shapes, hostile_pickles, storages_are_checked,
             memory_is_bounded, damaged_archives, damaged_legacy_files, safetensors_that_look_like_pickles)
