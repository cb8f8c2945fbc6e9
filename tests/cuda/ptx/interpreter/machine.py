# SPDX-License-Identifier: MIT
"""
Some blocks of a launch, one NumPy lane per thread. The lanes with the lowest place in the code execute next, so
that lanes that parted meet again by themselves; lanes that wait for others are parked.
"""
import numpy as np

from .access import Resolver
from .faults import Fault, LaneFault
from .memory import PerOwner

_DEPTH = 16  # of calls


class Machine:
    RUNNING, AT_MEETING, AT_BARRIER, FINISHED = range(4)

    def __init__(self, code, memory, grid, block, parameters, first, blocks, order="together"):
        self.code, self.memory, self.order = code, memory, order
        self.parameters = np.frombuffer(parameters, np.uint8)
        self.blocks, self.block_threads = blocks, int(np.prod(block))
        self.lanes = blocks * self.block_threads
        self.grid, self.block, self.first = grid, block, first
        self._index_lanes()
        self.pc = np.full(self.lanes, code.start, np.int64)
        self.state = np.zeros(self.lanes, np.int8)
        self.living = self.lanes
        self.parked = 0
        self.carry = np.zeros(self.lanes, np.uint8)
        self.depth = np.zeros(self.lanes, np.int64)
        self.stack = np.zeros((self.lanes, _DEPTH), np.int64)
        self._dtypes = code.register_dtypes()
        self._registers = [None] * len(self._dtypes)
        self._call_spaces = [None] * len(code.call_sizes)
        self.shared = PerOwner("shared", blocks, code.shared_size)
        self.local = PerOwner("local", self.lanes, code.local_size)
        self.resolver = Resolver(self)
        self.executed = 0

    def _index_lanes(self):
        """Who each lane is."""
        thread = np.tile(np.arange(self.block_threads), self.blocks)
        self.lane_index = np.arange(self.lanes)
        self.block_index = self.lane_index // self.block_threads
        self.lane = thread % 32
        self.warp_in_block = thread // 32
        self.warps_per_block = (self.block_threads + 31) // 32
        self.warp_index = self.block_index * self.warps_per_block + self.warp_in_block
        block = self.first + self.block_index
        self._special = {"%laneid": self.lane, "%warpid": self.warp_in_block}
        for name, index, size in (("%tid", thread, self.block), ("%ctaid", block, self.grid)):
            self._special[name + ".x"] = index % size[0]
            self._special[name + ".y"] = index // size[0] % size[1]
            self._special[name + ".z"] = index // (size[0] * size[1])
        for name, size in (("%ntid", self.block), ("%nctaid", self.grid)):
            for axis, value in zip("xyz", size):
                self._special[f"{name}.{axis}"] = np.full(self.lanes, value)
        bit = 1 << self.lane
        self._special.update({"%lanemask_eq": bit, "%lanemask_lt": bit - 1, "%lanemask_le": 2 * bit - 1,
                              "%lanemask_gt": 0xffffffff & -2 * bit, "%lanemask_ge": 0xffffffff & -bit})
        self._special = {name: value.astype(np.uint32) for name, value in self._special.items()}
        last = np.minimum(32, self.block_threads - 32 * np.arange(self.warps_per_block))
        self._absent = np.tile((0xffffffff & -(1 << last)).astype(np.uint32), self.blocks)

    # ---- what steps use

    def count(self, lanes):
        return self.lanes if isinstance(lanes, slice) else len(lanes)

    def special(self, name):
        return self._special[name]

    def register(self, slot):
        held = self._registers[slot]
        if held is None:  # read before written: bits that show
            dtype = self._dtypes[slot]
            held = self._registers[slot] = np.full(self.lanes, -1 if dtype != bool else 1).astype(dtype)
        return held

    def assign(self, slot, lanes, value):
        held = self._registers[slot]
        if held is None:
            held = self.register(slot)
        held[lanes] = value

    def call_space(self, slot):
        if self._call_spaces[slot] is None:
            self._call_spaces[slot] = np.full((self.lanes, self.code.call_sizes[slot]), 0xFF, np.uint8)
        return self._call_spaces[slot]

    def finish(self, lanes):
        self.state[lanes] = self.FINISHED
        self.living -= self.count(lanes)

    def park(self, lanes, place, state):
        self.state[lanes] = state
        self.pc[lanes] = place
        self.parked += self.count(lanes)

    def resume(self, lanes, place):
        self.parked -= int((self.state[lanes] != self.RUNNING).sum())
        self.state[lanes] = self.RUNNING
        self.pc[lanes] = place

    def with_parked(self, lanes, place):
        """The lanes, and those that wait for others of their warp at this place."""
        if not self.parked:
            return lanes
        waiting = np.flatnonzero((self.state == self.AT_MEETING) & (self.pc == place))
        return np.union1d(self.lane_index[lanes], waiting) if len(waiting) else lanes

    def arrived(self, lanes):
        """Per lane: the lanes of its warp that are here, have finished, or do not exist."""
        here = self.state == self.FINISHED
        here[lanes] = True
        bits = np.bincount(self.warp_index, np.where(here, 2.0**self.lane, 0.0))
        return (bits.astype(np.uint32) | self._absent)[self.warp_index[lanes]]

    # ---- scheduling

    def run(self):
        with np.errstate(all="ignore"):
            while self.living:
                lanes, place, limit = self._next_group()
                if lanes is not None:
                    self._run_group(lanes, place, limit)

    def _next_group(self):
        """The lanes to run, their place, and the place of the next others, where they may meet."""
        running = np.flatnonzero(self.state == self.RUNNING)
        if len(running) == 0:
            self._release()
            return None, 0, 0
        if self.order != "together":
            warp = self.warp_in_block[running]
            running = running[warp == (warp.min() if self.order == "ascending" else warp.max())]
        places = self.pc[running]
        place = int(places.min())
        first = places == place
        others = places[~first]
        limit = int(others.min()) if len(others) else len(self.code.steps)
        lanes = running[first]
        return (slice(None) if len(lanes) == self.lanes else lanes), place, limit

    def _run_group(self, lanes, place, limit):
        steps = self.code.steps
        while place is not None and place < limit:
            step = steps[place]
            try:
                chosen = lanes if step.guard is None else self._guarded(step, lanes)
                self.executed += self.count(chosen)
                if step.control:
                    place = self._move(step, lanes, chosen, place)
                else:
                    if self.count(chosen):
                        step.act(self, chosen)
                    place += 1
            except LaneFault as fault:
                raise Fault(self._describe(step, fault, chosen)) from None
        if place is not None:
            if place >= len(steps):
                raise Fault(f"{self.code.entry.name}: runs past the end of the code")
            self.pc[lanes] = place

    def _guarded(self, step, lanes):
        true = step.guard(self, lanes)
        if step.negated:
            true = ~true
        if true.all():
            return lanes
        return self.lane_index[lanes][true]

    def _move(self, step, lanes, chosen, place):
        """A control step by the chosen lanes; the others go on."""
        if self.count(chosen) == self.count(lanes):
            return step.act(self, lanes, place)
        if self.count(chosen) == 0:
            return place + 1
        self.pc[lanes] = place + 1
        target = step.act(self, chosen, place)
        if target is not None:
            self.pc[chosen] = target
        return None

    def _release(self):
        """Nobody runs: blocks whose living threads all wait at one barrier go on."""
        living = np.flatnonzero(self.state != self.FINISHED)
        barrier = self.state[living] == self.AT_BARRIER
        block = self.block_index[living]
        waits = np.bincount(block[~barrier], minlength=self.blocks) > 0
        if waits.any():
            self._stuck(living, waits, self.AT_MEETING if not barrier.all() else self.AT_BARRIER)
        low = np.full(self.blocks, np.iinfo(np.int64).max)
        np.minimum.at(low, block, self.pc[living])
        if (self.pc[living] != low[block]).any():
            wrong = int(living[np.flatnonzero(self.pc[living] != low[block])[0]])
            texts = [self.code.steps[p].instruction for p in (int(low[self.block_index[wrong]]), int(self.pc[wrong]))]
            raise Fault(f"{self._who(wrong)}: threads of the block wait at different barriers: line {texts[0].line} "
                        f"and line {texts[1].line}")
        for place in np.unique(self.pc[living]):
            lanes = living[self.pc[living] == place]
            self.code.steps[place].barrier.complete(self, lanes)
            self.resume(lanes, place + 1)

    def _stuck(self, living, waits, state):
        lane = int(living[waits[self.block_index[living]] & (self.state[living] == state)][0])
        instruction = self.code.steps[int(self.pc[lane])].instruction
        raise Fault(f"{self._who(lane)}, line {instruction.line}: `{instruction.text}` waits for lanes that never come")

    # ---- words

    def _who(self, lane):
        thread = tuple(int(self._special[f"%tid.{axis}"][lane]) for axis in "xyz")
        block = tuple(int(self._special[f"%ctaid.{axis}"][lane]) for axis in "xyz")
        return f"{self.code.entry.name}: block {block}, thread {thread}"

    def _describe(self, step, fault, lanes):
        lane = int(self.lane_index[lanes][fault.wrong[0]])
        return (f"{self._who(lane)}, line {step.instruction.line}: `{step.instruction.text}` {fault} "
                f"({len(fault.wrong)} of {self.count(lanes)} lanes)")
