"""``symc.config.tiered``: the first calls run code that was compiled quickly."""

from __future__ import annotations

import sys
import threading
import time
from uuid import uuid4

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc_backends.c import tiers
from symc_backends.c.build import is_built
from symc_backends.c.tiers import Quick

pytestmark = pytest.mark.skipif(symc.config.device != "c", reason="a setting of the C back end")


def _new_function():
    """A function that no cache knows, and what it computes."""
    x, number = T.fvector("x"), np.float32(uuid4().int % 2**24 / 2**24)
    w = symc.shared(np.ones(1000, "float32"))
    with symc.config.change(tiered=True):
        f = symc.function([x], [T.tanh(x * number).sum(), x * w], updates=[(w, w + number)])
        f.specialisation  # noqa: B018  builds
    return f, w, number


def _calls(f, w, number, count, data):
    for _ in range(count):
        before = w.get_value()
        total, product = f(data)
        np.testing.assert_allclose(total, np.tanh(data.astype("float64") * number).sum(), rtol=1e-5)
        np.testing.assert_array_equal(product, data * before)
        np.testing.assert_array_equal(w.get_value(), before + number)


def test_optimised_code_takes_over(monkeypatch):
    wait = threading.Event()
    submit = tiers.optimised
    monkeypatch.setattr(
        sys.modules["symc_backends.c.build"], "optimised", lambda make: submit(lambda: (wait.wait(60), make())[1])
    )
    f, w, number = _new_function()
    executable = f.specialisation.executable
    data = np.random.default_rng(0).standard_normal(1000).astype("float32")
    assert isinstance(executable.library, Quick)
    _calls(f, w, number, 3, data)
    assert isinstance(executable.library, Quick)
    fast = f.specialisation.fast
    before = fast.call.fast_calls if fast is not None else 0
    wait.set()
    end = time.monotonic() + 60
    while isinstance(executable.library, Quick) and time.monotonic() < end:
        _calls(f, w, number, 1, data)
    assert not isinstance(executable.library, Quick)
    assert is_built(f.specialisation.text)
    _calls(f, w, number, 3, data)
    if fast is not None:
        assert fast.call.fast_calls > before + 2  # the launcher keeps its plans


def test_nothing_is_built_twice_that_is_in_the_cache():
    f, w, number = _new_function()
    f.specialisation.executable.library.better.result(60)
    again = symc.function(f.inputs, [T.tanh(f.inputs[0] * number).sum(), f.inputs[0] * w], updates=[(w, w + number)])
    with symc.config.change(tiered=True):
        assert not isinstance(again.specialisation.executable.library, Quick)


def test_a_function_may_die_first():
    f, *_ = _new_function()
    better = f.specialisation.executable.library.better
    del f
    assert better.result(60) is not None


@pytest.mark.parametrize("source", ["int32", "uint32", "int16", "float32"])
@pytest.mark.parametrize("target", ["float64", "int64", "float32"])
def test_conversions_compile_without_optimisation(source, target):
    with symc.config.change(tiered=True):
        x = T.TensorType(source, (False,))("x")
        found = symc.function([x], x.astype(target) * 3 + 1)(np.arange(50).astype(source))
    np.testing.assert_array_equal(found, np.arange(50) * 3 + 1)
