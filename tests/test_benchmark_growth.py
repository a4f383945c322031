"""benchmarks/growth.py: every case builds and runs, knees are found, and a short run is saved and merged."""

from __future__ import annotations

import importlib
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

import symc

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
pytest.importorskip("cffi")
GROWING = {
    "dense": 5, "residual": 4, "inference": 10, "blocks": 2, "unrolled": 10, "scan": 3, "chain": 50, "reductions": 50,
    "random": 250, "concatenations": 12, "reshapes": 50, "indexing": 25, "parameters": 25, "outputs": 12, "inputs": 50,
}  # fmt: skip
"""Sizes that take little time."""


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))


def module(name):
    return importlib.import_module(name)


def test_every_case_computes_something_finite():
    """With the interpreter, and without gradients: that a case grows as it says is what takes time elsewhere."""
    for case in module("growth_cases").CASES.values():
        if case.name in ("vgg11", "resnet18"):
            continue  # as in cpu.py, whose networks are tested by themselves
        counts = []
        for size in (1, 4):
            program = case.build(size)
            f = symc.function(program.inputs, program.outputs, device="interp")
            counts.append(len(f.fitting().state.graph.order))
            if size == 1:
                assert all(np.isfinite(value).all() for value in f(*program.arrays)), case.name
        assert (counts[0] == counts[1]) == (case.axis == "batch" or case.name == "scan"), case.name


def test_knees_and_the_drawing():
    report = module("growth_report")
    flat = dict.fromkeys([*report.LEAST, "build"], 0.0)
    points = {str(n): flat | {"rewrite": n / 100, "lower": n * n / 1e4, "build": 1.0, "call": 0.001} for n in (10, 100)}
    points["1000"] = {"failed": "over 3 s"}
    curve = {"case": "a", "title": "a < b", "axis": "depth", "points": points}
    assert [knee[:3] for knee in report.knees(curve)] == [("lower", 10, 100)]
    assert report.slopes(curve, "lower")[0][2] == pytest.approx(2) and report.slopes(curve, "emit") == []
    text = report.markdown("growth", {"cores": 2}, [curve])
    assert "- a < b: lower from 10 to 100 as the power 2.00" in text and "| a < b | 1,000 | over 3 s |" in text
    found = ElementTree.fromstring(report.drawing([curve]))
    assert (
        len(found.findall("{*}polyline")) == 2 and "http" not in report.drawing([curve]).replace("www.w3.org", "")[60:]
    )


@pytest.mark.parametrize("name", GROWING)
def test_the_work_of_building_is_proportional_to_the_graph(name):
    """Calls for each application: fewer where a program has a fixed part, some more where searches go on longer."""
    counts, cases = module("growth_counts"), module("growth_cases").CASES
    assert sorted(GROWING) == sorted(c.name for c in cases.values() if c.axis != "batch")
    case = cases[name]
    small, large = (counts.count(case, n) for n in (GROWING[name], 4 * GROWING[name]))
    assert large["nodes"] > 2 * small["nodes"] or name == "scan"
    for stage in counts.COLUMNS:  # quadratic growth would be four times
        assert large[stage] / large["nodes"] < 1.7 * small[stage] / small["nodes"] + 5, stage


def lengths(size):
    """A program with as many integers on which dims depend: lengths of what masks select."""
    cases, T = module("growth_cases"), symc.tensor
    x, y = T.vector("x"), T.vector("y")
    found = [T.sort(x[y > k]) for k in range(size)]
    return cases.Program([x, y], found, [np.ones(3, "float32")] * 2)


def test_the_work_for_an_integer_that_dims_depend_on_does_not_grow_with_their_number():
    """Hashing a symbol is a call, so looking at each of them for each unit shows."""
    counts, case = module("growth_counts"), module("growth_cases").Case
    small, large = (counts.count(case("x", "x", "ops", lengths), n) for n in (30, 240))
    for stage in ("fuse", "lower", "emit"):
        assert large[stage] / large["nodes"] < 1.15 * small[stage] / small["nodes"], stage


def masked_chain(size):
    """Elements selected from selected elements."""
    T = symc.tensor
    x = y = T.vector("x")
    for k in range(size):
        y = y[y > k] * 1.5 + 0.5
    return module("growth_cases").Program([x], [y.sum()], [np.ones(3, "float32")])


def masked_sums(size):
    """Sums for which the selected elements need not be listed."""
    x, y = symc.tensor.vectors("xy")
    found = [(x[y > k] * 1.5).sum() for k in range(size)]
    return module("growth_cases").Program([x, y], found, [np.ones(3, "float32")] * 2)


def loops_in_turn(size):
    """Loops, each over the results of the one before."""
    T = symc.tensor
    x = y = T.vector("x")
    for _ in range(size):
        y, _ = symc.scan(lambda s, p: T.tanh(s * p + 0.1), sequences=[y], outputs_info=[T.constant(np.float32(0.5))])
        y = y * 1.5
    return module("growth_cases").Program([x], [y.sum()], [np.ones(3, "float32")])


def loops_side_by_side(size):
    """Loops of the same length, which do not need each other."""
    T = symc.tensor
    x = T.vector("x")
    found = []
    for k in range(size):
        y, _ = symc.scan(
            lambda s, p, k=k: T.tanh(s * p + 0.1 * k), sequences=[x], outputs_info=[T.constant(np.float32(k))]
        )
        found.append(y.sum())
    return module("growth_cases").Program([x], found, [np.ones(3, "float32")])


@pytest.mark.parametrize(
    "build", [masked_chain, masked_sums, loops_in_turn, loops_side_by_side], ids=lambda f: f.__name__
)
def test_the_work_of_rewriting_is_proportional_to_the_constructs(build):
    """A walk over the whole graph for each construct, or a look at each pair of them, would show."""
    counts, case = module("growth_counts"), module("growth_cases").Case
    small, large = (counts.count(case("x", "x", "ops", build), n) for n in (20, 80))
    for stage in counts.COLUMNS:
        assert large[stage] / large["nodes"] < 1.15 * small[stage] / small["nodes"] + 1, stage


def test_the_work_of_rewriting_slices_of_a_join_does_not_grow_with_their_number():
    """Of operands of unknown lengths; a comparison of each slice with each operand would show."""
    from symc.compiler.passes import State, compile_graph
    from symc.runtime.mode import Mode

    def work(size):
        inputs = [symc.tensor.vector() for _ in range(size)]
        joined, start, found = symc.tensor.concatenate(inputs), 0, []
        for v in inputs:
            found.append(joined[start : start + v.shape[0]].sum())
            start = start + v.shape[0]
        calls, stages = module("growth_counts").Calls(), {}
        with calls.counting():
            state = State("f", inputs, found, [], Mode().rewriting)
            done = compile_graph(state, lambda stage, _: stages.setdefault(stage, calls.since()))
        assert not any(node.op.name == "join" for node in done.graph.order)
        return stages["rewrite_canonical"] / size

    small, large = work(10), work(40)
    assert large < 1.3 * small


@pytest.mark.parametrize("sizes", [("n", 0, 2, "m", 3), (2, 3, 0, 4), ("n", "m"), (0, "n", 0, "m", 1, 2)])
def test_slices_of_joins_of_known_and_unknown_lengths(sizes):
    T, lengths = symc.tensor, {"n": 4, "m": 0}
    arrays = [np.arange(lengths.get(n, n), dtype="float32") + 10 * k for k, n in enumerate(sizes)]
    inputs = [T.vector() if isinstance(n, str) else T.TensorType("float32", (n,))() for n in sizes]
    joined, start, found, wanted, at = T.concatenate(inputs), 0, [], [], 0
    whole = np.concatenate(arrays)
    for v, a, n in zip(inputs, arrays, sizes):
        found.append(joined[start : start + v.shape[0]])
        wanted.append(a)
        if n in (2, 3, 4):
            found.append(joined[start + 1 : start + n])
            wanted.append(whole[at + 1 : at + n])
        start, at = start + v.shape[0], at + len(a)
    for got, want in zip(symc.function(inputs, found)(*arrays), wanted):
        np.testing.assert_array_equal(got, want)


def test_calls_are_counted_while_counting_lasts_only():
    calls = module("growth_counts").Calls()
    len([])
    with calls.counting():
        for _ in range(1000):
            len([])
    assert 1000 <= calls.since() < 1010 and calls.since() == 0


def test_a_short_count_is_saved_and_merged(tmp_path, capsys):
    counts = module("growth_counts")
    earlier = {"inputs": {"10": dict.fromkeys(("nodes", "kernels", *counts.COLUMNS), 1)}}
    (tmp_path / "counts.json").write_text(json.dumps({"counts": earlier}))
    counts.main(["--cases", "chain", "--most", "10", "--save", "counts", "--folder", str(tmp_path)])
    found = json.loads((tmp_path / "counts.json").read_text())["counts"]
    assert list(found) == ["chain", "inputs"] and found["chain"]["10"]["nodes"] == 28
    text = (tmp_path / "counts.md").read_text()
    assert text.count("\n| ") == 4 and "elementwise ops" in text and "10 " in capsys.readouterr().out


def test_a_short_run_is_saved_and_merged(tmp_path, capsys, monkeypatch):
    growth = module("growth")
    monkeypatch.setattr(growth, "prepared", lambda folder: Path(symc.config.cache_dir))
    monkeypatch.setattr(growth.shutil, "copytree", lambda source, target: source)  # with what other tests compiled
    earlier = {"case": "scan", "title": "t", "axis": "depth", "points": {"1": {"failed": "no"}}}
    growth.save(growth.parse(["--quick", "--save", "growth", "--folder", str(tmp_path)]), [earlier])
    growth.main(["--quick", "--cases", "chain", "--save", "growth", "--folder", str(tmp_path)])
    found = json.loads((tmp_path / "growth.json").read_text())
    assert [c["case"] for c in found["curves"]] == ["scan", "chain"] and found["machine"]["quick"]
    assert len(found["curves"][1]["points"]) == 2
    for point in found["curves"][1]["points"].values():
        assert point["call"] > 0 and point["build"] > point["rewrite"] > 0, point
    assert {p.name for p in tmp_path.iterdir()} == {"growth.json", "growth.md", "growth.svg"}
    assert "C compiler" in capsys.readouterr().out
