"""float16: stored as such, computed in float32. Cases of all records against what they expect in float32, rounded."""

from __future__ import annotations

import numpy as np
import pytest
from test_ops import as_list, expected, fill, variables

import symc
import symc.tensor as T
from symc.errors import GradientError
from symc.graph.op import RECORDS, Case
from symc.tensor.complex_numbers.matrices import of_complex_matrices

ULP, SMALLEST = 2.0**-10, 2.0**-24
TOLERANCES = {"float16": (ULP, SMALLEST), "float32": (2e-5, 2e-5), "float64": (2e-5, 2e-5)}
LINEAR = set("cholesky cofactors det eig eigh expm matrix_inverse pinv qr slogdet solve solve_triangular".split())
ROUNDED_FIRST = tuple(sorted(LINEAR))
"""Records whose cases compute in float16 before that."""
TOGETHER = 16
NAME_FLOAT32 = {"bfloat16", "cast", "complex", "random", "round_to_bfloat16"} | LINEAR
"""Records whose cases ask for float32 themselves."""


def half_cases():
    """The first case of each record with float operands, and its special values.

    Complex numbers have no parts in float16.
    """
    for name, record in sorted(RECORDS.items()):
        if of_complex_matrices(record):
            continue
        floats = [c for c in record.cases() if any(a.dtype == "float" for a in c.args)]
        for case in floats[:1] + [c for c in floats if c.label == "special values"]:
            yield f"{name}-{case.label or 'first'}", case


CASES = list(half_cases())


def prepared(case: Case):
    """Arrays with float16 where any float dtype will do, and what the case expects of their values in float32."""
    rng = np.random.default_rng(7)
    arrays = [fill(a, "float16", rng) for a in case.args]
    wide = [a.astype("float32") if a.dtype == np.float16 else a for a in arrays]
    return arrays, expected(case, wide)


def compare(got, want, out, where: str) -> None:
    for g, w, o in zip(got, want, out, strict=True):
        assert g.shape == w.shape and g.dtype == o.dtype, where
        assert w.dtype != np.float32 or g.dtype == np.float16 or where.partition("-")[0] in NAME_FLOAT32, where
        rtol, atol = (
            TOLERANCES["float16" if where.startswith(ROUNDED_FIRST) else o.dtype] if o.dtype[0] == "f" else (0, 0)
        )
        with np.errstate(over="ignore", invalid="ignore"):
            np.testing.assert_allclose(g, w.astype(g.dtype), rtol=rtol, atol=atol, err_msg=where)


@pytest.mark.parametrize(("name", "case"), [pytest.param(*known, id=known[0]) for known in CASES])
def test_interpreted(name: str, case: Case) -> None:
    arrays, want = prepared(case)
    inputs = variables(case, arrays, False)
    out = as_list(case.build(*inputs))
    compare(symc.function(inputs, out, device="interp", on_unused_input="ignore")(*arrays), want, out, name)


GROUPS = pytest.mark.parametrize("start", range(0, len(CASES), TOGETHER), ids=lambda k: CASES[k][0] + " and more")


@GROUPS
def test_compiled(start: int) -> None:
    check_compiled(start, "c")


def check_compiled(start: int, device: str) -> None:
    inputs, arrays, outputs, parts = [], [], [], []
    for name, case in CASES[start : start + TOGETHER]:
        values, want = prepared(case)
        made = variables(case, values, False)
        out = as_list(case.build(*made))
        parts.append((name, want, slice(len(outputs), len(outputs) + len(out))))
        inputs, arrays, outputs = inputs + made, arrays + values, outputs + out
    got = symc.function(inputs, outputs, device=device, on_unused_input="ignore")(*arrays)
    for name, want, part in parts:
        compare(got[part], want, outputs[part], name)


# --- where values are rounded -----------------------------------------------------------------------------------------

DEVICES = pytest.mark.parametrize("device", ["interp", "c"])


def half(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float16")


def tensor(name: str, ndim: int = 2):
    return T.tensor("float16", shape=(None,) * ndim, name=name)


def test_dtypes_meet() -> None:
    x = tensor("x")
    assert (
        (x + 1.5).dtype == (x * x).dtype == (x + T.ivector("i")).dtype == x.sum().dtype == x.mean().dtype == "float16"
    )
    assert T.exp(x).dtype == T.var(x).dtype == symc.grad((x * x).sum(), x).dtype == "float16"
    assert (x + T.fmatrix("f")).dtype == "float32"
    assert (x + T.dmatrix("d")).dtype == (T.fmatrix("f") + T.dmatrix("d")).dtype == "float64"
    assert (x > 0).dtype == "bool"
    assert (x + np.float32(1)).dtype in ("float16", "float32")
    with pytest.raises(ValueError, match="floatX must be one of"):
        symc.config.floatX = "float16"


@DEVICES
def test_a_value_between_ops_is_not_rounded_and_one_that_is_cast_is(device: str) -> None:
    x = tensor("x", 1)
    a = np.array([300, 0.0003, 1.0009766], "float16")
    wide = a.astype("float32")
    with np.errstate(over="ignore"):
        rounded = (wide * wide).astype("float16")  # overflows, underflows, and loses digits
    scaled = T.cast(T.cast(x, "float32") * 1.0003, "float16")
    casts = [T.cast(v, "float32") for v in (x * x, T.cast(x * x, "float16"), scaled)]
    f = symc.function([x], [x * x / x, *casts], device=device)
    unrounded, one, two, three = f(a)
    np.testing.assert_array_equal(unrounded, a)
    np.testing.assert_array_equal(one, rounded.astype("float32"))
    np.testing.assert_array_equal(two, rounded.astype("float32"))
    np.testing.assert_array_equal(three, (wide * np.float32(1.0003)).astype("float16").astype("float32"))


@DEVICES
def test_sums_are_added_up_in_float32(device: str) -> None:
    """Added up in float16, thousandths stop counting at 2, and 70000 is infinite."""
    x = tensor("x")
    a = np.full((2, 70_000), 0.001, "float16")
    f = symc.function(
        [x], [x.sum(1), (x * 1000).mean(1, keepdims=True), T.var(x), T.nnet.softmax(x * 0).sum(1)], device=device
    )
    total, mean, var, ones = f(a)
    np.testing.assert_allclose(total, a.astype("float64").sum(1).astype("float16"), rtol=ULP)
    np.testing.assert_allclose(mean, 1000 * a.astype("float64").mean(1, keepdims=True), rtol=ULP)
    assert var == 0
    np.testing.assert_allclose(ones, 1, rtol=ULP)


def test_elements_are_moved_as_they_are() -> None:
    """Every bit pattern survives; no element is converted where none is computed."""
    x = T.tensor("float16", shape=(256, 256), name="x")
    a = np.arange(65536, dtype="uint16").view("float16").reshape(256, 256)
    f = symc.function(
        [x], [x.T, x[3:, ::2], x.reshape((128, 512)), T.concatenate([x, x], 1), x[T.arange(5) * 7]], device="c"
    )
    want = [a.T, a[3:, ::2], a.reshape(128, 512), np.concatenate([a, a], 1), a[np.arange(5) * 7]]
    for g, w in zip(f(a), want, strict=True):
        np.testing.assert_array_equal(g.view("uint16"), np.ascontiguousarray(w).view("uint16"))
    assert "_half" not in f.specialisation.text


@DEVICES
def test_conversions(device: str) -> None:
    check_conversions(device)


def check_conversions(device: str) -> None:
    """All float16 values up, and halfway points and their neighbours down, from all dtypes."""
    x = tensor("x", 1)
    a = np.arange(65536, dtype="uint16").view("float16")
    f = symc.function([x], [T.cast(x, d) for d in ("float32", "float64", "bool")], device=device)
    for g in f(a):
        np.testing.assert_array_equal(g, a.astype(g.dtype))
    small = a[np.isfinite(a) & (np.abs(a) < 30000)]
    for dtype in ("int32", "int64"):
        g = symc.function([x], T.cast(x, dtype), device=device)(small)
        np.testing.assert_array_equal(g, small.astype(dtype))
    edges = np.sort(np.abs(a[np.isfinite(a)].astype("float64")))
    middle = (edges[1:] + edges[:-1]) / 2
    points = np.concatenate([middle, middle * (1 + 2.0**-40), middle * (1 - 2.0**-40), [65520, 65519.9, 1e300, np.inf]])
    with np.errstate(over="ignore"):
        for dtype in ("float64", "float32", "int64", "uint8"):
            given = (
                points.astype(dtype) if dtype[0] == "f" else np.arange(250 if dtype == "uint8" else 70000, dtype=dtype)
            )
            d = T.tensor(dtype, shape=(None,), name="d")
            np.testing.assert_array_equal(
                symc.function([d], T.cast(d, "float16"), device=device)(given), given.astype("float16")
            )


# --- programs ---------------------------------------------------------------------------------------------------------


@DEVICES
def test_bodies_and_python_ops_see_float16(device: str) -> None:
    x = tensor("x", 1)
    a = half(6)
    sums, _ = symc.scan(lambda now, before: before + now, sequences=x, outputs_info=T.constant(0, dtype="float16"))
    seen = []

    def double(v):
        seen.append(v.dtype)
        return v * v.dtype.type(2)

    doubled = symc.as_op([x.type], [x.type])(double)(x * 1.5)
    chosen = symc.ifelse(x.sum() > 0, x * 2, x - 1)
    f = symc.function([x], [sums, doubled, chosen, symc.grad(sums[-1], x)], device=device)
    got = f(a)
    total, rows = np.float16(0), []
    for v in a:
        total = np.float16(np.float32(total) + np.float32(v))
        rows.append(total)
    np.testing.assert_array_equal(got[0], rows)
    np.testing.assert_array_equal(got[1], (a.astype("float32") * 1.5).astype("float16") * np.float16(2))
    assert set(seen) == {np.dtype("float16")}
    wide = a.astype("float32")
    np.testing.assert_array_equal(got[2], (wide * 2 if wide.sum() > 0 else wide - 1).astype("float16"))
    np.testing.assert_array_equal(got[3], np.ones(6, "float16"))


@DEVICES
def test_a_training_step_with_float16_weights_and_a_float32_master_copy(device: str) -> None:
    rng = np.random.default_rng(1)
    masters = [symc.shared((rng.normal(size=s) / 3).astype("float32")) for s in ((7, 5), (5,), (5, 3))]
    weights = [symc.shared(m.get_value().astype("float16")) for m in masters]
    assert [w.dtype for w in weights] == ["float16"] * 3
    x, y = tensor("x"), T.ivector("y")
    w1, b, w2 = weights
    probabilities = T.nnet.softmax(T.dot(T.tanh(T.dot(x, w1) + b), w2))
    loss = T.nnet.categorical_crossentropy(probabilities, y).mean()
    grads = symc.grad(loss, weights)
    assert [g.dtype for g in grads] == ["float16"] * 3
    moved = [m - 0.5 * T.cast(g, "float32") for m, g in zip(masters, grads)]
    updates = [*zip(masters, moved), *((w, T.cast(m, "float16")) for w, m in zip(weights, moved))]
    step = symc.function([x, y], loss, updates=updates, device=device)
    a, labels = half(8, 7), np.arange(8, dtype="int32") % 3
    before = [w.get_value().astype("float64") for w in weights]
    start = [m.get_value() for m in masters]
    first = step(a, labels)

    def reference(w1, b, w2):
        h = np.tanh(a.astype("float64") @ w1 + b)
        z = h @ w2
        p = np.exp(z - z.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        d = (p - np.eye(3)[labels]) / 8
        e = d @ w2.T * (1 - h * h)
        return -np.log(p[np.arange(8), labels]).mean(), [a.astype("float64").T @ e, e.sum(0), h.T @ d]

    cost, slopes = reference(*before)
    np.testing.assert_allclose(first, cost, rtol=2 * ULP)
    for m, w, old, slope in zip(masters, weights, start, slopes):
        np.testing.assert_allclose(m.get_value(), old - 0.5 * slope, rtol=0, atol=2 * ULP * np.abs(slope).max())
        np.testing.assert_array_equal(w.get_value(), m.get_value().astype("float16"))
    for _ in range(20):
        last = step(a, labels)
    assert last < 0.6 * first


def test_calls_through_the_launcher_and_conversions_of_arguments() -> None:
    x = tensor("x")
    f = symc.function([x], x + 1, device="c")
    a = half(3, 4)
    want = (a.astype("float32") + 1).astype("float16")
    for given in (a, a, half(2, 2), a, a.astype("float32"), a.tolist(), np.asfortranarray(a)):
        got = f(given)
        assert got.dtype == np.float16
        if np.shape(given) == (3, 4):
            np.testing.assert_array_equal(got, want)
    loose = symc.function([symc.In(x, allow_downcast=False)], x + 1, device="c")
    with pytest.raises(TypeError, match="float16"):
        loose(a.astype("float32") * np.float32(1.0001))


def test_memory_of_a_call_counts_two_bytes() -> None:
    x = tensor("x")
    estimate = symc.memory_estimate(symc.function([x], x.T + 1, device="c"), [(1000, 50)])
    assert estimate.parts["results"] == 2 * 1000 * 50


def test_random_numbers() -> None:
    streams = symc.tensor.shared_randomstreams.RandomStreams(5)
    u, n = streams.uniform((4000,), dtype="float16"), streams.normal((4000,), dtype="float16")
    f = symc.function([], [u, n, streams.binomial((4000,), p=0.3, dtype="float16")], device="c")
    drawn, normal, trials = f()
    assert drawn.dtype == normal.dtype == trials.dtype == np.float16
    assert abs(drawn.astype("f4").mean() - 0.5) < 0.03 and drawn.min() >= 0 and drawn.max() <= 1
    assert abs(normal.astype("f4").std() - 1) < 0.06
    assert abs(trials.astype("f4").mean() - 0.3) < 0.04


def test_programs_without_it_know_nothing_of_it() -> None:
    x = T.fmatrix("x")
    assert "half" not in symc.function([x], T.exp(x).sum(0), device="c").specialisation.text


def test_gradients_agree_with_differences() -> None:
    symc.gradient.verify_grad(lambda x, w: T.tanh(T.dot(x, w)).sum(1), [half(3, 4), half(4, 2, seed=1)])
    with pytest.raises(GradientError):
        symc.gradient.verify_grad(lambda x: symc.gradient.grad_scale(x * x, 3.0), [half(3)])
