"""Ops made from functions: ``as_op`` from a function of NumPy arrays, ``elementwise_op`` from a formula."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from inspect import Parameter, signature
from typing import Any

import numpy as np

from symc.errors import located
from symc.graph import Apply, Constant, Variable, graph_inputs, toposort
from symc.graph.argument_faults import explain_faults
from symc.graph.dtypes import floating
from symc.graph.op import Arg, Case, Pointwise, add_cases
from symc.graph.types import TensorType
from symc.tensor.basic import as_tensor, unify_dtypes
from symc.tensor.broadcasting import broadcast_together
from symc.tensor.conversion import cast
from symc.tensor.graph_op import OpFromGraph
from symc.tensor.user_ops.python_op import PythonOp, as_type
from symc.tensor.user_ops.python_records import PYTHON_OP

__all__ = ["ElementwiseOp", "FunctionOp", "as_op", "elementwise_op"]


class FunctionOp(PythonOp):
    """A function of NumPy arrays with declared types; see ``as_op``."""

    def __init__(
        self, function: Callable[..., Any], itypes: Sequence[Any], otypes: Sequence[Any], infer_shape: Any, grad: Any
    ) -> None:
        self.function = function
        self.itypes, self.otypes = ([t if isinstance(t, int) else as_type(t) for t in of] for of in (itypes, otypes))
        if infer_shape is not None:
            self.infer_shape = infer_shape
        if grad is not None:
            self.grad = grad
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle a decorated function by name, as functions are: its module contains the op under that name."""
        name = getattr(self.function, "__qualname__", "")
        held = getattr(sys.modules.get(self.__module__), name, None)
        return name if held is self else super().__reduce_ex__(protocol)

    def __str__(self) -> str:
        return getattr(self.function, "__name__", "as_op")

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list[Any]]) -> None:
        found = self.function(*inputs)
        results = found if isinstance(found, (tuple, list)) and len(output_storage) != 1 else [found]
        for storage, result in zip(output_storage, results, strict=True):
            storage[0] = result


def as_list(types: Any) -> list[Any]:
    """A list of types, of which one may stand alone."""
    return list(types) if isinstance(types, (list, tuple)) else [types]


def as_op(itypes: Any, otypes: Any, infer_shape: Callable[..., Any] | None = None, grad: Any = None) -> Any:
    """Create an op from a function of NumPy arrays; a decorator.

    Parameters
    ----------
    itypes, otypes : type, constructor, int, or sequence of these
        Types of the inputs and outputs, such as ``T.vector`` or ``TensorType("float32", (None,))``. An integer stands
        for a tensor with that many axes; all of these have one float dtype, that of the inputs.
    infer_shape : callable, optional
        ``infer_shape(node, shapes)``, as in :class:`symc.Op`.
    grad : callable, optional
        ``grad(inputs, output_gradients)``, as in :class:`symc.Op`.

    Examples
    --------
    >>> @symc.as_op(itypes=[T.vector], otypes=[T.vector])
    ... def backwards(x):
    ...     return x[::-1]
    """
    return lambda function: FunctionOp(function, as_list(itypes), as_list(otypes), infer_shape, grad)


class ElementwiseOp:
    """An elementwise function with a name and, optionally, its own gradient; see ``elementwise_op``."""

    def __init__(
        self, name: str, formula: Callable[..., Any], grad: Callable[..., Any] | None, dtype: str | None
    ) -> None:
        self.__name__ = self.name = name
        self.__doc__ = formula.__doc__
        self.formula = formula
        self.grad = grad
        self.dtype = dtype
        self.operands, self.required = _parameters(formula)
        self._check()

    def _check(self) -> None:
        """Refuse formulas that combine elements, such as a sum, which would not be elementwise."""
        symbols = [Variable(TensorType("float64", [None]), None, 0, n) for n in self.operands[: self.required]]
        out = as_tensor(self.formula(*symbols))
        combining = _combining([out], symbols)
        if combining is not None:
            text = f"{self.name}: its formula is not elementwise: it contains {combining.op.name}"
            raise TypeError(located(text, combining.inputs, "write it with elementwise functions alone"))
        outside = [v for v in graph_inputs([out]) if v not in symbols and not isinstance(v, Constant)]
        if outside:
            raise TypeError(located(f"{self.name}: its formula reads a variable that is no operand", outside))

    def __call__(self, *operands: Any) -> Any:
        if not self.required <= len(operands) <= len(self.operands):
            text = f"{self.name}: takes {len(self.operands)} operands ({', '.join(self.operands)}), got {len(operands)}"
            raise TypeError(located(text, [v for v in operands if isinstance(v, Variable)]))
        variables = [as_tensor(v) for v in operands]
        dtype = self.dtype or floating(unify_dtypes(variables))
        variables = [cast(v, dtype) for v in variables]
        if len(variables) > 1:
            variables = list(broadcast_together(self.name, variables))
        inner = [Variable(v.type, None, 0, n) for v, n in zip(variables, self.operands)]
        out = as_tensor(self.formula(*inner))
        return OpFromGraph(inner, [out], lop_overrides=_lop(self.grad), name=self.name)(*variables)

    def __repr__(self) -> str:
        return f"<symc elementwise function {self.name}({', '.join(self.operands)})>"


def _parameters(formula: Callable[..., Any]) -> tuple[list[str], int]:
    """The names of the parameters of a formula, and how many of them have no default."""
    named = getattr(formula, "operands", None)  # an elementwise function of the language
    if named is not None:
        return list(named), len(named)
    kinds = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    found = {n: p for n, p in signature(formula).parameters.items() if p.kind in kinds}
    return list(found), sum(p.default is Parameter.empty for p in found.values())


def _combining(outputs: Sequence[Variable], inputs: Sequence[Variable]) -> Apply | None:
    """The first application that does more than to compute elements from elements at the same index, or None."""
    for node in toposort(outputs, frozenset(inputs)):
        record = node.op.record
        if isinstance(record.lower, Pointwise) or record.inserted or not any(v.ndim for v in node.inputs):
            continue
        if record.dim is not None and record.dim_reads == 0:  # a length
            continue
        if record.inline:
            inner = node.op[record.inline]
            found = _combining(inner.outputs, inner.inputs)
        elif record.decompose is not None:
            found = _combining(record.decompose(node.op, node.inputs), node.inputs)
        else:
            found = node
        if found is not None:
            return node
    return None


def _lop(grad: Callable[..., Any] | None) -> Any:
    if grad is None:
        return None
    return lambda inputs, outputs, gs: as_list(grad(gs[0], outputs[0], *inputs))


def elementwise_op(
    name: str, formula: Callable[..., Any], grad: Callable[..., Any] | None = None, dtype: str | None = None
) -> ElementwiseOp:
    """Create an elementwise op from a formula.

    The op broadcasts its operands as NumPy does, becomes a part of the loops around it on every back end, and is shown
    under its name.

    Parameters
    ----------
    name : str
    formula : callable
        Maps variables to an elementwise expression, written with the functions of ``symc.tensor``.
    grad : callable, optional
        ``grad(g, y, *operands)`` returns the gradient by each operand from the gradient ``g`` of the result ``y``; by
        default it is that of the formula.
    dtype : str, optional
        The dtype in which the formula is evaluated: by default the common float dtype of the operands.

    Returns
    -------
    callable

    Raises
    ------
    TypeError
        If the formula combines elements, or reads a variable that is not an operand.

    Examples
    --------
    >>> softcap = symc.elementwise_op("softcap", lambda x, cap: cap * T.tanh(x / cap))
    >>> x = T.vector("x")
    >>> symc.function([x], softcap(x, 2))([0, 100])
    array([0., 2.], dtype=float32)
    """
    return ElementwiseOp(name, formula, grad, dtype)


# --- used by the generated tests --------------------------------------------------------------------------------------


def _like(x: Variable, function: Callable[[np.ndarray], np.ndarray], **facts: Any) -> Any:
    return as_op([x.ndim], [x.ndim], **facts)(function)(x)


def _cube(x: Variable) -> Any:
    return _like(
        x,
        lambda a: a**3,
        infer_shape=lambda node, shapes: shapes,
        grad=lambda inputs, gs: [gs[0] * 3 * inputs[0] * inputs[0]],
    )


add_cases(
    PYTHON_OP,
    lambda: [
        Case(
            lambda x: _like(x, np.sort, infer_shape=lambda node, shapes: shapes),
            (Arg((5,), distinct=True),),
            expect=np.sort,
            grad=False,
        ),
        Case(
            lambda x: _like(x, lambda a: a[a > 0]) * 2,
            (Arg((6,), values=[1, -1, 2, 0, 3, -2]),),
            expect=lambda x: x[x > 0] * 2,
            grad=False,
        ),
        Case(lambda x, y: _cube(x) + y, (Arg((2, 3)), Arg((2, 3))), expect=lambda x, y: x**3 + y),
    ],
)


explain_faults(globals())
