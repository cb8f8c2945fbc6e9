# SPDX-License-Identifier: MIT
"""Additions that set or take the carry flag: add.cc, addc, sub.cc, subc, mad.cc, madc."""
import numpy as np

from . import scalars
from .arithmetic import high_product
from .faults import Unsupported

OPCODES = ("add", "addc", "sub", "subc", "mad", "madc")


def uses_carry(instruction):
    return instruction.opcode in ("addc", "subc", "madc") or (
        instruction.opcode in OPCODES and "cc" in instruction.modifiers)


def _add(a, b, carry):
    total = a + b
    out = total < a
    total = total + carry
    return total, out | (total < carry)


def _subtract(a, b, borrow):
    difference = a - b
    return difference - borrow, (a < b) | (difference < borrow)


def compile_carry(instruction, operands):
    kind = instruction.modifiers[-1]
    words = set(instruction.modifiers[:-1])
    name = instruction.opcode
    if scalars.is_float(kind) or not scalars.is_type(kind) or words - {"cc", "lo", "hi"}:
        raise Unsupported(instruction.text)
    read = [operands.read(text, kind) for text in instruction.operands[1:]]
    write = operands.write(instruction.operands[0], kind)
    bits = scalars.unsigned(scalars.width(kind))
    takes, sets, high = name.endswith("c"), "cc" in words, "hi" in words

    def step(m, lanes):
        values = [np.broadcast_to(r(m, lanes), (m.count(lanes),)) for r in read]
        carry = m.carry[lanes].astype(bits) if takes else bits.type(0)
        if name.startswith("mad"):
            product = high_product(values[0], values[1], kind) if high else values[0] * values[1]
            values = [product, values[2]]
        a, b = (np.ascontiguousarray(v).view(bits) for v in values)
        result, out = (_subtract if name.startswith("sub") else _add)(a, b, carry)
        write(m, lanes, result.view(scalars.dtype(kind)))
        if sets:
            m.carry[lanes] = out
    return step
