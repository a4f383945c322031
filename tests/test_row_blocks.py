"""Products and what is computed of their rows, some rows at a time: which chains, and that all results are right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.compiler.fusion import row_chains
from symc.compiler.lowering.row_blocks import block_of, pays
from symc.graph import dims
from symc.loops.ir import Branch, Loop, walk
from symc.printing.stages import state_after

pytest.importorskip("cffi")


def softmax(x: np.ndarray) -> np.ndarray:
    made = np.exp(x - x.max(-1, keepdims=True))
    return made / made.sum(-1, keepdims=True)


def flat(x: Any) -> Any:
    return x.reshape((x.shape[0] * x.shape[1], x.shape[2], x.shape[3]))


def program_of(f: Any) -> Any:
    return state_after(f, "lower_loops").program


def blocks_of(f: Any) -> list[Loop]:
    """The loops over blocks of rows of a function."""
    program = program_of(f)
    found = [node for node in walk(program.body) if isinstance(node, Loop) and node.rows and node.rows.size is not None]
    return found


def own(f: Any) -> list[list[str]]:
    """The names of the values that blocks have memory of their own for."""
    buffers = program_of(f).buffers
    return [[buffers[k].name for part in loop.rows.own for k in part.buffers] for loop in blocks_of(f)]


class Attention:
    """Attention with some masks, in symc and in NumPy with float64."""

    def __init__(self, b: int, t: int, s: int, d: int, e: int, dtype: str = "float32") -> None:
        rng = np.random.default_rng(t)
        self.args = [rng.standard_normal(n).astype(dtype) for n in ((b, t, d), (b, s, d), (b, s, e))]
        self.added, self.tables = rng.standard_normal((b, s)).astype(dtype), rng.standard_normal((t, s)).astype(dtype)
        self.q, self.k, self.v = (T.tensor3(n, dtype=dtype) for n in "qkv")
        self.m, self.n = T.matrix("m", dtype=dtype), T.matrix("n", dtype=dtype)
        self.scores = T.batched_dot(self.q, self.k.dimshuffle(0, 2, 1)) * np.dtype(dtype).type(d**-0.5)
        q, k, self.values = (a.astype("float64") for a in self.args)
        self.known = q @ k.swapaxes(1, 2) * d**-0.5
        self.causal = np.arange(t)[:, None] >= np.arange(s)

    def expressions(self, kind: str) -> tuple[list[Any], list[Any], Any, np.ndarray]:
        """The inputs, their arrays, the attention weights, and their values."""
        inputs, arrays = [self.q, self.k, self.v], list(self.args)
        if kind == "plain":
            return inputs, arrays, T.nnet.softmax(self.scores, axis=-1), softmax(self.known)
        if kind == "per matrix":
            masked = self.scores + self.m.dimshuffle(0, "x", 1)
            known = self.known + self.added[:, None].astype("float64")
            return [*inputs, self.m], [*arrays, self.added], T.nnet.softmax(masked, axis=-1), softmax(known)
        if kind == "per row":
            known = self.known + self.tables.astype("float64")
            weights = T.nnet.softmax(self.scores + self.n, axis=-1)
            return [*inputs, self.n], [*arrays, self.tables], weights, softmax(known)
        assert kind == "causal"
        seen = T.arange(self.q.shape[1]).dimshuffle(0, "x") >= T.arange(self.k.shape[1])
        masked = T.switch(seen, self.scores, np.dtype(self.q.dtype).type(-1e9))
        return inputs, arrays, T.nnet.softmax(masked, axis=-1), softmax(np.where(self.causal, self.known, -1e9))


KINDS = ("plain", "per matrix", "per row", "causal")
LARGE = [(2, 300, 700, 16, 24), (3, 513, 257, 33, 7), (1, 1000, 1001, 8, 5)]
"""Blocks that do not divide the rows; each has more scores than stay in a cache."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("shape", "dtype"), [*((s, "float32") for s in LARGE), (LARGE[0], "float64")])
def test_attention(kind, shape, dtype):
    a = Attention(*shape, dtype)
    inputs, arrays, weights, known = a.expressions(kind)
    f = symc.function(inputs, T.batched_dot(weights, a.v))
    assert len(own(f)) == 1 and len(own(f)[0]) == 2
    tolerance = 5e-6 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(f(*arrays), known @ a.values, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "shape", [(2, 7, 66, 3, 4), (3, 1, 70, 2, 5), (1, 5, 64, 1, 1), (2, 0, 65, 2, 2), (0, 3, 64, 2, 1)]
)
@pytest.mark.parametrize("device", ["c", "interp"])
def test_few_rows(kind, shape, device):
    """The interpreter runs blocks of any number of rows; no rows, or no matrices, are nothing to do."""
    a = Attention(*shape)
    inputs, arrays, weights, known = a.expressions(kind)
    f = symc.function(inputs, [T.batched_dot(weights, a.v), weights], device=device)
    got, found = f(*arrays)
    assert len(blocks_of(f)) == 1
    np.testing.assert_allclose(got, known @ a.values, rtol=5e-6, atol=5e-6)
    np.testing.assert_allclose(found, known, rtol=5e-6, atol=5e-6)


@pytest.mark.parametrize("shape", LARGE)
def test_several_heads_and_a_mask(shape):
    """A mask of the first of three axes of rows: the block finds its place by division."""
    b, t, s, d, e = shape
    rng = np.random.default_rng(4)
    arrays = [rng.standard_normal((b, 3, *n)).astype("float32") for n in ((t, d), (s, d), (s, e))]
    added = rng.standard_normal((b, s)).astype("float32")
    q, k, v = (T.tensor4(n, dtype="float32") for n in "qkv")
    m = T.matrix("m", dtype="float32")
    scores = T.batched_dot(flat(q), flat(k).dimshuffle(0, 2, 1)).reshape((*(q.shape[n] for n in range(3)), k.shape[2]))
    weights = T.nnet.softmax(scores * np.float32(0.1) + m.dimshuffle(0, "x", "x", 1), axis=-1)
    f = symc.function([q, k, v, m], T.batched_dot(flat(weights), flat(v)))
    assert len(own(f)) == 1 and len(own(f)[0]) == 2
    x, y, z = (a.astype("float64") for a in arrays)
    known = softmax(x @ y.swapaxes(2, 3) * 0.1 + added[:, None, None].astype("float64")) @ z
    np.testing.assert_allclose(f(*arrays, added), known.reshape(-1, t, e), rtol=5e-6, atol=5e-6)


def test_weights_that_are_needed_elsewhere_are_stored():
    a = Attention(2, 200, 400, 8, 6)
    inputs, arrays, weights, known = a.expressions("plain")
    f = symc.function(inputs, [T.batched_dot(weights, a.v), weights])
    assert own(f) == [["batched_dot"]]
    got, found = f(*arrays)
    np.testing.assert_allclose(found, known, rtol=5e-6)
    np.testing.assert_allclose(got, known @ a.values, rtol=5e-6, atol=5e-6)


def test_gradients(monkeypatch):
    """Of the backward pass, rows pass through the gradient of the softmax and into one more product."""
    a = Attention(2, 257, 391, 24, 16, "float64")
    inputs, arrays, weights, _ = a.expressions("per matrix")
    loss = (T.batched_dot(weights, a.v) ** 2).sum()
    f = symc.function(inputs, symc.grad(loss, inputs))
    assert len(blocks_of(f)) >= 1
    got = f(*arrays)
    monkeypatch.setattr("symc.compiler.lowering.scope.row_chains", lambda *args: [])
    g = symc.function(inputs, symc.grad(loss, inputs), name="whole")
    assert not blocks_of(g)
    for x, y in zip(got, g(*arrays)):
        np.testing.assert_allclose(x, y, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nearest_points(dtype):
    """A product of two matrices of which only a position and an extreme of each row are kept."""
    rng = np.random.default_rng(5)
    points, centres = rng.standard_normal((1777, 9)).astype(dtype), rng.standard_normal((301, 9)).astype(dtype)
    x, c = T.matrix("x", dtype=dtype), T.matrix("c", dtype=dtype)
    distances = (x**2).sum(1, keepdims=True) - 2 * T.dot(x, c.T) + (c**2).sum(1)
    f = symc.function([x, c], [T.argmin(distances, axis=1), T.min(distances, axis=1), T.sum(distances, axis=1)])
    assert own(f) == [["dot"]]
    known = ((points[:, None].astype("float64") - centres) ** 2).sum(2)
    positions, extremes, sums = f(points, centres)
    found = known[np.arange(len(points)), positions]
    np.testing.assert_allclose(found, known.min(1), rtol=1e-3 if dtype == "float32" else 1e-12, atol=1e-5)
    tolerance = 1e-4 if dtype == "float32" else 1e-11
    np.testing.assert_allclose(extremes, known.min(1), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(sums, known.sum(1), rtol=tolerance)


def test_rows_that_are_not_finite_stay_alone():
    a = Attention(1, 600, 800, 4, 3)
    inputs, arrays, weights, _ = a.expressions("plain")
    f = symc.function(inputs, T.batched_dot(weights, a.v))
    assert blocks_of(f)
    before = f(*arrays)
    arrays[0] = arrays[0].copy()
    arrays[0][0, 77] = np.nan
    after = f(*arrays)
    assert np.isnan(after[0, 77]).all()
    np.testing.assert_array_equal(np.delete(after, 77, 1), np.delete(before, 77, 1))


def test_the_number_of_threads_does_not_matter_to_correctness():
    a = Attention(1, 900, 700, 12, 9)
    inputs, arrays, weights, known = a.expressions("causal")
    f = symc.function(inputs, T.batched_dot(weights, a.v))
    for count in (1, 2, 5, 16):
        with symc.config.change(threads=count):
            for _ in range(3):
                np.testing.assert_allclose(f(*arrays), known @ a.values, rtol=5e-6, atol=5e-6)


def square(text: str) -> Any:
    """A chain whose values are (n, n) matrices made of ``x`` and ``y``, as an expression over them."""
    x, y = T.matrix("x", dtype="float32"), T.matrix("y", dtype="float32")
    p = T.dot(x, y)
    return symc.function([x, y], eval(text, {"T": T, "p": p, "x": x, "y": y}))


@pytest.mark.parametrize(
    "text",
    [
        "T.dot(T.nnet.softmax(p.T), y)",  # columns of the product
        "p / p.sum(0)",
        "T.nnet.softmax(p + T.arange(p.shape[0]).dimshuffle(0, 'x'))",  # numbers of rows
        "T.nnet.softmax(p[::-1])",
        "(p ** 2).sum()",
        "T.tanh(p)",
    ],
)
def test_other_programs_compute_all_rows(text):
    f = square(text)
    assert not blocks_of(f)


def test_results_do_not_overwrite_what_other_blocks_read():
    """The weights are a temporary that dies in the group, and that the product of every block reads whole."""
    x, y = T.matrix("x", dtype="float32"), T.matrix("y", dtype="float32")
    w = T.tanh(T.dot(y, y.T))
    f = symc.function([x, y], T.nnet.softmax(T.dot(x, w)) * w * 3)
    rng = np.random.default_rng(8)
    a, b = rng.standard_normal((700, 700)).astype("float32"), rng.standard_normal((700, 3)).astype("float32")
    w64 = np.tanh(b.astype("float64") @ b.T)
    np.testing.assert_allclose(f(a, b), softmax(a @ w64) * w64 * 3, rtol=2e-4, atol=1e-6)


def test_the_rule():
    """In blocks only if the values of all rows are large, the blocks not too large, and the products not too deep."""
    assert pays(8 * 1024, 1024, 8192, 64) == 1 and pays(4096, 4096, 32768, 64) == 1
    assert pays(64, 64, 512, 64) == 0  # they stay in the cache anyway
    assert pays(8 * 16, 16, 1 << 20, 64) == 0  # of so few rows each would read the other operand
    assert pays(8 * 1024, 1024, 8192, 100000) == 0
    assert pays(1000, 1000, 1 << 20, 64) == 0  # not even the least block stays in a cache
    assert pays(0, 0, 0, 0) == 0
    assert block_of(5000, 4096) == 256 and block_of(50, 4096) == 50 and block_of(5000, 1 << 20) == 32
    n = dims.new_symbol("n")
    for length in (0, 5, 31, 32, 255, 256, 257, 100000):
        assert dims.evaluate(pays(n, n, 4096, 64), {n: length}) == pays(length, length, 4096, 64)


def test_blocks_of_threads():
    """Blocks become smaller, down to a limit, if there are fewer than a few for each thread."""
    from symc_backends.c.build import runtime

    rows, before = runtime().symc_rows_of_block, runtime().symc_num_threads()
    runtime().symc_set_num_threads(2)
    try:
        assert rows(1, 5120, 128) == 128 and rows(1, 5000, 128) == 125 and rows(100, 100, 128) == 100
        assert rows(1, 300, 128) == 50 and rows(1, 100, 128) == 25 and rows(0, 0, 0) == 0  # of equal parts
        assert rows(1, 100, 16) == 15
    finally:
        runtime().symc_set_num_threads(before)


@pytest.mark.parametrize("known", [False, True])
def test_large_values_have_no_memory(known):
    """Scores of 16,384 x 16,384 would take 1 GB, and the weights as much; where sizes are known, there is no branch."""
    n = 16384
    q, k, v = (T.TensorType("float32", (1, n, 2) if known else (None, None, None))(name) for name in "qkv")
    f = symc.function([q, k, v], T.batched_dot(T.nnet.softmax(T.batched_dot(q, k.dimshuffle(0, 2, 1))), v))
    args = [np.ones((1, n, 2), "float32") for _ in range(3)]
    np.testing.assert_allclose(f(*args), 1, rtol=1e-5)
    program = program_of(f)
    assert any(isinstance(node, Branch) for node in program.body) != known
    assert symc.memory_estimate(f, [a.shape for a in args]).peak < 1 << 25


def test_chains_follow_one_another():
    """Units between those of a chain come before all of it."""
    things = [object() for _ in range(9)]
    chain = row_chains.RowChain((things[2], things[4], things[7]), (3,), ())
    order = [things.index(t) for t in row_chains.in_chain_order(things, [chain])]
    assert order == [0, 1, 3, 5, 6, 2, 4, 7, 8]


def test_profiles_contain_the_steps_of_blocks():
    a = Attention(1, 2000, 1500, 16, 16)
    inputs, arrays, weights, _ = a.expressions("plain")
    f = symc.function(inputs, T.batched_dot(weights, a.v), profile=True)
    f(*arrays)
    kernels = [row.kernel for row in f.profile.rows]
    assert len(kernels) == 4 and kernels.count("batched_dot") == 2, kernels  # without those of all rows at once
    assert all(row.seconds > 0 for row in f.profile.rows)
