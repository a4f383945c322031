"""The measured problems: names, sizes and the data that every contestant receives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["MOMENTUM", "PROBLEMS", "RATE", "Data", "Problem"]

Data = dict[str, np.ndarray]

RATE, MOMENTUM = 0.01, 0.9
"""What both training problems learn with: ``v = MOMENTUM * v - RATE * g; p = p + v``."""


@dataclass(frozen=True)
class Problem:
    """One row of the table.

    Attributes
    ----------
    name, title : str
    data : callable
        ``data(quick)`` makes the arrays, always the same ones; ``quick`` asks for small ones.
    tolerance : float
        Relative difference allowed between what two contestants compute.
    calls : int
        Calls in one timed repeat: more than one where a single call is too short for the clock.
    """

    name: str
    title: str
    data: Callable[[bool], Data]
    tolerance: float = 2e-4
    calls: int = 1


def _normal(rng: np.random.Generator, *shape: int, scale: float = 1.0) -> np.ndarray:
    return (scale * rng.standard_normal(shape)).astype("float32")


def chain(quick: bool, elements: int = 10_000_000) -> Data:
    rng = np.random.default_rng(1)
    n = min(elements, 1_000_000) if quick else elements
    return {"a": _normal(rng, n), "b": _normal(rng, n)}


def rows(quick: bool, number: int = 4096, length: int = 1024) -> Data:
    return {"x": _normal(np.random.default_rng(2), min(number, 512) if quick else number, length)}


def long_vector(quick: bool) -> Data:
    return {"x": 3 + _normal(np.random.default_rng(3), 1_000_000 if quick else 10_000_000)}


def _batch(rng: np.random.Generator, number: int, *image: int) -> Data:
    return {"x": _normal(rng, number, *image), "y": rng.integers(0, 10, number)}


def _dense(rng: np.random.Generator, number: int, inputs: int, units: int) -> Data:
    return {f"W{number}": _normal(rng, inputs, units, scale=inputs**-0.5), f"b{number}": np.zeros(units, "float32")}


def mlp(quick: bool, batch: int = 128) -> Data:
    rng = np.random.default_rng(4)
    return _batch(rng, batch, 784) | _dense(rng, 1, 784, 256) | _dense(rng, 2, 256, 256) | _dense(rng, 3, 256, 10)


def lenet(quick: bool, batch: int = 128) -> Data:
    rng = np.random.default_rng(5)
    filters = {
        "K1": _normal(rng, 20, 1, 5, 5, scale=0.2), "c1": np.zeros(20, "float32"),
        "K2": _normal(rng, 50, 20, 5, 5, scale=0.045), "c2": np.zeros(50, "float32"),
    }  # fmt: skip
    return _batch(rng, batch, 1, 28, 28) | filters | _dense(rng, 1, 800, 256) | _dense(rng, 2, 256, 10)


def two_vectors(quick: bool) -> Data:
    rng = np.random.default_rng(6)
    return {"a": _normal(rng, 100), "b": _normal(rng, 100)}


PROBLEMS = {
    p.name: p
    for p in (
        Problem("chain", "tanh(a)*exp(-b*b)+log1p(abs(a)), 10 M floats", chain),
        Problem("softmax", "softmax over the rows of 4096 x 1024", rows),
        Problem("variance", "variance of 10 M floats", long_vector, tolerance=1e-3),
        Problem("mlp", "784-256-256-10, training step, batch 128, momentum", mlp, tolerance=2e-3, calls=10),
        Problem("lenet", "20C5-MP2-50C5-MP2-FC256-FC10, training step, batch 128, momentum", lenet, tolerance=2e-3),
        Problem("call", "call overhead: a + b of two 100-vectors", two_vectors, calls=1000),
    )
}
