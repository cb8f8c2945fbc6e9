#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_prologue.py STEP_TRAFFIC MODULE: how many batch normalisations of a training step on a simulated GPU are left to the
convolutions behind them, by the kernels that run: of the tutorial's 15 those within its 6 blocks, where, and only where, cuDNN
has engines for it and RN_CUDA_FUSE=2 asks for it; elsewhere all are kernels of their own."""
import os
import re
import subprocess
import sys
import tempfile

program, module = sys.argv[1:]
STEPS, ALL, INSIDE = 3, 15, 6
# Of at most 16 channels: gradients of these filters are better left to the module's own kernel.
FEW_CHANNELS = 2


def run(dtype, **environment):
    """Launches of a kernel a step, and what the operands of cuDNN's work are called."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "statistics.csv")
        subprocess.run([program, module, "tutorial", "4", "16", dtype, str(STEPS)], check=True, stdout=subprocess.DEVNULL, env={
            **os.environ, "CK_FORK": "no", "RN_CUDA_DIRECT": "0", "RNI_SIM_STATISTICS": path, **environment})
        with open(path, encoding="utf-8") as file:
            rows = [line.split(",") for line in file]
    launches = {kernel: sum(int(count) for name, count, *_ in rows if re.search(rf"rni_kernel_{kernel}(?![a-z_])", name)) / STEPS
                for kernel in ("bn_apply", "bn_factors")}
    return launches["bn_apply"], launches["bn_factors"], any("cuDNN: scale" in name for name, *_ in rows)


def expect(inside, dtype, **environment):
    got = run(dtype, **environment)
    print(f"{dtype} {environment}: {got[0]:g} applied, {got[1]:g} left to convolutions")
    assert got == (ALL - inside, inside, inside > 0), (got, inside)


fuse = {"RN_CUDA_FUSE": "2"}
for device in ("a100", "rtx4090", "h100"):
    expect(INSIDE, "f16", RNI_SIM_DEVICE=device, **fuse)
expect(INSIDE, "f16", RN_CUDA_GRAPH="0", **fuse)
expect(INSIDE - FEW_CHANNELS, "f16", RN_CUDA_DIRECT="", **fuse)
for device in ("t4", "b200", "rtx5090"):
    expect(0, "f16", RNI_SIM_DEVICE=device, RN_CUDA_RUNTIME_ENGINES="1", **fuse)
for dtype in ("f32", "bf16"):
    expect(0, dtype, **fuse)
expect(0, "f16", RN_CUDA_FUSE="1")
expect(0, "f16")
expect(0, "f16", RN_CUDA_DIRECT="1", **fuse)
expect(0, "f16", RNI_SIM_REFUSE_PROLOGUE="4", **fuse)
with tempfile.TemporaryDirectory() as cache:
    expect(INSIDE, "f16", RN_CUDA_AUTOTUNE="1", RN_CUDA_CACHE=cache, **fuse)
    kept = "".join(open(os.path.join(cache, name), encoding="utf-8").read() for name in os.listdir(cache))
    for kind in ("forward", "backward_filter"):
        assert re.search(rf"^conv_{kind} [^\t]* prologue\t", kept, re.M), f"no engine of {kind} was measured"
