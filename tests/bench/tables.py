#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Markdown tables of what the programs of this folder print, as docs/performance.md has them.

    compare_onednn --json | tests/bench/tables.py onednn
    bench_step --profile 2>&1 >/dev/null | tests/bench/tables.py profile
    checkkernel --bench --level=avx512 | tests/bench/tables.py kernels
    tests/bench/tables.py speed < FILE      (of compare_pytorch.py --json FILE)
    tests/bench/tables.py memory < FILE
    ... | tests/bench/tables.py put NAME    (into docs/performance.md, between <!-- NAME --> and <!-- end -->)
"""
import json
import pathlib
import re
import statistics
import sys

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/performance.md"

DIRECTIONS = ["fwd", "bwd_data", "bwd_filter"]


def shape_text(shape):
    images, inputs, outputs, size, kernel, stride, _ = shape
    return f"{inputs} to {outputs}, {size} px, {kernel}x{kernel}{f' stride {stride}' if stride > 1 else ''}, batch {images}"


def onednn(lines):
    rows = [json.loads(line) for line in lines if line.startswith("{")]
    rows = [row for row in rows if "direction" in row]
    for dtype in dict.fromkeys(row["dtype"] for row in rows):
        print(f"| {dtype} | forward | data gradient | filter gradient |\n| --- | --- | --- | --- |")
        found = {}
        for row in (row for row in rows if row["dtype"] == dtype):
            found.setdefault(tuple(row["shape"]), {})[row["direction"]] = (
                f"{row['ratio']:.2f} ({row['ratio_quartiles'][0]:.2f} to {row['ratio_quartiles'][1]:.2f}); "
                f"{100 * row['share_of_peak']:.0f} %, {100 * row['onednn_share_of_peak']:.0f} %")
        for shape, cells in found.items():
            print(f"| {shape_text(shape)} | " + " | ".join(cells.get(d, "") for d in DIRECTIONS) + " |")
        counted = [r["ratio"] for r in rows if r["dtype"] == dtype and not (r["shape"][1] <= 3 and r["direction"] == "bwd_data")]
        print(f"\n{sum(r >= 1 for r in counted)} of {len(counted)} rows at 1.0 or more, median "
              f"{statistics.median(counted):.2f}, smallest {min(counted):.2f}; others took up to "
              f"{100 * max(r['others'] for r in rows if r['dtype'] == dtype):.0f} % of the processors.\n")


def profile(lines):
    """Ops by kind: calls per step, milliseconds per step, share, and the speed of them all together."""
    kinds, steps = {}, 0
    for line in lines:
        words = line.split()
        found = re.match(r"^(\S+)\s+(.*?)\s+(\d+)\s+([\d.]+)\s+([\d.]+)%\s+([\d.]+)\s+([\d.]+)$", line.rstrip())
        if not found:
            continue
        calls, ms = int(found[3]), float(found[4])
        steps = max(steps, calls)
        kind = kinds.setdefault(found[1], {"ops": 0, "ms": 0.0, "share": 0.0, "gflop": 0.0, "gb": 0.0})
        kind["ops"] += 1
        kind["ms"] += ms
        kind["share"] += float(found[5])
        kind["gflop"] += float(found[6]) * ms * 1e-3
        kind["gb"] += float(found[7]) * ms * 1e-3
    print("| op | how many | ms per step | share | GFLOP/s, padding counted | GB/s of operands |\n"
          "| --- | --- | --- | --- | --- | --- |")
    for name, k in sorted(kinds.items(), key=lambda item: -item[1]["ms"]):
        if k["share"] < 0.1:
            continue
        flops = f"{k['gflop'] / k['ms'] * 1e3:.0f}" if k["gflop"] > 0 else ""
        print(f"| {name} | {k['ops']} | {k['ms']:.2f} | {k['share']:.1f} % | {flops} | {k['gb'] / k['ms'] * 1e3:.0f} |")


def kernels(lines):
    print("| op | shape | level | microseconds | GFLOP/s or GB/s | share of the peak |\n| --- | --- | --- | --- | --- | --- |")
    for line in lines:
        found = re.match(r"^(.{28}) (\S+)\s+(\S+)\s+([\d.]+) us\s+([\d.]+) (GFLOP/s|GB/s)\s+(\d+) %(?: \(\s*(\d+) %\))?", line)
        if found and found[3] != "base":
            cached = f" of memory, {found[8]} % of caches" if found[8] else ""
            print(f"| {found[1].strip()} | {found[2]} | {found[3]} | {found[4]} | {found[5]} {found[6]} | {found[7]} %{cached} |")
        elif line.startswith("peak"):
            print(line.rstrip(), file=sys.stderr)


def speed_rows(results):
    """The lines of a table of compare_pytorch's results."""
    rows = ["| case | libresnet, images/s | PyTorch, images/s | how | ratio (smallest to largest) | share of peak |",
            "| --- | --- | --- | --- | --- | --- |"]
    for r in results:
        rows.append(f"| {r['case']}, {r['dtype']} | {r['ours']:.1f} | {r['theirs']:.1f} | {r['torch']}, {r['kind']} | "
                    f"{r['ratio']:.2f} ({r['ratio_smallest']:.2f} to {r['ratio_largest']:.2f}) | "
                    f"{100 * r['share_of_peak']:.0f} % |")
    return rows


def mib(count):
    return f"{count / 2**20:.1f}" if count < 100 * 2**20 else f"{count / 2**20:.0f}"


def memory_rows(results):
    rows = ["| case | libresnet, MiB | of it arena | arena's lower bound | PyTorch, MiB | torch imported | ratio |",
            "| --- | --- | --- | --- | --- | --- | --- |"]
    for r in results:
        m = r["memory"]
        if m:
            rows.append(f"| {r['case']}, {r['dtype']} | {mib(m['ours'])} | {mib(m['arena'])} | {mib(m['arena_lower_bound'])} | "
                        f"{mib(m['theirs'])} | {mib(m['torch_imported'])} | {m['ratio']:.2f} |")
    return rows


def speed(lines):
    print("\n".join(speed_rows(json.loads("".join(lines))["cases"])))


def memory(lines):
    print("\n".join(memory_rows(json.loads("".join(lines))["cases"])))


def put(name, text):
    page = PAGE.read_text()
    begin = page.find(f"<!-- {name} -->\n")
    end = page.find("<!-- end -->", begin)
    if begin < 0 or end < 0:
        sys.exit(f"{PAGE}: no <!-- {name} --> with an <!-- end --> after it")
    if not text.strip():
        sys.exit("nothing to put there")
    PAGE.write_text(page[:begin] + f"<!-- {name} -->\n{text.strip()}\n" + page[end:])


def main():
    tables = {"onednn": onednn, "profile": profile, "kernels": kernels, "speed": speed, "memory": memory}
    if len(sys.argv) == 3 and sys.argv[1] == "put":
        put(sys.argv[2], sys.stdin.read())
    elif len(sys.argv) == 2 and sys.argv[1] in tables:
        tables[sys.argv[1]](sys.stdin.readlines())
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
