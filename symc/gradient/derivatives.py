"""Derivatives of tensors by tensors: Jacobian products, Jacobians, and a check by finite differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symc.config import config
from symc.errors import DisconnectedInputError, NullGradError, ShapeError, located, warn
from symc.gradient.absent import disconnected_type
from symc.gradient.reverse import grad, like, zero_gradient
from symc.graph import Variable, clone_with, toposort
from symc.graph.argument_faults import explain_faults
from symc.graph.dtypes import is_float
from symc.graph.gradient_flow import Undefined
from symc.graph.types import TensorType
from symc.tensor.basic import as_tensor
from symc.tensor.broadcasting import sum
from symc.tensor.creation import arange
from symc.tensor.elementwise import cast, eq
from symc.tensor.joining import stack

__all__ = ["Lop", "Rop", "hessian", "jacobian"]

UNROLLED = 16
"""Up to this known length of a vector, its Jacobian has one expression per row."""


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _paired(what: str, of: Sequence[Variable], eval_points: Any) -> list[Variable]:
    """Pair each variable with its evaluation point, which must have as many axes."""
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
    """Multiply ``eval_points`` by the Jacobian of ``f`` by ``wrt`` (a vector-Jacobian product).

    Parameters
    ----------
    f : Variable or sequence of Variable
    wrt : Variable or sequence of Variable
    eval_points : Variable or sequence of Variable
        One per ``f``, of its shape.
    consider_constant, disconnected_inputs
        As in :func:`symc.grad`.

    Returns
    -------
    Variable, or a list or tuple of them like ``wrt``
        Each of the shape of its ``wrt``.
    """
    outputs = _listed(f)
    known = dict(zip(outputs, _paired("Lop", outputs, eval_points)))
    return grad(None, wrt, consider_constant, disconnected_inputs, known_grads=known)


def Rop(
    f: Any, wrt: Any, eval_points: Any, disconnected_outputs: str = "auto", return_disconnected: str = "zero"
) -> Any:
    """Multiply the Jacobian of ``f`` by ``wrt`` by ``eval_points`` (a Jacobian-vector product).

    It is computed as the derivative by ``u`` of ``Lop(f, wrt, u)`` times the points, so it exists for every expression
    that has a gradient. Ops with an ``R_op`` of their own are differentiated by it.

    Parameters
    ----------
    f : Variable or sequence of Variable
    wrt : Variable or sequence of Variable
    eval_points : Variable or sequence of Variable
        One per ``wrt``, of its shape. None means zeros.
    disconnected_outputs : {"auto", "ignore", "warn", "raise"}
        What to do when an ``f`` does not depend on any ``wrt``; by default, raise an error if it does but an op on the
        path says with its ``R_op`` that it has no derivative, and ignore it otherwise.
    return_disconnected : {"zero", "none", "disconnected"}
        What to return for such an ``f``, as in :func:`symc.grad`.

    Returns
    -------
    Variable, or a list or tuple of them like ``f``
        Each of the shape of its ``f``.
    """
    if disconnected_outputs not in ("auto", "raise", "warn", "ignore"):
        text = "Rop: disconnected_outputs must be 'auto', 'raise', 'warn' or 'ignore'"
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
        without: set[Variable] = set()
        pushed = _pushed(output, sources, points, without)
        if pushed is None:
            policy = disconnected_outputs
            policy = ("raise" if output in without else "ignore") if policy == "auto" else policy
            pushed = _disconnected_output(output, sources, policy, return_disconnected.lower())
        results.append(pushed)
    return like(f, results)


def _pushed(
    f: Variable, wrt: Sequence[Variable], points: Sequence[Variable], without: set[Variable]
) -> Variable | None:
    """The directional derivative of ``f``; None if it does not depend on ``wrt``.

    ``without`` receives the variables that depend on ``wrt``, but only through ops that say they have no derivative.
    """
    order = toposort([f], frozenset(wrt))
    if all(node.op.record.push is None for node in order):
        return _pushed_through_gradient(f, wrt, points)
    along: dict[Variable, Any] = dict(zip(wrt, points))
    for node in order:
        met = [along.get(v) for v in node.inputs]
        if all(p is None for p in met):
            if not without.isdisjoint(node.inputs):
                without.update(node.outputs)
            continue
        push = node.op.record.push
        found = None if push is None else push(node.op, node.inputs, node.outputs, met)
        if found is None:
            varying = {v: p for v, p in zip(node.inputs, met) if p is not None}
            found = [_pushed_through_gradient(v, list(varying), list(varying.values())) for v in node.outputs]
        for v, p in zip(node.outputs, found):
            if isinstance(p, Undefined):
                raise NullGradError(located(f"Rop: {p.reason}", node.inputs))
            along[v] = p
            if p is None:
                without.add(v)
    return along.get(f)


def _pushed_through_gradient(f: Variable, wrt: Sequence[Variable], points: Sequence[Variable]) -> Variable | None:
    """The same by differentiating the gradient; what ``wrt`` depends on is constant."""
    # The vector-Jacobian product is linear in the vector, so any vector will do: the derivative does not contain it,
    # except for ops that modify gradients (grad_clip), which are evaluated as for small gradients.
    vector = Variable(TensorType(f.dtype if is_float(f.dtype) else config.floatX, f.type.shape), None, 0, None)
    back = grad(None, list(wrt), list(wrt), "ignore", known_grads={f: vector}, return_disconnected="none")
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
    """The Jacobian: the derivative of every entry of ``expression`` by every entry of ``wrt``.

    Parameters
    ----------
    expression : Variable
        A scalar or a vector.
    wrt : Variable or sequence of Variable
    consider_constant, disconnected_inputs
        As in :func:`symc.grad`.

    Returns
    -------
    Variable, or a list or tuple of them like ``wrt``
        ``(entries, *shape of wrt)``, without the first axis for a scalar.

    Raises
    ------
    ShapeError
        If ``expression`` has more axes.

    Notes
    -----
    The gradient of every entry is an expression of its own if the length of ``expression`` is known and small.
    Otherwise a loop computes one after another (``symc.scan``), in which only the backward part is repeated.
    """
    if expression.ndim > 1:
        repair = "flatten it, and reshape the result"
        raise ShapeError(located("jacobian: expected a scalar or a vector", [expression], repair))
    if expression.ndim == 0:
        return grad(expression, wrt, consider_constant, disconnected_inputs)
    length = expression.type.shape[0]
    sources = _listed(wrt)
    if type(length) is int and 0 < length <= UNROLLED:
        rows = [
            grad(expression[k], sources, consider_constant, disconnected_inputs, add_names=False) for k in range(length)
        ]
        stacked = [stack(list(gradients)) for gradients in zip(*rows)]
    else:
        stacked = _rows_by_loop(expression, sources, consider_constant, disconnected_inputs)
    return like(wrt, stacked)


def _rows_by_loop(
    expression: Variable,
    sources: Sequence[Variable],
    consider_constant: Sequence[Variable] | None,
    disconnected_inputs: str,
) -> list[Variable]:
    """One row per iteration of a loop: the gradients of a scalar that is the sum of one entry and zeros."""
    from symc.tensor.scans.scan import scan  # it needs gradients itself

    def row(hot: Variable) -> list[Variable]:
        vector = cast(eq(arange(expression.shape[0]), hot), seed)
        return grad(None, sources, consider_constant, disconnected_inputs, known_grads={expression: vector})

    seed = expression.dtype if is_float(expression.dtype) else config.floatX
    return list(scan(row, arange(expression.shape[0]), return_list=True)[0])


def hessian(
    cost: Variable,
    wrt: Any,
    consider_constant: Sequence[Variable] | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """The Hessian: the second derivatives of a scalar ``cost`` by the entries of a vector.

    Parameters
    ----------
    cost : Variable
    wrt : Variable or sequence of Variable
        Vectors.
    consider_constant, disconnected_inputs
        As in :func:`symc.grad`.

    Returns
    -------
    Variable, or a list or tuple of them like ``wrt``
        One ``(entries, entries)`` matrix per vector.
    """
    found = []
    for v in _listed(wrt):
        if v.ndim != 1:
            raise ShapeError(located("hessian: expected wrt to be vectors", [v], "take the hessian by a flat vector"))
        slope = grad(cost, v, consider_constant, disconnected_inputs)
        found.append(jacobian(slope, v, consider_constant, "ignore"))  # zero where the cost is linear in v
    return like(wrt, found)


explain_faults(globals())
