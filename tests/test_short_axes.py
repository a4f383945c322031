"""Functions of arguments of any shape get code for short axes, in the first call that does enough work on them."""

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.errors import GuardError

rng = np.random.default_rng(0)


def distances(x, y):
    return ((x[:, None, :] - y[None, :, :]) ** 2).sum(2)


def mixture(x, m):
    d = distances(x, m)
    return T.exp(-d - (-d).max(axis=1, keepdims=True)).sum(axis=1)


FORMS = {
    "distances": (distances, lambda x, y: ((x[:, None] - y[None]) ** 2).sum(2)),
    "product": (lambda x, y: T.tanh(T.dot(x, y.T)), lambda x, y: np.tanh(x @ y.T)),
    "mixture": (
        mixture,
        lambda x, y: np.exp(-(d := ((x[:, None] - y[None]) ** 2).sum(2)) - (-d).max(1, keepdims=True)).sum(1),
    ),
    "scaled rows": (
        lambda x, y: x / T.sqrt((x * x).sum(axis=1, keepdims=True)) * y[0],
        lambda x, y: x / np.sqrt((x * x).sum(1, keepdims=True)) * y[0],
    ),
    "flattened": (lambda x, y: (x * y[0]).reshape((-1,)) + 1, lambda x, y: (x * y[0]).reshape(-1) + 1),
}


def codes(f):
    return f.specialisation.short.codes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FORMS)
def test_short_axes_have_code_of_their_own(name, dtype):
    x, y = T.matrix("x", dtype), T.matrix("y", dtype)
    form, want = FORMS[name]
    value = form(x, y)
    f = symc.function([x, y], [value, T.grad((value**2).sum(), x)])
    for lines, few, others in [(9, 3, 4), (40_000, 3, 5), (9, 3, 5), (39_999, 3, 5), (30_001, 17, 20), (30_000, 3, 4)]:
        a, b = (rng.standard_normal(s).astype(dtype) for s in ((lines, few), (others, few)))
        tolerance = {"rtol": 2e-4, "atol": 2e-5} if dtype == "float32" else {"rtol": 1e-11, "atol": 1e-12}
        for _ in range(2):
            got, slope = f(a, b)
            np.testing.assert_allclose(got, want(a.astype("float64"), b.astype("float64")), **tolerance)
        step = rng.standard_normal(a.shape) * 1e-6
        change = want(a + step, b.astype("f8")) - want(a - step, b.astype("f8"))
        exact = (want(a.astype("f8"), b.astype("f8")) * change).sum()
        np.testing.assert_allclose((slope * step).sum(), exact, rtol=1e-3, atol=1e-4)
    known = [sorted({n for *_, n in code.lengths}) for code in codes(f)]
    assert known and all(3 in lengths and 17 not in lengths for lengths in known), known
    assert not symc.function([x], T.exp(x)).specialisation.short.codes


def test_calls_take_the_fast_path_whichever_code_they_run():
    x, y = T.fmatrices("x", "y")
    f = symc.function([x, y], distances(x, y))
    short = [rng.random((30_000, 2), "float32"), rng.random((5, 2), "float32")]
    long = [rng.random((300, 40), "float32"), rng.random((7, 40), "float32")]
    for arrays in (short, long, short, long):
        f(*arrays)
    (code,) = codes(f)
    if code.fast is None:
        pytest.skip("there is no launcher")
    assert f.specialisation.call is code.fast.call
    counts = [s.fast.call.fast_calls for s in (code, f.specialisation)]
    for arrays in (short, long, short):
        f(*arrays)
    assert [s.fast.call.fast_calls for s in (code, f.specialisation)] == [counts[0] + 2, counts[1] + 1]


def test_calls_without_much_work_and_long_axes_keep_the_code_for_any():
    x, y = T.fmatrices("x", "y")
    f = symc.function([x, y], distances(x, y))
    for shapes in [((9, 3), (4, 3)), ((3000, 20), (30, 20)), ((30_000, 1), (30, 1)), ((0, 3), (4, 3))]:
        f(*(np.ones(s, "float32") for s in shapes))
    assert not codes(f)
    with symc.config.change(short_axes=False):
        f(np.ones((30_000, 3), "float32"), np.ones((5, 3), "float32"))
        assert not codes(f)
    for few in range(2, 9):
        f(np.ones((30_000 + few, few), "float32"), np.ones((5, few), "float32"))
    assert len(codes(f)) == 4


def test_the_number_of_lines_does_not_matter_where_they_are_the_first_axis():
    x, w = T.fmatrix("x"), symc.shared(rng.standard_normal((3000, 100)).astype("float32"))
    y = T.tanh(T.dot(x, w))
    f = symc.function([x], [y, T.grad(y.sum(), w)])
    f(np.ones((8, 3000), "float32"))
    assert not codes(f)


def test_shapes_that_contradict_each_other_are_errors_before_and_after():
    x, y = T.fmatrices("x", "y")
    f = symc.function([x, y], x * y + x[:, 2].dimshuffle(0, "x"))
    good, other = np.ones((400_000, 3), "float32"), np.ones((400_000, 4), "float32")
    one = np.ones((400_000, 1), "float32")
    for _ in range(2):
        for bad in ([good, other], [other, good], [good, one], [one, good]):
            with pytest.raises(GuardError):
                f(*bad)
        np.testing.assert_array_equal(f(good, good), 2 * good)
    assert len(codes(f)) == 1
    part = symc.function([x, y], -x[:, 2:] * y)  # of 3 columns the last: known to be 1, it would be repeated
    for columns in (1, 5, 1):
        if columns == 1:
            np.testing.assert_array_equal(part(good, one), -one)
        else:
            with pytest.raises(GuardError):
                part(good, np.ones((400_000, 5), "float32"))
    assert codes(part)
    g = symc.function([x], x[:, 5] + x.sum(1))
    for _ in range(2):
        with pytest.raises(IndexError):
            g(good)


def test_both_codes_update_the_same_values():
    x, total = T.dmatrix("x"), symc.shared(np.zeros(()))
    count = symc.shared(np.array(0))
    f = symc.function([x], (x / x.sum(1, keepdims=True)).sum(0), updates={total: total + x.sum(), count: count + 1})
    want = 0.0
    for shape in [(50_000, 3), (10, 3), (50_000, 3), (1000, 90), (50_000, 5), (50_000, 3)]:
        a = rng.random(shape) + 1
        np.testing.assert_allclose(f(a), (a / a.sum(1, keepdims=True)).sum(0), rtol=1e-10)
        want += a.sum()
    assert count.get_value() == 6 and len(codes(f)) == 2
    np.testing.assert_allclose(total.get_value(), want, rtol=1e-12)


def test_steps_of_loops_and_draws():
    x, noise = T.dmatrix("x"), symc.tensor.shared_randomstreams.RandomStreams(5)
    last, _ = symc.scan(lambda row, s: T.tanh(s * row.sum() + row), sequences=x, outputs_info=[x[0] * 0])
    drawn = noise.normal((x.shape[0], x.shape[1]))
    made = [symc.function([x], [last[-1], drawn]) for _ in range(2)]
    a = rng.standard_normal((60_000, 3))
    with symc.config.change(short_axes=False):
        plain = made[1](a)
    noise.seed(5)
    got = made[0](a)
    assert codes(made[0]) and not codes(made[1])
    np.testing.assert_allclose(got[0], plain[0], rtol=1e-10)
    s = np.zeros(3)
    for row in a:
        s = np.tanh(s * row.sum() + row)
    np.testing.assert_allclose(got[0], s, rtol=1e-8)
    assert got[1].shape == plain[1].shape and abs(got[1].mean()) < 0.02


def test_a_profile_shows_the_code_that_ran():
    x, y = T.fmatrices("x", "y")
    f = symc.function([x, y], distances(x, y), profile=True)
    f(np.ones((30_000, 3), "float32"), np.ones((5, 3), "float32"))
    assert codes(f) and f.profile.calls == 1
    assert [row.calls for row in f.profile.rows] == [1] * len(f.profile.rows)


def test_which_code_runs_follows_from_the_shapes_alone():
    shapes = [((9, 3), (4, 3)), ((40_000, 3), (5, 3)), ((40_000, 3), (20, 3)), ((9, 3), (5, 3)), ((40_001, 3), (5, 3))]
    given = {s: [rng.standard_normal(n).astype("float32") for n in s] for s in shapes}
    results, lengths = [], []
    for order in (shapes, shapes[::-1]):
        x, y = T.fmatrices("x", "y")
        f = symc.function([x, y], [mixture(x, y), T.grad(mixture(x, y).sum(), x)])
        found = {s: [v.tobytes() for v in f(*given[s])] for s in order}
        assert found == {s: [v.tobytes() for v in f(*given[s])] for s in order[::-1]}
        results.append(found)
        lengths.append(sorted(sorted(n for *_, n in code.lengths) for code in codes(f)))
    assert results[0] == results[1]
    assert lengths[0] == lengths[1] and len(lengths[0]) == 2


def test_the_widths_of_states_count_in_the_steps_of_loops():
    """Longer ones too, since threads can have rows of their own then; the numbers of rows and of steps do not."""
    x, h, w = T.dtensor3("x"), T.dmatrix("h"), T.dmatrix("w")
    last, _ = symc.scan(lambda row, s, w: T.tanh(T.dot(s, w) + row), sequences=x, outputs_info=[h], non_sequences=[w])
    f = symc.function([x, h, w], last[-1])
    for steps, rows, width in [(20, 33, 60), (31, 40, 60), (2, 3, 60), (20, 33, 40)]:
        a, s, m = (
            rng.standard_normal((steps, rows, width)),
            np.zeros((rows, width)),
            rng.standard_normal((width, width)),
        )
        want = s
        for row in a:
            want = np.tanh(want @ m / 9 + row)
        np.testing.assert_allclose(f(a, s, m / 9), want, rtol=1e-9, atol=1e-12)
    assert [{n for *_, n in code.lengths} for code in codes(f)] == [{60}, {40}]
