"""benchmarks/gpu_check.py: the whole script on the emulated GPU, and its behaviour on errors."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import symc

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "benchmarks" / "gpu_check.py"


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))


def run(*words, **environment):
    given = {**os.environ, "SYMC_CACHE": symc.config.cache_dir, **environment}
    return subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True, env=given, timeout=500)


def has_driver():
    return importlib.import_module("gpu_check").has_driver()


def test_without_a_gpu_it_says_so_and_writes_nothing(tmp_path):
    if has_driver():
        pytest.skip("there is a driver here")
    done = run("--json", tmp_path / "gpu.json")
    assert done.returncode == 0 and not list(tmp_path.iterdir())
    assert done.stdout.startswith("No GPU can be used here, so nothing was measured: ") and done.stdout.count("\n") == 1
    assert run("--require").returncode == 3


def test_with_a_driver_that_fails(tmp_path):
    (tmp_path / "driver.c").write_text("int cuDriverGetVersion(int *v) { *v = 13000; return 0; }")
    command = ["cc", "-shared", "-fPIC", tmp_path / "driver.c", "-o", tmp_path / "libcuda.so.1"]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("there is no C compiler")
    options = ["--json", tmp_path / "gpu.json", "--wheels", tmp_path / "none", "--require"]
    done = run(*options, SYMC_CUDA_LIBRARIES=str(tmp_path))
    assert done.returncode == 3 and not (tmp_path / "gpu.json").exists()
    assert "nothing was measured: " in done.stdout and "Traceback" not in done.stdout


def test_an_emulated_gpu_is_never_taken_for_a_real_one(emulated_device, tmp_path):
    options = ["--json", tmp_path / "gpu.json", "--wheels", tmp_path / "none", "--require", "--parts", "accuracy"]
    done = run(*options, SYMC_CUDA_LIBRARIES=str(emulated_device))
    assert done.returncode == 3 and not (tmp_path / "gpu.json").exists()
    assert "nothing was measured: the GPU is the tests' emulated one" in done.stdout


def test_all_of_it_on_the_emulated_gpu(emulated_device, tmp_path):
    str(emulated_device)
    problems = ["chain_10M", "lenet_128", "overhead", "copy", "conv_3_64_224_data", "vgg_8_tf32"]
    results = SCRIPT.parent / "results"
    before = sorted((p.name, p.stat().st_mtime_ns) for p in results.iterdir())
    options = ["--tests", "tests/test_cuda_ops.py -k test_value-exp", "--cases", "softmax", "LeNet"]
    done = run("--emulate", *options, "--problems", *problems, "--json", tmp_path / "gpu.json")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "figures below mean nothing" in lines[0] and "nothing was written" in lines[-1]
    assert len(lines) < 40 and max(map(len, lines)) < 160
    (tests,) = [line for line in lines if line.startswith("tests: ")]
    assert "all ran" in tests and " 0 FAILED" in tests
    (accuracy,) = [line for line in lines if "against float64" in line]
    assert "float32" in accuracy and "tf32" in accuracy and "BEYOND" not in accuracy
    for start in (
        "chain, 10M",
        "LeNet step, batch 128",
        "25 products",
        "VGG-19 forward",
        "9 convolutions of VGG-19, data",
    ):
        assert any(line.startswith(start) for line in lines), start
    assert "us a task" in done.stdout and "failed" not in done.stdout
    assert not (tmp_path / "gpu.json").exists()
    assert before == sorted((p.name, p.stat().st_mtime_ns) for p in results.iterdir())


def test_problems_are_what_they_say():
    problems = importlib.import_module("gpu_problems")
    assert set(problems.LIMITS.values()) <= set(problems.PROBLEMS)
    assert sum(p.group == "9 convolutions of VGG-19, filters, tf32" for p in problems.PROBLEMS.values()) == 9
    for problem in problems.PROBLEMS.values():
        data = problem.data(True)
        assert sum(a.nbytes for a in data.values()) < 1 << 24, problem.name
        assert problem.moved is None or problem.moved(data) > 0
        assert problem.work is None or problem.work(data) > 0
    x = {"x": problems.np.zeros((1, 3, 224, 224))}
    full = {f"conv{b}_{n}.W": problems.np.zeros((k, c, 3, 3)) for b, n, k, c in vgg19_filters()}
    assert abs(problems.vgg_work({**x, **full}) / 39.0e9 - 1) < 0.01  # published: 19.5 G multiply-adds


def vgg19_filters():
    c = 3
    for block, (count, k) in enumerate(zip((2, 2, 4, 4, 4), (64, 128, 256, 512, 512)), 1):
        for number in range(1, count + 1):
            yield block, number, k, c
            c = k


def test_vgg_is_the_librarys():
    import numpy as np

    import symc.tensor as T
    from lasagne_like import layers
    from lasagne_like.models import vgg19

    problems, contestants = map(importlib.import_module, ("gpu_problems", "gpu_contestants"))
    names = [p.name for p in layers.get_all_params(vgg19()["prob"])]
    data = problems.vgg(True, 8)
    assert [name for name in data if name not in ("x", "y")] == names
    (x,), (scores,), _ = contestants.symc_vgg(data, False)
    net = layers.InputLayer((None, 3, 32, 32), x)
    for name, following in zip(names[::2], [*names[2::2], ""]):
        given = {"W": data[name], "b": data[name.replace(".W", ".b")]}
        if name.startswith("conv"):
            net = layers.Conv2DLayer(net, len(given["W"]), 3, pad=1, flip_filters=False, **given)
            net = net if following[:5] == name[:5] else layers.MaxPool2DLayer(net, 2)
        else:
            last = {} if following else {"nonlinearity": None}
            net = layers.DenseLayer(net, given["W"].shape[1], **given, **last)
    f = symc.function([x], [scores, T.nnet.softmax(layers.get_output(net))])
    np.testing.assert_allclose(*f(data["x"]), rtol=1e-5)


# --- processes and table ----------------------------------------------------------------------------------------------


WORKER = """
import json, os, sys, time
print(json.dumps({"version": "1"}), flush=True)
for name in sys.argv[2:]:
    print(json.dumps({"begin": name}), flush=True)
    if name == "overhead":
        sys.exit("gone")
    if name == "transpose":
        time.sleep(60)
    row = {"problem": name, "median": 1.0, "build": 0.0, "moved": 0, "work": 0, "tasks": 1}
    print(json.dumps(row), flush=True)
"""


def test_a_crash_and_a_hang_lose_one_problem_each(tmp_path, monkeypatch):
    contest = importlib.import_module("gpu_contest")
    (tmp_path / "gpu_worker.py").write_text(WORKER)
    monkeypatch.setattr(contest, "HERE", tmp_path)
    monkeypatch.setattr(contest, "PROBLEM_SECONDS", 1.0)
    said = []
    wanted = ["copy", "overhead", "chain_10M", "transpose", "mlp_128"]
    start = time.monotonic()
    found = contest.contest(["symc", "cupy"], wanted, lambda: 60.0, dict(os.environ), True, said.append)
    assert time.monotonic() - start < 30
    rows = found["symc"]["problems"]
    assert [("median" in rows[name]) for name in wanted] == [True, False, True, False, True]
    assert rows["overhead"]["failed"] == "it ended with status 1: gone"
    assert rows["transpose"]["failed"].startswith("it took too long")
    assert found["symc"]["version"] == "1" and any("cupy is not installed" in line for line in said)


def test_the_time_is_bounded(tmp_path, monkeypatch):
    contest = importlib.import_module("gpu_contest")
    (tmp_path / "gpu_worker.py").write_text(WORKER)
    monkeypatch.setattr(contest, "HERE", tmp_path)
    start = time.monotonic()
    found = contest.contest(["symc"], ["transpose", "copy"], lambda: 2.0, dict(os.environ), True, lambda _: None)
    assert time.monotonic() - start < 20
    assert found["symc"]["problems"]["transpose"]["failed"] == "the time for this contestant was up"


def figures(median, checked=(1.0, 2.0, 3.0), **more):
    return {"median": median, "moved": 0, "work": 0, "tasks": 50, "checked": [list(checked)], **more}


def test_the_table():
    table = importlib.import_module("gpu_table")
    ours = {
        "copy": figures(2e-3, moved=2e9), "chain_10M": figures(1e-3, moved=5e8), "overhead": figures(1e-4),
        "vgg_8_tf32": {"failed": "no memory"}, "product_tf32": figures(1.0, work=4e14),
        "conv_3_64_224_data_tf32": figures(1e-3, work=2e11), "conv_64_64_224_data_tf32": figures(2e-3, work=2e11),
    }  # fmt: skip
    theirs = {
        "copy": figures(1e-3, moved=2e9), "chain_10M": figures(2e-3, (1.0, 2.2, 3.0)), "vgg_8_tf32": figures(1.0),
        "conv_3_64_224_data_tf32": figures(2e-3), "conv_64_64_224_data_tf32": figures(1e-3),
    }  # fmt: skip
    slower = {"chain_10M": figures(3e-3), "overhead": {"absent": "none"}}
    speed = {
        name: {"version": "1", "problems": rows} for name, rows in (("symc", ours), ("torch", theirs), ("jax", slower))
    }
    found = table.table(speed)
    assert "copy 2,000 GB/s" in found[0] and "product tf32 400.0 TFLOP/s" in found[0]
    rows = {line[:9]: line[44:].split() for line in found[2:]}
    assert rows["chain, 10"] == ["1", "torch", "2", "2.00", "25", "%", "?torch"]
    assert rows["25 produc"] == ["0.1", "-", "2.00", "us", "a", "task"]
    assert rows["VGG-19 fo"][:3] == ["failed", "torch", "1000"]
    assert rows["9 convolu"] == ["3", "sum", "3", "1.00", "33", "%", "worst", "0.50"]
    record = {
        "machine": {"GPU": "one"}, "speed": speed, "seconds": 1.0, "accuracy": [
            {"reference": "c"}, {"title": "a", "precision": "float32", "error": 1e-6, "bound": 1e-4},
            {"title": "b", "precision": "tf32", "error": 1.0, "bound": 1e-2},
            {"title": "c", "precision": "tf32", "failed": "x"},
        ],
        "tests": {"passed": 5, "failed": 1, "skipped": 2, "names": ["tests/one"], "complete": False},
    }  # fmt: skip
    text = "\n".join(table.lines(record, False, Path("gpu.json")))
    assert "5 passed, 1 FAILED, 2 skipped, STOPPED when the time was up: tests/one" in text
    assert "(by c): float32 1.0e-06, tf32 1.0e+00; BEYOND THE BOUND OR FAILED: b (tf32), c (tf32)" in text
    assert "all figures: gpu.json" in text
    full = {name: figures(1.0) for name in importlib.import_module("gpu_problems").PROBLEMS}
    everything = {**record, "speed": {"symc": {"version": "", "problems": full}}}
    assert len(table.lines(everything, True, None)) < 40
    json.dumps(record)


# --- docs/gpu.md ------------------------------------------------------------------------------------------------------


PAGE = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")


def test_examples_of_the_page(emulated_device):
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) >= 2
    with symc.config.change(device="c"):
        exec(compile("\n".join(blocks), "docs/gpu.md", "exec"), {"__name__": "page"})


def test_the_page_knows_all_settings():
    listed = set(re.findall(r"^\| `(cuda_\w+)` \|", PAGE, re.MULTILINE))
    assert listed == {name for name in vars(symc.config) if name.startswith("cuda_")}
