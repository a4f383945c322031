"""The dtypes of symc and their promotion rule.

The rule is NumPy's with two changes: an integer with ``float32`` gives ``float32``, and a scalar written in Python (or
a 0-d NumPy constant) is *weak*: it adapts to the arrays beside it and never widens them. ``float64`` appears only
where the user wrote it.

``float16`` is storage: arrays have that dtype, arithmetic has not. A pass of the compiler
(``symc.compiler.storage``) makes the ops of a program compute in ``float32``.

Complex dtypes exist in the language alone: an expression of complex dtype is a pair of expressions of its parts
(``symc.tensor.complex_numbers.parts``), and no function on elements is ever compiled for them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np

from symc.config import config

__all__ = [
    "ALL",
    "BITS",
    "BRAIN",
    "COMPLEX",
    "FLOATS",
    "HALF",
    "INTEGERS",
    "SIGNED",
    "UNSIGNED",
    "as_dtype",
    "complex_of",
    "computing",
    "floating",
    "is_complex",
    "is_float",
    "is_held",
    "is_integer",
    "kind",
    "narrowing",
    "of_number",
    "part_of",
    "promote",
    "set_rules",
]

SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
INTEGERS = SIGNED + UNSIGNED
HALF = "float16"
"""The float dtype that values are stored in but not computed in."""
FLOATS = (HALF, "float32", "float64")
BRAIN = "bfloat16"
"""A float dtype of shared variables, arguments and results alone: the language computes its values in float32."""
COMPLEX = ("complex64", "complex128")
ALL = ("bool", *INTEGERS, *FLOATS)
"""The dtypes of which arrays are computed."""
BITS = {name: np.dtype(name).itemsize * 8 for name in (*ALL, *COMPLEX)}
BITS[BRAIN] = 16
# a dtype's own ``name`` takes NumPy microseconds
_NAMES: dict[object, str] = {np.dtype(name): name for name in (*ALL, *COMPLEX)}
_DTYPES = {type(d) for d in _NAMES}
_KIND = {"bool": 0, **dict.fromkeys(INTEGERS, 1), **dict.fromkeys((*FLOATS, BRAIN), 2), **dict.fromkeys(COMPLEX, 3)}
_PART = {"complex64": "float32", "complex128": "float64"}


class Rules(Protocol):
    """Other rules of promotion; a method returns None where the rules of this module hold."""

    def floating(self, dtype: str) -> str | None: ...
    def meet(self, a: str, b: str) -> str | None: ...
    def number(self, value: Any) -> str | None: ...
    def narrowing(self, value: Any, dtype: str) -> bool | None: ...


_rules: Rules | None = None


def as_dtype(dtype: object) -> str:
    """The canonical name of ``dtype``, with ``"floatX"`` read from the configuration.

    Raises
    ------
    TypeError
        If symc has no such dtype; the message lists the supported ones.
    """
    if type(dtype) is str:
        if dtype in _KIND:
            return dtype
        if dtype == "floatX":
            return config.floatX
    known = _NAMES.get(dtype) if type(dtype) in _DTYPES else None
    if known is not None:
        return known
    try:
        name = np.dtype(dtype).name  # type: ignore[call-overload]
    except (TypeError, ValueError):
        name = str(dtype)
    if name not in _KIND:
        raise TypeError(f"symc has no dtype {name!r}; it has {', '.join((*ALL, BRAIN, *COMPLEX))}")
    return name


def kind(dtype: str) -> int:
    """0 for bool, 1 for integers, 2 for floats, 3 for complex numbers."""
    return _KIND[dtype]


def is_float(dtype: str) -> bool:
    """Whether ``dtype`` is a float."""
    return _KIND[dtype] == 2


def is_integer(dtype: str) -> bool:
    """Whether ``dtype`` is an integer, signed or unsigned. Bool is not an integer."""
    return _KIND[dtype] == 1


def is_complex(dtype: str) -> bool:
    """Whether ``dtype`` is a dtype of complex numbers."""
    return _KIND[dtype] == 3


def is_held(dtype: str) -> bool:
    """Whether values of ``dtype`` are held by others: complex numbers by their parts, bfloat16 by float32."""
    return dtype in _PART or dtype == BRAIN


def part_of(dtype: str) -> str:
    """The dtype of the real and imaginary parts of complex numbers of ``dtype``; any other dtype itself."""
    return _PART.get(dtype, dtype)


def complex_of(dtype: str) -> str:
    """The dtype of complex numbers whose parts have the float dtype ``dtype``."""
    return "complex128" if dtype == "float64" else "complex64"


def floating(dtype: str) -> str:
    """The float or complex dtype in which a function such as ``exp`` computes for an argument of ``dtype``."""
    if _KIND[dtype] >= 2:
        return dtype
    return (_rules.floating(dtype) if _rules is not None else None) or config.floatX


def of_number(value: Any) -> str | None:
    """The dtype of a number written in Python beside arrays; None if it adapts to them."""
    return _rules.number(value) if _rules is not None else None


def narrowing(value: Any, dtype: str) -> bool | None:
    """The policy ``allow_downcast`` of a value that is given for a variable of ``dtype`` where none is specified."""
    return _rules.narrowing(value, dtype) if _rules is not None else None


def set_rules(rules: Rules | None) -> None:
    """Put other rules of promotion in front of these; None removes them."""
    global _rules
    _rules = rules


def computing(dtype: str) -> str:
    """The dtype in which values of ``dtype`` are computed: its own, or float32 for the dtype that is only storage."""
    return "float32" if dtype in (HALF, BRAIN) else dtype


def _meet(a: str, b: str) -> str:
    if a == b:
        return a
    found = _rules.meet(a, b) if _rules is not None else None
    if found is not None:
        return found
    ka, kb = _KIND[a], _KIND[b]
    if ka == 3 or kb == 3:
        parts = [_PART.get(d, d) for d in (a, b) if _KIND[d] >= 2]
        return complex_of(max(parts, key=BITS.__getitem__))
    if ka == 2 or kb == 2:
        if ka == kb and {a, b} == {HALF, BRAIN}:
            return "float32"
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
            wide = result if result is not None and _KIND[result] == 2 else config.floatX
            result = ("bool", "int64", config.floatX, complex_of(wide))[_KIND[dtype]]
    if result is None:
        raise TypeError("promote needs at least one dtype")
    return result
