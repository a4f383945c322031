"""Names of ``theano.printing`` that are called differently."""

from __future__ import annotations

from typing import Any

import symc

__all__ = ["d3viz", "hex_digest", "min_informative_str", "pydotprint"]


def pydotprint(fct: Any, outfile: Any = None, **ignored: Any) -> Any:
    """Write a picture of a graph as SVG."""
    path = str(outfile or "graph.svg")
    return symc.printing.graph_svg(fct, path if path.endswith(".svg") else f"{path.rpartition('.')[0] or path}.svg")


def d3viz(fct: Any, outfile: Any, *args: Any, **ignored: Any) -> Any:
    """Write an interactive page with a graph."""
    return symc.printing.graph_html(fct, outfile)


def min_informative_str(obj: Any, **ignored: Any) -> str:
    """A graph as a formula."""
    return symc.pp(obj)


def hex_digest(x: Any) -> str:
    """A digest of the bytes of an array."""
    import hashlib

    return f"{hashlib.sha256(x.tobytes()).hexdigest()}{x.dtype}{x.shape}"
