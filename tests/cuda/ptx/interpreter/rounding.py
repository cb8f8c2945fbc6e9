# SPDX-License-Identifier: MIT
"""
Sums and products rounded once. A sum of two doubles rounded "to odd" keeps in its last bit that it was inexact; rounded
once more, to a type at least two bits shorter, it gives what one rounding would have given (Boldo and Melquiond, 2008).
"""
from fractions import Fraction

import numpy as np

from .scalars import bf16_to_f32

MODES = ("rn", "rz", "rm", "rp")
_SMALLEST_NORMAL = 2.0**-126


def two_sum(a, b):
    """The rounded sum, and what rounding lost: a + b = s + e."""
    s = a + b
    back = s - a
    return s, (a - (s - back)) + (b - back)


def to_odd(value, rest):
    """A rounded value and what it lost -> the value rounded to odd."""
    value = np.array(value, np.float64, ndmin=1)
    bits = value.view(np.int64)
    fix = (rest != 0) & np.isfinite(value) & np.isfinite(rest) & (bits & 1 == 0)
    bits += np.where(fix, np.where((rest > 0) == (value > 0), 1, -1), 0)
    return value


def odd_sum(a, b):
    return to_odd(*two_sum(np.asarray(a, np.float64), np.asarray(b, np.float64)))


def _towards(rounded, exact, mode, wide):
    """Corrects a value rounded to nearest to a directed mode. `wide` makes it a double."""
    value = wide(rounded)
    down = np.nextafter(rounded, rounded.dtype.type(-np.inf))
    up = np.nextafter(rounded, rounded.dtype.type(np.inf))
    above, below = value > exact, value < exact
    if mode == "rm":
        return np.where(above, down, rounded)
    if mode == "rp":
        return np.where(below, up, rounded)
    return np.where(above & (exact > 0), down, np.where(below & (exact < 0), up, rounded))


def narrow(value, kind, mode="rn"):
    """Doubles, exact or rounded to odd, to f32 or f16."""
    rounded = value.astype(kind)
    if mode == "rn":
        return rounded
    return _towards(rounded, value, mode, lambda x: x.astype(np.float64)).astype(kind)


def narrow_bf16(value, mode="rn"):
    """Doubles, exact or rounded to odd, to the bits of bf16; NaN becomes 0x7fff."""
    value = np.atleast_1d(np.asarray(value, np.float64))
    single = value.astype(np.float32)
    rest = value - single
    bits = single.view(np.uint32).copy()
    # To odd in f32: a last bit that says "inexact" decides ties below.
    fix = (rest != 0) & np.isfinite(value) & (bits & 1 == 0)
    over = np.isinf(single) & np.isfinite(value)
    step = np.where((rest > 0) == (value > 0), 1, -1)
    step = np.where(single == 0, 1, step)
    sign = np.where(value < 0, np.uint32(0x80000000), np.uint32(0))
    bits = np.where(single == 0, sign | (bits & np.uint32(0x7fffffff)), bits)
    bits = np.where(fix & ~over, (bits.astype(np.int64) + step).astype(np.uint32), bits)
    bits = np.where(over, sign | np.uint32(0x7f7fffff), bits)
    if mode == "rn":
        rounded = (bits + np.uint32(0x7fff) + (bits >> np.uint32(16) & np.uint32(1))) >> np.uint32(16)
    else:
        away = {"rz": np.zeros(len(bits), bool), "rm": bits >> np.uint32(31) == 1, "rp": bits >> np.uint32(31) == 0}[mode]
        more = away & (bits & np.uint32(0xffff) != 0) & ~np.isinf(value)
        rounded = (bits >> np.uint32(16)) + more.astype(np.uint32)
    return np.where(np.isnan(value), np.uint32(0x7fff), rounded).astype(np.uint16)


def _needs_care(s):
    """Whether rounding doubles to f32 could round twice: halfway between two floats, or a denormal."""
    bits = np.asarray(s).view(np.uint64)
    return ((bits & np.uint64(0x1fffffff)) == np.uint64(0x10000000)).any() or (np.abs(s) < _SMALLEST_NORMAL).any()


def fma_f32(a, b, c, mode="rn"):
    """a * b + c of f32, rounded once: the product is exact in double."""
    product = np.multiply(a, b, dtype=np.float64)
    c = np.asarray(c, np.float64)
    if mode == "rn":
        s = product + c
        if not _needs_care(s):
            return s.astype(np.float32)
    return narrow(_signed_zero(odd_sum(product, c), product, c, mode), np.float32, mode)


def add_f32(a, b, mode):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return narrow(_signed_zero(odd_sum(a, b), a, b, mode), np.float32, mode)


def _signed_zero(s, a, b, mode):
    """An exact sum of zero is -0 when rounding down, unless both are +0."""
    if mode == "rm":
        return np.where((s == 0) & ~((a == 0) & (b == 0) & ~np.signbit(a) & ~np.signbit(b)), -0.0, s)
    return s


def fma_small(a, b, c, kind, mode="rn"):
    """a * b + c of f16 (values) or bf16 (bits)."""
    if kind == "bf16":
        a, b, c = bf16_to_f32(a), bf16_to_f32(b), bf16_to_f32(c)
        return narrow_bf16(odd_sum(np.multiply(a, b, dtype=np.float64), c), mode)
    return narrow(odd_sum(np.multiply(a, b, dtype=np.float64), c), np.float16, mode)


def _split(a):
    """Two halves of 26 bits whose sum is a (Veltkamp)."""
    t = a * 134217729.0
    high = t - (t - a)
    return high, a - high


def _two_product(a, b):
    p = a * b
    ah, al = _split(a)
    bh, bl = _split(b)
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


def _in_range(x, low, high):
    magnitude = np.abs(x)
    return (magnitude >= low) & (magnitude <= high)


def _fma_exact(a, b, c):
    """One fused product of finite Python floats, by rational arithmetic."""
    value = Fraction(a) * Fraction(b) + Fraction(c)
    if value == 0:
        return a * b + c if a == 0 or b == 0 else 0.0
    try:
        result = value.numerator / value.denominator
    except OverflowError:
        return np.inf if value > 0 else -np.inf
    return result if result != 0 else np.copysign(0.0, 1 if value > 0 else -1)


def fma_f64(a, b, c):
    """a * b + c of f64, rounded once."""
    a, b, c = np.broadcast_arrays(*(np.atleast_1d(np.asarray(x, np.float64)) for x in (a, b, c)))
    p, e = _two_product(a, b)
    th, tl = two_sum(c, e)
    vh, vl = two_sum(p, th)
    result = vh + odd_sum(tl, vl)
    plain = _in_range(a, 2.0**-300, 2.0**300) & _in_range(b, 2.0**-300, 2.0**300) & (
        _in_range(c, 2.0**-600, 2.0**900) | (c == 0)) & _in_range(result, 2.0**-600, 2.0**1000)
    if plain.all():
        return result
    result = np.where(plain, result, a * b + c)
    finite = np.isfinite(a) & np.isfinite(b) & np.isfinite(c)
    for i in np.flatnonzero(~plain & finite):
        result[i] = _fma_exact(float(a[i]), float(b[i]), float(c[i]))
    return result
