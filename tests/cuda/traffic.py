#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Kernels and bytes of a training step over the simulated module, beside what they should be.

    traffic.py STEP_TRAFFIC MODULE [--net tutorial] [--batch 8] [--side 32] [--dtype f32] [--fuse 0] [--most 1.15] [--light]
    traffic.py STEP_TRAFFIC MODULE --least

MODULE is the simulated one with full checking. Of the module's own kernels every access of global memory counts, so what a
cache would answer is counted again; of cuDNN's and cuBLAS' work, operands and results once each. "expected" is every activation
once per kernel that must read or write it, "least" what the plan says that a step must move (rn_plan_describe). Exit status 1
when a group of kernels for which there is such a number is not found, or moves more than its bound (MOST), or --most times as
much where a training has none; when there are kernels of a group that --fuse (RN_CUDA_FUSE) leaves none of; when all together
move more than LEAST (or --most) times what the plan says; or when there are more launches than LAUNCHES allows.

--light is for nets that take long: the simulator counts and does not check, and the second step is counted instead of the third and
fourth.

--least runs no step: it prints what plans say of the trainings of EXAMPLES beside a count from the list of layers, and why it is
less than a count by tensors that kernels read and write, as it is often done, gives. Exit status 1 when a plan's number is
not the count.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict, namedtuple

BYTES = {"f32": 4, "bf16": 2, "f16": 2}


# A convolution. kind: "plain" is followed by BN and ReLU, "last" by BN, the sum with the shortcut and ReLU, "shortcut" by BN;
# `begins` a block: the gradient of its input is added to that of the shortcut.
Layer = namedtuple("Layer", "inputs channels kernel before side kind begins")


def tutorial(side):
    layers, channels = [Layer(3, 16, 3, side, side, "plain", False)], 16
    for stage, width in enumerate((16, 32, 64)):
        for block in range(2):
            before = side
            if stage and block == 0:
                side //= 2
                layers.append(Layer(channels, width, 3, before, side, "shortcut", False))
            layers += [Layer(channels, width, 3, before, side, "plain", True), Layer(width, width, 3, side, side, "last", False)]
            channels = width
    return layers


def resnet50(side):
    layers, channels, side = [Layer(3, 64, 7, side, side // 2, "plain", False)], 64, side // 4
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            before = side
            if block == 0 and stage:
                side //= 2
            layers.append(Layer(channels, width, 1, before, before, "plain", True))
            layers.append(Layer(width, width, 3, before, side, "plain", False))
            if block == 0:
                layers.append(Layer(channels, 4 * width, 1, before, side, "shortcut", False))
            layers.append(Layer(width, 4 * width, 1, side, side, "last", False))
            channels = 4 * width
    return layers


NETS = {"tutorial": tutorial, "resnet50": resnet50}
CLASSES = {"tutorial": 10, "resnet50": 1000}


def sizes(layer, size):
    """Bytes of an image before and behind a convolution."""
    return layer.inputs * layer.before ** 2 * size, layer.channels * layer.side ** 2 * size


def expected(layers, batch, size, fuse):
    """Bytes by kind of work, activations only. With statistics or scale, shift and ReLU inside of convolutions there are fewer;
    the first layer's output is read by other ops as well."""
    result = defaultdict(int)
    for i, layer in enumerate(layers):
        y, residual = batch * sizes(layer, size)[1], layer.kind == "last"
        if fuse < 1 or layer.kernel == 7:  # no engine has a first layer of 7x7
            result["statistics"] += y
        if fuse < 2 or layer.kind != "plain" or i == 0:
            result["apply"] += 2 * y + residual * y
        # The mask of a ReLU is made from x. With a residual y is read for it, and the masked gradient written, which
        # is then all that dx reads beside x.
        result["backward sums"] += 2 * y + 2 * residual * y
        result["backward dx"] += 3 * y
    return result


def by_tensors(layers, size):
    """Bytes of an image in all kernels that work on what convolutions give, when each reads and writes tensors once: the mask of
    a ReLU is read from y, twice, and so is a masked gradient, which the shortcut gets as well."""
    total = 0
    for i, layer in enumerate(layers):
        x, y = sizes(layer, size)
        masked, residual = layer.kind != "shortcut", layer.kind == "last"
        total += x + 4 * y + residual * y  # convolution, statistics, normalisation
        total += (3 if masked else 2) * 2 * y + y + residual * y  # sums, dx
        total += x + y  # gradient of the filter
        total += y + x + layer.begins * x if i else 0  # of the input
    return total


def saved(layers, size):
    """What ours have less of, in an image: masks made from x, and the masked gradient read in place of gradient and y."""
    plain = sum(2 * sizes(layer, size)[1] for layer in layers if layer.kind == "plain")
    return plain, sum(sizes(layer, size)[1] for layer in layers if layer.kind == "last")


def of_the_rest(net, layers, side, size):
    """Bytes of an image in the input, pooling, the last layer and the loss."""
    first, last, classes = sizes(layers[0], size)[1], sizes(layers[-1], size)[1], CLASSES[net]
    features = layers[-1].channels
    total = 3 * side ** 2 * (4 + size) + 2 * (last + features * size)  # another order; average pooling
    total += (3 * features + 6 * classes) * size + 8  # products and the loss
    return total + (net == "resnet50") * (first + first // 4 + 2 * (first + first // 4))  # maximum pooling


def of_parameters(layers, net, size):
    """Bytes of a step: gradients zeroed, their norm, their clipping (read and written), SGD (five), packed filters, their
    gradients added; the last layer's in f32."""
    filters = [layer.inputs * layer.channels * layer.kernel ** 2 for layer in layers]
    fc = layers[-1].channels * CLASSES[net]
    count = sum(filters) + 2 * sum(layer.channels for layer in layers) + fc + CLASSES[net]
    return count * (4 + 4 + 8 + 20) + sum(filters) * (4 + 3 * size + 8) - filters[0] * size + 16 * fc


# Bounds of what was moved, as multiples of what was expected, by net, dtype, batch and side: the counts are the same in
# every run, so each is the next hundredth above what is measured. Beside activations there are what each chunk of rows reads
# and writes per channel in f32, which in bf16 weighs twice as much. One more operand read by the layers without a residual
# would add a sixth to a group of backward, one by those with a residual an eighth.
MOST = {
    ("tutorial", "f32", 8, 32): {"statistics": 1.07, "apply": 1.02, "backward sums": 1.08, "backward dx": 1.01},
    ("tutorial", "bf16", 8, 32): {"statistics": 1.11, "apply": 1.02, "backward sums": 1.22, "backward dx": 1.02},
    ("tutorial", "f16", 8, 32): {"statistics": 1.11, "apply": 1.02, "backward sums": 1.22, "backward dx": 1.02},
}
# In f16 gradients are looked at once more, for the scale of the loss.
LEAST = {("tutorial", "f32"): 1.1, ("tutorial", "bf16"): 1.1, ("tutorial", "f16"): 1.11}
# Launches of the module's own kernels in a step, to which cuDNN's and cuBLAS' are added.
LAUNCHES = {("tutorial", "f32", 8, 32): 74, ("tutorial", "bf16", 8, 32): 82}
# How far a plan's number may be from the count, which leaves out what there is per channel.
COUNT = 0.005
EXAMPLES = [("tutorial", 32, "f32", 100), ("tutorial", 32, "bf16", 100), ("tutorial", 32, "f32", 512),
            ("tutorial", 32, "bf16", 512), ("resnet50", 224, "bf16", 256)]

GROUPS = (("statistics", r"rni_kernel_bn_stats"), ("apply", r"rni_kernel_bn_apply"),
          ("backward sums", r"rni_kernel_bn_backward_(sums|factors)"), ("backward dx", r"rni_kernel_bn_backward_dx"),
          ("optimizer", r"rni_kernel_(sgd|adam|grad_)"), ("filters", r"rni_kernel_(filter|bias|pad_channels|cut)"),
          ("gradient sums", r"rni_kernel_flat"), ("libraries", r"library|cu(DNN|BLAS): (?!workspace)"), ("fills", r"fill$"),
          ("workspaces of libraries", r"cu(DNN|BLAS): workspace"))


def group_of(name):
    return next((group for group, pattern in GROUPS if re.search(pattern, name)), "others")


def call(args, net, batch, side, dtype, steps, **environment):
    """What the program prints. Convolutions are cuDNN's in f32 as well: the module's own read their operands again and again, from
    caches, and every such access would count."""
    command = [args.program, args.module, net, batch, side, dtype, steps]
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True, env={
        **os.environ, "CK_FORK": "no", "CK_DEFAULT_TIMEOUT": "0", "RN_CUDA_DIRECT": "0", "RN_CUDA_FUSE": str(args.fuse),
        **environment}).stdout


def run(args, steps, folder):
    """{group: [launches, bytes read, bytes written]} of a training of `steps`."""
    path = os.path.join(folder, f"{steps}.csv")
    call(args, args.net, args.batch, args.side, args.dtype, steps, RNI_SIM_STATISTICS=path,
         RNI_SIM_COUNT_ONLY=str(int(args.light)))
    sums = defaultdict(lambda: [0, 0, 0])
    with open(path, encoding="utf-8") as file:
        for line in file:
            name, launches, _, read, written = line.strip().split(",")
            for i, value in enumerate((launches, read, written)):
                sums[group_of(name)][i] += int(value)
    sums.pop("workspaces of libraries", None)
    return sums


def least(args, net, batch, side, dtype):
    """Bytes that a step must move, as the plan says."""
    text = call(args, net, batch, side, dtype, 0)
    return int(re.search(r"^a train step: at least (\d+) bytes", text, re.M)[1])


def per_step(args):
    """What some steps more add: the first ones also prepare."""
    few, more = (1, 2) if args.light else (2, 4)
    with tempfile.TemporaryDirectory() as folder:
        before, after = run(args, few, folder), run(args, more, folder)
    return {group: [(b - a) / (more - few) for a, b in zip(before[group], after[group])] for group in after}


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("module")
    parser.add_argument("--net", choices=sorted(NETS), default="tutorial")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--dtype", choices=sorted(BYTES), default="f32")
    parser.add_argument("--fuse", type=int, default=0)
    parser.add_argument("--light", action="store_true")
    parser.add_argument("--least", action="store_true")
    parser.add_argument("--most", type=float, default=1.15, help="of a training that MOST does not have")
    return parser.parse_args()


def complaints(wanted, found, bounds, must, most):
    """What is wrong, a line each. wanted: {group: bytes}, found: {group: (launches, read, written)}, must: bytes of a step, most:
    times as many are moved."""
    if "statistics" in found and "statistics" not in wanted:
        yield "statistics: there are kernels of their own"
    for group, limit in sorted(wanted.items()):
        launches, read, written = found.get(group, (0, 0, 0))
        if not launches or not read + written:
            yield f"{group}: no kernel was counted"
        elif read + written > bounds[group] * limit:
            yield f"{group}: {(read + written) / limit:.3f} times what is expected, at most {bounds[group]}"
    moved = sum(read + written for _, read, written in found.values())
    if moved > most * must:
        yield f"all: {moved / must:.3f} times what the plan says, at most {most}"


def own_launches(found):
    return sum(n for group, (n, _, _) in found.items() if group not in ("libraries", "workspaces of libraries", "fills"))


def print_table(wanted, found, batch, must):
    print("| kernels | launches | MB read | MB written | MB | expected | times |\n| --- | --- | --- | --- | --- | --- | --- |")
    for group, (launches, read, written) in sorted(found.items()):
        scale, limit = 1e6 * batch, wanted.get(group)
        expectation = f"{limit / scale:.3f} | {(read + written) / limit:.3f}" if limit else "|"
        print(f"| {group} | {launches:g} | {read / scale:.3f} | {written / scale:.3f} | {(read + written) / scale:.3f} | "
              f"{expectation} |")
    total = sum(read + written for _, read, written in found.values())
    print(f"| all, {own_launches(found):g} of them own kernels | {sum(n for n, _, _ in found.values()):g} | | | {total / 1e6 / batch:.3f} | "
          f"{must / 1e6 / batch:.3f} | {total / must:.3f} |")


def compare_examples(args):
    """What is wrong, a line each."""
    print("| training | by tensors | masks from x | masked gradients | the rest | parameters | counted | plan |\n"
          "| --- | --- | --- | --- | --- | --- | --- | --- |")
    for net, side, dtype, batch in EXAMPLES:
        size, layers = BYTES[dtype], NETS[net](side)
        few, more = least(args, net, 1, side, dtype), least(args, net, 2, side, dtype)
        plan = few + (more - few) * (batch - 1)  # all of it is linear in the images
        masks, gradients = saved(layers, size)
        parts = [batch * by_tensors(layers, size), -batch * masks, -batch * gradients,
                 batch * of_the_rest(net, layers, side, size), of_parameters(layers, net, size)]
        print(f"| {net}, {dtype}, {batch} | " + " | ".join(f"{part / 1e6:.1f}" for part in [*parts, sum(parts), plan]) + " |")
        if abs(plan / sum(parts) - 1) > COUNT:
            yield f"{net}, {dtype}, {batch}: the plan says {plan}, {sum(parts)} are counted"


def compare_step(args):
    """What is wrong, a line each."""
    wanted, found = expected(NETS[args.net](args.side), args.batch, BYTES[args.dtype], args.fuse), per_step(args)
    bounds = MOST.get((args.net, args.dtype, args.batch, args.side), defaultdict(lambda: args.most))
    must = least(args, args.net, args.batch, args.side, args.dtype)
    print(f"{args.net}, {args.dtype}, per image of a batch of {args.batch}\n")
    print_table(wanted, found, args.batch, must)
    yield from complaints(wanted, found, bounds, must, LEAST.get((args.net, args.dtype), args.most))
    most = LAUNCHES.get((args.net, args.dtype, args.batch, args.side))
    if most and own_launches(found) > most:
        yield f"{own_launches(found):g} launches, at most {most}"


def main():
    args = parse()
    failures = list(compare_examples(args) if args.least else compare_step(args))
    print("\n".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
