# SPDX-License-Identifier: MIT
"""mov, cvta and isspacep."""
import numpy as np

from . import scalars
from .faults import Unsupported
from .memory import LOCAL_WINDOW, SHARED_WINDOW

_WINDOWS = {"global": 0, "const": 0, "param": 0, "shared": SHARED_WINDOW, "local": LOCAL_WINDOW}


def compile_mov(instruction, operands):
    kind, (target, source) = instruction.modifiers[-1], instruction.operands
    if len(instruction.modifiers) != 1 or not scalars.is_type(kind):
        raise Unsupported(instruction.text)
    if source.startswith("{"):
        return _pack(kind, operands.vector(source), operands, operands.write(target, kind))
    if target.startswith("{"):
        return _unpack(kind, operands.vector(target), operands, operands.read(source, kind))
    read, write = operands.read(source, kind), operands.write(target, kind)
    return lambda m, lanes: write(m, lanes, read(m, lanes))


def _part(kind, count):
    return f"b{8 * scalars.width(kind) // count}"


def _pack(kind, names, operands, write):
    part, whole = _part(kind, len(names)), scalars.unsigned(scalars.width(kind))
    read = [operands.read(name, part) for name in names]
    bits = 8 * scalars.width(part)

    def step(m, lanes):
        value = whole.type(0)
        for i, r in enumerate(read):
            value = value | r(m, lanes).astype(whole) << whole.type(bits * i)
        write(m, lanes, value.view(scalars.dtype(kind)))
    return step


def _unpack(kind, names, operands, read):
    part, whole = _part(kind, len(names)), scalars.unsigned(scalars.width(kind))
    write = [operands.write(name, part) for name in names]
    bits, dtype = 8 * scalars.width(part), scalars.dtype(part)

    def step(m, lanes):
        value = np.array(read(m, lanes)).view(whole)
        for i, w in enumerate(write):
            w(m, lanes, (value >> whole.type(bits * i)).astype(dtype))
    return step


def compile_cvta(instruction, operands):
    """Generic addresses are a space's own plus the start of its window."""
    words = [m for m in instruction.modifiers if m != "to"]
    kind = words[-1]
    window = np.uint64(_WINDOWS[words[0]]) if words[0] in _WINDOWS else None
    if window is None or kind != "u64":
        raise Unsupported(instruction.text)
    read, write = operands.read(instruction.operands[1], kind), operands.write(instruction.operands[0], kind)
    if instruction.modifiers[0] == "to":
        return lambda m, lanes: write(m, lanes, read(m, lanes) - window)
    return lambda m, lanes: write(m, lanes, read(m, lanes) + window)


def compile_isspacep(instruction, operands):
    space = instruction.modifiers[0]
    if space not in ("global", "shared", "local"):
        raise Unsupported(instruction.text)
    read, write = operands.read(instruction.operands[1], "u64"), operands.write(instruction.operands[0], "pred")

    def step(m, lanes):
        top = read(m, lanes) >> np.uint64(60)
        write(m, lanes, {"global": top < 10, "shared": top == 10, "local": top == 11}[space])
    return step
