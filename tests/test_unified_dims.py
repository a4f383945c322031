"""Dims that an expression requires to be equal become one symbol, wherever they stand."""

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.errors import ShapeError
from symc.graph import dims
from symc.graph.dim_bounds import only_length, only_lengths
from symc.printing.stages import state_after


def test_broadcast_along_a_known_axis_keeps_no_symbol(rng):
    """The labels' batch and the scores' batch are one, though the labels are repeated along an axis of known length."""
    # The symbol whose name sorts later gives way, which must be the labels' here.
    scores, labels = T.tensor("float32", shape=(None, 3), name="a"), T.ivector("b")
    loss = T.nnet.categorical_crossentropy(T.nnet.softmax(scores), labels).mean()
    f = symc.function([scores, labels], [loss, T.grad(loss, scores)])
    x, y = rng.standard_normal((5, 3)).astype("float32"), rng.integers(0, 3, 5).astype("int32")
    q = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    found, g = f(x, y)
    np.testing.assert_allclose(found, -np.log(q[np.arange(5), y]).mean(), rtol=1e-5)
    np.testing.assert_allclose(g, (q - np.eye(3)[y]) / 5, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("mode", ["FAST_COMPILE", "fast_run"])
def test_alloc_repeats_only_what_was_known_to_have_length_1(mode):
    """The length of a shared variable at the moment of compiling changes nothing."""
    for value in (symc.shared(np.ones(1)), T.vector("v", dtype="float64")):
        n = T.iscalar("n")
        inputs = [n] if isinstance(value, symc.SharedVariable) else [value, n]
        f = symc.function(inputs, T.alloc(value, 2, n), mode=mode)
        one = [] if len(inputs) == 1 else [np.ones(1)]
        assert f(*one, 1).shape == (2, 1)
        with pytest.raises(ShapeError, match="alloc"):
            f(*one, 3)
    row = T.TensorType("float64", (True,))("row")
    f = symc.function([row, n], T.alloc(row, 2, n), mode=mode)
    assert f(np.ones(1), 3).shape == (2, 3)


def random_dim(rng, n, depth=3):
    """A sum, a difference, a minimum, a maximum or a multiple, nested."""
    if depth == 0 or rng.random() < 0.2:
        return n if rng.random() < 0.6 else int(rng.integers(0, 6))
    a, b = (random_dim(rng, n, depth - 1) for _ in range(2))
    if rng.random() < 0.2:
        return dims.mul(a, int(rng.integers(-2, 4)))
    return [dims.add, dims.sub, dims.minimum, dims.maximum][rng.integers(4)](a, b)


def test_the_one_length_for_which_dims_are_equal(rng):
    """Beside all lengths below 300 tried one by one: what is found is right, and what is unique is mostly found."""
    n, found, unique = dims.new_symbol("n"), 0, 0
    for _ in range(600):
        pairs = [(random_dim(rng, n), random_dim(rng, n)) for _ in range(rng.integers(1, 3))]
        pairs = [p for p in pairs if any(type(d) is not int for d in p)]
        holds = [k for k in range(300) if all(dims.evaluate(a, {n: k}) == dims.evaluate(b, {n: k}) for a, b in pairs)]
        length = only_length(pairs)
        if length is not None:
            assert holds == [length], pairs
        found, unique = found + (length is not None), unique + (len(holds) == 1)
    assert unique > 60 and found > 0.9 * unique


def test_lengths_without_bounds_or_that_floors_decide_are_left_alone():
    n = dims.new_symbol("n")
    assert only_length([(dims.sub(n, 1), dims.minimum(n, 3))]) == 4
    assert only_length([(dims.maximum(n, 5), n)]) is None  # all from 5 on
    assert only_length([(dims.minimum(n, 3), 4)]) is None  # none
    assert only_length([(dims.floordiv(n, 2), 3)]) is None
    assert only_length([(dims.mul(n, n), 9)]) is None
    assert only_length([(n, 1 << 40)]) is None
    assert only_length([]) is None


@pytest.mark.parametrize("hidden", [1, 3, 70])
def test_gates_that_are_cut_by_constants_have_their_width(hidden, rng):
    """Four slices of one row that go together leave one width for it, also in the step of a loop."""
    z, c = T.fmatrix("z"), T.TensorType("float32", (None, hidden))("c")

    def step(c, z):
        i, f, o = (T.nnet.sigmoid(z[:, k * hidden : (k + 1) * hidden]) for k in range(3))
        return f * c + i * o * T.tanh(z[:, 3 * hidden :])

    out, _ = symc.scan(step, outputs_info=[c], non_sequences=[z], n_steps=2)
    f = symc.function([z, c], out)
    if hidden > 1:  # else the slices might be broadcast
        program = state_after(f, "lower_loops").program
        assert {b.shape[1] for b in program.buffers if b.role == "input"} == {4 * hidden, hidden}
    z, c = rng.standard_normal((5, 4 * hidden), dtype="float32"), rng.standard_normal((5, hidden), dtype="float32")
    parts = [z[:, k * hidden : (k + 1) * hidden].astype("float64") for k in range(4)]
    i, g, o = (1 / (1 + np.exp(-p)) for p in parts[:3])
    first = g * c + i * o * np.tanh(parts[3])
    np.testing.assert_allclose(f(z, c), [first, g * first + i * o * np.tanh(parts[3])], rtol=1e-5, atol=1e-6)
    for width in {0, 1, 4 * hidden - 1, 4 * hidden + 1, 5 * hidden} - {4 * hidden, 4 if hidden == 1 else -1}:
        with pytest.raises(ShapeError):
            f(np.zeros((5, width), "float32"), c)


def test_many_axes_are_read_once():
    """Many inputs have many axes and many equalities: the time would be quadratic."""

    class Axes(list):
        read = 0

        def __iter__(self):
            self.read += 1
            return super().__iter__()

    symbols = [dims.new_symbol(f"n{k}") for k in range(20)]
    axes = Axes(symbols)
    found = only_lengths([(dims.sub(n, 1), k) for k, n in enumerate(symbols)], axes)
    assert found == {n: k + 1 for k, n in enumerate(symbols)} and axes.read == 1
