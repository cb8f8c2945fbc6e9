# SPDX-License-Identifier: MIT
"""A PTX file, and launches of its entries."""
import numpy as np

from . import scalars
from .code import Code
from .faults import Fault
from .machine import Machine
from .parser import parse

VARIABLES = 0x100000000  # the address of the first .global or .const variable
_LANES = 16384           # threads that run at once, unless one block has more
ORDERS = ("together", "ascending", "descending")


class Program:
    """A module: its variables get addresses, its entries are compiled when first used."""

    def __init__(self, text):
        self.module = parse(text)
        self._codes = {}
        self.addresses, self._contents = {}, []
        top = VARIABLES
        for variable in self.module.variables.values():
            if variable.space not in ("global", "const"):
                continue
            top = (top + 255) // 256 * 256
            self.addresses[variable.name] = top
            self._contents.append((top, _content(variable)))
            top += variable.size

    def entries(self):
        return [function.name for function in self.module.entries()]

    def code(self, name):
        if name not in self._codes:
            self._codes[name] = Code(self.module, self.module.functions[name], self.addresses)
        return self._codes[name]

    def map_variables(self, memory):
        """The module's variables with their initial values."""
        for address, content in self._contents:
            memory.map(address, content)

    def run(self, name, memory, grid, block, parameters, order="together"):
        """One launch on memory that has the variables mapped. Gives the number of instructions of all threads."""
        code = self.code(name)
        grid, block = (tuple(size) + (1,) * (3 - len(size)) for size in (grid, block))
        threads, size = int(np.prod(block)), code.entry.layout()[1]
        if len(parameters) != size:
            raise Fault(f"{name}: {len(parameters)} bytes of parameters; it has {size}")
        if threads > (code.entry.max_threads or 1024):
            raise Fault(f"{name}: {threads} threads per block; at most {code.entry.max_threads or 1024}")
        total, executed = int(np.prod(grid)), 0
        step = max(1, _LANES // threads)
        for first in range(0, total, step):
            machine = Machine(code, memory, grid, block, parameters, first, min(step, total - first), order)
            machine.run()
            executed += machine.executed
        return executed


def _content(variable):
    """A variable's bytes; what has no initial value is zero."""
    values = [scalars.immediate(text, variable.kind) for text in variable.values]
    raw = b"".join(value.tobytes() for value in values)
    return np.frombuffer(raw.ljust(variable.size, b"\0"), np.uint8)
