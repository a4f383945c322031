"""Expressions as graphs: variables, applications, ops and their records, types, symbolic dims, guards, traversals."""

from symc.graph.shared_variables import SharedVariable
from symc.graph.traversal import Graph, ancestors, clone_with, graph_inputs, is_input, toposort
from symc.graph.variables import Apply, Constant, Variable, as_array, convert_value

__all__ = [
    "Apply",
    "Constant",
    "Graph",
    "SharedVariable",
    "Variable",
    "ancestors",
    "as_array",
    "clone_with",
    "convert_value",
    "graph_inputs",
    "is_input",
    "toposort",
]
