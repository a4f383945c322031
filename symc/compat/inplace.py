"""``theano.tensor.inplace``: elementwise functions that may overwrite their first operand.

Here they compute a new value, and the compiler decides where it is stored.
"""

from __future__ import annotations

from typing import Any

import symc.tensor as T

_NAMES = """
    abs_ add and_ arccos arcsin arctan arctan2 ceil cos cosh arccosh arcsinh arctanh deg2rad eq erf erfc exp exp2
    expm1 floor fill gamma gammaln ge gt int_div inv invert le log log10 log1p log2 lt maximum minimum mod mul neg
    neq or_ pow psi rad2deg round_half_to_even round_half_away_from_zero sgn sin sinh sqr sqrt sub switch tan tanh
    transpose true_div trunc xor sigmoid chi2sf conj erfcx i0 i1 iv j0 j1 jv tri_gamma
""".split()

__all__ = [f"{name}_inplace" for name in _NAMES]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(T, name.removesuffix("_inplace"))
    raise AttributeError(name)
