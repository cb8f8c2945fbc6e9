# SPDX-License-Identifier: MIT
"""Made-up images in the formats of well-known data sets, and what tests of programs share."""
import gzip
import json
import pathlib
import shutil
import struct
import subprocess
import tempfile
import unittest


def pixels(label, n, count):
    """Brightness tells the class; the rest is noise that depends on n alone."""
    return bytes((20 * label + (n * 7919 + i * 104729) % 53) % 256 for i in range(count))


def write_cifar(path, first, count):
    path.write_bytes(b"".join(bytes([n % 10]) + pixels(n % 10, n, 3072) for n in range(first, first + count)))


def write_idx(folder, split, count, pack):
    images = struct.pack(">IIII", 0x803, count, 28, 28) + b"".join(pixels(n % 10, n, 784) for n in range(count))
    labels = struct.pack(">II", 0x801, count) + bytes(n % 10 for n in range(count))
    for kind, data in ("images-idx3-ubyte", images), ("labels-idx1-ubyte", labels):
        if pack:
            (folder / f"{split}-{kind}.gz").write_bytes(gzip.compress(data))
        else:
            (folder / f"{split}-{kind}").write_bytes(data)


def safetensors(path):
    """Name to (shape, bytes)."""
    data = pathlib.Path(path).read_bytes()
    begin = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:begin])
    header.pop("__metadata__", None)
    return {name: (entry["shape"], data[begin + entry["data_offsets"][0]:begin + entry["data_offsets"][1]])
            for name, entry in header.items()}


class ProgramCase(unittest.TestCase):
    """Runs `program`, in a folder of its own."""
    program = None

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.folder)

    def run_it(self, *flags, status=0, program=None, text=None):
        done = subprocess.run([program or self.program, *map(str, flags)], capture_output=True, text=True, timeout=600,
                              input=text)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def fails(self, status, message, *flags, lines=1):
        """One line that says what is wrong, after at most some that list."""
        done = self.run_it(*flags, status=status)
        self.assertRegex(done.stderr.splitlines()[-1], message)
        self.assertEqual(len(done.stderr.splitlines()), lines, done.stderr)
        self.assertEqual(done.stdout, "")
