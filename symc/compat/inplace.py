"""``theano.tensor.inplace``: elementwise functions that may overwrite their first operand.

They compute a new value, and the compiler decides where it is stored. A function made with ``accept_inplace=True``
stores it in the argument for the operand, too.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import symc.tensor as T
from symc.compat import tensor_functions
from symc.compat.overwriting import overwriting

_NAMES = """
    abs_ add and_ arccos arcsin arctan arctan2 ceil cos cosh arccosh arcsinh arctanh deg2rad eq erf erfc exp exp2
    expm1 floor fill gamma gammaln ge gt int_div inv invert le log log10 log1p log2 lt maximum minimum mod mul neg
    neq or_ pow psi rad2deg round_half_to_even round_half_away_from_zero sgn sin sinh sqr sqrt sub switch tan tanh
    transpose true_div trunc xor sigmoid chi2sf conj erfcx i0 i1 iv j0 j1 jv tri_gamma
""".split()

__all__ = [f"{name}_inplace" for name in _NAMES]


@cache
def _in_place(name: str) -> Any:
    own = name.removesuffix("_inplace")
    function = getattr(tensor_functions if own in tensor_functions.__all__ else T, own)

    def apply(*operands: Any) -> Any:
        variables = [T.as_tensor_variable(v) for v in operands]
        return overwriting(T.cast(function(*variables), variables[0].dtype), variables[0])

    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = f"``T.{own}`` in the dtype of the first operand, in which its value may be stored."
    return apply


def __getattr__(name: str) -> Any:
    if name in __all__:
        return _in_place(name)
    raise AttributeError(name)
