"""Derivatives of all records at critical points: zeros, ties, ends of domains, saturation.

Elementwise ops are compared with mpmath in 100 digits, first and second order and forward mode, away from kinks; what
holds at kinks is written down. ``tests/test_ops.py`` compares every record with differences at ordinary points.
"""

from __future__ import annotations

import itertools

import mpmath as mp
import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.graph.op import RECORDS, Pointwise
from symc.tensor import elementwise as ew
from symc.tensor import stable, xlogx
from symc.tensor.nnet.losses import _sigmoid_binary, binary_of, binary_of_logs, binary_slope, sigmoid_binary_slope
from symc.tensor.special import erfc_forms

mp.mp.dps = 100

MODES = ("fast_run", "no_rewrite")
WIDE = [-700.0, -40.0, -3.0, -1e-3, -1e-9, 0.0, 1e-9, 1e-3, 0.5, 19.0, 40.0, 700.0]
INSIDE = [-1 + 1e-12, -0.999, -0.5, -1e-9, 0.0, 1e-9, 0.5, 0.999, 1 - 1e-12]
POSITIVE = [1e-150, 1e-9, 0.5, 1.0, 3.0, 1e9, 1e150]
NONZERO = [-1e9, -3.0, -1e-9, 1e-9, 0.5, 1e9]
UNIT = [1e-9, 0.3, 0.999999]


TAIL = [-9.0, -1.0, -1e-9, 0.0, 0.5, 3.9, 4.1, 7.9, 8.1, 30.0, 1e4]


def hazard(x):
    """Minus the slope of ``log(erfc(x))``."""
    return 2 * mp.exp(-x * x) / (mp.sqrt(mp.pi) * mp.erfc(x))


GAMMA = [-3.75, -1.001, -0.25, -1e-9, 1e-9, 0.5, 0.999, 1.0, 1.5, 2.0, 2.5, 7.9, 8.1, 20.0]
GOMPIT = [-40.0, -15.1, -14.9, -1.3, -1.1, 0.0, 0.5, 3.0, 7.0]
SOFT = [-40.0, -14.1, -13.9, -7.1, -6.9, -1.0, 0.0, 0.5, 19.0, 700.0]


def soft_hazard(x):
    """The slope of ``log(softplus(x))``."""
    return 1 / ((1 + mp.exp(-x)) * mp.log1p(mp.exp(x)))


# name: (function to test, meaning, points per operand)
SMOOTH = {
    "abs": (ew.abs_, abs, [NONZERO]),
    "add": (ew.add, lambda x, y: x + y, [WIDE, NONZERO]),
    "arccos": (ew.arccos, mp.acos, [INSIDE]),
    "arccosh": (ew.arccosh, mp.acosh, [[1 + 1e-12, 1.5, 1e9, 1e160]]),
    "arcsin": (ew.arcsin, mp.asin, [INSIDE]),
    "arcsinh": (ew.arcsinh, mp.asinh, [[-1e9, -1.0, 0.0, 1e-9, 1e9]]),
    "arctan": (ew.arctan, mp.atan, [[-1e9, -1.0, 0.0, 1e-9, 1e9]]),
    "arctan2": (ew.arctan2, mp.atan2, [[-1e3, -1e-3, 0.0, 2.0], [-3.0, 1e-3, 1e3]]),
    "arctanh": (ew.arctanh, mp.atanh, [INSIDE]),
    "binary_crossentropy": (
        binary_of, lambda o, t: -(t * mp.log(o) + (1 - t) * mp.log(1 - o)), [UNIT, [0.0, 0.25, 1.0]],
    ),
    "binary_crossentropy_of_logs": (
        binary_of_logs, lambda p, q, t: -(t * p + (1 - t) * q), [[-800.0, -0.1], [-700.0, -0.5], [0.0, 0.25, 1.0]],
    ),
    "binary_crossentropy_slope": (
        binary_slope, lambda g, o, t: g * (o - t) / (o * (1 - o)), [[-1.0, 0.0], [0.2, 0.9], [0.0, 0.3, 1.0]],
    ),
    "clip": (ew.clip, lambda x, a, b: min(max(x, a), b), [[-5.0, 0.5, 5.0], [-1.0, 0.0], [1.0, -2.0]]),
    "cos": (ew.cos, mp.cos, [WIDE]),
    "cosh": (ew.cosh, mp.cosh, [[-700.0, -1.0, 0.0, 1e-9, 700.0]]),
    "deg2rad": (ew.deg2rad, mp.radians, [WIDE]),
    "erf": (ew.erf, mp.erf, [WIDE]),
    "erfc": (ew.erfc, mp.erfc, [[-30.0, -1.0, 0.0, 1.0, 5.0, 25.0]]),
    "erfc_excess": (erfc_forms._erfc_excess, lambda x: hazard(x) - 2 * x, [TAIL[:-1]]),
    "erfc_hazard": (erfc_forms.erfc_hazard, hazard, [TAIL[:-1]]),
    "erfcinv": (T.erfcinv, lambda x: mp.erfinv(1 - x), [[1e-6, 0.1, 0.9, 1.0, 1.9]]),
    "erfcx": (T.erfcx, lambda x: mp.exp(x * x) * mp.erfc(x), [[-9.0, *TAIL[1:-1]]]),
    "erfinv": (T.erfinv, mp.erfinv, [[-0.999, -0.5, -1e-9, 0.0, 1e-9, 0.84, 0.86, 0.999]]),
    "exp": (ew.exp, mp.exp, [WIDE]),
    "exp2": (ew.exp2, lambda x: mp.mpf(2) ** x, [WIDE]),
    "expm1": (ew.expm1, mp.expm1, [WIDE]),
    "gamma": (T.gamma, mp.gamma, [GAMMA]),
    "gammaln": (T.gammaln, lambda x: mp.log(abs(mp.gamma(x))), [[*GAMMA, 1e9]]),
    "gompit_bend": (stable.gompit_bend, lambda x: mp.exp(x) / (1 - mp.exp(-mp.exp(x))) - 1, [GOMPIT]),
    "gompit_hazard": (stable.gompit_hazard, lambda x: mp.exp(x) / (mp.exp(mp.exp(x)) - 1), [GOMPIT]),
    "hypot": (T.hypot, lambda x, y: mp.sqrt(x * x + y * y), [[-3.0, 1e-9, 2.0], [-1e9, -1e-9, 0.5]]),
    "log": (ew.log, mp.log, [POSITIVE]),
    "log10": (ew.log10, mp.log10, [POSITIVE]),
    "log1p": (ew.log1p, mp.log1p, [[-1 + 1e-12, -0.5, -1e-9, 0.0, 1e-9, 1e9]]),
    "log1mexp": (stable.log1mexp, lambda x: mp.log(1 - mp.exp(x)), [[-700.0, -30.0, -0.7, -1e-3, -1e-9]]),
    "log_erfc": (erfc_forms.log_erfc, lambda x: mp.log(mp.erfc(x)), [TAIL]),
    "log_gompit": (stable.log_gompit, lambda x: mp.log(1 - mp.exp(-mp.exp(x))), [GOMPIT]),
    "log_half_erfc": (erfc_forms.log_half_erfc, lambda x: mp.log(mp.erfc(x) / 2), [TAIL]),
    "log_softplus": (ew.log_softplus, lambda x: mp.log(mp.log1p(mp.exp(x))), [SOFT]),
    "logaddexp": (
        stable.logaddexp, lambda x, y: mp.log(mp.exp(x) + mp.exp(y)), [[-800.0, -1.0, 0.0, 700.0], [-1.0, 0.0, 700.0]],
    ),
    "logcosh": (ew.logcosh, lambda x: mp.log(mp.cosh(x)), [WIDE]),
    "log2": (ew.log2, lambda x: mp.log(x, 2), [POSITIVE]),
    "maximum": (ew.maximum, max, [[-1.0, 0.0, 3.0], [-2.0, 1.0]]),
    "minimum": (ew.minimum, min, [[-1.0, 0.0, 3.0], [-2.0, 1.0]]),
    "mod": (ew.mod, lambda x, y: x - y * mp.floor(x / y), [[-7.5, 0.25, 9.75], [-2.0, 3.0]]),
    "mul": (ew.mul, lambda x, y: x * y, [WIDE, [0.0, *NONZERO]]),
    "neg": (ew.neg, lambda x: -x, [WIDE]),
    "polygamma": (T.psi, mp.digamma, [[*GAMMA, 1e9]]),
    "pow": (ew.float_power, lambda x, y: x**y, [[1e-9, 0.5, 1.0, 3.0], [-2.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0]]),
    "rad2deg": (ew.rad2deg, mp.degrees, [WIDE]),
    "reciprocal": (ew.inv, lambda x: 1 / x, [NONZERO]),
    "relu": (ew.relu, lambda x: max(x, mp.mpf(0)), [NONZERO]),
    "sigmoid": (ew.sigmoid, lambda x: 1 / (1 + mp.exp(-x)), [WIDE]),
    "sigmoid_binary_crossentropy": (
        _sigmoid_binary, lambda x, t: mp.log(1 + mp.exp(x)) - t * x, [[-800.0, -3.0, 0.0, 800.0], [0.0, 0.3, 1.0]],
    ),
    "sigmoid_binary_crossentropy_slope": (
        sigmoid_binary_slope, lambda x, t: 1 / (1 + mp.exp(-x)) - t, [[-800.0, -3.0, 0.0, 800.0], [0.0, 0.3, 1.0]],
    ),
    "sigmoid_slope": (ew.sigmoid_slope, lambda x: mp.exp(-x) / (1 + mp.exp(-x)) ** 2, [WIDE]),
    "sin": (ew.sin, mp.sin, [WIDE]),
    "sinh": (ew.sinh, mp.sinh, [[-700.0, -1.0, 0.0, 1e-9, 700.0]]),
    "softplus": (ew.softplus, lambda x: mp.log(1 + mp.exp(x)), [WIDE]),
    "softplus_bend": (ew.softplus_bend, lambda x: 1 / (1 + mp.exp(x)) - soft_hazard(x), [SOFT]),
    "softplus_hazard": (ew.softplus_hazard, soft_hazard, [SOFT]),
    "sqr": (ew.sqr, lambda x: x * x, [WIDE]),
    "sqrt": (ew.sqrt, mp.sqrt, [[1e-150, 1e-9, 0.5, 1e150]]),
    "sub": (ew.sub, lambda x, y: x - y, [WIDE, NONZERO]),
    "tan": (ew.tan, mp.tan, [[-1.57, -1.0, 0.0, 1e-9, 1.57]]),
    "tanh": (ew.tanh, mp.tanh, [WIDE]),
    "tanh_slope": (ew.tanh_slope, lambda x: mp.sech(x) ** 2, [WIDE]),
    "true_div": (ew.true_div, lambda x, y: x / y, [[0.0, *NONZERO], NONZERO]),
    "xlogx": (xlogx.xlogx, lambda x: x * mp.log(x), [[1e-150, 1e-9, 0.5, 1.0, 1e9]]),
    "xlogy0": (xlogx.xlogy0, lambda x, y: x * mp.log(y), [[-3.0, 1e-9, 0.5, 1e9], [1e-9, 0.5, 1.0, 1e9]]),
}  # fmt: skip

STEPS = {
    "and", "ceil", "eq", "floor", "floor_div", "ge", "gt", "invert", "isinf", "isnan", "le", "left_shift", "lt", "neq",
    "or", "right_shift", "round_half_away_from_zero", "round_half_to_even", "sgn", "trunc", "xor",
}  # fmt: skip
ELSEWHERE = {
    "cast", "switch",  # linear; tests/test_selection.py
    "round_to_bfloat16", "bfloat16_bits", "bfloat16_value",  # tests/test_bfloat16.py
    "steps_done",  # of integers alone
}  # fmt: skip


def test_every_elementwise_record_is_here():
    known = set(SMOOTH) | STEPS | ELSEWHERE
    assert {name for name, r in RECORDS.items() if isinstance(r.lower, Pointwise)} == known


def exact(f, at, orders):
    """A mixed derivative, by differences in many digits."""
    least = min([abs(v) for v in at if v] + [mp.mpf(1)])
    return float(mp.re(mp.diff(f, tuple(at), tuple(orders), h=least * mp.mpf(10) ** -18)))


def unit(k, n, times=1):
    return [times if j == k else 0 for j in range(n)]


@pytest.mark.parametrize("name", sorted(SMOOTH))
def test_elementwise_derivatives_in_high_precision(name):
    function, meaning, ranges = SMOOTH[name]
    points = [p for p in itertools.product(*ranges) if not is_kink(name, p)]
    n = len(ranges)
    arrays = [np.array([p[k] for p in points]) for k in range(n)]
    with symc.config.change(floatX="float64"):
        xs = [T.dvector(f"x{k}") for k in range(n)]
        y = function(*xs)
        first = symc.grad(y.sum(), xs)
        second = [symc.grad(g.sum(), xs, disconnected_inputs="ignore") for g in first]
        ahead = T.Rop([y, *first], xs, [T.full_like(x, 1.0 + k) for k, x in enumerate(xs)])
    outputs = [*first, *(h for row in second for h in row), *ahead]
    for mode in MODES:
        found = symc.function(xs, outputs, mode=mode, on_unused_input="ignore")(*arrays)
        for j, p in enumerate(points):
            at = [mp.mpf(v) for v in p]
            slopes = [exact(meaning, at, unit(k, n)) for k in range(n)]
            bends = [[exact(meaning, at, np.add(unit(k, n), unit(l, n)).tolist()) for l in range(n)] for k in range(n)]
            want = [*slopes, *itertools.chain(*bends)]
            want.append(sum((1.0 + k) * s for k, s in enumerate(slopes)))
            want += [sum((1.0 + k) * b for k, b in enumerate(row)) for row in bends]
            for q, (got, w) in enumerate(zip((f[j] for f in found), want)):
                near = 1e-13 * max(abs(v) for v in want) + 1e-15
                close = abs(got - w) <= 1e-9 * abs(w) + near
                assert close, (name, mode, p, "output", q, got, w)


def is_kink(name, p):
    if name in ("maximum", "minimum"):
        return p[0] == p[1]
    if name == "arctan2":
        return p[0] == 0 and p[1] < 0  # where the angle jumps
    return name == "clip" and p[0] in p[1:]


@pytest.mark.parametrize("name", sorted(STEPS))
def test_steps_have_a_gradient_of_zero(name):
    function = {"and": ew.and_, "or": ew.or_, "round_half_to_even": ew.round_half_to_even}.get(name) or getattr(
        ew, name
    )
    x = T.dvector("x")
    given = x > 0 if name in ("and", "or", "xor", "invert", "left_shift", "right_shift") else x
    y = T.cast(function(*[given] * len(function.operands)), "float64")
    found = symc.function([x], symc.grad(y.sum(), x), on_unused_input="ignore")([-1.5, 0.0, 2.0])
    np.testing.assert_array_equal(found, np.zeros(3))


# --- what holds at kinks, ties and ends ---------------------------------------------------------------------------


def slopes(build, *values, order=1):
    """The gradients of ``sum(build(*xs))`` by all ``xs`` at float64 values; then of the sum of the first of them."""
    xs = [T.tensor("float64", shape=(None,) * np.ndim(v)) for v in values]
    cost = build(*xs).sum()
    for _ in range(order):
        found = symc.grad(cost, xs, disconnected_inputs="ignore")
        cost = found[0].sum()
    results = [symc.function(xs, found, mode=m, on_unused_input="ignore")(*values) for m in MODES]
    for one, other in zip(*results):
        np.testing.assert_allclose(one, other, rtol=1e-14)
    return [r.tolist() for r in results[0]]


def test_conventions_at_kinks():
    assert slopes(T.abs_, [0.0, -0.0]) == [[0, 0]]
    assert slopes(T.nnet.relu, [0.0, -0.0]) == [[0, 0]]
    assert slopes(lambda x: T.nnet.relu(x, 0.1), [0.0]) == [[0.1]]
    assert slopes(T.nnet.elu, [0.0]) == [[1]]
    assert slopes(T.maximum, [1.0], [1.0]) == [[1], [0]]
    assert slopes(T.minimum, [1.0], [1.0]) == [[1], [0]]
    assert slopes(T.clip, [-1.0, 1.0, 0.0], [-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]) == [[1, 1, 1], [0, 0, 0], [0, 0, 0]]
    assert slopes(T.clip, [0.0, 5.0, -5.0], [2.0, 2.0, 2.0], [1.0, 1.0, 1.0]) == [[0, 0, 0], [0, 0, 0], [1, 1, 1]]
    assert slopes(T.max, [1.0, 3.0, 3.0]) == [[0, 1, 1]]
    assert slopes(T.min, [1.0, 3.0, 1.0]) == [[1, 0, 1]]
    assert slopes(T.ptp, [2.0, 2.0]) == [[0, 0]]
    assert slopes(lambda x: T.sqrt(T.abs_(x)), [0.0]) == [[0]]
    assert slopes(lambda x: T.sqrt(T.maximum(x, 0)), [-1.0, 0.0]) == [[0, np.inf]]


def test_powers_at_zero():
    assert slopes(T.power, [0.0], [0.0]) == [[0], [0]]
    assert slopes(T.power, [0.0, 0.0], [2.0, 1.0]) == [[0, 1], [0, 0]]
    assert slopes(T.power, [0.0], [0.5]) == [[np.inf], [0]]
    n = np.arange(6.0)
    x, y = T.dvectors("x", "y")
    costs = [(x**y).sum(), sum((x[k] ** k for k in range(6)), x.sum() * 0)]
    found = [chain(cost, x, 7) for cost in costs]
    for mode in MODES:
        results = symc.function([x, y], [*found[0], *found[1]], mode=mode)(np.zeros(6), n)
        for order in range(1, 8):
            want = np.where(n == order, np.prod(np.arange(order, 0.0, -1)), 0)
            np.testing.assert_array_equal(results[order - 1], want)
            np.testing.assert_array_equal(results[7 + order - 1], want)


def chain(cost, x, orders):
    """The derivatives of a cost that is a sum of functions of single elements, up to an order."""
    found = []
    for _ in range(orders):
        found.append(symc.grad(cost, x, disconnected_inputs="ignore"))
        cost = found[-1].sum()
    return found


def test_powers_of_negative_bases():
    exponents = (-3, -2, -1, 0, 1, 2, 3, 4, 7)
    x, k = T.dvector("x"), T.lvector("k")
    base = np.array([-2.0, -0.5])
    ways = (lambda n: x**n, lambda n: x ** float(n), lambda n: T.power(x, T.constant(n)), lambda n: x ** k[n + 3])
    for mode in MODES:
        for way in ways:
            found = [d for n in exponents for d in chain(way(n).sum() + 0 * x.sum(), x, 4)]
            results = iter(symc.function([x, k], found, mode=mode, on_unused_input="ignore")(base, np.arange(-3, 8)))
            for n, order in itertools.product(exponents, range(1, 5)):
                want = np.prod(np.arange(n, n - order, -1.0)) * base ** float(n - order)
                np.testing.assert_allclose(next(results), want, rtol=1e-13, err_msg=f"{n} {order}")


def test_the_mixed_derivative_of_a_power():
    x, y = T.dscalars("x", "y")
    z = x**y
    by_xy = symc.grad(symc.grad(z, x), y), symc.grad(symc.grad(z, y), x)
    f = symc.function([x, y], by_xy)
    np.testing.assert_allclose(f(2.0, 0.0), [0.5, 0.5])
    np.testing.assert_allclose(f(2.0, 3.0), [4 + 12 * np.log(2)] * 2)
    np.testing.assert_allclose(f(0.0, 2.0), [0, 0])


PRODUCTS = [[2.0, 3.0, 5.0, 7.0], [0.0, 3.0, 5.0, 7.0], [2.0, 0.0, 5.0, 0.0], [0.0, 0.0, 5.0, 0.0], [0.0] * 4]


@pytest.mark.parametrize("at", PRODUCTS, ids=lambda at: f"{at.count(0)} zeros")
def test_derivatives_of_products_with_zeros(at):
    """Order k of a product is a sum over k different factors of the product of the others."""
    at = np.array(at)
    x = T.dvector("x")
    weights = [np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.5, 5.0, 7.0, 1.5]), np.array([2.0, 1.0, 11.0, 3.0])]
    cost, found = x.prod(), []
    for w in weights:
        found.append(symc.grad(cost, x))
        cost = (found[-1] * w).sum()
    found.append(symc.grad(cost, x))
    for mode in MODES:
        results = symc.function([x], found, mode=mode)(at)
        for order, got in enumerate(results, 1):
            want = np.zeros(4)
            for chosen in itertools.permutations(range(4), order):
                others = np.prod([at[k] for k in range(4) if k not in chosen])
                want[chosen[-1]] += np.prod([w[k] for w, k in zip(weights, chosen[:-1])]) * others
            np.testing.assert_allclose(got, want, rtol=1e-12, err_msg=f"order {order}")


def test_products_over_several_axes_and_of_extreme_factors():
    x = T.dtensor3("x")
    data = np.random.default_rng(0).uniform(0.5, 2, (2, 3, 4))
    got = symc.function([x], symc.grad((x.prod(axis=(0, 2)) ** 2).sum(), x))(data)
    np.testing.assert_allclose(got, 2 * data.prod((0, 2))[None, :, None] ** 2 / data)
    assert slopes(T.prod, [1e-200, 1e-200, 3.0])[0] == [3e-200, 3e-200, 0]
    assert slopes(T.prod, np.zeros((2, 0))) == [[[], []]]
    assert slopes(lambda x: T.prod(x, axis=1), [[5.0], [0.0]]) == [[[1], [1]]]


def test_counters():
    """``arange`` by its start and step, also where these are computed; its length varies in jumps alone."""
    a, b, c = T.dscalars("a", "b", "c")
    y = (T.arange(a, b, c) ** 2).sum()
    by_a, by_c = symc.function([a, b, c], symc.grad(y, [a, c]))(1.0, 3.0, 0.5)
    at = 1 + 0.5 * np.arange(4)
    assert by_a == 2 * at.sum() and by_c == 2 * (at * np.arange(4)).sum()
    bend = symc.grad(symc.grad(y, c), [a, c])
    assert [float(v) for v in symc.function([a, b, c], bend)(1.0, 3.0, 0.5)] == [12, 28]
    with pytest.raises(symc.errors.DisconnectedInputError):
        symc.grad(y, b)
    z = T.lscalar("z")
    slope = symc.grad((T.arange(z * 1.0, 10.0, 2.0) ** 2).sum(), z)
    assert symc.function([z], slope)(4) == 36
    counted = symc.grad(T.arange(z * 1.0, 10.0, 2.0).sum(), z)  # how many there are, which only the call knows
    assert [symc.function([z], counted, mode=mode)(4) for mode in MODES] == [3, 3]
    by_ends = symc.grad((T.linspace(a, b, 5) * np.arange(5.0)).sum(), [a, b])
    found = symc.function([a, b], by_ends)(0.0, 8.0)
    np.testing.assert_allclose(found, [sum(k * (1 - k / 4) for k in range(5)), sum(k * k / 4 for k in range(5))])
    grid = (T.mgrid[a : a + 3 : 1.0, 0:2][0] * np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])).sum()
    assert symc.function([a], symc.grad(grid, a))(0.5) == 21


def test_pooling_gives_to_every_largest_element():
    x = np.array([[1.0, 3.0], [3.0, 3.0]])
    assert slopes(lambda v: T.signal.pool.pool_2d(v, (2, 2), ignore_border=True), x) == [[[0, 1], [1, 1]]]


def test_softmax_and_losses_where_they_saturate():
    logits = np.array([[1000.0, 0.0, -1000.0], [0.0, 0.0, 0.0]])

    def jacobians(build, order):
        return np.array(slopes(build, logits, order=order)[0])

    weights = np.array([1.0, 2.0, 4.0])
    p = np.array([[1.0, 0, 0], [1 / 3] * 3])
    got = jacobians(lambda x: T.nnet.softmax(x) * weights, 1)
    np.testing.assert_allclose(got, p * (weights - (p * weights).sum(1, keepdims=True)), atol=1e-15)
    got = jacobians(lambda x: T.nnet.logsoftmax(x) * weights, 1)
    np.testing.assert_allclose(got, weights - p * weights.sum(), atol=1e-15)
    labels = np.array([2, 0])
    got = jacobians(lambda x: T.nnet.crossentropy_softmax_1hot(x, labels)[0], 1)
    np.testing.assert_allclose(got, p - np.eye(3)[labels], atol=1e-15)
    for build in (
        lambda x: T.nnet.softmax(x) * weights,
        lambda x: T.nnet.logsumexp(x, axis=1),
        lambda x: T.nnet.categorical_crossentropy(T.nnet.softmax(x), labels),
    ):
        x = T.dmatrix("x")
        for found in symc.function([x], chain(build(x).sum(), x, 3))(logits):
            assert np.isfinite(found).all()


def test_variance_of_equal_elements():
    assert slopes(T.var, [2.0, 2.0, 2.0]) == [[0, 0, 0]]
    assert slopes(lambda x: T.var(x) * 3, [2.0, 2.0], order=2) == [[0, 0]]
