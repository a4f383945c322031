"""The interface of ``symc.function``: inputs, outputs and state."""

from __future__ import annotations

import gc
import threading
import tracemalloc

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc import In, Out

f32 = np.float32
BACKENDS = ("interp", "c")


@pytest.fixture(params=BACKENDS)
def device(request):
    return request.param


def compiled(*args, **options):
    """In the interpreter unless said otherwise: most of the contract is the same code for all back ends."""
    return symc.function(*args, **{"device": "interp", **options})


def ones(*shape):
    return np.ones(shape, f32)


# --- outputs ------------------------------------------------------------------------------------------------------


def test_arrangements_of_outputs(device):
    x = T.vector("x")
    single = compiled([x], x * 2, device=device)(ones(3))
    assert isinstance(single, np.ndarray) and single.dtype == f32
    listed = compiled([x], [x * 2, x.sum()], device=device)(ones(3))
    assert isinstance(listed, list) and listed[1].shape == () and listed[1] == 3
    (alone,) = compiled([x], [x * 2], device=device)(ones(3))
    np.testing.assert_array_equal(alone, [2, 2, 2])
    assert compiled([x], [], on_unused_input="ignore", device=device)(ones(3)) == []
    assert compiled([x], on_unused_input="ignore", device=device)(ones(3)) is None
    named = compiled([x], {"double": x * 2, "sum": x.sum()}, device=device)(ones(3))
    assert list(named) == ["double", "sum"] and named["sum"] == 3


def test_an_output_may_be_an_input_a_constant_a_shared_variable_or_twice_the_same(device):
    x, w = T.vector("x"), symc.shared(ones(2), "w")
    y = x * 2
    f = compiled([x], [x, 3.5, w, y, y, y[:2]], device=device)
    given = np.arange(3, dtype=f32)
    for _ in range(2):
        got = f(given)
        for a, b in zip(got, [[0, 1, 2], 3.5, [1, 1], [0, 2, 4], [0, 2, 4], [0, 2]], strict=True):
            np.testing.assert_array_equal(a, b)
    for a in got:
        assert not np.shares_memory(a, given) and not np.shares_memory(a, w.get_value(borrow=True))


def test_outputs_are_the_callers_own(device):
    x = T.vector("x")
    f = compiled([x], x * 2, device=device)
    first = f(ones(3))
    second = f(ones(3) * 5)
    first += 100
    np.testing.assert_array_equal(second, [10, 10, 10])
    np.testing.assert_array_equal(f(ones(3)), [2, 2, 2])


def test_out_wraps_an_output():
    x = T.vector("x")
    np.testing.assert_array_equal(compiled([x], [Out(x * 2, borrow=True)])(ones(2))[0], [2, 2])


# --- inputs -------------------------------------------------------------------------------------------------------


def test_inputs_by_name(device):
    x, y = T.vectors("x", "y")
    f = compiled([x, y], x - y, device=device)
    for got in (f(ones(2) * 5, ones(2)), f(y=ones(2), x=ones(2) * 5), f(ones(2) * 5, y=ones(2))):
        np.testing.assert_array_equal(got, [4, 4])


def test_defaults_and_names_of_in(device):
    x, scale = T.vector("x"), T.scalar("scale")
    f = compiled([x, In(scale, value=3.0)], x * scale, device=device)
    for _ in range(2):
        np.testing.assert_array_equal(f(ones(2)), [3, 3])
        np.testing.assert_array_equal(f(ones(2), 5), [5, 5])
        np.testing.assert_array_equal(f(ones(2), scale=4), [4, 4])
    g = compiled([In(x, name="data")], x + 1, device=device)
    np.testing.assert_array_equal(g(data=ones(2)), [2, 2])


def test_what_converts(device):
    x = T.vector("x")
    f = compiled([x], x * 2, device=device)
    for value in (
        [1, 2],
        (1.0, 2.0),
        np.array([1.0, 2.0]),
        np.array([1, 2], "int8"),
        np.array([True, False]) * 1 + [0, 2],
    ):
        got = f(value)
        assert got.dtype == f32
        np.testing.assert_array_equal(got, [2, 4])
    np.testing.assert_array_equal(f(np.arange(6, dtype=f32)[::3]), [0, 6])
    np.testing.assert_array_equal(f(np.arange(2, dtype=">f4")), [0, 2])


@pytest.mark.parametrize(
    "value", [np.arange(12, dtype=f32).reshape(3, 4).T, np.arange(24, dtype=f32).reshape(4, 6)[:, ::2]]
)
def test_inputs_of_any_layout(value, device):
    x = T.matrix("x")
    value.setflags(write=False)
    np.testing.assert_array_equal(compiled([x], x + 1, device=device)(value), value + 1)


def test_unaligned_inputs(device):
    x = T.vector("x")
    raw = np.zeros(4 * 5 + 1, "uint8")
    value = raw[1:].view(f32)
    value[:] = np.arange(5)
    np.testing.assert_array_equal(compiled([x], x * 2, device=device)(value), np.arange(5) * 2)


def test_downcasting():
    k = T.ivector("k")
    with pytest.raises(TypeError, match="would lose information"):
        compiled([k], k)([1.5, 2.5])
    np.testing.assert_array_equal(compiled([k], k, allow_input_downcast=True)([1.5, 2.5]), [1, 2])
    np.testing.assert_array_equal(compiled([In(k, allow_downcast=True)], k)([1.5, 2.5]), [1, 2])
    with pytest.raises(TypeError, match="strict"):
        compiled([In(k, strict=True)], k)(np.array([1, 2], "int64"))
    scalar = T.lscalar("n")
    assert compiled([scalar], scalar + 1)(2.0) == 3


def test_scalars_as_python_numbers(device):
    s, n = T.scalar("s"), T.iscalar("n")
    f = compiled([s, n], s * n, device=device)
    for _ in range(2):
        assert f(2.5, 2) == f32(5) == f(np.float64(2.5), np.int64(2)) == f(np.float32(2.5), np.array(2))


def test_empty_arrays(device):
    x = T.matrix("x")
    f = compiled([x], [x * 2, x.sum(), x.sum(axis=1)], device=device)
    a, b, c = f(np.zeros((3, 0), f32))
    assert a.shape == (3, 0) and b == 0 and c.tolist() == [0, 0, 0]


def test_unused_inputs():
    x, y = T.vectors("x", "y")
    with pytest.raises(symc.errors.UnusedInputError):
        compiled([x, y], x)
    with pytest.warns(UserWarning, match="not used"):
        compiled([x, y], x, on_unused_input="warn")
    np.testing.assert_array_equal(compiled([x, y], x, on_unused_input="ignore")(ones(2), ones(9)), [1, 1])
    with symc.config.change(on_unused_input="ignore"):
        compiled([x, y], x)


def test_an_inner_variable_as_input(device):
    x = T.vector("x")
    middle = T.exp(x)
    f = compiled([middle], middle * 2, device=device)
    np.testing.assert_array_equal(f(ones(2)), [2, 2])


# --- updates ------------------------------------------------------------------------------------------------------


def test_all_updates_see_the_old_values(device):
    a, b = symc.shared(ones(3), "a"), symc.shared(ones(3) * 5, "b")
    f = compiled([], [a + b], updates={a: b, b: a}, device=device)
    for wanted in ((5, 1), (1, 5), (5, 1)):
        np.testing.assert_array_equal(f()[0], [6, 6, 6])
        assert (a.get_value()[0], b.get_value()[0]) == wanted


def test_outputs_see_the_old_values(device):
    a = symc.shared(ones(3), "a")
    f = compiled([], [a, a * 2], updates=[(a, a + 1)], device=device)
    for n in (1, 2, 3):
        old, double = f()
        assert old[0] == n and double[0] == 2 * n and a.get_value()[0] == n + 1


def test_updates_through_transposes_and_reads_at_other_places(device):
    start = np.arange(9, dtype=f32).reshape(3, 3)
    a = symc.shared(start, "a")
    f = compiled([], [], updates={a: a.T + a[0]}, device=device)
    f()
    np.testing.assert_array_equal(a.get_value(), start.T + start[0])
    b = symc.shared(np.arange(5, dtype=f32), "b")
    compiled([], [], updates={b: b[::-1]}, device=device)()
    np.testing.assert_array_equal(b.get_value(), [4, 3, 2, 1, 0])


A = np.random.default_rng(3).normal(size=(2, 3)).astype(f32)
B = np.random.default_rng(4).normal(size=(2, 3)).astype(f32)
UPDATES = {
    "each other": (lambda a, b: (a + b, a - b), (A + B, A - B)),
    "exchanged by choice": (
        lambda a, b: (T.switch(a > 0, b, a), T.switch(a > 0, a, b)),
        (np.where(A > 0, B, A), np.where(A > 0, A, B)),
    ),
    "its own sum": (lambda a, b: (a + a.sum(), b * a.max()), (A + A.sum(), B * A.max())),
    "its own rows": (lambda a, b: (a[np.array([1, 0])], T.set_subtensor(b[0], b[1])), (A[[1, 0]], B[[1, 1]])),
    "its own product": (lambda a, b: (T.dot(T.dot(a, a.T), a), b + a), (A @ A.T @ A, A + B)),
    "its elements in another order": (lambda a, b: (a.reshape((3, 2)).T, b[:, ::-1]), (A.reshape(3, 2).T, B[:, ::-1])),
}


@pytest.mark.parametrize("case", UPDATES)
def test_no_update_reads_what_another_has_written(case, device):
    make, wanted = UPDATES[case]
    a, b = symc.shared(A, "a"), symc.shared(B, "b")
    new_a, new_b = make(a, b)
    outputs = compiled([], [a, b * 2], updates={a: new_a, b: new_b}, device=device)()
    for got, want in zip([*outputs, a.get_value(), b.get_value()], [A, B * 2, *wanted], strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-6)


def test_one_expression_for_an_output_and_two_updates(device):
    a, b = symc.shared(ones(3), "a"), symc.shared(ones(3), "b")
    y = a + 1
    f = compiled([], y, updates={a: y, b: y}, device=device)
    np.testing.assert_array_equal(f(), [2, 2, 2])
    np.testing.assert_array_equal(f(), [3, 3, 3])
    assert a.get_value()[0] == b.get_value()[0] == 3
    assert not np.shares_memory(a.get_value(borrow=True), b.get_value(borrow=True))


def test_an_update_of_what_the_outputs_do_not_read(device):
    x, a = T.vector("x"), symc.shared(ones(3), "a")
    f = compiled([x], [], updates={a: x}, device=device)
    given = np.arange(3, dtype=f32)
    f(given)
    given += 100
    np.testing.assert_array_equal(a.get_value(), [0, 1, 2])
    f(np.arange(5, dtype=f32))
    assert a.get_value().shape == (5,)


def test_updates_may_change_the_shape(device):
    a = symc.shared(ones(2), "a")
    f = compiled([], a.sum(), updates={a: T.concatenate([a, a])}, device=device)
    assert [float(f()) for _ in range(4)] == [2, 4, 8, 16]
    assert a.get_value().shape == (32,)


def test_updates_convert_dtypes():
    a = symc.shared(ones(2), "a")
    compiled([], [], updates={a: T.cast(a, "float64") * 2})()
    assert a.get_value().dtype == f32 and a.get_value()[0] == 2
    n = symc.shared(0, "n")
    compiled([], [], updates={n: n + 1})()
    assert n.get_value() == 1 and n.get_value().dtype == np.int64


def test_values_handed_out_stay_as_they_were(device):
    a = symc.shared(ones(3), "a")
    f = compiled([], [], updates={a: a + 1}, device=device)
    before = a.get_value()
    f()
    np.testing.assert_array_equal(before, [1, 1, 1])
    mine = ones(3) * 7
    a.set_value(mine)
    f()
    np.testing.assert_array_equal(mine, [7, 7, 7])


# --- default updates ----------------------------------------------------------------------------------------------


def test_default_updates(device):
    counter = symc.shared(0, "counter")
    counter.default_update = counter + 1
    f = compiled([], counter * 10, device=device)
    assert [int(f()) for _ in range(3)] == [0, 10, 20]
    assert counter.get_value() == 3
    compiled([], counter, no_default_updates=True, device=device)()
    compiled([], counter, no_default_updates=[counter], device=device)()
    assert counter.get_value() == 3
    compiled([], counter, updates={counter: counter + 100}, device=device)()
    assert counter.get_value() == 103


def test_default_updates_of_what_default_updates_read():
    a, b = symc.shared(1, "a"), symc.shared(10, "b")
    a.default_update = a + b
    b.default_update = b * 2
    f = compiled([], a)
    assert [int(f()) for _ in range(3)] == [1, 11, 31]


def test_default_updates_are_not_applied_where_nothing_depends_on_them():
    a, b = symc.shared(1, "a"), symc.shared(1, "b")
    a.default_update = a + 1
    compiled([], b)()
    assert a.get_value() == 1


# --- givens -------------------------------------------------------------------------------------------------------


def test_givens(device):
    x, y = T.vectors("x", "y")
    w = symc.shared(ones(3) * 4, "w")
    f = compiled([y], x * 2 + y, givens={x: w}, device=device)
    np.testing.assert_array_equal(f(ones(3)), [9, 9, 9])
    w.set_value(ones(3))
    np.testing.assert_array_equal(f(ones(3)), [3, 3, 3])


def test_givens_of_slices_of_shared_data(device):
    data = symc.shared(np.arange(12, dtype=f32).reshape(6, 2), "data")
    x, k = T.matrix("x"), T.lscalar("k")
    f = compiled([k], x.sum(axis=1), givens={x: data[k * 2 : (k + 1) * 2]}, device=device)
    for i in (0, 2, 1):
        np.testing.assert_array_equal(f(i), data.get_value()[2 * i : 2 * i + 2].sum(axis=1))


def test_givens_reach_updates_and_leave_the_users_graph_alone():
    x, w = T.vector("x"), symc.shared(ones(2), "w")
    y = x + 1
    f = compiled([], y, updates=[(w, w + y)], givens=[(x, w * 10)])
    np.testing.assert_array_equal(f(), [11, 11])
    np.testing.assert_array_equal(w.get_value(), [12, 12])
    np.testing.assert_array_equal(compiled([x], y)(ones(2)), [2, 2])


# --- shared variables whose shapes change -------------------------------------------------------------------------


def test_set_value_of_another_shape(device):
    x = T.matrix("x")
    w = symc.shared(ones(3, 4), "w")
    f = compiled([x], T.dot(x, w).sum(axis=0), device=device)
    for n, m in ((3, 4), (5, 2), (3, 4), (3, 9)):
        w.set_value(ones(n, m) * m)
        for _ in range(2):
            np.testing.assert_array_equal(f(ones(2, n)), [2 * n * m] * m)
    assert len(f._specialisations) == 3, "code is kept for shapes met before"
    with pytest.raises(ValueError, match="inner dims"):
        f(ones(2, 8))


def test_set_value_that_breaks_the_function_says_so(device):
    w, b = symc.shared(ones(3), "w"), symc.shared(ones(3), "b")
    f = compiled([], w + b, device=device)
    f()
    w.set_value(ones(4))
    with pytest.raises(ValueError, match="add: shapes do not go together"):
        f()
    b.set_value(ones(4))
    np.testing.assert_array_equal(f(), [2] * 4)


def test_clones_share_one_value():
    w = symc.shared(ones(2), "w")
    twin = w.clone()
    compiled([], [], updates={twin: twin + 1})()
    np.testing.assert_array_equal(w.get_value(), [2, 2])


# --- eval, devices, threads, memory, depth ------------------------------------------------------------------------


def test_eval():
    x, y = T.vectors("x", "y")
    z = x + y
    np.testing.assert_array_equal(z.eval({x: ones(2), y: ones(2)}), [2, 2])
    np.testing.assert_array_equal(z.eval({"x": ones(3), "y": ones(3)}), [2, 2, 2])
    assert T.constant(3.5).eval() == f32(3.5)
    w = symc.shared(ones(2))
    assert (w * 2).sum().eval() == 4
    with pytest.raises(KeyError, match="no input is called"):
        z.eval({"z": 1})
    with pytest.raises(TypeError, match="eval: keys are inputs or their names, got 3"):
        z.eval({3: 1})


def test_name_and_repr():
    x = T.vector("x")
    f = compiled([x], x * 2, name="twice")
    assert f.name == "twice" and repr(f) == "<symc function twice(x) on interp>"


def test_modes_agree(device):
    x = T.matrix("x")
    z = T.log(T.exp(x).sum(axis=1)) + x.mean()
    given = np.random.default_rng(0).normal(size=(4, 5)).astype(f32)
    results = [
        compiled([x], z, mode=m, device=device)(given) for m in ("fast_run", "fast_compile", "no_rewrite", "FAST_RUN")
    ]
    for r in results[1:]:
        np.testing.assert_allclose(r, results[0], rtol=1e-6)


def test_many_threads_at_once():
    x = T.matrix("x")
    w = symc.shared(np.random.default_rng(0).normal(size=(40, 50)).astype(f32), "w")
    f = symc.function([x], [T.tanh(T.dot(x, w)).sum(axis=1), T.exp(x).sum()], device="c")
    rng = np.random.default_rng(1)
    given = [rng.normal(size=(n, 40)).astype(f32) for n in (1, 3, 64, 7)]
    wanted = [f(g) for g in given]
    wrong: list[str] = []

    def work(seed):
        order = np.random.default_rng(seed)
        for _ in range(150):
            k = order.integers(len(given))
            for a, b in zip(f(given[k]), wanted[k]):
                if not np.array_equal(a, b):
                    wrong.append(f"{given[k].shape}")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_threads_while_a_shared_variable_changes_shape():
    w = symc.shared(ones(3), "w")
    f = symc.function([], w * 2, device="c")
    f()
    w.set_value(ones(5))
    f()
    wrong: list[object] = []

    def work():
        for _ in range(300):
            got = f()
            if got.shape not in ((3,), (5,)) or not (got == 2).all():
                wrong.append(got)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for t in threads:
        t.start()
    for n in range(200):
        w.set_value(ones(3 if n % 2 else 5))
    for t in threads:
        t.join()
    assert not wrong


def test_calls_do_not_pile_up_memory():
    x = T.matrix("x")
    w = symc.shared(ones(64, 64), "w")
    f = symc.function([x], T.tanh(T.dot(x, w)).sum(), updates={w: w * f32(0.999)}, device="c")
    given = ones(128, 64)
    for _ in range(20):
        f(given)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(300):
        f(given)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 20_000


def test_functions_are_released():
    import weakref

    x = T.vector("x")
    for device in BACKENDS:
        f = symc.function([x], x * 2, device=device)
        f(ones(2))
        gone = weakref.ref(f.specialisation)
        del f
        gc.collect()
        assert gone() is None


def test_a_deep_graph():
    x = v = T.vector("x")
    for _ in range(3000):
        v = T.tanh(v) * f32(1.001)
    got = symc.function([x], v, device="interp")(ones(3))
    wanted = ones(3)
    for _ in range(3000):
        wanted = np.tanh(wanted) * f32(1.001)
    np.testing.assert_allclose(got, wanted, rtol=1e-3)


def test_expressions_are_compiled_into_one_table():
    x = T.vector("x")
    f = compiled([x], [T.exp(x) + T.exp(x), T.exp(x) * 2])
    text = symc.printing.debugprint(f, stage="loops", file="str")
    assert text.count("exp(") == 1, "equal expressions are computed once"


def test_the_warning_of_the_interpreter_names_the_users_line(monkeypatch):
    from symc.runtime import backend

    backend._warn_once.cache_clear()
    monkeypatch.setattr("symc_backends.c.unavailable", lambda: "there is no compiler", raising=False)
    x = T.vector("x")
    try:
        with pytest.warns(UserWarning, match="in the interpreter, which is slow: there is no compiler") as found:
            symc.function([x], x + 1, device="c")
    finally:
        backend._warn_once.cache_clear()
    assert found[0].filename == __file__
