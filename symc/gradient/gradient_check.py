"""Gradients checked by differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from symc.errors import GradientError
from symc.gradient.reverse import grad
from symc.graph import Variable
from symc.graph.dtypes import BITS, is_float
from symc.graph.types import TensorType
from symc.tensor.broadcasting import sum

__all__ = ["compile_with", "verify_grad"]

_compile: Callable[..., Callable[..., Any]]


def compile_with(function: Callable[..., Callable[..., Any]]) -> None:
    """Set what compiles the function and its gradient: ``symc.function``, which is built on this package."""
    global _compile
    _compile = function


_DIFFERENCES = {"float16": (6e-2, 5e-2, 1e-1), "float32": (1e-2, 5e-3, 2e-2), "float64": (1e-6, 1e-6, 1e-5)}
"""Per dtype: the step of central differences, and by how much they may miss the gradient, absolutely and relatively."""


def verify_grad(
    fun: Callable[..., Variable],
    pt: Sequence[Any],
    n_tests: int = 2,
    rng: Any = None,
    eps: float | None = None,
    abs_tol: float | None = None,
    rel_tol: float | None = None,
    mode: str | None = None,
) -> None:
    """Check the gradient of ``fun`` against central differences.

    Parameters
    ----------
    fun : callable
        Maps variables to an expression of any shape.
    pt : sequence of array_like
        Where to check the gradient: one float array per argument.
    n_tests : int
        Number of random projections of the output to try.
    rng : numpy.random.RandomState, optional
    eps, abs_tol, rel_tol : float, optional
        Step size and error tolerances; the defaults depend on the dtypes of ``pt``.
    mode : str, optional
        As in ``symc.function``.

    Raises
    ------
    GradientError
        If they differ; the message names the argument and the entry.
    """
    rng = np.random.RandomState(1) if rng is None else rng
    points = [np.array(p) for p in pt]
    narrowest = min((p.dtype.name for p in points if is_float(p.dtype.name)), key=BITS.__getitem__, default="float64")
    usual = _DIFFERENCES[narrowest]
    step, absolute, relative = (u if given is None else given for u, given in zip(usual, (eps, abs_tol, rel_tol)))
    inputs = [Variable(TensorType(p.dtype.name, p.shape), None, 0, f"input {k}") for k, p in enumerate(points)]
    output = fun(*inputs)
    weights = Variable(output.type, None, 0, "projection")
    slopes = grad(sum(output * weights), inputs, disconnected_inputs="ignore")
    value = _compile(inputs, output, on_unused_input="ignore", mode=mode)
    gradient = _compile([*inputs, weights], slopes, on_unused_input="ignore", mode=mode)
    for _ in range(n_tests):
        projection = np.asarray(rng.uniform(0.5, 1.5, value(*points).shape), output.dtype)
        projected = partial(_projected, value, points, projection)
        for k, (point, have) in enumerate(zip(points, gradient(*points, projection))):
            for index in np.ndindex(point.shape):
                want = _difference(projected, point, index, step)
                if not abs(want - have[index]) <= absolute + relative * max(abs(want), abs(have[index])):
                    entry = f"input {k}, entry {index}"
                    text = f"verify_grad: {entry}: the gradient is {have[index]:g}, differences give {want:g}"
                    raise GradientError(text)


def _projected(value: Callable[..., Any], points: Sequence[np.ndarray], projection: np.ndarray) -> float:
    return float(np.sum(value(*points) * projection, dtype="float64"))


def _difference(value: Callable[[], float], point: np.ndarray, index: tuple[int, ...], step: float) -> float:
    """The central difference of ``value``, which reads ``point``, by one of its entries."""
    old = point[index]
    point[index] = old + step
    above, right = value(), float(point[index])
    point[index] = old - step
    below, left = value(), float(point[index])
    point[index] = old
    return (above - below) / (right - left)
