"""Scales and shifts per channel are folded into stored weights: exact, only where nothing else reads the product, and
never outdated."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.graph import Variable, toposort
from symc.printing.stages import state_after
from symc.tensor.nnet.conv_cases import GEOMETRIES, _Sum

RNG = np.random.default_rng(5)
BACKENDS = ["c", "interp"]


def stored(*shape: int, low: float = -1.0, high: float = 1.0, dtype: str = "float64", name: str = "w") -> Any:
    return symc.shared(RNG.uniform(low, high, shape).astype(dtype), name)


def parameters(channels: int, dtype: str = "float64") -> dict[str, Any]:
    made = {name: stored(channels, dtype=dtype, name=name) for name in ("mean", "beta")}
    return made | {name: stored(channels, low=0.5, high=2, dtype=dtype, name=name) for name in ("inv_std", "gamma")}


def normalised(y: Any, p: dict[str, Any], axis: int = 1) -> Any:
    """Batch normalisation with stored averages, as the layer writes it; of arrays as well."""
    if isinstance(y, Variable):
        m, s, g, b = (
            p[n].dimshuffle(*[0 if k == axis else "x" for k in range(y.ndim)])
            for n in ("mean", "inv_std", "gamma", "beta")
        )
    else:
        shape = [-1 if k == axis else 1 for k in range(y.ndim)]
        m, s, g, b = (p[n].get_value().reshape(shape) for n in ("mean", "inv_std", "gamma", "beta"))
    return (y - m) * (g * s) + b


def folded(f: Any) -> int:
    """How many products have scaled weights."""
    return sum(p.source is not None for p in f.specialisation.state.prepared)


def ops(f: Any) -> list[str]:
    return [node.op.name for node in toposort(state_after(f, "fold_parameters").graph)]


def check(
    build: Callable[..., Any], arrays: list[np.ndarray], expected: np.ndarray, count: int = 1, **kwargs: Any
) -> Any:
    """Compile with symbolic and with known shapes, on all back ends, and compare with numbers computed by NumPy."""
    for shape in ((lambda a: (None,) * a.ndim), (lambda a: a.shape)):
        inputs = [T.tensor(str(a.dtype), shape=shape(a)) for a in arrays]
        for device in BACKENDS:
            f = symc.function(inputs, build(*inputs), device=device, **kwargs)
            assert folded(f) == count
            for _ in range(3):  # the slow path, then the fast one
                np.testing.assert_allclose(f(*arrays), expected, rtol=1e-9, atol=1e-11)
    return f


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_every_kind_of_convolution(geometry):
    by_hand, options = _Sum(geometry), geometry[2]
    w, p = stored(*by_hand.filters), parameters(by_hand.filters[0])
    x = RNG.standard_normal(by_hand.images)
    expected = np.maximum(normalised(by_hand.forward(x, w.get_value()), p), 0)
    f = check(lambda x: T.nnet.relu(normalised(T.nnet.conv2d(x, w, **options), p)), [x], expected)
    assert sorted(set(ops(f)) - {"expand", "dimshuffle"}) == ["add", "conv2d", "relu"]


@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolution(groups):
    """Each channel of the images belongs to one group: only without groups is a scale one of the filters."""
    w, p = stored(4, 6 // groups, 3, 3), parameters(6)
    x = RNG.standard_normal((2, 4, 5, 5))
    images = np.zeros((2, 6, 7, 7))
    for k, c, r, s in np.ndindex(4, 6 // groups, 3, 3):
        channel = k // (4 // groups) * (6 // groups) + c
        images[:, channel, r : r + 5, s : s + 5] += x[:, k] * w.get_value()[k, c, 2 - r, 2 - s]
    # filter_flip: a convolution's adjoint correlates
    build = lambda x: normalised(  # noqa: E731
        T.nnet.conv.conv2d_transpose(x, w, (None, None, 7, 7), filter_flip=True, num_groups=groups), p
    )
    check(build, [x], normalised(images, p), count=int(groups == 1))


def test_matrix_products():
    w, p = stored(4, 5), parameters(5)
    x = RNG.standard_normal((3, 4))
    product = x @ w.get_value()
    check(lambda x: normalised(T.dot(x, w), p), [x], normalised(product, p))
    turned = symc.shared(w.get_value().T.copy())
    check(lambda x: normalised(T.dot(x, turned.T), p), [x], normalised(product, p))
    # the stored matrix on the left, its rows scaled
    check(lambda x: normalised(T.dot(turned, x.T), p, 0), [x], normalised(product.T, p, 0))
    check(lambda x: normalised(T.dot(w.T, x.T), p, 0), [x], normalised(product.T, p, 0))
    # a vector
    check(lambda x: normalised(T.dot(x[0], w), p, 0), [x], normalised(product[0], p, 0))
    # one product for each entry of the first axis
    many = stored(2, 4, 5)
    each = RNG.standard_normal((2, 3, 4))
    check(lambda x: normalised(T.batched_dot(x, many), p, 2), [each], normalised(each @ many.get_value(), p, 2))
    # one column, which is dropped before the scale
    single, one = stored(4, 1), stored(1, low=1, high=2)
    check(lambda x: T.dot(x, single)[:, 0] * one[0], [x], (x @ single.get_value())[:, 0] * one.get_value(), 0)
    check(
        lambda x: T.dot(x, single).dimshuffle(0) * w[0, 0], [x], (x @ single.get_value())[:, 0] * w.get_value()[0, 0], 0
    )
    # a leading axis more, by a reshape
    check(lambda x: normalised(T.dot(x, w), p, 2), [each], normalised(each @ w.get_value(), p, 2))


def test_through_biases_and_layouts():
    w, b, p = stored(5, 3, 2, 2), stored(5, name="b"), parameters(5)
    x = RNG.standard_normal((2, 3, 4, 4))
    patches = np.lib.stride_tricks.sliding_window_view(x, (2, 2), (2, 3))[:, :, :, :, ::-1, ::-1]
    maps = np.einsum("ncijrs,kcrs->nkij", patches, w.get_value()) + b.get_value()[:, None, None]

    def conv(x):
        return T.nnet.conv2d(x, w) + b.dimshuffle("x", 0, "x", "x")

    check(lambda x: normalised(conv(x), p), [x], normalised(maps, p))
    last = maps.transpose(0, 2, 3, 1)
    check(lambda x: normalised(conv(x).dimshuffle(0, 2, 3, 1), p, 3), [x], normalised(last, p, 3))
    flat = maps.reshape(2, 5, 9)
    check(lambda x: normalised(conv(x).reshape((x.shape[0], 5, 9)), p), [x], normalised(flat, p))
    # a reshape that merges channels with positions: a scale per value is none per channel
    merged = parameters(45)
    check(
        lambda x: normalised(conv(x).reshape((x.shape[0], 45)), merged), [x], normalised(maps.reshape(2, 45), merged), 0
    )


def test_forms_of_scales():
    w, s, t = stored(4, 3), stored(3, low=1, high=2, name="s"), stored(3, name="t")
    x = RNG.standard_normal((2, 4))
    y, a, b = x @ w.get_value(), s.get_value(), t.get_value()
    for build, expected in (
        (lambda y: y * s, y * a),
        (lambda y: y / s, y / a),
        (lambda y: s * -y, -y * a),
        (lambda y: t - y * s, b - y * a),
        (lambda y: s - (y * s - t) * 2, a - (y * a - b) * 2),
        (lambda y: (t - y) / s + 1, (b - y) / a + 1),
        (lambda y: (y * 3 - t) * s, (y * 3 - b) * a),
        (lambda y: (y - t) / T.sqrt(s + 1e-3) * s, (y - b) / np.sqrt(a + 1e-3) * a),
        (lambda y: y * np.array([1.0, 2.0, 3.0]), y * [1, 2, 3]),
    ):
        check(lambda x, build=build: build(T.dot(x, w)), [x], expected)
    # nothing to fold: a bias, one number for all channels, a scale per example or per element
    column, full = np.array([[2.0], [3.0]]), stored(2, 3, name="full")
    for build, expected in (
        (lambda y: y + t, y + b),
        (lambda y: y * 3 + t, y * 3 + b),
        (lambda y: -y, -y),
        (lambda y: y * column, y * column),
        (lambda y: y * full, y * full.get_value()),
        (lambda y: s / y, a / y),
    ):
        check(lambda x, build=build: build(T.dot(x, w)), [x], expected, 0)


def test_a_product_that_something_else_reads_stays():
    w, p = stored(4, 3), parameters(3)
    x = T.matrix("x", dtype="float64")
    y = T.dot(x, w)
    X = RNG.standard_normal((2, 4))
    raw = X @ w.get_value()
    for outputs in ([normalised(y, p), y], [normalised(y, p), T.exp(y)], [normalised(y, p) + y * y]):
        f = symc.function([x], outputs)
        assert folded(f) == 0
        np.testing.assert_allclose(f(X)[0] - (raw * raw if len(outputs) == 1 else 0), normalised(raw, p), rtol=1e-9)
    # half-way through as well: y + b is read twice
    z = y - p["mean"]
    f = symc.function([x], [z * p["gamma"], T.tanh(z)])
    assert folded(f) == 0
    # several readers of the end of the chain are no obstacle
    n = normalised(y, p)
    f = symc.function([x], [n, n * n])
    assert folded(f) == 1
    np.testing.assert_allclose(f(X)[1], normalised(raw, p) ** 2, rtol=1e-9)


def test_gradients_are_those_of_the_original():
    w, p = stored(4, 3), parameters(3)
    x = T.matrix("x", dtype="float64")
    X = RNG.standard_normal((2, 4))
    y = normalised(T.dot(x, w), p)
    loss = (y**2).sum()
    wrt = [x, w, p["gamma"], p["beta"], p["mean"]]
    f = symc.function([x], [loss, *symc.grad(loss, wrt)])
    value = X @ w.get_value()
    m, s, g, b = (p[n].get_value() for n in ("mean", "inv_std", "gamma", "beta"))
    out = (value - m) * g * s + b
    slope = 2 * out
    expected = [
        (out**2).sum(),
        slope * g * s @ w.get_value().T,
        X.T @ (slope * g * s),
        (slope * (value - m) * s).sum(0),
        slope.sum(0),
        -(slope * g * s).sum(0),
    ]
    for found, wanted in zip(f(X), expected):
        np.testing.assert_allclose(found, wanted, rtol=1e-9)
    # by the input alone, nothing needs the product itself: it is folded, and the gradient is right
    f = symc.function([x], [loss, symc.grad(loss, x)])
    assert folded(f) == 1
    for found, wanted in zip(f(X), expected):
        np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_weights_that_the_function_updates_are_not_folded():
    w, p = stored(4, 3), parameters(3)
    x = T.matrix("x", dtype="float64")
    X = RNG.standard_normal((2, 4))
    for target in (w, p["gamma"], p["mean"]):
        f = symc.function([x], normalised(T.dot(x, w), p), updates={target: target * 1.5})
        assert folded(f) == 0
        for _ in range(3):
            expected = normalised(X @ w.get_value(), p)
            np.testing.assert_allclose(f(X), expected, rtol=1e-9)
    # an update of something else: the values are prepared under the turns of the call
    count = symc.shared(0)
    f = symc.function([x], normalised(T.dot(x, w), p), updates={count: count + 1})
    assert folded(f) == 1
    for k in range(4):
        w.set_value(w.get_value() + 1)
        np.testing.assert_allclose(f(X), normalised(X @ w.get_value(), p), rtol=1e-9)
        assert count.get_value() == k + 1


@pytest.mark.parametrize("device", [*BACKENDS, "cuda"])
def test_every_way_to_change_a_shared_variable(device, request):
    if device == "cuda":
        request.getfixturevalue("emulated_device")
    w, p = stored(4, 3), parameters(3)
    x = T.matrix("x", dtype="float64")
    X = RNG.standard_normal((2, 4))
    f = symc.function([x], normalised(T.dot(x, w), p), device=device)
    assert folded(f) == 1

    def correct():
        for _ in range(2):
            np.testing.assert_allclose(f(X), normalised(X @ w.get_value(), p), rtol=1e-9)

    correct()
    w.set_value(w.get_value() * 2)
    correct()
    p["gamma"].zero()
    correct()
    p["gamma"].set_value(np.ones(3))
    correct()
    # updates written over the old value or swapped with it; those that return something have a fast path in C
    mean = p["mean"]
    updates = [
        symc.function([], updates={mean: mean + 1}, device=device),
        symc.function([], mean.sum(), updates={mean: mean + 1}, device=device),
        symc.function([], updates={w: T.dot(T.dot(w, w.T), w)}, device=device),
    ]
    for update in updates:
        for _ in range(3):
            update()
            correct()
    if device == "cuda":
        return  # what a caller writes to an array in host memory does not reach the device's copy
    # arrays that are lent to the caller, and their views
    lent = w.get_value(borrow=True)
    correct()
    lent *= 2
    correct()
    view = lent[1:]
    del lent
    view[0] = 7
    correct()
    view += 1
    del view
    correct()
    assert not w.storage.lent
    given = RNG.standard_normal((4, 3))
    w.set_value(given, borrow=True)
    correct()
    given *= -1
    correct()
    w.set_value(given)
    given *= 5
    correct()
    assert not w.storage.lent
    # a clone shares the value; another shape needs other code
    w.clone().set_value(np.ones((4, 3)))
    correct()
    w.set_value(RNG.standard_normal((6, 3)))
    X = RNG.standard_normal((2, 6))
    correct()
    w.set_value(RNG.standard_normal((4, 3)))
    X = X[:, :4].copy()
    correct()


def test_a_variable_made_with_borrow_is_never_trusted():
    given = RNG.standard_normal((4, 3))
    w, p = symc.shared(given, borrow=True), parameters(3)
    x = T.matrix("x", dtype="float64")
    X = RNG.standard_normal((2, 4))
    f = symc.function([x], normalised(T.dot(x, w), p))
    for _ in range(4):
        np.testing.assert_allclose(f(X), normalised(X @ given, p), rtol=1e-9)
        given *= 1.5


def test_a_change_from_inside_a_call():
    """A function in Python that a call runs may set a shared variable that the call reads."""
    w, s = symc.shared(np.ones((2, 2))), symc.shared(np.ones(2))
    x = T.matrix("x", dtype="float64")

    @symc.as_op(itypes=[x.type], otypes=[x.type], infer_shape=lambda node, shapes: shapes)
    def double_weights(a):
        w.set_value(2 * w.get_value())
        return a

    changing = symc.function([x], double_weights(T.dot(x, w)))
    f = symc.function([x], T.dot(x, w) * s)
    for k in range(4):
        np.testing.assert_allclose(f(np.ones((1, 2))), [[2.0 * 2**k] * 2])
        changing(np.ones((1, 2)))


def test_values_are_prepared_once():
    w, p = stored(4, 3), parameters(3)
    x = T.matrix("x", dtype="float64")
    X = RNG.standard_normal((2, 4))
    f = symc.function([x], normalised(T.dot(x, w), p), profile=True)
    for _ in range(5):
        f(X)
    assert f.profile.preparation.calls == 1
    other = symc.shared(0.0)
    other.set_value(1.0)
    f(X)
    assert f.profile.preparation.calls == 1
    p["beta"].set_value(np.ones(3))
    f(X)
    f(X)
    assert f.profile.preparation.calls == 2
    text = f.profile.summary()
    assert "scales folded into weights: computed 2 times" in text
    assert not any(word in row.kernel for row in f.profile.rows for word in ("mul", "sub"))
    assert sorted(s.name for s in f.get_shared()) == ["beta", "gamma", "inv_std", "mean", "w"]


def test_scales_that_cannot_be_folded_into_numbers():
    """Where scaled weights overflow, vanish or are NaN, the function computes what it would without folding."""
    x = T.matrix("x")
    X = np.array([[1e-30, 1e-30]], "float32")
    w = symc.shared(np.full((2, 3), 1e20, "float32"))
    s = symc.shared(np.array([1e20, 1, 0], "float32"))
    f = symc.function([x], T.dot(x, w) * s)
    np.testing.assert_allclose(f(X), [[2e10, 2e-10, 0]], rtol=1e-5)
    assert not f.folds
    w.set_value(np.full((2, 3), 1e-20, "float32"))
    s.set_value(np.array([1e-25, 1, 1], "float32"))
    g = symc.function([x], T.dot(x, w) * s)
    np.testing.assert_allclose(g(1e60 * X.astype("float64")), [[2e-15, 2e10, 2e10]], rtol=1e-5)
    # zeros are fine: of scales and of weights
    w.set_value(np.array([[0, 1, 2], [0, 3, 4]], "float32"))
    s.set_value(np.array([1e-25, 0, 2], "float32"))
    h = symc.function([x], T.dot(x, w) * s)
    np.testing.assert_array_equal(h(np.ones((1, 2))), [[0, 0, 12]])
    assert h.folds
    s.set_value(np.array([np.inf, np.nan, 2], "float32"))
    np.testing.assert_array_equal(h(np.ones((1, 2))), [[np.nan, np.nan, 12]])
    w.set_value(np.full((2, 3), 1e20, "float32"))
    s.set_value(np.array([1e20, 1, 0], "float32"))
    np.testing.assert_allclose(h(X), [[2e10, 2e-10, 0]], rtol=1e-5)


def test_a_shift_that_overflows():
    x = T.matrix("x")
    w = symc.shared(np.eye(2, dtype="float32"))
    m, s = symc.shared(np.full(2, 1e30, "float32")), symc.shared(np.full(2, 1e20, "float32"))
    f = symc.function([x], (T.dot(x, w) - m) * s)
    np.testing.assert_array_equal(f(np.full((1, 2), 1e30, "float32")), [[0, 0]])


def test_modes_and_stages():
    w, p = stored(4, 3), parameters(3)
    x = T.matrix("x", dtype="float64")
    for mode in ("fast_compile", "no_rewrite"):
        assert folded(symc.function([x], normalised(T.dot(x, w), p), mode=mode)) == 0
    f = symc.function([x], normalised(T.dot(x, w), p))
    assert "w scaled" in str(symc.printing.debugprint(f, stage="folded", file="str"))


def test_only_stored_values():
    w, p = T.matrix("w", dtype="float64"), parameters(3)
    x = T.matrix("x", dtype="float64")
    X, W = RNG.standard_normal((2, 4)), RNG.standard_normal((4, 3))
    f = symc.function([x, w], normalised(T.dot(x, w), p))
    assert folded(f) == 0
    np.testing.assert_allclose(f(X, W), normalised(X @ W, p), rtol=1e-9)
    # weights that are an expression of shared variables, and constants
    v = stored(4, 3)
    check(lambda x: normalised(T.dot(x, T.exp(v) - 1), p), [X], normalised(X @ (np.exp(v.get_value()) - 1), p))
    check(lambda x: normalised(T.dot(x, T.constant(W)), p), [X], normalised(X @ W, p))
    # a product of shared variables alone
    f = symc.function([], normalised(T.dot(v.T, v), p))
    assert folded(f) == 0
    np.testing.assert_allclose(f(), normalised(v.get_value().T @ v.get_value(), p), rtol=1e-9)
    # weights behind an index that may be out of range, which must fail in every call
    k = symc.shared(1)
    f = symc.function([x], T.dot(x, v[k] + T.zeros((4, 3))) * p["gamma"])
    f(X)
    k.set_value(9)
    with pytest.raises(IndexError):
        f(X)


def test_random_weights_are_drawn_in_every_call():
    from symc.tensor.shared_randomstreams import RandomStreams

    s = stored(3, low=1, high=2)
    x = T.matrix("x", dtype="float64")
    f = symc.function([x], T.dot(x, RandomStreams(1).uniform((4, 3), dtype="float64")) * s)
    X = np.ones((1, 4))
    assert folded(f) == 0 and (f(X) != f(X)).all()


def test_several_layers_and_copies():
    import copy
    import pickle

    first, second = stored(4, 5, name="first"), stored(5, 3, name="second")
    p, q = parameters(5), parameters(3)
    x = T.matrix("x", dtype="float64")
    X = RNG.standard_normal((2, 4))
    h = T.tanh(normalised(T.dot(x, first), p))
    f = symc.function([x], normalised(T.dot(h, second), q) + h.sum(1, keepdims=True))
    hidden = np.tanh(normalised(X @ first.get_value(), p))
    expected = normalised(hidden @ second.get_value(), q) + hidden.sum(1, keepdims=True)
    assert folded(f) == 2
    for g in (f, copy.deepcopy(f), pickle.loads(pickle.dumps(f)), f.copy()):
        np.testing.assert_allclose(g(X), expected, rtol=1e-9)
    doubled = symc.shared(2 * first.get_value())
    swapped = f.copy(swap={first: doubled})
    hidden = np.tanh(normalised(2 * X @ first.get_value(), p))
    np.testing.assert_allclose(
        swapped(X), normalised(hidden @ second.get_value(), q) + hidden.sum(1, keepdims=True), rtol=1e-9
    )


def test_storage_as_float16():
    w = stored(4, 3, dtype="float16")
    p = parameters(3, "float16")
    x = T.tensor("float16", shape=(None, 4))
    X = RNG.standard_normal((2, 4)).astype("float16")
    f = symc.function([x], normalised(T.dot(x, w), p))
    wide = {n: symc.shared(v.get_value().astype("float64")) for n, v in p.items()}
    expected = normalised(X.astype("float64") @ w.get_value().astype("float64"), wide)
    np.testing.assert_allclose(f(X), expected, rtol=2e-3, atol=2e-3)


def test_threads_see_whole_changes():
    """Every call computes with the weights from before or after a change, while another thread changes them."""
    w, s = symc.shared(np.ones((4, 3))), symc.shared(np.ones(3))
    x = T.matrix("x", dtype="float64")
    f = symc.function([x], T.dot(x, w) * s)
    X = np.ones((1, 4))
    f(X)
    stop = threading.Event()

    def change():
        k = 1
        while not stop.is_set():
            k = k % 50 + 1
            w.set_value(np.full((4, 3), float(k)))

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(300):
            found = f(X)
            assert (found == found[0, 0]).all() and found[0, 0] in range(4, 4 * 51, 4)
    finally:
        stop.set()
        thread.join()
    np.testing.assert_allclose(f(X), X @ w.get_value())


def test_functions_are_freed():
    import weakref

    w, s = stored(4, 3), stored(3)
    x = T.matrix("x", dtype="float64")
    f = symc.function([x], T.dot(x, w) * s)
    f(np.ones((1, 4)))
    gone = weakref.ref(f)
    del f
    gc.collect()
    assert gone() is None


SIZES = [s * v for v in (1e-38, 1e-20, 1e-3, 1.0, 17.0, 1e10, 1e20, 3e38) for s in (-1, 1)]


def test_precision_over_the_range_of_floats():
    """Where the original is accurate the folded form is, up to roundings of the terms of its sum."""
    eps, tiny, largest = 2.0**-23, 2.0**-126, float(np.finfo("float32").max)
    columns = np.array([(w, s, m, b) for w in SIZES for s in SIZES for m in SIZES[::3] for b in (0.0, *SIZES[1::4])])
    columns = columns.astype("float32").astype("float64")  # the numbers themselves, without rounding
    w, s, m, b = columns.T
    usable = (np.abs(w * s) >= 2 * tiny) & (np.abs(w * s) < largest / 2)
    usable &= (np.abs(b) + np.abs(m * s) < largest / 2) & (np.abs(s) >= tiny)
    w, s, m, b = columns[usable].T
    assert len(w) > 500
    x = T.matrix("x")
    W, S, M, B = (symc.shared(v.astype("float32")) for v in (w[None], s, m, b))
    outcome = (T.dot(x, W) - M) * S + B
    f = symc.function([x], outcome)
    plain = symc.function([x], outcome, mode="no_rewrite")
    X = np.array(SIZES)[:, None].astype("float32")
    found, original = f(X).astype("float64"), plain(X).astype("float64")
    assert f.folds and folded(f) == 1
    product = X.astype("float64") * w
    expected = (product - m) * s + b
    rounding = 4 * eps * (np.abs(product * s) + np.abs(m * s) + np.abs(b)) + 4 * tiny
    with np.errstate(invalid="ignore"):
        accurate = np.isfinite(original) & (np.abs(original - expected) <= rounding)
        # partial results of the original may be smaller: what overflows in the end does so in both
        accurate &= np.abs(product * s) < largest / 2
        assert accurate.mean() > 0.3
        assert (np.abs(found - expected) <= rounding)[accurate].all()
