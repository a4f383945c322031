"""Check random programs with structure against NumPy; run this file for long checks.

    python tests/random_structures.py --count 10000 --seed 0 --processes 2

Each program is compiled in every mode and called several times with other values and shapes, some of which do not
fit. The results and the shared variables after each call must be those of its meaning in NumPy; a call that must fail
has to raise and leave every shared variable as it was. For a share of the programs gradients are compared with
differences.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from structure_bodies import draw, random_scope
from structure_programs import FAILURES, Fails, Frame, Run, Scope, Unknown

import symc
import symc.tensor as T
from symc.errors import ShapeError
from symc.graph import Variable

MODES = ("fast_run", "fast_compile", "no_rewrite")
INTERNAL = ("is not known, which the dim", "leaves b")
"""Parts of messages that no user should see."""
REFUSED = "has a length that only the step computes"
"""Part of the message for what symc does not compile, whatever the values."""
TOLERANCE = {"float64": 1e-8, "float32": 3e-3}


@dataclass
class Task:
    """What of a program is compiled: nodes to give, ``(shared variable, next value)``, and a cost with its slopes."""

    outputs: list[int]
    updates: list[tuple[int, int]]
    cost: int | None
    wrt: list[int]
    slopes: list[Variable]


def choose(s: Scope) -> Task:
    random, count = s.random, len(s.nodes)
    shown = [k for k in range(count) if k not in s.hidden]
    outputs = {int(k) for k in random.choice(shown, min(len(shown), int(random.integers(1, 4))), replace=False)}
    outputs.add(shown[-1])
    updates = []
    for k in [k for k, leaf in s.leaves.items() if leaf.shared]:
        variable = s.nodes[k].variable
        same = [j for j in shown if j != k and s.nodes[j].variable.dtype == variable.dtype]
        same = [j for j in same if s.value(j).ndim == variable.ndim and not any(s.stretches(j))]
        fits = [j for j in same if s.value(j).shape == s.value(k).shape or s.chance(0.1)]
        if fits and s.chance(0.85):
            updates.append((k, int(random.choice(fits))))
    task = Task(sorted(outputs), updates, None, [], [])
    if s.dtype == "float64" and not s.givens and s.chance(0.5):
        task.cost = s.pick(lambda k: s.kind(k) == "f" and s.nodes[k].step is not None)
    if task.cost is not None:
        task.wrt = [k for k in s.leaves if s.kind(k) == "f"]
        total = T.sum(T.sin(s.nodes[task.cost].variable))
        task.slopes = T.grad(total, [s.nodes[k].variable for k in task.wrt], disconnected_inputs="ignore")
    return task


def given_values(s: Scope, random: np.random.Generator, call: int) -> dict[int, np.ndarray]:
    """Values for all leaves; from the second call on some have other lengths, or lengths that do not fit."""
    sizes = dict(s.sizes)
    if call and random.random() < 0.5:
        chosen = random.choice([0, 1, 2, 3, 4, 5, 6], 3, replace=False, p=[0.1, 0.1, 0.16, 0.16, 0.16, 0.16, 0.16])
        sizes = dict(zip(sizes, map(int, chosen)))
    found = {}
    for k, leaf in s.leaves.items():
        own = (
            {d: n + int(random.integers(-1, 2)) for d, n in sizes.items()} if call and random.random() < 0.06 else sizes
        )
        found[k] = draw(random, leaf, {d: max(n, 0) for d, n in own.items()})
    return found


def meaning(s: Scope, task: Task, leaves: dict[int, np.ndarray]) -> tuple[dict[int, np.ndarray] | Exception, Run]:
    """The values of the nodes that are asked for, or why there are none."""
    frame = Frame(s, leaves)
    wanted = [*task.outputs, *(j for _, j in task.updates)]
    try:
        found = dict(zip(wanted, frame.values(wanted)))
    except (Fails, Unknown) as error:
        return error, frame.run
    try:
        if task.cost is not None:  # of which only slopes are computed, perhaps without it
            frame.value(task.cost)
        return found, frame.run
    except Fails:
        return Unknown("the cost fails"), frame.run
    except Unknown as error:
        return error, frame.run


class Wrong(AssertionError):
    """What was computed is not what the program means."""


def near(got: np.ndarray, want: np.ndarray, tolerance: float, what: str) -> None:
    if got.shape != want.shape:
        raise Wrong(f"{what}: shape {got.shape}, expected {want.shape}")
    size = max(1.0, float(np.abs(want).max(initial=0)))
    if not np.allclose(got, want, rtol=tolerance, atol=tolerance * size):
        raise Wrong(f"{what}:\n{got}\nexpected\n{want}")


def check(seed: int, device: str = "interp", modes: Sequence[str] = MODES, calls: int = 4) -> None:
    """Build the program of a seed, compile it in each mode, and compare what calls give and leave behind."""
    with symc.config.change(floatX="float64"):
        s = random_scope(seed)
        try:
            task = choose(s)
            for mode in modes:
                _check_mode(s, task, seed, device, mode, calls)
        except Exception as error:
            if isinstance(error, ShapeError) and REFUSED in str(error):
                return
            error.add_note(f"seed {seed} on {device}\n{s.described()}\n{_told(s, locals().get('task'))}")
            raise


def _told(s: Scope, task: Task | None) -> str:
    if task is None:
        return ""
    return f"outputs {task.outputs}, updates {task.updates}, slopes of {task.cost} by {task.wrt}, givens {s.givens}"


def _check_mode(s: Scope, task: Task, seed: int, device: str, mode: str, calls: int) -> None:
    variable = lambda k: s.nodes[k].variable  # noqa: E731
    inputs = [k for k, leaf in s.leaves.items() if not leaf.shared]
    shared = [k for k, leaf in s.leaves.items() if leaf.shared]
    for k in shared:
        variable(k).set_value(s.value(k))
    f = symc.function(
        [variable(k) for k in inputs],
        [*map(variable, task.outputs), *task.slopes],
        updates=[(variable(k), variable(j)) for k, j in task.updates],
        givens=[(fresh, variable(k)) for fresh, k in s.givens],
        on_unused_input="ignore",
        device=device,
        mode=mode,
    )
    random = np.random.default_rng(seed)
    for call in range(calls):
        leaves = given_values(s, random, call)
        for k in shared:
            if random.random() < 0.3 or not np.isfinite(variable(k).get_value()).all():
                variable(k).set_value(leaves[k])
            leaves[k] = variable(k).get_value()
        wanted, run = meaning(s, task, leaves)
        arrays = [np.array(leaves[k], order="CFC"[call % 3]) for k in inputs]
        where = f"mode {mode}, call {call}, shapes {[a.shape for a in arrays]}"
        try:
            got = f(*arrays)
        except (*FAILURES, MemoryError) as error:
            internal = any(text in str(error) for text in INTERNAL)
            if internal or not (isinstance(wanted, Exception) or run.may_fail):
                raise Wrong(f"raised {error!r} in {where}, with {leaves}") from error
            for k in shared:
                if variable(k).get_value().tobytes() != leaves[k].tobytes():
                    raise Wrong(f"a failed call changed v{k} in {where}: {error!r}") from error
            continue
        except Exception as error:
            raise Wrong(f"raised {error!r} in {where}, with {leaves}") from error
        if isinstance(wanted, Unknown):
            continue
        if isinstance(wanted, Fails):
            raise Wrong(f"did not raise in {where}, with {leaves}: {wanted}")
        _compare(s, task, leaves, wanted, got, where)


def _compare(
    s: Scope, task: Task, leaves: dict[int, np.ndarray], wanted: dict[int, np.ndarray], got: list[Any], where: str
) -> None:
    tolerance, count = TOLERANCE[s.dtype], len(task.outputs)
    for k, result in zip(task.outputs, got[:count], strict=True):
        if result.dtype != s.nodes[k].variable.dtype:
            raise Wrong(f"v{k} is {result.dtype} in {where}")
        near(result, wanted[k], tolerance, f"v{k} in {where}, with {leaves}")
    for k, leaf in s.leaves.items():
        if leaf.shared:
            want = dict(task.updates).get(k)
            value = leaves[k] if want is None else wanted[want]
            near(s.nodes[k].variable.get_value(), value, tolerance, f"shared v{k} in {where}, with {leaves}")
    for k, slope in zip(task.wrt, got[count:], strict=True):
        want_slope = _difference(s, task, leaves, k)
        if want_slope is not None:
            direction, along, doubt = want_slope
            if slope.shape != leaves[k].shape:
                raise Wrong(f"slope by v{k} has shape {slope.shape} in {where}")
            found = float((slope * direction).sum())
            if not abs(found - along) <= doubt + 1e-5 * max(1.0, abs(along)):
                raise Wrong(f"slope by v{k} along {direction}: {found}, expected {along} in {where}, with {leaves}")


def _difference(s: Scope, task: Task, leaves: dict[int, np.ndarray], k: int) -> tuple[np.ndarray, float, float] | None:
    """A direction, the slope of the cost along it by differences, and what it may be off; None near a kink."""
    direction = np.random.default_rng(k).standard_normal(leaves[k].shape)
    assert task.cost is not None

    def cost(step: float) -> float:
        frame = Frame(s, leaves | {k: leaves[k] + step * direction})
        value = frame.value(task.cost)  # type: ignore[arg-type]
        if frame.run.ties:
            raise Unknown("the slope of one among equals")
        return float(np.sin(value).sum())

    try:
        middle = cost(0.0)
        slopes = []
        for step in (1e-5, 1e-6):
            right, left = cost(step), cost(-step)
            if abs((right - middle) - (middle - left)) > 1e-3 * step + 1e3 * step**2:
                return None
            slopes.append((right - left) / (2 * step))
    except (Fails, Unknown):
        return None
    if not abs(slopes[0] - slopes[1]) <= 1e-4 * max(1.0, abs(slopes[0])):
        return None
    return direction, slopes[0], 20 * abs(slopes[0] - slopes[1])


# --- the command line -------------------------------------------------------------------------------------------------


def _attempt(job: tuple[int, str]) -> tuple[int, str | None]:
    seed, device = job
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # means of nothing, in NumPy
            with np.printoptions(threshold=20, precision=5, edgeitems=2):
                check(seed, device)
    except Exception:
        return seed, traceback.format_exc()
    return seed, None


def _outcomes(jobs: list[tuple[int, str]], processes: int) -> Iterator[tuple[int, str | None]]:
    if processes == 1:
        yield from map(_attempt, jobs)
        return
    with multiprocessing.get_context("spawn").Pool(processes, maxtasksperchild=500) as pool:
        yield from pool.imap_unordered(_attempt, jobs, chunksize=5)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10000, help="number of programs")
    parser.add_argument("--seed", type=int, default=0, help="the first program's seed")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--device", default="interp", help="where most programs run")
    parser.add_argument("--compiled", type=int, default=0, help="run every n-th program in C instead; 0: none")
    options = parser.parse_args()
    seeds = range(options.seed, options.seed + options.count)
    jobs = [(k, "c" if options.compiled and k % options.compiled == 0 else options.device) for k in seeds]
    failed = []
    for done, (seed, problem) in enumerate(_outcomes(jobs, options.processes), 1):
        if problem is not None:
            failed.append(seed)
            print(f"\n=== seed {seed} ===\n{problem}", flush=True)
        if sys.stderr.isatty():
            print(f"\r{done} of {options.count} programs, {len(failed)} wrong", end="", file=sys.stderr, flush=True)
    print(f"{options.count} programs, {len(failed)} wrong: {sorted(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
