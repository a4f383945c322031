"""The C dialect: what C writes in its own way, and how it writes vector operations."""

from __future__ import annotations

from symc.graph.dtypes import BITS, is_float
from symc_backends.dialect import COMPARE, CTYPE, INFIX, TAG, Dialect, negated

__all__ = ["C", "CTYPE", "LANES", "MASK", "TAG", "vector_call"]

C = Dialect(
    nan={"float32": '__builtin_nanf("")', "float64": '__builtin_nan("")'},
    infinity={"float32": "__builtin_inff()", "float64": "__builtin_inf()"},
)
LANES = "VM_LANES"
"""Iterations that vector code makes at once: as many floats as a register holds, which the run-time's headers know."""
MASK = {dtype: f"i{8 if dtype == 'bool' else BITS[dtype]}" for dtype in TAG}
"""The integer vector that holds a comparison's result for operands of a dtype: lanes of 0 or -1, as wide as theirs."""


def vector_call(name: str, args: list[str], dtype: str) -> str:
    """A vector function of operands of ``dtype``, which is not bool; comparisons give masks."""
    tag = TAG[dtype]
    if name in COMPARE:
        return f"v{name}_{tag}({args[0]}, {args[1]})"
    if name in INFIX:
        return f"({args[0]} {INFIX[name]} {args[1]})"
    if name == "neg":
        return f"(-{negated(args[0])})"
    if name == "not":
        return f"(~{args[0]})"
    if name in ("min", "max"):
        return f"v{name}_{tag}({args[0]}, {args[1]})"
    if name in ("floordiv", "mod", "mulhi") or name == "abs" and not is_float(dtype):
        return f"vx_{name}_{tag}({', '.join(args)})"
    return f"vm_{name}_{tag}({', '.join(args)})"
