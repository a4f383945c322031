"""The dtypes of symc and their promotion rule.

The rule is NumPy's with two changes: an integer with ``float32`` gives ``float32``, and a scalar written in Python (or
a 0-d NumPy constant) is *weak*: it adapts to the arrays beside it and never widens them. ``float64`` appears only
where the user wrote it.

``float16`` is storage: arrays have that dtype, arithmetic has not. A pass of the compiler
(``symc.compiler.storage``) makes the ops of a program compute in ``float32``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from symc.config import config

__all__ = [
    "ALL",
    "BITS",
    "FLOATS",
    "HALF",
    "INTEGERS",
    "SIGNED",
    "UNSIGNED",
    "as_dtype",
    "computing",
    "floating",
    "is_float",
    "is_integer",
    "kind",
    "promote",
    "set_rules",
]

SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
INTEGERS = SIGNED + UNSIGNED
HALF = "float16"
"""The float dtype that values are stored in but not computed in."""
FLOATS = (HALF, "float32", "float64")
ALL = ("bool", *INTEGERS, *FLOATS)
BITS = {name: np.dtype(name).itemsize * 8 for name in ALL}
_NAMES: dict[object, str] = {np.dtype(name): name for name in ALL}  # a dtype's own ``name`` takes NumPy microseconds
_DTYPES = {type(d) for d in _NAMES}
_KIND = {"bool": 0, **dict.fromkeys(INTEGERS, 1), **dict.fromkeys(FLOATS, 2)}


class Rules(Protocol):
    """Other rules of promotion; a method returns None where the rules of this module hold."""

    def floating(self, dtype: str) -> str | None: ...
    def meet(self, a: str, b: str) -> str | None: ...


_rules: Rules | None = None


def as_dtype(dtype: object) -> str:
    """The canonical name of ``dtype``, with ``"floatX"`` read from the configuration.

    Raises
    ------
    TypeError
        If symc has no such dtype; the message lists the supported ones.
    """
    if type(dtype) is str and dtype in _KIND:
        return dtype
    if dtype == "floatX":
        return config.floatX
    known = _NAMES.get(dtype) if type(dtype) in _DTYPES else None
    if known is not None:
        return known
    try:
        name = np.dtype(dtype).name  # type: ignore[call-overload]
    except TypeError:
        name = str(dtype)
    if name not in _KIND:
        raise TypeError(f"symc has no dtype {name!r}; it has {', '.join(ALL)}")
    return name


def kind(dtype: str) -> int:
    """0 for bool, 1 for integers, 2 for floats."""
    return _KIND[dtype]


def is_float(dtype: str) -> bool:
    """Whether ``dtype`` is a float."""
    return _KIND[dtype] == 2


def is_integer(dtype: str) -> bool:
    """Whether ``dtype`` is an integer, signed or unsigned. Bool is not an integer."""
    return _KIND[dtype] == 1


def floating(dtype: str) -> str:
    """The float dtype in which a function such as ``exp`` computes for an argument of ``dtype``."""
    if _KIND[dtype] == 2:
        return dtype
    return (_rules.floating(dtype) if _rules is not None else None) or config.floatX


def set_rules(rules: Rules | None) -> None:
    """Put other rules of promotion in front of these; None removes them."""
    global _rules
    _rules = rules


def computing(dtype: str) -> str:
    """The dtype in which values of ``dtype`` are computed: its own, or float32 for the dtype that is only storage."""
    return "float32" if dtype == HALF else dtype


def _meet(a: str, b: str) -> str:
    if a == b:
        return a
    found = _rules.meet(a, b) if _rules is not None else None
    if found is not None:
        return found
    ka, kb = _KIND[a], _KIND[b]
    if ka == 2 or kb == 2:
        if ka == kb:
            return max(a, b, key=BITS.__getitem__)
        return a if ka == 2 else b
    found = np.promote_types(a, b).name
    # NumPy promotes int64 with uint64 to float64; a float that the user did not write is floatX here.
    return config.floatX if _KIND[found] == 2 else found


def promote(strong: Iterable[str], weak: Iterable[str] = ()) -> str:
    """Promote dtypes to the common dtype of operands; ``weak`` lists the dtypes of Python scalars among them."""
    result: str | None = None
    for dtype in strong:
        result = dtype if result is None else _meet(result, dtype)
    for dtype in weak:
        if result is None or _KIND[dtype] > _KIND[result]:
            result = ("bool", "int64", config.floatX)[_KIND[dtype]]
    if result is None:
        raise TypeError("promote needs at least one dtype")
    return result
