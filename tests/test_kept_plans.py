"""Plans that are kept between processes: found for the same expressions alone, and then the same program."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from random_programs import random_program
from test_fuzz import check

import symc
import symc.tensor as T
import symc_backends.interp
from lasagne_like import layers as L
from symc.config import environment
from symc.errors import GuardError
from symc.runtime import kept_plans
from symc_backends.c import store


class Memory:
    """A store in memory, for the interpreter."""

    def __init__(self) -> None:
        self.plans: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        return self.plans.get(name)

    def write(self, name: str, data: bytes) -> None:
        self.plans[name] = data

    def identity(self) -> str:
        return "memory"


@pytest.fixture(autouse=True)
def memory(monkeypatch):
    store = Memory()
    monkeypatch.setattr(symc_backends.interp, "store", store, raising=False)
    monkeypatch.setattr(kept_plans, "LEAST_NODES", 0)
    return store


def compiled(inputs, outputs, **named):
    return symc.function(inputs, outputs, device="interp", **named)


def was_kept(f) -> bool:
    return "plan" in f.specialisation.stages


def network(seed=3, width=7):
    """Expressions made from nothing, so that all their symbols are new; one line per op."""
    rng = np.random.RandomState(seed)
    x = T.tensor4("x")
    layer = L.InputLayer((None, 2, None, 8), x)
    layer = L.batch_norm(L.Conv2DLayer(layer, width, 3, W=rng.randn(width, 2, 3, 3).astype("float32")))
    layer = L.GlobalPoolLayer(layer)
    out = L.get_output(layer, deterministic=True)
    loss = (out**2).sum()
    w = L.get_all_params(layer, trainable=True)
    return x, out, loss, w


def test_expressions_that_are_built_again_find_their_plan(memory):
    a = np.random.RandomState(0).randn(3, 2, 9, 8).astype("float32")
    values = []
    for k in range(2):
        x, out, loss, w = network()
        f = compiled([x], [out, loss], updates=[(p, p - 0.1 * g) for p, g in zip(w, symc.grad(loss, w))])
        assert was_kept(f) == bool(k)
        values.append([*f(a), *f(a[:2, :, :5]), *[p.get_value() for p in w]])
    assert len(memory.plans) == 1
    for first, second in zip(*values, strict=True):
        np.testing.assert_array_equal(first, second)


def test_prepared_values_follow_the_parameters(memory):
    a = np.random.RandomState(0).randn(3, 2, 9, 8).astype("float32")
    for k in range(2):
        x, out, _, w = network()
        f = compiled([x], out)
        assert was_kept(f) == bool(k) and f.specialisation.preparation is not None
        f(a)
        w[0].set_value(w[0].get_value() * 3)
        expected = symc.function([x], out, device="interp", mode="no_rewrite")(a)
        np.testing.assert_allclose(f(a), expected, rtol=2e-5, atol=2e-6)


def test_other_expressions_have_other_plans(memory):
    x, y = T.matrix("x"), T.matrix("y")
    s = symc.shared(np.ones((2, 3), "float32"), "s")
    outputs = [
        x + y, x + y.T, (x + y) * 2, (x + y) * 3, (x + y) * -0.0, (x + y) * 0.0, x.sum(0), x.sum(1), x + s, x + x,
        x * np.float64(2), T.constant(np.arange(9.0)) + x, T.constant(np.arange(9.0)[::-1]) + x, T.minimum(x, y), x[1:],
        x[2:], T.cast(x, "int32"), y + x,
    ]  # fmt: skip
    for out in outputs:
        f = compiled([x, y], out, on_unused_input="ignore")
        assert not was_kept(f), out
        assert was_kept(compiled([x, y], out, on_unused_input="ignore"))
    out = outputs[0]
    assert not was_kept(compiled([y, x], out))
    assert not was_kept(compiled([x, y], [out, out]))
    assert not was_kept(compiled([x, y], out, name="another"))
    assert not was_kept(compiled([x, y], out, mode="no_rewrite"))
    assert not was_kept(compiled([x, y], out, updates=[(s, s + 1)]))
    assert not was_kept(compiled([x, y], out, updates=[(s, s + 2)]))
    with symc.config.change(conv_accuracy="strict"):
        assert not was_kept(compiled([x, y], out))
    s.set_value(np.ones((4, 3), "float32"))
    assert not was_kept(compiled([x, y], x + s, on_unused_input="ignore"))


def test_messages_are_those_of_the_line(memory):
    texts = []
    for k in range(2):
        x, y = T.matrix("x"), T.matrix("y")
        f = compiled([x, y], T.exp(x) + T.exp(y).T)
        assert was_kept(f) == bool(k)
        with pytest.raises(GuardError) as problem:
            f(np.zeros((2, 3), "float32"), np.zeros((4, 5), "float32"))
        texts.append(str(problem.value))
    assert texts[0] == texts[1] and "T.exp(x) + T.exp(y).T" in texts[0]


def test_what_has_no_text_is_compiled_every_time(memory):
    x, n = T.vector("x"), T.iscalar("n")

    @symc.as_op([T.fvector], [T.fvector])
    def doubled(v):
        return 2 * v

    for out in (doubled(x) + 1, x[:n] * 2, T.arange(n) + 1):
        for _ in range(2):
            f = compiled([x, n], out, on_unused_input="ignore")
            assert not was_kept(f)
        assert f(np.arange(5, dtype="float32"), 3).shape in ((3,), (5,))
    assert not memory.plans


@pytest.mark.parametrize("first", range(500, 580, 20))
def test_random_programs_from_kept_plans(memory, monkeypatch, first):
    """Every function runs from a plan that was read back."""
    from symc.runtime import code

    def planned(state, backend, watch):
        memory.plans.clear()
        made = kept_plans.planned(state, backend, watch)
        if memory.plans:
            kept.append(made)
            made = kept_plans.planned(state, backend, watch)
        return made

    kept: list = []
    monkeypatch.setattr(code, "planned", planned)
    for seed in range(first, first + 20):
        check(random_program(seed), "interp", "fast_run")
    assert len(kept) >= 18


PROGRAM = """
import numpy as np, symc, symc.tensor as T
from symc.runtime.graph_key import GraphKey
x, s = T.tensor3("x"), symc.shared(np.ones(4, "float32"), "s")
out = T.concatenate([T.exp(x), x.dimshuffle(1, 0, 2).sum(axis={0, 2}.pop(), keepdims=True) * s], axis=1)[:, 1:]
f = symc.function([x], [out, symc.grad(out.sum(), x)], updates={s: s + 1}, device="interp")
print(GraphKey(f.uncompiled()).text)
"""


def test_texts_are_the_same_in_every_process():
    texts = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True,
            env=environment(PYTHONHASHSEED=seed),
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(texts) == 1 and "'dimshuffle'" in texts.pop()


def test_small_graphs_and_large_plans_are_not_kept(memory, monkeypatch):
    x = T.vector("x")
    monkeypatch.setattr(kept_plans, "LEAST_NODES", 3)
    compiled([x], T.exp(x))
    assert not memory.plans
    monkeypatch.setattr(kept_plans, "MOST_BYTES", 10)
    compiled([x], T.exp(T.tanh(T.sin(x))))
    assert not memory.plans


def test_the_c_back_end_keeps_plans_in_its_cache(tmp_path):
    x = T.matrix("x")
    out = T.tanh(x.dot(x.T)).sum(axis=0)
    a = np.random.RandomState(0).randn(5, 3).astype("float32")
    results = []
    with symc.config.change(cache_dir=str(tmp_path)):
        for k in range(3):
            f = symc.function([x], out, device="c")
            assert was_kept(f) == (k == 1)
            results.append(f(a))
            for path in tmp_path.glob("*.plan"):
                if k == 1:
                    data = bytearray(path.read_bytes())
                    data[len(data) // 2] ^= 1
                    path.write_bytes(data)
    for found in results:
        np.testing.assert_array_equal(found, results[0])


def test_plans_that_were_not_used_for_long_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "MOST_BYTES", 1300)  # four plans with their seals
    with symc.config.change(cache_dir=str(tmp_path / "cache")):
        for k in range(4):
            store.write(f"{k}.plan", bytes(250))
            os.utime(tmp_path / "cache" / f"{k}.plan", (k, k))
        assert store.read("0.plan") == bytes(250)  # used again
        store.write("4.plan", bytes(250))
        assert [k for k in range(5) if store.read(f"{k}.plan") is not None] == [0, 2, 3, 4]
        store.write("5.plan", bytes(5000))
        assert {p.name for p in (tmp_path / "cache").glob("*.plan")} == {"5.plan"}
