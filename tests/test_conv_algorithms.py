"""The settings ``conv_algorithm`` and ``conv_accuracy``: right results by every algorithm, and names in profiles."""

from __future__ import annotations

import ctypes
import platform

import numpy as np
import pytest

import symc
import symc.tensor as T

pytestmark = pytest.mark.skipif(symc.config.device != "c", reason="the settings are those of the C back end")


def sample(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def correlate(x: np.ndarray, w: np.ndarray, pad: int) -> np.ndarray:
    """The sums in float64, tap by tap."""
    padded = np.pad(x.astype("float64"), [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    high, wide = (n + 2 * pad - k + 1 for n, k in zip(x.shape[2:], w.shape[2:]))
    return sum(
        np.einsum("ncyx,kc->nkyx", padded[:, :, r : r + high, s : s + wide], w[:, :, r, s].astype("float64"))
        for r, s in np.ndindex(*w.shape[2:])
    )


@pytest.fixture(scope="module")
def function():
    x, w, g = T.tensor4("x"), T.tensor4("w"), T.tensor4("g")
    y = T.nnet.conv2d(x, w, border_mode="half", filter_flip=False)
    gradients = symc.grad(None, [x, w], known_grads={y: g})
    return symc.function([x, w, g], [y, *gradients], profile=True)


X, W, G = sample(1, 2, 32, 20, 18), sample(2, 32, 32, 3, 3), sample(3, 2, 32, 20, 18)


def algorithms(function) -> set[str]:
    return {row.kernel.partition(" by ")[2] for row in function.profile.rows} - {""}


@pytest.mark.parametrize("algorithm", ["auto", "winograd", "blocks", "panels"])
@pytest.mark.parametrize("accuracy", ["fast", "strict"])
def test_results(function, algorithm, accuracy):
    with symc.config.change(conv_algorithm=algorithm, conv_accuracy=accuracy):
        y, dx, dw = function(X, W, G)
    expected = correlate(X, W, 1), correlate(G, W.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1], 1)
    for actual, right in zip((y, dx), expected):
        np.testing.assert_allclose(actual, right, rtol=0, atol=5e-4)
    right = correlate(X.transpose(1, 0, 2, 3), G.transpose(1, 0, 2, 3), 1).transpose(1, 0, 2, 3)
    np.testing.assert_allclose(dw, right, rtol=0, atol=2e-3)


def test_strict_sums_confine_infinity(function):
    x = X.copy()
    x[0, 3, 9, 9] = np.inf
    with symc.config.change(conv_accuracy="strict"):
        y = function(x, W, G)[0]
    finite = np.isfinite(y)
    near = np.zeros(y.shape, bool)
    near[0, :, 8:11, 8:11] = True
    np.testing.assert_array_equal(finite, ~near)


@pytest.mark.parametrize("taps", [3, 5])
@pytest.mark.parametrize(("accuracy", "largest", "of_sums"), [("fast", 9e35, 2.4e35), ("strict", 3e38, 3e38)])
def test_large_values_do_not_overflow(function, taps, accuracy, largest, of_sums):
    """Up to the limits that ``conv_accuracy`` states, in images, filters, or gradients."""
    rng, terms = np.random.default_rng(40), 16 * 5 * 5  # of the longest sum
    shapes = (2, 16, 12, 8), (16, 16, taps, taps), (2, 16, 12, 8)
    operands = [rng.choice(np.float32([-1, 1]), shape) for shape in shapes]
    operands[0][0] = np.where(np.add.outer(np.arange(12), np.arange(8)) % 2, -1, 1)
    operands[1][3], operands[2][1] = 1, 1
    with symc.config.change(conv_accuracy=accuracy, conv_algorithm="winograd"):
        for large in range(3):
            for size in (of_sums / terms, largest):
                factors = np.full(3, min(1, of_sums / terms / size), "float32")
                factors[large] = size
                found = function(*(v * factor for v, factor in zip(operands, factors)))
                assert all(np.isfinite(a).all() for a in found)


def test_strict_sums_are_more_accurate():
    x, w = sample(4, 1, 256, 16, 16), sample(5, 32, 256, 3, 3)
    a, b = T.tensor4("a"), T.tensor4("b")
    f = symc.function([a, b], T.nnet.conv2d(a, b, border_mode="half", filter_flip=False))
    right = correlate(x, w, 1)
    error = {}
    for accuracy in ("fast", "strict"):
        with symc.config.change(conv_accuracy=accuracy):
            error[accuracy] = np.sqrt(np.mean((f(x, w) - right) ** 2) / np.mean(right**2))
    assert error["strict"] < 6e-7 < error["fast"] < 2e-6


@pytest.mark.parametrize(
    ("channels", "filters", "groups", "taps", "stride", "side"),
    [(50, 80, 1, 1, 1, 7), (400, 33, 1, 1, 1, 5), (64, 96, 1, 3, 2, 8), (48, 64, 2, 1, 2, 9), (32, 64, 1, 5, 1, 6)],
)
def test_few_pixels(channels, filters, groups, taps, stride, side):
    """Filters that are larger than the images, which units pack for themselves, by all passes."""
    attributes = {"border_mode": "half", "subsample": (stride, stride), "num_groups": groups, "filter_flip": False}
    x, w = T.tensor4("x"), T.tensor4("w")
    with symc.config.change(conv_algorithm="blocks", threads=2):
        y = T.nnet.conv2d(x, w, **attributes)
        f = symc.function([x, w], [y, symc.grad((y * y).sum() / 2, x)], profile=True)
        a, b = sample(8, 2, channels, side, side), sample(9, filters, channels // groups, taps, taps)
        out, dx = f(a, b)
        assert "blocks of channels" in algorithms(f)
        bump = sample(10, *a.shape)
        along = f(bump, b)[0]
    pieces = zip(np.split(a, groups, 1), np.split(b, groups, 0))
    right = np.concatenate([correlate(p, q, taps // 2)[:, :, ::stride, ::stride] for p, q in pieces], 1)
    np.testing.assert_allclose(out, right, rtol=0, atol=2e-5 * np.abs(right).max())
    np.testing.assert_allclose((dx * bump.astype("float64")).sum(), (right * along).sum(), rtol=1e-4, atol=1e-1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("channels", "filters", "stride", "pad", "size"),
    [
        (32, 64, (2, 2), (0, 0), (14, 14)),
        (50, 33, (2, 2), (1, 1), (7, 9)),
        (17, 32, (2, 1), (0, 2), (5, 40)),
        (16, 16, (1, 2), (3, 0), (3, 301)),
        (48, 32, (3, 2), (0, 40), (8, 1)),
        (32, 16, (3, 4), (1, 2), (11, 26)),
        (16, 48, (1, 7), (0, 0), (2, 50)),
    ],
)
def test_one_tap_with_strides(channels, filters, stride, pad, size, dtype):
    """Only the pixels under the tap are read: beside images, in long rows, up to the last element of an array."""
    x, w = (a.astype(dtype) for a in (sample(8, 3, channels, *size), sample(9, filters, channels, 1, 1)))
    a, b = T.tensor4("a", dtype), T.tensor4("b", dtype)
    with symc.config.change(conv_algorithm="blocks", threads=2):
        f = symc.function([a, b], T.nnet.conv2d(a, b, border_mode=pad, subsample=stride), profile=True)
        y = f(x, w)
        assert algorithms(f) == {"blocks of channels"}
    padded = np.pad(x.astype("float64"), [(0, 0), (0, 0), (pad[0],) * 2, (pad[1],) * 2])
    right = np.einsum("ncyx,kc->nkyx", padded[:, :, :: stride[0], :: stride[1]], w[:, :, 0, 0].astype("float64"))
    np.testing.assert_allclose(y, right, rtol=0, atol=1e-4 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("channels", "filters", "taps", "stride", "dilation", "pad", "size"),
    [
        (64, 32, (3, 3), (3, 3), (1, 1), (1, 1), (32, 40)),
        (17, 33, (5, 5), (4, 4), (1, 1), (2, 2), (40, 43)),
        (32, 16, (8, 8), (8, 8), (1, 1), (0, 0), (24, 49)),
        (16, 16, (2, 3), (5, 7), (1, 1), (0, 3), (9, 90)),
        (48, 16, (3, 2), (1, 3), (2, 4), (5, 0), (7, 31)),
        (32, 32, (4, 4), (2, 3), (1, 1), (9, 9), (1, 2)),
    ],
)
def test_large_strides_of_blocks(channels, filters, taps, stride, dilation, pad, size, dtype):
    """Pixels of equal remainders modulo the strides are neighbours in the window; what no tap reads is left out."""
    x, w = (a.astype(dtype) for a in (sample(8, 3, channels, *size), sample(9, filters, channels, *taps)))
    a, b = T.tensor4("a", dtype), T.tensor4("b", dtype)
    with symc.config.change(conv_algorithm="blocks", threads=2):
        y = T.nnet.conv2d(a, b, border_mode=pad, subsample=stride, filter_dilation=dilation, filter_flip=False)
        f = symc.function([a, b], T.nnet.relu(y), profile=True)
        found = f(x, w)
        assert algorithms(f) == {"blocks of channels"}
    padded = np.pad(x.astype("float64"), [(0, 0), (0, 0), (pad[0],) * 2, (pad[1],) * 2])
    high, wide = ((padded.shape[2 + k] - (taps[k] - 1) * dilation[k] - 1) // stride[k] + 1 for k in (0, 1))
    right = 0
    for r, s in np.ndindex(*taps):
        rows = padded[:, :, r * dilation[0] :: stride[0], s * dilation[1] :: stride[1]][:, :, :high, :wide]
        right = right + np.einsum("ncyx,kc->nkyx", rows, w[:, :, r, s].astype("float64"))
    np.testing.assert_allclose(found, np.maximum(right, 0), rtol=0, atol=2e-4 if dtype == "float32" else 1e-11)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("groups", "channels", "filters", "taps", "stride", "size"),
    [
        (50, 1, 1, 5, 1, (7, 7)),
        (17, 1, 3, 7, 1, (9, 13)),
        (33, 1, 1, 5, 2, (13, 15)),
        (19, 2, 4, 3, 1, (6, 29)),
        (19, 8, 8, 3, 1, (6, 29)),  # by strips of pixels where 32 registers hold their sums
        (18, 4, 6, 5, 1, (35, 35)),
        (16, 3, 5, 3, 2, (5, 1)),
        (24, 2, 1, 3, 3, (16, 31)),
    ],
)
def test_groups_in_lanes(groups, channels, filters, taps, stride, size, dtype):
    """Rows of any length; bands that are shared out evenly; gradients, whose taps depend on the row and the column."""
    x, w = sample(21, 1, groups * channels, *size).astype(dtype), sample(22, groups * filters, channels, taps, taps)
    a, b = T.tensor4("a", dtype), T.tensor4("b", dtype)
    with symc.config.change(threads=2):
        y = T.nnet.conv2d(a, b, None, None, "half", (stride, stride), num_groups=groups, filter_flip=False)
        f = symc.function([a, b], [T.nnet.relu(y), symc.grad((y * y).sum() / 2, a)], profile=True)
        out, dx = f(x, w.astype(dtype))
    wide = filters > 4 and algorithms(f) == {"strips of pixels"}
    assert wide or "groups in lanes" in algorithms(f) or (taps, size, dtype) == (5, (7, 7), "float64")  # by planes
    pieces = zip(np.split(x, groups, 1), np.split(w, groups, 0))
    full = np.concatenate([correlate(p, q, taps // 2) for p, q in pieces], 1)
    dy = np.zeros_like(full)
    dy[:, :, ::stride, ::stride] = full[:, :, ::stride, ::stride]
    turned = [q.swapaxes(0, 1)[:, :, ::-1, ::-1] for q in np.split(w, groups, 0)]
    right = np.concatenate([correlate(p, q, taps // 2) for p, q in zip(np.split(dy, groups, 1), turned)], 1)
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    full = np.maximum(full[:, :, ::stride, ::stride], 0)
    np.testing.assert_allclose(out, full, rtol=0, atol=tolerance * np.abs(full).max())
    np.testing.assert_allclose(dx, right, rtol=0, atol=2 * tolerance * np.abs(right).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("groups", "taps", "pad", "dilation", "flip", "size"),
    [
        (40, (3, 3), (1, 1), (1, 1), True, (45, 37)),
        (35, (5, 5), (0, 2), (1, 1), False, (29, 40)),
        (9, (3, 2), (1, 0), (2, 1), False, (12, 33)),
        (2, (3, 3), (2, 1), (1, 2), True, (70, 19)),
    ],
)
def test_data_gradients_by_planes(groups, taps, pad, dilation, flip, size, dtype):
    """At stride 1 they are forward passes of the gradient, with filters turned and the rest of the padding."""
    x, w = (v.astype(dtype) for v in (sample(31, 2, groups, *size), sample(32, groups, 1, *taps)))
    a, b = T.tensor4("a", dtype), T.tensor4("b", dtype)
    y = T.nnet.conv2d(a, b, None, None, pad, filter_dilation=dilation, num_groups=groups, filter_flip=flip)
    g = T.tensor4("g", dtype)
    with symc.config.change(threads=2):
        f = symc.function([a, b, g], symc.grad(None, a, known_grads={y: g}), on_unused_input="ignore", profile=True)
        dy = sample(33, *(int(n) for n in symc.function([a, b], y.shape)(x, w))).astype(dtype)
        dx = f(x, w, dy)
    assert algorithms(f) == {"planes"}
    wide = np.zeros((2, groups, size[0] + 2 * pad[0], size[1] + 2 * pad[1]))
    turned = w[:, 0, ::-1, ::-1] if flip else w[:, 0]
    for r in range(taps[0]):
        for s in range(taps[1]):
            rows = slice(r * dilation[0], r * dilation[0] + dy.shape[2])
            columns = slice(s * dilation[1], s * dilation[1] + dy.shape[3])
            wide[:, :, rows, columns] += dy * turned[:, r, s][:, None, None]
    right = wide[:, :, pad[0] : pad[0] + size[0], pad[1] : pad[1] + size[1]]
    np.testing.assert_allclose(dx, right, rtol=0, atol=(1e-5 if dtype == "float32" else 1e-13) * np.abs(right).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("taps", "dilation", "pad", "flip", "groups", "size"),
    [
        ((3, 3), 12, 12, False, 1, (19, 21)),
        ((3, 2), 9, 11, True, 2, (16, 30)),
        ((5, 1), 9, 40, False, 1, (9, 3)),  # rows that no tap reaches
        ((2, 3), 14, 20, True, 1, (16, 12)),
    ],
)
def test_taps_beside_the_images_are_left_out(taps, dilation, pad, flip, groups, size, dtype):
    """Stretches of rows with some of the taps, with an epilogue and with respect to the images."""
    x, w, g = (T.TensorType(dtype, (None,) * 4)(name) for name in "xwg")
    y = T.nnet.conv2d(x, w, border_mode=pad, filter_dilation=(dilation,) * 2, num_groups=groups, filter_flip=flip)
    a, b = sample(61, 2, 17 * groups, *size).astype(dtype), sample(62, 19 * groups, 17, *taps).astype(dtype)
    spread = np.zeros((*b.shape[:2], *((n - 1) * dilation + 1 for n in taps)), dtype)
    spread[:, :, ::dilation, ::dilation] = b[:, :, ::-1, ::-1] if flip else b
    right = np.concatenate([correlate(p, q, pad) for p, q in zip(np.split(a, groups, 1), np.split(spread, groups))], 1)
    c = sample(63, *right.shape).astype(dtype)
    bias = np.arange(right.shape[1]).astype(dtype).reshape(1, -1, 1, 1)
    with symc.config.change(threads=2):
        f = symc.function([x, w, g], [T.maximum(y + bias, 1), symc.grad(None, x, known_grads={y: g})], profile=True)
        out, dx = f(a, b, c)
    assert "packed panels" in algorithms(f)
    wide = np.zeros((*a.shape[:2], size[0] + 2 * pad, size[1] + 2 * pad))
    for r, s in np.ndindex(*spread.shape[2:]):
        if r % dilation == 0 and s % dilation == 0:
            sums = [
                np.einsum("nkyx,kc->ncyx", p, q[:, :, r, s])
                for p, q in zip(np.split(c, groups, 1), np.split(spread, groups))
            ]
            wide[:, :, r : r + c.shape[2], s : s + c.shape[3]] += np.concatenate(sums, 1)
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    expected = np.maximum(right + bias, 1), wide[:, :, pad : pad + size[0], pad : pad + size[1]]
    for actual, value in zip((out, dx), expected):
        np.testing.assert_allclose(actual, value, rtol=0, atol=tolerance * np.abs(value).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("images", "channels", "filters", "size", "taps", "pad", "groups"),
    [
        (2, 19, 3, (37, 45), (3, 3), 1, 1),
        (3, 40, 2, (9, 7), (5, 2), 2, 1),
        (1, 70, 1, (21, 130), (3, 3), 0, 1),
        (2, 34, 6, (12, 17), (1, 3), 3, 2),
        (5, 23, 5, (1, 3), (3, 3), 1, 1),
    ],
)
def test_few_filters(images, channels, filters, size, taps, pad, groups, dtype):
    """Strips of pixels times all filters; with respect to the weights, images and dY change places."""
    x, w, g = (T.TensorType(dtype, (None,) * 4)(name) for name in "xwg")
    y = T.nnet.conv2d(x, w, border_mode=pad, num_groups=groups, filter_flip=False)
    a = sample(41, images, channels, *size).astype(dtype)
    b = sample(42, filters, channels // groups, *taps).astype(dtype)
    each = [slice(k * filters // groups, (k + 1) * filters // groups) for k in range(groups)]
    parts = [slice(k * channels // groups, (k + 1) * channels // groups) for k in range(groups)]
    right = np.concatenate([correlate(a[:, c], b[f], pad) for c, f in zip(parts, each)], axis=1)
    c = sample(43, *right.shape).astype(dtype)
    bias = np.arange(filters).astype(dtype).reshape(1, -1, 1, 1)
    outputs = [T.maximum(y + bias, -1), *symc.grad(None, [x, w], known_grads={y: g})]
    with symc.config.change(threads=2):
        f = symc.function([x, w, g], outputs, profile=True)
        found = f(a, b, c)
        back = symc.function([x, w, g], symc.grad(None, x, known_grads={y: g}), on_unused_input="ignore")
        turned = symc.function([x, w], T.nnet.conv2d(x, w, border_mode=pad, num_groups=groups, filter_flip=True))
    padded = np.pad(a.astype("float64"), [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    dx, dw = np.zeros_like(padded), np.zeros(b.shape)
    for r, s in np.ndindex(*taps):
        rows, columns = slice(r, r + right.shape[2]), slice(s, s + right.shape[3])
        for k, m in zip(parts, each):
            dw[m, :, r, s] = np.einsum("nkyx,ncyx->kc", c[:, m], padded[:, k, rows, columns])
            dx[:, k, rows, columns] += np.einsum("nkyx,kc->ncyx", c[:, m], b[m, :, r, s].astype("float64"))
    dx = dx[:, :, pad : dx.shape[2] - pad, pad : dx.shape[3] - pad]
    for actual, expected in zip(found, (np.maximum(right + bias, -1), dx, dw)):
        scale = max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(actual, expected, rtol=0, atol=(1e-5 if dtype == "float32" else 1e-13) * scale)
    np.testing.assert_array_equal(back(a, b, c), found[1])
    np.testing.assert_allclose(
        turned(a, b[:, :, ::-1, ::-1]), right, rtol=0, atol=1e-3 if dtype == "float32" else 1e-11
    )


def test_strips_take_few_filters_and_channels():
    x, w, g = T.tensor4s("x", "w", "g")
    y = T.nnet.conv2d(x, w, border_mode="half")
    with symc.config.change(cpu_precision="ieee"):
        forward = symc.function([x, w], y, profile=True)
        back = symc.function([x, w, g], symc.grad(None, x, known_grads={y: g}), on_unused_input="ignore", profile=True)
        a, b = sample(44, 1, 24, 40, 40), sample(45, 3, 24, 3, 3)
        a[0, 5, 7, 11], a[0, 20, 39, 0] = np.nan, np.inf
        found = forward(a, b)
        back(b.transpose(1, 0, 2, 3).reshape(1, 3, 12, 18), b.transpose(1, 0, 2, 3), sample(46, 1, 24, 12, 18))
    assert algorithms(forward) == algorithms(back) == {"strips of pixels"}
    wrong = np.zeros((40, 40), bool)
    wrong[6:9, 10:13] = wrong[38:, :2] = True
    assert (~np.isfinite(found[0]) == wrong).all(), "values that are not finite stay with the pixels that read them"


def test_many_small_images(function):
    x, w, g = sample(11, 20, 2, 9, 7), sample(12, 5, 2, 3, 3), sample(13, 20, 5, 9, 7)
    found = function(x, w, g)
    assert "images in lanes" in algorithms(function)
    with symc.config.change(conv_algorithm="panels"):
        for actual, right in zip(found, function(x, w, g)):
            np.testing.assert_allclose(actual, right, rtol=0, atol=1e-3)


def test_small_images_with_strides_in_lanes():
    """Both ways: with respect to the images each phase is a list of terms."""
    x, w, g = T.tensor4s("x", "w", "g")
    y = T.nnet.conv2d(x, w, border_mode=1, subsample=(2, 2))
    a, b, c = sample(14, 40, 48, 8, 8), sample(15, 32, 48, 3, 3), sample(16, 40, 32, 4, 4)
    forward = symc.function([x, w], T.nnet.relu(y), profile=True)
    back = symc.function([x, w, g], symc.grad(None, x, known_grads={y: g}), on_unused_input="ignore", profile=True)
    found = forward(a, b), back(a, b, c)
    assert algorithms(forward) == algorithms(back) == {"images in lanes"}
    with symc.config.change(conv_algorithm="panels"):
        for actual, right in zip(found, (forward(a, b), back(a, b, c))):
            np.testing.assert_allclose(actual, right, rtol=0, atol=1e-3)


DENSE = [  # images, channels, filters, size, taps, stride, pad, dilation
    (40, 5, 7, (2, 2), (3, 3), 1, 1, 1),
    (40, 3, 4, (3, 2), (5, 3), 1, (2, 1), 1),
    (33, 6, 5, (1, 1), (4, 4), 1, 3, 1),
    (35, 2, 9, (3, 3), (5, 5), 2, 2, 1),
    (50, 4, 3, (1, 1), (3, 3), 2, 4, 2),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize(("images", "channels", "filters", "size", "taps", "stride", "pad", "dilation"), DENSE)
def test_images_whose_pixels_are_all_read(images, channels, filters, size, taps, stride, pad, dilation, flip, dtype):
    """Each image is a row of one matrix: forward, with an epilogue, and both gradients."""
    x, w, g = (T.TensorType(dtype, (None,) * 4)(name) for name in "xwg")
    y = T.nnet.conv2d(x, w, border_mode=pad, subsample=(stride,) * 2, filter_dilation=(dilation,) * 2, filter_flip=flip)
    bias = np.arange(filters).astype(dtype).reshape(1, -1, 1, 1)
    a, b = sample(81, images, channels, *size).astype(dtype), sample(82, filters, channels, *taps).astype(dtype)
    pads = (pad, pad) if isinstance(pad, int) else pad
    out = tuple((n + 2 * p - (t - 1) * dilation - 1) // stride + 1 for n, p, t in zip(size, pads, taps))
    c = sample(83, images, filters, *out).astype(dtype)
    with symc.config.change(cpu_precision="ieee"):
        f = symc.function(
            [x, w, g], [T.maximum(y + bias, 1), *symc.grad(None, [x, w], known_grads={y: g})], profile=True
        )
        found = f(a, b, c)
    assert algorithms(f) == {"one product of all pixels"}
    padded = np.pad(a.astype("float64"), [(0, 0), (0, 0), *((p, p) for p in pads)])
    right, dx, dw = np.zeros((images, filters, *out)), np.zeros_like(padded), np.zeros(b.shape)
    for i, j, r, s in np.ndindex(*out, *taps):
        row, column = i * stride + r * dilation, j * stride + s * dilation
        t, u = (taps[0] - 1 - r, taps[1] - 1 - s) if flip else (r, s)
        right[:, :, i, j] += padded[:, :, row, column] @ b[:, :, t, u].T.astype("float64")
        dx[:, :, row, column] += c[:, :, i, j] @ b[:, :, t, u].astype("float64")
        dw[:, :, t, u] += c[:, :, i, j].T @ padded[:, :, row, column]
    dx = dx[:, :, pads[0] : pads[0] + size[0], pads[1] : pads[1] + size[1]]
    for actual, expected in zip(found, (np.maximum(right + bias, 1), dx, dw)):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 if dtype == "float32" else 1e-12)


def test_matrices_of_stored_filters_follow_them():
    x, w = T.tensor4("x"), symc.shared(sample(84, 6, 4, 3, 3))
    a, b = sample(85, 30, 4, 2, 2), sample(86, 6, 4, 3, 3)
    with symc.config.change(cpu_precision="ieee"):
        f = symc.function([x], T.nnet.conv2d(x, w, border_mode=1), profile=True)
        f(a)
        w.set_value(b)
        found = f(a)
    assert algorithms(f) == {"one product of all pixels"}
    with symc.config.change(conv_algorithm="panels"):
        right = symc.function([x], T.nnet.conv2d(x, T.constant(b), border_mode=1))(a)
    np.testing.assert_allclose(found, right, rtol=0, atol=1e-4)


def test_images_whose_pixels_are_not_all_read():
    """A product of all pixels would make NaN of an infinite pixel that an output pixel does not read."""
    x, w = T.tensor4s("x", "w")
    a, b = sample(87, 64, 4, 3, 3), sample(88, 6, 4, 3, 3)
    a[5, 2, 0, 0] = np.inf
    with symc.config.change(conv_accuracy="strict"):
        f = symc.function([x, w], T.nnet.conv2d(x, w, border_mode=1), profile=True)
        wrong = ~np.isfinite(f(a, b)[5])
    assert "one product of all pixels" not in algorithms(f)
    assert wrong[:, :2, :2].all() and wrong.sum() == 6 * 4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("images", "channels", "filters", "size", "taps", "stride", "pad"),
    [
        (2, 3, 20, 50, 16, 16, 0),
        (1, 9, 8, 37, 12, 9, 3),
        (2, 20, 33, 30, 6, 5, 2),
        (3, 17, 16, 40, 17, 16, 1),
        (1, 2, 8, 80, 33, 40, 0),
    ],
)
def test_large_strides(images, channels, filters, size, taps, stride, pad, dtype):
    """Patches of an image: the gradient by the images is made for all remainders of the strides at once."""
    x, w, g = (T.TensorType(dtype, (None,) * 4)(name) for name in "xwg")
    y = T.nnet.conv2d(x, w, border_mode=pad, subsample=(stride, stride), filter_flip=False)
    f = symc.function([x, w, g], symc.grad(None, [x], known_grads={y: g})[0], profile=True)
    out = (size + 2 * pad - taps) // stride + 1
    shapes = (images, channels, size, size), (filters, channels, taps, taps), (images, filters, out, out)
    a, b, c = (sample(31 + k, *shape).astype(dtype) for k, shape in enumerate(shapes))
    wanted = np.zeros((images, channels, size + 2 * pad, size + 2 * pad))
    for i, j in np.ndindex(out, out):
        patch = np.einsum("nk,kcrs->ncrs", c[:, :, i, j].astype("float64"), b)
        wanted[:, :, i * stride : i * stride + taps, j * stride : j * stride + taps] += patch
    wanted = wanted[:, :, pad : pad + size, pad : pad + size]
    np.testing.assert_allclose(f(a, b, c), wanted, atol=1e-4 if dtype == "float32" else 1e-10)
    assert not any("panels" in row.kernel for row in f.profile.rows)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "Winograd"),
        ({"conv_accuracy": "strict", "cpu_precision": "ieee"}, "blocks of channels"),
        ({"conv_algorithm": "panels"}, "packed panels"),
    ],
)
def test_profiles_name_the_algorithm(settings, named):
    x, w = T.tensor4("x"), T.tensor4("w")
    with symc.config.change(**settings):
        f = symc.function([x, w], T.nnet.conv2d(x, w, border_mode="half"), profile=True)
        f(X, W)
    assert algorithms(f) == {named}
    assert f"by {named}" in f.profile.summary()


@pytest.fixture(scope="module")
def strided():
    """Forward and image gradients at stride 2, which processors with AMX compute in parts of bfloat16."""
    x, w, g = T.tensor4s("x", "w", "g")
    y = T.nnet.conv2d(x, w, border_mode="half", subsample=(2, 2), filter_flip=False)
    return symc.function([x, w, g], [y, symc.grad(None, x, known_grads={y: g})], profile=True)


STRIDED = sample(11, 3, 96, 29, 31), sample(12, 64, 96, 3, 3), sample(13, 3, 64, 15, 16)


def has_parts() -> bool:
    from symc_backends.c.library import runtime

    return runtime().bfloat16_instructions() == 2


def test_parts_are_as_exact_as_float32(strided):
    x, w, g = STRIDED
    if has_parts():
        strided(x, w, g)
        assert algorithms(strided) == {"blocks of channels in parts of bfloat16"}
    spread = np.exp2(np.random.default_rng(14).integers(-12, 12, (1, 96, 1, 1))).astype("float32")
    scattered = np.zeros((3, 64, 30, 32), "float32")
    scattered[:, :, ::2, ::2] = g
    for a, b in [(x, w), (x * spread, w / spread)]:
        right = correlate(a, b, 1)[:, :, ::2, ::2]
        turned = correlate(scattered, b.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1], 1)[:, :, :29, :31]
        y, dx = strided(a, b, g)
        for actual, expected in ((y, right), (dx, turned)):
            error = np.sqrt(np.mean((actual - expected) ** 2) / np.mean(expected**2))
            assert error < 5e-7


@pytest.mark.parametrize("step", [1, 2])
def test_one_tap_in_parts(step):
    """Panels of pixels span images, rows and gaps, and some hold values that parts cannot."""
    x, w, b = sample(15, 4, 97, 17, 9), symc.shared(sample(16, 161, 97, 1, 1)), sample(17, 161)
    a = T.tensor4("a")
    y = T.nnet.relu(T.nnet.conv2d(a, w, subsample=(step, step)) + b.reshape(1, 161, 1, 1))
    f = symc.function([a], y, profile=True)
    right = correlate(x, w.get_value(), 0)[:, :, ::step, ::step] + b.reshape(1, 161, 1, 1)
    for _ in range(2):
        error = np.sqrt(np.mean((f(x) - np.maximum(right, 0)) ** 2) / np.mean(right**2))
        assert error < 5e-7
    if has_parts():
        assert algorithms(f) == {"matrix products in parts of bfloat16"}
    x[1, 96, 0, 0], x[2, 5, 16, 8], x[3, 0, 4, 4] = np.inf, np.nan, 3e38
    actual = f(x)
    with symc.config.change(cpu_precision="ieee"):
        np.testing.assert_allclose(actual, f(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("channels", "filters"), [(64, 256), (160, 64)])
@pytest.mark.parametrize("taps", [1, 3])
def test_gradients_with_epilogues(channels, filters, taps):
    """The gradient of a rectifier and a sum after the gradient by the images: rows of the epilogue are its channels."""
    x, g = T.tensor("float32", shape=(None, channels, 28, 28)), T.tensor("float32", shape=(None, filters, 28, 28))
    w = symc.shared(sample(18, filters, channels, taps, taps))
    cost = (T.nnet.conv2d(T.nnet.relu(x), w, border_mode=taps // 2) * g).sum()
    a, b = sample(19, 8, channels, 28, 28), sample(20, 8, filters, 28, 28)
    actual = symc.function([x, g], symc.grad(cost, x) + x)(a, b)
    with symc.config.change(cpu_precision="ieee", conv_accuracy="strict"):
        plain = symc.function([x, g], symc.grad((T.nnet.conv2d(x, w, border_mode=taps // 2) * g).sum(), x))
        expected = plain(a, b) * (a > 0) + a
    np.testing.assert_allclose(actual, expected, atol=3e-6 * np.abs(expected).max())


def test_values_that_parts_cannot_hold(strided):
    x, w, g = (a.copy() for a in STRIDED)
    x[0, 3, 9, 9], x[1, 95, 28, 30], x[2, 5, 0, 17] = np.inf, np.nan, 3.4e38
    g[0, 63, 14, 15], g[2, 0, 5, 5] = -np.inf, np.nan
    tiny = x * np.float32(2.0**-120), w * np.float32(2.0**100), g
    small = x.copy(), w.copy(), g.copy()  # beside others
    for array, power in zip(small, (-113, -113, -113)):
        array[1] *= np.float32(2.0**power)
    w[2, 1, 1, 1] = 5e37
    for operands in [(x, w, g), tiny, small]:
        actual = strided(*operands)
        with symc.config.change(cpu_precision="ieee"):
            expected = strided(*operands)
        for a, b in zip(actual, expected):
            np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
            np.testing.assert_array_equal(a[np.isinf(b)], b[np.isinf(b)])
            finite = np.isfinite(b)
            scale = np.max(np.abs(np.where(finite, b, 0)), axis=(2, 3), keepdims=True)
            limit = np.broadcast_to(1e-5 * scale + 1e-38, a.shape)[finite]
            np.testing.assert_array_less(np.abs(a[finite] - b[finite]), limit)


def test_weight_gradients_in_parts(function):
    """Many filters and tiles: processors with AMX multiply transformed tiles in parts of bfloat16."""
    x, w, g = sample(30, 11, 197, 9, 14), np.zeros((163, 197, 3, 3), "float32"), sample(31, 11, 163, 9, 14)
    scales = np.exp2(np.random.default_rng(32).integers(-12, 12, (2, 197))).astype("float32")

    def check() -> None:
        """The error of each filter and channel relative to the size of their values."""
        right = correlate(x.transpose(1, 0, 2, 3), g.transpose(1, 0, 2, 3), 1).transpose(1, 0, 2, 3)
        sizes = np.abs(g).astype("float64").sum((0, 2, 3))[:, None] * np.abs(x).max((0, 2, 3))
        assert np.max(np.abs(function(x, w, g)[2] - right) / sizes[:, :, None, None]) < 1e-6

    x, g = x * scales[0][:, None, None], g * scales[1, :163, None, None]
    check()
    if has_parts():
        assert "Winograd in parts of bfloat16" in {
            row.kernel.partition("weights by ")[2] for row in function.profile.rows
        }
    x[:, 5] *= np.float32(2.0**-50)  # parts cannot hold these two
    g[:, 140] *= np.float32(2.0**-45)
    check()
    g[3, 77, 4, 4] = np.inf
    spoilt = ~np.isfinite(function(x, w, g)[2])
    assert spoilt[77].all() and not np.delete(spoilt, 77, axis=0).any()


@pytest.mark.parametrize("size", [1, 7, 9])
def test_weight_gradients_of_filters_without_minimal_filtering(function, size):
    x, w, g = sample(33, 2, 20, 15, 15), np.zeros((18, 20, size, size), "float32"), sample(34, 2, 18, 15, 15)
    right = correlate(x.transpose(1, 0, 2, 3), g.transpose(1, 0, 2, 3), size // 2).transpose(1, 0, 2, 3)
    np.testing.assert_allclose(function(x, w, g)[2], right, rtol=0, atol=1e-3)


def test_minimal_filtering_in_parts():
    """Stored filters and many tiles: processors with AMX multiply the tiles in parts of bfloat16."""
    w = symc.shared(sample(21, 150, 160, 3, 3))
    x = T.tensor4("x")
    f = symc.function([x], T.nnet.conv2d(x, w, border_mode="half", filter_flip=False), profile=True)
    images = sample(22, 2, 160, 30, 31)
    y = f(images)
    if has_parts():
        assert algorithms(f) == {"Winograd in parts of bfloat16"}
    right = correlate(images, w.get_value(), 1)
    assert np.sqrt(np.mean((y - right) ** 2) / np.mean(right**2)) < 1.5e-6
    np.testing.assert_array_equal(f(images), y)
    images[0, 3, 9, 9], images[1, 159, 29, 30], images[1, 0, 0, 17] = np.inf, np.nan, 3.4e38
    for scale in (1.0, 2.0**-120):
        w.set_value(w.get_value() * np.float32(1 / scale / 4))
        actual = f(images * np.float32(scale))
        with symc.config.change(cpu_precision="ieee"):
            expected = f(images * np.float32(scale))
        np.testing.assert_array_equal(np.isfinite(actual), np.isfinite(expected))
        finite = np.isfinite(expected) & (np.abs(expected) < 1e30)
        np.testing.assert_allclose(actual[finite], expected[finite], rtol=1e-4, atol=1e-3)


def test_profiles_know_that_updated_filters_are_not_stored():
    w = symc.shared(sample(23, 256, 256, 3, 3))
    x = T.tensor4("x")
    y = T.nnet.conv2d(x, w, border_mode="half")
    fixed = symc.function([x], y, profile=True)
    updating = symc.function([x], y, updates=[(w, w * 0.5)], profile=True)
    images = sample(24, 8, 256, 14, 13)
    for f in (fixed, updating):
        f(images)
    assert algorithms(updating) == {"Winograd"}
    if has_parts():
        assert algorithms(fixed) == {"Winograd in parts of bfloat16"}


def test_settings_are_checked():
    with pytest.raises(ValueError, match="'auto', 'winograd', 'blocks', 'panels'"):
        symc.config.conv_algorithm = "fft"
    with pytest.raises(ValueError, match="'fast', 'strict'"):
        symc.config.conv_accuracy = "exact"


# ---- scratch memory: what is undefined there changes no value, and is not multiplied ----

SUBNORMAL, NAN = 1, 0x7FFFFFFF  # patterns of 32 bits, in float32 and float64

# images, channels, height, width, filters, taps, outputs, strides, padding, dilation, groups, flip
UNEVEN = [
    (1, 3, 23, 27, 20, 11, 11, 4, 5, 4, 4, 0, 0, 1, 1, 1, 0),
    (2, 5, 9, 7, 6, 3, 3, 5, 4, 2, 2, 1, 1, 1, 1, 1, 0),
    (3, 4, 7, 5, 6, 3, 2, 5, 4, 1, 1, 0, 0, 1, 1, 2, 1),
    (1, 17, 6, 19, 33, 1, 5, 6, 15, 1, 1, 0, 0, 1, 1, 1, 0),
    (2, 2, 8, 9, 1, 3, 3, 4, 3, 2, 3, 1, 1, 1, 1, 1, 0),
    (1, 1, 14, 14, 16, 5, 5, 10, 10, 1, 1, 0, 0, 1, 1, 1, 1),
    (1, 24, 10, 11, 24, 3, 3, 5, 6, 2, 2, 1, 1, 1, 1, 24, 0),
    (1, 19, 12, 12, 35, 3, 3, 12, 12, 1, 1, 1, 1, 1, 1, 1, 0),
]


class DenormalFlag:
    """The flag that the processor sets when an operation reads a subnormal number."""

    def __init__(self) -> None:
        self.libm = ctypes.CDLL("libm.so.6")
        self.environment = ctypes.create_string_buffer(64)  # of which bytes 28 to 31 are the register MXCSR

    def read(self) -> bool:
        self.libm.fegetenv(self.environment)
        return bool(self.environment.raw[28] & 2)

    def clear(self) -> None:
        self.libm.fegetenv(self.environment)
        self.environment[28] = bytes([self.environment.raw[28] & ~2])
        self.libm.fesetenv(self.environment)


@pytest.mark.skipif(
    platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc", reason="reads a register of x86-64"
)
@pytest.mark.parametrize("algorithm", ["auto", "panels", "winograd"])
@pytest.mark.parametrize("name", ["forward", "pooled", "backward_data", "backward_weights"])
def test_undefined_scratch_memory(name, algorithm):
    from symc_backends.c.library import ffi, runtime

    library, flag, rng = runtime(), DenormalFlag(), np.random.default_rng(7)
    threads = library.symc_num_threads()
    library.symc_set_num_threads(1)  # of others, this thread cannot read the register
    try:
        with symc.config.change(conv_algorithm=algorithm):
            for p in UNEVEN:
                n, c, h, w, k, r, s, out_h, out_w = p[:9]
                x, filters = rng.standard_normal((n, c, h, w)), rng.standard_normal((k, c // p[15], r, s))
                y = rng.standard_normal((n, k, out_h, out_w))
                arrays = {
                    "forward": (y, x, filters),
                    "pooled": (y[:, :, : out_h // 2, : out_w // 2].copy(), x, filters),
                    "backward_data": (x, y, filters),
                    "backward_weights": (filters, x, y),
                }
                given = [a.astype("float32") for a in arrays[name]]
                results = []
                for pattern in (0, 0, SUBNORMAL, NAN):  # the first call asks for the memory
                    library.symc_scratch_fill(pattern)
                    flag.clear()
                    pointers = [ffi.cast("void *", a.ctypes.data) for a in given]
                    getattr(library, f"symc_conv2d_{name}_f32")(
                        ffi.new("void *[]", pointers), ffi.new("int64_t[]", (*p, 2, 2))
                    )
                    assert not flag.read(), (p, pattern)
                    results.append(given[0].copy())
                assert all(np.array_equal(results[0], other) for other in results[1:]), p
    finally:
        library.symc_set_num_threads(threads)
