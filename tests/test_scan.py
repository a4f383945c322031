"""What ``scan`` promises: taps, ends, updates, draws, truncation. Oracles are loops over NumPy arrays."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.scan_module import until
from symc.scan_module.scan_utils import equal_computations

ZERO = np.float64(0)


@pytest.fixture(params=["interp", "c", "cuda"])
def device(request):
    if request.param == "cuda":
        request.getfixturevalue("emulated_device")
    return request.param


@pytest.fixture(autouse=True)
def _wide():
    with symc.config.change(floatX="float64"):
        yield


def close(got, want, rtol=1e-10):
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)


def differences(f, arrays, k, step=1e-6):
    """Central differences of the scalar function ``f`` by its argument ``k``."""
    found = np.zeros_like(arrays[k])
    for at in np.ndindex(arrays[k].shape):
        values = []
        for sign in (1, -1):
            moved = [a.copy() for a in arrays]
            moved[k][at] += sign * step
            values.append(f(*moved))
        found[at] = (values[0] - values[1]) / (2 * step)
    return found


# --- taps -------------------------------------------------------------------------------------------------------------


def test_the_order_of_arguments():
    """The example of Theano's documentation."""
    names = []

    def fn(*args):
        names.extend(v.name for v in args)
        return args[5] * 1.0, args[0] * 1.0, args[7] * 1.0

    one, two, three = T.vectors("one", "two", "three")
    first, second, third = T.dvector("first"), T.dscalar("second"), T.dscalar("third")
    fixed = T.dscalar("fixed")
    symc.scan(
        fn,
        [dict(input=one, taps=[-3, 2, -1]), two, dict(input=three, taps=3)],
        [dict(initial=first, taps=[-3, -5]), dict(initial=second, taps=None), third],
        fixed,
    )
    sequences = ["one[t-3]", "one[t+2]", "one[t-1]", "two[t]", "three[t+3]"]
    assert names == [*sequences, "first[t-3]", "first[t-5]", "third[t-1]", "fixed"]


def tapped(x, y, s, w):
    def fn(x_past, x_now, x_next, y_next, s_far, s_near, w):
        return T.tanh(w * s_far + s_near * x_past) + x_now - y_next, x_next * s_near

    infos = [dict(initial=s, taps=[-3, -1]), None]
    return symc.scan(fn, [dict(input=x, taps=[-2, 0, 1]), dict(input=y, taps=[1])], infos, w)[0]


def tapped_numpy(x, y, s, w):
    past, products = list(s[:3]), []
    for t in range(min(len(x) - 3, len(y) - 1)):
        products.append(x[t + 3] * past[-1])
        past.append(np.tanh(w * past[-3] + past[-1] * x[t]) + x[t + 2] - y[t + 1])
    return np.array(past[3:]), np.array(products)


def test_taps_with_gradients_of_both_orders(device, rng):
    x, y, s, w = T.vectors("x", "y", "s", "w")
    w = T.dscalar("w")
    states, products = tapped(x, y, s, w)
    cost = (states**2).sum() + (products * T.sin(products)).sum()
    slopes = T.grad(cost, [x, y, s, w])
    squares = sum((g**2).sum() for g in slopes)
    f = symc.function([x, y, s, w], [states, products], device=device)
    g = symc.function([x, y, s, w], [*slopes, *T.grad(squares, [x, s])], device=device)
    value, square = (symc.function([x, y, s, w], v, device="c") for v in (cost, squares))
    for lengths in ((8, 6), (7, 9)):
        arrays = [rng.standard_normal(n) for n in (*lengths, 3)] + [np.array(0.7)]
        for got, want in zip(f(*arrays), tapped_numpy(*arrays)):
            close(got, want)
        found = g(*arrays)
        for k in range(4):
            close(found[k], differences(value, arrays, k), 1e-6)
        for k, at in ((4, 0), (5, 2)):
            close(found[k], differences(square, arrays, at), 1e-5)
    assert f(np.ones(3), np.ones(5), np.ones(4), 1.0)[0].shape == (0,)  # too short for a step


def test_taps_backwards():
    x = T.dvector("x")
    sums, _ = symc.scan(lambda a, b: a - 2 * b, dict(input=x, taps=[0, 1]), go_backwards=True)
    a = np.array([1.0, 10, 100, 1000])
    close(symc.function([x], sums)(a), (a[:-1] - 2 * a[1:])[::-1])


def test_what_taps_refuse():
    s, x = T.dvector("s"), T.dvector("x")
    with pytest.raises(ValueError, match="only be read in the past"):
        symc.scan(lambda a: a, outputs_info=dict(initial=s, taps=[-1, 1]), n_steps=2)
    with pytest.raises(ValueError, match="needs an axis for the 2 entries"):
        symc.scan(lambda a: a, outputs_info=dict(initial=s[0], taps=[-2]), n_steps=2)
    with pytest.raises(ValueError, match="must have 3 entries.*it has 2"):
        symc.scan(lambda a: a, outputs_info=dict(initial=T.zeros((2,)), taps=[-3]), n_steps=2)
    with pytest.raises(ValueError, match="has taps .* no initial value"):
        symc.scan(lambda a: a, outputs_info=dict(taps=[-1]), n_steps=2)
    with pytest.raises(ValueError, match="dict with 'tap'"):
        symc.scan(lambda a: a, dict(input=x, tap=[-1]))
    with pytest.raises(TypeError, match="must be integers"):
        symc.scan(lambda a: a, dict(input=x, taps=[0.5]))
    short, _ = symc.scan(lambda a: a * 2, outputs_info=dict(initial=s, taps=[-3]), n_steps=2)
    f = symc.function([s], short)
    close(f([1, 2, 3]), [2, 4])
    with pytest.raises(ValueError, match="must have 3 entries"):
        f([1, 2])


# --- the number of steps ----------------------------------------------------------------------------------------------


def test_the_shortest_sequence_tells_the_number_of_steps():
    x, y = T.dvectors("x", "y")
    out, _ = symc.scan(lambda a, b: a * b, [x, y])
    f = symc.function([x, y], [out, *T.grad(out.sum(), [x, y])])
    for a, b in (([1.0, 2, 3], [4.0, 5]), ([1.0], [2.0, 3, 4])):
        n = min(len(a), len(b))
        got = f(a, b)
        close(got[0], np.multiply(a[:n], b[:n]))
        close(got[1], [*b[:n], *[0] * (len(a) - n)])
        close(got[2], [*a[:n], *[0] * (len(b) - n)])


def test_numbers_of_steps_with_sequences():
    x, n = T.dvector("x"), T.lscalar("n")
    forward, _ = symc.scan(lambda e, h: 2 * h + e, x, T.constant(ZERO), n_steps=n)
    back, _ = symc.scan(lambda e, h: 2 * h + e, x, T.constant(ZERO), n_steps=n, go_backwards=True)
    twice, _ = symc.scan(lambda e, h: 2 * h + e, x, T.constant(ZERO), n_steps=-2, go_backwards=True)
    f = symc.function([x, n], [forward, back, twice])
    got = f([1.0, 3, 5, 7], 3)
    close(got[0], [1, 5, 15])
    close(got[1], [7, 19, 41])
    close(got[2], [1, 5])
    assert f([1.0, 3], 0)[0].shape == (0,)
    with pytest.raises(ValueError, match="as many entries"):
        f([1.0, 3], 3)


# --- until ------------------------------------------------------------------------------------------------------------


def test_until_with_gradients(device, rng):
    x, h, limit = T.dmatrix("x"), T.dvector("h"), T.dscalar("limit")

    def fn(row, h):
        after = h * T.cos(row) + row
        return [after, h * row], until((after**2).sum() > limit)

    (states, products), _ = symc.scan(fn, x, [h, None])
    cost = (states**3).sum() + (products**2).sum() + states[-1].sum()
    slopes = T.grad(cost, [x, h])
    squares = (slopes[0] ** 2).sum() + (slopes[1] ** 2).sum()
    f = symc.function([x, h, limit], [states, products, *slopes, T.grad(squares, h)], device=device)
    value = symc.function([x, h, limit], cost, device="c")
    square = symc.function([x, h, limit], squares, device="c")
    a, start = rng.standard_normal((6, 3)) * 2.0 ** np.arange(6)[:, None], rng.standard_normal(3)
    wanted, found_products, now = [], [], start
    for row in a:
        found_products.append(now * row)
        now = now * np.cos(row) + row
        wanted.append(now)
    sizes = [(v**2).sum() for v in wanted]
    for level in (0.0, sizes[2] * 0.999, 1e9):
        done = next((k + 1 for k, size in enumerate(sizes) if size > level), 6)
        got = f(a, start, level)
        close(got[0], wanted[:done])
        close(got[1], found_products[:done])
        arrays = [a, start, np.array(level)]
        close(got[2], differences(value, arrays, 0), 1e-6)
        close(got[3], differences(value, arrays, 1), 1e-6)
        assert not got[2][done:].any()
        close(got[4], differences(square, arrays, 1), 1e-5)


def test_until_of_any_dtype_backwards_and_alone():
    x = T.dvector("x")
    total, _ = symc.scan(lambda e, h: (h + e, until(T.cast(h + e > 4, "int8"))), x, T.constant(ZERO), go_backwards=True)
    count = symc.shared(0)
    _, updates = symc.scan(lambda: ({count: count + 1}, until(count + 1 >= 3)), n_steps=10)
    f = symc.function([x], total, updates=updates)
    close(f([9.0, 9, 1, 2, 1, 2]), [2, 3, 5])
    assert count.get_value() == 3
    with pytest.raises(ValueError, match="condition must be a scalar"):
        until(x > 0)


def test_until_inside_a_scan(device):
    """The number of steps of the inner scan differs from step to step."""
    x = T.dvector("x")

    def power_above(e):
        powers, _ = symc.scan(lambda p: (p * e, until(p * e > 50)), None, T.constant(1.0), n_steps=30)
        return powers[-1], powers.shape[0]

    (last, steps), _ = symc.scan(power_above, x)
    f = symc.function([x], [last, steps, T.grad(last.sum(), x)], device=device)
    got = f([2.0, 3.0, 7.5])
    close(got[0], [64, 81, 56.25])
    assert got[1].tolist() == [6, 4, 2]
    close(got[2], [6 * 32, 4 * 27, 2 * 7.5])


# --- truncated gradients ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backwards", [False, True])
def test_truncated_gradients(device, rng, backwards):
    """The last k steps are differentiated as if the state before them were a constant."""
    x, h, w = T.dvector("x"), T.dscalar("h"), T.dscalar("w")
    a, start = rng.standard_normal(6), np.array(0.4)
    outputs = []
    for k in (0, 2, 6, 9):
        states, _ = symc.scan(lambda e, h: T.tanh(w * h + e), x, h, truncate_gradient=k, go_backwards=backwards)
        outputs += T.grad((states**2).sum(), [x, h, w])
    got = symc.function([x, h, w], outputs, device=device)(a, start, 0.8)
    ordered = a[::-1] if backwards else a
    states = [0.4]
    for e in ordered:
        states.append(np.tanh(0.8 * states[-1] + e))
    for position, k in enumerate((0, 2, 6, 9)):
        by_x, by_w, g = np.zeros(6), 0.0, 0.0
        for t in range(5, max(5 - k, -1), -1):
            inner = (g + 2 * states[t + 1]) * (1 - states[t + 1] ** 2)
            by_x[t], by_w, g = inner, by_w + inner * states[t], inner * 0.8
        found = got[3 * position : 3 * position + 3]
        close(found[0], by_x[::-1] if backwards else by_x)
        close(found[1], g if k >= 6 else 0)
        close(found[2], by_w)
    with pytest.raises(ValueError, match="number of steps or -1"):
        symc.scan(lambda e: e, x, truncate_gradient=-2)


# --- updates ----------------------------------------------------------------------------------------------------------


def returned(form, s, h):
    """What a step may return, by its form: each adds 1 to ``s`` and doubles ``h``."""
    updates = {s: s + 1}
    forms = {
        "pair": lambda: (h * 2, updates),
        "list": lambda: [[h * 2], list(updates.items())],
        "swapped": lambda: (updates, [h * 2]),
        "tuple": lambda: ((h * 2,), tuple(updates.items())),
        "until": lambda: ([h * 2], updates, until(h > 1e9)),
        "nested": lambda: ([h * 2], until(h > 1e9)),
    }
    return forms[form]()


@pytest.mark.parametrize("form", ["pair", "list", "swapped", "tuple", "until", "nested"])
def test_forms_of_what_a_step_returns(form):
    s, h = symc.shared(5.0, "s"), T.dscalar("h")
    out, updates = symc.scan(lambda h: returned(form, s, h), None, h, n_steps=3)
    close(symc.function([h], out, updates=updates)(1.0), [2, 4, 8])
    assert s.get_value() == (5 if form == "nested" else 8)
    assert list(updates) == ([] if form == "nested" else [s])


def test_updates_alone_and_what_is_refused():
    s, x = symc.shared(np.zeros(2), "s"), T.dmatrix("x")
    none, updates = symc.scan(lambda row: {s: 2 * s + row}, x)
    assert none is None
    empty, _ = symc.scan(lambda row: {s: 2 * s + row}, x, return_list=True)
    assert empty == []
    symc.function([x], updates=updates)([[1.0, 2], [3, 4]])
    close(s.get_value(), [5, 8])
    with pytest.raises(TypeError, match="updates must be of shared variables"):
        symc.scan(lambda row: {x: x + 1}, x)
    with pytest.raises(ValueError, match="as many axes"):
        symc.scan(lambda row: {s: row.sum()}, x)
    with pytest.raises(ValueError, match="fn must return outputs, updates, or"):
        symc.scan(lambda row: (row, [row, row]), x)


def test_steps_see_the_updated_value_also_in_expressions_made_outside(device, rng):
    """Gradient descent inside a scan, on a cost written before it."""
    w, x = symc.shared(np.array([3.0, -2.0]), "w"), T.dvector("x")
    cost = ((w - x) ** 2).sum()

    def step():
        return cost, {w: w - 0.25 * T.grad(cost, w)}

    costs, updates = symc.scan(step, n_steps=4)
    f = symc.function([x], costs, updates=updates, device=device)
    target = np.array([1.0, 1.0])
    gap = np.array([2.0, -3.0])
    close(f(target), [(gap**2).sum() / 4**k for k in range(4)])
    close(w.get_value(), target + gap / 16)
    f(target)
    close(w.get_value(), target + gap / 256)


def test_updates_of_inner_scans(device):
    s, x = symc.shared(1.0, "s"), T.dvector("x")

    def outer(e):
        inner, updates = symc.scan(lambda: (s * 1.0, {s: s * e}), n_steps=2)
        return inner.sum(), updates

    sums, updates = symc.scan(outer, x)
    f = symc.function([x], sums, updates=updates, device=device)
    close(f([2.0, 3.0]), [1 + 2, 4 + 12])
    close(s.get_value(), 36)


# --- random draws -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("passed", [True, False])
@pytest.mark.parametrize("kind", [T.shared_randomstreams.RandomStreams, T.shared_randomstreams.MRG_RandomStreams])
def test_draws_differ_from_step_to_step_and_call_to_call(device, passed, kind):
    """Whether or not the updates are passed on: two calls of two steps draw what one of four does."""
    n = T.lscalar("n")
    results = []
    for calls in ((4,), (2, 2), (1, 3)):
        streams = kind(7)
        draws, updates = symc.scan(lambda s=streams: s.uniform((3,)), n_steps=n)
        f = symc.function([n], draws, updates=updates if passed else None, device=device)
        results.append(np.concatenate([f(k) for k in calls]))
    assert len(np.unique(results[0])) == 12
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_draws_of_inner_scans_and_of_outputs_and_gradients_alone():
    def build():
        streams = T.shared_randomstreams.RandomStreams(3)
        x = T.dscalar("x")

        def outer():
            inner, updates = symc.scan(lambda: streams.normal((2,)) * x, n_steps=3)
            return inner, updates

        return x, symc.scan(outer, n_steps=2)

    x, (out, updates) = build()
    f = symc.function([x], out, updates=updates)
    first, second = f(1.0), f(1.0)
    assert len(np.unique(np.concatenate([first.ravel(), second.ravel()]))) == 24
    x, (out, _) = build()
    forgotten = symc.function([x], out)
    np.testing.assert_array_equal(forgotten(1.0), first)
    np.testing.assert_array_equal(forgotten(1.0), second)
    x, (out, _) = build()
    slope = symc.function([x], T.grad(out.sum(), x))
    close([slope(1.0), slope(1.0)], [first.sum(), second.sum()])


def test_draws_made_outside_are_the_same_in_every_step():
    streams = T.shared_randomstreams.RandomStreams(3)
    mask = streams.uniform((2,))
    listed, _ = symc.scan(lambda m: m * 1.0, None, None, mask, n_steps=3)
    closed, _ = symc.scan(lambda: mask * 1.0, n_steps=3)
    f = symc.function([], [listed, closed, mask])
    for _ in range(2):
        a, b, m = f()
        np.testing.assert_array_equal(a, np.tile(m, (3, 1)))
        np.testing.assert_array_equal(b, a)


def test_counting_binomials():
    """Theano's tutorial: a shared counter and draws in one step."""
    streams = T.shared_randomstreams.RandomStreams(5)
    total = symc.shared(np.int64(0), "total")
    p = T.dscalar("p")

    def step():
        drawn = streams.binomial((10,), 1, p).sum()
        return drawn, {total: total + drawn}

    counts, updates = symc.scan(step, n_steps=500)
    f = symc.function([p], counts, updates=updates)
    got = f(0.3)
    assert total.get_value() == got.sum() and len(set(got.tolist())) > 4
    assert abs(got.mean() - 3) < 5 * np.sqrt(10 * 0.21 / 500)


# --- other arguments --------------------------------------------------------------------------------------------------


def test_strict_names_what_is_not_listed():
    x, w = T.dvector("x"), symc.shared(2.0, "weight")
    with pytest.raises(ValueError, match="not given: weight"):
        symc.scan(lambda e: e * w, x, strict=True)
    listed, _ = symc.scan(lambda e, w: e * w, x, None, [w], strict=True)
    derived, _ = symc.scan(lambda e, w: e * T.exp(w), x, None, [w], strict=True)
    f = symc.function([x], [listed, derived])
    close(f([1.0, 2])[0], [2, 4])
    close(f([1.0, 2])[1], np.exp(2) * np.array([1, 2]))
    rows = T.dot(T.dmatrix("m"), symc.shared(np.ones((2, 3)), "weights")).shape[0]  # a length is no use of the values
    symc.scan(lambda e: e * rows, x, strict=True)


def test_lists_names_and_arguments_without_effect():
    x = T.dvector("x")
    found, _ = symc.scan(
        lambda e: e, x, None, return_list=True, mode="fast_run", profile=True, allow_gc=False, name="k"
    )
    assert isinstance(found, list) and found[0].name == "k"
    single, _ = symc.scan(lambda e: [e], x)
    assert single.ndim == 1
    a, _ = symc.scan(lambda e: e * 2, x, {})
    close(a.eval({x: [1.0]}), [2])


def test_map_reduce_and_folds_return_updates():
    x, s = T.dvector("x"), symc.shared(ZERO, "s")
    mapped, updates = symc.map(lambda e: (e * 2, {s: s + e}), x, mode=None, name="doubled", go_backwards=True)
    assert mapped.name == "doubled"
    close(symc.function([x], mapped, updates=updates)([1.0, 2]), [4, 2])
    assert s.get_value() == 3
    for fold, want in ((symc.reduce, 123), (symc.foldl, 123), (symc.foldr, 321)):
        total, _ = fold(lambda e, h: 10 * h + e, x, T.constant(ZERO), name="n", mode=None)
        assert symc.function([x], total)([1.0, 2, 3]) == want


def test_inside_ifelse_and_op_from_graph(device, rng):
    x, c = T.dvector("x"), T.lscalar("c")

    def geometric(v):
        return symc.scan(lambda e, h: (h * 0.5 + e, until(h > 100)), v, T.constant(ZERO))[0][-1]

    op = symc.OpFromGraph([x], [geometric(x)])
    chosen = symc.ifelse(c, op(x * 2), geometric(x) ** 2)
    f = symc.function([x, c], [chosen, T.grad(chosen, x)], device=device)
    a = rng.random(4)
    weights = 0.5 ** np.arange(3, -1, -1)
    close(f(a, 1)[0], 2 * a @ weights)
    close(f(a, 1)[1], 2 * weights)
    close(f(a, 0)[0], (a @ weights) ** 2)
    close(f(a, 0)[1], 2 * (a @ weights) * weights)


def test_products_with_jacobians_through_scan(rng):
    x, h, u = T.dvector("x"), T.dscalar("h"), T.dvector("u")
    states, _ = symc.scan(lambda e, h: T.sin(h * e), x, h)
    f = symc.function([x, h, u], [T.Rop(states, x, u), T.Lop(states, x, u), T.jacobian(states, x)])
    a, v = rng.standard_normal(5), rng.standard_normal(5)
    right, left, matrix = f(a, 0.7, v)
    value = symc.function([x, h], states)
    step = 1e-6
    want = np.stack([(value(a + step * e, 0.7) - value(a - step * e, 0.7)) / (2 * step) for e in np.eye(5)], axis=1)
    close(matrix, want, 1e-7)
    close(right, matrix @ v)
    close(left, v @ matrix)


def test_equal_computations():
    x, y, z = T.dvector("x"), T.dvector("y"), T.dmatrix("z")
    assert equal_computations([T.exp(x) + 1], [T.exp(x) + 1])
    assert not equal_computations([T.exp(x) + 1], [T.exp(x) + 2])
    assert not equal_computations([T.exp(x)], [T.exp(y)])
    assert equal_computations([T.exp(x) * x], [T.exp(y) * y], [x], [y])
    assert not equal_computations([x], [z], [x], [z])
    assert not equal_computations([x], [x, x])


# --- checkpoints ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 4, 10])
def test_checkpoints(device, rng, steps):
    x, h, w = T.dvector("x"), T.dscalar("h"), T.dscalar("w")

    def step(e, h, w):
        return T.tanh(h * w + e)

    saved, _ = symc.scan_checkpoints(step, x, h, w, save_every_N=4)
    every, _ = symc.scan(step, x, h, w)
    f = symc.function([x, h, w], [saved, *T.grad((saved**2).sum(), [x, h, w])], device=device)
    arrays = [rng.standard_normal(steps), np.array(0.3), np.array(0.7)]
    now, states = 0.3, []
    for e in arrays[0]:
        now = np.tanh(now * 0.7 + e)
        states.append(now)
    kept = [states[min(k + 3, steps - 1)] for k in range(0, steps, 4)]
    got = f(*arrays)
    close(got[0], kept)
    picked = T.concatenate([every[3::4], every[-1:]]) if steps % 4 else every[3::4]
    want = symc.function([x, h, w], T.grad((picked**2).sum(), [x, h, w]), device="c")(*arrays)
    for a, b in zip(got[1:], want):
        close(a, b)


def test_what_checkpoints_refuse():
    x = T.dvector("x")
    saved, _ = symc.scan_checkpoints(lambda e, h: h + e, x, T.constant(ZERO), save_every_N=2, padding=False)
    f = symc.function([x], saved)
    close(f([1.0, 2, 3, 4]), [3, 10])
    with pytest.raises(ValueError, match="multiple of save_every_N = 2"):
        f([1.0, 2, 3])
    with pytest.raises(ValueError, match="cannot have taps"):
        symc.scan_checkpoints(lambda e: e, dict(input=x, taps=[0]))
    with pytest.raises(ValueError, match="save_every_N must be"):
        symc.scan_checkpoints(lambda e: e, x, save_every_N=0)


# --- a limit of memory ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "device"),
    [("plain", "c"), ("plain", "cuda"), ("backwards", "c"), ("until", "c"), ("inside", "interp")],
    indirect=["device"],
)
def test_gradients_within_a_limit_of_memory(device, rng, form):
    """They are those without a limit, of second order too."""
    x, h, w, limit = T.dmatrix("x"), T.dvector("h"), T.dmatrix("w"), T.dscalar("limit")

    def step(e, h):
        after = T.tanh(T.dot(h, w) + e)
        outputs = [after, h * e]
        return (outputs, until(after.sum() > limit)) if form == "until" else outputs

    def run(x):
        (states, products), _ = symc.scan(step, x, [h, None], go_backwards=form == "backwards")
        return (states**2).sum() + (states[-1] ** 3).sum() + (products**2).sum()

    cost = symc.scan(lambda k: run(x * k), T.arange(3.0))[0].sum() if form == "inside" else run(x)
    results = []
    for bytes_ in (0, 64):  # of two steps
        with symc.config.change(scan_memory=bytes_):
            slopes = T.grad(cost, [x, h, w])
            results.append([*slopes, T.grad(sum((g**2).sum() for g in slopes), w)] if form == "plain" else slopes)
    f = symc.function([x, h, w, limit], [*results[0], *results[1]], device=device, on_unused_input="ignore")
    for n in (1, 9):
        got = f(rng.standard_normal((n, 2)), rng.standard_normal(2), rng.standard_normal((2, 2)), 0.4)
        for a, b in zip(got[: len(got) // 2], got[len(got) // 2 :]):
            close(b, a, 1e-9)


@pytest.mark.parametrize("length", [4000, None])
def test_memory_that_a_limited_gradient_takes(length):
    x, h, w = T.tensor("float64", (length, 8), name="x"), T.dvector("h"), T.dmatrix("w")
    states, _ = symc.scan(lambda e, h: T.tanh(T.dot(h, w) + e), x, h)
    peaks = []
    for bytes_ in (0, 64 * 200):
        with symc.config.change(scan_memory=bytes_):
            slope = T.grad(states.sum(axis=1).max(), w)
        f = symc.function([x, h, w], slope)
        peaks.append(symc.memory_estimate(f, [(4000, 8), (8,), (8, 8)]).peak)
    saved = 4000 * 8 * 8  # the states, and what the compiler stores for the gradient
    assert peaks[0] - peaks[1] > saved


def test_lengths_that_the_step_computes():
    x, p, k = T.vector("x"), T.iscalar("p"), T.ivector("k")
    lags, _ = symc.scan(lambda lag, x, p: x[p - lag : -lag], T.arange(1, p + 1), None, [x, p])
    f = symc.function([x, p], [lags, T.grad((lags**2).sum(), x)], device="interp")
    found, slope = f(np.arange(6.0), 2)
    close(found, [[1, 2, 3, 4], [0, 1, 2, 3]])
    close(slope, [0, 4, 8, 12, 8, 0])
    assert f(np.arange(6.0), 0)[0].shape == (0, 0)
    turned, _ = symc.scan(lambda k, h: T.concatenate([h[k:], h[:k]]), k, x)
    close(symc.function([x, k], turned, device="interp")(np.arange(4.0), [1, 2]), [[1, 2, 3, 0], [3, 0, 1, 2]])
    heads, _ = symc.scan(lambda k: x[:k], k)
    g = symc.function([x, k], heads, device="interp")
    close(g(np.arange(4.0), [2, 2]), [[0, 1], [0, 1]])
    with pytest.raises(symc.errors.GuardError, match="another length in a later step"):
        g(np.arange(4.0), [2, 3])


def test_what_outputs_do_not_depend_on():
    a, b, c = T.vector("a"), T.vector("b"), T.vector("c")
    (x, y, z), _ = symc.scan(lambda a, b, c: (a**2, b, a + 1), outputs_info=[a, b, c], n_steps=3)
    assert len(T.grad((x + y + z).sum(), [a, b])) == 2
    for cost, start in (((x + y + z).sum(), c), (x.sum(), b)):
        with pytest.raises(symc.errors.DisconnectedInputError):
            T.grad(cost, start)
    x, i, n = T.vector("x"), T.iscalar("i"), T.ivector("n")
    slope = T.grad(symc.scan(lambda x: T.tanh(T.cast(i, "float64") * x), x)[0].sum(), i)
    f = symc.function([x, i], slope, device="interp")
    v = np.array([0.3, -0.2])
    close(f(v, 2), (v * (1 - np.tanh(2 * v) ** 2)).sum())
    with pytest.raises(symc.errors.DisconnectedInputError):
        T.grad(symc.scan(lambda k: x[k], n)[0].sum(), n)


def test_gradients_that_add_up_over_the_steps(rng):
    x, start, p, w = T.matrix("x"), T.vector("start"), T.matrix("p"), T.matrix("w")
    values = rng.normal(size=(5, 2)), rng.normal(size=2), rng.normal(size=(5, 2)), rng.normal(size=(2, 2))
    sums = np.cumsum(values[2][::-1], 0)[::-1]
    for step, expected in ((lambda x, h: h + x, sums), (lambda x, h: T.dot(x, w) + h, sums @ values[3].T)):
        states, _ = symc.scan(step, x, start)
        slope = T.grad((states * p).sum(), x)
        f = symc.function([x, start, p, w], slope, device="interp", on_unused_input="ignore")
        close(f(*values), expected)
