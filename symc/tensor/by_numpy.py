"""Elementwise functions that NumPy computes on every device: common divisors and multiples, the next float."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.errors import DTypeError, located
from symc.graph import Variable
from symc.graph.dtypes import is_complex, is_float
from symc.graph.gradient_flow import ZERO
from symc.graph.op import Arg, Case, HostCall, Op, Record, record
from symc.tensor.basic import as_tensor
from symc.tensor.pointwise import Elementwise, infer_elementwise

__all__ = ["gcd", "lcm", "nextafter"]


def _computed(name: str, function: Callable[..., Any], grad: Any, cases: Callable[[], list[Case]]) -> Record:
    def numpy(op: Op, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.asarray(function(x, y), x.dtype)

    return record(name, infer=infer_elementwise, numpy=numpy, grad=grad, lower=HostCall(), cases=cases)


def _constant(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    return [ZERO, ZERO]


def _of_first(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    return [gs[0], ZERO]


_WHOLE = (Arg((3, 4), "int64", -30, 30), Arg((4,), "int64", -30, 30))
_GCD = _computed("gcd", np.gcd, _constant, lambda: [Case(gcd, _WHOLE, np.gcd, grad=False)])
_LCM = _computed("lcm", np.lcm, _constant, lambda: [Case(lcm, _WHOLE, np.lcm, grad=False)])
_NEXT = _computed(
    "nextafter",
    np.nextafter,
    _of_first,
    lambda: [Case(nextafter, (Arg((3, 4)), Arg((4,))), lambda x, y: np.where(x == y, y, x))],
)

_common_divisor = Elementwise(Op(_GCD), "arithmetic", False, ["x", "y"], False)
_common_multiple = Elementwise(Op(_LCM), "arithmetic", False, ["x", "y"], False)


def _of_integers(function: Elementwise, x: Any, y: Any) -> Variable:
    operands = [as_tensor(x), as_tensor(y)]
    for v in operands:
        if is_float(v.dtype) or is_complex(v.dtype):
            text = f"{function.name}: works on integers, got {v.dtype}"
            raise DTypeError(located(text, operands, "cast to integers"))
    return function(*operands)


def gcd(x: Any, y: Any) -> Variable:
    """The greatest common divisor of integers, elementwise; never negative, 0 for 0 and 0."""
    return _of_integers(_common_divisor, x, y)


def lcm(x: Any, y: Any) -> Variable:
    """The least common multiple of integers, elementwise; never negative, and wraps around as in NumPy."""
    return _of_integers(_common_multiple, x, y)


nextafter: Elementwise = Elementwise(Op(_NEXT), "float", False, ["x", "y"], False)
"""The float after ``x`` in the direction of ``y``, elementwise. Its derivative is that of ``x``."""
