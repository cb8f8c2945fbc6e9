/* SPDX-License-Identifier: MIT */
/*
 * Python pickles, protocols 2 to 5, as far as state_dicts of PyTorch and the CIFAR files of its data sets need them. The
 * pickle's program builds a tree of values; it calls nothing: the few names that it may "call" are a table of ours
 * (pickle_globals.c), and any other name is refused.
 *
 * Memory is bounded by what was read: PICKLE_FACTOR bytes per byte of pickle and a fixed allowance. The tree may hold a
 * value several times, and itself: whoever walks it stops at a depth of his own.
 */
#ifndef RNI_FORMAT_PICKLE_H
#define RNI_FORMAT_PICKLE_H

#include "base/alloc.h"
#include "base/error.h"
#include "format/types.h"
#include <stddef.h>

typedef enum rni_py_kind {
    RNI_PY_UNSET, /* of a memo slot */
    RNI_PY_MARK,  /* on the stack only */
    RNI_PY_NONE,
    RNI_PY_BOOL,
    RNI_PY_INT,
    RNI_PY_FLOAT,
    RNI_PY_TEXT,
    RNI_PY_BYTES, /* also the str of Python 2 */
    RNI_PY_TUPLE,
    RNI_PY_LIST,
    RNI_PY_DICT,
    RNI_PY_GLOBAL,
    RNI_PY_STORAGE,
    RNI_PY_TENSOR,
    RNI_PY_DTYPE,
    RNI_PY_ARRAY,
    RNI_PY_OTHER /* read and of no interest: a device, a NumPy number */
} rni_py_kind;

typedef struct rni_py_value rni_py_value;
typedef struct rni_py_global rni_py_global;
typedef struct rni_py_storage rni_py_storage;
typedef struct rni_py_tensor rni_py_tensor;
typedef struct rni_py_dtype rni_py_dtype;
typedef struct rni_py_array rni_py_array;

typedef struct rni_py_items {
    rni_py_value *at;
    size_t count, capacity;
} rni_py_items;

struct rni_py_value {
    rni_py_kind kind;
    uint32_t length; /* bytes of TEXT and BYTES, items of TUPLE */
    union {
        int64_t number;   /* BOOL, INT */
        double real;      /* FLOAT */
        const char *text; /* TEXT: valid UTF-8; BYTES. Not terminated; in the pickle itself or the reader's memory */
        const rni_py_value *tuple;
        rni_py_items *items; /* LIST; DICT: key, value, key, value */
        const rni_py_global *global;
        const rni_py_storage *storage;
        const rni_py_tensor *tensor;
        rni_py_dtype *dtype;
        rni_py_array *array;
    } u;
};

/* What torch.save() calls a storage: a flat array, kept outside of the pickle under a key. */
struct rni_py_storage {
    const rni_st_type *type;
    rni_py_value key; /* TEXT or BYTES */
    int64_t count;    /* elements */
    const rni_py_storage *next; /* read before */
};

/* A view of a storage; sizes and strides in elements, none negative, the last element inside the storage. */
struct rni_py_tensor {
    const rni_py_storage *storage;
    int64_t offset, count;
    int32_t rank;
    const int64_t *dims, *strides;
};

enum { RNI_PY_MAX_RANK = 64 };

/* NumPy's element type: 'u' and 1 for uint8. */
struct rni_py_dtype {
    char kind, order; /* order: '<', '>', '|', '=' */
    int32_t size;
};

struct rni_py_array {
    const rni_py_dtype *dtype; /* NULL: never filled */
    rni_py_value shape; /* TUPLE */
    rni_py_value data;  /* BYTES */
    int fortran;        /* first index fastest */
};

/* The reader's memory, in which values of any number of pickles live. */
typedef struct rni_py_reader {
    const rn_allocator *allocator;
    struct rni_py_block *blocks;
    size_t room;          /* left in the first block */
    uint64_t used;        /* bytes */
    uint64_t read;        /* bytes of pickles so far */
    const rni_py_storage *storages; /* all of them, the last one read first */
    size_t num_storages;
} rni_py_reader;

void rni_py_begin(rni_py_reader *py, const rn_allocator *allocator);
void rni_py_end(rni_py_reader *py);

/*
 * Runs the pickle at the start of `bytes`, which must stay as long as its values are used. `used` [out, optional] is its
 * length. RN_E_FORMAT for a broken one, RN_E_UNSUPPORTED for names and opcodes that are not read; the message begins
 * with the place.
 */
rn_status rni_py_read(rni_py_reader *py, const void *bytes, size_t size, size_t *used, rni_py_value *out);

/* The value of a key that is a text, or NULL. The last one counts when there are several. */
const rni_py_value *rni_py_get(const rni_py_value *dict, const char *key);
/* Is it this text? */
int rni_py_is(const rni_py_value *v, const char *text);
/* A number as double: INT, FLOAT, BOOL; 0 when it is none. */
int rni_py_number(const rni_py_value *v, double *out);

/* For the reader's own files: pickle.c, pickle_value.c, pickle_globals.c. */

/* Memory that lives as long as the reader; counted against the limit. */
rn_status rni_py_alloc(rni_py_reader *py, size_t bytes, void **out);
/* Counts memory that is kept elsewhere, before it is got. */
rn_status rni_py_count(rni_py_reader *py, uint64_t bytes);
rn_status rni_py_new_items(rni_py_reader *py, rni_py_kind kind, rni_py_value *out);
rn_status rni_py_append(rni_py_reader *py, rni_py_items *items, const rni_py_value *values, size_t count);

/* A name that pickles may use; `reduce` NULL: it is only named. */
struct rni_py_global {
    const char *module, *name;
    rn_status (*reduce)(rni_py_reader *py, const rni_py_value *arguments, uint32_t count, rni_py_value *out);
    const char *storage; /* of a class of storages: the type's name in safetensors */
};
/* NULL when it is not in the table. */
const rni_py_global *rni_py_find_global(const char *module, size_t module_length, const char *name,
                                        size_t name_length);
/* BUILD: gives `state` to an object. */
rn_status rni_py_build(rni_py_value *object, const rni_py_value *state);
/* BINPERSID: torch's ('storage', class, key, location, count[, view]). */
rn_status rni_py_storage_of(rni_py_reader *py, const rni_py_value *id, rni_py_value *out);

/* The next character of UTF-8, or -1. */
int32_t rni_py_utf8(const char **at, const char *end);

#endif
