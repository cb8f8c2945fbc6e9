# SPDX-License-Identifier: MIT
"""
Operands, compiled once per instruction: readers give an array (or a scalar) of the instruction's type for the lanes
that execute, writers take one. Lanes are positions, or slice(None) for all.
"""
import re

import numpy as np

from . import scalars
from .faults import Unsupported

SPECIAL = tuple(f"%{name}.{axis}" for name in ("tid", "ntid", "ctaid", "nctaid") for axis in "xyz") + (
    "%laneid", "%warpid", "%lanemask_eq", "%lanemask_lt", "%lanemask_le", "%lanemask_gt", "%lanemask_ge")
_LITERAL = re.compile(r"-?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[fF][0-9a-fA-F]{8}|0[dD][0-9a-fA-F]{16}|\d+)[uU]?$|-?\d+\.\d*$")


class Operands:
    """Compiles the operands of one function's instructions. `symbols`: name -> address or offset of a variable."""

    def __init__(self, slots, kinds, symbols):
        self.slots, self.kinds, self.symbols = slots, kinds, symbols

    def is_register(self, text):
        return text in self.slots

    def read(self, text, kind):
        """A reader of .kind."""
        if text == "WARP_SZ":
            text = "32"
        if text in self.slots:
            return self._read_register(text, kind)
        if text in SPECIAL:
            return self._read_special(text, kind)
        if text.startswith("!") and kind == "pred":
            inner = self.read(text[1:], "pred")
            return lambda m, lanes: ~inner(m, lanes)
        if _LITERAL.match(text):
            value = scalars.immediate(text, kind)
            return lambda m, lanes: value
        return self._read_symbol(text, kind)

    def _read_register(self, text, kind):
        slot, held = self.slots[text], scalars.width(self.kinds[text])
        dtype = scalars.dtype(kind)
        if (self.kinds[text] == "pred") != (kind == "pred") or dtype.itemsize > held:
            raise Unsupported(f"{text} is .{self.kinds[text]}, read as .{kind}")
        if kind == "pred":
            return lambda m, lanes: m.register(slot)[lanes]
        if dtype.itemsize == held:
            return lambda m, lanes: m.register(slot)[lanes].view(dtype)
        part = scalars.unsigned(dtype.itemsize)
        return lambda m, lanes: m.register(slot)[lanes].astype(part).view(dtype)

    @staticmethod
    def _read_special(text, kind):
        dtype = scalars.dtype(kind)
        return lambda m, lanes: m.special(text)[lanes].astype(scalars.unsigned(dtype.itemsize)).view(dtype)

    def _read_symbol(self, text, kind):
        name, _, more = text.partition("+")
        if name not in self.symbols or scalars.is_float(kind):
            raise Unsupported(f"operand {text}")
        value = scalars.immediate(str(self.symbols[name] + int(more or "0", 0)), kind)
        return lambda m, lanes: value

    def write(self, text, kind):
        """A writer of .kind: narrower than the register, a signed value is extended by its sign, others by zeros."""
        if text == "_":
            return lambda m, lanes, value: None
        if text not in self.slots:
            raise Unsupported(f"operand {text}")
        slot, dtype = self.slots[text], scalars.dtype(kind)
        if (self.kinds[text] == "pred") != (kind == "pred"):
            raise Unsupported(f"{text} is .{self.kinds[text]}, written as .{kind}")
        if kind == "pred":
            return lambda m, lanes, value: m.assign(slot, lanes, value)
        held = scalars.width(self.kinds[text])
        if dtype.itemsize > held:
            raise Unsupported(f"{text} is .{self.kinds[text]}, written as .{kind}")
        bits = scalars.unsigned(dtype.itemsize)
        if dtype.itemsize == held:
            def store(m, lanes, value):
                m.assign(slot, lanes, np.asarray(value, dtype).view(bits))
        elif scalars.is_signed(kind):
            def store(m, lanes, value):
                wide = np.asarray(value, dtype).astype(scalars.signed(held))
                m.assign(slot, lanes, wide.view(scalars.unsigned(held)))
        else:
            def store(m, lanes, value):
                m.assign(slot, lanes, np.asarray(value, dtype).view(bits).astype(scalars.unsigned(held)))
        return store

    def vector(self, text):
        """{a, b} -> its elements; a single operand is a vector of one."""
        return [word.strip() for word in text[1:-1].split(",")] if text.startswith("{") else [text]

    def address(self, text):
        """[base+offset] -> (base, offset)."""
        found = re.match(r"\[\s*([^\]+]+?)\s*(?:\+\s*(-?\w+))?\s*\]$", text)
        if not found:
            raise Unsupported(f"operand {text}")
        return found[1], int(found[2] or "0", 0)

    def read_address(self, text):
        """A reader of an address: int64, one per lane."""
        base, offset = self.address(text)
        if base in self.slots:
            kind = "u64" if scalars.width(self.kinds[base]) == 8 else "u32"
            inner = self.read(base, kind)
            return lambda m, lanes: inner(m, lanes).astype(np.int64) + np.int64(offset)
        start = self.symbols.get(base)
        value = np.int64((int(base, 0) if start is None else start) + offset) if start is not None or base.isdigit() else None
        if value is None:
            raise Unsupported(f"operand {text}")
        return lambda m, lanes: np.full(m.count(lanes), value, np.int64)
