"""Sums over a few coordinates of pairs are written out: distances and forces between points."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.graph.evaluate import evaluate
from symc.loops.ir import Step, walk

f32, f64 = "float32", "float64"


def points(count, dims, dtype=f64, lead=()):
    return [T.tensor(dtype=dtype, shape=(*lead, None, dims), name=name) for name in "xyz"[:count]]


def apart(x, y):
    return x[..., :, None, :] - y[..., None, :, :]


def distances(x, y):
    return T.sqrt(T.sqr(apart(x, y)).sum(-1) + 0.01)


def losses(x, y):
    d = distances(x, y)
    return [d, d.sum(), *T.grad(d.sum(), [x, y])]


def kernel(x, y):
    k = T.exp(-abs(apart(x, y)).sum(-1))
    return [k.mean(), *T.grad(k.mean(), [x, y])]


def forces(x, y):
    d = apart(x, x)
    r2 = T.sqr(d).sum(-1) + 0.01
    return [(d / (r2 * T.sqrt(r2))[..., None] * y[..., None, :, :]).sum(-2)]


def everything(x, y):
    d = apart(x, y)
    return [T.sqr(d).sum(), (d * d * d).sum((-3, -1)), T.tanh(d).sum(-3), d.sum((-3, -2)), d]


PROGRAMS = [losses, kernel, forces, everything]


def given(shapes, dtype=f64):
    rng = np.random.default_rng(2)
    return [rng.uniform(-1, 1, shape).astype(dtype) for shape in shapes]


def compare(f, inputs, outputs, arrays, rtol):
    wanted = evaluate(outputs, dict(zip(inputs, [a.astype(f64) for a in arrays])))
    for have, want in zip(f(*arrays), wanted):
        np.testing.assert_allclose(have, want, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("dims", [1, 2, 3, 4, 5])
def test_values(program, dims):
    x, y = points(2, dims)
    outputs = program(x, y)
    f = symc.function([x, y], outputs)
    for n in (1, 2, 17, 70):
        compare(f, [x, y], outputs, given([(n, dims), (n, dims)]), 1e-10)
    if program is not kernel:
        compare(f, [x, y], outputs, given([(0, dims), (0, dims)]), 1e-10)


@pytest.mark.parametrize("program", PROGRAMS)
def test_batches(program):
    x, y = points(2, 3, lead=(None,))
    outputs = program(x, y)
    compare(symc.function([x, y], outputs), [x, y], outputs, given([(5, 20, 3), (5, 20, 3)]), 1e-10)


@pytest.mark.parametrize("isa", ["", "avx2", "sse", "scalar"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_widths(program, isa):
    x, y = points(2, 3, f32)
    a, b = points(2, 3)
    outputs = program(x, y)
    with symc.config.change(floatX=f64):
        wanted = program(a, b)
    with symc.config.change(isa=isa):
        f = symc.function([x, y], outputs)
        compare(f, [a, b], wanted, given([(37, 3), (37, 3)], f32), 1e-4)


def test_second_order():
    x, y = points(2, 3)
    (slope,) = T.grad(distances(x, y).sum(), [x])
    outputs = [T.grad(T.sqr(slope).sum(), y)]
    compare(symc.function([x, y], outputs), [x, y], outputs, given([(9, 3), (7, 3)]), 1e-9)


def test_integers_and_dtypes():
    x, y = points(2, 3, "int32")
    outputs = [T.sqr(apart(x, y)).sum(-1), abs(apart(x, y)).sum(-1, dtype="int64"), apart(x, y).sum((0, 2))]
    f = symc.function([x, y], outputs)
    rng = np.random.default_rng(0)
    arrays = [rng.integers(-50, 50, (n, 3)).astype("int32") for n in (9, 20)]
    for have, want in zip(f(*arrays), evaluate(outputs, dict(zip([x, y], arrays)))):
        assert have.dtype == want.dtype
        np.testing.assert_array_equal(have, want)


def test_in_a_loop():
    """Steps of bodies that attract each other."""
    x, y = points(2, 3)
    step = symc.scan(
        lambda x, v: (x + 0.1 * v, v + 0.1 * forces(x, y)[0]), outputs_info=[x, T.zeros_like(x)], n_steps=4
    )
    outputs = step[0]
    compare(symc.function([x, y], outputs), [x, y], outputs, given([(12, 3), (12, 3)]), 1e-9)


def largest(f, *sizes):
    """The largest number of elements of a temporary, for these lengths of the arguments."""
    program = f.specialisation.program
    symbols = [s for b in program.buffers if b.role == "input" for s in b.shape if not isinstance(s, int)]
    values = dict(zip(dict.fromkeys(symbols), sizes))
    shapes = [b.shape for b in program.buffers if b.role == "temp" and b.alias < 0]
    return max(int(np.prod([d if isinstance(d, int) else int(d.subs(values)) for d in shape])) for shape in shapes)


@pytest.mark.parametrize("program", [lambda x, y: losses(x, y)[1:], kernel, forces])
def test_pairs_are_not_stored(program):
    x, y = points(2, 3, f32)
    f = symc.function([x, y], program(x, y), device="interp")
    f(*given([(3, 3), (3, 3)], f32))
    assert largest(f, 2000, 2000) < 2000 * 2000
    names = [node.name for node in walk(f.specialisation.program.body) if isinstance(node, Step)]
    assert len([name for name in names if "sqr" in name or "abs" in name]) <= 1, names


def test_what_fills_memory_stays():
    """A sum over the last axis of an array in memory reads whole rows."""
    x = T.tensor(dtype=f32, shape=(None, None, 3), name="x")
    f = symc.function([x], T.sqr(x).sum(2), device="interp")
    f(np.ones((2, 2, 3), f32))
    (step,) = [node for node in walk(f.specialisation.program.body) if isinstance(node, Step)]
    assert "slice" not in step.name
