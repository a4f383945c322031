"""Names that Python's library had when old programs were written, such as ``collections.Mapping``, ``time.clock``."""

from __future__ import annotations

import collections
import collections.abc
import inspect
import pickle
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["ArgSpec", "add_old_names", "getargspec", "remove_old_names"]


class ArgSpec(NamedTuple):
    """What ``inspect.getargspec`` returns."""

    args: list[str]
    varargs: str | None
    keywords: str | None
    defaults: tuple[Any, ...] | None


def getargspec(func: Callable[..., Any]) -> ArgSpec:
    """``inspect.getargspec``: the names and defaults of the parameters of a function."""
    return ArgSpec(*inspect.getfullargspec(func)[:4])


def _old_names() -> list[tuple[Any, str, Any]]:
    names = [(collections, name, getattr(collections.abc, name)) for name in collections.abc.__all__]
    return [*names, (inspect, "getargspec", getargspec), (time, "clock", time.perf_counter)]


_added: list[tuple[Any, str]] = []


def add_old_names() -> None:
    """Give modules the names that they no longer have, and ``pickle`` the name ``cPickle``."""
    for module, name, value in _old_names():
        if not hasattr(module, name):
            setattr(module, name, value)
            _added.append((module, name))
    sys.modules.setdefault("cPickle", pickle)


def remove_old_names() -> None:
    """Remove what ``add_old_names`` added."""
    while _added:
        delattr(*_added.pop())
    if sys.modules.get("cPickle") is pickle:
        del sys.modules["cPickle"]
