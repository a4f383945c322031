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
