"""The library calls of ``Call`` statements: buffers, parameters, semantics, cost.

Every back end implements them for float32 (``gemm_f32``) and float64 (``gemm_f64``). ``numpy(outputs, inputs,
params)`` is the reference implementation of a call: it writes the outputs, given flat arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from symc.graph.bfloat16 import bits_of, values_of
from symc.loops.expr import Expr, index

__all__ = ["CALLS", "CallRows", "CallSpec"]


class CallRows(NamedTuple):
    """How a call computes each row of its output from the same row of some of its inputs.

    Attributes
    ----------
    size : str
        The parameter for the number of rows.
    strides : dict
        Maps the buffers that have rows to the parameters for the distance of two rows and for the length of one.
    zero : tuple of str
        Parameters that must be 0.
    """

    size: str
    strides: dict[str, tuple[str, str]]
    zero: tuple[str, ...] = ()


class CallSpec(NamedTuple):
    """The signature of a library call: ``outputs`` buffers, then ``inputs``, then integer ``params`` in this order.

    ``stored`` are the inputs of which a back end may keep another form between calls, as long as they do not change.
    ``row_axes`` is the number of axes of the output that make up a row for an ``Epilogue``; with 0 the call takes none.
    With ``rows_of_vectors``, the last of these axes is a vector of 32 elements, which an epilogue processes as a whole.
    ``tags`` name the dtypes that the run-time library has the call for.
    """

    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    params: tuple[str, ...]
    numpy: Callable[[Sequence[np.ndarray], Sequence[np.ndarray], dict[str, int]], None]
    flops: Callable[..., Expr]
    rows: CallRows | None = None
    stored: tuple[str, ...] = ()
    row_axes: int = 0
    rows_of_vectors: bool = False
    tags: tuple[str, ...] = ("f32", "f64")


def _matrix(flat: np.ndarray, offset: int, rows: int, cols: int, lead: int, transposed: int) -> np.ndarray:
    r, c = (cols, rows) if transposed else (rows, cols)
    view = np.lib.stride_tricks.as_strided(flat[offset:], (r, c), (lead * flat.itemsize, flat.itemsize))
    return view.T if transposed else view


def _array(flat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The array that begins at the start of a buffer, which may be a part of a larger one."""
    return flat[: math.prod(shape)].reshape(shape)


def _gemm(outputs: Sequence[np.ndarray], inputs: Sequence[np.ndarray], p: dict[str, int]) -> None:
    (c,), (a, b) = outputs, inputs
    m, n, k = p["M"], p["N"], p["K"]
    if m == 0 or n == 0:
        return
    out = np.zeros((m, n), c.dtype)
    if k:
        out = _matrix(a, 0, m, k, p["lda"], p["transA"]) @ _matrix(b, 0, k, n, p["ldb"], p["transB"])
    target = _matrix(c, 0, m, n, p["ldc"], 0)
    target[...] = target + out if p["accumulate"] else out


def _batched_gemm(outputs: Sequence[np.ndarray], inputs: Sequence[np.ndarray], p: dict[str, int]) -> None:
    for i in range(p["batch"]):
        moved = [x[i * p[f"stride{letter}"] :] for x, letter in zip((*outputs, *inputs), "CAB")]
        _gemm(moved[:1], moved[1:], p)


_CONV = (
    "N", "C", "H", "W", "K", "R", "S", "OH", "OW",
    "stride_h", "stride_w", "pad_top", "pad_left", "dil_h", "dil_w", "groups", "flip",
)  # fmt: skip
_CONV_POOLED = (*_CONV, "pool_h", "pool_w")
_CONV_BLOCKS = (*_CONV_POOLED, "channels")
_POOL = ("N", "H", "W", "OH", "OW", "win_h", "win_w", "stride_h", "stride_w", "pad_h", "pad_w", "mode")


def _taps(p: dict[str, int], x: np.ndarray) -> Any:
    """Iterate over filter positions, with the output range each contributes to and the input slice it reads."""
    for r in range(p["R"]):
        for s in range(p["S"]):
            rr, ss = (p["R"] - 1 - r, p["S"] - 1 - s) if p["flip"] else (r, s)
            ys = np.arange(p["OH"]) * p["stride_h"] - p["pad_top"] + r * p["dil_h"]
            xs = np.arange(p["OW"]) * p["stride_w"] - p["pad_left"] + s * p["dil_w"]
            oy, ox = np.flatnonzero((ys >= 0) & (ys < p["H"])), np.flatnonzero((xs >= 0) & (xs < p["W"]))
            yield rr, ss, np.ix_(oy, ox), np.ix_(ys[oy], xs[ox])


def _conv_shapes(p: dict[str, int]) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    g = p["groups"]
    return (
        (p["N"], g, p["C"] // g, p["H"], p["W"]),
        (g, p["K"] // g, p["C"] // g, p["R"], p["S"]),
        (p["N"], g, p["K"] // g, p["OH"], p["OW"]),
    )


def _conv_forward(outputs: Sequence[np.ndarray], inputs: Sequence[np.ndarray], p: dict[str, int]) -> None:
    xs, ws, ys = _conv_shapes(p)
    x, w, y = _array(inputs[0], xs), _array(inputs[1], ws), _array(outputs[0], ys)
    y[...] = 0
    for r, s, (oy, ox), (iy, ix) in _taps(p, x):
        y[:, :, :, oy, ox] += np.einsum("ngchw,gkc->ngkhw", x[:, :, :, iy, ix], w[:, :, :, r, s])


def _conv_backward_data(outputs: Sequence[np.ndarray], inputs: Sequence[np.ndarray], p: dict[str, int]) -> None:
    xs, ws, ys = _conv_shapes(p)
    dx, dy, w = _array(outputs[0], xs), _array(inputs[0], ys), _array(inputs[1], ws)
    dx[...] = 0
    for r, s, (oy, ox), (iy, ix) in _taps(p, dx):
        dx[:, :, :, iy, ix] += np.einsum("ngkhw,gkc->ngchw", dy[:, :, :, oy, ox], w[:, :, :, r, s])


def _conv_backward_weights(outputs: Sequence[np.ndarray], inputs: Sequence[np.ndarray], p: dict[str, int]) -> None:
    xs, ws, ys = _conv_shapes(p)
    dw, x, dy = _array(outputs[0], ws), _array(inputs[0], xs), _array(inputs[1], ys)
    dw[...] = 0
    for r, s, (oy, ox), (iy, ix) in _taps(p, x):
        dw[:, :, :, r, s] += np.einsum("ngchw,ngkhw->gkc", x[:, :, :, iy, ix], dy[:, :, :, oy, ox])


def _maxima(inputs: Sequence[np.ndarray], p: dict[str, int], dtype: Any) -> np.ndarray:
    """The maxima of windows of a convolution's results that do not overlap."""
    maps = np.empty((p["N"], p["K"], p["OH"], p["OW"]), dtype)
    _conv_forward([maps.reshape(-1)], inputs, p)
    wh, ww = p["pool_h"], p["pool_w"]
    h, w = p["OH"] // wh, p["OW"] // ww
    found: np.ndarray = maps[:, :, : h * wh, : w * ww].reshape(p["N"], p["K"], h, wh, w, ww).max((3, 5))
    return found


def _conv_pooled(outputs: Sequence[np.ndarray], inputs: Sequence[np.ndarray], p: dict[str, int]) -> None:
    maxima = _maxima(inputs, p, outputs[0].dtype)
    _array(outputs[0], maxima.shape)[...] = maxima


def _conv_to_blocks(outputs: Sequence[np.ndarray], inputs: Sequence[np.ndarray], p: dict[str, int]) -> None:
    """The convolution of operands rounded to bfloat16, whose maps are in blocks of 32 channels, and pooled."""
    count = p["N"] * p["C"] * p["H"] * p["W"]
    maxima = _maxima([values_of(bits_of(x)) for x in (inputs[0][:count], inputs[1])], p, "float32")
    n, _, h, w = maxima.shape
    blocks = maxima.reshape(n, p["K"] // 32, 32, h, w).transpose(0, 1, 3, 4, 2)
    _array(outputs[0], blocks.shape)[...] = blocks


def _conv_blocks(outputs: Sequence[np.ndarray], inputs: Sequence[np.ndarray], p: dict[str, int]) -> None:
    blocks = values_of(_array(inputs[0], (p["N"], p["C"] // 32, p["H"], p["W"], 32)))
    _conv_to_blocks(outputs, [blocks.transpose(0, 1, 4, 2, 3).reshape(-1), inputs[1]], p)


def _pool_blocks(outputs: Sequence[np.ndarray], inputs: Sequence[np.ndarray], p: dict[str, int]) -> None:
    x = values_of(_array(inputs[0], (p["N"], p["H"], p["W"], 32))).transpose(0, 3, 1, 2)
    y = np.empty((p["N"], 32, p["OH"], p["OW"]), "float32")
    _pool_forward([y.reshape(-1)], [x.reshape(-1)], {**p, "N": p["N"] * 32})
    _array(outputs[0], (p["N"], p["OH"], p["OW"], 32))[...] = bits_of(y).transpose(0, 2, 3, 1)


def _windows(p: dict[str, int]) -> Any:
    for oy in range(p["OH"]):
        for ox in range(p["OW"]):
            top, left = oy * p["stride_h"] - p["pad_h"], ox * p["stride_w"] - p["pad_w"]
            bottom = min(top + p["win_h"], p["H"] + p["pad_h"])
            right = min(left + p["win_w"], p["W"] + p["pad_w"])
            inside = (slice(max(top, 0), min(bottom, p["H"])), slice(max(left, 0), min(right, p["W"])))
            yield oy, ox, inside, (bottom - top) * (right - left)


def _pool_forward(outputs: Sequence[np.ndarray], inputs: Sequence[np.ndarray], p: dict[str, int]) -> None:
    x = _array(inputs[0], (p["N"], p["H"], p["W"]))
    y = _array(outputs[0], (p["N"], p["OH"], p["OW"]))
    for oy, ox, (rows, cols), padded in _windows(p):
        window = x[:, rows, cols]
        if p["mode"] == 0:
            y[:, oy, ox] = window.max((1, 2)) if window.size else -np.inf
        else:
            y[:, oy, ox] = window.sum((1, 2)) / _divisor(p["mode"], window, padded)


def _divisor(mode: int, window: np.ndarray, padded: int) -> float:
    return 1 if mode == 3 else padded if mode == 1 else max(window.shape[1] * window.shape[2], 1)


def _pool_backward(outputs: Sequence[np.ndarray], inputs: Sequence[np.ndarray], p: dict[str, int]) -> None:
    x, y, dy = inputs
    x = _array(x, (p["N"], p["H"], p["W"]))
    y, dy = (_array(v, (p["N"], p["OH"], p["OW"])) for v in (y, dy))
    dx = _array(outputs[0], (p["N"], p["H"], p["W"]))
    dx[...] = 0
    for oy, ox, (rows, cols), padded in _windows(p):
        g = dy[:, oy, ox][:, None, None]
        window = x[:, rows, cols]
        if p["mode"] == 0:
            dx[:, rows, cols] += np.where(window == y[:, oy, ox][:, None, None], g, 0)
        else:
            dx[:, rows, cols] += g / _divisor(p["mode"], window, padded)


def _pool_grad_grad(outputs: Sequence[np.ndarray], inputs: Sequence[np.ndarray], p: dict[str, int]) -> None:
    x, y, ddx = inputs
    x, ddx = (_array(v, (p["N"], p["H"], p["W"])) for v in (x, ddx))
    y = _array(y, (p["N"], p["OH"], p["OW"]))
    out = _array(outputs[0], (p["N"], p["OH"], p["OW"]))
    for oy, ox, (rows, cols), _ in _windows(p):
        hit = x[:, rows, cols] == y[:, oy, ox][:, None, None]
        out[:, oy, ox] = np.where(hit, ddx[:, rows, cols], 0).sum((1, 2))


def _conv_flops(*p: Expr) -> Expr:
    named = dict(zip(_CONV, p))
    per_output = (named["C"] // named["groups"]) * named["R"] * named["S"] * 2
    return named["N"] * named["K"] * named["OH"] * named["OW"] * per_output


def _pool_flops(*p: Expr) -> Expr:
    named = dict(zip(_POOL, p))
    return named["N"] * named["OH"] * named["OW"] * named["win_h"] * named["win_w"]


def _row_sums(outputs: Sequence[np.ndarray], inputs: Sequence[np.ndarray], p: dict[str, int]) -> None:
    table = _array(outputs[0], (p["rows"], p["columns"]))
    table[...] = 0
    np.add.at(table, inputs[1][: p["count"]], _array(inputs[0], (p["count"], p["columns"])))


def _product_in_steps(outputs: Sequence[np.ndarray], inputs: Sequence[np.ndarray], p: dict[str, int]) -> None:
    """Whether each thread multiplies its own rows in the steps of a loop, or all threads do so before it."""
    outputs[0][...] = p["rows"] > 1


CALLS: dict[str, CallSpec] = {
    "gemm": CallSpec(
        ("C",), ("A", "B"), ("transA", "transB", "M", "N", "K", "lda", "ldb", "ldc", "accumulate"), _gemm,
        lambda ta, tb, m, n, k, *rest: m * n * k * 2,
        CallRows("M", {"C": ("ldc", "N"), "A": ("lda", "K")}, ("transA",)), ("A", "B"), 1,
    ),
    "batched_gemm": CallSpec(
        ("C",), ("A", "B"),
        (
            "batch", "transA", "transB", "M", "N", "K", "lda", "ldb", "ldc", "strideA", "strideB", "strideC",
            "accumulate",
        ),
        _batched_gemm, lambda batch, ta, tb, m, n, k, *rest: batch * m * n * k * 2, stored=("A", "B"), row_axes=1,
    ),
    "conv2d_forward": CallSpec(("Y",), ("X", "W"), _CONV, _conv_forward, _conv_flops, stored=("W",), row_axes=2),
    "conv2d_pooled": CallSpec(("Y",), ("X", "W"), _CONV_POOLED, _conv_pooled, _conv_flops, stored=("W",), row_axes=2),
    "conv2d_backward_data": CallSpec(
        ("dX",), ("dY", "W"), _CONV, _conv_backward_data, _conv_flops, stored=("W",), row_axes=2
    ),
    "conv2d_backward_weights": CallSpec(("dW",), ("X", "dY"), _CONV, _conv_backward_weights, _conv_flops),
    "conv2d_blocks": CallSpec(
        ("Y",), ("X", "W"), _CONV_BLOCKS, _conv_blocks, _conv_flops, stored=("W",), row_axes=3, rows_of_vectors=True,
        tags=("f32",),
    ),
    "conv2d_to_blocks": CallSpec(
        ("Y",), ("X", "W"), _CONV_BLOCKS, _conv_to_blocks, _conv_flops, stored=("W",), row_axes=3, rows_of_vectors=True,
        tags=("f32",),
    ),
    "pool2d_blocks": CallSpec(("Y",), ("X",), _POOL, _pool_blocks, _pool_flops, tags=("u16",)),
    "pool2d_forward": CallSpec(("Y",), ("X",), _POOL, _pool_forward, _pool_flops),
    "pool2d_backward": CallSpec(("dX",), ("X", "Y", "dY"), _POOL, _pool_backward, _pool_flops),
    "pool2d_max_grad_grad": CallSpec(("ddY",), ("X", "Y", "ddX"), _POOL, _pool_grad_grad, _pool_flops),
    "row_sums": CallSpec(
        ("table",), ("X", "places"), ("rows", "count", "columns"), _row_sums,
        lambda rows, count, columns: count * columns,
    ),
    "product_in_steps": CallSpec(
        ("yes",), (), ("rows", "steps", "N", "K", "itemsize"), _product_in_steps, lambda *p: index(0), tags=("u8",)
    ),
}  # fmt: skip
