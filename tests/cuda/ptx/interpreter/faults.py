# SPDX-License-Identifier: MIT
"""What stops a run."""


class Unsupported(Exception):
    """An instruction or directive the interpreter does not know; the text holds its line."""


class Fault(Exception):
    """An error of the program that runs: an access outside every allocation, a barrier that not all threads reach, ..."""


class LaneFault(Exception):
    """A fault of some lanes: `text`, and which of the lanes that execute (positions among them) are at fault."""

    def __init__(self, text, wrong):
        super().__init__(text)
        self.wrong = wrong
