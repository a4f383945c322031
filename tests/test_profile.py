"""Profiles: counts, estimates, and times that add up."""

from __future__ import annotations

import sys
import threading
import time

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.loops import expr
from symc.runtime.profile import Profile, _number

f32 = np.float32
BACKENDS = ("interp", "c")


def network(**options):
    x = T.matrix("x")
    w = symc.shared(np.ones((30, 40), f32), "w")
    y = T.exp(T.dot(x, w))
    return symc.function([x], y / y.sum(axis=1, keepdims=True), updates={w: w * 0.5}, name="net", **options)


@pytest.mark.parametrize("device", BACKENDS)
def test_rows(device):
    f = network(device=device, profile=True)
    start = time.perf_counter()
    for _ in range(5):
        f(np.ones((7, 30), f32))
    passed = time.perf_counter() - start
    rows = f.profile.rows
    assert f.profile.calls == 5 and all(r.calls == 5 for r in rows)
    assert len(rows) == len(f.specialisation.program.steps)
    assert [r.seconds for r in rows] == sorted((r.seconds for r in rows), reverse=True)
    assert sum(r.share for r in rows) == pytest.approx(1)
    assert 0 < f.profile.kernel_seconds <= f.profile.seconds <= passed
    assert f.profile.compile_seconds > 0
    product = next(r for r in rows if r.kernel == "dot")
    assert product.flops == 5 * 2 * 7 * 30 * 40
    assert product.bytes == 5 * 4 * (7 * 30 + 30 * 40 + 7 * 40)
    assert product.gflops_per_second == pytest.approx(product.flops / product.seconds / 1e9)
    assert product.gbytes_per_second == pytest.approx(product.bytes / product.seconds / 1e9)


def test_rows_name_the_users_lines():
    x = T.vector("x")
    y = T.exp(x)
    z = T.tanh(y) * y
    line = sys._getframe().f_lineno
    f = symc.function([x], z, device="interp", profile=True)
    f(np.ones(3, f32))
    (row,) = f.profile.rows
    assert {t.line for t in row.lines} == {line - 2, line - 1}
    assert all(t.filename == __file__ for t in row.lines)
    assert f"test_profile.py:{line - 1}" in f.profile.summary()


def test_different_shapes_add_up():
    f = network(device="interp", profile=True)
    for n in (1, 2, 3, 2):
        f(np.ones((n, 30), f32))
    product = next(r for r in f.profile.rows if r.kernel == "dot")
    assert product.calls == 4 and product.flops == 2 * 30 * 40 * (1 + 2 + 3 + 2)


def test_the_slowest_kernel_stands_first():
    x, y = T.matrices("x", "y")
    f = symc.function([x, y], [T.dot(x, x), T.exp(y)], profile=True)
    for _ in range(3):
        f(np.ones((512, 512), f32), np.ones((2, 2), f32))
    assert f.profile.rows[0].kernel == "dot" and f.profile.rows[0].share > 0.9


def test_summary():
    f = network(device="interp", profile=True)
    f(np.ones((7, 30), f32))
    text = f.profile.summary()
    first, head, *lines = text.splitlines()
    assert first.startswith("profile of net: 1 calls, ") and "compiling" in first
    for word in ("share", "time", "calls", "GB/s", "GFLOP/s", "kernel"):
        assert word in head
    assert len(lines) == len(f.profile.rows) and any("dot" in line for line in lines)
    assert "more steps" in f.profile.summary(limit=1)


def test_clear():
    f = network(device="interp", profile=True)
    f(np.ones((7, 30), f32))
    f.profile.clear()
    assert f.profile.calls == 0 and f.profile.kernel_seconds == 0 and f.profile.seconds == 0
    assert f.profile.summary()
    f(np.ones((2, 30), f32))
    assert next(r for r in f.profile.rows if r.kernel == "dot").flops == 2 * 2 * 30 * 40


def test_setting_and_default():
    assert network(device="interp").profile is None
    with symc.config.change(profile=True):
        assert isinstance(network(device="interp").profile, Profile)
        assert network(device="interp", profile=False).profile is None


@pytest.mark.parametrize("device", BACKENDS)
def test_profiling_changes_no_result(device):
    arrays = np.random.default_rng(0).normal(size=(5, 30)).astype(f32)
    plain, timed = network(device=device), network(device=device, profile=True)
    for _ in range(2):
        np.testing.assert_array_equal(plain(arrays), timed(arrays))


@pytest.mark.parametrize("device", BACKENDS)
def test_a_function_of_no_steps(device):
    f = symc.function([], [], device=device, profile=True)
    f()
    assert f.profile.calls == 1 and f.profile.rows == [] and f.profile.summary()


def test_functions_of_equal_code_keep_their_own_times():
    f, g = network(profile=True), network(profile=True)
    f(np.ones((7, 30), f32))
    assert f.specialisation.text == g.specialisation.text
    assert f.profile.kernel_seconds > 0 and g.profile.kernel_seconds == 0 and g.profile.calls == 0


def test_new_shapes_of_shared_variables_are_counted_too():
    w = symc.shared(np.ones(3, f32), "w")
    f = symc.function([], T.exp(w), device="interp", profile=True)
    f()
    w.set_value(np.ones(1000, f32))
    f()
    assert f.profile.calls == 2 and sorted(r.bytes for r in f.profile.rows) == [2 * 4 * 3, 2 * 4 * 1000]


def test_many_threads():
    f = network(profile=True)
    threads = [threading.Thread(target=lambda: [f(np.ones((7, 30), f32)) for _ in range(20)]) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert f.profile.calls == 80


def test_estimates_of_long_sums_do_not_recurse():
    e = expr.var("n0")
    for _ in range(20_000):
        e = e + expr.var("n0")
    assert _number(e, {"n0": 3}) == 3 * 20_001
