"""The classes that a network predicts for a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Prediction"]


@dataclass(frozen=True, eq=False)
class Prediction:
    """The probabilities of all classes for one example.

    Attributes
    ----------
    probabilities : numpy.ndarray
        ``(classes,)``, float32, in the order of the network's outputs.
    classes : sequence of str
        The names of the classes.
    shown : int
        The number of classes that :attr:`top` contains and that are printed.
    """

    probabilities: np.ndarray
    classes: Sequence[str]
    shown: int = 5

    @property
    def label(self) -> str:
        """str : The most probable class."""
        return self.top[0][0]

    @property
    def probability(self) -> float:
        """float : The probability of :attr:`label`."""
        return self.top[0][1]

    @property
    def top(self) -> list[tuple[str, float]]:
        """list of (str, float) : The most probable classes with their probabilities, best first."""
        best = np.argsort(-self.probabilities, kind="stable")[: max(1, self.shown)]
        return [(self.classes[index], float(self.probabilities[index])) for index in best]

    def to_dict(self) -> dict[str, Any]:
        """Return the most probable classes as JSON has them: ``{"label": ..., "probability": ..., "top": [...]}``."""
        listed = [{"label": label, "probability": round(value, 6)} for label, value in self.top]
        return {**listed[0], "top": listed}

    def __str__(self) -> str:
        return "\n".join(f"{100 * value:6.2f} %  {label}" for label, value in self.top)

    def __repr__(self) -> str:
        return "<Prediction " + ", ".join(f"{label!r} {100 * value:.1f} %" for label, value in self.top) + ">"
