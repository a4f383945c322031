"""Scatters whose index arrays choose elements of the last axis: threads write planes of their own."""

import numpy as np
import pytest

import symc
import symc.tensor as T

pytest.importorskip("cffi")

SHAPES = [(3, 5, 7), (1, 17, 1), (50, 2, 3), (2, 40, 130), (2, 0, 3)]


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("threads", [1, 3])
def test_index_arrays_on_the_last_axis(replace, threads):
    """Of values at repeated indices the last one stays, or all are added, in order."""
    x, i, j = T.tensor3("x"), T.lvector("i"), T.lmatrix("j")
    given = [T.tensor3("a"), T.tensor4("b"), T.matrix("c"), T.matrix("d")]
    write = T.set_subtensor if replace else T.inc_subtensor
    targets = [x[:, :, i], x[:, :, j], x[:, i, i], x[i, :, i]]
    with symc.config.change(threads=threads):
        f = symc.function([x, i, j, *given], [write(target, v) for target, v in zip(targets, given)])
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        p, q = rng.integers(0, max(min(shape), 1), 6 if 0 not in shape else 0), rng.integers(0, shape[2], (4, 3))
        start = rng.integers(-8, 8, shape).astype("float32")
        everything = slice(None)
        places = [(everything, everything, p), (everything, everything, q), (everything, p, p), (p, everything, p)]
        values = [rng.integers(-8, 8, start[at].shape).astype("float32") for at in places]
        for got, at, v in zip(f(start, p, q, *values), places, values):
            want = start.copy()
            if replace:
                want[at] = v
            else:
                np.add.at(want, at, v)
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("shape", [(2, 3, 9, 8), (1, 17, 5, 1), (4, 1, 6, 7)])
def test_gradient_of_values_between_pixels(shape):
    """Images are channels of planes, and each pixel of the result adds to four pixels of all of them."""
    n, c, h, w = shape
    x, py, px = T.tensor("float64", shape=(None, None, None, None)), T.dtensor3("py"), T.dtensor3("px")
    rng = np.random.default_rng(1)

    def parts(m, images, y, z, number, at):
        y0, z0 = m.floor(y), m.floor(z)
        fy, fz = y - y0, z - z0
        total = 0
        for dy in (0, 1):
            for dz in (0, 1):
                weight = (fy if dy else 1 - fy) * (fz if dz else 1 - fz)
                total = total + at(images, number(y0, dy, h), number(z0, dz, w)) * weight[:, None]
        return total

    def chosen(images, i, j):
        return images[T.arange(images.shape[0])[:, None, None], :, i, j].dimshuffle(0, 3, 1, 2)

    made = parts(T, x, py, px, lambda v, d, m: T.minimum(T.cast(v, "int64") + d, m - 1), chosen)
    f = symc.function([x, py, px], symc.grad(T.sqr(made).sum(), x))
    images = rng.standard_normal(shape)
    y, z = rng.uniform(0, h - 1, (n, 5, 6)), rng.uniform(0, w - 1, (n, 5, 6))

    def at(a, i, j):
        return np.stack([a[k][:, i[k], j[k]] for k in range(n)])

    values = parts(np, images, y, z, lambda v, d, m: np.minimum(v.astype(int) + d, m - 1), at)
    want = np.zeros(shape)
    for dy in (0, 1):
        for dz in (0, 1):
            i = np.minimum(np.floor(y).astype(int) + dy, h - 1)
            j = np.minimum(np.floor(z).astype(int) + dz, w - 1)
            fy, fz = y - np.floor(y), z - np.floor(z)
            weight = (fy if dy else 1 - fy) * (fz if dz else 1 - fz)
            for k in range(n):
                np.add.at(want[k], (slice(None), i[k], j[k]), 2 * values[k] * weight[k])
    np.testing.assert_allclose(f(images, y, z), want, rtol=1e-12, atol=1e-12)
