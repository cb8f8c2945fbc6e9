#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The public symbols: what the headers declare, the version script lists and the library exports.

symbols.py update SRC         rewrites lib/resnet.map; names released in an older node stay there
symbols.py check SRC [LIBRARY] compares headers, map and (with nm) the shared library, in both directions
symbols.py interface SRC      writes a C file with a pointer to every public function and struct, for abicheck
"""
import pathlib
import re
import subprocess
import sys


def headers(src):
    """The public headers, as #include names them, with their text without comments and preprocessor lines."""
    for path in sorted((src / "include/resnet").rglob("*.h")):
        text = re.sub(r"/\*.*?\*/|//[^\n]*|^\s*#[^\n]*", " ", path.read_text(), flags=re.S | re.M)
        yield path.relative_to(src / "include"), text


def declared(src):
    """Names of all functions that the public headers declare with RN_API."""
    names = set()
    for _, text in headers(src):
        names.update(re.findall(r"\bRN_API\b[^;{]*?\b(rn_\w+)\s*\(", text))
    return names


def mapped(path):
    """The nodes of a version script, oldest first: [(node, names)]."""
    nodes = []
    if path.exists():
        for node, body in re.findall(r"(RESNET_[\d.]+)\s*\{(.*?)\}", path.read_text(), flags=re.S):
            nodes.append((node, re.findall(r"\b(rn_\w+);", body)))
    return nodes


def exported(library):
    """Names with their nodes from the dynamic symbol table: {name: node}."""
    out = subprocess.run(["nm", "-D", "--defined-only", str(library)], check=True, capture_output=True, text=True)
    symbols = {}
    for line in out.stdout.splitlines():
        kind, symbol = line.split()[-2:]
        if kind != "A":
            name, _, node = symbol.partition("@")
            symbols[name] = node.lstrip("@")
    return symbols


def current_node(src):
    version = re.search(r"^\s*version: '(\d+\.\d+)", (src / "meson.build").read_text(), flags=re.M)
    return "RESNET_" + version.group(1)


def update(src):
    path = src / "lib/resnet.map"
    node = current_node(src)
    older = [(n, names) for n, names in mapped(path) if n != node]
    known = {name for _, names in older for name in names}
    nodes = older + [(node, sorted(declared(src) - known))]
    text = ["/* SPDX-License-Identifier: MIT */",
            "/* Every public symbol. Made by tests/abi/symbols.py update; names never move between nodes. */"]
    for i, (name, symbols) in enumerate(nodes):
        text += [f"{name} {{", "global:"] + [f"    {s};" for s in symbols]
        text += ["local:", "    *;"] if i == 0 else []
        text += [f"}}{' ' + nodes[i - 1][0] if i else ''};"]
    path.write_text("\n".join(text) + "\n")


def check(src, library):
    """Prints every difference; true when there is none."""
    wrong = []

    def compare(left, right, left_name, right_name):
        wrong.extend(f"{name}: in {left_name}, not in {right_name}" for name in sorted(left - right))
        wrong.extend(f"{name}: in {right_name}, not in {left_name}" for name in sorted(right - left))

    nodes = mapped(src / "lib/resnet.map")
    listed = [name for _, names in nodes for name in names]
    wrong.extend(f"{name}: twice in the map" for name in sorted({n for n in listed if listed.count(n) > 1}))
    compare(declared(src), set(listed), "the headers", "lib/resnet.map")
    if library:
        symbols = exported(library)
        compare(set(listed), set(symbols), "lib/resnet.map", library)
        for node, names in nodes:
            wrong.extend(f"{name}: exported as {symbols[name]}, mapped as {node}"
                         for name in names if symbols.get(name, node) != node)
    print("\n".join(wrong) or f"{len(listed)} symbols agree")
    return not wrong


def interface(src):
    structs = set()
    for header, text in headers(src):
        structs.update(re.findall(r"\}\s*(rn_\w+)\s*;", text))
        print(f"#include <{header}>")
    for name in sorted(declared(src)):
        print(f"__typeof__({name}) *const function_{name} = {name};")
    for name in sorted(structs):
        print(f"{name} *struct_{name};")


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in ("update", "check", "interface"):
        sys.exit(__doc__)
    src = pathlib.Path(sys.argv[2])
    if sys.argv[1] == "update":
        update(src)
    elif sys.argv[1] == "interface":
        interface(src)
    elif not check(src, sys.argv[3] if len(sys.argv) > 3 else None):
        sys.exit(1)


if __name__ == "__main__":
    main()
