"""The table of exceptions, from the source text: every public class of an error, and what its docstring says."""

from __future__ import annotations

import ast
from pathlib import Path

from .markdown import as_markdown, code, table

__all__ = ["exceptions", "page_table"]

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"symc": "symc", "lasagne_like": "lasagne_like", "backends": "symc_backends"}
INTERNAL = {"IRError"}
"""Raised only by mistakes in symc itself."""


def exceptions() -> dict[str, tuple[str, str, str]]:
    """Each public exception: the module that defines it, its base classes, its docstring's first paragraph."""
    found: dict[str, tuple[str, str, str]] = {}
    for folder, package in PACKAGES.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            module = ".".join((package, *path.relative_to(ROOT / folder).with_suffix("").parts))
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if not isinstance(node, ast.ClassDef) or node.name.startswith("_") or node.name in INTERNAL:
                    continue
                bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
                if any(base.endswith(("Error", "Exception", "Warning")) for base in bases):
                    found[node.name] = (
                        module.removesuffix(".__init__"),
                        ", ".join(bases),
                        as_markdown((ast.get_docstring(node) or "").split("\n\n")[0]),
                    )
    return found


def page_table() -> str:
    """One row per exception."""
    rows = [
        (code(name), code(module), code(bases), text) for name, (module, bases, text) in sorted(exceptions().items())
    ]
    return table(["exception", "module", "is also", "meaning"], rows)
