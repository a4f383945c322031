"""Pictures in files of any format: ``pydotprint``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from symc.config import config
from symc.graph import toposort
from symc.printing import stages
from symc.printing.drawing import BOX_HEIGHT, arranged, corner, cut, graph_html, size_of, svg_of
from symc.printing.scene import KINDS, Scene, scene_of
from symc.runtime.backend import name_of

__all__ = ["pydotprint"]

POINTS = 1 / 96
"""Inches per unit of the layout."""


def pydotprint(
    fct: Any,
    outfile: str | Path | None = None,
    compact: bool = True,
    format: str = "png",
    with_ids: bool = False,
    high_contrast: bool = True,
    cond_highlight: Any = None,
    colorCodes: Any = None,  # noqa: N803 - Theano's name
    max_label_size: int = 70,
    scan_graphs: bool = False,
    var_with_name_simple: bool = False,
    print_output_file: bool = True,
    return_image: bool = False,
) -> Any:
    """Draw a graph, or a compiled function with its fused kernels, into a file.

    Parameters
    ----------
    fct : Function, Variable, Apply, or sequence of Variable
    outfile : str or Path, optional
        Where to write; by default a file in ``symc.config.cache_dir``. Without a suffix, ``format`` is appended.
    format : str
        ``"svg"``, ``"html"``, ``"dot"`` (the language of Graphviz), or, if Matplotlib is installed, what it writes:
        ``"png"``, ``"pdf"``, ``"jpg"`` and others.
    with_ids : bool
        Number the boxes.
    max_label_size : int
        The number of characters after which labels are cut.
    scan_graphs : bool
        Also draw the inner graphs of loops and branches, each into a file whose name ends with its number.
    var_with_name_simple : bool
        Label variables that have names with these alone.
    print_output_file : bool
        Print where the picture is.
    return_image : bool
        Return the picture instead of writing it: text for ``"svg"``, ``"html"`` and ``"dot"``, otherwise bytes.
    compact, high_contrast, cond_highlight, colorCodes
        Have no effect. Accepted for old programs.

    Returns
    -------
    str, bytes or None

    Raises
    ------
    ImportError
        If the format needs Matplotlib, which is not installed.
    ValueError
        For an unknown format, or a graph that is too large for a picture.
    """
    scene = scene_of(fct)
    _label(scene, with_ids, max_label_size, var_with_name_simple)
    if outfile is None:
        device = name_of(getattr(fct, "device", "") or config.device)
        outfile = Path(config.cache_dir) / f"symc.pydotprint.{device}.{format}"
        outfile.parent.mkdir(parents=True, exist_ok=True)
    path = Path(outfile)
    if path.suffix.lower() != f".{format}":
        path = path.with_name(f"{path.name}.{format}")
    picture = _picture(fct, scene, format)
    if return_image:
        return picture
    _write(path, picture)
    if print_output_file:
        print("The output file is available at", os.fspath(path))
    if scan_graphs:
        for number, body in enumerate(_bodies(fct)):
            inner = scene_of(list(body.outputs))
            _label(inner, with_ids, max_label_size, var_with_name_simple)
            _write(path.with_name(f"{path.stem}_{number}{path.suffix}"), _picture(list(body.outputs), inner, format))
    return None


def _bodies(fct: Any) -> Iterator[Any]:
    """The inner graphs of the ops that are shown, those inside them included."""
    pending = [stages.expressions(fct)]
    while pending:
        for node in toposort(pending.pop()):
            for name in node.op.record.bodies:
                if node.op[name] is not None:
                    yield node.op[name]
                    pending.append(list(node.op[name].outputs))


def _write(path: Path, picture: str | bytes) -> None:
    if isinstance(picture, str):
        path.write_text(picture, encoding="utf-8")
    else:
        path.write_bytes(picture)


def _label(scene: Scene, with_ids: bool, longest: int, simple: bool) -> None:
    for number, box in enumerate(scene.boxes.values()):
        first, second = box.lines
        if simple and " = " in first:
            first = first.partition(" = ")[0]
        first = f"{number}: {first}" if with_ids else first
        box.lines = first if len(first) <= longest else first[: longest - 3] + "...", second


def _picture(fct: Any, scene: Scene, format: str) -> str | bytes:
    if format == "svg":
        return svg_of(scene)
    if format == "html":
        return graph_html(fct)
    if format == "dot":
        return _dot(scene)
    return _drawn(scene, format)


def _dot(scene: Scene) -> str:
    """The graph in the language of Graphviz."""

    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'

    lines = [f"digraph {quoted(scene.title)} {{", "  node [style=filled, shape=box];"]
    for k, (title, _, members) in enumerate(scene.clusters):
        inside = " ".join(f"n{m};" for m in members)
        lines.append(f"  subgraph cluster{k} {{ label={quoted(title)}; {inside} }}")
    for key, box in scene.boxes.items():
        fill, border, _ = KINDS[box.kind]
        text = quoted("\n".join(box.lines))
        lines.append(f"  n{key} [label={text}, fillcolor={quoted(fill)}, color={quoted(border)}];")
    lines += [f"  n{a} -> n{b};" for a, b in scene.arrows]
    return "\n".join([*lines, "}"]) + "\n"


def _drawn(scene: Scene, format: str) -> bytes:
    """The picture drawn by Matplotlib."""
    from io import BytesIO

    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.patches import FancyBboxPatch
    except ImportError:
        text = f"pydotprint: the format {format!r} needs Matplotlib"
        raise ImportError(f"{text}; install it, or use format='svg', 'html' or 'dot'") from None
    centre, routes, frames, (width, height) = arranged(scene)
    figure = Figure(figsize=(max(width, 80) * POINTS, max(height, 40) * POINTS + 0.4), dpi=120)
    FigureCanvasAgg(figure)
    if format not in figure.canvas.get_supported_filetypes():
        known = ", ".join(sorted(figure.canvas.get_supported_filetypes()))
        raise ValueError(f"pydotprint: unknown format {format!r}; known are svg, html, dot, {known}")
    axes = figure.add_axes((0, 0, 1, 1), frameon=False)
    axes.set_xlim(-10, width + 10)
    axes.set_ylim(height + 10, -30)
    axes.set_axis_off()
    axes.text(0, -16, scene.title, fontsize=9, weight="bold")
    for number, x, y, w, h in frames:
        box = FancyBboxPatch((x, y), w, h, boxstyle="round,pad=0,rounding_size=8", fc="#f7f7f4", ec="#b5b5ab", ls="--")
        axes.add_patch(box)
        axes.text(x + 10, y + 14, scene.clusters[number][0], fontsize=6, color="#6a6a60", zorder=4)
    for points in routes.values():
        axes.plot([p[0] for p in points[:-1]], [p[1] for p in points[:-1]], color="#777", lw=0.8, zorder=2)
        arrow = {"arrowstyle": "-|>", "color": "#777", "lw": 0.8}
        axes.annotate("", points[-1], points[-2], arrowprops=arrow, zorder=2)
    for key, b in scene.boxes.items():
        x, y, w, h = corner(centre[key], size_of(b))
        fill, border, _ = KINDS[b.kind]
        shape = FancyBboxPatch((x, y), w, h, boxstyle="round,pad=0,rounding_size=5", fc=fill, ec=border, zorder=3)
        shape.set_linewidth(2 if b.output else 0.9)
        axes.add_patch(shape)
        for line, (below, size, colour) in zip(b.lines, ((0.38, 7.5, "#111"), (0.78, 5.8, "#555"))):
            place: dict[str, Any] = {"ha": "center", "va": "center", "zorder": 5}
            axes.text(centre[key][0], y + below * BOX_HEIGHT, cut(line), fontsize=size, color=colour, **place)
    stream = BytesIO()
    figure.savefig(stream, format=format)
    return stream.getvalue()
