"""``OpFromGraph``: an expression as a reusable op, optionally with its own gradient."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from symc.errors import DTypeError, ShapeError, located
from symc.gradient.derivatives import Rop
from symc.gradient.reverse import grad
from symc.graph import Constant, SharedVariable, Variable, clone_with, graph_inputs
from symc.graph.body import Body, connections
from symc.graph.dtypes import BRAIN, is_float, is_held
from symc.graph.evaluate import evaluate_body
from symc.graph.op import Arg, Case, Op, record
from symc.graph.shared_variables import twin
from symc.graph.types import TensorType
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor
from symc.tensor.bfloat16 import packed, rounded, wide
from symc.tensor.broadcasting import sum
from symc.tensor.complex_numbers.parts import parts, real_sources, stacked, unstacked
from symc.tensor.overrides import (
    DEFAULT,
    NONE,
    Directional,
    Gradient,
    Overrides,
    as_gradient,
    is_default,
    single,
    whole_gradient,
)
from symc.tensor.shape_arguments import declare_dims

__all__ = ["OpFromGraph"]


def _real(v: Variable) -> Variable:
    return rounded(wide(v)) if v.dtype == BRAIN else stacked(v)


def _whole(v: Variable, dtype: str) -> Variable:
    return packed(v) if dtype == BRAIN else unstacked(v)


def _parts(v: Variable) -> tuple[Variable, ...]:
    return (wide(v),) if v.dtype == BRAIN else parts(v)


def _infer(op: Op, inputs: Sequence[Variable]) -> list[TensorType]:
    body: Body = op["body"]
    outputs = clone_with(body.outputs, dict(zip(body.inputs, inputs)))
    return [TensorType(v.dtype, v.type.shape) for v in outputs]


def _grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    rules: Overrides = op["overrides"]
    if callable(rules.lop):
        found = rules.terms(rules.lop(list(inputs), list(outputs), list(gs)), len(inputs), op["name"])
    elif isinstance(rules.lop, tuple):
        usual = _default_grad(op, inputs, gs) if DEFAULT in rules.lop else [None] * len(inputs)
        arguments = list(inputs), list(outputs), list(gs)
        found = [
            u if rule is DEFAULT else as_gradient(rule(*arguments) if callable(rule) else rule)
            for rule, u in zip(rules.lop, usual)
        ]
    else:
        found = _default_grad(op, inputs, gs)
    return found


def _default_grad(op: Op, inputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
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
    made = Op(FROM_GRAPH, body=inner, name=f"gradient of {op['name']}", overrides=NONE).all(*inputs, *gs)
    by_input = {v: g for (v, _), g in zip(kept, made)}
    return [by_input.get(v) for v in body.inputs]


def _push(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], points: Sequence[Any]) -> list[Any] | None:
    rules: Overrides = op["overrides"]
    if rules.rop is None:
        return None
    if callable(rules.rop):
        return rules.terms(rules.rop(list(inputs), list(points)), len(outputs), op["name"])
    expressions = clone_with(op["body"].outputs, dict(zip(op["body"].inputs, inputs)))
    return [
        Rop(v, list(inputs), list(points), return_disconnected="none")
        if rule is DEFAULT
        else as_gradient(rule(list(inputs), list(points)) if callable(rule) else rule)
        for v, rule in zip(expressions, rules.rop)
    ]


def _numpy(op: Op, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(evaluate_body(op["body"], arrays))


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


def _connections(op: Op, inputs: Sequence[Variable]) -> Sequence[Sequence[bool]]:
    """Per input of an application, whether each output depends on it, or is given a gradient by it."""
    rules: Overrides = op["overrides"]
    if rules.pattern is not None:
        return rules.pattern
    own = connections(op["body"])
    given = rules.lop if isinstance(rules.lop, tuple) else [DEFAULT if rules.lop is None else rules.lop] * len(inputs)
    return [row if rule is DEFAULT else [True] * len(row) for row, rule in zip(own, given)]


FROM_GRAPH = record(
    "opFROM_GRAPH",
    infer=_infer,
    numpy=_numpy,
    grad=_grad,
    connections=_connections,
    push=_push,
    title=lambda op: op["name"],
    inline="body",
    cases=_cases,
    bodies=("body",),
    body_types=lambda op, inputs, name: [TensorType(v.dtype, v.type.shape) for v in inputs],
)


class OpFromGraph:
    """An op made from an expression.

    The op is replaced by its expression when a function is compiled, so that it costs nothing.

    Parameters
    ----------
    inputs : sequence of Variable
        The expression's inputs.
    outputs : sequence of Variable
        The results of the op. They depend on ``inputs``, constants and shared variables.
    inline : bool
        Has no effect: the op is always replaced by its graph when a function is compiled. Accepted for old programs.
    lop_overrides : callable or list, optional
        ``lop_overrides(inputs, outputs, output_gradients)`` returns one gradient per input, or None for no gradient,
        which replace the gradients of the expression. A list has one entry per input: ``"default"`` for the gradient of
        the expression, None, or a callable with the same arguments that returns the gradient by this input.
    grad_overrides : callable or list, optional
        The same without ``outputs``: ``grad_overrides(inputs, output_gradients)``.
    rop_overrides : callable or list, optional
        ``rop_overrides(inputs, eval_points)`` returns the derivative of each output in the direction ``eval_points``,
        for ``symc.gradient.Rop``. By default it follows from the gradient. A list has one entry per output:
        ``"default"``, None, or a callable that returns the derivative of this output.
    connection_pattern : list of lists of bool, optional
        Per input, whether each output depends on it; by default as in the expression.
    name : str, optional

    Raises
    ------
    ValueError
        If the outputs depend on a variable that is not among the inputs, or the overrides do not fit.

    Notes
    -----
    A gradient may also be assigned, ``op.grad = rule``, or defined by a subclass as its method ``grad``:
    ``rule(inputs, output_gradients)`` is ``grad_overrides``. An assigned rule holds for later applications.

    Examples
    --------
    >>> x = T.scalar("x")
    >>> cube = symc.OpFromGraph([x], [x * x * x])
    >>> y = T.scalar("y")
    >>> symc.function([y], cube(y))(2)
    array(8., dtype=float32)
    """

    grad: Any

    def __init__(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        inline: bool = False,
        lop_overrides: Any = DEFAULT,
        grad_overrides: Any = DEFAULT,
        rop_overrides: Any = DEFAULT,
        connection_pattern: Sequence[Sequence[bool]] | None = None,
        name: str | None = None,
    ) -> None:
        if callable(getattr(type(self), "grad", None)) and is_default(grad_overrides) and is_default(lop_overrides):
            grad_overrides = self.grad
        self.inputs = list(inputs)
        self.outputs = [as_tensor(v) for v in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]
        self.name = name or "OpFromGraph"
        self.shared_inputs: list[SharedVariable] = []
        for v in self.inputs:
            if not isinstance(v, Variable) or isinstance(v, Constant):
                raise TypeError(located(f"{self.name}: inputs must be symbolic variables, got {v!r}"))
        self._declared = list(self.inputs)
        self._held_outputs = [v.dtype if is_held(v.dtype) else "" for v in self.outputs]
        self._held = any(is_held(v.dtype) for v in (*self.inputs, *self.outputs))
        if self._held:
            if not (is_default(lop_overrides) and is_default(grad_overrides) and is_default(rop_overrides)):
                raise self._of_held_numbers()
            self._make_real()
        for v in graph_inputs(clone_with(self.outputs, self._placeholders())):
            if isinstance(v, SharedVariable) and v not in self.inputs:
                self.shared_inputs.append(v)
            elif v not in self._stand_ins and not isinstance(v, Constant):
                raise ValueError(located(f"{self.name}: the outputs depend on a variable not among the inputs", [v]))
        outside = [*self.inputs, *self.shared_inputs]
        stand_ins = [*self._stand_ins, *(Variable(v.type, None, 0, v.name) for v in self.shared_inputs)]
        self._body = Body(stand_ins, clone_with(self.outputs, dict(zip(outside, stand_ins))))
        self._rules = self._rop(rop_overrides), connection_pattern
        self._use_gradient(lop_overrides, grad_overrides)

    def _use_gradient(self, lop_overrides: Any, grad_overrides: Any) -> None:
        """Make the op that is applied from now on, with this gradient."""
        overrides = Overrides(self._lop(lop_overrides, grad_overrides), *self._rules)
        none = overrides.lop is overrides.rop is overrides.pattern is None
        self._op = Op(FROM_GRAPH, body=self._body, name=self.name, overrides=NONE if none else overrides)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "grad":
            if self._held:
                raise self._of_held_numbers()
            self._use_gradient(DEFAULT, value)

    def _of_held_numbers(self) -> DTypeError:
        text = f"{self.name}: derivatives of complex numbers and bfloat16 cannot be replaced"
        return DTypeError(located(text, self._declared, "make the op of real(z) and imag(z), or of float32"))

    def _make_real(self) -> None:
        """Replace complex inputs and outputs by real ones with a last axis of length 2, and bfloat16 by float32."""
        replaced: dict[Variable, Variable] = {}
        for k, v in enumerate(self.inputs):
            if is_held(v.dtype):
                stand_in = Variable(v.type, None, 0, v.name, v.location)
                self.inputs[k] = twin(stand_in)
                replaced.update(zip(real_sources(v), real_sources(stand_in) if v.owner is None else _parts(stand_in)))
        outputs = [_real(v) if is_held(v.dtype) else v for v in self.outputs]
        self.outputs = clone_with(outputs, replaced)

    def _placeholders(self) -> dict[Variable, Variable]:
        """Map the inputs to variables without owners: an input may be the result of a computation."""
        self._stand_ins = [Variable(v.type, None, 0, v.name, v.location) for v in self.inputs]
        for v, stand_in in zip(self.inputs, self._stand_ins):
            stand_in.__dict__["_declared"] = v
            if "_tag" in v.__dict__:
                stand_in.tag.__dict__.update(v.tag.__dict__)
        return dict(zip(self.inputs, self._stand_ins))

    def _lop(self, lop: Any, gradient: Any) -> Any:
        """The overrides in the form ``(inputs, outputs, output_gradients)``, or None."""
        if not is_default(gradient) and not is_default(lop):
            raise ValueError(located(f"{self.name}: give lop_overrides or grad_overrides, not both"))
        rule = lop if is_default(gradient) else gradient
        if is_default(rule):
            return None
        explicit = len(self.inputs)

        def of(f: Any) -> Gradient:
            return Gradient(f, isinstance(f, OpFromGraph), explicit, is_default(gradient))

        if callable(rule):
            return partial(whole_gradient, of(rule), explicit, len(self.shared_inputs), self.name)
        rules = list(rule)
        if len(rules) != explicit:
            raise ValueError(located(f"{self.name}: {len(rules)} gradients are overridden, of {explicit} inputs"))
        one = [
            DEFAULT if is_default(f) and f is not None else (partial(single, of(f)) if callable(f) else f)
            for f in rules
        ]
        return tuple(one) + (DEFAULT,) * len(self.shared_inputs)

    def _rop(self, rule: Any) -> Any:
        """The override in the form ``(inputs, eval_points)``, one such rule per output, or None."""
        if is_default(rule):
            return None

        def of(f: Any) -> Directional:
            return Directional(f, isinstance(f, OpFromGraph), len(self.inputs))

        if callable(rule):
            return of(rule)
        rules = list(rule)
        if len(rules) != len(self.outputs):
            raise ValueError(
                located(f"{self.name}: {len(rules)} derivatives are given for {len(self.outputs)} outputs")
            )
        return tuple(DEFAULT if isinstance(f, str) else partial(single, of(f)) if callable(f) else f for f in rules)

    def connection_pattern(self, node: Any = None) -> list[list[bool]]:
        """Per input, and per shared variable behind the expression, whether each output depends on it.

        ``node``, an application, has no effect.
        """
        return [list(row) for row in _connections(self._op, self._body.inputs)]

    def __call__(self, *args: Any, **_: Any) -> Any:
        """Apply the op; returns a variable, or a list of variables if the op has several outputs."""
        if len(args) != len(self.inputs):
            raise TypeError(located(f"{self.name}: takes {len(self.inputs)} inputs, got {len(args)}"))
        given = []
        for k, (value, want) in enumerate(zip(args, self._declared)):
            v = as_tensor(value)
            if v.ndim != want.ndim:
                raise ShapeError(located(f"{self.name}: input {k} has {v.ndim} axes, expected {want.ndim}", [v, want]))
            if v.dtype != want.dtype:
                if ew.unify_dtypes([v, want]) != want.dtype:
                    text = f"{self.name}: input {k} is {v.dtype}, expected {want.dtype}"
                    raise DTypeError(located(text, [v, want], f"cast it to {want.dtype}"))
                v = ew.cast(v, want.dtype)
            text = f"{self.name}: input {k} does not fit on axis {{axis}}, which must be {{wanted}}"
            v = declare_dims(v, want.static_shape, text)
            given.append(_real(v) if is_held(v.dtype) else v)
        found = self._op.all(*given, *self.shared_inputs)
        made = [_whole(v, dtype) if dtype else v for v, dtype in zip(found, self._held_outputs)]
        return made[0] if len(made) == 1 else list(made)
