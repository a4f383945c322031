"""``Print``: an identity that prints its value whenever it is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.graph import Variable
from symc.graph.gradient_flow import Reach
from symc.graph.op import Arg, Case, HostCall, Op, record
from symc.graph.types import TensorType
from symc.tensor.basic import as_tensor

__all__ = ["PRINT", "Print"]


def print_attributes(op: Print, xin: np.ndarray) -> None:
    """Print the message, and each attribute with its value."""
    for attr in op.attrs:
        found = getattr(xin, attr)
        print(op.message, attr, "=", found() if callable(found) else found)


class Print:
    """An identity that prints its value whenever a function computes it, on every device.

    Prints are never merged or left out of a function that needs their results, and run in the order of the program.
    In a ``scan`` they run in every step; what is the same in all steps is computed, and printed, once. Gradients pass
    through unchanged, and print nothing.

    Parameters
    ----------
    message : str
        Printed before the value.
    attrs : sequence of str
        Attributes and methods without arguments of the NumPy array to print, such as ``"shape"``, ``"min"`` and
        ``"__str__"``.
    global_fn : callable, optional
        ``global_fn(op, array)`` is called instead of printing; ``op`` has the attributes ``message`` and ``attrs``.

    Examples
    --------
    >>> x = T.vector("x")
    >>> f = symc.function([x], 2 * symc.printing.Print("x is", attrs=["shape", "__str__"])(x))
    >>> _ = f([1, 2])
    x is shape = (2,)
    x is __str__ = [1. 2.]
    """

    def __init__(
        self,
        message: str = "",
        attrs: Sequence[str] = ("__str__",),
        global_fn: Callable[[Print, np.ndarray], Any] = print_attributes,
    ) -> None:
        self.message = message
        self.attrs = (attrs,) if isinstance(attrs, str) else tuple(attrs)
        self.global_fn = global_fn

    def __call__(self, x: Any) -> Variable:
        return Op(PRINT, printer=self)(as_tensor(x))

    def __str__(self) -> str:
        return f"Print{{message={self.message!r}, attrs={self.attrs}}}"


def _numpy(op: Op, x: np.ndarray) -> np.ndarray:
    shown = np.array(x)  # what is printed cannot change the value
    op["printer"].global_fn(op["printer"], shown)
    return x


PRINT = record(
    "print",
    effect="ordered",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, inputs[0].type.shape),
    numpy=_numpy,
    grad=lambda op, inputs, outputs, gs: [gs[0]],
    reach=Reach(lambda op, inputs, outputs, counts: [counts], one_to_one=True),
    linear="jointly",
    bounded_slope=True,
    declared_dtypes=True,
    lower=HostCall(),
    title=lambda op: str(op["printer"]),
    cases=lambda: [Case(lambda x: Print(global_fn=_silent)(x) * 2, (Arg((2, 3)),), lambda x: x * 2)],
)


def _silent(op: Print, xin: np.ndarray) -> None:
    """Print nothing."""
