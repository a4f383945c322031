"""Theano's conventions where they differ from those of symc: dtypes of mixed operands, truth of variables, methods."""

from __future__ import annotations

import sys
from collections.abc import Container, Sequence
from typing import Any

import numpy as np

from symc import sparse
from symc.compat.complex_order import RULES_OF_ORDER
from symc.compat.errors import kind_in_theano
from symc.compat.function import mention
from symc.compat.loops import LOOP_PARTS
from symc.compat.numpy_streams import words_of
from symc.compat.scalars import number_dtype
from symc.compat.sparse import cast as cast_sparse
from symc.compat.storage import PARTS
from symc.compat.subtensor import choose
from symc.compat.tensor_functions import ceil, fill, floor, trunc
from symc.compat.types import METHODS
from symc.config import config
from symc.errors import name_kinds
from symc.graph import Apply, Constant, SharedVariable, Variable, dtypes, guards
from symc.graph.types import TensorType
from symc.runtime import evaluation
from symc.runtime.arguments import In
from symc.runtime.profile import Profile
from symc.runtime.shared import shared
from symc.tensor import elementwise as ew
from symc.tensor.arithmetic import where
from symc.tensor.basic import as_tensor
from symc.tensor.complex_numbers.rules import RULES
from symc.tensor.joining import JOIN, stack
from symc.tensor.keywords import also_named
from symc.tensor.linalg import dot
from symc.tensor.numpy_functions import UFUNCS
from symc.tensor.pointwise import Elementwise
from symc.tensor.random_numbers.choices import Choices
from symc.tensor.random_numbers.states import state_of
from symc.tensor.special import bessel
from symc.tensor.symbolic_dims import SHAPE_I

__all__ = ["TheanoRules", "adopt", "restore"]


def _modules_of(*functions: Any) -> frozenset[str]:
    """The modules that functions stand in: a function that moves takes its entry along."""
    return frozenset(f.__module__ for f in functions)


_OPERATORS = _modules_of(
    dtypes.promote, as_tensor, type(ew.exp), type(bessel.jv), Variable.__neg__, Variable.__add__, stack
) | {__name__}  # fmt: skip
"""Modules through which an operator passes on its way from the program to the rule."""

_FUNCTIONS = _OPERATORS | _modules_of(where, also_named, dot, sparse.dot, sparse.neg, sparse.lt) | {ew.__name__}
"""Those of functions too that combine operands of the program; some of them contain numbers of their own."""


class _Packages:
    """The modules of packages, by the beginnings of their names."""

    def __init__(self, *beginnings: str) -> None:
        self.beginnings = beginnings

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.startswith(self.beginnings)


_CALLS = _Packages("symc.graph.", "symc.runtime.", "symc.compat.")
"""Modules through which the values of calls and shared variables pass."""

_ORDERED = tuple(f.record for f in (ew.lt, ew.le, ew.gt, ew.ge))


def _written_by_the_program(between: Container[str]) -> bool:
    """Whether the program itself combines an expression, not symc or its layers, which rely on their own rule."""
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name not in between:
            return not name.startswith(("symc.", "lasagne_like.")) or name.startswith("symc.compat.")
        frame = frame.f_back  # type: ignore[assignment]
    return False


class TheanoRules:
    """Promotion as in Theano and NumPy: int32 with float32 is float64, ``exp`` of int8 is float32, of int32 float64.

    A number has the smallest dtype that holds it, so that ``x - 128`` is int16 for ``x`` of dtype uint8, and a float32
    array times 0.1, which float32 does not hold exactly, is float64 unless floatX is float32.
    """

    def floating(self, dtype: str) -> str | None:
        """The float dtype for functions of integers; None for symc's rule."""
        if not _written_by_the_program(_OPERATORS):
            return None
        return "float32" if np.dtype(dtype).itemsize <= 2 else "float64"

    def meet(self, a: str, b: str) -> str | None:
        """The common dtype of two; None for symc's rule."""
        return np.promote_types(a, b).name if _written_by_the_program(_FUNCTIONS) else None

    def number(self, value: Any) -> str | None:
        """The dtype of a number beside arrays: the smallest that holds it, or float32 if floatX is; None: it adapts."""
        if not _written_by_the_program(_OPERATORS):
            return None
        value = np.asarray(value)
        if value.dtype.kind not in "iuf":
            return None
        return number_dtype(value)

    def narrowing(self, value: Any, dtype: str) -> bool | None:
        """Whether a value that a program gives may lose digits: a Python float for floatX alone; None: symc's rule."""
        if not _written_by_the_program(_CALLS):
            return None
        return type(value) is float and dtype == config.floatX


def _truth(self: Variable) -> bool:
    """Every variable is true; comparisons have no truth value, so that ``a < b < c`` is an error."""
    if self.owner is not None and self.owner.op.record in _ORDERED:
        return bool(_own_truth(self))
    return True


_own_truth: Any = vars(Variable)["__bool__"]


_own_shared: Any = SharedVariable.__init__
_own_constant: Any = Constant.__init__


def _make_shared(
    self: SharedVariable,
    name: Any = None,
    type: Any = None,
    value: Any = None,
    strict: Any = False,
    allow_downcast: bool | None = None,
    container: Any = None,
    storage: Any = None,
) -> None:
    """Create a shared variable from Theano's arguments, or from those of symc, which begin with a type."""
    if isinstance(name, TensorType):  # type, storage, name, strict, allow_downcast
        _own_shared(self, name, type, value, strict, allow_downcast)
        return
    if storage is None and container is not None:
        storage = getattr(container, "_variable", container).storage
    if storage is None:
        array = type.filter(value, strict=strict, allow_downcast=allow_downcast)
        storage = shared(np.array(array)).storage
    _own_shared(self, type, storage, name, strict, allow_downcast)


def _make_constant(self: Constant, data: Any, dtype: Any = None, name: str | None = None, weak: bool = False) -> None:
    """Create a constant from Theano's arguments, which begin with a type, or from those of symc.

    An integer that has a dtype of NumPy keeps it: int8 plus ``np.int64(1)`` is int64, and does not overflow.
    """
    if isinstance(data, TensorType):
        data, dtype = dtype, data.dtype
    if weak and isinstance(data, (np.integer, np.ndarray)) and data.dtype.kind in "iu":
        weak = not _written_by_the_program(_FUNCTIONS)
    _own_constant(self, data, dtype, name, weak)


def _indexed(self: Variable, item: Any) -> Variable:
    """Index as in NumPy, but an index with None drops the axes behind it that are known to have one entry.

    In Theano, ``x[:, None]`` of shape ``(n, 1)`` has that shape, not ``(n, 1, 1)``: the index becomes a ``dimshuffle``
    of the axes that it names. Programs pass such masks to steps that are written for vectors.
    """
    items = item if isinstance(item, tuple) else (item,)
    if any(e is None for e in items) and not any(e is Ellipsis for e in items):
        named = sum(e is not None for e in items)
        rest = self.type.broadcastable[named:]
        plain = all(e is None or isinstance(e, slice) for e in items)
        if plain and rest and all(rest) and _written_by_the_program(_OPERATORS):
            self = self.dimshuffle(*range(named))
    found = _own_item(self, item)
    if (
        self.owner is not None
        and self.owner.op.record is JOIN
        and (found.owner is None or self not in found.owner.inputs)
    ):
        mention(_joined(self))  # entries that the index passes over are inputs of the graph nonetheless
    return found


def _joined(v: Variable) -> list[Variable]:
    """What a joined tensor consists of, without lengths of other tensors."""
    parts = [] if v.owner is None else v.owner.inputs
    return [x for x in parts if not any(u.owner and u.owner.op.record is SHAPE_I for u in _below(x))]


def _below(v: Variable) -> list[Variable]:
    return [v] if v.owner is None else [v, *v.owner.inputs]


_own_item: Any = vars(Variable)["__getitem__"]


def _convert(self: In, value: Any, what: str, allow_downcast: bool | None) -> np.ndarray:
    """Convert a value of an input; a generator of NumPy becomes the state of draws that begin with it."""
    if isinstance(value, np.random.RandomState):
        value = words_of(value) if self.variable.dtype == "uint32" else state_of(value)
    return _own_convert(self, value, what, allow_downcast)


_own_convert: Any = In.convert


def _shape_of_sparse(self: sparse.SparseVariable) -> Any:
    """The shape as a vector where the program asks; it uses all inputs of the matrix, as in Theano's first graph."""
    shape = _own_sparse_shape(self)
    if not _written_by_the_program(frozenset()):
        return shape
    mention(self.parts)
    return stack(list(shape))


_own_sparse_shape: Any = vars(sparse.SparseVariable)["shape"].fget


def _random_integers(
    self: Choices, size: Any = None, low: Any = 0, high: Any = 1, ndim: int | None = None, dtype: str = "int64"
) -> Variable:
    """Draw integers from ``low`` to ``high``, inclusive; bounds of a float dtype are truncated, as in NumPy."""
    low, high = (ew.cast(v, "int64") if dtypes.is_float(v.dtype) else v for v in map(as_tensor, (low, high)))
    return _own_integers(self, size, low, high, ndim, dtype)


_own_integers: Any = vars(Choices)["random_integers"]


def _apply_ufunc(self: Variable, ufunc: Any, method: str, *operands: Any, **options: Any) -> Any:
    """Apply an elementwise function of NumPy by the rule of operators: ``np.int64(1) * x`` is ``x * np.int64(1)``."""
    name = str(ufunc.__name__)
    function = UFUNCS.get(name) if getattr(np, name, None) is ufunc else None
    compared = name in ("equal", "not_equal")
    if method == "__call__" and not options and not compared and isinstance(function, Elementwise):
        return function(*operands)
    return _own_apply_ufunc(self, ufunc, method, *operands, **options)


_own_apply_ufunc: Any = vars(Variable)["__array_ufunc__"]


def _apply_function(self: Variable, function: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Apply a function of NumPy; ``np.atleast_1d(x)`` is a list of ``x``, by which programs accept one or several."""
    if function is np.atleast_1d and len(args) == 1 and isinstance(args[0], Variable):
        found = np.empty(1, object)
        found[0] = args[0]
        return found
    return _own_apply_function(self, function, types, args, kwargs)


_own_apply_function: Any = vars(Variable)["__array_function__"]


def _of_another_number(self: Elementwise, args: Sequence[Any], dtype: str | None) -> Variable:
    """Apply a function of several operands to other than two: of a single one, ``T.add(x)``, it is that operand."""
    if self.several and len(args) == 1:
        only = as_tensor(args[0])
        return only if dtype is None else ew.cast(only, dtype)
    return _own_number(self, args, dtype)


_own_number: Any = vars(Elementwise)["_of_another_number"]


def _same_type(self: TensorType, other: object) -> Any:
    """Whether types are equal where the program compares them: of one dtype, with the same axes of length 1.

    Theano's types know no other lengths; a matrix of which more is known is equal to ``T.dmatrix`` all the same.
    """
    if isinstance(other, TensorType) and _written_by_the_program(frozenset()):
        return self.dtype == other.dtype and self.broadcastable == other.broadcastable
    return _own_same_type(self, other)


def _hash_of_type(self: TensorType) -> int:
    """A hash that equal types have in common, by either rule."""
    return hash((self.dtype, self.broadcastable))


_own_same_type: Any = vars(TensorType)["__eq__"]


def _parents_of_variable(self: Variable) -> list[Apply]:
    """The application that the variable is a result of, in a list; an empty one for inputs."""
    return [] if self.owner is None else [self.owner]


def _parents_of_apply(self: Apply) -> list[Variable]:
    """The operands."""
    return list(self.inputs)


_METHODS: tuple[tuple[type, str, Any], ...] = (
    (Variable, "get_parents", _parents_of_variable),
    (Variable, "__bool__", _truth),
    (Variable, "__getitem__", _indexed),
    (Variable, "fill", fill),
    (Variable, "choose", choose),
    (Variable, "ceil", lambda x: ceil(x)),
    (Variable, "floor", lambda x: floor(x)),
    (Variable, "trunc", lambda x: trunc(x)),
    (SharedVariable, "__init__", _make_shared),
    (Constant, "__init__", _make_constant),
    (Apply, "get_parents", _parents_of_apply),
    (In, "convert", _convert),
    (TensorType, "__eq__", _same_type),
    (TensorType, "__hash__", _hash_of_type),
    (Profile, "fct_callcount", property(lambda profile: profile.calls)),
    (Profile, "fct_call_time", property(lambda profile: profile.seconds)),
    (sparse.SparseVariable, "shape", property(_shape_of_sparse)),
    (sparse.SparseVariable, "astype", cast_sparse),
    (Choices, "random_integers", _random_integers),
    (Variable, "__array_ufunc__", _apply_ufunc),
    (Variable, "__array_function__", _apply_function),
    (Elementwise, "_of_another_number", _of_another_number),
    *PARTS,
    *LOOP_PARTS,
    *((TensorType, name, method) for name, method in METHODS.items()),
)
"""Methods that variables, applications and types have in Theano alone, or that differ there."""

_before: list[tuple[type, str, Any]] = []


def adopt() -> None:
    """Make Theano's conventions those of this process."""
    from symc.compat.function import function

    dtypes.set_rules(TheanoRules())
    guards.report_late(True)
    name_kinds(kind_in_theano)
    RULES.update(RULES_OF_ORDER)
    evaluation.compile_with(function)
    for owner, name, method in _METHODS:
        _before.append((owner, name, vars(owner).get(name)))
        setattr(owner, name, method)


def restore() -> None:
    """Restore symc's conventions."""
    dtypes.set_rules(None)
    guards.report_late(False)
    name_kinds(None)
    for record in RULES_OF_ORDER:
        RULES.pop(record, None)
    evaluation.compile_with(None)
    while _before:
        owner, name, method = _before.pop()
        if method is None:
            delattr(owner, name)
        else:
            setattr(owner, name, method)
