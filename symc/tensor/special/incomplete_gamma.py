"""The incomplete gamma functions, elementwise, and functions of the chi-squared distribution.

Values and derivatives of first and second order by both operands come from
:mod:`symc.tensor.special.gamma_integrals`, which computes them with NumPy in float64 on every device.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from symc.graph import Variable
from symc.graph.gradient_flow import Undefined
from symc.graph.op import Arg, Case, HostCall, Op, Record, record
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor
from symc.tensor.pointwise import Elementwise, infer_elementwise
from symc.tensor.special.gamma_functions import gamma
from symc.tensor.special.gamma_integrals import density, regularised

__all__ = ["chi2sf", "gammainc", "gammaincc", "gammal", "gammau"]

_MOST = 2
"""The highest order of derivatives by ``k``."""


def _of_dtype(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.asarray(values, like.dtype)


def _density_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """``x**(k - 1) exp(-x) / gamma(k)``, whose derivative by x is the density for k - 1 minus that for k."""
    k, x = inputs
    order = op["order"]
    by_k = gs[0] * Op(_density, order=order + 1)(k, x) if order < _MOST else _too_high("gamma_density")
    return [by_k, gs[0] * (op(k - 1, x) - outputs[0])]


def _too_high(name: str) -> Undefined:
    return Undefined(f"{name}: derivatives by k are available up to the second order")


def _by_formula(order: int, k: np.ndarray, x: np.ndarray) -> Any:
    from scipy import special

    k, x = k.astype("float64"), x.astype("float64")
    found = x ** (k - 1) * np.exp(-x) * special.rgamma(k)
    return found * (np.log(x) - special.psi(k)) if order else found


_density: Record = record(
    "gamma_density",
    infer=infer_elementwise,
    numpy=lambda op, k, x: _of_dtype(density(k, x, op["order"]), x),
    grad=_density_grad,
    lower=HostCall(),
    cases=lambda: [
        Case(
            Op(_density, order=order),
            (Arg((3, 4), low=low, high=high), Arg((3, 4), low=0.2, high=8)),
            partial(_by_formula, order),
            grad=order == 0,
        )
        for order, low, high in ((0, 0.3, 6), (0, -1.9, -0.1), (1, 0.3, 6))
    ],
)


def _incomplete_grad(
    op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]
) -> list[Any]:
    k, x = inputs
    order, upper = op["order"], op["upper"]
    by_k = gs[0] * Op(_incomplete, order=order + 1, upper=upper)(k, x) if order < _MOST else _too_high("gammainc")
    slope = Op(_density, order=order)(k, x)
    return [by_k, gs[0] * (-slope if upper else slope)]


def _cases() -> list[Case]:
    def oracle(name: str) -> Any:
        def of(k: np.ndarray, x: np.ndarray) -> Any:
            from scipy import special

            return getattr(special, name)(k.astype("float64"), x.astype("float64"))

        return of

    grid = [0.0, 1e-3, 0.5, 1.0, 4.0, 30.0, 200.0, np.inf, np.nan, -1.0]
    k, x = (g.ravel() for g in np.meshgrid(grid, grid))
    return [
        *[
            Case(f, (Arg((3, 4), low=0.3, high=6), Arg((3, 4), low=0.2, high=8)), oracle(name))
            for f, name in ((gammainc, "gammainc"), (gammaincc, "gammaincc"))
        ],
        Case(gammaincc, (Arg((), low=1, high=2), Arg((3,), low=1, high=2)), oracle("gammaincc")),
        Case(gammainc, (Arg((0, 2)), Arg((0, 2))), oracle("gammainc"), grad=False),
        *[
            Case(f, (Arg(k.shape, values=k), Arg(x.shape, values=x)), oracle(f.__name__), grad=False, label="special")
            for f in (gammainc, gammaincc)
        ],
    ]


_incomplete: Record = record(
    "gammainc",
    infer=infer_elementwise,
    numpy=lambda op, k, x: _of_dtype(regularised(k, x, op["order"], op["upper"]), x),
    grad=_incomplete_grad,
    lower=HostCall(),
    cases=_cases,
)


class _Function(Elementwise):
    """A public elementwise function with a docstring of its own."""

    def __init__(self, name: str, upper: bool, text: str) -> None:
        super().__init__(Op(_incomplete, order=0, upper=upper), "float", False, ["k", "x"], False)
        self.__name__ = name
        self.__doc__ = text


gammainc: Elementwise = _Function(
    "gammainc",
    False,
    r"""The regularised lower incomplete gamma function, elementwise.

    .. math:: P(k, x) = \frac{1}{\Gamma(k)} \int_0^x t^{k - 1} e^{-t} dt

    for ``k > 0`` and ``x >= 0``; NaN elsewhere (NIST DLMF 8.2). Differentiable by both operands.
    """,
)
gammaincc: Elementwise = _Function(
    "gammaincc",
    True,
    r"""The regularised upper incomplete gamma function, elementwise: ``1 - gammainc(k, x)``, without cancellation.

    .. math:: Q(k, x) = \frac{1}{\Gamma(k)} \int_x^\infty t^{k - 1} e^{-t} dt
    """,
)


def _times_gamma(regular: Elementwise, k: Any, x: Any) -> Variable:
    """The product in float64: in narrower dtypes, gamma(k) overflows where the product does not."""
    k, x = as_tensor(k), as_tensor(x)
    dtype = regular(k, x).dtype
    wide = ew.cast(k, "float64")
    return ew.cast(regular(wide, ew.cast(x, "float64")) * gamma(wide), dtype)


def gammal(k: Any, x: Any) -> Variable:
    """The lower incomplete gamma function, elementwise: ``gammainc(k, x) * gamma(k)``."""
    return _times_gamma(gammainc, k, x)


def gammau(k: Any, x: Any) -> Variable:
    """The upper incomplete gamma function, elementwise: ``gammaincc(k, x) * gamma(k)``."""
    return _times_gamma(gammaincc, k, x)


def chi2sf(x: Any, k: Any) -> Variable:
    """The survival function of the chi-squared distribution, elementwise: the probability of a value above ``x``.

    Parameters
    ----------
    x : tensor_like
        At least 0.
    k : tensor_like
        The number of degrees of freedom.
    """
    return gammaincc(ew.true_div(k, 2), ew.true_div(x, 2))
