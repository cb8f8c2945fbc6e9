#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What sass.py says of kernels whose faults are known: functions.cu, as an object with machine code for sm_75 and sm_90.

    test_sass.py FUNCTIONS.o [unittest's arguments]
"""
import sys
import unittest

sys.dont_write_bytecode = True

import memory_bound
import sass
from cubin import images, kernels

OBJECT = sys.argv[1]


class Sass(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.found = {(k.name, k.architecture): k for image in images(OBJECT) for k in kernels(*image)}

    def test_all(self):
        names = {name for name, _ in self.found}
        self.assertEqual(names, {"singles", "doubles", "integers", "others"})
        self.assertEqual({architecture for _, architecture in self.found}, {75, 90})
        for kernel in self.found.values():
            self.assertTrue(8 <= kernel.registers <= 255)
            self.assertGreater(kernel.count("LDG"), 0)
            self.assertGreater(kernel.count("STG"), 0)
            self.assertGreater(kernel.count("EXIT"), 0)

    def test_local_memory(self):
        """An array indexed at run time."""
        for architecture in (75, 90):
            self.assertEqual(list(sass.local_memory(self.found["integers", architecture])), [])
            text, = sass.local_memory(self.found["others", architecture])
            self.assertRegex(text, r"[1-9]\d* bytes of local memory, [1-9]\d* loads and [1-9]\d* stores")

    def test_division(self):
        for architecture in (75, 90):
            self.assertEqual(list(sass.wide_division(self.found["singles", architecture], "singles")), [])
            text, = sass.wide_division(self.found["integers", architecture], "integers")
            self.assertIn("__cuda_sm20_div_s64", text)

    def test_registers(self):
        kernel = self.found["others", 75]
        kernel.registers, kernel.max_threads = 65, 1024
        self.assertEqual(list(sass.registers(kernel)), ["65 registers in 1024 threads do not fit in 65536"])
        kernel.registers = 64
        self.assertEqual(list(sass.registers(kernel)), [])

    def test_vectors(self):
        kernel = self.found["singles", 90]
        self.assertEqual(list(sass.vector_access(kernel, "singles")), [])
        self.assertEqual(list(sass.vector_access(kernel, "rni_kernel_flat<float, 4, 1>")),
                         ["has no LDG of 128 bits", "has no STG of 128 bits"])
        self.assertEqual(list(sass.vector_access(kernel, "rni_kernel_flat<float, 1, 1>")), [])
        self.assertRegex(*sass.vector_access(kernel, "rni_kernel_new<rni_bf16, 8>"), "does not say")

    def test_lists(self):
        self.assertIn("rni_kernel_pad_channels$", memory_bound.unmatched({"rni_kernel_sgd"}))
        self.assertNotIn("rni_kernel_(adam|sgd|lerp|grad_clip|grad_unscale)$", memory_bound.unmatched({"rni_kernel_sgd"}))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
