"""Copying weights between networks."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

from ..files import LoadReport, Network, assign_weights, name_params

__all__ = ["copy_weights"]


def copy_weights(
    source: Network, target: Network, pattern: str | Iterable[str] = "*", *, strict: bool = True
) -> LoadReport:
    """Copy parameter values from one network to another, by name.

    Parameters
    ----------
    source, target : Layer, list of Layer, or dict of str to Layer
        The networks; see :func:`lasagne_like.files.name_params` for the names of their parameters.
    pattern : str or list of str
        Shell-style patterns of the parameter names to copy, such as ``"conv*"``.
    strict : bool
        Whether the selected parameters must match in names and shapes. If False, those that match are copied.

    Returns
    -------
    LoadReport
        What was copied and what was not.

    Raises
    ------
    lasagne_like.files.WeightsMismatchError
        If `strict` is True and names or shapes do not match. Nothing is copied.
    ValueError
        If the pattern matches no parameter of the source.
    """
    patterns = [pattern] if isinstance(pattern, str) else list(pattern)

    def chosen(network: Network) -> dict[str, Any]:
        named = name_params(network)
        return {name: param for name, param in named.items() if any(fnmatchcase(name, p) for p in patterns)}

    values = {name: param.get_value() for name, param in chosen(source).items()}
    if not values:
        raise ValueError(f"pattern={pattern!r} matches no parameter of the source: {', '.join(name_params(source))}")
    return assign_weights(values, chosen(target), strict=strict, source="the source network")
