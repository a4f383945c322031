"""Gradients checked by differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from symc.errors import GradientError
from symc.gradient.reverse import grad
from symc.graph import Variable, dims
from symc.graph.argument_faults import explain_faults
from symc.graph.dtypes import BITS, is_float
from symc.graph.types import TensorType
from symc.tensor.broadcasting import sum
from symc.tensor.conversion import cast

__all__ = ["compile_with", "numeric_grad", "verify_grad"]

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
    out_type: str | None = None,
    abs_tol: float | None = None,
    rel_tol: float | None = None,
    mode: Any = None,
    cast_to_output_type: bool = False,
    no_debug_ref: bool = True,
) -> None:
    """Check the gradient of ``fun`` against central differences.

    Parameters
    ----------
    fun : callable
        Maps variables to an expression of any shape.
    pt : sequence of array_like
        Where to check the gradient: one float array per argument. They are not modified.
    n_tests : int
        Number of random projections of the output to try.
    rng : numpy.random.RandomState, optional
    eps, abs_tol, rel_tol : float, optional
        Step size and error tolerances; the defaults depend on the dtypes of ``pt``.
    out_type : str, optional
        The dtype to which the result of ``fun`` is converted.
    mode : optional
        As in ``symc.function``.
    cast_to_output_type, no_debug_ref
        Have no effect: projections always have the dtype of the result. Accepted for old programs.

    Raises
    ------
    GradientError
        If they differ; the message names the argument and the entry.
    """
    rng = np.random.RandomState(1) if rng is None else rng
    points = [np.array(p) for p in (pt if isinstance(pt, (list, tuple)) else [pt])]
    narrowest = min((p.dtype.name for p in points if is_float(p.dtype.name)), key=BITS.__getitem__, default="float64")
    usual = _DIFFERENCES[narrowest]
    step, absolute, relative = (u if given is None else given for u, given in zip(usual, (eps, abs_tol, rel_tol)))
    inputs = [Variable(TensorType(p.dtype.name, p.shape), None, 0, f"input {k}") for k, p in enumerate(points)]
    output = fun(*inputs) if out_type is None else cast(fun(*inputs), out_type)
    # lengths that depend on values are those of an argument here, which the program compares with them
    shape = [d if type(d) is int else dims.new_symbol("projection") for d in output.type.shape]
    weights = Variable(TensorType(output.dtype, shape), None, 0, "projection")
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


verify_grad.E_grad = GradientError  # type: ignore[attr-defined]  # under this name, callers of Theano catch it


class numeric_grad:  # noqa: N801 - Theano's name
    """The gradient of a function of arrays by central differences.

    Parameters
    ----------
    f : callable
        Maps arrays to a number.
    pt : array_like or sequence of array_like
        Where to differentiate.
    eps : float, optional
        Step size; the default depends on the dtypes.
    out_type : str, optional
        The dtype of the results.

    Attributes
    ----------
    gf : numpy.ndarray, or list of them
        The gradients, in the form of ``pt``.
    """

    def __init__(self, f: Callable[..., Any], pt: Any, eps: float | None = None, out_type: str | None = None) -> None:
        alone = not isinstance(pt, (list, tuple))
        points = [np.array(p) for p in ([pt] if alone else pt)]
        found = []
        for point in points:
            if not is_float(point.dtype.name):
                raise TypeError(f"numeric_grad: expected float arrays, got {point.dtype}")
            step = _DIFFERENCES[point.dtype.name][0] if eps is None else eps
            slope = np.zeros(point.shape, out_type or point.dtype)
            for index in np.ndindex(point.shape):
                slope[index] = _difference(lambda: float(f(*points)), point, index, step)
            found.append(slope)
        self.gf = found[0] if alone else found

    @staticmethod
    def abs_rel_err(a: Any, b: Any) -> tuple[np.ndarray, np.ndarray]:
        """The absolute and the relative difference of ``a`` and ``b``, element by element."""
        absolute = np.abs(np.asarray(a) - np.asarray(b))
        return absolute, absolute / np.maximum(np.abs(a) + np.abs(b), 1e-8)

    def abs_rel_errors(self, g_pt: Any) -> list[tuple[np.ndarray, np.ndarray]]:
        """The differences to other gradients, one pair per argument."""
        own = self.gf if isinstance(self.gf, list) else [self.gf]
        given = list(g_pt) if isinstance(g_pt, (list, tuple)) else [g_pt]
        if len(own) != len(given):
            raise ValueError(f"numeric_grad: expected {len(own)} gradients, got {len(given)}")
        for k, (a, b) in enumerate(zip(own, given)):
            if np.shape(a) != np.shape(b):
                raise ValueError(f"numeric_grad: gradient {k} has shape {np.shape(b)}, expected {np.shape(a)}")
        return [self.abs_rel_err(a, b) for a, b in zip(own, given)]

    def max_err(self, g_pt: Any, abs_tol: float, rel_tol: float) -> tuple[int, int, float, float]:
        """Find the largest difference: ``(argument, position, absolute, relative)``.

        A difference counts relative to its tolerance, by the smaller of both quotients.
        """
        worst, found = -1.0, (0, 0, 0.0, 0.0)
        for k, (absolute, relative) in enumerate(self.abs_rel_errors(g_pt)):
            if not absolute.size:
                continue
            scaled = np.minimum(absolute / abs_tol, relative / rel_tol).ravel()
            at = int(np.argmax(np.where(np.isnan(scaled), np.inf, scaled)))
            if not scaled[at] <= worst:
                worst = float(scaled[at])
                found = (k, at, float(absolute.ravel()[at]), float(relative.ravel()[at]))
        return found


explain_faults(globals())
