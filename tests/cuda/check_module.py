#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_module.py MODULE: the module exports one symbol and needs no NVIDIA driver to be loaded.

The driver's library comes with the driver: a module linked with it could not be loaded where there is none, to say so.
The runtime is inside. What is needed besides is cuDNN and cuBLAS.
"""
import os
import re
import shutil
import subprocess
import sys


def readelf(*arguments):
    return subprocess.run(["readelf", "-W", *arguments], capture_output=True, text=True, check=True).stdout


def exported(path):
    names = set()
    for line in readelf("--dyn-syms", path).splitlines():
        columns = line.split()
        if len(columns) == 8 and columns[4] in ("GLOBAL", "WEAK") and columns[6] != "UND":
            names.add(columns[7].split("@")[0])
    return names


def needed(path):
    return re.findall(r"\(NEEDED\).*\[(.*)\]", readelf("-d", path))


def main():
    path = sys.argv[1]
    wrong = []
    if not shutil.which("readelf"):
        print("there is no readelf")
        return 1 if os.environ.get("RESNET_REQUIRE_TOOLS") else 77
    names = exported(path)
    if names != {"rn_backend_query"}:
        wrong.append(f"exports {sorted(names)}, expected rn_backend_query alone")
    libraries = needed(path)
    for library in libraries:
        if re.match(r"libcuda\.|libcudart\.|libresnet", library):
            wrong.append(f"needs {library}")
    for expected in ("libcudnn.so", "libcublas.so"):
        if not any(library.startswith(expected) for library in libraries):
            wrong.append(f"does not need {expected}")
    print(f"exports: {' '.join(sorted(names))}\nneeds: {' '.join(libraries)}")
    for line in wrong:
        print(line)
    return 1 if wrong else 0


sys.exit(main())
