"""Names of ``theano.tensor.opt`` that programs use: assertions, and ops that stand there."""

from __future__ import annotations

from typing import Any

import symc.tensor as T
from symc.compat.op_classes import Shape_i
from symc.compat.tensor import MakeVector
from symc.graph import Variable
from symc.tensor.assertions import Assert as _Assert

__all__ = [
    "Assert",
    "MakeVector",
    "Shape_i",
    "assert_",
    "assert_op",
    "broadcast_like",
    "check_stack_trace",
    "make_vector",
]


class Assert(_Assert):
    """``symc.tensor.Assert`` with Theano's default message."""

    def __init__(self, msg: str = "Theano Assert failed!") -> None:
        super().__init__(msg)


assert_ = assert_op = Assert()
make_vector = MakeVector("int64")


def broadcast_like(value: Any, template: Any, fgraph: Any = None, dtype: str | None = None) -> Variable:
    """Return ``value`` broadcast to the shape of ``template``."""
    template = T.as_tensor_variable(template)
    return T.cast(T.alloc(value, *[template.shape[k] for k in range(template.ndim)]), dtype or template.dtype)


def check_stack_trace(f_or_fgraph: Any, ops_to_check: Any = "last", bug_print: Any = "raise") -> bool:
    """Whether every variable of a function knows the line that built it: always, for messages depend on it."""
    return True
