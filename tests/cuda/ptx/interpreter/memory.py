# SPDX-License-Identifier: MIT
"""Bytes of the state spaces, each with a mark of whether it was written; bounds and alignment of every access."""
import bisect

import numpy as np

from . import scalars
from .faults import LaneFault

# Generic addresses of the shared and local windows; global addresses are what they are.
SHARED_WINDOW = 0xA000000000000000
LOCAL_WINDOW = 0xB000000000000000


class Bytes:
    """A flat store. Positions are multiples of an access's width by the time they come here."""

    def __init__(self, size):
        size = (size + 15) // 16 * 16
        self.data = np.full(size, 0xFF, np.uint8)
        self.written = np.zeros(size, np.uint8)  # 0xFF: written

    def load(self, position, size):
        """Unsigned integers of `size` bytes. Raises LaneFault where a byte was never written."""
        kind = scalars.unsigned(size)
        index = position >> (size.bit_length() - 1) if size > 1 else position
        marks = self.written.view(kind).take(index)
        whole = kind.type(2**(8 * size) - 1)
        if not (marks == whole).all():
            raise LaneFault("reads memory that was never written", np.flatnonzero(marks != whole))
        return self.data.view(kind).take(index)

    def store(self, position, value):
        size = value.dtype.itemsize
        kind = scalars.unsigned(size)
        index = position >> (size.bit_length() - 1) if size > 1 else position
        self.data.view(kind)[index] = value.view(kind)
        self.written.view(kind)[index] = kind.type(2**(8 * size) - 1)


def check_alignment(address, size):
    wrong = address & np.int64(size - 1)
    if wrong.any():
        raise LaneFault(f"is not aligned to its {size} bytes", np.flatnonzero(wrong))


class PerOwner:
    """A window that every owner (a block's shared memory, a thread's local memory) has for itself."""

    def __init__(self, name, owners, size):
        self.name, self.size = name, size
        self.stride = (size + 15) // 16 * 16
        self.bytes = Bytes(owners * self.stride)

    def locate(self, owner, offset, size):
        check_alignment(offset, size)
        wrong = (offset < 0) | (offset > self.size - size)
        if wrong.any():
            first = int(offset[np.flatnonzero(wrong)[0]])
            raise LaneFault(f"is outside {self.name} memory: offset {first} of {self.size} bytes", np.flatnonzero(wrong))
        return owner * self.stride + offset


class GlobalMemory:
    """Allocations at given addresses. `live`: [(address, bytes)] of allocations of which only parts are mapped."""

    def __init__(self, live=()):
        self.bytes = Bytes(0)
        self.live = live
        self.starts, self.ends, self.places = [], [], []

    def map(self, address, content, written=None):
        """An allocation: `content` is its bytes (or their number); `written` marks them, all or none by default."""
        if isinstance(content, int):
            content, written = np.full(content, 0xFF, np.uint8), np.zeros(content, np.uint8)
        content = np.frombuffer(content, np.uint8) if isinstance(content, (bytes, bytearray)) else content
        marks = np.full(len(content), 0xFF, np.uint8) if written is None else written
        end = address + len(content)
        i = bisect.bisect_right(self.starts, address)
        if (i > 0 and self.ends[i - 1] > address) or (i < len(self.starts) and self.starts[i] < end):
            raise ValueError(f"allocations overlap at {address:#x}")
        place = (len(self.bytes.data) + 255) // 256 * 256 + address % 256
        self._grow(place + len(content))
        self.bytes.data[place:place + len(content)] = content
        self.bytes.written[place:place + len(content)] = marks
        self.starts.insert(i, address)
        self.ends.insert(i, end)
        self.places.insert(i, place)
        self._tables = (np.array(self.starts, np.int64), np.array(self.ends, np.int64),
                        np.array(self.places, np.int64) - np.array(self.starts, np.int64))

    def _grow(self, size):
        old = self.bytes
        if size > len(old.data):
            self.bytes = Bytes(size)
            self.bytes.data[:len(old.data)] = old.data
            self.bytes.written[:len(old.data)] = old.written

    def _index(self, address):
        i = bisect.bisect_right(self.starts, address) - 1
        return i if i >= 0 and address < self.ends[i] else None

    def read(self, address, size):
        """Bytes of one allocation, and their marks."""
        i = self._index(address)
        if i is None or address + size > self.ends[i]:
            raise ValueError(f"no allocation at {address:#x}")
        place = self.places[i] + address - self.starts[i]
        return self.bytes.data[place:place + size].copy(), self.bytes.written[place:place + size].copy()

    def locate(self, address, size):
        """Positions in the store of int64 addresses, which all allow `size` bytes."""
        if len(address) == 0:
            return address
        check_alignment(address, size)
        low, high = int(address.min()), int(address.max())
        i = self._index(low)
        if i is not None and high + size <= self.ends[i]:
            return address + np.int64(self.places[i] - self.starts[i])
        if not self.starts:
            raise LaneFault(self._where(low), np.arange(len(address)))
        starts, ends, shift = self._tables
        which = np.searchsorted(starts, address, "right") - 1
        wrong = (which < 0) | (address > ends[which] - size)
        if wrong.any():
            raise LaneFault(self._where(int(address[np.flatnonzero(wrong)[0]])), np.flatnonzero(wrong))
        return address + shift[which]

    def _where(self, address):
        """Describes a bad address by the allocation that it is in, or by what is mapped before it."""
        for start, size in self.live:
            if start <= address < start + size:
                return (f"is where the recorded launch was not: {address:#x}, byte {address - start} of the {size} at "
                        f"{start:#x}")
        i = bisect.bisect_right(self.starts, address) - 1
        if i < 0:
            return f"is outside every allocation: {address:#x}"
        return (f"is outside every allocation: {address:#x}, {address - self.ends[i]} bytes past the end of the "
                f"{self.ends[i] - self.starts[i]} bytes at {self.starts[i]:#x}")
