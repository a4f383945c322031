"""The functions of :mod:`lasagne_like.files` under their earlier address."""

from .files import (
    LoadReport,
    Network,
    WeightsMismatchError,
    all_layers,
    assign_weights,
    load_weights,
    name_params,
    save_weights,
)

__all__ = [
    "LoadReport",
    "Network",
    "WeightsMismatchError",
    "all_layers",
    "assign_weights",
    "load_weights",
    "name_params",
    "save_weights",
]
