#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Times training steps of libresnet and PyTorch on a GPU, in turn, and prints the ratio of their speeds.

    tests/bench/compare_cuda.py --bench-step build/tests/bench/bench_step [--case NAME]... [--rounds 3] [--compiled]
        [--autotune] [--tf32]

Runs in an interpreter whose PyTorch has CUDA. In a round bench_step runs in a process of its own with its defaults, or with
--autotune choosing engines by measurement, as PyTorch does; then PyTorch's steps are timed here. The ratio of a round is
our images per second over PyTorch's; median, smallest and largest over the rounds are given.

How PyTorch is set up: channels_last, cudnn.benchmark, fused optimizers, gradients set to None, bf16 by torch.autocast; eager,
and the whole step captured as a CUDA graph; with --compiled also torch.compile, captured too. The fastest of a round counts.
f32 is without TF32 on both sides, or with it on both (--tf32).
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
CASES = {f"{arch}_b{batch}_{dtype}": {"arch": arch, "batch": batch, "dtype": dtype}
         for arch, batches in (("tutorial", (100, 512)), ("cifar_resnet20", (128,)), ("cifar_resnet56", (128,)),
                               ("resnet50", (256,)))
         for batch in batches for dtype in ("fp32", "bf16", "fp16")}


def is_tutorial(case):
    return case["arch"] == "tutorial"


def size_of(case):
    return 224 if case["arch"].startswith("resnet") else 32


class Peer:
    """Ways to do a training step in PyTorch, by name."""

    def __init__(self, torch, case, compiled):
        import torch_nets
        self.torch, self.case, self.ways = torch, case, {}
        torch.manual_seed(1)
        self.model = torch_nets.build(torch, case["arch"]).cuda().to(memory_format=torch.channels_last)
        size, classes = size_of(case), self.model[-1].out_features
        x = torch.rand(case["batch"], 3, size, size, device="cuda")
        self.x = x.to(memory_format=torch.channels_last)
        self.labels = torch.arange(case["batch"], device="cuda") % classes
        self.criterion = torch.nn.CrossEntropyLoss()
        if is_tutorial(case):
            self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3, fused=True, capturable=True)
        else:
            self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4, fused=True)
        self.scaler = torch.amp.GradScaler("cuda", enabled=case["dtype"] == "fp16")
        self.add("eager", self.model)
        if compiled:
            self.add("compiled", torch.compile(self.model))

    def add(self, name, network):
        half = self.torch.float16 if self.case["dtype"] == "fp16" else self.torch.bfloat16

        def step():
            self.optimizer.zero_grad(set_to_none=True)
            with self.torch.autocast("cuda", dtype=half, enabled=self.case["dtype"] != "fp32"):
                loss = self.criterion(network(self.x), self.labels)
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()

        self.ways[name] = step
        self.ways[name + ", graph"] = self.capture(step)

    def capture(self, step):
        cuda = self.torch.cuda
        side = cuda.Stream()
        side.wait_stream(cuda.current_stream())
        with cuda.stream(side):
            for _ in range(5):
                step()
        cuda.current_stream().wait_stream(side)
        graph = cuda.CUDAGraph()
        self.optimizer.zero_grad(set_to_none=True)
        with cuda.graph(graph):
            step()
        return graph.replay

    def rate(self, step, seconds):
        synchronize = self.torch.cuda.synchronize
        step()
        synchronize()
        begin, steps = time.perf_counter(), 0
        while time.perf_counter() - begin < seconds:
            step()
            steps += 1
            if steps % 50 == 0:
                synchronize()
        synchronize()
        return steps * self.case["batch"] / (time.perf_counter() - begin)

    def best(self, seconds):
        return max((self.rate(step, seconds), name) for name, step in self.ways.items())


def run_ours(args, case):
    command = [args.bench_step, "--device", args.device, "--arch", case["arch"], "--batch", str(case["batch"]), "--dtype",
               case["dtype"], "--optimizer", "adam" if is_tutorial(case) else "sgd", "--windows", "5", "--seconds",
               str(args.seconds / 5)]
    with tempfile.TemporaryDirectory() as cache:
        env = dict(os.environ, RN_CUDA_TF32=str(int(args.tf32)), RN_CUDA_AUTOTUNE=str(int(args.autotune)), RN_CUDA_CACHE=cache)
        done = subprocess.run(command, capture_output=True, text=True, env=env)
    if done.returncode:
        sys.exit(done.stderr.strip() or f"{args.bench_step}: exit status {done.returncode}")
    return json.loads(done.stdout)


def compare(args, torch, name):
    case = CASES[name]
    peer, rounds = Peer(torch, case, args.compiled), []
    for _ in range(args.rounds):
        ours = run_ours(args, case)
        theirs, way = peer.best(args.seconds)
        rounds.append({"ours": ours["images_per_second"], "theirs": theirs, "way": way,
                       "ratio": ours["images_per_second"] / theirs})
    median = {key: statistics.median(r[key] for r in rounds) for key in ("ours", "theirs", "ratio")}
    ratios = [r["ratio"] for r in rounds]
    print(f"| {name} | {median['ours']:.0f} | {median['theirs']:.0f} ({rounds[-1]['way']}) | {median['ratio']:.2f} "
          f"({min(ratios):.2f} to {max(ratios):.2f}) |", flush=True)
    return dict(case, case=name, rounds=rounds, **median)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", choices=CASES, help="may be repeated; all if not given")
    parser.add_argument("--bench-step", default="build/tests/bench/bench_step")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of timing, for each way")
    parser.add_argument("--compiled", action="store_true", help="torch.compile, too")
    parser.add_argument("--autotune", action="store_true", help="ours with RN_CUDA_AUTOTUNE=1")
    parser.add_argument("--tf32", action="store_true", help="f32 may be rounded to TF32")
    parser.add_argument("--json", help="writes all results to this file")
    return parser.parse_args()


def main():
    args = parse()
    try:
        import torch
    except ImportError:
        sys.exit("there is no PyTorch in this interpreter")
    if not torch.cuda.is_available():
        sys.exit("PyTorch sees no GPU")
    torch.cuda.set_device(args.device)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = args.tf32
    print(f"PyTorch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}, {torch.cuda.get_device_name()}\n\n"
          "| case | libresnet, images/s | PyTorch, images/s | ratio |\n| --- | --- | --- | --- |", flush=True)
    results = []
    for name in args.case or CASES:
        results.append(compare(args, torch, name))
        torch.cuda.empty_cache()
        if args.json:
            with open(args.json, "w") as file:
                json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
