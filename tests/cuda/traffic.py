#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Kernels and bytes of a training step over the simulated module, beside what they should be.

    traffic.py STEP_TRAFFIC MODULE [--net tutorial] [--batch 8] [--side 32] [--dtype f32] [--most 1.15]

MODULE is the simulated one with full checking. Counted are the module's own kernels, not cuDNN's and cuBLAS'; every access of
global memory counts, so what a cache would answer (factors per channel, which each thread reads) is counted again. "expected"
is every activation once per kernel that must read or write it. Exit status 1 when a group of kernels for which there is
such a number is not found, or moves more than its bound (MOST), or --most times as much where a training has none.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict

BYTES = {"f32": 4, "bf16": 2}


# (input channels, channels, side of the output, kind) of each convolution: "plain" is followed by BN and ReLU, "last"
# by BN, the sum with the shortcut and ReLU, "shortcut" by BN.
def tutorial(side):
    layers, channels = [(3, 16, side, "plain")], 16
    for stage, width in enumerate((16, 32, 64)):
        for block in range(2):
            if stage and block == 0:
                side //= 2
                layers.append((channels, width, side, "shortcut"))
            layers += [(channels, width, side, "plain"), (width, width, side, "last")]
            channels = width
    return layers


def resnet50(side):
    layers, channels, side = [(3, 64, side // 2, "plain")], 64, side // 4
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            first, inner = block == 0, side
            if first and stage:
                side //= 2
            layers.append((channels, width, inner, "plain"))
            layers.append((width, width, side, "plain"))
            if first:
                layers.append((channels, 4 * width, side, "shortcut"))
            layers.append((width, 4 * width, side, "last"))
            channels = 4 * width
    return layers


NETS = {"tutorial": tutorial, "resnet50": resnet50}


def expected(layers, batch, size):
    """Bytes by kind of work, activations only."""
    result = defaultdict(int)
    for _, channels, side, kind in layers:
        y = batch * channels * side * side * size
        residual = kind == "last"
        result["statistics"] += y
        result["apply"] += 2 * y + residual * y
        # The mask of a ReLU is made from x. With a residual y is read for it, and the masked gradient written, which
        # is then all that dx reads beside x.
        result["backward sums"] += 2 * y + 2 * residual * y
        result["backward dx"] += 3 * y
    return result


# Bounds of what was moved, as multiples of what was expected, by net, dtype, batch and side: the counts are the same in
# every run, so each is the next hundredth above what is measured. Beside activations there are what each thread or
# chunk of rows reads and writes per channel in f32, which in bf16 weighs twice as much. Of these dx has most: four or six
# factors in every thread, which has few rows where there is little work. One more operand read by the layers without a
# residual would add a sixth to a group of backward, one by those with a residual an eighth.
MOST = {
    ("tutorial", "f32", 8, 32): {"statistics": 1.08, "apply": 1.02, "backward sums": 1.06, "backward dx": 1.27},
    ("tutorial", "bf16", 8, 32): {"statistics": 1.09, "apply": 1.02, "backward sums": 1.11, "backward dx": 2.06},
}


GROUPS = (("statistics", r"rni_kernel_bn_(stats|moments|running)"), ("apply", r"rni_kernel_bn_apply"),
          ("backward sums", r"rni_kernel_bn_backward_(sums|finish)"), ("backward dx", r"rni_kernel_bn_backward_dx"),
          ("optimizer", r"rni_kernel_(sgd|adam|grad_)"), ("filters", r"rni_kernel_(filter|bias|pad_channels|cut)"),
          ("gradient sums", r"rni_kernel_flat"))


def group_of(name):
    return next((group for group, pattern in GROUPS if re.search(pattern, name)), "others")


def run(args, steps, folder):
    """{group: [launches, bytes read, bytes written]} of a training of `steps`."""
    path = os.path.join(folder, f"{steps}.csv")
    command = [args.program, args.module, args.net, args.batch, args.side, args.dtype, steps]
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ, "CK_FORK": "no", "CK_DEFAULT_TIMEOUT": "0", "RNI_SIM_STATISTICS": path})
    sums = defaultdict(lambda: [0, 0, 0])
    with open(path, encoding="utf-8") as file:
        for line in file:
            name, launches, _, read, written = line.strip().split(",")
            for i, value in enumerate((launches, read, written)):
                sums[group_of(name)][i] += int(value)
    return sums


def per_step(args):
    """What two steps more add, halved: the first ones also prepare."""
    with tempfile.TemporaryDirectory() as folder:
        few, more = run(args, 2, folder), run(args, 4, folder)
    return {group: [(b - a) / 2 for a, b in zip(few[group], more[group])] for group in more}


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("module")
    parser.add_argument("--net", choices=sorted(NETS), default="tutorial")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--dtype", choices=sorted(BYTES), default="f32")
    parser.add_argument("--most", type=float, default=1.15, help="of a training that MOST does not have")
    return parser.parse_args()


def complaints(wanted, found, bounds):
    """What is wrong, a line each. wanted: {group: bytes}, found: {group: (launches, read, written)}."""
    for group, limit in sorted(wanted.items()):
        launches, read, written = found.get(group, (0, 0, 0))
        if not launches or not read + written:
            yield f"{group}: no kernel was counted"
        elif read + written > bounds[group] * limit:
            yield f"{group}: {(read + written) / limit:.3f} times what is expected, at most {bounds[group]}"


def print_table(wanted, found, batch):
    print("| kernels | launches | MB read | MB written | MB | expected | times |\n| --- | --- | --- | --- | --- | --- | --- |")
    for group, (launches, read, written) in sorted(found.items()):
        scale, limit = 1e6 * batch, wanted.get(group)
        expectation = f"{limit / scale:.3f} | {(read + written) / limit:.3f}" if limit else "|"
        print(f"| {group} | {launches:g} | {read / scale:.3f} | {written / scale:.3f} | {(read + written) / scale:.3f} | "
              f"{expectation} |")
    total = sum(read + written for _, read, written in found.values())
    print(f"| all | {sum(n for n, _, _ in found.values()):g} | | | {total / 1e6 / batch:.3f} | | |")


def main():
    args = parse()
    wanted, found = expected(NETS[args.net](args.side), args.batch, BYTES[args.dtype]), per_step(args)
    bounds = MOST.get((args.net, args.dtype, args.batch, args.side), defaultdict(lambda: args.most))
    print(f"{args.net}, {args.dtype}, per image of a batch of {args.batch}\n")
    print_table(wanted, found, args.batch)
    failures = list(complaints(wanted, found, bounds))
    print("\n".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
