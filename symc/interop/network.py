"""``to_networkx``: expression graphs as directed graphs of networkx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from symc.graph import Apply, Constant, SharedVariable, Variable, toposort
from symc.printing.stages import expressions
from symc.printing.tree import label, op_text

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["to_networkx"]


def to_networkx(outputs: Any) -> nx.DiGraph[Any]:
    """Convert the graph of expressions to a directed graph of networkx.

    Parameters
    ----------
    outputs : Variable, sequence or dict of Variable, or Function
        A function is converted as it was defined, before compilation.

    Returns
    -------
    networkx.DiGraph
        Its nodes are the ``Variable`` and ``Apply`` objects themselves. An application has edges from its inputs and
        to its outputs.

        Attributes of a variable are ``kind`` (``"input"``, ``"shared"``, ``"constant"`` or ``"result"``), ``label``,
        ``name``, ``dtype``, ``shape`` (None for lengths known only at call time), ``output`` (its positions among
        ``outputs``) and, for constants, ``value``. Attributes of an application are ``kind`` (``"op"``), ``label``,
        ``op`` (the name), ``attributes`` (of the op) and ``location`` (the line that built it). Those of an edge are
        ``positions``: at which places an application reads the variable, or which of its outputs it is.

    Examples
    --------
    >>> import symc, symc.tensor as T
    >>> x = T.vector("x")
    >>> graph = symc.to_networkx(T.exp(x) * x)
    >>> [graph.nodes[n]["label"] for n in graph if graph.nodes[n]["kind"] == "op"]
    ['exp', 'mul']
    """
    import networkx as nx

    found: list[Variable] = list(expressions(outputs))
    places: dict[Variable, tuple[int, ...]] = {}
    for k, v in enumerate(found):
        places[v] = (*places.get(v, ()), k)
    graph = nx.DiGraph()
    for v in found:
        if v.owner is None:
            graph.add_node(v, **_facts(v, places))
    for node in toposort(found):
        for v in node.inputs:
            if v not in graph:
                graph.add_node(v, **_facts(v, places))
        graph.add_node(node, **_op_facts(node))
        for k, v in enumerate(node.inputs):
            before = graph.edges[v, node]["positions"] if graph.has_edge(v, node) else ()
            graph.add_edge(v, node, positions=(*before, k))
        for k, v in enumerate(node.outputs):
            graph.add_node(v, **_facts(v, places))
            graph.add_edge(node, v, positions=(k,))
    return graph


def _facts(v: Variable, places: dict[Variable, tuple[int, ...]]) -> dict[str, Any]:
    kinds = ((Constant, "constant"), (SharedVariable, "shared"))
    kind = next((name for cls, name in kinds if isinstance(v, cls)), "input" if v.owner is None else "result")
    facts = {
        "kind": kind,
        "label": label(v),
        "name": v.name,
        "dtype": v.dtype,
        "shape": v.type.static_shape,
        "output": places.get(v, ()),
    }
    return facts | ({"value": v.data} if isinstance(v, Constant) else {})


def _op_facts(node: Apply) -> dict[str, Any]:
    attributes = dict(node.op.attrs)
    return {
        "kind": "op",
        "label": op_text(node.op),
        "op": node.op.name,
        "attributes": attributes,
        "location": node.outputs[0].location,
    }
