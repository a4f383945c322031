"""The C dialect: how each type, function and vector operation of the loop IR is written in C."""

from __future__ import annotations

import math
from typing import Any

from symc.dtypes import BITS, is_float, is_integer

__all__ = ["CTYPE", "LANES", "MASK", "TAG", "literal", "scalar_call", "vector_call"]

LANES = 16
CTYPE = {
    "bool": "uint8_t", "int8": "int8_t", "int16": "int16_t", "int32": "int32_t", "int64": "int64_t", "uint8": "uint8_t",
    "uint16": "uint16_t", "uint32": "uint32_t", "uint64": "uint64_t", "float32": "float", "float64": "double",
}  # fmt: skip
TAG = {
    "bool": "u8", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64",
    "uint8": "u8", "uint16": "u16", "uint32": "u32", "uint64": "u64", "float32": "f32", "float64": "f64",
}  # fmt: skip
MASK = {dtype: f"i{8 if dtype == 'bool' else BITS[dtype]}" for dtype in TAG}
"""The integer vector that holds a comparison's result for operands of a dtype: lanes of 0 or -1, as wide as theirs."""

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "and": "&", "or": "|", "xor": "^", "shl": "<<", "shr": ">>"}
_COMPARE = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}


def literal(value: Any, dtype: str) -> str:
    """A number as a C constant of exactly that value."""
    if dtype == "bool":
        return "1" if value else "0"
    if is_integer(dtype):
        number = int(value)
        if number == -(2**63):
            return "(-9223372036854775807L - 1)"
        suffix = {"int64": "L", "uint64": "UL", "uint32": "U"}.get(dtype, "")
        text = f"{number}{suffix}"
        return f"(({CTYPE[dtype]}){text})" if BITS[dtype] < 32 or number < 0 else text
    number = float(value)
    if math.isnan(number):
        return '__builtin_nanf("")' if dtype == "float32" else '__builtin_nan("")'
    if math.isinf(number):
        sign = "-" if number < 0 else ""
        return f"({sign}__builtin_inff())" if dtype == "float32" else f"({sign}__builtin_inf())"
    return f"{number.hex()}{'f' if dtype == 'float32' else ''}"


def scalar_call(name: str, args: list[str], dtype: str) -> str:
    """A scalar function of operands of ``dtype``."""
    ctype, tag = CTYPE[dtype], TAG[dtype]
    if name in _COMPARE:
        return f"({args[0]} {_COMPARE[name]} {args[1]})"
    if name == "select":
        return f"({args[0]} ? {args[1]} : {args[2]})"
    if dtype == "bool":
        word = {"min": "&", "max": "|", "add": "|", "mul": "&"}.get(name) or _INFIX.get(name)
        return f"(!{args[0]})" if name == "not" else f"({args[0]} {word} {args[1]})"
    if name in _INFIX:
        text = f"({args[0]} {_INFIX[name]} {args[1]})"
        return f"(({ctype}){text})" if is_integer(dtype) and BITS[dtype] < 32 else text
    if name == "neg":
        return f"(({ctype})-{args[0]})"
    if name == "not":
        return f"(({ctype})~{args[0]})"
    if name in ("min", "max", "abs", "floordiv", "mod", "mulhi"):
        return f"sx_{name}_{tag}({', '.join(args)})"
    return f"sm_{name}_{tag}({', '.join(args)})"


def vector_call(name: str, args: list[str], dtype: str) -> str:
    """A vector function of operands of ``dtype``, which is not bool; comparisons give masks."""
    tag = TAG[dtype]
    if name in _COMPARE:
        return f"v{name}_{tag}({args[0]}, {args[1]})"
    if name in _INFIX:
        return f"({args[0]} {_INFIX[name]} {args[1]})"
    if name == "neg":
        return f"(-{args[0]})"
    if name == "not":
        return f"(~{args[0]})"
    if name in ("min", "max"):
        return f"v{name}_{tag}({args[0]}, {args[1]})"
    if name in ("floordiv", "mod", "mulhi") or name == "abs" and not is_float(dtype):
        return f"vx_{name}_{tag}({', '.join(args)})"
    return f"vm_{name}_{tag}({', '.join(args)})"
