"""benchmarks/cpu.py: its networks are the published ones, wrong peers are refused, and runs are merged."""

from __future__ import annotations

import importlib
import json
import math
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

import symc

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))


def module(name):
    return importlib.import_module(name)


# Parameters as published with the networks (torchvision, and TensorFlow's EfficientNet-Lite).
PARAMETERS = {
    "vgg11": 132_863_336, "vgg16": 138_357_544, "vgg19": 143_667_240, "resnet18": 11_689_512, "resnet50": 25_557_032,
    "mobilenet": 3_504_872, "densenet": 7_978_856, "efficientnet": 4_652_008,
}  # fmt: skip


@pytest.mark.parametrize("name", PARAMETERS)
def test_networks_have_the_published_number_of_parameters(name):
    builders = module("cpu_builders")

    class Counter(builders.Builder):
        count = 0

        def parameter(self, name, kind, *shape):
            self.count += math.prod(shape)

    b = Counter(training=True)
    row = module("cpu_table").ROWS[f"{name}_b1"]
    assert row.network(b, builders.Node(None, row.shape)).shape == (1, 1000)
    assert b.count == PARAMETERS[name]
    if name == "resnet50":
        assert b.flops / 2 == pytest.approx(4.09e9, rel=0.01)  # multiply-adds as published


def test_a_peer_with_other_results_is_refused(tmp_path, monkeypatch):
    contest, rows = module("cpu_contest"), module("cpu_rows")
    ours = [np.arange(6.0).reshape(2, 3)]
    assert contest.difference(ours, [ours[0] + 1e-9]) < 1e-8
    assert contest.difference(ours, [ours[0].T]) == math.inf
    assert contest.difference(ours, [ours[0] * math.nan]) == math.inf

    class Fake:
        def __init__(self, contestant, factor):
            self.contestant, self.factor = contestant, factor

        def ask(self, do, row, target):
            np.savez(target, **{"0": ours[0] * self.factor})
            return {"build": 0.1, "traffic": 1.0, "version": "1"}

    row = rows.Row("x", "x", rows.shapes((2, 3)), *[None] * 3)
    found = contest.prepare(row, [Fake("symc", 1), Fake("torch", 1 + 1e-6), Fake("jax", 1.01)], tmp_path)
    assert [bool(e.error) for e in found] == [False, False, True] and "differ from symc's by 1.0e-02" in found[2].error


def entry(name, *seconds, error=""):
    return {"contestant": name, "seconds": list(seconds), "error": error}


def test_reports_count_what_they_should():
    report = module("cpu_report")
    peaks = {"gflops": 100.0, "read": 10.0, "copy": 10.0, "stream": 20.0}
    row = {
        "row": "a<b", "title": "a<b", "flops": 1e9, "traffic": 1e8, "limits": peaks,
        "entries": [
            entry("symc", 0.01, 0.02, 0.03), entry("torch", 0.05), entry("openvino, default precision", 0.001),
            entry("jax", error="ValueError: no"),
        ],
    }  # fmt: skip
    assert report.ratio(row) == pytest.approx(2.5)  # neither the reduced precision nor the failure counts
    assert report.of_limit(row) == pytest.approx(0.5)
    rooted = row | {"roots": 1e7, "quotients": 2e7, "limits": peaks | {"roots": 2.0, "quotients": 4.0}}
    assert report.of_limit(rooted) == pytest.approx(0.5)  # 5 + 5 ms of 20, as the products
    assert report.of_limit(rooted | {"roots": 2e7}) == pytest.approx(0.75)  # no other limit is as high
    behind = row | {"row": "slow", "entries": [entry("symc", 0.2), entry("torch", 0.1)]}
    assert "geometric mean 1.12 of 2 rows" in report.summary([row, behind]) and "slow (0.50)" in report.summary(
        [behind]
    )
    text = report.markdown("cpu", {"processor": "p"}, [row, behind])
    assert "- a<b, jax: ValueError: no" in text
    page = report.html("cpu", {"processor": "p"}, [row, behind])
    assert "http" not in page and "prefers-color-scheme: dark" in page
    for drawing in page.split("<svg")[1:]:
        ElementTree.fromstring("<svg" + drawing.partition("</svg>")[0] + "</svg>")


def test_a_short_run_is_saved_and_merged(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("SYMC_CACHE", symc.config.cache_dir)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    cpu = module("cpu")
    monkeypatch.setattr(cpu, "limits", lambda threads: {})
    for name in ("call", "gemm"):
        cpu.main(["--quick", "--rows", name, "--peers", "--save", "cpu", "--folder", str(tmp_path)])
    found = json.loads((tmp_path / "cpu.json").read_text())
    assert [r["row"] for r in found["rows"]] == ["call", "gemm"] and found["machine"]["quick"]
    assert all(r["entries"][0]["seconds"] and not r["entries"][0]["error"] for r in found["rows"])
    assert {p.suffix for p in tmp_path.iterdir()} == {".json", ".md", ".html"}
    out = capfd.readouterr()
    assert "call" in out.out and not out.err
    with pytest.raises(SystemExit):
        cpu.main(["--rows", "no_such_row"])
