"""Convolutional layers."""
# Initialisers never change, so they are safe as default arguments.
# ruff: noqa: B008

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import symc.tensor as T

from .. import init, nonlinearities
from ..errors import _NotSupported, _WrongKind
from ..utils import as_tuple, int_types
from .arrays import takes_arrays
from .base import Layer
from .lengths import conv_input_length, conv_output_length

__all__ = [
    "BaseConvLayer",
    "Conv1DLayer",
    "Conv2DLayer",
    "DilatedConv2DLayer",
    "conv_input_length",
    "conv_output_length",
]


class BaseConvLayer(Layer):
    """Base class of convolutional layers, with parameters, biases and nonlinearity.

    Subclasses define :meth:`convolve`.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, ...)`` with `n` spatial axes.
    num_filters : int
        The number of filters (output channels).
    filter_size : int or iterable of int
        The size of the filters along the spatial axes.
    stride : int or iterable of int
        The distance between adjacent outputs along the spatial axes.
    pad : int, iterable of int, 'full', 'same' or 'valid'
        The number of zeros to add at both ends of each spatial axis. ``'valid'`` adds none, ``'full'`` one less than
        the filter size, and ``'same'`` half the filter size, rounded down, which preserves the size at stride 1 and
        requires odd filter sizes. A pair ``(before, after)`` in place of a number pads the ends of an axis differently.
    untie_biases : bool
        Whether to use separate biases for each position, which requires known spatial sizes.
    W : number, array, expression, shared variable or callable
        The weights, see :meth:`get_W_shape`.
    b : number, array, expression, shared variable, callable or None
        The biases, ``(num_filters,)`` or, if untied, ``(num_filters, ...)`` with the spatial sizes of the output. None
        disables them.
    nonlinearity : callable or None
        Applied to the activations. None for a linear layer.
    flip_filters : bool
        Whether to flip the filters (convolution) or not (cross-correlation).
    num_groups : int
        The number of groups of channels that are convolved separately.
    n : int, optional
        The number of spatial axes; by default the number of input axes minus two.
    **kwargs
        See :class:`Layer`.

    Raises
    ------
    ValueError
        If the number of input axes is wrong, if the number of channels is unknown or not divisible by the number of
        groups, or if `pad` is ``'same'`` for an even filter size.
    """

    def __init__(
        self,
        incoming: Any,
        num_filters: int,
        filter_size: Any,
        stride: Any = 1,
        pad: Any = 0,
        untie_biases: bool = False,
        W: Any = init.GlorotUniform(),
        b: Any = init.Constant(0.0),
        nonlinearity: Callable | None = nonlinearities.rectify,
        flip_filters: bool = True,
        num_groups: int = 1,
        n: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(incoming, **kwargs)
        n = len(self.input_shape) - 2 if n is None else n
        if n + 2 != len(self.input_shape):
            raise ValueError(
                f"Tried to create a {n}D convolution layer with input shape {self.input_shape!r}. Expected {n + 2} "
                f"input dimensions (batchsize, channels, {n} spatial dimensions)."
            )
        self.nonlinearity = nonlinearities.resolve(nonlinearity)
        self.n = n
        self.num_filters = num_filters
        self.filter_size = as_tuple(filter_size, n, int_types)
        self.stride = as_tuple(stride, n, int_types)
        self.flip_filters = flip_filters
        self.untie_biases = untie_biases
        self.num_groups = num_groups
        self.pad = _normalised_pad(pad, self.filter_size)
        self._channels_per_group = self._known_channels() // num_groups
        self.W = self.add_param(W, self.get_W_shape(), name="W")
        self.b = None
        if b is not None:
            spatial = self._batch_first(self.output_shape)[2:] if untie_biases else ()
            if None in spatial:
                raise ValueError(
                    f"{type(self).__name__} with untie_biases=True needs known spatial sizes, but the output shape "
                    f"is {self.output_shape!r}; use fixed sizes in the InputLayer or untie_biases=False"
                )
            self.b = self.add_param(b, (num_filters, *spatial), name="b", regularizable=False)

    def _batch_first(self, shape: Any) -> Any:
        """A shape with the axes (batch, channels, ...); old layers have others."""
        return shape

    def _filters(self) -> Any:
        """The weights with the axes (filters, channels, ...)."""
        return self.W

    def _known_channels(self) -> int:
        channels = self._batch_first(self.input_shape)[1]
        if channels is None:
            raise ValueError(
                f"{type(self).__name__} requires a known number of input channels, got input shape {self.input_shape!r}"
            )
        if self.num_groups <= 0:
            raise ValueError(f"num_groups must be positive, got {self.num_groups!r}")
        if self.num_filters % self.num_groups or channels % self.num_groups:
            raise ValueError(
                f"num_groups (here: {self.num_groups}) must evenly divide the number of filters (here: "
                f"{self.num_filters}) and the number of input channels (here: {channels})"
            )
        return channels

    def get_W_shape(self) -> tuple[int, ...]:
        """Compute the shape of the weights.

        Returns
        -------
        tuple of int
            ``(num_filters, channels // num_groups, ...)`` with the filter sizes.
        """
        return (self.num_filters, self._channels_per_group, *self.filter_size)

    @takes_arrays
    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        activation = self.convolve(input, **kwargs)
        if self.b is not None:
            spatial = range(1, self.n + 1) if self.untie_biases else ["x"] * self.n
            activation = activation + self.b.dimshuffle("x", 0, *spatial)
        return self.nonlinearity(activation)

    def convolve(self, input: Any, **kwargs: Any) -> Any:
        """Convolve the input with the weights; subclasses define this method.

        Parameters
        ----------
        input : expression
            ``(batch, channels, ...)``.
        **kwargs
            The keyword arguments of :func:`get_output`.

        Returns
        -------
        expression
            ``(batch, num_filters, ...)``, without biases and nonlinearity.
        """
        raise NotImplementedError(f"{type(self).__name__} must define convolve(self, input, **kwargs)")

    def _border_mode(self) -> Any:
        return "half" if self.pad == "same" else self.pad


def _takes_shapes(convolution: Callable) -> bool:
    """Return whether a function given by the user has parameters for the shapes of images and filters."""
    if convolution is T.nnet.conv2d:
        return False  # the operands' types have all that is known
    names = list(inspect.signature(convolution).parameters)[2:3]
    return bool(names) and names[0] not in ("border_mode", "subsample", "filter_flip")


def _normalised_pad(pad: Any, filter_size: tuple[int, ...]) -> Any:
    if pad == "same":
        if any(size % 2 == 0 for size in filter_size):
            raise _NotSupported(
                f"pad='same' requires odd filter sizes, got filter_size={filter_size!r}; "
                "use an integer pad, or a PadLayer for asymmetric padding"
            )
        return pad
    if pad == "valid":
        return (0,) * len(filter_size)
    if isinstance(pad, str):
        if pad != "full":
            raise _WrongKind(f"Invalid pad: {pad!r}; expected an int, an iterable of int, 'full', 'same' or 'valid'")
        return pad
    if isinstance(pad, Sequence) and any(isinstance(each, Sequence) for each in pad):
        ends = as_tuple(pad, len(filter_size))
        return tuple(as_tuple(each, 2, int_types) for each in ends)
    return as_tuple(pad, len(filter_size), int_types)


class Conv2DLayer(BaseConvLayer):
    """A 2D convolutional layer over images.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, rows, columns)``.
    num_filters : int
        The number of filters (output channels).
    filter_size : int or pair of int
        The size of the filters, ``(rows, columns)``.
    stride : int or pair of int
        The distance between adjacent outputs.
    pad : int, pair of int, 'full', 'same' or 'valid'
        The number of zeros to add around the input, see :class:`BaseConvLayer`.
    untie_biases : bool
        Whether every position has biases of its own.
    W : number, array, expression, shared variable or callable
        The weights, ``(num_filters, channels // num_groups, filter_rows, filter_columns)``.
    b : number, array, expression, shared variable, callable or None
        The biases, ``(num_filters,)`` or, if untied, ``(num_filters, output_rows, output_columns)``.
    nonlinearity : callable or None
        Applied to the activations. None for a linear layer.
    flip_filters : bool
        True for a convolution (the default), False for a cross-correlation, as in most other libraries.
    num_groups : int
        The number of groups of channels that are convolved separately.
    convolution : callable
        The function that convolves, with the interface of ``symc.tensor.nnet.conv2d``.
    **kwargs
        See :class:`Layer`.

    Examples
    --------
    >>> from lasagne_like.layers import Conv2DLayer, InputLayer
    >>> Conv2DLayer(InputLayer((None, 3, 32, 32)), num_filters=16, filter_size=5).output_shape
    (None, 16, 28, 28)
    """

    def __init__(
        self,
        incoming: Any,
        num_filters: int,
        filter_size: Any,
        stride: Any = (1, 1),
        pad: Any = 0,
        untie_biases: bool = False,
        W: Any = init.GlorotUniform(),
        b: Any = init.Constant(0.0),
        nonlinearity: Callable | None = nonlinearities.rectify,
        flip_filters: bool = True,
        convolution: Callable | None = None,
        **kwargs: Any,
    ):
        # Set first: with untied biases, the base constructor infers the output shape from the convolution.
        self.convolution: Callable = T.nnet.conv2d if convolution is None else convolution
        super().__init__(
            incoming,
            num_filters,
            filter_size,
            stride,
            pad,
            untie_biases,
            W,
            b,
            nonlinearity,
            flip_filters,
            n=2,
            **kwargs,
        )

    def convolve(self, input: Any, **kwargs: Any) -> Any:
        options: dict[str, Any] = {"num_groups": self.num_groups} if self.num_groups > 1 else {}
        shapes = (self.input_shape, self.get_W_shape()) if _takes_shapes(self.convolution) else ()
        return self.convolution(
            input,
            self._filters(),
            *shapes,
            border_mode=self._border_mode(),
            subsample=self.stride,
            filter_flip=self.flip_filters,
            **options,
        )


class Conv1DLayer(BaseConvLayer):
    """A 1D convolutional layer over sequences.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, length)``.
    num_filters : int
        The number of filters (output channels).
    filter_size : int or iterable of one int
        The length of the filters.
    stride, pad, untie_biases, b, nonlinearity, flip_filters, num_groups
        See :class:`BaseConvLayer`.
    W : number, array, expression, shared variable or callable
        The weights, ``(num_filters, channels // num_groups, filter_length)``.
    convolution : callable, optional
        The function that convolves, called as ``convolution(input, W, input_shape, W_shape, subsample=, border_mode=,
        filter_flip=)``.
    **kwargs
        See :class:`Layer`.

    Examples
    --------
    >>> from lasagne_like.layers import Conv1DLayer, InputLayer
    >>> Conv1DLayer(InputLayer((None, 3, 32)), num_filters=16, filter_size=5).output_shape
    (None, 16, 28)
    """

    def __init__(
        self,
        incoming: Any,
        num_filters: int,
        filter_size: Any,
        stride: Any = 1,
        pad: Any = 0,
        untie_biases: bool = False,
        W: Any = init.GlorotUniform(),
        b: Any = init.Constant(0.0),
        nonlinearity: Callable | None = nonlinearities.rectify,
        flip_filters: bool = True,
        convolution: Callable | None = None,
        **kwargs: Any,
    ):
        self.convolution = convolution  # first: with untied biases, the base constructor infers the output shape
        super().__init__(
            incoming,
            num_filters,
            filter_size,
            stride,
            pad,
            untie_biases,
            W,
            b,
            nonlinearity,
            flip_filters,
            n=1,
            **kwargs,
        )

    def convolve(self, input: Any, **kwargs: Any) -> Any:
        pad = self._border_mode()
        if self.convolution is not None:
            options = {"num_groups": self.num_groups} if self.num_groups > 1 else {}
            return self.convolution(
                input, self.W, self.input_shape, self.get_W_shape(), subsample=self.stride, border_mode=pad,
                filter_flip=self.flip_filters, **options,
            )  # fmt: skip
        # Treat the sequence as an image with a single row.
        flat = T.nnet.conv2d(
            input.dimshuffle(0, 1, "x", 2),
            self.W.dimshuffle(0, 1, "x", 2),
            border_mode=pad if isinstance(pad, str) else ((0, 0) if isinstance(pad[0], tuple) else 0, *pad),
            subsample=(1, *self.stride),
            filter_flip=self.flip_filters,
            num_groups=self.num_groups,
        )
        return flat.dimshuffle(0, 1, 3)


class DilatedConv2DLayer(BaseConvLayer):
    """A 2D dilated convolutional layer: a large receptive field with few parameters.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, rows, columns)``.
    num_filters : int
        The number of filters (output channels).
    filter_size : int or pair of int
        The number of weights of a filter, ``(rows, columns)``. It covers ``(size - 1) * dilation + 1`` pixels.
    dilation : int or pair of int
        The distance between adjacent weights of a filter, in input pixels.
    pad : int, pair of int, 'full', 'same' or 'valid'
        The number of zeros to add around the input; named modes refer to the number of pixels a filter covers.
    untie_biases, b, nonlinearity
        See :class:`BaseConvLayer`.
    W : number, array, expression, shared variable or callable
        The weights, ``(channels, num_filters, filter_rows, filter_columns)``. The first two axes are swapped compared
        to :class:`Conv2DLayer`.
    flip_filters : bool
        Whether to flip the filters. Unlike for :class:`Conv2DLayer`, the default is False.
    **kwargs
        See :class:`Layer`.

    References
    ----------
    .. [1] Fisher Yu and Vladlen Koltun (2016): Multi-scale context aggregation by dilated convolutions. International
           Conference on Learning Representations. arXiv:1511.07122.

    Examples
    --------
    >>> from lasagne_like.layers import DilatedConv2DLayer, InputLayer
    >>> DilatedConv2DLayer(InputLayer((None, 3, 32, 32)), num_filters=16, filter_size=3, dilation=4).output_shape
    (None, 16, 24, 24)
    """

    def __init__(
        self,
        incoming: Any,
        num_filters: int,
        filter_size: Any,
        dilation: Any = (1, 1),
        pad: Any = 0,
        untie_biases: bool = False,
        W: Any = init.GlorotUniform(),
        b: Any = init.Constant(0.0),
        nonlinearity: Callable | None = nonlinearities.rectify,
        flip_filters: bool = False,
        **kwargs: Any,
    ):
        self.dilation = as_tuple(dilation, 2, int_types)
        super().__init__(
            incoming, num_filters, filter_size, 1, pad, untie_biases, W, b, nonlinearity, flip_filters, n=2, **kwargs
        )

    def get_W_shape(self) -> tuple[int, ...]:
        """Compute the shape of the weights.

        Returns
        -------
        tuple of int
            ``(channels, num_filters, filter_rows, filter_columns)``.
        """
        return (self._channels_per_group, self.num_filters, *self.filter_size)

    def convolve(self, input: Any, **kwargs: Any) -> Any:
        return T.nnet.conv2d(
            input,
            self.W.dimshuffle(1, 0, 2, 3),
            border_mode=self._border_mode(),
            filter_flip=self.flip_filters,
            filter_dilation=self.dilation,
            num_groups=self.num_groups,
        )
