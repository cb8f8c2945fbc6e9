# SPDX-License-Identifier: MIT
"""Machine code of kernels: from ELF objects with a fat binary inside, and from cubins."""
import ctypes
import struct
from collections import Counter
from dataclasses import dataclass, field

import require

_LIBRARY = require.library("libzstd.so.1")  # which every Debian has: dpkg needs it
FATBIN_MAGIC = 0xBA55ED50
_ELF_IMAGE = 2  # an entry of a fat binary; 1 is PTX
_ZSTD = 0x8000  # a flag of an entry: compressed so
_ATTRIBUTE_MAX_THREADS = 0x05
_ATTRIBUTE_FRAME_SIZE = 0x11
_ATTRIBUTE_REGISTERS = 0x2F

# The lower 12 bits of an instruction. Found by compiling kernels with known accesses for all architectures.
OPCODES = {
    0x381: "LDG", 0x981: "LDG", 0x386: "STG", 0x986: "STG", 0x984: "LDS", 0x388: "STS", 0x988: "STS",
    0x983: "LDL", 0x387: "STL", 0x987: "STL", 0xB1D: "BAR", 0xF89: "SHFL", 0x589: "SHFL", 0x989: "SHFL", 0x389: "SHFL",
    0x23C: "HMMA", 0x221: "FADD", 0x421: "FADD", 0x223: "FFMA", 0x423: "FFMA", 0x220: "FMUL", 0x94D: "EXIT",
    0x947: "BRA", 0x308: "MUFU", 0x9A3: "ATOMG", 0x98E: "RED", 0x229: "DADD", 0x22B: "DFMA", 0x228: "DMUL",
    0x918: "NOP",
}
MEMORY = ("LDG", "STG", "LDS", "STS", "LDL", "STL")
WIDTHS = {0: "U8", 1: "S8", 2: "U16", 3: "S16", 4: "32", 5: "64", 6: "128"}


@dataclass
class Kernel:
    name: str
    architecture: int
    instructions: Counter = field(default_factory=Counter)
    registers: int = 0
    shared: int = 0
    frame: int = 0
    max_threads: int = 1024
    routines: list = field(default_factory=list)  # of the compiler, inside the kernel

    def count(self, *prefixes):
        return sum(n for name, n in self.instructions.items() if name.startswith(prefixes))


class Elf:
    """Sections and symbols of a 64-bit little-endian ELF file."""

    def __init__(self, data):
        if data[:6] != b"\x7fELF\x02\x01":
            raise ValueError("not a 64-bit ELF file")
        self.data = data
        table, = struct.unpack_from("<Q", data, 0x28)
        size, count, names = struct.unpack_from("<HHH", data, 0x3A)
        if count == 0:  # more than 65279: in the first section's size
            count, = struct.unpack_from("<Q", data, table + 0x20)
        if names == 0xFFFF:
            names, = struct.unpack_from("<I", data, table + 0x28)
        self.sections = [struct.unpack_from("<IIQQQQIIQQ", data, table + i * size) for i in range(count)]
        self.names = [self._text(self.sections[names], section[0]) for section in self.sections]

    def _text(self, section, offset):
        start = section[4] + offset
        return self.data[start:self.data.index(b"\0", start)].decode()

    def content(self, index):
        section = self.sections[index]
        return b"" if section[1] == 8 else self.data[section[4]:section[4] + section[5]]  # 8: NOBITS

    def symbols(self):
        """[(name, section, is a function)]"""
        found = []
        for i, section in enumerate(self.sections):
            if section[1] != 2:
                continue
            strings, content = self.sections[section[6]], self.content(i)
            for at in range(0, len(content), 24):
                name, info, _, where = struct.unpack_from("<IBBH", content, at)
                found.append((self._text(strings, name), where, info & 0xF == 2))
        return found


def _decompress(data, size):
    decompress = _LIBRARY.ZSTD_decompress
    decompress.restype = ctypes.c_size_t
    decompress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    out = ctypes.create_string_buffer(size)
    if decompress(out, size, data, len(data)) != size:
        raise ValueError("an image that does not decompress")
    return out.raw


def fat_images(data):
    """[(architecture, cubin)] of a fat binary section."""
    found, at = [], 0
    while at + 16 <= len(data):
        magic, _, header, size = struct.unpack_from("<IHHQ", data, at)
        if magic != FATBIN_MAGIC:
            raise ValueError(f"not a fat binary at {at}")
        entry, end = at + header, at + header + size
        while entry < end:
            kind, _, head, length = struct.unpack_from("<HHIQ", data, entry)
            architecture, = struct.unpack_from("<I", data, entry + 28)
            packed, = struct.unpack_from("<I", data, entry + 16)
            flags, = struct.unpack_from("<I", data, entry + 40)
            image = data[entry + head:entry + head + length]
            if kind == _ELF_IMAGE:
                if flags & _ZSTD:
                    image = _decompress(image[:packed], struct.unpack_from("<Q", data, entry + 56)[0])
                if image[:4] != b"\x7fELF":
                    raise ValueError(f"the image for sm_{architecture} is compressed in a way that is not known")
                found.append((architecture, image))
            entry += head + length
        at = (end + 7) // 8 * 8
    return found


def images(path):
    """[(architecture, cubin)] of an object file or a cubin."""
    with open(path, "rb") as file:
        data = file.read()
    elf = Elf(data)
    if ".nv_fatbin" in elf.names:
        return fat_images(elf.content(elf.names.index(".nv_fatbin")))
    return [(struct.unpack_from("<I", data, 0x30)[0] >> 8 & 0xFF, data)]


def _count_instructions(code):
    counts = Counter()
    for at in range(0, len(code), 16):
        low, high = struct.unpack_from("<QQ", code, at)
        name = OPCODES.get(low & 0xFFF, f"{low & 0xfff:#05x}")
        if name in MEMORY:
            name += "." + WIDTHS.get(high >> 9 & 7, "?")
        counts[name] += 1
    return counts


def _attributes(content):
    """[(attribute, value)] of a section .nv.info."""
    at = 0
    while at + 4 <= len(content):
        form, attribute, size = struct.unpack_from("<BBH", content, at)
        at += 4
        if form == 4:  # the value follows; otherwise it is in `size`
            yield attribute, content[at:at + size]
            at += size


def kernels(architecture, cubin):
    """The kernels of a cubin."""
    elf = Elf(cubin)
    symbols = elf.symbols()
    frames, registers = {}, {}
    for attribute, value in _attributes(elf.content(elf.names.index(".nv.info"))):
        if attribute in (_ATTRIBUTE_FRAME_SIZE, _ATTRIBUTE_REGISTERS):
            symbol, number = struct.unpack("<II", value)
            (frames if attribute == _ATTRIBUTE_FRAME_SIZE else registers)[symbols[symbol][0]] = number
    found = []
    for i, name in enumerate(elf.names):
        if not name.startswith(".text."):
            continue
        kernel = Kernel(name[6:], architecture, _count_instructions(elf.content(i)))
        kernel.registers, kernel.frame = registers[kernel.name], frames[kernel.name]
        kernel.routines = sorted({s.rsplit("$", 1)[-1] for s, where, function in symbols
                                  if function and where == i and s != kernel.name})
        for j, other in enumerate(elf.names):
            if other == ".nv.shared." + kernel.name:
                kernel.shared = elf.sections[j][5]
            if other == ".nv.info." + kernel.name:
                for attribute, value in _attributes(elf.content(j)):
                    if attribute == _ATTRIBUTE_MAX_THREADS:
                        x, y, z = struct.unpack("<III", value)
                        kernel.max_threads = x * y * z
        found.append(kernel)
    return found
