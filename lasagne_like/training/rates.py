"""Learning rates: one for all parameters, or one per group of layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

import symc

from ..layers import Layer
from ..utils import suggest
from .choices import name_of
from .graphs import Objective
from .schedules import Constant, Schedule, as_schedule

__all__ = ["Rates"]


class Rates:
    """Learning rates by pattern of layer names.

    Parameters
    ----------
    spec : float, callable, or mapping of str to these
        See :class:`Trainer`.
    objective : Objective
    shared : dict of str to SharedVariable, optional
        The variables of earlier rates, which are used again if the patterns are the same.

    Attributes
    ----------
    shared : dict of str to SharedVariable
        The current rate of each pattern.

    Raises
    ------
    ValueError, TypeError
        If a pattern matches no layer, or a rate is no rate.
    """

    def __init__(self, spec: Any, objective: Objective, shared: Mapping[str, Any] | None = None) -> None:
        self.grouped = isinstance(spec, Mapping)
        if self.grouped and not spec:
            raise ValueError("learning_rate={}: expected at least one pattern, such as {'*': 1e-3}")
        entries = spec if isinstance(spec, Mapping) else {"*": spec}
        self.schedules: dict[str, Schedule] = {str(name): as_schedule(rate) for name, rate in entries.items()}
        self.objective = objective
        for pattern, schedule in self.schedules.items():
            _checked(schedule(0), pattern)
        if self.grouped:
            names = [name for layer in objective.layers if (name := self._name(layer)) is not None]
            for pattern in self.schedules:
                if not any(fnmatchcase(name, pattern) for name in names) and pattern != "*":
                    raise ValueError(
                        f"learning_rate: no layer's name matches {pattern!r}{suggest(pattern, names)}; names: "
                        f"{', '.join(names) or 'none; name the layers'}"
                    )
        if shared is not None and list(shared) == list(self.schedules):
            self.shared = dict(shared)
            return
        self.shared = {
            pattern: symc.shared(np.asarray(schedule(0), symc.config.floatX), name="learning_rate")
            for pattern, schedule in self.schedules.items()
        }

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns and the identities of their variables: what compiled functions depend on."""
        return tuple(f"{pattern} {id(shared)}" for pattern, shared in self.shared.items())

    @property
    def schedule(self) -> Any:
        """The schedule, or a dict of schedules by pattern."""
        return self.schedules if self.grouped else self.schedules["*"]

    def at(self, epoch: int) -> dict[str, float]:
        """Return the rates of an epoch by pattern."""
        return {name: _checked(schedule(epoch), name) for name, schedule in self.schedules.items()}

    def set(self, rates: Mapping[str, float]) -> None:
        """Set the shared variables."""
        for pattern, rate in rates.items():
            self.shared[pattern].set_value(np.asarray(rate, symc.config.floatX))

    def _name(self, layer: Layer) -> str | None:
        network = self.objective.network
        if isinstance(network, Mapping):
            for key, value in network.items():
                if value is layer:
                    return key
        return layer.name

    def assign(self, params: Sequence[Any]) -> dict[Any, str]:
        """Return the pattern of each parameter: the first that matches the name of a layer that holds it.

        Raises
        ------
        ValueError
            If no pattern matches.
        """
        if not self.grouped:
            return dict.fromkeys(params, "*")
        found: dict[Any, str] = {}
        for pattern in self.schedules:
            for layer in self.objective.layers:
                if pattern == "*" or fnmatchcase(self._name(layer) or "", pattern):
                    for param in layer.get_params():
                        found.setdefault(param, pattern)
        left = [self.objective.names[param] for param in params if param not in found]
        if left:
            raise ValueError(
                f"learning_rate: no pattern matches the layers of {', '.join(left[:5])}: add an entry '*' for the rest"
            )
        return {param: found[param] for param in params}

    def describe(self) -> str:
        """Describe the rates for the report."""
        if not self.grouped:
            return f", learning rate {_text(self.schedules['*'])}"
        return ", learning rates " + ", ".join(f"{name}: {_text(rate)}" for name, rate in self.schedules.items())


def _text(schedule: Schedule) -> str:
    if isinstance(schedule, Constant):
        return f"{schedule.rate:g}"
    return repr(schedule) if is_dataclass(schedule) else name_of(schedule)


def _checked(rate: Any, pattern: str) -> float:
    try:
        number = float(rate)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        where = "" if pattern == "*" else f" of {pattern!r}"
        raise ValueError(f"learning_rate: the schedule{where} returned {rate!r}, expected a finite number from 0")
    return number
