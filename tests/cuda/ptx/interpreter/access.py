# SPDX-License-Identifier: MIT
"""ld, st, atom and red in every state space."""
import numpy as np

from . import scalars
from .faults import LaneFault, Unsupported
from .memory import LOCAL_WINDOW, SHARED_WINDOW

SPACES = ("param", "shared", "local", "global", "const")
_HINTS = {"weak", "relaxed", "acquire", "release", "acq_rel", "volatile", "mmio", "nc", "cta", "gpu", "sys", "cluster",
          "ca", "cg", "cs", "lu", "cv", "wb", "wt", "unified", "shared__cta", "param__entry", "param__func"}


def _space(instruction):
    for word in instruction.modifiers:
        if word.split("__")[0] in SPACES:
            return word.split("__")[0]
    return "generic"


def _check_modifiers(instruction, more=()):
    for word in instruction.modifiers[:-1]:
        if word not in SPACES and word not in _HINTS and word not in more and not word.startswith(("L1__", "L2__")):
            raise Unsupported(instruction.text)


def _signed_window(window):
    return np.int64(window - (1 << 64))


class Resolver:
    """Finds where addresses of a space lie: a store and positions in it."""

    def __init__(self, machine):
        self.machine = machine

    def parts(self, space, address, lanes, size):
        """[(which, store, positions)]: `which` are positions among the lanes, or slice(None)."""
        m = self.machine
        if space in ("global", "const"):
            return [(slice(None), m.memory.bytes, m.memory.locate(address, size))]
        if space == "shared":
            return [(slice(None), m.shared.bytes, m.shared.locate(m.block_index[lanes], address, size))]
        if space == "local":
            return [(slice(None), m.local.bytes, m.local.locate(m.lane_index[lanes], address, size))]
        return self._generic(address, lanes, size)

    def _generic(self, address, lanes, size):
        """Global addresses are positive; the windows' are negative as signed numbers."""
        if len(address) == 0 or address.min() >= 0:
            return self.parts("global", address, lanes, size)
        found = []
        local = (address >= _signed_window(LOCAL_WINDOW)) & (address < 0)
        shared = address < _signed_window(LOCAL_WINDOW)
        every = self.machine.lane_index[lanes]
        for space, which, window in (("global", address >= 0, 0), ("shared", shared, _signed_window(SHARED_WINDOW)),
                                     ("local", local, _signed_window(LOCAL_WINDOW))):
            if not which.any():
                continue
            picked = np.flatnonzero(which)
            try:
                (_, store, position), = self.parts(space, address[which] - window, every[which], size)
            except LaneFault as fault:
                raise LaneFault(str(fault), picked[fault.wrong]) from None
            found.append((picked, store, position))
        return found

    def load(self, space, address, lanes, size, count):
        """`count` arrays of unsigned integers of `size` bytes."""
        parts = self.parts(space, address, lanes, size * count)
        results = [np.empty(len(address), scalars.unsigned(size)) for _ in range(count)]
        for which, store, position in parts:
            for i in range(count):
                try:
                    results[i][which] = store.load(position + i * size, size)
                except LaneFault as fault:
                    wrong = fault.wrong if isinstance(which, slice) else which[fault.wrong]
                    raise LaneFault(str(fault), wrong) from None
        return results

    def store(self, space, address, lanes, values):
        size = values[0].dtype.itemsize
        for which, store, position in self.parts(space, address, lanes, size * len(values)):
            for i, value in enumerate(values):
                store.store(position + i * size, value[which])


def _vector(instruction, operands, position):
    kind = instruction.modifiers[-1]
    names = operands.vector(instruction.operands[position])
    length = next((int(m[1:]) for m in instruction.modifiers if m in ("v2", "v4", "v8")), 1)
    if not scalars.is_type(kind) or kind == "pred" or len(names) != length:
        raise Unsupported(instruction.text)
    _check_modifiers(instruction, ("v2", "v4", "v8"))
    return kind, names


def compile_load(instruction, operands, function_space):
    kind, names = _vector(instruction, operands, 0)
    write = [operands.write(name, kind) for name in names]
    dtype, size, space = scalars.dtype(kind), scalars.width(kind), _space(instruction)
    if space == "param":
        base, offset = operands.address(instruction.operands[1])
        if base in function_space:
            return _load_call_parameter(function_space[base], offset, dtype, write)
    address = operands.read_address(instruction.operands[1])
    if space == "param":
        return _load_kernel_parameter(address, dtype, write)

    def step(m, lanes):
        values = m.resolver.load(space, address(m, lanes), lanes, size, len(write))
        for store, value in zip(write, values):
            store(m, lanes, value.view(dtype))
    return step


def _load_kernel_parameter(address, dtype, write):
    size = dtype.itemsize

    def step(m, lanes):
        at = address(m, lanes)
        wrong = (at < 0) | (at + size * len(write) > len(m.parameters))
        if wrong.any():
            raise LaneFault(f"is outside the {len(m.parameters)} bytes of parameters", np.flatnonzero(wrong))
        for i, store in enumerate(write):
            index = (at + i * size)[:, None] + np.arange(size)
            store(m, lanes, m.parameters[index].view(dtype).ravel())
    return step


def _load_call_parameter(slot, offset, dtype, write):
    def step(m, lanes):
        for i, store in enumerate(write):
            at = offset + i * dtype.itemsize
            part = m.call_space(slot)[lanes, at:at + dtype.itemsize]
            store(m, lanes, np.ascontiguousarray(part).view(dtype).ravel())
    return step


def compile_store(instruction, operands, function_space):
    kind, names = _vector(instruction, operands, 1)
    dtype, space = scalars.dtype(kind), _space(instruction)
    read = [operands.read(name, kind) for name in names]

    def values(m, lanes):
        n = m.count(lanes)
        return [np.ascontiguousarray(np.broadcast_to(r(m, lanes), (n,))) for r in read]
    if space == "param":
        base, offset = operands.address(instruction.operands[0])
        if base not in function_space:
            raise Unsupported(instruction.text)
        slot = function_space[base]

        def store_parameter(m, lanes):
            for i, value in enumerate(values(m, lanes)):
                at = offset + i * dtype.itemsize
                m.call_space(slot)[lanes, at:at + dtype.itemsize] = value.view(np.uint8).reshape(len(value), -1)
        return store_parameter
    if space == "const":
        raise Unsupported(instruction.text)
    address = operands.read_address(instruction.operands[0])
    return lambda m, lanes: m.resolver.store(space, address(m, lanes), lanes, values(m, lanes))


def _atomic_function(operation, kind, text):
    """(old, operands) -> new, of Python integers."""
    top = (1 << (8 * scalars.width(kind))) - 1
    forms = {
        "add": lambda old, b: old + b & top, "and": lambda old, b: old & b, "or": lambda old, b: old | b,
        "xor": lambda old, b: old ^ b, "exch": lambda old, b: b, "min": min, "max": max,
        "cas": lambda old, b, c: c if old == b else old,
        "inc": lambda old, b: 0 if old >= b else old + 1, "dec": lambda old, b: b if old == 0 or old > b else old - 1,
    }
    if scalars.is_float(kind) or operation not in forms or kind in ("f16x2", "bf16x2"):
        raise Unsupported(text)
    if scalars.is_signed(kind) and operation == "add":
        half = top // 2 + 1
        return lambda old, b: (old + b + half & top) - half
    return forms[operation]


def compile_atomic(instruction, operands):
    """atom and red: one lane after the other."""
    kind = instruction.modifiers[-1]
    words = [m for m in instruction.modifiers[:-1] if m not in _HINTS and m not in SPACES]
    if len(words) != 1 or not scalars.is_type(kind):
        raise Unsupported(instruction.text)
    change = _atomic_function(words[0], kind, instruction.text)
    returns = instruction.opcode == "atom"
    texts = instruction.operands if returns else ["_", *instruction.operands]
    write, address = operands.write(texts[0], kind), operands.read_address(texts[1])
    read = [operands.read(text, kind) for text in texts[2:]]
    space, dtype = _space(instruction), scalars.dtype(kind)

    def step(m, lanes):
        at, every = address(m, lanes), m.lane_index[lanes]
        values = [np.broadcast_to(r(m, lanes), (len(at),)) for r in read]
        old = np.empty(len(at), dtype)
        for i in range(len(at)):
            one = every[i:i + 1]
            old[i] = m.resolver.load(space, at[i:i + 1], one, dtype.itemsize, 1)[0].view(dtype)[0]
            new = change(int(old[i]), *(int(v[i]) for v in values))
            m.resolver.store(space, at[i:i + 1], one, [np.array([new]).astype(dtype)])
        write(m, lanes, old)
    return step
