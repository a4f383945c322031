"""Modules that can be called: ``symc.doctor()`` means ``symc.doctor.doctor()``.

Importing a module binds its name in the package, in place of any function of that name.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

__all__ = ["make_callable"]


class _Callable(ModuleType):
    """A module that passes calls on to the function of its own name."""

    def __call__(self, *args: Any, **named: Any) -> Any:
        return getattr(self, self.__name__.rpartition(".")[2])(*args, **named)


def make_callable(name: str) -> None:
    """Let calls of the module ``name`` call its function of the same name."""
    sys.modules[name].__class__ = _Callable
