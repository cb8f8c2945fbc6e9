#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Scheduling, warps, memory and faults of the interpreter."""
import struct
import sys
import unittest

sys.dont_write_bytecode = True
import require

np = require.module("numpy")

from harness import INPUT, OUTPUT, evaluate, kernel
from interpreter import Fault, GlobalMemory, Program, Unsupported

WARP = np.arange(32, dtype=np.uint32)
TWO_WARPS = np.arange(64, dtype=np.uint32)


def one(values, kind="u32"):
    return [(kind, values)]


class Warps(unittest.TestCase):
    def test_shuffles(self):
        forms = {"bfly": ("0x1f", lambda lane, n: lane ^ n), "down": ("0x1f", lambda lane, n: lane + n),
                 "up": ("0", lambda lane, n: lane - n), "idx": ("0x1f", lambda lane, n: n)}
        for mode, (c, source) in forms.items():
            for n in (0, 1, 5, 16, 31):
                got = evaluate(f"shfl.sync.{mode}.b32 %d|%p1, %a, {n}, {c}, -1; selp.u32 %r1, 1000, 0, %p1; "
                               "add.u32 %d, %d, %r1;", one(TWO_WARPS + 7), "u32")
                for thread in range(64):
                    lane = source(thread % 32, n)
                    inside = 0 <= lane < 32
                    wanted = 7 + (thread // 32 * 32 + lane + 1000 if inside else thread)
                    self.assertEqual(int(got[thread]), wanted, f"{mode} {n} {thread}")

    def test_segments(self):
        """Parts of 8 lanes: c holds the mask of the part in its upper byte."""
        got = evaluate(f"shfl.sync.bfly.b32 %d, %a, 12, {0x181f}, -1;", one(WARP), "u32")
        self.assertEqual(got.tolist(), [i ^ 12 if i ^ 12 <= i | 7 else i for i in range(32)])  # only the top counts
        got = evaluate(f"shfl.sync.down.b32 %d, %a, 3, {0x181f}, -1;", one(WARP), "u32")
        self.assertEqual(got.tolist(), [i + 3 if i % 8 < 5 else i for i in range(32)])
        got = evaluate(f"shfl.sync.idx.b32 %d, %a, 2, {0x181f}, -1;", one(WARP), "u32")
        self.assertEqual(got.tolist(), [i // 8 * 8 + 2 for i in range(32)])

    def test_votes(self):
        got = evaluate("setp.lt.u32 %p1, %a, 37; vote.sync.ballot.b32 %d, %p1, -1;", one(TWO_WARPS), "u32")
        self.assertEqual(got.tolist(), [0xffffffff] * 32 + [0x1f] * 32)
        for mode, wanted in (("any", [1, 1]), ("all", [1, 0]), ("uni", [1, 0])):
            got = evaluate(f"setp.lt.u32 %p1, %a, 37; vote.sync.{mode}.pred %p2, %p1, -1; selp.u32 %d, 1, 0, %p2;",
                           one(TWO_WARPS), "u32")
            self.assertEqual(got[::32].tolist(), wanted, mode)

    def test_reductions(self):
        for name, wanted in (("add", [496, 1520]), ("max", [31, 63]), ("min", [0, 32]), ("or", [31, 63]), ("and", [0, 32])):
            got = evaluate(f"redux.sync.{name}.u32 %d, %a, -1;", one(TWO_WARPS), "u32")
            self.assertEqual(got[::32].tolist(), wanted, name)

    def test_parts(self):
        """Two halves of a warp with masks of their own, each in its branch."""
        body = ("setp.lt.u32 %p1, %a, 16; @%p1 bra low; shfl.sync.bfly.b32 %d, %a, 1, 0x1f, 0xffff0000; bra.uni end; "
                "low: shfl.sync.bfly.b32 %d, %a, 2, 0x1f, 0xffff; end: activemask.b32 %r1; "
                "setp.ne.u32 %p2, %r1, -1; @%p2 mov.u32 %d, 99;")
        got = evaluate(body, one(WARP), "u32")
        self.assertEqual(got.tolist(), [i ^ 2 if i < 16 else i ^ 1 for i in range(32)])

    def test_late_lanes(self):
        """Lanes that come to the same shuffle later are waited for."""
        body = ("setp.ge.u32 %p1, %a, 8; mov.u32 %r1, 0; @%p1 bra far; near: shfl.sync.idx.b32 %d, %a, 31, 0x1f, -1; "
                "bra.uni end; far: add.u32 %r1, %r1, 1; setp.lt.u32 %p2, %r1, 5; @%p2 bra far; bra.uni near; end:")
        self.assertEqual(evaluate(body, one(WARP), "u32").tolist(), [31] * 32)

    def test_short_warp(self):
        got = evaluate("shfl.sync.bfly.b32 %d, %a, 1, 0x1f, -1;", one(WARP[:24]), "u32")
        self.assertEqual(got.tolist(), [i ^ 1 for i in range(24)])

    def test_lost_lanes(self):
        """A mask names lanes that are at another instruction for good."""
        body = ("setp.lt.u32 %p1, %a, 16; @%p1 bra low; bar.warp.sync -1; bra.uni end; "
                "low: shfl.sync.bfly.b32 %d, %a, 2, 0x1f, -1; end:")
        with self.assertRaisesRegex(Fault, "waits for lanes that never come"):
            evaluate(body, one(WARP), "u32")
        with self.assertRaisesRegex(Fault, "mask without the lane itself"):
            evaluate("shfl.sync.bfly.b32 %d, %a, 1, 0x1f, 0xff;", one(WARP), "u32")
        with self.assertRaisesRegex(Fault, "does not take part"):
            evaluate("shfl.sync.down.b32 %d, %a, 1, 0x1f, -1;", one(WARP[:24]), "u32")


SHARED = ".shared .align 4 .b8 array[256];"
EXCHANGE = """mov.u32 %r1, array; mov.u32 %r2, %tid.x; shl.b32 %r3, %r2, 2; add.u32 %r4, %r1, %r3;
st.shared.u32 [%r4], %a; {barrier} sub.u32 %r5, 63, %r2; shl.b32 %r5, %r5, 2; add.u32 %r6, %r1, %r5;
ld.shared.u32 %d, [%r6];"""


class Barriers(unittest.TestCase):
    def test_exchange(self):
        for order in ("together", "ascending", "descending"):
            got = evaluate(EXCHANGE.format(barrier="bar.sync 0;"), one(np.arange(256)), "u32", SHARED, 64, order)
            self.assertEqual(got.tolist(), [i // 64 * 64 + 63 - i % 64 for i in range(256)])

    def test_missing(self):
        """Warps that run one after the other show a barrier that is not there."""
        for order in ("ascending", "descending"):
            with self.assertRaisesRegex(Fault, "ld.shared.u32.*never written"):
                evaluate(EXCHANGE.format(barrier=""), one(np.arange(64)), "u32", SHARED, 64, order)

    def test_reductions(self):
        values = np.arange(128, dtype=np.uint32)
        for name, wanted in (("popc.u32 %d, 0, %p1;", [64, 10]), ("and.pred %p2, 0, %p1; selp.u32 %d, 1, 0, %p2;", [1, 0]),
                             ("or.pred %p2, 0, !%p1; selp.u32 %d, 1, 0, %p2;", [0, 1])):
            for order in ("together", "descending"):
                got = evaluate("setp.lt.u32 %p1, %a, 74; bar.red." + name, one(values), "u32", threads=64, order=order)
                self.assertEqual(got[::64].tolist(), wanted, name)

    def test_exited_threads(self):
        got = evaluate("setp.lt.u32 %p1, %a, 32; @%p1 ret; bar.sync 0; mov.u32 %d, 5;", one(TWO_WARPS), "u32")
        self.assertEqual(got[32:].tolist(), [5] * 32)

    def test_different_barriers(self):
        body = "setp.lt.u32 %p1, %a, 32; @%p1 bra low; bar.sync 0; bra.uni end; low: bar.sync 0; end: mov.u32 %d, 1;"
        with self.assertRaisesRegex(Fault, "wait at different barriers"):
            evaluate(body, one(TWO_WARPS), "u32")


class Control(unittest.TestCase):
    def test_loop(self):
        """Every lane its own number of rounds."""
        body = "mov.u32 %d, 0; again: add.u32 %d, %d, %a; sub.u32 %a, %a, 1; setp.ne.u32 %p1, %a, -1; @%p1 bra again;"
        self.assertEqual(evaluate(body, one(WARP), "u32").tolist(), [i * (i + 1) // 2 for i in range(32)])

    def test_indexed_branch(self):
        body = ("and.b32 %r1, %a, 3; table: .branchtargets l0, l1, l2, l1; brx.idx %r1, table; "
                "l0: mov.u32 %d, 10; bra end; l1: mov.u32 %d, 20; bra end; l2: mov.u32 %d, 30; end:")
        self.assertEqual(evaluate(body, one(WARP), "u32").tolist(), [10, 20, 30, 20] * 8)

    def test_calls(self):
        """Two functions deep, from two places, with an array as result; names of parameters repeat in scopes."""
        functions = """
.func (.param .align 8 .b8 r[8]) pair(.param .b32 x) { .reg .b32 %r<3>; ld.param.b32 %r1, [x]; add.u32 %r2, %r1, 1;
st.param.b32 [r+0], %r1; st.param.b32 [r+4], %r2; ret; }
.func (.param .b32 r) sum(.param .b32 x) { .reg .b32 %r<9>; ld.param.b32 %r1, [x]; mul.lo.u32 %r2, %r1, %r1;
{ .param .b32 p0; st.param.b32 [p0+0], %r2; .param .align 8 .b8 v0[8]; call.uni (v0), pair, (p0);
ld.param.v2.b32 {%r3, %r4}, [v0+0]; } add.u32 %r5, %r3, %r4; st.param.b32 [r+0], %r5; ret; }"""
        call = "{{ .param .b32 p0; st.param.b32 [p0+0], {0}; .param .b32 v0; call.uni (v0), sum, (p0); ld.param.b32 {1}, [v0+0]; }}"
        body = ("setp.lt.u32 %p1, %a, 16; @%p1 bra low; " + call.format("%a", "%d") + " bra.uni end; low: "
                + call.format("%a", "%r1") + call.format("%r1", "%d") + " end:")
        memory = GlobalMemory()
        memory.map(INPUT, WARP.view(np.uint8))
        memory.map(OUTPUT, 128)
        loads = ".reg .b32 %a, %d; mad.lo.u64 %rd16, %rd19, 4, %rd18; ld.global.b32 %a, [%rd16];"
        stores = "mad.lo.u64 %rd16, %rd19, 4, %rd17; st.global.b32 [%rd16], %d;"
        program = Program(kernel(body, loads, stores, declarations=functions))
        program.run("t", memory, (1,), (32,), struct.pack("<QQ", INPUT, OUTPUT))

        def square(x):
            return 2 * x * x + 1
        got = memory.read(OUTPUT, 128)[0].view(np.uint32)
        self.assertEqual(got.tolist(), [square(i) if i >= 16 else square(square(i)) for i in range(32)])

    def test_special_registers(self):
        body = ("mov.u32 %r1, %tid.y; mov.u32 %r2, %ctaid.z; mad.lo.u32 %r3, %r2, 100, %r1; mov.u32 %r4, %tid.x; "
                "mad.lo.u32 %r3, %r4, 1000, %r3; mov.u32 %r5, %ntid.y; mov.u32 %r6, %nctaid.x; mul.lo.u32 %r7, %r5, %r6;"
                "mov.u32 %r8, %tid.z; mad.lo.u32 %r9, %r8, 2, %r1; mad.lo.u32 %r9, %r9, 4, %r4; mov.u32 %r10, %ctaid.x;"
                "mad.lo.u32 %r11, %r2, 3, %r10; mad.lo.u32 %r11, %r11, 16, %r9; mad.wide.u32 %rd16, %r11, 4, %rd17;"
                "mad.lo.u32 %r3, %r7, 10000, %r3; st.global.u32 [%rd16], %r3;")
        memory = GlobalMemory()
        memory.map(OUTPUT, 3 * 2 * 16 * 4)
        Program(kernel(body)).run("t", memory, (3, 1, 2), (4, 2, 2), struct.pack("<QQ", INPUT, OUTPUT))
        got = memory.read(OUTPUT, 384)[0].view(np.uint32)
        wanted = [60000 + x * 1000 + z * 100 + y for z in range(2) for _ in range(3) for _ in range(2) for y in range(2)
                  for x in range(4)]
        self.assertEqual(got.tolist(), wanted)


class Memory(unittest.TestCase):
    def fault(self, pattern, body, values=WARP):
        with self.assertRaisesRegex(Fault, pattern):
            evaluate(body, one(values), "u32")

    def test_vectors(self):
        body = ("ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%rd18]; add.u32 %d, %r1, %r2; mad.lo.u32 %d, %r3, 10, %d; "
                "mad.lo.u32 %d, %r4, 100, %d; ld.global.nc.v2.u16 {%h1, %h2}, [%rd18+4]; cvt.u32.u16 %r5, %h1; "
                "add.u32 %d, %d, %r5; ld.global.s8 %h3, [%rd18+8]; cvt.s32.s16 %r6, %h3; add.s32 %d, %d, %r6;")
        values = np.uint32([1, 2, 0xfe, 4])
        self.assertEqual(evaluate(body, one(values), "u32").tolist(), [1 + 2 + 2540 + 400 + 2 - 2] * 4)

    def test_faults(self):
        self.fault("thread \\(31, 0, 0\\).*outside every allocation.* 0 bytes past the end of the 128 bytes.*1 of 32 lanes",
                   "ld.global.u32 %d, [%rd16+4];")
        self.fault("not aligned to its 4 bytes", "ld.global.u32 %d, [%rd16+2];")
        self.fault("not aligned to its 16 bytes", "ld.global.v4.u32 {%d, %r1, %r2, %r3}, [%rd16];")
        self.fault("never written", "ld.global.u32 %d, [%rd17];")
        self.fault("outside every allocation", "st.global.u32 [%rd18+-4], %a;")
        self.fault("outside shared memory: offset 256 of 256", SHARED + "mov.u32 %r1, array; st.shared.u32 [%r1+256], %a;")
        self.fault("never written", SHARED + "mov.u32 %r1, array; ld.shared.u32 %d, [%r1];")
        self.fault("is executed", "setp.eq.u32 %p1, %a, 7; @%p1 trap;")

    def test_local(self):
        """Each thread its own; also through generic addresses."""
        body = (".local .align 8 .b8 depot[16]; mov.u64 %rd1, depot; st.local.u32 [%rd1+4], %a; cvta.local.u64 %rd2, %rd1; "
                "ld.u32 %r1, [%rd2+4]; add.u32 %r1, %r1, 1; st.u32 [%rd2], %r1; ld.local.v2.u32 {%r2, %r3}, [%rd1]; "
                "mad.lo.u32 %d, %r2, 100, %r3;")
        self.assertEqual(evaluate(body, one(WARP), "u32").tolist(), [(i + 1) * 100 + i for i in range(32)])

    def test_generic(self):
        """Half of the lanes read shared memory, half global, through one instruction."""
        body = SHARED + ("mov.u64 %rd1, array; cvta.shared.u64 %rd2, %rd1; mad.wide.u32 %rd3, %r17, 4, %rd2; "
                         "mad.lo.u32 %r1, %a, 3, 0; st.u32 [%rd3], %r1; setp.lt.u32 %p1, %a, 16; "
                         "selp.b64 %rd4, %rd3, %rd16, %p1; isspacep.shared %p2, %rd4; ld.u32 %d, [%rd4]; "
                         "@%p2 add.u32 %d, %d, 1000;")
        self.assertEqual(evaluate(body, one(WARP), "u32").tolist(), [1000 + 3 * i if i < 16 else i for i in range(32)])

    def test_variables(self):
        memory = GlobalMemory()
        memory.map(OUTPUT, 16)
        declarations = ".const .align 4 .u32 table[3] = {5, 6}; .global .align 4 .b8 bytes[8] = {1, 2, 3};"
        body = ("ld.const.u32 %r1, [table+4]; mov.u64 %rd1, bytes; cvta.global.u64 %rd2, %rd1; ld.u32 %r2, [%rd2]; "
                "ld.const.u32 %r3, [table+8]; st.global.v4.u32 [%rd17], {%r1, %r2, %r3, 7};")
        program = Program(kernel(body, declarations=declarations))
        program.map_variables(memory)
        program.run("t", memory, (1,), (1,), struct.pack("<QQ", INPUT, OUTPUT))
        self.assertEqual(memory.read(OUTPUT, 16)[0].view(np.uint32).tolist(), [6, 0x030201, 0, 7])

    def test_atomics(self):
        """Old values are those of some order; here the order of the lanes."""
        cases = (("add.u32", lambda old, b: old + b & 0xffffffff), ("max.u32", max), ("min.u32", min),
                 ("and.b32", lambda old, b: old & b), ("or.b32", lambda old, b: old | b),
                 ("xor.b32", lambda old, b: old ^ b), ("exch.b32", lambda old, b: b),
                 ("inc.u32", lambda old, b: 0 if old >= b else old + 1))
        values = np.arange(7, 39, dtype=np.uint32) * np.uint32(0x01010101)
        for name, function in cases:
            got = evaluate(f"bar.sync 0; atom.global.{name} %d, [%rd18], %a;", one(values), "u32")
            old, wanted = int(values[0]), []
            for value in values.tolist():
                wanted.append(old)
                old = function(old, value)
            self.assertEqual(got.tolist(), wanted, name)
        got = evaluate("bar.sync 0; atom.global.cas.b32 %d, [%rd18], 0, %a;", one(np.arange(32)), "u32")
        self.assertEqual(got.tolist(), [0, 0, *[1] * 30])
        got = evaluate("bar.sync 0; red.global.add.u32 [%rd18], 2; bar.sync 0; ld.global.u32 %d, [%rd18];",
                       one(np.ones(32)), "u32")
        self.assertEqual(got.tolist(), [65] * 32)

    def test_float_atomics(self):
        with self.assertRaisesRegex(Unsupported, "atom.global.add.f32"):
            evaluate("atom.global.add.f32 %d, [%rd18], %a;", one(WARP), "u32")

    def test_parameters(self):
        memory = GlobalMemory()
        memory.map(OUTPUT, 64)
        with self.assertRaisesRegex(Fault, "12 bytes of parameters; it has 16"):
            Program(kernel("")).run("t", memory, (1,), (1,), bytes(12))
        with self.assertRaisesRegex(Fault, "2048 threads per block"):
            Program(kernel("")).run("t", memory, (1,), (2048,), bytes(16))
        text = kernel("").replace(")\n{", ")\n.maxntid 64\n{")
        with self.assertRaisesRegex(Fault, "128 threads per block; at most 64"):
            Program(text).run("t", memory, (1,), (128,), bytes(16))


if __name__ == "__main__":
    unittest.main()
