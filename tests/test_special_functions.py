"""Worst errors of the gamma family and of the inverse error functions, against mpmath, and their values at the ends."""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp
import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.tensor import xlogx

ENDS = np.array([0.0, -0.0, 1.0, -1.0, 2.0, np.inf, -np.inf, np.nan])


def _spread(*parts: np.ndarray) -> np.ndarray:
    return np.concatenate(parts)


def _positive(rng: np.random.Generator) -> np.ndarray:
    parts = [rng.uniform(low, high, 60) for low, high in ((0, 1), (1, 3), (3, 8), (8, 30))]
    return _spread(*parts, 10 ** rng.uniform(-30, 3, 60))


def _negative(rng: np.random.Generator) -> np.ndarray:
    return _spread(-rng.uniform(0, 1, 60), -rng.uniform(1, 15, 60), -(10 ** rng.uniform(-12, -1, 30)))


def _probability(rng: np.random.Generator) -> np.ndarray:
    return _spread(rng.uniform(-1, 1, 100), 10 ** rng.uniform(-30, 0, 50), 1 - 10 ** rng.uniform(-6, 0, 50))


def _twice_a_probability(rng: np.random.Generator) -> np.ndarray:
    return _spread(rng.uniform(0, 2, 100), 10 ** rng.uniform(-30, 0, 60), 2 - 10 ** rng.uniform(-6, 0, 40))


def _erfcinv(y: mp.mpf) -> mp.mpf:
    with mp.workdps(80):
        return mp.erfinv(1 - y)


def _log_gamma(x: mp.mpf) -> mp.mpf:
    return mp.log(abs(mp.gamma(x)))


# function, meaning, points, units of rounding allowed: of the value, and of 1
CASES: dict[str, tuple[Callable, Callable, Callable, float, float]] = {
    "gammaln": (T.gammaln, _log_gamma, _positive, 3, 0),
    "gammaln, negative": (T.gammaln, _log_gamma, _negative, 3, 3),
    "gamma": (T.gamma, mp.gamma, _positive, 6, 0),
    "gamma, negative": (T.gamma, mp.gamma, _negative, 6, 0),
    "psi": (T.psi, mp.digamma, _positive, 3, 4),
    "psi, negative": (T.psi, mp.digamma, _negative, 6, 8),
    "tri_gamma": (T.tri_gamma, lambda x: mp.polygamma(1, x), _positive, 5, 0),
    "tri_gamma, negative": (T.tri_gamma, lambda x: mp.polygamma(1, x), _negative, 5, 0),
    "polygamma(2)": (lambda x: T.polygamma(2, x), lambda x: mp.polygamma(2, x), _positive, 5, 0),
    "polygamma(3), negative": (lambda x: T.polygamma(3, x), lambda x: mp.polygamma(3, x), _negative, 8, 0),
    "erfinv": (T.erfinv, mp.erfinv, _probability, 4, 0),
    "erfcinv": (T.erfcinv, _erfcinv, _twice_a_probability, 4, 0),
    "erfcx": (
        T.erfcx, lambda x: mp.exp(x * x) * mp.erfc(x),
        lambda rng: _spread(rng.uniform(-9, 9, 100), 10 ** rng.uniform(-5, 2, 40)), 4, 0,
    ),
    "log(cosh(x))": (
        lambda x: T.log(T.cosh(x)), lambda x: mp.log(mp.cosh(x)),
        lambda rng: _spread(rng.uniform(-2, 2, 400), rng.uniform(0.7, 0.8, 100), 10 ** rng.uniform(-5, 2, 40)), 2, 0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_worst_errors(name: str, dtype: str) -> None:
    function, meaning, points, of_value, of_one = CASES[name]
    x = T.tensor(dtype=dtype, shape=(None,), name="x")
    info = np.finfo(dtype)
    at = points(np.random.default_rng(3)).astype(dtype)
    if name in ("erfinv", "erfcinv"):
        at = at[(at > -1) & (at < 2 if name == "erfcinv" else at < 1) & (at != 0)]
    with mp.workdps(40):
        for point, got in zip(at, symc.function([x], function(x))(at)):
            want = meaning(mp.mpf(float(point)))
            if not info.tiny < abs(want) < info.max:
                continue
            allowed = float(info.eps) * (of_value * abs(want) + of_one)
            assert abs(mp.mpf(float(got)) - want) <= allowed, (name, point, got, mp.nstr(want, 17))


@pytest.mark.parametrize("device", ["c", "interp"])
@pytest.mark.parametrize(
    ("function", "want"),
    [
        (T.gammaln, [np.inf, np.inf, 0, np.inf, 0, np.inf, np.inf, np.nan]),
        (T.gamma, [np.inf, -np.inf, 1, np.nan, 1, np.inf, np.nan, np.nan]),
        (T.psi, [-np.inf, np.inf, -0.5772156649015329, np.nan, 0.42278433509846713, np.inf, np.nan, np.nan]),
        (T.tri_gamma, [np.inf, np.inf, np.pi**2 / 6, np.inf, np.pi**2 / 6 - 1, 0, np.nan, np.nan]),
        (T.erfinv, [0, 0, np.inf, -np.inf, np.nan, np.nan, np.nan, np.nan]),
        (T.erfcinv, [np.inf, np.inf, 0, np.nan, -np.inf, np.nan, np.nan, np.nan]),
        (T.erfcx, [1, 1, 0.427583576155807, 5.00898008076228, 0.255395676310506, 0, np.inf, np.nan]),
        (lambda x: T.log(T.cosh(x)), [0, 0, *2 * [0.4337808304830271], 1.325002747357864, np.inf, np.inf, np.nan]),
        (xlogx.xlogx, [0, 0, 0, np.nan, 2 * np.log(2), np.inf, np.nan, np.nan]),
    ],
)
def test_ends(function: Callable, want: list[float], device: str) -> None:
    x = T.dvector("x")
    got = symc.function([x], function(x), device=device)(ENDS)
    np.testing.assert_allclose(got, want, rtol=1e-14)


def test_entropy_of_a_certain_event() -> None:
    """``x log(y)`` is zero where x is, whatever y; its gradient by y, too, whereas the one by x is the logarithm."""
    x, y = T.dvectors("x", "y")
    z = xlogx.xlogy0(x, y)
    f = symc.function([x, y], [z, *T.grad(z.sum(), [x, y])])
    value, by_x, by_y = f([0.0, 0.0, 2.0], [0.0, 3.0, 0.5])
    np.testing.assert_allclose(value, [0, 0, 2 * np.log(0.5)])
    np.testing.assert_allclose(by_x, [-np.inf, np.log(3), np.log(0.5)])
    np.testing.assert_allclose(by_y, [0, 0, 4])


def test_gamma_of_an_integer_is_a_factorial() -> None:
    n = T.ivector("n")
    f = symc.function([n], [T.gamma(n + 1), T.exp(T.gammaln(n + 1)), T.psi(n + 1) - T.psi(n)])
    with symc.config.change(floatX="float64"):
        g = symc.function([n], T.gamma(T.cast(n, "float64") + 1))
    np.testing.assert_allclose(f([1, 2, 5, 10])[0], [1, 2, 120, 3628800], rtol=1e-6)
    np.testing.assert_allclose(f([1, 2, 5, 10])[1], [1, 2, 120, 3628800], rtol=1e-5)
    np.testing.assert_allclose(f([1, 2, 5, 10])[2], [1, 0.5, 0.2, 0.1], rtol=1e-5)
    np.testing.assert_allclose(g([20, 170]), [2432902008176640000.0, 7.257415615307994e306], rtol=1e-14)


def test_order_of_polygamma_is_a_known_number() -> None:
    for n in (-1, 0.5, True, "1"):
        with pytest.raises(ValueError, match="polygamma: n must be"):
            T.polygamma(n, T.dvector())


def test_incomplete_gamma_functions_over_many_orders_of_magnitude() -> None:
    """Both functions, relative to their own size, in float64 and in float32."""
    rng = np.random.default_rng(0)
    k = np.concatenate([10 ** rng.uniform(-6, 4, 60), rng.uniform(45, 55, 20)])
    x = k * np.concatenate([10 ** rng.uniform(-3, 1, 40), rng.uniform(0.8, 1.2, 40)])
    k, x = k.astype("float32").astype("float64"), x.astype("float32").astype("float64")
    with mp.workdps(40):
        upper = np.array([float(mp.gammainc(a, b, mp.inf, regularized=True)) for a, b in zip(k, x)])
        lower = np.array([float(mp.gammainc(a, 0, b, regularized=True)) for a, b in zip(k, x)])
    for dtype, rtol, least in (("float64", 1e-12, 1e-290), ("float32", 3e-7, 1e-37)):
        u, v = T.tensor(dtype, shape=(None,)), T.tensor(dtype, shape=(None,))
        f = symc.function([u, v], [T.gammainc(u, v), T.gammaincc(u, v)])
        for found, wanted in zip(f(k, x), (lower, upper)):
            big = wanted > least
            np.testing.assert_allclose(found[big], wanted[big], rtol=rtol)
            assert (found[~big] <= 2 * least).all()


def test_gradients_by_both_operands_of_the_incomplete_gamma_function() -> None:
    """Of first and second order, where series, quadrature and the recurrence of small k meet."""
    k, x = T.dscalar("k"), T.dscalar("x")
    y = T.gammaincc(k, x)
    by = [symc.grad(y, v) for v in (k, x)]
    second = [symc.grad(by[0], k), symc.grad(by[0], x), symc.grad(by[1], x)]
    f = symc.function([k, x], [*by, *second])
    mp.mp.dps = 30
    for a, b in ((0.3, 0.2), (0.3, 2.5), (4.0, 3.5), (60.0, 50.0), (60.0, 75.0)):

        def q(u: float, v: float) -> mp.mpf:
            return mp.gammainc(u, v, mp.inf, regularized=True)

        wanted = [mp.diff(q, (a, b), n) for n in ((1, 0), (0, 1), (2, 0), (1, 1), (0, 2))]
        np.testing.assert_allclose(f(a, b), [float(w) for w in wanted], rtol=2e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_incomplete_gamma_functions_where_gamma_is_large(dtype: str) -> None:
    """In float32, gamma(k) overflows from 35 on, the incomplete functions much later or never."""
    k, x = T.tensor(dtype, shape=(None,)), T.tensor(dtype, shape=(None,))
    f = symc.function([k, x], [T.gammal(k, x), T.gammau(k, x)])
    assert [y.dtype for y in f([1], [1])] == [dtype] * 2
    points = [(33.5, 0.5), (100.0, 1.0), (100.0, 2.0), (33.5, 200.0), (100.0, 0.0)]
    lower, upper = f(*zip(*points))
    rtol = 1e-6 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(lower[:3], [float(mp.gammainc(a, 0, b)) for a, b in points[:3]], rtol)
    assert lower[4] == 0
    np.testing.assert_allclose(upper[3], float(mp.gammainc(33.5, 200, mp.inf)), 5 * rtol)


@pytest.mark.parametrize("device", ["c", "interp"])
def test_poles_of_the_gamma_family_next_to_zero_and_far_away(device: str) -> None:
    x = T.fvector("x")
    f = symc.function([x], [T.gammaln(x), T.psi(x)], device=device)
    log, slope = f(np.array([-1e38, -3.0, -1e-40, 1e-40], "float32"))
    assert np.isposinf(log[:2]).all() and np.isnan(slope[:2]).all()
    np.testing.assert_allclose(log[2:], 40 * np.log(10), rtol=1e-5)
    assert slope[2] == np.inf and slope[3] == -np.inf


BESSEL = [(300.0, 2e4), (300.5, 310.0), (1000.25, 990.0), (50.0, 51.0), (2.0, 33.0), (97.5, 1000.0), (-41.5, 300.0)]


def test_bessel_functions_of_high_order() -> None:
    v, x = np.array(BESSEL).T
    f = symc.function([], [T.jv(v, x), T.iv(v / 4, x / 40), T.j0(x)])
    found = f()
    np.testing.assert_allclose(found[0], [float(mp.besselj(a, b)) for a, b in BESSEL], rtol=1e-10)
    np.testing.assert_allclose(found[1], [float(mp.besseli(a / 4, b / 40)) for a, b in BESSEL], rtol=1e-10)
    np.testing.assert_allclose(found[2], [float(mp.besselj(0, b)) for a, b in BESSEL], rtol=1e-12)


def test_modified_bessel_functions_of_negative_orders() -> None:
    """They contain a part that decays in the direction of the recurrence in the order, which is thus unstable."""
    points = [(-20.5, 22.0), (-10.375, 7.5), (-0.5, 3.0), (-39.75, 60.0), (-52.07, 30.5)]
    found = symc.function([], T.iv(*(np.array(p) for p in zip(*points))))()
    np.testing.assert_allclose(found, [float(mp.besseli(a, b)) for a, b in points], rtol=2e-12)


def test_bessel_functions_of_extreme_arguments() -> None:
    """Orders that would need too many steps are NaN, after a bounded time; values below the smallest float are 0."""
    found = symc.function([], T.jv(np.array([1e15, 1e12, 1e12, 0.0]), np.array([1e15, 1e6, 3.0, 1.7e308])))()
    assert np.isnan(found[0]) and (found[1:3] == 0).all() and 0 < abs(found[3]) < 1e-150
    assert symc.function([], T.i0(np.float64(1.7e308)))() == np.inf


@pytest.mark.parametrize("device", ["c", "interp"])
def test_erfcinv_of_the_least_numbers(device: str) -> None:
    """Half of the least positive number would be zero."""
    for dtype in ("float32", "float64"):
        least = np.nextafter(np.zeros((), dtype), np.ones((), dtype))
        x = T.vector("x", dtype=dtype)
        points = least * np.array([1, 2, 3, 1001], dtype)
        got = symc.function([x], T.erfcinv(x), device=device)(points)
        for y, point in zip(got, points):
            assert abs(mp.erfc(mp.mpf(float(y))) / mp.mpf(float(point)) - 1) < 400 * np.finfo(dtype).eps * float(y)
