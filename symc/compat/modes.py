"""Modes of compilation under Theano's names that ``symc`` does not have."""

from __future__ import annotations

from typing import Any

from symc.runtime.mode import Mode

__all__ = [
    "FAST_COMPILE", "FAST_RUN", "ProfileMode", "ProfileStats", "predefined_linkers", "predefined_modes",
    "register_mode",
]  # fmt: skip


def ProfileMode(*args: Any, **kwargs: Any) -> Mode:  # noqa: N802 - the name of a class in Theano
    """The mode ``fast_run``; pass ``profile=True`` to ``function`` to time it."""
    return Mode(optimizer="fast_run")


class ProfileStats:
    """What ``profile=`` of ``function`` may be: stands for True."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __bool__(self) -> bool:
        return True


FAST_RUN = Mode(optimizer="fast_run")
FAST_COMPILE = Mode(optimizer="fast_compile")
predefined_modes: dict[str, Any] = {"FAST_RUN": FAST_RUN, "FAST_COMPILE": FAST_COMPILE, "ProfileMode": ProfileMode()}
predefined_linkers: dict[str, Any] = {name: name for name in ("py", "c", "c|py", "c&py", "vm", "cvm")}


def register_mode(name: str, mode: Any) -> None:
    """Give a mode a name, by which ``theano.function`` finds it."""
    if name in predefined_modes:
        raise ValueError(f"register_mode: there is a mode {name!r} already")
    predefined_modes[name] = mode
