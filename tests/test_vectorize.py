"""``symc.vectorize`` against the same function applied to one entry after another, and against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.gradient.gradient_check import verify_grad
from symc.graph import toposort
from symc.graph.op import Structured

RNG = np.random.default_rng(3)
V, W = RNG.standard_normal((4, 3)), RNG.standard_normal((4, 3))
M, N = RNG.standard_normal((4, 3, 5)), RNG.standard_normal((4, 5, 2))
SQUARE = M @ M.swapaxes(1, 2) + 3 * np.eye(3)
K = np.array([[0, 2, 1], [1, 1, 0], [2, 0, 2], [0, 0, 0]])

FUNCTIONS = {
    "elementwise": (lambda x: T.tanh(x) * 2 + 1, [V]),
    "two": (lambda x, y: T.switch(x > y, x, T.exp(y)), [V, W]),
    "scalars": (lambda x: x[0] * x[1] - x.mean(), [V]),
    "broadcast": (lambda x, m: x.dimshuffle(0, "x") * m + x[0], [V, M]),
    "reductions": (lambda m: [m.sum(0), m.max(), m.prod(1), m.mean(axis=1, keepdims=True), m.var()], [M]),
    "argmax": (lambda m: [m.argmax(1), m.argmax()], [M]),
    "softmax": (lambda m: [T.nnet.softmax(m), T.nnet.logsoftmax(m), T.nnet.relu(m)], [M]),
    "reshape": (lambda m: [m.reshape((5, 3)), m.flatten(), m.T, m.reshape((-1, 1)), m.dimshuffle(1, "x", 0)], [M]),
    "shapes": (lambda m: [m.shape[0] + m.shape[1], T.zeros_like(m), T.ones((m.shape[1], 2)) * m[0, 0]], [M]),
    "products": (lambda m, n: [T.dot(m, n), T.dot(n.T, m.T), T.dot(m[0], n[:, 0]), T.outer(m[0], n[0])], [M, N]),
    "batched products": (lambda m: T.batched_dot(T.stack([m, 2 * m]), T.stack([m.T, m.T + 1])), [M]),
    "slices": (lambda m: [m[1:], m[::-1, ::2], m[:, -1], m[0, 1:3], m[None, ..., 0]], [M]),
    "gather": (lambda m: [m[[2, 0]], m[:, [1, 1, 0]], m[[0, 1], [1, 2]]], [M]),
    "own indices": (lambda m, k: [m[k], m[:, k], m[k, k], m[k[0]]], [M, K]),
    "writing": (
        lambda m, k: [T.set_subtensor(m[1], 0), T.inc_subtensor(m[:, :2], 1), T.inc_subtensor(m[k], m[0]),
                      T.set_subtensor(m[:, [2, 0]], 7)], [M, K],
    ),
    "joining": (lambda x, y: [T.concatenate([x, y]), T.stack([x, y], axis=1), T.tile(x, 2), T.repeat(y, 2)], [V, W]),
    "sums so far": (lambda m: [T.cumsum(m, 1), T.cumprod(m[0])], [M]),
    "casts": (lambda x: [x.astype("int32"), T.gt(x, 0), T.cast(x, "float64")], [V]),
    "sorting": (lambda x: [T.sort(x), T.argsort(x)], [V]),
    "linear algebra": (lambda a: [T.nlinalg.matrix_inverse(a), T.slinalg.cholesky(a), T.nlinalg.det(a)], [SQUARE]),
    "loops": (lambda x: symc.scan(lambda e, s: s * 0.5 + e, x, T.zeros_like(x[0]))[0], [V]),
    "branches": (lambda x: symc.ifelse(x.sum() > 0, x * 2, x - 1), [V]),
    "python": (lambda x: symc.as_op([1], [1], infer_shape=lambda node, shapes: shapes)(np.sort)(x), [V]),
    "a graph as op": (lambda x: symc.OpFromGraph([S := T.dvector()], [S * S.sum()])(x), [V]),
    "gradients": (
        lambda x: [symc.grad((x**3).sum(), x), symc.grad(T.nnet.softmax(x.dimshuffle("x", 0))[0, 1], x)], [V],
    ),
    "norm": (lambda x: x / x.norm(2), [V]),
    "images": (
        lambda m: T.signal.pool.pool_2d(
            T.nnet.conv2d(m.dimshuffle("x", "x", 0, 1), np.arange(12.0).reshape(2, 1, 3, 2)), (1, 2), ignore_border=True
        ),
        [M],
    ),
    "systems": (lambda a, b: [T.slinalg.solve(a, b), T.nlinalg.eigh(a)[0], T.nlinalg.svd(a)[1]], [SQUARE, M]),
}  # fmt: skip


def listed(found):
    return list(found) if isinstance(found, (list, tuple)) else [found]


def variables(arrays, known=False):
    return [T.tensor(a.dtype.name, shape=a.shape if known else (None,) * a.ndim) for a in arrays]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_entry(name):
    """All results of the function on each entry, one compiled call per entry, against one call for all entries."""
    fn, arrays = FUNCTIONS[name]
    single = variables([a[0] for a in arrays])
    one = symc.function(single, listed(fn(*single)), device="interp", on_unused_input="ignore")
    want = [np.stack(r) for r in zip(*[one(*[a[k] for a in arrays]) for k in range(len(arrays[0]))])]
    for known in (False, True):
        many = variables(arrays, known)
        outputs = listed(symc.vectorize(fn)(*many))
        f = symc.function(many, outputs, device="interp", on_unused_input="ignore")
        for have, w, v in zip(f(*arrays), want, outputs, strict=True):
            assert have.dtype == w.dtype and have.shape == w.shape
            assert v.ndim == w.ndim
            np.testing.assert_allclose(have, w, rtol=1e-12, atol=1e-12)


LOOPED = {"loops", "branches", "python"}


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - LOOPED))
def test_no_loop_where_there_is_a_rule(name):
    fn, arrays = FUNCTIONS[name]
    many = variables(arrays)
    f = symc.function(many, symc.vectorize(fn)(*many), device="interp", on_unused_input="ignore")
    loops = [n for n in f.specialisation.state.graph.order if isinstance(n.op.record.lower, Structured)]
    assert not loops


def test_one_product_for_a_shared_matrix():
    x, w = T.matrix("x"), T.matrix("w")
    out = symc.vectorize(lambda row: T.dot(row, w))(x)
    f = symc.function([x, w], out)
    np.testing.assert_allclose(f(V, M[0]), V @ M[0], rtol=1e-5)
    assert "batched" not in symc.printing.debugprint(f, stage="fused", file="str")


@pytest.mark.parametrize("which", [0, 1])
def test_an_argument_that_is_the_same_for_all(which):
    a, b = variables([M[0] if which else M, N if which else N[0]])
    axes = (None, 0) if which else (0, None)
    fn = lambda m, n: [T.dot(m, n), T.dot(n.T, m.T), m[0, 0] + n, T.concatenate([m[0], n[:, 0]])]  # noqa: E731
    have = symc.function([a, b], symc.vectorize(fn, in_axes=axes)(a, b))(*(v.tolist() for v in (
        M[0] if which else M, N if which else N[0])))  # fmt: skip
    for k in range(4):
        m, n = (M[0], N[k]) if which else (M[k], N[0])
        for h, w in zip(have, [m @ n, n.T @ m.T, m[0, 0] + n, np.concatenate([m[0], n[:, 0]])]):
            np.testing.assert_allclose(h[k], w, rtol=1e-10)


def test_axes_of_arguments_and_results():
    x, y = T.dtensor3("x"), T.dmatrix("y")
    fn = lambda m, v: (T.dot(v, m), v.sum(), T.constant(2.0))  # noqa: E731
    made = symc.vectorize(fn, in_axes=(2, 1), out_axes=(1, -1, None))(x, y)
    assert isinstance(made, tuple)
    products, sums, two = symc.function([x, y], list(made))(M, RNG.standard_normal((4, 5)) * 0 + V[:, :1])
    np.testing.assert_allclose(products, np.einsum("b,bck->ck", V[:, 0], M), rtol=1e-10)
    np.testing.assert_allclose(sums, np.full(5, V[:, 0].sum()))
    assert two == 2


def test_structures():
    x, p, q = T.dmatrix("x"), T.dmatrix("p"), T.dvector("q")
    fn = lambda row, params, k=1: {"a": row * params[0] + params[1], "b": row.sum() * k}  # noqa: E731
    made = symc.vectorize(fn, in_axes=(0, (0, None)))(x, [p, q], k=3)
    f = symc.function([x, p, q], made)
    found = f(V, W, V[0])
    np.testing.assert_allclose(found["a"], V * W + V[0])
    np.testing.assert_allclose(found["b"], 3 * V.sum(1))


def test_nested():
    x, y = T.dmatrices("x", "y")
    pairs = symc.vectorize(lambda a: symc.vectorize(lambda b: T.sqrt(T.sqr(a - b).sum()))(y))(x)
    want = np.linalg.norm(V[:, None] - W[None], axis=2)
    np.testing.assert_allclose(symc.function([x, y], pairs)(V, W), want, rtol=1e-10)


def test_gradients_through_it():
    fn = symc.vectorize(lambda m, n, k: T.tanh(T.dot(m, n)[k]) / (1 + m[0, k].sum()))
    verify_grad(lambda m, n: fn(m, n, T.constant(K % 2)), [M, N], n_tests=1)


def test_a_jacobian_row_by_row():
    x = T.dvector("x")
    y = T.exp(x) * x.sum()
    rows = symc.vectorize(lambda u: symc.gradient.Lop(y, x, u))(T.eye(3, dtype="float64"))
    v = V[0]
    want = np.diag(np.exp(v) * v.sum()) + np.exp(v)[:, None]
    np.testing.assert_allclose(symc.function([x], rows)(v), want, rtol=1e-10)


def test_a_gradient_per_example():
    x, w = T.dmatrix("x"), T.dvector("w")
    loss = lambda row, weights: T.log1p(T.exp(-T.dot(row, weights)))  # noqa: E731
    slopes = symc.vectorize(lambda row, u: symc.grad(loss(row, u), u), in_axes=(0, None))(x, w)
    z = V @ W[0]
    np.testing.assert_allclose(symc.function([x, w], slopes)(V, W[0]), -V / (1 + np.exp(z))[:, None], rtol=1e-10)


@pytest.mark.parametrize("size", [0, 1])
def test_few_entries(size):
    for name in ("products", "own indices", "softmax", "loops", "linear algebra"):
        fn, arrays = FUNCTIONS[name]
        given = [a[:size] for a in arrays]
        many = variables(given)
        found = symc.function(many, listed(symc.vectorize(fn)(*many)), device="interp", on_unused_input="ignore")(
            *given
        )
        assert all(len(f) == size for f in found)


def test_results_that_do_not_depend_on_the_entries():
    x, w = T.dmatrix("x"), symc.shared(np.float64(3), "w")
    same, of_shape = symc.function([x], symc.vectorize(lambda row: [w * 2, row.shape[0]])(x))(V)
    np.testing.assert_array_equal(same, [6] * 4)
    np.testing.assert_array_equal(of_shape, [3] * 4)


def test_mistakes():
    x, y = T.dmatrices("x", "y")
    with pytest.raises(ValueError, match="in_axes has 1 entries for 2 arguments"):
        symc.vectorize(T.add, in_axes=[0])(x, y)
    with pytest.raises(ValueError, match="every entry of in_axes is None"):
        symc.vectorize(T.exp, in_axes=None)(x)
    with pytest.raises(ValueError, match="depends on the entries"):
        symc.vectorize(T.exp, out_axes=None)(x)
    with pytest.raises(ValueError, match="axis 2 is out of range"):
        symc.vectorize(T.exp, in_axes=2)(x)
    known = T.tensor("float64", shape=(4, 3)), T.tensor("float64", shape=(5, 3))
    with pytest.raises(ValueError, match="4 and 5 entries"):
        symc.vectorize(T.add)(*known)
    f = symc.function([x, y], symc.vectorize(lambda a, b: a.sum() + b.sum())(x, y))
    with pytest.raises(ValueError, match="vectorize: arguments differ in their numbers of entries"):
        f(V, W[:3])


def test_the_graph_of_the_function_is_its_own():
    """Building it leaves no trace in the arguments."""
    x = T.dmatrix("x")
    out = symc.vectorize(lambda row: row * 2)(x)
    assert {v for node in toposort([out]) for v in node.inputs if v.owner is None and v.ndim} == {x}
