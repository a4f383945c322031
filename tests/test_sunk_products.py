"""Products for all steps of a loop that run in its steps: where this is right, and that values are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.loops.ir import Branch, Loop, Step, walk
from symc.printing.stages import state_after
from symc_backends.c.build import runtime


def choices(f: Any) -> list[Branch]:
    program = state_after(f, "lower_loops").program
    assert program is not None
    return [node for node in walk(program.body) if isinstance(node, Branch)]


class Net:
    """h = tanh(x_t W + b + h U), in symc and as a NumPy loop in float64."""

    def __init__(self, terms: int, hidden: int, dtype: str = "float32", rows: int | None = None, **given: Any) -> None:
        rng = np.random.default_rng(7)
        shapes = ((terms, hidden), (hidden, hidden), (hidden,))
        self.weights = [rng.normal(0, 0.5 / s[0] ** 0.5, s).astype(dtype) for s in shapes]
        w, u, b = [symc.shared(v) for v in self.weights]
        self.x = T.TensorType(dtype, (None, rows, terms))("x")
        self.z = T.dot(self.x, w) + (b if given.pop("bias", True) else 0)
        start = T.zeros((self.x.shape[1], hidden), dtype=dtype)
        self.h, _ = symc.scan(lambda z, h, u: T.tanh(z + T.dot(h, u)), self.z, start, [u], **given)
        self.wrt = [w, u, b]

    def numpy(self, x: np.ndarray, backwards: bool = False, bias: bool = True) -> np.ndarray:
        w, u, b = (v.astype("float64") for v in self.weights)
        z = x.astype("float64") @ w + (b if bias else 0)
        h, found = np.zeros(z.shape[1:]), []
        for row in z[::-1] if backwards else z:
            h = np.tanh(row + h @ u)
            found.append(h)
        return np.array(found).reshape(z.shape)


@pytest.fixture
def two_threads() -> Any:
    before = runtime().symc_num_threads()
    runtime().symc_set_num_threads(2)
    yield
    runtime().symc_set_num_threads(before)


def sample(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(3).normal(0, 1, shape).astype(dtype)


@pytest.mark.parametrize("rows", [None, 50])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_values_in_both_places(two_threads, rows, backwards, bias):
    net = Net(17, 201, rows=rows, bias=bias, go_backwards=backwards)
    f = symc.function([net.x], net.h)
    (choice,) = choices(f)
    assert isinstance(choice.then[0], Loop) and isinstance(choice.otherwise[0], Step)
    for steps, count in [(110, 50), (3, 50), (0, 50), (1, 50)] + ([] if rows else [(60, 97), (2, 1), (30, 0)]):
        x = sample(steps, count, 17)
        np.testing.assert_allclose(f(x), net.numpy(x, backwards, bias), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("backwards", [False, True])
def test_inputs_of_any_length(two_threads, backwards):
    """How many terms the products have is known in the call."""
    h = 40
    x, w, u = T.ftensor3("x"), T.TensorType("float32", (None, h))("w"), symc.shared(sample(h, h) / 10)
    step = lambda z, h, u: T.tanh(z + T.dot(h, u))  # noqa: E731
    out, _ = symc.scan(step, T.dot(x, w) + 1, T.zeros((x.shape[1], h), dtype="float32"), [u], go_backwards=backwards)
    f = symc.function([x, w], out)
    assert len(choices(f)) == 1
    for steps, count, terms in [(110, 50, 17), (3, 50, 300), (0, 50, 4), (7, 97, 1), (7, 97, 0), (2, 1, 5)]:
        a, b = sample(steps, count, terms), sample(terms, h) / max(1, terms) ** 0.5
        state, want = np.zeros((count, h)), []
        for row in a[::-1] if backwards else a:
            state = np.tanh(row.astype("float64") @ b + 1 + state @ u.get_value())
            want.append(state)
        np.testing.assert_allclose(f(a, b), np.array(want).reshape(steps, count, h), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_reference_back_end_runs_the_product_in_the_steps(dtype):
    net = Net(3, 9, dtype)
    with symc.config.change(device="interp"):
        f = symc.function([net.x], net.h)
    assert len(choices(f)) == 1
    for shape in [(4, 3, 3), (2, 1, 3)]:
        x = sample(*shape, dtype=dtype)
        np.testing.assert_allclose(f(x), net.numpy(x), rtol=1e-4, atol=1e-5)


def test_gradients_and_layers(two_threads):
    net = Net(20, 200)
    v = symc.shared(sample(200, 96) / 14)
    start = T.zeros((net.x.shape[1], 96), dtype="float32")
    again, _ = symc.scan(lambda z, h: T.tanh(z + h), T.dot(net.h, v), start)
    cost = (again**2).mean()
    f = symc.function([net.x], [cost, *symc.grad(cost, [*net.wrt, v])])
    before = symc.function([net.x], [cost, *symc.grad(cost, [*net.wrt, v])])
    assert len(choices(f)) >= 1
    x = sample(100, 64, 20)
    runtime().symc_set_num_threads(64)  # too many for the rows: the product runs before the loop
    want = before(x)
    runtime().symc_set_num_threads(2)
    for a, b in zip(f(x), want):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * abs(b).max())


def test_products_that_stay_before_the_loop():
    net = Net(8, 16)
    assert not choices(symc.function([net.x], [net.h, net.z]))  # a result
    assert not choices(symc.function([net.x], [net.h, net.z.max()]))  # read elsewhere
    few = Net(8, 16, rows=4)
    assert not choices(symc.function([few.x], few.h))
    w, u = symc.shared(sample(8, 16)), symc.shared(sample(16, 16))
    x = T.tensor("float32", shape=(None, None, 8))
    z = T.dot(x, w)
    start = T.zeros((x.shape[1], 16), dtype="float32")
    h, _ = symc.scan(lambda a, c, h, u: T.tanh(a + c + T.dot(h, u)), [z[1:], z[:-1]], start, [u])
    assert not choices(symc.function([x], h))  # every row in two steps
    value = sample(9, 60, 8)
    np.testing.assert_allclose(
        symc.function([x], h)(value)[0], np.tanh((value @ w.get_value())[:2].sum(0)), rtol=1e-4, atol=1e-5
    )


def test_an_operand_that_changes_before_the_loop_ends(two_threads):
    """The next value of a shared variable is written where the last step has read it, not before."""
    x = symc.shared(sample(110, 50, 20))
    w, u = symc.shared(sample(20, 200) / 4), symc.shared(sample(200, 200) / 14)
    h, _ = symc.scan(lambda z, h, u: T.tanh(z + T.dot(h, u)), T.dot(x, w), T.zeros((50, 200), dtype="float32"), [u])
    f = symc.function([], h, updates={x: x * 0.5, w: w + 1})
    for _ in range(2):
        a, b, c = (v.get_value().astype("float64") for v in (x, w, u))
        state = np.zeros((50, 200))
        for z in a @ b:
            state = np.tanh(z + state @ c)
        np.testing.assert_allclose(f()[-1], state, rtol=1e-3, atol=1e-4)
