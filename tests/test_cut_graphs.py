"""Functions whose inputs are results of ops: the lengths of arguments are their own, whatever the result had."""

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.tensor.nnet import conv2d, relu

RNG = np.random.default_rng(5)
a, b, n, m = T.fvector("a"), T.fvector("b"), T.lscalar("n"), T.fmatrix("m")
images, filters = T.ftensor4("images"), T.ftensor4("filters")
w = symc.shared(RNG.normal(size=4).astype("float32"))


def drawn(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


RESULTS = {
    "joined": T.concatenate([a, b]),
    "inner": a[1:-1],
    "every other": a[::2],
    "from n": a[n:],
    "tiled": T.tile(a, 3),
    "flat": m.flatten(),
    "zeros": T.zeros((n,)),
    "with shared": T.concatenate([a, w]),
    "plain": T.exp(a),
}


@pytest.mark.parametrize("length", [0, 1, 5, 6])
@pytest.mark.parametrize("name", RESULTS)
def test_a_result_as_input(name, length):
    cut = RESULTS[name]
    given = drawn(length)
    out = [cut * 2, cut[1:] - cut[:-1], cut.sum() + w, T.zeros_like(cut) + cut.shape[0]]
    found = symc.function([cut], out)(given)
    wanted = [given * 2, given[1:] - given[:-1], given.sum() + w.get_value(), np.full(length, length)]
    for x, y in zip(found, wanted):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5)


def test_beside_what_it_was_made_of():
    """No relation between their lengths is assumed: a sum of arrays of 5 elements has 5, whatever ``n`` is."""
    cut, given, other = RESULTS["zeros"], drawn(5), drawn(3)
    np.testing.assert_array_equal(symc.function([cut, n], cut + n)(given, 2), given + 2)
    for name in ("inner", "tiled", "joined", "plain"):
        cut = RESULTS[name]
        x, y = symc.function([cut, a], [cut * 2, a + cut.sum()])(given, other)
        np.testing.assert_allclose(x, given * 2)
        np.testing.assert_allclose(y, other + given.sum(), rtol=1e-5)


def test_lengths_that_must_agree_are_still_compared():
    cut = RESULTS["joined"]
    f = symc.function([cut, a, b], cut + T.concatenate([b, a]))
    x, y, z = drawn(8), drawn(3), drawn(5)
    np.testing.assert_allclose(f(x, y, z), x + np.concatenate([z, y]))
    with pytest.raises(symc.errors.GuardError, match="shapes do not go together"):
        f(x[1:], y, z)


def test_maps_of_a_network_as_input():
    maps = relu(conv2d(images, filters))
    pooled = T.signal.pool.pool_2d(maps, (2, 2), ignore_border=True)
    given = drawn(2, 3, 6, 4)
    found, slope = symc.function([maps], [pooled, symc.grad((pooled**2).sum(), maps)])(given)
    blocks = given.reshape(2, 3, 3, 2, 2, 2)
    largest = blocks.max((3, 5))
    np.testing.assert_array_equal(found, largest)
    wanted = np.where(blocks == largest[:, :, :, None, :, None], 2 * blocks, 0).reshape(given.shape)
    np.testing.assert_allclose(slope, wanted)


def test_by_name_with_defaults_updates_and_givens():
    cut = T.concatenate([a, b])
    cut.name = "cut"
    state = symc.shared(np.float32(0))
    f = symc.function([symc.In(cut, value=drawn(4), name="cut")], [], updates=[(state, state + cut.shape[0])])
    f(), f(cut=drawn(7))
    assert state.get_value() == 11
    g = symc.function([a, cut], cut * b.shape[0] + a.sum(), givens={b: a})
    np.testing.assert_allclose(g([1.0, 2.0], [1.0, 1.0, 3.0]), [5, 5, 9])
    twice = T.concatenate([a, a])
    h = symc.function([twice, a], b * 2 + a.sum(), givens={b: twice - 1})
    np.testing.assert_allclose(h([1.0, 2.0], [1.0, 1.0, 3.0]), [5, 7])
    np.testing.assert_array_equal((cut + 1).eval({cut: np.zeros(2, "float32")}), [1, 1])


def test_results_with_test_values():
    with symc.config.change(compute_test_value="raise"):
        x = T.fvector("x")
        x.tag.test_value = np.ones(3, "float32")
        cut = T.concatenate([x, x * 2])
        f = symc.function([cut], [cut * 3, cut[1:].sum()])
    found = f(np.array([2.0, 5.0], "float32"))
    assert found[0].tolist() == [6, 15] and found[1] == 5


def test_givens_of_results_need_no_test_values():
    """What takes the place of a computed value among the inputs has no test value, and needs none."""
    with symc.config.change(compute_test_value="raise"):
        x = T.fvector("x")
        x.tag.test_value = np.ones(3, "float32")
        y = T.fvector("y")
        y.tag.test_value = np.ones(3, "float32")
        cut = T.exp(x)
        f = symc.function([cut], cut * y, givens={y: cut + 1})
    assert f(np.array([1.0, 2.0], "float32")).tolist() == [2, 6]


z = T.tensor("complex128", shape=(None,), name="z")
COMPLEX = {
    "product": z * 2,
    "exp": T.exp(z),
    "joined": T.concatenate([z, z]),
    "inner": z[1:-1],
    "made": T.complex(T.exp(a), a * 2),
}


@pytest.mark.parametrize("length", [1, 4])
@pytest.mark.parametrize("name", COMPLEX)
def test_a_complex_result_as_input(name, length):
    cut = COMPLEX[name]
    given, other = (RNG.normal(size=length) + 1j * RNG.normal(size=length) for _ in range(2))
    out = symc.function([cut], [cut, cut + 1, cut.sum() * 1j, cut.real - cut.imag + cut.shape[0]])(given)
    wanted = [given, given + 1, given.sum() * 1j, given.real - given.imag + length]
    for x, y in zip(out, wanted):
        np.testing.assert_allclose(x, y, rtol=1e-6)
    if name != "made":
        both = symc.function([cut, z], cut.sum() + z, on_unused_input="ignore")(given, other)
        np.testing.assert_allclose(both, given.sum() + other)
    slope = symc.function([cut], symc.grad((abs(cut) ** 2).sum(), cut))(given)
    np.testing.assert_allclose(slope, 2 * given, rtol=1e-5)


def test_a_bfloat16_result_as_input():
    half = T.tensor("bfloat16", shape=(None,), name="half")
    for cut in (
        half * 2,
        T.cast(a, "bfloat16"),
        T.concatenate([half, half]),
        half[1:],
        T.cast(T.zeros((n,)), "bfloat16"),
    ):
        given = np.array([1.0, 2.5, -4.0])
        out = symc.function([cut], [T.cast(cut, "float32") + 1, cut.shape[0]])(given)
        np.testing.assert_array_equal(out[0], given + 1)
        assert out[1] == 3
    out = symc.function([half * 2, half], T.cast(half, "float32"), on_unused_input="ignore")([9.0], [1.5])
    assert out == 1.5


@pytest.mark.parametrize("cut", [T.conj(z), T.complex(a, b), T.complex(T.exp(a), a), T.cast(a, "complex64")])
def test_a_complex_result_that_shares_a_part_is_refused(cut):
    with pytest.raises(ValueError, match="shares a part"):
        symc.function([cut, z, a, b], cut.sum() + z, on_unused_input="ignore")


def test_complex_results_that_share_a_part_are_refused():
    part = T.exp(a)
    one, two = T.complex(part, a + 1), T.complex(part, a + 2)
    with pytest.raises(ValueError, match="shares a part"):
        symc.function([one, two], one + two)
