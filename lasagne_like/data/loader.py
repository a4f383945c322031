"""Mini-batches of data, shuffled, augmented and preprocessed in background threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..naming import names_arguments
from .augment import Augmentation, apply_all, checked_pictures
from .decoding import worker_count
from .draws import Draws
from .mixing import Mix, one_hot_targets
from .prefetch import in_background

__all__ = ["Loader", "LoaderError"]

_ORDER = 0x0DE2  # the stream of random numbers that orders the items


class LoaderError(RuntimeError):
    """A batch could not be made. The message names the batch, its items and the cause."""


class Loader:
    """Mini-batches of a data set, made in background threads so that training does not wait for them.

    Iterating yields ``(inputs, targets)``, ``(inputs, targets, weights)`` or, without targets, ``(inputs,)``.

    Parameters
    ----------
    X : array_like, LazyPictures, PictureSet, or tuple or dict of arrays
        The inputs: an array or anything with a length that an integer array can index, such as a memory map; for a
        network with several inputs, a tuple or dict of them. A :class:`PictureSet` provides the targets, too.
    y : array_like, or tuple or dict of arrays, optional
        The targets.
    weights : array_like, optional
        ``(n,)`` weights of the items.
    batch_size : int
        The number of items per batch. The last batch of an epoch may be smaller.
    shuffle : bool
        Whether to visit the items in a new random order in each epoch.
    augment : sequence of Augmentation, or dict
        Applied to the inputs one after another. :class:`Mixup` and :class:`CutMix` are applied last and change the
        targets, too: class labels become one-hot rows. A plain function is called as ``f(inputs, rng)``. For several
        inputs, a dict from the name (or position) of an input to its augmentations.
    preprocess : callable or dict, optional
        Applied to the inputs of a batch after augmentation, for example a :class:`Preprocess`.
    seed : int
        Order and augmentation are functions of the seed, the epoch and the item, for any number of threads.
    workers : int, optional
        The number of threads, by default one for each core; 0 makes each batch when it is asked for.
    prefetch : int, optional
        The largest number of batches that are made ahead, by default 2 for each thread.
    drop_last : bool
        Whether to leave out the last batch if it is smaller.
    classes : int, optional
        The number of classes of labels that are mixed; by default that of the :class:`PictureSet`, or the largest
        label plus 1.

    Attributes
    ----------
    epoch : int
        The epoch of the next iteration. Each iteration increments it; :meth:`set_epoch` sets it.

    Raises
    ------
    ValueError
        If inputs, targets and weights have different lengths, or the data set is empty.
    TypeError
        If X consists of paths instead of pictures.
    LoaderError
        While iterating, if a batch could not be made.

    Examples
    --------
    >>> import numpy as np
    >>> loader = Loader(np.zeros((10, 3)), np.arange(10), batch_size=4, seed=1)
    >>> len(loader)
    3
    >>> [len(targets) for inputs, targets in loader]
    [4, 4, 2]
    """

    @names_arguments
    def __init__(
        self,
        X: Any,
        y: Any = None,
        *,
        weights: Any = None,
        batch_size: int = 32,
        shuffle: bool = True,
        augment: Any = (),
        preprocess: Any = None,
        seed: int = 0,
        workers: int | None = None,
        prefetch: int | None = None,
        drop_last: bool = False,
        classes: int | None = None,
    ) -> None:
        if y is None and hasattr(X, "images") and hasattr(X, "labels"):
            classes = len(X.classes) if classes is None else classes
            X, y = X.images, X.labels
        self.X, self.y = _indexable(X, "X"), None if y is None else _indexable(y, "y")
        self.weights = None if weights is None else np.asarray(weights)
        self.count = _common_length({"X": self.X, "y": self.y, "weights": self.weights})
        self.batch_size = _at_least_one(batch_size, "batch_size")
        self.shuffle, self.seed, self.drop_last = bool(shuffle), int(seed), bool(drop_last)
        self.workers = worker_count(workers)
        self.prefetch = 2 * max(self.workers, 1) if prefetch is None else _at_least_one(prefetch, "prefetch")
        self.augment, self.mixing = _augmentations(augment, self.X)
        self.preprocess = _per_input(preprocess, self.X, "preprocess")
        self.classes = self._class_count(classes) if self.mixing else classes
        self.epoch = 0

    def _class_count(self, classes: int | None) -> int | None:
        if not isinstance(self.y, np.ndarray) or not isinstance(self.X, np.ndarray) and not hasattr(self.X, "shape"):
            raise ValueError("Mixup and CutMix require one array of inputs and one of targets")
        if self.y.dtype.kind not in "iu" or self.y.ndim > 1:
            return None
        return int(self.y.max()) + 1 if classes is None else classes

    def __len__(self) -> int:
        return self.count // self.batch_size if self.drop_last else -(-self.count // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch (0, 1, ...) of the next iteration."""
        if epoch < 0 or int(epoch) != epoch:
            raise ValueError(f"set_epoch({epoch!r}): expected 0, 1, ...")
        self.epoch = int(epoch)

    def order(self, epoch: int) -> np.ndarray:
        """Return the positions of all items in the order in which an epoch visits them."""
        if not self.shuffle:
            return np.arange(self.count)
        return np.random.default_rng([self.seed & 0xFFFFFFFFFFFFFFFF, epoch, _ORDER]).permutation(self.count)

    def __iter__(self) -> Iterator[tuple]:
        epoch, self.epoch = self.epoch, self.epoch + 1  # when the first batch is asked for
        order = self.order(epoch)
        yield from in_background(lambda k: self._batch(epoch, k, order), len(self), self.workers, self.prefetch)

    def _batch(self, epoch: int, number: int, order: np.ndarray) -> tuple:
        items = order[number * self.batch_size : (number + 1) * self.batch_size]
        step = "reading the items"
        try:
            inputs: Any = _taken(self.X, items)
            targets: Any = None if self.y is None else _taken(self.y, items)
            weights = None if self.weights is None else self.weights[items]
            step = "augmenting"
            inputs = _for_each(self.augment, inputs, lambda chain, x: _augmented(chain, x, self.seed, epoch, items))
            step = "preprocessing"
            inputs = _for_each(self.preprocess, inputs, lambda function, x: function(x))
            step = "mixing"
            for stream, mix in enumerate(self.mixing):
                if self.classes is not None and targets.ndim == 1:
                    targets = one_hot_targets(targets, self.classes)
                inputs, targets = mix.apply(inputs, targets, Draws(self.seed, epoch, items, 1000 + stream))
        except Exception as error:
            listed = ", ".join(map(str, items[:8].tolist())) + (", ..." if len(items) > 8 else "")
            raise LoaderError(
                f"batch {number} of epoch {epoch} (items {listed}) failed while {step}: {type(error).__name__}: {error}"
            ) from error
        return tuple(part for part in (inputs, targets, weights) if part is not None)

    def __repr__(self) -> str:
        return f"<Loader of {self.count} items in {len(self)} batches of {self.batch_size}>"


def _at_least_one(value: Any, name: str) -> int:
    if isinstance(value, bool) or int(value) != value or value < 1:
        raise ValueError(f"Loader: {name}={value!r}: expected at least 1")
    return int(value)


def _indexable(data: Any, name: str) -> Any:
    """Data that an integer array can index: an array or the like, or a tuple or dict of them."""
    if isinstance(data, Mapping):
        return {key: _indexable(value, f"{name}[{key!r}]") for key, value in data.items()}
    if isinstance(data, tuple) and any(hasattr(part, "shape") for part in data):
        return tuple(_indexable(part, f"{name}[{k}]") for k, part in enumerate(data))
    if isinstance(data, (list, tuple)) and data and all(isinstance(part, (str, os.PathLike)) for part in data):
        raise TypeError(
            f"Loader: {name} is a list of paths or names: pass LazyPictures(paths, size) for pictures that are decoded "
            "in the background, or integers for names of classes"
        )
    # Tables of pandas are indexed by columns; the array in them is not.
    array = data if hasattr(data, "shape") and hasattr(data, "__getitem__") and not hasattr(data, "iloc") else None
    array = np.asarray(data) if array is None else array
    if not array.shape or getattr(array.dtype, "kind", "f") not in "biuf":
        raise TypeError(
            f"Loader: {name} is a {type(data).__name__} of shape {array.shape} and dtype {array.dtype}: expected "
            "numbers, one entry per item; several inputs are a tuple or dict of arrays, names of classes must become "
            "integers"
        )
    return array


def _leaves(data: Any) -> list:
    if isinstance(data, dict):
        return list(data.values())
    return list(data) if isinstance(data, tuple) else [data]


def _common_length(parts: dict[str, Any]) -> int:
    lengths = {
        f"{name}{f'[{k}]' if len(_leaves(data)) > 1 else ''}": len(leaf)
        for name, data in parts.items()
        if data is not None
        for k, leaf in enumerate(_leaves(data))
    }
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ValueError(f"Loader: the numbers of items differ: {listed}")
    count = next(iter(lengths.values()), 0)
    if not count:
        raise ValueError("Loader: there are no items")
    return count


def _taken(data: Any, items: np.ndarray) -> Any:
    if isinstance(data, dict):
        return {key: value[items] for key, value in data.items()}
    return tuple(value[items] for value in data) if isinstance(data, tuple) else np.asarray(data[items])


def _per_input(option: Any, X: Any, name: str) -> dict:
    """An option by the key of the input it applies to; None is the key of a single input."""
    if option is None or (isinstance(option, (Sequence, Mapping)) and not len(option)):
        return {}
    if not isinstance(X, (dict, tuple)):
        if isinstance(option, Mapping):
            raise TypeError(f"Loader: {name} is a dict, but there is one input")
        return {None: option}
    keys = list(X) if isinstance(X, dict) else list(range(len(X)))
    if not isinstance(option, Mapping):
        raise TypeError(f"Loader: there are {len(keys)} inputs: pass {name}={{{keys[0]!r}: ...}} to name one of them")
    unknown = [key for key in option if key not in keys]
    if unknown:
        raise ValueError(f"Loader: {name} names the input {unknown[0]!r}; the inputs are {', '.join(map(repr, keys))}")
    return dict(option)


def _augmentations(augment: Any, X: Any) -> tuple[dict, list[Mix]]:
    if isinstance(augment, (Augmentation, Mix)) or (callable(augment) and not isinstance(augment, type)):
        augment = [augment]
    mixing: list[Mix] = []
    if not isinstance(augment, Mapping):
        augment = list(augment or ())
        mixing = [each for each in augment if isinstance(each, Mix)]
        augment = [each for each in augment if not isinstance(each, Mix)]
    chains = _per_input(augment, X, "augment")
    for chain in chains.values():
        for each in [chain] if callable(chain) else chain:
            if isinstance(each, type):
                raise TypeError(f"Loader: augment contains the class {each.__name__}: pass {each.__name__}()")
            if not callable(each):
                raise TypeError(f"Loader: augment contains {each!r}, expected augmentations such as Flip(), Rotate(15)")
    return {key: [chain] if callable(chain) else list(chain) for key, chain in chains.items()}, mixing


def _for_each(options: dict, inputs: Any, function: Callable[[Any, Any], Any]) -> Any:
    """Apply the function with each option to the input it belongs to."""
    if None in options:
        return function(options[None], inputs)
    for key, option in options.items():
        if isinstance(inputs, tuple):
            inputs = tuple(function(option, x) if k == key else x for k, x in enumerate(inputs))
        else:
            inputs = {k: function(option, x) if k == key else x for k, x in inputs.items()}
    return inputs


def _augmented(chain: list, inputs: np.ndarray, seed: int, epoch: int, items: np.ndarray) -> np.ndarray:
    waiting: list[Augmentation] = []
    draws: list[Draws] = []
    for stream, augmentation in enumerate(chain):
        numbers = Draws(seed, epoch, items, stream)
        if isinstance(augmentation, Augmentation):
            inputs = inputs if waiting else checked_pictures(inputs)
            waiting.append(augmentation)
            draws.append(numbers)
            continue
        inputs = augmentation(apply_all(waiting, inputs, draws), numbers.generator())
        waiting, draws = [], []
    return apply_all(waiting, inputs, draws)
