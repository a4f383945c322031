"""Modes of compilation under Theano's names that ``symc`` does not have."""

from __future__ import annotations

from typing import Any

import symc
import symc.runtime.debug_mode
from symc.runtime.mode import Mode

__all__ = [
    "BadDestroyMap", "BadOptimization", "BadThunkOutput", "BadViewMap", "DebugMode", "DebugModeError",
    "InvalidValueError", "StochasticOrder",
    "FAST_COMPILE", "FAST_RUN", "ProfileMode", "ProfileStats", "predefined_linkers", "predefined_modes",
    "register_mode",
]  # fmt: skip


class DebugMode(symc.DebugMode):
    """``symc.DebugMode`` with the arguments of Theano's: those that tell what to compare with what have no effect."""

    def __init__(
        self,
        optimizer: Any = "fast_run",
        stability_patience: int | None = None,
        check_c_code: bool | None = None,
        check_py_code: bool | None = None,
        check_isfinite: bool | None = None,
        check_preallocated_output: str | None = None,
        require_matching_strides: Any = None,
        linker: Any = None,
        **own: Any,
    ) -> None:
        if check_c_code is False and check_py_code is False:
            raise ValueError("DebugMode has to check at least one of c and py code")
        super().__init__("default" if optimizer == "fast_run" else optimizer, None, **own)
        self.check_isfinite = check_isfinite


DebugModeError = BadThunkOutput = BadOptimization = InvalidValueError = symc.runtime.debug_mode.DebugModeError
BadDestroyMap = BadViewMap = StochasticOrder = DebugModeError


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
