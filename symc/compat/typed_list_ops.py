"""The ops of ``theano.typed_list`` as classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symc.compat.op_class import OpClass
from symc.compat.typed_list import (
    TypedListVariable,
    append,
    count,
    extend,
    getitem,
    index_,
    insert,
    length,
    make_list,
    remove,
    reverse,
)

__all__ = [
    "Append", "Count", "Extend", "GetItem", "Index", "Insert", "Length", "MakeList", "Remove", "Reverse",
    "TypedListConstant",
]  # fmt: skip


def _op(name: str, function: Callable[..., Any], **takes: Any) -> Any:
    def call(self: Any, *inputs: Any) -> Any:
        return function(*inputs)

    text = f"``{name}({', '.join(takes)})`` as an op: ``{function.__name__}``; ``inplace`` has no effect."
    metaclass: Any = type(OpClass)
    return metaclass(name, (OpClass,), {"__call__": call, "takes": takes, "__doc__": text, "__module__": __name__})


def _list_of(*elements: Any) -> TypedListVariable:
    return make_list(elements)


TypedListConstant = TypedListVariable
GetItem, Index, Count, Length = (
    _op(name, f) for name, f in (("GetItem", getitem), ("Index", index_), ("Count", count), ("Length", length))
)
Append, Extend, Insert, Remove, Reverse = (
    _op(f.__name__.capitalize(), f, inplace=False) for f in (append, extend, insert, remove, reverse)
)
MakeList = _op("MakeList", _list_of)
