"""What ``growth.py`` prints and writes: lines, tables, knees, and a drawing that needs no network.

The *slope* of a cost between two sizes is the exponent ``log(cost ratio) / log(size ratio)``: 1 is proportional growth,
0 none. A *knee* is a slope above ``STEEP`` of a cost that is no longer negligible.
"""

from __future__ import annotations

from html import escape
from math import ceil, floor, log, log10
from typing import Any

__all__ = ["drawing", "knees", "line", "markdown", "slopes"]

STEEP = 1.2
LEAST = {
    "graph": 0.3, "gradient": 0.3, "rewrite": 0.3, "lower": 0.3, "emit": 0.3, "load": 0.3, "other": 0.3,
    "C compiler": 0.5, "first call": 0.05, "call": 0.0005, "build memory": 50, "call memory": 50,
}  # fmt: skip
"""The least cost in seconds and MB, at the larger of two sizes, from which a slope is judged."""
COLUMNS = (
    ("graph", 1, "s"), ("gradient", 1, "s"), ("rewrite", 1, "s"), ("lower", 1, "s"), ("emit", 1, "s"),
    ("C compiler", 1, "s"), ("build", 1, "s"), ("first call", 1e3, "ms"), ("call", 1e3, "ms"),
    ("build memory", 1, "MB"), ("call memory", 1, "MB"),
)  # fmt: skip


def _number(value: float) -> str:
    return (
        f"{value:.0f}" if value >= 100 else f"{value:.2g}" if value >= 0.01 else "0" if value < 1e-3 else f"{value:.3f}"
    )


def line(name: str, size: int, point: dict[str, Any]) -> str:
    """A size as text."""
    if "failed" in point:
        return f"{name:15} {size:7,}  {point['failed']}"
    cells = [f"{column} {_number(point[column] * factor)} {unit}" for column, factor, unit in COLUMNS]
    return f"{name:15} {size:7,}  " + ", ".join(cells)


def _measured(curve: dict[str, Any]) -> list[tuple[int, dict[str, float]]]:
    return [(int(size), p) for size, p in curve["points"].items() if "failed" not in p]


def slopes(curve: dict[str, Any], cost: str) -> list[tuple[int, int, float]]:
    """The slopes of a cost: size, next size, exponent; where either cost is 0, none."""
    points = _measured(curve)
    return [
        (a, b, log(q[cost] / p[cost]) / log(b / a))
        for (a, p), (b, q) in zip(points, points[1:])
        if p[cost] > 0 and q[cost] > 0
    ]


def knees(curve: dict[str, Any]) -> list[tuple[str, int, int, float]]:
    """What grows faster than the size: cost, size, next size, slope."""
    found, points = [], dict(_measured(curve))
    for cost, least in LEAST.items():
        for a, b, slope in slopes(curve, cost):
            if slope > STEEP and points[b][cost] >= least:
                found.append((cost, a, b, slope))
    return found


def markdown(name: str, about: dict[str, Any], curves: list[dict[str, Any]]) -> str:
    """A table per axis, then the knees."""
    lines = [f"# {name}", "", ", ".join(f"{k} {v}" for k, v in about.items()), ""]
    for axis in dict.fromkeys(c["axis"] for c in curves):
        head = ["program", axis, *(f"{column} {unit}" for column, _, unit in COLUMNS)]
        lines += ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
        for curve in curves:
            if curve["axis"] == axis:
                lines += [_row(curve["title"], int(size), point) for size, point in curve["points"].items()]
        lines.append("")
    found = [(curve["title"], *knee) for curve in curves for knee in knees(curve)]
    lines += ["Knees:" if found else "No knees.", ""]
    lines += [f"- {title}: {cost} from {a:,} to {b:,} as the power {slope:.2f}" for title, cost, a, b, slope in found]
    return "\n".join(lines) + "\n"


def _row(title: str, size: int, point: dict[str, Any]) -> str:
    if "failed" in point:
        return f"| {title} | {size:,} | {point['failed']} |" + " |" * (len(COLUMNS) - 1)
    cells = [_number(point[column] * factor) for column, factor, _ in COLUMNS]
    return f"| {title} | {size:,} | " + " | ".join(cells) + " |"


# --- the drawing ------------------------------------------------------------------------------------------------------

COLOURS = ("#2a7f62", "#c0392b", "#2f6fb0", "#b7791f", "#7d4fa0", "#3f8f9f", "#8a5a44", "#5f6b7a", "#a0527d")
STYLE = (
    "svg{background:#fff}text{font:11px system-ui,sans-serif;fill:#1d2330}.faint{fill:#8a93a3}.axis{stroke:#d6dae1}"
    ".guide{stroke:#b9c0cb;stroke-dasharray:3 3}polyline{fill:none;stroke-width:1.8}.title{font-weight:600}"
)
WIDTH, HEIGHT, LEFT, TOP = 300, 210, 46, 24
COSTS = (("build", "build, seconds"), ("call", "call, seconds"), ("memory", "memory, MB"))


def drawing(curves: list[dict[str, Any]]) -> str:
    """Build time, call time and memory (rows) along batch, depth and ops (columns), both axes logarithmic."""
    axes = list(dict.fromkeys(c["axis"] for c in curves))
    parts, names = [], 0
    for column, axis in enumerate(axes):
        own = [c for c in curves if c["axis"] == axis and _measured(c)]
        x = 10 + column * (WIDTH + 30)
        for row, (cost, title) in enumerate(COSTS):
            parts.append(_panel(x, row * (HEIGHT + 34), f"{title}, by {axis}", own, cost))
        for k, curve in enumerate(own):
            y = 3 * (HEIGHT + 34) + 14 + 15 * k
            parts.append(f'<rect x="{x + LEFT}" y="{y - 8}" width="14" height="4" fill="{COLOURS[k % len(COLOURS)]}"/>')
            parts.append(f'<text x="{x + LEFT + 20}" y="{y - 2}">{escape(curve["title"])}</text>')
        names = max(names, len(own))
    width, height = 10 + len(axes) * (WIDTH + 30), 3 * (HEIGHT + 34) + 20 + 15 * names
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img"><title>Growth of build time, call time and memory</title><style>{STYLE}</style>'
        f"{''.join(parts)}</svg>\n"
    )


def _value(point: dict[str, float], cost: str) -> float:
    return point["build memory"] + point["call memory"] if cost == "memory" else point[cost]


def _panel(x: float, y: float, title: str, curves: list[dict[str, Any]], cost: str) -> str:
    """One panel: a line per case, powers of ten, and dashed lines of proportional growth."""
    values = [(n, _value(p, cost)) for c in curves for n, p in _measured(c)]
    values = [(n, v) for n, v in values if v > 0]
    if not values:
        return ""
    low, high = floor(log10(min(v for _, v in values))), ceil(log10(max(v for _, v in values)))
    high = max(high, low + 1)
    last = log10(max(n for n, _ in values)) or 1.0

    def at(size: float, value: float) -> tuple[float, float]:
        part = (log10(value) - low) / (high - low)
        return x + LEFT + log10(size) / last * (WIDTH - LEFT), y + TOP + (1 - part) * (HEIGHT - TOP)

    parts = [f'<text class="title" x="{x + LEFT}" y="{y + 14}">{escape(title)}</text>']
    for k in range(low, high + 1):
        _, v = at(1, 10.0**k)
        parts.append(f'<line class="axis" x1="{x + LEFT}" x2="{x + WIDTH}" y1="{v:.1f}" y2="{v:.1f}"/>')
        parts.append(f'<text class="faint" x="{x + LEFT - 5}" y="{v + 4:.1f}" text-anchor="end">{10.0**k:g}</text>')
        end = min(10**last, 10.0 ** (high - k))  # a line of slope 1 from the left edge, cut at the top
        (ax, ay), (bx, by) = at(1, 10.0**k), at(end, 10.0**k * end)
        if end > 1:
            parts.append(f'<line class="guide" x1="{ax:.1f}" y1="{ay:.1f}" x2="{bx:.1f}" y2="{by:.1f}"/>')
    for n in sorted({n for n, _ in values}):
        u, _ = at(n, 10.0**low)
        if log10(n) % 1 == 0 or last < 3 and log(n, 2) % 2 == 0:
            parts.append(f'<text class="faint" x="{u:.1f}" y="{y + HEIGHT + 14}" text-anchor="middle">{n:,}</text>')
    for k, curve in enumerate(curves):
        points = [at(n, v) for n, p in _measured(curve) if (v := _value(p, cost)) > 0]
        text = " ".join(f"{u:.1f},{v:.1f}" for u, v in points)
        parts.append(
            f'<polyline points="{text}" stroke="{COLOURS[k % len(COLOURS)]}"><title>{escape(curve["title"])}</title>'
            "</polyline>"
        )
    return "".join(parts)
