"""Pictures of graphs and compiled functions, as SVG and as interactive HTML pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symc.printing.page import page
from symc.printing.scene import KINDS, Box, Scene, scene_of

if TYPE_CHECKING:
    from symc.printing.layout import Layout, Point, Size

__all__ = ["BOX_HEIGHT", "arranged", "corner", "cut", "graph_html", "graph_svg", "size_of", "svg_of"]

LETTER, SMALL = 7.0, 5.6
"""Width of a character of the label and of the line below it."""
BOX_HEIGHT, PADDING = 38.0, 12.0
HEAD = 64.0
"""Height of the title and the legend."""
MARGIN = 24.0
MAX_BOXES = 3000
MAX_LABEL = 44
Frame = tuple[int, float, float, float, float]


def graph_svg(obj: Any, path: str | Path | None = None) -> str:
    """Draw a graph as a self-contained SVG.

    Boxes are coloured by kind; tooltips show type, shape and the user's line. Scalar constants are written into the op
    that reads them, and broadcasting is omitted. For a compiled function the picture shows the rewritten graph with a
    frame around each fused kernel.

    Parameters
    ----------
    obj : Variable, sequence or dict of Variable, or Function
    path : str or Path, optional
        Where to write the picture.

    Returns
    -------
    str
        The SVG.

    Raises
    ------
    ValueError
        For graphs of more than 3000 boxes, whose picture would be illegible.
    """
    text = svg_of(scene_of(obj))
    if path is not None:
        Path(path).write_text(text, encoding="utf-8")
    return text


def graph_html(obj: Any, path: str | Path | None = None) -> str:
    """Draw a graph as ``graph_svg`` does, on an HTML page with zooming, panning, search, and highlighted neighbours.

    Parameters
    ----------
    obj : Variable, sequence or dict of Variable, or Function
    path : str or Path, optional
        Where to write the page.

    Returns
    -------
    str
        The page, which is self-contained.

    Raises
    ------
    ValueError
        For graphs of more than 3000 boxes.
    """
    scene = scene_of(obj)
    text = page(scene.title, svg_of(scene))
    if path is not None:
        Path(path).write_text(text, encoding="utf-8")
    return text


def svg_of(scene: Scene) -> str:
    """The picture of a scene."""
    if len(scene.boxes) > MAX_BOXES:
        raise ValueError(
            f"the graph has {len(scene.boxes)} boxes, more than the {MAX_BOXES} that a picture can show; "
            "draw a part of it, or use debugprint"
        )
    centre, routes, frames, size = arranged(scene)
    legend = _legend(sorted({b.kind for b in scene.boxes.values()}, key=list(KINDS).index), bool(frames))
    width = max(size[0], legend[1], 8.0 * len(scene.title)) + 2 * MARGIN
    height = size[1] + HEAD + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" '
        'font-family="Helvetica, Arial, sans-serif">',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0.8 L8 4 L0 7.2 Z" fill="#777"/></marker></defs>',
        f'<text x="{MARGIN}" y="{MARGIN + 8}" font-size="16" font-weight="bold">{escape(scene.title)}</text>',
        legend[0],
        f'<g transform="translate({MARGIN:.0f} {HEAD + MARGIN:.0f})">',
        *(_frame(scene.clusters[number], x, y, w, h) for number, x, y, w, h in frames),
        *(_arrow(points, edge) for edge, points in routes.items()),
        *(_box(b, centre[b.key]) for b in scene.boxes.values()),
        "</g></svg>",
    ]
    return "\n".join(parts) + "\n"


# --- places -------------------------------------------------------------------------------------------------------


def size_of(box: Box) -> Size:
    """The width and height of a box."""
    return max(len(cut(box.lines[0])) * LETTER, len(cut(box.lines[1])) * SMALL) + 2 * PADDING, BOX_HEIGHT


def cut(text: str) -> str:
    """Shorten a line of text to the length that fits into a box."""
    return text if len(text) <= MAX_LABEL else text[: MAX_LABEL - 1] + "…"


def arranged(scene: Scene) -> tuple[dict[int, Point], dict[tuple[int, int], list[Point]], list[Frame], Size]:
    """Lay out boxes, arrows and frames, clusters first.

    Returns the centres of boxes, the points of arrows, the number and place of each cluster, and the total size.
    """
    from symc.printing.layout import layered  # imports networkx, which is slow

    sizes: dict[Any, Size] = {b.key: size_of(b) for b in scene.boxes.values()}
    home: dict[int, Any] = {k: k for k in scene.boxes}
    inner: dict[Any, Layout] = {}
    outer_sizes: dict[Any, Size] = dict(sizes)
    for number, (title, _, members) in enumerate(scene.clusters):
        name = ("cluster", number)
        inside = set(members)
        inner[name] = layered(members, [e for e in scene.arrows if e[0] in inside and e[1] in inside], sizes)
        w, h = inner[name].size
        outer_sizes[name] = (max(w, len(title) * SMALL * 1.1) + 2 * PADDING, h + 2 * PADDING + 18)
        home.update((k, name) for k in members)
    nodes = list(dict.fromkeys(home.values()))
    edges = list(dict.fromkeys((home[a], home[b]) for a, b in scene.arrows if home[a] != home[b]))
    outer = layered(nodes, edges, outer_sizes)
    centre: dict[int, Point] = {}
    routes: dict[tuple[int, int], list[Point]] = {}
    frames: list[Frame] = []
    for name in nodes:
        if name not in inner:
            centre[name] = outer.centre[name]
            continue
        x, y, w, h = corner(outer.centre[name], outer_sizes[name])
        left, top = x + (w - inner[name].size[0]) / 2, y + PADDING + 18
        centre.update((k, (p[0] + left, p[1] + top)) for k, p in inner[name].centre.items())
        for edge, points in inner[name].route.items():
            routes[edge] = [(px + left, py + top) for px, py in points]
        frames.append((name[1], x, y, w, h))
    for a, b in scene.arrows:
        if home[a] != home[b]:
            routes[a, b] = _joined(outer.route[home[a], home[b]], centre[a], centre[b], home[a] != a, home[b] != b)
    return centre, routes, frames, outer.size


def corner(centre: Point, size: Size) -> tuple[float, float, float, float]:
    """The left and upper edge, the width and the height of a rectangle around a centre."""
    return centre[0] - size[0] / 2, centre[1] - size[1] / 2, *size


def _joined(route: list[Point], start: Point, end: Point, from_inside: bool, to_inside: bool) -> list[Point]:
    """Extend a route between clusters to the boxes inside them."""
    first = (start[0], start[1] + BOX_HEIGHT / 2)
    last = (end[0], end[1] - BOX_HEIGHT / 2)
    middle = [(start[0], route[0][1])] if from_inside else []
    middle += route[1:-1]
    middle += [(end[0], route[-1][1])] if to_inside else []
    return [first, *middle, last]


# --- strokes ------------------------------------------------------------------------------------------------------


def _arrow(points: Sequence[Point], edge: tuple[int, int]) -> str:
    x, y = points[0]
    path = [f"M{x:.1f} {y:.1f}"]
    for (x0, y0), (x1, y1) in zip(points, points[1:]):
        bend = (y1 - y0) / 2
        path.append(f"C{x0:.1f} {y0 + bend:.1f} {x1:.1f} {y1 - bend:.1f} {x1:.1f} {y1:.1f}")
    return (
        f'<path class="arrow" data-from="{edge[0]}" data-to="{edge[1]}" d="{" ".join(path)}" '
        'fill="none" stroke="#777" stroke-width="1.1" marker-end="url(#tip)"/>'
    )


def _box(b: Box, centre: Point) -> str:
    x, y, w, h = corner(centre, size_of(b))
    fill, line, _ = KINDS[b.kind]
    radius = 4 if b.kind not in ("input", "shared", "constant") else h / 2
    stroke = 2.6 if b.output else 1.2
    return (
        f'<g class="box" data-key="{b.key}"><title>{escape(b.note)}</title>'
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="{radius:.0f}" '
        f'fill="{fill}" stroke="{line}" stroke-width="{stroke}"/>'
        f"{_line(centre[0], y + 16, 13, '#111', b.lines[0])}{_line(centre[0], y + 30, 10, '#555', b.lines[1])}</g>"
    )


def _line(x: float, y: float, size: int, colour: str, text: str) -> str:
    shown = escape(cut(text))
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="middle" fill="{colour}">{shown}</text>'


def _frame(cluster: tuple[str, str, list[int]], x: float, y: float, w: float, h: float) -> str:
    title, note, _ = cluster
    return (
        f'<g class="frame"><title>{escape(note)}</title>'
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="8" '
        'fill="#f7f7f4" stroke="#b5b5ab" stroke-dasharray="5 3"/>'
        f'<text x="{x + 10:.1f}" y="{y + 16:.1f}" font-size="11" fill="#6a6a60" '
        f'stroke="#f7f7f4" stroke-width="3" paint-order="stroke">{escape(title)}</text></g>'
    )


def _legend(kinds: Sequence[str], framed: bool) -> tuple[str, float]:
    def entries() -> Iterator[tuple[str, str, str]]:
        for kind in kinds:
            yield KINDS[kind]
        if framed:
            yield "#f7f7f4", "#b5b5ab", "one unit of work"

    parts, x = [], MARGIN
    for fill, line, text in entries():
        parts.append(
            f'<rect x="{x:.0f}" y="{MARGIN + 22:.0f}" width="14" height="12" rx="3" fill="{fill}" stroke="{line}"/>'
            f'<text x="{x + 20:.0f}" y="{MARGIN + 32:.0f}" font-size="11" fill="#444">{text}</text>'
        )
        x += 20 + len(text) * 6.2 + 18
    return "".join(parts), x
