"""Theano's older interfaces of convolution, and its ops of convolution as classes."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import symc.tensor as T
from symc.graph import Variable

_nnet: Any = T.nnet

__all__ = [
    "AbstractConv2d", "AbstractConv2d_gradInputs", "AbstractConv2d_gradWeights", "AbstractConv3d",
    "AbstractConv3d_gradInputs", "AbstractConv3d_gradWeights", "ConvOp", "Convolution", "abstract_conv2d",
    "conv2d", "conv2d_fft", "conv3D", "conv3d", "conv3d_fft", "convGrad3D", "convTransp3D", "imported_scipy_signal",
]  # fmt: skip

imported_scipy_signal = find_spec("scipy") is not None
"""Whether SciPy is installed, with which old programs compare convolutions."""

_OLD_OPTIONS = (
    "kshp_logical", "kshp_logical_top_aligned", "imshp_logical", "unroll_batch", "unroll_kern", "unroll_patch",
    "verbose", "version", "openmp", "direction_hint", "fft_opt",
)  # fmt: skip
"""Options of ``theano.tensor.nnet.conv.conv2d`` that told how to compile it."""


def conv2d(
    input: Any,
    filters: Any,
    image_shape: Any = None,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    **options: Any,
) -> Variable:
    """``theano.tensor.nnet.conv.conv2d``: ``T.nnet.conv2d`` with the shapes in another order.

    Options that told Theano how to compile it have no effect.
    """
    unknown = sorted(set(options) - set(_OLD_OPTIONS))
    if unknown:
        raise TypeError(f"conv2d: unknown keyword {unknown[0]!r}")
    return T.nnet.conv2d(input, filters, image_shape, filter_shape, border_mode, subsample)


def abstract_conv2d(
    input: Any,
    filters: Any,
    input_shape: Any = None,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1),
    num_groups: int = 1,
    unshared: bool = False,
) -> Variable:
    """``theano.tensor.nnet.abstract_conv.conv2d``: ``T.nnet.conv2d`` without ``image_shape`` among its arguments."""
    return T.nnet.conv2d(
        input, filters, input_shape, filter_shape, border_mode, subsample, filter_flip, None, filter_dilation,
        num_groups, unshared,
    )  # fmt: skip


def conv2d_fft(
    input: Any,
    filters: Any,
    image_shape: Any = None,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    **ignored: Any,
) -> Variable:
    """``T.nnet.conv2d``."""
    return T.nnet.conv2d(input, filters, image_shape, filter_shape, border_mode)


def _padding(mode: Any, length: int | None) -> Any:
    """The padding of an axis along which filters have a length, known or not."""
    if mode == "valid" or not isinstance(mode, str):
        return 0 if mode == "valid" else mode
    if length is None or mode not in ("full", "half"):
        raise ValueError(f"conv3d: border_mode {mode!r} of one axis needs filters_shape, and must be 'full' or 'half'")
    return length - 1 if mode == "full" else length // 2


def conv3d(
    signals: Any, filters: Any, signals_shape: Any = None, filters_shape: Any = None, border_mode: Any = "valid"
) -> Variable:
    """``theano.tensor.nnet.conv3d2d.conv3d``: ``T.nnet.conv3d`` of ``(batch, time, channels, rows, columns)``.

    ``border_mode`` may name one mode for time, rows and columns each.
    """
    if isinstance(border_mode, (tuple, list)):
        lengths = (None,) * 3 if filters_shape is None else (filters_shape[1], *filters_shape[3:])
        border_mode = border_mode[0] if len(set(border_mode)) == 1 else tuple(map(_padding, border_mode, lengths))

    def to(x: Any) -> Variable:
        return T.as_tensor_variable(x).dimshuffle(0, 2, 1, 3, 4)

    def shape(s: Any) -> Any:
        return None if s is None else (s[0], s[2], s[1], s[3], s[4])

    return to(_nnet.conv3d(to(signals), to(filters), shape(signals_shape), shape(filters_shape), border_mode))


def conv3D(V: Any, W: Any, b: Any, d: Any) -> Variable:  # noqa: N802, N803 - Theano's names
    """``theano.tensor.nnet.conv3D``: the correlation with stride ``d``, plus ``b``.

    Images and filters are ``(batch or filters, rows, columns, time, channels)``.
    """
    image = T.as_tensor_variable(V).dimshuffle(0, 4, 1, 2, 3)
    filters = T.as_tensor_variable(W).dimshuffle(0, 4, 1, 2, 3)
    maps = _nnet.conv3d(image, filters, subsample=tuple(d), filter_flip=False)
    return maps.dimshuffle(0, 2, 3, 4, 1) + b


def convTransp3D(W: Any, b: Any, d: Any, H: Any, RShape: Any = None) -> Variable:  # noqa: N802, N803
    """``theano.tensor.nnet.convTransp3D``: the transpose of ``conv3D``, from its maps ``H`` to images, plus ``b``.

    ``RShape`` has the lengths of the images' three spatial axes; by default they are the shortest possible ones.
    """
    filters, maps = (T.as_tensor_variable(v).dimshuffle(0, 4, 1, 2, 3) for v in (W, H))
    steps = tuple(d)
    if RShape is None:
        RShape = [(maps.shape[k + 2] - 1) * steps[k] + filters.shape[k + 2] for k in range(3)]
    shape = [None, None, *[RShape[k] for k in range(3)]]
    images = _nnet.conv3d_grad_wrt_inputs(maps, filters, shape, subsample=steps, filter_flip=False)
    return images.dimshuffle(0, 2, 3, 4, 1) + b


def convGrad3D(V: Any, d: Any, WShape: Any, dCdH: Any) -> Variable:  # noqa: N802, N803
    """``theano.tensor.nnet.convGrad3D``: the gradient of ``conv3D`` by its filters, of shape ``WShape``."""
    images, slopes = (T.as_tensor_variable(v).dimshuffle(0, 4, 1, 2, 3) for v in (V, dCdH))
    shape = [None, None, *[WShape[k] for k in (1, 2, 3)]]
    found = _nnet.conv3d_grad_wrt_weights(images, slopes, shape, subsample=tuple(d), filter_flip=False)
    return found.dimshuffle(0, 2, 3, 4, 1)


def conv3d_fft(input: Any, filters: Any, *args: Any, **ignored: Any) -> Variable:
    """``T.nnet.conv3d``."""
    return _nnet.conv3d(input, filters)


class Convolution:
    """An op of convolution with its settings, as in ``AbstractConv2d(subsample=(2, 2))(images, filters)``."""

    ndim = 2
    function = "conv2d"

    def __init__(
        self,
        imshp: Any = None,
        kshp: Any = None,
        border_mode: Any = "valid",
        subsample: Any = None,
        filter_flip: bool = True,
        filter_dilation: Any = None,
        num_groups: int = 1,
        unshared: bool = False,
    ) -> None:
        self.imshp, self.kshp = imshp, kshp
        self.settings: dict[str, Any] = {
            "border_mode": border_mode,
            "subsample": subsample or (1,) * self.ndim,
            "filter_flip": filter_flip,
            "filter_dilation": filter_dilation or (1,) * self.ndim,
        }
        if num_groups != 1:
            self.settings["num_groups"] = num_groups
        if unshared:
            self.settings["unshared"] = True

    def __call__(self, *operands: Any) -> Variable:
        return getattr(T.nnet, self.function)(
            *operands, input_shape=self.imshp, filter_shape=self.kshp, **self.settings
        )

    def make_node(self, *operands: Any) -> Any:
        """The application of the op."""
        return self(*operands).owner

    def _shape(self, declared: Sequence[Any] | None, spatial: Any) -> list[Any]:
        count = 4 if self.settings.get("unshared") and self.function.endswith("weights") else 2
        lead = [None] * count if declared is None else list(declared[:count])
        return [*lead, *[spatial[k] for k in range(self.ndim)]]


class AbstractConv2d(Convolution):
    """``T.nnet.conv2d`` as an op."""


class AbstractConv2d_gradInputs(Convolution):  # noqa: N801 - Theano's name
    """The gradient of ``T.nnet.conv2d`` by its images: ``op(filters, output_gradient, (rows, columns))``."""

    function = "conv2d_grad_wrt_inputs"

    def __call__(self, *operands: Any) -> Variable:
        filters, output, spatial = operands
        shape = self._shape(self.imshp, spatial)
        return getattr(T.nnet, self.function)(output, filters, shape, self.kshp, **self.settings)


class AbstractConv2d_gradWeights(Convolution):  # noqa: N801
    """The gradient of ``T.nnet.conv2d`` by its filters: ``op(images, output_gradient, (rows, columns))``."""

    function = "conv2d_grad_wrt_weights"

    def __call__(self, *operands: Any) -> Variable:
        images, output, spatial = operands
        shape = self._shape(self.kshp, spatial)
        return getattr(T.nnet, self.function)(images, output, shape, self.imshp, **self.settings)


class AbstractConv3d(Convolution):
    """``T.nnet.conv3d`` as an op."""

    ndim = 3
    function = "conv3d"


class AbstractConv3d_gradInputs(AbstractConv2d_gradInputs):  # noqa: N801
    """The gradient of ``T.nnet.conv3d`` by its images."""

    ndim = 3
    function = "conv3d_grad_wrt_inputs"


class AbstractConv3d_gradWeights(AbstractConv2d_gradWeights):  # noqa: N801
    """The gradient of ``T.nnet.conv3d`` by its filters."""

    ndim = 3
    function = "conv3d_grad_wrt_weights"


class ConvOp(AbstractConv2d):
    """``theano.tensor.nnet.conv.ConvOp``: ``T.nnet.conv2d`` as an op, for strides ``dx`` and ``dy``."""

    def __init__(
        self, imshp: Any = None, kshp: Any = None, nkern: Any = None, bsize: Any = None, dx: int = 1, dy: int = 1,
        output_mode: str = "valid", **ignored: Any,
    ) -> None:  # fmt: skip
        super().__init__(border_mode=output_mode, subsample=(dx, dy))
