"""Rows that are fetched before they are read, and comparisons of the numbers of lanes in 32 bits."""

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.printing import debugprint

pytest.importorskip("cffi")

SHAPES = [(1100, 1001), (20011, 61), (3, 400_003), (1, 1_200_000), (1_100_001, 1)]
"""More than 4 MB of floats each, in rows of many lengths."""


@pytest.mark.parametrize("shape", SHAPES)
def test_values_of_rows_that_are_fetched(isa, shape):
    a = np.random.default_rng(0).normal(size=shape).astype("float32")
    label = np.random.default_rng(1).integers(-shape[1], shape[1], shape[0])
    with symc.config.change(isa=isa):
        x, y = T.fmatrix(), T.lvector()
        centred = x - x.mean(1, keepdims=True)
        loss = T.nnet.categorical_crossentropy(T.nnet.softmax(x), y)
        results = [x.sum(1), x.max(1), centred / T.sqrt(T.sqr(centred).mean(1, keepdims=True) + 1), loss]
        results += [symc.grad(loss.sum(), x), x.sum(), T.sum(T.exp(-x * x))]
        f = symc.function([x, y], results)
    wide = a.astype("float64")
    apart = wide - wide.mean(1, keepdims=True)
    log_p = wide - np.log(np.exp(wide).sum(1, keepdims=True))
    one_hot = np.zeros(shape)
    one_hot[np.arange(shape[0]), label] = 1
    wanted = [
        wide.sum(1), wide.max(1), apart / np.sqrt((apart**2).mean(1, keepdims=True) + 1), -(log_p * one_hot).sum(1),
        np.exp(log_p) - one_hot, wide.sum(), np.exp(-wide * wide).sum(),
    ]  # fmt: skip
    for found, value in zip(f(a, label), wanted, strict=True):
        np.testing.assert_allclose(found, value, rtol=2e-5, atol=2e-5 * max(1, np.abs(value).max()))


@pytest.mark.parametrize("shape", [(20, 3, 150, 151), (5, 7, 190, 200), (1, 2, 800, 801)])
def test_channels_of_images_that_are_fetched(isa, shape):
    a = np.random.default_rng(0).normal(size=shape).astype("float32")
    with symc.config.change(isa=isa):
        x = T.tensor("float32", shape=(None,) * 4)
        centred = x - x.mean((0, 2, 3), keepdims=True)
        y = centred / T.sqrt(T.sqr(centred).mean((0, 2, 3), keepdims=True) + 1e-5)
        f = symc.function([x], [y, symc.grad(T.sum(y**3), x)])
    wide = a.astype("float64")
    apart = wide - wide.mean((0, 2, 3), keepdims=True)
    scale = 1 / np.sqrt((apart**2).mean((0, 2, 3), keepdims=True) + 1e-5)
    y = apart * scale
    g = 3 * y**2
    mean = [v.mean((0, 2, 3), keepdims=True) for v in (g, g * y)]
    found = f(a)
    np.testing.assert_allclose(found[0], y, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[1], scale * (g - mean[0] - y * mean[1]), rtol=1e-3, atol=1e-3)


def test_what_is_fetched():
    if symc.config.isa == "scalar":
        pytest.skip("elements are read one by one")

    def text(*inputs_and_result):
        *inputs, result = inputs_and_result
        return debugprint(symc.function(inputs, result), stage="c", file="str")

    x, i = T.fmatrix(), T.lvector()
    assert "vfetch_f32" in text(x, x.sum(1)) and "vfetch_f32" in text(x, T.nnet.softmax(x))
    assert "vfetch_f32" in text(x, x[:, :50] * 2)  # parts of rows
    assert "vfetch" not in text(x, T.exp(x) * 2)  # the processor foresees what is read once
    assert "vfetch_f32" not in text(x, i, x[i].sum(1))  # the rows that follow are anywhere


FAR = (-(2**63), -(2**31) - 1, -(2**31), -3, 0, 1, 40, 2**31 - 1, 2**31, 2**32 + 5, 2**63 - 1)


@pytest.mark.parametrize("name", ["lt", "le", "gt", "ge", "eq", "neq"])
def test_counters_compare_with_numbers_of_any_size(isa, name):
    numpy = {"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal"}
    compare = getattr(np, numpy.get(name, "not_equal"))
    with symc.config.change(isa=isa):
        k, x = T.lscalar(), T.fvector()
        at = T.arange(x.shape[0])
        there = getattr(T, name)
        forms = [(at, k), (k, at), (3 * at, k), (7 - at, k), (at, 20 - at), (2 * at + k, at + k)]
        f = symc.function([x, k], [T.switch(there(a, b), x, -x) for a, b in forms])
        g = symc.function([x, k], [there(a, b) for a, b in forms])
    for length in (0, 1, 15, 16, 67, 200):
        x = np.arange(1, length + 1).astype("float32")
        at = np.arange(length)
        for k in FAR:
            small = abs(k) < 2**62
            forms = [(at, k), (k, at), (3 * at, k), (7 - at, k), (at, 20 - at), (2 * at + small * k, at + small * k)]
            found, masks = f(x, k), g(x, k)
            for number, (a, b) in enumerate(forms[: 6 if small else 5]):
                want = np.broadcast_to(compare(a, b), (length,))
                np.testing.assert_array_equal(found[number], np.where(want, x, -x))
                np.testing.assert_array_equal(masks[number], want)


def test_loops_that_only_add_up_leave_it_to_processors_that_follow_rows():
    if symc.config.isa == "scalar":
        pytest.skip("elements are read one by one")
    x = T.fmatrix()

    def asks(result):
        return "symc_follows_rows()" in debugprint(symc.function([x], result), stage="c", file="str")

    assert asks(x.sum(1)) and asks(x.max(1)) and asks(abs(x).max(1)) and asks((x * x).sum(1))
    assert not asks(x.argmax(1)) and not asks(T.exp(x).sum(1)) and not asks(x.var(1)) and not asks(T.nnet.softmax(x))
