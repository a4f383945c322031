"""Suspension of Python's garbage collector while large graphs are built.

The collector repeatedly traverses all live objects while new ones are created. A pass that builds hundreds of thousands
of nodes creates hardly any garbage, but would spend half of its time in the collector.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

__all__ = ["uncollected"]

P = ParamSpec("P")
R = TypeVar("R")

_lock = threading.Lock()
_inside = 0
_was_enabled = False


def _enter() -> None:
    global _inside, _was_enabled
    with _lock:
        if _inside == 0:
            _was_enabled = gc.isenabled()
            gc.disable()
        _inside += 1


def _leave() -> None:
    global _inside
    with _lock:
        _inside -= 1
        if _inside == 0 and _was_enabled:
            gc.enable()


def uncollected(function: Callable[P, R]) -> Callable[P, R]:
    """Wrap a function so that the garbage collector is suspended during calls, which may be nested and concurrent."""

    @wraps(function)
    def resting(*args: P.args, **kwargs: P.kwargs) -> R:
        _enter()
        try:
            return function(*args, **kwargs)
        finally:
            _leave()

    return resting
