#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make_corpus.py DIR: writes the seeds of each target into a folder of its own."""
import gzip
import json
import pathlib
import struct
import sys


def safetensors(header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def safetensors_seeds():
    weight = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
    bias = {"dtype": "F32", "shape": [2], "data_offsets": [24, 32]}
    good = {"fc.weight": weight, "fc.bias": bias}
    yield safetensors(good, bytes(32))
    yield safetensors({"__metadata__": {"format": "pt"}, **good}, bytes(32))
    yield safetensors({"fc.weight": dict(weight, dtype="F64", data_offsets=[0, 48]),
                       "fc.bias": dict(bias, dtype="BF16", data_offsets=[48, 52])}, bytes(52))
    yield safetensors({"fc.weight": dict(weight, shape=[1 << 62, 4])}, bytes(24))
    yield safetensors({"fc.weight": dict(weight, data_offsets=[8, 0])}, bytes(24))
    yield safetensors({"x": dict(weight, shape=[])}, bytes(24))
    yield safetensors(b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":[]}', b"")
    yield safetensors(b"{" * 2000, b"")
    yield struct.pack("<Q", 1 << 63) + b"{}"
    yield b""


def idx(kind, dims, data):
    return bytes([0, 0, kind, len(dims)]) + b"".join(struct.pack(">I", d) for d in dims) + data


def dataset_seeds():
    def pair(images, labels):
        return b"\2" + struct.pack(">H", len(images)) + images + labels

    yield b"\0\0\0" + (b"\3" + bytes(3072)) * 2
    yield b"\0\0\0" + b"\12" + bytes(3072)
    yield b"\1\0\0" + (b"\3\x50" + bytes(3072))
    images, labels = idx(8, [2, 3, 4], bytes(range(24))), idx(8, [2], b"\1\0")
    yield pair(images, labels)
    yield pair(gzip.compress(images, mtime=0), gzip.compress(labels, mtime=0))
    yield pair(idx(8, [2, 3, 2, 2], bytes(24)), labels)
    yield pair(idx(8, [0xffffffff, 0xffffffff, 0xffffffff], bytes(24)), labels)
    yield pair(idx(13, [2, 3, 4], bytes(24)), labels)


def option_seeds():
    def options(kind, *fields):
        body = struct.pack("<Q", 0) + b"".join(struct.pack("<d" if isinstance(f, float) else "<q", f) for f in fields)
        return bytes([kind]) + struct.pack("<Q", len(body) + 8) + body

    yield options(0, 3, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1)
    yield options(0, 3, 6, 1, 5, 2, 1, 0, 2, 1, 2, 3, 0)
    yield options(0, 1 << 61, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1)
    yield options(1, 3, 1e-5, 0.1)
    yield options(2, 3, 3, 2, 2, 1, 1)
    yield options(3, 2, 2, 0, 0, 0, 0)
    yield options(4, 3, 10, 1)
    yield options(5, 2, 2, 8, 8)
    yield options(6, 0.1, 0.1, 30)
    yield options(7, 0.1, 0.0, 200)
    yield options(8, 0.1, 0.3, 25.0, 1e4, 100)
    yield options(9, 0.1, 0.1, 1e-4, 0.0, 1e-8, 10, 0)
    yield options(10, 20, 10, 3, 1 << 32, 16)
    yield options(11, 50, 0, 0, 0, 0, 1000, 3, 64, 1, 64, 1 << 32, 2)
    yield options(11, 0, 1, 2, 1, 1, 10, 3, 32, 4, 8, 2, 1)
    yield options(12, 0.1)


def main():
    root = pathlib.Path(sys.argv[1])
    for name, seeds in (("safetensors", safetensors_seeds()), ("datasets", dataset_seeds()),
                        ("options", option_seeds())):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds):
            (root / name / f"{number:02}").write_bytes(seed)
    (root / "made").touch()


if __name__ == "__main__":
    main()
