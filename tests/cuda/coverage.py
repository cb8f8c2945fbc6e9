#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Lines of the CUDA module that the tests on the simulator run.

    coverage.py BUILD [--all] [--jobs 2] [--again]

Builds libresnet-cuda-sim-coverage.so, the simulated module with counters, in the build folder BUILD, and runs with it every test
that has the fast simulated module, but those of LEFT_OUT and those marked slow. Prints the lines of each file of cuda/, the total,
and the lines that did not run. Exit status 1 when a test fails, or a line did not run that is not in uncovered.txt beside this
script.
--again counts what the last run has left, without running the tests; --all prints files that are wholly covered, too.
"""
import argparse
import collections
import concurrent.futures
import functools
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
FAST, COUNTING = "libresnet-cuda-sim.so", "libresnet-cuda-sim-coverage.so"
LEFT_OUT = {"selftest", "traffic-least"}  # they take long, and run what the others run


class Line:
    """A line of code: how often it ran, over all instances of a template and all files that include it."""

    def __init__(self):
        self.count = 0


def tests_of(build):
    """(name, command, environment, seconds) of the tests that take the fast module, with the counting one in its place."""
    known = json.loads(subprocess.run(["meson", "introspect", "--tests", build], check=True, capture_output=True).stdout)
    for test in known:
        command = [word.replace(FAST, COUNTING) for word in test["cmd"]]
        if command != test["cmd"] and "slow" not in "".join(test["suite"]) and test["name"] not in LEFT_OUT:
            yield test["name"], command, test["env"], test["timeout"]


def build_all(build, jobs):
    wanted = {f"tests/cuda/{COUNTING}"}
    for _, command, _, _ in tests_of(build):
        for word in command:
            path = pathlib.Path(word.split("=", 1)[-1])
            if path.is_absolute() and path.is_relative_to(build):
                wanted.add(str(path.relative_to(build)))
    subprocess.run(["ninja", "-C", build, "-j", str(jobs), *sorted(wanted)], check=True, stdout=subprocess.DEVNULL)


def counters(build):
    return [path for folder in (build / "tests/cuda", build / "tests/cuda" / f"{COUNTING}.p")
            for path in sorted(folder.glob("*.gcda"))]


def run_test(build, test):
    name, command, environment, timeout = test
    done = subprocess.run(command, cwd=build, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False, timeout=4 * timeout)
    return name, done.returncode, done.stdout


def run_tests(build, jobs):
    """The names of those that failed."""
    failed = []
    for path in counters(build):
        path.unlink()
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for name, status, output in pool.map(functools.partial(run_test, build), tests_of(build)):
            if status != 0:
                failed.append(name)
                print(f"{name}: status {status}\n{output}")
    return failed


def count_lines(build):
    """{file: {line number: Line}} of what lies in cuda/."""
    files = collections.defaultdict(lambda: collections.defaultdict(Line))
    paths = counters(build)
    if not paths:
        sys.exit("there are no counts")
    command = ["gcov", "--json-format", "--stdout", *(str(path) for path in paths)]
    output = subprocess.run(command, cwd=build, check=True, capture_output=True, text=True).stdout
    for record in output.splitlines():
        for file in json.loads(record)["files"]:
            path = pathlib.Path(os.path.normpath(build / file["file"]))
            if not path.is_relative_to(SOURCE / "cuda"):
                continue
            for line in file["lines"]:
                files[str(path.relative_to(SOURCE))][line["line_number"]].count += line["count"]
    return files


def known_lines():
    """How often a (file, text) may be without a run. Lines of uncovered.txt are `file: text`, the others are reasons."""
    known = collections.Counter()
    for line in (HERE / "uncovered.txt").read_text(encoding="utf-8").splitlines():
        file, colon, text = line.partition(": ")
        if colon and file.startswith("cuda/"):
            known[file, text.strip()] += 1
    return known


def compare(files):
    """The lines that did not run and are not known, and known ones that are not found: (file, number, text)."""
    known, found = known_lines(), []
    for file, lines in sorted(files.items()):
        text = (SOURCE / file).read_text(encoding="utf-8").splitlines()
        for number, line in sorted(lines.items()):
            if line.count:
                continue
            key = file, text[number - 1].strip()
            if known[key]:
                known[key] -= 1
            else:
                found.append((file, number, key[1]))
    return found, [key for key, count in sorted(known.items()) for _ in range(count)]


def print_table(files, everything):
    total = ran = 0
    for file, lines in sorted(files.items()):
        of_file = sum(1 for line in lines.values() if line.count)
        total, ran = total + len(lines), ran + of_file
        if everything or of_file < len(lines):
            print(f"{file:44} {of_file:5} of {len(lines):5}  {100 * of_file / len(lines):6.2f} %")
    print(f"{len(files)} files: {ran} of {total} lines, {100 * ran / total:.2f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=lambda name: pathlib.Path(name).resolve())
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    failed = []
    if not args.again:
        build_all(args.build, args.jobs)
        failed = run_tests(args.build, args.jobs)
    files = count_lines(args.build)
    print_table(files, args.all)
    new, gone = compare(files)
    for file, number, text in new:
        print(f"did not run: {file}:{number}: {text}")
    for file, text in gone:
        print(f"in uncovered.txt, but runs or is no more: {file}: {text}")
    return 1 if failed or new else 0


if __name__ == "__main__":
    sys.exit(main())
