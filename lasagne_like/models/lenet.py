"""LeNet-5.

References
----------
.. [1] Yann LeCun, Leon Bottou, Yoshua Bengio and Patrick Haffner (1998): Gradient-based learning applied to document
       recognition. Proceedings of the IEEE.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from ..layers import Conv2DLayer, DenseLayer, Pool2DLayer
from ..naming import names_arguments
from ..network import Model
from ..nonlinearities import tanh
from .stack import Stack, checked_classes_and_shape
from .weights import load_into

__all__ = ["lenet5"]


@names_arguments
def lenet5(
    weights: str | os.PathLike | None = None,
    *,
    input_shape: Sequence[int | None] = (1, 28, 28),
    include_top: bool = True,
    num_classes: int | None = None,
    nonlinearity: Callable = tanh,
    pool: str = "average",
    input_var: Any = None,
) -> Model:
    """Build LeNet-5 [1]_ for small pictures: two convolutions, three dense layers; 61,706 parameters for MNIST.

    Parameters
    ----------
    weights : path or None
        A file of weights of this network. None for random values.
    input_shape : tuple of int
        ``(channels, rows, columns)`` of a picture. The first convolution is padded so that 28 x 28 pixels give the maps
        of the paper, which has 32 x 32.
    include_top : bool
        Whether to include the dense layers. Otherwise the output is ``pool2``.
    num_classes : int, optional
        The number of classes, 10 by default.
    nonlinearity : callable
        Of all layers but the last; ``rectify`` with ``pool="max"`` is the common modern variant.
    pool : 'average' or 'max'
        How 2 x 2 pixels are combined.
    input_var : Variable, optional
        The input, ``(n,) + input_shape``.

    Returns
    -------
    Model
        ``input``, ``conv1``, ``pool1``, ``conv2``, ``pool2``, ``fc3``, ``fc4``, ``fc5``, ``prob``.

    Notes
    -----
    Unlike in the paper, every map of the second convolution sees all maps of the first, pooling has no parameters, and
    the output is a softmax.
    """
    units = checked_classes_and_shape("lenet5", weights, input_shape, num_classes, include_top, default=10)
    mode = {"average": "average_exc_pad", "max": "max"}.get(pool)
    if mode is None:
        raise ValueError(f"lenet5: pool={pool!r} must be 'average' or 'max'")
    net = Stack("lenet5", (None, *input_shape), input_var)
    correlation = {"flip_filters": False, "nonlinearity": nonlinearity}
    net.add("conv1", Conv2DLayer, 6, 5, pad=2, **correlation)
    net.add("pool1", Pool2DLayer, 2, mode=mode)
    net.add("conv2", Conv2DLayer, 16, 5, **correlation)
    net.add("pool2", Pool2DLayer, 2, mode=mode)
    if include_top:
        net.add("fc3", DenseLayer, 120, nonlinearity=nonlinearity)
        net.add("fc4", DenseLayer, 84, nonlinearity=nonlinearity)
        net.classifier("fc5", units)

    def rebuild(shape: Sequence[int], classes: int) -> Model:
        options: dict[str, Any] = {"nonlinearity": nonlinearity, "pool": pool, "num_classes": classes or None}
        return lenet5(input_shape=shape, include_top=classes > 0, **options)

    return load_into(net.layers, weights, "fc5", rebuild)
