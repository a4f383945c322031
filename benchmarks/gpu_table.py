"""The short table of ``gpu_check.py``: symc compared with the fastest peer and with the chip's peak throughput."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gpu_problems import LIMITS, PROBLEMS, GpuProblem

__all__ = ["lines"]

BORROWED = ("torch", "cupy", "symc")
"""Who measures the chip: the first that did."""
AGREE = {"float32": 5e-3, "tf32": 5e-2}
"""How far what two contestants computed may lie apart, by precision."""


def lines(record: dict[str, Any], emulated: bool, saved: Path | None) -> list[str]:
    """The table, fewer than 40 lines."""
    found = ["EMULATED: the figures below mean nothing; they show that the script works."] if emulated else []
    machine = record["machine"]
    found.append(f"GPU {machine.get('GPU', '?')}; driver {machine.get('driver', '?')}")
    speed = record.get("speed", {})
    versions = [f"cuBLAS {machine.get('cuBLAS') or '-'}, cuDNN {machine.get('cuDNN') or '-'}"]
    versions += [f"{name} {one['version']}" for name, one in speed.items() if name not in ("symc", "torch.compile")]
    found.append("with " + ", ".join(versions))
    if "tests" in record:
        t = record["tests"]
        state = "all ran" if t["complete"] else "STOPPED when the time was up"
        names = f": {', '.join(t['names'][:3])}" if t["names"] else ""
        found.append(f"tests: {t['passed']} passed, {t['failed']} FAILED, {t['skipped']} skipped, {state}{names}")
    if "accuracy" in record:
        found.append(accuracy(record["accuracy"]))
    if speed:
        found += table(speed)
    where = f"all figures: {saved}" if saved else "nothing was written"
    found.append(f"ratio: the fastest peer's time over symc's; ?: results differ; {record['seconds']:.0f} s; {where}")
    return found


def accuracy(rows: list[dict[str, Any]]) -> str:
    """One line: the worst error of each precision, and what is beyond its bound."""
    worst: dict[str, float] = {}
    bad = []
    for row in rows:
        if "error" in row:
            worst[row["precision"]] = max(worst.get(row["precision"], 0), row["error"])
        if "failed" in row or row.get("error", 0) > row.get("bound", 0):
            bad.append(f"{row.get('title')} ({row.get('precision', '')})")
    text = ", ".join(f"{precision} {error:.1e}" for precision, error in worst.items())
    against = next((f" (by {row['reference']})" for row in rows if "reference" in row), "")
    wrong = f"; BEYOND THE BOUND OR FAILED: {', '.join(bad[:4])}" if bad else ""
    return f"largest relative error against float64{against}: {text or 'nothing was compared'}{wrong}"


def limits(speed: dict[str, Any]) -> dict[str, float]:
    """Bytes a second of a copy, and operations a second of products in each precision, as measured in this run."""
    found: dict[str, float] = {}
    for what, problem in LIMITS.items():
        for name in BORROWED:
            row = speed.get(name, {}).get("problems", {}).get(problem, {})
            if "median" in row and what not in found:
                found[what] = (row["moved"] or row["work"]) / row["median"]
    return found


def share(problem: GpuProblem, row: dict[str, Any], chip: dict[str, float]) -> float | None:
    """How much of the chip's measured pace was reached, by the work that the problem is at the least."""
    if row["moved"] and "copy" in chip:
        return row["moved"] / row["median"] / chip["copy"]
    if row["work"] and problem.precision in chip:
        return row["work"] / row["median"] / chip[problem.precision]
    return None


def best(speed: dict[str, Any], problem: str) -> tuple[str, float] | None:
    """The fastest peer and its seconds."""
    rows = {n: one["problems"].get(problem, {}) for n, one in speed.items() if n != "symc"}
    times = {name: row["median"] for name, row in rows.items() if "median" in row}
    return min(times.items(), key=lambda item: item[1]) if times else None


def disagree(speed: dict[str, Any], problem: GpuProblem) -> list[str]:
    """The peers whose results are not symc's."""
    ours = speed.get("symc", {}).get("problems", {}).get(problem.name, {}).get("checked")
    found = []
    for name, one in speed.items():
        theirs = one["problems"].get(problem.name, {}).get("checked")
        if ours and theirs and name != "symc":
            bound = AGREE[problem.precision]
            near = all(abs(a - b) <= bound * max(map(abs, x)) for x, y in zip(ours, theirs) for a, b in zip(x, y))
            found += [] if near else [name]
    return found


def table(speed: dict[str, Any]) -> list[str]:
    """A line for each problem, and one for each group of them."""
    chip = limits(speed)
    text = [f"copy {chip['copy'] / 1e9:,.0f} GB/s"] if "copy" in chip else []
    text += [f"product {p} {chip[p] / 1e12:,.1f} TFLOP/s" for p in ("float32", "tf32") if p in chip]
    found = ["the chip as measured: " + (", ".join(text) or "not measured")]
    found.append(f"{'':44} {'symc ms':>9} {'fastest peer ms':>26} {'ratio':>6} {'of chip':>7}")
    groups: dict[str, list[GpuProblem]] = {}
    asked = {name for one in speed.values() for name in one["problems"]}
    for name, problem in PROBLEMS.items():
        if name in asked and name not in LIMITS.values():  # those are the line on the chip
            groups.setdefault(problem.group or name, []).append(problem)
    for label, members in groups.items():
        found += _single(speed, members[0], chip) if not members[0].group else _group(speed, label, members, chip)
    return found


def _single(speed: dict[str, Any], problem: GpuProblem, chip: dict[str, float]) -> Iterator[str]:
    row = speed.get("symc", {}).get("problems", {}).get(problem.name, {})
    peer = best(speed, problem.name)
    ours = f"{1e3 * row['median']:.4g}" if "median" in row else "failed" if "failed" in row else "-"
    theirs = f"{1e3 * peer[1]:.4g}" if peer else "-"
    ratio = f"{peer[1] / row['median']:.2f}" if peer and "median" in row else ""
    part = share(problem, row, chip) if "median" in row else None
    reached = f"{100 * part:.0f} %" if part is not None else ""
    if problem.kind == "overhead" and "median" in row:
        reached = f"{1e6 * row['median'] / max(row['tasks'], 1):.2f} us a task"
    mark = " ?" + ",".join(disagree(speed, problem)) if disagree(speed, problem) else ""
    who = peer[0] if peer else ""
    yield f"{problem.title[:44]:44} {ours:>9} {who:>16} {theirs:>9} {ratio:>6} {reached:>7}{mark}"


def _group(speed: dict[str, Any], label: str, members: list[GpuProblem], chip: dict[str, float]) -> Iterator[str]:
    """Sums of times over the members that symc and a peer both did, and the mean and worst ratio."""
    ours, theirs, ratios, work, wrong = 0.0, 0.0, [], 0.0, 0
    done = 0
    for problem in members:
        row = speed.get("symc", {}).get("problems", {}).get(problem.name, {})
        peer = best(speed, problem.name)
        wrong += bool(disagree(speed, problem))
        if "median" not in row:
            continue
        done += 1
        ours += row["median"]
        work += row["work"]
        if peer:
            theirs += peer[1]
            ratios.append(peer[1] / row["median"])
    ratio = f"{math.exp(sum(map(math.log, ratios)) / len(ratios)):.2f}" if ratios else ""
    of = chip.get(members[0].precision)
    reached = f"{100 * work / ours / of:.0f} %" if of and ours else ""
    label = label if done == len(members) else f"{label} ({done} done)"
    worst = f" worst {min(ratios):.2f}" if ratios else ""
    mark = f" ?{wrong}" if wrong else ""
    shown = f"{1e3 * theirs:.4g}" if len(ratios) == done and ratios else "-"
    time = f"{1e3 * ours:.4g}" if done else "-"
    yield f"{label[:44]:44} {time:>9} {'sum':>16} {shown:>9} {ratio:>6} {reached:>7}{worst}{mark}"
