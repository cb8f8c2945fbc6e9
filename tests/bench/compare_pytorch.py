#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Times libresnet and PyTorch on the tutorial net or a CIFAR ResNet, in turn, and prints the ratio of their speeds.

    tests/bench/compare_pytorch.py --bench-step build/tests/bench/bench_step [--arch tutorial] [--mode train]
        [--batch 100] [--threads 2] [--rounds 5]

Every round runs bench_step and then PyTorch, each in a fresh process; the ratios of the rounds are given as median,
smallest and largest. PyTorch is set up for speed: channels_last; freed memory is kept by malloc instead of given
back (MALLOC_MMAP_MAX_=0, MALLOC_TRIM_THRESHOLD_=100000000000); OpenBLAS chooses its kernels itself (OPENBLAS_CORETYPE is
unset); for inference the faster of eager mode and a traced, frozen and optimized module counts. Needs PyTorch.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time


def block(nn, inputs, outputs, stride, projection):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.relu = nn.ReLU(inplace=True)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.shortcut = None
            if stride != 1 and projection:
                self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
                                              nn.BatchNorm2d(outputs))

        def forward(self, x):
            y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            if self.shortcut is not None:
                x = self.shortcut(x)
            elif stride != 1:
                pad = (outputs - inputs) // 2
                x = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, pad, pad))
            return self.relu(y + x)

    return Block()


def build(torch, arch):
    nn = torch.nn
    projection = arch == "tutorial"
    blocks = 2 if projection else (int(arch.removeprefix("cifar_resnet")) - 2) // 6
    layers = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)]
    inputs = 16
    for outputs, stride in ((16, 1), (32, 2), (64, 2)):
        for i in range(blocks):
            layers.append(block(nn, inputs, outputs, stride if i == 0 else 1, projection))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def steps_per_second(step, seconds=3.0):
    for _ in range(3):
        step()
    counts, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin, n = time.perf_counter(), 0
        while time.perf_counter() - begin < 0.3:
            step()
            n += 1
        counts.append(n / (time.perf_counter() - begin))
    return statistics.median(counts)


def worker(args):
    import torch
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    model = build(torch, args.arch).to(memory_format=torch.channels_last)
    x = torch.rand(args.batch, 3, 32, 32).to(memory_format=torch.channels_last)
    labels = torch.arange(args.batch) % 10
    if args.mode == "train":
        optimizer = torch.optim.Adam(model.parameters())
        criterion = torch.nn.CrossEntropyLoss()

        def step():
            optimizer.zero_grad()
            criterion(model(x), labels).backward()
            optimizer.step()

        rates = {"eager": steps_per_second(step)}
    else:
        model.eval()
        with torch.no_grad():
            rates = {"eager": steps_per_second(lambda: model(x))}
            frozen = torch.jit.freeze(torch.jit.trace(model, x))
            rates["frozen"] = steps_per_second(lambda: frozen(x))
            plain = x.contiguous()
            best = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(
                model.to(memory_format=torch.contiguous_format), plain)))
            rates["optimized"] = steps_per_second(lambda: best(plain))
    kind = max(rates, key=rates.get)
    print(json.dumps({"images_per_second": rates[kind] * args.batch, "kind": kind, "torch": torch.__version__}))


def run(command, env=None):
    result = subprocess.run(command, capture_output=True, text=True, env=env)
    if result.returncode != 0:
        sys.exit(f"{command[0]} failed:\n{result.stderr}")
    return json.loads(result.stdout.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench-step", default="build/tests/bench/bench_step")
    parser.add_argument("--arch", default="tutorial")
    parser.add_argument("--mode", choices=["train", "infer"], default="train")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has PyTorch")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        worker(args)
        return
    if subprocess.run([args.python, "-c", "import torch"], capture_output=True).returncode != 0:
        sys.exit(f"{args.python} has no PyTorch: install it (Debian: python3-torch and libopenblas0-openmp) or name "
                 "an interpreter that has it with --python")
    shape = ["--arch", args.arch, "--mode", args.mode, "--batch", str(args.batch), "--threads", str(args.threads)]
    env = dict(os.environ, MALLOC_MMAP_MAX_="0", MALLOC_TRIM_THRESHOLD_="100000000000")
    env.pop("OPENBLAS_CORETYPE", None)
    ratios = []
    for i in range(args.rounds):
        ours = run([args.bench_step, *shape])
        theirs = run([args.python, os.path.abspath(__file__), "--worker", *shape], env)
        ratios.append(ours["images_per_second"] / theirs["images_per_second"])
        print(f"round {i + 1}: libresnet {ours['images_per_second']:.0f} images/s, PyTorch {theirs['torch']} "
              f"({theirs['kind']}) {theirs['images_per_second']:.0f}: ratio {ratios[-1]:.2f}", flush=True)
    print(f"ratio: median {statistics.median(ratios):.2f}, smallest {min(ratios):.2f}, largest {max(ratios):.2f}")


if __name__ == "__main__":
    main()
