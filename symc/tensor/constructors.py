"""Constructors of symbolic inputs: ``matrix("x")``, ``ivector()``, ``tensor("float64", shape=(None, 3))`` and so on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symc.config import config
from symc.errors import here, located
from symc.graph import Variable
from symc.graph.types import TensorType

__all__ = ["CONSTRUCTORS", "PLURALS", "of_type", "tensor"]


def tensor(
    dtype: str | None = None,
    broadcastable: Sequence[Any] | None = None,
    name: str | None = None,
    shape: Sequence[Any] | None = None,
) -> Variable:
    """Create a symbolic tensor.

    Parameters
    ----------
    dtype : str, optional
        Default floatX.
    broadcastable : sequence, optional
        Theano's pattern of bools, in which 1 and 0 are read as True and False. Other integers and None are interpreted
        as entries of ``shape``.
    name : str, optional
    shape : sequence of int or None, optional
        Known dims; None for dims known only at call time.
    """
    if shape is not None and broadcastable is not None:
        raise TypeError("tensor: give shape or broadcastable, not both")
    pattern = shape if shape is not None else ()
    if broadcastable is not None:
        if isinstance(broadcastable, (str, int)):
            raise TypeError(f"tensor: a broadcastable pattern has one entry per axis, got {broadcastable!r}")
        pattern = [bool(b) if b in (0, 1) else b for b in broadcastable]
    return _input("tensor", dtype, pattern, name)


def _input(spelled: str, dtype: str | None, pattern: Sequence[Any], name: Any) -> Variable:
    if name is not None and not isinstance(name, str):
        raise TypeError(located(f"{spelled}: a name is text, got {name!r}", repair="declare lengths with shape="))
    return Variable(TensorType(dtype or config.floatX, pattern, name or "n"), None, 0, name, here())


def of_type(self: TensorType, name: str | None = None) -> Variable:
    """Create a symbolic input of this type; unknown dims become fresh symbols."""
    return tensor(self.dtype, None, name, self.static_shape)


class _InputType(TensorType):
    """A type of inputs with a fixed dtype, such as ``lvector``; calling it creates an input."""

    def __init__(self, spelled: str, dtype: str, pattern: tuple[bool, ...]) -> None:
        super().__init__(dtype, pattern)
        self.__name__ = self.__qualname__ = spelled
        self.__doc__ = _describe(dtype, pattern)
        self._make = _constructor(spelled, dtype, pattern)

    def __call__(
        self, name: str | None = None, dtype: str | None = None, shape: Sequence[Any] | None = None
    ) -> Variable:
        return self._make(name, self.dtype if dtype is None else dtype, shape)

    def __reduce__(self) -> tuple[Any, ...]:
        return TensorType, (self.dtype, self.static_shape)


def _describe(dtype: str | None, pattern: tuple[bool, ...]) -> str:
    axes = f"{len(pattern)} axes" if len(pattern) != 1 else "1 axis"
    broadcastable = f", broadcastable {pattern}" if any(pattern) else ""
    return f"A symbolic tensor of {axes}, dtype {dtype or 'floatX'}{broadcastable}."


def _constructor(spelled: str, dtype: str | None, pattern: tuple[bool, ...]) -> Callable[..., Variable]:
    def make(name: str | None = None, dtype: str | None = dtype, shape: Sequence[Any] | None = None) -> Variable:
        if shape is not None and not (hasattr(shape, "__len__") and len(shape) == len(pattern)):
            raise ValueError(located(f"{spelled}: expected a shape of {len(pattern)} entries, got {shape!r}"))
        return _input(spelled, dtype, pattern if shape is None else shape, name)

    make.__name__ = make.__qualname__ = spelled
    make.__doc__ = _describe(dtype, pattern)
    return make


_KINDS: dict[str, tuple[bool, ...]] = {
    "scalar": (), "vector": (False,), "matrix": (False, False), "row": (True, False), "col": (False, True),
    "tensor3": (False,) * 3, "tensor4": (False,) * 4, "tensor5": (False,) * 5,
}  # fmt: skip
_PREFIXES = {
    "": None, "b": "int8", "w": "int16", "i": "int32", "l": "int64", "f": "float32", "d": "float64",
    "ub": "uint8", "uw": "uint16", "ui": "uint32", "ul": "uint64", "bool_": "bool",
    "c": "complex64", "z": "complex128",
}  # fmt: skip

CONSTRUCTORS: dict[str, Callable[..., Variable]] = {
    prefix + kind: _constructor(prefix + kind, dtype, pattern)
    if dtype is None
    else _InputType(prefix + kind, dtype, pattern)
    for prefix, dtype in _PREFIXES.items()
    for kind, pattern in _KINDS.items()
}


def _plural(spelled: str, one: Any) -> Callable[..., Any]:
    def make(*names: Any) -> Any:
        given = names[0] if len(names) == 1 else names
        if isinstance(given, int):
            return one() if given == 1 else [one() for _ in range(given)]
        return one(given[0]) if len(given) == 1 else [one(n) for n in given]

    make.__name__ = make.__qualname__ = spelled
    make.__doc__ = (
        f"Several of ``{one.__name__}``: one for each name, or for each letter of a single name, or as many as the "
        "number given. A single one is returned by itself."
    )
    return make


_PLURAL_NAMES = {kind: "matrices" if kind == "matrix" else kind + "s" for kind in _KINDS}
PLURALS: dict[str, Callable[..., Any]] = {
    prefix + plural: _plural(prefix + plural, CONSTRUCTORS[prefix + kind])
    for prefix in _PREFIXES
    for kind, plural in _PLURAL_NAMES.items()
}
