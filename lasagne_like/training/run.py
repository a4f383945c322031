"""The state of a call of ``Trainer.fit``."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

__all__ = ["Run"]


@dataclass
class Run:
    """The state of a call of ``fit`` that a resumed call continues.

    Attributes
    ----------
    first : int
        The number of epochs that were complete when it began.
    best_epoch : int or None
        The number of the best epoch.
    scores : list of float
        The values by which it was chosen: the monitored quantity, and the validation loss for ties.
    best : dict of str to numpy.ndarray
        The parameters at its end, without those that are not trained.
    stopped : str
        Why training ended early, or an empty string.
    """

    first: int
    best_epoch: int | None = None
    scores: list[float] = field(default_factory=list)
    best: dict[str, np.ndarray] = field(default_factory=dict)
    stopped: str = ""
