"""States of draws: a key and the number of the draw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from symc.graph import SharedVariable
from symc.tensor.options import integer

__all__ = ["RandomState", "StateArray", "checked_seed", "state_of"]


class StateArray(np.ndarray):
    """The value of a draw's state, ``(2,)`` uint64: the key and the number of the draw.

    ``seed`` restarts it, so that old programs which write ``value = x.rng.get_value(borrow=True)``,
    ``value.seed(23)``, ``x.rng.set_value(value, borrow=True)`` work.
    """

    def seed(self, seed: int | None = None) -> None:
        """Set the key that belongs to ``seed``, and the number 0."""
        key = np.random.SeedSequence(checked_seed(seed)).generate_state(1, np.uint64)[0]
        self[...] = np.array([key, 0], "uint64")

    def get_state(self) -> tuple[int, int]:
        """The key and the number of the draw."""
        return int(self[0]), int(self[1])

    def set_state(self, state: Sequence[int]) -> None:
        """Set what ``get_state`` returned."""
        self[...] = np.array([int(v) for v in state], "uint64")


def state_of(generator: np.random.RandomState) -> np.ndarray:
    """The state, a key and the number 0, that belongs to a generator of NumPy, which is not advanced."""
    words = np.random.RandomState()
    words.set_state(generator.get_state())
    high, low = words.randint(0, 2**32, size=2, dtype=np.uint64)
    return np.array([high << np.uint64(32) | low, 0], "uint64")


class RandomState(SharedVariable):
    """The state of a draw."""

    @classmethod
    def of(cls, variable: SharedVariable) -> RandomState:
        """A variable with the storage of ``variable``."""
        return cls(variable.type, variable.storage, variable.name, variable.strict, variable.allow_downcast)

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> Any:
        """Return the key and the number of the draw, as an array with the method ``seed``."""
        value = super().get_value(borrow, return_internal_type)
        return value.view(StateArray) if isinstance(value, np.ndarray) else value

    def set_value(self, new_value: Any, borrow: bool = False) -> None:
        """Replace the key and the number of the draw; a ``numpy.random.RandomState`` determines a key."""
        if isinstance(new_value, np.random.RandomState):
            new_value = state_of(new_value)
        super().set_value(new_value, borrow)

    def clone(self) -> RandomState:
        """Create a variable with the same storage and its own ``default_update``."""
        return RandomState.of(self)


def checked_seed(seed: Any) -> int:
    """Return a seed as an integer; None takes one from the operating system, a sequence is combined into one."""
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
    if isinstance(seed, Iterable) and not isinstance(seed, str):
        entries = [integer("RandomStreams", "an entry of the seed", s, least=0) for s in seed]
        return int(np.random.SeedSequence(entries).generate_state(1, np.uint64)[0])
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"RandomStreams: seed must be an integer from 0, or a sequence of them, got {seed!r}")
    return int(seed)
