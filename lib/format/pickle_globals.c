/* SPDX-License-Identifier: MIT */
/* The names that pickles may use, and what "calling" them gives: values of ours, never a call. */
#include "format/pickle.h"
#include <string.h>

static rn_status wrong_arguments(const char *what)
{
    return rni_fail(RN_E_FORMAT, "%s has arguments that cannot be", what);
}

/* --- collections --- */

/* Python 2 gives an OrderedDict its pairs here: ([[key, value], ...],). */
static rn_status add_pairs(rni_py_reader *py, const rni_py_items *pairs, rni_py_items *dict)
{
    for (size_t i = 0; i < pairs->count; i++) {
        const rni_py_value *const pair = &pairs->at[i];
        const int list = pair->kind == RNI_PY_LIST;
        if ((!list && pair->kind != RNI_PY_TUPLE) || (list ? pair->u.items->count : pair->length) != 2)
            return wrong_arguments("an OrderedDict");
        RNI_TRY(rni_py_append(py, dict, list ? pair->u.items->at : pair->u.tuple, 2));
    }
    return RN_OK;
}

static rn_status make_dict(rni_py_reader *py, const rni_py_value *arguments, uint32_t count, rni_py_value *out)
{
    if (count == 1 && arguments[0].kind == RNI_PY_DICT) { /* a Counter */
        *out = arguments[0];
        return RN_OK;
    }
    RNI_TRY(rni_py_new_items(py, RNI_PY_DICT, out));
    if (count == 1 && arguments[0].kind == RNI_PY_LIST)
        return add_pairs(py, arguments[0].u.items, out->u.items);
    return RN_OK;
}

static rn_status make_other(rni_py_reader *py, const rni_py_value *arguments, uint32_t count, rni_py_value *out)
{
    (void)py, (void)arguments, (void)count;
    *out = (rni_py_value){.kind = RNI_PY_OTHER};
    return RN_OK;
}

/* --- torch --- */

rn_status rni_py_storage_of(rni_py_reader *py, const rni_py_value *id, rni_py_value *out)
{
    const rni_py_value *const part = id->kind == RNI_PY_TUPLE ? id->u.tuple : NULL;
    if (!part || id->length < 5 || !rni_py_is(&part[0], "storage") || part[1].kind != RNI_PY_GLOBAL ||
        !part[1].u.global->storage || (part[2].kind != RNI_PY_TEXT && part[2].kind != RNI_PY_BYTES) ||
        part[4].kind != RNI_PY_INT || part[4].u.number < 0)
        return rni_fail(RN_E_FORMAT, "a persistent id that is no storage of torch");
    if (id->length > 5 && part[5].kind != RNI_PY_NONE)
        return rni_fail(RN_E_UNSUPPORTED, "a storage that views another one is not read");
    void *memory = NULL;
    RNI_TRY(rni_py_alloc(py, sizeof(rni_py_storage), &memory));
    rni_py_storage *const storage = memory;
    *storage = (rni_py_storage){.type = rni_st_type_named(part[1].u.global->storage),
                                .key = part[2],
                                .count = part[4].u.number,
                                .next = py->storages};
    py->storages = storage;
    py->num_storages++;
    *out = (rni_py_value){.kind = RNI_PY_STORAGE, .u.storage = storage};
    return RN_OK;
}

static rn_status take_sizes(const rni_py_value *tuple, int64_t *sizes)
{
    for (uint32_t i = 0; i < tuple->length; i++) {
        if (tuple->u.tuple[i].kind != RNI_PY_INT || tuple->u.tuple[i].u.number < 0)
            return rni_fail(RN_E_FORMAT, "a tensor whose sizes or strides are no whole numbers, 0 or more");
        sizes[i] = tuple->u.tuple[i].u.number;
    }
    return RN_OK;
}

/* Counts the elements and finds that the last of them is in the storage. */
static rn_status check_extent(rni_py_tensor *t)
{
    int64_t last = t->offset, step;
    t->count = 1;
    for (int32_t i = 0; i < t->rank; i++)
        if (t->dims[i] == 0) {
            t->count = 0;
            return RN_OK;
        }
    for (int32_t i = 0; i < t->rank; i++)
        if (__builtin_mul_overflow(t->count, t->dims[i], &t->count) ||
            __builtin_mul_overflow(t->dims[i] - 1, t->strides[i], &step) || __builtin_add_overflow(last, step, &last))
            return rni_fail(RN_E_FORMAT, "a tensor whose sizes overflow");
    if (last < t->storage->count)
        return RN_OK;
    return rni_fail(RN_E_FORMAT, "a tensor that ends at element %lld of a storage of %lld", (long long)last,
                    (long long)t->storage->count);
}

/* (storage, offset, sizes, strides[, requires_grad, hooks[, metadata]]) */
static rn_status make_tensor(rni_py_reader *py, const rni_py_value *arguments, uint32_t count, rni_py_value *out)
{
    if (count < 4 || arguments[0].kind != RNI_PY_STORAGE || arguments[1].kind != RNI_PY_INT ||
        arguments[1].u.number < 0 || arguments[2].kind != RNI_PY_TUPLE || arguments[3].kind != RNI_PY_TUPLE ||
        arguments[2].length != arguments[3].length)
        return wrong_arguments("a tensor");
    const uint32_t rank = arguments[2].length;
    if (rank > RNI_PY_MAX_RANK)
        return rni_fail(RN_E_UNSUPPORTED, "a tensor of %lu dimensions, expected at most %d", (unsigned long)rank,
                        (int)RNI_PY_MAX_RANK);
    void *memory = NULL;
    RNI_TRY(rni_py_alloc(py, sizeof(rni_py_tensor) + 2 * rank * sizeof(int64_t), &memory));
    rni_py_tensor *const t = memory;
    int64_t *const sizes = (int64_t *)(t + 1);
    RNI_TRY(take_sizes(&arguments[2], sizes));
    RNI_TRY(take_sizes(&arguments[3], sizes + rank));
    *t = (rni_py_tensor){.storage = arguments[0].u.storage,
                         .offset = arguments[1].u.number,
                         .rank = (int32_t)rank,
                         .dims = sizes,
                         .strides = sizes + rank};
    RNI_TRY(check_extent(t));
    *out = (rni_py_value){.kind = RNI_PY_TENSOR, .u.tensor = t};
    return RN_OK;
}

/* (tensor, requires_grad, hooks) */
static rn_status make_parameter(rni_py_reader *py, const rni_py_value *arguments, uint32_t count, rni_py_value *out)
{
    (void)py;
    if (count < 1 || arguments[0].kind != RNI_PY_TENSOR)
        return wrong_arguments("a parameter");
    *out = arguments[0];
    return RN_OK;
}

/* torch.Size: a tuple of its own. */
static rn_status make_tuple(rni_py_reader *py, const rni_py_value *arguments, uint32_t count, rni_py_value *out)
{
    (void)py;
    if (count != 1 || arguments[0].kind != RNI_PY_TUPLE)
        return wrong_arguments("a torch.Size");
    *out = arguments[0];
    return RN_OK;
}

/* --- NumPy --- */

/* ("u1", copy, align): filled in by BUILD with the byte order. */
static rn_status make_dtype(rni_py_reader *py, const rni_py_value *arguments, uint32_t count, rni_py_value *out)
{
    void *memory = NULL;
    if (count < 1 || (arguments[0].kind != RNI_PY_TEXT && arguments[0].kind != RNI_PY_BYTES) || arguments[0].length < 1)
        return wrong_arguments("a NumPy dtype");
    RNI_TRY(rni_py_alloc(py, sizeof(rni_py_dtype), &memory));
    rni_py_dtype *const dtype = memory;
    *dtype = (rni_py_dtype){.kind = arguments[0].u.text[0], .order = '='};
    for (uint32_t i = 1; i < arguments[0].length && i < 4; i++) {
        const char c = arguments[0].u.text[i];
        dtype->size = c >= '0' && c <= '9' ? dtype->size * 10 + (c - '0') : 0;
    }
    *out = (rni_py_value){.kind = RNI_PY_DTYPE, .u.dtype = dtype};
    return RN_OK;
}

/* An empty array, to be filled by BUILD. */
static rn_status make_array(rni_py_reader *py, const rni_py_value *arguments, uint32_t count, rni_py_value *out)
{
    void *memory = NULL;
    if (count < 1 || arguments[0].kind != RNI_PY_GLOBAL || strcmp(arguments[0].u.global->name, "ndarray") != 0)
        return wrong_arguments("a NumPy array");
    RNI_TRY(rni_py_alloc(py, sizeof(rni_py_array), &memory));
    memset(memory, 0, sizeof(rni_py_array));
    *out = (rni_py_value){.kind = RNI_PY_ARRAY, .u.array = memory};
    return RN_OK;
}

/* Protocol 5: (bytes, dtype, shape, order). */
static rn_status make_filled_array(rni_py_reader *py, const rni_py_value *arguments, uint32_t count, rni_py_value *out)
{
    void *memory = NULL;
    if (count != 4 || arguments[0].kind != RNI_PY_BYTES || arguments[1].kind != RNI_PY_DTYPE ||
        arguments[2].kind != RNI_PY_TUPLE)
        return wrong_arguments("a NumPy array");
    RNI_TRY(rni_py_alloc(py, sizeof(rni_py_array), &memory));
    rni_py_array *const array = memory;
    *array = (rni_py_array){.dtype = arguments[1].u.dtype,
                            .shape = arguments[2],
                            .data = arguments[0],
                            .fortran = rni_py_is(&arguments[3], "F")};
    *out = (rni_py_value){.kind = RNI_PY_ARRAY, .u.array = array};
    return RN_OK;
}

/* (version, order, ...) */
static rn_status build_dtype(rni_py_dtype *dtype, const rni_py_value *state)
{
    if (state->kind != RNI_PY_TUPLE || state->length < 2 || state->u.tuple[1].length != 1 ||
        (state->u.tuple[1].kind != RNI_PY_TEXT && state->u.tuple[1].kind != RNI_PY_BYTES))
        return wrong_arguments("a NumPy dtype");
    dtype->order = state->u.tuple[1].u.text[0];
    return RN_OK;
}

/* (version, shape, dtype, Fortran order, data) */
static rn_status build_array(rni_py_array *array, const rni_py_value *state)
{
    const rni_py_value *const part = state->kind == RNI_PY_TUPLE ? state->u.tuple : NULL;
    if (!part || state->length != 5 || part[1].kind != RNI_PY_TUPLE || part[2].kind != RNI_PY_DTYPE ||
        part[4].kind != RNI_PY_BYTES)
        return wrong_arguments("a NumPy array");
    *array = (rni_py_array){.dtype = part[2].u.dtype,
                            .shape = part[1],
                            .data = part[4],
                            .fortran = (part[3].kind == RNI_PY_BOOL || part[3].kind == RNI_PY_INT) && part[3].u.number};
    return RN_OK;
}

rn_status rni_py_build(rni_py_value *object, const rni_py_value *state)
{
    switch (object->kind) {
    case RNI_PY_DTYPE:
        return build_dtype(object->u.dtype, state);
    case RNI_PY_ARRAY:
        return build_array(object->u.array, state);
    case RNI_PY_DICT:  /* attributes, such as the _metadata of a state_dict */
    case RNI_PY_OTHER:
        return RN_OK;
    default:
        return rni_fail(RN_E_UNSUPPORTED, "the pickle gives attributes to a value that has none");
    }
}

/* --- bytes in protocols that have none --- */

/* (text, "latin1"): each character is a byte. */
static rn_status make_bytes(rni_py_reader *py, const rni_py_value *arguments, uint32_t count, rni_py_value *out)
{
    void *memory = NULL;
    *out = (rni_py_value){.kind = RNI_PY_BYTES, .u.text = ""};
    if (count == 0)
        return RN_OK;
    if (count != 2 || arguments[0].kind != RNI_PY_TEXT ||
        (!rni_py_is(&arguments[1], "latin1") && !rni_py_is(&arguments[1], "latin-1")))
        return wrong_arguments("_codecs.encode");
    RNI_TRY(rni_py_alloc(py, arguments[0].length, &memory));
    char *const bytes = memory;
    const char *at = arguments[0].u.text, *const end = at + arguments[0].length;
    while (at < end) {
        const int32_t code = rni_py_utf8(&at, end);
        if (code < 0 || code > 255)
            return wrong_arguments("_codecs.encode");
        bytes[out->length++] = (char)(unsigned char)code;
    }
    out->u.text = bytes;
    return RN_OK;
}

/* --- the table --- */

static const rni_py_global globals[] = {
    {"collections", "OrderedDict", make_dict, NULL},
    {"collections", "Counter", make_dict, NULL}, /* MultiStepLR's milestones */
    {"collections", "defaultdict", make_dict, NULL},
    {"torch._utils", "_rebuild_tensor_v2", make_tensor, NULL},
    {"torch._utils", "_rebuild_tensor", make_tensor, NULL},
    {"torch._utils", "_rebuild_parameter", make_parameter, NULL},
    {"torch", "Size", make_tuple, NULL},
    {"torch", "device", make_other, NULL},
    {"torch", "DoubleStorage", NULL, "F64"},
    {"torch", "FloatStorage", NULL, "F32"},
    {"torch", "HalfStorage", NULL, "F16"},
    {"torch", "BFloat16Storage", NULL, "BF16"},
    {"torch", "LongStorage", NULL, "I64"},
    {"torch", "IntStorage", NULL, "I32"},
    {"torch", "ShortStorage", NULL, "I16"},
    {"torch", "CharStorage", NULL, "I8"},
    {"torch", "ByteStorage", NULL, "U8"},
    {"torch", "BoolStorage", NULL, "BOOL"},
    {"numpy", "ndarray", NULL, NULL},
    {"numpy", "dtype", make_dtype, NULL},
    {"numpy.core.multiarray", "_reconstruct", make_array, NULL},
    {"numpy._core.multiarray", "_reconstruct", make_array, NULL},
    {"numpy.core.multiarray", "scalar", make_other, NULL},
    {"numpy._core.multiarray", "scalar", make_other, NULL},
    {"numpy.core.numeric", "_frombuffer", make_filled_array, NULL},
    {"numpy._core.numeric", "_frombuffer", make_filled_array, NULL},
    {"_codecs", "encode", make_bytes, NULL},
    {"__builtin__", "bytes", make_bytes, NULL},
    {"builtins", "bytes", make_bytes, NULL},
};

static int same(const char *known, const char *text, size_t length)
{
    return strlen(known) == length && memcmp(known, text, length) == 0;
}

const rni_py_global *rni_py_find_global(const char *module, size_t module_length, const char *name, size_t name_length)
{
    for (size_t i = 0; i < sizeof globals / sizeof globals[0]; i++)
        if (same(globals[i].module, module, module_length) && same(globals[i].name, name, name_length))
            return &globals[i];
    return NULL;
}
