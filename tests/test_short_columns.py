"""Reductions over a leading or middle axis with few elements, whose number is known only in a call or declared."""

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.compiler.lowering.reductions import JOBS
from symc.compiler.lowering.short_columns import MOST_TERMS
from symc.printing import debugprint

rng = np.random.default_rng(0)

FORMS = {
    "sum": (lambda x, k: x.sum(k), lambda x, k: x.sum(k)),
    "prod": (lambda x, k: x.prod(k), lambda x, k: x.prod(k)),
    "max": (lambda x, k: x.max(k), lambda x, k: x.max(k)),
    "argmax": (lambda x, k: x.argmax(k), lambda x, k: x.argmax(k)),
    "scaled": (lambda x, k: x / (x * x).sum(k, keepdims=True), lambda x, k: x / (x * x).sum(k, keepdims=True)),
    "softmax": (
        lambda x, k: T.exp(x - x.max(k, keepdims=True)) / T.exp(x - x.max(k, keepdims=True)).sum(k, keepdims=True),
        lambda x, k: np.exp(x - x.max(k, keepdims=True)) / np.exp(x - x.max(k, keepdims=True)).sum(k, keepdims=True),
    ),
    "both": (lambda x, k: x.max(k) - x.min(k) + x.sum(k), lambda x, k: x.max(k) - x.min(k) + x.sum(k)),
}


@pytest.mark.parametrize(
    "dtype, isa",
    [
        *((d, "") for d in ("float32", "float64", "int32", "int64", "int8")),
        ("float32", "avx2"),
        ("int64", "sse"),
        ("float32", "scalar"),
    ],
)
@pytest.mark.parametrize("name", FORMS)
def test_columns_of_few_terms(name, dtype, isa):
    form, want = FORMS[name]
    if "int" in dtype and name in ("scaled", "softmax", "prod"):
        pytest.skip("for floats")
    with symc.config.change(isa=isa) if isa else symc.config.change():
        matrix, stack = T.matrix("x", dtype), T.tensor3("y", dtype)
        f, g = symc.function([matrix], form(matrix, 0)), symc.function([stack], form(stack, 1))
        for rows in (1, 2, 5, MOST_TERMS, MOST_TERMS + 1, 70):
            for columns in (1, 100, 5003):
                x = rng.integers(-9, 9, (rows, columns)) if "int" in dtype else rng.standard_normal((rows, columns))
                x = x.astype(dtype)
                tolerance = {"rtol": 2e-5, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-12}
                exact = x if "int" in dtype else x.astype("float64")
                np.testing.assert_allclose(f(x), want(exact, 0), **tolerance)
                np.testing.assert_allclose(g(np.stack([x, x + x])), want(np.stack([exact, exact * 2]), 1), **tolerance)


def test_special_values_and_no_elements():
    x = T.matrix("x")
    f = symc.function([x], [x.sum(0), x.max(0), x.min(0)])
    values = np.array([[np.nan, np.inf, -np.inf, -0.0, np.inf], [1, -np.inf, -np.inf, -0.0, 2]], "float32")
    with np.errstate(invalid="ignore"):
        for got, want in zip(f(values), (values.sum(0), values.max(0), values.min(0))):
            np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(symc.function([x], x.sum(0))(np.zeros((0, 40), "float32")), np.zeros(40))
    assert symc.function([x], x.max(0))(np.zeros((3, 0), "float32")).shape == (0,)


def test_gradients():
    x = T.matrix("x", "float64")
    value = (T.exp(x).sum(0) ** 2).sum() + (x.max(0) * 3).sum()
    f = symc.function([x], symc.grad(value, x))
    for rows in (1, 3, MOST_TERMS, 40):
        a = rng.standard_normal((rows, 333))
        want = 2 * np.exp(a).sum(0) * np.exp(a) + 3 * (a == a.max(0))
        np.testing.assert_allclose(f(a), want, rtol=1e-12)


def test_a_call_with_few_terms_has_one_part():
    """Short columns are whole: the kernel that combines parts does nothing."""
    for columns in (1, 127, 128, 129, 2048, 16_384, 100_000, 10_000_000):
        assert MOST_TERMS * columns < max(1 << 16, 512 * columns) or columns >= JOBS * 2048


def test_the_form_is_chosen_in_the_call():
    x = T.matrix("x")
    text = debugprint(symc.function([x], x.sum(0)), stage="loops", file="str")
    assert f"{MOST_TERMS} < n" in text
    few = T.TensorType("float32", (MOST_TERMS, 5000))("few")
    assert "float64[" not in debugprint(symc.function([few], few.sum(0)), stage="loops", file="str")


def test_short_first_axes_have_code_of_their_own():
    x, w = T.fmatrices("x", "w")
    f = symc.function([x], x.argmax(0))
    a = rng.standard_normal((3, 400_000)).astype("float32")
    np.testing.assert_array_equal(f(a), a.argmax(0))
    assert len(f.specialisation.short.codes) == 1
    g = symc.function([x, w], (x.sum(0), T.dot(x, w)))  # the number of examples of a batch does not count
    got = g(rng.random((10, 60_000), "float32"), rng.random((60_000, 20), "float32"))
    assert got[1].shape == (10, 20) and not g.specialisation.short.codes
