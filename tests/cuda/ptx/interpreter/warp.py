# SPDX-License-Identifier: MIT
"""Instructions through which the lanes of a warp meet: shfl, vote, redux, match.any, bar.warp.sync."""
import numpy as np

from . import scalars
from .faults import LaneFault, Unsupported

MEETING = ("shfl", "vote", "redux")


def is_meeting(instruction):
    return instruction.opcode in MEETING or (instruction.opcode in ("bar", "barrier")
                                             and instruction.modifiers[:1] == ["warp"])


def compile_meeting(instruction, operands):
    """(reader of the member mask, what to do once all members are there)."""
    if "sync" not in instruction.modifiers:
        raise Unsupported(instruction.text)
    mask = operands.read(instruction.operands[-1], "u32")
    if instruction.opcode == "shfl":
        return mask, _shuffle(instruction, operands)
    if instruction.opcode == "vote":
        return mask, _vote(instruction, operands)
    if instruction.opcode == "redux":
        return mask, _reduce(instruction, operands)
    return mask, lambda m, lanes: None


def _source_lane(mode, lane, b, c):
    """The lane that each reads, and whether it is inside its segment."""
    segment, clamp = c >> 8 & 0x1f, c & 0x1f
    top = (lane & segment) | (clamp & ~segment)
    bottom = lane & segment
    b = b & 0x1f
    source = {"up": lane - b, "down": lane + b, "bfly": lane ^ b, "idx": bottom | (b & ~segment)}[mode]
    inside = source >= top if mode == "up" else source <= top
    return np.where(inside, source, lane), inside


def _shuffle(instruction, operands):
    mode = instruction.modifiers[1]
    if mode not in ("up", "down", "bfly", "idx") or instruction.modifiers[2:] != ["b32"]:
        raise Unsupported(instruction.text)
    target, _, predicate = instruction.operands[0].partition("|")
    write, value = operands.write(target, "b32"), operands.read(instruction.operands[1], "b32")
    write_inside = operands.write(predicate, "pred") if predicate else None
    read_b, read_c = (operands.read(text, "s32") for text in instruction.operands[2:4])

    def act(m, lanes):
        lane = m.lane[lanes]
        source, inside = _source_lane(mode, lane, read_b(m, lanes).astype(np.int64), read_c(m, lanes).astype(np.int64))
        deposit = np.zeros(m.lanes, np.uint32)
        present = np.zeros(m.lanes + 32, bool)
        deposit[lanes] = value(m, lanes)
        present[:m.lanes][lanes] = True
        start = m.lane_index[lanes] - lane
        index = start + source
        wrong = ~present[index] | (m.warp_index.take(index, mode="clip") != m.warp_index[lanes])
        if wrong.any():
            raise LaneFault("reads a lane that does not take part in the shuffle", np.flatnonzero(wrong))
        result = deposit[index]
        write(m, lanes, result)
        if write_inside:
            write_inside(m, lanes, inside)
    return act


def _groups(m, lanes, mask):
    """Lanes of one warp with one mask belong together: their group, and the number of groups."""
    key = m.warp_index[lanes].astype(np.uint64) << np.uint64(32) | mask.astype(np.uint64)
    groups, inverse = np.unique(key, return_inverse=True)
    return inverse.ravel(), len(groups)


def _vote(instruction, operands):
    mode = instruction.modifiers[1]
    if mode not in ("all", "any", "uni", "ballot"):
        raise Unsupported(instruction.text)
    write = operands.write(instruction.operands[0], "b32" if mode == "ballot" else "pred")
    predicate = operands.read(instruction.operands[1], "pred")
    mask = operands.read(instruction.operands[-1], "u32")

    def act(m, lanes):
        n = m.count(lanes)
        value = np.broadcast_to(predicate(m, lanes), (n,))
        group, count = _groups(m, lanes, np.broadcast_to(mask(m, lanes), (n,)))
        true = np.bincount(group, value, count)
        size = np.bincount(group, minlength=count)
        if mode == "ballot":
            bits = np.bincount(group, np.where(value, 2.0**m.lane[lanes], 0.0), count).astype(np.uint32)
            write(m, lanes, bits[group])
        else:
            write(m, lanes, {"all": true == size, "any": true > 0, "uni": (true == 0) | (true == size)}[mode][group])
    return act


def _reduce(instruction, operands):
    operation, kind = instruction.modifiers[1:]
    forms = {"add": np.add, "min": np.minimum, "max": np.maximum, "and": np.bitwise_and, "or": np.bitwise_or,
             "xor": np.bitwise_xor}
    if operation not in forms or not scalars.is_type(kind) or scalars.is_float(kind):
        raise Unsupported(instruction.text)
    write, value = operands.write(instruction.operands[0], kind), operands.read(instruction.operands[1], kind)
    mask = operands.read(instruction.operands[2], "u32")

    def act(m, lanes):
        n = m.count(lanes)
        group, count = _groups(m, lanes, np.broadcast_to(mask(m, lanes), (n,)))
        values = np.broadcast_to(value(m, lanes), (n,))
        order = np.argsort(group, kind="stable")
        starts = np.searchsorted(group[order], np.arange(count))
        write(m, lanes, forms[operation].reduceat(values[order], starts, dtype=values.dtype)[group])
    return act
