"""The interface between symc and its back ends, and their lookup.

A back end is a module found through the entry-point group ``symc.backends`` with three functions:

``emit(program) -> str``
    return the program as text;
``build(text, timed=0) -> code``
    compile and load the text, through the back end's cache; with ``timed``, code that measures each of its ``timed``
    steps;
``run(code, program, timed=False) -> Executable``
    return an object that runs it; with ``timed`` it has an attribute ``times``, a float64 array to which every call
    adds the seconds spent in each of the program's steps.

An ``Executable`` is called as ``executable(arrays, dims, provide)``: ``arrays`` holds one array per buffer of the
program that is an argument, shared variable or constant, None for the others, and ``dims`` the values of the symbols
``program.symbols[:program.given]``. ``provide(number, shape)`` returns memory for a result or update once its size is
known. The executable returns a status and the values of all symbols. The status is 0, or the number (counted from 1) of
the entry of ``program.messages`` that describes the error, or ``-k - 1`` if buffer ``k`` would get a negative size.
Exceptions raised by a ``Host`` callback propagate.

Nine more attributes are optional. ``target`` is the ``symc.compiler.target.Target`` for which loops are shaped.
``multiplies_blocks()`` returns whether images in blocks of channels, as bfloat16, make convolutions faster.
``space() -> Space`` returns the memory space of shared variables and results, if it is not host memory
(``symc.runtime.storage``); arguments and constants may still be in host memory. ``empty(shape, dtype)`` allocates a
result, if there is a faster way than that of the memory space. ``unavailable() -> str | None`` returns
why the back end cannot work on this machine, and what to install. ``launch(executable, slow, fail, returns)`` returns a
faster way to call a function, or None: an object whose ``call`` takes the arguments and passes those that it is not
prepared for to ``slow``, which prepares it with ``prepare(symbols, arrays, values, turns, swapped)`` after each of its
own calls; a call that ends with a status is never repeated but passed to ``fail(status, arguments)``. It returns the
single result (``returns`` is 0), a list of all results (1), or None (2). ``examine()`` returns the
``symc.doctor.Finding`` objects that ``symc.doctor()`` prints; it does not raise. ``footprint(executable, values)``
returns the ``symc.runtime.memory_estimate.Memory`` that a call with these values of all symbols uses besides its
arrays; it runs nothing. ``store`` keeps plans between processes (``symc.runtime.kept_plans``): ``read(name)`` returns
bytes or None, ``write(name, data)`` stores them, and ``identity()`` is a text that changes with everything that the
texts of ``emit`` depend on, the sources of the back end included.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from importlib.metadata import entry_points
from typing import Any, Protocol

from symc.config import config
from symc.errors import CompileError, here
from symc.loops.ir import Program

__all__ = ["Backend", "Executable", "Provide", "Store", "available", "load_backend", "name_of"]

_ALIASES = {"": "c", "cpu": "c", "gpu": "cuda"}
_SHIPPED = {"c": "symc_backends.c", "cuda": "symc_backends.cuda", "interp": "symc_backends.interp"}
"""Modules of the back ends in this distribution, for a source tree on the path that was not installed."""


Provide = Callable[[int, "tuple[int, ...]"], Any]
"""``provide(number, shape)`` returns memory for the result or update in the program's buffer ``number``."""


class Executable(Protocol):
    """The result of ``run``."""

    def __call__(self, arrays: Sequence[Any], dims: Sequence[int], provide: Provide) -> tuple[int, Sequence[int]]: ...


class Store(Protocol):
    """The attribute ``store`` of a back end."""

    def read(self, name: str) -> bytes | None:
        """Return what was stored under a name; None if nothing was, or it is damaged."""

    def write(self, name: str, data: bytes) -> None:
        """Store bytes under a name, if possible."""

    def identity(self) -> str:
        """A text that changes with everything that the texts of ``emit`` depend on."""


class Backend(Protocol):
    """The three functions that a back end must have."""

    def emit(self, program: Program) -> str:
        """Generate the text of a program."""

    def build(self, text: str, timed: int = 0) -> Any:
        """Compile and load the text, through the cache; ``timed`` is the number of steps to time."""

    def run(self, code: Any, program: Program, timed: bool = False) -> Executable:
        """Bind the code to the program's constants and memory."""


@lru_cache(maxsize=1)
def available() -> dict[str, str]:
    """Map the names of installed back ends to their modules."""
    found = dict(_SHIPPED)
    found.update({e.name: e.value for e in entry_points(group="symc.backends")})
    return found


def name_of(device: str) -> str:
    """The name of a device's back end: ``"cpu"`` means ``"c"``, and ``"gpu"`` means ``"cuda"``."""
    return _ALIASES.get(device, device)


def load_backend(device: str | None = None) -> tuple[str, Backend]:
    """Load the back end for ``device`` (default: ``symc.config.device``); return its name and module.

    ``"cpu"`` means ``"c"`` and ``"gpu"`` means ``"cuda"``. Without a C compiler, the interpreter replaces the C back
    end, with one warning that names what to install.
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
    text, place = f"functions run in the interpreter, which is slow: {problem}", here()
    if place is None:
        warnings.warn(text, stacklevel=2)
    else:
        warnings.warn_explicit(text, UserWarning, place.filename, place.line)
