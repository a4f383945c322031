"""The order of complex numbers, which only NumPy and Theano have: by real parts, then by imaginary parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from symc.graph import Variable
from symc.tensor import elementwise as ew
from symc.tensor.complex_numbers.parts import held as made_of
from symc.tensor.complex_numbers.parts import imag, real
from symc.tensor.reduce import MAX, MIN
from symc.tensor.reduce import max as largest
from symc.tensor.reduce import min as smallest

__all__ = ["RULES_OF_ORDER"]


def _of_complex(larger: bool) -> Any:
    """The rule of ``maximum`` or ``minimum`` of complex numbers: NumPy orders them by real, then by imaginary parts."""

    def rule(op: Any, inputs: Any) -> Variable:
        x, y = inputs
        a, b = (y, x) if larger else (x, y)
        before = ew.lt(real(a), real(b)) | ew.eq(real(a), real(b)) & ew.le(imag(a), imag(b))
        return ew.switch(ew.isnan(x) | before & ~ew.isnan(y), x, y)

    return rule


def _compared(strict: bool, swapped: bool) -> Any:
    """The rule of a comparison of complex numbers, in the same order."""

    def rule(op: Any, inputs: Any) -> Variable:
        x, y = reversed(inputs) if swapped else inputs
        last = ew.lt if strict else ew.le
        return ew.lt(real(x), real(y)) | ew.eq(real(x), real(y)) & last(imag(x), imag(y))

    return rule


def _extreme(reduce: Any, none: float) -> Any:
    """The rule of ``max`` or ``min`` of complex numbers: of those with the extreme real part, the extreme one."""

    def rule(op: Any, inputs: Any) -> Variable:
        (z,) = inputs
        axes = list(op["axes"])
        x, y = real(z), imag(z)
        first = reduce(x, axes, keepdims=True)
        second = reduce(ew.switch(ew.eq(x, first), y, none), axes)
        return made_of(reduce(x, axes), ew.switch(ew.isnan(reduce(x, axes)), reduce(y, axes), second))

    return rule


RULES_OF_ORDER = {
    ew.maximum.record: _of_complex(True),
    ew.minimum.record: _of_complex(False),
    ew.lt.record: _compared(True, False),
    ew.le.record: _compared(False, False),
    ew.gt.record: _compared(True, True),
    ew.ge.record: _compared(False, True),
    MAX: _extreme(largest, -np.inf),
    MIN: _extreme(smallest, np.inf),
}
"""What the rules of complex numbers lack, by the record of the op."""
