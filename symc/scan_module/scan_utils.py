"""Comparison of expressions, under Theano's module name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symc.graph import Constant, Variable, toposort
from symc.tensor.scans.arguments import until

__all__ = ["equal_computations", "until"]


def equal_computations(
    xs: Sequence[Variable],
    ys: Sequence[Variable],
    in_xs: Sequence[Variable] | None = None,
    in_ys: Sequence[Variable] | None = None,
) -> bool:
    """Whether ``xs`` are computed as ``ys`` are, if ``in_xs`` stand for ``in_ys``.

    Parameters
    ----------
    xs, ys : sequence of Variable
    in_xs, in_ys : sequence of Variable, optional
        Variables that correspond to one another. All other inputs must be the same variables, or equal constants.

    Returns
    -------
    bool
        True if both are the same ops with the same attributes, applied to the same operands in the same order. False
        does not mean that the values differ.
    """
    in_xs, in_ys = list(in_xs or ()), list(in_ys or ())
    if len(xs) != len(ys) or len(in_xs) != len(in_ys):
        return False
    if any(not _alike(a, b) for a, b in zip([*xs, *in_xs], [*ys, *in_ys])):
        return False
    numbers: dict[Any, int] = {}
    return _numbered(xs, in_xs, numbers) == _numbered(ys, in_ys, numbers)


def _alike(a: Variable, b: Variable) -> bool:
    return a.dtype == b.dtype and a.broadcastable == b.broadcastable


def _numbered(outputs: Sequence[Variable], inputs: Sequence[Variable], numbers: dict[Any, int]) -> list[int]:
    """One number per output; equal computations have equal numbers, which ``numbers`` assigns."""
    known = {v: numbers.setdefault(("input", k), len(numbers)) for k, v in enumerate(inputs)}

    def number(v: Variable) -> int:
        if v not in known:
            key: Any = v
            if isinstance(v, Constant):
                key = (v.data.dtype.str, v.data.shape, v.data.tobytes())
            known[v] = numbers.setdefault(key, len(numbers))
        return known[v]

    for node in toposort(outputs, frozenset(inputs)):
        operands = tuple(map(number, node.inputs))
        for k, v in enumerate(node.outputs):
            known[v] = numbers.setdefault((node.op, operands, k), len(numbers))
    return [number(v) for v in outputs]
