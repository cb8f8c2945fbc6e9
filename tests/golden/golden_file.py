# SPDX-License-Identifier: MIT
"""Golden files: safetensors with the case as JSON in its metadata, and the numbers both sides make for themselves."""
import json
import struct

import numpy as np

MASK = (1 << 64) - 1
GOLDEN_RATIO = 0x9E3779B97F4A7C15
SAMPLE = 1024  # tensors with more elements are stored as every stride-th of them
PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103)


def hash_name(text):
    """FNV-1a, 64 bits."""
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 & MASK
    return value


def splitmix(seed, count):
    """The first `count` outputs of splitmix64 started at `seed`."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(GOLDEN_RATIO)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def uniform(name, dims, low, high, salt):
    """float32 numbers in [low, high) that golden_file.c makes bit for bit from the same name."""
    count = int(np.prod(dims, dtype=np.int64))
    bits = splitmix(hash_name(name) ^ salt, count) >> np.uint64(40)
    return (low + (high - low) * (bits.astype(np.float64) / 2.0 ** 24)).astype(np.float32).reshape(dims)


def labels(name, count, classes, salt):
    return (splitmix(hash_name(name) ^ salt, count) % np.uint64(classes)).astype(np.int64)


def signed_sums(value, block=1 << 22):
    """Two sums of all elements with random signs: bit e % 64 of number e / 64 of a stream says that element e is negative."""
    flat, sums = np.asarray(value, dtype=np.float64).ravel(), []
    for seed in (1, 2):
        total = 0.0
        for first in range(0, flat.size, block):
            part = flat[first:first + block]
            words = splitmix(seed + (first // 64) * GOLDEN_RATIO & MASK, -(-part.size // 64))
            bits = np.unpackbits(words.view(np.uint8), bitorder="little")[:part.size]
            total += float(np.sum(np.where(bits, -part, part)))
        sums.append(total)
    return np.array(sums)


def stride_for(count):
    """1 for small tensors, else a prime, so that samples fall into all rows and channels."""
    if count <= SAMPLE:
        return 1
    wanted = -(-count // SAMPLE)
    return next((p for p in PRIMES if p >= wanted), wanted | 1)


def norm(array):
    return float(np.linalg.norm(np.asarray(array, dtype=np.float64).ravel()))


def entry(exact, rounded):
    """A stored tensor and its description; `rounded` are float32 results of PyTorch, the worst of which counts."""
    flat = np.asarray(exact, dtype=np.float64).ravel()
    stride = stride_for(flat.size)
    errors = [np.asarray(r, dtype=np.float64).ravel() - flat for r in rounded]
    about = {"dims": list(np.shape(exact)), "stride": stride, "norm": norm(flat),
             "error": max(norm(e[::stride]) for e in errors), "full_error": max(norm(e) for e in errors)}
    return flat[::stride].copy(), about


def write(path, case, tensors):
    """tensors: {name: 1-d array of float64 or float32}."""
    header, offset = {"__metadata__": {"case": json.dumps(case, separators=(",", ":"))}}, 0
    for name in sorted(tensors):
        size = tensors[name].nbytes
        dtype = "F32" if tensors[name].dtype == np.float32 else "F64"
        header[name] = {"dtype": dtype, "shape": [tensors[name].size], "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for name in sorted(tensors):
            out.write(tensors[name].astype("<f4" if tensors[name].dtype == np.float32 else "<f8").tobytes())
