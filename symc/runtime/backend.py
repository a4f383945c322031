"""The contract between symc and its back ends, and the one lookup of them.

A back end is a module found through the entry-point group ``symc.backends`` with three functions:

``emit(program) -> str``
    the program as text;
``build(text, timed=0) -> code``
    the text as loaded code, through the back end's cache; with ``timed``, code that measures each of its ``timed``
    steps;
``run(code, program, timed=False) -> Executable``
    something that runs it; with ``timed`` it has an attribute ``times``, a float64 array to which every call adds the
    seconds that each of the program's steps took.

An ``Executable`` is called as ``executable(arrays, dims, provide)``: ``arrays`` holds one array per buffer of the
program that is an argument, shared variable or constant, None for the others, and ``dims`` the values of the symbols
``program.symbols[:program.given]``. ``provide(number, shape)`` gives the memory of a result or update when its size is
known. It returns a status and the values of all symbols. The status is 0, or the number (counted from 1) of the entry
of ``program.messages`` that describes what went wrong, or ``-k - 1`` if buffer ``k`` would get a negative size. What a
``Host`` callback raises passes through.

Six more things are optional. ``target`` is a ``symc.compiler.target.Target`` for which loops are shaped. ``space() ->
Space`` gives the memory in which the code finds shared variables and leaves its results, where that is not the host's
(``symc.runtime.storage``); arguments and constants may lie in the host's memory all the same. ``unavailable() -> str |
None`` says why the back end cannot work here, and what to install. ``launch(executable, slow, fail, as_list)`` gives a
faster way to call a function, or None: an object whose ``call`` takes the arguments and hands those that it is not
prepared for to ``slow``, which prepares it with ``prepare(symbols, arrays, values)`` after each call of its own; a
call that ends with a status is never run again but handed to ``fail(status, arguments)``. ``examine()`` gives the
``symc.doctor.Finding`` objects that ``symc.doctor()`` prints; it does not raise. ``footprint(executable, values)``
gives the ``symc.runtime.memory_estimate.Memory`` that a call with these values of all symbols takes beside its arrays;
it runs nothing.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from importlib.metadata import entry_points
from typing import Any, Protocol

from symc.config import config
from symc.errors import CompileError
from symc.loops.ir import Program

__all__ = ["Backend", "Executable", "Provide", "available", "load_backend", "name_of"]

_ALIASES = {"": "c", "cpu": "c", "gpu": "cuda"}
_SHIPPED = {"c": "symc_backends.c", "cuda": "symc_backends.cuda", "interp": "symc_backends.interp"}
"""Where the back ends of this distribution live, for a source tree that was put on the path without being installed."""


Provide = Callable[[int, "tuple[int, ...]"], Any]
"""``provide(number, shape)`` gives memory for the result or update that the program's buffer ``number`` is."""


class Executable(Protocol):
    """What ``run`` gives."""

    def __call__(self, arrays: Sequence[Any], dims: Sequence[int], provide: Provide) -> tuple[int, Sequence[int]]: ...


class Backend(Protocol):
    """The three functions that a back end must have."""

    def emit(self, program: Program) -> str:
        """The text of a program."""

    def build(self, text: str, timed: int = 0) -> Any:
        """Loaded code, through the cache; ``timed`` is the number of steps whose times it must be able to take."""

    def run(self, code: Any, program: Program, timed: bool = False) -> Executable:
        """The code bound to the program's constants and memory."""


@lru_cache(maxsize=1)
def available() -> dict[str, str]:
    """Names of installed back ends and the modules that hold them."""
    found = dict(_SHIPPED)
    found.update({e.name: e.value for e in entry_points(group="symc.backends")})
    return found


def name_of(device: str) -> str:
    """The name of a device's back end: ``"cpu"`` stands for ``"c"``, and ``"gpu"`` for ``"cuda"``."""
    return _ALIASES.get(device, device)


def load_backend(device: str | None = None) -> tuple[str, Backend]:
    """The back end for ``device`` (default: ``symc.config.device``), by its name.

    ``"cpu"`` stands for ``"c"`` and ``"gpu"`` for ``"cuda"``. Without a C compiler the C back end gives way to the
    interpreter, with one warning that says what to install.
    """
    name = name_of(device or config.device)
    modules = available()
    if name not in modules:
        raise ValueError(f"device {name!r} has no back end; installed are {', '.join(sorted(modules))}")
    backend = importlib.import_module(modules[name])
    problem = getattr(backend, "unavailable", lambda: None)()
    if problem is None:
        return name, backend  # type: ignore[return-value]
    if name == "c":
        _warn_once(problem)
        return "interp", importlib.import_module(modules["interp"])  # type: ignore[return-value]
    raise CompileError(f"device {name!r} cannot be used: {problem}")


@cache
def _warn_once(problem: str) -> None:
    warnings.warn(f"functions run in the interpreter, which is slow: {problem}", stacklevel=5)
