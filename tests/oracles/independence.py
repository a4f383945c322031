"""A check that oracles do not call the code under test."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ["Watch", "in_modules"]


def in_modules(*prefixes: str) -> Callable[[FrameType], bool]:
    """Is a frame's module one of these, or inside one of these packages?"""

    def inside(frame: FrameType) -> bool:
        name = frame.f_globals.get("__name__", "")
        return any(name == p or name.startswith(p + ".") for p in prefixes)

    return inside


class Watch:
    """A context that notes in ``seen`` the names of Python functions called whose frames are ``forbidden``."""

    def __init__(self, forbidden: Callable[[FrameType], bool]) -> None:
        self.forbidden = forbidden
        self.seen: set[str] = set()

    def __enter__(self) -> Watch:
        self.before = sys.getprofile(), gc.isenabled()
        gc.disable()  # finalizers of earlier tests' objects are no calls of the oracle
        sys.setprofile(self._note)
        return self

    def _note(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and self.forbidden(frame):
            self.seen.add(frame.f_code.co_qualname)

    def __exit__(self, *exception: Any) -> None:
        sys.setprofile(self.before[0])
        if self.before[1]:
            gc.enable()
