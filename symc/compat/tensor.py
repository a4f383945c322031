"""Names of ``theano.tensor`` that stand for parts of Theano's own structure, such as its ops as classes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import symc.tensor as T
from symc.compat.flags import config
from symc.compat.function import shared
from symc.compat.overwriting import overwriting
from symc.compat.rules import hashtype
from symc.compat.tensor_functions import alloc, as_tensor_variable, inc_subtensor
from symc.graph import Constant, SharedVariable, Variable
from symc.graph.dtypes import COMPLEX, FLOATS, INTEGERS, SIGNED, UNSIGNED
from symc.graph.op import Pointwise
from symc.graph.types import TensorType
from symc.tensor.nlinalg import det, eigh, pinv, qr, svd
from symc.tensor.shared_randomstreams import RandomStreams

_any: Any = T

__all__ = [
    "Alloc", "AllocEmpty", "ARange", "Argmax", "Constant", "DimShuffle", "Dot", "Elemwise", "Eye", "IncSubtensor",
    "Join", "MakeVector", "MatrixInverse", "NoneConst", "Rebroadcast", "Reshape", "ScalarSharedVariable",
    "SharedRandomStreams", "Shape", "Split",
    "Subtensor", "Tensor", "TensorDot", "TensorLike", "all_dtypes", "complex_dtypes",
    "config", "continuous_dtypes", "det", "discrete_dtypes", "eigh", "fill_chain", "float_dtypes", "float_types",
    "gemm", "gemv", "hashtype", "int_dtypes", "int_types", "integer_dtypes", "largest",
    "makeKeepDims", "make_constant", "makevector", "pinv", "qr", "scalar_from_tensor", "smallest",
    "shared", "svd", "tensor_copy", "tensor_from_scalar", "uint_dtypes", "wrap_into_list",
]  # fmt: skip


int_dtypes = list(SIGNED)
uint_dtypes = list(UNSIGNED)
integer_dtypes = list(INTEGERS)
discrete_dtypes = ["bool", *INTEGERS]
float_dtypes = list(FLOATS)
complex_dtypes = list(COMPLEX)
continuous_dtypes = [*float_dtypes, *complex_dtypes]
all_dtypes = [*discrete_dtypes, *continuous_dtypes]
int_types = [TensorType(d) for d in int_dtypes]
float_types = [TensorType(d) for d in float_dtypes]
NoneConst = None

TensorLike = Variable
Tensor = TensorType
SharedRandomStreams = RandomStreams


class _Scalars(type):
    """Recognises shared variables without axes."""

    def __instancecheck__(cls, thing: Any) -> bool:
        return isinstance(thing, SharedVariable) and thing.ndim == 0


class ScalarSharedVariable(metaclass=_Scalars):
    """The class of shared variables without axes, for ``isinstance``."""


def largest(*operands: Any) -> Variable:
    """The elementwise maximum of any number of operands."""
    return _folded(T.maximum, operands)


def smallest(*operands: Any) -> Variable:
    """The elementwise minimum of any number of operands."""
    return _folded(T.minimum, operands)


def _folded(function: Any, operands: Sequence[Any]) -> Variable:
    found = T.as_tensor_variable(operands[0])
    for other in operands[1:]:
        found = function(found, other)
    return found


def tensor_copy(x: Any) -> Variable:
    """A new variable with the value of ``x``."""
    return T.as_tensor_variable(x).copy()


def scalar_from_tensor(x: Any) -> Variable:
    """Return ``x``: scalars are tensors without axes."""
    return T.as_tensor_variable(x)


def tensor_from_scalar(x: Any) -> Variable:
    """Return ``x``: scalars are tensors without axes."""
    return T.as_tensor_variable(x)


def makevector(*entries: Any) -> Variable:
    """The vector of the given scalars."""
    return T.stack(list(entries))


def make_constant(value: Any) -> Constant:
    """The constant with this value."""
    return T.constant(value)


def makeKeepDims(x: Any, y: Any, axis: Any) -> Variable:  # noqa: N802 - Theano's name
    """Reinsert the axes that a reduction ``y`` of ``x`` over ``axis`` dropped, with length 1."""
    x = T.as_tensor_variable(x)
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, (list, tuple)) else [axis]
    dropped = {a % x.ndim for a in axes}
    kept = iter(range(x.ndim - len(dropped)))
    return T.as_tensor_variable(y).dimshuffle(["x" if k in dropped else next(kept) for k in range(x.ndim)])


def fill_chain(value: Any, like: Sequence[Any]) -> Variable:
    """Broadcast ``value`` to the shapes of all of ``like``."""
    found = as_tensor_variable(value)
    for other in like:
        found = T.fill(other, found)
    return found


def wrap_into_list(x: Any) -> list[Any]:
    """Return a list: of what ``x`` holds, or of ``x`` alone; empty for None."""
    return [] if x is None else list(x) if isinstance(x, (list, tuple)) else [x]


def gemm(z: Any, a: Any, x: Any, y: Any, b: Any) -> Variable:
    """``b * z + a * dot(x, y)``."""
    return b * T.as_tensor_variable(z) + a * T.dot(x, y)


def gemv(y: Any, a: Any, matrix: Any, x: Any, b: Any) -> Variable:
    """``b * y + a * dot(matrix, x)``."""
    return b * T.as_tensor_variable(y) + a * T.dot(matrix, x)


class _ByRecord(type):
    """Ops are instances of a class by what they compute: by the records of applications in ``examples``."""

    def __instancecheck__(cls, thing: Any) -> bool:
        if type.__instancecheck__(cls, thing):
            return True
        record = getattr(thing, "record", None)
        return record is not None and any(record is known for known in _records_of(cls))


@cache
def _records_of(cls: Any) -> tuple[Any, ...]:
    """The records of the ops that stand for a class here: those of its applications to small operands."""
    found = []
    for example in vars(cls).get("examples", staticmethod(lambda: ()))():
        owner = example.owner
        found.append(owner.op.record)
    return tuple(found)


class Call(metaclass=_ByRecord):
    """An op of Theano whose application computes a function of this library.

    ``examples`` gives applications by which ``isinstance(node.op, cls)`` recognises the ops of a compiled graph.
    """

    examples: Any = staticmethod(lambda: ())

    def __init__(self, *parameters: Any, **named: Any) -> None:
        self.parameters = parameters
        self.named = named

    def parameter(self, name: str, default: Any = None) -> Any:
        """The first parameter, which is called ``name``."""
        return self.parameters[0] if self.parameters else self.named.get(name, default)

    def make_node(self, *inputs: Any) -> Any:
        """The application of the op."""
        return self(*inputs).owner

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        raise TypeError(f"{type(self).__name__} cannot be applied")


class DimShuffle(Call):
    """``DimShuffle(input_broadcastable, new_order)(x)`` is ``x.dimshuffle(new_order)``."""

    examples = staticmethod(lambda: [_any.matrix().dimshuffle(1, 0)])

    def __init__(self, input_broadcastable: Sequence[bool], new_order: Sequence[Any], inplace: bool = True) -> None:
        super().__init__(input_broadcastable, new_order)
        self.input_broadcastable = tuple(bool(b) for b in input_broadcastable)
        self.new_order = tuple(new_order)
        kept = [a for a in self.new_order if a != "x"]
        if len(set(kept)) < len(kept) or any(a >= len(self.input_broadcastable) for a in kept):
            raise ValueError(f"DimShuffle: {self.new_order} is no order of {len(self.input_broadcastable)} axes")
        dropped = [a for a, one in enumerate(self.input_broadcastable) if not one and a not in kept]
        if dropped:
            raise ValueError(f"DimShuffle: axis {dropped[0]} cannot be dropped, since it is not broadcastable")

    def __call__(self, *inputs: Any) -> Variable:
        return T.as_tensor_variable(inputs[0]).dimshuffle(self.new_order)


class _Pointwise(_ByRecord):
    """Elementwise ops are instances of a class by what they compute."""

    def __instancecheck__(cls, thing: Any) -> bool:
        return type.__instancecheck__(cls, thing) or isinstance(
            getattr(getattr(thing, "record", None), "lower", None), Pointwise
        )


class Elemwise(Call, metaclass=_Pointwise):
    """``Elemwise(scalar_op)(x, y)`` applies an elementwise function."""

    def __init__(self, scalar_op: Any, inplace_pattern: Any = None, name: str | None = None, **ignored: Any) -> None:
        super().__init__(scalar_op)
        self.scalar_op, self.inplace_pattern = scalar_op, inplace_pattern or {}

    def __call__(self, *inputs: Any) -> Any:
        found = self.scalar_op(*inputs)
        return overwriting(found, inputs[self.inplace_pattern[0]]) if 0 in self.inplace_pattern else found


class Reshape(Call):
    """``Reshape(ndim)(x, shape)`` is ``T.reshape(x, shape, ndim)``."""

    examples = staticmethod(lambda: [_any.reshape(_any.matrix(), (-1,))])

    def __call__(self, *inputs: Any) -> Variable:
        return T.reshape(inputs[0], inputs[1], self.parameter("ndim"))


class Join(Call):
    """``Join()(axis, x, y)`` is ``T.join(axis, x, y)``."""

    examples = staticmethod(lambda: [_any.join(0, _any.vector(), _any.vector())])

    def __call__(self, *inputs: Any) -> Variable:
        return T.join(*inputs)


class Split(Call):
    """``Split(n)(x, axis, sizes)`` is ``T.split(x, sizes, n, axis)``."""

    def __call__(self, *inputs: Any) -> Any:
        x, axis, sizes = inputs
        return T.split(x, sizes, self.parameter("len_splits"), axis)


class Rebroadcast(Call):
    """``Rebroadcast((axis, known))(x)`` declares axes to have length 1, or no longer."""

    def __call__(self, *inputs: Any) -> Variable:
        x = T.as_tensor_variable(inputs[0])
        for axis, one in self.parameters:
            x = T.addbroadcast(x, axis) if one else T.unbroadcast(x, axis)
        return x


class Alloc(Call):
    """``Alloc()(value, *shape)`` is ``T.alloc(value, *shape)``."""

    examples = staticmethod(lambda: [_any.alloc(_any.scalar(), _any.lscalar())])

    def __call__(self, *inputs: Any) -> Variable:
        return alloc(*inputs)


class AllocEmpty(Call):
    """``AllocEmpty(dtype)(*shape)``: zeros, since no memory is handed out unset."""

    def __call__(self, *inputs: Any) -> Variable:
        return T.zeros(inputs, dtype=self.parameter("dtype"))


class ARange(Call):
    """``ARange(dtype)(start, stop, step)`` is ``T.arange``."""

    examples = staticmethod(lambda: [_any.arange(_any.lscalar())])

    def __call__(self, *inputs: Any) -> Variable:
        start, stop, step = inputs
        return T.arange(start, stop, step, self.parameter("dtype"))


class Eye(Call):
    """``Eye(dtype)(n, m, k)`` is ``T.eye``."""

    examples = staticmethod(lambda: [_any.eye(_any.lscalar())])

    def __call__(self, *inputs: Any) -> Variable:
        n, m, k = inputs
        return T.eye(n, m, k, self.parameter("dtype"))


class MakeVector(Call):
    """``MakeVector(dtype)(*scalars)`` is the vector of the scalars."""

    def __call__(self, *inputs: Any) -> Variable:
        dtype = self.parameter("dtype")
        if not inputs:
            return T.zeros((0,), dtype or "int64")
        found = T.stack([T.as_tensor_variable(v) for v in inputs])
        return found if dtype is None else T.cast(found, dtype)


class MatrixInverse(Call):
    """``MatrixInverse()(x)`` is the inverse of ``x``."""

    examples = staticmethod(lambda: [_any.nlinalg.matrix_inverse(_any.matrix())])

    def __call__(self, *inputs: Any) -> Variable:
        return T.nlinalg.matrix_inverse(*inputs)


class Dot(Call):
    """``Dot()(x, y)`` is ``T.dot(x, y)``."""

    examples = staticmethod(
        lambda: [
            _any.dot(_any.matrix(), _any.matrix()),
            _any.dot(_any.matrix(), _any.vector()),
            _any.dot(_any.vector(), _any.vector()),
        ]
    )

    def __call__(self, *inputs: Any) -> Variable:
        return T.dot(*inputs)


class TensorDot(Call):
    """``TensorDot(axes)(x, y)`` is ``T.tensordot(x, y, axes)``."""

    def __call__(self, *inputs: Any) -> Variable:
        return T.tensordot(*inputs, **self.named) if self.named else T.tensordot(*inputs, *self.parameters)


class Argmax(Call):
    """``Argmax(axis)(x)`` is ``T.argmax(x, axis)``."""

    examples = staticmethod(lambda: [_any.argmax(_any.matrix(), axis=0)])

    def __call__(self, *inputs: Any) -> Variable:
        return T.argmax(inputs[0], *self.parameters, **self.named)


class Shape(Call):
    """``Shape()(x)`` is ``x.shape``."""

    examples = staticmethod(lambda: [_any.shape(_any.matrix())])

    def __call__(self, *inputs: Any) -> Variable:
        return T.shape(*inputs)


class Subtensor(Call):
    """``Subtensor(index)(x)`` is ``x[index]``, for an index without symbolic entries."""

    examples = staticmethod(lambda: [_any.vector()[1:], _any.vector()[_any.lscalar() :]])

    def __call__(self, *inputs: Any) -> Variable:
        return T.as_tensor_variable(inputs[0])[tuple(self.parameter("idx_list"))]


class IncSubtensor(Call):
    """``IncSubtensor(index)(x, y)`` adds ``y`` to ``x[index]``; with ``set_instead_of_inc=True`` it replaces it."""

    examples = staticmethod(
        lambda: [_any.set_subtensor(_any.vector()[1:], 0.0), _any.inc_subtensor(_any.vector()[1:], 1.0)]
    )

    def __call__(self, *inputs: Any) -> Variable:
        x, y = inputs[:2]
        at = T.as_tensor_variable(x)[tuple(self.parameter("idx_list"))]
        return inc_subtensor(at, y, set_instead_of_inc=bool(self.named.get("set_instead_of_inc")))
