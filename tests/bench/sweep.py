#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Images per second against the batch and the number of threads, as a Markdown table and a picture.

    tests/bench/sweep.py --bench-step build/tests/bench/bench_step [--arch tutorial] [--mode train|infer|all]
        [--batches 1,2,4,...,512] [--threads 1,2] [--dtype fp32] [--seconds 0.2] [--svg FILE] [--json FILE]

Each point is a process of its own: the median over bench_step's windows. The picture is an SVG with logarithmic axes.
"""
import argparse
import json
import math
import os
import subprocess
import sys

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 420, 70, 190, 20, 45
COLOURS = ["#1b6ca8", "#c8553d", "#3a7d44", "#7b4b94", "#b8860b", "#4f6d7a", "#a23e48", "#2f4858"]


def measure(args, mode, threads, batch):
    command = [args.bench_step, "--arch", args.arch, "--mode", mode, "--threads", threads, "--batch", batch, "--dtype",
               args.dtype, "--seconds", args.seconds, "--windows", args.windows]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{args.bench_step}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def name_of(mode, threads):
    return f"{'training' if mode == 'train' else 'inference'}, {threads} thread{'s' if threads > 1 else ''}"


def print_table(series, batches):
    names = list(series)
    print("| batch | " + " | ".join(names) + " |\n| --- |" + " --- |" * len(names))
    for batch in batches:
        print(f"| {batch} | " + " | ".join(f"{series[name][batch]['images_per_second']:.0f}" for name in names) + " |")


def ticks(low, high):
    """1, 2, 5, 10, ... that lie between."""
    found = []
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        found += [step * 10**power for step in (1, 2, 5) if low <= step * 10**power <= high]
    return found


def scale(value, low, high, start, end):
    """Where a value lies on a logarithmic axis."""
    if high <= low:
        return (start + end) / 2
    return start + (end - start) * math.log(value / low) / math.log(high / low)


def draw(series, batches, title):
    rates = [point["images_per_second"] for points in series.values() for point in points.values()]
    low, high = min(rates) * 0.9, max(rates) * 1.1
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def x_of(batch):
        return scale(batch, batches[0], batches[-1], LEFT, right)

    def y_of(rate):
        return scale(rate, low, high, bottom, TOP)

    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
             f'font-size="12">', f"<title>{title}</title>", f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>']
    for rate in ticks(low, high):
        lines.append(f'<line x1="{LEFT}" y1="{y_of(rate):.1f}" x2="{right}" y2="{y_of(rate):.1f}" stroke="#dddddd"/>')
        lines.append(f'<text x="{LEFT - 6}" y="{y_of(rate) + 4:.1f}" text-anchor="end">{rate:g}</text>')
    for batch in batches:
        lines.append(f'<line x1="{x_of(batch):.1f}" y1="{TOP}" x2="{x_of(batch):.1f}" y2="{bottom}" stroke="#eeeeee"/>')
        lines.append(f'<text x="{x_of(batch):.1f}" y="{bottom + 16}" text-anchor="middle">{batch}</text>')
    lines.append(f'<text x="{(LEFT + right) / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">batch</text>')
    lines.append(f'<text x="14" y="{(TOP + bottom) / 2:.0f}" text-anchor="middle" '
                 f'transform="rotate(-90 14 {(TOP + bottom) / 2:.0f})">images per second</text>')
    for index, (name, points) in enumerate(series.items()):
        colour = COLOURS[index % len(COLOURS)]
        path = " ".join(f"{x_of(b):.1f},{y_of(points[b]['images_per_second']):.1f}" for b in batches)
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        lines.append(f'<rect x="{right + 14}" y="{TOP + 20 * index}" width="12" height="12" fill="{colour}"/>')
        lines.append(f'<text x="{right + 32}" y="{TOP + 20 * index + 11}">{name}</text>')
    return "\n".join([*lines, "</svg>", ""])


def numbers(text):
    return sorted({int(word) for word in text.split(",")})


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench-step", default="build/tests/bench/bench_step")
    parser.add_argument("--arch", default="tutorial")
    parser.add_argument("--mode", choices=["train", "infer", "all"], default="all")
    parser.add_argument("--batches", type=numbers, default=[2**i for i in range(10)])
    parser.add_argument("--threads", type=numbers, default=list(range(1, len(os.sched_getaffinity(0)) + 1)))
    parser.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--seconds", type=float, default=0.2, help="of each window")
    parser.add_argument("--windows", type=int, default=9)
    parser.add_argument("--svg", help="writes the picture to this file")
    parser.add_argument("--json", help="writes all points to this file")
    return parser.parse_args()


def main():
    args = parse()
    series = {}
    for mode in (["train", "infer"] if args.mode == "all" else [args.mode]):
        for threads in args.threads:
            series[name_of(mode, threads)] = {batch: measure(args, mode, threads, batch) for batch in args.batches}
    print_table(series, args.batches)
    if args.svg:
        with open(args.svg, "w") as file:
            file.write(draw(series, args.batches, f"{args.arch}, {args.dtype}: images per second against the batch"))
    if args.json:
        with open(args.json, "w") as file:
            json.dump(series, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
