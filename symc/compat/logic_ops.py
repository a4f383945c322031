"""Theano's ops ``All`` and ``Any``, apart from ``typing.Any``."""

from __future__ import annotations

import symc.tensor as T
from symc.compat.op_class import OpClass
from symc.graph import Variable

__all__ = ["All", "Any"]


class All(OpClass):
    """``All(axis)(x)`` is ``T.all(x, axis)``."""

    takes = {"axis": None}

    def __call__(self, x: object) -> Variable:
        return T.all(x, self.axis)


class Any(OpClass):
    """``Any(axis)(x)`` is ``T.any(x, axis)``."""

    takes = {"axis": None}

    def __call__(self, x: object) -> Variable:
        return T.any(x, self.axis)
