"""Looking into a network: statistics of activations and gradients per layer, and a watch for units that died.

The initialisation study of Glorot and Bengio [1]_, for a network at its start::

    print(layer_statistics(network, X, y))

While training, as a callback::

    trainer.fit(X, y, 20, callbacks=[Watch(X[:256])])

References
----------
.. [1] Glorot, Bengio (2010): Understanding the difficulty of training deep feedforward neural networks. AISTATS.
.. [2] He, Zhang, Ren, Sun (2015): Delving deep into rectifiers: surpassing human-level performance on ImageNet
       classification. ICCV.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

import symc
import symc.tensor as T

from .files import Network, all_layers
from .layers import InputLayer, Layer, get_output
from .nonlinearities import sigmoid, softmax, tanh
from .objectives import binary_crossentropy, categorical_crossentropy, squared_error
from .random import draws_restored
from .transfer.inputs import arrays_of, converted, preprocessed, root
from .transfer.selection import layer_names

__all__ = ["LayerRow", "LayerStatistics", "Watch", "layer_statistics"]

_SATURATED = {sigmoid: (0.01, 0.99), T.nnet.sigmoid: (0.01, 0.99), tanh: (-0.98, 0.98), T.tanh: (-0.98, 0.98)}


@dataclass(frozen=True)
class LayerRow:
    """Statistics of a layer's outputs over all examples.

    Attributes
    ----------
    name : str
    layer : Layer
    mean, std, low, high : float
        Of all values.
    zeros : float
        The share of values that are exactly 0.
    saturated : float
        The share of values within 1 % of a bound of a sigmoid or tanh; NaN for other layers.
    units : int
        The number of units, the length of axis 1.
    dead, constant : int
        The numbers of units that are 0, or have the same value, for all examples and places.
    gradient_mean, gradient_std : float
        Of the gradient of an example's loss by the values; NaN without targets.
    """

    name: str
    layer: Layer
    mean: float
    std: float
    low: float
    high: float
    zeros: float
    saturated: float
    units: int
    dead: int
    constant: int
    gradient_mean: float = float("nan")
    gradient_std: float = float("nan")


@dataclass(frozen=True)
class LayerStatistics:
    """A table of the statistics of layers; its text is the table.

    Attributes
    ----------
    rows : list of LayerRow
        In the order of the network.
    count : int
        The number of examples.
    """

    rows: list[LayerRow]
    count: int

    def __getitem__(self, name: str) -> LayerRow:
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no statistics of {name!r}; there are those of {', '.join(row.name for row in self.rows)}")

    def __str__(self) -> str:
        gradients = any(np.isfinite(row.gradient_std) for row in self.rows)
        saturated = any(np.isfinite(row.saturated) for row in self.rows)
        head = ["layer", "mean", "std", "min", "max", "zeros", *(["saturated"] * saturated), "dead"]
        table = [[*head, *(["gradient std"] * gradients)]]
        for row in self.rows:
            cells = [row.name, *(f"{v:.3g}" for v in (row.mean, row.std, row.low, row.high)), f"{row.zeros:.1%}"]
            cells += [f"{row.saturated:.1%}" if np.isfinite(row.saturated) else ""] * saturated
            cells += [f"{row.dead} of {row.units}", *([f"{row.gradient_std:.3g}"] * gradients)]
            table.append(cells)
        widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
        lines = [
            "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:]))]) for line in table
        ]
        rule = "-" * len(lines[0])
        return "\n".join([lines[0], rule, *lines[1:], rule, f"{self.count:,} examples"])

    __repr__ = __str__

    def findings(self, dead: float = 0.1, saturated: float = 0.5) -> list[str]:
        """Describe what is likely to go wrong, one sentence per layer.

        Parameters
        ----------
        dead : float
            The share of dead units from which a layer is mentioned.
        saturated : float
            The share of saturated values from which a layer is mentioned.

        Returns
        -------
        list of str
            Empty if nothing is wrong.
        """
        found = [self._finding(row, dead, saturated) for row in self.rows]
        last = self.rows[-1] if self.rows else None
        if last is not None and last.constant == last.units and self.count > 1 and np.isfinite(last.std):
            found.append(
                f"{last.name}: the output is the same for all {self.count:,} examples; lower the learning rate, scale "
                "the inputs, and look for dead or saturated layers"
            )
        return [text for text in found if text]

    def _finding(self, row: LayerRow, dead: float, saturated: float) -> str:
        if not np.isfinite([row.mean, row.std]).all():
            return f"{row.name}: outputs are NaN or infinite; lower the learning rate"
        if row.dead and row.dead >= dead * row.units:
            return (
                f"{row.name}: {row.dead} of {row.units} units are 0 for all {self.count:,} examples (dead); lower the "
                "learning rate, or use init.HeNormal, leaky rectifiers or batch normalisation"
            )
        if row.saturated >= saturated:
            return (
                f"{row.name}: {row.saturated:.0%} of the outputs are saturated, where gradients vanish; scale the "
                "inputs, or draw smaller weights"
            )
        return ""


def layer_statistics(
    network: Network,
    X: Any,
    y: Any = None,
    *,
    layers: str | Sequence[str] = "*",
    loss: Callable[[Any, Any], Any] | None = None,
    deterministic: bool = False,
    batch_size: int = 128,
) -> LayerStatistics:
    """Compute statistics of the outputs of layers and, with targets, of the gradients by them.

    Parameters
    ----------
    network : Layer, list of Layer, or dict of str to Layer
        The network. It is not changed: running averages and random streams stay as they are.
    X : array_like, or tuple or dict of array_like
        The inputs, as for :func:`lasagne_like.transfer.precompute_features`: pictures of uint8 pass through the
        ``preprocess`` of a Model that has one.
    y : array_like, optional
        The targets, for gradients.
    layers : str or sequence of str
        Shell-style patterns of the names of the layers; by default all but input layers.
    loss : callable, optional
        ``loss(prediction, target)`` returns the losses of the items. By default it follows from the output layer:
        softmax means :func:`~lasagne_like.objectives.categorical_crossentropy`, sigmoid
        :func:`~lasagne_like.objectives.binary_crossentropy`, anything else
        :func:`~lasagne_like.objectives.squared_error`.
    deterministic : bool
        Whether to use the network as for inference; by default as in training: with dropout, and with the batch
        statistics in batch normalisation.
    batch_size : int
        The number of examples per batch.

    Returns
    -------
    LayerStatistics
        Print it, or read its ``rows``; ``findings()`` says what is likely to go wrong.

    Raises
    ------
    ValueError
        If no layer matches, or the inputs do not fit the network.

    Examples
    --------
    >>> import numpy as np
    >>> from lasagne_like.layers import DenseLayer, InputLayer
    >>> hidden = DenseLayer(InputLayer((None, 4)), 3, b=None, W=np.eye(4)[:, :3], name="hidden")
    >>> print(layer_statistics(DenseLayer(hidden, 2, name="out"), np.eye(4), layers="hidden"))
    layer   mean    std  min  max  zeros    dead
    --------------------------------------------
    hidden  0.25  0.433    0    1  75.0%  0 of 3
    --------------------------------------------
    4 examples
    """
    return _Meter(network, layers, loss, deterministic, y)(X, y, batch_size)


class _Meter:
    """The compiled statistics of a network's layers."""

    def __init__(self, network: Network, patterns: str | Sequence[str], loss: Any, deterministic: bool, y: Any) -> None:
        everything = all_layers(network)
        self.inputs = [each for each in everything if isinstance(each, InputLayer)]
        self.preprocess = getattr(network, "preprocess", None) if len(self.inputs) == 1 else None
        self.rows = _chosen(network, [patterns] if isinstance(patterns, str) else list(patterns))
        layers = [layer for _, layer in self.rows]
        top = (
            list(network.values() if isinstance(network, Mapping) else network)[-1]
            if not isinstance(network, Layer)
            else network
        )
        with draws_restored(everything):
            outputs = get_output([*layers, top], deterministic=deterministic)
        self.variables = [root(each) for each in self.inputs]
        results = [statistic for (_, layer), v in zip(self.rows, outputs) for statistic in _statistics(layer, v)]
        arguments = list(self.variables)
        if y is not None:
            target = _target(np.asarray(y))
            arguments.append(target)
            losses = (loss or _loss(top))(outputs[-1], target)
            total = losses.sum() / T.cast(losses.size / outputs[-1].shape[0], losses.dtype)
            slopes = symc.grad(total, outputs[:-1], disconnected_inputs="ignore")
            results += [moment for g in slopes for moment in (g.mean(), g.var())]
        self.function = symc.function(
            arguments, results, no_default_updates=True, on_unused_input="ignore", name="statistics"
        )

    def __call__(self, X: Any, y: Any, batch_size: int) -> LayerStatistics:
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}: expected at least 1")
        arrays = arrays_of(X, self.inputs)
        if arrays is None:
            raise TypeError("layer_statistics: X must be arrays; of batches, pass one")
        count = len(arrays[0])
        if not count or any(len(each) != count for each in arrays) or y is not None and len(y) != count:
            raise ValueError("layer_statistics: X and y must hold equal numbers of examples, at least one")
        labels = None if y is None else np.asarray(y)
        totals = [_Total() for _ in self.rows]
        slopes = [_Total() for _ in self.rows]
        for start in range(0, count, batch_size):
            part = slice(start, start + batch_size)
            given = [preprocessed(a[part], self.preprocess) for a in arrays]
            batch = [converted(a, v, layer) for a, v, layer in zip(given, self.variables, self.inputs)]
            if labels is not None:
                batch.append(labels[part].astype("int32") if labels.dtype.kind in "biu" else labels[part])
            found = self.function(*batch)
            for k, total in enumerate(totals):
                total.add(found[_PARTS * k : _PARTS * (k + 1)])
            for k, moments in enumerate(zip(*[iter(found[_PARTS * len(totals) :])] * 2)):
                slopes[k].merge(len(batch[0]), *map(float, moments))
        rows = [t.row(name, layer, s) for (name, layer), t, s in zip(self.rows, totals, slopes)]
        return LayerStatistics(rows, count)


def _chosen(network: Network, patterns: Sequence[str]) -> list[tuple[str, Layer]]:
    names = layer_names(network)
    found = []
    for layer, name in names.items():
        if not isinstance(layer, InputLayer) and any(fnmatchcase(name, pattern) for pattern in patterns):
            found.append((name, layer))
    if not found:
        raise ValueError(f"layers={patterns!r} matches no layer; the network has {', '.join(names.values())}")
    return found


def _target(y: np.ndarray) -> Any:
    dtype = "int32" if y.dtype.kind in "biu" else symc.config.floatX
    return T.tensor(dtype, shape=(None, *y.shape[1:]), name="target")


def _loss(top: Layer) -> Callable[[Any, Any], Any]:
    nonlinearity = getattr(top, "nonlinearity", None)
    if nonlinearity in (softmax, T.nnet.softmax):
        return categorical_crossentropy
    if nonlinearity in (sigmoid, T.nnet.sigmoid):
        return lambda p, t: binary_crossentropy(p, T.cast(t if t.ndim == p.ndim else t.dimshuffle(0, "x"), p.dtype))
    return lambda p, t: squared_error(p, T.cast(t if t.ndim == p.ndim else t.dimshuffle(0, "x"), p.dtype))


_PARTS = 8
"""The number of results per layer."""


def _statistics(layer: Layer, v: Any) -> list[Any]:
    """Size, mean, variance, zeros and saturated values of a batch; the extremes of each unit, and of all values."""
    v = v if v.dtype.startswith("float") else T.cast(v, symc.config.floatX)
    low, high = _SATURATED.get(getattr(layer, "nonlinearity", None), (None, None))
    saturated = T.constant(np.float32(np.nan))
    if low is not None:
        saturated = T.cast(T.le(v, low) | T.ge(v, high), "float32").sum()
    axes = [k for k in range(v.ndim) if k != 1]
    units = (v.min(axes), v.max(axes)) if v.ndim > 1 else (v.min(), v.max())
    return [v.size, v.mean(), v.var(), T.cast(T.eq(v, 0), "float32").sum(), saturated, *units, T.isnan(v).any()]


class _Total:
    """Statistics over several batches; moments are merged as by Chan, Golub and LeVeque (1979)."""

    def __init__(self) -> None:
        self.size = 0
        self.mean = self.squares = 0.0
        self.zeros = self.saturated = 0.0
        self.low: Any = np.inf
        self.high: Any = -np.inf

    def merge(self, size: int, mean: float, variance: float) -> None:
        """Add a batch of values with this mean and variance."""
        total, step = self.size + size, mean - self.mean
        self.squares += variance * size + step * step * self.size * size / total
        self.mean += step * size / total
        self.size = total

    def add(self, found: Sequence[np.ndarray]) -> None:
        """Add the results for a batch."""
        size, mean, variance, zeros, saturated, low, high, nan = found
        self.merge(int(size), float(mean), float(variance))
        self.zeros += float(zeros)
        self.saturated += float(saturated)
        self.low, self.high = np.minimum(self.low, low), np.maximum(self.high, high)

    def row(self, name: str, layer: Layer, slope: _Total) -> LayerRow:
        """Return the statistics; ``slope`` are those of the gradient."""
        low, high = np.atleast_1d(self.low), np.atleast_1d(self.high)
        return LayerRow(
            name,
            layer,
            self.mean,
            float(np.sqrt(self.squares / self.size)),
            float(low.min()),
            float(high.max()),
            self.zeros / self.size,
            self.saturated / self.size,
            len(low),
            int(((low == 0) & (high == 0)).sum()),
            int((low == high).sum()),
            slope.mean if slope.size else float("nan"),
            float(np.sqrt(slope.squares / slope.size)) if slope.size else float("nan"),
        )


@dataclass
class Watch:
    """A callback that looks for dead and saturated units and for constant outputs while a network is trained.

    Parameters
    ----------
    X : array_like, or tuple or dict of array_like
        A sample of inputs, a few hundred.
    every : int
        The number of epochs between examinations.
    layers : str or sequence of str
        Shell-style patterns of the names of the layers to watch.
    dead, saturated : float
        The shares from which a layer is reported, see :meth:`LayerStatistics.findings`.
    report : callable
        Called with each new finding, a sentence; by default ``print``.

    Attributes
    ----------
    history : list of LayerStatistics
        One per examination, in deterministic mode.
    findings : list of (int, str)
        The epochs and sentences reported so far; what was reported of a layer is not repeated until it is over.

    Notes
    -----
    After each examination, ``record["dead_units"]`` is the number of dead units of all layers, which callbacks after
    this one see.
    """

    X: Any
    every: int = 1
    layers: str | Sequence[str] = "*"
    dead: float = 0.1
    saturated: float = 0.5
    report: Callable[[str], Any] = print
    history: list[LayerStatistics] = field(default_factory=list, init=False)
    findings: list[tuple[int, str]] = field(default_factory=list, init=False)
    _meter: Any = field(default=None, init=False, repr=False)
    _reported: set[str] = field(default_factory=set, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"Watch: every={self.every}: expected at least 1")

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_meter": None}

    def on_epoch_end(self, trainer: Any, record: dict[str, float]) -> None:
        """Examine the network of the trainer."""
        epoch = int(record["epoch"])
        if epoch % self.every:
            return
        network = trainer.network
        if self._meter is None or self._meter[0] is not network:
            self._meter = network, _Meter(network, self.layers, None, True, None)
        statistics = self._meter[1](self.X, None, 256)
        self.history.append(statistics)
        record["dead_units"] = float(sum(row.dead for row in statistics.rows))
        texts = {text.partition(":")[0]: text for text in statistics.findings(self.dead, self.saturated)}
        for name, text in texts.items():
            if name not in self._reported:
                self.findings.append((epoch, text))
                self.report(f"epoch {epoch}: {text}")
        self._reported = set(texts)
