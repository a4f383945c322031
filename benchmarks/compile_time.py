"""Measure the time until a training function can be called, cold and warm.

    python benchmarks/compile_time.py                 LeNet, and 1, 10 and 100 stacked dense layers; large graphs
    python benchmarks/compile_time.py --save compile_time
    python benchmarks/compile_time.py chain reductions --before other/.venv/bin/python    large graphs, two versions

Every measurement uses a fresh process. *first*: the cache folder is empty, and symc's run-time library is also built
(once per installation). *cold*: the library is cached, the function is not. *warm*: another process has compiled the
function before. The C compiler is a script that counts its calls, which verifies warm starts.

Large graphs (``large_graphs.py``) are built, differentiated, compiled cold and warm, and called twice. Their table has
processor time beside wall-clock time, since only the former is meaningful on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from contestants import symc_training
from large_graphs import GRAPHS, measure
from problems import PROBLEMS

UNITS = 256
MODELS = ("lenet", "1", "10", "100")
"""LeNet, or a number of dense layers."""


def build_stack(layers: int) -> tuple[Any, tuple[np.ndarray, np.ndarray], float, float]:
    """A training function for ``layers`` dense layers of 256 rectified units, and an input for it."""
    import symc
    import symc.tensor as T

    rng = np.random.default_rng(0)
    x, target = T.matrix("x"), T.matrix("target")
    start = perf_counter()
    h, params = x, []
    for k in range(layers):
        weights = rng.standard_normal((UNITS, UNITS)).astype("float32") * np.float32(np.sqrt(2 / UNITS))
        params += [symc.shared(weights, f"W{k}"), symc.shared(np.zeros(UNITS, "float32"), f"b{k}")]
        h = T.maximum(T.dot(h, params[-2]) + params[-1], 0)
    loss = T.mean(T.sqr(h - target))
    updates = []
    for p, g in zip(params, T.grad(loss, params)):
        velocity = symc.shared(np.zeros_like(p.get_value()))
        change = 0.9 * velocity - 1e-4 * g
        updates += [(velocity, change), (p, p + change)]
    graph = perf_counter() - start
    start = perf_counter()
    train = symc.function([x, target], loss, updates=updates)
    batch = rng.standard_normal((2, 128, UNITS)).astype("float32")
    return train, (batch[0], batch[1]), graph, perf_counter() - start


def build_lenet() -> tuple[Any, tuple[np.ndarray, np.ndarray], float, float]:
    """The training function of the table in ``run.py``."""
    import symc

    data = PROBLEMS["lenet"].data(False)
    start = perf_counter()
    inputs, loss, updates = symc_training("lenet", data)
    graph = perf_counter() - start
    start = perf_counter()
    train = symc.function(inputs, loss, updates=updates)
    return train, (data["x"], data["y"]), graph, perf_counter() - start


def child(model: str) -> None:
    """In a fresh process: import, build, compile, call; the seconds of each as JSON."""
    if ":" in model:
        name, size = model.split(":")
        print(json.dumps(measure(name, int(size))))
        return
    start = perf_counter()
    import symc  # noqa: F401 - the import is what is timed

    imported = perf_counter() - start
    train, batch, graph, function = build_lenet() if model == "lenet" else build_stack(int(model))
    start = perf_counter()
    loss = float(train(*batch))
    print(
        json.dumps(
            {"import": imported, "graph": graph, "function": function, "call": perf_counter() - start, "loss": loss}
        )
    )


def _environment(folder: Path, cache: Path) -> dict[str, str]:
    """The variables of a measured process: as for an installed package, Python keeps the bytecode of its modules."""
    found = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return found | {"PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "SYMC_CACHE": str(cache)}


def parent(models: list[str], repeats: int, folder: Path) -> list[dict[str, Any]]:
    """Run every model through its three starts; ``folder`` holds caches and the counting compiler."""
    compiler, log = _counting_compiler(folder)

    def start(model: str, cache: Path) -> dict[str, Any]:
        log.write_text("")
        environment = _environment(folder, cache) | {"CC": str(compiler)}
        command = [sys.executable, __file__, "--child", model]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(done.stdout) | {"compilers": len(log.read_text().splitlines())}

    library = folder / "library"
    start("0", library)  # a function without layers: compiles the run-time library, and Python's own files
    rows = []
    for model in models:
        first = start(model, folder / f"first-{model}")
        cold, warm = [], []
        for k in range(repeats):
            cache = folder / f"cold-{model}-{k}"
            shutil.copytree(library, cache)
            cold.append(start(model, cache))
            warm.append(start(model, cache))
        rows.append({"model": model, "first": first, "cold": _middle(cold), "warm": _middle(warm)})
    return rows


def large(names: list[str], scale: float, pythons: dict[str, str], folder: Path, limit: float) -> list[dict[str, Any]]:
    """Large graphs with each interpreter, cold and warm; None where one took over ``limit`` seconds or failed."""

    def start(python: str, model: str, cache: Path) -> dict[str, Any] | None:
        environment = _environment(folder, cache)
        command = [python, __file__, "--child", model]
        try:
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, timeout=limit)
        except subprocess.TimeoutExpired:
            return None
        return json.loads(done.stdout) if done.returncode == 0 else None

    rows = []
    for version, python in pythons.items():
        start(python, "inputs:2", folder / version)  # builds the run-time library
    for name in names:
        size = max(1, round(GRAPHS[name][1] * scale))
        row: dict[str, Any] = {"graph": name, "size": size}
        for version, python in pythons.items():
            cache = folder / version
            if name == "small function":
                cache = folder / f"{version}-small"
                shutil.copytree(folder / version, cache)
            cold = start(python, f"{name}:{size}", cache)
            warm = [cold and start(python, f"{name}:{size}", cache) for _ in range(5 if size == 1 else 1)]
            row[version] = {"cold": cold, "warm": min(warm, key=lambda found: found["function"] if found else 0.0)}
        rows.append(row)
    return rows


def large_table(rows: list[dict[str, Any]], limit: float) -> str:
    """Markdown: seconds of the wall clock, and in brackets of the processor."""
    lines = [
        "| graph | ops | version | graph s | gradient s | function warm s | function cold s | C compiler s "
        "| first call ms | later call ms | memory MB |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        for version in [key for key in row if key not in ("graph", "size")]:
            cold, warm = row[version]["cold"], row[version]["warm"]
            cells = [row["graph"], f"{row['size']:,}", version]
            if cold is None or warm is None:
                lines.append("| " + " | ".join([*cells, f"not within {limit:.0f} s", *[""] * 7]) + " |")
                continue
            for stage in ("graph", "gradient"):
                cells.append(f"{warm[stage]:.2f} ({warm[f'{stage} cpu']:.2f})")
            cells += [f"{found['function']:.2f} ({found['function cpu']:.2f})" for found in (warm, cold)]
            cells.append(f"{cold['compiler']:.2f}")
            cells += [f"{1e3 * warm[k]:.1f} ({1e3 * warm[f'{k} cpu']:.1f})" for k in ("call", "again")]
            lines.append("| " + " | ".join([*cells, f"{warm['memory']:.0f}"]) + " |")
    note = "Seconds of the wall clock, in brackets those that the process itself kept a processor busy."
    return "\n".join(lines) + f"\n\n{note}\n"


def _counting_compiler(folder: Path) -> tuple[Path, Path]:
    real = shutil.which(os.environ.get("CC", "cc"))
    if real is None:
        raise SystemExit("no C compiler found; install gcc or clang")
    compiler, log = folder / "counting-cc", folder / "calls.log"
    compiler.write_text(f'#!/bin/sh\necho "$@" >> {log}\nexec {real} "$@"\n')
    compiler.chmod(0o700)
    return compiler, log


def _middle(found: list[dict[str, Any]]) -> dict[str, Any]:
    return {key: median(one[key] for one in found) for key in found[0]}


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: seconds of ``symc.function``, compiler runs, growth a layer."""
    lines = [
        "| training function of | user's graph s | first s (compiler runs) | cold s (runs) | warm s (runs) "
        "| cold ms a layer | warm ms a layer |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        parts = [f"{row[kind]['function']:.3f} ({row[kind]['compilers']:.0f})" for kind in ("first", "cold", "warm")]
        count = None if row["model"] == "lenet" else int(row["model"])
        growth = [f"{1e3 * row[kind]['function'] / count:.1f}" if count else "" for kind in ("cold", "warm")]
        name = f"{count} dense layers" if count else "LeNet"
        lines.append(f"| {name} | {row['warm']['graph']:.3f} | " + " | ".join(parts + growth) + " |")
    imports = median(row["warm"]["import"] for row in rows)
    return "\n".join(lines) + f"\n\n`import symc` takes {imports:.2f} s of each process, and is not in the figures.\n"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "models", nargs="*", help="lenet, numbers of dense layers, or names of large graphs (default: all)"
    )
    parser.add_argument("--before", metavar="PYTHON", help="an interpreter with another version, for large graphs")
    parser.add_argument("--limit", type=float, default=300, help="seconds for a large graph (default: %(default)s)")
    parser.add_argument("--scale", type=float, default=1, help="multiplies the sizes of large graphs")
    parser.add_argument("--repeats", type=int, default=3, help="cold and warm starts of each (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="one start of each, few layers")
    parser.add_argument("--save", metavar="NAME", help="write results/NAME.json and results/NAME.md beside this file")
    parser.add_argument("--child", metavar="MODEL", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.child:
        child(options.child)
        return
    chosen = options.models or [*(["1", "4"] if options.quick else MODELS), *GRAPHS]
    graphs = [name for name in GRAPHS for model in chosen if name.startswith(model)]
    models = [model for model in chosen if model == "lenet" or model.isdigit()]
    pythons = {"before": options.before} if options.before else {}
    text: list[str] = []
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        if models:
            rows = parent(models, 1 if options.quick else options.repeats, Path(folder))
            text.append(table(rows))
            print(text[-1])
        if graphs:
            scale = 0.02 if options.quick else options.scale
            found = large(graphs, scale, pythons | {"now": sys.executable}, Path(folder), options.limit)
            text.append(large_table(found, options.limit))
            print(text[-1])
    if any(row["warm"]["compilers"] for row in rows):
        raise SystemExit("a warm start ran the C compiler")
    if options.save:
        from run import machine, save

        save(options.save, machine(), ["\n".join(text)], rows + (found if graphs else []))


if __name__ == "__main__":
    main()
