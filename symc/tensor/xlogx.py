"""Products with logarithms that are zero where the first factor is zero, as in entropies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.graph import Variable
from symc.graph.gradient_flow import Choice, Selected
from symc.loops.expr import Expr, call, const, select
from symc.tensor import elementwise as ew
from symc.tensor.pointwise import Elementwise, elementwise

__all__ = ["xlogx", "xlogy0"]


def _body(x: Expr, y: Expr) -> Expr:
    return select(call("eq", x, 0.0), const(0, x.dtype), x * call("log", y))


def _grad(g: Variable, z: Variable, x: Variable, y: Variable) -> Sequence[Any]:
    return g * ew.log(y), Selected(ew.eq(x, 0), g * (x / y), negated=True, choice=Choice.CONDITION)


xlogx: Elementwise = elementwise(
    "xlogx",
    lambda x: _body(x, x),
    lambda x: np.where(x == 0, 0.0, x * np.log(x)),
    lambda g, z, x: (g * (ew.log(x) + 1),),
    domain=(0.1, 3),
)
xlogy0: Elementwise = elementwise(
    "xlogy0", _body, lambda x, y: np.where(x == 0, 0.0, x * np.log(y)), _grad, domain=((0.1, 3), (0.1, 3))
)
