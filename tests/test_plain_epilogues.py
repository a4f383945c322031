"""A bias per channel and an activation with two bounds are applied where a convolution stores its sums."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.graph import Variable
from symc.graph.bfloat16 import bits_of, values_of
from symc.printing import debugprint

pytestmark = pytest.mark.skipif(symc.config.device != "c", reason="algorithms of the C back end")

NUMBERS = np.random.default_rng(11)

ENDS: dict[str, Callable[[Variable, Variable], Variable]] = {
    "linear": lambda y, b: y + b,
    "relu": lambda y, b: T.nnet.relu(y + b),
    "relu6": lambda y, b: T.clip(b + y, 0, 6),
    "from above": lambda y, b: T.minimum(y + b, 0.25),
}
OTHERS: dict[str, Callable[[Variable, Variable], Variable]] = {
    "scaled": lambda y, b: T.nnet.relu(y * b),
    "subtracted": lambda y, b: T.nnet.relu(b - y),
    "tanh": lambda y, b: T.tanh(y + b),
    "added twice": lambda y, b: y + b + y,
    "NaN": lambda y, b: T.maximum(y + b, np.float32(np.nan)),
}


def plain_ends(f: Any) -> int:
    """How many of the epilogues in the generated code the library may replace."""
    text = io.StringIO()
    debugprint(f, stage="c", file=text)
    ends = [line.partition("}")[0] for line in text.getvalue().split("const symc_epilogue e")[1:]]
    return sum(not end.endswith(", 0, 0, 0, 0, 0, 0, 0") for end in ends)


@pytest.mark.parametrize("name", [*ENDS, *OTHERS])
def test_which_epilogues_are_plain(name: str) -> None:
    x, b = T.tensor("float32", shape=(None, 5, 8, 8)), T.vector("b")
    y = T.nnet.conv2d(x, symc.shared(np.ones((6, 5, 3, 3), "float32")))
    f = symc.function([x, b], (ENDS | OTHERS)[name](y, b.dimshuffle("x", 0, "x", "x")))
    assert plain_ends(f) == (name in ENDS)


Form = tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]
FORMS: dict[str, Form] = {
    "odd": ((2, 17, 6, 9), (33, 17, 3, 3), {"border_mode": 1}),
    "many terms, last columns": ((1, 1100, 11, 12), (50, 1100, 1, 1), {}),
    "few rows": ((2, 5, 13, 10), (3, 5, 1, 1), {}),
    "one pixel": ((3, 70, 1, 1), (50, 70, 1, 1), {}),
    "all pixels": ((50, 9, 2, 2), (7, 9, 3, 3), {"border_mode": 1}),
    "few pixels": ((1, 64, 7, 7), (96, 64, 1, 1), {}),
    "one channel": ((2, 1, 12, 12), (3, 1, 5, 5), {"border_mode": 2}),
    "stride": ((2, 3, 23, 19), (17, 3, 3, 3), {"border_mode": 1, "subsample": (2, 2)}),
    "many terms, small images": ((4, 120, 3, 5), (7, 120, 3, 3), {"border_mode": 1, "subsample": (1, 3)}),
    "depthwise": ((2, 17, 9, 21), (17, 1, 3, 3), {"border_mode": 1, "num_groups": 17}),
    "depthwise, stride": ((1, 3, 22, 37), (6, 1, 5, 5), {"border_mode": 2, "subsample": (2, 2), "num_groups": 3}),
    "groups in lanes": ((2, 50, 7, 7), (50, 1, 3, 3), {"border_mode": 1, "num_groups": 50}),
    "two filters a group": ((1, 32, 7, 5), (64, 1, 3, 3), {"border_mode": 1, "num_groups": 32}),
    "groups": ((2, 32, 8, 12), (64, 8, 3, 3), {"border_mode": 1, "num_groups": 4}),
    "minimal filtering": ((1, 64, 28, 30), (70, 64, 3, 3), {"border_mode": 1}),
    "no images": ((0, 4, 8, 8), (5, 4, 3, 3), {}),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FORMS)
def test_values_are_those_of_a_loop_of_its_own(name: str, dtype: str) -> None:
    """With special values, in each algorithm, for a bias of each channel, of each map, and of all."""
    shape, filters, options = FORMS[name]
    maps = T.tensor4("maps", dtype)
    given = T.tensor(dtype, shape=(None, *shape[1:])), symc.shared(NUMBERS.standard_normal(filters).astype(dtype))
    y = T.nnet.conv2d(*given, filter_shape=filters, filter_flip=False, **options)
    plain = symc.function([given[0]], y)
    images = NUMBERS.standard_normal(shape).astype(dtype)
    if images.size:
        images.flat[images.size // 2] = np.nan
    biases = [
        NUMBERS.standard_normal(s).astype(dtype)
        for s in ((1, filters[0], 1, 1), (shape[0], filters[0], 1, 1), (1, 1, 1, 1))
    ]
    biases[0][0, -1], biases[0][0, 0] = -np.inf, 0
    for bias, end in zip(biases, ("relu6", "relu", "linear") if dtype == "float32" else ("relu6",)):
        b = T.tensor(dtype, shape=bias.shape if bias.shape[0] == 1 else (None, *bias.shape[1:]))
        f = symc.function([given[0], b], ENDS[end](y, b))
        loop = symc.function([maps, b], ENDS[end](maps, b))
        for algorithm, threads in (("auto", 1), ("auto", 3), ("winograd", 2), ("blocks", 2), ("panels", 2)):
            with symc.config.change(conv_algorithm=algorithm, threads=threads):
                found, expected = f(images, bias), loop(plain(images), bias)
            np.testing.assert_array_equal(found, expected, err_msg=algorithm)
            signs = [np.signbit(a) & ~np.isnan(a) for a in (found, expected)]
            np.testing.assert_array_equal(*signs, err_msg=algorithm)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(12, 23), (9, 5), (33, 40)])
def test_chains_in_bands(size: tuple[int, int], stride: int) -> None:
    """What is padded is zero, and not the activation of a bias; against float64."""
    channels, middle = 7, 31
    weights = [
        NUMBERS.standard_normal(s) / 2 for s in ((middle, channels, 1, 1), (middle, 1, 3, 3), (11, middle, 1, 1))
    ]
    biases = [NUMBERS.standard_normal(len(w)) + 1 for w in weights]

    def network(x: Variable, dtype: str) -> Variable:
        for k, (w, b) in enumerate(zip(weights, biases)):
            options: dict[str, Any] = (
                {"border_mode": 1, "num_groups": middle, "subsample": (stride,) * 2} if k == 1 else {}
            )
            x = T.nnet.conv2d(x, symc.shared(w.astype(dtype)), filter_shape=w.shape, **options)
            x = x + symc.shared(b.astype(dtype)).dimshuffle("x", 0, "x", "x")
            x = T.clip(x, 0, 1.5) if k < 2 else x
        return x

    images = NUMBERS.standard_normal((3, channels, *size))
    found = []
    for dtype, device, algorithm in (
        ("float32", "c", "bands"),
        ("float64", "c", "bands"),
        ("float64", "interp", "auto"),
    ):
        x = T.tensor(dtype, shape=(None, channels, *size))
        f = symc.function([x], network(x, dtype), device=device)
        for threads in (1, 3):
            with symc.config.change(conv_algorithm=algorithm, threads=threads):
                found.append(f(images[: None if device == "c" else 1].astype(dtype)))
        if device == "c":
            assert plain_ends(f) == 3
    for result, tolerance in zip(found[:4], (1e-5, 1e-5, 1e-13, 1e-13)):
        np.testing.assert_allclose(result[:1], found[4], rtol=0, atol=tolerance * 30)
        np.testing.assert_array_equal(result, found[0] if result.dtype == "float32" else found[2])


def test_products_with_a_bias_for_each_row() -> None:
    x, w, b = T.matrix("x"), T.matrix("w"), T.col("b")
    f = symc.function([x, w, b], T.nnet.relu(T.dot(w, x) + b))
    for rows, terms, columns in ((40, 600, 100), (17, 3, 1000), (300, 64, 70), (1, 50, 50), (50, 50, 1), (0, 5, 5)):
        values = [NUMBERS.standard_normal(s).astype("float32") for s in ((terms, columns), (rows, terms), (rows, 1))]
        expected = np.maximum(symc.function([w, x], T.dot(w, x))(values[1], values[0]) + values[2], 0)
        np.testing.assert_array_equal(f(*values), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("stored", [False, True])
def test_products_with_terms_of_columns_and_of_elements(stored: bool, dtype: str, isa: str) -> None:
    """With special values; odd sizes, sums in several blocks, transposed operands."""
    x, z, b, w = T.matrix("x", dtype), T.matrix("z", dtype), T.vector("b", dtype), T.matrix("w", dtype)
    held = symc.shared(np.zeros((40, 30), dtype))
    right = held if stored else w
    ends = [lambda y: T.nnet.relu(y + b), lambda y: y + z, lambda y: T.clip(z + y, -1, 0.5)]
    with symc.config.change(isa=isa):
        plain = symc.function([x, w], T.dot(x, w))
        rows = [symc.function([x, z, b, w], end(T.dot(x, right)), on_unused_input="ignore") for end in ends]
        columns = symc.function([x, z, b, w], ends[2](T.dot(x.T, right.T)), on_unused_input="ignore")
        loops = [symc.function([x, z, b], end(x), on_unused_input="ignore") for end in ends]
    assert all(plain_ends(f) == 1 for f in [*rows, columns])
    for m, k, n in ((40, 600, 100), (17, 3, 1000), (300, 64, 70), (1, 50, 50), (50, 50, 1), (29, 1100, 33), (0, 5, 5)):
        a, c, d, e = (NUMBERS.standard_normal(size).astype(dtype) for size in ((m, k), (m, n), (n,), (k, n)))
        if c.size:
            c.flat[c.size // 2], c.flat[0], d[-1] = np.nan, -np.inf, np.inf
        tolerance = {"rtol": 1e-4, "atol": 1e-4} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-12}
        wanted = [loop(plain(a, e), c, d) for loop in loops]
        held.set_value(e)
        for f, expected in zip(rows, wanted):
            np.testing.assert_allclose(f(a, c, d, e), expected, **tolerance)
        turned = np.ascontiguousarray(a.T), np.ascontiguousarray(e.T)
        held.set_value(turned[1])
        np.testing.assert_allclose(columns(turned[0], c, d, turned[1]), wanted[2], **tolerance)


def test_batches_of_products_with_terms_of_elements() -> None:
    x, w, z = (T.tensor("float32", shape=(None,) * 3) for _ in "xwz")
    b = T.fvector()
    f = symc.function([x, w, z, b], [T.batched_dot(x, w) + z, T.nnet.relu(T.batched_dot(x, w) + b)])
    for n, m, k, c in ((3, 40, 70, 33), (5, 17, 3, 200), (2, 1, 600, 40), (0, 4, 4, 4)):
        values = [NUMBERS.standard_normal(s).astype("float32") for s in ((n, m, k), (n, k, c), (n, m, c), (c,))]
        product = values[0].astype("float64") @ values[1].astype("float64")
        for found, expected in zip(f(*values), (product + values[2], np.maximum(product + values[3], 0))):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


Blocked = tuple[tuple[int, int], int, int, int, dict[str, Any]]
BLOCKED: dict[str, Blocked] = {  # channels and filters, equal where each has its own; taps; rows and columns of images
    "odd": ((50, 50), 3, 9, 13, {"border_mode": 1}),
    "one pixel": ((32, 32), 3, 1, 1, {"border_mode": 1}),
    "wide border": ((32, 32), 5, 4, 6, {"border_mode": 4}),
    "stride": ((50, 50), 3, 12, 21, {"border_mode": 1, "subsample": (2, 2)}),
    "stride, no border": ((32, 32), 5, 11, 20, {"border_mode": 0, "subsample": (1, 2)}),
    "narrower than the filter": ((32, 32), 5, 3, 2, {"border_mode": 2}),
    "seven taps": ((32, 32), 7, 9, 10, {"border_mode": 3}),
    "dilation": ((50, 50), 3, 8, 17, {"border_mode": 2, "filter_dilation": (2, 2)}),
    "dilated rows, flipped": (
        (32, 32),
        3,
        8,
        17,
        {"border_mode": (2, 1), "filter_dilation": (2, 1), "filter_flip": True},
    ),
    "pointwise": ((50, 33), 1, 9, 13, {}),
    "pointwise, many channels": ((450, 96), 1, 7, 7, {}),
    "pointwise, stride": ((40, 64), 1, 9, 14, {"subsample": (2, 2)}),
    "pointwise, one pixel": ((96, 70), 1, 1, 1, {}),
    "dense": ((50, 64), 3, 9, 13, {"border_mode": 1, "subsample": (2, 2)}),
    "dense, many channels": ((200, 33), 3, 6, 7, {"border_mode": 1, "filter_dilation": (2, 1)}),
    "dense, many images": ((64, 640), 3, 3, 3, {"border_mode": 1, "subsample": (2, 1)}),
}


@pytest.mark.parametrize("name", BLOCKED)
def test_convolutions_in_blocks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values are those of an epilogue that is not plain, since it adds minus zero; normal and subnormal numbers."""
    monkeypatch.setattr("symc_backends.c.multiplies_blocks", lambda: True)
    monkeypatch.setattr(symc.config, "cpu_precision", "bfloat16")
    (channels, filters), taps, high, wide, options = BLOCKED[name]
    options = {"filter_flip": False, "num_groups": channels if channels == filters else 1} | options
    of_group = channels // options["num_groups"]
    x = T.tensor("float32", shape=(None, channels, high, wide))
    b, zero = T.tensor("float32", shape=(filters,)), T.tensor("float32", shape=(filters,))
    same = [symc.shared(np.eye(n, dtype="float32")[:, :, None, None]) for n in (channels, filters)]
    w = symc.shared((NUMBERS.standard_normal((filters, of_group, taps, taps)) / of_group**0.5).astype("float32"))
    terms = T.nnet.conv2d(T.nnet.conv2d(x, same[0]), w, **options) + b.dimshuffle("x", 0, "x", "x")
    ends = [terms, terms + zero.dimshuffle("x", 0, "x", "x")]
    functions = [
        symc.function([x, b, zero], T.nnet.conv2d(T.clip(e, -0.5, 6), same[1]), on_unused_input="ignore") for e in ends
    ]
    assert [plain_ends(f) for f in functions] == [1, 0]
    images, weights = T.dtensor4("images"), T.dtensor4("weights")
    exact = symc.function([images, weights], T.nnet.conv2d(images, weights, **options))
    for scale in (1, 1e-37, 1e-39):
        shapes = (3, channels, high, wide), (filters,)
        given = [(NUMBERS.standard_normal(s) * scale).astype("float32") for s in shapes]
        for threads in (1, 3):
            with symc.config.change(threads=threads):
                found = [f(*given, np.full(filters, -0.0, "float32")) for f in functions]
            np.testing.assert_array_equal(*found)
        if scale == 1:
            wanted = exact(*(values_of(bits_of(v)).astype("float64") for v in (given[0], w.get_value())))
            wanted = np.clip(wanted + given[1][:, None, None], -0.5, 6)
            np.testing.assert_allclose(found[0], wanted, rtol=1e-2, atol=2e-2)


@pytest.mark.parametrize(
    ("channels", "taps", "clipped"), [(64, 1, False), (50, 1, True), (450, 1, True), (64, 3, True)]
)
def test_residuals_in_blocks(channels: int, taps: int, clipped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier map adds is added as the sums are finished."""
    monkeypatch.setattr("symc_backends.c.multiplies_blocks", lambda: True)
    monkeypatch.setattr(symc.config, "cpu_precision", "bfloat16")
    x = T.tensor("float32", shape=(None, channels, 5, 9))
    b, zero = T.tensor("float32", shape=(channels,)), T.tensor("float32", shape=(channels,))
    same = symc.shared(np.eye(channels, dtype="float32")[:, :, None, None])
    w = symc.shared((NUMBERS.standard_normal((channels, channels, taps, taps)) / channels**0.5).astype("float32"))
    first = T.nnet.relu(T.nnet.conv2d(x, same) + b.dimshuffle("x", 0, "x", "x"))
    terms = T.nnet.conv2d(first, w, border_mode=taps // 2, filter_flip=False) + b.dimshuffle("x", 0, "x", "x")
    functions = []
    for end in (terms, terms + zero.dimshuffle("x", 0, "x", "x")):
        y = end + first
        y = T.clip(y, -1, 2) if clipped else y
        functions.append(symc.function([x, b, zero], T.nnet.conv2d(y, same), on_unused_input="ignore"))
    assert plain_ends(functions[0]) == plain_ends(functions[1]) + 1
    images, weights = T.dtensor4("images"), T.dtensor4("weights")
    exact = symc.function(
        [images, weights], T.nnet.conv2d(images, weights, border_mode=taps // 2, filter_flip=False) + images
    )
    for scale in (1, 1e-37):
        given = [(NUMBERS.standard_normal(s) * scale).astype("float32") for s in ((3, channels, 5, 9), (channels,))]
        for threads in (1, 3):
            with symc.config.change(threads=threads):
                found = [f(*given, np.full(channels, -0.0, "float32")) for f in functions]
            np.testing.assert_array_equal(*found)
        if scale == 1:
            before = np.maximum(values_of(bits_of(given[0])) + given[1][:, None, None], 0)
            maps = (values_of(bits_of(v)).astype("float64") for v in (before, w.get_value()))
            wanted = exact(*maps) + given[1][:, None, None]
            np.testing.assert_allclose(found[0], np.clip(wanted, -1, 2) if clipped else wanted, rtol=1e-2, atol=2e-2)
