"""Results whose elements take turns in memory, as those of a stack along the last axis, compared with NumPy."""

import io

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.printing import debugprint


def _drawn(dtype, shape, rng):
    if dtype == "bool":
        return rng.random(shape) > 0.5
    x = (rng.standard_normal(shape) * 50).astype(dtype)
    if x.dtype.kind == "f":
        x.flat[:3] = [np.nan, -0.0, np.inf][: x.size]
    return x


def _text(f, stage):
    file = io.StringIO()
    debugprint(f, stage=stage, file=file)
    return file.getvalue()


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int16", "float16", "bool"])
def test_stacks_of_inputs(dtype, isa):
    counts = (2, 3, 5, 6, 7, 8, 11, 16) if dtype in ("float32", "float64") else (2, 3, 4)
    inputs = [T.tensor(dtype, shape=(None, None)) for _ in range(counts[-1])]
    with symc.config.change(isa=isa):
        f = symc.function(inputs, [T.stack(inputs[:count], 2) for count in counts])
    rng = np.random.default_rng(0)
    for shape in ((3, 100), (1, 37), (0, 5), (2, 0)):
        arrays = [_drawn(dtype, shape, rng) for _ in inputs]
        for count, result in zip(counts, f(*arrays)):
            np.testing.assert_array_equal(result, np.stack(arrays[:count], 2))


@pytest.mark.parametrize(("dtype", "declared"), [("float32", False), ("float64", True), ("uint8", False)])
def test_windows(dtype, declared, isa):
    """Slices of fixed lengths, and to lengths that follow from that of the tensor."""
    counts, rng = (2, 5, 12, 20), np.random.default_rng(0)
    value = _drawn(dtype, (3, 89), rng)
    x = T.tensor(dtype, shape=value.shape if declared else (None, None))
    fixed = [T.stack([x[:, i : i + 70] for i in range(count)], 2) for count in counts]
    counted = [T.stack([x[:, i : x.shape[1] - count + 1 + i] for i in range(count)], 2) for count in counts]
    with symc.config.change(isa=isa):
        f = symc.function([x], [*fixed, *counted])
    windows = [np.lib.stride_tricks.sliding_window_view(value, count, axis=1) for count in counts]
    for result, expected in zip(f(value), [*(w[:, :70] for w in windows), *windows]):
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("declared", [True, False])
def test_windows_are_one_loop(declared):
    x = T.tensor("float32", shape=(4, 300) if declared else (None, None))
    f = symc.function([x], T.stack([x[:, i : i + 256] for i in range(5)], 2))
    g = symc.function([x], T.stack([x[:, i : x.shape[1] - 4 + i] for i in range(5)], 2))
    for one in (f, g):
        assert _text(one, "loops").count("\nkernel ") == 1
        assert "vzip5_" in _text(one, "c")


@pytest.mark.parametrize("declared", [True, False])
def test_operands_that_are_stored_elsewhere(declared, isa):
    """Inputs, values that are results as well, one value twice, and numbers, beside what the join alone reads."""
    x, y = (T.tensor("float32", shape=(7, 50) if declared else (None, None)) for _ in range(2))
    z = x * y
    with symc.config.change(isa=isa):
        f = symc.function([x, y], [T.stack([x, y * 2, T.ones_like(x), z, x], 2), z])
    loops = _text(f, "loops")
    assert loops.count("\nkernel ") == 1 and " join" not in loops.split("steps")[1]
    rng = np.random.default_rng(0)
    a, b = (_drawn("float32", (7, 50), rng) for _ in range(2))
    joined, product = f(a, b)
    np.testing.assert_array_equal(product, a * b)
    np.testing.assert_array_equal(joined, np.stack([a, b * 2, np.ones_like(a), a * b, a], 2))


def test_windows_of_short_tensors():
    x = T.matrix()
    f = symc.function([x], T.stack([x[:, i : x.shape[1] - 4 + i] for i in range(5)], 2))
    g = symc.function([x], T.stack([x[:, i : i + 1000] for i in range(3)], 2))
    rng = np.random.default_rng(0)
    for n in (9, 5, 4):
        value = _drawn("float32", (3, n), rng)
        np.testing.assert_array_equal(f(value), np.stack([value[:, i : n - 4 + i] for i in range(5)], 2))
    for n in (1003, 1002, 0):
        value = _drawn("float32", (3, n), rng)
        np.testing.assert_array_equal(g(value), np.stack([value[:, i : i + 1000] for i in range(3)], 2))
    for n in (1001, 900, 1):
        with pytest.raises(symc.errors.ShapeError):
            g(np.zeros((3, n), "float32"))


def test_slices_to_lengths_that_may_be_negative():
    x = T.vector()
    f = symc.function([x], [x[: x.shape[0] - 3], x[x.shape[0] - 3 :], x[1 : 5 - x.shape[0]]])
    for n in range(12):
        value = np.arange(n, dtype="float32")
        for result, expected in zip(f(value), (value[: n - 3], value[n - 3 :], value[1 : 5 - n])):
            np.testing.assert_array_equal(result, expected)


def test_rotations_and_gradients(isa):
    """Computed results that share operands, and the same derivative from stacks and from assignments."""
    x, angle = T.matrix("x"), T.vector("angle")
    even, odd, c, s = x[:, ::2], x[:, 1::2], T.cos(angle), T.sin(angle)
    turned = T.stack([even * c - odd * s, even * s + odd * c], 2).reshape(x.shape)
    with symc.config.change(isa=isa):
        f = symc.function([x, angle], [turned, symc.grad((turned**3).sum(), x)])
    rng = np.random.default_rng(0)
    value, by = rng.standard_normal((5, 90)).astype("float32"), rng.standard_normal(45).astype("float32")
    z = (value[:, ::2] + 1j * value[:, 1::2]) * np.exp(1j * by)
    result, gradient = f(value, by)
    expected = np.stack([z.real, z.imag], 2).reshape(5, 90)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)
    back = (3 * z.real**2 + 3j * z.imag**2) * np.exp(-1j * by)
    np.testing.assert_allclose(gradient, np.stack([back.real, back.imag], 2).reshape(5, 90), rtol=1e-4, atol=1e-5)


COLOURS = {
    "swapped": lambda x: x[..., ::-1],
    "flipped": lambda x: x[:, :, ::-1],
    "turned": lambda x: x[:, ::-1, ::-1, ::-1],
    "every second": lambda x: x[:, :, ::2],
    "transposed": lambda x: x.transpose((0, 2, 1, 3)),
    "planes": lambda x: x.transpose((0, 3, 1, 2)),
    "computed": lambda x: x[:, :, ::-1] + x,
    "from planes": lambda x: (x + x).transpose((0, 3, 1, 2))[..., 1:5].transpose((0, 2, 3, 1)),
}


@pytest.mark.parametrize(
    ("dtype", "declared"),
    [("float32", True), ("float32", False), ("float64", False), ("uint8", True), ("int16", False)],
)
def test_last_axes_of_few_elements(dtype, declared, isa):
    rng = np.random.default_rng(0)
    shapes = ((40, 3), (21, 4)) if dtype != "float32" else ((21, 2), (40, 3), (33, 4), (40, 7))
    values = [_drawn(dtype, (2, 5, *shape), rng) for shape in shapes]
    inputs = [T.tensor(dtype, shape=v.shape if declared else (None, None, None, v.shape[3])) for v in values]
    with symc.config.change(isa=isa):
        f = symc.function(inputs, [make(x) for x in inputs for make in COLOURS.values()])
    results = iter(f(*values))
    for value in values:
        for name, make in COLOURS.items():
            np.testing.assert_array_equal(next(results), make(value), err_msg=f"{name}, {value.shape}")


def test_planes_to_colours():
    """Pictures of unknown shape: the code for their number of colours stores these in turns."""
    x = T.tensor4()
    f = symc.function([x], x.transpose((0, 2, 3, 1)))
    for shape in ((4, 3, 200, 201), (1, 3, 5, 6), (2, 5, 150, 300), (1, 40, 70, 90), (0, 3, 4, 5)):
        value = np.random.default_rng(0).standard_normal(shape).astype("float32")
        np.testing.assert_array_equal(f(value), value.transpose(0, 2, 3, 1))


def test_large_stacks_pass_the_caches():
    rng = np.random.default_rng(0)
    inputs = [T.vector() for _ in range(3)]
    f = symc.function(inputs, T.stack(inputs, 1))
    arrays = [rng.standard_normal(2_000_003).astype("float32") for _ in range(3)]
    np.testing.assert_array_equal(f(*arrays), np.stack(arrays, 1))
    x = T.matrix()
    g = symc.function([x], T.stack([x[:, i : x.shape[1] - 15 + i] for i in range(16)], 2))
    value = rng.standard_normal((5, 70_016)).astype("float32")
    np.testing.assert_array_equal(g(value), np.lib.stride_tricks.sliding_window_view(value, 16, axis=1))
