"""Assigns the blocks of another library's file to the layers of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..layers import (
    BaseConvLayer,
    BatchNormLayer,
    DenseLayer,
    DilatedConv2DLayer,
    DropoutLayer,
    FlattenLayer,
    Layer,
    NINLayer,
)
from ..utils import hand_over, shape_of
from .blocks import Block
from .names import Network, all_layers, name_params
from .report import LoadReport, WeightsMismatchError

__all__ = ["assign_blocks"]

_KINDS: tuple[tuple[type[Layer], str], ...] = (
    (BaseConvLayer, "conv"),
    (DenseLayer, "dense"),
    (NINLayer, "dense"),
    (BatchNormLayer, "batch_norm"),
)
_ROLES = {"conv": ("W", "b"), "dense": ("W", "b"), "batch_norm": ("gamma", "beta", "mean", "inv_std")}
#: What a missing role means: nothing is added, and everything is multiplied by one.
_NEUTRAL = {"b": 0.0, "beta": 0.0, "gamma": 1.0}


@dataclass(frozen=True)
class _Target:
    """A layer with weights, and the arrays that it needs: role to shape, in the layout of a block."""

    layer: Any
    kind: str

    def params(self) -> dict[str, Any]:
        """Return the parameters by role; those that are None are left out."""
        found = {role: getattr(self.layer, role) for role in _ROLES.get(self.kind, ())}
        return {role: param for role, param in found.items() if param is not None}

    def signature(self) -> Any:
        """Return the kind and the shape by which blocks are matched."""
        role = "mean" if self.kind == "batch_norm" else "W"
        param = self.params().get(role)
        if param is None:
            return self.kind, None
        shape = shape_of(param)
        return self.kind, (shape[1], shape[0], *shape[2:]) if self._is_dilated() else shape

    def _is_dilated(self) -> bool:
        return isinstance(self.layer, DilatedConv2DLayer)

    def values(self, block: Block) -> dict[str, np.ndarray]:
        """Convert the arrays of a block to the layout of the layer.

        Raises
        ------
        ValueError
            If the block is of another kind, or has an array that the layer has no parameter for and that changes its
            output.
        """
        if block.kind != self.kind:
            raise ValueError(f"{block.name} is of the kind {block.kind!r}, but {self.layer!r} of {self.kind!r}")
        found = dict(block.arrays)
        if self.kind == "batch_norm" and "var" in found:
            variance = found.pop("var").astype(np.float64)
            found["inv_std"] = 1.0 / np.sqrt(variance + self.layer.epsilon)
        wanted = self.params()
        for role in set(found) - set(wanted):
            if not np.all(found.pop(role) == _NEUTRAL.get(role, np.nan)):
                raise ValueError(f"{block.name} has {role}, but {self.layer!r} has no such parameter")
        for role in set(wanted) - set(found):
            if role in _NEUTRAL:
                found[role] = np.full(shape_of(wanted[role]), _NEUTRAL[role])
        if self.kind == "conv":
            found["W"] = self._filters(self._depthwise(found["W"]) if block.channels_last else found["W"])
        elif self.kind == "dense" and block.channels_last:
            found["W"] = self._channels_first(found["W"])
        return found

    def _filters(self, weights: np.ndarray) -> np.ndarray:
        if self._is_dilated():
            weights = weights.swapaxes(0, 1)
        return np.flip(weights, tuple(range(2, weights.ndim))) if self.layer.flip_filters else weights

    def _depthwise(self, weights: np.ndarray) -> np.ndarray:
        """Bring depthwise filters, which Keras stores as ``(multiplier, channels, ...)``, to one channel per group."""
        groups = getattr(self.layer, "num_groups", 1)
        if groups == 1 or weights.shape[1] != groups or weights.shape[0] * groups != self.layer.num_filters:
            return weights
        return weights.swapaxes(0, 1).reshape(-1, 1, *weights.shape[2:])

    def _channels_first(self, weights: np.ndarray) -> np.ndarray:
        """Reorder the inputs of a dense layer from (rows, columns, channels) to (channels, rows, columns)."""
        below, shape = self.layer.input_layer, self.layer.input_shape
        while isinstance(below, FlattenLayer | DropoutLayer):
            below, shape = below.input_layer, below.input_shape
        if len(shape) != 4 or None in shape[1:]:
            return weights
        channels, rows, columns = shape[1:]
        return weights.reshape(rows, columns, channels, -1).transpose(2, 0, 1, 3).reshape(weights.shape)


def assign_blocks(
    blocks: Sequence[Block],
    network: Network,
    *,
    strict: bool = True,
    source: str = "the file",
    skip: Sequence[Layer] = (),
) -> LoadReport:
    """Set the parameters of a network to another library's weights.

    If the names of all layers with weights are names of blocks, these are used. Otherwise blocks are assigned in
    order, if the kinds and shapes agree; otherwise in order among the layers and the blocks of one kind and shape.

    Parameters
    ----------
    blocks : sequence of Block
        The weights, in the order of the file.
    network : Layer, list of Layer, or dict of str to Layer
        The network.
    strict : bool
        Whether all layers of the network and all blocks of the file must match; otherwise the others are reported.
    source : str
        The origin of the weights, for the error message.
    skip : sequence of Layer
        Layers that keep their values.

    Returns
    -------
    LoadReport
        What was loaded, by the names of the parameters of the network, and what was not; blocks by their own names.

    Raises
    ------
    WeightsMismatchError
        If `strict` is True and file and network do not match; the network is not changed.

    Notes
    -----
    The running averages of a batch normalisation layer are ``1 / sqrt(variance + epsilon)`` with the epsilon of the
    layer: it must be that of the other library's layer.
    """
    targets = [target for layer in all_layers(network) if layer not in skip for target in _target(layer)]
    pairs = _paired(targets, blocks, network)
    names = {param: name for name, param in name_params(network).items()}
    report = LoadReport()
    new: dict[Any, np.ndarray] = {}
    for target in targets:
        mine = {param: names[param] for param in target.layer.get_params()}
        block = pairs.get(target.layer)
        if block is None:
            report.missing += list(mine.values())
            continue
        try:
            values = target.values(block)
        except ValueError as error:
            report.extra.append(str(error))
            continue
        _collect(target, values, mine, new, report)
    used = {id(block) for block in pairs.values()}
    report.extra += [block.name for block in blocks if id(block) not in used]
    if strict and not report.matches:
        report.loaded = []
        raise WeightsMismatchError(f"{source} does not match the network; nothing was loaded.\n{report}", report)
    for param, value in new.items():
        hand_over(param, _contiguous(value))
    return report


def _contiguous(array: np.ndarray, block: int = 128) -> np.ndarray:
    """Return the array in C order; a transposed matrix is copied in blocks, which is several times faster."""
    if array.ndim != 2 or array.flags.c_contiguous or min(array.shape) < block:
        return np.ascontiguousarray(array)
    result = np.empty(array.shape, array.dtype)
    for row in range(0, array.shape[0], block):
        for column in range(0, array.shape[1], block):
            part = slice(row, row + block), slice(column, column + block)
            result[part] = array[part]
    return result


def _target(layer: Layer) -> list[_Target]:
    if not layer.params:
        return []
    return [_Target(layer, next((kind for cls, kind in _KINDS if isinstance(layer, cls)), "other"))]


def _collect(
    target: _Target, values: Mapping[str, np.ndarray], names: Mapping[Any, str], new: dict, report: LoadReport
) -> None:
    for role, param in target.params().items():
        name, value = names[param], values.get(role)
        if value is None:
            report.missing.append(name)
        elif value.shape != shape_of(param):
            report.misshaped.append((name, shape_of(param), value.shape))
        elif value.dtype.kind not in "fiu":
            report.mistyped.append((name, str(param.dtype), str(value.dtype)))
        else:
            new[param] = value
            report.loaded.append(name)


def _signature(block: Block) -> Any:
    array = block.arrays.get("mean" if block.kind == "batch_norm" else "W")
    return block.kind, None if array is None else array.shape


def _paired(targets: Sequence[_Target], blocks: Sequence[Block], network: Network) -> dict[Layer, Block]:
    keys = {layer: key for key, layer in network.items()} if isinstance(network, Mapping) else {}
    by_name = {block.name: block for block in blocks}
    named = [(target.layer, by_name.get(keys.get(target.layer) or target.layer.name or "")) for target in targets]
    if all(block is not None for _, block in named):
        return {layer: block for layer, block in named if block is not None}
    same = [target.signature() == _signature(block) for target, block in zip(targets, blocks)]
    # The layers may be the first of the file: a network without the classifier.
    if all(same) and len(targets) <= len(blocks):
        return {target.layer: block for target, block in zip(targets, blocks)}
    pairs: dict[Layer, Block] = {}
    if len(targets) == len(blocks) and [t.kind for t in targets] == [b.kind for b in blocks]:
        return {target.layer: block for target, block in zip(targets, blocks)}  # the report lists what differs
    for signature in dict.fromkeys(target.signature() for target in targets):
        ours = [target for target in targets if target.signature() == signature]
        theirs = [block for block in blocks if _signature(block) == signature]
        if len(ours) == len(theirs):
            pairs |= {target.layer: block for target, block in zip(ours, theirs)}
    return pairs
