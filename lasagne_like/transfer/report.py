"""A table of what is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import prod
from typing import Any

from ..files import Network, all_layers
from ..layers import Layer
from .selection import layer_names

__all__ = ["TrainingReport", "TrainingRow", "training_report"]


@dataclass(frozen=True)
class TrainingRow:
    """What of a layer is trained.

    Attributes
    ----------
    name : str
    layer : Layer
    trained, frozen, other : int
        Numbers of values: of trained parameters, of frozen ones, and of those that are never trained, such as running
        averages. A parameter shared by several layers counts for the first of them.
    averages : str
        ``"updated"`` or ``"held"`` for a layer with running averages, otherwise empty.
    group : str
        The pattern of the learning rate that applies; empty without rates.
    rate : object
        That rate or schedule; None if nothing is trained, or without rates.
    """

    name: str
    layer: Layer
    trained: int
    frozen: int
    other: int
    averages: str = ""
    group: str = ""
    rate: Any = None


@dataclass(frozen=True)
class TrainingReport:
    """A table of the layers with parameters; its text is the table.

    Attributes
    ----------
    rows : list of TrainingRow
    """

    rows: list[TrainingRow]

    @property
    def trained(self) -> int:
        """int : The number of trained values."""
        return sum(row.trained for row in self.rows)

    @property
    def frozen(self) -> int:
        """int : The number of frozen values."""
        return sum(row.frozen for row in self.rows)

    def __str__(self) -> str:
        rates = any(row.group for row in self.rows)
        averages = any(row.averages for row in self.rows)
        table = [["layer", "kind", "trained", "frozen", *(["averages"] * averages), *(["learning rate"] * rates)]]
        for row in self.rows:
            cells = [row.name, type(row.layer).__name__, f"{row.trained:,}", f"{row.frozen:,}"]
            rate = f"{_rate(row.rate)} ({row.group})" if row.trained and row.group else ""
            table.append([*cells, *([row.averages] * averages), *([rate] * rates)])
        widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
        lines = ["  ".join(_aligned(line, widths)).rstrip() for line in table]
        rule = "-" * max(map(len, lines))
        total = self.trained + self.frozen
        share = f" ({self.trained / total:.1%})" if total else ""
        foot = f"trained {self.trained:,} of {total:,} parameters{share}, frozen {self.frozen:,}"
        return "\n".join([lines[0], rule, *lines[1:], rule, foot])

    __repr__ = __str__


def _aligned(cells: list[str], widths: list[int]) -> list[str]:
    return [
        cell.rjust(width) if column in (2, 3) else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths))
    ]


def _rate(rate: Any) -> str:
    return f"{rate:g}" if isinstance(rate, (int, float)) else str(rate)


def training_report(network: Network, learning_rate: Any = None) -> TrainingReport:
    """Return a table of which layers are trained, which are frozen, and with which learning rates.

    Parameters
    ----------
    network : Layer, list of Layer, or dict of str to Layer
        The network.
    learning_rate : float, schedule, or dict of str to these, optional
        As passed to the trainer; a dict maps patterns of layer names to rates, of which the first that matches a layer
        applies.

    Returns
    -------
    TrainingReport
        Print it, or read its ``rows``.

    Raises
    ------
    ValueError
        If a pattern of `learning_rate` matches no layer, or a trained layer matches none.

    Examples
    --------
    >>> from lasagne_like.layers import DenseLayer, InputLayer
    >>> base = DenseLayer(InputLayer((None, 4)), 3, name="base")
    >>> base.trainable = False
    >>> training_report(DenseLayer(base, 2, name="out"))
    layer  kind        trained  frozen
    ----------------------------------
    base   DenseLayer        0      15
    out    DenseLayer        8       0
    ----------------------------------
    trained 8 of 23 parameters (34.8%), frozen 15
    """
    rates = learning_rate if isinstance(learning_rate, Mapping) or learning_rate is None else {"*": learning_rate}
    names = layer_names(network)
    seen: set[Any] = set()
    rows = []
    for layer in all_layers(network):
        counts = [0, 0, 0]
        for param, tags in layer.params.items():
            for shared in layer.get_params() if param not in layer.get_params() else [param]:
                if shared not in seen:
                    seen.add(shared)
                    kind = 0 if "trainable" in tags else 1 if "frozen" in tags else 2
                    counts[kind] += prod(shared.get_value(borrow=True).shape)
        if layer.params:
            name = names[layer]
            group = _group(name, rates, bool(counts[0]))
            rate = rates[group] if rates and group else None
            rows.append(TrainingRow(name, layer, counts[0], counts[1], counts[2], _averages(layer), group, rate))
    _check_patterns(rates, list(names.values()))
    return TrainingReport(rows)


def _averages(layer: Layer) -> str:
    if not layer.get_params(batch_norm_stat=True):
        return ""
    return "held" if layer.frozen or getattr(layer, "update_averages", None) is False else "updated"


def _group(name: str, rates: Mapping[str, Any] | None, trained: bool) -> str:
    if rates is None:
        return ""
    group = next((pattern for pattern in rates if fnmatchcase(name, pattern)), "")
    if trained and not group:
        raise ValueError(f"learning_rate: no pattern matches the trained layer {name!r}: add '*' for all other layers")
    return group


def _check_patterns(rates: Mapping[str, Any] | None, names: list[str]) -> None:
    for pattern in rates or ():
        if pattern != "*" and not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(f"learning_rate: {pattern!r} matches no layer; names: {', '.join(names)}")
