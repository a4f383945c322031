"""Names of ``theano.tensor.nnet`` and its modules that other modules here do not have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import symc.tensor as T
from symc.compat.op_class import OpClass
from symc.graph import Variable
from symc.tensor.assertions import Assert
from symc.tensor.nnet.conv_shapes import get_conv_output_shape

__all__ = [
    "DiagonalSubtensor", "Fourier", "IncDiagonalSubtensor",
    "Prepend_scalar_constant_to_each_row", "Prepend_scalar_to_each_row", "SparseBlockGemv", "SparseBlockOuter",
    "assert_conv_shape", "assert_shape", "check_conv_gradinputs_shape", "diagonal_subtensor",
    "fft", "get_diagonal_subtensor_view", "inc_diagonal_subtensor", "logsoftmax_op", "prepend_0_to_each_row",
    "prepend_1_to_each_row", "prepend_scalar_to_each_row", "scalar_sigmoid", "sigmoid_inplace", "sparse_block_dot",
    "sparse_block_gemv", "sparse_block_gemv_inplace", "sparse_block_outer", "sparse_block_outer_inplace",
]  # fmt: skip

scalar_sigmoid = sigmoid_inplace = T.nnet.sigmoid
logsoftmax_op = T.nnet.logsoftmax


class Prepend_scalar_to_each_row(OpClass):  # noqa: N801 - Theano's name
    """``Prepend_scalar_to_each_row()(val, mat)``: the matrix with a first column of ``val``."""

    def __call__(self, val: Any, mat: Any) -> Variable:
        mat, val = T.as_tensor_variable(mat), T.as_tensor_variable(val)
        if mat.ndim != 2:
            raise TypeError(f"{type(self).__name__}: expected a matrix, got {mat.type}")
        column = T.alloc(T.cast(val, mat.dtype), mat.shape[0], 1)
        return T.concatenate([column, mat], axis=1)


class Prepend_scalar_constant_to_each_row(OpClass):  # noqa: N801 - Theano's name
    """``Prepend_scalar_constant_to_each_row(val)(mat)``: the matrix with a first column of ``val``."""

    takes = {"val": 0}

    def __call__(self, mat: Any) -> Variable:
        return prepend_scalar_to_each_row(self.val, mat)


prepend_scalar_to_each_row = Prepend_scalar_to_each_row()
prepend_0_to_each_row, prepend_1_to_each_row = (Prepend_scalar_constant_to_each_row(v) for v in (0.0, 1.0))

# --- blocks of a sparse matrix --------------------------------------------------------------------------------------


class SparseBlockGemv(OpClass):
    """``(o, W, h, inputIdx, outputIdx)``: ``o`` plus products of blocks of a vector with blocks of a matrix.

    ``o`` is ``(batch, oWin, oSize)``, ``W`` is ``(iBlocks, oBlocks, iSize, oSize)``, ``h`` is ``(batch, iWin, iSize)``,
    and the integers ``(batch, iWin)`` and ``(batch, oWin)`` tell which blocks they are:
    ``o[b, j] + sum_i dot(h[b, i], W[inputIdx[b, i], outputIdx[b, j]])``.
    """

    takes = {"inplace": False}

    def __call__(self, o: Any, W: Any, h: Any, inputIdx: Any, outputIdx: Any) -> Variable:  # noqa: N803
        o, W, h, rows, columns = (T.as_tensor_variable(v) for v in (o, W, h, inputIdx, outputIdx))  # noqa: N806
        for what, v, ndim in (("o", o, 3), ("W", W, 4), ("h", h, 3), ("inputIdx", rows, 2), ("outputIdx", columns, 2)):
            if v.ndim != ndim:
                raise TypeError(f"SparseBlockGemv: {what} must have {ndim} axes, got {v.ndim}")
        blocks = W[rows.dimshuffle(0, 1, "x"), columns.dimshuffle(0, "x", 1)]  # (batch, iWin, oWin, iSize, oSize)
        return o + T.sum(h.dimshuffle(0, 1, "x", 2, "x") * blocks, axis=(1, 3))


class SparseBlockOuter(OpClass):
    """``(o, x, y, xIdx, yIdx, alpha)``: ``o`` with ``alpha * outer(x[b, i], y[b, j])`` added to blocks of it."""

    takes = {"inplace": False}

    def __call__(self, o: Any, x: Any, y: Any, xIdx: Any, yIdx: Any, alpha: Any = 1.0) -> Variable:  # noqa: N803
        o, x, y, rows, columns = (T.as_tensor_variable(v) for v in (o, x, y, xIdx, yIdx))
        blocks = x.dimshuffle(0, 1, "x", 2, "x") * y.dimshuffle(0, "x", 1, "x", 2)
        at = (rows.dimshuffle(0, 1, "x"), columns.dimshuffle(0, "x", 1))
        return T.inc_subtensor(o[at], T.cast(alpha, o.dtype) * blocks)


sparse_block_gemv, sparse_block_gemv_inplace = SparseBlockGemv(), SparseBlockGemv(inplace=True)
sparse_block_outer, sparse_block_outer_inplace = SparseBlockOuter(), SparseBlockOuter(inplace=True)


def sparse_block_dot(W: Any, h: Any, inputIdx: Any, b: Any, outputIdx: Any) -> Variable:  # noqa: N803
    """``SparseBlockGemv`` beginning with the blocks of a bias ``b``, ``(oBlocks, oSize)``."""
    h, rows, columns = (T.as_tensor_variable(v) for v in (h, inputIdx, outputIdx))
    if rows.ndim != h.ndim - 1 or columns.ndim != rows.ndim:
        raise ValueError("sparse_block_dot: inputIdx and outputIdx must have one axis less than h")
    if h.ndim == 2:
        h, rows, columns = h.dimshuffle("x", 0, 1), rows.dimshuffle("x", 0), columns.dimshuffle("x", 0)
    return sparse_block_gemv(T.take(b, columns, axis=0), W, h, rows, columns)


# --- shapes of convolutions -----------------------------------------------------------------------------------------


def _number(v: Any) -> int | None:
    try:
        return int(T.get_scalar_constant_value(v))
    except (T.extra_ops.NotScalarConstantError, TypeError):
        return None


def assert_conv_shape(shape: Sequence[Any]) -> tuple[Any, ...]:
    """The shape of an operand of a convolution, checked: sizes from 0, those of spatial axes from 1.

    Known lengths are checked at once (ValueError), others when they are computed (AssertionError).
    """
    found = []
    for axis, n in enumerate(shape):
        least = 0 if axis < 2 else 1
        number = _number(n)
        text = f"The convolution would produce an invalid shape (dim[{axis}] < {least})."
        if number is not None and number < least:
            raise ValueError(text)
        found.append(n if number is not None else Assert(text)(n, T.ge(n, least)))
    return tuple(found)


def assert_shape(x: Any, expected_shape: Sequence[Any] | None, msg: str = "Unexpected shape.") -> Variable:
    """Return ``x``, which must have this shape when it is computed; None allows any length."""
    x = T.as_tensor_variable(x)
    wanted = [] if expected_shape is None else list(enumerate(expected_shape))
    conditions = [T.eq(x.shape[axis], n) for axis, n in wanted if n is not None]
    return Assert(msg)(x, *conditions) if conditions else x


def check_conv_gradinputs_shape(
    image_shape: Sequence[Any],
    kernel_shape: Sequence[Any],
    output_shape: Sequence[Any],
    border_mode: Any,
    subsample: Sequence[Any],
    filter_dilation: Sequence[Any] | None = None,
) -> bool:
    """Whether a convolution of these shapes can have this output shape; lengths that are not known fit."""
    spatial = len(image_shape) - 2
    if len(kernel_shape) != spatial + 2 or len(output_shape) != spatial + 2 or len(subsample) != spatial:
        return False
    if filter_dilation is not None and len(filter_dilation) != spatial:
        return False
    computed = get_conv_output_shape(
        tuple(image_shape), tuple(kernel_shape), border_mode, subsample, filter_dilation or (1,) * spatial
    )
    for given, found in zip(output_shape, computed):
        a, b = (None if v is None else _number(v) for v in (given, found))
        if a is not None and b is not None and a != b:
            return False
    return True


# --- diagonals ------------------------------------------------------------------------------------------------------


def _stripe(x: Variable, i0: Any, i1: Any) -> tuple[Any, ...]:
    """The index of ``x[..., columns - 1 + r - c, ..., c, ...]``, with r along axis ``i0`` and c along ``i1``."""
    first, second = (int(T.get_scalar_constant_value(v)) for v in (i0, i1))
    grids: list[Any] = [T.arange(x.shape[k]) for k in range(x.ndim)]
    grids[first] = T.arange(x.shape[first] - x.shape[second] + 1)
    spread = [g.dimshuffle([0 if a == k else "x" for a in range(x.ndim)]) for k, g in enumerate(grids)]
    spread[first] = x.shape[second] - 1 + spread[first] - spread[second]
    return tuple(spread)


class DiagonalSubtensor(OpClass):
    """``DiagonalSubtensor()(x, i0, i1)``: the stripe along the diagonals of two axes that crosses all of ``i1``."""

    takes = {"inplace": False}

    def __call__(self, x: Any, i0: Any, i1: Any) -> Variable:
        x = T.as_tensor_variable(x)
        return x[_stripe(x, i0, i1)]


class IncDiagonalSubtensor(OpClass):
    """``IncDiagonalSubtensor()(x, i0, i1, amt)``: ``x`` with ``amt`` added to that stripe."""

    takes = {"inplace": False}

    def __call__(self, x: Any, i0: Any, i1: Any, amt: Any) -> Variable:
        x = T.as_tensor_variable(x)
        return T.inc_subtensor(x[_stripe(x, i0, i1)], amt)


diagonal_subtensor, inc_diagonal_subtensor = DiagonalSubtensor(), IncDiagonalSubtensor()


def get_diagonal_subtensor_view(x: Any, i0: Any, i1: Any) -> Any:
    """``DiagonalSubtensor`` of an array: a view of it."""
    import numpy as np

    i0, i1 = int(i0), int(i1)
    if x.shape[i0] < x.shape[i1]:
        raise ValueError(f"the stripe does not fit: {x.shape[i0]} rows for {x.shape[i1]} columns")
    view = x[(*[slice(None)] * i0, slice(x.shape[i1] - 1, None))]
    strides = list(view.strides)
    if x.shape[i1] != 1:
        strides[i1] -= strides[i0]
    return np.lib.stride_tricks.as_strided(view, view.shape, strides)


# --- others ---------------------------------------------------------------------------------------------------------


class Fourier(OpClass):
    """``Fourier()(a, n, axis)``: the Fourier transform along one axis, as complex numbers."""

    def __call__(self, a: Any, n: Any = None, axis: Any = None) -> Variable:
        a = T.as_tensor_variable(a)
        if a.ndim < 1:
            raise TypeError("Fourier: expected an array, got a scalar")
        for what, v in (("length", n), ("axis", axis)):
            if v is not None and (T.as_tensor_variable(v).ndim or "int" not in T.as_tensor_variable(v).dtype):
                raise TypeError(f"Fourier: the {what} must be an integer scalar, got {v}")
        place = a.ndim - 1 if axis is None else int(T.get_scalar_constant_value(axis))
        if not 0 <= place < a.ndim:
            raise TypeError(f"Fourier: there is no axis {place} in {a.ndim}")
        length = _number(n) if n is not None else None
        if length is not None and length < 1:
            raise TypeError(f"Fourier: the length must be positive, got {length}")
        return T.cast(T.fft.fft(a, n if length is None else length, place), "complex128")


fft = Fourier()
