"""Rewriting and differentiation of deep graphs: at the default recursion limit, in time linear in their size."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import pytest

import symc.tensor as T
from symc.compiler.rewrite import rules
from symc.compiler.rewrite.engine import rewrite
from symc.compiler.shape_specialisation import specialise
from symc.graph import Variable, clone_with, toposort
from symc.graph.evaluate import evaluate


@pytest.fixture(autouse=True)
def default_limit():
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(before)


def stable(inputs: list[Variable], outputs: list[Variable]) -> tuple[list[Variable], list[Variable]]:
    """The sources and the outputs of the compiler's graph after the stable rules."""
    specialised = specialise(inputs, outputs)
    graph = rewrite(specialised.outputs, rules.CANONICAL)
    return [specialised.sources[v] for v in inputs], rewrite(graph, rules.CANONICAL + rules.STABLE)


def values(inputs: list[Variable], outputs: list[Variable], arrays: list[np.ndarray]) -> list[np.ndarray]:
    known = {v: T.tensor(dtype=v.dtype, shape=a.shape) for v, a in zip(inputs, arrays)}
    sources, graph = stable(list(known.values()), clone_with(outputs, known))
    return evaluate(graph, dict(zip(sources, arrays)))


def test_a_sum_of_a_product_with_700_scalars() -> None:
    x = T.dvector("x")
    scalars = [T.dscalar(f"s{k}") for k in range(700)]
    product = x
    for s in scalars:
        product = product * s
    cost = product.sum()
    slope = T.grad(cost, x)
    arrays = [np.array([1.0, 2.0]), *[np.array(1 + 1e-3 * k) for k in range(700)]]
    total = np.prod(1 + 1e-3 * np.arange(700))
    got = values([x, *scalars], [cost, slope], arrays)
    np.testing.assert_allclose(got[0], 3 * total, rtol=1e-10)
    np.testing.assert_allclose(got[1], [total, total], rtol=1e-10)


def test_a_sum_of_a_product_with_700_numbers() -> None:
    x = T.dvector("x")
    product = x
    for k in range(700):
        product = T.tanh(product) * 2 if k % 100 == 0 else product * (1.01 if k % 2 else 1 / 1.01)
    (got,) = values([x], [product.sum()], [np.array([0.5, -2.0])])
    assert np.isfinite(got)


def test_1500_factors_after_a_softmax() -> None:
    x = T.dmatrix("x")
    p = T.nnet.softmax(x)
    w = T.dmatrix("w")
    product = p
    for _ in range(1_500):
        product = product * w
    logits = np.array([[0.3, -1.0, 2.0]])
    weights = np.array([[1.001, 0.999, 1.0]])
    soft = np.exp(logits) / np.exp(logits).sum()
    scale = weights**1500
    cost = product.sum()
    got, slope = values([x, w], [cost, T.grad(cost, x)], [logits, weights])
    np.testing.assert_allclose(got, (soft * scale).sum(), rtol=1e-9)
    np.testing.assert_allclose(slope, soft * (scale - (soft * scale).sum()), rtol=1e-9)


def squared(x: Variable, times: int) -> Variable:
    y = x
    for _ in range(times):
        y = y * y
    return y


SHARED: dict[str, Callable[[Variable], Variable]] = {
    "squares of squares": lambda x: squared(T.nnet.sigmoid(x), 200),
    "sums of sums": lambda x: _doubled(T.exp(-T.abs_(x)), 200),
    "log of squares of squares": lambda x: T.log(squared(T.nnet.softmax(x), 200)),
    "log of sums of sums": lambda x: T.log(_doubled(T.exp(-T.abs_(x)), 200)),
    "quotients": lambda x: squared(x / T.nnet.sigmoid(x), 60) * T.nnet.sigmoid(x),
    "switches": lambda x: T.log(_chosen(T.nnet.sigmoid(x), 100)),
    "joins": lambda x: T.log(_joined(T.nnet.sigmoid(x[:1]), 12)),
    "an absolute value": lambda x: T.abs_(_doubled(squared(T.exp(x), 100), 100)),
}


def _doubled(y: Variable, times: int) -> Variable:
    for k in range(times):
        y = (y + y * (1 + k)) * 0.25
    return y


def _chosen(y: Variable, times: int) -> Variable:
    for k in range(times):
        y = T.switch(y > 0.3 + k, y, y * 0.5)
    return y


def _joined(y: Variable, times: int) -> Variable:
    for _ in range(times):
        y = T.concatenate([y, y])[: 2**10]
    return y


@pytest.mark.parametrize("name", SHARED)
def test_shared_operands_take_no_exponential_time(name: str) -> None:
    x = T.dvector("x")
    start = time.perf_counter()
    y = SHARED[name](x)
    slope = T.grad(y.sum(), x)
    _, graph = stable([x], [y, slope])
    assert time.perf_counter() - start < 20
    assert len(toposort(graph)) < 20_000


def test_long_logarithms() -> None:
    """A logarithm at every step of a chain of products and of one of sums: facts about the steps are found once."""
    x = T.dvector("x")
    product, total, costs = T.exp(x), T.exp(x), []
    for _ in range(300):
        product = product * T.nnet.sigmoid(x)
        total = total + T.exp(-x)
        costs += [T.log(product), T.log(total)]
    cost = T.add(*costs).sum()
    start = time.perf_counter()
    got, slope = values([x], [cost, T.grad(cost, x)], [np.array([2.0, 900.0])])
    assert time.perf_counter() - start < 60
    assert np.isfinite(got)
    count = np.arange(1, 301)
    want = np.sum(1 + count / (1 + np.exp(2.0))) + np.sum(
        (np.exp(2.0) - count * np.exp(-2.0)) / (np.exp(2.0) + count * np.exp(-2.0))
    )
    np.testing.assert_allclose(slope, [want, 600.0], rtol=1e-9)


def test_gradient_of_a_chain_of_30000_ops() -> None:
    x = T.vector("x")
    y = x
    for k in range(10_000):
        y = T.exp(-(y * (1.0 + k % 7))) + 0.5
    start = time.perf_counter()
    slope = T.grad(y.sum(), x)
    took = time.perf_counter() - start
    assert len(toposort([slope])) > 30_000
    assert took < 60, f"{took:.0f} s"
