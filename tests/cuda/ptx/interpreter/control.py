# SPDX-License-Identifier: MIT
"""
Instructions that decide where lanes go on. Their steps take the lanes and the place of the instruction, and return the
place where all of these lanes go on, or None when they noted it per lane in the machine.
"""
import numpy as np

from . import scalars, warp
from .faults import Fault, LaneFault, Unsupported

OPCODES = ("bra", "brx", "call", "ret", "exit", "bar", "barrier", "trap", "brkpt")


def compile_branch(target):
    return lambda m, lanes, place: target


def compile_indexed_branch(instruction, operands, targets):
    index = operands.read(instruction.operands[0], "u32")
    table = np.array(targets, np.int64)

    def step(m, lanes, place):
        chosen = np.broadcast_to(index(m, lanes), (m.count(lanes),))
        wrong = chosen >= len(table)
        if wrong.any():
            raise LaneFault("jumps outside its table", np.flatnonzero(wrong))
        m.pc[lanes] = table[chosen]
    return step


def step_exit(m, lanes, place):
    m.finish(lanes)


def step_return(m, lanes, place):
    depth = m.depth[lanes] - 1
    back = m.stack[m.lane_index[lanes], depth]
    m.depth[lanes] = depth
    if (back == back[0]).all():
        return int(back[0])
    m.pc[lanes] = back
    return None


def step_trap(m, lanes, place):
    raise LaneFault("is executed", np.arange(m.count(lanes)))


def compile_call(entry, copies):
    """`copies`: (caller's slot, callee's slot) of each argument."""
    def step(m, lanes, place):
        for source, target in copies:
            m.call_space(target)[lanes] = m.call_space(source)[lanes]
        depth = m.depth[lanes]
        if depth.max() == m.stack.shape[1]:
            raise Fault("calls nest too deeply")
        m.stack[m.lane_index[lanes], depth] = place + 1
        m.depth[lanes] = depth + 1
        return entry
    return step


def compile_receive(copies):
    """After a call: the callee's results into the caller's variables."""
    def step(m, lanes):
        for source, target in copies:
            m.call_space(target)[lanes] = m.call_space(source)[lanes]
    return step


class Barrier:
    """bar.sync and bar.red of all threads of a block."""

    def __init__(self, instruction, operands):
        words = [w for w in instruction.modifiers if w not in ("cta", "aligned")]
        self.operation = None
        texts = list(instruction.operands)
        if words[:1] == ["red"]:
            self.operation, kind = words[1], words[2]
            self.write = operands.write(texts[0], kind)
            self.predicate = operands.read(texts[-1], "pred")
            texts = texts[1:-1]
        elif words != ["sync"]:
            raise Unsupported(instruction.text)
        if not 1 <= len(texts) <= 2 or not texts[0].isdigit() or self.operation not in (None, "popc", "and", "or"):
            raise Unsupported(instruction.text)
        self.threads = operands.read(texts[1], "u32") if len(texts) == 2 else None

    def complete(self, m, lanes):
        """All threads of these lanes' blocks have come."""
        if self.operation is None:
            return
        n = m.count(lanes)
        block = m.block_index[lanes]
        true = np.bincount(block, np.broadcast_to(self.predicate(m, lanes), (n,)), m.blocks).astype(np.uint32)[block]
        size = np.bincount(block, minlength=m.blocks)[block]
        self.write(m, lanes, {"popc": true, "and": true == size, "or": true > 0}[self.operation])

    def __call__(self, m, lanes, place):
        if self.threads is not None and (np.asarray(self.threads(m, lanes)) != m.block_threads).any():
            raise Fault("a barrier of a part of the block is not supported")
        if m.count(lanes) == m.living:
            self.complete(m, lanes)
            return place + 1
        m.park(lanes, place, m.AT_BARRIER)
        return None


def compile_meeting(instruction, operands):
    """Lanes wait until all lanes of their mask that still run have come to the same instruction."""
    mask, act = warp.compile_meeting(instruction, operands)

    def step(m, lanes, place):
        here = m.with_parked(lanes, place)
        members = np.broadcast_to(mask(m, here), (m.count(here),))
        own = members >> m.lane[here].astype(np.uint32) & np.uint32(1)
        if not own.all():
            raise LaneFault("has a mask without the lane itself", np.flatnonzero(own == 0))
        missing = members & ~m.arrived(here)
        if not missing.any():
            act(m, here)
            if here is lanes:
                return place + 1
            m.resume(here, place + 1)
            return None
        every = m.lane_index[here]
        ready = every[missing == 0]
        m.park(every[missing != 0], place, m.AT_MEETING)
        if len(ready):
            act(m, ready)
            m.resume(ready, place + 1)
        return None
    return step


def is_control(instruction):
    return instruction.opcode in OPCODES or warp.is_meeting(instruction)


def step_active_mask(write):
    def step(m, lanes):
        bits = np.bincount(m.warp_index[lanes], 2.0**m.lane[lanes]).astype(np.uint32)
        write(m, lanes, bits[m.warp_index[lanes]])
    return step


def check_type(instruction):
    kind = instruction.modifiers[-1] if instruction.modifiers else ""
    if not scalars.is_type(kind):
        raise Unsupported(instruction.text)
    return kind
