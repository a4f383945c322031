"""Interactive pictures of graphs under the name that they have in Theano: ``d3viz``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from symc.printing import graph_html

__all__ = ["d3viz"]


def d3viz(fct: Any, outfile: str | Path, copy_deps: bool = True, *args: Any, **kwargs: Any) -> None:
    """Write an HTML page that shows a graph, with zooming, panning, search, and highlighted neighbours.

    The page is self-contained: it loads nothing from other files or the network.

    Parameters
    ----------
    fct : Function, Variable, or sequence of Variable
        A compiled function is shown with its fused kernels.
    outfile : str or Path
    copy_deps, *args, **kwargs
        Have no effect. Accepted for old programs.
    """
    path = Path(outfile)
    path.parent.mkdir(parents=True, exist_ok=True)
    graph_html(fct, path)
