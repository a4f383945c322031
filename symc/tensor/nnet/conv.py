"""Convolution of images: one linear map, its two adjoints, and Theano's functions over them.

The three primitives share one geometry (``_Geometry``). Each one's gradients are the two others, so derivatives of any
order exist. Where an adjoint must know the shape of what it produces, it takes a *template* of which only the shape is
read; ``settle`` puts dims in the template's place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from symc import dims
from symc.dtypes import floating, is_float
from symc.errors import DTypeError, ShapeError, located
from symc.graph import Apply, Constant, Variable
from symc.guards import require_equal
from symc.op import Arg, Case, Op, Routine, record
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor, shape_i, specify_shape, unify_dtypes
from symc.tensor.creation import alloc
from symc.types import TensorType

__all__ = ["conv2d", "conv2d_grad_wrt_inputs", "conv2d_grad_wrt_weights", "conv2d_transpose", "separable_conv2d"]

Pair = tuple[int, int]


class _Geometry(NamedTuple):
    """The dims of a convolution: images ``(n, c, h, w)``, filters ``(k, c / groups, r, s)``, maps ``(n, k, oh, ow)``."""

    images: tuple[dims.Dim, ...]
    filters: tuple[dims.Dim, ...]
    maps: tuple[dims.Dim, ...]
    pads: tuple[tuple[dims.Dim, dims.Dim], ...]


def _padding(op: Op, axis: int, extent: dims.Dim) -> tuple[dims.Dim, dims.Dim]:
    """Zeros before and after an image's axis (0: rows, 1: columns) for a filter that covers ``extent`` pixels."""
    pad = op["pad"]
    if pad == "full":
        return dims.sub(extent, 1), dims.sub(extent, 1)
    if pad == "half":
        return dims.floordiv(extent, 2), dims.floordiv(extent, 2)
    return pad[axis]


def _geometry(op: Op, images: Sequence[dims.Dim], filters: Sequence[dims.Dim], operands: Sequence[Variable]) -> _Geometry:
    """The shape of the maps, and the checks that images and filters fit each other."""
    groups = op["groups"]
    for what, count in (("channels of the images", images[1]), ("filters", filters[0])):
        if type(count) is int and count % groups:
            raise ShapeError(located(f"{op.name}: {count} {what} cannot be divided into {groups} groups", operands))
    require_equal(images[1], dims.mul(filters[1], groups), lambda: located(
        f"{op.name}: the images have {dims.show(images[1])} channels, the filters expect {dims.show(dims.mul(filters[1], groups))} "
        f"({dims.show(filters[1])} in each of {groups} groups)", operands,
        "filters have the shape (number of filters, channels / num_groups, rows, columns)"))  # fmt: skip
    pads, out = [], []
    for axis, word in enumerate(("rows", "columns")):
        length, size = images[2 + axis], filters[2 + axis]
        extent = dims.add(dims.mul(dims.sub(size, 1), op["dilation"][axis]), 1)
        before, after = _padding(op, axis, extent)
        padded = dims.add(length, dims.add(before, after))
        count = dims.add(dims.floordiv(dims.sub(padded, extent), op["stride"][axis]), 1)
        require_equal(dims.minimum(count, 1), 1, lambda word=word, padded=padded, extent=extent: located(  # type: ignore[misc]
            f"{op.name}: a filter covers {dims.show(extent)} {word}, but the padded images have only {dims.show(padded)}", operands,
            "pad more (border_mode), or use smaller filters"))  # fmt: skip
        pads.append((before, after))
        out.append(count)
    return _Geometry(tuple(images), tuple(filters), (images[0], filters[0], *out), tuple(pads))


def _check_maps(op: Op, found: Sequence[dims.Dim], wanted: Sequence[dims.Dim], operands: Sequence[Variable]) -> None:
    for have, want, word in zip(found, wanted, ("batch", "filters", "rows", "columns")):
        require_equal(have, want, lambda have=have, want=want, word=word: located(  # type: ignore[misc]
            f"{op.name}: the maps have {dims.show(have)} as their number of {word}; images and filters of these shapes make "
            f"{dims.show(want)}", operands, "check the given shape, border_mode, subsample and filter_dilation"))  # fmt: skip


def _check_operands(op: Op, operands: Sequence[Variable]) -> None:
    for v in operands:
        if v.ndim != 4:
            raise ShapeError(located(
                f"{op.name}: every operand must have 4 axes, got {v.ndim}", operands,
                "images are (batch, channels, rows, columns), filters (filters, channels, rows, columns)"))  # fmt: skip
        if not is_float(v.dtype) or v.dtype != operands[0].dtype:
            raise DTypeError(located(f"{op.name}: operands must have one float dtype", operands, "cast one of them"))


# --- the three primitives ---------------------------------------------------------------------------------------------


def _forward_geometry(op: Op, inputs: Sequence[Variable]) -> _Geometry:
    _check_operands(op, inputs)
    return _geometry(op, inputs[0].type.shape, inputs[1].type.shape, inputs)


def _adjoint_geometry(op: Op, inputs: Sequence[Variable]) -> _Geometry:
    """For both adjoints: the shape of what they produce is the template's, or the attribute ``shape``."""
    _check_operands(op, inputs)
    made = op["shape"] if op["shape"] is not None else inputs[2].type.shape
    if op.record is _backward_data:
        found = _geometry(op, made, inputs[1].type.shape, inputs)
        _check_maps(op, inputs[0].type.shape, found.maps, inputs)
    else:
        found = _geometry(op, inputs[0].type.shape, made, inputs)
        _check_maps(op, inputs[1].type.shape, found.maps, inputs)
    return found


def _parameters(geometry: Callable[[Op, Sequence[Variable]], _Geometry]) -> Callable[[Apply], list[dims.Dim]]:
    def parameters(node: Apply) -> list[dims.Dim]:
        op = node.op
        g = geometry(op, node.inputs)
        return [
            *g.images, g.filters[0], *g.filters[2:], *g.maps[2:], *op["stride"], g.pads[0][0], g.pads[1][0], *op["dilation"],
            op["groups"], int(op["flip"]),
        ]  # fmt: skip

    return parameters


def _other(op: Op, kind: Any, *inputs: Variable, template: Variable | None = None) -> Variable:
    """Another of the three primitives with the attributes of ``op``."""
    attrs = {k: v for k, v in op.attrs.items() if k != "shape"}
    if template is None:
        return Op(kind, **attrs)(*inputs)
    return Op(kind, **attrs, shape=None)(*inputs, template)


def _settle(op: Op, inputs: Sequence[Variable], types: Sequence[TensorType]) -> Variable:
    return Op(op.record, **{**op.attrs, "shape": types[0].shape})(*inputs[:2])


def _plain_pads(op: Op, filters: Sequence[int]) -> list[Pair]:
    return [_padding(op, k, (filters[2 + k] - 1) * op["dilation"][k] + 1) for k in (0, 1)]


def _patches(op: Op, x: np.ndarray, filters: Sequence[int]) -> np.ndarray:
    """``(n, groups, c / groups, oh, ow, r, s)``: the pixels under the filter at every place, as a view of the padded images."""
    (dh, dw), (sh, sw), groups = op["dilation"], op["stride"], op["groups"]
    padded = np.pad(x, [(0, 0), (0, 0), *_plain_pads(op, filters)])
    extent = [(filters[2] - 1) * dh + 1, (filters[3] - 1) * dw + 1]
    windows = np.lib.stride_tricks.sliding_window_view(padded, extent, (2, 3), writeable=True)[:, :, ::sh, ::sw, ::dh, ::dw]
    return windows.reshape(x.shape[0], groups, x.shape[1] // groups, *windows.shape[2:])


def _grouped_filters(op: Op, w: np.ndarray) -> np.ndarray:
    """``(groups, k / groups, c / groups, r, s)``, as the sum over a patch wants them."""
    w = w[:, :, ::-1, ::-1] if op["flip"] else w
    return w.reshape(op["groups"], -1, *w.shape[1:])


def _forward_numpy(op: Op, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    patches = _patches(op, x.astype("float64"), w.shape)
    y = np.einsum("ngcyxrs,gkcrs->ngkyx", patches, _grouped_filters(op, w.astype("float64")))
    return y.reshape(len(x), len(w), *y.shape[3:]).astype(x.dtype)


def _data_numpy(op: Op, g: np.ndarray, w: np.ndarray, *template: np.ndarray) -> np.ndarray:
    n, c, h, width = template[0].shape if template else op["shape"]
    (top, bottom), (left, right) = _plain_pads(op, w.shape)
    padded = np.zeros((n, c, h + top + bottom, width + left + right))
    grouped = _grouped_filters(op, w.astype("float64"))
    maps = g.astype("float64").reshape(n, op["groups"], -1, *g.shape[2:])
    (sh, sw), (dh, dw) = op["stride"], op["dilation"]
    for y, x in np.ndindex(*g.shape[2:]):
        rows, cols = y * sh + dh * np.arange(w.shape[2]), x * sw + dw * np.arange(w.shape[3])
        spread = np.einsum("ngk,gkcrs->ngcrs", maps[:, :, :, y, x], grouped)
        padded[:, :, rows[:, None], cols] += spread.reshape(n, c, *w.shape[2:])
    return padded[:, :, top : top + h, left : left + width].astype(g.dtype)


def _weights_numpy(op: Op, x: np.ndarray, g: np.ndarray, *template: np.ndarray) -> np.ndarray:
    shape = template[0].shape if template else op["shape"]
    maps = g.astype("float64").reshape(len(g), op["groups"], -1, *g.shape[2:])
    dw = np.einsum("ngcyxrs,ngkyx->gkcrs", _patches(op, x.astype("float64"), shape), maps).reshape(shape)
    return (dw[:, :, ::-1, ::-1] if op["flip"] else dw).astype(x.dtype)


def _cases(build: Callable[..., Variable]) -> list[Case]:
    """One case for each geometry: images, filters, and what ``conv2d`` takes besides."""
    geometries: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
        ((2, 3, 6, 5), (4, 3, 3, 2), {}),
        ((2, 3, 5, 6), (2, 3, 3, 3), {"border_mode": "half", "filter_flip": False}),
        ((1, 2, 4, 5), (3, 2, 2, 3), {"border_mode": "full"}),
        ((2, 2, 8, 7), (3, 2, 3, 2), {"subsample": (3, 2), "border_mode": (2, 1)}),
        ((1, 2, 9, 8), (2, 2, 3, 2), {"filter_dilation": (2, 3), "border_mode": 1, "filter_flip": False}),
        ((2, 4, 5, 6), (6, 2, 2, 3), {"num_groups": 2, "subsample": (1, 2)}),
        ((1, 3, 4, 5), (6, 1, 3, 3), {"num_groups": 3, "border_mode": "half"}),
        ((1, 2, 5, 6), (3, 2, 3, 3), {"border_mode": ((0, 2), (1, 0)), "subsample": (2, 2)}),
        ((2, 5, 4, 3), (4, 5, 1, 1), {"subsample": (2, 1)}),
        ((1, 1, 1, 7), (2, 1, 1, 3), {"border_mode": (0, 1)}),
    ]
    return [Case(lambda *v, options=options: build(*v, options), _arguments(build, x, w, options)) for x, w, options in geometries]


def _arguments(build: Callable[..., Variable], x: tuple[int, ...], w: tuple[int, ...], options: dict[str, Any]) -> tuple[Arg, ...]:
    images, filters = Arg(x, low=-1, high=1), Arg(w, low=-1, high=1)
    if build is _build_forward:
        return images, filters
    attrs = _attributes("conv2d", **options)
    shape = _geometry(Op(_conv2d, **attrs), x, w, ()).maps
    maps = Arg(tuple(int(d) for d in shape), low=-1, high=1)
    return (maps, filters, images) if build is _build_data else (images, maps, filters)


def _build_forward(x: Variable, w: Variable, options: dict[str, Any]) -> Variable:
    return conv2d(x, w, **options)


def _build_data(g: Variable, w: Variable, x: Variable, options: dict[str, Any]) -> Variable:
    return conv2d_grad_wrt_inputs(g, w, [shape_i(x, k) for k in range(4)], **options)


def _build_weights(x: Variable, g: Variable, w: Variable, options: dict[str, Any]) -> Variable:
    return conv2d_grad_wrt_weights(x, g, [shape_i(w, k) for k in range(4)], **options)


_conv2d = record(
    "conv2d",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, _forward_geometry(op, inputs).maps),
    numpy=_forward_numpy,
    grad=lambda op, inputs, outputs, gs: [
        _other(op, _backward_data, gs[0], inputs[1], template=inputs[0]),
        _other(op, _backward_weights, inputs[0], gs[0], template=inputs[1]),
    ],
    lower=Routine("conv2d_forward", _parameters(_forward_geometry)),
    cases=lambda: _cases(_build_forward),
)

_backward_data = record(
    "conv2d_backward_data",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, _adjoint_geometry(op, inputs).images),
    numpy=_data_numpy,
    grad=lambda op, inputs, outputs, gs: [
        _other(op, _conv2d, gs[0], inputs[1]),
        _other(op, _backward_weights, gs[0], inputs[0], template=inputs[1]),
        *[None] * (len(inputs) - 2),
    ],
    lower=Routine("conv2d_backward_data", _parameters(_adjoint_geometry)),
    settle=_settle,
    cases=lambda: _cases(_build_data),
)

_backward_weights = record(
    "conv2d_backward_weights",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, _adjoint_geometry(op, inputs).filters),
    numpy=_weights_numpy,
    grad=lambda op, inputs, outputs, gs: [
        _other(op, _backward_data, inputs[1], gs[0], template=inputs[0]),
        _other(op, _conv2d, inputs[0], gs[0]),
        *[None] * (len(inputs) - 2),
    ],
    lower=Routine("conv2d_backward_weights", _parameters(_adjoint_geometry)),
    settle=_settle,
    cases=lambda: _cases(_build_weights),
)


# --- what users write -------------------------------------------------------------------------------------------------


def _whole(value: Any, what: str, name: str, least: int) -> int:
    if isinstance(value, Constant) and value.ndim == 0:
        value = value.data.item()
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{what}: {name} must be made of whole numbers from {least}, got {value!r}")
    return int(value)


def _pair(value: Any, what: str, name: str, least: int) -> Pair:
    entries = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(entries) != 2:
        raise ValueError(f"{what}: {name} must be a whole number or a pair (rows, columns), got {value!r}")
    return _whole(entries[0], what, name, least), _whole(entries[1], what, name, least)


def _border(value: Any, what: str) -> Any:
    """``border_mode`` as ``"full"``, ``"half"`` or ``((top, bottom), (left, right))``."""
    if value in ("full", "half"):
        return value
    if value == "valid":
        return (0, 0), (0, 0)
    if value == "same":
        raise ValueError(f"{what}: border_mode has no 'same'; for odd filters 'half' keeps the size")
    if isinstance(value, str):
        raise ValueError(f"{what}: border_mode must be 'valid', 'full', 'half', a whole number or a pair, got {value!r}")
    entries = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(entries) != 2:
        raise ValueError(f"{what}: border_mode must have an entry for rows and one for columns, got {value!r}")
    rows, columns = (
        _pair(e, what, "border_mode", 0) if isinstance(e, (tuple, list)) else (_whole(e, what, "border_mode", 0),) * 2 for e in entries
    )
    return rows, columns


def _attributes(
    what: str,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1),
    num_groups: int = 1,
    unshared: bool = False,
) -> dict[str, Any]:
    if unshared:
        raise ValueError(f"{what}: unshared=True (other filters at every place) is not offered; give each place its own dot product")
    return {
        "pad": _border(border_mode, what),
        "stride": _pair(subsample, what, "subsample", 1),
        "dilation": _pair(filter_dilation, what, "filter_dilation", 1),
        "groups": _whole(num_groups, what, "num_groups", 1),
        "flip": bool(filter_flip),
    }


def _operands(what: str, a: Any, b: Any) -> tuple[Variable, Variable]:
    a, b = as_tensor(a), as_tensor(b)
    for v in (a, b):
        if v.ndim != 4:
            raise ShapeError(located(
                f"{what}: every operand must have 4 axes, got {v.ndim}", [a, b],
                "images are (batch, channels, rows, columns), filters (filters, channels, rows, columns); add axes with dimshuffle"))  # fmt: skip
    dtype = floating(unify_dtypes([a, b]))
    return ew.cast(a, dtype), ew.cast(b, dtype)


def _declared(x: Variable, shape: Any, what: str, name: str) -> Variable:
    """``x`` with the dims that the user stated; None and symbolic entries leave a dim as it is."""
    if shape is None:
        return x
    entries = [d.data.item() if isinstance(d, Constant) else None if isinstance(d, Variable) else d for d in shape]
    if len(entries) != 4:
        raise ValueError(f"{what}: {name} must have 4 entries (None for what is not known), got {shape!r}")
    return specify_shape(x, entries)


def _template(shape: Any, defaults: Sequence[Any], dtype: str, what: str, name: str) -> Variable:
    """A tensor of which only the shape will be read."""
    entries = [shape[k] for k in range(4)] if isinstance(shape, Variable) else list(shape)
    if len(entries) != 4:
        raise ValueError(f"{what}: {name} must have 4 entries, got {shape!r}")
    full = [default if entry is None else entry for entry, default in zip(entries, defaults)]
    if any(entry is None for entry in full):
        raise ValueError(f"{what}: {name} must state the number of rows and columns, got {shape!r}: several sizes give the same maps")
    return alloc(Constant(np.zeros((), dtype)), *full)


def conv2d(
    input: Any,
    filters: Any,
    input_shape: Any = None,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    filter_flip: bool = True,
    image_shape: Any = None,
    filter_dilation: Any = (1, 1),
    num_groups: int = 1,
    unshared: bool = False,
) -> Variable:
    r"""Convolve images with filters.

    With :math:`d` the dilation, :math:`s` the stride and :math:`p` the zeros put before the first row and column,

    .. math:: y_{n,k,i,j} = \sum_{c,r,t} w_{k,c,r,t} \, x_{n,\, c,\, i s_h + (R - 1 - r) d_h - p_h,\, j s_w + (S - 1 - t) d_w - p_w},

    and with ``filter_flip=False`` the same with :math:`r` and :math:`t` in place of :math:`R - 1 - r` and :math:`S - 1 - t`.

    Parameters
    ----------
    input : tensor_like
        Images, ``(batch, channels, rows, columns)``.
    filters : tensor_like
        ``(filters, channels / num_groups, filter rows, filter columns)``.
    input_shape, filter_shape : sequence of int or None, optional
        What is known of the shapes: checked when the function is called, and used to specialise the code.
    border_mode : {'valid', 'full', 'half'}, int or pair
        Zeros around the images: none; all that a filter can reach (``extent - 1``); ``extent // 2``; or a number, one
        for rows and one for columns, or ``((top, bottom), (left, right))``. ``extent`` is ``(size - 1) * dilation + 1``.
    subsample : int or pair of int
        The stride, (rows, columns).
    filter_flip : bool
        Flip the filters (a convolution), or not (a correlation).
    image_shape : optional
        Old name of ``input_shape``.
    filter_dilation : int or pair of int
        Distance, in pixels, of neighbouring weights.
    num_groups : int
        Channels and filters fall into so many groups, each convolved on its own.
    unshared : bool
        Must be False.

    Returns
    -------
    Variable
        Maps, ``(batch, filters, (rows + pad - extent) // stride + 1, ...)``, in the float dtype where the operands meet.

    Raises
    ------
    ShapeError
        When the operands do not have 4 axes, channels do not match, or a filter is larger than the padded images.
    ValueError
        For an unknown ``border_mode`` or a stride, dilation or padding that is no whole number.

    References
    ----------
    .. [1] Vincent Dumoulin and Francesco Visin (2016): A guide to convolution arithmetic for deep learning. arXiv:1603.07285.

    Examples
    --------
    >>> import symc.tensor as T
    >>> x, w = T.tensor4("x", shape=(None, 3, 32, 32)), T.tensor4("w", shape=(16, 3, 5, 5))
    >>> T.nnet.conv2d(x, w, border_mode="half", subsample=2).static_shape
    (None, 16, 16, 16)
    """
    if image_shape is not None:
        if input_shape is not None:
            raise ValueError("conv2d: image_shape is the old name of input_shape: give one of them")
        input_shape = image_shape
    attrs = _attributes("conv2d", border_mode, subsample, filter_flip, filter_dilation, num_groups, unshared)
    x, w = _operands("conv2d", input, filters)
    return Op(_conv2d, **attrs)(
        _declared(x, input_shape, "conv2d", "input_shape"), _declared(w, filter_shape, "conv2d", "filter_shape")
    )


def conv2d_grad_wrt_inputs(
    output_grad: Any,
    filters: Any,
    input_shape: Any,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1),
    num_groups: int = 1,
    unshared: bool = False,
) -> Variable:
    """The gradient of :func:`conv2d` by its images: the adjoint of the convolution as a map of images.

    Parameters
    ----------
    output_grad : tensor_like
        Gradient of the maps, ``(batch, filters, map rows, map columns)``.
    filters : tensor_like
        ``(filters, channels / num_groups, filter rows, filter columns)``.
    input_shape : sequence of int, integer scalar or None
        The shape of the images; None is allowed for batch and channels, which follow from the operands.
    filter_shape, border_mode, subsample, filter_flip, filter_dilation, num_groups, unshared
        As in :func:`conv2d`.

    Returns
    -------
    Variable
        ``input_shape``.

    Raises
    ------
    ShapeError
        When images of ``input_shape`` would not give maps of the shape of ``output_grad``.
    """
    what = "conv2d_grad_wrt_inputs"
    attrs = _attributes(what, border_mode, subsample, filter_flip, filter_dilation, num_groups, unshared)
    g, w = _operands(what, output_grad, filters)
    w = _declared(w, filter_shape, what, "filter_shape")
    defaults = [shape_i(g, 0), shape_i(w, 1) * attrs["groups"], None, None]
    return Op(_backward_data, **attrs, shape=None)(g, w, _template(input_shape, defaults, g.dtype, what, "input_shape"))


def conv2d_grad_wrt_weights(
    input: Any,
    output_grad: Any,
    filter_shape: Any,
    input_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1),
    num_groups: int = 1,
    unshared: bool = False,
) -> Variable:
    """The gradient of :func:`conv2d` by its filters: the adjoint of the convolution as a map of filters.

    Parameters
    ----------
    input : tensor_like
        Images, ``(batch, channels, rows, columns)``.
    output_grad : tensor_like
        Gradient of the maps, ``(batch, filters, map rows, map columns)``.
    filter_shape : sequence of int, integer scalar or None
        The shape of the filters; None is allowed for the first two entries, which follow from the operands.
    input_shape, border_mode, subsample, filter_flip, filter_dilation, num_groups, unshared
        As in :func:`conv2d`.

    Returns
    -------
    Variable
        ``filter_shape``.

    Raises
    ------
    ShapeError
        When filters of ``filter_shape`` would not give maps of the shape of ``output_grad``.
    """
    what = "conv2d_grad_wrt_weights"
    attrs = _attributes(what, border_mode, subsample, filter_flip, filter_dilation, num_groups, unshared)
    x, g = _operands(what, input, output_grad)
    x = _declared(x, input_shape, what, "input_shape")
    defaults = [shape_i(g, 1), shape_i(x, 1) // attrs["groups"], None, None]
    return Op(_backward_weights, **attrs, shape=None)(x, g, _template(filter_shape, defaults, x.dtype, what, "filter_shape"))


def conv2d_transpose(
    input: Any,
    filters: Any,
    output_shape: Any,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    input_dilation: Any = (1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1),
    num_groups: int = 1,
    unshared: bool = False,
) -> Variable:
    """A transposed ("fractionally strided") convolution: the adjoint of a convolution with stride ``input_dilation``.

    Parameters
    ----------
    input : tensor_like
        ``(batch, input channels, rows, columns)``.
    filters : tensor_like
        ``(input channels, output channels / num_groups, filter rows, filter columns)``: mind the order of the first two.
    output_shape : sequence of int, integer scalar or None
        ``(batch, output channels, output rows, output columns)``; the first two may be None.
    filter_shape, border_mode, filter_flip, filter_dilation, num_groups, unshared
        As in :func:`conv2d`.
    input_dilation : int or pair of int
        How far neighbouring pixels of ``input`` lie apart in the output.

    Returns
    -------
    Variable
        ``output_shape``.

    References
    ----------
    .. [1] Matthew D. Zeiler, Dilip Krishnan, Graham W. Taylor and Rob Fergus (2010): Deconvolutional networks. CVPR.
    """
    return conv2d_grad_wrt_inputs(
        input, filters, output_shape, filter_shape, border_mode, input_dilation, filter_flip, filter_dilation, num_groups, unshared
    )


def separable_conv2d(
    input: Any,
    depthwise_filters: Any,
    pointwise_filters: Any,
    num_channels: int,
    input_shape: Any = None,
    depthwise_filter_shape: Any = None,
    pointwise_filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1),
) -> Variable:
    """A convolution of each channel by itself, then one across channels with filters of one pixel.

    Parameters
    ----------
    input : tensor_like
        Images, ``(batch, channels, rows, columns)``.
    depthwise_filters : tensor_like
        ``(channels * multiplier, 1, filter rows, filter columns)``.
    pointwise_filters : tensor_like
        ``(filters, channels * multiplier, 1, 1)``.
    num_channels : int
        Channels of ``input``.

    Returns
    -------
    Variable
        ``(batch, filters, map rows, map columns)``.

    References
    ----------
    .. [1] François Chollet (2017): Xception: deep learning with depthwise separable convolutions. CVPR.
    """
    depth = conv2d(
        input, depthwise_filters, input_shape, depthwise_filter_shape, border_mode, subsample, filter_flip,
        filter_dilation=filter_dilation, num_groups=num_channels,
    )  # fmt: skip
    return conv2d(depth, pointwise_filters, None, pointwise_filter_shape)
