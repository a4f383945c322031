"""Ops written in Python by users: classes with ``make_node`` and ``perform``.

They run in mid-program on every back end, on NumPy arrays. If ``infer_shape`` returns the shapes of the results, memory
is allocated beforehand; otherwise the op runs first, and the shapes of its results become dims.
"""

from __future__ import annotations

import builtins
import threading
from collections.abc import Callable, Sequence
from functools import wraps
from itertools import count
from typing import Any

import numpy as np

from symc.config import config
from symc.errors import DTypeError, NullGradError, located
from symc.graph import Apply, Variable
from symc.graph.dtypes import BRAIN, floating, is_complex
from symc.graph.op import HostCall, Op, record
from symc.graph.types import TensorType
from symc.tensor.basic import as_tensor
from symc.tensor.elementwise import cast, unify_dtypes
from symc.tensor.graph_op import as_gradient
from symc.tensor.symbolic_dims import as_dim, shape_i

__all__ = ["PYTHON_OP", "PythonOp", "as_type", "given_inputs", "wrap_complex_with"]


class PythonOp:
    """Base class of ops written by users; its public name is ``symc.Op``.

    A subclass defines ``make_node(*inputs)``, which returns ``symc.Apply(self, inputs, outputs)`` with one variable or
    type per output, or declares ``itypes`` and ``otypes``; and ``perform(node, inputs, output_storage)``, which stores
    NumPy arrays in ``output_storage[k][0]``. The arrays in ``inputs`` are read-only. It may define

    ``infer_shape(node, shapes)``
        returns one tuple of lengths per output, computed from the entries of ``shapes`` (the lengths of each input, as
        scalars) and integers; None in place of a tuple means that the shape is known only once the op has run;
    ``grad(inputs, output_gradients)``
        returns one expression per input, or None if the outputs do not depend on it;
    ``L_op(inputs, outputs, output_gradients)``
        the same, but is also given the outputs; it takes precedence over ``grad``;
    ``R_op(inputs, eval_points)``
        returns the derivative of each output in the direction ``eval_points``, of which those of other inputs are None;
        ``symc.gradient.Rop`` uses it. Without it, the derivative follows from ``grad``;
    ``connection_pattern(node)``
        returns, per input, a list that says of each output whether it depends on this input.

    Attributes
    ----------
    __props__ : tuple of str
        Names of attributes. Two ops of the same class are equal if these attributes are equal; without ``__props__``,
        every op equals itself alone.
    itypes, otypes : sequence, optional
        Types of the inputs and outputs (``T.matrix``, ``TensorType("float32", (None, 3))``), from which the default
        ``make_node`` follows. An integer stands for a tensor with that many axes; all of these have one float dtype,
        that of the inputs.
    default_output : int, optional
        The output that calling the op returns, if it has several outputs of which the others are rarely used.
    destroy_map : dict, optional
        ``{output: [inputs]}``: inputs that ``perform`` overwrites. It is given copies of them.

    Examples
    --------
    >>> class Double(symc.Op):
    ...     __props__ = ()
    ...     def make_node(self, x):
    ...         x = T.as_tensor_variable(x)
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
    itypes: Sequence[Any] | None = None
    otypes: Sequence[Any] | None = None
    default_output: int | None = None
    destroy_map: dict[int, list[int]] = {}

    _name: str | None = None

    def __init_subclass__(cls, **named: Any) -> None:
        """Let ``op.make_node(x).outputs`` be variables of the graph, whatever the class itself puts there."""
        super().__init_subclass__(**named)
        own = cls.__dict__.get("make_node")
        if callable(own):
            cls.make_node = _applied(own)  # type: ignore[method-assign]

    @property
    def name(self) -> str:
        """The name of the op in messages and listings."""
        return str(self) if self._name is None else self._name

    @name.setter
    def name(self, value: str | None) -> None:
        self._name = value

    def make_node(self, *inputs: Any) -> Apply:
        """Create the application of the op to ``inputs``, with the types of the outputs."""
        if self.itypes is None or self.otypes is None:
            raise NotImplementedError(f"{type(self).__name__} must define make_node(*inputs), or itypes and otypes")
        given, dtype = given_inputs(self.name, inputs, self.itypes)
        return Apply(self, given, [as_type(t, dtype) for t in self.otypes], None)

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list[Any]]) -> None:
        """Compute the outputs."""
        raise NotImplementedError(f"{type(self).__name__} must define perform(node, inputs, output_storage)")

    def _properties(self) -> tuple[str, ...] | None:
        """The names in ``__props__``, or None if neither the class nor a class above it declares any."""
        above = [c for c in type(self).__mro__ if issubclass(c, PythonOp) and c.__module__ != __name__]
        return self.__props__ if any("__props__" in c.__dict__ for c in above) else None

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        names = self._properties()
        if names is None or type(self) is not type(other):
            return False
        return all(getattr(self, p) == getattr(other, p) for p in names)

    def __hash__(self) -> int:
        names = self._properties()
        return id(self) if names is None else hash((type(self), *(getattr(self, p) for p in names)))

    def __str__(self) -> str:
        names = self._properties()
        shown = ", ".join(f"{p}={getattr(self, p)!r}" for p in names or ())
        return type(self).__name__ + (f"{{{shown}}}" if shown else "")

    def __repr__(self) -> str:
        return str(self)

    def __call__(self, *inputs: Any, return_list: bool = False, **kwargs: Any) -> Any:
        """Apply the op.

        Parameters
        ----------
        *inputs, **kwargs
            Arguments of ``make_node``.
        return_list : bool
            Return a list of all outputs, even of a single one.

        Returns
        -------
        Variable or list of Variable
            A variable if there is one output, or a ``default_output``.
        """
        made = self._outputs(self._described(*inputs, **kwargs))
        if return_list:
            return list(made)
        if self.default_output is not None:
            return made[self.default_output]
        return made[0] if len(made) == 1 else list(made)

    def _described(self, *inputs: Any, **kwargs: Any) -> Apply:
        """What the class's own ``make_node`` returns: a description, whose outputs are in no graph."""
        own = type(self).make_node
        node = getattr(own, "__wrapped__", own)(self, *inputs, **kwargs)
        if not isinstance(node, Apply):
            raise TypeError(
                located(f"{self.name}: make_node must return symc.Apply(self, inputs, outputs), got {node!r}")
            )
        return node

    def _outputs(self, node: Apply) -> Sequence[Variable]:
        """The outputs of the application that a node describes."""
        arguments = [as_tensor(v) for v in node.inputs]
        types = tuple((v.dtype, _declared(v, arguments, self)) for v in node.outputs)
        applied = Op(PYTHON_OP, user=self, types=types)
        known = all(n is not None for _, shape in types for n in shape)
        if any(v.dtype == BRAIN for v in (*arguments, *node.outputs)):
            repair = "declare float32, and cast before and after it"
            raise DTypeError(located(f"{self.name}: ops in Python do not receive bfloat16", arguments, repair))
        if any(is_complex(v.dtype) for v in (*arguments, *node.outputs)):
            made = tuple(_wrap_complex(self, node))
        elif known or all(shape is not None for shape in _shapes(applied, arguments)):
            made = applied.all(*arguments)
        else:
            if hasattr(self, "native"):
                repair = "define infer_shape(node, shapes): the memory of results is allocated before C code runs"
                raise TypeError(located(f"{self.name}: the shapes of its outputs are not known", arguments, repair))
            told = Op(_python_run, user=self, types=types).all(*arguments)
            made = Op(_python_take, user=self, types=types).all(*told, *arguments)
        for old, new in zip(node.outputs, made):
            new.name = old.name
        return made


def _applied(make_node: Callable[..., Apply]) -> Callable[..., Apply]:
    @wraps(make_node)
    def make(self: PythonOp, *inputs: Any, **kwargs: Any) -> Apply:
        node = self._described(*inputs, **kwargs)
        node.outputs = tuple(self._outputs(node))
        return node

    return make


_wrap_complex: Callable[[PythonOp, Apply], Sequence[Variable]]


def wrap_complex_with(function: Callable[[PythonOp, Apply], Sequence[Variable]]) -> None:
    """Tell ops what applies them to complex numbers: a function that is itself built on ``PythonOp``."""
    global _wrap_complex
    _wrap_complex = function


def _declared(output: Variable, inputs: Sequence[Variable], user: PythonOp) -> tuple[int | None, ...]:
    """The lengths that ``make_node`` promises.

    ``x.type()`` promises the dtype and the axes of length 1 of ``x``, as in programs in which types have no lengths.
    """
    shape = output.type.static_shape
    if user.otypes is not None or all(output.type != v.type for v in inputs):
        return shape
    return tuple(n if n == 1 else None for n in shape)


def as_type(t: Any, dtype: str = "floatX") -> TensorType:
    """Convert an entry of ``itypes`` or ``otypes`` to a type; an integer is a number of axes of ``dtype``."""
    if isinstance(t, int):
        return TensorType(dtype, [None] * t)
    found = t if isinstance(t, TensorType) else t.type if isinstance(t, Variable) else t().type
    return TensorType(found.dtype, found.static_shape)


def given_inputs(name: str, inputs: Sequence[Any], itypes: Sequence[Any]) -> tuple[list[Variable], str]:
    """Convert inputs to the types that an op declares; also returns the dtype of those declared by their axes."""
    if len(inputs) != len(itypes):
        raise TypeError(located(f"{name}: takes {len(itypes)} inputs, got {len(inputs)}"))
    variables = [as_tensor(v) for v in inputs]
    free = [v for v, t in zip(variables, itypes) if isinstance(t, int)]
    dtype = floating(unify_dtypes(free)) if free else config.floatX
    given = []
    for k, (v, t) in enumerate(zip(variables, itypes)):
        want = as_type(t, dtype)
        if v.ndim != want.ndim or not isinstance(t, int) and unify_dtypes([v, Variable(want)]) != want.dtype:
            raise TypeError(located(f"{name}: input {k} must be {want}, got {v.type}", [v]))
        given.append(cast(v, want.dtype))
    return given, dtype


# --- what the compiler sees -------------------------------------------------------------------------------------------


def _node(op: Op, inputs: Sequence[Variable]) -> Apply:
    """An application as the user's methods expect it."""
    return Apply(op["user"], inputs, [TensorType(d, s) for d, s in op["types"]], None)


def _shapes(op: Op, inputs: Sequence[Variable]) -> list[tuple[Any, ...] | None]:
    """The lengths of the outputs from the user's ``infer_shape``; None for those that it does not know."""
    user, types = op["user"], op["types"]
    infer = getattr(user, "infer_shape", None)
    if infer is None:
        return [None] * len(types)
    found = infer(_node(op, inputs), [tuple(shape_i(v, k) for k in range(v.ndim)) for v in inputs])
    if len(found) != len(types):
        text = f"{user.name}: infer_shape gives {len(found)} shapes for {len(types)} outputs"
        raise ValueError(located(text, inputs))
    for k, (shape, (_, known)) in enumerate(zip(found, types)):
        if shape is not None and len(shape) != len(known):
            text = f"{user.name}: infer_shape gives {len(shape)} lengths for output {k} of {len(known)} axes"
            raise ValueError(located(text, inputs))
    return [None if shape is None else tuple(shape) for shape in found]


def _infer(op: Op, inputs: Sequence[Variable]) -> list[TensorType]:
    types = []
    for (dtype, known), shape in zip(op["types"], _shapes(op, inputs)):
        told = known if shape is None else [as_dim(_whole(n)) for n in shape]
        types.append(TensorType(dtype, [t if n is None else n for n, t in zip(known, told)]))
    return types


def _whole(n: Any) -> Any:
    return n if isinstance(n, (int, np.integer)) else as_tensor(n)


def _perform(op: Op, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Run the user's code and check the number of axes and the dtypes of its results."""
    user = op["user"]
    overwritten = {k for inputs in user.destroy_map.values() for k in inputs}
    given = [np.array(a) if k in overwritten else _read_only(a) for k, a in enumerate(arrays)]
    node = _node(op, [Variable(TensorType(a.dtype.name, a.shape)) for a in given])
    storage: list[list[Any]] = [[None] for _ in op["types"]]
    user.perform(node, given, storage)
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


def _read_only(array: Any) -> np.ndarray:
    view = np.asarray(array).view()
    view.setflags(write=False)
    return view


def _connected(op: Op, inputs: Sequence[Variable]) -> list[bool]:
    """Whether any output depends on it, per input."""
    pattern = getattr(op["user"], "connection_pattern", None)
    return [True] * len(inputs) if pattern is None else [any(row) for row in pattern(_node(op, inputs))]


def _grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    user = op["user"]
    connected = _connected(op, inputs)
    if not any(connected):
        return [None] * len(inputs)
    if hasattr(user, "L_op"):
        found = user.L_op(list(inputs), list(outputs), list(gs))
    elif hasattr(user, "grad"):
        found = user.grad(list(inputs), list(gs))
    else:
        text = f"grad: {user.name} has no derivative"
        raise NullGradError(located(text, inputs, f"define {type(user).__name__}.grad(inputs, output_gradients)"))
    terms = list(found) if isinstance(found, (list, tuple)) else [found]
    if len(terms) != len(inputs):
        raise ValueError(located(f"{user.name}: grad gives {len(terms)} terms for {len(inputs)} inputs", inputs))
    return [as_gradient(g) if known else None for g, known in zip(terms, connected)]


def _push(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], points: Sequence[Any]) -> Any:
    user = op["user"]
    if not hasattr(user, "R_op"):
        return None
    found = user.R_op(list(inputs), list(points))
    if len(found) != len(outputs):
        raise ValueError(located(f"{user.name}: R_op gives {len(found)} terms for {len(outputs)} outputs", inputs))
    return [as_gradient(g) for g in found]


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


def _take_push(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], points: Sequence[Any]) -> Any:
    before = 1 + _lengths(op)
    return _push(op, inputs[before:], outputs, points[before:])


def _native(node: Apply) -> Any:
    """The user's C code, if the op has any."""
    make = getattr(node.op["user"], "native", None)
    return None if make is None else make(node)


def _title(op: Op) -> str:
    return op["user"].name


PYTHON_OP = record(
    "python_op",
    declared_dtypes=True,
    infer=_infer,
    numpy=lambda op, *arrays: _perform(op, arrays),
    grad=_grad,
    push=_push,
    specialise=_specialise,
    title=_title,
)

_python_step = record(
    "python_step",
    infer=lambda op, inputs: [TensorType(d, s) for (d, _), s in zip(op["types"], op["shapes"])],
    numpy=lambda op, *arrays: _perform(op, arrays),
    lower=HostCall(native=_native),
    declared_dtypes=True,
    title=_title,
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
    unspecified=True,
    title=_title,
)

_python_taken = record(
    "python_taken",
    infer=lambda op, inputs: [TensorType(d, s) for (d, _), s in zip(op["types"], op["shapes"])],
    numpy=_take,
    lower=HostCall(),
    declared_dtypes=True,
    unspecified=True,
    title=_title,
)


def _take_specialise(op: Op, inputs: Sequence[Variable], types: Sequence[TensorType]) -> Sequence[Variable]:
    return Op(_python_taken, **op.attrs, shapes=tuple(t.shape for t in types)).all(*inputs)


_python_take = record(
    "python_take",
    declared_dtypes=True,
    infer=_take_infer,
    numpy=_take,
    grad=_take_grad,
    push=_take_push,
    specialise=_take_specialise,
    title=_title,
)
