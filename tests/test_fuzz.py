"""Random programs with shared variables: compiled functions agree with NumPy over successive calls."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from random_programs import LARGEST, Program, random_program

import symc
import symc.tensor as T
from symc.graph.evaluate import evaluate

INTERPRETED = 240
COMPILED = 12
TOLERANCE = {"float64": 1e-8, "float32": 2e-3}


def assert_near(got: np.ndarray, want: np.ndarray, tolerance: float, what: str) -> None:
    assert got.shape == want.shape, what
    size = max(1.0, float(np.abs(want).max(initial=0)))
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * size, err_msg=what)


def choose(p: Program) -> tuple[list[int], list[tuple[int, int]], int]:
    """Some outputs, a next value for most shared variables, and the variable whose sum is differentiated."""
    count = len(p.variables)
    some = p.random.choice(count, min(count, int(p.random.integers(1, 6))), replace=False)
    updates = []
    for k in p.shared:
        fits = [j for j in range(count) if p.values[j].shape == p.values[k].shape and j != k]
        if fits and p.chance(0.85):
            updates.append((k, int(p.random.choice(fits))))
    return sorted({*map(int, some), count - 1}), updates, int(p.random.integers(count))


def check(p: Program, device: str, mode: str, calls: int = 3) -> None:
    """Compile some of the program, with gradients and updates, call it and compare every result and every state."""
    outputs, updates, cost = choose(p)
    tolerance = TOLERANCE[p.dtype]
    leaves = [*p.inputs, *p.shared]
    slopes = T.grad(T.sum(p.variables[cost]), [p.variables[k] for k in leaves], disconnected_inputs="ignore")
    f = symc.function(
        [p.variables[k] for k in p.inputs],
        [*[p.variables[k] for k in outputs], *slopes],
        updates=[(p.variables[k], p.variables[j]) for k, j in updates],
        on_unused_input="ignore",
        device=device,
        mode=mode,
    )
    state = {k: p.values[k] for k in p.shared}
    for call in range(calls):
        # another layout in the second call: not all calls take the same way
        arrays = [np.array(p.values[k] * (1 - 0.1 * call), p.dtype, order="CFC"[call]) for k in p.inputs]
        given = dict(zip(p.inputs, arrays)) | state
        values = p.replay(given)
        if not all(np.abs(v).max(initial=0) < 10 * LARGEST for v in values):
            return  # updates have led it astray
        wanted = evaluate(slopes, {p.variables[k]: v for k, v in given.items()})
        where = f"on {device}, mode {mode}, call {call}\n" + "\n".join(p.log)
        got = f(*arrays)
        for k, result in zip(outputs, got[: len(outputs)], strict=True):
            assert_near(result, values[k], tolerance, f"v{k} {where}")
        for k, slope, want in zip(leaves, got[len(outputs) :], wanted, strict=True):
            if np.all(np.isfinite(want)):
                assert_near(slope, want, tolerance * 10, f"slope of v{k} {where}")
        for k, j in updates:
            state[k] = values[j].astype(p.dtype)
        for k in p.shared:
            assert_near(p.variables[k].get_value(), state[k], tolerance, f"state v{k} {where}")
            state[k] = p.variables[k].get_value()


def seeds(first: int, count: int, parts: int) -> Sequence[range]:
    """``count`` seeds from ``first`` in ``parts`` ranges: few tests, yet a failure names its neighbourhood."""
    size = -(-count // parts)
    return [range(k, min(k + size, first + count)) for k in range(first, first + count, size)]


@pytest.mark.parametrize("chosen", seeds(0, INTERPRETED, 12), ids=lambda r: f"{r.start}-{r.stop - 1}")
def test_interpreted_programs_agree_with_numpy(chosen):
    for seed in chosen:
        check(random_program(seed), "interp", ("fast_run", "fast_run", "no_rewrite", "fast_compile")[seed % 4])


@pytest.mark.parametrize("seed", range(1000, 1000 + COMPILED))
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_compiled_programs_agree_with_numpy(seed, dtype):
    check(random_program(seed + 500 * (dtype == "float32"), dtype), "c", "fast_run")


def test_a_loop_does_not_read_elsewhere_what_it_is_still_to_write():
    # A value that is repeated to a shape is wanted both element by element and at positions of a reversed part.
    x = T.tensor(dtype="float64", shape=(5, 4))
    y = T.inc_subtensor(x[::-1], x)
    slope = T.grad(y.sum(), x)
    f = symc.function([x], [y, slope], device="interp")
    value = np.arange(20.0).reshape(5, 4)
    got, got_slope = f(value)
    np.testing.assert_array_equal(got, value + value[::-1])
    np.testing.assert_array_equal(got_slope, np.full((5, 4), 2.0))


def test_lengths_known_to_be_one_stay_known_through_a_reshape():
    x, y = T.dmatrix(), T.dmatrix()
    total = x.var(axis=(0, 1), keepdims=True)
    turned = total.reshape((total.shape[1], total.shape[0]))
    got = symc.function([x, y], turned / (1 + y**2), device="interp")(np.arange(6.0).reshape(2, 3), np.ones((4, 5)))
    np.testing.assert_allclose(got, np.full((4, 5), np.arange(6.0).var() / 2))


def test_axes_of_a_repeated_value_are_moved_without_rewrites():
    x = T.dvector()
    spread = T.ones_like(x.dimshuffle(0, "x"))
    f = symc.function([x], spread.dimshuffle(0), device="interp", mode="no_rewrite")
    np.testing.assert_array_equal(f([3.0, 4.0]), [1, 1])
