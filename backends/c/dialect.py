"""The C dialect: C's own syntax, and vector operations."""

from __future__ import annotations

from collections.abc import Mapping

from symc.graph.dtypes import BITS, is_float
from symc_backends.dialect import COMPARE, CTYPE, INFIX, TAG, Dialect, negated

__all__ = ["C", "CTYPE", "LANES", "MASK", "TAG", "vector_call"]

C = Dialect(
    nan={"float32": '__builtin_nanf("")', "float64": '__builtin_nan("")'},
    infinity={"float32": "__builtin_inff()", "float64": "__builtin_inf()"},
)
LANES = "VM_LANES"
"""The number of iterations per vector: as many floats as a register holds, defined by the run-time headers."""
MASK = {dtype: f"i{8 if dtype == 'bool' else BITS[dtype]}" for dtype in TAG}
"""The integer vector type of comparisons of a dtype: lanes of 0 or -1, as wide as those of the operands."""


def vector_call(name: str, args: list[str], dtype: str, tags: Mapping[str, str] = TAG) -> str:
    """Write a vector function of operands of ``dtype``, which is not bool; comparisons return masks."""
    tag = tags[dtype]
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
