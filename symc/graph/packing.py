"""Serialisation of symbolic dims that works with every ``pickle`` protocol."""

from __future__ import annotations

import pickle
from functools import lru_cache
from typing import Any

import sympy

__all__ = ["packed", "unpacked"]


def packed(value: Any) -> Any:
    """Replace symbolic dims in ``value``, also in tuples and lists, by bytes: sympy lacks protocols 0 and 1."""
    if isinstance(value, sympy.Basic):
        return _Packed(_dumped(value))
    return type(value)(map(packed, value)) if type(value) in (tuple, list) else value


def unpacked(value: Any) -> Any:
    """Invert :func:`packed`. Equal symbols are equal afterwards."""
    if isinstance(value, _Packed):
        return _loaded(value.data)
    return type(value)(map(unpacked, value)) if type(value) in (tuple, list) else value


class _Packed:
    """A symbolic dim, pickled by sympy."""

    def __init__(self, data: bytes) -> None:
        self.data = data


@lru_cache(maxsize=4096)
def _dumped(dim: Any) -> bytes:
    return pickle.dumps(dim, 2)


@lru_cache(maxsize=4096)
def _loaded(data: bytes) -> Any:
    return pickle.loads(data)
