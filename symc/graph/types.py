"""``TensorType``: a dtype and a shape whose dims may be symbolic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from symc.graph import dims
from symc.graph.dtypes import as_dtype

__all__ = ["TensorType"]


def _flag(entry: Any) -> bool:
    if entry is None or isinstance(entry, (bool, np.bool_, int, np.integer)) and entry in (0, 1):
        return bool(entry)
    raise TypeError(f"a broadcastable pattern holds bools, one per axis, got {entry!r}: give lengths as shape")


class TensorType:
    """The type of a tensor: its dtype and its shape, as far as it is known.

    Parameters
    ----------
    dtype : str
        One of ``symc.graph.dtypes.ALL`` or ``"floatX"``.
    shape : sequence
        One entry per axis: an ``int``, a symbolic dim, or None for a dim known only at call time (it becomes a fresh
        symbol). A bool is an entry of Theano's ``broadcastable`` pattern: True means a dim of 1, False means None.
    name : str, optional
        Prefix for fresh symbols, such as ``x0`` and ``x1`` in messages.
    broadcastable : sequence of bool, optional
        Theano's pattern in place of ``shape``, in which 1 and 0 are read as True and False.

    Raises
    ------
    TypeError
        For an entry that is not a dim, or if both ``shape`` and ``broadcastable`` are given.
    ValueError
        For a negative dim.
    """

    __slots__ = ("_broadcastable", "dtype", "shape")

    def __init__(
        self, dtype: str, shape: Sequence[Any] = (), name: str = "n", broadcastable: Sequence[bool] | None = None
    ) -> None:
        self.dtype = as_dtype(dtype)
        checked: list[dims.Dim] = []
        if broadcastable is not None:
            if len(shape):
                raise TypeError("TensorType: give shape or broadcastable, not both")
            shape = [_flag(b) for b in broadcastable]
        elif isinstance(shape, (str, int)):
            raise TypeError(f"TensorType: a shape is a sequence with one entry per axis, got {shape!r}")
        for axis, dim in enumerate(shape):
            if type(dim) is int and dim >= 0 or isinstance(dim, dims.Symbolic):
                checked.append(dim)
                continue
            if isinstance(dim, np.bool_):
                dim = bool(dim)
            if dim is None or dim is False:
                dim = dims.new_symbol(f"{name}{axis}")
            elif dim is True:
                dim = 1
            elif isinstance(dim, (int, np.integer)):
                dim = int(dim)
                if dim < 0:
                    raise ValueError(f"a dim cannot be negative, got {dim} on axis {axis} of {tuple(shape)}")
            else:
                raise TypeError(f"TensorType: a dim is an integer or None, got {dim!r} on axis {axis}")
            checked.append(dim)
        self.shape: dims.Shape = tuple(checked)
        self._broadcastable: tuple[bool, ...] | None = None

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def broadcastable(self) -> tuple[bool, ...]:
        """Whether the dim is known to be 1, per axis. Only such axes broadcast."""
        found = self._broadcastable
        if found is None:
            found = self._broadcastable = tuple([type(d) is int and d == 1 for d in self.shape])
        return found

    @property
    def static_shape(self) -> tuple[int | None, ...]:
        """The shape with None for every dim known only at call time."""
        return tuple(d if type(d) is int else None for d in self.shape)

    def clone(self, dtype: str | None = None, shape: Sequence[Any] | None = None) -> TensorType:
        """Copy the type with another dtype or shape."""
        return TensorType(dtype or self.dtype, self.shape if shape is None else shape)

    if TYPE_CHECKING:  # attached by symc.tensor.operators, which knows variables

        def __call__(self, name: str | None = None) -> Any: ...
        def make_variable(self, name: str | None = None) -> Any: ...

    def __eq__(self, other: object) -> bool:
        """Compare dtype, number of axes and known dims; symbols count as unknown."""
        if not isinstance(other, TensorType):
            return NotImplemented
        return self.dtype == other.dtype and self.static_shape == other.static_shape

    def __hash__(self) -> int:
        return hash((self.dtype, self.static_shape))

    def __repr__(self) -> str:
        return f"{self.dtype}{dims.show_shape(self.shape)}"
