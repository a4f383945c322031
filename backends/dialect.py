"""Code generation common to C-like languages: types, constants, functions and scalar expressions.

A ``Dialect`` defines the differences. Arithmetic is written with operators; every other scalar function is a call of
``sx_NAME_TAG`` (extrema, divisions, remainders, with NumPy's rules) or ``sm_NAME_TAG`` (mathematical functions), which
a header of each dialect defines.

Elements of float16 are their bits, in a ``uint16_t``: they are loaded, stored and selected, and converted by
``sx_f32_of_half``, ``sx_half_of_f32`` and ``sx_half_of_f64``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from symc.graph.dtypes import BITS, HALF, is_float, is_integer
from symc.loops.expr import Expr

__all__ = ["COMPARE", "CTYPE", "INFIX", "TAG", "Dialect", "identity"]

CTYPE = {
    "bool": "uint8_t", "int8": "int8_t", "int16": "int16_t", "int32": "int32_t", "int64": "int64_t", "uint8": "uint8_t",
    "uint16": "uint16_t", "uint32": "uint32_t", "uint64": "uint64_t", "float16": "uint16_t", "float32": "float",
    "float64": "double",
}  # fmt: skip
TAG = {
    "bool": "u8", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64",
    "uint8": "u8", "uint16": "u16", "uint32": "u32", "uint64": "u64", "float16": "u16", "float32": "f32",
    "float64": "f64",
}  # fmt: skip
INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "and": "&", "or": "|", "xor": "^", "shl": "<<", "shr": ">>"}
COMPARE = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}


def negated(operand: str) -> str:
    """Write the operand of a minus sign: two minus signs in a row would be a decrement."""
    return f"({operand})" if operand.startswith("-") else operand


@dataclass(frozen=True)
class Dialect:
    """The syntax in which C-like languages differ.

    ``nan`` and ``infinity`` are constants of each float dtype; ``suffix64`` and ``suffix_u64`` end 64-bit constants.
    """

    nan: dict[str, str]
    infinity: dict[str, str]
    suffix64: str = "L"
    suffix_u64: str = "UL"

    def literal(self, value: Any, dtype: str) -> str:
        """Write a number as a constant of exactly that value."""
        if dtype == "bool":
            return "1" if value else "0"
        if is_integer(dtype):
            number = int(value)
            if number == -(2**63):
                return f"(-9223372036854775807{self.suffix64} - 1)"
            suffix = {"int64": self.suffix64, "uint64": self.suffix_u64, "uint32": "U"}.get(dtype, "")
            text = f"{number}{suffix}"
            return f"(({CTYPE[dtype]}){text})" if BITS[dtype] < 32 or number < 0 else text
        with np.errstate(over="ignore"):
            real = float(np.dtype(dtype).type(value))
            if dtype == HALF:
                return f"((uint16_t){int(np.float16(real).view(np.uint16))}U)"
        if math.isnan(real):
            return self.nan[dtype]
        if math.isinf(real):
            return f"(-{self.infinity[dtype]})" if real < 0 else self.infinity[dtype]
        return f"{real.hex()}{'f' if dtype == 'float32' else ''}"

    def call(self, name: str, args: list[str], dtype: str) -> str:
        """Write a scalar function of operands of ``dtype``."""
        ctype, tag = CTYPE[dtype], TAG[dtype]
        if name in COMPARE:
            return f"({args[0]} {COMPARE[name]} {args[1]})"
        if name == "select":
            return f"({args[0]} ? {args[1]} : {args[2]})"
        if dtype == "bool":
            word = {"min": "&", "max": "|", "add": "|", "mul": "&"}.get(name) or INFIX.get(name)
            return f"(!{args[0]})" if name == "not" else f"({args[0]} {word} {args[1]})"
        if name in INFIX:
            text = f"({args[0]} {INFIX[name]} {args[1]})"
            return f"(({ctype}){text})" if is_integer(dtype) and BITS[dtype] < 32 else text
        if name == "neg":
            return f"(({ctype})-{negated(args[0])})"
        if name == "not":
            return f"(({ctype})~{args[0]})"
        if name in ("min", "max", "abs", "floordiv", "mod", "mulhi"):
            return f"sx_{name}_{tag}({', '.join(args)})"
        return f"sm_{name}_{tag}({', '.join(args)})"

    def scalar(self, e: Expr) -> str:
        """Write a scalar expression."""
        if e.op == "const":
            return self.literal(e.value, e.dtype)
        if e.op == "var":
            return str(e.value)
        return self.apply(e, [self.scalar(a) for a in e.args])

    def apply(self, e: Expr, args: list[str]) -> str:
        """Write the expression ``e``, given the texts of its operands."""
        if e.op == "cast" and HALF in (e.dtype, e.args[0].dtype):
            return self._half(args[0], e.args[0].dtype, e.dtype)
        if e.op == "cast":
            return f"({args[0]} != 0)" if e.dtype == "bool" else f"(({CTYPE[e.dtype]}){args[0]})"
        return self.call(e.op, args, e.dtype if e.op == "select" else e.args[0].dtype)

    def _half(self, text: str, source: str, dtype: str) -> str:
        """A conversion from or to float16, between which and other dtypes float32 stands."""
        if source == HALF:
            wide = f"sx_f32_of_half({text})"
            return (
                wide
                if dtype == "float32"
                else f"((uint8_t)({wide} != 0))"
                if dtype == "bool"
                else f"(({CTYPE[dtype]}){wide})"
            )
        return f"sx_half_of_{'f64' if source == 'float64' else 'f32'}({text})"


def identity(op: str, dtype: str) -> Any:
    """The identity of ``Accumulate``'s ``op``."""
    if dtype == "bool":
        return op not in ("or", "max", "add")
    if op in ("add", "or"):
        return 0
    if op == "mul":
        return 1
    if op == "and":
        return -1
    low, high = (-np.inf, np.inf) if is_float(dtype) else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return low if op == "max" else high
