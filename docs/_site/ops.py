"""The tables of ops, from their records and from the public functions of ``symc.tensor``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

import symc
import symc.tensor as T
from symc.errors import NullGradError
from symc.graph.dtypes import is_float
from symc.graph.evaluate import evaluate
from symc.graph.op import RECORDS, HostCall, Record
from symc.loops.routines import RoutineCall
from symc.printing import pp
from symc.tensor.pointwise import Elementwise

from .markdown import code, first_line, signature, table

__all__ = ["MODULES", "functions", "page"]

MODULES = {
    "symc.tensor": T,
    "symc.tensor.nnet": T.nnet,
    "symc.tensor.signal.pool": T.signal.pool,
}
"""Modules whose public functions the page lists."""

RUNS_AS = {
    "Pointwise": "loop",
    "Axes": "loop",
    "Indexed": "loop",
    "Reduction": "loop",
    "Loops": "loop",
    "View": "no work",
    "LibraryCall": "library call",
    "HostCall": "NumPy",
    "Structured": "program",
}
LONG = 60
NO_GRADIENT = "-"


def functions() -> Iterator[tuple[str, str, Any]]:
    """Every public function of the modules: the module's name, its own, and the object."""
    for where, module in MODULES.items():
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value) and not inspect.isclass(value) and not inspect.ismodule(value):
                yield where, name, value


def _arguments(record: Record) -> tuple[Any, list[Any]] | None:
    """The first test case of a record that can be differentiated, or the first of all, with variables for it."""
    cases = record.cases()
    if not cases:
        return None
    case = next((c for c in cases if c.grad), cases[0])
    inputs = [
        T.tensor("float32" if a.dtype == "float" else a.dtype, shape=(None,) * len(a.shape), name=name)
        for a, name in zip(case.args, ("x", "y", "z", "u", "v", "w", "p", "q"))
    ]
    return case, inputs


def formula(record: Record) -> str:
    """An application in infix notation, if it has a short one."""
    found = _arguments(record)
    if found is None:
        return ""
    case, inputs = found
    expression = case.build(*inputs)
    if not isinstance(expression, symc.Variable):
        return ""
    text = pp(expression)
    return text if len(text) <= LONG and "\n" not in text else ""


def order_of_gradient(record: Record) -> str:
    """How often an op can be differentiated, tried on its first test case."""
    found = _arguments(record)
    if found is None:
        return "any" if record.grad else NO_GRADIENT
    case, inputs = found
    cost = _scalar(case.build(*inputs))
    wrt = [v for v in inputs if is_float(v.dtype)]
    if cost is None or not wrt or not record.grad and not record.decompose:
        return NO_GRADIENT
    if not case.grad:
        return "zero" if _is_zero(symc.grad(cost, wrt, disconnected_inputs="ignore"), inputs) else "any"
    for order in (NO_GRADIENT, "once"):
        try:
            cost = _scalar(symc.grad(cost, wrt, disconnected_inputs="ignore"))
        except NullGradError:
            return order
    return "any"


def _scalar(values: Any) -> symc.Variable | None:
    """The sum of all squares of the floats among the values."""
    floats = [v for v in (values if isinstance(values, (list, tuple)) else [values]) if is_float(v.dtype)]
    return sum((T.sqr(v).sum() for v in floats[1:]), T.sqr(floats[0]).sum()) if floats else None


def _is_zero(grads: Any, inputs: Any) -> bool:
    """Whether gradients are zero for inputs that are no integers and of which the first is the largest."""
    values = {v: np.full((2,) * v.ndim, 2.7 / (1.3 * k + 1), v.dtype) for k, v in enumerate(inputs)}
    return not any(np.any(array) for array in evaluate(grads, values))


def _public_names() -> dict[str, list[str]]:
    """The public elementwise functions of each record."""
    found: dict[str, list[str]] = {}
    for where, name, value in functions():
        if isinstance(value, Elementwise):
            found.setdefault(value.record.name, []).append(name if where == "symc.tensor" else f"nnet.{name}")
    return found


def elementwise_table() -> str:
    """Public elementwise functions: one row per op."""
    names = _public_names()
    rows = []
    for record in RECORDS.values():
        if record.name in names:
            others = ", ".join(code(n) for n in sorted(names[record.name]))
            rows.append((others, code(formula(record)), order_of_gradient(record), _in_numpy(record)))
    return table(["function", "formula", "gradient", "in NumPy"], rows)


def _in_numpy(record: Record) -> str:
    """The function of NumPy that computes the same, which the docstring names."""
    return "".join(re.findall(r"`numpy\.\w+`", first_line(record.numpy)))


def functions_table(where: str) -> str:
    """The public functions of a module that are not elementwise ops."""
    rows = []
    for module, name, value in functions():
        if module == where and not isinstance(value, Elementwise):
            rows.append((code(f"{name}({signature(value, ('self',))})"), first_line(value)))
    return table(["function", "result"], rows)


def records_table() -> str:
    """Every record: gradient, and how it runs."""
    rows = []
    for record in sorted(RECORDS.values(), key=lambda r: r.name):
        kind = RUNS_AS[type(record.lower).__name__] if record.lower else "other ops"
        if isinstance(record.lower, HostCall) and isinstance(record.lower.native, RoutineCall):
            kind = "a routine on the CPU, else NumPy"
        rows.append((code(record.name), code(formula(record)), order_of_gradient(record), kind))
    return table(["op", "example", "gradient", "runs as"], rows)


def page() -> str:
    """The page of ops."""
    devices = ", ".join(f"`{d}`" for d in ("c", "cuda", "interp"))
    return f"""# Table of ops

Generated from the records of the ops and from the docstrings of the functions. Every op runs on every back end
({devices}).

The gradient of an op is an expression of ops. In the tables, "any" means that it can be differentiated in turn, to
any order, "zero" that the op is constant between its steps, and "-" that there is nothing to differentiate: integers,
conditions, indices, and ops that only appear after differentiation.

## Elementwise functions

Functions of `symc.tensor` that compute every element of their result from the elements at the same place of their
operands. Operands with fewer axes get new ones on the left; an axis known to have length 1 is repeated.

{elementwise_table()}
## Other functions of symc.tensor

{functions_table("symc.tensor")}
## symc.tensor.nnet

{functions_table("symc.tensor.nnet")}
## symc.tensor.signal.pool

{functions_table("symc.tensor.signal.pool")}
## Ops

What the compiler works with. Most are applied by the functions above; names in a printed graph or a profile are
these. "loop" means generated loops, fused with their neighbours where possible; "library call" a kernel of symc's
run-time library, or of cuBLAS and cuDNN; "NumPy" a call of NumPy in the middle of the program; "program" loops or
branches around other ops; "other ops" that the compiler replaces the op by simpler ones. An empty example means that
its formula is too long for the table, or that the op occurs only inside other ops.

{records_table()}"""
