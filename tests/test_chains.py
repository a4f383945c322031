"""Pointwise and depthwise convolutions that follow one another are one kernel, and right in bands of rows."""

import io
from typing import Any

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.graph import Variable
from symc.printing import debugprint

NUMBERS = np.random.default_rng(8)
PASSED_ON = "is read by the next call alone"


def normal(*shape: int) -> np.ndarray:
    return NUMBERS.standard_normal(shape).astype("float32")


def channels(v: Any) -> Variable:
    return symc.shared(v).dimshuffle("x", 0, "x", "x")


def pointwise(x: Variable, channels_in: int, filters: int) -> Variable:
    return T.nnet.conv2d(x, symc.shared(normal(filters, channels_in, 1, 1)))


def depthwise(x: Variable, count: int, size: int = 3, each: int = 1, **options: Any) -> Variable:
    return T.nnet.conv2d(x, symc.shared(normal(count * each, 1, size, size)), num_groups=count, **options)


def images(*shape: int | None) -> Variable:
    return T.tensor("float32", shape=(None, *shape))


def loops(f: Any) -> str:
    text = io.StringIO()
    debugprint(f, stage="loops", file=text)
    return text.getvalue()


def test_only_convolutions_that_alone_read_a_value_are_chained() -> None:
    x = images(5, 9, 8)
    y = T.nnet.relu(pointwise(x, 5, 20))
    z = depthwise(y, 20, border_mode=1) + channels(normal(20))
    out = pointwise(z, 20, 5)
    for results, passed in (
        ([out + x], 2),
        ([out, z], 1),  # the depthwise one is a result
        ([out, y.sum()], 1),
        ([pointwise(z + y, 20, 5)], 1),  # the epilogue of the depthwise one reads what that reads
        ([T.nnet.conv2d(y, symc.shared(normal(4, 20, 3, 3)))], 0),
    ):
        f = symc.function([x], results, device="interp")
        assert loops(f).count(PASSED_ON) == passed, results


Form = tuple[tuple[int, ...], dict[str, Any]]
FORMS: dict[str, Form] = {
    "inverted residual": ((3, 7, 31, 10, 23), {"border_mode": 1}),
    "stride": ((2, 3, 17, 21, 15), {"border_mode": (1, 0), "subsample": (2, 2)}),
    "multiplier": ((1, 2, 15, 33, 40), {"size": 5, "each": 2, "border_mode": "half", "subsample": (1, 2)}),
    "dilation": ((2, 16, 29, 12, 18), {"border_mode": 2, "filter_dilation": (2, 1), "filter_flip": False}),
}


@pytest.mark.skipif(symc.config.device != "c", reason="algorithms of the C back end")
@pytest.mark.parametrize("name", FORMS)
def test_bands_are_what_one_convolution_after_another_gives(name: str) -> None:
    """The epilogues are not idempotent, so that elements processed twice or never have other values."""
    (batch, before, middle, height, width), options = FORMS[name]
    x = images(before, height, width)
    made = middle * options.get("each", 1)
    y = 2 * pointwise(x, before, middle) - channels(normal(middle))
    z = T.clip(2 * depthwise(y, middle, **options) + channels(normal(made)), -3, 6)
    out = pointwise(z, made, before)
    out = 3 - out * (x if name == "inverted residual" else 0.5)
    f = symc.function([x], out, profile=True)
    given = [normal(n, before, height, width) for n in (batch, 1, 0)]
    given[0][0, 1, 3, 4] = np.nan
    found = []
    for algorithm, threads in (("bands", 1), ("bands", 3), ("panels", 1)):
        with symc.config.change(conv_algorithm=algorithm, threads=threads):
            found.append([f(values) for values in given])
    for results in found[:2]:
        for actual, right in zip(results, found[2], strict=True):
            np.testing.assert_allclose(actual, right, rtol=0, atol=2e-4)
    assert "by bands of rows" in f.profile.summary()


@pytest.mark.skipif(symc.config.device != "c", reason="algorithms of the C back end")
def test_what_was_read_in_a_band_is_not_overwritten_in_another() -> None:
    """The new value of a variable that the first epilogue reads has memory of its own."""
    state, x = symc.shared(normal(2, 6, 64, 64)), images(6, 64, 64)
    y = pointwise(x, 6, 6) + state
    new = pointwise(depthwise(y, 6, border_mode=1), 6, 6)
    f, start, values = symc.function([x], [], updates={state: new}), state.get_value(), normal(2, 6, 64, 64)
    found = []
    for algorithm in ("panels", "bands"):
        with symc.config.change(conv_algorithm=algorithm):
            state.set_value(start)
            f(values)
            found.append(state.get_value())
    assert PASSED_ON in loops(f)
    np.testing.assert_allclose(*found, rtol=0, atol=1e-4)


@pytest.mark.skipif(symc.config.device != "c", reason="algorithms of the C back end")
def test_bands_are_chosen_for_large_images_with_few_channels() -> None:
    """What is between the convolutions of the first is larger than the caches; the second has more products to do."""
    methods = []
    for before, middle, size in ((16, 96, 112), (96, 576, 14)):
        x = images(before, size, size)
        y = pointwise(depthwise(pointwise(x, before, middle), middle, border_mode=1), middle, before)
        f = symc.function([x], y, profile=True)
        with symc.config.change(threads=2, cpu_precision="ieee"):
            f(np.zeros((1, before, size, size), "float32"))
        methods.append(f.profile.rows[0].kernel.partition(" by ")[2])
    assert methods == ["bands of rows", "matrix products, planes, matrix products"]


def test_bands_save_the_waits_between_parallel_loops() -> None:
    """Of a chain that saves little else, one loop of two threads takes less time than three."""
    x = images(40, 28, 28)
    deep = depthwise(pointwise(x, 40, 240), 240, border_mode=1, subsample=(2, 2))
    f = symc.function([x], pointwise(deep, 240, 80), profile=True)
    with symc.config.change(threads=2, cpu_precision="ieee"):
        f(np.zeros((1, 40, 28, 28), "float32"))
    assert f.profile.rows[0].kernel.partition(" by ")[2] == "bands of rows"


def test_bands_in_which_many_sums_are_read_again_are_not_chosen() -> None:
    """Blocks of channels add to the output one by one: 64 channels of it cost more than bands save, 16 do not."""
    methods = []
    for filters in (64, 16):
        x = images(32, 112, 112)
        f = symc.function([x], pointwise(depthwise(x, 32, border_mode=1), 32, filters), profile=True)
        with symc.config.change(threads=2, cpu_precision="ieee"):
            f(np.zeros((1, 32, 112, 112), "float32"))
        methods.append(f.profile.rows[0].kernel.partition(" by ")[2])
    assert methods == ["planes, matrix products", "bands of rows"]
