"""Learning rates per parameter: what ``learning_rate`` of the optimisers may be besides a number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import symc

from .utils import suggest

__all__ = ["rate_of"]


def rate_of(learning_rate: Any, params: Sequence[Any]) -> Callable[[Any], Any]:
    """Return the function from a parameter to its learning rate.

    Parameters
    ----------
    learning_rate : float, scalar expression, mapping or callable
        One rate for all parameters; or a mapping whose keys are parameters, layers (for all their parameters) or
        patterns of names of parameters, as in ``{first: 1e-4, "conv*.W": 1e-3, "*": 1e-2}``, of which the first that
        matches counts; or a function from a parameter to its rate.
    params : sequence of shared variables

    Raises
    ------
    ValueError
        If a parameter has no rate, or a key of the mapping matches no parameter.
    TypeError
        If a rate is not a number or a scalar expression.
    """
    if isinstance(learning_rate, Mapping):
        found = _by_keys(learning_rate, params)
    elif callable(learning_rate) and not isinstance(learning_rate, symc.Variable):
        found = {param: learning_rate(param) for param in params}
    else:
        return lambda param: learning_rate
    for param, rate in found.items():
        _checked(rate, f" of {param}")
    return found.__getitem__


def _by_keys(rates: Mapping[Any, Any], params: Sequence[Any]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key, rate in rates.items():
        matching = _matching(key, params)
        if not matching and key != "*":
            names = [p.name for p in params if p.name]
            near = suggest(key, names) if isinstance(key, str) else ""
            raise ValueError(
                f"learning_rate: {key!r} matches no parameter{near}; parameters: {', '.join(names) or 'without names'}"
            )
        for param in matching:
            found.setdefault(param, rate)
    left = [str(param) for param in params if param not in found]
    if left:
        raise ValueError(f"learning_rate: no rate for {', '.join(left[:5])}: add an entry '*' for the rest")
    return {param: found[param] for param in params}


def _matching(key: Any, params: Sequence[Any]) -> list[Any]:
    if isinstance(key, str):
        return [p for p in params if key == "*" or fnmatchcase(p.name or "", key)]
    held = key.get_params() if hasattr(key, "get_params") else [key]
    return [p for p in params if any(p is other for other in held)]


def _checked(rate: Any, whose: str) -> None:
    scalar = rate.ndim == 0 if hasattr(rate, "ndim") else isinstance(rate, (int, float))
    if not scalar or isinstance(rate, bool):
        raise TypeError(
            f"learning_rate{whose}: expected a number or a scalar expression, got {rate!r}; a schedule belongs to a "
            "Trainer, or sets the value of a shared variable"
        )
