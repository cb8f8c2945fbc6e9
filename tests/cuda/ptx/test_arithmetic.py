#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The interpreter's arithmetic against Python's integers and fractions."""
import sys
import unittest

sys.dont_write_bytecode = True
import require

np = require.module("numpy")

from harness import evaluate, exact, floats, integers, rounded
from interpreter import Unsupported
from interpreter.approximate import TOLERANCE
from interpreter.scalars import bf16_to_f32, dtype, width

COUNT = 512
INTEGERS = ("u16", "s16", "u32", "s32", "u64", "s64")


def wrapped(value, kind):
    """A Python integer in the type's range."""
    bits = 8 * width(kind)
    value &= (1 << bits) - 1
    return value - (1 << bits) if kind[0] == "s" and value >> (bits - 1) else value


def quotient(a, b):
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


class Integers(unittest.TestCase):
    def check(self, body, kinds, result, function, seed=1):
        inputs = [(kind, integers(kind, COUNT, seed + i)) for i, kind in enumerate(kinds)]
        got = evaluate(body, inputs, result)
        columns = [values.tolist() for _, values in inputs]
        wanted = [wrapped(function(*row), result) for row in zip(*columns)]
        self.assertEqual(got.tolist(), wanted, body)

    def test_sums_and_products(self):
        for kind in INTEGERS:
            bits = 8 * width(kind)
            self.check(f"add.{kind} %d, %a, %b;", [kind] * 2, kind, lambda a, b: a + b)
            self.check(f"sub.{kind} %d, %a, %b;", [kind] * 2, kind, lambda a, b: a - b)
            self.check(f"mul.lo.{kind} %d, %a, %b;", [kind] * 2, kind, lambda a, b: a * b)
            self.check(f"mul.hi.{kind} %d, %a, %b;", [kind] * 2, kind, lambda a, b: a * b >> bits)
            self.check(f"mad.lo.{kind} %d, %a, %b, %c;", [kind] * 3, kind, lambda a, b, c: a * b + c)
            self.check(f"mad.hi.{kind} %d, %a, %b, %c;", [kind] * 3, kind, lambda a, b, c: (a * b >> bits) + c)

    def test_wide_products(self):
        for kind in ("u16", "s16", "u32", "s32"):
            wide = kind[0] + str(16 * width(kind))
            self.check(f"mul.wide.{kind} %d, %a, %b;", [kind] * 2, wide, lambda a, b: a * b)
            self.check(f"mad.wide.{kind} %d, %a, %b, %c;", [kind, kind, wide], wide, lambda a, b, c: a * b + c)

    def test_division(self):
        for kind in INTEGERS:
            self.check(f"or.b{8 * width(kind)} %b, %b, 1; div.{kind} %d, %a, %b;", [kind] * 2, kind,
                       lambda a, b: quotient(a, b | 1))
            self.check(f"or.b{8 * width(kind)} %b, %b, 1; rem.{kind} %d, %a, %b;", [kind] * 2, kind,
                       lambda a, b: a - quotient(a, b | 1) * (b | 1))

    def test_division_by_zero(self):
        zeros = [("u32", np.arange(4)), ("u32", np.zeros(4))]
        self.assertEqual(evaluate("div.u32 %d, %a, %b;", zeros, "u32").tolist(), [0xffffffff] * 4)
        self.assertEqual(evaluate("rem.u32 %d, %a, %b;", zeros, "u32").tolist(), [0, 1, 2, 3])

    def test_others(self):
        for kind in INTEGERS:
            self.check(f"min.{kind} %d, %a, %b;", [kind] * 2, kind, min)
            self.check(f"max.{kind} %d, %a, %b;", [kind] * 2, kind, max)
            self.check(f"sad.{kind} %d, %a, %b, %c;", [kind] * 3, kind, lambda a, b, c: c + abs(a - b))
            if kind[0] == "s":
                self.check(f"neg.{kind} %d, %a;", [kind], kind, lambda a: -a)
                self.check(f"abs.{kind} %d, %a;", [kind], kind, abs)
        self.check("add.sat.s32 %d, %a, %b;", ["s32"] * 2, "s32", lambda a, b: max(-2**31, min(2**31 - 1, a + b)))
        self.check("sub.sat.s32 %d, %a, %b;", ["s32"] * 2, "s32", lambda a, b: max(-2**31, min(2**31 - 1, a - b)))

    def test_carries(self):
        """128-bit sums and products from 64-bit halves, as nvcc makes them."""
        self.check("add.cc.u64 %rd1, %a, %b; addc.u64 %d, %c, 0;", ["u64"] * 3, "u64",
                   lambda a, b, c: c + (a + b >> 64))
        self.check("sub.cc.u64 %rd1, %a, %b; subc.u64 %d, %c, 0;", ["u64"] * 3, "u64", lambda a, b, c: c - (a < b))
        self.check("mad.lo.cc.u32 %r1, %a, %b, %c; madc.hi.u32 %d, %a, %b, 0;", ["u32"] * 3, "u32",
                   lambda a, b, c: a * b + c >> 32)
        self.check("add.cc.u32 %r1, %a, %b; addc.cc.u32 %r2, %b, %c; addc.u32 %d, 0, 0;", ["u32"] * 3, "u32",
                   lambda a, b, c: b + c + (a + b >> 32) >> 32)


class Floats(unittest.TestCase):
    def check(self, body, kind, function, arguments, mode="rn", spread=None):
        inputs = [(kind, floats(kind, COUNT, 10 + i, spread)) for i in range(arguments)]
        got = evaluate(body, inputs, kind)
        got = bf16_to_f32(got) if kind == "bf16" else got
        for i in range(COUNT):
            values = [exact(v[i], kind) for _, v in inputs]
            wanted = rounded(function(*values), kind, mode)
            self.assertEqual(float(got[i]), wanted, f"{body} {values}")

    def test_sums_and_products(self):
        for kind in ("f16", "bf16", "f32", "f64"):
            for spread in (None, 12):
                self.check(f"add.{kind} %d, %a, %b;", kind, lambda a, b: a + b, 2, spread=spread)
                self.check(f"sub.{kind} %d, %a, %b;", kind, lambda a, b: a - b, 2, spread=spread)
                self.check(f"mul.{kind} %d, %a, %b;", kind, lambda a, b: a * b, 2, spread=spread)

    def test_fused(self):
        for kind in ("f16", "bf16", "f32", "f64"):
            for spread in (None, 40, 12):
                self.check(f"fma.rn.{kind} %d, %a, %b, %c;", kind, lambda a, b, c: a * b + c, 3, spread=spread)

    def test_fused_cancels(self):
        """c = -round(a b): what is left is the rounding error of the product, exactly."""
        for kind in ("f32", "f64"):
            a, b = floats(kind, COUNT, 3, 20), floats(kind, COUNT, 4, 20)
            got = evaluate(f"fma.rn.{kind} %d, %a, %b, %c;", [(kind, a), (kind, b), (kind, -(a * b))], kind)
            for i in range(COUNT):
                self.assertEqual(float(got[i]), float(exact(a[i], kind) * exact(b[i], kind) - exact(a[i] * b[i], kind)))

    def test_fused_halfway(self):
        """(1 + u)(1 - u) / 2^24 = (1 - u^2) / 2^24 lies a hair beside the middle of two floats at 1; rounded to double
        first it would be the middle, and go to the even one."""
        for sign in (1, -1):
            a = np.float32([1 + 2**-23] * 2) * np.float32(sign)
            b = np.float32([1 - 2**-23] * 2) * np.float32(2**-24)
            c = np.float32([1 + 2**-23, -1 - 2**-22]) * np.float32(sign)
            got = evaluate("fma.rn.f32 %d, %a, %b, %c;", [("f32", a), ("f32", b), ("f32", c)], "f32")
            for i in range(2):
                wanted = rounded(exact(a[i], "f32") * exact(b[i], "f32") + exact(c[i], "f32"), "f32")
                self.assertEqual(float(got[i]), wanted)
            self.assertEqual(float(got[0]), float(c[0]))

    def test_directed(self):
        for mode in ("rz", "rm", "rp"):
            for spread in (None, 12):
                self.check(f"add.{mode}.f32 %d, %a, %b;", "f32", lambda a, b: a + b, 2, mode, spread)
                self.check(f"mul.{mode}.f32 %d, %a, %b;", "f32", lambda a, b: a * b, 2, mode, spread)
                self.check(f"fma.{mode}.f32 %d, %a, %b, %c;", "f32", lambda a, b, c: a * b + c, 3, mode, spread)

    def test_division_and_roots(self):
        for kind in ("f32", "f64"):
            a = np.abs(floats(kind, COUNT, 5)) + np.finfo(dtype(kind)).tiny
            b = floats(kind, COUNT, 6)
            b[b == 0] = 3
            got = evaluate(f"div.rn.{kind} %d, %a, %b;", [(kind, a), (kind, b)], kind)
            inverse = evaluate(f"rcp.rn.{kind} %d, %a;", [(kind, b)], kind)
            root = evaluate(f"sqrt.rn.{kind} %d, %a;", [(kind, a)], kind)
            for i in range(COUNT):
                self.assertEqual(float(got[i]), rounded(exact(a[i], kind) / exact(b[i], kind), kind))
                self.assertEqual(float(inverse[i]), rounded(1 / exact(b[i], kind), kind))
                # The root lies within half a unit: compare squares of the middles to its neighbours.
                below, above = np.nextafter(root[i], dtype(kind).type(0)), np.nextafter(root[i], dtype(kind).type(np.inf))
                low = (exact(root[i], kind) + exact(below, kind)) / 2
                high = (exact(root[i], kind) + exact(above, kind)) / 2
                self.assertTrue(low * low <= exact(a[i], kind) <= high * high)

    def test_extremes(self):
        nan, inf = np.nan, np.inf
        a = np.float32([nan, 1, nan, -0.0, 0.0, inf, -inf, 2])
        b = np.float32([1, nan, nan, 0.0, -0.0, 1, 1, -3])
        for name, wanted in (("max", [1, 1, nan, 0.0, 0.0, inf, 1, 2]), ("min", [1, 1, nan, -0.0, -0.0, 1, -inf, -3])):
            got = evaluate(f"{name}.f32 %d, %a, %b;", [("f32", a), ("f32", b)], "f32")
            np.testing.assert_array_equal(got, np.float32(wanted))
            np.testing.assert_array_equal(np.signbit(got[3:5]), np.signbit(np.float32(wanted[3:5])))
            strict = evaluate(f"{name}.NaN.f32 %d, %a, %b;", [("f32", a), ("f32", b)], "f32")
            self.assertTrue(np.isnan(strict[:3]).all() and not np.isnan(strict[3:]).any())

    def test_modifiers(self):
        a = np.float32([-2, 0.25, 3, np.nan, 2**-127, -2.0**-127, 0.5, -0.0])
        one = np.ones(8, np.float32)
        got = evaluate("mul.sat.f32 %d, %a, %b;", [("f32", a), ("f32", one)], "f32")
        self.assertEqual(got.tolist(), [0, 0.25, 1, 0, 2**-127, 0, 0.5, 0])
        got = evaluate("add.ftz.f32 %d, %a, 0f00000000;", [("f32", a)], "f32")
        self.assertEqual(got[4:6].tolist(), [0, 0])
        bits = evaluate("add.f32 %d, %a, %a;", [("f32", a)], "b32")
        self.assertEqual(hex(bits[3]), "0x7fffffff")
        signs = evaluate("neg.f32 %d, %a;", [("f32", a)], "b32")
        self.assertEqual(signs.tolist(), (a.view(np.uint32) ^ np.uint32(0x80000000)).tolist())
        got = evaluate("copysign.f32 %d, %a, %b;", [("f32", a), ("f32", one)], "f32")
        np.testing.assert_array_equal(got, np.copysign(one, a))

    def test_approximations(self):
        """Within what the PTX ISA promises of the exact result."""
        functions = {"rcp": lambda x: 1 / x, "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x), "ex2": np.exp2,
                     "lg2": np.log2, "sin": np.sin, "cos": np.cos, "tanh": np.tanh}
        for (name, kind), bound in TOLERANCE.items():
            values = np.abs(floats(kind, COUNT, 8, 6)) + dtype(kind).type(0.01)
            values = np.minimum(values, dtype(kind).type(3))
            if name == "div":
                divisors = values[::-1].copy()
                got = evaluate("div.approx.f32 %d, %a, %b;", [(kind, values), (kind, divisors)], kind)
                wanted = values.astype(np.float64) / divisors
            else:
                flush = ".ftz" if kind == "f64" else ""
                got = evaluate(f"{name}.approx{flush}.{kind} %d, %a;", [(kind, values)], kind)
                wanted = functions[name](values.astype(np.float64))
            error = np.abs(got - wanted) / np.maximum(np.abs(wanted), 1 if name in ("sin", "cos", "lg2") else 0)
            self.assertLessEqual(error.max(), bound, name)

    def test_unknown(self):
        for body in ("frobnicate.f32 %d, %a;", "add.rz.f64 %d, %a, %a;", "sin.f32 %d, %a;", "fma.oob.f32 %d, %a, %a, %a;"):
            kind = "f64" if "f64" in body else "f32"
            with self.assertRaisesRegex(Unsupported, "cannot run `" + body.split(" ")[0]):
                evaluate(body, [(kind, np.ones(4))], kind)


if __name__ == "__main__":
    unittest.main()
