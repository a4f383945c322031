"""Gradients of class scores by pixels, with the rectifiers' own gradient or that of guided backpropagation."""

from __future__ import annotations

from typing import Any

import numpy as np

import symc
import symc.tensor as T

from ..files import Network
from .scores import Scores

__all__ = ["guided_backprop", "saliency"]


def saliency(
    network: Network, pictures: Any, target: Any = None, *, signed: bool = False, batch_size: int = 16
) -> np.ndarray:
    r"""Compute the gradient of a class score by the pixels ([1]_ of the module).

    Parameters
    ----------
    network : Layer, list of Layer, or dict of str to Layer
        The network; of several output layers, the last.
    pictures : array_like
        ``(n, channels, rows, columns)`` inputs of the network, or a single one without the first axis. For a
        :class:`lasagne_like.models.Model`, whatever its ``preprocess`` takes as well: files, PIL images, uint8 arrays.
    target : int, str, or sequence of these, optional
        The class, by its index or, for a model with ``classes``, its name: one for all pictures or one per picture.
        By default the class that the network predicts.
    signed : bool
        Return the gradient itself instead of the largest absolute value over the channels.
    batch_size : int
        The number of pictures per batch.

    Returns
    -------
    numpy.ndarray
        ``(n, rows, columns)``, non-negative; with `signed`, the shape of the inputs.

    Raises
    ------
    ValueError
        If a class does not exist, or the inputs do not fit the network.
    """
    gradient = Scores(network).gradients(pictures, target, batch_size)
    return gradient if signed else np.abs(gradient).max(axis=1)


def guided_backprop(network: Network, pictures: Any, target: Any = None, *, batch_size: int = 16) -> np.ndarray:
    """Compute the gradient of a class score, where rectifiers also stop negative gradients ([2]_ of the module).

    Every rectifier of the expression counts, wherever it comes from: those of layers, and ``T.maximum(x, 0)`` or
    ``T.nnet.relu(x)`` in your own layers. The network is not changed.

    Parameters
    ----------
    network, pictures, target, batch_size
        As for :func:`saliency`.

    Returns
    -------
    numpy.ndarray
        The shape of the inputs. Scale it to [0, 1] to show it as a picture.

    Raises
    ------
    ValueError
        As for :func:`saliency`, or if the network has no rectifier.
    """
    return Scores(network, rebuild=_guided).gradients(pictures, target, batch_size)


def _guided(output: Any, pictures: Any) -> Any:
    """Rebuild an expression with rectifiers that let no negative gradient pass."""
    made: dict[Any, Any] = {pictures: pictures}
    rectifiers = 0
    pending = [output]
    while pending:
        variable = pending[-1]
        node = variable.owner
        if variable in made or node is None:
            made.setdefault(variable, variable)
            pending.pop()
            continue
        missing = [v for v in node.inputs if v not in made]
        if missing:
            pending.extend(missing)
            continue
        pending.pop()
        made.update(zip(node.outputs, node.op.all(*[made[v] for v in node.inputs])))
        if _is_rectifier(node):
            made[variable] = T.grad_clip(made[variable], 0, np.inf)
            rectifiers += 1
    if not rectifiers:
        raise ValueError("guided_backprop: the network has no rectifier, so that it equals the gradient: use saliency")
    return made[output]


_X: Any = T.tensor("float32", shape=())
_EXAMPLES: tuple[Any, ...] = (T.nnet.relu(_X), T.maximum(_X, _X))
_RECTIFIER, _MAXIMUM = (example.owner.op for example in _EXAMPLES)


def _is_rectifier(node: Any) -> bool:
    return node.op == _RECTIFIER or node.op == _MAXIMUM and any(_is_zero(v) for v in node.inputs)


def _is_zero(variable: Any) -> bool:
    """Whether a variable is the constant 0, possibly broadcast or converted."""
    while variable.owner is not None and variable.owner.op.record.inserted:
        variable = variable.owner.inputs[0]
    return isinstance(variable, symc.Constant) and variable.data.size == 1 and float(variable.data) == 0
