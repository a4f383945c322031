"""Symbolic dims against plain integers: what is said for all values holds for every value tried."""

import random

import pytest

from symc.graph import dims

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
