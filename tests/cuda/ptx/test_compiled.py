#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The interpreter on what nvcc makes of faults.cu and functions.cu.

    test_compiled.py FAULTS.ptx FUNCTIONS.ptx [unittest's arguments]
"""
import pathlib
import struct
import sys
import unittest

sys.dont_write_bytecode = True
import require

np = require.module("numpy")

from interpreter import Fault, GlobalMemory, Program

X, Y = 0x700000000, 0x720000000
FAULTS, FUNCTIONS = (Program(pathlib.Path(path).read_text(encoding="utf-8")) for path in sys.argv[1:3])


def launch(program, kernel, x, result, count, threads, grid=1, order="together"):
    """Runs kernel(x, y, n); gives y."""
    memory = GlobalMemory()
    program.map_variables(memory)
    memory.map(X, x.view(np.uint8))
    size = count * np.dtype(result).itemsize
    memory.map(Y, size)
    program.run(kernel, memory, (grid,), (threads,), struct.pack("<QQi", X, Y, len(x)), order)
    return memory.read(Y, size)[0].view(result)


class Faults(unittest.TestCase):
    x = np.arange(64, dtype=np.float32)

    def test_correct(self):
        got = launch(FAULTS, "correct", self.x[:50].copy(), np.float32, 50, 64)
        self.assertEqual(got.tolist(), [2 * i for i in range(50)])

    def check(self, kernel, pattern, order="together", threads=64):
        with self.assertRaisesRegex(Fault, f"{kernel}: block .*{pattern}"):
            launch(FAULTS, kernel, self.x, np.float32, 64, threads, order=order)

    def test_out_of_bounds(self):
        self.check("out_of_bounds", r"thread \(64, 0, 0\).*ld.global.* 0 bytes past the end of the 256 bytes", threads=96)

    def test_uninitialised(self):
        self.check("uninitialised", "ld.global.*never written")

    def test_misaligned(self):
        self.check("misaligned", "ld.global.*not aligned to its 16 bytes")

    def test_missing_barrier(self):
        for order in ("ascending", "descending"):
            self.check("missing_barrier", "ld.shared.*never written", order)

    def test_outside_shared(self):
        self.check("outside_shared", "st.shared.*outside shared memory: offset 256 of 256", threads=96)

    def test_half_a_warp(self):
        self.check("half_a_warp", "waits for lanes that never come")

    def test_parted_barrier(self):
        self.check("parted_barrier", "wait at different barriers")


def units(got, wanted, precision):
    """Differences in units of the last place, about."""
    return float(np.max(np.abs(got - wanted) / np.maximum(np.abs(wanted) * precision, 1e-300)))


class Functions(unittest.TestCase):
    """The CUDA Programming Guide states the largest error of each function, in units of the last place."""

    def test_singles(self):
        x = np.concatenate([np.linspace(-20, 20, 200), np.geomspace(1e-6, 80, 56)]).astype(np.float32)
        got = launch(FUNCTIONS, "singles", x, np.float32, 10 * len(x), 128, 2).reshape(-1, 10)
        v = x.astype(np.float64)
        a = np.abs(v)
        cases = [("expf", np.exp(v), 2), ("logf", np.log(a), 2), ("sqrtf", np.sqrt(a), 0.5), ("division", 1 / v, 0.5),
                 ("rsqrtf", 1 / np.sqrt(a), 2), ("powf", a**np.float32(1.3), 9), ("tanhf", np.tanh(v), 2),
                 ("cosf", np.cos((x * np.float32(1000)).astype(np.float64)), 2), ("log1pf", np.log1p(a), 2),
                 ("division by 3", v / 3, 0.5)]
        for i, (name, wanted, bound) in enumerate(cases):
            self.assertLessEqual(units(got[:, i], wanted, 2.0**-23), bound + 0.01, name)

    def test_doubles(self):
        x = np.concatenate([np.linspace(-20, 20, 200), np.geomspace(1e-6, 80, 56)])
        got = launch(FUNCTIONS, "doubles", x, np.float64, 8 * len(x), 128, 2).reshape(-1, 8)
        a = np.abs(x)
        cases = [("exp", np.exp(x), 2), ("log", np.log(a), 2), ("sqrt", np.sqrt(a), 0), ("division", 1 / x, 0),
                 ("rsqrt", 1 / np.sqrt(a), 3), ("pow", a**1.3, 3), ("cos", np.cos(x * 1e6), 3), ("log1p", np.log1p(a), 2)]
        for i, (name, wanted, bound) in enumerate(cases):
            self.assertLessEqual(units(got[:, i], wanted, 2.0**-52), bound, name)

    def test_integers(self):
        generator = np.random.default_rng(5)
        x = generator.integers(-2**63, 2**63 - 1, 256) >> generator.integers(0, 62, 256)
        x[:3] = [-2**63, 2**63 - 1, 0]
        got = launch(FUNCTIONS, "integers", x, np.int64, 10 * 256, 128, 2).reshape(-1, 10).tolist()

        def quotient(a, b):
            return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
        for i in range(256):
            v, d = int(x[i]), int(x[255 - i]) | 1
            w, e, top = v & 0xffffffff, d & 0xffffffff, 2**64
            sw, se = (n - (n >> 31 << 32) for n in (w, e))
            wanted = [quotient(v, d), v - quotient(v, d) * d, (v % top) // (d % top), (v % top) % 1000003,
                      (w // e + w % 7) & 0xffffffff, quotient(sw, se), v * d >> 64, w * e >> 32,
                      w.bit_count() + (32 - w.bit_length()) * 100 + ((w & -w).bit_length()) * 10000,
                      int(f"{w:032b}"[::-1], 2)]
            signed = [(n + 2**63) % top - 2**63 for n in wanted]
            self.assertEqual(got[i], signed, f"{v} {d}")

    def test_others(self):
        x = np.arange(64, dtype=np.float32) * np.float32(0.5)
        for order in ("together", "descending"):
            got = launch(FUNCTIONS, "others", x, np.float32, 64, 64, order=order)
            for i in range(64):
                v = x[(i + i * 7 % 9) % 64] + 2.0**(i % 8)
                v += sum(x[j] * (j + 1) for j in range(i % 5)) if i % 2 else sum(x[1 + j] * (j + 2) for j in range(3))
                wanted = [v + x[0], v * 3, -v, v - 11, v * v, 0.5, 0.5][i % 7]
                self.assertEqual(float(got[i]), float(wanted), i)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
