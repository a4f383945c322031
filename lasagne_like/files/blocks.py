"""Weights of other libraries as a list of blocks, one per layer, with arrays in the layout of this library."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["Block", "blocks_of_torch"]


@dataclass
class Block:
    """The arrays of a layer in a file of another library.

    Attributes
    ----------
    name : str
        The name of the layer in the file.
    kind : 'conv', 'dense', 'batch_norm' or 'other'
        What the layer computes.
    arrays : dict of str to numpy.ndarray
        ``W`` of a convolution ``(filters, channels per group, ...)`` for correlation; of a dense layer ``(inputs,
        units)``; ``b``; ``gamma``, ``beta``, ``mean`` and ``var`` of a batch normalisation. Others under their names.
    channels_last : bool
        Whether the inputs of a dense layer after a flattened picture are in the order (row, column, channel), and the
        filters of a depthwise convolution may be ``(multiplier, channels, ...)``.
    """

    name: str
    kind: str
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    channels_last: bool = False

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """dict of str to tuple : The shapes of the arrays."""
        return {role: array.shape for role, array in self.arrays.items()}


_NORMALISATION = {"weight": "gamma", "bias": "beta", "running_mean": "mean", "running_var": "var"}


def blocks_of_torch(values: Mapping[str, Any]) -> list[Block]:
    """Group the entries of a PyTorch state dict: ``features.0.weight`` and ``features.0.bias`` are one block."""
    groups: OrderedDict[str, dict[str, np.ndarray]] = OrderedDict()
    for key, value in values.items():
        prefix, _, short = key.rpartition(".")
        if short != "num_batches_tracked":
            groups.setdefault(prefix, {})[short] = value
    return [_torch_block(name, group) for name, group in groups.items()]


def _torch_block(name: str, group: dict[str, np.ndarray]) -> Block:
    weight = group.get("weight")
    if "running_mean" in group or (weight is not None and weight.ndim == 1 and set(group) <= {"weight", "bias"}):
        return Block(name, "batch_norm", {_NORMALISATION.get(role, role): array for role, array in group.items()})
    if weight is None or not set(group) <= {"weight", "bias"} or weight.ndim < 2:
        return Block(name, "other", group)
    arrays = {"W": weight.T if weight.ndim == 2 else weight}
    if "bias" in group:
        arrays["b"] = group["bias"]
    return Block(name, "dense" if weight.ndim == 2 else "conv", arrays)
