# SPDX-License-Identifier: MIT
"""Launches that the simulator recorded (FORMAT.md), and what their parameters say of types."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from dataclasses import dataclass

import numpy as np

# Elements of what kernels write: NumPy type, and for floats the distance of 1 to the next larger.
ELEMENTS = {"float": ("f32", 2.0**-23), "double": ("f64", 2.0**-52), "rni_bf16": ("bf16", 2.0**-7),
            "rni_f16": ("f16", 2.0**-10)}


@dataclass
class Buffer:
    address: int
    before: np.ndarray
    after: np.ndarray
    written: np.ndarray


@dataclass
class Launch:
    name: str
    kernel: str
    grid: tuple
    block: tuple
    parameters: bytes
    layout: list
    allocations: list
    buffers: list

    def threads(self):
        return int(np.prod(self.grid) * np.prod(self.block))

    def pointers(self, types):
        """[(address, element type)] of the parameters that point to what may be written, ascending. `types`: of the
        kernel's parameters as C++ writes them."""
        found = []
        for (offset, size), kind in zip(self.layout, types):
            if kind.endswith("*") and not kind.endswith("const*") and size == 8:
                found.append((int.from_bytes(self.parameters[offset:offset + 8], "little"), kind[:-1].strip()))
        return sorted(p for p in found if p[0])


def _content(folder, name):
    return np.fromfile(folder / name, np.uint8)


def _buffer(folder, record):
    before = _content(folder, record["before"])
    after = _content(folder, record["after"]) if record["after"] else before
    written = None
    if record["defined"]:
        bits = np.unpackbits(_content(folder, record["defined"]), bitorder="little")[:record["bytes"]]
        written = bits * np.uint8(0xFF)
    if len(before) != record["bytes"] or len(after) != record["bytes"]:
        raise ValueError(f"{folder}: a buffer of {record['bytes']} bytes has {len(before)} and {len(after)}")
    return Buffer(record["address"], before, after, written)


def load(path):
    record = json.loads(path.read_text(encoding="utf-8"))
    if record["version"] != 1:
        raise ValueError(f"{path}: version {record['version']}")
    return Launch(path.name, record["kernel"], tuple(record["grid"]), tuple(record["block"]),
                  bytes.fromhex(record["parameters"]), record["layout"], record["allocations"],
                  [_buffer(path.parent, b) for b in record["buffers"]])


def load_all(folder):
    """The launches of a folder, in order of their files' names."""
    return [load(path) for path in sorted(pathlib.Path(folder).glob("*.json"))]


def _run(command, folder, direct):
    """True when it ended with status 0; else what it said is printed."""
    environment = {**os.environ, "RNI_SIM_RECORD": folder, "RN_CUDA_DIRECT": direct}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        print(f"{command[0]} ended with status {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == 0


def record(checkbackend, module, program):
    """Launches of checkbackend over the simulated module, also with the module's own convolutions, and of a program."""
    with tempfile.TemporaryDirectory() as folder:
        if not _run([program], folder, "0"):
            sys.exit(1)
        for direct in ("0", "1"):  # a test of its own says what is wrong there; what was recorded counts
            _run([checkbackend, "test", f"--module={module}"], folder, direct)
        return load_all(folder)
