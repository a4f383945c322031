"""Random streams: the generator's known answers, the same bits on every back end, statistics, state, fusion."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import symc
import symc.tensor as T
from symc.graph.op import Indexed
from symc.loops.expr import const
from symc.tensor.random_numbers.bits import philox
from symc.tensor.shared_randomstreams import MRG_RandomStreams, RandomStreams
from symc_backends.interp import evaluate as evaluate_expr

BACKENDS = ["interp", "c"]


@pytest.mark.parametrize(
    "counter, key, answer",
    [
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_known_answers(counter, key, answer) -> None:
    """The vectors published with the generator."""
    words = philox([const(c, "uint32") for c in counter], [const(k, "uint32") for k in key])
    with np.errstate(over="ignore"):
        assert [int(evaluate_expr(w, {})) for w in words] == answer


def draws(seed: int, dtype: str):
    s = RandomStreams(seed)
    return [
        s.uniform((5, 40), dtype=dtype),
        s.uniform((5, 40), -2.0, 6.0, dtype=dtype),
        s.binomial((5, 40), p=0.3, dtype=dtype),
        s.binomial((200,), n=7, p=0.6),
        s.random_integers((200,), -5, 17),
        s.multinomial(n=3, pvals=np.full((6, 4), 0.25, dtype)),
        s.permutation((3,), 9),
        s.uniform((3, 150), dtype=dtype) + np.arange(150, dtype=dtype),  # rows that begin between blocks of words
        s.binomial((5000,), p=0.3, dtype=dtype) * s.uniform((5000,), dtype=dtype),
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits_on_every_back_end(dtype: str) -> None:
    found = [symc.function([], draws(11, dtype), device=device)() for device in BACKENDS]
    for a, b in zip(*found):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_normal_agrees_on_every_back_end() -> None:
    found = [symc.function([], RandomStreams(3).normal((50, 41), 1.0, 2.0), device=device)() for device in BACKENDS]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_statistics(dtype: str) -> None:
    u = symc.function([], RandomStreams(1).uniform((200_000,), dtype=dtype))()
    assert u.dtype == dtype and u.min() >= 0 and u.max() < 1
    assert abs(u.mean() - 0.5) < 0.004 and abs(u.var() - 1 / 12) < 0.002
    assert stats.kstest(u, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.01


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal_statistics(dtype: str) -> None:
    z = symc.function([], RandomStreams(2).normal((200_000,), 3.0, 0.5, dtype=dtype))()
    assert np.isfinite(z).all() and abs(z.mean() - 3) < 0.006 and abs(z.std() - 0.5) < 0.005
    assert stats.kstest((z - 3) / 0.5, "norm").pvalue > 1e-3


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_binomial_statistics(p: float) -> None:
    m = symc.function([], RandomStreams(5).binomial((100_000,), p=p))()
    assert m.dtype == "int64" and set(np.unique(m)) <= {0, 1}
    assert abs(m.mean() - p) < 0.008 and (p not in (0.0, 1.0) or m.mean() == p)


def test_binomial_of_several_trials() -> None:
    m = symc.function([], RandomStreams(5).binomial((20_000,), n=6, p=0.25))()
    assert abs(m.mean() - 1.5) < 0.05 and abs(m.var() - 6 * 0.25 * 0.75) < 0.05
    assert m.max() <= 6


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_binomial_compares_with_any_probability(dtype: str) -> None:
    """The random number and the probability may be scaled, but which of them is less must not change."""
    tiny = np.finfo(dtype).smallest_subnormal
    special = [0, 1, -1, 0.5, np.nan, np.inf, -np.inf, tiny, -tiny, np.finfo(dtype).max, 2.0**-24, 1 - 2.0**-24, 1e-7]
    p = np.array([*special, *np.linspace(0, 1, 500)], dtype)
    u = symc.function([], RandomStreams(5).uniform(p.shape, dtype=dtype))()
    v = T.vector(dtype=dtype)
    for argument, value in ((v, p), (v[0], p[3:4])):
        drawn = RandomStreams(5).binomial(p.shape, p=argument, dtype="int8")
        assert np.array_equal(symc.function([v], drawn)(value), u < (p if argument is v else p[3]))


def test_binomial_with_probabilities_for_each_element() -> None:
    p = np.linspace(0, 1, 50).astype("float32")
    m = symc.function([], RandomStreams(5).binomial((4000, 50), p=p))()
    np.testing.assert_allclose(m.mean(0), p, atol=0.05)


def test_random_integers_are_inclusive_and_even() -> None:
    k = symc.function([], RandomStreams(7).random_integers((60_000,), -2, 3))()
    counts = np.bincount(k + 2)
    assert len(counts) == 6 and stats.chisquare(counts).pvalue > 1e-3


def test_multinomial_and_choice_follow_their_probabilities() -> None:
    s = RandomStreams(9)
    pvals = np.array([[0.1, 0.0, 0.9], [0.5, 0.25, 0.25]], "float32")
    once, many, picked = symc.function(
        [], [s.multinomial(pvals=pvals), s.multinomial(n=5000, pvals=pvals), s.choice((5000,), 3, p=pvals[0])]
    )()
    assert once.shape == (2, 3) and (once.sum(1) == 1).all()
    assert (many.sum(1) == 5000).all() and many[0, 1] == 0
    np.testing.assert_allclose(many / 5000, pvals, atol=0.03)
    np.testing.assert_allclose(np.bincount(picked, minlength=3) / 5000, pvals[0], atol=0.03)


def test_permutation_shuffle_and_choice_without_replacement() -> None:
    s, x = RandomStreams(13), T.matrix("x")
    p, rows, few = symc.function(
        [x], [s.permutation((30,), 6), s.shuffle_row_elements(x), s.choice((4,), 9, replace=False)]
    )(np.arange(8, dtype="float32").reshape(2, 4))
    np.testing.assert_array_equal(np.sort(p, 1), np.tile(np.arange(6), (30, 1)))
    assert len(np.unique(p, axis=0)) > 20
    np.testing.assert_array_equal(np.sort(rows, 1), np.arange(8).reshape(2, 4))
    assert len(set(few)) == 4 and few.max() < 9


def test_two_calls_two_draws_and_two_streams_differ() -> None:
    s = RandomStreams(1)
    f = symc.function([], [s.uniform((100,)), s.uniform((100,))])
    a, b = f(), f()
    for one, other in (
        (a[0], b[0]),
        (a[1], b[1]),
        (a[0], a[1]),
        (a[0], symc.function([], RandomStreams(2).uniform((100,)))()),
    ):
        assert (one == other).mean() < 0.1


def test_seed_starts_again_and_state_can_be_copied() -> None:
    s = RandomStreams(4)
    u, v = s.uniform((9,)), s.normal((9,))
    f = symc.function([], [u, v])
    first, second = f(), f()
    s.seed()
    np.testing.assert_array_equal(f()[1], first[1])
    state = u.rng.get_value()
    third = f()
    u.rng.set_value(state)
    np.testing.assert_array_equal(f()[0], third[0])
    s.seed(99)
    assert (f()[0] != first[0]).any() and (second[0] != first[0]).any()
    assert [r for r, _ in s.updates()] == [r for r, _ in s.state_updates] == [u.rng, v.rng]
    assert s[u] is u.rng and u.update[0] is u.rng


def test_no_default_updates_keeps_the_numbers() -> None:
    s = RandomStreams(4)
    f = symc.function([], s.uniform((9,)), no_default_updates=True)
    np.testing.assert_array_equal(f(), f())


def test_one_draw_is_the_same_numbers_wherever_it_is_used() -> None:
    u = RandomStreams(4).uniform((300,))
    zero = symc.function([], T.abs_(u - u[::-1][::-1]).max())()
    assert zero == 0


def test_shapes_may_be_symbolic() -> None:
    s, x, n = MRG_RandomStreams(), T.matrix("x"), T.iscalar("n")
    f = symc.function(
        [x, n], [s.uniform(x.shape), s.normal((n, 3)), s.uniform(low=x, high=x + 1), s.uniform((x.shape[0], 1)) + x]
    )
    x_value = np.arange(6, dtype="float32").reshape(2, 3)
    a, b, c, d = f(x_value, 4)
    assert a.shape == (2, 3) and b.shape == (4, 3)
    assert (np.floor(c) == x_value).all()
    assert np.ptp(d - x_value, axis=1).max() < 1e-5 and np.ptp(d[:, 0] - x_value[:, 0]) > 0


def fused(f):
    return f.specialisation.state


def test_a_dropout_mask_is_never_stored() -> None:
    """Forward and backward of dropout: no value in memory has come from the mask alone, and both halves use the same
    mask."""
    x, w = T.matrix("x"), T.matrix("w")
    mask = RandomStreams(8).binomial(x.shape, p=0.5, dtype="float32")
    y = T.tanh(T.dot(x, w))
    hidden = x * mask / 0.5
    out = T.tanh(T.dot(hidden, w))
    gw, gx = T.grad(T.sum(out * out + y), [w, x])
    f = symc.function([x, w], [out, gw, gx], device="c")
    state = fused(f)
    assert not [v for v in state.stored if v.owner is not None and v.owner.op.name in ("random", "cast", "lt")]
    assert sum(b.dtype in ("uint32", "bool") for b in f.specialisation.program.buffers) == 0
    xv, wv = np.ones((4, 6), "float32"), np.eye(6, dtype="float32")
    value, _, dx = f(xv, wv)
    kept = value != 0
    assert 0 < kept.sum() < kept.size
    direct = 1 - np.tanh(1.0) ** 2
    np.testing.assert_allclose(
        dx, np.where(kept, 2 * (2 * np.tanh(2.0) * (1 - np.tanh(2.0) ** 2)), 0) + direct, rtol=2e-4
    )


def test_the_state_is_read_before_the_loop() -> None:
    """One element for all iterations is loaded outside: results in the loop might overlap it, as far as C can tell."""
    f = symc.function([], RandomStreams(3).uniform((1000,)))
    kernel = symc.printing.debugprint(f, stage="loops", file="str").split("kernel K0 ")[1].split("kernel")[0]
    before, inside = kernel.split("for i < 1000:")
    assert "b0[0]" in before and "b0[1]" in before and "b0[" not in inside


def test_the_lowering_asks_to_be_recomputed() -> None:
    from symc.graph.op import RECORDS

    lower = RECORDS["random"].lower
    assert isinstance(lower, Indexed) and lower.recompute and lower.flat


def test_gradient_by_the_parameters() -> None:
    s = RandomStreams(3)
    low, high = T.scalar("low"), T.scalar("high")
    u = s.uniform((50,), low, high)
    value, g_low, g_high = symc.function([low, high], [u, *T.grad(u.sum(), [low, high])])(1.0, 3.0)
    share = ((value - 1) / 2).sum()
    np.testing.assert_allclose([g_low, g_high], [50 - share, share], rtol=1e-5)


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda s: s.uniform((2,), dtype="int64"), TypeError, "float32 or float64"),
        (lambda s: s.binomial((2,), p=1.5), ValueError, "probability"),
        (lambda s: s.random_integers((2,), 5, 4), ValueError, "high"),
        (lambda s: s.random_integers((2,), 0.5, 4), TypeError, "whole"),
        (lambda s: s.uniform((2, 3), ndim=3), ValueError, "ndim=3"),
        (lambda s: s.uniform((-1,)), ValueError, "negative"),
        (lambda s: s.choice((2, 3), 5, replace=False), ValueError, "replacement"),
        (lambda s: s.seed("a"), ValueError, "seed must be"),
    ],
)
def test_errors(make, error, words: str) -> None:
    with pytest.raises(error, match=words):
        make(RandomStreams(1))


def test_multinomial_with_numbers_of_trials_per_row():
    n, p, q = T.lvector("n"), T.fmatrix("p"), T.fvector("q")
    rates = np.array([[0.5, 0.5, 0], [0.1, 0.6, 0.3], [1, 0, 0]], "float32")
    streams = RandomStreams(7)
    f = symc.function([n, p], streams.multinomial(n=n, pvals=p, dtype="int32"))
    trials = np.array([3, 20000, 0])
    found = f(trials, rates)
    assert found.dtype == "int32" and (found.sum(1) == trials).all() and found[0, 2] == 0
    np.testing.assert_allclose(found[1] / 20000, rates[1], atol=0.02)
    assert f([], rates[:0]).shape == (0, 3) and (f([1, 1, 1], rates).max(1) == 1).all()
    sized = symc.function([n, q], streams.multinomial((4, 3), n, q))(trials[[0, 2, 0]], rates[1])
    assert sized.shape == (4, 3, 3) and (sized.sum(-1) == [3, 0, 3]).all()
    with pytest.raises(
        IndexError, match=r"multinomial: n is negative(.|\n)*found: -1 at position 1; allowed: 0 and more"
    ):
        f([5, -1, 2], rates)
    with pytest.raises(symc.errors.GuardError):
        f([5, 1], rates)
    with pytest.raises(TypeError, match="whole numbers"):
        streams.multinomial(n=T.fvector(), pvals=p)
