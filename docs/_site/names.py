"""The table of Theano's and Lasagne's names and of what they are called here.

The facts are those of :mod:`symc.compat.names`, which ``symc.compat.check`` uses, too.
"""

from __future__ import annotations

from symc.compat.fates import listed

from .markdown import code
from .markdown import table as format_table

__all__ = ["table"]

_SHOWN = {"same": "same", "served": "through `symc.compat`", "missing": ""}


def table() -> str:
    """The tables, one per old library."""
    parts = []
    for heading, root in (("Theano", "theano."), ("Lasagne", "lasagne.")):
        found = sorted(fate for fate in listed() if fate.old.startswith(root))
        shown = [(code(f.old), _SHOWN.get(f.kind, code(f.new)), f.note) for f in found]
        parts.append(f"### Names of {heading}\n\n" + format_table(["old name", "here", "note"], shown))
    return "\n".join(parts)
