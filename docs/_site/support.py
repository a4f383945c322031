"""The table of support: every op by back end, dtype and order of differentiation.

Nothing in it is written by hand. How an op runs follows from its record; which dtypes it takes, and what it says to the
others, from building its first test case with variables of each dtype; how often it can be differentiated, from doing
so. ``python -m _site.support``, run in ``docs``, writes ``docs/ops.md``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import symc
import symc.tensor as T
from symc.errors import SymcError
from symc.graph.dtypes import ALL, BRAIN, COMPLEX, is_float
from symc.graph.op import RECORDS, Case, HostCall, Record
from symc.graph.traversal import ancestors, graph_inputs
from symc.loops.routines import RoutineCall
from symc.tensor.complex_numbers.matrices import of_complex_matrices

from .markdown import code, table
from .ops import RUNS_AS, order_of_gradient

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).resolve().parents[1] / "ops.md"

COLUMNS = {
    "bool": ("bool",),
    "int": ("int8", "int16", "int32", "int64"),
    "uint": ("uint8", "uint16", "uint32", "uint64"),
    "f16": ("float16",),
    "bf16": ("bfloat16",),
    "f32": ("float32",),
    "f64": ("float64",),
    "complex": ("complex64", "complex128"),
}
"""The columns of dtypes; those that symc does not have are left out."""

GRADIENT = {"any": "any order", "once": "first order", "zero": "zero (constant between its steps)"}
CODE = {
    "loop": ("loop", "loop", "loop"),
    "no work": ("no work", "no work", "no work"),
    "library call": ("NumPy", "kernel", "kernel"),
    "NumPy": ("NumPy", "NumPy", "NumPy, on the host"),
    "program": ("program", "program", "program"),
}
"""By how an op runs, what it is in the interpreter, in C and in CUDA."""
INTERNAL = "made by the compiler from other ops, whose dtypes it takes; (x): not met in their test cases"
OF_COMPLEX = "made from ops on complex matrices, whose parts are float32 or float64"
ONLY_GRADIENTS = "made by gradients, which are floats"


def _columns() -> dict[str, tuple[str, ...]]:
    return {name: dtypes for name, dtypes in COLUMNS.items() if all(d in (*ALL, BRAIN, *COMPLEX) for d in dtypes)}


def _case(record: Record) -> Case | None:
    """The case that is tried: the first that can be differentiated, else the first."""
    cases = record.cases()
    return next((c for c in cases if c.grad), cases[0] if cases else None)


def _varied(case: Case) -> str:
    """The dtype of a case's arguments that is varied: floats, else that of the first argument."""
    kinds = [a.dtype for a in case.args]
    return "float" if "float" in kinds or not kinds else kinds[0]


def _build(case: Case, dtype: str) -> list[symc.Variable]:
    """The graph of a case with variables of a dtype."""
    varied = _varied(case)
    made = [
        T.tensor(dtype if a.dtype == varied else a.dtype, shape=tuple(1 if n == 1 else None for n in a.shape))
        for a in case.args
    ]
    found = case.build(*made)
    return [v for v in (found if isinstance(found, (list, tuple)) else [found]) if isinstance(v, symc.Variable)]


def _objection(case: Case, dtype: str) -> str:
    """What symc says against a dtype; empty if it takes it."""
    try:
        _build(case, dtype)
    except (SymcError, TypeError) as problem:
        text = re.sub(r"\s+", " ", str(problem).partition("\n")[0])
        if "not defined for complex numbers" in text:
            return "not defined for complex numbers"
        return ONLY_GRADIENTS if text.startswith("grad:") else text.replace(dtype, "this dtype")
    return ""


def _applied(outputs: Sequence[symc.Variable]) -> Iterator[tuple[str, str]]:
    """The records that a graph applies, each with a dtype of an operand or result; bodies included."""
    for variable in ancestors(outputs):
        node = variable.owner
        if node is None:
            continue
        for value in (*node.inputs, *node.outputs):
            yield node.op.name, value.dtype
        for attribute in node.op.record.bodies:
            yield from _applied(node.op[attribute].outputs)


def _with_gradients(case: Case, dtype: str) -> list[symc.Variable]:
    """The graph of a case, and its gradient where there is one."""
    outputs = _build(case, dtype)
    floats = [v for v in outputs if v.dtype in ("float32", "float64")]
    wrt = [v for v in graph_inputs(floats) if v.dtype == dtype and not isinstance(v, symc.Constant)]
    if case.grad and wrt and is_float(dtype):
        outputs += symc.grad(sum(T.sum(v) for v in floats), wrt, disconnected_inputs="ignore")
    return outputs


@cache
def _inside() -> dict[str, set[str]]:
    """The dtypes with which ops occur inside the cases of other ops and their gradients."""
    seen: dict[str, set[str]] = {}
    for record in RECORDS.values():
        for case in record.cases():
            for dtypes in _columns().values():
                try:
                    for name, dtype in _applied(_with_gradients(case, dtypes[-1])):
                        seen.setdefault(name, set()).add(dtype)
                except (SymcError, TypeError):
                    continue
    return seen


def _marks(record: Record) -> tuple[dict[str, str], list[str]]:
    """A mark per column of dtypes, and what the empty ones mean."""
    case, marks, reasons = _case(record), {}, []
    if of_complex_matrices(record) and case is not None:
        return {name: "x" if name in ("f32", "f64", "complex") else "" for name in _columns()}, [OF_COMPLEX]
    for column, dtypes in _columns().items():
        if case is None and column in ("bf16", "complex"):
            marks[column] = {"bf16": "f32", "complex": "parts"}[column]
            continue
        if case is None:
            marks[column] = "x" if _inside().get(record.name, set()) & set(dtypes) else "(x)"
            reasons.append(INTERNAL)
            continue
        objections = [text for text in (_objection(case, d) for d in dtypes) if text]
        marks[column] = "" if objections else "x"
        reasons += objections
    return marks, list(dict.fromkeys(reasons))


def _row(record: Record, number: Callable[[str], int]) -> list[str]:
    kind = RUNS_AS[type(record.lower).__name__] if record.lower else None
    ways = CODE[kind] if kind else ("other ops",) * 3
    if isinstance(record.lower, HostCall) and isinstance(record.lower.native, RoutineCall):
        ways = (ways[0], "routine", ways[2])
    marks, reasons = _marks(record)
    order = GRADIENT.get(order_of_gradient(record), "none") if record.cases() else "that of the op"
    notes = ", ".join(f"[{number(text)}]" for text in reasons)
    return [code(record.name), *ways, *marks.values(), order, notes]


def page() -> str:
    """The page, in Markdown."""
    numbers: dict[str, int] = {}
    rows = [
        _row(record, lambda text: numbers.setdefault(text, len(numbers) + 1))
        for record in sorted(RECORDS.values(), key=lambda r: r.name)
    ]
    head = ["op", "interpreter", "C", "CUDA", *_columns(), "gradient", "notes"]
    notes = "\n".join(f"{k}. {text}" for text, k in numbers.items())
    return f"""# Ops by back end, dtype and gradient

Written by `python -m _site.support`, run in `docs`, from the records of the ops; a test compares it with them. Public
functions that are not in the table are compositions of these ops: the [table of functions](generated/ops.md) lists
them.

- *Back ends*: "loop": loops generated for the op and fused with its neighbours; "kernel": a function of symc's run-time
  library (or of cuBLAS and cuDNN); "routine": LAPACK or symc's own code for it, called from the compiled program, and
  NumPy where it is absent; "NumPy": a call of NumPy in the middle of the program, on the GPU with a copy to the host
  and back; "other ops": replaced by ops of this table; "program": loops or branches around other ops; "no work": the
  same memory under another shape.
- *Dtypes*: "x": accepted, for all widths of the column. Functions of real numbers compute integers in a float dtype,
  float16 and bfloat16 are stored, and computed in float32. Ops on complex numbers become ops on their real and
  imaginary parts; "parts", "f32": an op that the compiler makes, which sees the parts, or float32, only.
- *Gradient*: "any order": the gradient can be differentiated in turn; "none": integers, conditions, indices, and ops
  that only appear after differentiation. "that of the op": the compiler replaces other ops by this one, after
  differentiation.

{table(head, rows)}
Notes:

{notes}
"""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
