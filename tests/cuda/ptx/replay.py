#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs launches that the simulator recorded on the PTX of the same kernels, and compares the memory they leave.

    replay.py (--recordings FOLDER | --record CHECKBACKEND MODULE PROGRAM) --set LABEL[,unfused][,ORDER] FILE.ptx...
        [--set ...] [--launches N] [--csv FILE]

Recordings are a folder as FORMAT.md has it, or are made by running checkbackend over the simulated module, and a program that launches kernels
in the simulator (record_launches.c). A set is the PTX of all kernel files for one architecture. `unfused` says that
it was compiled with -fmad=false: then a kernel without functions like exp must leave the simulator's bits. ORDER is
together, ascending or descending: how the interpreter takes warps. --launches: of each kernel at most, those with the fewest
threads first. Exit status 1 when a launch differs or faults, or when a kernel of the PTX is in no recording.
"""
import argparse
import csv
import pathlib
import sys
import time
from collections import defaultdict

sys.dont_write_bytecode = True
import require

require.module("numpy")

import bounds
from compare import Difference, buffer_difference
from demangle import signatures
from interpreter import Fault, GlobalMemory, Program, Unsupported
from interpreter.launch import ORDERS
from recordings import load_all, record


class PtxSet:
    """The entries of several PTX files."""

    def __init__(self, words):
        label, *options = words[0].split(",")
        self.label, self.unfused = label, "unfused" in options
        self.order = next((o for o in options if o in ORDERS), "together")
        self.programs = {}
        for path in words[1:]:
            program = Program(pathlib.Path(path).read_text(encoding="utf-8"))
            self.programs.update({name: program for name in program.entries()})


def _memory(program, launch):
    memory = GlobalMemory(launch.allocations)
    program.map_variables(memory)
    for buffer in launch.buffers:
        memory.map(buffer.address, buffer.before, buffer.written)
    return memory


def replay(ptx, launch, types):
    """The largest difference, and the number of instructions that threads executed."""
    program = ptx.programs[launch.kernel]
    memory = _memory(program, launch)
    executed = program.run(launch.kernel, memory, launch.grid, launch.block, launch.parameters, ptx.order)
    pointers = launch.pointers(types)
    worst = Difference(0.0, "")
    for buffer in launch.buffers:
        got = memory.read(buffer.address, len(buffer.before))[0]
        found = buffer_difference(buffer, got, pointers)
        if found.units > worst.units:
            worst = found
    return worst, executed


class Report:
    def __init__(self):
        self.failures, self.rows = [], []

    def fail(self, text):
        print(text, flush=True)
        self.failures.append(text)


def _replay_kernel(ptx, name, readable, types, launches, report):
    """All launches of one kernel."""
    bound = bounds.units(readable, ptx.unfused)
    worst, executed, start = 0.0, 0, time.process_time()
    for launch in launches:
        where = f"{ptx.label}: {readable}, {launch.name}, grid {launch.grid}, block {launch.block}"
        try:
            found, count = replay(ptx, launch, types)
        except (Fault, ValueError) as error:
            report.fail(f"{where}: {error}")
            continue
        executed += count
        worst = max(worst, found.units)
        if found.units > bound:
            report.fail(f"{where}: differs by {found.units:.3g} units, at most {bound:g}: {found.text}")
    report.rows.append((ptx.label, readable, len(launches), executed, worst, bound, time.process_time() - start))


def run_set(ptx, by_kernel, count, report):
    names = signatures({*ptx.programs, *by_kernel})
    for name in sorted(by_kernel):
        readable, types = names[name]
        if name not in ptx.programs:
            report.fail(f"{ptx.label}: {readable} was recorded, but the PTX has no such entry ({name})")
            continue
        launches = sorted(by_kernel[name], key=lambda launch: launch.threads())[:count]
        try:
            _replay_kernel(ptx, name, readable, types, launches, report)
        except Unsupported as error:
            report.fail(f"{ptx.label}: {readable}: {error}")
    for name in sorted(set(ptx.programs) - set(by_kernel)):
        report.fail(f"{ptx.label}: {names[name][0]} is in no recording")


def _print(report):
    print(f"{'PTX':24} {'kernel':58} {'launches':>8} {'instructions':>13} {'largest':>9} {'bound':>6} {'s':>6}")
    for label, name, launches, executed, worst, bound, seconds in report.rows:
        print(f"{label:24} {name:58} {launches:8} {executed:13} {worst:9.3g} {bound:6g} {seconds:6.2f}")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    recordings = parser.add_mutually_exclusive_group(required=True)
    recordings.add_argument("--recordings", metavar="FOLDER")
    recordings.add_argument("--record", nargs=3, metavar=("CHECKBACKEND", "MODULE", "PROGRAM"))
    parser.add_argument("--set", action="append", nargs="+", required=True, dest="sets")
    parser.add_argument("--launches", type=int, default=4)
    parser.add_argument("--csv")
    return parser.parse_args()


def main():
    args = parse()
    by_kernel = defaultdict(list)
    for launch in load_all(args.recordings) if args.recordings else record(*args.record):
        by_kernel[launch.kernel].append(launch)
    report = Report()
    for words in args.sets:
        run_set(PtxSet(words), by_kernel, args.launches, report)
    _print(report)
    if args.csv:
        with open(args.csv, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("ptx", "kernel", "launches", "instructions", "units", "bound", "seconds"),
                                        *report.rows])
    print(f"{len(report.failures)} failures; {len(report.rows)} kernels replayed")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
