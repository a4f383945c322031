"""``theano.typed_list``: lists of variables, whose length is known when the graph is built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import symc.tensor as T
from symc.compat.errors import NotOffered
from symc.graph import Constant, Variable

__all__ = [
    "TypedListType", "TypedListVariable", "append", "count", "extend", "getitem", "index_", "insert", "length",
    "make_list", "remove", "reverse",
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
        raise NotOffered(
            f"{self}: a list cannot be an input of a function, because its length is not known when the graph is built"
            "\n  repair: make one input per element and join them with make_list, or use a tensor with one more axis"
        )

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
        return [self.ttype.filter(value, strict, allow_downcast) for value in x]


class TypedListVariable:
    """A list of variables of one type. Its operations return new lists."""

    def __init__(self, type: TypedListType, elements: Sequence[Any]) -> None:
        self.type, self.elements = type, tuple(elements)

    @property
    def ttype(self) -> Any:
        """The type of the elements."""
        return self.type.ttype

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            parts = [None if v is None else _number(v, "getitem") for v in (index.start, index.stop, index.step)]
            return self._with(self.elements[slice(*parts)])
        return self.elements[_number(index, "getitem")]

    def __len__(self) -> int:
        return len(self.elements)

    def _with(self, elements: Sequence[Any]) -> TypedListVariable:
        return TypedListVariable(self.type, elements)

    def _element(self, value: Any, what: str) -> Any:
        value = value if isinstance(value, TypedListVariable) else T.as_tensor_variable(value)
        if not _same(value.type, self.ttype):
            raise TypeError(f"{what}: expected an element of type {self.ttype}, got {value.type}")
        return value

    def append(self, element: Any) -> TypedListVariable:
        """The list with one more element at its end."""
        return self._with([*self.elements, self._element(element, "append")])

    def extend(self, other: Any) -> TypedListVariable:
        """The list followed by the elements of another list."""
        return self._with([*self.elements, *[self._element(e, "extend") for e in getattr(other, "elements", other)]])

    def insert(self, index: Any, element: Any) -> TypedListVariable:
        """The list with one more element before place ``index``."""
        at, elements = _number(index, "insert"), list(self.elements)
        elements.insert(at, self._element(element, "insert"))
        return self._with(elements)

    def reverse(self) -> TypedListVariable:
        """The list in reverse order."""
        return self._with(self.elements[::-1])

    def remove(self, element: Any) -> TypedListVariable:
        """The list without its first element that is this variable: which values are equal only a call knows."""
        element = self._element(element, "remove")
        found = [k for k, e in enumerate(self.elements) if e is element]
        if not found:
            raise NotOffered("remove: expected a variable of the list: a list cannot lose an element chosen by value")
        return self._with([*self.elements[: found[0]], *self.elements[found[0] + 1 :]])

    def _equal(self, element: Any, what: str) -> list[Any]:
        element = self._element(element, what)
        if isinstance(element, TypedListVariable):
            raise NotOffered(f"{what}: lists of lists are not compared")
        return [_equal(e, element) for e in self.elements]

    def count(self, element: Any) -> Any:
        """The number of elements of the shape and values of ``element``, an int64 scalar computed by the call."""
        found = [T.cast(e, "int64") for e in self._equal(element, "count")]
        return sum(found[1:], found[0]) if found else T.constant(0, dtype="int64")

    def ind(self, element: Any) -> Any:
        """The place of the first element of the shape and values of ``element``; a call without any raises."""
        from symc.tensor.assertions import assert_op

        found = self._equal(element, "index")
        if not found:
            raise ValueError("index: the list is empty")
        equal = T.stack([T.cast(e, "int64") for e in found])
        return assert_op(T.argmax(equal), T.any(equal), msg="index: the element is not in the list", error=ValueError)


def _same(a: Any, b: Any) -> bool:
    """Whether two types are one to Theano: dtype and broadcastable axes for tensors."""
    if isinstance(a, TypedListType) or isinstance(b, TypedListType):
        return isinstance(a, TypedListType) and isinstance(b, TypedListType) and _same(a.ttype, b.ttype)
    return (a.dtype, a.ndim) == (b.dtype, b.ndim)


def _equal(a: Variable, b: Variable) -> Variable:
    """Whether two tensors have one shape and one value per element."""
    if a.ndim == 0:
        return T.eq(a, b)
    n = [T.minimum(a.shape[k], b.shape[k]) for k in range(a.ndim)]
    common = tuple(slice(0, v) for v in n)
    return T.all(T.eq(a.shape, b.shape)) & T.all(T.eq(a[common], b[common]))


def _number(index: Any, what: str) -> int:
    """A place in a list, which must be known when the graph is built."""
    if isinstance(index, Constant):
        index = index.data.item()
    if isinstance(index, Variable):
        raise NotOffered(
            f"{what}: the index must be a number, got {index!r}\n  repair: T.stack(list)[index] of tensors"
        )
    if not isinstance(index, int):
        raise TypeError(f"{what}: expected a number or a slice as index, got {index!r}")
    return index


def make_list(a: Sequence[Any]) -> TypedListVariable:
    """Make a list of variables of one type.

    Raises
    ------
    TypeError
        If the types differ.
    """
    if not isinstance(a, (list, tuple)):
        raise AssertionError(f"make_list: expected a list or a tuple, got {type(a).__name__}")
    elements = [e if isinstance(e, TypedListVariable) else T.as_tensor_variable(e) for e in a]
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
    """The number of elements, an int64 constant."""
    return T.constant(len(x), dtype="int64")
