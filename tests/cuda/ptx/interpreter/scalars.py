# SPDX-License-Identifier: MIT
"""PTX's fundamental types, and the NumPy types that hold them. bf16 is held as its 16 bits."""
import numpy as np

_TYPES = {
    "b8": np.uint8, "u8": np.uint8, "s8": np.int8,
    "b16": np.uint16, "u16": np.uint16, "s16": np.int16, "f16": np.float16, "bf16": np.uint16,
    "b32": np.uint32, "u32": np.uint32, "s32": np.int32, "f32": np.float32, "f16x2": np.uint32, "bf16x2": np.uint32,
    "b64": np.uint64, "u64": np.uint64, "s64": np.int64, "f64": np.float64,
    "pred": np.bool_,
}
_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
_SIGNED = {1: np.int8, 2: np.int16, 4: np.int32, 8: np.int64}
FLOATS = ("f16", "bf16", "f32", "f64")


def is_type(name):
    return name in _TYPES


def dtype(name):
    return np.dtype(_TYPES[name])


def width(name):
    """Bytes."""
    return dtype(name).itemsize


def unsigned(size):
    return np.dtype(_UNSIGNED[size])


def signed(size):
    return np.dtype(_SIGNED[size])


def is_float(name):
    return name in FLOATS


def is_signed(name):
    return name[0] == "s"


def twice(name):
    """The integer type of twice the width."""
    return name[0] + str(2 * int(name[1:]))


def bf16_to_f32(bits):
    return (np.asarray(bits).astype(np.uint32) << np.uint32(16)).view(np.float32)


def immediate(text, name):
    """The value of a literal, as a NumPy scalar of the type's dtype."""
    kind = dtype(name)
    if text[:2].lower() in ("0f", "0d"):
        bits = int(text[2:], 16)
        value = np.uint32(bits).view(np.float32) if text[1] in "fF" else np.uint64(bits).view(np.float64)
        if is_float(name):
            return kind.type(value)
        if value.dtype.itemsize != kind.itemsize:
            raise ValueError(f"{text} as .{name}")
        return value.view(kind)
    if is_float(name):
        return kind.type(float(text))
    if name == "pred":
        return np.bool_(int(text, 0) != 0)
    digits = text.rstrip("uU")
    if len(digits.lstrip("-")) > 1 and digits.lstrip("-").isdigit() and digits.lstrip("-")[0] == "0":
        value = int(digits, 8)
    else:
        value = int(digits, 0)
    size = kind.itemsize
    return unsigned(size).type(value & ((1 << (8 * size)) - 1)).view(kind)
