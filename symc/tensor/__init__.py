"""The tensor language: functions on symbolic tensors. Usually imported as ``import symc.tensor as T``."""

from __future__ import annotations

from inspect import ismodule as _ismodule
from typing import TYPE_CHECKING as _TYPE_CHECKING

from symc.errors import no_attribute as _no_attribute
from symc.gradient import (
    consider_constant,
    disconnected_grad,
    grad,
    grad_clip,
    grad_scale,
    zero_grad,
)
from symc.gradient.derivatives import Lop, Rop, hessian, jacobian
from symc.gradient.gradient_check import verify_grad
from symc.graph import Variable
from symc.graph.types import TensorType
from symc.tensor import (
    extra_ops,
    fft,
    nlinalg,
    nnet,
    operators,
    recurrence,
    shared_randomstreams,
    signal,
    slinalg,
    xlogx,
)
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import constant
from symc.tensor.broadcasting import broadcast_like
from symc.tensor.complex_numbers import python_ops as complex_python
from symc.tensor.complex_numbers import rules as complex_rules
from symc.tensor.complex_numbers.functions import hypot
from symc.tensor.complex_numbers.parts import angle, complex, complex_from_polar, conj, imag, real
from symc.tensor.constructors import CONSTRUCTORS, PLURALS, tensor
from symc.tensor.creation import (
    alloc,
    arange,
    eye,
    fill,
    full,
    full_like,
    identity_like,
    ones,
    ones_like,
    tri,
    tril,
    triu,
    zeros,
    zeros_like,
)  # fmt: skip
from symc.tensor.cumulative import cumprod, cumsum
from symc.tensor.einsum import einsum
from symc.tensor.elementwise import (
    abs_,
    add,
    and_,
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    cast,
    ceil,
    clip,
    cos,
    cosh,
    deg2rad,
    eq,
    erf,
    erfc,
    exp,
    exp2,
    expm1,
    floor,
    floor_div,
    ge,
    gt,
    inv,
    invert,
    isinf,
    isnan,
    le,
    left_shift,
    log,
    log1p,
    log2,
    log10,
    lt,
    maximum,
    minimum,
    mod,
    mul,
    neg,
    neq,
    or_,
    power,
    rad2deg,
    right_shift,
    round_half_away_from_zero,
    round_half_to_even,
    sgn,
    sigmoid,
    sin,
    sinh,
    softplus,
    sqr,
    sqrt,
    sub,
    switch,
    tan,
    tanh,
    true_div,
    trunc,
    xor,
)  # fmt: skip
from symc.tensor.extra_ops import (
    NotScalarConstantError,
    allclose,
    bartlett,
    batched_tensordot,
    bincount,
    broadcast_shape,
    ceil_intdiv,
    choose,
    compress,
    cov,
    diag,
    diagonal,
    diff,
    divmod,
    extract_constant,
    fill_diagonal,
    fill_diagonal_offset,
    get_scalar_constant_value,
    get_vector_length,
    iround,
    isclose,
    linspace,
    ravel_multi_index,
    roll,
    round,
    trace,
    unravel_index,
    where,
)
from symc.tensor.grids import meshgrid, mgrid, ogrid
from symc.tensor.ifelse import ifelse
from symc.tensor.indices import subtensor_cases
from symc.tensor.indices.indexing import advanced_subtensor, advanced_subtensor1, subtensor, take, to_one_hot
from symc.tensor.indices.selection import argwhere, flatnonzero, nonzero, nonzero_values
from symc.tensor.indices.subtensor_writing import (
    advanced_inc_subtensor,
    advanced_inc_subtensor1,
    inc_subtensor,
    set_subtensor,
)
from symc.tensor.joining import concatenate, horizontal_stack, join, stack, stacklists, vertical_stack
from symc.tensor.linalg import batched_dot, dot, matmul, outer, tensordot
from symc.tensor.linear_algebra.factorisations import cholesky, solve, svd
from symc.tensor.linear_algebra.linear_systems import matrix_inverse
from symc.tensor.linear_algebra.matrix_functions import kron
from symc.tensor.ordering import digitize, inverse_permutation, searchsorted, unique
from symc.tensor.random_numbers import distribution_cases as random_cases
from symc.tensor.reduce import all, any, argmax, argmin, max, max_and_argmax, mean, min, prod, ptp, std, sum, var
from symc.tensor.repeating import repeat, tile
from symc.tensor.reshaping import reshape
from symc.tensor.scans.scan import scan
from symc.tensor.shape_arguments import specify_shape
from symc.tensor.shaping import (
    addbroadcast,
    as_tensor_variable,
    atleast_1d,
    atleast_2d,
    expand_dims,
    flatten,
    moveaxis,
    patternbroadcast,
    shape,
    shape_padaxis,
    shape_padleft,
    shape_padright,
    size,
    squeeze,
    swapaxes,
    transpose,
    unbroadcast,
)  # fmt: skip
from symc.tensor.shaping import as_tensor_variable as as_tensor
from symc.tensor.sorting import argsort, argtopk, permute_row_elements, sort, topk, topk_and_argtopk
from symc.tensor.special.bessel import i0, i1, iv, j0, j1, jv
from symc.tensor.special.erfc_forms import erfcx
from symc.tensor.special.gamma_functions import gamma, gammaln, polygamma, psi, tri_gamma
from symc.tensor.special.incomplete_gamma import chi2sf, gammainc, gammaincc, gammal, gammau
from symc.tensor.special.inverse_erf import erfcinv, erfinv
from symc.tensor.splitting import split
from symc.tensor.state import carry_updates
from symc.tensor.symbolic_dims import shape_i

TensorVariable = Variable
pow = power
square = sqr
reciprocal = inv
int_div = floor_div
bitwise_and, bitwise_or, bitwise_xor, bitwise_not = and_, or_, xor, invert
abs = abs_

operators.attach()
globals().update(CONSTRUCTORS)
globals().update(PLURALS)

_LANGUAGE = ("extra_ops", "fft", "nlinalg", "nnet", "shared_randomstreams", "signal", "slinalg", "xlogx")
"""Public modules; the functions of the other modules are exported from this one."""

__all__ = [
    name
    for name, value in sorted(globals().items())
    if not name.startswith("_") and name != "annotations" and (not _ismodule(value) or name in _LANGUAGE)
]

if not _TYPE_CHECKING:  # type checkers see only the module's own names

    def __getattr__(name: str) -> object:
        raise _no_attribute(__name__, name, __all__)
