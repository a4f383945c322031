"""Display of graphs and compiled functions as trees, formulas, loops, C code or pictures."""

from __future__ import annotations

from symc.printing.drawing import graph_html, graph_svg
from symc.printing.formula import pp, pprint
from symc.printing.pictures import pydotprint
from symc.printing.stages import STAGES
from symc.printing.tree import debugprint
from symc.tensor.user_ops.print_op import Print

__all__ = ["STAGES", "Print", "debugprint", "graph_html", "graph_svg", "pp", "pprint", "pydotprint"]
