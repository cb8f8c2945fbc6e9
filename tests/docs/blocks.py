#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""blocks.py SOURCE LIBDIR CC...: compiles every C block of README.md and docs/*.md and runs the whole programs.

A block with a main() is a program: compiled without warnings, linked, run. A block with a function at column 0 is
compiled as a file. Everything else is compiled as the body of a function in which the usual handles are arguments.
Python blocks are run. LIBDIR is the folder of the shared library.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

PRELUDE = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <resnet/resnet.h>\n#include <resnet/sys/backend.h>\n#include <resnet/sys/cpu.h>\n"
ARGUMENTS = ("rn_context *ctx, rn_device *dev, rn_device *gpu, rn_layer *net, rn_layer *layer, rn_model *model, "
             "rn_optimizer *optimizer, rn_schedule *schedule, rn_loader *loader, rn_plan *plan, rn_loss *loss, "
             "rn_tensor *x, rn_tensor *y, rn_dataset *dataset, const char *path")
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
LOOSE = ["-std=c11", "-Wall", "-Werror", "-Wno-unused-variable", "-Wno-unused-parameter",
         "-Wno-unused-but-set-variable", "-Wno-unused-function", "-fsyntax-only"]


def blocks(path):
    """(line, language, text) of every fenced block."""
    text = path.read_text()
    for match in re.finditer(r"^```(\w+)\n(.*?)^```$", text, flags=re.S | re.M):
        yield text[:match.start()].count("\n") + 2, match.group(1), match.group(2)


def run(command, work, env):
    done = subprocess.run(command, cwd=work, env=env, text=True, timeout=300, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return None if done.returncode == 0 else f"{command[0]}: exit status {done.returncode}\n{done.stdout}"


def check_c(text, cc, include, libdir, work, env):
    source = work / "block.c"
    compile_flags = [*cc, f"-I{include}", "block.c"]
    if "int main(" in text:
        source.write_text(text)
        link = [f"-L{libdir}", "-lresnet", "-lm", "-o", "block"]
        return run([*compile_flags, *STRICT, *link], work, env) or run(["./block"], work, env)
    if re.search(r"^\{", text, flags=re.M):
        source.write_text(PRELUDE + text)
    else:
        source.write_text(f"{PRELUDE}rn_status block({ARGUMENTS});\nrn_status block({ARGUMENTS})\n{{\n{text}"
                          "    return RN_OK;\n}\n")
    return run([*compile_flags, *LOOSE], work, env)


def main():
    source, libdir, cc = pathlib.Path(sys.argv[1]).resolve(), os.path.abspath(sys.argv[2]), sys.argv[3:]
    env = dict(os.environ, LD_LIBRARY_PATH=libdir, PYTHONPATH=str(source / "examples/python"))
    count = failed = 0
    for path in [source / "README.md", *sorted((source / "docs").glob("*.md"))]:
        for line, language, text in blocks(path):
            if language not in ("c", "python"):
                continue
            count += 1
            with tempfile.TemporaryDirectory() as folder:
                work = pathlib.Path(folder)
                if language == "c":
                    problem = check_c(text, cc, source / "include", libdir, work, env)
                else:
                    (work / "block.py").write_text(text)
                    problem = run([sys.executable, "block.py"], work, env)
            if problem:
                failed += 1
                print(f"{path.relative_to(source)}:{line}: {problem}")
    print(f"{count} blocks, {failed} failed")
    sys.exit(1 if failed or not count else 0)


if __name__ == "__main__":
    main()
