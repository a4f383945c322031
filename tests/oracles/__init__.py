"""Expected results of every public function, computed without symc: with NumPy, SciPy, or a formula.

``TABLE`` maps a public name, relative to ``symc.tensor`` (``"exp"``, ``"nnet.conv2d"``, ``"Variable.norm"``), to its
examples. ``tests/test_oracles.py`` runs them, checks that no oracle calls into symc, and refuses public functions that
have no entry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Example", "Table", "draw", "example", "same", "whole"]


@dataclass(frozen=True)
class Example:
    """``build`` on symbolic variables must give what ``oracle`` gives on arrays.

    Attributes
    ----------
    build : callable
        From variables, one per value, to an expression or a list of expressions.
    oracle : callable
        From arrays to an array or a list of arrays. Float arrays come as float64 whatever the dtype under test.
    values : tuple of ndarray
        float64 arrays are converted to the float dtype under test; others keep their dtype.
    rtol : float
        Relative and absolute tolerance in float64; float32 has one of its own.
    """

    build: Callable[..., Any]
    oracle: Callable[..., Any]
    values: tuple[np.ndarray, ...]
    rtol: float = 1e-10


Table = dict[str, list[Example]]


def example(build: Callable[..., Any], oracle: Callable[..., Any], *values: Any, rtol: float = 1e-10) -> Example:
    """An example for the given values, which may be nested lists."""
    return Example(build, oracle, tuple(np.asarray(v) for v in values), rtol)


def same(spelled: Callable[..., Any], *values: Any) -> Example:
    """An example of an operator or a method that NumPy's arrays have too, under the same spelling."""
    return example(spelled, spelled, *values)


def draw(*shape: int, low: float = -2.0, high: float = 2.0, seed: int = 0) -> np.ndarray:
    """Floats from [low, high) that float32 holds exactly, so that both dtypes see the same numbers."""
    drawn = np.random.default_rng([seed, *shape]).uniform(low, high, shape)
    return np.asarray(drawn.astype("float32").astype("float64"))


def whole(*shape: int, low: int = 0, high: int = 4, dtype: str = "int64", seed: int = 0) -> np.ndarray:
    """Whole numbers from [low, high)."""
    return np.random.default_rng([seed, *shape]).integers(low, high, shape).astype(dtype)
