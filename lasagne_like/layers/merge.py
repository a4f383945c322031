"""Layers with several inputs."""

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import Any

import symc.tensor as T
from symc.graph.argument_faults import explain_faults

from .arrays import takes_arrays
from .axes import chosen_axes
from .base import MergeLayer
from .construction import check_number
from .inference import Shape

__all__ = [
    "ConcatLayer",
    "ElemwiseMergeLayer",
    "ElemwiseSumLayer",
    "autocrop",
    "autocrop_array_shapes",
    "concat",
]


def _croppings(cropping: Sequence | None, ndims: Iterable[int]) -> list:
    ndims = list(ndims)
    if len(set(ndims)) > 1:
        raise ValueError(
            f"Not all inputs are of the same dimensionality. Got {len(ndims)} inputs of dimensionalities {ndims!r}."
        )
    given = list(cropping or ())
    for mode in given:
        if mode not in (None, "lower", "upper", "center"):
            raise ValueError(f"Unknown crop mode {mode!r}; expected None, 'lower', 'upper' or 'center'")
    return (given + [None] * ndims[0])[: ndims[0]]


def autocrop_array_shapes(input_shapes: Sequence[Shape], cropping: Sequence | None) -> list[Shape]:
    """Compute the shapes that result from :func:`autocrop`.

    Parameters
    ----------
    input_shapes : sequence of tuples
        One shape per array; None for unknown sizes.
    cropping : sequence of (None or str), or None
        See :func:`autocrop`.

    Returns
    -------
    list of tuples

    Raises
    ------
    ValueError
        If the numbers of axes differ, or a cropping mode is unknown.
    """
    if cropping is None:
        return list(input_shapes)
    modes = _croppings(cropping, map(len, input_shapes))
    common = [None if None in sizes else min(sizes) for sizes in zip(*input_shapes)]
    return [
        tuple(size if mode is None else least for size, mode, least in zip(shape, modes, common))
        for shape in input_shapes
    ]


def autocrop(inputs: Sequence, cropping: Sequence | None) -> list:
    """Crop several expressions to their smallest common size.

    Parameters
    ----------
    inputs : sequence of expressions
        Expressions with the same number of axes.
    cropping : sequence of (None or str), or None
        One mode per axis; missing modes are None. None instead of a sequence disables cropping.

        * None: do not crop the axis.
        * ``'lower'``: keep the elements with the lowest indices.
        * ``'upper'``: keep the elements with the highest indices.
        * ``'center'``: keep the central elements.

    Returns
    -------
    list of expressions

    Raises
    ------
    ValueError
        If the numbers of axes differ, or a cropping mode is unknown.
    """
    if cropping is None:
        return list(inputs)
    modes = _croppings(cropping, (x.ndim for x in inputs))
    cuts: list[list] = [[] for _ in inputs]
    for axis, mode in enumerate(modes):
        known = [x.static_shape[axis] for x in inputs]
        sizes = [x.shape[axis] if size is None else size for x, size in zip(inputs, known)]
        if mode is None or (None not in known and len(set(known)) == 1):
            least = None
        elif None in known:
            least = reduce(T.minimum, sizes)
        else:
            least = min(sizes)
        for cut, size in zip(cuts, sizes):
            cut.append(slice(None) if least is None else _cut(mode, size, least))
    return [x[tuple(cut)] for x, cut in zip(inputs, cuts)]


def _cut(mode: str, size: Any, least: Any) -> slice:
    if mode == "lower":
        return slice(None, least)
    start = size - least if mode == "upper" else (size - least) // 2
    return slice(start, start + least)


def _agreed(inputs: Sequence, free_axis: int | None = None) -> list:
    """Declare sizes that are known for any input for all inputs, except along one axis."""
    ndims = [x.ndim for x in inputs]
    if len(set(ndims)) > 1:
        raise ValueError(f"Mismatch: the inputs have different numbers of dimensions {ndims!r}")
    shapes = [list(x.static_shape) for x in inputs]
    for axis in range(ndims[0]):
        known = {shape[axis] for shape in shapes} - {None}
        if axis == free_axis or not known:
            continue
        if len(known) > 1:
            listed = ", ".join(str(tuple(x.static_shape)) for x in inputs)
            allowed = "" if free_axis is None else " except in the concatenation axis"
            raise ValueError(f"Mismatch: input shapes must be the same{allowed}, got {listed}")
        for shape in shapes:
            shape[axis] = min(known)
    pairs = [(x, tuple(shape)) for x, shape in zip(inputs, shapes)]
    return [x if shape == x.static_shape else T.specify_shape(x, shape) for x, shape in pairs]


class ConcatLayer(MergeLayer):
    """A layer that concatenates its inputs.

    Parameters
    ----------
    incomings : list of (Layer or tuple)
        The layers feeding into this layer, or the expected input shapes, which must be equal except along `axis`.
    axis : int
        The axis along which to concatenate.
    cropping : sequence of (None or str), or None
        How to crop inputs of different sizes, see :func:`autocrop`; `axis` is never cropped.
    **kwargs
        See :class:`Layer`.

    Raises
    ------
    ValueError
        If the input shapes do not match, when the output or its shape is first used.

    Examples
    --------
    >>> from lasagne_like.layers import ConcatLayer, InputLayer
    >>> ConcatLayer([InputLayer((None, 3, 8)), InputLayer((None, 4, 8))]).output_shape
    (None, 7, 8)
    """

    def __init__(self, incomings: Iterable, axis: int = 1, cropping: Sequence | None = None, **kwargs: Any):
        super().__init__(incomings, **kwargs)
        self.axis = axis
        if cropping is not None:
            axes = axis + 1 if axis >= 0 else len(self.input_shapes[0])
            cropping = list(cropping) + [None] * (axes - len(cropping))
            cropping[axis] = None
        self.cropping = cropping

    @takes_arrays
    def get_output_for(self, inputs: Sequence, **kwargs: Any) -> Any:
        inputs = autocrop(inputs, self.cropping)
        (axis,) = chosen_axes(self.axis, inputs[0].ndim, ())
        return T.concatenate(_agreed(inputs, axis), axis=axis)


concat = ConcatLayer


class ElemwiseMergeLayer(MergeLayer):
    """A layer that combines its inputs elementwise.

    Parameters
    ----------
    incomings : list of (Layer or tuple)
        The layers feeding into this layer, or the expected input shapes, which must be equal where sizes are known.
    merge_function : callable
        A function of two expressions, such as ``symc.tensor.mul``; it is applied from left to right.
    cropping : sequence of (None or str), or None
        How to crop inputs of different sizes, see :func:`autocrop`.
    **kwargs
        See :class:`Layer`.

    Raises
    ------
    ValueError
        If the input shapes do not match, when the output or its shape is first used.
    """

    def __init__(self, incomings: Iterable, merge_function: Callable, cropping: Sequence | None = None, **kwargs: Any):
        super().__init__(incomings, **kwargs)
        self.merge_function = merge_function
        self.cropping = cropping

    @takes_arrays
    def get_output_for(self, inputs: Sequence, **kwargs: Any) -> Any:
        return reduce(self.merge_function, _agreed(autocrop(inputs, self.cropping)))


class ElemwiseSumLayer(ElemwiseMergeLayer):
    """A layer that adds its inputs.

    Parameters
    ----------
    incomings : list of (Layer or tuple)
        The layers feeding into this layer, or the expected input shapes, which must be equal where sizes are known.
    coeffs : number, expression or list of these
        The coefficients of the inputs: a single one, or one per input.
    cropping : sequence of (None or str), or None
        How to crop inputs of different sizes, see :func:`autocrop`.
    **kwargs
        See :class:`Layer`.

    Raises
    ------
    ValueError
        If the number of coefficients differs from the number of inputs.

    Examples
    --------
    >>> from lasagne_like.layers import ElemwiseSumLayer, InputLayer
    >>> ElemwiseSumLayer([InputLayer((None, 3)), InputLayer((None, 3))], coeffs=[1, -1]).output_shape
    (None, 3)
    """

    def __init__(self, incomings: Iterable, coeffs: Any = 1, cropping: Sequence | None = None, **kwargs: Any):
        super().__init__(incomings, T.add, cropping=cropping, **kwargs)
        if isinstance(coeffs, list):
            if len(coeffs) != len(self.input_shapes):
                raise ValueError(
                    f"Mismatch: got {len(coeffs)} coeffs for {len(self.input_shapes)} incomings; "
                    "pass a single number or one per input"
                )
            self.coeffs = coeffs
        else:
            self.coeffs = [coeffs] * len(self.input_shapes)
        for coeff in self.coeffs:
            check_number(type(self), "coeffs", coeff)

    @takes_arrays
    def get_output_for(self, inputs: Sequence, **kwargs: Any) -> Any:
        coeffs = [*self.coeffs, *[1] * (len(inputs) - len(self.coeffs))]  # a shape may be asked for more inputs
        plain = [isinstance(coeff, (int, float)) and coeff == 1 for coeff in coeffs]
        inputs = [x if skip else x * coeff for x, coeff, skip in zip(inputs, coeffs, plain)]
        return super().get_output_for(inputs, **kwargs)


explain_faults(globals())
