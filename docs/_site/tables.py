"""Tables and API pages that are generated from the code: ops, layers, errors, names of Theano and Lasagne."""

from __future__ import annotations

from pathlib import Path

from . import api, errors, layers, names, ops

__all__ = ["generated", "write"]


def generated() -> dict[str, str]:
    """The generated pages by their path relative to ``docs/generated/``."""
    found = {
        "ops.md": ops.page(),
        "layers.md": layers.page(),
        "errors.inc": errors.page_table(),
        "names.inc": names.table(),
    }
    return found | {f"api/{name}.md": text for name, text in api.pages().items()}


def write(folder: Path) -> None:
    """Write the generated pages, and remove those of an earlier build; unchanged files are left alone."""
    found = generated()
    for old in (p for p in folder.rglob("*") if p.is_file()):
        if old.relative_to(folder).as_posix() not in found:
            old.unlink()
    for name, text in found.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
