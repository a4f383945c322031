r"""Bessel functions of the first kind, :math:`J_v`, and modified ones, :math:`I_v`, elementwise.

Values come from NumPy in float64 on every device (:mod:`symc.tensor.special.bessel_numbers`). Derivatives by x are
those of NIST DLMF 10.6 and 10.29; those by the order are central differences of eighth order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.graph import Variable
from symc.graph.gradient_flow import Undefined
from symc.graph.op import Arg, Case, HostCall, Op, record
from symc.tensor.pointwise import Elementwise, infer_elementwise
from symc.tensor.special.bessel_numbers import bessel

__all__ = ["i0", "i1", "iv", "j0", "j1", "jv"]


_STEP = 0.01
_DIFFERENCES = {
    0: {0: 1.0},
    1: {k: sign * c for k, c in enumerate((4 / 5, -1 / 5, 4 / 105, -1 / 280), 1) for k, sign in ((k, 1), (-k, -1))},
    2: {0: -205 / 72, **{s * k: c for k, c in enumerate((8 / 5, -1 / 5, 8 / 315, -1 / 560), 1) for s in (1, -1)}},
}
"""Central differences of eighth order, for derivatives by the order of the function."""


def _numpy(op: Op, *operands: np.ndarray) -> np.ndarray:
    x, by_order = operands[-1], op["by_order"]
    order = operands[0].astype("float64") if op["order"] is None else np.asarray(op["order"], "float64")
    total: Any = 0.0
    with np.errstate(all="ignore"):
        for k, weight in _DIFFERENCES[by_order].items():
            total = total + weight * bessel(order + k * _STEP, x, op["modified"])
        return np.asarray(total / _STEP**by_order, x.dtype)


def _grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """Half the function of the order below, minus (modified: plus) that of the order above."""
    x, order = inputs[-1], op["order"]
    if order is None:
        below, above = op(inputs[0] - 1, x), op(inputs[0] + 1, x)
    else:
        below, above = (Op(op.record, **{**op.attrs, "order": order + step})(x) for step in (-1, 1))
    by_x = gs[0] * ((below + above if op["modified"] else below - above) * 0.5)
    if order is not None:
        return [by_x]
    if op["by_order"] == max(_DIFFERENCES):
        return [Undefined("bessel: derivatives by the order are available up to the second one"), by_x]
    return [gs[0] * Op(op.record, **{**op.attrs, "by_order": op["by_order"] + 1})(*inputs), by_x]


def _cases() -> list[Case]:
    def oracle(name: str) -> Callable[..., Any]:
        def of(*operands: np.ndarray) -> Any:
            from scipy import special

            return getattr(special, name)(*(v.astype("float64") for v in operands))

        return of

    values = [0.0, -0.0, 1e-30, -1.5, 40.0, 600.0, np.nan]
    made = []
    for f in (j0, j1, i0, i1):
        made += [
            Case(f, (Arg((3, 4), low=-9, high=9),), oracle(f.__name__)),
            Case(f, (Arg((0, 2)),), oracle(f.__name__), grad=False),
            Case(f, (Arg((7,), values=values),), oracle(f.__name__), grad=False, label="special values"),
        ]
    made.append(Case(j1, (Arg((2,), values=[np.inf, -np.inf]),), np.zeros_like, grad=False, label="limits"))
    for g in (jv, iv):
        orders = Arg((3, 1), values=[[0.0], [2.5], [3.0]])
        made += [
            Case(g, (orders, Arg((3, 4), low=0.2, high=30)), oracle(g.__name__), grad=False),
            Case(g, (Arg((4,), low=0.5, high=3), Arg((4,), low=0.5, high=9)), oracle(g.__name__)),
            Case(
                lambda x, g=g: g(1.5, x),
                (Arg((4,), low=0.5, high=9),),
                lambda x, g=g: oracle(g.__name__)(np.float64(1.5), x),
            ),
        ]
        negative = Arg((4,), values=[-1.0, -0.5, -2.5, -3.0])
        made.append(Case(g, (negative, Arg((4,), low=0.5, high=9)), oracle(g.__name__), grad=False))
    return made


_bessel = record("bessel", infer=infer_elementwise, numpy=_numpy, grad=_grad, lower=HostCall(), cases=_cases)


class _Function(Elementwise):
    """A public elementwise function with a docstring of its own."""

    def __init__(self, name: str, order: int | None, modified: bool, text: str) -> None:
        operands = ["x"] if order is not None else ["v", "x"]
        super().__init__(Op(_bessel, order=order, modified=modified, by_order=0), "float", False, operands, False)
        self.__name__ = name
        self.__doc__ = text

    def __call__(self, *args: Any, dtype: str | None = None, **named: Any) -> Any:
        if named:
            args, named = self._in_order(args, named), {}
        if len(args) == 2 and isinstance(args[0], (int, float)):
            op = Op(_bessel, **{**self.op.attrs, "order": args[0]})
            return Elementwise(op, "float", False, ["x"], False)(args[1], dtype=dtype)
        return super().__call__(*args, dtype=dtype)


_FIRST = "The Bessel function of the first kind"
_MODIFIED = "The modified Bessel function of the first kind"
_OF_ORDER = """ of order ``v``, elementwise: operands ``(v, x)``.

``v`` is a real number, for x < 0 an integer; NaN elsewhere, and where a recurrence in the order would take more than
50,000 steps (orders above that with x above 2 sqrt(v) and below v**2). Derivatives by ``v``, of first and second order,
are central differences of eighth order."""

j0: Elementwise = _Function("j0", 0, False, f"{_FIRST} of order 0, elementwise.")
j1: Elementwise = _Function("j1", 1, False, f"{_FIRST} of order 1, elementwise.")
jv: Elementwise = _Function("jv", None, False, _FIRST + _OF_ORDER)
i0: Elementwise = _Function("i0", 0, True, f"{_MODIFIED} of order 0, elementwise.")
i1: Elementwise = _Function("i1", 1, True, f"{_MODIFIED} of order 1, elementwise.")
iv: Elementwise = _Function("iv", None, True, _MODIFIED + _OF_ORDER)
