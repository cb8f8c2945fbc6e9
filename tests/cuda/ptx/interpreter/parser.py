# SPDX-License-Identifier: MIT
"""PTX text -> functions of instructions. Names declared in an inner scope get a name of their own."""
import re
from dataclasses import dataclass, field

from . import scalars
from .faults import Unsupported

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
_LABEL = re.compile(r"([A-Za-z_$%][\w$]*)\s*:(?!:)")
_GUARD = re.compile(r"@(!?)(%[\w$]+)\s+")
_VARIABLE = re.compile(
    r"((?:\.(?:extern|visible|weak|common)\s+)*)\.(global|const|shared|local|param)\s+((?:\.\w+\s+|\.align\s+\d+\s+)*?)"
    r"\.(\w+)\s+([\w$%]+)((?:\s*\[\s*\d*\s*\])*)\s*(?:=\s*(.*))?$", re.S)
_IGNORED = (".pragma", ".loc", ".file", ".maxntid", ".reqntid", ".minnctapersm", ".maxnreg", ".noreturn")


@dataclass
class Variable:
    """A variable of some state space; `values` are initial elements of `kind`."""
    space: str
    kind: str
    name: str
    size: int
    align: int
    values: list = field(default_factory=list)


@dataclass
class Instruction:
    line: int
    text: str
    opcode: str
    modifiers: list
    operands: list
    guard: str = None
    negated: bool = False


@dataclass
class Function:
    name: str
    entry: bool
    parameters: list
    results: list
    body: list = field(default_factory=list)
    labels: dict = field(default_factory=dict)
    tables: dict = field(default_factory=dict)  # of labels, for brx.idx
    registers: dict = field(default_factory=dict)
    variables: dict = field(default_factory=dict)
    max_threads: int = 0

    def layout(self):
        """Offset of each parameter in the parameter block, and the block's size."""
        offsets, top = {}, 0
        for p in self.parameters:
            top = (top + p.align - 1) // p.align * p.align
            offsets[p.name] = top
            top += p.size
        return offsets, top


@dataclass
class Module:
    target: str
    functions: dict
    variables: dict

    def entries(self):
        return [f for f in self.functions.values() if f.entry]


def split_operands(text):
    """At commas outside brackets."""
    parts, depth, start = [], 0, 0
    for i, letter in enumerate(text):
        if letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif letter == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    last = text[start:].strip()
    return parts + [last] if last or parts else []


def _elements(text):
    """Initial values: {1, 2, 0F3F800000} or one literal."""
    if text is None:
        return []
    text = text.strip()
    return split_operands(text[1:-1]) if text.startswith("{") else [text]


def parse_variable(text):
    found = _VARIABLE.match(text)
    if not found:
        raise Unsupported(text)
    _, space, attributes, kind, name, dimensions, values = found.groups()
    if not scalars.is_type(kind):
        raise Unsupported(text)
    size = scalars.width(kind)
    align = re.search(r"\.align\s+(\d+)", attributes)
    count = 1
    for dimension in re.findall(r"\[\s*(\d*)\s*\]", dimensions):
        count *= int(dimension or 0)
    return Variable(space, kind, name, size * count, int(align[1]) if align else size, _elements(values))


class _Body:
    """Parses the statements between a function's braces."""

    def __init__(self, function, text, first_line):
        self.function, self.text, self.first_line = function, text, first_line
        self.scopes = [{}]
        self.scope_count = 0

    def parse(self):
        at, text = 0, self.text
        while True:
            while at < len(text) and text[at].isspace():
                at += 1
            if at == len(text):
                break
            if text[at] == "{":
                self.scopes.append({})
                self.scope_count += 1
                at += 1
                continue
            if text[at] == "}":
                self.scopes.pop()
                at += 1
                continue
            label = _LABEL.match(text, at)
            if label:
                at = self._label(label)
                continue
            end = text.index(";", at)
            self._statement(text[at:end], at)
            at = end + 1

    def _label(self, label):
        name, text = label[1], self.text
        rest = text[label.end():].lstrip()
        if rest.startswith(".branchtargets"):
            end = text.index(";", label.end())
            names = text[label.end():end].split(None, 1)[1]
            self.function.tables[name] = [word.strip() for word in names.split(",")]
            return end + 1
        self.function.labels[name] = len(self.function.body)
        return label.end()

    def _statement(self, text, at):
        text = " ".join(text.split())
        if not text or text.split()[0] in _IGNORED:
            return
        if text.startswith(".reg"):
            self._registers(text)
        elif text.startswith("."):
            self._variable(text)
        else:
            self._instruction(text, self.first_line + self.text.count("\n", 0, at))

    def _declare(self, name):
        """A name in the current scope; the outermost scope keeps names as they are."""
        if len(self.scopes) == 1:
            return name
        unique = f"{name}#{self.scope_count}"
        self.scopes[-1][name] = unique
        return unique

    def _resolve(self, text):
        if not any(self.scopes):
            return text

        def renamed(found):
            for scope in reversed(self.scopes):
                if found[0] in scope:
                    return scope[found[0]]
            return found[0]
        return re.sub(r"[A-Za-z_$%][\w$]*", renamed, text)

    def _registers(self, text):
        found = re.match(r"\.reg\s+\.(\w+)\s+(.*)$", text)
        if not found or not scalars.is_type(found[1]):
            raise Unsupported(text)
        for word in split_operands(found[2]):
            many = re.match(r"([\w$%]+)<(\d+)>$", word)
            names = [f"{many[1]}{i}" for i in range(int(many[2]))] if many else [word]
            for name in names:
                self.function.registers[self._declare(name)] = found[1]

    def _variable(self, text):
        variable = parse_variable(text)
        variable.name = self._declare(variable.name)
        self.function.variables[variable.name] = variable

    def _instruction(self, text, line):
        original, guard, negated = text + ";", None, False
        found = _GUARD.match(text)
        if found:
            guard, negated, text = self._resolve(found[2]), found[1] == "!", text[found.end():]
        opcode, _, rest = text.partition(" ")
        words = opcode.replace("::", "__").split(".")
        self.function.body.append(Instruction(line, original, words[0], words[1:],
                                              [self._resolve(o) for o in split_operands(rest)], guard, negated))


def _matching_brace(text, at):
    depth = 0
    for i in range(at, len(text)):
        if text[i] == "{":
            depth += 1
        elif text[i] == "}":
            depth -= 1
            if depth == 0:
                return i
    raise Unsupported("a brace that is not closed")


_FUNCTION = re.compile(
    r"(?:\.(?:visible|extern|weak)\s+)*\.(entry|func)\s*(?:\(([^)]*)\)\s*)?([\w$]+)\s*(?:\(([^)]*)\))?\s*([^{;]*)", re.S)


def _parameters(text):
    """`.ptr` and what follows it say only where a pointer points."""
    plain = re.sub(r"\.ptr(\s+\.(?:global|const|local|shared))?(\s+\.align\s+\d+)?", "", text or "")
    return [parse_variable(" ".join(p.split())) for p in split_operands(plain)]


def _function(found):
    function = Function(found[3], found[1] == "entry", _parameters(found[4]), _parameters(found[2]))
    threads = re.search(r"\.(?:maxntid|reqntid)\s+([\d,\s]+)", found[5])
    if threads:
        function.max_threads = 1
        for word in threads[1].split(","):
            function.max_threads *= int(word)
    return function


def parse(text):
    """A Module. Comments become blanks, so that lines keep their numbers."""
    text = _COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)
    module = Module("", {}, {})
    at = 0
    header = re.compile(r"\s*\.(version|address_size|target)\s+([^\n]*)")
    while text[at:].strip():
        found = header.match(text, at)
        if found:
            if found[1] == "target":
                module.target = found[2].strip()
            at = found.end()
            continue
        at += len(text[at:]) - len(text[at:].lstrip())
        found = _FUNCTION.match(text, at)
        if not found:
            end = text.index(";", at)
            variable = parse_variable(" ".join(text[at:end].split()))
            module.variables[variable.name] = variable
            at = end + 1
            continue
        at = found.end()
        if text[at] == ";":
            at += 1
            continue
        function = _function(found)
        end = _matching_brace(text, at)
        _Body(function, text[at + 1:end], text.count("\n", 0, at + 1) + 1).parse()
        module.functions[function.name] = function
        at = end + 1
    return module
