"""Python's operators and NumPy's methods on variables, in one table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from symc.errors import located
from symc.graph import Constant, Variable
from symc.graph.composite import Composite
from symc.graph.dtypes import is_integer
from symc.graph.op import Arg, Case, Op, record
from symc.graph.types import TensorType
from symc.tensor import (
    axes,
    creation,
    cumulative,
    extra_ops,
    linalg,
    ordering,
    reduce,
    repeating,
    reshaping,
    shaping,
    sorting,
    symbolic_dims,
)
from symc.tensor import elementwise as ew
from symc.tensor.complex_numbers import parts as complex_parts
from symc.tensor.constructors import of_type
from symc.tensor.indices import indexing, selection
from symc.tensor.indices.index_items import old_tuple
from symc.tensor.numpy_array_functions import apply_function
from symc.tensor.numpy_functions import apply_ufunc

__all__ = ["METHODS", "attach"]


def _item(self: Variable, item: Any) -> Variable:
    """``self[item]``, with a dependency on slice bounds that were replaced by numbers because shapes are known."""
    item = old_tuple(item)
    entries = item if isinstance(item, tuple) else (item,)
    bounds = [b for e in entries if isinstance(e, slice) for b in (e.start, e.stop, e.step) if isinstance(b, Variable)]
    scalars = [b for b in bounds if not isinstance(b, Constant) and b.ndim == 0 and is_integer(b.dtype)]
    read = [b for b in scalars if type(symbolic_dims.as_dim(b)) is int]
    return indexing.subtensor(symbolic_dims.typed_by(self, *read) if read else self, item)


def _truth(self: Variable) -> bool:
    known = symbolic_dims.known_value(self)
    if known is not None and known.size == 1:
        return bool(known)
    repair = "use switch(condition, a, b) for a choice, & | ~ for logic, and 'is' to compare variables themselves"
    raise TypeError(located("a symbolic variable has no truth value while the graph is built", [self], repair))


def _index(self: Variable) -> int:
    repair = (
        "use arange(n) for a range, and symc.tensor's functions for tensors of that shape; x.eval({...}) computes it"
    )
    raise TypeError(located("a symbolic variable is no int while the graph is built", [self], repair))


def _number(self: Variable, kind: type = float) -> Any:
    known = symbolic_dims.known_value(self)
    if known is not None and known.size == 1:
        return kind(known.reshape(())[()])
    repair = "compile a function and call it, or use x.eval({...})"
    raise TypeError(located(f"a symbolic variable is no {kind.__name__} while the graph is built", [self], repair))


def _array(self: Variable, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
    known = symbolic_dims.known_value(self)
    if known is not None:
        return known if dtype is None else known.astype(dtype)
    if self.ndim == 0 and (
        dtype is None or np.dtype(dtype) == np.dtype(object)
    ):  # an element of a list: np.prod([x.shape[0], 3])
        holder = np.empty((), object)
        holder[()] = self
        return holder
    repair = "use symc.tensor's functions on it, or get its value with x.eval({...})"
    raise TypeError(located("a symbolic variable is no NumPy array", [self], repair))


def _length(self: Variable) -> int:
    known = self.type.shape[0] if self.ndim else None
    if type(known) is int:
        return known
    raise TypeError(
        located("the length of a symbolic tensor is not known while the graph is built", [self], "use x.shape[0]")
    )


def _iterate(self: Variable) -> Iterator[Variable]:
    if self.ndim == 0 or type(self.type.shape[0]) is not int:
        raise TypeError(
            located(
                "a symbolic tensor of unknown length cannot be iterated over", [self], "index it, or declare its shape"
            )
        )
    return (self[k] for k in range(self.type.shape[0]))


def _contains(self: Variable, item: Any) -> bool:
    raise TypeError(located("'in' is not defined for symbolic variables", [self], "use any(eq(x, item))"))


_copy = record(
    "copy",
    partwise=True,
    infer=lambda op, inputs: inputs[0].type,
    numpy=lambda op, x: x,
    grad=lambda op, inputs, outputs, gs: [gs[0]],
    specialise=lambda op, inputs, types: inputs[0],
    cases=lambda: [Case(lambda x: copy(x, "y") * 2, (Arg((2, 3)),), expect=lambda x: x * 2)],
)


def copy(x: Variable, name: str | None = None) -> Variable:
    """Create a new variable with the value of ``x``, optionally with another name."""
    twin = Op(_copy)(x)
    twin.name = name
    return twin


def _norm(x: Variable, L: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """The L-norm over ``axis``: the L-th root of the sum of L-th powers of absolute values.

    0 counts non-zero elements, infinity takes the largest and -infinity the smallest absolute value.
    """
    size = ew.abs_(x)
    if L == -float("inf"):
        return reduce.min(size, axis=axis, keepdims=keepdims)
    if L == 0:
        return reduce.sum(ew.neq(x, 0), axis=axis, keepdims=keepdims)
    if L == float("inf"):
        return reduce.max(size, axis=axis, keepdims=keepdims)
    if L == 1:
        return reduce.sum(size, axis=axis, keepdims=keepdims)
    if L == 2:
        return ew.sqrt(reduce.sum(complex_parts.squared_size(x), axis=axis, keepdims=keepdims))
    return reduce.sum(size**L, axis=axis, keepdims=keepdims) ** (1.0 / L)


def _transpose(x: Variable, *order: Any) -> Variable:
    return shaping.transpose(
        x, order[0] if len(order) == 1 and (order[0] is None or isinstance(order[0], (tuple, list))) else order or None
    )


def _reshape(x: Variable, *lengths: Any, shape: Any = None, ndim: int | None = None) -> Variable:
    if shape is None:
        shape = lengths[0] if len(lengths) == 1 else lengths
    return reshaping.reshape(x, shape, ndim)


def _method(function: Any) -> Any:
    """Wrap an elementwise function as a method: a callable object would not receive ``self``."""
    return lambda *operands: function(*operands)


_NUMBERS = (Variable, bool, int, float, complex, str, list, tuple, np.ndarray, np.generic)


def _operator(function: Any, reflected: str) -> Any:
    """Wrap a function of two operands as an operator.

    It leaves sparse matrices to their own class, and objects that are no numbers if their class has the ``reflected``
    method.
    """

    def apply(a: Any, b: Any) -> Any:
        if isinstance(b, Composite):
            return NotImplemented
        try:
            return function(a, b)
        except TypeError:
            if isinstance(b, _NUMBERS) or not hasattr(type(b), reflected):
                raise
            return NotImplemented

    return apply


def _reflected(function: Any) -> Any:
    return lambda self, other: function(other, self)


def _refuse_item_assignment(self: Variable, key: Any, value: Any) -> None:
    raise TypeError(located("symbolic variables do not change", [self], "write x = set_subtensor(x[index], value)"))


_BINARY: dict[str, Callable[..., Variable]] = {
    "add": ew.add, "sub": ew.sub, "mul": ew.mul, "truediv": ew.true_div, "floordiv": ew.floor_div, "mod": ew.mod,
    "pow": ew.power, "matmul": linalg.matmul, "and": ew.and_, "or": ew.or_, "xor": ew.xor,
    "lshift": ew.left_shift, "rshift": ew.right_shift,
}  # fmt: skip
_COMPARISONS: dict[str, Callable[..., Variable]] = {"lt": ew.lt, "le": ew.le, "gt": ew.gt, "ge": ew.ge}

_OF_ONE = """
arccos arccosh arcsin arcsinh arctan arctanh ceil cos cosh deg2rad exp exp2 expm1 floor log log10 log1p log2 rad2deg
sin sinh sqrt tan tanh trunc
""".split()
"""Elementwise functions that are methods, too, as in Theano."""

METHODS: dict[str, Any] = {
    **{name: _method(getattr(ew, name)) for name in _OF_ONE},
    "zeros_like": creation.zeros_like, "ones_like": creation.ones_like,
    **{f"__{name}__": _operator(function, f"__r{name}__") for name, function in _BINARY.items()},
    **{f"__{name}__": _operator(function, "") for name, function in _COMPARISONS.items()},
    **{f"__r{name}__": _reflected(function) for name, function in _BINARY.items()},
    "__divmod__": lambda a, b: (ew.floor_div(a, b), ew.mod(a, b)), "__pos__": lambda a: a,
    "__neg__": _method(ew.neg), "__abs__": _method(ew.abs_), "__invert__": _method(ew.invert),
    # unsupported conversions
    "__bool__": _truth, "__float__": _number, "__int__": lambda x: _number(x, int), "__array__": _array,
    "__index__": _index,
    "__array_ufunc__": apply_ufunc, "__array_function__": apply_function,
    "__len__": _length, "__iter__": _iterate, "__contains__": _contains, "__setitem__": _refuse_item_assignment,
    # shape and parts
    "shape": property(shaping.shape), "size": property(shaping.size), "T": property(shaping.transpose),
    "__getitem__": _item, "take": indexing.take, "repeat": repeating.repeat,
    "dimshuffle": axes.dimshuffle, "reshape": _reshape, "transpose": _transpose, "swapaxes": shaping.swapaxes,
    "flatten": shaping.flatten, "ravel": lambda x: shaping.flatten(x), "squeeze": shaping.squeeze,
    # reductions and products
    "sum": reduce.sum, "prod": reduce.prod, "mean": reduce.mean, "var": reduce.var, "std": reduce.std,
    "max": reduce.max, "min": reduce.min, "argmax": reduce.argmax, "argmin": reduce.argmin, "ptp": reduce.ptp,
    "any": reduce.any, "all": reduce.all, "norm": _norm, "dot": linalg.dot, "diagonal": extra_ops.diagonal,
    "trace": extra_ops.trace, "cumsum": cumulative.cumsum, "cumprod": cumulative.cumprod,
    # order and choice
    "sort": sorting.sort, "argsort": sorting.argsort, "choose": extra_ops.choose,
    "searchsorted": ordering.searchsorted,
    "compress": lambda x, condition, axis=None: extra_ops.compress(condition, x, axis),
    "nonzero": selection.nonzero, "nonzero_values": selection.nonzero_values,
    # element by element
    "astype": ew.cast, "clip": lambda x, a_min, a_max: ew.clip(x, a_min, a_max), "round": extra_ops.round,
    "trunc": _method(ew.trunc), "ceil": _method(ew.ceil), "floor": _method(ew.floor),
    "conj": complex_parts.conj, "conjugate": complex_parts.conj, "real": property(complex_parts.real),
    "imag": property(complex_parts.imag),
    "fill": creation.fill, "copy": copy,
}  # fmt: skip


def attach() -> None:
    """Attach the table's entries to ``Variable``."""
    for name, function in METHODS.items():
        setattr(Variable, name, function)
    for name in ("__call__", "make_variable"):
        setattr(TensorType, name, of_type)
    # Comparisons build graphs, but variables remain usable as keys: == and hash use identity.
    for check in ("__eq__", "__hash__"):
        assert getattr(Variable, check) is getattr(object, check)
