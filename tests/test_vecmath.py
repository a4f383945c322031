"""The vector mathematics of generated kernels: accuracy, edges and scalar forms.

Every function is compiled into a small library for the machine at hand and for plainer ones, and compared with NumPy's
80-bit floats or with mpmath.  Errors are counted in units of the last place of the exact result.
"""

import itertools
import math

import mpmath
import numpy as np
import pytest
from vecmath_library import CTYPES, DTYPES, FLOATS, TARGETS, assemble, build, edges, needs_compiler, require

pytestmark = [
    *needs_compiler,
    pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="needs a reference better than float64"),
]


def erf_like(function):
    """A reference that mpmath computes number by number with 40 digits."""

    def apply(values):
        with mpmath.workdps(40):
            exact = [function(mpmath.mpf(float(v))) for v in values]
            high = [float(e) for e in exact]
            low = [float(e - mpmath.mpf(h)) if mpmath.isfinite(e) else 0.0 for e, h in zip(exact, high)]
        return np.array(high, np.longdouble) + np.array(low, np.longdouble)

    apply.slow = True
    return apply


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def sigmoid_slope(x):
    return np.exp(-abs(x)) / (1 + np.exp(-abs(x))) ** 2


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-abs(x)))


def round_away(x):
    return np.copysign(np.floor(abs(x) + 0.5), x)


# name: (reference, {type: interval}, {type: units in the last place}); a negative lower end is mirrored by signs
UNARY = {
    "exp": (np.exp, (-104, 89), (-746, 710), 1.2, 1.2),
    "exp2": (np.exp2, (-150, 128), (-1075, 1024), 1.2, 1.2),
    "expm1": (np.expm1, (-30, 89), (-60, 710), 1.2, 1.5),
    "log": (np.log, (1e-45, 3e38), (5e-324, 1.7e308), 1.5, 1.5),
    "log2": (np.log2, (1e-45, 3e38), (5e-324, 1.7e308), 2.5, 1.5),
    "log10": (np.log10, (1e-45, 3e38), (5e-324, 1.7e308), 2.5, 1.5),
    "log1p": (np.log1p, (-0.9999999, 3e38), (-0.9999999, 1e308), 1.5, 1.5),
    "sin": (np.sin, (-1e5, 1e5), (-1e5, 1e5), 2.0, 1.5),
    "cos": (np.cos, (-1e5, 1e5), (-1e5, 1e5), 2.0, 1.5),
    "tan": (np.tan, (-1e5, 1e5), (-1e5, 1e5), 3.5, 2.0),
    "arcsin": (np.arcsin, (-1, 1), (-1, 1), 3.0, 2.0),
    "arccos": (np.arccos, (-1, 1), (-1, 1), 3.0, 2.0),
    "arctan": (np.arctan, (-1e30, 1e30), (-1e300, 1e300), 3.0, 2.0),
    "sinh": (np.sinh, (-88, 88), (-700, 700), 1.0, 3.0),
    "cosh": (np.cosh, (-88, 88), (-700, 700), 1.0, 3.0),
    "tanh": (np.tanh, (-12, 12), (-25, 25), 2.0, 2.5),
    "arcsinh": (np.arcsinh, (-1e38, 1e38), (-1e300, 1e300), 1.0, 3.0),
    "arccosh": (np.arccosh, (1, 1e38), (1, 1e300), 1.0, 3.0),
    "arctanh": (np.arctanh, (-1, 1), (-1, 1), 1.0, 3.0),
    "erf": (erf_like(mpmath.erf), (-5, 5), (-7, 7), 2.0, 2.0),
    "erfc": (erf_like(mpmath.erfc), (-5, 10), (-6, 27), 4.5, 6.0),
    "erfinv": (erf_like(mpmath.erfinv), (-1, 1), (-1, 1), 1.0, 4.0),
    "gammaln": (erf_like(lambda x: mpmath.log(abs(mpmath.gamma(x)))), (1e-30, 1e5), (1e-300, 1e5), 1.0, 6.0),
    "digamma": (erf_like(lambda x: mpmath.psi(0, x)), (1e-3, 1e5), (1e-3, 1e9), 1.0, 4.0),
    "sigmoid": (sigmoid, (-104, 40), (-740, 60), 2.0, 2.5),
    "sigmoid_slope": (sigmoid_slope, (-104, 104), (-740, 740), 4.0, 4.0),
    "softplus": (softplus, (-104, 1e5), (-740, 1e9), 2.0, 2.0),
    "sqrt": (np.sqrt, (1e-45, 3e38), (5e-324, 1.7e308), 0.5, 0.5),
    "rsqrt": (lambda x: 1 / np.sqrt(x), (1e-45, 3e38), (5e-324, 1.7e308), 1.5, 1.5),
    "floor": (np.floor, (-1e10, 1e10), (-1e20, 1e20), 0, 0),
    "ceil": (np.ceil, (-1e10, 1e10), (-1e20, 1e20), 0, 0),
    "trunc": (np.trunc, (-1e10, 1e10), (-1e20, 1e20), 0, 0),
    "rint": (np.rint, (-1e10, 1e10), (-1e20, 1e20), 0, 0),
    "round_away": (round_away, (-1e10, 1e10), (-1e20, 1e20), 0, 0),
    "abs": (np.abs, (-1e38, 1e38), (-1e300, 1e300), 0, 0),
}  # fmt: skip
BINARY = {"pow": (np.power, 1.0, 1.0), "arctan2": (np.arctan2, 4.0, 2.0), "fmod": (np.fmod, 0, 0)}


def loops(name, arity, t):
    """C text of `v_<name>` and `s_<name>`: the vector and the scalar function over arrays."""
    s, inputs = CTYPES[t], ["a", "b"][:arity]
    arguments = ", ".join(f"const {s} *{i}" for i in inputs)
    tail = ", ".join(f"vload_n_{t}({i} + j, left)" for i in inputs)
    return (
        f"void v_{name}_{t}({arguments}, {s} *out, int64_t n) {{ for (int64_t j = 0; j < n; j += VM_LANES) {{"
        f" int64_t left = n - j < VM_LANES ? n - j : VM_LANES;"
        f" vstore_n_{t}(out + j, vm_{name}_{t}({tail}), left); }} }}\n"
        f"void s_{name}_{t}({arguments}, {s} *out, int64_t n) {{ for (int64_t j = 0; j < n; j++)"
        f" out[j] = sm_{name}_{t}({', '.join(i + '[j]' for i in inputs)}); }}\n"
    )


@pytest.fixture(scope="module", params=TARGETS)
def functions(request, tmp_path_factory):
    require(request.param)
    text = "".join(loops(name, 1, t) for name in UNARY for t in FLOATS)
    text += "".join(loops(name, 2, t) for name in BINARY for t in FLOATS)
    library = build(text, request.param, tmp_path_factory.mktemp("vecmath"))
    library.fused = request.param != "x86-64"
    return library


def evaluate(library, form, name, *arrays):
    out = np.empty_like(arrays[0])
    t = "f32" if out.dtype == np.float32 else "f64"
    library(f"{form}_{name}_{t}", *arrays, out, len(out))
    return out


def ulps(got, exact):
    """Largest error in units of the last place; infinite where only one of the two is a NaN or overflows wrongly."""
    dtype = got.dtype
    with np.errstate(all="ignore"):
        rounded = exact.astype(dtype)
        same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
        error = abs(got.astype(np.longdouble) - exact) / np.spacing(abs(rounded)).astype(np.longdouble)
    return np.where(same & ~np.isfinite(rounded), 0, np.where(np.isnan(error), np.inf, error))


def samples(low, high, dtype, count, rng):
    """Numbers from an interval: evenly spread ones, and ones of every magnitude."""
    even = rng.uniform(low, high, count)
    least = np.log10(max(abs(low) if low > 0 else 0, float(np.finfo(dtype).tiny)))
    sizes = 10.0 ** rng.uniform(least, np.log10(max(abs(low), abs(high))), count)
    small = 10.0 ** rng.uniform(-6, min(2, np.log10(high)), count)
    spread = np.concatenate([sizes, small, -sizes, -small])
    values = np.concatenate([even, spread]).astype(dtype)
    return np.unique(values[(values >= low) & (values <= high)])


@pytest.mark.parametrize("t", FLOATS)
@pytest.mark.parametrize("name", UNARY)
def test_accuracy_of_functions_of_one_argument(functions, name, t):
    reference, *rest = UNARY[name]
    (low, high), bound = rest[FLOATS.index(t)], rest[2 + FLOATS.index(t)]
    slow = hasattr(reference, "slow")
    x = samples(low, high, DTYPES[t], 60 if slow else 8000, np.random.default_rng(7))
    with np.errstate(all="ignore"):
        exact = reference(x) if slow else reference(x.astype(np.longdouble))
    error = ulps(evaluate(functions, "v", name, x), exact)
    worst = error.argmax()
    assert error[worst] <= bound, f"{name}({x[worst]!r}) is {error[worst]:.2f} units off"


@pytest.mark.parametrize("name", ["erf", "erfc"])
def test_error_functions_of_floats_keep_their_bounds_everywhere(functions, name):
    """Many arguments, for which a function of float64 is reference enough; fused operations make erfc more accurate."""
    rng = np.random.default_rng(12)
    x = np.concatenate([rng.uniform(-4, 10.2, 400_000), 2.0 ** rng.uniform(-26, 3, 200_000)]).astype(np.float32)
    exact = np.array([getattr(math, name)(v) for v in x.tolist()])
    error = ulps(evaluate(functions, "v", name, x), exact)
    bound = 3.5 if name == "erfc" and functions.fused else UNARY[name][3]
    assert error.max() <= bound, f"{name}({x[error.argmax()]!r}) is {error.max():.2f} units off"
    scalar = evaluate(functions, "s", name, x[:1000])
    np.testing.assert_array_equal(scalar, evaluate(functions, "v", name, x[:1000]))


@pytest.mark.parametrize("name, last, bound", [("erf", 6.2, 1.5), ("erfc", 27, 4.3)])
def test_error_functions_of_doubles_keep_their_bounds(functions, name, last, bound):
    """Many arguments, also next to where formulas meet."""
    rng = np.random.default_rng(12)
    sizes = [rng.uniform(0, last, 1500), rng.uniform(0, 3, 1500), rng.uniform(0.7, 1.3, 1500)]
    x = np.concatenate([*sizes, 2.0 ** rng.uniform(-60, 3, 500)]) * rng.choice([-1, 1], 5000)
    error = ulps(evaluate(functions, "v", name, x), UNARY[name][0](x))
    assert error.max() <= bound, f"{name}({x[error.argmax()]!r}) is {error.max():.2f} units off"


def test_a_kernel_with_sigmoid_and_its_slope_has_one_exponential(tmp_path):
    text = "v_f32 f(v_f32 x) {{ return {}; }}"
    alone = assemble(text.format("vm_sigmoid_f32(x)"), tmp_path)
    both = assemble(text.format("vm_sigmoid_f32(x) + x * vm_sigmoid_slope_f32(x)"), tmp_path)
    assert len(both) <= len(alone) + 16, "the exponential is computed twice"


def pairs(name, t, rng, count=6000):
    """Arguments of a function of two arguments over several magnitudes, with both signs where they are allowed."""
    scale = 10.0 ** rng.uniform(-4, 4, count)
    a, b = scale * rng.choice([-1, 1], count), 10.0 ** rng.uniform(-4, 4, count) * rng.choice([-1, 1], count)
    if name == "pow":
        whole = rng.integers(-12, 12, count)
        b = np.where(a < 0, whole, np.clip(b, -30, 30) * rng.uniform(0, 1, count))
    return a.astype(DTYPES[t]), b.astype(DTYPES[t])


@pytest.mark.parametrize("t", FLOATS)
@pytest.mark.parametrize("name", BINARY)
def test_accuracy_of_functions_of_two_arguments(functions, name, t):
    reference, *bounds = BINARY[name]
    a, b = pairs(name, t, np.random.default_rng(8))
    with np.errstate(all="ignore"):
        exact = reference(a.astype(np.longdouble), b.astype(np.longdouble))
    error = ulps(evaluate(functions, "v", name, a, b), exact)
    worst = error.argmax()
    assert error[worst] <= bounds[FLOATS.index(t)], f"{name}({a[worst]!r}, {b[worst]!r}): {error[worst]:.2f} units off"


def powers(rng, count=300):
    """Arguments of pow whose results fill the range of float64, most of them close to its ends."""
    power = np.concatenate(
        [rng.uniform(-1074, 1024, count), rng.uniform(1000, 1024, count), rng.uniform(-1074, -1000, count)]
    )
    count = len(power)
    near_one = 1 + rng.choice([-1, 1], count) * 2.0 ** rng.uniform(-52, -1.5, count)
    # The reduction of the logarithm is worst next to the square roots of two and of a half.
    cut = rng.choice([0.7072, 1.4142], count) * rng.uniform(0.999, 1.001, count)
    sizes = 10.0 ** rng.uniform(-307, 308, count)
    subnormal = 5e-324 * 2.0 ** rng.uniform(0, 52, count)
    return [(x, power / np.log2(x)) for x in (near_one, cut, sizes, subnormal)]


def test_powers_keep_their_accuracy_to_the_ends_of_the_range(functions):
    for x, y in powers(np.random.default_rng(10)):
        with mpmath.workprec(200):
            exact = [mpmath.mpf(float(a)) ** mpmath.mpf(float(b)) for a, b in zip(x, y)]
            scale = [mpmath.mpf(float(s)) for s in np.spacing(np.array(exact, float))]
            got = evaluate(functions, "v", "pow", x, y)
            error = [abs(mpmath.mpf(float(g)) - e) / s for g, e, s in zip(got, exact, scale)]
        finite = np.isfinite(np.array(exact, float))
        worst = np.argmax(np.where(finite, np.array(error, float), 0))
        assert error[worst] <= 1, f"pow({x[worst]!r}, {y[worst]!r}) is {float(error[worst]):.2f} units off"
        assert (np.isinf(got) == ~finite).all()


def test_negative_and_vanishing_bases_beside_positive_ones(functions):
    """Vectors where some lanes follow special rules and the others must not notice."""
    x = np.array([-2.0, 3.0, -0.0, 0.0, -np.inf, 1.0, -1.0, -1e-310, 0.5, -7.0, -1.5, np.nan], float)
    for y in (-3.0, -2.0, -0.5, 0.0, 0.5, 1.0, 3.0, 4.0, 2.0**53, 2.0**53 - 1, 1e300, -1e300, np.inf, -np.inf, np.nan):
        b = np.full_like(x, y)
        with np.errstate(all="ignore"):
            exact = np.power(x.astype(np.longdouble), b.astype(np.longdouble))
        for form in "vs":
            assert_same_edges(evaluate(functions, form, "pow", x, b), exact, y)


def assert_same_edges(got, exact, label):
    """Same NaNs, infinities, zeros and signs; other numbers within a few units."""
    with np.errstate(all="ignore"):
        expected = exact.astype(got.dtype)
    assert (np.isnan(got) == np.isnan(expected)).all(), label
    number = ~np.isnan(expected)
    assert (np.signbit(got) == np.signbit(expected))[number].all(), label
    assert ulps(got, exact)[number].max() <= 6, label


@pytest.mark.parametrize("t", FLOATS)
@pytest.mark.parametrize("name", [n for n in UNARY if n not in ("gammaln", "digamma", "erfinv", "erf", "erfc")])
def test_edges_of_functions_of_one_argument(functions, name, t):
    x = edges(DTYPES[t])
    with np.errstate(all="ignore"):
        exact = UNARY[name][0](x.astype(np.longdouble))
    assert_same_edges(evaluate(functions, "v", name, x), exact, (name, x))


@pytest.mark.parametrize("t", FLOATS)
@pytest.mark.parametrize(
    "name, points",
    [
        ("erf", [(0.0, 0.0), (-0.0, -0.0), (np.inf, 1.0), (-np.inf, -1.0), (np.nan, np.nan), (1e30, 1.0)]),
        ("erfc", [(0.0, 1.0), (-0.0, 1.0), (np.inf, 0.0), (-np.inf, 2.0), (np.nan, np.nan), (1e30, 0.0)]),
        ("erfinv", [(0.0, 0.0), (-0.0, -0.0), (1.0, np.inf), (-1.0, -np.inf), (1.5, np.nan), (np.nan, np.nan)]),
        ("gammaln", [(0.0, np.inf), (1.0, 0.0), (2.0, 0.0), (-1.0, np.inf), (np.inf, np.inf), (np.nan, np.nan)]),
        (
            "digamma",
            [(0.0, -np.inf), (-0.0, np.inf), (-1.0, np.nan), (np.inf, np.inf), (-np.inf, np.nan), (np.nan, np.nan)],
        ),
    ],
)
def test_edges_of_special_functions(functions, name, points, t):
    for argument, expected in points:
        got = evaluate(functions, "v", name, np.array([argument], DTYPES[t]))
        np.testing.assert_array_equal(got, np.array([expected], DTYPES[t]))
        assert np.isnan(expected) or np.signbit(got[0]) == np.signbit(expected), (name, argument)


@pytest.mark.parametrize("t", FLOATS)
@pytest.mark.parametrize("name", BINARY)
def test_edges_of_functions_of_two_arguments(functions, name, t):
    a, b = (np.array(c) for c in zip(*itertools.product(edges(DTYPES[t]), repeat=2)))
    with np.errstate(all="ignore"):
        exact = BINARY[name][0](a.astype(np.longdouble), b.astype(np.longdouble))
    assert_same_edges(evaluate(functions, "v", name, a, b), exact, name)


@pytest.mark.parametrize("t", FLOATS)
def test_subnormal_results_lose_precision_gradually(functions, t):
    x = np.linspace(*((-103.9, -87.4) if t == "f32" else (-745, -708.5)), 500).astype(DTYPES[t])
    got = evaluate(functions, "v", "exp", x)
    assert ((got > 0) & (got < np.finfo(DTYPES[t]).tiny)).all()
    assert ulps(got, np.exp(x.astype(np.longdouble))).max() <= 1


@pytest.mark.parametrize("t", FLOATS)
@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_large_angles(functions, name, t):
    x = np.array([1.0e6, 1.1e6, -3.3e7, 1e10, 1e22, 3e38, 0.5], DTYPES[t])
    error = ulps(evaluate(functions, "v", name, x), erf_like(getattr(mpmath, name))(x))
    assert error.max() <= 4


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_angles_beside_multiples_of_a_quarter_turn(functions, name):
    """Where sine or cosine vanishes, nearly all digits of an argument cancel; from 4,096 on the formula is another."""
    near = (np.arange(1, 8000) * (np.pi / 2)).astype("float32")
    ends = np.float32([4096, 4097, 2**-24, 0.7853981, 0.785398, 0.7853982])
    x = np.concatenate([near, np.nextafter(near, np.float32(0)), np.nextafter(near, np.float32(np.inf)), ends])
    x = np.concatenate([x, -x])
    exact = getattr(np, name)(x.astype(np.longdouble))
    assert ulps(evaluate(functions, "v", name, x), exact).max() <= 1.6


@pytest.mark.parametrize("t", FLOATS)
def test_scalar_and_vector_forms_give_the_same_bits(functions, t):
    rng = np.random.default_rng(9)
    for name, (_, *rest) in UNARY.items():
        x = np.concatenate([samples(*rest[FLOATS.index(t)], DTYPES[t], 100, rng), edges(DTYPES[t])])
        vector, scalar = evaluate(functions, "v", name, x), evaluate(functions, "s", name, x)
        assert (
            (vector == scalar) & (np.signbit(vector) == np.signbit(scalar)) | np.isnan(vector) & np.isnan(scalar)
        ).all(), name
    for name in BINARY:
        a, b = pairs(name, t, rng, 400)
        np.testing.assert_array_equal(evaluate(functions, "v", name, a, b), evaluate(functions, "s", name, a, b))
