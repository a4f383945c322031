"""Functions take axes to be as long as constants in slices ask for; shorter arguments get code of their own."""

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.loops.ir import Step, walk

FORMS = {
    "inner": lambda x: x[1:-1, 1:-1] * 2,
    "neighbours": lambda x: x[2:, 1:-1] + x[:-2, 1:-1] - 4 * x[1:-1, 1:-1] + x[1:-1, 2:] + x[1:-1, :-2],
    "differences": lambda x: (x[1:] - x[:-1]) ** 2,
    "first": lambda x: x[:3, :5],
    "last": lambda x: x[-3:, -1:],
    "far": lambda x: x[40:, :1000],
}
SHAPES = [(5, 6), (0, 0), (1, 7), (2, 2), (3, 1), (9, 0), (8, 70), (80, 9), (2, 5), (3, 4)]


@pytest.mark.parametrize("device", ["interp", "cpu"])
@pytest.mark.parametrize("name", FORMS)
def test_arguments_of_any_length(name, device):
    x = T.dmatrix("x")
    value = FORMS[name](x)
    f = symc.function([x], [value, T.grad((value**2).sum(), x)], device=device)
    rng = np.random.default_rng(0)
    for shape in (*SHAPES, *SHAPES[::-1]):  # code for long ones, for short ones, and that for long ones again
        a = rng.standard_normal(shape)
        want = FORMS[name](a)
        got, slope = f(a)
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want)
        step = rng.standard_normal(shape) * 1e-6
        change = ((FORMS[name](a + step) ** 2).sum() - (FORMS[name](a - step) ** 2).sum()) / 2
        np.testing.assert_allclose((slope * step).sum(), change, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("shift", [0, 1, -1, 3, -3, 70, -70])
@pytest.mark.parametrize("axis", [0, 1])
def test_cyclic_shifts_of_axes_of_any_length(shift, axis):
    x = T.dmatrix("x")
    f = symc.function([x], T.roll(x, shift, axis=axis) + T.roll(x, 1, axis=1 - axis))
    for shape in SHAPES:
        a = np.arange(np.prod(shape), dtype="float64").reshape(shape)
        np.testing.assert_array_equal(f(a), np.roll(a, shift, axis) + np.roll(a, 1, 1 - axis))


@pytest.mark.parametrize("steps", [1, 3])
def test_two_grids_whose_parts_go_together(steps):
    """Lengths that are simple only once others have been assumed are found in a second round."""
    p, f = T.dmatrices("p", "f")

    def step(p):
        around = p[2:, 1:-1] + p[:-2, 1:-1] + p[1:-1, 2:] + p[1:-1, :-2]
        return T.set_subtensor(p[1:-1, 1:-1], 0.25 * (around - f[1:-1, 1:-1]))

    done, _ = symc.scan(step, outputs_info=[p], n_steps=steps)
    run = symc.function([p, f], done[-1])
    names = [n.kernel.name for n in walk(run.specialisation.program.body) if isinstance(n, Step)]
    assert "framed" in names and not any("write_at" in n or "stretch" in n for n in names), names
    rng = np.random.default_rng(1)
    for shape in ((9, 14), (3, 3), (2, 5), (1, 4), (4, 2), (0, 3), (30, 4)):
        a, b = rng.standard_normal((2, *shape))
        want = a.copy()
        for _ in range(steps if min(shape) > 2 else 0):
            around = want[2:, 1:-1] + want[:-2, 1:-1] + want[1:-1, 2:] + want[1:-1, :-2]
            want[1:-1, 1:-1] = 0.25 * (around - b[1:-1, 1:-1])
        np.testing.assert_allclose(run(a, b), want)
    with pytest.raises(ValueError):
        run(rng.standard_normal((9, 8)), rng.standard_normal((9, 9)))


def test_what_is_assumed():
    x, n = T.dmatrix("x"), T.iscalar("n")
    longer = symc.function([x], FORMS["neighbours"](x)).specialisation.graph.longer
    assert sorted(n for _, n in longer.values()) == [2, 2]
    assert not symc.function([x], T.exp(x) + 1).specialisation.graph.longer
    assert not symc.function([x, n], x[:n]).specialisation.graph.longer
    assert sorted(symc.function([x], x[:1000]).specialisation.graph.longer.values()) == []


def test_the_code_for_short_arguments_is_made_once():
    x = T.dvector("x")
    f = symc.function([x], x[1:] - x[:-1])
    assert f.specialisation._shorter is None
    f(np.zeros(4))
    assert f.specialisation._shorter is None
    for _ in range(2):
        assert f(np.zeros(0)).shape == (0,)
    assert f.specialisation._shorter is not None and not f.specialisation._shorter.least


def test_states_are_shared_by_both():
    """An update of a state by the code for long arguments, and then by that for short ones."""
    x = T.dvector("x")
    total = symc.shared(np.zeros(3), "total")
    f = symc.function([x], x[2:].sum(), updates=[(total, T.inc_subtensor(total[1:], x[2:].sum()))])
    want = np.zeros(3)
    for n in (5, 1, 0, 7, 2, 1):
        a = np.arange(n, dtype="float64")
        assert f(a) == a[2:].sum()
        want[1:] += a[2:].sum()
        np.testing.assert_array_equal(total.get_value(), want)


def test_expressions_that_fit_short_arguments_alone():
    """``x[:3]`` has the length of y, which is 2: only an x of two elements will do."""
    x = T.dvector("x")
    y = T.TensorType("float64", (2,))("y")
    f = symc.function([x, y], x[:3] + y)
    np.testing.assert_array_equal(f(np.ones(2), np.arange(2.0)), [1, 2])
    with pytest.raises((symc.errors.GuardError, symc.errors.ShapeError)):
        f(np.ones(5), np.arange(2.0))


def test_loops_over_inner_points():
    x = T.dmatrix("x")
    states = symc.scan(lambda s: T.set_subtensor(s[1:-1, 1:-1], FORMS["neighbours"](s)), outputs_info=x, n_steps=9)[0]
    f = symc.function([x], states[-1])
    for shape in SHAPES:
        a = np.random.default_rng(1).standard_normal(shape)
        want = a.copy()
        for _ in range(9):
            want[1:-1, 1:-1] = FORMS["neighbours"](want)
        np.testing.assert_allclose(f(a), want)


def test_a_plan_that_was_kept_knows_what_it_assumes(tmp_path):
    x = T.dvector("x")
    value = x
    for k in range(40):
        value = T.tanh(value * (k + 2) - 1)
    value = value[1:-1] + 2 * value[2:]
    with symc.config.change(cache_dir=str(tmp_path)):
        for stage in ("keep", "plan"):
            f = symc.function([x], value)
            assert stage in f.specialisation.stages
            assert [n for _, n in f.specialisation.graph.longer.values()] == [2]
            for n in (9, 1, 0, 2, 30):
                a = np.linspace(-1, 1, n)
                want = a
                for k in range(40):
                    want = np.tanh(want * (k + 2) - 1)
                np.testing.assert_allclose(f(a), want[1:-1] + 2 * want[2:], rtol=1e-10)


def test_estimates_of_memory_for_short_arguments():
    x = T.dvector("x")
    f = symc.function([x], x[2:] * 2)
    assert symc.memory_estimate(f, [(10,)]).parts["results"] == 64
    assert symc.memory_estimate(f, [(1,)]).parts.get("results", 0) == 0


def test_a_length_that_is_a_product_of_two_that_are_assumed():
    """The length of y is known to be that of x in a row; its slice and those of x ask for two elements of each axis."""
    x, y = T.dmatrix("x"), T.dvector("y")
    f = symc.function([x, y], (x[1:-1, 1:-1] ** 2).sum() + (x.flatten() * y).sum() + y[1:-1].sum())
    for shape in ((4, 5), (2, 2), (1, 3), (0, 4), (3, 1)):
        a = np.arange(np.prod(shape), dtype="float64").reshape(shape)
        b = a.ravel() + 1
        assert f(a, b) == (a[1:-1, 1:-1] ** 2).sum() + (a.ravel() * b).sum() + b[1:-1].sum()
    with pytest.raises(symc.errors.GuardError):
        f(np.zeros((4, 5)), np.zeros(19))


PAIRS = [((3,), (3,)), ((3,), (1,)), ((1,), (4,)), ((0,), (0,)), ((0,), (1,)), ((1,), (1,)), ((4,), (4,))]


def test_index_arrays_of_unknown_lengths_are_taken_for_equally_long(rng):
    """No kernel broadcasts them; where one is broadcast after all, other code does."""
    x, i, j = T.fmatrix("x"), T.lvector("i"), T.lvector("j")
    f = symc.function([x, i, j], x[i, j] * 2)
    values = rng.standard_normal((5, 6)).astype("float32")
    for a, b in [*PAIRS, *PAIRS[::-1]]:
        rows, columns = rng.integers(-5, 5, a), rng.integers(-6, 6, b)
        assert np.array_equal(f(values, rows, columns), values[rows, columns] * 2)
    assert not any("stretch" in s.name for s in walk(f.specialisation.program.body) if isinstance(s, Step))
    with pytest.raises(ValueError, match="do not go together"):
        f(values, [1, 2], [1, 2, 3])


@pytest.mark.parametrize("replace", [True, False], ids=["set", "inc"])
def test_values_of_unknown_lengths_are_taken_for_as_long_as_the_part(replace, rng):
    x, y = T.dmatrix("x"), T.dvector("y")
    write = T.set_subtensor if replace else T.inc_subtensor
    out = write(x[1], y * 2)
    f = symc.function([x, y], [out, *symc.grad((out**2).sum(), [x, y])])
    values = rng.standard_normal((3, 4))
    for n in (4, 1, 4):
        given = rng.standard_normal(n)
        wanted = values.copy()
        wanted[1] = 2 * given if replace else wanted[1] + 2 * given
        of_x, of_y = 2 * wanted, 4 * wanted[1]
        if replace:
            of_x = of_x * (np.arange(3) != 1)[:, None]
        found = f(values, given)
        for a, b in zip(found, (wanted, of_x, of_y if n == 4 else of_y.sum(keepdims=True))):
            np.testing.assert_allclose(a, b, rtol=1e-14)
    with pytest.raises(ValueError, match="axis 0"):
        f(values, np.zeros(3))


def test_three_index_arrays_one_of_which_is_broadcast(rng):
    x = T.dtensor3("x")
    at = [T.lmatrix(n) for n in "ijk"]
    f = symc.function([x, *at], x[tuple(at)])
    values = rng.standard_normal((4, 5, 6))
    for shapes in [((2, 3),) * 3, ((2, 1), (1, 3), (2, 3)), ((1, 1), (2, 3), (1, 3)), ((2, 3),) * 3]:
        given = [rng.integers(0, 4, s) for s in shapes]
        assert np.array_equal(f(values, *given), values[tuple(given)])


def test_a_length_that_only_one_number_fits(rng):
    """Boxes are two corners of two numbers each: the halves go together if there are four, or none."""
    a, b = T.fmatrix("a"), T.fmatrix("b")
    low = T.maximum(a[:, None, :2], b[None, :, :2])
    high = T.minimum(a[:, None, 2:], b[None, :, 2:])
    f = symc.function([a, b], T.maximum(high - low, 0).prod(axis=2))
    shapes = {d for v in f.specialisation.graph.sources.values() for d in v.type.shape[1:]}
    assert shapes == {4}
    for n, m, width in ((5, 7, 4), (1, 3, 0), (2, 2, 4)):
        x, y = rng.random((n, width)).astype("float32"), rng.random((m, width)).astype("float32")
        sides = np.minimum(x[:, None, 2:], y[None, :, 2:]) - np.maximum(x[:, None, :2], y[None, :, :2])
        np.testing.assert_allclose(f(x, y), np.maximum(sides, 0).prod(axis=2), rtol=1e-6)
    for width in (1, 3, 5):
        with pytest.raises(ValueError, match="(?s)axis|given"):
            f(np.zeros((2, width), "float32"), np.zeros((3, width), "float32"))
    with pytest.raises(ValueError):
        f(np.zeros((2, 4), "float32"), np.zeros((3, 0), "float32"))
