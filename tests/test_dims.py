"""Symbolic dims compared with plain integers: statements about all values hold for every value tried."""

import random

import numpy as np
import pytest
import sympy

import symc
import symc.tensor as T
from symc.errors import GuardError, ShapeError
from symc.graph import dims
from symc_backends.c.emit import dim_text

N, M, K = (dims.new_symbol(name) for name in "nmk")
VALUE = dims.new_symbol("value", nonnegative=False)


def draw(rng, depth):
    """A random dim of nested operations."""
    if depth == 0:
        return rng.choice([N, M, K, VALUE, 0, 1, 2, 3, 5])
    a, b = draw(rng, depth - 1), draw(rng, depth - 1)
    operation = rng.choice([dims.add, dims.sub, dims.mul, dims.maximum, dims.minimum, dims.floordiv, dims.ceildiv])
    if operation in (dims.floordiv, dims.ceildiv):
        return operation(a, rng.choice([2, 3, 4]))
    return operation(a, b)


def values(rng):
    return {symbol: rng.randint(0, 9) for symbol in (N, M, K)} | {VALUE: rng.randint(-9, 9)}


@pytest.mark.parametrize("seed", range(150))
def test_operations_agree_with_integers(seed):
    rng = random.Random(seed)
    a, b = draw(rng, rng.choice([1, 2, 3])), draw(rng, rng.choice([1, 2, 3]))
    divisor = rng.choice([2, 3, 4, N])
    said = dims.equal(a, b)
    quotient, product = dims.floordiv(a, divisor), dims.mul(a, divisor)
    upper, lower = dims.ceildiv(a, divisor), dims.floordiv(product, divisor)
    most, least = dims.maximum(a, b), dims.minimum(a, b)
    renamed = dims.substitute(quotient, {M: dims.add(K, 1)})
    for _ in range(6):
        at = values(rng)
        x, y, d = (dims.evaluate(v, at) for v in (a, b, divisor))
        assert said is None or said == (x == y)
        assert dims.evaluate(most, at) == max(x, y) and dims.evaluate(least, at) == min(x, y)
        if d > 0:
            assert dims.evaluate(quotient, at) == x // d and dims.evaluate(upper, at) == -(-x // d)
            assert dims.evaluate(lower, at) == x
            assert dims.evaluate(renamed, at) == dims.evaluate(quotient, at | {M: at[K] + 1})


C_FUNCTIONS = {"sx_floordiv_i64": lambda a, b: a // b, "sx_max_i64": max, "sx_min_i64": min}


def test_dims_have_c_text():
    """Also quotients of even extremes, which sympy knows to be whole: ``max(0, 2 * n - 84) / 2``."""
    places, rng = {s: k for k, s in enumerate([N, M, K, VALUE])}, random.Random(0)
    drawn = [dims.floordiv(draw(rng, 3), rng.choice([2, 3])) for _ in range(150)]
    even = [dims.mul(2, d) for d in drawn[:20]]
    halves = [dims.floordiv(dims.mul(rng.choice([1, M]), dims.maximum(4, dims.sub(d, 84))), 2) for d in even]
    for dim in [*drawn, *halves]:
        at = values(rng)
        found = eval(dim_text(dim, places), {**C_FUNCTIONS, "D": list(at.values())})
        assert found == dims.evaluate(dim, at), dim


@pytest.mark.parametrize(
    "a, b, said",
    [
        (N, N, True),
        (N, M, None),
        (N, 3, None),
        (N, -1, False),
        (dims.add(N, 1), N, False),
        (dims.add(dims.add(N, M), 1), N, False),
        (dims.add(N, M), N, None),
        (dims.add(dims.mul(N, M), 1), 0, False),
        (VALUE, -1, None),
        (dims.sub(dims.add(N, M), M), N, True),
        (dims.mul(2, dims.add(N, 1)), dims.add(2, dims.mul(N, 2)), True),
    ],
)
def test_equal_says_what_is_known(a, b, said):
    assert dims.equal(a, b) is said and dims.equal(b, a) is said


def test_division_is_exact_where_it_can_be():
    images = dims.mul(N, dims.mul(50, dims.mul(dims.floordiv(M, 2), dims.floordiv(K, 2))))
    assert dims.equal(dims.floordiv(images, N), dims.mul(50, dims.mul(dims.floordiv(M, 2), dims.floordiv(K, 2))))
    assert dims.floordiv(dims.mul(N, dims.add(M, 1)), dims.add(M, 1)) == N
    assert dims.floordiv(dims.add(dims.mul(4, N), 6), 2) == dims.add(dims.mul(2, N), 3)


def test_extremes_are_decided_by_structure():
    assert dims.maximum(dims.add(N, 1), 1) == dims.add(N, 1) and dims.minimum(dims.add(N, 1), 1) == 1
    assert dims.maximum(N, 0) == N
    assert type(dims.maximum(VALUE, 0)) is not int


@pytest.mark.parametrize("seed", range(40))
def test_compiled_dims_agree_with_sympy(seed):
    rng = random.Random(1000 + seed)
    symbols = (N, M, K, VALUE)
    exprs = [draw(rng, rng.choice([0, 1, 2, 3])) for _ in range(12)]
    exprs += exprs[:4]
    function = dims.compile(exprs, symbols)
    for _ in range(4):
        at = values(rng)
        want = [e if type(e) is int else int(e.xreplace({s: sympy.Integer(v) for s, v in at.items()})) for e in exprs]
        assert function([at[s] for s in symbols]) == tuple(want)
        assert [dims.evaluate(e, at) for e in exprs] == want


def test_compiling_computes_shared_parts_once_and_nests_nothing():
    shared = dims.maximum(dims.sub(N, M), 3)
    for _ in range(2000):
        shared = dims.maximum(dims.sub(dims.mul(2, shared), M), dims.sub(K, shared))
    assert dims.compile((shared, 5), (N, M, K))([0, 6, 0])[1] == 5


def test_compiling_nothing_and_compiling_what_is_not_known():
    assert dims.compile((), (N,))([3]) == ()
    assert dims.compile((4, 4), ())([]) == (4, 4)
    with pytest.raises(ValueError, match="m is not known"):
        dims.compile((dims.add(N, M),), (N,))
    with pytest.raises(ValueError, match="m is not known"):
        dims.evaluate(dims.add(N, M), {N: 1})


def test_lengths_cut_again_and_again_stay_short():
    cut = N
    for _ in range(300):
        cut = dims.sub(cut, dims.minimum(1, cut))
    assert dims.equal(cut, dims.maximum(dims.sub(N, 300), 0))
    assert dims.evaluate(cut, {N: 305}) == 5 and dims.evaluate(cut, {N: 20}) == 0
    whole = dims.add(dims.sub(N, dims.minimum(2, N)), dims.minimum(2, N))
    assert whole == N
    assert dims.add(dims.maximum(N, M), dims.minimum(N, M)) == dims.add(N, M)
    assert dims.sub(dims.maximum(N, 5), 5) == dims.maximum(dims.sub(N, 5), 0)


def test_deep_dims_cost_what_they_have_parts():
    deep = dims.maximum(dims.sub(N, M), 3)
    for _ in range(1500):
        deep = dims.maximum(dims.sub(dims.mul(2, deep), M), dims.sub(K, deep))
    assert dims.symbols_of(deep) == {N, M, K}
    assert len(dims.show(deep)) < 100
    renamed = dims.substitute(deep, {M: 0, K: 2})
    assert dims.evaluate(deep, {N: 1, M: 0, K: 2}) == dims.evaluate(renamed, {N: 1}) == 3 * 2**1500


@pytest.mark.parametrize("device", ["c", "interp"])
def test_a_quotient_by_a_length_of_zero(device):
    """As NumPy, which cannot reshape nothing into shape (0, -1)."""
    x, n = T.matrix("x"), T.iscalar("n")
    f = symc.function([x, n], x.reshape((n, -1)), device=device)
    nothing = np.zeros((0, 3), "float32")
    for _ in range(2):
        assert f(nothing, 1).shape == (1, 0)
    for shape in [(0, 3), (0, 2)]:
        with pytest.raises(GuardError, match=r"quotient by a length that is 0.*\n.*place of the -1"):
            f(np.zeros(shape, "float32"), 0)
    assert f(nothing, 1).shape == (1, 0)


def test_a_division_by_zero_in_a_python_op_is_its_own():
    @symc.as_op(itypes=[T.vector], otypes=[T.vector], infer_shape=lambda node, shapes: shapes)
    def broken(x):
        return x * (1 // (len(x) - 2))

    x = T.vector("x")
    f = symc.function([x], broken(x))
    with pytest.raises(ZeroDivisionError):
        f(np.ones(2, "float32"))


def test_number_of_axes_and_dtype_of_what_becomes_a_variable():
    """Leading axes of length 1 are added or dropped, for numbers, arrays, lists of variables and variables alike."""
    x = T.tensor("float64", shape=(1, None), name="x")
    for made, shape in (
        (T.as_tensor(3, ndim=1), (1,)),
        (T.constant(3.5, ndim=2), (1, 1)),
        (T.as_tensor_variable(np.ones(3), ndim=2), (1, 3)),
        (T.as_tensor_variable([x.shape[0], 2], ndim=2), (1, 2)),
        (T.as_tensor_variable(x, ndim=3), (1, 1, 4)),
        (T.as_tensor_variable(x, ndim=1), (4,)),
        (T.concatenate([T.as_tensor(1, ndim=1), T.as_tensor(x.shape[1], ndim=1)]), (2,)),
    ):
        assert symc.function([x], made, on_unused_input="ignore")(np.ones((1, 4))).shape == shape
    assert T.as_tensor(x, dtype="int8").dtype == "int8" and T.as_tensor([1, 2], dtype="int8").dtype == "int8"
    assert T.as_tensor(x) is x and T.as_tensor(x, ndim=2, dtype="float64") is x
    with pytest.raises(ShapeError, match="as_tensor_variable: expected 0 axes, got 2"):
        T.as_tensor(x, ndim=0)
    with pytest.raises(ShapeError, match="constant: expected 1 axes"):
        T.constant([[1, 2]], ndim=1)
