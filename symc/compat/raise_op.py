"""``theano.raise_op``: an expression that raises an error when it is computed."""

from __future__ import annotations

from typing import Any

import symc.tensor as T
from symc.compat.errors import NotOffered
from symc.compat.op_class import OpClass
from symc.graph import Variable
from symc.graph.op import Op
from symc.tensor.assertions import ASSERTED

__all__ = ["Raise"]


class Raise(OpClass):
    """``Raise(msg, exc)(x)``: a variable of the type of ``x`` whose computation raises ``exc(msg)``."""

    takes = {"msg": "", "exc": NotOffered}

    def __call__(self, x: Any) -> Variable:
        return Op(ASSERTED, text=self.msg, error=self.exc)(T.as_tensor_variable(x), T.constant(False))
