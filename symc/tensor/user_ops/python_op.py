"""Ops written in Python by users: classes with ``make_node`` and ``perform``.

They run in mid-program on every back end, on NumPy arrays. If ``infer_shape`` returns the shapes of the results, memory
is allocated beforehand; otherwise the op runs first, and the shapes of its results become dims.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from symc.config import config
from symc.errors import DTypeError, located
from symc.graph import Apply, Variable
from symc.graph.dtypes import BRAIN, floating, is_complex
from symc.graph.op import Op
from symc.graph.types import TensorType
from symc.graph.variables import take_place
from symc.tensor.basic import as_tensor
from symc.tensor.elementwise import cast, unify_dtypes
from symc.tensor.user_ops.python_records import PYTHON_OP, PYTHON_RUN, PYTHON_TAKE, shapes_of

__all__ = ["PythonOp", "as_type", "given_inputs", "wrap_complex_with"]


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
        elif known or all(shape is not None for shape in shapes_of(applied, arguments)):
            made = applied.all(*arguments)
        else:
            if hasattr(self, "native"):
                repair = "define infer_shape(node, shapes): the memory of results is allocated before C code runs"
                raise TypeError(located(f"{self.name}: the shapes of its outputs are not known", arguments, repair))
            told = Op(PYTHON_RUN, user=self, types=types).all(*arguments)
            made = Op(PYTHON_TAKE, user=self, types=types).all(*told, *arguments)
        for old, new in zip(node.outputs, made):
            new.name = old.name
        return tuple(take_place(new, old) if old.kept else new for old, new in zip(node.outputs, made))


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
