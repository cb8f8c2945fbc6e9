#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_fused.py CHECKBACKEND MODULE: on a simulated GPU convolutions deliver their statistics where, and only where,
cuDNN has a ready engine for both and RN_CUDA_FUSE=1 asks for it; RN_CUDA_RUNTIME_ENGINES=1 changes nothing, and with
RN_CUDA_AUTOTUNE=1 engines are measured."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

checkbackend, module = sys.argv[1:]
COLUMNS = ("f32", "f64", "bf16", "f16")


def run(mode, count, **environment):
    done = subprocess.run(
        [checkbackend, mode, f"--module={module}", "--function=conv_forward_stats", f"--count={count}"],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def support(**environment):
    """Which types are served, at least in part."""
    row = re.search(r"^conv_forward stats +(.+?) *$", run("support", 16, **environment), re.M)
    cells = re.split(r"  +", row.group(1))
    assert len(cells) == len(COLUMNS), row.group(0)
    return {name for name, cell in zip(COLUMNS, cells) if cell != "no"}


fuse = {"RN_CUDA_FUSE": "1"}
for device, expected in {"a100": {"f16"}, "h100": {"f16"}, "rtx4090": {"f16"}, "b200": set(), "t4": set()}.items():
    got = support(RNI_SIM_DEVICE=device, RN_CUDA_RUNTIME_ENGINES="1", **fuse)
    assert got == expected, (device, got)
assert support() == set() and support(RN_CUDA_FUSE="0") == set()
assert support(RN_CUDA_DIRECT="1", **fuse) == set()
failed = subprocess.run([checkbackend, "test", f"--module={module}", "--function=relu"], capture_output=True, text=True,
                        env={**os.environ, "RN_CUDA_FUSE": "yes"}, check=False)
assert failed.returncode and "RN_CUDA_FUSE: 0, 1 or 2 expected" in failed.stdout + failed.stderr, failed.stdout + failed.stderr

report = run("test", 48, RNI_SIM_DEVICE="a100", **fuse)
ran = int(re.search(r"^(\d+) cases ran", report, re.M).group(1))
assert re.search(r"^conv_forward_stats +ok$", report, re.M) and ran >= 16, report
print(f"{ran} cases ran on an A100")

with tempfile.TemporaryDirectory() as folder:
    run("test", 8, RNI_SIM_DEVICE="a100", RN_CUDA_AUTOTUNE="1", RN_CUDA_CACHE=folder, **fuse)
    kept = "".join(path.read_text(encoding="utf-8") for path in pathlib.Path(folder).iterdir())
    assert re.search(r"^conv_forward [^\t]* f16 stats\t", kept, re.M), "no engine was measured"
