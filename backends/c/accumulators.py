"""Accumulators of ``simd`` loops: the vectors in which the terms for one element meet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from symc.graph.dtypes import BITS
from symc.loops.expr import Expr, cast
from symc.loops.ir import SUM_TERMS, Accumulate
from symc_backends.c.dialect import CTYPE, TAG, C, vector_call
from symc_backends.dialect import identity

__all__ = ["Register", "combine", "in_pieces", "is_any", "is_narrow", "vector_identity"]

FEWEST_LANES = 4
"""The number of lanes of the narrowest registers."""


def in_pieces(op: str, dtype: str) -> bool:
    """Whether an accumulator of this dtype is wider than a register, and the combination supports pieces."""
    return dtype != "bool" and BITS[dtype] == 64 and op in ("add", "mul", "min", "max")


def is_any(op: str) -> bool:
    """Whether the combination is "any" on bools; else it is "all"."""
    return op in ("or", "max", "add")


NARROW = ("bool", "int8", "uint8", "int16", "uint16")
NARROW_TERMS = 4096
"""The number of terms of these dtypes that a lane of int32 sums; those of all vectors together do not overflow."""


def is_narrow(s: Accumulate) -> bool:
    """Whether a sum in 64 bits has terms of few bits, so that many of them fit into int32."""
    e = s.value
    return s.op == "add" and e.op == "cast" and e.dtype in ("int64", "uint64") and e.args[0].dtype in NARROW


def combine(op: str, dtype: str, a: str, b: str, tags: Mapping[str, str] = TAG) -> str:
    """Combine two vectors lane by lane; bools are masks."""
    if dtype == "bool":
        return f"({a} {'|' if is_any(op) else '&'} {b})"
    return vector_call(op, [a, b], dtype, tags)


def vector_identity(op: str, dtype: str) -> str:
    """The identity of a combination; for bools, as a lane of a mask."""
    if dtype == "bool":
        return "0" if is_any(op) else "-1"
    return C.literal(identity(op, dtype), dtype)


class Register:
    """The accumulators of a simd loop for one element: a vector per copy of the loop's body.

    Sums of floats also have a ``total``, to which the vectors are added, and then reset, before rounding errors
    accumulate over too many terms. So do sums in 64 bits of integers of up to 16 bits: their vectors are of int32.
    """

    def __init__(self, statement: Accumulate, name: str, dtype: str, copies: int, extent: Expr) -> None:
        self.result = dtype
        if is_narrow(statement):
            dtype = "int32"
            statement = replace(statement, value=cast(statement.value.args[0], dtype))
        self.statement = statement
        self.dtype = dtype
        self.names = [f"{name}_{u}" for u in range(copies)]
        self.terms = NARROW_TERMS if dtype != self.result else SUM_TERMS.get(dtype, 0)
        few = extent.op == "const" and extent.value <= self.terms * copies * FEWEST_LANES
        self.total = f"{name}_total" if statement.op == "add" and self.terms and not few else ""
        self.pieces = in_pieces(statement.op, dtype)
        self.tag = "i8" if dtype == "bool" else TAG[dtype]
        self.first = vector_identity(statement.op, dtype)

    def declared(self) -> list[str]:
        """The declarations of the vectors and of the total."""
        lines = [" ".join(self._begun(name, new=True) for name in self.names)]
        return [f"{'int64_t' if self.is_narrow else 'double'} {self.total} = 0;", *lines] if self.total else lines

    def widened(self, mask: str, tag: str) -> list[str]:
        """The declarations of vectors of more lanes, of type ``tag`` or, of bools, ``mask``."""
        kind = mask if self.dtype == "bool" else tag
        return [f"v_{kind} {name}_wide = vset1_{kind}({self.first});" for name in self.names]

    def narrowed(self, mask: str, tag: str) -> list[str]:
        """Combine the vectors of more lanes with those of as many as usual."""
        op, kind = self.statement.op, tag
        if self.dtype == "bool":
            op, kind = "or" if is_any(op) else "and", mask
        parts = [(name, f"vfold_{op}_{kind}({name}_wide)") for name in self.names]
        return [f"{name} = {combine(self.statement.op, self.dtype, name, text)};" for name, text in parts]

    def flushed(self) -> list[str]:
        """Add the vectors to the total and reset them."""
        return [f"{self.total} += {self._combined()};", " ".join(self._begun(name) for name in self.names)]

    def _begun(self, name: str, new: bool = False) -> str:
        """Give a vector the value without terms; a ``new`` one is declared."""
        if self.pieces:
            return f"VM_{'ACCUMULATE' if new else 'REFILL'}({self.tag}, {name}, {self.first});"
        return f"{f'v_{self.tag} ' if new else ''}{name} = vset1_{self.tag}({self.first});"

    def finished(self, target: str) -> str:
        """Combine all accumulators with the element ``target``."""
        if self.is_narrow:
            return f"{target} += {self.total or '0'} + {self._combined()};"
        if self.total:
            ctype = CTYPE[self.dtype]
            wide = f"({ctype})({target} + ({self.total} + sum))"
            return f"{{ const {ctype} sum = {self._combined()}; {target} = end > most ? {wide} : {target} + sum; }}"
        op = self.statement.op
        if self.dtype == "bool":
            op = "or" if is_any(op) else "and"
        return f"{target} = {C.call(op, [target, self._combined()], self.dtype)};"

    def _combined(self) -> str:
        """Combine all lanes of all vectors to one scalar."""
        op, dtype = self.statement.op, self.dtype
        parts = self.names
        if self.pieces:
            steps = []
            while len(parts) > 1:
                steps += [f"VM_MEET({op}, {self.tag}, {a}, {b})" for a, b in zip(parts[::2], parts[1::2])]
                parts = parts[::2]
            return f"({', '.join([*steps, f'VM_TOTAL({op}, {self.tag}, {parts[0]})'])})"
        while len(parts) > 1:
            parts = [combine(op, dtype, a, b) for a, b in zip(parts[::2], parts[1::2])]  # a power of two of them
        if dtype == "bool":
            return f"vreduce_{'max' if is_any(op) else 'min'}_u8((v_u8)({parts[0]} & 1))"
        if self.is_narrow:
            return f"vreduce_add_i64(vcast_i32_i64({parts[0]}))"
        return f"vreduce_{op}_{self.tag}({parts[0]})"

    @property
    def is_narrow(self) -> bool:
        """Whether the vectors are narrower than the result."""
        return self.dtype != self.result
