# SPDX-License-Identifier: MIT
"""cvt: between integers and floats of all widths."""
import numpy as np

from . import rounding, scalars
from .arithmetic import canonical, flush, saturate
from .faults import Unsupported

_TO_INTEGER = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}


def _float_to_integer(value, kind, mode):
    """Clamped to the range; NaN becomes 0."""
    info = np.iinfo(scalars.dtype(kind))
    value = _TO_INTEGER[mode](np.asarray(value, np.float64))
    top = 2.0**(8 * scalars.width(kind) - scalars.is_signed(kind))
    inside = (value >= float(info.min)) & (value < top)
    whole = np.where(inside, value, 0.0).astype(scalars.dtype(kind))
    ends = np.where(value >= top, info.max, np.where(value < float(info.min), info.min, 0)).astype(scalars.dtype(kind))
    return np.where(inside, whole, ends)


def _integer_to_integer(value, kind, sat):
    target = scalars.dtype(kind)
    if not sat:
        return value.astype(target)
    info, source = np.iinfo(target), np.iinfo(value.dtype)
    low, high = max(info.min, source.min), min(info.max, source.max)
    return np.clip(value, value.dtype.type(low), value.dtype.type(high)).astype(target)


def _integer_to_float(value, kind, mode, text):
    if mode == "rn" and kind in ("f32", "f64"):
        return value.astype(scalars.dtype(kind))
    if value.dtype.itemsize > 4 and mode != "rn":
        raise Unsupported(text)
    exact = value.astype(np.float64)
    if value.dtype.itemsize > 4:  # 64 bits to f16 or bf16: what f64 lost decides ties
        lost = np.where(exact < 2.0**63, value.astype(np.int64) - exact.astype(np.int64), 0).astype(np.float64)
        exact = rounding.to_odd(exact, lost)
    return _narrowed(exact, kind, mode)


def _narrowed(exact, kind, mode):
    if kind == "f64":
        return exact
    if kind == "bf16":
        return rounding.narrow_bf16(exact, mode)
    return rounding.narrow(exact, scalars.dtype(kind), mode)


def _as_float(value, kind):
    return scalars.bf16_to_f32(value) if kind == "bf16" else value


def _float_to_float(value, kind, source, mode):
    if kind == source:
        return value
    value = _as_float(value, source)
    if kind == "f64" or (kind == "f32" and source != "f64"):
        return value.astype(scalars.dtype(kind))
    return _narrowed(value.astype(np.float64), kind, mode or "rn")


class _Modifiers:
    def __init__(self, instruction):
        words = instruction.modifiers[:-2]
        self.text = instruction.text
        self.integer = next((w for w in words if w in _TO_INTEGER), None)
        self.float = next((w for w in words if w in rounding.MODES), None)
        self.ftz, self.sat, self.relu = "ftz" in words, "sat" in words, "relu" in words
        if set(words) - set(_TO_INTEGER) - set(rounding.MODES) - {"ftz", "sat", "relu"}:
            raise Unsupported(instruction.text)


def _positive(value, kind):
    """.relu: negative values become +0; NaN the canonical one."""
    if kind == "bf16":
        return np.where((value & 0x8000 != 0) & (value & 0x7fff <= 0x7f80), 0, value).astype(np.uint16)
    return np.where(value < 0, 0, value).astype(value.dtype) + value.dtype.type(0)


def convert(value, kind, source, how):
    """One conversion of .source to .kind."""
    if scalars.is_float(source):
        if how.ftz and source == "f32":
            value = flush(value)
        if not scalars.is_float(kind):
            if how.integer is None:
                raise Unsupported(how.text)
            return _float_to_integer(_as_float(value, source), kind, how.integer)
        if how.integer:
            value = _TO_INTEGER[how.integer](value)
        result = _float_to_float(value, kind, source, how.float)
        if how.ftz and kind == "f32":
            result = flush(result)
        if how.relu:
            result = _positive(result, kind)
        if how.sat:
            result = saturate(result)
        return canonical(result) if kind == "f32" else result
    if scalars.is_float(kind):
        return _integer_to_float(value, kind, how.float or "rn", how.text)
    return _integer_to_integer(value, kind, how.sat)


def compile_cvt(instruction, operands):
    """cvt, also of two values packed into f16x2 and bf16x2."""
    kind, source = instruction.modifiers[-2:]
    if not (scalars.is_type(kind) and scalars.is_type(source)):
        raise Unsupported(instruction.text)
    how = _Modifiers(instruction)
    read = [operands.read(text, source) for text in instruction.operands[1:]]
    write = operands.write(instruction.operands[0], kind)
    if kind in ("f16x2", "bf16x2"):
        half = kind[:-2]

        def step(m, lanes):
            high, low = (np.asarray(convert(np.atleast_1d(r(m, lanes)), half, source, how)).view(np.uint16)
                         for r in read)
            write(m, lanes, high.astype(np.uint32) << np.uint32(16) | low)
        return step
    if len(read) != 1:
        raise Unsupported(instruction.text)
    return lambda m, lanes: write(m, lanes, convert(np.atleast_1d(read[0](m, lanes)), kind, source, how))
