"""Seeing what a graph or a compiled function is: as a tree, a formula, loops, C, or a picture."""

from __future__ import annotations

from symc.printing.drawing import graph_html, graph_svg
from symc.printing.formula import pp, pprint
from symc.printing.stages import STAGES
from symc.printing.tree import debugprint

__all__ = ["STAGES", "debugprint", "graph_html", "graph_svg", "pp", "pprint"]
