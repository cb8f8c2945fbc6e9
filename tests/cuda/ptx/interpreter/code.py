# SPDX-License-Identifier: MIT
"""An entry and the functions it calls, compiled to one list of steps; callees come before their callers."""
from dataclasses import dataclass

import numpy as np

from . import control, instructions, scalars, warp
from .faults import Unsupported
from .operands import Operands


@dataclass
class Step:
    act: object
    control: bool
    guard: object
    negated: bool
    instruction: object
    barrier: object = None


class Code:
    """The steps of an entry, its registers, and the sizes of its windows."""

    def __init__(self, module, entry, variables):
        self.module, self.entry = module, entry
        self.steps, self.starts = [], {}
        self.register_types = []
        self.call_sizes, self.call_slots = [], {}
        self.shared_size = self.local_size = 0
        self.variables = dict(variables)
        for variable in module.variables.values():
            if variable.space == "shared":
                self.variables[variable.name] = self._in_shared(variable)
        self._functions(entry, ())
        self.start = self.starts[entry.name]

    def _in_shared(self, variable):
        self.shared_size = (self.shared_size + variable.align - 1) // variable.align * variable.align
        place = self.shared_size
        self.shared_size += variable.size
        return place

    def _in_local(self, variable):
        self.local_size = (self.local_size + variable.align - 1) // variable.align * variable.align
        place = self.local_size
        self.local_size += variable.size
        return place

    def _functions(self, function, callers):
        """Compiles a function after all that it calls."""
        if function.name in callers:
            raise Unsupported(f"{function.name} calls itself")
        for instruction in function.body:
            if instruction.opcode == "call":
                callee = self._callee(instruction)
                if callee.name not in self.starts:
                    self._functions(callee, (*callers, function.name))
        self._compile(function)

    def _callee(self, instruction):
        name = instruction.operands[1] if instruction.operands[0].startswith("(") else instruction.operands[0]
        if name not in self.module.functions:
            raise Unsupported(instruction.text)
        return self.module.functions[name]

    def _call_slot(self, function, variable):
        self.call_slots[function.name, variable.name] = len(self.call_sizes)
        self.call_sizes.append(variable.size)

    def _symbols(self, function):
        symbols = dict(self.variables)
        if function.entry:
            symbols.update(function.layout()[0])
        for variable in function.variables.values():
            if variable.space == "shared":
                symbols[variable.name] = self._in_shared(variable)
            elif variable.space == "local":
                symbols[variable.name] = self._in_local(variable)
            elif variable.space == "param":
                self._call_slot(function, variable)
            else:
                raise Unsupported(f".{variable.space} {variable.name} in a function")
        if not function.entry:
            for variable in (*function.parameters, *function.results):
                self._call_slot(function, variable)
        return symbols

    def _compile(self, function):
        first = len(self.register_types)
        slots = {name: first + i for i, name in enumerate(function.registers)}
        self.register_types += function.registers.values()
        symbols = self._symbols(function)
        operands = Operands(slots, function.registers, symbols)
        call_space = {name: slot for (owner, name), slot in self.call_slots.items() if owner == function.name}
        places, extra = [], 0
        for i, instruction in enumerate(function.body):
            places.append(len(self.steps) + i + extra)
            extra += instruction.opcode == "call"
        places.append(len(self.steps) + len(function.body) + extra)
        labels = {name: places[at] for name, at in function.labels.items()}
        self.starts[function.name] = len(self.steps)
        for instruction in function.body:
            try:
                self._instruction(function, instruction, operands, call_space, labels)
            except (Unsupported, ValueError, KeyError, IndexError) as error:
                raise Unsupported(f"{function.name}, line {instruction.line}: cannot run `{instruction.text}` "
                                  f"({error})") from error

    def _instruction(self, function, instruction, operands, call_space, labels):
        guard = operands.read(instruction.guard, "pred") if instruction.guard else None
        is_control = control.is_control(instruction)
        if not is_control:
            act = instructions.compile_plain(instruction, operands, call_space)
        else:
            act = self._control(function, instruction, operands, call_space, labels)
        barrier = act if isinstance(act, control.Barrier) else None
        self.steps.append(Step(act, is_control, guard, instruction.negated, instruction, barrier))
        if instruction.opcode == "call":
            receive = control.compile_receive(self._results(instruction, call_space))
            self.steps.append(Step(receive, False, guard, instruction.negated, instruction))

    def _control(self, function, instruction, operands, call_space, labels):
        name = instruction.opcode
        if warp.is_meeting(instruction):
            return control.compile_meeting(instruction, operands)
        if name == "bra":
            return control.compile_branch(labels[instruction.operands[0]])
        if name == "brx":
            table = function.tables[instruction.operands[1]]
            return control.compile_indexed_branch(instruction, operands, [labels[label] for label in table])
        if name == "call":
            return control.compile_call(self.starts[self._callee(instruction).name],
                                        self._arguments(instruction, call_space))
        if name == "ret":
            return control.step_exit if function.entry else control.step_return
        if name == "exit":
            return control.step_exit
        if name in ("trap", "brkpt"):
            return control.step_trap
        return control.Barrier(instruction, operands)

    def _arguments(self, instruction, call_space):
        callee = self._callee(instruction)
        texts = instruction.operands[2 if instruction.operands[0].startswith("(") else 1:]
        names = [n.strip() for n in texts[0][1:-1].split(",")] if texts else []
        names = [n for n in names if n]
        if len(names) != len(callee.parameters):
            raise Unsupported(instruction.text)
        return [(call_space[name], self.call_slots[callee.name, parameter.name])
                for name, parameter in zip(names, callee.parameters)]

    def _results(self, instruction, call_space):
        if not instruction.operands[0].startswith("("):
            return []
        callee = self._callee(instruction)
        names = [n.strip() for n in instruction.operands[0][1:-1].split(",")]
        return [(self.call_slots[callee.name, result.name], call_space[name])
                for name, result in zip(names, callee.results)]

    def register_dtypes(self):
        return [np.dtype(bool) if kind == "pred" else scalars.unsigned(scalars.width(kind))
                for kind in self.register_types]
