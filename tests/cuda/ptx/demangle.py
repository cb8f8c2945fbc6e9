# SPDX-License-Identifier: MIT
"""Readable names of kernels, and the types of their parameters, by c++filt."""
import re
import subprocess

import require

_FILTER = require.tool("c++filt")


def _split(text):
    parts, depth, start = [], 0, 0
    for i, letter in enumerate(text):
        depth += letter in "(<" and 1 or (letter in ")>" and -1 or 0)
        if letter == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    return [*parts, text[start:].strip()]


def signatures(names):
    """{mangled name: (readable name without parameters, [types of the parameters])}"""
    names = sorted(names)
    if not names:
        return {}
    done = subprocess.run([_FILTER], input="\n".join(names) + "\n", capture_output=True, text=True, check=True)
    result = {}
    for name, text in zip(names, done.stdout.splitlines()):
        found = re.match(r"(?:void )?(.*?)\((.*)\)$", re.sub(r"\(int\)|\(bool\)", "", text))
        readable, parameters = (found[1], found[2]) if found else (text, "")
        result[name] = (readable, _split(parameters))
    return result
