"""Differentiation: a function from graph to graph (reverse accumulation)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symc.errors import DisconnectedInputError, DTypeError, NullGradError, ShapeError, located, warn
from symc.graph import Apply, Constant, Variable, toposort
from symc.graph.dtypes import is_float
from symc.graph.op import ZERO, Op, record
from symc.graph.types import TensorType
from symc.tensor.basic import as_tensor, constant
from symc.tensor.broadcasting import broadcast_like
from symc.tensor.elementwise import add

__all__ = ["consider_constant", "disconnected_grad", "grad", "grad_clip", "grad_scale", "zero_grad"]


def grad(
    cost: Variable | None,
    wrt: Variable | Sequence[Variable],
    consider_constant: Sequence[Variable] | None = None,
    disconnected_inputs: str = "raise",
    add_names: bool = True,
    known_grads: Mapping[Variable, Any] | None = None,
    return_disconnected: str = "zero",
    null_gradients: str = "raise",
) -> Any:
    """Gradients of a scalar ``cost``.

    Parameters
    ----------
    cost : Variable or None
        A float scalar; may be None when ``known_grads`` is given.
    wrt : Variable or sequence of Variable
        What to differentiate by.
    consider_constant : sequence of Variable, optional
        Variables through which no gradient flows.
    disconnected_inputs : {"raise", "warn", "ignore"}
        What to do when ``cost`` does not depend on an entry of ``wrt``.
    known_grads : mapping, optional
        Gradients already known for some variables, added to what flows from ``cost``.
    return_disconnected : {"zero", "none"}
        What stands for a disconnected gradient that was not raised, in any letter case.
    null_gradients : {"raise"}
        Kept for old programs: asking for a gradient that does not exist is always an error.

    Returns
    -------
    Variable, or a list of them if ``wrt`` is a sequence
        Each of the shape and dtype of its ``wrt``.

    Raises
    ------
    ShapeError, DTypeError
        When ``cost`` is no float scalar.
    DisconnectedInputError
        See ``disconnected_inputs``.
    NullGradError
        When the path goes through an op without a derivative.
    """
    if disconnected_inputs not in ("raise", "warn", "ignore"):
        raise ValueError(f"grad: disconnected_inputs must be 'raise', 'warn' or 'ignore', got {disconnected_inputs!r}")
    if return_disconnected.lower() not in ("zero", "none"):
        raise ValueError(f"grad: return_disconnected must be 'zero' or 'none', got {return_disconnected!r}")
    targets: list[Any] = list(wrt) if isinstance(wrt, (list, tuple)) else [wrt]
    for target in targets:
        if not isinstance(target, Variable):
            raise TypeError(f"grad: wrt must hold symbolic variables, got {target!r}")
    seeds = _seeds(cost, known_grads)
    grads, connected = _accumulate(seeds, targets, frozenset(consider_constant or ()))
    results = [
        _finish(target, grads.get(target), target in connected, cost, disconnected_inputs, return_disconnected.lower())
        for target in targets
    ]
    if add_names and cost is not None and cost.name:
        for target, result in zip(targets, results):
            if result is not None and result.name is None and target.name and result is not target:
                result.name = f"d({cost.name})/d({target.name})"
    return results if isinstance(wrt, (list, tuple)) else results[0]


def _seeds(cost: Variable | None, known: Mapping[Variable, Any] | None) -> dict[Variable, Variable]:
    seeds: dict[Variable, Variable] = {}
    for variable, g in (known or {}).items():
        g = as_tensor(g)
        if g.ndim != variable.ndim:
            raise ShapeError(located("grad: a known gradient must have as many axes as its variable", [variable, g]))
        seeds[variable] = g
    if cost is None:
        if not seeds:
            raise ValueError("grad: cost may be None only when known_grads is given")
        return seeds
    if not isinstance(cost, Variable):
        raise TypeError(f"grad: cost must be a symbolic variable, got {cost!r}")
    if cost.ndim != 0:
        raise ShapeError(
            located(f"grad: cost must be a scalar, got {cost.ndim} axes", [cost], "take .mean() or .sum() of it")
        )
    if not is_float(cost.dtype):
        raise DTypeError(
            located(f"grad: cost must be a float, got {cost.dtype}", [cost], "cast it, or drop the rounding")
        )
    one = constant(np.ones((), cost.dtype), dtype=cost.dtype)
    seeds[cost] = add(seeds[cost], one) if cost in seeds else one
    return seeds


def _accumulate(
    seeds: Mapping[Variable, Variable], targets: Sequence[Variable], constants: frozenset[Variable]
) -> tuple[dict[Variable, Variable], set[Variable]]:
    """Walk from ``seeds`` to ``targets``, adding up gradients; also which variables the seeds depend on at all."""
    order = toposort(list(seeds), constants)
    wanted = set(targets)
    useful: set[Apply] = set()  # applications on a path to a target
    for node in order:
        if any(v in wanted or (v.owner in useful if v.owner is not None else False) for v in node.inputs):
            useful.add(node)
    grads: dict[Variable, Variable] = dict(seeds)
    connected: set[Variable] = set(seeds)
    for node in reversed(order):
        if node not in useful or not any(o in connected for o in node.outputs):
            continue
        for variable, g in zip(node.inputs, _contributions(node, grads, wanted, useful, connected)):
            if g is None or variable in constants:
                continue
            connected.add(variable)
            if g is not ZERO:
                grads[variable] = add(grads[variable], g) if variable in grads else g
    return grads, connected


def _contributions(
    node: Apply, grads: Mapping[Variable, Variable], wanted: set[Variable], useful: set[Apply], connected: set[Variable]
) -> Sequence[Any]:
    if not any(o in grads for o in node.outputs):
        return [ZERO] * len(node.inputs)
    incoming = [grads[o] if o in grads else zeros_like(o) for o in node.outputs]
    if node.op.record.grad is None:
        raise NullGradError(
            located(
                f"grad: {node.op.name} has no derivative",
                node.inputs,
                "use disconnected_grad(x), or consider_constant=[...]",
                node.outputs[0].location,
            )
        )
    found = node.op.record.grad(node.op, node.inputs, node.outputs, incoming)
    if len(found) != len(node.inputs):
        raise TypeError(f"the gradient of {node.op.name} returned {len(found)} terms for {len(node.inputs)} inputs")
    return found


def zeros_like(x: Variable, dtype: str | None = None) -> Variable:
    """Zeros of the shape of ``x``."""
    dtype = dtype or x.dtype
    return broadcast_like(Constant(np.zeros((), dtype), dtype), x)


def _finish(
    target: Variable, g: Variable | None, connected: bool, cost: Variable | None, policy: str, stand_in: str
) -> Variable | None:
    if g is not None:
        return g
    if not connected:
        text, shown = "grad: not connected to known_grads", [target]
        if cost is not None:
            text, shown = "grad: the cost (operand 1) does not depend on operand 0", [target, cost]
        message = located(text, shown, "leave it out of wrt, or pass disconnected_inputs='ignore' to get zeros")
        if policy == "raise":
            raise DisconnectedInputError(message)
        if policy == "warn":
            warn(message)
        if stand_in == "none":
            return None
    return zeros_like(target, target.dtype if is_float(target.dtype) else None)


# --- ops that only change gradients -------------------------------------------------------------------------------


def _identity(name: str, grad: Any) -> Any:
    return record(
        name,
        infer=lambda op, inputs: TensorType(inputs[0].dtype, inputs[0].type.shape),
        numpy=lambda op, x: x,
        grad=grad,
        specialise=lambda op, inputs, types: inputs[0],
    )


_disconnected = _identity("disconnected_grad", lambda op, inputs, outputs, gs: [None])
_zero = _identity("zero_grad", lambda op, inputs, outputs, gs: [ZERO])
_clip = _identity("grad_clip", lambda op, inputs, outputs, gs: [_clipped(gs[0], op["low"], op["high"])])
_scale = _identity("grad_scale", lambda op, inputs, outputs, gs: [gs[0] * op["factor"]])


def _clipped(g: Variable, low: float, high: float) -> Variable:
    from symc.tensor.elementwise import clip

    return clip(g, low, high)


def disconnected_grad(x: Any) -> Variable:
    """``x``, through which no gradient flows: ``grad`` treats what lies behind as disconnected."""
    return Op(_disconnected)(as_tensor(x))


def zero_grad(x: Any) -> Variable:
    """``x``, through which a gradient of zero flows."""
    return Op(_zero)(as_tensor(x))


consider_constant = zero_grad


def grad_clip(x: Any, lower_bound: float, upper_bound: float) -> Variable:
    """``x``; gradients that flow through it are clipped to the bounds, element by element."""
    return Op(_clip, low=float(lower_bound), high=float(upper_bound))(as_tensor(x))


def grad_scale(x: Any, multiplier: float) -> Variable:
    """``x``; gradients that flow through it are multiplied by ``multiplier``."""
    return Op(_scale, factor=float(multiplier))(as_tensor(x))
