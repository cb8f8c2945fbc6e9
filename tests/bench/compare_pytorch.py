#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Times libresnet and PyTorch on whole networks, in turn, and prints the ratio of their speeds and of their memory.

    tests/bench/compare_pytorch.py --bench-step build/tests/bench/bench_step --case all [--python PATH]... [--json FILE]
    tests/bench/compare_pytorch.py --arch tutorial --mode train --batch 100 [--dtype bf16] [--threads 2] [--rounds 5]

--list names the cases. Each --python is an interpreter with a PyTorch; with several of them the fastest of a round
counts. Needs PyTorch (Debian: python3-torch libopenblas0-openmp; or the wheel from PyPI), not torchvision.

A round runs bench_step and then each PyTorch, or the other way round in every second round; each in a fresh process, with
the same number of threads. The ratio of a round is our images per second over those of the fastest PyTorch; median,
smallest and largest over the rounds are given. "others" is the largest share of the processors that other processes
took during a run. OpenMP's threads wait for one another by spinning, so that PyTorch can be slowed down a hundredfold by
one other busy process: what ran with others above --quiet is run again (--retries times at most, after a pause),
and rounds that stay disturbed are shown but do not count as long as there is another one.

How PyTorch is set up. Each of these made it faster:
- malloc keeps freed memory: MALLOC_MMAP_MAX_=0, MALLOC_TRIM_THRESHOLD_=100000000000. With glibc's defaults the activations
  are mapped and unmapped, and their pages cleared, in every step.
- OPENBLAS_CORETYPE is unset, so that OpenBLAS takes the kernels of this processor, not those of a variable left over.
- Model and images are channels_last, but for "optimized".
- Gradients are set to None instead of zero; the optimizer is a fused one where there is one for CPUs.
- fp32 inference is the fastest of: eager; traced and frozen; traced, frozen and optimize_for_inference with plain
  layout; with version 2 torch.compile with frozen weights. Training: eager, or with version 2 torch.compile.
- bf16 is torch.autocast, eager and compiled; inference also with the model itself converted, eager and frozen. Our bf16 is
  compared with the fastest of these and of fp32.
A first round tries all of them; those within 15 % of the fastest take part in the rounds that count.

How we are set up: bench_step with its defaults. --ours=FLAG adds flags of bench_step: --ours=--drop-weights for the memory
of inference alone.

Memory is the peak of resident memory of a fresh process that does --memory-steps steps (eager for PyTorch; with its malloc
tuned and with glibc's defaults, and the smaller one counts); "torch imported" is what PyTorch has before it has a model.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
CASES = {}
for arch, mode, batch in [("tutorial", "train", 100), ("tutorial", "infer", 100), ("tutorial", "infer", 1),
                          ("cifar_resnet20", "train", 128), ("cifar_resnet56", "train", 128),
                          ("resnet18", "infer", 1), ("resnet18", "infer", 16), ("resnet18", "train", 16),
                          ("resnet50", "infer", 1), ("resnet50", "infer", 16), ("resnet50", "train", 8)]:
    CASES[f"{arch}_{mode}_b{batch}"] = {
        "arch": arch, "mode": mode, "batch": batch, "size": 224 if arch.startswith("resnet") else 32,
        "optimizer": "adam" if arch == "tutorial" else "sgd"}
KINDS = {("train", "fp32"): ["eager", "compiled"],
         ("infer", "fp32"): ["eager", "frozen", "optimized", "compiled"],
         ("train", "bf16"): ["eager", "compiled"],
         ("infer", "bf16"): ["eager", "compiled", "converted", "converted_frozen"]}
for key in ("train", "infer"):
    KINDS[key, "bf16"] += ["fp32 " + kind for kind in KINDS[key, "fp32"]]
TUNED = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}
CLOSE = 0.85  # kinds slower than this share of the fastest take no part


# What a worker, a process with PyTorch, does.

def peak_rss():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def make_optimizer(torch, name, parameters):
    parameters = list(parameters)
    for extra in ({"fused": True}, {}):
        try:
            if name == "adam":
                return torch.optim.Adam(parameters, lr=1e-3, **extra)
            return torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=1e-4, **extra)
        except (TypeError, RuntimeError):  # no fused one, or none for CPUs
            continue
    raise SystemExit("no optimizer")


def training_step(torch, args, model, x, labels):
    optimizer = make_optimizer(torch, args.optimizer, model.parameters())
    criterion = torch.nn.CrossEntropyLoss()
    network = torch.compile(model) if args.kind == "compiled" else model
    bf16 = args.dtype == "bf16"

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            loss = criterion(network(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


def inference_step(torch, args, model, x):
    model.eval()
    bf16 = args.dtype == "bf16" and not args.kind.startswith("converted")
    with torch.no_grad():
        if args.kind.startswith("converted"):
            model, x = model.bfloat16(), x.bfloat16()
        if args.kind == "optimized":
            model, x = model.to(memory_format=torch.contiguous_format), x.contiguous()
        if args.kind in ("frozen", "optimized", "converted_frozen"):
            model = torch.jit.freeze(torch.jit.trace(model, x))
        if args.kind == "optimized":
            model = torch.jit.optimize_for_inference(model)
        if args.kind == "compiled":
            import torch._inductor.config
            torch._inductor.config.freezing = True
            model = torch.compile(model)

    def step():
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            return model(x)

    return step


def steps_per_second(step, seconds):
    """Median over samples, after at least three steps and a fifth of the time."""
    begin, warm = time.perf_counter(), 0
    while warm < 3 or time.perf_counter() - begin < seconds / 5:
        step()
        warm += 1
    rates, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or not rates:
        begin, n = time.perf_counter(), 0
        while n == 0 or time.perf_counter() - begin < seconds / 10:
            step()
            n += 1
        rates.append(n / (time.perf_counter() - begin))
    return statistics.median(rates)


def worker(args):
    import torch
    import torch_nets
    imported = peak_rss()
    if args.kind == "compiled" and not hasattr(torch, "compile"):
        raise SystemExit("no torch.compile")
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    model = torch_nets.build(torch, args.arch).to(memory_format=torch.channels_last)
    classes = model[-1].out_features
    x = torch.rand(args.batch, 3, args.size, args.size).to(memory_format=torch.channels_last)
    if args.mode == "train":
        step = training_step(torch, args, model, x, torch.arange(args.batch) % classes)
    else:
        step = inference_step(torch, args, model, x)
    result = {"torch": torch.__version__, "kind": args.kind}
    if args.steps:
        for _ in range(args.steps):
            out = step()
    else:
        result["images_per_second"] = steps_per_second(step, args.seconds) * args.batch
        out = step()
    if not bool(torch.isfinite(out.float()).all()):
        raise SystemExit(f"{args.kind}: the result is not finite")
    print(json.dumps(dict(result, peak_rss_bytes=peak_rss(), imported_rss_bytes=imported)))


# What starts them.

def processor_seconds():
    """Of all processes, and of the children this one has waited for."""
    try:
        with open("/proc/stat") as file:
            v = [int(word) for word in file.readline().split()[1:9]]
    except OSError:
        return 0.0, 0.0
    own = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (v[0] + v[1] + v[2] + v[5] + v[6] + v[7]) / os.sysconf("SC_CLK_TCK"), own.ru_utime + own.ru_stime


def run(command, env=None):
    """The last line of its output as JSON with "others" added; None and a line when it fails."""
    begin, before = time.perf_counter(), processor_seconds()
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=1200)
    except subprocess.TimeoutExpired:
        return None, "over 1200 s"
    after, wall = processor_seconds(), time.perf_counter() - begin
    if done.returncode != 0:
        return None, (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    others = (after[0] - before[0] - after[1] + before[1]) / wall / (os.cpu_count() or 1)
    return dict(json.loads(done.stdout.strip().splitlines()[-1]), others=max(others, 0.0)), None


def run_quietly(args, command, env=None):
    """The run with the fewest others among those that were needed to find a quiet time."""
    best = None
    for attempt in range(args.retries + 1):
        result, problem = run(command, env)
        if problem:
            return None, problem
        if best is None or result["others"] < best["others"]:
            best = result
        if best["others"] <= args.quiet:
            break
        if attempt < args.retries:
            time.sleep(1)
    return best, None


def flags_of(case, args, dtype=None):
    flags = ["--threads", str(args.threads), "--dtype", dtype or args.dtype]
    for key in ("arch", "mode", "batch", "size", "optimizer"):
        flags += [f"--{key}", str(case[key])]
    return flags


def peer_environment(tuned=True):
    env = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", **(TUNED if tuned else {}))
    env.pop("OPENBLAS_CORETYPE", None)
    return env


def run_ours(case, args, steps=0):
    length = ["--steps", str(steps)] if steps else ["--seconds", str(args.seconds / 15)]
    command = [args.bench_step, *flags_of(case, args), *length, *args.ours]
    result, problem = run(command) if steps else run_quietly(args, command)
    if problem:
        sys.exit(f"{args.bench_step}: {problem}")
    return result


def run_peer(case, args, python, kind, steps=0, tuned=True):
    length = ["--steps", str(steps)] if steps else ["--seconds", str(args.seconds)]
    dtype, _, way = kind.rpartition(" ")
    command = [python, os.path.abspath(__file__), "--worker", "--kind", way, *flags_of(case, args, dtype), *length]
    env = peer_environment(tuned)
    result, problem = run(command, env) if steps else run_quietly(args, command, env)
    return (None, problem) if problem else (dict(result, kind=kind), None)


def choose_peers(case, args):
    """(python, kind) of those near the fastest. Says what each gave."""
    found = []
    for python in args.python:
        for kind in KINDS[case["mode"], args.dtype]:
            result, problem = run_peer(case, args, python, kind)
            if problem:
                print(f"  {python} {kind}: {problem}", flush=True)
                continue
            print(f"  PyTorch {result['torch']} {kind}: {result['images_per_second']:.1f} images/s, "
                  f"others {100 * result['others']:.0f} %", flush=True)
            found.append((result["images_per_second"], python, kind))
    if not found:
        sys.exit("no PyTorch could run this case")
    best = max(found)[0]
    return [(python, kind) for rate, python, kind in found if rate >= CLOSE * best]


def one_round(case, args, peers, number):
    """Who begins changes from round to round."""
    turns = ["ours", "theirs"] if number % 2 == 0 else ["theirs", "ours"]
    results = {}
    for turn in turns:
        if turn == "ours":
            results["ours"] = run_ours(case, args)
            continue
        rates = [run_peer(case, args, python, kind) for python, kind in peers]
        rates = [result for result, problem in rates if not problem]
        if not rates:
            sys.exit("PyTorch failed in a round after it had run before")
        results["theirs"] = max(rates, key=lambda r: r["images_per_second"])
        results["theirs"]["others"] = max(r["others"] for r in rates)
    ours, theirs = results["ours"], results["theirs"]
    row = {"ours": ours["images_per_second"], "theirs": theirs["images_per_second"], "torch": theirs["torch"],
           "kind": theirs["kind"], "ratio": ours["images_per_second"] / theirs["images_per_second"],
           "share_of_peak": ours["share_of_peak"], "others": max(ours["others"], theirs["others"])}
    print(f"  round {number + 1}: libresnet {row['ours']:.1f} images/s, PyTorch {row['torch']} ({row['kind']}) "
          f"{row['theirs']:.1f}: ratio {row['ratio']:.2f}, others {100 * row['others']:.0f} %", flush=True)
    return row, ours


def compare_memory(case, args):
    ours = run_ours(case, args, args.memory_steps)
    smallest = None
    for python in args.python:
        for tuned in (True, False):
            result, problem = run_peer(case, args, python, "eager", args.memory_steps, tuned)
            if not problem and (smallest is None or result["peak_rss_bytes"] < smallest["peak_rss_bytes"]):
                smallest = result
    if smallest is None:
        return None
    return {"steps": args.memory_steps, "ours": ours["peak_rss_bytes"], "arena": ours["arena_bytes"],
            "arena_lower_bound": ours["arena_lower_bound"], "theirs": smallest["peak_rss_bytes"],
            "torch_imported": smallest["imported_rss_bytes"], "torch": smallest["torch"],
            "ratio": ours["peak_rss_bytes"] / smallest["peak_rss_bytes"]}


def compare(name, case, args):
    print(f"{name}, {args.threads} threads, {args.dtype}", flush=True)
    peers = choose_peers(case, args)
    rounds = []
    for number in range(args.rounds):
        row, ours = one_round(case, args, peers, number)
        rounds.append(row)
    counted = [row for row in rounds if row["others"] <= args.quiet] or rounds
    ratios = [row["ratio"] for row in counted]
    result = dict(case, case=name, threads=args.threads, dtype=args.dtype, cpu=ours["cpu"], level=ours["level"],
                  ours=statistics.median(row["ours"] for row in counted),
                  theirs=statistics.median(row["theirs"] for row in counted),
                  share_of_peak=statistics.median(row["share_of_peak"] for row in counted),
                  first_step_ms=ours["first_step_ms"], torch=counted[-1]["torch"], kind=counted[-1]["kind"],
                  ratio=statistics.median(ratios), ratio_smallest=min(ratios), ratio_largest=max(ratios),
                  others=max(row["others"] for row in counted), counted=len(counted), rounds=rounds)
    result["memory"] = compare_memory(case, args) if args.memory_steps else None
    print(f"  ratio: median {result['ratio']:.2f}, smallest {min(ratios):.2f}, largest {max(ratios):.2f}; {len(counted)} of "
          f"{len(rounds)} rounds, others up to {100 * result['others']:.0f} %", flush=True)
    return result


def print_tables(results):
    import tables
    print("\n" + "\n".join(tables.speed_rows(results)))
    if any(result["memory"] for result in results):
        print("\n" + "\n".join(tables.memory_rows(results)))


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="names the cases")
    parser.add_argument("--case", action="append", default=[], help="a case, or all; may be repeated")
    parser.add_argument("--arch", default="tutorial")
    parser.add_argument("--mode", choices=["train", "infer"], default="train")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--size", type=int, default=0, help="0: 224 for resnet18, 34 and 50, else 32")
    parser.add_argument("--optimizer", choices=["adam", "sgd"], default="adam")
    parser.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of timing per process")
    parser.add_argument("--quiet", type=float, default=0.05, help="others' share of the processors that is let pass")
    parser.add_argument("--retries", type=int, default=3, help="of a run with more")
    parser.add_argument("--memory-steps", type=int, default=10, help="0: memory is not compared")
    parser.add_argument("--bench-step", default="build/tests/bench/bench_step")
    parser.add_argument("--ours", action="append", default=[], help="a flag for bench_step: --ours=--no-winograd")
    parser.add_argument("--python", action="append", default=[], help="an interpreter that has PyTorch; may be repeated")
    parser.add_argument("--json", help="writes all results to this file")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--kind", default="eager", help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.size = args.size or (224 if args.arch.startswith("resnet") else 32)
    args.python = args.python or [sys.executable]
    for name in args.case:
        if name != "all" and name not in CASES:
            parser.error(f"--case {name}: all or one of {', '.join(CASES)}")
    return args


def main():
    args = parse()
    if args.list:
        print("\n".join(CASES))
        return
    if args.worker:
        worker(args)
        return
    for python in args.python:
        if subprocess.run([python, "-c", "import torch"], capture_output=True).returncode != 0:
            sys.exit(f"{python} has no PyTorch: install it (Debian: python3-torch and libopenblas0-openmp) or name an "
                     "interpreter that has it with --python")
    cases = {name: CASES[name] for name in (CASES if "all" in args.case else args.case)}
    if not cases:
        case = {key: getattr(args, key) for key in ("arch", "mode", "batch", "size", "optimizer")}
        cases = {f"{args.arch}_{args.mode}_b{args.batch}": case}
    results = []
    for name, case in cases.items():
        results.append(compare(name, case, args))
        if args.json:  # after each case: what is done is kept
            with open(args.json, "w") as file:
                json.dump({"cases": results}, file, indent=1)
                file.write("\n")
    print_tables(results)


if __name__ == "__main__":
    main()
