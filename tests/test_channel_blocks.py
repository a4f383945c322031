"""Networks whose maps stay in blocks of channels, as bfloat16, against float64 rounded in the same places."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.graph.bfloat16 import bits_of, values_of
from symc.graph.op import Op
from symc.tensor.nnet.channel_blocks import CONV2D_BLOCKS, CONV2D_TO_BLOCKS, POOL_BLOCKS
from symc.tensor.signal.pool import pool_2d

rng = np.random.default_rng(5)


@pytest.fixture(params=["interp", "c"])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A back end that computes in blocks; processors without matrix registers do so more slowly."""
    module = importlib.import_module(f"symc_backends.{request.param}")
    monkeypatch.setattr(module, "multiplies_blocks", lambda: True, raising=False)
    monkeypatch.setattr(symc.config, "cpu_precision", "bfloat16")
    monkeypatch.setattr(symc.config, "conv_algorithm", "auto")
    yield request.param


def _rounded(x: np.ndarray) -> np.ndarray:
    return values_of(bits_of(np.asarray(x, "float32"))).astype("float64")


def _convolved(x: np.ndarray, w: np.ndarray, stride: int = 1, pad: int = 0, dilation: int = 1) -> np.ndarray:
    """The cross-correlation of operands rounded to bfloat16, in float64."""
    x, w = np.pad(_rounded(x), [(0, 0), (0, 0), (pad, pad), (pad, pad)]), _rounded(w)
    span = [(n - 1) * dilation + 1 for n in w.shape[2:]]
    windows = np.lib.stride_tricks.sliding_window_view(x, span, (2, 3))
    return np.einsum("nchwrs,kcrs->nkhw", windows[:, :, ::stride, ::stride, ::dilation, ::dilation], w)


def _weights(*shape: int) -> np.ndarray:
    return (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype("float32")


def _bias(n: int) -> np.ndarray:
    return rng.normal(size=n).astype("float32")


def _ops(f: symc.Function) -> str:
    return symc.printing.debugprint(f, stage="fuse_loops", file="str")


def _conv(x: T.Variable, w: np.ndarray, **given: object) -> T.Variable:
    return T.nnet.conv2d(x, symc.shared(w), filter_flip=False, **given)


def test_network_with_residual_pooling_and_join(device: str) -> None:
    """A stem of three channels, strides, padding, dilation, a bias, a residual sum, a join and pooling."""
    x = T.tensor("float32", shape=(None, 3, None, None))
    ws = [_weights(32, 3, 3, 3), _weights(64, 32, 3, 3), _weights(64, 64, 1, 1), _weights(32, 64, 3, 2)]
    bs = [_bias(len(w)) for w in ws]

    def biased(v: T.Variable, k: int) -> T.Variable:
        return v + symc.shared(bs[k]).dimshuffle("x", 0, "x", "x")

    a = T.nnet.relu(biased(_conv(x, ws[0], subsample=(2, 2), border_mode=1), 0))
    b = T.nnet.relu(biased(_conv(a, ws[1], border_mode=1), 1))
    c = T.clip(b + biased(_conv(b, ws[2]), 2), -1, 6)
    d = T.join(
        1, biased(_conv(c, ws[3], filter_dilation=(2, 2)), 3), biased(_conv(c, ws[3], filter_dilation=(2, 2)), 3) * 2
    )
    pooled = pool_2d(d, (3, 3), ignore_border=True, stride=(2, 2), pad=(1, 1), mode="max")
    means = pool_2d(d, (2, 2), ignore_border=True, mode="average_exc_pad")
    f = symc.function([x], [_conv(pooled, ws[2]), means.mean((2, 3)), c.sum()], device=device)
    text = _ops(f)
    assert text.count("conv2d_to_blocks{") >= 1 and text.count("conv2d_blocks{") >= 3 and "pool2d_blocks{" in text
    for shape in ((2, 3, 17, 13), (1, 3, 12, 21)):
        images = rng.normal(size=shape).astype("float32")

        def after(y: np.ndarray, k: int) -> np.ndarray:
            return y + bs[k][:, None, None]

        va = _rounded(np.maximum(after(_convolved(images, ws[0], 2, 1), 0), 0))
        vb = _rounded(np.maximum(after(_convolved(va, ws[1], 1, 1), 1), 0))
        vc = _rounded(np.clip(vb + after(_convolved(vb, ws[2]), 2), -1, 6))
        vd = after(_convolved(vc, ws[3], 1, 0, 2), 3)
        vd = np.concatenate([_rounded(vd), _rounded(vd * 2)], 1)
        padded = np.pad(vd, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=-np.inf)
        vp = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))[:, :, ::2, ::2].max((4, 5))
        h, w = (n // 2 * 2 for n in vd.shape[2:])
        vm = _rounded(vd[:, :, :h, :w].reshape(*vd.shape[:2], h // 2, 2, w // 2, 2).mean((3, 5)))
        found = f(images)
        for have, want in zip(found, (_convolved(vp, ws[2]), vm.mean((2, 3)), vc.sum())):
            # a sum that lies between two numbers of bfloat16 may be rounded otherwise
            np.testing.assert_allclose(have, want, rtol=2e-2, atol=2e-2 * np.abs(want).max())
            assert np.sqrt(np.mean((have - want) ** 2)) < 2e-3 * np.sqrt(np.mean(want**2))


@pytest.mark.parametrize("mode", ["max", "average_inc_pad", "average_exc_pad", "sum"])
def test_pooling(device: str, mode: str) -> None:
    """Windows that overlap and leave the image."""
    x = T.tensor("float32", shape=(None, 32, 7, 6))
    identity = np.eye(32, dtype="float32")[:, :, None, None]
    pooled = pool_2d(_conv(x, identity), (3, 2), ignore_border=True, stride=(2, 1), pad=(1, 0), mode=mode)
    f = symc.function([x], _conv(pooled, identity), device=device)
    assert "pool2d_blocks{" in _ops(f)
    images = _rounded(rng.normal(size=(2, 32, 7, 6))).astype("float32")
    pooled = pool_2d(x, (3, 2), ignore_border=True, stride=(2, 1), pad=(1, 0), mode=mode)
    plain = symc.function([x], pooled, device="interp")
    np.testing.assert_array_equal(f(images), _rounded(plain(images)).astype("float32"))


@pytest.mark.parametrize("mode", ["max", "average_inc_pad", "average_exc_pad", "sum"])
def test_pooling_of_special_values(device: str, mode: str) -> None:
    """Infinities and NaN of one channel stay in that channel, as in pooling of float32."""
    images = _rounded(rng.normal(size=(2, 32, 7, 6))).astype("float32")
    for k, value in enumerate([np.nan, np.inf, -np.inf, -0.0, 3e38]):
        images[k % 2, 3 * k :: 16, k, k] = value
    images[1, 31] = -np.inf
    images = _rounded(images).astype("float32")
    windows = {"window": (3, 2), "stride": (2, 1), "pad": (1, 0), "ignore_border": True, "mode": mode}
    bits = T.tensor("uint16", shape=(None, 1, None, None, 32))
    f = symc.function([bits], Op(POOL_BLOCKS, **windows)(bits), device=device)
    found = values_of(f(bits_of(images.transpose(0, 2, 3, 1)[:, None])))[:, 0].transpose(0, 3, 1, 2)
    x = T.tensor4("x")
    pooled = pool_2d(x, (3, 2), ignore_border=True, stride=(2, 1), pad=(1, 0), mode=mode)
    plain = symc.function([x], pooled, device="interp")(images)
    np.testing.assert_array_equal(found, values_of(bits_of(plain)))
    assert not np.isfinite(found[0, 0]).all() and np.isfinite(found[0, 1]).all()


@pytest.mark.parametrize(("stride", "dilation"), [((1, 1), (1, 1)), ((2, 1), (1, 1)), ((2, 3), (1, 2))])
def test_several_images_and_many_filters(stride: tuple[int, int], dilation: tuple[int, int]) -> None:
    """Images of a few pixels share a pass over the filters; strided windows lie in planes."""
    x = T.tensor("uint16", shape=(None, 8, 9, 8, 32))
    w = _weights(256, 256, 3, 3)
    given = {"pad": ((1, 1), (0, 1)), "stride": stride, "dilation": dilation, "groups": 1, "flip": False}
    f = symc.function([x], Op(CONV2D_BLOCKS, **given, pool=(1, 1), channels=256)(x, symc.shared(w)), device="c")
    images = bits_of(rng.normal(size=(3, 8, 9, 8, 32)).astype("float32"))
    plain = values_of(images).transpose(0, 1, 4, 2, 3).reshape(3, 256, 9, 8)
    spread = np.zeros((256, 256, 3, 2 * dilation[1] + 1), "float32")
    spread[..., :: dilation[1]] = w
    want = _convolved(np.pad(plain, [(0, 0), (0, 0), (1, 1), (0, 1)]), spread)
    want = want[:, :, :: stride[0], :: stride[1]]
    found = f(images).transpose(0, 1, 4, 2, 3).reshape(3, 256, *want.shape[2:])
    np.testing.assert_allclose(found, want, atol=2e-5)


@pytest.mark.parametrize("window", [(2, 2), (3, 2), (1, 4)])
@pytest.mark.parametrize("shape", [(3, 9, 8), (64, 41, 66)])
def test_convolutions_pool_themselves(device: str, shape: tuple[int, int, int], window: tuple[int, int]) -> None:
    """Windows that do not overlap: results equal those of pooling by itself, also with NaN and borders left out."""
    if device == "interp" and shape[1] > 9:
        pytest.skip("the interpreter has no bands")
    x = T.tensor("float32", shape=(None, shape[0], None, None))
    bias = symc.shared(_bias(32)).dimshuffle("x", 0, "x", "x")
    maps = T.minimum(T.nnet.relu(_conv(x, _weights(32, shape[0], 3, 3)) + bias), 2)
    last = _weights(32, 32, 1, 1)
    pooled = _conv(pool_2d(maps, window, ignore_border=True), last)
    f = symc.function([x], pooled, device=device)
    g = symc.function([x], [pooled, maps.sum()], device=device)
    assert "pool2d_blocks{" not in _ops(f) and f"pool={window}" in _ops(f) and "pool2d_blocks{" in _ops(g)
    images = rng.normal(size=(2, *shape)).astype("float32")
    # two algorithms may round a sum that lies between two numbers of bfloat16 to different ones
    np.testing.assert_allclose(f(images), g(images)[0], atol=2e-2)
    symc.config.conv_algorithm = "blocks"
    images[1, 0, 4, 3] = np.nan
    np.testing.assert_array_equal(f(images), g(images)[0])
    assert np.isnan(f(images)[1]).any() and np.isfinite(f(images)[0]).all()


FILTERED = [  # images, channels, rows, columns, filters, taps, stride, padding, dilation, windows of maxima
    (1, 32, 1, 1, 32, (3, 3), (1, 1), 1, 1, (1, 1)),
    (2, 64, 9, 13, 96, (3, 3), (1, 1), 1, 1, (1, 1)),
    (3, 96, 14, 7, 32, (3, 3), (1, 1), 0, 1, (2, 2)),
    (1, 32, 41, 66, 64, (3, 3), (1, 1), 1, 1, (4, 2)),
    (2, 32, 11, 12, 32, (5, 5), (1, 1), 2, 1, (2, 1)),
    (1, 64, 10, 15, 32, (3, 3), (1, 1), 2, 2, (1, 1)),
    (2, 32, 15, 10, 32, (3, 3), (2, 2), 1, 1, (1, 1)),
    (1, 32, 5, 23, 32, (1, 7), (1, 1), 0, 1, (1, 1)),
    (1, 32, 17, 6, 64, (4, 2), (1, 1), 1, 1, (1, 1)),
]


def _depthwise(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Of operands rounded to bfloat16, 3x3 with a border of one pixel, in float64."""
    x = np.pad(_rounded(x), [(0, 0), (0, 0), (1, 1), (1, 1)])
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))
    return np.einsum("nchwrs,crs->nchw", windows, _rounded(w)[:, 0])


@pytest.mark.parametrize("channels", [(24, 48, 50), (32, 23, 96), (31, 63, 17)])
def test_channels_that_fill_no_blocks(device: str, channels: tuple[int, int, int]) -> None:
    """Convolutions read zeros in the lanes behind the last channel, whatever is computed there."""
    a, b, c = channels
    ws = [_weights(a, 3, 3, 3), _weights(a, 1, 3, 3), _weights(b, a, 1, 1), _weights(b, b, 3, 3), _weights(c, b, 1, 1)]
    biases = [_bias(len(w)) + 20 * (k == 3) for k, w in enumerate(ws)]
    x = T.tensor("float32", shape=(None, 3, None, None))

    def layer(v: T.Variable, k: int, **given: object) -> T.Variable:
        return _conv(v, ws[k], **given) + symc.shared(biases[k]).dimshuffle("x", 0, "x", "x")

    v0 = T.clip(layer(x, 0, border_mode=1, subsample=(2, 2)), 0, 6)
    v1 = T.clip(layer(v0, 1, border_mode=1, num_groups=a), 0, 6)
    v2 = layer(v1, 2)
    v3 = T.log(layer(v2, 3, border_mode=1)) + v2  # infinite in the lanes that are no channels
    v4 = layer(pool_2d(v3 * 3 + v2, (2, 2), ignore_border=True), 4)
    f = symc.function([x], [v4, v3.sum((2, 3))], device=device)
    assert _ops(f).count("conv2d_blocks{") >= 4 and "conv2d{" not in _ops(f)
    for shape in ((2, 3, 17, 13), (1, 3, 4, 4)):
        images = rng.normal(size=shape).astype("float32")

        def biased(v: np.ndarray, k: int) -> np.ndarray:
            return v + biases[k][:, None, None]

        n0 = _rounded(np.clip(biased(_convolved(images, ws[0], 2, 1), 0), 0, 6))
        n1 = _rounded(np.clip(biased(_depthwise(n0, ws[1]), 1), 0, 6))
        n2 = _rounded(biased(_convolved(n1, ws[2]), 2))
        n3 = _rounded(np.log(biased(_convolved(n2, ws[3], 1, 1), 3)) + n2)
        n4 = _rounded(n3 * 3 + n2)
        h, w = (n // 2 * 2 for n in n4.shape[2:])
        n4 = n4[:, :, :h, :w].reshape(*n4.shape[:2], h // 2, 2, w // 2, 2).max((3, 5))
        for have, want in zip(f(images), (biased(_convolved(n4, ws[4]), 4), n3.sum((2, 3)))):
            assert have.shape == want.shape
            assert np.sqrt(np.mean((have - want) ** 2)) < 3e-3 * np.sqrt(np.mean(want**2))


def test_infinity_beside_channels_that_fill_no_blocks(device: str) -> None:
    """An infinite sum that is clipped leaves all others as they are."""
    symc.config.conv_algorithm = "blocks"
    x = T.tensor("float32", shape=(None, 32, None, None))
    y = T.clip(_conv(x, np.ones((24, 32, 1, 1), "float32")), -1, 1)
    depth = np.ones((24, 1, 1, 1), "float32")
    z = _conv(T.clip(_conv(y, depth, num_groups=24), -1, 1), _weights(32, 24, 1, 1))
    f = symc.function([x], z, device=device)
    assert "conv2d_blocks{" in _ops(f) and "conv2d{" not in _ops(f)
    images = np.full((1, 32, 2, 2), 0.5, "float32")
    want = f(images)
    images[0, 3, 0, 1] = np.inf
    np.testing.assert_array_equal(f(images), want)


DEPTHWISE = [  # images, channels, rows, columns, taps, stride, padding, dilation, flipped
    (1, 32, 1, 1, (3, 3), (1, 1), (1, 1), (1, 1), False),
    (2, 96, 9, 13, (3, 3), (1, 1), (1, 1), (1, 1), False),
    (3, 64, 14, 7, (3, 3), (2, 2), (1, 1), (1, 1), True),
    (1, 32, 41, 66, (5, 5), (1, 1), (2, 2), (1, 1), False),
    (2, 32, 12, 15, (5, 5), (2, 2), (2, 2), (1, 1), False),
    (1, 64, 10, 15, (3, 3), (1, 1), (2, 2), (2, 2), True),
    (2, 32, 15, 10, (4, 2), (3, 1), (1, 0), (1, 1), True),
    (1, 32, 5, 230, (1, 7), (1, 2), (0, 3), (1, 1), False),
    (1, 64, 6, 6, (6, 6), (1, 1), (0, 0), (1, 1), False),
    (1, 32, 3, 4, (3, 3), (1, 2), (4, 5), (1, 3), False),
]


@pytest.mark.parametrize("case", DEPTHWISE)
def test_depthwise(device: str, case: tuple) -> None:
    """Each channel has a filter of its own."""
    n, c, h, w, taps, stride, pad, dilation, flip = case
    filters = _weights(c, 1, *taps)
    x = T.tensor("uint16", shape=(None, c // 32, None, None, 32))
    given = {"pad": tuple((p, p) for p in pad), "stride": stride, "dilation": dilation, "groups": c, "flip": flip}
    op = Op(CONV2D_BLOCKS, **given, pool=(1, 1), channels=c)
    f = symc.function([x], op(x, symc.shared(filters)), device=device)
    images = rng.normal(size=(n, c, h, w)).astype("float32")
    blocks = bits_of(np.ascontiguousarray(images.reshape(n, c // 32, 32, h, w).transpose(0, 1, 3, 4, 2)))
    padded = np.pad(_rounded(images), [(0, 0), (0, 0), *given["pad"]])
    span = [(m - 1) * d + 1 for m, d in zip(taps, dilation)]
    windows = np.lib.stride_tricks.sliding_window_view(padded, span, (2, 3))
    windows = windows[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    turned = _rounded(filters)[:, 0, :: -1 if flip else 1, :: -1 if flip else 1]
    want = np.einsum("nchwrs,crs->nchw", windows, turned)
    for found in (f(blocks), op.evaluate([blocks, filters])[0]):
        found = found.transpose(0, 1, 4, 2, 3).reshape(want.shape)
        np.testing.assert_allclose(found, want, atol=1e-5)
    blocks[0, 0, 0, 0, ::5] = bits_of(np.float32(np.inf))
    found = f(blocks).transpose(0, 1, 4, 2, 3).reshape(want.shape)
    others = [k for k in range(c) if k % 5 or k > 31]
    np.testing.assert_allclose(found[:, others], want[:, others], atol=1e-5)


@pytest.mark.parametrize("algorithm", ["winograd", "blocks"])
@pytest.mark.parametrize("case", FILTERED)
def test_algorithms(device: str, case: tuple, algorithm: str) -> None:
    """Minimal filtering of images in blocks, where matrix registers are not faster, and sums of products."""
    n, c, h, w, k, taps, stride, pad, dilation, window = case
    if device == "interp":
        pytest.skip("one algorithm")
    symc.config.conv_algorithm = algorithm
    filters = _weights(k, c, *taps)
    x = T.tensor("uint16", shape=(None, c // 32, None, None, 32))
    given = {"pad": ((pad, pad),) * 2, "stride": stride, "dilation": (dilation,) * 2, "groups": 1, "flip": False}
    op = Op(CONV2D_BLOCKS, **given, pool=window, channels=c)
    f = symc.function([x], op(x, symc.shared(filters)), device=device)
    images = rng.normal(size=(n, c, h, w)).astype("float32")
    blocks = images.reshape(n, c // 32, 32, h, w).transpose(0, 1, 3, 4, 2)
    found = f(bits_of(np.ascontiguousarray(blocks)))
    want = _convolved(images, filters, stride[0], pad, dilation)
    rows, columns = (size // m for size, m in zip(want.shape[2:], window))
    want = want[:, :, : rows * window[0], : columns * window[1]]
    want = want.reshape(n, k, rows, window[0], columns, window[1]).max((3, 5))
    found = found.transpose(0, 1, 4, 2, 3).reshape(want.shape)
    np.testing.assert_allclose(found, want, atol=2e-5)


FEW = [  # images, channels, rows, columns, filters, taps, strides, padding, dilations, windows of maxima, flipped
    (1, 3, 37, 41, 64, (7, 7), (2, 2), (3, 3), (1, 1), (1, 1), False),
    (2, 1, 20, 33, 32, (5, 5), (1, 1), (0, 2), (1, 1), (1, 1), True),
    (3, 2, 9, 8, 32, (3, 4), (1, 2), (1, 1), (2, 1), (2, 1), False),
    (1, 5, 23, 61, 96, (11, 11), (4, 4), (2, 5), (1, 1), (1, 1), True),
    (1, 3, 16, 30, 32, (2, 6), (3, 3), (1, 0), (1, 1), (1, 2), False),
    (2, 3, 4, 3, 32, (4, 5), (1, 1), (2, 2), (1, 1), (2, 2), True),
    (1, 7, 1, 260, 32, (1, 9), (1, 3), (0, 8), (1, 1), (1, 3), False),
    (1, 3, 12, 15, 32, (5, 5), (2, 1), (2, 2), (1, 2), (1, 1), False),
    (2, 3, 11, 14, 32, (3, 3), (2, 2), (1, 1), (1, 1), (1, 1), True),
]


@pytest.mark.parametrize("case", FEW)
def test_images_of_a_few_channels(device: str, case: tuple) -> None:
    """Odd and even numbers of taps and strides; what is infinite beside a filter's last column is not read."""
    n, c, h, w, k, taps, stride, pad, dilation, window, flip = case
    filters = _weights(k, c, *taps)
    x = T.tensor("float32", shape=(None, c, None, None))
    given = {"pad": tuple((p, p) for p in pad), "stride": stride, "dilation": dilation, "groups": 1, "flip": flip}
    op = Op(CONV2D_TO_BLOCKS, **given, pool=window, channels=k)
    f = symc.function([x], op(x, symc.shared(filters)), device=device)
    images = rng.normal(size=(n, c, h, w)).astype("float32")
    turned = _rounded(filters)[:, :, :: -1 if flip else 1, :: -1 if flip else 1]

    def wanted(images: np.ndarray) -> np.ndarray:
        padded = np.pad(_rounded(images), [(0, 0), (0, 0), *given["pad"]])
        span = [(m - 1) * d + 1 for m, d in zip(taps, dilation)]
        seen = np.lib.stride_tricks.sliding_window_view(padded, span, (2, 3))
        seen = seen[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
        sums = np.einsum("nchwrs,kcrs->nkhw", seen, turned)
        rows, columns = (size // m for size, m in zip(sums.shape[2:], window))
        sums = sums[:, :, : rows * window[0], : columns * window[1]]
        return sums.reshape(n, k, rows, window[0], columns, window[1]).max((3, 5))

    want = wanted(images)
    found = f(images).transpose(0, 1, 4, 2, 3).reshape(want.shape)
    np.testing.assert_allclose(found, want, atol=1e-5)
    images[0, 0, h // 2, w // 2] = np.nan
    want = wanted(images)
    found = f(images).transpose(0, 1, 4, 2, 3).reshape(want.shape)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(want))


@pytest.mark.parametrize(("taps", "stride"), [(7, 2), (5, 1), (4, 2)])
def test_first_layers(device: str, taps: int, stride: int) -> None:
    """A bias and bounds are applied as the last products are added, and another convolution's maps are added."""
    x = T.tensor("float32", shape=(None, 3, None, None))
    ws, bias = [_weights(64, 3, taps, taps), _weights(64, 3, taps, taps), _weights(32, 64, 1, 1)], _bias(64)
    first = T.clip(_conv(x, ws[0], subsample=(stride, stride)) + symc.shared(bias).dimshuffle("x", 0, "x", "x"), -1, 2)
    both = T.nnet.relu(_conv(x, ws[1], subsample=(stride, stride)) + first)
    f = symc.function([x], [_conv(both, ws[2]), both.sum()], device=device)
    assert _ops(f).count("conv2d_to_blocks{") >= 2
    images = rng.normal(size=(2, 3, 21, 45)).astype("float32")
    v = _rounded(np.clip(_convolved(images, ws[0], stride) + bias[:, None, None], -1, 2))
    v = _rounded(np.maximum(_convolved(images, ws[1], stride) + v, 0))
    for have, want in zip(f(images), (_convolved(v, ws[2]), v.sum())):  # either map may be rounded
        assert np.sqrt(np.mean((have - want) ** 2)) < 4e-3 * np.sqrt(np.mean(want**2))


@pytest.mark.parametrize("taps", [(1, 1), (3, 2)])
def test_channels_that_are_zero(device: str, taps: tuple[int, int]) -> None:
    """Products with filters of zeros behind the last channel are left out."""
    symc.config.conv_algorithm = "blocks"
    images = rng.normal(size=(2, 2, 7, 9, 32)).astype("float32")
    plain = images.transpose(0, 1, 4, 2, 3).reshape(2, 64, 7, 9)
    x = T.tensor("uint16", shape=(None, 2, None, None, 32))
    w = symc.shared(_weights(64, 64, *taps))
    given = {"pad": ((0, 0), (0, 0)), "stride": (1, 1), "dilation": (1, 1), "groups": 1, "flip": False, "pool": (1, 1)}
    for channels in (33, 40, 41, 56, 63):
        filters = _weights(64, 64, *taps)
        filters[:, channels:] = 0
        w.set_value(filters)
        f = symc.function([x], Op(CONV2D_BLOCKS, **given, channels=channels)(x, w), device=device)
        want = _convolved(plain, filters)
        found = f(bits_of(images)).transpose(0, 1, 4, 2, 3).reshape(want.shape)
        np.testing.assert_allclose(found, want, atol=2e-5)


def test_reference_implementations() -> None:
    """The NumPy implementations of the three ops, which explain them."""
    images, w = rng.normal(size=(2, 64, 5, 4)).astype("float32"), _weights(32, 64, 3, 2)
    given = {"pad": ((1, 1), (0, 0)), "stride": (2, 1), "dilation": (1, 1), "groups": 1, "flip": False, "pool": (1, 1)}
    given["channels"] = 64
    want = _convolved(np.pad(images, [(0, 0), (0, 0), (1, 1), (0, 0)]), w)[:, :, ::2]

    def blocks(x: np.ndarray) -> np.ndarray:
        return x.reshape(len(x), -1, 32, *x.shape[2:]).transpose(0, 1, 3, 4, 2)

    for op, x in ((CONV2D_BLOCKS, bits_of(blocks(images))), (CONV2D_TO_BLOCKS, images)):
        np.testing.assert_allclose(Op(op, **given).evaluate([x, w])[0], blocks(want), atol=1e-5)
    found = Op(CONV2D_TO_BLOCKS, **{**given, "pool": (2, 3)}).evaluate([images, w])[0]
    np.testing.assert_allclose(found, blocks(want[:, :, :2, :3].max((2, 3), keepdims=True)), atol=1e-5)
    pooling = {"window": (2, 2), "stride": (2, 2), "pad": (0, 0), "ignore_border": True, "mode": "max"}
    found = Op(POOL_BLOCKS, **pooling).evaluate([bits_of(blocks(images))])[0]
    want = _rounded(images)[:, :, :4].reshape(2, 64, 2, 2, 2, 2).max((3, 5))
    np.testing.assert_array_equal(values_of(found), blocks(want).astype("float32"))


def test_what_stays_as_it_is(device: str) -> None:
    """Groups, odd numbers of channels, single convolutions, gradients and other precisions."""
    x = T.tensor("float32", shape=(2, 32, 5, 5))
    one = _conv(x, _weights(32, 32, 3, 3))
    assert "blocks{" not in _ops(symc.function([x], one, device=device))
    for odd in (
        _conv(T.tanh(_conv(x, _weights(12, 32, 1, 1))), _weights(32, 12, 1, 1)),  # most lanes would be no channels
        _conv(T.tanh(_conv(x, _weights(32, 8, 1, 1), num_groups=4)), _weights(32, 8, 1, 1), num_groups=4),
    ):
        assert "blocks{" not in _ops(symc.function([x], odd, device=device))
    two = _conv(T.tanh(one), _weights(32, 32, 1, 1))
    assert "blocks{" not in _ops(symc.function([x], symc.grad(two.sum(), x), device=device))
    f = symc.function([x], two, device=device)
    assert _ops(f).count("conv2d_blocks{") >= 2
    symc.config.cpu_precision = "float32"
    images = rng.normal(size=(2, 32, 5, 5)).astype("float32")
    g = symc.function([x], two, device=device)
    assert "blocks{" not in _ops(g)
    np.testing.assert_allclose(f(images), g(images), atol=2e-2 * np.abs(g(images)).max())
