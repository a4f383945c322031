"""Programs that are run under AddressSanitizer and UndefinedBehaviorSanitizer.

A program is a function without arguments that yields pairs of what symc found and what is right. ``test_sanitizers.py``
runs all of them in one process, whose generated code and run-time library are instrumented, and reports each by its
name. Arrays should have odd sizes, and exactly the memory they need.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import symc
import symc.tensor as T

PROGRAMS: dict[str, Callable[[], Iterator[tuple[Any, Any]]]] = {}
rng = np.random.default_rng(5)


def program(make):
    """Enter a function into the list."""
    PROGRAMS[make.__name__] = make
    return make


def draw(*shape: int, dtype: str = "float32") -> np.ndarray:
    return rng.uniform(-1, 1, shape).astype(dtype)


SIZES = (0, 1, 3, 15, 16, 17, 31, 33, 63, 65, 129, 1025)


@program
def elementwise():
    x, y, k = T.vector("x"), T.dvector("y"), T.lvector("k")
    f = symc.function([x, y, k], [T.exp(x) * x + 1, T.tanh(y) / (1 + y * y), k * 3 - x, T.switch(k > 1, x, y)])
    for n in SIZES:
        a, b, c = draw(n), draw(n, dtype="float64"), rng.integers(-3, 4, n)
        wanted = (np.exp(a) * a + 1, np.tanh(b) / (1 + b * b), c * 3 - a, np.where(c > 1, a, b))
        yield from zip(f(a, b, c), wanted)


@program
def small_integers():
    x, y, b = T.vector("x", "int8"), T.vector("y", "uint16"), T.vector("b", "bool")
    f = symc.function([x, y, b], [x * x, x // 3, x % 5, y + y, T.invert(b), b & (x > 0), x.max(), y.min(), b.any()])
    for n in SIZES[1:]:
        i, j, c = rng.integers(-9, 9, n).astype("int8"), rng.integers(0, 99, n).astype("uint16"), rng.random(n) < 0.5
        yield from zip(f(i, j, c), (i * i, i // 3, i % 5, j + j, ~c, c & (i > 0), i.max(), j.min(), c.any()))


@program
def broadcasts_and_transposes():
    x, row, col = T.matrix("x"), T.row("row"), T.col("col")
    f = symc.function([x, row, col], [x + row * col, x.T - col.T, (x.T * 2).reshape((-1,)), T.concatenate([x, row])])
    for n, m in ((1, 1), (3, 17), (65, 33), (0, 5), (5, 0)):
        a, r, c = draw(n, m), draw(1, m), draw(n, 1)
        yield from zip(f(a, r, c), (a + r * c, a.T - c.T, (a.T * 2).reshape(-1), np.concatenate([a, r])))


@program
def tiles_of_transposed_operands():
    x, colours = T.matrix("x"), T.tensor("float32", shape=(None, 7))
    turned, both = symc.function([x], x.T * 2), symc.function([x], [x - x.T, x * 2 + x.T])
    for n, m in ((1030, 1021), (1, 700_001), (17, 65_537)):
        a = draw(n, m)
        yield turned(a), a.T * 2
    for n in (0, 1, 65, 193, 577, 1027):
        a = draw(n, n)
        yield from zip(both(a), (a - a.T, a * 2 + a.T))
    few = symc.function([colours], colours[:, [6, 0, 3]])
    for n in (0, 1, 17, 1001):
        a = draw(n, 7)
        yield few(a), a[:, [6, 0, 3]]


@program
def reductions():
    x = T.tensor3("x")
    axes = [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]
    sums = symc.function([x], [x.sum(axis=a) for a in axes])
    others = symc.function([x], [x.max(axis=0), x.min(axis=2), x.argmax(axis=1), x.prod(axis=(0, 2)), x.std(axis=1)])
    for shape in ((1, 1, 1), (3, 5, 7), (33, 2, 17), (2, 65, 1), (1, 3, 1030), (1100, 3, 1), (40, 40, 40)):
        a = draw(*shape)
        exact = a.astype("float64")
        yield from zip(sums(a), [exact.sum(axis=axis) for axis in axes])
        yield from zip(others(a), (a.max(0), a.min(2), a.argmax(1), exact.prod((0, 2)), exact.std(1)))
    for shape in ((0, 3, 5), (3, 0, 5), (3, 5, 0)):
        yield from zip(sums(np.zeros(shape, "float32")), [np.zeros(shape).sum(axis=axis) for axis in axes])


@program
def sums_in_double_precision():
    x = T.dmatrix("x")
    f = symc.function([x], [x.sum(axis=0), x.sum(axis=1), (x * x).sum()])
    for n, m in ((1, 1), (7, 700), (700, 7), (130, 129)):
        a = draw(n, m, dtype="float64")
        yield from zip(f(a), (a.sum(0), a.sum(1), (a * a).sum()))


@program
def softmax_and_its_gradient():
    x, k = T.matrix("x"), T.ivector("k")
    loss = T.nnet.categorical_crossentropy(T.nnet.softmax(x), k).mean()
    f = symc.function([x, k], [T.nnet.softmax(x), loss, symc.grad(loss, x)])
    for n, m in ((1, 3), (5, 17), (33, 10)):
        a, c = draw(n, m), rng.integers(0, m, n).astype("int32")
        p = np.exp(a) / np.exp(a).sum(1, keepdims=True)
        yield from zip(f(a, c), (p, -np.log(p[range(n), c]).mean(), (p - np.eye(m)[c]) / n))


@program
def gathers_and_scatters():
    x, y, k, m = T.matrix("x"), T.matrix("y"), T.lvector("k"), T.lvector("m")
    outputs = [x[k], x[:, m], x[k, m], T.inc_subtensor(x[k], y), T.set_subtensor(x[1:-1:2], 0), x[::-1, 1:]]
    outputs.append(symc.grad((x[k] * y).sum(), x))
    f = symc.function([x, y, k, m], outputs)
    for rows, cols, n in ((3, 5, 7), (17, 33, 1), (9, 1, 65)):
        a, b = draw(rows, cols), draw(n, cols)
        i, j = rng.integers(-rows, rows, n), rng.integers(-cols, cols, n)
        added, cut, back = a.copy(), a.copy(), np.zeros_like(a)
        np.add.at(added, i, b)
        cut[1:-1:2] = 0
        np.add.at(back, i, b)
        yield from zip(f(a, b, i, j), (a[i], a[:, j], a[i, j], added, cut, a[::-1, 1:], back))


@program
def sums_of_shifted_parts():
    """Frames with several values: rows with and without all of them, and parts that leave nothing inside."""
    x = T.fmatrix("x")
    parts = [(slice(i, i - 2 or None), slice(j, j - 2 or None)) for i in range(3) for j in range(3)]
    f = symc.function([x], [T.grad(T.sqr(sum(x[p] for p in parts)).sum(), x), T.roll(x, (1, -2), (0, 1)) * 2])
    for shape in ((2, 2), (3, 3), (2, 50), (40, 3), (17, 33), (70, 130)):
        a = draw(*shape)
        inner = sum(a[p] for p in parts)
        want = np.zeros_like(a)
        for p in parts:
            want[p] += 2 * inner
        yield from zip(f(a), (want, np.roll(a, (1, -2), (0, 1)) * 2))


@program
def an_index_out_of_range():
    """The call ends in an error and leaves everything alone."""
    x, k = T.vector("x"), T.lvector("k")
    w = symc.shared(np.arange(5, dtype="float32"), "w")
    f = symc.function([x, k], x[k], updates={w: w + 1})
    for wrong in (5, -6, 2**40, -(2**62)):
        try:
            f(np.zeros(5, "float32"), np.array([0, wrong]))
        except IndexError:
            yield w.get_value(), np.arange(5)
        else:
            raise AssertionError(f"index {wrong} was accepted")


@program
def products():
    x, y, v, a, b = T.matrix("x"), T.matrix("y"), T.vector("v"), T.tensor3("a"), T.tensor3("b")
    f = symc.function([x, y, v], [T.dot(x, y), T.dot(x, v), T.dot(v, y), T.dot(v, v), T.dot(x.T, x)])
    batched = symc.function([a, b], T.batched_dot(a, b))
    for n, k, m in ((1, 1, 1), (3, 5, 7), (17, 33, 65), (0, 3, 2), (2, 3, 0), (130, 70, 31)):
        p, q, r = draw(n, k), draw(k, m), draw(k)
        yield from zip(f(p, q, r), (p @ q, p @ r, r @ q, r @ r, p.T @ p))
        p, q = draw(3, n, k), draw(3, k, m)
        yield batched(p, q), p @ q


@program
def products_in_blocks_of_rows():
    """Scores that are larger than a cache: of several matrices with masks, of one, and only the best of each row."""
    q, k, v, m = T.tensor3("q"), T.tensor3("k"), T.tensor3("v"), T.matrix("m")
    x, y = T.matrix("x"), T.matrix("y")
    scores = T.batched_dot(q, k.dimshuffle(0, 2, 1)) + m.dimshuffle(0, "x", 1)
    f = symc.function([q, k, v, m], T.batched_dot(T.nnet.softmax(scores, axis=-1), v))
    g = symc.function([x, y], T.max(T.dot(x, y.T), axis=1))
    for b, n, s in ((2, 301, 700), (1, 1031, 517)):
        a, c, d, e = draw(b, n, 5), draw(b, s, 5), draw(b, s, 3), draw(b, s)
        p = np.exp(a @ c.swapaxes(1, 2) + e[:, None])
        yield f(a, c, d, e), p / p.sum(2, keepdims=True) @ d
        yield g(a[0], c[0]), (a[0] @ c[0].T).max(1)


@program
def products_with_much_to_multiply():
    """Packed panels, and parts of bfloat16 where the processor has matrix registers."""
    x, y = T.matrices("xy")
    w = symc.shared(draw(301, 330))
    f = symc.function([x, y], [T.dot(x, y), T.dot(x, w)])
    turned = symc.function([x, y], [T.dot(x.T, y.T)])
    states, _ = symc.scan(lambda h, y: T.tanh(T.dot(h, y) * 0.1), outputs_info=x, non_sequences=y, n_steps=20)
    loop = symc.function([x, y], states[-1])
    for n, k, m in ((70, 301, 131), (229, 301, 497), (133, 301, 300)):
        a, b = draw(n, k), draw(k, m)
        yield from zip(f(a, b), (a @ b, a @ w.get_value()))
        yield turned(a.T.copy(), b.T.copy())[0], a @ b
        a[n - 1, k - 1] = np.inf
        yield np.isfinite(f(a, b)[0]).sum(), (n - 1) * m
    a, b = draw(35, 99), draw(99, 99)
    wanted = a
    for _ in range(20):
        wanted = np.tanh(wanted @ b * np.float32(0.1))
    yield loop(a, b), wanted


def correlated(a, w, pad, step):
    """A convolution by its definition."""
    a = np.pad(a.astype("float64"), ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    height, width = ((n - m) // step + 1 for n, m in zip(a.shape[2:], w.shape[2:]))
    out = np.zeros((len(a), len(w), height, width))
    for i, j in np.ndindex(height, width):
        piece = a[:, :, i * step : i * step + w.shape[2], j * step : j * step + w.shape[3]]
        out[:, :, i, j] = np.tensordot(piece, w[:, :, ::-1, ::-1], ((1, 2, 3), (1, 2, 3)))
    return out


@program
def convolutions():
    x, w = T.tensor4("x"), T.tensor4("w")
    for size, pad, step, images, channels, filters, n in (
        (3, 1, 1, 2, 3, 5, 9), (3, 0, 1, 1, 1, 1, 5), (5, 2, 2, 3, 2, 17, 11), (1, 0, 1, 2, 5, 3, 7),
        (4, 0, 3, 1, 3, 4, 13), (3, 1, 1, 2, 24, 3, 19), (5, 2, 1, 1, 40, 2, 13), (3, 1, 1, 3, 20, 6, 7),
        (3, 1, 2, 19, 40, 9, 8), (4, 2, 3, 16, 6, 5, 9), (1, 0, 1, 17, 20, 13, 1),
    ):  # fmt: skip
        y = T.nnet.conv2d(x, w, border_mode=pad, subsample=(step, step))
        f = symc.function([x, w], [y, *symc.grad((y * y).sum() / 2, [x, w])])
        a, b = draw(images, channels, n, n), draw(filters, channels, size, size)
        out, by_x, by_w = f(a, b)
        wanted = correlated(a, b, pad, step)
        yield out, wanted
        bump_x, bump_w = draw(*a.shape), draw(*b.shape)
        yield (by_x * bump_x).sum(), (wanted * correlated(bump_x, b, pad, step)).sum()
        yield (by_w * bump_w).sum(), (wanted * correlated(a, bump_w, pad, step)).sum()


@program
def convolutions_of_few_channels_with_strides():
    """Minimal filtering with the pixels of all remainders as lanes."""
    x, w = T.tensor4("x"), T.tensor4("w")
    for size, pad, step, channels, n in ((11, 5, 4, 3, 40), (7, 3, 2, 2, 31), (9, 0, 3, 1, 20)):
        with symc.config.change(conv_algorithm="winograd"):
            f = symc.function([x, w], T.nnet.conv2d(x, w, border_mode=pad, subsample=(step, step)))
            a, b = draw(2, channels, n, n - 2), draw(33, channels, size, size)
            yield f(a, b), correlated(a, b, pad, step)


@program
def convolutions_with_taps_far_apart():
    """Rows of taps beside the images are left out; groups by strips of pixels, and side by side."""
    x, w = T.tensor4("x"), T.tensor4("w")
    y = T.nnet.relu(T.nnet.conv2d(x, w, border_mode=10, filter_dilation=(9, 9)))
    a, b = draw(1, 17, 16, 18), draw(19, 17, 3, 2)
    spread = np.zeros((19, 17, 19, 10), a.dtype)
    spread[:, :, ::9, ::9] = b
    yield symc.function([x, w], y)(a, b), np.maximum(correlated(a, spread, 10, 1), 0)
    for groups, size, n in ((18, 5, 35), (9, 1, 12)):
        f = symc.function([x, w], T.nnet.conv2d(x, w, border_mode=size // 2, num_groups=groups))
        a, b = draw(1, 4 * groups, n, n), draw(6 * groups, 4, size, size)
        pieces = zip(np.split(a, groups, 1), np.split(b, groups))
        yield f(a, b), np.concatenate([correlated(v, u, size // 2, 1) for v, u in pieces], 1)


@program
def convolutions_whose_pixels_all_read_all():
    x, w, g = T.tensor4s("x", "w", "g")
    for images, channels, filters, n, size in ((50, 5, 7, 2, 3), (33, 3, 18, 1, 4)):
        y = T.nnet.conv2d(x, w, border_mode="half" if size == 3 else 3)
        a, b = draw(images, channels, n, n), draw(filters, channels, size, size)
        wanted = correlated(a, b, 1 if size == 3 else 3, 1)
        c = draw(*wanted.shape)
        f = symc.function([x, w, g], [y, *symc.grad(None, [x, w], known_grads={y: g})])
        found = f(a, b, c)
        yield found[0], wanted
        yield (found[1] * a).sum(), (wanted * c).sum()  # both are linear in the images, and in the filters
        yield (found[2] * b).sum(), (wanted * c).sum()


@program
def convolutions_of_which_the_maxima_are_stored():
    x = T.tensor4("x")
    for algorithm, size, n in (("winograd", 3, 13), ("winograd", 5, 12), ("panels", 3, 9)):
        with symc.config.change(conv_algorithm=algorithm):
            w = symc.shared(draw(33, 17, size, size))
            f = symc.function(
                [x], T.signal.pool.pool_2d(T.nnet.conv2d(x, w, border_mode=1), (2, 2), ignore_border=True)
            )
            a = draw(2, 17, n, n + 1)
            wanted = correlated(a, w.get_value(), 1, 1)
            high, wide = (k // 2 for k in wanted.shape[2:])
            yield f(a), wanted[:, :, : 2 * high, : 2 * wide].reshape(2, 33, high, 2, wide, 2).max((3, 5))


@program
def convolutions_with_much_to_multiply():
    """Minimal filtering and direct sums, in parts of bfloat16 where the processor has matrix registers."""
    x = T.tensor4("x")
    a = draw(1, 160, 30, 31)
    for step, filters in ((1, 150), (2, 100)):
        w = symc.shared(draw(filters, 160, 3, 3))
        f = symc.function([x], T.nnet.conv2d(x, w, border_mode=1, subsample=(step, step)))
        yield f(a), correlated(a, w.get_value(), 1, step)
        bad = a.copy()
        bad[0, 159, 29, 30] = np.inf
        yield np.isfinite(f(bad)[:, :, :10]).all(), True


@program
def weight_gradients_with_much_to_multiply():
    """Minimal filtering in parts of bfloat16 where the processor has matrix registers; sums of few outer products."""
    x, w = T.tensor4("x"), T.tensor4("w")
    y = T.nnet.conv2d(x, w, border_mode=1)
    f = symc.function([x, w], symc.grad((y * y).sum() / 2, w))
    a, b, bump = draw(2, 170, 28, 27), draw(180, 170, 3, 3) / 40, draw(180, 170, 3, 3)
    out = correlated(a, b, 1, 1)
    yield (f(a, b) * bump).sum() / 1e4, (out * correlated(a, bump, 1, 1)).sum() / 1e4
    m, g = T.matrix("m"), T.matrix("g")
    p = draw(613, 331)
    kept = symc.shared(p.copy())
    update = symc.function([m, g], [], updates=[(kept, kept * 0.9 - 0.1 * T.dot(m.T, g))])
    a, b = draw(5, 613), draw(5, 331)
    update(a, b)
    yield kept.get_value(), p * np.float32(0.9) - np.float32(0.1) * (a.T @ b)


@program
def convolutions_that_follow_one_another():
    """In bands of rows; and as bfloat16 in blocks of channels where the processor has matrix registers."""
    x = T.tensor("float32", shape=(None, 32, None, None))
    first, each, last = draw(70, 32, 1, 1) / 8, draw(70, 1, 3, 3) / 3, draw(32, 70, 1, 1) / 8
    y = T.nnet.relu(T.nnet.conv2d(x, symc.shared(first)))
    y = T.nnet.relu(T.nnet.conv2d(y, symc.shared(each), num_groups=70, border_mode=1))
    a = draw(1, 32, 31, 29)
    with symc.config.change(conv_algorithm="bands"):
        found = symc.function([x], T.nnet.conv2d(y, symc.shared(last)) + x)(a)
    h = np.maximum(correlated(a, first, 0, 1), 0)
    h = np.concatenate([correlated(h[:, k : k + 1], each[k : k + 1], 1, 1) for k in range(70)], 1)
    yield found, correlated(np.maximum(h, 0), last, 0, 1) + a
    full = draw(64, 32, 3, 3) / 17
    y = T.nnet.relu(T.nnet.conv2d(x, symc.shared(full), border_mode=1))
    y = T.nnet.conv2d(T.signal.pool.pool_2d(y, (2, 2), ignore_border=True), symc.shared(draw(32, 64, 1, 1) / 8))
    plain = symc.function([x], y.mean((2, 3)))(a)
    with symc.config.change(cpu_precision="bfloat16"):
        yield symc.function([x], y.mean((2, 3)))(a) / 100, plain / 100  # bfloat16 has 8 bits


@program
def operands_rounded_to_bfloat16():
    """By vectors or matrix registers, where the processor has them; whole numbers below 256 are exact."""
    x, w, g = T.tensor4s("x", "w", "g")
    m, k = T.matrix("m"), symc.shared(rng.integers(-3, 4, (77, 35)).astype("float32"))
    product = symc.function([m], [T.dot(m, k), T.dot(m.T, m)])
    with symc.config.change(cpu_precision="bfloat16", conv_accuracy="strict"):
        for rows in (1, 5, 49, 131):
            a = rng.integers(-3, 4, (rows, 77)).astype("float32")
            yield from zip(product(a), (a @ k.get_value(), a.T @ a))
        for images, channels, filters, taps, pad, step, n in (
            (1, 16, 19, 3, 1, 1, 13), (3, 50, 33, 1, 0, 2, 9), (2, 17, 64, 5, 2, 2, 11), (9, 32, 48, 3, 0, 1, 7),
        ):  # fmt: skip
            y = T.nnet.conv2d(x, w, border_mode=pad, subsample=(step, step))
            f = symc.function([x, w, g], [T.maximum(y, 0.5), *symc.grad(None, [x, w], known_grads={y: g})])
            shapes = (images, channels, n, n), (filters, channels, taps, taps)
            a, b, bump_x, bump_w = (rng.integers(-2, 3, shape).astype("float32") for shape in shapes * 2)
            wanted = correlated(a, b, pad, step)
            out = rng.integers(-2, 3, wanted.shape).astype("float32")
            found, by_x, by_w = f(a, b, out)
            yield found, np.maximum(wanted, 0.5)
            yield (by_x * bump_x).sum(dtype="float64"), (out * correlated(bump_x, b, pad, step)).sum()
            yield (by_w * bump_w).sum(dtype="float64"), (out * correlated(a, bump_w, pad, step)).sum()


@program
def maps_in_blocks_of_bfloat16():
    """First layers, depthwise ones, maxima and sums of small images; whole numbers below 256 are exact."""

    def layer(v, taps, filters, channels, **given):
        w = rng.integers(-1, 2, (filters, channels, taps, taps)).astype("float32")
        return T.clip(T.nnet.conv2d(v, symc.shared(w), border_mode=taps // 2, **given), -3, 4)

    for taps, step, window in ((7, 2, (3, 3)), (4, 3, (3, 2))):
        x = T.tensor("float32", shape=(None, 3, None, None))
        y = layer(x, taps, 64, 3, subsample=(step, step))
        y = T.signal.pool.pool_2d(y, window, ignore_border=True, stride=(2, 1))
        y = layer(layer(y, 3, 64, 1, num_groups=64), 3, 32, 64, subsample=(2, 1))
        y = layer(layer(y, 5, 32, 1, num_groups=32, subsample=(1, 2)), 1, 17, 32)
        many = [rng.integers(-1, 2, shape).astype("float32") for shape in ((1, 3, 37, 61), (3, 3, 19, 22))]
        with symc.config.change(conv_accuracy="strict"):
            plain = symc.function([x], y)
            wanted = [plain(images) for images in many]
            with symc.config.change(cpu_precision="bfloat16"):
                f = symc.function([x], y)
                yield from zip(map(f, many), wanted)


@program
def pooling():
    x = T.tensor4("x")
    for window, step, n in ((2, 2, 7), (3, 2, 9), (3, 1, 5)):
        outputs = []
        for mode in ("max", "average_exc_pad"):
            y = T.signal.pool.pool_2d(x, (window, window), ignore_border=True, stride=(step, step), mode=mode)
            outputs += [y, symc.grad(y.sum(), x).sum()]
        f = symc.function([x], outputs)
        a = draw(2, 3, n, n)
        m = (n - window) // step + 1
        pieces = np.array([
            [a[:, :, i * step : i * step + window, j * step : j * step + window] for j in range(m)] for i in range(m)
        ]).transpose(2, 3, 0, 1, 4, 5)  # fmt: skip
        count = 2 * 3 * m * m
        yield from zip(f(a), (pieces.max((4, 5)), count, pieces.mean((4, 5)), count))


@program
def running_sums():
    x = T.matrix("x")
    f = symc.function([x], [T.cumsum(x, axis=0), T.cumsum(x, axis=1), T.cumsum(x), symc.grad(T.cumsum(x)[-1], x)])
    for n, m in ((1, 1), (17, 3), (5, 65)):
        a = draw(n, m)
        yield from zip(f(a), (np.cumsum(a, 0), np.cumsum(a, 1), np.cumsum(a), np.ones_like(a)))


@program
def sums_of_rows():
    """Rows that are no multiple of any vector, one place with many terms, and places without any."""
    table, i, g = T.matrix("table"), T.lvector("i"), T.matrix("g")
    f = symc.function([table, i, g], symc.grad((table[i] * g).sum(), table))
    for shape, count, most in (((2300, 131), 900, 0.02), ((400, 700), 130, 0.9), ((270_000, 1), 40_000, 0.1)):
        at = np.where(rng.random(count) < most, 5, rng.integers(-shape[0], shape[0], count))
        value = draw(count, shape[1])
        want = np.zeros(shape)
        np.add.at(want, at, value)
        yield f(np.zeros(shape, "float32"), at, value), want


@program
def sorting():
    """Lengths on both sides of every change of method; elements of a line side by side and apart."""
    x, n = T.tensor3("x"), T.lscalar("n")
    f = symc.function([x, n], [T.sort(x, 1), T.argsort(x, 1), *T.topk_and_argtopk(x, n, axis=1)])
    for shape in ((1, 1, 1), (2, 17, 3), (1, 700, 1), (2, 90, 20), (1, 70_001, 1), (1, 66_000, 2)):
        a = draw(*shape).astype("float32")
        order, down, k = np.argsort(a, 1, "stable"), np.argsort(-a, 1, "stable"), shape[1] // 5 + 1
        most = down[:, :k]
        yield from zip(f(a, k), (np.sort(a, 1), order, np.take_along_axis(a, most, 1), most))


@program
def branches():
    """Each side runs alone, with its gradient."""
    x, k = T.vector("x"), T.lscalar("k")
    y = symc.ifelse(T.gt(k, 0), T.exp(x).sum(), (x * x).sum())
    f = symc.function([x, k], [y, symc.grad(y, x)])
    for n in SIZES:
        a = draw(n)
        yield from zip(f(a, 1), (np.exp(a).sum(), np.exp(a)))
        yield from zip(f(a, 0), ((a * a).sum(), 2 * a))


def recurrence(x, w, start, sizes):
    """A recurrence over rows, its last state, and the gradients by the sequence, the weights and the start."""
    states, _ = symc.scan(lambda row, h: T.tanh(row + T.dot(h, w)), sequences=x, outputs_info=start)
    loss = (states * states).sum() + states[-1].sum()
    f = symc.function([x, w, start], [states, *symc.grad(loss, [x, w, start])])
    for steps, width in sizes:
        a, b, h0 = draw(steps, width), draw(width, width) / width, draw(width)
        h, found = [h0.astype("float64")], f(a, b, h0)
        for row in a:
            h.append(np.tanh(row + h[-1] @ b))
        yield found[0], h[1:]
        by_row, by_b, g = np.zeros(a.shape), np.zeros(b.shape), np.ones(width)
        for t in range(steps, 0, -1):
            by_row[t - 1] = (g + 2 * h[t]) * (1 - h[t] ** 2)
            by_b += np.outer(h[t - 1], by_row[t - 1])
            g = by_row[t - 1] @ b.T
        yield from zip(found[1:], (by_row, by_b, g))


@program
def loops():
    """Rows of any length."""
    yield from recurrence(T.matrix("x"), T.matrix("w"), T.vector("start"), ((1, 1), (7, 3), (33, 17)))


@program
def steps_written_out():
    """Rows of three elements, whose steps have no loops."""
    x, w, start = (T.tensor("float32", shape=s) for s in ((None, 3), (3, 3), (3,)))
    yield from recurrence(x, w, start, ((1, 3), (7, 3), (32, 3)))


@program
def loops_in_one_kernel():
    """A filter that reads two earlier values, and dynamic programming: a loop over rows around one over cells."""
    x, first, y = T.vector("x"), T.vector("first"), T.vector("y")
    out, _ = symc.scan(lambda x_t, p, q: x_t + 0.5 * p - 0.25 * q, x, [dict(initial=first, taps=[-1, -2])])

    def row(x_t, before):
        cells, _ = symc.scan(
            lambda y_t, d, u, left: abs(x_t - y_t) + T.minimum(d, T.minimum(u, left)),
            [y, before[:-1], before[1:]], before[0] + 9,
        )  # fmt: skip
        return T.concatenate([before[:1] + 9, cells])

    f = symc.function([x, first, y], [out, out[-1], symc.scan(row, x, T.zeros((y.shape[0] + 1,)))[0]])
    for n, m in ((1, 1), (5, 17), (40, 3)):
        a, start, b = draw(n), draw(2), draw(m)
        h, table = list(start.astype("float64")), np.zeros((n + 1, m + 1))
        for t in range(n):
            h.append(a[t] + 0.5 * h[-1] - 0.25 * h[-2])
            table[t + 1, 0] = table[t, 0] + 9
            for j in range(m):
                table[t + 1, j + 1] = abs(a[t] - b[j]) + min(table[t, j], table[t, j + 1], table[t + 1, j])
        yield from zip(f(a, start, b), (h[2:], h[-1], table[1:]))


@program
def rows_of_a_large_table():
    """Some rows are fetched while others are added: the last positions end their buffer, and the last row the table."""
    t, i = T.matrix("t"), T.lmatrix("i")
    f = symc.function([t, i], [t[i].sum(1), t[i].max(1), t[i[0]]])
    table = draw(4000, 70)
    for bags, count in ((1, 1), (3, 8), (2, 37), (5, 70)):
        places = rng.integers(-4000, 4000, (bags, count))
        places[-1, -1] = places[0, -1] = 3999
        expected = table[places].astype("float64").sum(1), table[places].max(1), table[places[0]]
        yield from zip(f(table, places), expected)


@program
def lengths_that_are_values():
    """Results whose sizes are known only once they are computed: none, some, or all of the elements."""
    x, m = T.vector("x"), T.matrix("m")
    places = T.nonzero(x > 0)[0]
    f = symc.function([x, m], [x[places], (x[places] * 2).sum(), *T.nonzero(m > 0), m[T.nonzero(m[:, 0] > 0)[0]]])
    for n in SIZES[1:]:
        for a, b in ((draw(n), draw(n, 3)), (-np.ones(n, "float32"), np.ones((n, 3), "float32"))):
            rows, cols = np.nonzero(b > 0)
            yield from zip(f(a, b), (a[a > 0], 2 * a[a > 0].sum(), rows, cols, b[b[:, 0] > 0]))


@program
def minibatches():
    x, k = T.matrix("x"), T.lscalar("k")
    f = symc.function([x, k], [x[k], x[k * 3 : (k + 1) * 3].sum(axis=0)])
    a = draw(10, 5)
    for at in range(3):
        yield from zip(f(a, at), (a[at], a[at * 3 : at * 3 + 3].sum(0)))


@program
def joins_splits_and_padding():
    x, y = T.matrix("x"), T.matrix("y")
    joined = T.concatenate([x, y, x], axis=1)
    f = symc.function([x, y], [joined, T.stack([x, x * 2]), T.tile(x, (2, 3)), T.roll(x, 2, axis=0), T.diag(x[0])])
    for n, m, k in ((1, 1, 1), (3, 17, 5), (5, 3, 0)):
        a, b = draw(n, m), draw(n, k)
        wanted = (np.concatenate([a, b, a], 1), np.stack([a, a * 2]), np.tile(a, (2, 3)), np.roll(a, 2, 0))
        yield from zip(f(a, b), (*wanted, np.diag(a[0])))


@program
def a_training_step():
    """Two layers with dropout, momentum, and batches of changing size: the loss goes down."""
    from symc.tensor.shared_randomstreams import RandomStreams

    x, k = T.matrix("x"), T.ivector("k")
    w, v = symc.shared(draw(7, 33) / 3, "w"), symc.shared(draw(33, 3) / 5, "v")
    hidden = T.maximum(T.dot(x, w), 0) * RandomStreams(3).binomial((33,), p=0.9, dtype="float32")
    loss = T.nnet.categorical_crossentropy(T.nnet.softmax(T.dot(hidden, v)), k).mean()
    updates = {}
    for p, g in zip((w, v), symc.grad(loss, [w, v])):
        speed = symc.shared(np.zeros(p.get_value().shape, "float32"))
        updates |= {speed: 0.9 * speed - 0.1 * g, p: p + 0.9 * speed - 0.1 * g}
    f = symc.function([x, k], loss, updates=updates)
    a = draw(65, 7)
    right = a[:, :3].argmax(1).astype("int32")
    first = f(a, right)
    for n in (1, 17, 64, 65, 33) * 8:
        last = f(a[:n], right[:n])
    yield f(a, right) < first / 2 and np.isfinite(last), True


@program
def cases_of_the_records():
    """A case of every op's record, several of them in one function."""
    from test_ops import CASES, as_list, expected, fill, variables

    chosen = {}
    for k, case in enumerate(CASES):
        chosen.setdefault(case.id.split("-")[0], (k, case.values[0]))
    pending: list[Any] = []
    for number, (k, case) in enumerate(chosen.values(), 1):
        dtype = ("float32", "float64")[k % 2]
        arrays = [fill(a, dtype, rng) for a in case.args]
        inputs = variables(case, arrays, False)
        with symc.config.change(floatX=dtype):
            outputs = as_list(case.build(*inputs))
            pending.append((inputs, arrays, outputs, expected(case, arrays)))
        if len(pending) < 24 and number < len(chosen):
            continue
        f = symc.function(
            [v for p in pending for v in p[0]], [v for p in pending for v in p[2]], on_unused_input="ignore"
        )
        found = f(*[a for p in pending for a in p[1]])
        yield from zip(found, [w for p in pending for w in p[3]])
        pending.clear()


# --- running them -----------------------------------------------------------------------------------------------------


def canary(text: str, values: np.ndarray) -> None:
    """Run a line of C on an array ``x``."""
    from symc_backends.c.build import build, ffi

    head = "#include <stdint.h>\nint64_t symc_entry(void **B, int64_t *D, int64_t s) { volatile float *x = B[0];"
    pointers = ffi.new("void *[]", [ffi.cast("void *", values.ctypes.data)])
    build(f"{head} {text} return D[0] + s; }}").symc_entry(pointers, ffi.new("int64_t[]", 1), 0)


CANARIES = {
    "a_read_beyond_the_end": lambda: canary("x[0] = x[5];", np.zeros(5, "float32")),
    "a_write_before_the_start": lambda: canary("x[-1] = 1;", np.zeros(5, "float32")),
    "a_shift_too_far": lambda: canary("volatile int by = 40; x[0] = 1 << by;", np.zeros(5, "float32")),
    "a_wrong_result": lambda: np.testing.assert_allclose(1, 2),
}
"""What must be noticed; each is a proof that the others would be."""


def run() -> None:
    """Run everything; whatever is said on the standard error output after a name belongs to it."""
    for name, make in PROGRAMS.items():
        print(f"=== {name}", file=sys.stderr, flush=True)
        try:
            for found, wanted in make():
                np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=2e-4)
        except Exception:
            traceback.print_exc()
    for name, act in CANARIES.items():
        print(f"=== {name}", file=sys.stderr, flush=True)
        try:
            act()
        except Exception:
            traceback.print_exc()
    print("=== end", file=sys.stderr, flush=True)


if __name__ == "__main__":
    run()
