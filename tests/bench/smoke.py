#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""smoke.py PROGRAMS SOURCES: the programs that time run and give what they promise. Nothing is asserted about speed."""
import json
import pathlib
import subprocess
import sys
import tempfile

PROGRAMS, SOURCES = (pathlib.Path(path) for path in sys.argv[1:3])
SMALL = ["4", "16", "16", "8", "3", "1", "1"]
DIRECTIONS = ["fwd", "bwd_data", "bwd_filter"]


def output(*command, status=0):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)
    assert done.returncode == status, f"{command}: exit status {done.returncode}\n{done.stderr}"
    return done.stdout if status == 0 else done.stderr


def check_step():
    step = [PROGRAMS / "bench_step", "--threads", 2, "--batch", 2, "--seconds", 0.001, "--windows", 2]
    for extra in (["--mode", "train", "--optimizer", "sgd"], ["--mode", "infer", "--no-fusion"],
                  ["--mode", "infer", "--drop-weights"]):
        found = json.loads(output(*step, *extra))
        for key in ("images_per_second", "best", "ms_per_step", "gflops", "share_of_peak", "share_nominal",
                    "arena_bytes", "arena_lower_bound", "peak_rss_bytes", "first_step_ms"):
            assert found[key] > 0, (key, found)
        assert found["cpu"] and found["level"] and found["threads"] == 2 and found["dtype"] == "fp32", found
        # 28.746 million multiply-adds, padding counted, per image of the tutorial net; training: two gradients more,
        # without that of the images
        nominal = found["gflops_nominal"] * found["ms_per_step"] / 2 / 1e3 * 1e9
        images = 3 * 57491712 - 2 * 27 * 16 * 1024 if "sgd" in extra else 57491712
        assert abs(nominal / images - 1) < 0.01, (nominal, images)
        assert found["gflops"] < found["gflops_nominal"], found
    assert json.loads(output(*step, "--steps", 3))["images_per_second"] > 0
    output(PROGRAMS / "bench_step", "--nonsense", status=2)
    assert "nothing" in output(PROGRAMS / "bench_step", "--arch", "nothing", status=1)


def check_conv():
    rows = output(PROGRAMS / "bench_conv", "--json", "--threads", 2, "--windows", 2, "--seconds", 0.001, *SMALL)
    rows = [json.loads(line) for line in rows.splitlines()]
    assert [row["direction"] for row in rows] == DIRECTIONS, rows
    for row in rows:
        # 22 of 24 pairs of an output and a tap are inside, along each axis
        assert abs(row["gflops"] / row["gflops_nominal"] - (22 / 24) ** 2) < 1e-3, row
        assert row["share_of_peak"] > 0 and row["level"], row
    output(PROGRAMS / "bench_conv", "1", "2", "3", status=2)


def check_region():
    found = json.loads(output(PROGRAMS / "bench_region", "--json", "--threads", 2, "--rounds", 5))
    assert found["regions"] > 0 and found["tasks"] > found["regions"] and found["forward_us"] > 0, found


def check_loader():
    small = [PROGRAMS / "bench_loader", "--device", "cpu", "--images", 7, "--batch", 3, "--seconds", 0.001, "--threads", 2]
    for residency, resident in (("host", False), ("auto", False), ("device", True)):
        found = json.loads(output(*small, "--residency", residency))
        assert min(found["loader"], found["training"], found["step"]) > 0, found
        assert (found["resident_bytes"] >= 7 * 3072) == resident and found["batch"] == 3, found
    output(*small, "--residency", "nowhere", status=2)


def check_images():
    program = PROGRAMS / "bench_images"
    if not program.exists():
        print("bench_images is not there: it needs libjpeg")
        return
    small = [program, "--height", 40, "--width", 50, "--size", 16, "--files", 5, "--batch", 3, "--seconds", 0.01]
    for extra in ([], ["--transform", "test", "--workers", 0, "--full-size"]):
        found = json.loads(output(*small, *extra))
        assert found["images_per_second"] > 0 and found["bytes_per_file"] > 600, found
    found = json.loads(output(*small, "--arch", "tutorial", "--size", 32, "--threads", 2))
    assert found["share"] > 0 and found["threads"] == 2, found
    output(program, "--transform", "nothing", status=2)


def check_onednn():
    program = PROGRAMS / "compare_onednn"
    if not program.exists():
        print("compare_onednn is not there: it needs oneDNN 2")
        return
    rows = output(program, "--json", "--threads", 2, "--pairs", 2, "--seconds", 0.001, "--dtype", "fp32", *SMALL)
    rows = [json.loads(line) for line in rows.splitlines()]
    assert [row.get("direction") for row in rows] == [*DIRECTIONS, None], rows
    assert all(row["ratio"] > 0 for row in rows[:-1]) and rows[-1]["rows"] == 3, rows


def check_sweep():
    with tempfile.TemporaryDirectory() as folder:
        picture = pathlib.Path(folder) / "sweep.svg"
        table = output(sys.executable, SOURCES / "sweep.py", "--bench-step", PROGRAMS / "bench_step", "--threads", "1,2",
                       "--batches", "1,2", "--mode", "infer", "--seconds", 0.002, "--windows", 2, "--svg", picture)
        assert table.count("\n| ") >= 3 and "<svg" in picture.read_text(), table


def main():
    check_step()
    check_conv()
    check_region()
    check_loader()
    check_images()
    check_onednn()
    check_sweep()
    cases = output(sys.executable, SOURCES / "compare_pytorch.py", "--list").split()
    assert "resnet50_train_b8" in cases and len(cases) == 11, cases


if __name__ == "__main__":
    main()
