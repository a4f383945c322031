"""Count the function calls by which a program is built: how the work of a stage grows, without the noise of a clock.

    python benchmarks/growth_counts.py                            all programs of growth.py that grow
    python benchmarks/growth_counts.py --cases random --most 1000  some, up to a size
    python benchmarks/growth_counts.py --save growth_counts       also write results/growth_counts.json and .md

A stage whose work is proportional to the graph makes as many calls, of Python's functions and of those in C, for each
application of an op at every size; its time may still grow, as memory gets slower when it outgrows a cache. What a loop
does without calls is not counted. Nothing is compiled or run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from growth import RESULTS, STAGES, described
from growth_cases import CASES, Case

__all__ = ["Calls", "count", "main", "markdown"]

COLUMNS = ("gradient", "rewrite", "fuse", "lower", "emit")
PARTS = STAGES | {"fuse_loops": "fuse"}
"""The column of a stage of the compiler; all others are ``"rewrite"``."""


class Calls:
    """Counts calls while ``counting`` lasts, and says how many there were since it was asked last."""

    def __init__(self) -> None:
        self._made = self._told = 0

    def _note(self, frame: Any, event: str, argument: Any) -> None:
        if event == "call" or event == "c_call":
            self._made += 1

    @contextmanager
    def counting(self) -> Iterator[None]:
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(None)

    def since(self) -> int:
        new, self._told = self._made - self._told, self._made
        return new


def count(case: Case, size: int) -> dict[str, int]:
    """The applications of ops in the graph of a program of a size, and the calls of every stage."""
    import symc
    from symc.compiler.passes import State, compile_graph
    from symc.graph import toposort
    from symc.runtime.backend import load_backend
    from symc.runtime.mode import Mode

    backend = load_backend("c")[1]
    program, calls = case.build(size), Calls()
    figures = dict.fromkeys(COLUMNS, 0)
    with calls.counting():
        outputs = list(program.outputs)
        gradients = symc.grad(outputs[0], program.wrt) if program.wrt is not None else []
        figures["gradient"] = calls.since()
    outputs, updates = described(program, outputs, gradients)
    places = [(value, len(outputs) + k) for k, (value, _) in enumerate(updates)]
    state = State("f", program.inputs, [*outputs, *(new for _, new in updates)], places, Mode().rewriting)

    def watch(stage: str, _: State) -> None:
        figures[PARTS.get(stage, "rewrite")] += calls.since()

    with calls.counting():
        compiled = compile_graph(state, watch)
        assert compiled.program is not None
        backend.emit(compiled.program)
        watch("emit", compiled)
    return {"nodes": len(toposort(state.outputs)), "kernels": len(compiled.program.steps), **figures}


def markdown(about: dict[str, Any], counts: dict[str, dict[str, dict[str, int]]]) -> str:
    """A table: calls by stage for each application of an op."""
    lines = ["# growth_counts", "", ", ".join(f"{k} {v}" for k, v in about.items()), ""]
    head = ("program", "size", "applications", "kernels", *COLUMNS)
    lines += ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    for name, sizes in counts.items():
        for size, found in sizes.items():
            each = [f"{found[c] / found['nodes']:.0f}" for c in COLUMNS]
            cells = [CASES[name].title, f"{int(size):,}", f"{found['nodes']:,}", f"{found['kernels']:,}", *each]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> None:
    growing = [c.name for c in CASES.values() if c.axis != "batch"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--cases", nargs="+", choices=growing, metavar="CASE", default=growing, help=f"some of: {', '.join(growing)}")
    add("--most", type=int, default=10_000, help="the largest size (default: %(default)s)")
    add("--save", metavar="NAME", help="write NAME.json and NAME.md, with the cases of earlier runs")
    add("--folder", type=Path, default=RESULTS, help="of both (default: results/)")
    add("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.child:
        print(json.dumps(count(CASES[options.child[0]], int(options.child[1]))))
        return
    path = options.folder / f"{options.save}.json"
    counts = json.loads(path.read_text())["counts"] if options.save and path.exists() else {}
    for name in options.cases:
        counts[name] = {}
        for size in (n for n in CASES[name].sizes if n <= options.most):
            command = [sys.executable, __file__, "--child", name, str(size)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found = counts[name][str(size)] = json.loads(done.stdout)
            each = ", ".join(f"{c} {found[c] / found['nodes']:.0f}" for c in COLUMNS)
            print(f"{name:15} {size:7,}  {found['nodes']:,} applications; calls for each: {each}", flush=True)
        if options.save:
            about = {"python": sys.version.split()[0]}
            counts = {n: counts[n] for n in CASES if n in counts}
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({**about, "counts": counts}, indent=1) + "\n")
            path.with_suffix(".md").write_text(markdown(about, counts))


if __name__ == "__main__":
    main()
