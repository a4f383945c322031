"""Layers with the limits that they have in Lasagne: programs of its time catch the exceptions.

The layers of :mod:`lasagne_like.layers` of the same names compute what these refuse.
"""

from typing import Any

from .. import layers
from ..errors import _NotSupported

__all__ = ["DilatedConv2DLayer", "LocallyConnected2DLayer"]


class DilatedConv2DLayer(layers.DilatedConv2DLayer):
    """:class:`lasagne_like.layers.DilatedConv2DLayer` without padding and flipped filters.

    Raises
    ------
    ValueError
        For padding other than 0, and for ``flip_filters=True``, of the kind that Lasagne raises.
    """

    def _finish(self) -> None:
        super()._finish()
        _limit(self, "pad", self.pad, "0 / (0, 0) / 'valid'", (0, 0))
        _limit(self, "flip_filters", self.flip_filters, "False", False)


class LocallyConnected2DLayer(layers.LocallyConnected2DLayer):
    """:class:`lasagne_like.layers.LocallyConnected2DLayer` whose output has the size of its input.

    Raises
    ------
    ValueError
        For padding other than ``'same'``, and for strides other than 1, of the kind that Lasagne raises.
    """

    def _finish(self) -> None:
        super()._finish()
        _limit(self, "stride", self.stride, "1 / (1, 1)", (1, 1))
        _limit(self, "pad", self.pad, "'same'", "same")


def _limit(layer: Any, argument: str, given: Any, wanted: str, normalised: Any) -> None:
    if given != normalised:
        name = type(layer).__name__
        raise _NotSupported(
            f"{name} requires {argument}={wanted}, as in Lasagne, but got {given!r}; "
            f"lasagne_like.layers.{name} has no such limit"
        )
