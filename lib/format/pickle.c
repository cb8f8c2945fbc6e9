/* SPDX-License-Identifier: MIT */
/* The machine that pickles are programs for: a stack, a memo, one small function per opcode. */
#include "format/pickle.h"
#include <stdio.h>
#include <string.h>

enum { MAX_PROTOCOL = 5 };

typedef struct values {
    rni_py_value *at;
    size_t count, capacity;
} values;

typedef struct machine {
    rni_py_reader *py;
    const unsigned char *at, *end;
    values stack, memo;
    int done;
} machine;

typedef rn_status (*operation)(machine *m, unsigned char opcode);

/* --- bytes of the program --- */

static rn_status take(machine *m, size_t count, const unsigned char **out)
{
    if (count > (size_t)(m->end - m->at))
        return rni_fail(RN_E_FORMAT, "the pickle ends early: %zu bytes wanted, %zu are left", count,
                        (size_t)(m->end - m->at));
    *out = m->at;
    m->at += count;
    return RN_OK;
}

/* A little-endian number of 1 to 8 bytes. */
static rn_status take_number(machine *m, size_t size, uint64_t *out)
{
    const unsigned char *bytes = NULL;
    RNI_TRY(take(m, size, &bytes));
    *out = 0;
    for (size_t i = size; i > 0; i--)
        *out = *out << 8 | bytes[i - 1];
    return RN_OK;
}

static rn_status take_line(machine *m, const char **line, size_t *length)
{
    const unsigned char *const newline = memchr(m->at, '\n', (size_t)(m->end - m->at));
    if (!newline)
        return rni_fail(RN_E_FORMAT, "the pickle ends early, within a name");
    *line = (const char *)m->at;
    *length = (size_t)(newline - m->at);
    m->at = newline + 1;
    return RN_OK;
}

/* --- stack and memo --- */

static rn_status reserve(machine *m, values *v, size_t count)
{
    if (count <= v->capacity)
        return RN_OK;
    const size_t doubled = v->capacity ? v->capacity * 2 : 256, wanted = count > doubled ? count : doubled;
    if (wanted > SIZE_MAX / sizeof *v->at)
        return rni_nomem("the stack of a pickle", UINT64_MAX);
    RNI_TRY(rni_py_count(m->py, (wanted - v->capacity) * sizeof *v->at));
    rni_py_value *const grown = rni_realloc(m->py->allocator, v->at, wanted * sizeof *v->at);
    if (!grown) {
        m->py->used -= (wanted - v->capacity) * sizeof *v->at;
        return rni_nomem("the stack of a pickle", wanted * sizeof *v->at);
    }
    memset(grown + v->capacity, 0, (wanted - v->capacity) * sizeof *grown);
    v->at = grown;
    v->capacity = wanted;
    return RN_OK;
}

static rn_status push(machine *m, rni_py_value value)
{
    RNI_TRY(reserve(m, &m->stack, m->stack.count + 1));
    m->stack.at[m->stack.count++] = value;
    return RN_OK;
}

static rn_status underflow(void)
{
    return rni_fail(RN_E_FORMAT, "the pickle takes a value that is not there");
}

/* The value `depth` below the top; a mark is none. */
static rn_status peek(machine *m, size_t depth, rni_py_value **out)
{
    if (depth >= m->stack.count)
        return underflow();
    *out = &m->stack.at[m->stack.count - 1 - depth];
    return (*out)->kind == RNI_PY_MARK ? underflow() : RN_OK;
}

static rn_status pop(machine *m, rni_py_value *out)
{
    rni_py_value *top = NULL;
    RNI_TRY(peek(m, 0, &top));
    *out = *top;
    m->stack.count--;
    return RN_OK;
}

/* The values above the last mark, which goes with them: valid until the next push. */
static rn_status pop_marked(machine *m, const rni_py_value **first, size_t *count)
{
    size_t i = m->stack.count;
    while (i > 0 && m->stack.at[i - 1].kind != RNI_PY_MARK)
        i--;
    if (i == 0)
        return rni_fail(RN_E_FORMAT, "the pickle goes back to a mark that is not there");
    *first = m->stack.at + i;
    *count = m->stack.count - i;
    m->stack.count = i - 1;
    return RN_OK;
}

static rn_status memo_put(machine *m, uint64_t index)
{
    rni_py_value *top = NULL;
    RNI_TRY(peek(m, 0, &top));
    const rni_py_value value = *top;
    if (index >= SIZE_MAX)
        return rni_nomem("the memo of a pickle", index);
    RNI_TRY(reserve(m, &m->memo, (size_t)index + 1));
    m->memo.at[index] = value;
    if (index >= m->memo.count)
        m->memo.count = (size_t)index + 1;
    return RN_OK;
}

static rn_status memo_get(machine *m, uint64_t index)
{
    if (index >= m->memo.count || m->memo.at[index].kind == RNI_PY_UNSET)
        return rni_fail(RN_E_FORMAT, "the pickle recalls value %llu, which it never kept", (unsigned long long)index);
    return push(m, m->memo.at[index]);
}

/* --- framing --- */

static rn_status op_proto(machine *m, unsigned char opcode)
{
    const unsigned char *version = NULL;
    (void)opcode;
    RNI_TRY(take(m, 1, &version));
    if (*version > MAX_PROTOCOL)
        return rni_fail(RN_E_UNSUPPORTED, "a pickle of protocol %d, expected at most %d", *version, (int)MAX_PROTOCOL);
    return RN_OK;
}

static rn_status op_frame(machine *m, unsigned char opcode)
{
    uint64_t length = 0;
    (void)opcode;
    RNI_TRY(take_number(m, 8, &length));
    if (length > (uint64_t)(m->end - m->at))
        return rni_fail(RN_E_FORMAT, "the pickle ends early: a frame of %llu bytes, %zu are left",
                        (unsigned long long)length, (size_t)(m->end - m->at));
    return RN_OK;
}

static rn_status op_stop(machine *m, unsigned char opcode)
{
    (void)opcode;
    m->done = 1;
    return RN_OK;
}

/* --- constants --- */

static rn_status op_constant(machine *m, unsigned char opcode)
{
    if (opcode == 'N')
        return push(m, (rni_py_value){.kind = RNI_PY_NONE});
    return push(m, (rni_py_value){.kind = RNI_PY_BOOL, .u.number = opcode == 0x88});
}

static rn_status push_int(machine *m, int64_t number)
{
    return push(m, (rni_py_value){.kind = RNI_PY_INT, .u.number = number});
}

static rn_status op_int(machine *m, unsigned char opcode)
{
    uint64_t number = 0;
    RNI_TRY(take_number(m, opcode == 'K' ? 1 : opcode == 'M' ? 2 : 4, &number));
    return push_int(m, opcode == 'J' ? (int64_t)(int32_t)(uint32_t)number : (int64_t)number);
}

/* Two's complement of any length. */
static rn_status op_long(machine *m, unsigned char opcode)
{
    const unsigned char *size = NULL, *bytes = NULL;
    uint64_t number = 0;
    (void)opcode;
    RNI_TRY(take(m, 1, &size));
    RNI_TRY(take(m, *size, &bytes));
    if (*size > 8)
        return rni_fail(RN_E_UNSUPPORTED, "a whole number of %d bytes, expected at most 8", *size);
    const int negative = *size > 0 && bytes[*size - 1] >= 0x80;
    for (int i = 7; i >= 0; i--)
        number = number << 8 | (i < *size ? bytes[i] : negative ? 0xffu : 0u);
    return push_int(m, (int64_t)number);
}

static rn_status op_float(machine *m, unsigned char opcode)
{
    const unsigned char *bytes = NULL;
    uint64_t bits = 0;
    rni_py_value value = {.kind = RNI_PY_FLOAT};
    (void)opcode;
    RNI_TRY(take(m, 8, &bytes));
    for (int i = 0; i < 8; i++) /* the one big-endian number */
        bits = bits << 8 | bytes[i];
    memcpy(&value.u.real, &bits, sizeof bits);
    return push(m, value);
}

/* Bytes after a length of `size` bytes; they stay where they are. */
static rn_status push_bytes(machine *m, size_t size, rni_py_kind kind)
{
    uint64_t length = 0;
    const unsigned char *bytes = NULL;
    RNI_TRY(take_number(m, size, &length));
    if (length > UINT32_MAX)
        return rni_fail(RN_E_UNSUPPORTED, "a text of %llu bytes, expected less than 4 GiB", (unsigned long long)length);
    RNI_TRY(take(m, (size_t)length, &bytes));
    const char *const text = (const char *)bytes, *at = text;
    while (kind == RNI_PY_TEXT && at < text + length)
        if (rni_py_utf8(&at, text + length) < 0)
            return rni_fail(RN_E_FORMAT, "a text that is not UTF-8");
    return push(m, (rni_py_value){.kind = kind, .length = (uint32_t)length, .u.text = text});
}

static rn_status op_bytes(machine *m, unsigned char opcode)
{
    const int small = opcode == 'U' || opcode == 'C', large = opcode == 0x8e || opcode == 0x96;
    return push_bytes(m, small ? 1 : large ? 8 : 4, RNI_PY_BYTES);
}

static rn_status op_text(machine *m, unsigned char opcode)
{
    return push_bytes(m, opcode == 0x8c ? 1 : opcode == 0x8d ? 8 : 4, RNI_PY_TEXT);
}

/* --- containers --- */

static rn_status op_mark(machine *m, unsigned char opcode)
{
    (void)opcode;
    return push(m, (rni_py_value){.kind = RNI_PY_MARK});
}

static rn_status op_drop(machine *m, unsigned char opcode)
{
    const rni_py_value *first = NULL;
    size_t count = 0;
    rni_py_value value = {0};
    return opcode == '0' ? pop(m, &value) : pop_marked(m, &first, &count);
}

static rn_status op_twice(machine *m, unsigned char opcode)
{
    rni_py_value *top = NULL;
    (void)opcode;
    RNI_TRY(peek(m, 0, &top));
    return push(m, *top);
}

static rn_status push_tuple(machine *m, const rni_py_value *first, size_t count)
{
    void *copy = NULL;
    if (count > UINT32_MAX)
        return rni_fail(RN_E_UNSUPPORTED, "a tuple of %zu values", count);
    if (count) {
        RNI_TRY(rni_py_alloc(m->py, count * sizeof *first, &copy));
        memcpy(copy, first, count * sizeof *first);
    }
    return push(m, (rni_py_value){.kind = RNI_PY_TUPLE, .length = (uint32_t)count, .u.tuple = copy});
}

static rn_status op_tuple(machine *m, unsigned char opcode)
{
    const rni_py_value *first = NULL;
    size_t count = 0;
    RNI_TRY(pop_marked(m, &first, &count));
    (void)opcode;
    return push_tuple(m, first, count);
}

static rn_status op_small_tuple(machine *m, unsigned char opcode)
{
    const size_t count = opcode == ')' ? 0 : (size_t)opcode - 0x84;
    rni_py_value items[3] = {{0}};
    for (size_t i = count; i > 0; i--)
        RNI_TRY(pop(m, &items[i - 1]));
    return push_tuple(m, items, count);
}

static rn_status op_empty(machine *m, unsigned char opcode)
{
    rni_py_value value = {0};
    RNI_TRY(rni_py_new_items(m->py, opcode == ']' ? RNI_PY_LIST : RNI_PY_DICT, &value));
    return push(m, value);
}

/* Adds values to the list or dictionary on top of the stack. */
static rn_status add(machine *m, rni_py_kind kind, const rni_py_value *first, size_t count)
{
    rni_py_value *top = NULL;
    RNI_TRY(peek(m, 0, &top));
    if (top->kind != kind)
        return rni_fail(RN_E_FORMAT, "the pickle adds to a value that is no %s",
                        kind == RNI_PY_LIST ? "list" : "dictionary");
    if (kind == RNI_PY_DICT && count % 2)
        return rni_fail(RN_E_FORMAT, "the pickle adds a key without a value");
    return rni_py_append(m->py, top->u.items, first, count);
}

static rn_status op_add(machine *m, unsigned char opcode)
{
    rni_py_value items[2] = {{0}};
    const size_t count = opcode == 'a' ? 1 : 2;
    for (size_t i = count; i > 0; i--)
        RNI_TRY(pop(m, &items[i - 1]));
    return add(m, opcode == 'a' ? RNI_PY_LIST : RNI_PY_DICT, items, count);
}

static rn_status op_add_marked(machine *m, unsigned char opcode)
{
    const rni_py_value *first = NULL;
    size_t count = 0;
    RNI_TRY(pop_marked(m, &first, &count));
    return add(m, opcode == 'e' ? RNI_PY_LIST : RNI_PY_DICT, first, count);
}

/* --- memo --- */

static rn_status op_put(machine *m, unsigned char opcode)
{
    uint64_t index = m->memo.count;
    if (opcode != 0x94)
        RNI_TRY(take_number(m, opcode == 'q' ? 1 : 4, &index));
    return memo_put(m, index);
}

static rn_status op_get(machine *m, unsigned char opcode)
{
    uint64_t index = 0;
    RNI_TRY(take_number(m, opcode == 'h' ? 1 : 4, &index));
    return memo_get(m, index);
}

/* --- objects --- */

/* A piece of a name fit for a message. */
static int shown(size_t length)
{
    return length > 60 ? 60 : (int)length;
}

static rn_status push_global(machine *m, const char *module, size_t module_length, const char *name, size_t length)
{
    const rni_py_global *const global = rni_py_find_global(module, module_length, name, length);
    if (global)
        return push(m, (rni_py_value){.kind = RNI_PY_GLOBAL, .u.global = global});
    char text[160];
    snprintf(text, sizeof text, "%.*s.%.*s", shown(module_length), module, shown(length), name);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 32 || (unsigned char)*c > 126)
            *c = '?';
    return rni_fail(RN_E_UNSUPPORTED, "the pickle names %s, which is not read", text);
}

static rn_status op_global(machine *m, unsigned char opcode)
{
    const char *module = NULL, *name = NULL;
    size_t module_length = 0, length = 0;
    (void)opcode;
    RNI_TRY(take_line(m, &module, &module_length));
    RNI_TRY(take_line(m, &name, &length));
    return push_global(m, module, module_length, name, length);
}

static rn_status op_stack_global(machine *m, unsigned char opcode)
{
    rni_py_value name = {0}, module = {0};
    (void)opcode;
    RNI_TRY(pop(m, &name));
    RNI_TRY(pop(m, &module));
    if (name.kind != RNI_PY_TEXT || module.kind != RNI_PY_TEXT)
        return rni_fail(RN_E_FORMAT, "the pickle names something that is no text");
    return push_global(m, module.u.text, module.length, name.u.text, name.length);
}

static rn_status op_reduce(machine *m, unsigned char opcode)
{
    rni_py_value arguments = {0}, callable = {0}, result = {0};
    (void)opcode;
    RNI_TRY(pop(m, &arguments));
    RNI_TRY(pop(m, &callable));
    if (callable.kind != RNI_PY_GLOBAL || arguments.kind != RNI_PY_TUPLE)
        return rni_fail(RN_E_FORMAT, "the pickle calls a value that is no function");
    if (!callable.u.global->reduce)
        return rni_fail(RN_E_UNSUPPORTED, "the pickle calls %s.%s, which is not read", callable.u.global->module,
                        callable.u.global->name);
    RNI_TRY(callable.u.global->reduce(m->py, arguments.u.tuple, arguments.length, &result));
    return push(m, result);
}

static rn_status op_build(machine *m, unsigned char opcode)
{
    rni_py_value state = {0}, *object = NULL;
    (void)opcode;
    RNI_TRY(pop(m, &state));
    RNI_TRY(peek(m, 0, &object));
    return rni_py_build(object, &state);
}

static rn_status op_persistent(machine *m, unsigned char opcode)
{
    rni_py_value id = {0}, storage = {0};
    (void)opcode;
    RNI_TRY(pop(m, &id));
    RNI_TRY(rni_py_storage_of(m->py, &id, &storage));
    return push(m, storage);
}

/* By opcode, as in Python's pickletools; what is not here is refused. */
static const operation operations[256] = {
    [0x80] = op_proto,      [0x95] = op_frame,       ['.'] = op_stop,         ['N'] = op_constant,
    [0x88] = op_constant,   [0x89] = op_constant,    ['J'] = op_int,          ['K'] = op_int,
    ['M'] = op_int,         [0x8a] = op_long,        ['G'] = op_float,        ['T'] = op_bytes,
    ['U'] = op_bytes,       ['B'] = op_bytes,        ['C'] = op_bytes,        [0x8e] = op_bytes,
    [0x96] = op_bytes,      ['X'] = op_text,         [0x8c] = op_text,        [0x8d] = op_text,
    ['('] = op_mark,        ['0'] = op_drop,         ['1'] = op_drop,         ['2'] = op_twice,
    ['t'] = op_tuple,       [')'] = op_small_tuple,  [0x85] = op_small_tuple, [0x86] = op_small_tuple,
    [0x87] = op_small_tuple, [']'] = op_empty,       ['}'] = op_empty,        ['a'] = op_add,
    ['s'] = op_add,         ['e'] = op_add_marked,   ['u'] = op_add_marked,   ['q'] = op_put,
    ['r'] = op_put,         [0x94] = op_put,         ['h'] = op_get,          ['j'] = op_get,
    ['c'] = op_global,      [0x93] = op_stack_global, ['R'] = op_reduce,      ['b'] = op_build,
    ['Q'] = op_persistent,
};

static rn_status run(machine *m)
{
    const unsigned char *opcode = NULL;
    const uint64_t before = m->py->read;
    const unsigned char *const start = m->at;
    while (!m->done) {
        RNI_TRY(take(m, 1, &opcode));
        m->py->read = before + (uint64_t)(m->at - start);
        if (!operations[*opcode])
            return rni_fail(RN_E_UNSUPPORTED, "opcode 0x%02x of a pickle is not read", *opcode);
        RNI_TRY(operations[*opcode](m, *opcode));
    }
    m->py->read = before + (uint64_t)(m->at - start);
    return RN_OK;
}

rn_status rni_py_read(rni_py_reader *py, const void *bytes, size_t size, size_t *used, rni_py_value *out)
{
    machine m = {.py = py, .at = bytes, .end = (const unsigned char *)bytes + size};
    rn_status status = size && m.at[0] == 0x80 ? run(&m) : rni_fail(RN_E_FORMAT, "no pickle of protocol 2 or later");
    if (status >= 0)
        status = pop(&m, out);
    py->used -= (m.stack.capacity + m.memo.capacity) * sizeof *out;
    rni_free(py->allocator, m.stack.at);
    rni_free(py->allocator, m.memo.at);
    if (status < 0)
        return rni_fail_prefix(status, "at byte %zu", (size_t)(m.at - (const unsigned char *)bytes));
    if (used)
        *used = (size_t)(m.at - (const unsigned char *)bytes);
    return RN_OK;
}
