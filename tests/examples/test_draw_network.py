#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_draw_network.py PROGRAM: its pictures hold what they should, and Graphviz draws them where it is installed."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml

PROGRAM = sys.argv.pop(1)
DOT = shutil.which("dot")
if not DOT and os.environ.get("RESNET_REQUIRE_TOOLS"):
    sys.exit("Graphviz is not installed")


class DrawNetwork(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.out = self.folder / "nets.dot"

    def run_program(self, *arguments):
        return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=120)

    def draw(self, *arguments):
        done = self.run_program("--out", self.out, *arguments)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        return self.out.read_text()

    def shown(self):
        """The texts in the picture that Graphviz makes of the file."""
        done = subprocess.run([DOT, "-Tsvg", self.out], capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [element.text for element in xml.fromstring(done.stdout).iter("{http://www.w3.org/2000/svg}text")]

    def test_one_net(self):
        text = self.draw("--arch", "resnet18")
        self.assertEqual(len(re.findall(r'label="\dx\d conv', text)), 20)
        self.assertEqual(text.count("style=dotted"), 6)
        self.assertIn("3 x 224 x 224", text)
        if DOT:
            shown = self.shown()
            self.assertEqual(shown.count("3x3 conv, 512"), 3)
            self.assertEqual(shown.count("resnet18"), 1)
            self.assertEqual([t for t in shown if t.startswith("output")],
                             ["output size: %d" % size for size in (112, 56, 28, 14, 7, 1)])

    def test_columns(self):
        text = self.draw("--arch", "cifar_plain20,cifar_resnet20", "--channels", "1", "--left-to-right")
        self.assertTrue(text.startswith("digraph networks {\nrankdir=LR;\n"))
        self.assertEqual(text.count("1 x 32 x 32"), 2)
        self.assertEqual(text.count("style=dotted"), 2)
        if DOT:
            self.assertEqual(self.shown().count("fc 10"), 2)

    def test_everything_shown(self):
        self.draw("--arch", "tutorial", "--all-layers", "--names", "--shapes", "--size", "16")
        if DOT:
            shown = self.shown()
            for text in ("layer2.0.downsample.0", "64 x 4 x 4", "bn", "layer3.1"):
                self.assertIn(text, shown)

    def test_errors_leave_no_file(self):
        nowhere = self.folder / "no" / "nets.dot"
        for code, text, *arguments in ((1, "no net 'resnet0'", "--arch", "resnet18,resnet0", "--out", self.out),
                                       (1, "No such file", "--arch", "resnet18", "--out", nowhere),
                                       (2, "--arch: is missing", "--out", self.out),
                                       (2, "--out: is missing", "--arch", "resnet18"),
                                       (2, "--size: expected", "--size", "0"),
                                       (2, "--sise: unknown flag", "--sise", "3"),
                                       (2, "--arch: expected a value", "--arch"),
                                       (2, "x: unknown argument", "x")):
            done = self.run_program(*arguments)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(text, done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1)
            self.assertEqual(list(self.folder.iterdir()), [])


unittest.main()
