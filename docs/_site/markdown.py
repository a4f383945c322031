"""Pieces of Markdown: tables, code in cells, signatures, first sentences."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["as_markdown", "code", "first_line", "signature", "table"]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a table; the cells are Markdown."""
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    lines += [f"| {' | '.join(cell.replace(chr(10), ' ') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def code(text: str) -> str:
    """Format text as code inside a cell of a table."""
    return "`" + " ".join(text.split()).replace("|", r"\|") + "`" if text else ""


def first_line(item: Any) -> str:
    """The first paragraph of a docstring on one line, without a signature before it, as Markdown."""
    paragraphs = (inspect.getdoc(item) or "").split("\n\n")
    if len(paragraphs) > 1 and re.match(r"\w+\(.*\)$", paragraphs[0].strip(), re.DOTALL):
        paragraphs = paragraphs[1:]  # NumPy's universal functions
    return as_markdown(paragraphs[0])


def as_markdown(text: str) -> str:
    """Convert a paragraph of a docstring to Markdown on one line."""
    text = re.sub(r":math:`([^`]*)`", r"$\1$", text)
    text = re.sub(r":\w+:`~?([^`]*)`", r"`\1`", text)
    return " ".join(text.split()).replace("``", "`").replace("|", r"\|")


def signature(item: Any, leave_out: Sequence[str] = ("self", "kwargs")) -> str:
    """The arguments of a function or class with short defaults, without annotations."""
    try:
        found = inspect.signature(item.__init__ if inspect.isclass(item) else item)
    except (TypeError, ValueError):
        return ""
    parts = []
    for parameter in found.parameters.values():
        if parameter.name in leave_out:
            continue
        prefix = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        text = prefix + parameter.name
        if parameter.default is not parameter.empty:
            text += f"={_default(parameter.default)}"
        parts.append(text)
    return ", ".join(parts)


def _default(value: Any) -> str:
    if value is None or isinstance(value, (bool, int, str, tuple)):
        return repr(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return getattr(value, "__name__", type(value).__name__ + "()")
