"""Ops written in Python by users: a class with ``make_node`` and ``perform``, or a NumPy function with types.

They run in mid-program on every back end, on NumPy arrays. If ``infer_shape`` returns the shapes of the results, memory
is allocated beforehand; otherwise the op runs first, and the shapes of its results become dims.
"""

from __future__ import annotations

import builtins
import sys
import threading
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import numpy as np

from symc.errors import NullGradError, located
from symc.graph import Apply, Variable
from symc.graph.op import Arg, Case, HostCall, Op, record
from symc.graph.types import TensorType
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor
from symc.tensor.symbolic_dims import as_dim, shape_i

__all__ = ["PythonOp", "as_op"]


class PythonOp:
    """Base class of ops written in Python.

    A subclass defines ``make_node(*inputs)``, which returns ``symc.Apply(self, inputs, outputs)`` with one variable or
    type per output, and ``perform(node, inputs, output_storage)``, which stores NumPy arrays in
    ``output_storage[k][0]``. It may define

    ``infer_shape(node, shapes)``
        returns one tuple of lengths per output, computed from the entries of ``shapes`` (the lengths of each input, as
        scalars) and integers;
    ``grad(inputs, output_gradients)``
        returns one expression per input, or None if the outputs do not depend on it.

    Two ops of the same class are equal if the attributes listed in ``__props__`` are equal.

    Examples
    --------
    >>> class Double(symc.PythonOp):
    ...     def make_node(self, x):
    ...         x = T.as_tensor(x)
    ...         return symc.Apply(self, [x], [x.type()])
    ...     def perform(self, node, inputs, output_storage):
    ...         output_storage[0][0] = inputs[0] * 2
    ...     def infer_shape(self, node, shapes):
    ...         return shapes
    ...     def grad(self, inputs, output_gradients):
    ...         return [output_gradients[0] * 2]
    >>> x = T.vector("x")
    >>> symc.function([x], Double()(x))([1, 2])
    array([2., 4.], dtype=float32)
    """

    __props__: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the op in messages."""
        return type(self).__name__

    def make_node(self, *inputs: Any) -> Apply:
        """Create the application of the op to ``inputs``, with the types of the outputs."""
        raise NotImplementedError(f"{self.name} must define make_node(*inputs)")

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list[Any]]) -> None:
        """Compute the outputs."""
        raise NotImplementedError(f"{self.name} must define perform(node, inputs, output_storage)")

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return False
        if "__props__" not in type(self).__dict__:
            return self is other
        return all(getattr(self, p) == getattr(other, p) for p in self.__props__)

    def __hash__(self) -> int:
        if "__props__" not in type(self).__dict__:
            return id(self)
        return hash((type(self), *(getattr(self, p) for p in self.__props__)))

    def __call__(self, *inputs: Any, **kwargs: Any) -> Any:
        """Apply the op; returns a variable, or a list of variables if the op has several outputs."""
        node = self.make_node(*inputs, **kwargs)
        types = tuple((v.dtype, v.type.static_shape) for v in node.outputs)
        known = all(n is not None for _, shape in types for n in shape)
        if known or hasattr(self, "infer_shape"):
            made = Op(_python_op, user=self, types=types).all(*node.inputs)
        else:
            told = Op(_python_run, user=self, types=types).all(*node.inputs)
            made = Op(_python_take, user=self, types=types).all(*told, *node.inputs)
        for old, new in zip(node.outputs, made):
            new.name = old.name
        return made[0] if len(made) == 1 else list(made)


def _shapes(op: Op, inputs: Sequence[Variable]) -> list[tuple[Any, ...]] | None:
    """The lengths of the outputs from the user's ``infer_shape``, or None if it is not defined."""
    infer = getattr(op["user"], "infer_shape", None)
    if infer is None:
        return None
    node = Apply(op["user"], inputs, [TensorType(d, s) for d, s in op["types"]], None)
    found = infer(node, [tuple(shape_i(v, k) for k in range(v.ndim)) for v in inputs])
    if len(found) != len(op["types"]):
        text = f"{op['user'].name}: infer_shape gives {len(found)} shapes for {len(op['types'])} outputs"
        raise ValueError(located(text, inputs))
    for k, (shape, (_, known)) in enumerate(zip(found, op["types"])):
        if len(shape) != len(known):
            text = f"{op['user'].name}: infer_shape gives {len(shape)} lengths for output {k} of {len(known)} axes"
            raise ValueError(located(text, inputs))
    return [tuple(shape) for shape in found]


def _infer(op: Op, inputs: Sequence[Variable]) -> list[TensorType]:
    shapes = _shapes(op, inputs)
    types = []
    for k, (dtype, known) in enumerate(op["types"]):
        told = known if shapes is None else [as_dim(_whole(n)) for n in shapes[k]]
        types.append(TensorType(dtype, [t if n is None else n for n, t in zip(known, told)]))
    return types


def _whole(n: Any) -> Any:
    return n if isinstance(n, (int, np.integer)) else as_tensor(n)


def _perform(op: Op, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Run the user's code and check the number of axes and the dtypes of its results."""
    user = op["user"]
    inputs = [Variable(TensorType(a.dtype.name, a.shape)) for a in arrays]
    node = Apply(user, inputs, [TensorType(d, s) for d, s in op["types"]], None)
    storage: list[list[Any]] = [[None] for _ in op["types"]]
    user.perform(node, list(arrays), storage)
    found = []
    for k, ((value,), (dtype, known)) in enumerate(zip(storage, op["types"])):
        if value is None:
            raise ValueError(f"perform put nothing into output_storage[{k}][0]")
        array = np.asarray(value)
        if array.ndim != len(known):
            raise ValueError(f"output {k} has {array.ndim} axes, make_node promised {len(known)}")
        if array.dtype != dtype and not np.can_cast(array.dtype, dtype, "same_kind"):
            raise TypeError(f"output {k} is {array.dtype}, make_node promised {dtype}")
        found.append(array.astype(dtype, copy=False))
    return tuple(found)


def _grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    user = op["user"]
    slope = getattr(user, "grad", None)
    if slope is None:
        text = f"grad: {user.name} has no derivative"
        raise NullGradError(located(text, inputs, f"define {user.name}.grad(inputs, output_gradients)"))
    found = slope(list(inputs), list(gs))
    if len(found) != len(inputs):
        raise ValueError(located(f"{user.name}: grad gives {len(found)} terms for {len(inputs)} inputs", inputs))
    return [None if g is None else as_tensor(g) for g in found]


def _specialise(op: Op, inputs: Sequence[Variable], types: Sequence[TensorType]) -> Sequence[Variable]:
    return Op(_python_step, **op.attrs, shapes=tuple(t.shape for t in types)).all(*inputs)


def _lengths(op: Op) -> int:
    """The total number of axes of the op's results."""
    return builtins.sum(len(known) for _, known in op["types"])


def _take_infer(op: Op, inputs: Sequence[Variable]) -> list[TensorType]:
    lengths = iter(inputs[1:])
    types = []
    for dtype, known in op["types"]:
        told = [next(lengths) for _ in known]
        types.append(TensorType(dtype, [as_dim(v) if n is None else n for n, v in zip(known, told)]))
    return types


def _take_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    before = 1 + _lengths(op)
    return [None] * before + _grad(op, inputs[before:], outputs, gs)


_python_op = record(
    "python_op",
    declared_dtypes=True,
    infer=_infer,
    numpy=lambda op, *arrays: _perform(op, arrays),
    grad=_grad,
    specialise=_specialise,
    cases=lambda: [
        Case(lambda x: _sorted(x), (Arg((5,), distinct=True),), expect=np.sort, grad=False),
        Case(lambda x: _positive(x) * 2, (Arg((6,), values=[1, -1, 2, 0, 3, -2]),), expect=_positive_twice, grad=False),
        Case(lambda x, y: _cube(x) + y, (Arg((2, 3)), Arg((2, 3))), expect=lambda x, y: x**3 + y),
    ],
)

_python_step = record(
    "python_step",
    infer=lambda op, inputs: [TensorType(d, s) for (d, _), s in zip(op["types"], op["shapes"])],
    numpy=lambda op, *arrays: _perform(op, arrays),
    lower=HostCall(),
    declared_dtypes=True,
)

_tickets = count(1)
_waiting = threading.local()
WAITING = 256
"""Results of this thread that were not taken yet; those left behind by failed calls are dropped first."""


def _run(op: Op, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """Run the user's code and store its results under a ticket number; returns the ticket and the lengths."""
    found = _perform(op, arrays)
    results: dict[int, list[Any]] = _waiting.__dict__.setdefault("results", {})
    ticket = next(_tickets)
    results[ticket] = list(found)
    while len(results) > WAITING:
        results.pop(next(iter(results)))
    return tuple(np.asarray(n, "int64") for n in (ticket, *(n for a in found for n in a.shape)))


def _take(op: Op, ticket: np.ndarray, *others: np.ndarray) -> tuple[np.ndarray, ...]:
    results: dict[int, list[Any]] = _waiting.results
    return tuple(results.pop(int(ticket)))


_python_run = record(
    "python_run",
    infer=lambda op, inputs: [TensorType("int64", ())] * (1 + _lengths(op)),
    numpy=_run,
    lower=HostCall(),
    declared_dtypes=True,
)

_python_taken = record(
    "python_taken",
    infer=lambda op, inputs: [TensorType(d, s) for (d, _), s in zip(op["types"], op["shapes"])],
    numpy=_take,
    lower=HostCall(),
    declared_dtypes=True,
)


def _take_specialise(op: Op, inputs: Sequence[Variable], types: Sequence[TensorType]) -> Sequence[Variable]:
    return Op(_python_taken, **op.attrs, shapes=tuple(t.shape for t in types)).all(*inputs)


_python_take = record(
    "python_take",
    declared_dtypes=True,
    infer=_take_infer,
    numpy=_take,
    grad=_take_grad,
    specialise=_take_specialise,
)


class _Function(PythonOp):
    """A NumPy function with declared types."""

    def __init__(
        self, function: Callable[..., Any], itypes: Sequence[Any], otypes: Sequence[Any], infer_shape: Any, grad: Any
    ) -> None:
        self.function = function
        self.itypes, self.otypes = [_type(t) for t in itypes], [_type(t) for t in otypes]
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

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", "as_op")

    def make_node(self, *inputs: Any) -> Apply:
        if len(inputs) != len(self.itypes):
            raise TypeError(located(f"{self.name}: takes {len(self.itypes)} inputs, got {len(inputs)}"))
        given = []
        for k, (value, want) in enumerate(zip(inputs, self.itypes)):
            v = as_tensor(value)
            if v.ndim != want.ndim or ew.unify_dtypes([v, want()]) != want.dtype:
                raise TypeError(located(f"{self.name}: input {k} must be {want}, got {v.type}", [v]))
            given.append(ew.cast(v, want.dtype))
        return Apply(self, given, [TensorType(t.dtype, t.static_shape) for t in self.otypes], None)  # type: ignore[arg-type]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list[Any]]) -> None:
        found = self.function(*inputs)
        results = found if isinstance(found, (tuple, list)) and len(self.otypes) != 1 else [found]
        for storage, result in zip(output_storage, results, strict=True):
            storage[0] = result


def _type(t: Any) -> TensorType:
    """Convert a type or a constructor such as ``T.matrix`` to a type."""
    return t if isinstance(t, TensorType) else t.type if isinstance(t, Variable) else t().type


def as_op(itypes: Any, otypes: Any, infer_shape: Callable[..., Any] | None = None, grad: Any = None) -> Any:
    """Create an op from a function of NumPy arrays; a decorator.

    Parameters
    ----------
    itypes, otypes : type, constructor, or sequence of these
        Types of the inputs and outputs, such as ``T.vector`` or ``TensorType("float32", (None,))``.
    infer_shape : callable, optional
        ``infer_shape(node, shapes)``, as in :class:`PythonOp`.
    grad : callable, optional
        ``grad(inputs, output_gradients)``, as in :class:`PythonOp`.

    Examples
    --------
    >>> @symc.as_op(itypes=[T.vector], otypes=[T.vector])
    ... def backwards(x):
    ...     return x[::-1]
    """
    ins = list(itypes) if isinstance(itypes, (list, tuple)) else [itypes]
    outs = list(otypes) if isinstance(otypes, (list, tuple)) else [otypes]
    return lambda function: _Function(function, ins, outs, infer_shape, grad)


# --- used by the generated tests --------------------------------------------------------------------------------------


def _like(x: Variable, function: Callable[[np.ndarray], np.ndarray], **facts: Any) -> Any:
    unknown = TensorType(x.dtype, [None] * x.ndim)
    return as_op([unknown], [unknown], **facts)(function)(x)


def _sorted(x: Variable) -> Any:
    return _like(x, np.sort, infer_shape=lambda node, shapes: shapes)


def _positive(x: Variable) -> Any:
    return _like(x, lambda a: a[a > 0])


def _positive_twice(x: np.ndarray) -> np.ndarray:
    return x[x > 0] * 2


def _cube(x: Variable) -> Any:
    return _like(
        x,
        lambda a: a**3,
        infer_shape=lambda node, shapes: shapes,
        grad=lambda inputs, gs: [gs[0] * 3 * inputs[0] * inputs[0]],
    )
