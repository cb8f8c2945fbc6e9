#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The replay finds what it should: recordings made by hand of a small kernel, right and wrong."""
import contextlib
import io
import json
import pathlib
import struct
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import require

np = require.module("numpy")

import replay

KERNEL = "_Z16rni_kernel_scalePKfPfPii"  # (float const*, float*, int*, int): y = x * x + x, and a count
PTX = """.version 9.0
.target sm_75
.address_size 64
.visible .entry """ + KERNEL + """(.param .u64 p0, .param .u64 p1, .param .u64 p2, .param .u32 p3)
{
.reg .pred %p<2>; .reg .b32 %r<9>; .reg .f32 %f<9>; .reg .b64 %rd<9>;
ld.param.u64 %rd1, [p0]; ld.param.u64 %rd2, [p1]; ld.param.u64 %rd3, [p2]; ld.param.u32 %r1, [p3];
mov.u32 %r2, %tid.x; setp.ge.u32 %p1, %r2, %r1; @%p1 ret;
mad.wide.u32 %rd4, %r2, 4, %rd1; ld.global.f32 %f1, [%rd4]; SUM
mad.wide.u32 %rd5, %r2, 4, %rd2; st.global.f32 [%rd5], %f2;
red.global.add.u32 [%rd3], 1; ret;
}
"""
FUSED = PTX.replace("SUM", "fma.rn.f32 %f2, %f1, %f1, %f1;")
UNFUSED = PTX.replace("SUM", "mul.f32 %f2, %f1, %f1; add.f32 %f2, %f2, %f1;")
X, Y, N = 0x10000, 0x20000, 0x30000


class Replay(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.x = np.linspace(-3, 5, 50).astype(np.float32)
        self.y = self.x * self.x + self.x
        self.count = np.int32([50])

    def record(self, defined=None, **changes):
        def write(name, content):
            (self.folder / name).write_bytes(np.asarray(content).tobytes())
            return name
        buffers = [
            {"address": X, "bytes": 200, "before": write("x", self.x), "after": None, "defined": defined},
            {"address": Y, "bytes": 200, "before": write("y0", self.y * 0), "after": write("y", self.y), "defined": None},
            {"address": N, "bytes": 4, "before": write("n0", np.int32([0])), "after": write("n", self.count),
             "defined": None}]
        record = {"version": 1, "kernel": KERNEL, "grid": [1, 1, 1], "block": [64, 1, 1],
                  "parameters": struct.pack("<QQQi", X, Y, N, 50).hex(), "layout": [[0, 8], [8, 8], [16, 8], [24, 4]],
                  "allocations": [[X, 200], [Y, 200], [N, 4]], "buffers": buffers, **changes}
        (self.folder / "1-0.json").write_text(json.dumps(record))

    def replay(self, text, options="75"):
        (self.folder / "kernel.ptx").write_text(text)
        sys.argv = ["replay.py", "--recordings", str(self.folder), "--set", options, str(self.folder / "kernel.ptx")]
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            status = replay.main()
        return status, output.getvalue()

    def expect(self, pattern, text, options="75"):
        status, output = self.replay(text, options)
        self.assertEqual(status, 1)
        self.assertRegex(output, pattern)

    def test_equal(self):
        self.record()
        for order in replay.ORDERS:
            status, output = self.replay(UNFUSED, f"75,unfused,{order}")
            self.assertEqual(status, 0, output)
            self.assertIn("0 failures; 1 kernels", output)

    def test_fused(self):
        """Within the bound as built; not the same bits."""
        self.record()
        self.assertEqual(self.replay(FUSED)[0], 0)
        self.expect("differs by .* units, at most 0: float at 0x20000", FUSED, "75,unfused")

    def test_wrong(self):
        self.record()
        self.expect("differs by .* units, at most 4: float at 0x20000", UNFUSED.replace("add.f32", "sub.f32"))
        self.expect("int at 0x30000: byte 0 is 100 instead of 50", UNFUSED.replace("[%rd3], 1", "[%rd3], 2"))
        self.y[7] = np.nan
        self.record()
        self.expect("differs by inf units", UNFUSED)

    def test_stray_write(self):
        self.record()
        self.expect("differs by inf .*float at 0x10000|byte at 0x10000", UNFUSED.replace("[%rd3], 1;", "[%rd1], 1;"))
        further = UNFUSED.replace("[%rd5], %f2", "[%rd5+4], %f2")
        self.expect("outside every allocation: 0x200c8, 0 bytes past the end", further)
        self.record(allocations=[[X, 200], [Y, 204], [N, 4]])
        self.expect("where the recorded launch was not: 0x200c8, byte 200 of the 204 at 0x20000", further)

    def test_undefined(self):
        marks = np.ones(200, np.uint8)
        marks[40] = 0
        (self.folder / "d").write_bytes(np.packbits(marks, bitorder="little").tobytes())
        self.record("d")
        self.expect(r"thread \(10, 0, 0\).*never written", UNFUSED)

    def test_coverage(self):
        self.record()
        self.expect("rni_kernel_other is in no recording",
                    UNFUSED + "\n.visible .entry _Z16rni_kernel_otherv() { ret; }\n")
        self.record(kernel="_Z15rni_kernel_gonev")
        self.expect("rni_kernel_gone was recorded, but the PTX has no such entry", UNFUSED)

    def test_parameters(self):
        self.record(parameters=struct.pack("<QQQ", X, Y, N).hex())
        self.expect("24 bytes of parameters; it has 28", UNFUSED)


if __name__ == "__main__":
    unittest.main()
