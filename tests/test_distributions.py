"""Distributions against those of SciPy (fixed seeds), parameters at their limits, states, gradients."""

import numpy as np
import pytest
from scipy import special, stats

import symc
import symc.tensor as T
from symc.errors import NullGradError
from symc.tensor.shared_randomstreams import MRG_RandomStreams, RandomStreams

N = 40_000
CONTINUOUS = {
    "exponential": (lambda s, d: s.exponential((N,), 2.5, dtype=d), stats.expon(scale=2.5)),
    "laplace": (lambda s, d: s.laplace((N,), 1.0, 0.5, dtype=d), stats.laplace(1, 0.5)),
    "logistic": (lambda s, d: s.logistic((N,), 1.0, 0.5, dtype=d), stats.logistic(1, 0.5)),
    "gumbel": (lambda s, d: s.gumbel((N,), 1.0, 0.5, dtype=d), stats.gumbel_r(1, 0.5)),
    "cauchy": (lambda s, d: s.cauchy((N,), 1.0, 0.5, dtype=d), stats.cauchy(1, 0.5)),
    "weibull": (lambda s, d: s.weibull((N,), 1.7, dtype=d), stats.weibull_min(1.7)),
    "pareto": (lambda s, d: s.pareto((N,), 3.0, dtype=d), stats.lomax(3)),
    "rayleigh": (lambda s, d: s.rayleigh((N,), 2.0, dtype=d), stats.rayleigh(scale=2)),
    "truncated_normal": (lambda s, d: s.truncated_normal((N,), 1.0, 2.0, dtype=d), stats.truncnorm(-2, 2, 1, 2)),
    "lognormal": (lambda s, d: s.lognormal((N,), 0.5, 0.25, dtype=d), stats.lognorm(0.25, scale=np.exp(0.5))),
    "gamma 0.5": (lambda s, d: s.gamma((N,), 0.5, 2.0, dtype=d), stats.gamma(0.5, scale=2)),
    "gamma 1": (lambda s, d: s.gamma((N,), dtype=d), stats.gamma(1)),
    "gamma 30": (lambda s, d: s.gamma((N,), 30.0, dtype=d), stats.gamma(30)),
    "chisquare": (lambda s, d: s.chisquare((N,), 3.5, dtype=d), stats.chi2(3.5)),
    "beta": (lambda s, d: s.beta((N,), 0.5, 2.0, dtype=d), stats.beta(0.5, 2)),
    "student_t": (lambda s, d: s.student_t((N,), 3.0, 1.0, 2.0, dtype=d), stats.t(3, 1, 2)),
    "dirichlet": (lambda s, d: s.dirichlet((N,), [0.5, 1.5, 2.0], dtype=d)[:, 1], stats.beta(1.5, 2.5)),
    "normal": (lambda s, d: s.normal((N,), 1.0, 2.0, dtype=d), stats.norm(1, 2)),
    "uniform": (lambda s, d: s.uniform((N,), 1.0, 3.0, dtype=d), stats.uniform(1, 2)),
}


def law_of(shares):
    return stats.rv_discrete(values=(range(len(shares)), shares))


COUNTS = {
    "poisson 0.5": (lambda s: s.poisson((N,), 0.5), stats.poisson(0.5)),
    "poisson 9": (lambda s: s.poisson((N,), 9.0), stats.poisson(9)),
    "poisson 12": (lambda s: s.poisson((N,), 12.0), stats.poisson(12)),
    "poisson 150": (lambda s: s.poisson((N,), 150), stats.poisson(150)),
    "binomial 40, 0.1": (lambda s: s.binomial((N,), np.full(N, 40), 0.1), stats.binom(40, 0.1)),
    "binomial 90, 0.2": (lambda s: s.binomial((N,), 90, 0.2), stats.binom(90, 0.2)),
    "binomial 90, 0.8": (lambda s: s.binomial((N,), 90, 0.8), stats.binom(90, 0.8)),
    "binomial 5": (lambda s: s.binomial((N,), 5, 0.3), stats.binom(5, 0.3)),
    "geometric": (lambda s: s.geometric((N,), 0.2), stats.geom(0.2)),
    "negative_binomial": (lambda s: s.negative_binomial((N,), 3.5, 0.4), stats.nbinom(3.5, 0.4)),
    "bernoulli": (lambda s: s.bernoulli((N,), 0.3), stats.bernoulli(0.3)),
    "categorical": (lambda s: s.categorical((N,), [1.0, 2.0, 5.0]), law_of([1 / 8, 1 / 4, 5 / 8])),
    "choice": (lambda s: s.choice((N,), 3, p=[0.5, 0.25, 0.25]), law_of([0.5, 0.25, 0.25])),
    "random_integers": (lambda s: s.random_integers((N,), np.full(N, -2), np.full(N, 3)), stats.randint(-2, 4)),
}  # fmt: skip


@pytest.fixture(scope="module", params=["float32", "float64"])
def numbers(request):
    """All draws of one dtype, and the second call."""
    s = MRG_RandomStreams(31)
    made = [build(s, request.param) for build, _ in CONTINUOUS.values()]
    f = symc.function([], made)
    first, second = f(), f()
    return request.param, dict(zip(CONTINUOUS, zip(first, second)))


@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous(numbers, name):
    dtype, found = numbers
    law = CONTINUOUS[name][1]
    first, second = found[name]
    assert first.dtype == dtype and first.shape == (N,) and np.isfinite(first).all()
    assert stats.kstest(first, law.cdf).pvalue > 1e-3
    assert stats.kstest(second, law.cdf).pvalue > 1e-3
    ranks = [stats.rankdata(v) for v in (first, second)]
    assert abs(np.corrcoef(*ranks)[0, 1]) < 0.02 and abs(np.corrcoef(ranks[0][1:], ranks[0][:-1])[0, 1]) < 0.02
    if name not in ("cauchy", "student_t", "pareto"):
        assert first.mean() == pytest.approx(law.mean(), abs=5 * law.std() / N**0.5)
        assert first.std() == pytest.approx(law.std(), rel=0.05)


@pytest.fixture(scope="module")
def counts():
    s = RandomStreams(7)
    return dict(zip(COUNTS, symc.function([], [build(s) for build, _ in COUNTS.values()])()))


@pytest.mark.parametrize("name", COUNTS)
def test_counts(counts, name):
    found, law = counts[name], COUNTS[name][1]
    assert found.dtype == "int64" and found.shape == (N,)
    edges = np.unique(law.ppf(np.linspace(0.001, 0.999, 25)))
    bins = np.searchsorted(edges, found, "left")
    shares = np.diff(np.concatenate([[0], law.cdf(edges), [1]]))
    kept = shares * N > 5
    observed = np.bincount(bins, minlength=len(shares))
    assert observed[~kept].sum() < 60
    want = shares[kept] / shares[kept].sum() * observed[kept].sum()
    assert stats.chisquare(observed[kept], want).pvalue > 1e-3
    assert found.mean() == pytest.approx(law.mean(), abs=5 * law.std() / N**0.5)


def test_parameters_at_their_limits():
    s = RandomStreams(3)
    table = [
        s.poisson((50,), 0.0), s.binomial((50,), np.full(50, 1000), 0.0), s.binomial((50,), 1000, 1.0),
        s.binomial((50,), np.zeros(50, "int64"), 0.5), s.gamma((4000,), 1e-3, dtype="float64"),
        s.beta((4000,), 1e-3, 1e-3, dtype="float64"), s.poisson((2000,), 1e9), s.binomial((2000,), 10**9, 0.5),
        s.gamma((2000,), 1e8, dtype="float64"), s.geometric((50,), 1.0), s.exponential((50,), 0.0),
    ]  # fmt: skip
    zero, none, every, never, small, split, many, halves, large, first, still = symc.function([], table)()
    assert not zero.any() and not none.any() and (every == 1000).all() and not never.any()
    assert (small >= 0).all() and stats.kstest(
        np.log(small[small > 0]), lambda x: stats.gamma(1e-3).cdf(np.exp(x))
    ).statistic < 0.6
    assert ((split < 1e-6) | (split > 1 - 1e-6)).mean() > 0.97 and abs(split.mean() - 0.5) < 0.05
    assert abs(many.mean() / 1e9 - 1) < 1e-5 and many.std() == pytest.approx(1e9**0.5, rel=0.1)
    assert abs(halves.mean() / 5e8 - 1) < 1e-5 and halves.std() == pytest.approx((2.5e8) ** 0.5, rel=0.1)
    assert large.std() == pytest.approx(1e4, rel=0.1) and (first == 1).all() and not still.any()


def test_sizes_and_parameters_known_only_at_call_time():
    s, n, lam, trials, p = RandomStreams(5), T.lscalar("n"), T.dvector("lam"), T.lvector("trials"), T.dscalar("p")
    f = symc.function(
        [n, lam, trials, p],
        [s.poisson((n, lam.shape[0]), lam), s.poisson(lam=lam), s.binomial(n=trials, p=p), s.gamma(shape=lam),
         s.binomial((n,), n, p), s.exponential(scale=lam.dimshuffle(0, "x") + T.zeros((1, 2))), s.gamma((n, 0))],
    )  # fmt: skip
    a, b, c, d, e, g, h = f(400, [0.5, 50.0, 0.25], [3, 300], 0.5)
    assert [v.shape for v in (a, b, c, d, e, g, h)] == [(400, 3), (3,), (2,), (3,), (400,), (3, 2), (400, 0)]
    np.testing.assert_allclose(a.mean(0), [0.5, 50, 0.25], rtol=0.25)
    assert 0 <= c[0] <= 3 and 100 < c[1] < 200 and abs(e.mean() - 200) < 2 and (d > 0).all()
    assert symc.function([], s.poisson((), 3.0))().shape == ()
    assert symc.function([], s.beta(dtype="float32"))().dtype == "float32"


@pytest.mark.parametrize("device", ["c", "interp"])
def test_the_same_numbers_on_every_back_end(device):
    s = RandomStreams(2)
    made = [s.gamma((20,), 0.7), s.poisson((20,), 30.0), s.binomial((20,), 500, 0.3)]
    found = symc.function([], made, device=device)()
    t = RandomStreams(2)
    want = symc.function(
        [], [t.gamma((20,), 0.7), t.poisson((20,), 30.0), t.binomial((20,), 500, 0.3)], device="interp"
    )()
    np.testing.assert_allclose(found[0], want[0], rtol=1e-6)
    np.testing.assert_array_equal(found[1], want[1])
    np.testing.assert_array_equal(found[2], want[2])


def test_gradients_of_locations_and_scales():
    """For fixed bits, a number is a function of its parameters: its derivative by the scale is the standard number."""
    m, s = T.dscalar("m"), T.dscalar("s")
    streams = RandomStreams(9)
    names = ("normal", "laplace", "logistic", "gumbel", "cauchy", "truncated_normal")
    draws = {name: getattr(streams, name)((6,), m, s, dtype="float64") for name in names}
    draws["exponential"] = streams.exponential((6,), s, dtype="float64") + m
    draws["gamma"] = streams.gamma((6,), 2.5, s, dtype="float64") + m
    draws["student_t"] = streams.student_t((6,), 5.0, m, s, dtype="float64")
    for name, x in draws.items():
        weights = np.arange(1.0, 7)
        value, by_m, by_s = symc.function(
            [m, s], [x, *symc.grad((x * weights).sum(), [m, s])], no_default_updates=True
        )(1, 2)
        assert by_m == pytest.approx(21), name
        assert by_s == pytest.approx(weights @ (value - 1) / 2), name
    a = T.dscalar("a")
    for name in ("weibull", "pareto"):
        x = getattr(streams, name)((4,), a, dtype="float64")
        f = symc.function([a], [x.sum(), symc.grad(x.sum(), a)], no_default_updates=True)
        slope = (f(1.5 + 1e-6)[0] - f(1.5 - 1e-6)[0]) / 2e-6
        assert f(1.5)[1] == pytest.approx(slope, rel=1e-6), name


def test_gamma_numbers_move_with_their_shape_as_quantiles_do():
    """The derivative of a draw is that of the quantile of its probability."""
    a, s = T.dvector("a"), RandomStreams(3)
    x, c = s.gamma((6,), a, 2.0, dtype="float64"), s.chisquare((6,), a, dtype="float64")
    first = [symc.grad(v.sum(), a) for v in (x, c)]
    f = symc.function([a], [x, c, *first, *(symc.grad(g.sum(), a) for g in first)], no_default_updates=True)
    shapes = np.array([0.2, 0.7, 1.0, 3.0, 40.0, 900.0])
    found = f(shapes)
    for k, by in enumerate((1.0, 0.5)):
        shape, value, h = shapes * by, found[k] / 2, 1e-3 * shapes * by
        u, v = special.gammainc(shape, value), special.gammaincc(shape, value)
        up, down = (
            2 * np.where(u < 0.5, special.gammaincinv(at, u), special.gammainccinv(at, v))
            for at in (shape + h, shape - h)
        )
        np.testing.assert_allclose(found[2 + k], by * (up - down) / (2 * h), rtol=1e-4)
        np.testing.assert_allclose(found[4 + k], by**2 * (up - 4 * value + down) / h**2, rtol=1e-2, atol=1e-5)
    log = symc.grad(T.log(s.gamma((9,), a[0], dtype="float64")).sum(), a)
    assert np.isfinite(symc.function([a], log)([0.3])).all()


def test_gradients_of_expectations_by_shapes():
    """The mean of the derivative is the derivative of the mean."""
    p, s, n = T.dscalar("p"), RandomStreams(5), 10_000
    v = T.dvector("v")
    b = s.beta((n,), p, 1.5, dtype="float64")
    d = s.dirichlet((n,), v, dtype="float64")
    t = s.student_t((n,), p, dtype="float64")
    slopes = [symc.grad(b.mean(), p), symc.grad((b * b).mean(), p), symc.grad(abs(t).mean(), p)]
    first, second, third = symc.function([p], slopes)(4.0)
    total, h = 5.5, 1e-5
    assert first == pytest.approx(1.5 / total**2, rel=0.06)
    square = lambda a: a * (a + 1) / ((a + 1.5) * (a + 2.5))  # noqa: E731
    assert second == pytest.approx((square(4 + h) - square(4 - h)) / (2 * h), rel=0.06)

    def spread(df: float) -> float:
        log = special.gammaln((df + 1) / 2) - special.gammaln(df / 2)
        return float(2 * np.sqrt(df / np.pi) * np.exp(log) / (df - 1))

    assert third == pytest.approx((spread(4 + h) - spread(4 - h)) / (2 * h), rel=0.2)
    alpha = np.array([0.4, 1.0, 2.6])
    by_alpha = symc.function([v], symc.grad(d[:, 0].mean(), v))(alpha)
    want = np.array([alpha.sum() - 0.4, -0.4, -0.4]) / alpha.sum() ** 2
    np.testing.assert_allclose(by_alpha, want, rtol=0.1)
    both = symc.function([v], symc.grad(d.sum(), v))(alpha)
    np.testing.assert_allclose(both, 0, atol=1e-8)  # probabilities add up to one
    tiny = symc.function([v], symc.grad(s.dirichlet((50,), v, dtype="float64")[:, 0].sum(), v))([1e-3, 1e-3, 1e-3])
    assert np.isfinite(tiny).all()


def test_parameters_without_a_gradient():
    p, s = T.dscalar("p"), RandomStreams(9)
    v = T.dvector("v")
    table = [
        (s.poisson((3,), p) * 1.0, p), (s.binomial((3,), 100, p) * 1.0, p), (s.geometric((3,), p) * 1.0, p),
        (s.negative_binomial((3,), 2, p) * 1.0, p), (s.categorical((3,), v) * 1.0, v),
        (s.multinomial_wo_replacement(pvals=v) * 1.0, v),
    ]  # fmt: skip
    for x, by in table:
        with pytest.raises(NullGradError, match="has no derivative by"):
            symc.grad(x.sum(), by)


def test_wrong_parameters():
    s, lam = RandomStreams(1), T.dscalar("lam")
    f = symc.function([lam], s.poisson((3,), lam))
    for wrong in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="poisson: the rate must be from 0"):
            f(wrong)
    with pytest.raises(ValueError, match="gamma: shape must be positive and finite, got 0"):
        symc.function([], s.gamma((3,), 0.0))()
    with pytest.raises(ValueError, match="binomial: p must be a probability"):
        symc.function([lam], s.binomial((3,), 100, lam))(1.5)
    with pytest.raises(ValueError, match="n cannot be negative"):
        s.binomial((3,), -1)
    with pytest.raises(TypeError, match="n must be an integer"):
        s.binomial((3,), 2.5)
    with pytest.raises(ValueError, match="more axes than the size"):
        s.gamma((3,), np.ones((2, 3)))
    with pytest.raises(ValueError, match="no more can be drawn"):
        symc.function([], s.multinomial_wo_replacement(n=4, pvals=[0.5, 0.25, 0.25]))()
    with pytest.raises(ValueError, match="axis of outcomes"):
        s.categorical((3,), 0.5)


def test_choice_without_replacement():
    s = MRG_RandomStreams(3)
    p = np.array([0.7, 0.1, 0.1, 0.05, 0.05])
    f = symc.function([], [s.choice((2, 2), 6, replace=False), s.choice((3,), [10, 20, 30, 40, 50], False, p)])
    grids, picks = zip(*(f() for _ in range(300)))
    assert all(len(set(g.ravel())) == 4 for g in grids) and all(len(set(v)) == 3 for v in picks)
    assert np.mean([10 in v for v in picks]) > 0.95 and np.mean([v[0] == 10 for v in picks]) == pytest.approx(
        0.7, abs=0.1
    )
    rows = symc.function([], s.multinomial_wo_replacement(n=2, pvals=np.tile([0.0, 0.5, 0.5], (100, 1))))()
    np.testing.assert_array_equal(np.sort(rows, 1), np.tile([1, 2], (100, 1)))


def test_old_programs_seed_the_state():
    """``rng.get_value(borrow=True)``, ``seed``, ``set_value``, and copies of states, as in Theano's tutorial."""
    s = RandomStreams(234)
    u, v = s.uniform((4,)), s.normal((4,))
    f = symc.function([], [u, v])
    for draw in (u, v):
        value = draw.rng.get_value(borrow=True)
        value.seed(89234)
        draw.rng.set_value(value, borrow=True)
    first = f()
    f()
    value = u.rng.get_value(borrow=True)
    saved = value.get_state()
    value.seed(89234)
    u.rng.set_value(value, borrow=True)
    np.testing.assert_array_equal(f()[0], first[0])
    value.set_state(saved)
    u.rng.set_value(value)
    third = f()[0]
    u.rng.set_value(np.array(saved, "uint64"))
    np.testing.assert_array_equal(f()[0], third)
    assert not (third == first[0]).all() and u.rng.clone().get_value().seed(1) is None


def test_states_move_between_streams():
    """The states of one program's draws continue in another program of the same form."""
    one, two = MRG_RandomStreams(1), MRG_RandomStreams(2)
    f, g = (symc.function([], [s.uniform((3,)), s.poisson((3,), 50.0)]) for s in (one, two))
    f()
    for (a, _), (b, _) in zip(one.state_updates, two.state_updates):
        b.set_value(a.get_value())
    for x, y in zip(f(), g()):
        np.testing.assert_array_equal(x, y)


def test_names_of_theanos_generator():
    s = MRG_RandomStreams(12345, use_cuda=False)
    assert s.rstate.shape == (6,) and s.rstate.dtype == "int32" and s.n_streams((3, 4)) == 12
    before = s.rstate
    s.set_rstate(99)
    assert (s.rstate != before).any()
    assert symc.function([], s.uniform((3,), nstreams=7))().shape == (3,)


def test_draws_in_a_loop_differ_from_step_to_step():
    s, x = RandomStreams(3), T.dvector("x")
    walk, updates = symc.scan(lambda h: h + s.poisson(h.shape, 40.0), outputs_info=[x], n_steps=4)
    f = symc.function([x], walk, updates=updates)
    first, second = f(np.zeros(5)), f(np.zeros(5))
    steps = np.diff(np.concatenate([np.zeros((1, 5)), first]), axis=0)
    assert (steps > 10).all() and len(np.unique(steps, axis=0)) == 4 and (first != second).any()
