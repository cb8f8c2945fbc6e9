# SPDX-License-Identifier: MIT
"""Recordings of launches keep to their format and hold what the kernels did: test_record.py RUNTIME_TEST_PROGRAM."""
import json
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

N = 64


def record(program, **variables):
    folder = tempfile.TemporaryDirectory()
    environment = dict(os.environ, RNI_SIM_RECORD=folder.name, CK_VERBOSITY="minimal")
    environment.update({"RNI_SIM_RECORD_" + k: str(v) for k, v in variables.items()})
    subprocess.run([program], env=environment, check=True)
    return folder


class Recording:
    def __init__(self, path):
        self.folder = path.parent
        self.data = json.loads(path.read_text(encoding="utf-8"))
        assert sorted(self.data) == [
            "allocations", "block", "buffers", "grid", "kernel", "layout", "parameters", "version"], path
        assert self.data["version"] == 1
        self.parameters = bytes.fromhex(self.data["parameters"])
        self.check_layout()
        self.check_buffers()

    def check_layout(self):
        end = 0
        for offset, size in self.data["layout"]:
            assert offset == (end + size - 1) // size * size, "natural alignment, one after another"
            end = offset + size
        assert end == len(self.parameters)

    def check_buffers(self):
        end = 0
        for b in self.data["buffers"]:
            first, last = b["address"], b["address"] + b["bytes"]
            assert first >= end, "ascending, not overlapping"
            end = last
            holders = [a for a, size in self.data["allocations"] if a <= first and last <= a + size]
            assert len(holders) == 1
            assert first in holders or first % 4096 == 0
            assert len(self.content(b, "before")) == b["bytes"]
            assert b["after"] is None or len(self.content(b, "after")) == b["bytes"]
            assert b["defined"] is None or len(self.content(b, "defined")) == (b["bytes"] + 7) // 8
        for address, _ in self.data["allocations"]:
            assert address % 256 == 0 and address % 512 != 0

    def content(self, buffer, which):
        name = buffer[which] or buffer["before"]
        return (self.folder / name).read_bytes()

    def pointer(self, index):
        return struct.unpack_from("<Q", self.parameters, self.data["layout"][index][0])[0]

    def floats(self, address, which):
        for b in self.data["buffers"]:
            if b["address"] <= address < b["address"] + b["bytes"]:
                data = self.content(b, which)[address - b["address"]:]
                return struct.unpack_from(f"<{len(data) // 4}f", data)
        raise AssertionError(f"no buffer holds {address:#x}")


def recordings(folder):
    return [Recording(p) for p in sorted(Path(folder.name).glob("*.json"))]


def check_add(r):
    value, = struct.unpack_from("<f", r.parameters, 8)
    before, after = r.floats(r.pointer(0), "before"), r.floats(r.pointer(0), "after")
    assert r.data["grid"] == [1, 1, 1] and r.data["block"] == [64, 1, 1]
    assert all(after[i] == before[i] + value for i in range(N))
    return value


def check_sum(r):
    source, total = r.floats(r.pointer(0), "before"), r.floats(r.pointer(1), "after")
    assert total[0] == sum(source[:N])
    unchanged = [b for b in r.data["buffers"] if b["address"] == r.pointer(0)][0]
    assert unchanged["after"] is None


def main():
    program = sys.argv[1]
    folder = record(program)
    by_name = {}
    for r in recordings(folder):
        by_name.setdefault(r.data["kernel"], []).append(r)
    assert sorted(by_name) == ["_Z14rni_kernel_addPff", "_Z14rni_kernel_sumPKfPf", "_Z17rni_kernel_appendPi"], by_name
    values = [check_add(r) for r in by_name["_Z14rni_kernel_addPff"]]
    assert {1.0, 2.0, 3.0, 10.0} <= set(values), values
    for r in by_name["_Z14rni_kernel_sumPKfPf"]:
        check_sum(r)
    folder.cleanup()
    folder = record(program, COUNT=0)
    assert not recordings(folder)
    folder.cleanup()
    folder = record(program, THREADS=50)
    assert {r.data["kernel"] for r in recordings(folder)} == {"_Z17rni_kernel_appendPi"}
    folder.cleanup()


main()
