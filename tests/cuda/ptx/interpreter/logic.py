# SPDX-License-Identifier: MIT
"""Operations on bits, and comparisons."""
import numpy as np

from . import scalars
from .faults import Unsupported


def shift_left(a, n):
    bits = 8 * a.dtype.itemsize
    moved = a << np.minimum(n, np.uint32(bits - 1)).astype(a.dtype)
    return np.where(n >= bits, a.dtype.type(0), moved)


def shift_right(a, n):
    """A signed value is filled with its sign."""
    bits = 8 * a.dtype.itemsize
    moved = a >> np.minimum(n, np.uint32(bits - 1)).astype(a.dtype)
    return moved if a.dtype.kind == "i" else np.where(n >= bits, a.dtype.type(0), moved)


def low_mask(length, kind):
    """Ones in the `length` lowest bits."""
    return ~shift_left(~np.zeros(np.shape(length), kind), length)


def _byte(value):
    return np.asarray(value).astype(np.uint32) & np.uint32(0xff)


def extract_field(a, position, length):
    """bfe."""
    unsigned = scalars.unsigned(a.dtype.itemsize)
    bits = np.uint32(8 * a.dtype.itemsize)
    position, length = np.broadcast_arrays(_byte(position), _byte(length))
    value = np.asarray(a).view(unsigned)
    room = np.where(position < bits, bits - position, np.uint32(0)).astype(np.uint32)
    mask = low_mask(np.minimum(length, room), unsigned)
    field = shift_right(value, position) & mask
    if a.dtype.kind == "i":
        last = np.minimum(position.astype(np.int64) + length - 1, bits - 1).clip(0).astype(unsigned)
        negative = (value >> last & unsigned.type(1) == 1) & (length > 0)
        field = np.where(negative, field | ~mask, field)
    return field.astype(unsigned).view(a.dtype)


def insert_field(a, b, position, length):
    """bfi: `length` low bits of a, put into b at `position`."""
    position, length = np.broadcast_arrays(_byte(position), _byte(length))
    mask = shift_left(low_mask(length, a.dtype), position)
    return (b & ~mask) | (shift_left(a, position) & mask)


def permute_bytes(a, b, selector):
    """prmt in its default mode."""
    both = a.astype(np.uint64) | b.astype(np.uint64) << np.uint64(32)
    result = np.uint32(0)
    for i in range(4):
        choice = selector >> np.uint32(4 * i) & np.uint32(0xf)
        byte = (both >> ((choice & np.uint32(7)).astype(np.uint64) * np.uint64(8)) & np.uint64(0xff)).astype(np.uint32)
        sign = np.where(byte & np.uint32(0x80), np.uint32(0xff), np.uint32(0))
        result = result | np.where(choice & np.uint32(8), sign, byte) << np.uint32(8 * i)
    return result


def any_logic(a, b, c, table):
    """lop3: bit i of `table` is the result where (a, b, c) are the bits of i."""
    result = np.zeros_like(np.asarray(a) | b | c)
    for i in range(8):
        if int(table) >> i & 1:
            result = result | ((a if i & 4 else ~a) & (b if i & 2 else ~b) & (c if i & 1 else ~c))
    return result


def funnel_shift(low, high, n, left, wrap):
    n = n & np.uint32(31) if wrap else np.minimum(n, np.uint32(32))
    both = low.astype(np.uint64) | high.astype(np.uint64) << np.uint64(32)
    if left:  # by 64 bits less n to the right, in two steps so that n = 0 is no shift by 64
        return (both << n.astype(np.uint64) >> np.uint64(32)).astype(np.uint32)
    return (both >> n.astype(np.uint64)).astype(np.uint32)


def ones(a):
    """popc."""
    return np.unpackbits(np.ascontiguousarray(np.atleast_1d(a)).view(np.uint8).reshape(-1, a.dtype.itemsize),
                         axis=1).sum(1, dtype=np.uint32)


def leading_zeros(a):
    a = np.atleast_1d(a)
    if a.dtype.itemsize == 8:
        high = leading_zeros((a >> np.uint64(32)).astype(np.uint32))
        return np.where(high == 32, high + leading_zeros(a.astype(np.uint32)), high)
    return (32 - np.frexp(a.astype(np.float64))[1]).astype(np.uint32)


def highest_bit(a, shift):
    """bfind: the position of the highest bit that is not the sign's, or all ones; `shift`: its distance from the top."""
    bits = np.uint32(8 * a.dtype.itemsize)
    if a.dtype.kind == "i":
        a = np.where(a < 0, ~a, a).view(scalars.unsigned(a.dtype.itemsize))
    zeros = leading_zeros(a)
    found = zeros if shift else bits - np.uint32(1) - zeros
    return np.where(zeros == bits, np.uint32(0xffffffff), found)


def reverse_bits(a):
    a = np.ascontiguousarray(np.atleast_1d(a))
    raw = np.unpackbits(a.view(np.uint8).reshape(-1, a.dtype.itemsize), axis=1, bitorder="little")
    return np.packbits(raw[:, ::-1], axis=1, bitorder="little").copy().view(a.dtype).ravel()


BITWISE = {
    "and": lambda a, b: a & b, "or": lambda a, b: a | b, "xor": lambda a, b: a ^ b, "not": lambda a: ~a,
    "cnot": lambda a: (a == 0).astype(a.dtype),
}

_ORDERED = {
    "eq": lambda a, b: a == b, "lt": lambda a, b: a < b, "le": lambda a, b: a <= b, "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b, "lo": lambda a, b: a < b, "ls": lambda a, b: a <= b, "hi": lambda a, b: a > b,
    "hs": lambda a, b: a >= b,
}
_FLOAT_ONLY = {
    "equ": lambda a, b: (a == b) | _unordered(a, b), "neu": lambda a, b: a != b,
    "ltu": lambda a, b: ~(a >= b), "leu": lambda a, b: ~(a > b), "gtu": lambda a, b: ~(a <= b),
    "geu": lambda a, b: ~(a < b), "num": lambda a, b: ~_unordered(a, b), "nan": lambda a, b: _unordered(a, b),
}


def _unordered(a, b):
    return np.isnan(a) | np.isnan(b)


def comparison(name, kind, text):
    """The function of a comparison. Ordered comparisons of floats are false when one is NaN."""
    if name in _ORDERED:
        return _ORDERED[name]
    if name == "ne":
        return (lambda a, b: (a != b) & ~_unordered(a, b)) if scalars.is_float(kind) else (lambda a, b: a != b)
    if name in _FLOAT_ONLY and scalars.is_float(kind):
        return _FLOAT_ONLY[name]
    raise Unsupported(text)


def tested(name, text):
    """testp."""
    forms = {
        "finite": np.isfinite, "infinite": np.isinf, "number": lambda a: ~np.isnan(a), "notanumber": np.isnan,
        "normal": lambda a: np.isfinite(a) & (np.abs(a) >= np.finfo(a.dtype).tiny),
        "subnormal": lambda a: (a == 0) | (np.abs(a) < np.finfo(a.dtype).tiny),
    }
    if name not in forms:
        raise Unsupported(text)
    return forms[name]
