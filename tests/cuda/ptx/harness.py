# SPDX-License-Identifier: MIT
"""For tests of the interpreter: runs a few instructions on arrays, and rounds rational numbers to any float type."""
import struct
from fractions import Fraction

import numpy as np

from interpreter import GlobalMemory, Program
from interpreter.scalars import bf16_to_f32, dtype, width

INPUT, OUTPUT = 0x10000000, 0x20000000
_HELD = {1: "b16", 2: "b16", 4: "b32", 8: "b64"}


def kernel(body, loads="", stores="", parameters=2, declarations=""):
    names = ", ".join(f".param .u64 t_{i}" for i in range(parameters))
    return f""".version 9.0
.target sm_75
.address_size 64
{declarations}
.visible .entry t({names})
{{
.reg .pred %p<10>, %q<10>;
.reg .b16 %h<10>;
.reg .b32 %r<20>;
.reg .b64 %rd<20>;
mov.u32 %r19, %ctaid.x;
mov.u32 %r18, %ntid.x;
mov.u32 %r17, %tid.x;
mad.lo.u32 %r19, %r19, %r18, %r17;
cvt.u64.u32 %rd19, %r19;
ld.param.u64 %rd18, [t_0];
ld.param.u64 %rd17, [t_1];
{loads}
{body}
{stores}
ret;
}}
"""


def evaluate(body, inputs, result, more="", threads=None, order="together"):
    """Runs `body` in one thread per element. inputs: [(type, array)], in registers %a, %b, %c, ...; the result, of
    type `result`, is what the body leaves in %d. Predicates are stored as b32 0 or 1 by the body."""
    n = len(inputs[0][1])
    loads, memory = [more], GlobalMemory()
    for i, (kind, values) in enumerate(inputs):
        name = "%" + "abcefg"[i]
        loads += [f".reg .{_HELD[width(kind)]} {name};", f"mad.lo.u64 %rd16, %rd19, {width(kind)}, %rd18;",
                  f"ld.global.b{8 * width(kind)} {name}, [%rd16+{i << 20}];"]
        memory.map(INPUT + (i << 20), np.ascontiguousarray(values, dtype(kind)).view(np.uint8))
    loads.append(f".reg .{_HELD[width(result)]} %d;")
    store = f"mad.lo.u64 %rd16, %rd19, {width(result)}, %rd17; st.global.b{8 * width(result)} [%rd16], %d;"
    memory.map(OUTPUT, n * width(result))
    program = Program(kernel(body, "\n".join(loads), store))
    threads = threads or min(n, 256)
    assert n % threads == 0
    program.run("t", memory, (n // threads,), (threads,), struct.pack("<QQ", INPUT, OUTPUT), order)
    return memory.read(OUTPUT, n * width(result))[0].view(dtype(result))


# precision in bits, lowest and highest exponent
_FORMATS = {"f16": (11, -14, 15), "bf16": (8, -126, 127), "f32": (24, -126, 127), "f64": (53, -1022, 1023)}


def exact(value, kind):
    return Fraction(float(bf16_to_f32(value) if kind == "bf16" else value))


def _whole(value, mode):
    """A Fraction to an integer."""
    floor = value.numerator // value.denominator
    rest = value - floor
    if rest == 0:
        return floor
    if mode == "rn":
        return floor + (rest > Fraction(1, 2) or (rest == Fraction(1, 2) and floor % 2 == 1))
    return floor + (mode == "rp" or (mode == "rz" and value < 0))


def rounded(value, kind, mode="rn"):
    """A Fraction as a float of the type, rounded as IEEE 754 says."""
    precision, low, high = _FORMATS[kind]
    if value == 0:
        return 0.0
    exponent = abs(value.numerator).bit_length() - value.denominator.bit_length()
    if abs(value) < Fraction(2)**exponent:
        exponent -= 1
    unit = Fraction(2)**(max(exponent, low) - precision + 1)
    result = _whole(value / unit, mode) * unit
    largest = (2 - Fraction(2)**(1 - precision)) * Fraction(2)**high
    if abs(result) > largest:
        towards_zero = mode == "rz" or (mode == "rm" and value > 0) or (mode == "rp" and value < 0)
        magnitude = float(largest) if towards_zero else float("inf")
        return magnitude if value > 0 else -magnitude
    return float(result)


def floats(kind, count, seed, spread=None):
    """Finite values over all exponents, or over `spread` powers of two around 1; denormals and zeros among them."""
    generator = np.random.default_rng(seed)
    precision, low, high = _FORMATS[kind]
    reach = spread or high - 1
    exponents = generator.integers(max(-reach, low - precision + 1), min(reach, high) + 1, count).astype(np.float64)
    values = (1 + generator.random(count)) * np.where(generator.random(count) < 0.5, -1, 1)
    with np.errstate(all="ignore"):
        if kind == "f64":
            return np.ldexp(values, exponents.astype(int))
        values = np.ldexp(values, exponents.astype(int))
        if kind == "bf16":
            return (values.astype(np.float32).view(np.uint32) >> np.uint32(16)).astype(np.uint16)
        values = values.astype(dtype(kind))
    values[:2] = [0.0, -0.0]
    return values


def integers(kind, count, seed):
    """Of all magnitudes, with the ends of the range."""
    generator = np.random.default_rng(seed)
    bits = 8 * width(kind)
    raw = generator.integers(0, 1 << bits, count, np.uint64, endpoint=False) if bits < 64 else generator.integers(
        0, np.iinfo(np.uint64).max, count, np.uint64, endpoint=True)
    raw >>= generator.integers(0, bits, count).astype(np.uint64)
    values = raw.astype(dtype("u" + kind[1:])).view(dtype(kind)).copy()
    if kind[0] == "s":
        values[generator.random(count) < 0.4] *= -1
    info = np.iinfo(dtype(kind))
    values[:4] = [0, 1, info.min, info.max]
    return values
