#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_residual_block.py PROGRAM: examples/residual_block learns what it is to learn, and stays short."""
import pathlib
import re
import subprocess
import sys

text = subprocess.run([sys.argv[1]], check=True, capture_output=True, text=True, timeout=300).stdout
losses = [float(loss) for loss in re.findall(r"^step +\d+  loss (\d+\.\d+)$", text, re.MULTILINE)]
accuracy = float(re.search(r"^accuracy on \d+ new images: (\d+\.\d) %$", text, re.MULTILINE)[1])
assert len(losses) == 7 and losses[0] > 1.0 and losses[-1] < 0.4, text
assert accuracy > 85.0, text  # a guess is right in a quarter of the cases
source = pathlib.Path(__file__).parents[2] / "examples" / "residual_block.c"
assert len(source.read_text().splitlines()) < 200
