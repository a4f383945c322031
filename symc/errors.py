"""Errors that name the op, the operands, the violated rule, a repair, and the user's own line."""

from __future__ import annotations

import linecache
import os
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple, TypeVar

__all__ = [
    "ArgumentError",
    "AxisError",
    "CompileError",
    "DisconnectedInputError",
    "DTypeError",
    "GradientError",
    "GradientLocation",
    "GuardError",
    "KernelError",
    "MaskError",
    "MissingInputError",
    "NullGradError",
    "OutOfMemoryError",
    "ShapeError",
    "SymcError",
    "SourceLocation",
    "TypeMismatchError",
    "UnusedInputError",
    "blame",
    "blamed",
    "building_at",
    "call_error",
    "describe",
    "entered",
    "forward_line",
    "here",
    "is_own_file",
    "located",
    "name_kinds",
    "no_attribute",
    "warn",
]


class SymcError(Exception):
    """Base of symc's own errors."""


class ShapeError(SymcError, ValueError):
    """Incompatible shapes. ``op`` is the op that rejected them, if one did."""

    op: Any = None


class DTypeError(SymcError, TypeError):
    """A dtype that the op or input does not accept."""


class TypeMismatchError(ShapeError, TypeError):
    """Tensors whose numbers of axes or lengths contradict each other or a type; a wrong value and a wrong type."""


class AxisError(ShapeError, IndexError):
    """An axis that a tensor does not have; an error of the value and of the index, as in NumPy."""


class ArgumentError(SymcError, TypeError, ValueError):
    """An argument of a kind that a function does not take."""

    __str__ = Exception.__str__  # that of KeyError quotes, if an error is one too


class GuardError(ShapeError, AssertionError):
    """A shape rule checked at call time, violated by the given arrays; an assertion, as in Theano."""


class MaskError(GuardError, IndexError):
    """A mask that is not as long as the axis that it selects from, at call time; an `IndexError` too, as in NumPy."""


_further_kind: Callable[[str], type[Exception] | None] | None = None


def name_kinds(rule: Callable[[str], type[Exception] | None] | None) -> None:
    """Let errors of calls be of a further kind, which ``rule(message)`` names, for callers that catch that; or none."""
    global _further_kind
    _further_kind = rule


def call_error(kind: type[Exception], text: str) -> Exception:
    """An error of a call, of a kind and of the further one that ``name_kinds`` asked for."""
    if kind is GuardError and "(): indexing: " in text.partition("\n")[0]:
        kind = MaskError
    further = None if _further_kind is None else _further_kind(text)
    if further is None or issubclass(kind, further):
        return kind(text)
    made: Exception = type(kind.__name__, (kind, further), {"__module__": kind.__module__})(text)
    return made


class DisconnectedInputError(SymcError, ValueError):
    """A gradient by a variable on which the cost does not depend."""


class NullGradError(SymcError, TypeError):
    """An undefined gradient: the path goes through an op without a derivative."""


class GradientError(SymcError, ArithmeticError):
    """A gradient that disagrees with finite differences."""


class UnusedInputError(SymcError, ValueError):
    """A function input on which no output depends."""


class MissingInputError(SymcError, ValueError):
    """A variable on which an output depends but that is not among the inputs."""


class CompileError(SymcError, RuntimeError):
    """Failure to compile: the compiler rejected generated code, no compiler could be run, or the device is missing."""


class OutOfMemoryError(SymcError, MemoryError):
    """A call ran out of memory. It changed nothing."""


class KernelError(SymcError, RuntimeError):
    """A kernel failed on a device while it was running."""


R = TypeVar("R")


class SourceLocation(NamedTuple):
    """The user's line that built a variable."""

    filename: str
    line: int

    def __str__(self) -> str:
        text = linecache.getline(self.filename, self.line).strip()
        where = f"{self.filename}:{self.line}"
        return f"{where}: {text}" if text else where


class GradientLocation(SourceLocation):
    """The user's line that asked for a gradient, and ``of``, that of the op whose gradient a variable belongs to."""

    of: SourceLocation

    @classmethod
    def at(cls, line: SourceLocation, of: SourceLocation) -> GradientLocation:
        """Create the location; it equals ``line``."""
        made = cls(*line)
        made.of = of
        return made


def forward_line(location: SourceLocation | None) -> SourceLocation | None:
    """The line of the op whose gradient, of any order, a variable belongs to; None for other variables."""
    found = None
    while isinstance(location, GradientLocation):
        found = location = location.of
    return found


_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_OWN_PARENT = os.path.dirname(os.path.dirname(_HERE))
_OWN = tuple(os.path.join(_OWN_PARENT, name) + os.sep for name in ("symc", "lasagne_like", "backends", "symc_backends"))


def is_own_file(filename: str) -> bool:
    """Whether a file of Python code belongs to symc or its layer library."""
    return filename.startswith(_OWN)


_files: dict[str, dict[int, SourceLocation] | None] = {}
"""Source locations by file (None for symc's own files), so that the variables of a line share one."""


def here() -> SourceLocation | None:
    """Locate the innermost frame outside symc and its layer library: the user's own line.

    Inside ``building_at`` it is the location given there.
    """
    if _blame.origin is not None:
        return _blame.origin
    frame = sys._getframe(1)
    while frame is not None:
        filename = frame.f_code.co_filename
        try:
            lines = _files[filename]
        except KeyError:
            lines = _files[filename] = None if filename.startswith(_OWN) else {}
        if lines is not None:
            line = frame.f_lineno
            found = lines.get(line)
            if found is None:
                found = lines[line] = SourceLocation(filename, line)
            return found
        frame = frame.f_back  # type: ignore[assignment]
    return None


def entered() -> str:
    """The name of the outermost public function of symc, or op, between the user's line and the caller, or ``""``."""
    found = ""
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(_OWN):
        name = frame.f_code.co_name
        if name == "__call__":
            name = str(getattr(frame.f_locals.get("self"), "name", ""))
        if name and not name.startswith("_") and "<locals>" not in frame.f_code.co_qualname:
            found = name
        frame = frame.f_back  # type: ignore[assignment]
    return found


class _Blame(threading.local):
    location: SourceLocation | None = None
    origin: SourceLocation | None = None


_blame = _Blame()


def blame(location: SourceLocation | None, function: Callable[..., R], *args: Any) -> R:
    """Call a function whose messages point to ``location``, where an op was built, instead of the current caller."""
    before = _blame.location
    _blame.location = location
    try:
        return function(*args)
    finally:
        _blame.location = before


class building_at:  # noqa: N801 - used as a function; a class enters faster than a generator
    """Give everything built inside the block this source location: one lookup for many ops. None has no effect."""

    __slots__ = ("before", "origin")

    def __init__(self, origin: SourceLocation | None) -> None:
        self.origin = origin

    def __enter__(self) -> None:
        self.before = _blame.origin
        if self.origin is not None:
            _blame.origin = self.origin

    def __exit__(self, *_: object) -> None:
        _blame.origin = self.before


def blamed() -> SourceLocation | None:
    """The source location that messages currently point to, if one was set with ``blame``."""
    return _blame.location


def describe(variable: Any) -> str:
    """Describe an operand for an error message: name, dtype, shape and source location."""
    source = variable
    while source.name is None and source.owner is not None and source.owner.op.record.inserted:
        source = source.owner.inputs[0]
    label = source.name
    if label is None:
        if source.owner is not None:
            label = f"result of {source.owner.op.name}"
        else:
            value = getattr(source, "data", None)
            label = "unnamed variable" if value is None else f"constant {value}" if value.size <= 4 else "constant"
    given = "" if source is variable else f" (from {source.type})"
    made = f", made at {source.location}" if source.location else ""
    return f"{label}: {variable.type}{given}{made}"


def located(message: str, operands: Any = (), repair: str | None = None, location: SourceLocation | None = None) -> str:
    """Format a message with its operands, the likely repair and the user's line, each on a line of its own."""
    lines = [message]
    lines += [f"  operand {k}: {describe(v)}" for k, v in enumerate(operands)]
    if repair:
        lines.append(f"  repair: {repair}")
    if location is None:
        location = _blame.location or here()
    if location:
        lines.append(f"  at {location}")
    return "\n".join(lines)


def no_attribute(module: str, name: str, known: Sequence[str]) -> AttributeError:
    """Build the error for a name that a module does not have."""
    near = get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return AttributeError(f"{module} has no {name!r}{hint}")


def warn(message: str) -> None:
    """Issue a warning that points to the user's line, however deep inside symc it is raised."""
    location = here()
    if location is None:
        warnings.warn(message, stacklevel=2)
    else:
        warnings.warn_explicit(message, UserWarning, location.filename, location.line)
