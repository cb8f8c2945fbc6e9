#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Counts the machine instructions of every kernel for every architecture, and checks what must hold of them.

    sass.py OBJECT... [--csv FILE] [--markdown ARCHITECTURE]

OBJECT: an object file that nvcc made, with machine code of one or more architectures, or a cubin. What must hold: no kernel
uses local memory; registers of a block of the largest size fit; memory-bound kernels read and write 128 bits at once and
divide no 64-bit numbers (see memory_bound.py). Exit status 1 when something does not.
"""
import argparse
import csv
import sys

sys.dont_write_bytecode = True

import memory_bound
from cubin import images, kernels
from demangle import signatures

REGISTERS = 65536
COLUMNS = ("LDG.128", "LDG.64", "LDG.32", "LDG.U16", "STG.128", "STG.64", "STG.32", "STG.U16", "LDS", "STS", "LDL", "STL",
           "SHFL", "BAR", "FFMA", "DFMA", "MUFU")


def local_memory(kernel):
    if kernel.frame or kernel.count("LDL", "STL"):
        yield f"{kernel.frame} bytes of local memory, {kernel.count('LDL')} loads and {kernel.count('STL')} stores of it"


def registers(kernel):
    """Registers are given out by 8 a thread to whole warps."""
    each = (kernel.registers + 7) // 8 * 8
    threads = (kernel.max_threads + 31) // 32 * 32
    if each * threads > REGISTERS:
        yield f"{kernel.registers} registers in {kernel.max_threads} threads do not fit in {REGISTERS}"


def wide_division(kernel, readable):
    found = [name for name in kernel.routines if name.endswith(("div_s64", "div_u64", "rem_s64", "rem_u64"))]
    if found and memory_bound.may_divide(readable) is None:
        yield f"divides 64-bit numbers: {', '.join(found)}"


def vector_access(kernel, readable):
    wanted = memory_bound.accesses(readable)
    if wanted is None:
        yield "is for vectors, but memory_bound.py does not say what of it must be"
    for name in wanted or ():
        if not kernel.count(name + ".128"):
            yield f"has no {name} of 128 bits"


def check(kernel, readable):
    return [*local_memory(kernel), *registers(kernel), *wide_division(kernel, readable), *vector_access(kernel, readable)]


def row(kernel, readable):
    return [readable, f"sm_{kernel.architecture}", sum(kernel.instructions.values()), kernel.registers, kernel.shared,
            kernel.max_threads, *(kernel.count(name) for name in COLUMNS), " ".join(kernel.routines)]


HEADER = ["kernel", "architecture", "instructions", "registers", "shared", "threads", *COLUMNS, "routines"]


def write_csv(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([HEADER, *rows])


def print_markdown(found, names, architecture):
    """A line per kernel, of one architecture."""
    print("| kernel | instructions | registers | shared bytes | LDG.128 | other LDG | STG.128 | other STG |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for k in sorted((k for k in found if k.architecture == architecture), key=lambda k: names[k.name]):
        loads, stores = k.count("LDG.128"), k.count("STG.128")
        print(f"| `{names[k.name]}` | {sum(k.instructions.values())} | {k.registers} | {k.shared} | {loads} | "
              f"{k.count('LDG') - loads} | {stores} | {k.count('STG') - stores} |")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("objects", nargs="+")
    parser.add_argument("--csv")
    parser.add_argument("--markdown", type=int, metavar="ARCHITECTURE")
    return parser.parse_args()


def main():
    args = parse()
    found = [kernel for path in args.objects for image in images(path) for kernel in kernels(*image)]
    if not found:
        sys.exit("no machine code in these files")
    names = {name: readable for name, (readable, _) in signatures({k.name for k in found}).items()}
    failures = [f"{names[k.name]}, sm_{k.architecture}: {text}" for k in found for text in check(k, names[k.name])]
    missing = memory_bound.unmatched(set(names.values()))
    failures += [f"memory_bound.py names {pattern}, which no kernel is" for pattern in missing]
    if args.csv:
        write_csv(args.csv, [row(k, names[k.name]) for k in sorted(found, key=lambda k: (names[k.name], k.architecture))])
    if args.markdown:
        print_markdown(found, names, args.markdown)
    print("\n".join(failures), file=sys.stderr)
    print(f"{len(failures)} complaints; {len(names)} kernels, {len(found)} with all architectures", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
