#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The interpreter's operations on bits, comparisons and conversions against definitions bit by bit."""
import math
import sys
import unittest
from fractions import Fraction

sys.dont_write_bytecode = True
import require

np = require.module("numpy")

from harness import evaluate, exact, floats, integers, rounded
from interpreter.scalars import bf16_to_f32, dtype, width

COUNT = 512

def bits_of(value, count):
    return [value >> i & 1 for i in range(count)]

def number(bits):
    return sum(bit << i for i, bit in enumerate(bits))

class Bits(unittest.TestCase):
    def check(self, body, inputs, result, function):
        got = evaluate(body, inputs, result)
        wanted = [function(*row) for row in zip(*(values.tolist() for _, values in inputs))]
        self.assertEqual(got.tolist(), wanted, body)

    def test_bitwise(self):
        for bits in (16, 32, 64):
            kind, top = f"u{bits}", (1 << bits) - 1
            two = [(kind, integers(kind, COUNT, 1)), (kind, integers(kind, COUNT, 2))]
            self.check(f"and.b{bits} %d, %a, %b;", two, kind, lambda a, b: a & b)
            self.check(f"or.b{bits} %d, %a, %b;", two, kind, lambda a, b: a | b)
            self.check(f"xor.b{bits} %d, %a, %b;", two, kind, lambda a, b: a ^ b)
            self.check(f"not.b{bits} %d, %a;", two[:1], kind, lambda a: a ^ top)
            self.check(f"cnot.b{bits} %d, %a;", two[:1], kind, lambda a: int(a == 0))

    def test_shifts(self):
        for kind in ("u16", "s16", "u32", "s32", "u64", "s64"):
            bits = 8 * width(kind)
            inputs = [(kind, integers(kind, COUNT, 1)), ("u32", np.arange(COUNT) % (bits + 5))]
            self.check(f"shr.{kind} %d, %a, %b;", inputs, kind, lambda a, n: a >> n)
            if kind[0] == "u":
                self.check(f"shl.b{bits} %d, %a, %b;", inputs, kind, lambda a, n: a << n & (1 << bits) - 1)

    def test_fields(self):
        position, length = np.arange(COUNT) * 7 % 70, np.arange(COUNT) * 11 % 67

        def extract(a, p, n, bits, signed):
            source = bits_of(a, bits)
            fill = source[min(p + n - 1, bits - 1)] if signed and n > 0 else 0
            field = [source[p + i] if i < n and p + i < bits else fill for i in range(bits)]
            value = number(field)
            return value - (1 << bits) if signed and field[-1] else value

        def insert(a, b, p, n, bits):
            target = bits_of(b, bits)
            for i in range(n):
                if p + i < bits:
                    target[p + i] = a >> i & 1
            return number(target)
        for bits in (32, 64):
            inputs = [(f"u{bits}", integers(f"u{bits}", COUNT, 1)), ("u32", position), ("u32", length)]
            self.check(f"bfe.u{bits} %d, %a, %b, %c;", inputs, f"u{bits}", lambda a, p, n: extract(a, p, n, bits, False))
            self.check(f"bfe.s{bits} %d, %a, %b, %c;", inputs, f"s{bits}", lambda a, p, n: extract(a, p, n, bits, True))
            inputs.insert(1, (f"u{bits}", integers(f"u{bits}", COUNT, 2)))
            self.check(f"bfi.b{bits} %d, %a, %b, %c, %e;", inputs, f"u{bits}", lambda a, b, p, n: insert(a, b, p, n, bits))

    def test_permute(self):
        def permute(a, b, selector):
            source = [(b << 32 | a) >> 8 * i & 0xff for i in range(8)]
            result = 0
            for i in range(4):
                choice = selector >> 4 * i & 0xf
                byte = source[choice & 7]
                result |= (0xff * (byte >> 7) if choice & 8 else byte) << 8 * i
            return result
        self.check("prmt.b32 %d, %a, %b, %c;", [("u32", integers("u32", COUNT, i)) for i in (1, 2, 3)], "u32", permute)

    def test_any_logic(self):
        inputs = [("u32", integers("u32", COUNT, i)) for i in (1, 2, 3)]
        for table in (0x80, 0x96, 0xe8, 0xca, 0x01, 0xf8, 0x6a):
            self.check(f"lop3.b32 %d, %a, %b, %c, {table};", inputs, "u32", lambda a, b, c: number(
                [table >> (4 * x + 2 * y + z) & 1 for x, y, z in zip(bits_of(a, 32), bits_of(b, 32), bits_of(c, 32))]))

    def test_funnel(self):
        inputs = [("u32", integers("u32", COUNT, 1)), ("u32", integers("u32", COUNT, 2)), ("u32", np.arange(COUNT) % 70)]
        for mode, amount in (("wrap", lambda n: n & 31), ("clamp", lambda n: min(n, 32))):
            self.check(f"shf.l.{mode}.b32 %d, %a, %b, %c;", inputs, "u32",
                       lambda low, high, n: (high << 32 | low) << amount(n) >> 32 & 0xffffffff)
            self.check(f"shf.r.{mode}.b32 %d, %a, %b, %c;", inputs, "u32",
                       lambda low, high, n: (high << 32 | low) >> amount(n) & 0xffffffff)

    def test_counts(self):
        for bits in (32, 64):
            one = [(f"u{bits}", integers(f"u{bits}", COUNT, 1))]
            self.check(f"popc.b{bits} %d, %a;", one, "u32", lambda a: a.bit_count())
            self.check(f"clz.b{bits} %d, %a;", one, "u32", lambda a: bits - a.bit_length())
            self.check(f"brev.b{bits} %d, %a;", one, f"u{bits}", lambda a: number(bits_of(a, bits)[::-1]))
            self.check(f"bfind.u{bits} %d, %a;", one, "u32", lambda a: a.bit_length() - 1 & 0xffffffff)
            self.check(f"bfind.shiftamt.u{bits} %d, %a;", one, "u32", lambda a: bits - a.bit_length() if a else 0xffffffff)
            signed = [(f"s{bits}", integers(f"s{bits}", COUNT, 1))]
            self.check(f"bfind.s{bits} %d, %a;", signed, "u32",
                       lambda a: (~a if a < 0 else a).bit_length() - 1 & 0xffffffff)

    def test_packing(self):
        two = [("u32", integers("u32", COUNT, 1)), ("u32", integers("u32", COUNT, 2))]
        self.check("mov.b64 %d, {%a, %b};", two, "u64", lambda a, b: b << 32 | a)
        self.check("mov.b64 %rd1, {%a, %b}; mov.b64 {%r1, %d}, %rd1;", two, "u32", lambda a, b: b)
        self.check("mov.b32 {%h1, %h2}, %a; mov.b32 %d, {%h2, %h1};", two[:1], "u32",
                   lambda a: (a << 16 | a >> 16) & 0xffffffff)

class Comparisons(unittest.TestCase):
    def compare(self, name, kind, a, b):
        return evaluate(f"setp.{name}.{kind} %p1, %a, %b; selp.b32 %d, 1, 0, %p1;", [(kind, a), (kind, b)],
                        "u32").astype(bool).tolist()

    def test_integers(self):
        names = {"eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "lt": lambda a, b: a < b,
                 "le": lambda a, b: a <= b, "gt": lambda a, b: a > b, "ge": lambda a, b: a >= b}
        for kind in ("u16", "s16", "u32", "s32", "u64", "s64"):
            a, b = integers(kind, COUNT, 1), integers(kind, COUNT, 2)
            b[::3] = a[::3]
            for name, function in names.items():
                wanted = [function(x, y) for x, y in zip(a.tolist(), b.tolist())]
                self.assertEqual(self.compare(name, kind, a, b), wanted, name)
        a = np.uint32([0, 1, 0xffffffff])
        self.assertEqual(self.compare("hi", "u32", a, a[::-1].copy()), [False, False, True])

    def test_floats(self):
        """Ordered comparisons are false beside a NaN, unordered ones true."""
        nan = math.nan
        pairs = [(1.0, 2.0), (2.0, 1.0), (1.0, 1.0), (nan, 1.0), (1.0, nan), (nan, nan), (0.0, -0.0), (math.inf, 1.0)]
        ordered = {"eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "lt": lambda a, b: a < b,
                   "le": lambda a, b: a <= b, "gt": lambda a, b: a > b, "ge": lambda a, b: a >= b}
        for kind in ("f32", "f64", "f16"):
            a, b = (np.array([p[i] for p in pairs], dtype(kind)) for i in (0, 1))
            for name, function in ordered.items():
                plain = [function(x, y) and not (math.isnan(x) or math.isnan(y)) for x, y in pairs]
                loose = [function(x, y) or math.isnan(x) or math.isnan(y) for x, y in pairs]
                self.assertEqual(self.compare(name, kind, a, b), plain, name)
                self.assertEqual(self.compare(name + "u", kind, a, b), loose, name + "u")
            self.assertEqual(self.compare("nan", kind, a, b), [math.isnan(x) or math.isnan(y) for x, y in pairs])
            self.assertEqual(self.compare("num", kind, a, b), [not (math.isnan(x) or math.isnan(y)) for x, y in pairs])

    def test_predicates(self):
        a, b = integers("s32", COUNT, 1), integers("s32", COUNT, 2)
        for name, function in (("and", lambda x, y: x and y), ("or", lambda x, y: x or y), ("xor", lambda x, y: x != y)):
            got = evaluate(f"setp.gt.s32 %p1, %b, 5; setp.lt.{name}.s32 %p2|%p3, %a, 7, %p1; selp.b32 %r1, 1, 0, %p2; "
                           "selp.b32 %r2, 2, 0, %p3; or.b32 %d, %r1, %r2;", [("s32", a), ("s32", b)], "u32")
            wanted = [function(x < 7, y > 5) + 2 * function(x >= 7, y > 5) for x, y in zip(a.tolist(), b.tolist())]
            self.assertEqual(got.tolist(), wanted)
        got = evaluate("setp.lt.s32 %p1, %a, 0; not.pred %p2, %p1; mov.u32 %d, 1; @%p1 mov.u32 %d, 2; "
                       "@!%p2 add.u32 %d, %d, 4;", [("s32", a)], "u32")
        self.assertEqual(got.tolist(), np.where(a < 0, 6, 1).tolist())
        got = evaluate("set.lt.f32.s32 %d, %a, %b;", [("s32", a), ("s32", b)], "f32")
        self.assertEqual(got.tolist(), (a < b).astype(float).tolist())

    def test_classes(self):
        values = np.float32([0, 1, np.inf, np.nan, 2**-130])
        for name, wanted in (("finite", [1, 1, 0, 0, 1]), ("infinite", [0, 0, 1, 0, 0]), ("notanumber", [0, 0, 0, 1, 0]),
                             ("normal", [0, 1, 0, 0, 0]), ("number", [1, 1, 1, 0, 1])):
            got = evaluate(f"testp.{name}.f32 %p1, %a; selp.u32 %d, 1, 0, %p1;", [("f32", values)], "u32")
            self.assertEqual(got.tolist(), wanted)

class Conversions(unittest.TestCase):
    def test_integers(self):
        kinds = ("u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64")
        for source in kinds[2:]:
            values = integers(source, COUNT, 1)
            for kind in kinds:
                info = np.iinfo(dtype(kind))
                held = kind if width(kind) > 1 else kind[0] + "16"  # a register of 16 bits holds 8, extended
                got = evaluate(f"cvt.{kind}.{source} %d, %a;", [(source, values)], held)
                self.assertEqual(got.tolist(), values.astype(dtype(kind)).tolist(), f"{kind} {source}")
                got = evaluate(f"cvt.sat.{kind}.{source} %d, %a;", [(source, values)], held)
                self.assertEqual(got.tolist(), [max(info.min, min(info.max, v)) for v in values.tolist()])

    def test_narrow_source(self):
        values = integers("u32", COUNT, 1)
        got = evaluate("cvt.s32.s8 %d, %a;", [("u32", values)], "s32")
        self.assertEqual(got.tolist(), values.astype(np.int8).tolist())

    def test_float_to_integer(self):
        modes = {"rzi": math.trunc, "rmi": math.floor, "rpi": math.ceil, "rni": round}
        for source in ("f16", "f32", "f64"):
            values = floats(source, COUNT, 1, 70)
            values[2:6] = [np.inf, -np.inf, np.nan, 2.5]
            for kind in ("s16", "u32", "s32", "u64", "s64"):
                info = np.iinfo(dtype(kind))
                for mode, function in modes.items():
                    got = evaluate(f"cvt.{mode}.{kind}.{source} %d, %a;", [(source, values)], kind)
                    for value, result in zip(values.tolist(), got.tolist()):
                        wanted = 0 if math.isnan(value) else info.max if value == math.inf else info.min if (
                            value == -math.inf) else max(info.min, min(info.max, function(value)))
                        self.assertEqual(result, wanted, f"{mode} {kind} {source} {value}")

    def test_integer_to_float(self):
        for source in ("u16", "s32", "u32", "s64", "u64"):
            values = integers(source, COUNT, 1)
            for kind in ("f16", "f32", "f64", "bf16"):
                got = evaluate(f"cvt.rn.{kind}.{source} %d, %a;", [(source, values)], kind)
                got = bf16_to_f32(got) if kind == "bf16" else got
                for value, result in zip(values.tolist(), got.tolist()):
                    self.assertEqual(result, rounded(Fraction(value), kind), f"{kind} {source} {value}")

    def test_narrowing(self):
        for source, kind in (("f64", "f32"), ("f64", "f16"), ("f32", "f16"), ("f32", "bf16"), ("f64", "bf16")):
            values = floats(source, COUNT, 2)
            values[COUNT // 2:] = floats(source, COUNT - COUNT // 2, 3, 20)
            halves = values[-64:]  # exactly between two values of the shorter type
            precision = {"f32": 24, "f16": 11, "bf16": 8}[kind]
            halves[:] = (1 + np.arange(64) * 2.0**(1 - precision) + 2.0**-precision)
            for mode in ("rn", "rz", "rm", "rp"):
                got = evaluate(f"cvt.{mode}.{kind}.{source} %d, %a;", [(source, values)], kind)
                got = bf16_to_f32(got) if kind == "bf16" else got
                for value, result in zip(values, got.tolist()):
                    self.assertEqual(result, rounded(exact(value, source), kind, mode), f"{mode} {kind} {source} {value!r}")

    def test_widening(self):
        for source, kind in (("f32", "f64"), ("f16", "f32"), ("f16", "f64"), ("bf16", "f32")):
            values = floats(source, COUNT, 4)
            got = evaluate(f"cvt.{kind}.{source} %d, %a;", [(source, values)], kind)
            self.assertEqual(got.tolist(), [float(exact(v, source)) for v in values])

    def test_whole_floats(self):
        values = floats("f32", COUNT, 5, 8)
        for mode, function in (("rni", np.rint), ("rzi", np.trunc), ("rmi", np.floor), ("rpi", np.ceil)):
            got = evaluate(f"cvt.{mode}.f32.f32 %d, %a;", [("f32", values)], "f32")
            np.testing.assert_array_equal(got, function(values))
        got = evaluate("cvt.sat.f32.f32 %d, %a;", [("f32", values)], "f32")
        np.testing.assert_array_equal(got, np.clip(values, 0, 1))

    def test_packed(self):
        high, low = floats("f32", COUNT, 6, 8), floats("f32", COUNT, 7, 8)
        for kind in ("f16", "bf16"):
            got = evaluate(f"cvt.rn.{kind}x2.f32 %d, %a, %b;", [("f32", high), ("f32", low)], "u32")
            parts = [evaluate(f"cvt.rn.{kind}.f32 %d, %a;", [("f32", v)], "u16") for v in (high, low)]
            self.assertEqual(got.tolist(), (parts[0].astype(np.uint32) << np.uint32(16) | parts[1]).tolist())
            got = evaluate(f"cvt.rn.relu.{kind}.f32 %d, %a;", [("f32", high)], kind)
            plain = evaluate(f"cvt.rn.{kind}.f32 %d, %a;", [("f32", high)], kind)
            got, plain = (bf16_to_f32(v) if kind == "bf16" else v for v in (got, plain))
            self.assertTrue((plain < 0).any() and (plain > 0).any())
            np.testing.assert_array_equal(got, np.maximum(plain, 0))


if __name__ == "__main__":
    unittest.main()
