# SPDX-License-Identifier: MIT
"""Arithmetic on integers and floats."""
import numpy as np

from . import approximate, rounding, scalars
from .faults import Unsupported

CANONICAL = np.uint32(0x7fffffff).view(np.float32)


# ---- integers

def high_product(a, b, kind):
    """The upper half of the product."""
    size = scalars.width(kind)
    if size < 8:
        wide = scalars.dtype(scalars.twice(kind))
        return (a.astype(wide) * b.astype(wide) >> wide.type(8 * size)).astype(scalars.dtype(kind))
    x, y = (np.asarray(v).view(np.uint64) for v in (a, b))
    half, mask = np.uint64(32), np.uint64(0xffffffff)
    xl, xh, yl, yh = x & mask, x >> half, y & mask, y >> half
    middle = xh * yl + (xl * yl >> half)
    other = xl * yh + (middle & mask)
    high = xh * yh + (middle >> half) + (other >> half)
    if kind[0] == "s":
        zero = np.uint64(0)
        high = high - np.where(np.asarray(a) < 0, y, zero) - np.where(np.asarray(b) < 0, x, zero)
        return high.view(np.int64)
    return high


def integer_divide(a, b, kind):
    """Towards zero; by zero: all ones, as the hardware gives."""
    zero = b == 0
    safe = np.where(zero, b.dtype.type(1), b)
    quotient = np.floor_divide(a, safe)
    if scalars.is_signed(kind):
        inexact = np.fmod(a, safe) != 0
        quotient = quotient + (inexact & ((a < 0) != (safe < 0)))
    return np.where(zero, np.array(-1).astype(quotient.dtype), quotient).astype(a.dtype)


def integer_remainder(a, b):
    zero = b == 0
    return np.where(zero, a, np.fmod(a, np.where(zero, b.dtype.type(1), b))).astype(a.dtype)


def _saturated(wide, kind):
    info = np.iinfo(scalars.dtype(kind))
    return np.clip(wide, info.min, info.max).astype(scalars.dtype(kind))


# ---- floats

def flush(value):
    """Denormals become zeros of their sign."""
    tiny = np.finfo(value.dtype).tiny
    return np.where(np.abs(value) < tiny, np.copysign(value.dtype.type(0), value), value).astype(value.dtype)


def canonical(value):
    if value.dtype == np.float32:
        nan = np.isnan(value)
        if nan.any():
            return np.where(nan, CANONICAL, value)
    return value


def saturate(value):
    """Clamped to [0, 1]; NaN becomes +0."""
    clamped = np.fmin(np.fmax(value, value.dtype.type(0)), value.dtype.type(1))
    return np.where(np.isnan(value) | (clamped == 0), value.dtype.type(0), clamped).astype(value.dtype)


def _pick(a, b, largest, propagate):
    chosen = np.fmax(a, b) if largest else np.fmin(a, b)
    zeros = (a == 0) & (b == 0)
    if np.any(zeros):
        bits = scalars.unsigned(a.dtype.itemsize)
        x, y = np.asarray(a).view(bits), np.asarray(b).view(bits)
        chosen = np.where(zeros, (x & y if largest else x | y).view(a.dtype), chosen)
    if propagate:
        chosen = np.where(np.isnan(a) | np.isnan(b), a.dtype.type(np.nan), chosen)
    return chosen.astype(a.dtype)


def _sum_f32(a, b, mode):
    return a + b if mode == "rn" else rounding.add_f32(a, b, mode)


def _product_f32(a, b, mode):
    if mode == "rn":
        return a * b
    return rounding.narrow(np.multiply(a, b, dtype=np.float64), np.float32, mode)


def _small(operation, kind):
    """f16 and bf16, by way of doubles."""
    one = np.float16(1) if kind == "f16" else np.uint16(0x3f80)
    zero = np.float16(-0.0) if kind == "f16" else np.uint16(0x8000)

    def minus(x):
        return -x if kind == "f16" else x ^ np.uint16(0x8000)
    forms = {
        "add": lambda mode, a, b: rounding.fma_small(a, one, b, kind, mode),
        "sub": lambda mode, a, b: rounding.fma_small(a, one, minus(b), kind, mode),
        "mul": lambda mode, a, b: rounding.fma_small(a, b, zero, kind, mode),
        "fma": lambda mode, a, b, c: rounding.fma_small(a, b, c, kind, mode),
    }
    return forms.get(operation)


def _f32(operation):
    return {
        "add": lambda mode, a, b: _sum_f32(a, b, mode),
        "sub": lambda mode, a, b: _sum_f32(a, -b, mode),
        "mul": lambda mode, a, b: _product_f32(a, b, mode),
        "fma": lambda mode, a, b, c: rounding.fma_f32(a, b, c, mode),
        "mad": lambda mode, a, b, c: rounding.fma_f32(a, b, c, mode),
    }.get(operation)


def _double(operation):
    return {
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "fma": rounding.fma_f64,
        "mad": rounding.fma_f64,
    }.get(operation)


def _nearest_only(operation):
    """Correctly rounded by NumPy in f32 and f64."""
    return {
        "div": lambda a, b: a / b,
        "sqrt": np.sqrt,
        "rcp": lambda a: a.dtype.type(1) / a,
    }.get(operation)


def _sign_operation(operation, kind):
    bits = scalars.unsigned(scalars.width(kind))
    sign = bits.type(1 << (8 * bits.itemsize - 1))
    dtype = scalars.dtype(kind)

    def on_bits(function):
        return lambda *values: function(*(np.asarray(v).view(bits) for v in values)).view(dtype)
    return {
        "neg": on_bits(lambda a: a ^ sign),
        "abs": on_bits(lambda a: a & ~sign),
        "copysign": on_bits(lambda a, b: (a & sign) | (b & ~sign)),
    }.get(operation)


def compile_float(instruction, kind):
    """The function of a float instruction's values. Raises Unsupported for a modifier it does not know."""
    operation, modifiers = instruction.opcode, instruction.modifiers[:-1]
    mode = next((m for m in modifiers if m in rounding.MODES), "rn")
    known = {"ftz", "sat", "approx", "full", "NaN"} | set(rounding.MODES)
    if set(modifiers) - known:
        raise Unsupported(instruction.text)
    function = _sign_operation(operation, kind)
    if function is None and operation in ("min", "max") and kind != "bf16":
        propagate = "NaN" in modifiers
        function = lambda a, b: _pick(a, b, operation == "max", propagate)  # noqa: E731
    if function is None and ("approx" in modifiers or "full" in modifiers):
        function = approximate.function(operation, kind, "ftz" in modifiers)
    if function is None:
        function = _rounded(operation, kind, mode)
    if function is None:
        raise Unsupported(instruction.text)
    return _decorate(function, kind, "ftz" in modifiers and kind == "f32", "sat" in modifiers, operation)


def _rounded(operation, kind, mode):
    """A function with one rounding, bound to its mode; None when there is none."""
    function = _small(operation, kind) if kind in ("f16", "bf16") else _f32(operation) if kind == "f32" else None
    if function is not None:
        return lambda *values: function(mode, *values)
    if mode != "rn" or kind not in ("f32", "f64"):
        return None
    return (_double(operation) if kind == "f64" else None) or _nearest_only(operation)


def _decorate(function, kind, ftz, sat, operation):
    """Adds flushing, saturation and the canonical NaN."""
    signs = operation in ("neg", "abs", "copysign")

    def apply(*values):
        if ftz:
            values = [flush(v) for v in values]
        result = function(*values)
        if ftz:
            result = flush(result)
        if sat:
            result = saturate(result)
        return result if signs or kind != "f32" else canonical(np.asarray(result))
    return apply


def compile_integer(instruction, kind):
    """The function of an integer instruction's values, and the kind of its result."""
    operation, modifiers = instruction.opcode, instruction.modifiers[:-1]
    part = next((m for m in modifiers if m in ("lo", "hi", "wide")), "lo")
    if set(modifiers) - {"lo", "hi", "wide", "sat"}:
        raise Unsupported(instruction.text)
    result = scalars.twice(kind) if part == "wide" else kind
    wide = scalars.dtype(result)

    def product(a, b):
        if part == "wide":
            return a.astype(wide) * b.astype(wide)
        return high_product(a, b, kind) if part == "hi" else a * b
    if "sat" in modifiers:
        forms = {"add": lambda a, b: _saturated(a.astype(np.int64) + b, kind),
                 "sub": lambda a, b: _saturated(a.astype(np.int64) - b, kind)} if kind == "s32" else {}
    else:
        forms = {
            "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": product,
            "mad": lambda a, b, c: product(a, b) + c,
            "div": lambda a, b: integer_divide(a, b, kind), "rem": integer_remainder,
            "min": np.minimum, "max": np.maximum, "abs": np.abs, "neg": lambda a: np.zeros_like(a) - a,
            "sad": lambda a, b, c: c + (np.maximum(a, b) - np.minimum(a, b)).astype(c.dtype),
        }
    if operation not in forms:
        raise Unsupported(instruction.text)
    return forms[operation], result
