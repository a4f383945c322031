"""``theano.typed_list``: lists of values of one type.

A list that is made of variables has them as its elements. Lists that are inputs of functions, and what depends on
them, are computed in Python by the call, between the compiled functions of tensors: see ``list_functions``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import symc.tensor as T
from symc.graph import Constant, Variable
from symc.graph.composite import Composite
from symc.graph.dtypes import INTEGERS
from symc.graph.types import TensorType
from symc.sparse.variables import is_scipy

__all__ = [
    "SliceType", "SliceVariable", "TypedListType", "TypedListVariable", "append", "computed", "count", "extend",
    "getitem", "index_", "insert", "length", "make_list", "remove", "reverse", "slicetype",
    "values_equal",
]  # fmt: skip


class TypedListType:
    """The type of lists whose elements have the type ``ttype``, nested ``depth`` times.

    Raises
    ------
    ValueError
        If ``depth`` is negative.
    """

    def __init__(self, ttype: Any, depth: int = 0) -> None:
        if depth < 0:
            raise ValueError(f"TypedListType: depth must not be negative, got {depth}")
        self.ttype = TypedListType(ttype, depth - 1) if depth else ttype

    def __call__(self, name: str | None = None) -> Any:
        """A list as an input of functions."""
        return TypedListVariable(self, None, name=name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TypedListType) and self.ttype == other.ttype

    def __hash__(self) -> int:
        return hash((TypedListType, self.ttype))

    def __repr__(self) -> str:
        return f"TypedList <{self.ttype}>"

    def get_depth(self) -> int:
        """The number of lists around the lists of elements: 0 for a list of tensors."""
        return self.ttype.get_depth() + 1 if isinstance(self.ttype, TypedListType) else 0

    def filter(self, x: Sequence[Any], strict: bool = False, allow_downcast: bool | None = None) -> list[Any]:
        """Return the values of a list, converted to the type of the elements; ``strict`` accepts a list alone."""
        if strict and not isinstance(x, list):
            raise TypeError(f"{self}: expected a list, got {type(x).__name__}")
        if not hasattr(self.ttype, "filter"):
            return list(x)
        return [self.ttype.filter(value, strict=strict, allow_downcast=allow_downcast) for value in x]

    values_eq = staticmethod(lambda a, b: values_equal(a, b))


class TypedListVariable:
    """A list of values of one type. Its operations return new lists.

    Attributes
    ----------
    type : TypedListType
    elements : tuple or None
        The variables in the list; None if a call computes them.
    compute : callable or None
        ``compute(*values of operands)`` returns the values of the elements; None for known elements, and for inputs.
    operands : tuple
    """

    def __init__(
        self,
        type: TypedListType,
        elements: Sequence[Any] | None,
        compute: Callable[..., Any] | None = None,
        operands: Sequence[Any] = (),
        name: str | None = None,
    ) -> None:
        self.type, self.elements = type, None if elements is None else tuple(elements)
        self.compute, self.operands, self.name = compute, tuple(operands), name

    @property
    def ttype(self) -> Any:
        """The type of the elements."""
        return self.type.ttype

    def __getitem__(self, index: Any) -> Any:
        known, at = _place(index, "getitem")
        if self.elements is not None and known:
            found = self.elements[at]
            return self._with(found) if isinstance(at, slice) else found
        if isinstance(at, (slice, SliceVariable)):
            return TypedListVariable(self.type, None, lambda values, k: values[k], [self, at])
        return computed(self.ttype, lambda values, k: values[int(k)], [self, at])

    def __len__(self) -> int:
        if self.elements is None:
            return computed(_INT64, len, [self])  # type: ignore[no-any-return]  # a TypeError of len(x), as in Theano
        return len(self.elements)

    def _with(self, elements: Sequence[Any]) -> TypedListVariable:
        return TypedListVariable(self.type, elements)

    def _changed(self, known: bool, function: Callable[..., Any], *operands: Any) -> TypedListVariable:
        """The list that a function makes of this list and operands: at once if both are known, else in the call."""
        if self.elements is not None and known:
            return self._with(function(list(self.elements), *operands))
        return TypedListVariable(self.type, None, function, [self, *operands])

    def _element(self, value: Any, what: str) -> Any:
        if not isinstance(value, (TypedListVariable, Composite)):
            value = T.as_tensor_variable(value)
        if not _same(value.type, self.ttype):
            raise TypeError(f"{what}: expected an element of type {self.ttype}, got {value.type}")
        return value

    def append(self, element: Any) -> TypedListVariable:
        """The list with one more element at its end."""
        return self._changed(True, lambda values, e: [*values, e], self._element(element, "append"))

    def extend(self, other: Any) -> TypedListVariable:
        """The list followed by the elements of another list."""
        if isinstance(other, TypedListVariable) and other.elements is None:
            if not _same(other.type, self.type):
                raise TypeError(f"extend: expected a list of type {self.type}, got {other.type}")
            return self._changed(False, lambda values, more: [*values, *more], other)
        more = self._with([self._element(e, "extend") for e in getattr(other, "elements", other)])
        if self.elements is None:
            return self._changed(False, lambda values, more: [*values, *more], more)
        return self._with([*self.elements, *(more.elements or ())])

    def insert(self, index: Any, element: Any) -> TypedListVariable:
        """The list with one more element before place ``index``."""
        known, at = _place(index, "insert")
        element = self._element(element, "insert")
        return self._changed(known, lambda values, k, e: [*values[: int(k)], e, *values[int(k) :]], at, element)

    def reverse(self) -> TypedListVariable:
        """The list in reverse order."""
        return self._changed(True, lambda values: values[::-1])

    def remove(self, element: Any) -> TypedListVariable:
        """The list without the first element that is this variable, or else of its values, which a call finds.

        The call raises a ValueError if there is none.
        """
        element = self._element(element, "remove")
        found = [k for k, e in enumerate(self.elements or ()) if e is element]
        if found:
            return self._changed(True, lambda values, e: [*values[: found[0]], *values[found[0] + 1 :]], element)

        def remove(values: list[Any], value: Any) -> list[Any]:
            at = _places(values, value)
            if not at:
                raise ValueError("remove: the element is not in the list")
            return [*values[: at[0]], *values[at[0] + 1 :]]

        return self._changed(False, remove, element)

    def count(self, element: Any) -> Any:
        """The number of elements of the shape and values of ``element``, an int64 scalar computed by the call."""
        element = self._element(element, "count")
        if self.elements is None or not isinstance(element, Variable):
            return computed(_INT64, lambda values, value: len(_places(values, value)), [self, element])
        found = [T.cast(_equal(e, element), "int64") for e in self.elements]
        return sum(found[1:], found[0]) if found else T.constant(0, dtype="int64")

    def ind(self, element: Any) -> Any:
        """The place of the first element of the shape and values of ``element``; a call without any raises."""
        from symc.tensor.assertions import assert_op

        element = self._element(element, "index")
        if self.elements is None or not isinstance(element, Variable):
            return computed(_INT64, _first, [self, element])
        if not self.elements:
            raise ValueError("index: the list is empty")
        equal = T.stack([T.cast(_equal(e, element), "int64") for e in self.elements])
        return assert_op(T.argmax(equal), T.any(equal), msg="index: the element is not in the list", error=ValueError)


class SliceVariable:
    """A slice that a call gives, as an index of lists."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name


class SliceType:
    """The type of slices."""

    def __call__(self, name: str | None = None) -> SliceVariable:
        """An input for a slice."""
        return SliceVariable(name)


slicetype = SliceType()
"""The type of slices."""


_INT64 = TensorType("int64", ())


def computed(type: Any, function: Callable[..., Any], operands: Sequence[Any]) -> Any:
    """A variable whose value ``function`` computes in the call from the values of operands, of which one is a list."""
    if isinstance(type, TypedListType):
        return TypedListVariable(type, None, function, operands)
    made = type()
    for v in (made, *getattr(made, "parts", ())):
        v.__dict__["_of_list"] = made, function, tuple(operands)
    return made


def values_equal(a: Any, b: Any) -> bool:
    """Whether two values of lists are equal: in shape and in every element."""
    if isinstance(a, list) or isinstance(b, list):
        both = isinstance(a, list) and isinstance(b, list) and len(a) == len(b)
        return both and all(map(values_equal, a, b))
    if is_scipy(a) or is_scipy(b):
        return is_scipy(a) and is_scipy(b) and a.shape == b.shape and (a != b).nnz == 0
    return np.shape(a) == np.shape(b) and bool(np.all(np.asarray(a) == np.asarray(b)))


def _places(values: Sequence[Any], value: Any) -> list[int]:
    return [k for k, v in enumerate(values) if values_equal(v, value)]


def _first(values: Sequence[Any], value: Any) -> int:
    found = _places(values, value)
    if not found:
        raise ValueError("index: the element is not in the list")
    return found[0]


def _same(a: Any, b: Any) -> bool:
    """Whether two types are one to Theano: dtype and broadcastable axes for tensors."""
    if isinstance(a, TypedListType) or isinstance(b, TypedListType):
        return isinstance(a, TypedListType) and isinstance(b, TypedListType) and _same(a.ttype, b.ttype)
    return all(getattr(a, what, None) == getattr(b, what, None) for what in ("dtype", "ndim", "format"))


def _equal(a: Variable, b: Variable) -> Variable:
    """Whether two tensors have one shape and one value per element."""
    if a.ndim == 0:
        return T.eq(a, b)
    n = [T.minimum(a.shape[k], b.shape[k]) for k in range(a.ndim)]
    common = tuple(slice(0, v) for v in n)
    return T.all(T.eq(a.shape, b.shape)) & T.all(T.eq(a[common], b[common]))


def _place(index: Any, what: str) -> tuple[bool, Any]:
    """Whether a place in a list is known when the graph is built, and the place."""
    if isinstance(index, SliceVariable):
        return False, index
    if isinstance(index, slice):
        parts = [(True, None) if v is None else _place(v, what) for v in (index.start, index.stop, index.step)]
        return all(known for known, _ in parts), slice(*(at for _, at in parts))
    if isinstance(index, Constant):
        index = index.data.item()
    if isinstance(index, Variable) and index.ndim == 0 and index.dtype in INTEGERS:
        return False, index
    if isinstance(index, bool) or not isinstance(index, (int, np.integer)):
        raise TypeError(f"{what}: expected an integer or a slice as index, got {index!r}")
    return True, int(index)


def make_list(a: Sequence[Any]) -> TypedListVariable:
    """Make a list of variables of one type.

    Raises
    ------
    TypeError
        If the types differ.
    """
    if not isinstance(a, (list, tuple)):
        raise AssertionError(f"make_list: expected a list or a tuple, got {type(a).__name__}")
    elements: list[Any] = [e if isinstance(e, (TypedListVariable, Composite)) else T.as_tensor_variable(e) for e in a]
    if not elements:
        raise ValueError("make_list: expected at least one element, which states the type of the list")
    if not all(_same(e.type, elements[0].type) for e in elements):
        raise TypeError(f"make_list: expected elements of one type, got {', '.join(str(e.type) for e in elements)}")
    return TypedListVariable(TypedListType(elements[0].type), elements)


def getitem(x: TypedListVariable, index: Any) -> Any:
    """``x[index]``."""
    return x[index]


def append(x: TypedListVariable, element: Any) -> TypedListVariable:
    """``x.append(element)``."""
    return x.append(element)


def extend(x: TypedListVariable, other: Any) -> TypedListVariable:
    """``x.extend(other)``."""
    return x.extend(other)


def insert(x: TypedListVariable, index: Any, element: Any) -> TypedListVariable:
    """``x.insert(index, element)``."""
    return x.insert(index, element)


def remove(x: TypedListVariable, element: Any) -> TypedListVariable:
    """``x.remove(element)``."""
    return x.remove(element)


def reverse(x: TypedListVariable) -> TypedListVariable:
    """``x.reverse()``."""
    return x.reverse()


def index_(x: TypedListVariable, element: Any) -> Any:
    """``x.ind(element)``."""
    return x.ind(element)


def count(x: TypedListVariable, element: Any) -> Any:
    """``x.count(element)``."""
    return x.count(element)


def length(x: TypedListVariable) -> Variable:
    """The number of elements, an int64 scalar."""
    if x.elements is None:
        return computed(_INT64, len, [x])
    return T.constant(len(x), dtype="int64")
