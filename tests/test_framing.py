"""Writes into a tensor that repeats a number walk the memory of the result once, whatever the part and its axes."""

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.printing import debugprint

PADS = [
    ((3, 4, 5, 6), ((0, 0), (0, 0), (1, 1), (2, 3))),
    ((3, 4, 5, 17), ((1, 0), (0, 2), (1, 1), (0, 9))),
    ((3, 5, 40), ((1, 2), (0, 0), (0, 0))),
    ((3, 5, 40), ((0, 0), (1, 2), (0, 0))),
    ((2, 300, 33), ((0, 0), (0, 1), (3, 0))),
    ((7, 40), ((0, 0), (3, 0))),
    ((50,), ((3, 4),)),
    ((9000,), ((0, 5000),)),
    ((4, 20000), ((1, 1), (0, 0))),
    ((1, 1, 1), ((1, 1), (1, 1), (1, 1))),
]


def padded(x, pads, write, make, number):
    shape = [x.shape[k] + a + b for k, (a, b) in enumerate(pads)]
    part = tuple(slice(a, a + x.shape[k]) for k, (a, b) in enumerate(pads))
    return write((T.zeros(shape, dtype=x.dtype) + number)[part], make(x))


@pytest.mark.parametrize("device", ["interp", "cpu"])
@pytest.mark.parametrize(("shape", "pads"), PADS)
def test_padding(shape, pads, device):
    rng = np.random.default_rng(0)
    if device == "interp" and np.prod(shape) > 1000:
        pytest.skip("the reference takes long")
    x = T.TensorType("float32", (False,) * len(shape))("x")
    number = T.fscalar("number")
    made = (lambda v: v, lambda v: v * number + 1)
    outputs = [
        padded(x, pads, write, make, c)
        for write in (T.set_subtensor, T.inc_subtensor) for make in made for c in (0, number)
    ]  # fmt: skip
    f = symc.function([x, number], outputs, device=device)
    assert "framed" in debugprint(f, stage="form_scatters", file="str")
    for lengths in (shape, [0, *shape[1:]], [*shape[:-1], 0], [*shape[:-1], 3]):
        a = rng.standard_normal(lengths).astype("float32")
        want = []
        for added in (False, True):
            for value in (a, a * np.float32(1.5) + 1):
                for c in (0, np.float32(1.5)):
                    base = np.full([n + p + q for n, (p, q) in zip(lengths, pads)], c, "float32")
                    part = tuple(slice(p, p + n) for n, (p, _) in zip(lengths, pads))
                    base[part] = value + (base[part] if added else 0)
                    want.append(base)
        for got, expected in zip(f(a, 1.5), want, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_starts_that_are_known_at_call_time():
    x, i, n = T.fmatrix("x"), T.iscalar("i"), T.iscalar("n")
    f = symc.function(
        [x, i, n], T.set_subtensor(T.zeros((n, 40), dtype="float32")[i : i + x.shape[0], 2 : 2 + x.shape[1]], x)
    )
    a = np.arange(6, dtype="float32").reshape(2, 3)
    for start, rows in ((0, 2), (3, 9), (7, 9)):
        want = np.zeros((rows, 40), "float32")
        want[start : start + 2, 2:5] = a
        np.testing.assert_array_equal(f(a, start, rows), want)


def test_gradients_of_slices():
    x = T.ftensor3("x")
    y = T.sqr(x[1:-1, 2:, ::2][:, :-1] - x[:-2, 1:-1, ::2][:, 1:]).sum() + T.sqr(x[:, :, 3:7]).sum()
    f = symc.function([x], T.grad(y, x))
    a = np.random.default_rng(1).standard_normal((5, 9, 12))

    def value(v):
        return ((v[1:-1, 2:, ::2][:, :-1] - v[:-2, 1:-1, ::2][:, 1:]) ** 2).sum() + (v[:, :, 3:7] ** 2).sum()

    want = np.zeros_like(a)
    for at in np.ndindex(*a.shape):
        step = np.zeros_like(a)
        step[at] = 1e-6
        want[at] = (value(a + step) - value(a - step)) / 2e-6
    np.testing.assert_allclose(f(a.astype("float32")), want, rtol=1e-4, atol=1e-4)


def test_a_state_of_a_loop_is_padded():
    x = T.fvector("x")
    states = symc.scan(lambda s: T.set_subtensor(T.zeros_like(s)[1:], s[:-1] * 2), outputs_info=x, n_steps=3)[0]
    np.testing.assert_array_equal(
        symc.function([x], states[-1])(np.arange(1.0, 12, dtype="float32")), [0, 0, 0, *(8.0 * np.arange(1, 9))]
    )


INNER = [
    ((40,), ((1, 1),)),
    ((9000,), ((0, 1),)),
    ((17, 40), ((1, 1), (1, 1))),
    ((17, 40), ((0, 0), (3, 0))),
    ((17, 40), ((2, 1), (0, 0))),
    ((5, 9, 33), ((0, 0), (1, 1), (2, 2))),
    ((9, 5, 10, 12), ((1, 1), (0, 0), (0, 1), (1, 0))),
]


@pytest.mark.parametrize("device", ["interp", "cpu"])
@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize(("shape", "pads"), INNER)
def test_the_inner_part_of_a_tensor(shape, pads, static, device):
    """Stencils: the value is computed from neighbours in the tensor that it is written into."""
    if device == "interp" and np.prod(shape) > 1000:
        pytest.skip("the reference takes long")
    part = tuple(slice(p, -q or None) for p, q in pads)
    before = tuple(slice(0, -(p + q) or None) for p, q in pads)
    x = T.TensorType("float32", shape if static else (None,) * len(shape))("x")
    y = T.TensorType("float32", shape if static else (None,) * len(shape))("y")
    outputs = [
        write(base[part], 0.5 * (x[before] + y[part]) - 1)
        for write in (T.set_subtensor, T.inc_subtensor) for base in (x, x * y + 1)
    ]  # fmt: skip
    f = symc.function([x, y], [*outputs, T.set_subtensor(x[part], y[before])], device=device)
    if static:
        assert debugprint(f, stage="form_scatters", file="str").count("framed") == 5
    rng = np.random.default_rng(3)
    for lengths in (shape,) if static else (shape, [0, *shape[1:]], [*shape[:-1], 3]):
        a, b = (rng.standard_normal(lengths).astype("float32") for _ in range(2))
        want = []
        for added in (False, True):
            for base in (a, a * b + 1):
                base = base.copy()
                base[part] = 0.5 * (a[before] + b[part]) - 1 + (base[part] if added else 0)
                want.append(base)
        want.append(a.copy())
        want[-1][part] = b[before]
        for got, expected in zip(f(a, b), want, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_a_grid_that_is_updated_keeps_its_edge():
    grid = symc.shared(np.arange(60.0).reshape(6, 10) ** 2, name="grid")
    around = grid[2:, 1:-1] + grid[:-2, 1:-1] + grid[1:-1, 2:] + grid[1:-1, :-2]
    step = symc.function([], [], updates=[(grid, T.set_subtensor(grid[1:-1, 1:-1], around / 4))])
    want = grid.get_value()
    for _ in range(3):
        step()
        want[1:-1, 1:-1] = (want[2:, 1:-1] + want[:-2, 1:-1] + want[1:-1, 2:] + want[1:-1, :-2]) / 4
        np.testing.assert_allclose(grid.get_value(), want, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_colours_behind_the_pixels(dtype):
    """What counts is the length of rows: pixels with their colours."""
    x = T.tensor(dtype, shape=(None, None, None, 3))
    pads = [((0, 0), (1, 2), (4, 3), (0, 0)), ((0, 0), (0, 0), (30, 0), (0, 0)), ((0, 0), (2, 2), (0, 0), (0, 0))]
    f = symc.function([x], [np.pad(x, p, constant_values=c) for p in pads for c in (0, 7)])
    assert debugprint(f, stage="form_scatters", file="str").count("framed") == 6
    for shape in ((2, 20, 21, 3), (1, 1, 40, 3), (2, 3, 0, 3), (0, 4, 4, 3)):
        value = (np.random.default_rng(0).standard_normal(shape) * 50).astype(dtype)
        for result, (p, c) in zip(f(value), [(p, c) for p in pads for c in (0, 7)]):
            np.testing.assert_array_equal(result, np.pad(value, p, constant_values=c))


def test_a_small_part_is_written_in_place():
    x, row, i = T.fmatrix("x"), T.fvector("row"), T.iscalar("i")
    f = symc.function([x, row, i], T.set_subtensor(x[i], row))
    assert "framed" not in debugprint(f, stage="form_scatters", file="str")
    a = np.zeros((5, 40), "float32")
    want = a.copy()
    want[3] = np.arange(40)
    np.testing.assert_array_equal(f(a, np.arange(40, dtype="float32"), 3), want)


def test_a_step_repeats_a_number_itself():
    """A repeated number that does not depend on the states is not stored before the loop."""
    x = T.TensorType("float32", (9, 12))("x")
    states = symc.scan(lambda s: T.set_subtensor(s[1:-1, 1:-1], 0.25 * s[2:, 1:-1]), outputs_info=x, n_steps=40)[0]
    f = symc.function([x], states[-1])
    a = np.random.default_rng(4).standard_normal((9, 12)).astype("float32")
    want = a.copy()
    for _ in range(40):
        want[1:-1, 1:-1] = 0.25 * want[2:, 1:-1]
    np.testing.assert_allclose(f(a), want, rtol=1e-6)
    assert debugprint(f, stage="rewritten", file="str").count("expand") == 0


@pytest.mark.parametrize("replace", [True, False])
def test_values_that_follow_rows_alone(replace):
    """What each loop over a part of a row needs of the row is computed in every one of them."""
    x, row, column = T.TensorType("float32", (6, 40))("x"), T.fvector("row"), T.fvector("column")
    base = x + row.dimshuffle(0, "x") * 2
    value = row[1:-1].dimshuffle(0, "x") * column[2:-3] + row[:-2].dimshuffle(0, "x")
    write = T.set_subtensor if replace else T.inc_subtensor
    f = symc.function([x, row, column], write(base[1:-1, 2:-3], value))
    rng = np.random.default_rng(8)
    a, r, c = (rng.standard_normal(shape).astype("float32") for shape in ((6, 40), 6, 40))
    want = a + r[:, None] * 2
    inner = r[1:-1, None] * c[2:-3] + r[:-2, None]
    want[1:-1, 2:-3] = inner + (0 if replace else want[1:-1, 2:-3])
    np.testing.assert_allclose(f(a, r, c), want, rtol=1e-5, atol=1e-6)


SHIFTED = [
    ((40,), [((0, 2),), ((1, 1),), ((2, 0),), ((1, 1),)]),
    ((9000,), [((0, 7),), ((3, 4),), ((7, 0),)]),
    ((11, 40), [((1, 1), (0, 2)), ((0, 2), (1, 1)), ((2, 0), (1, 1)), ((1, 1), (2, 0))]),
    ((11, 40), [((0, 0), (0, 3)), ((1, 0), (0, 0)), ((0, 1), (0, 0))]),
    ((11, 40), [((0, 1), (0, 0)), ((1, 0), (0, 0))]),
    ((5, 9, 33), [((1, 1), (1, 1), (0, 2)), ((1, 1), (0, 2), (1, 1)), ((2, 0), (1, 1), (1, 1))]),
    ((3, 9, 5, 7), [((0, 0), (k, 4 - k), (0, 0), (0, 0)) for k in range(5)]),
    ((3, 4, 30), [((2, 0), (0, 3), (0, 29)), ((0, 2), (3, 0), (29, 0))]),
]


def summed(base, values, terms, write):
    """A chain of writes: the first by ``write``, the others added."""
    for k, (value, pads) in enumerate(zip(values, terms)):
        part = tuple(slice(p, -q or None) for p, q in pads)
        base = (T.inc_subtensor if k else write)(base[part], value)
    return base


@pytest.mark.parametrize("device", ["interp", "cpu"])
@pytest.mark.parametrize(("shape", "terms"), SHIFTED)
def test_shifted_parts_are_added_in_one_walk(shape, terms, device):
    if device == "interp" and np.prod(shape) > 1000:
        pytest.skip("the reference takes long")
    dtype = "float64" if len(shape) == 3 else "float32"
    x = T.TensorType(dtype, (None,) * len(shape))("x")
    parts = [x[tuple(slice(p, -q or None) for p, q in pads)] for pads in terms]
    values = [part * (k + 2) - k for k, part in enumerate(parts)]
    zero = T.zeros_like(x)
    outputs = [
        summed(base, v, terms, write)
        for write in (T.set_subtensor, T.inc_subtensor) for base in (zero, zero + 1.5, x * x) for v in (parts, values)
    ]  # fmt: skip
    f = symc.function([x], outputs, device=device)
    if all(sum(pad) <= 8 for pads in terms for pad in pads):
        text = debugprint(f, stage="form_scatters", file="str")
        assert "write_at" not in text and text.count("framed{") <= len(outputs)
    for lengths in (shape, [*shape[:-1], shape[-1] + 13], [n + (1 if k else 600) for k, n in enumerate(shape)]):
        if device == "interp" and np.prod(lengths) > 1000:
            continue
        a = np.random.default_rng(0).standard_normal(lengths).astype(dtype)
        a.flat[3::17] = (np.inf, np.nan, -0.0)[a.size % 3]
        want = []
        for added in (False, True):
            for base in (np.zeros_like(a), np.full_like(a, 1.5), a * a):
                for scaled in (False, True):
                    r = base.copy()
                    for k, pads in enumerate(terms):
                        part = tuple(slice(p, -q or None) for p, q in pads)
                        value = a[part] * (k + 2) - k if scaled else a[part]
                        r[part] = value + (r[part] if k or added else 0)
                    want.append(r)
        for got, expected in zip(f(a), want, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_the_gradient_of_a_stencil_is_one_walk():
    x = T.fmatrix("x")
    y = x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:] - 4 * x[1:-1, 1:-1]
    f = symc.function([x], T.grad(T.sqr(y).sum(), x))
    assert str(debugprint(f, stage="loops", file="str")).count("kernel K") == 2
    for shape in ((9, 11), (3, 3), (2, 40), (2, 2), (70, 300)):
        a = np.random.default_rng(2).standard_normal(shape)
        d = a[:-2, 1:-1] + a[2:, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:] - 4 * a[1:-1, 1:-1]
        want = np.zeros_like(a)
        for rows, columns, scale in ((0, 1, 2), (2, 1, 2), (1, 0, 2), (1, 2, 2), (1, 1, -8)):
            want[rows : rows + d.shape[0], columns : columns + d.shape[1]] += scale * d
        np.testing.assert_allclose(f(a.astype("float32")), want, rtol=1e-4, atol=1e-4)
