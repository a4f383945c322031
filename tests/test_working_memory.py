"""The memory for temporaries: shared by calls with different shapes, never by calls that run at the same time."""

import threading

import numpy as np
import pytest

import symc
import symc.tensor as T

pytestmark = pytest.mark.skipif(symc.function([], []).device != "c", reason="needs a C compiler")


@pytest.fixture
def made(monkeypatch):
    """The sizes of the arenas allocated since."""
    from symc_backends.c.run import Arena

    sizes = []
    plain = Arena.__init__

    def counted(self, size):
        sizes.append(size)
        plain(self, size)

    monkeypatch.setattr(Arena, "__init__", counted)
    return sizes


def network(device="c"):
    """A function with two temporaries: ``tanh(x) tanh(x)'``, its row sums through another product."""
    x = T.matrix("x", dtype="float64")
    h = T.dot(T.tanh(x), T.tanh(x).T)
    return symc.function([x], T.dot(T.exp(-h * h), T.tanh(x)), device=device)


def expected(x):
    t = np.tanh(x)
    h = t @ t.T
    return np.exp(-h * h) @ t


def test_smaller_batches_use_the_memory_of_larger_ones(made):
    random = np.random.default_rng(0)
    batches = [random.standard_normal((n, 5)) for n in (800, 780, 800, 340, 3, 1, 0, 800, 12)]

    def call_all() -> None:
        f = network()
        for x in batches:
            for _ in range(3):  # the slow path, then the launcher
                np.testing.assert_allclose(f(x), expected(x), rtol=1e-12, atol=1e-13)  # of sums up to 50

    with symc.config.change(short_axes=False):
        call_all()
    assert len(made) == 1
    made.clear()
    call_all()  # the largest batches run code for five columns
    assert max(made) > 100 * sum(sorted(made)[:-1])


def test_growing_batches_keep_one_arena(made):
    f = network()
    random = np.random.default_rng(1)
    for n in range(2, 40, 3):
        x = random.standard_normal((n, 4))
        for _ in range(2):
            np.testing.assert_allclose(f(x), expected(x), rtol=1e-12, atol=1e-14)
    assert made == sorted(made)
    assert len(f.specialisation.executable.arenas.spare) <= 1  # the last one may be on loan to the launcher


def test_calls_at_the_same_time_have_their_own_memory(made):
    f = network()
    threads, wrong = 4, []
    started = threading.Barrier(threads)

    def work(seed):
        random = np.random.default_rng(seed)
        started.wait()
        for _ in range(150):
            x = random.standard_normal((int(random.integers(1, 60)), 6))
            if not np.allclose(f(x), expected(x), rtol=1e-10, atol=1e-12):
                wrong.append(x.shape)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(threads)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert not wrong
    assert len(f.specialisation.executable.arenas.spare) <= threads


def test_plans_of_many_shapes_are_kept_if_they_need_little_memory(made):
    f = network()
    random = np.random.default_rng(2)
    arguments = [random.standard_normal((n, 3)) for n in (*range(2, 20), 0, 1)]
    for x in [*arguments, *arguments]:
        np.testing.assert_allclose(f(x), expected(x), rtol=1e-12, atol=1e-14)
    assert f.specialisation.fast.call.fast_calls == len(arguments)
    np.testing.assert_allclose(f(arguments[3].tolist()), expected(arguments[3]), rtol=1e-12)
    assert f.specialisation.fast.call.fast_calls == len(arguments) + 1, "a list is converted, then runs the plan"


def test_lengths_that_are_values_use_it_too(made):
    """Several segments: a length is computed in mid-program, and memory follows."""
    x, n = T.vector("x", dtype="float64"), T.lscalar("n")
    m = (n * n) % 7 + 1
    y = T.exp(x[:m])
    f = symc.function([x, n], T.dot(T.outer(y, y), y))
    v = np.linspace(0.1, 1, 9)
    for k in [*range(12), 3, 1]:
        e = np.exp(v[: (k * k) % 7 + 1])
        for _ in range(2):
            np.testing.assert_allclose(f(v, k), np.outer(e, e) @ e, rtol=1e-12)


def test_a_recursive_call_has_its_own_memory():
    """A Python op in mid-program calls the same function with another shape."""
    seen = []

    @symc.as_op(itypes=[T.dmatrix], otypes=[T.dmatrix], infer_shape=lambda node, shapes: shapes)
    def halve(a):
        if len(a) > 1:
            seen.append(len(a))
            f(a[: len(a) // 2])
        return a * 0.5

    x = T.matrix("x", dtype="float64")
    h = T.tanh(T.dot(x, x.T))
    f = symc.function([x], T.dot(halve(h) + h, x))
    v = np.random.default_rng(2).standard_normal((8, 3))
    for _ in range(2):
        h_ = np.tanh(v @ v.T)
        np.testing.assert_allclose(f(v), 1.5 * h_ @ v, rtol=1e-12)
    assert seen[:3] == [8, 4, 2]
