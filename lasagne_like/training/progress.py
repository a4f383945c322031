"""Progress within an epoch, where a person watches: on a terminal and in a notebook, and nowhere else."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["Progress", "epoch_line", "person_watches"]


def _in_notebook() -> bool:
    """Whether the program runs in the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"


def person_watches() -> bool:
    """Whether standard error is a terminal, or the program runs in a notebook."""
    return _in_notebook() or bool(getattr(sys.stderr, "isatty", lambda: False)())


class Progress:
    """A progress bar over the batches of an epoch, or nothing if nobody watches.

    Parameters
    ----------
    batches : iterable
    total : int
        The number of batches; 0 if it is unknown.
    text : str
        What is shown before the bar.
    shown : bool
        Whether to show the bar if a person watches.
    """

    def __init__(self, batches: Iterable, total: int, text: str, shown: bool) -> None:
        self._batches = batches
        self._bar: Any = None
        if shown and person_watches():
            self._bar = _bar_class()(batches, desc=text, total=total or None, unit="batch", leave=False)

    def __iter__(self) -> Iterator:
        return iter(self._batches if self._bar is None else self._bar)

    def show(self, **values: float) -> None:
        """Show values after the bar."""
        if self._bar is not None:
            self._bar.set_postfix({name: f"{value:.4f}" for name, value in values.items()}, refresh=False)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()


def _bar_class() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a notebook without widgets gets the bar of a terminal
        if _in_notebook() and importlib.util.find_spec("ipywidgets") is not None:
            from tqdm.notebook import tqdm
        else:
            from tqdm.std import tqdm
    return tqdm


def epoch_line(record: Mapping[str, float]) -> str:
    """Format the record of an epoch as one line."""
    parts = [f"epoch {record['epoch']:3.0f}"]
    for name, value in record.items():
        kind, _, quantity = name.partition("_")
        if kind not in ("train", "valid") or not quantity:
            continue
        text = f"{kind} {quantity.replace('_', ' ')}"
        short = quantity.rpartition(".")[2]
        share = short in ("error", "accuracy") or (short.startswith("top") and short[3:].isdigit())
        parts.append(f"{text} {100 * value:.2f} %" if share else f"{text} {value:.4f}")
    return "  ".join([*parts, f"{record['seconds']:.1f} s"])
