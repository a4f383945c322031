"""What ``cpu.py`` prints and writes: lines, tables, and a page with a roofline that needs no network."""

from __future__ import annotations

from html import escape
from math import exp, log, log10
from statistics import fmean, median, quantiles
from typing import Any

from cpu_contest import REDUCED

__all__ = ["html", "least_seconds", "line", "markdown", "ratio", "summary"]


def _median(entry: dict[str, Any]) -> float | None:
    return median(entry["seconds"]) if entry["seconds"] and not entry["error"] else None


def _symc(row: dict[str, Any]) -> float | None:
    return next((_median(e) for e in row["entries"] if e["contestant"] == "symc"), None)


def _peers(row: dict[str, Any]) -> list[tuple[float, str]]:
    """The medians of the peers that compute in float32, fastest first."""
    found = [(_median(e), e["contestant"]) for e in row["entries"] if e["contestant"] not in {"symc", *REDUCED}]
    return sorted((s, name) for s, name in found if s is not None)


def ratio(row: dict[str, Any]) -> float | None:
    """The median of the fastest peer that computes in float32, divided by symc's."""
    ours, peers = _symc(row), _peers(row)
    return peers[0][0] / ours if ours and peers else None


def least_seconds(row: dict[str, Any], peaks: dict[str, float]) -> float:
    """The least time that the machine's limits allow: products at the peak of multiply-adds, square roots and
    quotients at that of their unit, each array moved once at the rate of a streaming copy."""
    times = [row["traffic"] / max(peaks["copy"], peaks["stream"]), row["flops"] / peaks["gflops"]]
    times.append(sum(row.get(name, 0.0) / peaks[name] for name in ("roots", "quotients") if name in peaks))
    return max(times) / 1e9


def of_limit(row: dict[str, Any]) -> float | None:
    """The least time that the machine's limits allow, divided by symc's. Arrays that fit into a cache can exceed it."""
    peaks, ours = row.get("limits"), _symc(row)
    return least_seconds(row, peaks) / ours if peaks and ours else None


def _ms(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{1e3 * seconds:.3g}" if seconds < 1 else f"{1e3 * seconds:.0f}"


def line(row: dict[str, Any]) -> str:
    """One row as text: symc's median and 90th percentile, the ratio, and each peer's median."""
    r, entries = ratio(row), row["entries"]
    cells = [f"{e['contestant']} {_ms(_median(e))}" for e in entries if not e["error"] and e["contestant"] != "symc"]
    failed = [f"{e['contestant']}: {e['error']}" for e in entries if e["error"]]
    shown = f"{r:.2f}" if r else "-"
    return f"{row['row']:22} {shown:>6}  symc {_ms(_symc(row))} ms | " + ", ".join(cells + failed)


def summary(rows: list[dict[str, Any]]) -> str:
    """The geometric mean of the ratios, against each peer, and the rows in which a peer is faster."""
    ratios = {row["row"]: r for row in rows if (r := ratio(row)) is not None}
    if not ratios:
        return "No row was measured beside a peer."
    behind = ", ".join(f"{name} ({r:.2f})" for name, r in sorted(ratios.items(), key=lambda p: p[1]) if r < 1)
    out = [f"Fastest peer / symc: geometric mean {_mean(list(ratios.values())):.2f} of {len(ratios)} rows."]
    alone: dict[str, list[float]] = {}
    for row in rows:
        ours = _symc(row)
        for entry in row["entries"]:
            seconds = _median(entry)
            if ours and seconds and entry["contestant"] != "symc":
                alone.setdefault(entry["contestant"], []).append(seconds / ours)
    out.append("Alone: " + ", ".join(f"{name} {_mean(rs):.2f} ({len(rs)} rows)" for name, rs in alone.items()) + ".")
    out.append(f"Behind: {behind or 'none'}.")
    return "\n".join(out)


def _mean(ratios: list[float]) -> float:
    return exp(fmean(log(r) for r in ratios))


def _names(rows: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(e["contestant"] for row in rows for e in row["entries"]))


def markdown(name: str, about: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """Tables of medians in ms; what went wrong is listed below."""
    names = _names(rows)
    head = ["row", *names, "symc p90", "ratio", "of limit"]
    lines = [f"# {name}", "", ", ".join(f"{k} {v}" for k, v in about.items()), "", "Medians in ms.", ""]
    lines += ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    for row in rows:
        found = {e["contestant"]: e for e in row["entries"]}
        times = [_cell(found.get(n)) for n in names]
        r, of = ratio(row), of_limit(row)
        more = [_ms(_late(found.get("symc"))), f"{r:.2f}" if r else "-", f"{of:.0%}" if of else "-"]
        lines.append("| " + " | ".join([row["title"], *times, *more]) + " |")
    failed = [(row["row"], e) for row in rows for e in row["entries"] if e["error"]]
    lines += ["", summary(rows).replace("\n", "\n\n"), ""]
    lines += [f"- {row}, {e['contestant']}: {' '.join(e['error'].split())}" for row, e in failed]
    return "\n".join(lines) + "\n"


def _cell(entry: dict[str, Any] | None) -> str:
    return "" if entry is None else "failed" if entry["error"] else _ms(_median(entry))


def _late(entry: dict[str, Any] | None) -> float | None:
    """The 90th percentile."""
    seconds = entry["seconds"] if entry else []
    return quantiles(seconds, n=10, method="inclusive")[-1] if len(seconds) > 1 else None


# --- the page ---------------------------------------------------------------------------------------------------------

STYLE = """
:root { color-scheme: light dark; --ink: #1d2330; --paper: #fff; --faint: #8a93a3; --good: #2a7f62; --bad: #c0392b;
  --line: #d6dae1; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7ec; --paper: #14171d; --faint: #8a93a3; --good: #54c59b;
  --bad: #ff7b6b; --line: #333a46; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 64rem;
  margin: 2rem auto; padding: 0 1rem; }
svg { width: 100%; height: auto; } svg text { fill: var(--ink); font: 11px system-ui, sans-serif; }
.axis { stroke: var(--line); } .roof { stroke: var(--faint); fill: none; stroke-width: 2; }
.good { fill: var(--good); } .bad { fill: var(--bad); } .faint { fill: var(--faint); }
table { border-collapse: collapse; font-size: 13px; }
td, th { padding: .2rem .6rem; border-bottom: 1px solid var(--line); text-align: right; }
td:first-child, th:first-child { text-align: left; }
.wide { overflow-x: auto; }
"""


def html(name: str, about: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """The page: ratios per row, a roofline, and the table."""
    head = ", ".join(f"{escape(str(k))} {escape(str(v))}" for k, v in about.items())
    text = summary(rows).replace("\n", "<br>")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(name)}</title><style>{STYLE}</style><h1>symc and its peers on a CPU</h1><p>{head}</p>"
        f"<p>{escape(text).replace('&lt;br&gt;', '<br>')}</p>"
        f"<h2>Fastest peer / symc</h2>{_bars(rows)}<h2>Roofline</h2>{_roofline(rows)}"
        f'<h2>Medians in ms</h2><div class="wide">{_table(rows)}</div></html>\n'
    )


def _bars(rows: list[dict[str, Any]]) -> str:
    """One bar per row on a logarithmic scale: right of the line symc is faster."""
    found = [(row, r) for row in rows if (r := ratio(row)) is not None]
    if not found:
        return "<p>No row was measured beside a peer.</p>"
    reach = max(2.0, *(max(r, 1 / r) for _, r in found))
    middle, half, step = 430, 300, 16
    parts = []
    for k, (row, r) in enumerate(found):
        y, length = 20 + k * step, abs(log(r)) / log(reach) * half
        x = middle if r >= 1 else middle - length
        parts.append(f'<text x="4" y="{y + 10}">{escape(row["row"])}</text>')
        kind = "good" if r >= 1 else "bad"
        parts.append(f'<rect class="{kind}" x="{x:.1f}" y="{y}" width="{max(length, 1):.1f}" height="11"/>')
        parts.append(f'<text x="740" y="{y + 10}">{r:.2f} {escape(_peers(row)[0][1])}</text>')
    height = 30 + len(found) * step
    parts.append(f'<line class="axis" x1="{middle}" x2="{middle}" y1="10" y2="{height}"/>')
    return f'<svg viewBox="0 0 920 {height}" role="img">{"".join(parts)}</svg>'


def _roofline(rows: list[dict[str, Any]]) -> str:
    """Operations of products per byte, and what symc reaches of what the machine can do."""
    found = [(row, s) for row in rows if row.get("limits") and row["flops"] and row["traffic"] and (s := _symc(row))]
    if not found:
        return "<p>No row with products was measured.</p>"
    peaks = found[-1][0]["limits"]
    rate = max(peaks["copy"], peaks["stream"])
    left, right, low, high = -1.5, 3.5, 0.5, log10(peaks["gflops"] * 4)

    def at(intensity: float, speed: float) -> tuple[float, float]:
        x = 60 + (min(max(log10(intensity), left), right) - left) / (right - left) * 820
        return x, 400 - (min(max(log10(speed), low), high) - low) / (high - low) * 370

    knee = peaks["gflops"] / rate
    points = [at(10**left, rate * 10**left), at(knee, peaks["gflops"]), at(10**right, peaks["gflops"])]
    parts = [f'<polyline class="roof" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>']
    for k in range(-1, 4):
        x, _ = at(10**k, 1)
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="20" y2="400"/>')
        parts.append(f'<text x="{x:.1f}" y="416" text-anchor="middle">{10.0**k:g}</text>')
    for k in range(1, int(high) + 1):
        _, y = at(1, 10**k)
        parts.append(f'<line class="axis" x1="60" x2="880" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="54" y="{y + 4:.1f}" text-anchor="end">{10**k}</text>')
    for row, seconds in found:
        speed = row["flops"] / seconds / 1e9
        x, y = at(row["flops"] / row["traffic"], speed)
        label = f"{escape(row['row'])}: {speed:.0f} Gflop/s"
        parts.append(f'<circle class="good" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{label}</title></circle>')
        parts.append(f'<text class="faint" x="{x + 6:.1f}" y="{y - 3:.1f}">{escape(row["row"])}</text>')
    parts.append('<text x="470" y="436" text-anchor="middle">operations per byte of arguments and results</text>')
    parts.append('<text x="64" y="14">Gflop/s; minimal filtering (Winograd) can exceed the peak</text>')
    return f'<svg viewBox="0 0 920 440" role="img">{"".join(parts)}</svg>'


def _table(rows: list[dict[str, Any]]) -> str:
    names = _names(rows)
    lines = ["".join(f"<th>{escape(c)}</th>" for c in ["row", *names, "symc p90", "ratio", "of limit"])]
    for row in rows:
        found = {e["contestant"]: e for e in row["entries"]}
        r, of = ratio(row), of_limit(row)
        cells = [row["title"], *(_cell(found.get(n)) for n in names), _ms(_late(found.get("symc")))]
        cells += [f"{r:.2f}" if r else "-", f"{of:.0%}" if of else "-"]
        lines.append("".join(f"<td>{escape(c)}</td>" for c in cells))
    return "<table>" + "".join(f"<tr>{cells}</tr>" for cells in lines) + "</table>"
