"""Modes: how functions are compiled and run."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from symc.config import config, mode_name
from symc.errors import located

__all__ = ["Mode", "get_default_mode", "get_mode", "register_mode"]

REWRITING = ("fast_run", "fast_compile", "no_rewrite")
"""The extents of rewriting."""
_LINKERS = {"py": "interp"} | dict.fromkeys(["c", "c|py", "c|py_nogc", "c&py", "vm", "cvm", "vm_nogc", "cvm_nogc"], "")
"""Theano's names of ways to run a function, and the devices that they mean here; empty for the default."""
_OPTIMIZERS = {
    "default": "fast_run", "fast_run": "fast_run", "fast_run_stable": "fast_run", "merge": "no_rewrite",
    "fast_compile": "fast_compile", "none": "no_rewrite", "no_rewrite": "no_rewrite", "stabilize": "fast_compile",
    "o4": "fast_run", "o3": "fast_run", "o2": "fast_run", "o1": "fast_compile",
}  # fmt: skip


class Mode:
    """How a function is compiled and run: the argument ``mode`` of ``symc.function``.

    Parameters
    ----------
    linker : str, optional
        ``"py"`` runs the loops in the interpreter; Theano's other names (``"c"``, ``"cvm"``, ``"c|py"``, ...) and None
        mean the device of the function.
    optimizer : str or None
        The extent of rewriting: ``"fast_run"`` (all rules), ``"fast_compile"`` (rules for stability and structure),
        ``"no_rewrite"`` or None (rules for stability alone). ``"default"`` is the extent of ``symc.config.mode``.

    Raises
    ------
    ValueError
        For an unknown name.

    Examples
    --------
    >>> f = symc.function([x], T.exp(x), mode=symc.Mode(linker="py", optimizer="fast_compile"))
    """

    def __init__(self, linker: str | None = None, optimizer: Any = "default") -> None:
        linker = getattr(linker, "name_in_mode", linker)  # objects of old programs
        if linker is not None and linker not in _LINKERS:
            raise ValueError(located(f"Mode: linker must be one of {', '.join(_LINKERS)}, got {linker!r}"))
        name = "none" if optimizer is None else str(optimizer).lower()
        if name not in _OPTIMIZERS:
            known = ", ".join(_OPTIMIZERS)
            raise ValueError(located(f"Mode: optimizer must be None or one of {known}, got {optimizer!r}"))
        self.linker = linker
        self.optimizer = optimizer
        usual = config.mode if config.mode in REWRITING else "fast_run"
        self.rewriting = usual if name == "default" else _OPTIMIZERS[name]

    @property
    def device(self) -> str | None:
        """The device that the linker asks for; None for that of the function."""
        return _LINKERS.get(self.linker or "") or None

    def including(self, *tags: str) -> Mode:
        """Return the mode itself: rules are not chosen by tags. Accepted for old programs."""
        return self

    excluding = requiring = including

    def clone(self, **changes: Any) -> Mode:
        """Copy the mode with other arguments."""
        return type(self)(**{"linker": self.linker, "optimizer": self.optimizer, **changes})

    runs_whole = True
    """Whether calls run the compiled program and nothing else, so that they may take the fast path."""

    def run(self, specialisation: Any, arrays: list[Any]) -> list[Any] | None:
        """Compute the results of a call; see ``symc.runtime.specialisation``."""
        return specialisation.run(arrays)  # type: ignore[no-any-return]

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), self.linker, self.rewriting))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(linker={self.linker!r}, optimizer={self.optimizer!r})"


def _extent(name: str) -> Callable[[], Mode]:
    return lambda: Mode(optimizer=name)


_MODES: dict[str, Callable[[], Mode]] = {name: _extent(name) for name in REWRITING}


def register_mode(name: str, make: Callable[[], Mode]) -> None:
    """Give a mode a name, under which ``symc.function`` and ``symc.config.mode`` know it, in any letter case."""
    _MODES[mode_name(name)] = make


def get_mode(mode: Any = None) -> Mode:
    """Look up a mode by its name, in any letter case; None is the mode of ``symc.config.mode``.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    if isinstance(mode, Mode):
        return mode
    name = config.mode if mode is None else mode_name(mode)
    make = _MODES.get(name) if isinstance(name, str) else None
    if make is None:
        known = ", ".join(map(repr, _MODES))
        near = get_close_matches(str(name), _MODES, 1)
        text = f"function: mode must be a Mode or one of {known}, got {mode!r}"
        raise ValueError(located(text, [], f"write {near[0]!r}" if near else None))
    return make()


def get_default_mode() -> Mode:
    """The mode of ``symc.config.mode``."""
    return get_mode()
