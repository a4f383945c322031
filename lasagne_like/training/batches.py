"""Sources of mini-batches: arrays in memory or on disk, and iterables of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

import symc

from .feed import as_array, check_input, convert_input, is_stored, split_inputs
from .tasks import Output

__all__ = ["ArraySource", "Batch", "IterableSource", "Spec", "Source", "balanced", "class_weighting"]


class Batch(NamedTuple):
    """A mini-batch, converted to the dtypes of the network's variables.

    ``weights`` is None or has one entry per item (or per element of the loss).
    """

    inputs: tuple[np.ndarray, ...]
    targets: tuple[np.ndarray, ...]
    weights: np.ndarray | None
    size: int

    @property
    def arguments(self) -> tuple[np.ndarray, ...]:
        """The arguments of a compiled function."""
        weights = () if self.weights is None else (self.weights,)
        return (*self.inputs, *self.targets, *weights)

    @property
    def nbytes(self) -> int:
        """The size of all arrays."""
        return sum(array.nbytes for array in self.arguments)


class Spec(NamedTuple):
    """What batches are converted to.

    Attributes
    ----------
    inputs : sequence of InputLayer
    outputs : sequence of Output
    target_vars : sequence of (Variable or None)
        Variables that the user gave for the targets.
    preprocess : callable or None
        From pictures of uint8 to inputs: the preprocessing of a :class:`lasagne_like.models.Model`.
    """

    inputs: Sequence[Any]
    outputs: Sequence[Output]
    target_vars: Sequence[Any]
    preprocess: Callable[[Any], np.ndarray] | None = None

    def targets(self, y: Any) -> tuple[np.ndarray, ...]:
        """Convert targets, one array per output."""
        parts = self._split(y)
        return tuple(
            output.conform(part) if given is None else _of_variable(part, given, output)
            for part, output, given in zip(parts, self.outputs, self.target_vars)
        )

    def _split(self, y: Any) -> tuple[Any, ...]:
        if isinstance(y, Mapping):
            names = [output.name for output in self.outputs]
            if set(y) != set(names):
                raise ValueError(f"targets for {list(y)!r}: the network has the outputs {names}")
            return tuple(as_array(y[name]) for name in names)
        if len(self.outputs) == 1:
            return (as_array(y[0] if isinstance(y, tuple) and len(y) == 1 else y),)
        if not isinstance(y, (tuple, list)) or len(y) != len(self.outputs):
            names = [output.name for output in self.outputs]
            found = f"{len(y)} arrays" if isinstance(y, (tuple, list)) else type(y).__name__
            raise ValueError(
                f"the network has {len(self.outputs)} outputs ({', '.join(names)}): give a tuple of "
                f"{len(self.outputs)} arrays of targets, or a dict from these names to arrays; got {found}"
            )
        return tuple(map(as_array, y))

    def arrays(self, X: Any) -> tuple[Any, ...]:
        """Return one checked array per input layer, unconverted."""
        parts = split_inputs(X, self.inputs)
        for layer, part in zip(self.inputs, parts):
            if self.are_pictures(part):
                part = self.preprocess(part[:1])  # type: ignore[misc]
            check_input(part, layer, "X" if len(parts) == 1 else f"the input {layer.name or self.inputs.index(layer)}")
        lengths = {len(part) for part in parts}
        if len(lengths) > 1:
            raise ValueError(f"the inputs have different numbers of items: {[len(part) for part in parts]}")
        return parts

    def convert(self, parts: Iterable[Any], keep_bytes: bool = True) -> tuple[np.ndarray, ...]:
        """Convert arrays to the dtypes of the input variables; bytes may stay bytes."""
        preprocess = self.preprocess
        return tuple(
            convert_input(preprocess(part) if preprocess and self.are_pictures(part) else part, layer, keep_bytes)
            for part, layer in zip(parts, self.inputs)
        )

    def are_pictures(self, part: Any) -> bool:
        """Whether these are pictures that the network's own preprocessing turns into inputs."""
        return self.preprocess is not None and len(self.inputs) == 1 and part.dtype == np.uint8 and len(part) > 0

    def batch(self, X: Any, y: Any, weights: Any, weigh: Callable | None) -> Batch:
        """Convert one batch."""
        inputs, targets = self.convert(self.arrays(X)), self.targets(y)
        count = _equal_lengths(inputs, targets)
        weights = None if weights is None else _checked_weights(weights, count)
        if weigh is not None:
            weights = weigh(targets) if weights is None else weights * _spread(weigh(targets), weights.ndim)
        return Batch(inputs, targets, weights, count)


def _of_variable(y: Any, variable: Any, output: Output) -> np.ndarray:
    """Convert targets to the dtype of a variable that the user gave, which must have as many axes."""
    y = np.asarray(y)
    if output.kind == "classification" and y.dtype.kind in "biu" and y.ndim == variable.ndim == len(output.shape) - 1:
        y = output.conform(y)  # refuses what is no class
    if y.dtype.kind not in "biuf":
        raise ValueError(f"the targets have dtype {y.dtype}, expected numbers, for the target variable {variable!r}")
    kind = np.dtype(variable.dtype).kind
    if kind in "iub" and y.dtype.kind == "f":
        raise TypeError(
            f"the targets have dtype {y.dtype}, but target_var {variable!r} has dtype {variable.dtype}: give integers, "
            "or a target_var of floats such as T.matrix('y')"
        )
    if y.ndim != variable.ndim:
        raise ValueError(f"the targets have shape {y.shape}, but target_var {variable!r} has {variable.ndim} axes")
    return y.astype(variable.dtype, copy=False)


def _equal_lengths(inputs: Sequence[Any], targets: Sequence[Any]) -> int:
    count = len(inputs[0])
    for y in targets:
        if len(y) != count:
            raise ValueError(f"X has {count} items and y has {len(y)}: expected equal numbers of inputs and targets")
    return count


def _checked_weights(weights: Any, count: int) -> np.ndarray:
    w = np.asarray(weights)
    if w.dtype.kind not in "biuf" or w.ndim < 1 or len(w) != count:
        raise ValueError(f"sample weights of shape {w.shape}, dtype {w.dtype}: expected {count} numbers, one per item")
    w = w.astype(symc.config.floatX, copy=False)
    if w.size and not (np.isfinite(w).all() and w.min() >= 0):
        raise ValueError("sample weights must be finite and not negative")
    return w


def _spread(of_items: np.ndarray, ndim: int) -> np.ndarray:
    return of_items.reshape((-1, *[1] * (ndim - 1)))


class class_weighting:  # noqa: N801 - used as a function
    """Weights of items by the class of their first target.

    Parameters
    ----------
    weights : dict of int to float, or sequence of float
        The weight of each class. Classes that a dict lacks have weight 1.
    output : Output
    """

    def __init__(self, weights: Any, output: Output) -> None:
        if output.kind not in ("classification", "binary", "own"):
            raise ValueError(f"class_weights are for classes; the output {output.name} is for {output.kind}")
        items = weights.items() if isinstance(weights, Mapping) else enumerate(weights)
        found = {int(label): float(weight) for label, weight in items}
        classes = 2 if output.kind == "binary" else output.shape[-1]
        size = max([*found, (classes or 1) - 1]) + 1
        if not found or min(found) < 0 or (classes is not None and size > classes):
            raise ValueError(f"class_weights for the classes {sorted(found)}: the output has {classes} classes")
        if not all(np.isfinite(w) and w >= 0 for w in found.values()):
            raise ValueError(f"class_weights={weights!r}: weights must be finite and not negative")
        self.table = np.array([found.get(label, 1.0) for label in range(size)], symc.config.floatX)
        self.rank = len(output.shape)

    def __call__(self, targets: Sequence[np.ndarray]) -> np.ndarray:
        y = targets[0]
        if y.ndim == self.rank and y.shape[-1] == len(self.table) and y.dtype.kind == "f":
            return (y @ self.table).astype(self.table.dtype)  # one-hot rows or distributions
        return self.table[np.asarray(y.reshape(len(y), -1)[:, 0] if y.ndim == self.rank else y, np.int64)]


def balanced(y: Any, output: Output) -> dict[int, float]:
    """Return class weights inversely proportional to the numbers of items, of mean 1 over the items."""
    labels = output.conform(y)
    labels = labels.argmax(axis=-1) if labels.ndim == len(output.shape) and labels.shape[-1] > 1 else labels
    classes, counts = np.unique(labels.astype(np.int64), return_counts=True)
    return {int(c): labels.size / (len(classes) * int(n)) for c, n in zip(classes, counts)}


class ArraySource:
    """Mini-batches of arrays, in an order that is a function of seed and epoch."""

    def __init__(
        self,
        spec: Spec,
        X: Any,
        y: Any,
        weights: Any = None,
        *,
        batch_size: int,
        seed: int = 0,
        weigh: Callable | None = None,
        rows: np.ndarray | None = None,
    ) -> None:
        self.spec, self.batch_size, self.seed, self.weigh = spec, batch_size, seed, weigh
        self.inputs = spec.arrays(X)
        raw = spec._split(y)
        # Targets in memory are converted and checked at once, before any step; those on disk batch by batch.
        self.in_memory = not any(map(is_stored, raw))
        self.raw = spec.targets(y) if self.in_memory else raw
        self.count = _equal_lengths(self.inputs, self.raw)
        if not self.count:
            raise ValueError("X holds no items: there is nothing to train on or to evaluate")
        self.weights = None if weights is None else _checked_weights(weights, self.count)
        self.rows = np.arange(self.count) if rows is None else rows

    def restricted(self, rows: np.ndarray) -> ArraySource:
        """Return a source of some of the items."""
        other = object.__new__(ArraySource)
        other.__dict__.update(self.__dict__)
        other.rows = rows
        return other

    def with_inputs(self, spec: Spec, inputs: tuple[Any, ...]) -> ArraySource:
        """Return a source of the same items with other inputs, such as features computed from these."""
        other = self.restricted(self.rows)
        other.spec, other.inputs = spec, inputs
        return other

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of a training epoch."""
        order = self.rows[np.random.default_rng([self.seed, number]).permutation(len(self.rows))]
        for start in range(0, len(order), self.batch_size):
            yield self._batch(order[start : start + self.batch_size])

    def ordered(self) -> Iterator[Batch]:
        """Yield all batches in the order of the items."""
        whole = len(self.rows) == self.count
        for start in range(0, len(self.rows), self.batch_size):
            part = slice(start, min(start + self.batch_size, self.count))
            yield self._batch(part if whole else self.rows[start : start + self.batch_size])

    def _batch(self, rows: np.ndarray | slice) -> Batch:
        parts = [_take(part, rows) for part in self.inputs]
        weights = None if self.weights is None else self.weights[rows]
        if self.in_memory:
            inputs, targets = self.spec.convert(parts), tuple(part[rows] for part in self.raw)
            if self.weigh is not None:
                of_class = self.weigh(targets)
                weights = of_class if weights is None else weights * _spread(of_class, weights.ndim)
            return Batch(inputs, targets, weights, len(inputs[0]))
        y = tuple(_take(part, rows) for part in self.raw)
        return self.spec.batch(tuple(parts), y, weights, self.weigh)


def _take(array: Any, rows: np.ndarray | slice) -> np.ndarray:
    if isinstance(array, np.ndarray) or isinstance(rows, slice):
        return array[rows]
    order = np.argsort(rows, kind="stable")  # chunked files read increasing rows only
    result = np.empty((len(rows), *array.shape[1:]), array.dtype)
    result[order] = array[rows[order]]
    return result


class IterableSource:
    """Mini-batches that an iterable yields: tuples of inputs, targets and, optionally, weights of items."""

    def __init__(self, spec: Spec, batches: Any, weigh: Callable | None = None) -> None:
        self.spec, self.source, self.weigh = spec, batches, weigh

    @property
    def reads_once(self) -> bool:
        """Whether the iterable can be read only once."""
        return not callable(self.source) and iter(self.source) is self.source

    def __len__(self) -> int:
        try:
            return len(self.source)
        except TypeError:
            return 0

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of an epoch; a source that has ``set_epoch`` is told its number first."""
        if hasattr(self.source, "set_epoch"):
            self.source.set_epoch(number)
        batches = self.source() if callable(self.source) and not hasattr(self.source, "__iter__") else self.source
        for position, batch in enumerate(batches, start=1):
            if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
                found = f"{len(batch)} entries" if isinstance(batch, (tuple, list)) else type(batch).__name__
                raise ValueError(
                    f"batch {position} is {found}: expected a tuple (inputs, targets) or (inputs, targets, weights)"
                )
            try:
                made = self.spec.batch(batch[0], batch[1], batch[2] if len(batch) == 3 else None, self.weigh)
            except (TypeError, ValueError) as error:
                error.add_note(f"in batch {position} of the iterable")
                raise
            if made.size:
                yield made

    def ordered(self) -> Iterator[Batch]:
        """Yield all batches."""
        return self.epoch(0)


Source = ArraySource | IterableSource
