# SPDX-License-Identifier: MIT
"""Which function runs which instruction: one step (machine, lanes) for each that moves no lanes."""
import numpy as np

from . import access, arithmetic, carry, control, conversion, logic, moves, scalars
from .faults import Unsupported

_NOTHING = ("membar", "fence", "prefetch", "prefetchu", "nanosleep")
_FLOAT = ("add", "sub", "mul", "fma", "mad", "div", "rcp", "sqrt", "rsqrt", "min", "max", "neg", "abs", "copysign",
          "ex2", "lg2", "sin", "cos", "tanh")
_INTEGER = ("add", "sub", "mul", "mad", "div", "rem", "min", "max", "neg", "abs", "sad")


def _simple(function, readers, write):
    """A function of the operands' values."""
    if len(readers) == 1:
        one, = readers
        return lambda m, lanes: write(m, lanes, function(one(m, lanes)))
    if len(readers) == 2:
        one, two = readers
        return lambda m, lanes: write(m, lanes, function(one(m, lanes), two(m, lanes)))
    return lambda m, lanes: write(m, lanes, function(*(r(m, lanes) for r in readers)))


def _compile(instruction, operands, function, kinds, result):
    """`kinds`: of the sources."""
    texts = instruction.operands
    if len(texts) != len(kinds) + 1:
        raise Unsupported(instruction.text)
    readers = [operands.read(text, kind) for text, kind in zip(texts[1:], kinds)]
    return _simple(function, readers, operands.write(texts[0], result))


def _compile_arithmetic(instruction, operands):
    kind = control.check_type(instruction)
    count = len(instruction.operands) - 1
    if instruction.opcode == "rsqrt" or (scalars.is_float(kind) and instruction.opcode in _FLOAT):
        return _compile(instruction, operands, arithmetic.compile_float(instruction, kind), [kind] * count, kind)
    if instruction.opcode not in _INTEGER or scalars.is_float(kind):
        raise Unsupported(instruction.text)
    function, result = arithmetic.compile_integer(instruction, kind)
    kinds = [kind] * count
    if instruction.opcode in ("mad", "sad") and count == 3:
        kinds[2] = result
    return _compile(instruction, operands, function, kinds, result)


def _compile_bits(instruction, operands):
    kind, name = control.check_type(instruction), instruction.opcode
    plain = {"popc": logic.ones, "clz": logic.leading_zeros, "brev": logic.reverse_bits}
    if name in logic.BITWISE:
        count = 1 if name in ("not", "cnot") else 2
        return _compile(instruction, operands, logic.BITWISE[name], [kind] * count, kind)
    if name in plain:
        return _compile(instruction, operands, plain[name], [kind], "u32" if name != "brev" else kind)
    if name in ("shl", "shr"):
        function = logic.shift_left if name == "shl" else logic.shift_right
        return _compile(instruction, operands, function, [kind, "u32"], kind)
    if name == "bfe":
        return _compile(instruction, operands, logic.extract_field, [kind, "u32", "u32"], kind)
    if name == "bfi":
        return _compile(instruction, operands, logic.insert_field, [kind, kind, "u32", "u32"], kind)
    if name == "bfind":
        shift = "shiftamt" in instruction.modifiers
        return _compile(instruction, operands, lambda a: logic.highest_bit(np.atleast_1d(a), shift), [kind], "u32")
    return _compile_words(instruction, operands)


def _compile_words(instruction, operands):
    """Operations of 32-bit words only."""
    name, words = instruction.opcode, instruction.modifiers
    if name == "prmt" and words == ["b32"]:
        return _compile(instruction, operands, logic.permute_bytes, ["b32"] * 3, "b32")
    if name == "lop3" and words == ["b32"]:
        return _compile(instruction, operands, logic.any_logic, ["b32"] * 4, "b32")
    if name == "shf" and words[0] in "lr" and words[1] in ("wrap", "clamp"):
        return _compile(instruction, operands,
                        lambda low, high, n: logic.funnel_shift(low, high, n, words[0] == "l", words[1] == "wrap"),
                        ["b32", "b32", "u32"], "b32")
    raise Unsupported(instruction.text)


def _ftz(function, instruction, kind):
    if "ftz" not in instruction.modifiers or kind != "f32":
        return function
    return lambda a, b: function(arithmetic.flush(a), arithmetic.flush(b))


def _compile_setp(instruction, operands):
    """setp.CMP[.BOOL][.ftz].TYPE p[|q], a, b[, c]"""
    kind, words = control.check_type(instruction), [w for w in instruction.modifiers[:-1] if w != "ftz"]
    if len(words) > 2 or len(instruction.operands) != len(words) + 2:
        raise Unsupported(instruction.text)
    compare = _ftz(logic.comparison(words[0], kind, instruction.text), instruction, kind)
    a, b = (operands.read(text, kind) for text in instruction.operands[1:3])
    first, _, second = instruction.operands[0].partition("|")
    write = operands.write(first, "pred")
    write_second = operands.write(second, "pred") if second else None
    combine = logic.BITWISE[words[1]] if len(words) == 2 and words[1] in ("and", "or", "xor") else None
    if len(words) == 2 and combine is None:
        raise Unsupported(instruction.text)
    c = operands.read(instruction.operands[3], "pred") if combine else None

    def step(m, lanes):
        result = compare(a(m, lanes), b(m, lanes))
        other = ~result
        if combine:
            extra = c(m, lanes)
            result, other = combine(result, extra), combine(other, extra)
        write(m, lanes, result)
        if write_second:
            write_second(m, lanes, other)
    return step


def _compile_set(instruction, operands):
    """set.CMP[.ftz].RESULT.SOURCE: all ones, or 1.0"""
    kind, result = instruction.modifiers[-1], instruction.modifiers[-2]
    words = [w for w in instruction.modifiers[:-2] if w != "ftz"]
    if len(words) != 1 or result not in ("u32", "s32", "b32", "f32"):
        raise Unsupported(instruction.text)
    compare = _ftz(logic.comparison(words[0], kind, instruction.text), instruction, kind)
    true = np.float32(1) if result == "f32" else scalars.immediate("-1", result)
    return _compile(instruction, operands, lambda a, b: np.where(compare(a, b), true, true.dtype.type(0)),
                    [kind, kind], result)


def _compile_choice(instruction, operands):
    kind = control.check_type(instruction)
    if instruction.opcode == "selp":
        return _compile(instruction, operands, lambda a, b, p: np.where(p, a, b), [kind, kind, "pred"], kind)
    if instruction.opcode == "slct":
        kind, source = instruction.modifiers[-2:]
        return _compile(instruction, operands, lambda a, b, c: np.where(c >= 0, a, b), [kind, kind, source], kind)
    return _compile(instruction, operands, logic.tested(instruction.modifiers[0], instruction.text), [kind], "pred")


def compile_plain(instruction, operands, call_space):
    """The step of an instruction that is not one of control's."""
    name = instruction.opcode
    if name in _NOTHING:
        return lambda m, lanes: None
    if carry.uses_carry(instruction):
        return carry.compile_carry(instruction, operands)
    special = {
        "mov": moves.compile_mov, "cvta": moves.compile_cvta, "isspacep": moves.compile_isspacep,
        "cvt": conversion.compile_cvt, "setp": _compile_setp, "set": _compile_set, "selp": _compile_choice,
        "slct": _compile_choice, "testp": _compile_choice, "atom": access.compile_atomic, "red": access.compile_atomic,
    }
    if name in special:
        return special[name](instruction, operands)
    if name == "ld":
        return access.compile_load(instruction, operands, call_space)
    if name == "st":
        return access.compile_store(instruction, operands, call_space)
    if name == "activemask":
        return control.step_active_mask(operands.write(instruction.operands[0], "b32"))
    if name in _FLOAT or name in _INTEGER or name == "rsqrt":
        return _compile_arithmetic(instruction, operands)
    return _compile_bits(instruction, operands)
