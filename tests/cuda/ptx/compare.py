# SPDX-License-Identifier: MIT
"""
Compares what the PTX left in memory with what the simulator left.

Floats may differ where the PTX fuses a product into a sum or uses functions of its own. Such a difference is measured in
units of the element type's precision, at the larger of the value itself and the root mean square of all values that the
kernel wrote there: a sum whose terms cancel has an error of the size of its terms.
"""
import bisect
from dataclasses import dataclass

import numpy as np

from interpreter.scalars import bf16_to_f32, dtype
from recordings import ELEMENTS


@dataclass
class Difference:
    """`units`: the largest; infinite when something differs that must not."""
    units: float
    text: str


def _values(raw, kind):
    values = raw[:len(raw) // dtype(kind).itemsize * dtype(kind).itemsize].view(dtype(kind))
    return (bf16_to_f32(values) if kind == "bf16" else values).astype(np.float64)


def float_difference(expected, got, changed, kind, precision):
    """The largest difference of two arrays of bytes; `changed` marks bytes that the kernel wrote."""
    a, b = _values(expected, kind), _values(got, kind)
    size = dtype(kind).itemsize
    wrote = changed[:len(a) * size].reshape(-1, size).any(1)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return 0.0, None
    finite = a[wrote & np.isfinite(a)]
    scale = np.sqrt(np.mean(finite * finite)) if len(finite) else 0.0
    tiny = float(np.finfo(np.float32).tiny)
    with np.errstate(all="ignore"):
        units = np.abs(a - b) / (precision * np.maximum(np.maximum(np.abs(a), scale), tiny))
    units = np.where(same, 0.0, np.where(np.isfinite(units), units, np.inf))
    worst = int(np.argmax(units))
    return float(units[worst]), f"element {worst}: {b[worst]!r} instead of {a[worst]!r}"


def _regions(buffer, pointers):
    """The parts of a buffer that begin at a pointer, and the pointee's type; before the first: bytes of no type."""
    end = buffer.address + len(buffer.before)
    starts = [p for p, _ in pointers]
    first = bisect.bisect_right(starts, buffer.address) - 1
    edges = sorted({buffer.address, *(p for p in starts if buffer.address < p < end), end})
    for low, high in zip(edges, edges[1:]):
        i = bisect.bisect_right(starts, low) - 1
        kind = pointers[i][1] if i >= max(first, 0) and pointers else None
        offset = pointers[i][0] if kind else low
        yield low, high, kind, offset


def buffer_difference(buffer, got, pointers):
    """The largest difference in one buffer."""
    expected, worst = buffer.after, Difference(0.0, "")
    if np.array_equal(expected, got):
        return worst
    changed = (expected != buffer.before) | (got != buffer.before)
    for low, high, kind, start in _regions(buffer, pointers):
        part = slice(low - buffer.address, high - buffer.address)
        if np.array_equal(expected[part], got[part]):
            continue
        if kind in ELEMENTS:
            name, precision = ELEMENTS[kind]
            skip = (start - low) % dtype(name).itemsize
            inner = slice(part.start + skip, part.stop)
            units, text = float_difference(expected[inner], got[inner], changed[inner], name, precision)
            found = Difference(units, f"{kind} at {low + skip:#x}, {text}")
        else:
            at = int(np.flatnonzero(expected[part] != got[part])[0])
            found = Difference(np.inf, f"{kind or 'byte'} at {low:#x}: byte {at} is {got[part][at]} instead of "
                                       f"{expected[part][at]}")
        if found.units > worst.units:
            worst = found
    return worst
