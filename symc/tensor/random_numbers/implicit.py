r"""Derivatives of gamma variables by their shape: implicit reparameterisation.

A draw x of a distribution with distribution function :math:`P(k, x)` moves with the shape k so that
:math:`P(k, x)` stays what it is: :math:`dx / dk = -\frac{\partial P / \partial k}{f(x)}`. The gradient of an
expectation is then the expectation of the gradient, whatever method made the draw.

References
----------
.. [1] Michael Figurnov, Shakir Mohamed and Andriy Mnih (2018): Implicit reparameterization gradients. NeurIPS.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.graph import Variable
from symc.graph.gradient_flow import Undefined
from symc.graph.op import Arg, Case, HostCall, Op, record
from symc.tensor import elementwise as ew
from symc.tensor.pointwise import infer_elementwise
from symc.tensor.special.gamma_functions import psi
from symc.tensor.special.gamma_integrals import relative

__all__ = ["log_gamma_slope"]


def _grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """With h_n = -(d/dk)^n P / (x f) and w = log(x) - psi(k), the derivative of log(x f) by k.

    dh_1/dk = h_2 - h_1 w, and dh_1/dlog(x) = -w - h_1 (k - x), since d log(x f) / dlog(x) = k - x.
    """
    k, log_x = inputs
    if op["order"] == 2:
        undefined = Undefined("draws of gamma variables have derivatives by the shape up to the second order")
        return [undefined, undefined]
    (h,), (g,) = outputs, gs
    w = log_x - psi(k)
    second = Op(_slope, order=2)(k, log_x)
    return [g * (second - h * w), -g * (w + h * (k - ew.exp(log_x)))]


def _cases() -> list[Case]:
    def oracle(k: np.ndarray, log_x: np.ndarray) -> np.ndarray:
        """A difference of quantiles of the same probability."""
        from scipy import special

        k, x, h = k.astype("float64"), np.exp(log_x.astype("float64")), 1e-4
        lower = x <= k
        u, v = special.gammainc(k, x), special.gammaincc(k, x)

        def quantile(k: np.ndarray) -> np.ndarray:
            return np.where(lower, special.gammaincinv(k, u), special.gammainccinv(k, v))

        return np.asarray(np.log(quantile(k + h) / quantile(k - h)) / (2 * h))

    return [
        Case(
            log_gamma_slope,
            (Arg((3, 4), low=0.4, high=6), Arg((3, 4), low=-1.5, high=2)),
            oracle,
            grad=False,
            rtol=1e-5,
        ),
        Case(log_gamma_slope, (Arg((5,), low=60, high=90), Arg((5,), low=4, high=4.6)), oracle, grad=False, rtol=1e-5),
        Case(log_gamma_slope, (Arg((0,)), Arg((0,))), oracle, grad=False),
    ]


_slope = record(
    "log_gamma_slope",
    infer=infer_elementwise,
    numpy=lambda op, k, log_x: np.asarray(-relative(k, log_x, op["order"]), log_x.dtype),
    grad=_grad,
    lower=HostCall(),
    cases=_cases,
)


def log_gamma_slope(k: Variable, log_x: Variable) -> Variable:
    """The derivative by the shape ``k`` of the logarithm of a gamma variable whose value is ``exp(log_x)``."""
    return Op(_slope, order=1)(k, log_x)
