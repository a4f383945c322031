"""Derivatives of tensors by tensors: products with the Jacobian, the Jacobian itself, and a check by differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from symc.config import config
from symc.errors import DisconnectedInputError, GradientError, ShapeError, located, warn
from symc.gradient.absent import disconnected_type
from symc.gradient.reverse import grad, zero_gradient
from symc.graph import Variable, clone_with
from symc.graph.dtypes import BITS, is_float
from symc.graph.types import TensorType
from symc.tensor.basic import as_tensor
from symc.tensor.broadcasting import sum
from symc.tensor.joining import stack

__all__ = ["Lop", "Rop", "hessian", "jacobian", "verify_grad"]


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _paired(what: str, of: Sequence[Variable], eval_points: Any) -> list[Variable]:
    """One evaluation point for each variable, of its number of axes."""
    points = [as_tensor(p) for p in _listed(eval_points)]
    if len(points) != len(of):
        raise ValueError(f"{what}: expected {len(of)} evaluation points, got {len(points)}")
    for v, p in zip(of, points):
        if v.ndim != p.ndim:
            raise ShapeError(located(f"{what}: an evaluation point must have the axes of its variable", [v, p]))
    return points


def Lop(
    f: Any,
    wrt: Any,
    eval_points: Any,
    consider_constant: Sequence[Variable] | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """``eval_points`` times the Jacobian of ``f`` by ``wrt``: what flows back when they arrive as gradients of ``f``.

    Parameters
    ----------
    f : Variable or sequence of Variable
    wrt : Variable or sequence of Variable
    eval_points : Variable or sequence of Variable
        Each of the shape of its ``f``.
    consider_constant, disconnected_inputs
        As in :func:`symc.grad`.

    Returns
    -------
    Variable, or a list of them if ``wrt`` is a sequence
        Each of the shape of its ``wrt``.
    """
    outputs = _listed(f)
    known = dict(zip(outputs, _paired("Lop", outputs, eval_points)))
    return grad(None, wrt, consider_constant, disconnected_inputs, known_grads=known)


def Rop(
    f: Any, wrt: Any, eval_points: Any, disconnected_outputs: str = "ignore", return_disconnected: str = "zero"
) -> Any:
    """The Jacobian of ``f`` by ``wrt``, times ``eval_points``: how ``f`` changes when ``wrt`` moves that way.

    It is the derivative by ``u`` of ``Lop(f, wrt, u)`` times the points: whatever has a gradient has this too.

    Parameters
    ----------
    f : Variable or sequence of Variable
    wrt : Variable or sequence of Variable
    eval_points : Variable or sequence of Variable
        Each of the shape of its ``wrt``. None stands for zeros.
    disconnected_outputs : {"ignore", "warn", "raise"}
        What to do when an ``f`` does not depend on any ``wrt``.
    return_disconnected : {"zero", "none", "disconnected"}
        What stands for the derivative of such an ``f``, as in :func:`symc.grad`.

    Returns
    -------
    Variable, or a list of them if ``f`` is a sequence
        Each of the shape of its ``f``.
    """
    if disconnected_outputs not in ("raise", "warn", "ignore"):
        text = "Rop: disconnected_outputs must be 'raise', 'warn' or 'ignore'"
        raise ValueError(f"{text}, got {disconnected_outputs!r}")
    if return_disconnected.lower() not in ("zero", "none", "disconnected"):
        text = "Rop: return_disconnected must be 'zero', 'none' or 'disconnected'"
        raise ValueError(f"{text}, got {return_disconnected!r}")
    sources, given = _listed(wrt), _listed(eval_points)
    if len(sources) == len(given):
        pairs = [(v, p) for v, p in zip(sources, given) if p is not None]
        sources, given = [v for v, _ in pairs], [p for _, p in pairs]
    points = _paired("Rop", sources, given)
    results = []
    for output in _listed(f):
        pushed = _pushed(output, sources, points)
        if pushed is None:
            pushed = _disconnected_output(output, sources, disconnected_outputs, return_disconnected.lower())
        results.append(pushed)
    return results if isinstance(f, (list, tuple)) else results[0]


def _pushed(f: Variable, wrt: Sequence[Variable], points: Sequence[Variable]) -> Variable | None:
    """The derivative of ``f`` in a direction; None if it does not depend on ``wrt``."""
    # The product of a vector with the Jacobian is linear in the vector, so any will do: the derivative has none in it,
    # except for ops that bend gradients (grad_clip), which are taken as they are for small ones.
    vector = Variable(TensorType(f.dtype if is_float(f.dtype) else config.floatX, f.type.shape), None, 0, None)
    back = grad(None, list(wrt), disconnected_inputs="ignore", known_grads={f: vector}, return_disconnected="none")
    met = [sum(g * p) for g, p in zip(back, points) if g is not None]
    if not met:
        return None
    total = met[0]
    for more in met[1:]:
        total = total + more
    found = grad(total, vector, disconnected_inputs="ignore", return_disconnected="none")
    return zero_gradient(f) if found is None else clone_with([found], {vector: zero_gradient(f)})[0]


def _disconnected_output(f: Variable, wrt: Sequence[Variable], policy: str, stand_in: str) -> Variable | None:
    message = located(
        "Rop: the output (operand 0) does not depend on any variable in wrt",
        [f, *wrt],
        "pass disconnected_outputs='ignore' to get zeros",
    )
    if policy == "raise":
        raise DisconnectedInputError(message)
    if policy == "warn":
        warn(message)
    if stand_in == "zero":
        return zero_gradient(f)
    return None if stand_in == "none" else disconnected_type()


def jacobian(
    expression: Variable,
    wrt: Any,
    consider_constant: Sequence[Variable] | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """The derivative of every entry of ``expression`` by every entry of ``wrt``.

    Parameters
    ----------
    expression : Variable
        A scalar, or a vector whose length is known now: there is one gradient for each entry.
    wrt : Variable or sequence of Variable
    consider_constant, disconnected_inputs
        As in :func:`symc.grad`.

    Returns
    -------
    Variable, or a list of them if ``wrt`` is a sequence
        ``(entries, *shape of wrt)``, without the first axis for a scalar.

    Raises
    ------
    ShapeError
        When ``expression`` has more axes, or a length that only a call will know.
    """
    if expression.ndim > 1:
        repair = "flatten it, and reshape the result"
        raise ShapeError(located("jacobian: expected a scalar or a vector", [expression], repair))
    if expression.ndim == 0:
        return grad(expression, wrt, consider_constant, disconnected_inputs)
    length = expression.type.shape[0]
    if type(length) is not int or not length:
        repair = "declare the shape, with symc.tensor.tensor(dtype, shape=...) or specify_shape; Rop and Lop need none"
        raise ShapeError(
            located("jacobian: the length of the expression must be known, and not 0", [expression], repair)
        )
    rows = [
        grad(expression[k], _listed(wrt), consider_constant, disconnected_inputs, add_names=False)
        for k in range(length)
    ]
    stacked = [stack(list(gradients)) for gradients in zip(*rows)]
    return stacked if isinstance(wrt, (list, tuple)) else stacked[0]


def hessian(
    cost: Variable,
    wrt: Any,
    consider_constant: Sequence[Variable] | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """The second derivatives of a scalar ``cost`` by the entries of a vector.

    Parameters
    ----------
    cost : Variable
    wrt : Variable or sequence of Variable
        Vectors of known lengths.
    consider_constant, disconnected_inputs
        As in :func:`symc.grad`.

    Returns
    -------
    Variable, or a list of them if ``wrt`` is a sequence
        ``(entries, entries)``, each for one vector.
    """
    found = []
    for v in _listed(wrt):
        if v.ndim != 1:
            raise ShapeError(located("hessian: expected wrt to be vectors", [v], "take the hessian by a flat vector"))
        slope = grad(cost, v, consider_constant, disconnected_inputs)
        found.append(jacobian(slope, v, consider_constant, disconnected_inputs))
    return found if isinstance(wrt, (list, tuple)) else found[0]


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
    """Compare the gradient of ``fun`` with central differences.

    Parameters
    ----------
    fun : callable
        From variables to an expression of any shape.
    pt : sequence of array_like
        The place at which to look, one float array for each argument.
    n_tests : int
        Random projections of the output to try.
    rng : numpy.random.RandomState, optional
    eps, abs_tol, rel_tol : float, optional
        The step, and what errors are let pass; by default what fits the dtypes of ``pt``.
    mode : str, optional
        As in ``symc.function``.

    Raises
    ------
    GradientError
        When they differ; the message names the argument and the entry.
    """
    from symc.runtime.function import function

    rng = np.random.RandomState(1) if rng is None else rng
    points = [np.array(p) for p in pt]
    narrowest = min((p.dtype.name for p in points if is_float(p.dtype.name)), key=BITS.__getitem__, default="float64")
    usual = _DIFFERENCES[narrowest]
    step, absolute, relative = (u if given is None else given for u, given in zip(usual, (eps, abs_tol, rel_tol)))
    inputs = [Variable(TensorType(p.dtype.name, p.shape), None, 0, f"input {k}") for k, p in enumerate(points)]
    output = fun(*inputs)
    weights = Variable(output.type, None, 0, "projection")
    slopes = grad(sum(output * weights), inputs, disconnected_inputs="ignore")
    value = function(inputs, output, on_unused_input="ignore", mode=mode)
    gradient = function([*inputs, weights], slopes, on_unused_input="ignore", mode=mode)
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
    """How ``value``, which reads ``point``, changes with one of its entries."""
    old = point[index]
    point[index] = old + step
    above, right = value(), float(point[index])
    point[index] = old - step
    below, left = value(), float(point[index])
    point[index] = old
    return (above - below) / (right - left)
