"""``OpFromGraph``: an expression as a reusable op, optionally with its own gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.errors import DTypeError, ShapeError, located
from symc.gradient.reverse import grad
from symc.graph import Constant, SharedVariable, Variable, clone_with, graph_inputs
from symc.graph.body import Body
from symc.graph.dtypes import is_float
from symc.graph.evaluate import evaluate
from symc.graph.op import Arg, Case, Op, record
from symc.graph.types import TensorType
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor
from symc.tensor.broadcasting import sum
from symc.tensor.shape_arguments import declare_dims

__all__ = ["OpFromGraph"]


def _infer(op: Op, inputs: Sequence[Variable]) -> list[TensorType]:
    body: Body = op["body"]
    outputs = clone_with(body.outputs, dict(zip(body.inputs, inputs)))
    return [TensorType(v.dtype, v.type.shape) for v in outputs]


def _grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    override = op["override"]
    if override is not None:
        found = override.function(list(inputs), list(gs))
        if len(found) != len(inputs):
            raise ValueError(f"{op['name']}: its gradient gives {len(found)} terms for {len(inputs)} inputs")
        return [None if g is None else as_tensor(g) for g in found]
    body: Body = op["body"]
    arriving = [Variable(TensorType(g.dtype, g.type.shape), None, 0, f"g{k}") for k, g in enumerate(gs)]
    total: Variable | None = None
    for v, g in zip(body.outputs, arriving):
        if is_float(v.dtype):
            total = sum(v * g) if total is None else total + sum(v * g)
    wanted = [v for v in body.inputs if is_float(v.dtype)]
    if total is None or not wanted:
        return [None] * len(inputs)
    slopes = grad(total, wanted, disconnected_inputs="ignore", return_disconnected="none")
    kept = [(v, s) for v, s in zip(wanted, slopes) if s is not None]
    inner = Body([*body.inputs, *arriving], [s for _, s in kept])
    made = Op(_from_graph, body=inner, name=f"gradient of {op['name']}", override=None).all(*inputs, *gs)
    by_input = {v: g for (v, _), g in zip(kept, made)}
    return [by_input.get(v) for v in body.inputs]


def _numpy(op: Op, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(evaluate(op["body"].outputs, dict(zip(op["body"].inputs, arrays))))


def _pair(dtype: str) -> OpFromGraph:
    x, y = (Variable(TensorType(dtype, [None]), None, 0, name) for name in "xy")
    return OpFromGraph([x, y], [ew.exp(x) * y, x + y])


def _square(dtype: str) -> OpFromGraph:
    x = Variable(TensorType(dtype, [None]), None, 0, "x")
    return OpFromGraph([x], [x * x], grad_overrides=lambda inputs, gs: [gs[0] * inputs[0] * 2])


def _cases() -> list[Case]:
    return [
        Case(
            lambda a, b: [*_pair(a.dtype)(a, b), _pair(a.dtype)(b, a)[0]], (Arg((3,)), Arg((3,))),
            expect=lambda a, b: (np.exp(a) * b, a + b, np.exp(b) * a),
        ),
        Case(lambda a: _square(a.dtype)(a), (Arg((2,)),), expect=np.square),
    ]  # fmt: skip


_from_graph = record(
    "op_from_graph",
    infer=_infer,
    numpy=_numpy,
    grad=_grad,
    inline="body",
    cases=_cases,
    bodies=("body",),
    body_types=lambda op, inputs, name: [TensorType(v.dtype, v.type.shape) for v in inputs],
)


class _Override:
    """A gradient given by the user, compared by identity."""

    def __init__(self, function: Callable[[list[Variable], list[Variable]], Sequence[Any]]) -> None:
        self.function = function


class OpFromGraph:
    """An op made from an expression.

    Parameters
    ----------
    inputs : sequence of Variable
        The expression's inputs.
    outputs : sequence of Variable
        The results of the op. They may depend only on ``inputs`` and constants.
    inline : bool
        Has no effect: the op is always replaced by its graph when a function is compiled. Accepted for old programs.
    grad_overrides : callable, optional
        ``grad_overrides(inputs, output_gradients)`` returns one gradient per input, or None for no gradient, which
        replace the gradients of the expression.
    name : str, optional

    Raises
    ------
    ValueError
        If the outputs depend on a variable that is not among the inputs.

    Examples
    --------
    >>> x = T.scalar("x")
    >>> cube = symc.OpFromGraph([x], [x * x * x])
    >>> y = T.scalar("y")
    >>> symc.function([y], cube(y))(2)
    array(8., dtype=float32)
    """

    def __init__(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        inline: bool = False,
        grad_overrides: Callable[..., Any] | None = None,
        name: str | None = None,
    ) -> None:
        self.inputs = list(inputs)
        self.outputs = [as_tensor(v) for v in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]
        self.name = name or "OpFromGraph"
        for v in graph_inputs(self.outputs):
            if v not in self.inputs and not isinstance(v, Constant):
                kind = "shared variable" if isinstance(v, SharedVariable) else "variable"
                raise ValueError(located(f"{self.name}: the outputs depend on a {kind} not among the inputs", [v]))
        override = None if grad_overrides is None else _Override(grad_overrides)
        self._op = Op(_from_graph, body=Body(self.inputs, self.outputs), name=self.name, override=override)

    def __call__(self, *args: Any) -> Any:
        """Apply the op; returns a variable, or a list of variables if the op has several outputs."""
        if len(args) != len(self.inputs):
            raise TypeError(located(f"{self.name}: takes {len(self.inputs)} inputs, got {len(args)}"))
        given = []
        for k, (value, want) in enumerate(zip(args, self.inputs)):
            v = as_tensor(value)
            if v.ndim != want.ndim:
                raise ShapeError(located(f"{self.name}: input {k} has {v.ndim} axes, expected {want.ndim}", [v, want]))
            if v.dtype != want.dtype:
                if ew.unify_dtypes([v, want]) != want.dtype:
                    text = f"{self.name}: input {k} is {v.dtype}, expected {want.dtype}"
                    raise DTypeError(located(text, [v, want], f"cast it to {want.dtype}"))
                v = ew.cast(v, want.dtype)
            known = [d if type(d) is int else None for d in want.type.shape]
            text = f"{self.name}: input {k} does not fit on axis {{axis}}, which must be {{wanted}}"
            given.append(declare_dims(v, known, text))
        made = self._op.all(*given)
        return made[0] if len(made) == 1 else list(made)
