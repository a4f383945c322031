"""Modes of compilation under Theano's names."""

from __future__ import annotations

from typing import Any

from symc.compat.flags import mode_named
from symc.config import config

__all__ = [
    "FAST_COMPILE", "FAST_RUN", "Mode", "ProfileMode", "ProfileStats", "as_mode", "get_default_mode",
    "get_mode", "predefined_linkers", "predefined_modes", "register_mode",
]  # fmt: skip


class Mode:
    """A mode with a linker and an optimiser by name: ``optimizer=None`` compiles without rewrites.

    Tags of rewrites that are included or excluded have no effect, since there is no database of them.
    """

    def __init__(self, linker: Any = None, optimizer: Any = "default", **ignored: Any) -> None:
        self.linker = linker
        self.optimizer = optimizer
        known = isinstance(optimizer, str) and optimizer != "default"
        self.name = "no_rewrite" if optimizer is None else mode_named(optimizer) if known else config.mode

    def including(self, *tags: str) -> Mode:
        """This mode."""
        return self

    def excluding(self, *tags: str) -> Mode:
        """This mode."""
        return self

    def requiring(self, *tags: str) -> Mode:
        """This mode."""
        return self

    def clone(self, **changes: Any) -> Mode:
        """A mode with the same settings, some of them changed."""
        return Mode(changes.get("linker", self.linker), changes.get("optimizer", self.optimizer))

    def register(self, *rewrites: Any) -> Mode:
        """This mode: rewrites belong to ``symc.compiler.rewrite``."""
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mode) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __str__(self) -> str:
        return self.name


class _Named(Mode):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


def ProfileMode(*args: Any, **kwargs: Any) -> Mode:  # noqa: N802 - the name of a class in Theano
    """The mode ``fast_run``; pass ``profile=True`` to ``function`` to time it."""
    return _Named("fast_run")


class ProfileStats:
    """What ``profile=`` of ``function`` may be: stands for True."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __bool__(self) -> bool:
        return True


FAST_RUN = _Named("fast_run")
FAST_COMPILE = _Named("fast_compile")
predefined_modes: dict[str, Mode] = {"FAST_RUN": FAST_RUN, "FAST_COMPILE": FAST_COMPILE}
predefined_linkers: dict[str, Any] = {name: name for name in ("py", "c", "c|py", "c&py", "vm", "cvm")}


def register_mode(name: str, mode: Mode) -> None:
    """Give a mode a name."""
    predefined_modes[name] = mode


def get_mode(mode: Any = None) -> Any:
    """The mode of a name, the default mode for None, and any other mode itself."""
    if mode is None:
        return get_default_mode()
    if isinstance(mode, str):
        return predefined_modes.get(mode) or _Named(mode_named(mode))
    return mode


def get_default_mode() -> Mode:
    """The mode that ``theano.config.mode`` names."""
    return _Named(config.mode)


def as_mode(mode: Any) -> Any:
    """What ``symc.function`` takes as mode."""
    if isinstance(mode, str):
        return mode_named(mode)
    return mode.name if isinstance(mode, Mode) else mode
