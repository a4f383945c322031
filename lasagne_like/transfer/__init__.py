"""Transfer learning: freeze layers, replace the head of a network, compute features once, copy weights."""

from .border import frozen_border
from .features import MixedExamplesError, precompute_features
from .selection import copy_weights, freeze, frozen_layers, replace_head, select_layers, unfreeze

__all__ = [
    "MixedExamplesError",
    "copy_weights",
    "freeze",
    "frozen_border",
    "frozen_layers",
    "precompute_features",
    "replace_head",
    "select_layers",
    "unfreeze",
]
