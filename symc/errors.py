"""Errors that say which op, which operands, which rule, which repair, and the user's own line."""

from __future__ import annotations

import linecache
import os
import sys
from typing import Any, NamedTuple

__all__ = [
    "CompileError",
    "DisconnectedInputError",
    "DTypeError",
    "GuardError",
    "MissingInputError",
    "NullGradError",
    "ShapeError",
    "SymcError",
    "Trace",
    "UnusedInputError",
    "describe",
    "here",
    "located",
]


class SymcError(Exception):
    """Base of symc's own errors."""


class ShapeError(SymcError, ValueError):
    """Shapes that cannot go together."""


class DTypeError(SymcError, TypeError):
    """A dtype that the op or input does not take."""


class GuardError(ShapeError):
    """A shape rule that only the call could check, broken by the arrays given."""


class DisconnectedInputError(SymcError, ValueError):
    """The gradient was asked for a variable on which the cost does not depend."""


class NullGradError(SymcError, TypeError):
    """The gradient is not defined: the path goes through an op without one."""


class UnusedInputError(SymcError, ValueError):
    """An input of a function on which no output depends."""


class MissingInputError(SymcError, ValueError):
    """An output depends on a variable that is not among the inputs."""


class CompileError(SymcError, RuntimeError):
    """The C compiler refused a generated file, or none could be run."""


class Trace(NamedTuple):
    """The user's line that built a variable."""

    filename: str
    line: int

    def __str__(self) -> str:
        text = linecache.getline(self.filename, self.line).strip()
        where = f"{self.filename}:{self.line}"
        return f"{where}: {text}" if text else where


_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_OWN_PARENT = os.path.dirname(os.path.dirname(_HERE))
_OWN = tuple(os.path.join(_OWN_PARENT, name) + os.sep for name in ("symc", "lasagne_like", "backends", "symc_backends"))


def here() -> Trace | None:
    """The innermost frame outside symc and its layer library: the line a user would recognise."""
    frame = sys._getframe(1)
    while frame is not None:
        filename = frame.f_code.co_filename
        if not filename.startswith(_OWN):
            return Trace(filename, frame.f_lineno)
        frame = frame.f_back  # type: ignore[assignment]
    return None


def describe(variable: Any) -> str:
    """One operand in an error message: name, dtype, shape, and where it was made."""
    label = variable.name or ("constant" if getattr(variable, "data", None) is not None else None)
    if label is None:
        owner = variable.owner
        label = f"result of {owner.op.name}" if owner is not None else "unnamed variable"
    made = f", made at {variable.trace}" if variable.trace else ""
    return f"{label}: {variable.type}{made}"


def located(message: str, operands: Any = (), repair: str | None = None, trace: Trace | None = None) -> str:
    """A message followed by its operands, the likely repair and the user's line, each on a line of its own."""
    lines = [message]
    lines += [f"  operand {k}: {describe(v)}" for k, v in enumerate(operands)]
    if repair:
        lines.append(f"  repair: {repair}")
    if trace is None:
        trace = here()
    if trace:
        lines.append(f"  at {trace}")
    return "\n".join(lines)
