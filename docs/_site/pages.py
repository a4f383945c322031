"""Pages are Markdown files whose ``python`` code blocks are executed.

The blocks of a page are one program. The first line of a block may carry words after ``python``:

``raises=Name``
    the block ends with this exception;
``no-run``
    the block is shown but not executed.

The same reader serves the site (``read_notebook``, called by myst-nb) and the tests (``cells``), which execute the
pages without Sphinx.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Cell", "DOCS", "NOT_RUN", "cells", "pages", "read_notebook"]

DOCS = Path(__file__).resolve().parents[1]

NOT_RUN = ("architecture.md", "gpu.md")
"""Pages whose blocks the site shows without executing them; other tests of the repository execute them."""

_BLOCK = re.compile(r"^```python([^\n]*)\n(.*?)^```[ ]*$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Cell:
    """A code block of a page: its text, the line at which the text begins, and what is expected of it."""

    source: str
    line: int
    start: int
    end: int
    raises: str | None = None
    run: bool = True


def cells(text: str) -> list[Cell]:
    """List the ``python`` blocks of a page in order."""
    found = []
    for match in _BLOCK.finditer(text):
        words = match[1].split()
        raises = [word.removeprefix("raises=") for word in words if word.startswith("raises=")]
        unknown = [word for word in words if word != "no-run" and not word.startswith("raises=")]
        line = text.count("\n", 0, match.start(2)) + 1
        if unknown:
            raise ValueError(f"line {line - 1}: unknown words after ```python: {' '.join(unknown)}")
        found.append(
            Cell(match[2], line, match.start(), match.end(), raises[0] if raises else None, "no-run" not in words)
        )
    return found


def pages() -> dict[str, Path]:
    """The pages of the site that are written by hand, by their path relative to ``docs/``."""
    found = {path.relative_to(DOCS).as_posix(): path for path in sorted(DOCS.rglob("*.md"))}
    return {name: path for name, path in found.items() if not name.startswith(("_", "generated/"))}


def read_notebook(text: str) -> Any:
    """Read a page as a notebook of text and code cells, for myst-nb."""
    import nbformat.v4 as v4

    parts: list[Any] = []
    lines: list[int] = []

    def add_text(start: int, end: int) -> None:
        if text[start:end].strip():
            parts.append(v4.new_markdown_cell(text[start:end]))
            lines.append(text.count("\n", 0, start))

    done = 0
    for cell in cells(text):
        if not cell.run:
            continue
        add_text(done, cell.start)
        made = v4.new_code_cell(cell.source.rstrip("\n"))
        if cell.raises:
            made.metadata["tags"] = ["raises-exception"]
        parts.append(made)
        lines.append(cell.line)
        done = cell.end
    add_text(done, len(text))
    for number, part in enumerate(parts):
        part["id"] = f"cell-{number}"  # by default random
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}, "source_map": lines}
    return v4.new_notebook(cells=parts, metadata=metadata)
