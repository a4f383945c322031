"""Saving and loading the state of a trainer, copies, and pickles."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from symc.errors import warn

from .checkpoint import read_checkpoint, write_checkpoint
from .run import Run

__all__ = ["Saving"]

_FUNCTIONS = ("_step", "_step_key", "_evaluations", "_predict", "_signature")


class Saving:
    """The part of :class:`Trainer` that saves and loads its state."""

    objective: Any
    history: dict[str, list[float]]
    epoch: int
    run: Run
    callbacks: list[Any]
    seed: int
    batch_size: int
    _loaded: bool
    rate_factor: float
    weights_from: str
    between_epochs: bool
    _begun: bool
    _step: Any
    _pending: dict[str, np.ndarray]
    _generations: dict[Any, int]
    _callback_states: list[Any]

    def save(self, path: str | os.PathLike) -> None:
        """Save the state of training to a file, from which :meth:`load` continues with the same bits.

        The file holds the parameters and averages of batch normalisation by name (``conv1.W``), the state of the
        optimiser (``adam.m/conv1.W``), of random streams (``random/dropout.0``), the best weights (``best/conv1.W``),
        and in its metadata the number of epochs, the history, the seed of the order of items and the states of
        callbacks. It holds no code, and not the network.

        Parameters
        ----------
        path : path
            A ``.safetensors`` file, which is replaced atomically: a program that is killed leaves the old or the new
            file.

        Raises
        ------
        ValueError
            If the path has another suffix, or if called in the middle of an epoch, from ``on_batch_end``.

        Notes
        -----
        After :meth:`fit` was interrupted in the middle of an epoch, a resumed call trains that epoch from its
        beginning, with the weights that the network has.
        """
        if not self.between_epochs:
            raise ValueError("save: an epoch is not complete, so training could not continue: save in on_epoch_end")
        arrays, state = self._snapshot()
        write_checkpoint(path, arrays, state)

    def load(self, path: str | os.PathLike) -> None:
        """Load a state that :meth:`save` wrote, into a trainer with the same settings and a network of the same form.

        ``fit(..., resume=True)`` then continues the interrupted call; ``fit`` without it begins a new one.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is damaged or belongs to another network. Nothing is changed.
        """
        arrays, state = read_checkpoint(path)
        try:
            self._take_over(arrays, state, str(path))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is not a checkpoint of this version, or is damaged: {error!r}") from error

    def _snapshot(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        names = self.objective.names
        arrays = {name: param.get_value() for param, name in names.items()}
        states = dict(self._pending) if self._step is None else self._step.values()
        for group in (states, {f"best/{name}": value for name, value in self.run.best.items()}):
            twice = set(arrays) & set(group)
            if twice:
                raise ValueError(f"save: a parameter and a state share the name {sorted(twice)[0]!r}: rename the layer")
            arrays |= group
        run = self.run
        return arrays, {
            "epoch": self.epoch,
            "history": self.history,
            "seed": self.seed,
            "batch_size": self.batch_size,
            "rate_factor": self.rate_factor,
            "weights_from": self.weights_from,
            "begun": self._begun,
            "states": list(states),
            "generations": {names[param]: number for param, number in self._generations.items() if param in names},
            "run": {
                "first": run.first, "best_epoch": run.best_epoch, "scores": run.scores, "stopped": run.stopped,
            },
            "callbacks": [callback.state() for callback in self.callbacks] or self._callback_states,
        }  # fmt: skip

    def _take_over(self, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any], source: str) -> None:
        names = {name: param for param, name in self.objective.names.items()}
        best = {name[5:]: value for name, value in arrays.items() if name.startswith("best/")}
        states = {name: arrays[name] for name in state["states"]}
        given = {name: value for name, value in arrays.items() if name not in states and not name.startswith("best/")}
        _compare(given, names, source)
        _compare(best, {name: names[name] for name in best if name in names}, source)
        run = state["run"]
        new = Run(int(run["first"]), run["best_epoch"], [float(s) for s in run["scores"]], best, str(run["stopped"]))
        history = {str(name): list(column) for name, column in state["history"].items()}
        generations = {names[name]: int(number) for name, number in state["generations"].items()}
        if state["batch_size"] != self.batch_size:
            warn(
                f"batch_size={self.batch_size}, but {source} was saved with {state['batch_size']}: training will not "
                "continue with the same bits"
            )
        epoch, seed, factor = int(state["epoch"]), int(state["seed"]), float(state["rate_factor"])
        for name, value in given.items():
            names[name].set_value(value)
        self.run, self.history, self.epoch, self.seed, self.rate_factor = new, history, epoch, seed, factor
        self._begun, self._generations = bool(state["begun"]), generations
        self._callback_states, self.callbacks = list(state["callbacks"]), []
        self._pending, self._loaded, self.between_epochs = states, True, True
        self.weights_from = str(state["weights_from"])
        self._step = None

    # Compiled functions are made again on first use: only their state is copied and pickled.

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in vars(self).items() if name not in _FUNCTIONS}
        state["_pending"] = dict(self._pending) if self._step is None else self._step.values()
        state["callbacks"] = []
        state["_callback_states"] = [callback.state() for callback in self.callbacks] or self._callback_states
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        introduced = state["_introduced"]
        vars(self).update(state)
        self._forget_functions()
        self._introduced = introduced

    def _forget_functions(self) -> None:
        raise TypeError(f"{type(self).__name__} is not a trainer")


def _compare(values: Mapping[str, np.ndarray], params: Mapping[str, Any], source: str) -> None:
    """Check that values fit parameters in names, shapes and dtypes.

    Raises
    ------
    ValueError
        If they do not.
    """
    missing, extra = [n for n in params if n not in values], [n for n in values if n not in params]
    if missing or extra:
        raise ValueError(
            f"{source} belongs to another network; nothing was loaded. Missing from the file: "
            f"{', '.join(missing[:8]) or 'nothing'}; extra in the file: {', '.join(extra[:8]) or 'nothing'}"
        )
    for name, param in params.items():
        here, there = param.get_value(borrow=True), values[name]
        if here.shape != there.shape or here.dtype != there.dtype:
            raise ValueError(
                f"{source} belongs to another network; nothing was loaded. {name} is {here.dtype} {here.shape} in the "
                f"network, {there.dtype} {there.shape} in the file"
            )
