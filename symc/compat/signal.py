"""Pooling and convolution of plain signals under Theano's older names."""

from __future__ import annotations

from typing import Any

import symc.tensor as T
from symc.graph import Variable
from symc.tensor.signal.windows import entries_of, pool_by_windows

_pool: Any = T.signal.pool

__all__ = ["DownsampleFactorMax", "Pool", "conv2d", "max_pool", "max_pool_2d"]


def max_pool_2d(
    input: Any,
    ds: Any = None,
    ignore_border: bool | None = None,
    st: Any = None,
    padding: Any = (0, 0),
    mode: str = "max",
    **named: Any,
) -> Variable:
    """``theano.tensor.signal.downsample.max_pool_2d``: ``pool_2d`` under its old name."""
    for new, given in (("ws", ds), ("stride", st)):
        named.setdefault(new, given)
    named.setdefault("pad", padding)
    named["ignore_border"] = False if ignore_border is None else ignore_border
    return _pool.pool_2d(input, mode=mode, **named)


max_pool = max_pool_2d


class Pool:
    """``Pool(ignore_border, mode, ndim)(x, ws, stride, pad)`` pools the last ``ndim`` axes.

    In the first form of this class, ``DownsampleFactorMax(ds, ignore_border)(x)``, the window comes first.
    """

    def __init__(self, *args: Any, ignore_border: bool = False, mode: str = "max", ndim: int = 2, **named: Any) -> None:
        window: Any = None
        given = list(args)
        if given and isinstance(given[0], (tuple, list)):
            window = given.pop(0)
        self.window = named.get("ds", window)
        self.stride, self.pad = named.get("st"), named.get("padding")
        self.ignore_border = given.pop(0) if given else ignore_border
        if window is not None and given:  # the old order: ds, ignore_border, st, padding, mode
            self.stride = given.pop(0)
            self.pad = given.pop(0) if given else self.pad
        self.mode = given.pop(0) if given else mode
        self.ndim = given.pop(0) if given else ndim

    @staticmethod
    def out_shape(
        imgshape: Any,
        ws: Any = None,
        ignore_border: bool = False,
        stride: Any = None,
        pad: Any = None,
        ndim: int = 2,
        ds: Any = None,
        st: Any = None,
        padding: Any = None,
    ) -> list[Any]:
        """The shape of the result for images of a shape whose entries are integers or scalars."""
        ws = ws if ds is None else ds
        stride = stride if st is None else st
        pad = pad if padding is None else padding
        if len(imgshape) < ndim:
            raise TypeError(f"Pool: imgshape must have at least {ndim} entries, got {len(imgshape)}")
        stride = ws if stride is None else stride
        pad = (0,) * ndim if pad is None else pad
        spatial = imgshape[len(imgshape) - ndim :]
        found = [_windows(n + 2 * p, w, s, ignore_border) for n, w, s, p in zip(spatial, ws, stride, pad)]
        return [*imgshape[: len(imgshape) - ndim], *found]

    def __call__(self, x: Any, ws: Any = None, stride: Any = None, pad: Any = None) -> Variable:
        ws = self.window if ws is None else ws
        if self.ndim == 1:
            return self._over_one_axis(x, ws, stride, pad)
        if self.ndim > 3:
            return self._over_many_axes(x, ws, stride, pad)
        pool = _pool.pool_2d if self.ndim == 2 else _pool.pool_3d
        stride = self.stride if stride is None else stride
        return pool(x, ws, self.ignore_border, stride, self.pad if pad is None else pad, self.mode)

    def _over_many_axes(self, x: Any, ws: Any, stride: Any, pad: Any) -> Variable:
        x, n = T.as_tensor_variable(x), self.ndim
        if x.ndim < n:
            raise TypeError(f"Pool: expected at least {n} axes, got {x.type}")
        stride = self.stride if stride is None else stride
        pad = self.pad if pad is None else pad
        options = {"ws": ws, "stride": ws if stride is None else stride, "pad": 0 if pad is None else pad}
        window, step, zeros = (entries_of(value, f"Pool: {name}", n) for name, value in options.items())
        if not self.ignore_border and any(isinstance(p, int) and p for p in zeros):
            raise ValueError(f"Pool: padding requires ignore_border=True, got pad={pad!r}")
        return pool_by_windows(x, window, step, zeros, self.mode, bool(self.ignore_border))

    def _over_one_axis(self, x: Any, ws: Any, stride: Any, pad: Any) -> Variable:
        column = T.as_tensor_variable(x)
        column = column.dimshuffle([*range(column.ndim), "x"])
        stride = stride if stride is None else (*_entries(stride), 1)
        pad = pad if pad is None else (*_entries(pad), 0)
        out = _pool.pool_2d(column, (*_entries(ws), 1), self.ignore_border, stride, pad, self.mode)
        return out.dimshuffle(list(range(out.ndim - 1)))


def _windows(n: Any, window: Any, stride: Any, ignore_border: bool) -> Any:
    """The number of windows along an axis; without ``ignore_border``, the last one may reach over the end."""
    symbolic = any(isinstance(v, Variable) for v in (n, window, stride))
    largest: Any = T.maximum if symbolic else max
    if ignore_border:
        return largest((n - window) // stride + 1, 0)
    if symbolic:
        return T.switch(T.ge(stride, window), (n - 1) // stride + 1, T.maximum((n - 1 - window) // stride + 1, 0) + 1)
    return (n - 1) // stride + 1 if stride >= window else max((n - 1 - window) // stride + 1, 0) + 1


def _entries(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


DownsampleFactorMax = Pool


def conv2d(
    input: Any,
    filters: Any,
    image_shape: Any = None,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    **ignored: Any,
) -> Variable:
    """``theano.tensor.signal.conv.conv2d``: every filter applied to every image.

    Parameters
    ----------
    input : tensor_like
        ``(images, rows, columns)`` or ``(rows, columns)``.
    filters : tensor_like
        ``(filters, rows, columns)`` or ``(rows, columns)``.
    image_shape, filter_shape : optional
        Their shapes, as far as they are known.
    border_mode, subsample
        As in ``T.nnet.conv2d``.

    Returns
    -------
    Variable
        ``(images, filters, rows, columns)`` without the axes that both operands lack.
    """
    x, w = T.as_tensor_variable(input), T.as_tensor_variable(filters)
    for what, v in (("input", x), ("filters", w)):
        if v.ndim not in (2, 3):
            raise ValueError(f"conv2d: {what} must have 2 or 3 axes, got {v.ndim}")
    images = x.dimshuffle("x", 0, 1) if x.ndim == 2 else x
    kernels = w.dimshuffle("x", 0, 1) if w.ndim == 2 else w
    maps = T.nnet.conv2d(
        images.dimshuffle(0, "x", 1, 2), kernels.dimshuffle(0, "x", 1, 2), _with_channel(image_shape),
        _with_channel(filter_shape), border_mode, subsample,
    )  # fmt: skip
    if x.ndim == 2 and w.ndim == 2:
        return maps.dimshuffle(2, 3) if maps.broadcastable[:2] == (True, True) else maps[0, 0]
    return maps[0] if x.ndim == 2 else maps[:, 0] if w.ndim == 2 else maps


def _with_channel(shape: Any) -> Any:
    if shape is None:
        return None
    return (1, 1, *shape) if len(shape) == 2 else (shape[0], 1, *shape[1:])
