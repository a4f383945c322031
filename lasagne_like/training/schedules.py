"""Learning-rate schedules: functions from the epoch (0, 1, ...) to the learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..naming import check_takes, names_constructor

__all__ = [
    "Constant",
    "Cosine",
    "Exponential",
    "OneCycle",
    "Piecewise",
    "Schedule",
    "StepDecay",
    "Warmup",
    "as_schedule",
    "cosine",
    "step_decay",
]

Schedule = Callable[[int], float]


@names_constructor
@dataclass(frozen=True)
class Constant:
    """The same learning rate in every epoch.

    Parameters
    ----------
    rate : float
        The learning rate.
    """

    rate: float

    def __post_init__(self) -> None:
        _require_numbers(self, "rate")

    def __call__(self, epoch: int) -> float:
        return self.rate


@names_constructor
@dataclass(frozen=True)
class Cosine:
    r"""Half a cosine: :math:`end + (start - end)(1 + \cos(\pi\, epoch / epochs)) / 2`.

    Parameters
    ----------
    start : float
        The learning rate of epoch 0.
    epochs : int
        The number of epochs over which the rate decreases; from then on it is `end`.
    end : float
        The learning rate of epoch `epochs`.

    References
    ----------
    .. [1] Loshchilov, Hutter (2017): SGDR: stochastic gradient descent with warm restarts. ICLR.
    """

    start: float
    epochs: int
    end: float = 0.0

    def __post_init__(self) -> None:
        _require_numbers(self, "start", "end")
        _require(self.epochs >= 1, self, "epochs", "at least 1")

    def __call__(self, epoch: int) -> float:
        return self.end + (self.start - self.end) * 0.5 * (1 + math.cos(math.pi * min(epoch / self.epochs, 1)))


@names_constructor
@dataclass(frozen=True)
class StepDecay:
    """Multiply the learning rate by a factor at regular intervals: ``start * factor ** (epoch // every)``.

    Parameters
    ----------
    start : float
        The learning rate of epoch 0.
    every : int
        The number of epochs between two changes.
    factor : float
        The factor.
    """

    start: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        _require_numbers(self, "start", "factor")
        _require(self.every >= 1, self, "every", "at least 1")

    def __call__(self, epoch: int) -> float:
        return self.start * self.factor ** (epoch // self.every)


@names_constructor
@dataclass(frozen=True)
class Exponential:
    """Multiply the learning rate by a factor after every epoch: ``start * factor ** epoch``.

    Parameters
    ----------
    start : float
        The learning rate of epoch 0.
    factor : float
        The factor, usually a little below 1.
    """

    start: float
    factor: float

    def __post_init__(self) -> None:
        _require_numbers(self, "start", "factor")

    def __call__(self, epoch: int) -> float:
        return self.start * self.factor**epoch


@names_constructor
@dataclass(frozen=True)
class Piecewise:
    """Constant learning rates between given epochs.

    Parameters
    ----------
    rates : mapping of int to float
        The learning rate from each epoch on. Epoch 0 must be among them.

    Examples
    --------
    >>> rate = Piecewise({0: 0.1, 10: 0.01})
    >>> rate(9), rate(10), rate(99)
    (0.1, 0.01, 0.01)
    """

    rates: Mapping[int, float]

    def __post_init__(self) -> None:
        _require(isinstance(self.rates, Mapping), self, "rates", "a dict from the first epoch to the rate")
        _require(0 in self.rates, self, "rates", "an entry for epoch 0")
        _require(all(map(_is_rate, self.rates.values())), self, "rates", "finite numbers from 0")

    def __call__(self, epoch: int) -> float:
        return self.rates[max(first for first in self.rates if first <= epoch)]


@names_constructor
@dataclass(frozen=True)
class Warmup:
    """Increase the learning rate linearly before another schedule starts.

    Parameters
    ----------
    epochs : int
        The number of epochs of the increase: epoch ``k`` of these has the rate ``(k + 1) / (epochs + 1)`` times that of
        the first epoch of `then`.
    then : float or callable
        The schedule that follows; its epoch 0 is the epoch after the increase.
    """

    epochs: int
    then: float | Schedule

    def __post_init__(self) -> None:
        _require(self.epochs >= 0, self, "epochs", "at least 0")

    def __call__(self, epoch: int) -> float:
        then = as_schedule(self.then)
        if epoch < self.epochs:
            return then(0) * (epoch + 1) / (self.epochs + 1)
        return then(epoch - self.epochs)


@names_constructor
@dataclass(frozen=True)
class OneCycle:
    r"""One rise and one fall: from ``peak / divide`` to `peak`, then to almost nothing, along halves of cosines.

    Parameters
    ----------
    peak : float
        The largest learning rate.
    epochs : int
        The number of epochs of the whole cycle, at least 2; later epochs keep the last rate.
    rise : float
        The part of the epochs in which the rate increases, between 0 and 1.
    divide : float
        The rate of epoch 0 is ``peak / divide``.
    end : float
        The rate of the last epoch is ``peak / end``.

    References
    ----------
    .. [1] Leslie Smith and Nicholay Topin (2018): Super-convergence: very fast training of neural networks using large
           learning rates. arXiv:1708.07120.
    """

    peak: float
    epochs: int
    rise: float = 0.3
    divide: float = 25.0
    end: float = 1e4

    def __post_init__(self) -> None:
        _require_numbers(self, "peak")
        _require(self.epochs >= 2, self, "epochs", "at least 2")
        _require(0 < self.rise < 1, self, "rise", "a number between 0 and 1")
        _require(self.divide >= 1, self, "divide", "at least 1")
        _require(self.end >= 1, self, "end", "at least 1")

    def __call__(self, epoch: int) -> float:
        at, top = min(epoch, self.epochs - 1), self.rise * (self.epochs - 1)
        if at < top:
            low, part = self.peak / self.divide, 1 - at / top
        else:
            low, part = self.peak / self.end, (at - top) / (self.epochs - 1 - top)
        return low + (self.peak - low) * 0.5 * (1 + math.cos(math.pi * part))


def _is_rate(value: Any) -> bool:
    try:
        return not isinstance(value, str) and math.isfinite(value) and value >= 0
    except TypeError:
        return False


def _require_numbers(schedule: Any, *arguments: str) -> None:
    for argument in arguments:
        _require(_is_rate(getattr(schedule, argument)), schedule, argument, "a finite number from 0")


def _require(condition: bool, schedule: Any, argument: str, expected: str) -> None:
    if not condition:
        raise ValueError(f"{type(schedule).__name__}: {argument}={getattr(schedule, argument)!r}, expected {expected}")


cosine = Cosine
step_decay = StepDecay


def as_schedule(rate: Any) -> Schedule:
    """Return a schedule from a number or a function of the epoch.

    Raises
    ------
    ValueError
        If the number is negative or not finite.
    TypeError
        If `rate` is neither a number nor a function of one argument.
    """
    if isinstance(rate, type):
        raise TypeError(f"learning_rate must be a number or a schedule, got the class {rate.__name__}: call it")
    if callable(rate):
        check_takes("learning_rate", rate, "epoch")
        return rate
    try:
        number = float(rate)
    except (TypeError, ValueError):
        number = None
    if number is None or isinstance(rate, str):
        known = "Constant, Cosine, StepDecay, Exponential, OneCycle, Piecewise, Warmup"
        raise TypeError(
            f"learning_rate={rate!r}: expected a number, a function from the epoch to a number, such as "
            f"Cosine(0.01, epochs=20), or a mapping from layer names to these. The schedules of "
            f"lasagne_like.training are {known}"
        )
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"learning_rate={rate!r}: expected a finite number from 0")
    return Constant(number)
