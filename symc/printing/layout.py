"""A layered layout of directed acyclic graphs: positions of nodes and routes of edges.

Four steps, after Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system structures", IEEE
Transactions on Systems, Man, and Cybernetics 11 (1981): ranks, with edges split into pieces one rank long; an order
within each rank with few edge crossings; positions as close to the neighbours as the order allows; routes through the
pieces.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import networkx as nx

__all__ = ["Layout", "layered"]

Point = tuple[float, float]
Size = tuple[float, float]
GAP_X, GAP_Y = 26.0, 44.0
WIRE = 10.0
"""Width reserved for an edge that passes a rank."""
SWEEPS = 12


@dataclass
class Layout:
    """The ``centre`` of every node, the ``route`` of every edge from border to border, and the total ``size``."""

    centre: dict[Any, Point]
    route: dict[tuple[Any, Any], list[Point]]
    size: Size


def layered(nodes: Sequence[Hashable], edges: Sequence[tuple[Any, Any]], sizes: Mapping[Any, Size]) -> Layout:
    """Lay out ``nodes`` of the given sizes (width, height) from top to bottom along ``edges``.

    Raises
    ------
    networkx.NetworkXUnfeasible
        If the edges form a cycle.
    """
    if not nodes:
        return Layout({}, {}, (0.0, 0.0))
    graph = nx.DiGraph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from(edges)
    rank = _ranks(graph)
    pieces, paths = _cut(graph, rank)
    rows = _rows(pieces)
    widths = {v: sizes[v][0] if v in sizes else WIRE for v in pieces}
    _order(rows, pieces)
    x = _place(rows, pieces, widths)
    return _measure(graph, rows, x, widths, sizes, paths)


def _ranks(graph: nx.DiGraph) -> dict[Any, int]:
    rank: dict[Any, int] = {}
    for v in nx.topological_sort(graph):
        rank[v] = max((rank[u] + 1 for u in graph.predecessors(v)), default=0)
    for v in graph:  # nodes without inputs are placed directly above their first reader
        if graph.in_degree(v) == 0 and graph.out_degree(v):
            rank[v] = min(rank[w] for w in graph.successors(v)) - 1
    return rank


def _cut(graph: nx.DiGraph, rank: Mapping[Any, int]) -> tuple[nx.DiGraph, dict[tuple[Any, Any], list[Any]]]:
    """Split edges over several ranks with dummy nodes, which edges from one source share."""
    pieces = nx.DiGraph()
    for v in graph:
        pieces.add_node(v, rank=rank[v])
    paths: dict[tuple[Any, Any], list[Any]] = {}
    for u, v in graph.edges:
        path = [u]
        for r in range(rank[u] + 1, rank[v]):
            wire = ("wire", u, r)
            pieces.add_node(wire, rank=r)
            path.append(wire)
        path.append(v)
        nx.add_path(pieces, path)
        paths[u, v] = path
    return pieces, paths


def _rows(pieces: nx.DiGraph) -> list[list[Any]]:
    ranks = nx.get_node_attributes(pieces, "rank")
    rows: list[list[Any]] = [[] for _ in range(max(ranks.values()) + 1)]
    roots = [v for v in pieces if pieces.in_degree(v) == 0]
    seen: set[Any] = set()
    stack = roots[::-1]
    while stack:  # depth first, so that related nodes start side by side
        v = stack.pop()
        if v in seen:
            continue
        seen.add(v)
        rows[ranks[v]].append(v)
        stack.extend(reversed(list(pieces.successors(v))))
    return rows


def _order(rows: list[list[Any]], pieces: nx.DiGraph) -> None:
    """Sort every row by the mean position of its neighbours in the previous row, alternating downwards and upwards."""
    place = {v: k for row in rows for k, v in enumerate(row)}
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        near = pieces.pred if down else pieces.succ
        for row in rows if down else reversed(rows):
            wanted = {v: _mean([place[u] for u in near[v]], place[v]) for v in row}
            row.sort(key=lambda v: (wanted[v], place[v]))  # noqa: B023
            for k, v in enumerate(row):
                place[v] = k


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _place(rows: list[list[Any]], pieces: nx.DiGraph, widths: Mapping[Any, float]) -> dict[Any, float]:
    x: dict[Any, float] = {}
    for row in rows:
        at = 0.0
        for v in row:
            x[v] = at + widths[v] / 2
            at += widths[v] + GAP_X
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        near = pieces.pred if down else pieces.succ
        for row in rows if down else reversed(rows):
            wanted = [_mean([x[u] for u in near[v]], x[v]) for v in row]
            x.update(zip(row, _separated(wanted, [widths[v] for v in row])))
    return x


def _separated(wanted: Sequence[float], widths: Sequence[float]) -> list[float]:
    """The positions nearest to ``wanted`` (least squares) that keep the order and do not overlap.

    With the widths subtracted, this is isotonic regression, solved by pooling neighbours that are out of order.
    """
    offsets = [0.0]
    for a, b in zip(widths, widths[1:]):
        offsets.append(offsets[-1] + (a + b) / 2 + GAP_X)
    pools: list[tuple[float, int]] = []
    for value in (w - o for w, o in zip(wanted, offsets)):
        mean, count = value, 1
        while pools and pools[-1][0] >= mean:
            other, size = pools.pop()
            mean = (other * size + mean * count) / (size + count)
            count += size
        pools.append((mean, count))
    flat = [mean for mean, count in pools for _ in range(count)]
    return [m + o for m, o in zip(flat, offsets)]


def _measure(
    graph: nx.DiGraph,
    rows: list[list[Any]],
    x: dict[Any, float],
    widths: Mapping[Any, float],
    sizes: Mapping[Any, Size],
    paths: Mapping[Any, list[Any]],
) -> Layout:
    left = min(x[v] - widths[v] / 2 for v in x)
    right = max(x[v] + widths[v] / 2 for v in x)
    heights = [max((sizes[v][1] for v in row if v in sizes), default=0.0) for row in rows]
    middle: dict[Any, float] = {}
    top = 0.0
    for row, height in zip(rows, heights):
        for v in row:
            middle[v] = top + height / 2
        top += height + GAP_Y
    centre = {v: (x[v] - left, middle[v]) for v in x}
    route = {}
    for (u, v), path in paths.items():
        points = [centre[p] for p in path]
        points[0] = (points[0][0], points[0][1] + sizes[u][1] / 2)
        points[-1] = (points[-1][0], points[-1][1] - sizes[v][1] / 2)
        route[u, v] = points
    return Layout({v: centre[v] for v in graph}, route, (right - left, top - GAP_Y))
