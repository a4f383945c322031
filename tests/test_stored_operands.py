"""Forms of stored operands that the C run-time library keeps between calls: never those of an old value."""

import gc
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

import symc
from symc import tensor as T

pytest.importorskip("cffi")
library = pytest.importorskip("symc_backends.c.library")

RNG = np.random.default_rng(5)


def _normal(*shape):
    return RNG.normal(size=shape).astype("float32")


class _Case:
    """An op with a stored operand whose packed form is kept: a product or a convolution.

    With ``reads_rows``, an operand that cannot be kept is read in place, and sums are added in another order.
    """

    def __init__(self, name, weights, data, apply, reads_rows=False):
        self.name, self.weights, self.data, self.apply, self.reads_rows = name, weights, data, apply, reads_rows

    def build(self):
        w = symc.shared(self.weights)
        x = T.TensorType("float32", (None,) * self.data.ndim)("x")
        return symc.function([x], self.apply(x, w)), w

    def expect(self, weights, data=None):
        """In float64, without the C back end."""
        x = T.TensorType("float64", (None,) * self.data.ndim)("x")
        w = symc.shared(np.asarray(weights, "float64"))
        data = self.data if data is None else data
        return symc.function([x], self.apply(x, w), device="interp")(data.astype("float64"))


CASES = [
    _Case("product", _normal(150, 170), _normal(60, 150), lambda x, w: x.dot(w)),
    _Case("transposed", _normal(170, 150), _normal(3, 150), lambda x, w: x.dot(w.T)),
    _Case("vector", _normal(500, 290), _normal(1, 500), lambda x, w: x.dot(w), reads_rows=True),
    _Case("few rows", _normal(500, 650), _normal(7, 500), lambda x, w: x.dot(w), reads_rows=True),
    _Case("few rows, transposed", _normal(650, 500), _normal(17, 500), lambda x, w: x.dot(w.T), reads_rows=True),
    _Case("left", _normal(90, 150), _normal(150, 70), lambda x, w: w.dot(x)),
    _Case("winograd", _normal(33, 32, 3, 3), _normal(4, 32, 30, 31), lambda x, w: T.nnet.conv2d(x, w, border_mode=1)),
    _Case("blocks", _normal(32, 16, 3, 2), _normal(2, 16, 9, 13), lambda x, w: T.nnet.conv2d(x, w, subsample=(2, 1))),
    _Case("few pixels", _normal(128, 96, 1, 1), _normal(1, 96, 5, 5), lambda x, w: T.nnet.conv2d(x, w)),
    _Case("images", _normal(40, 32, 1, 1), _normal(2, 32, 12, 11), lambda x, w: T.nnet.conv2d(x, w)),
]
by_name = pytest.mark.parametrize("case", CASES, ids=[c.name for c in CASES])


def _close(got, expected):
    scale = np.abs(expected).max()
    assert np.abs(got - expected).max() <= 2e-5 * scale


def _held():
    return int(library.runtime().symc_stored_bytes())


@by_name
def test_forms_follow_the_value(case):
    gc.collect()
    before = _held()
    f, w = case.build()
    first = f(case.data)
    _close(first, case.expect(case.weights))
    assert _held() > before  # otherwise nothing here is tested
    for _ in range(2):  # by the launcher, with the kept form: the same bits
        np.testing.assert_array_equal(f(case.data), first)

    other = _normal(*case.weights.shape)
    w.set_value(other)
    _close(f(case.data), case.expect(other))
    half = w.get_value(borrow=True)
    f(case.data)
    half *= 0.5  # unknown to the variable
    _close(f(case.data), case.expect(other * 0.5))
    part = half[:2]
    del half
    f(case.data)
    part *= 0
    changed = other * 0.5
    changed[:2] = 0
    _close(f(case.data), case.expect(changed))
    del part
    _close(f(case.data), case.expect(changed))
    np.testing.assert_array_equal(f(case.data), f(case.data))

    several = case.data[: len(case.data) - 1] if len(case.data) > 1 and case.name != "left" else case.data
    for data in (several, case.data, several):  # plans for several shapes
        _close(f(data), case.expect(changed, data))
    with symc.config.change(prepared_memory=0):
        g, v = case.build()
        held = _held()
        v.set_value(changed)
        found = g(case.data)
        _close(found, case.expect(changed))
        if not case.reads_rows:  # the same bits without a kept form
            np.testing.assert_array_equal(found, f(case.data))
        assert _held() == held


def test_a_form_is_shared_between_functions_and_dies_with_the_variable():
    case = CASES[0]
    gc.collect()
    before = _held()
    f, w = case.build()
    f(case.data)
    held = _held()
    x = T.fmatrix()
    g = symc.function([x], case.apply(x, w) * 2)
    h, p = f.copy(), pickle.loads(pickle.dumps(f))
    step = symc.function([x], case.apply(x, w).sum(), updates={w: w * 2})
    assert np.array_equal(g(case.data), 2 * f(case.data)) and np.array_equal(h(case.data), f(case.data))
    assert _held() == held
    for k in (1, 2, 4):  # an update by a function that itself reads the variable, and keeps nothing
        _close(f(case.data), k * case.expect(case.weights))
        _close(g(case.data), 2 * k * case.expect(case.weights))
        total = case.expect(case.weights) * k
        assert abs(step(case.data) - total.sum()) <= 1e-4 * np.abs(total).sum()
    _close(p(case.data), case.expect(case.weights))  # a variable of its own
    given = symc.shared(_normal(*case.weights.shape))
    swapped = symc.function([x], case.apply(x, w), givens={w: given})
    _close(swapped(case.data), case.expect(given.get_value()))
    del f, g, h, p, step, swapped, w, given
    gc.collect()
    assert _held() == before


def test_constants_slices_and_loops():
    w = symc.shared(_normal(3, 120, 120))
    x, c = T.fmatrix(), T.constant(_normal(120, 130))
    f = symc.function([x], [x.dot(c), x.dot(w[1]), symc.scan(lambda a, s: T.tanh(s.dot(a)), w, [x])[0][-1]])
    data = _normal(40, 120) / 10
    for _ in range(2):
        value = w.get_value().astype("float64")
        state = data.astype("float64")
        for a in value:
            state = np.tanh(state @ a)
        got = f(data)
        for one, expected in zip(got, (data @ c.data, data @ value[1], state)):
            _close(one, expected)
        again = f(data)
        assert all(np.array_equal(a, b) for a, b in zip(got, again))
        w.set_value(_normal(3, 120, 120))


@pytest.mark.parametrize("rows", [2, 9, 40, 64])
def test_loops_over_rows_return_the_same_bits(rows):
    """While one thread packs the matrix for all, the others compute what they compute later with its panels."""
    steps = 20
    x, w = T.tensor("float32", shape=(None, 530)), T.tensor("float32", shape=(530, 530))
    data, weights = _normal(rows, 530), _normal(530, 530) / 23
    with symc.config.change(threads=3):
        f = symc.function([x, w], symc.scan(lambda s, w: T.tanh(s.dot(w)), None, x, w, n_steps=steps)[0])
        found = [f(data, weights) for _ in range(40)]
    _close(found[0][0], np.tanh(data.astype("float64") @ weights.astype("float64")))
    assert all(np.array_equal(found[0], other) for other in found)


def test_threads_and_a_writer():
    f, w = CASES[0].build()
    values = [k * np.ones_like(CASES[0].weights) for k in range(1, 5)]
    w.set_value(values[0])
    sums = CASES[0].data.astype("float64").sum(1)
    wrong, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            got = f(CASES[0].data)
            ratio = got[:, 0] / sums
            if not (np.allclose(got, got[:, :1], rtol=1e-5) and abs(ratio / round(ratio[0]) - 1).max() < 1e-2):
                wrong.append(got)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for t in readers:
        t.start()
    for k in range(60):
        w.set_value(values[k % 4])
        assert np.allclose(f(CASES[0].data)[:, 0], (k % 4 + 1) * sums, rtol=1e-3, atol=1e-3)
    stop.set()
    for t in readers:
        t.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_after_fork():
    f, w = CASES[3].build()
    expected = f(CASES[3].data)
    child = os.fork()
    if not child:
        ok = np.array_equal(f(CASES[3].data), expected)
        w.set_value(2 * w.get_value())
        ok = ok and np.allclose(f(CASES[3].data), 2 * expected, rtol=1e-4, atol=1e-4)
        os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_array_equal(f(CASES[3].data), expected)


def test_room_for_forms_is_limited_and_bad_limits_are_errors():
    case = CASES[0]
    gc.collect()
    with symc.config.change(prepared_memory=_held() + 1000):
        f, _ = case.build()
        held = _held()
        _close(f(case.data), case.expect(case.weights))
        assert _held() == held
    with pytest.raises(ValueError, match="prepared_memory"):
        symc.config.prepared_memory = -1


@pytest.mark.parametrize("device", ["c", "interp"])
def test_values_of_stored_variables_alone_are_prepared(device):
    w, mask = symc.shared(_normal(300, 40), "w"), symc.shared((_normal(300, 40) > 0).astype("float32"), "mask")
    count = symc.shared(np.float32(0))
    x = T.fmatrix()
    outputs = [
        x.dot(w * mask),  # an operand that would be written to memory
        (T.tanh(w) ** 2).sum() * x.sum(),
        T.nnet.softmax(w).max(0) + x.sum(),
        x.dot(w.T.T) + 0 * x.sum() * (w + 1).sum(),  # nothing but sums
        x.sum() * w * 2,  # cheap where it is read
    ]
    f = symc.function([x], outputs, updates={count: count + 1}, device=device)
    kept = {tuple(p.leaf.type.shape) for p in f.specialisation.state.prepared}
    assert kept == {(300, 40), (), (40,)}
    data = _normal(50, 300)

    def check():
        a, m, d = (v.astype("float64") for v in (w.get_value(), mask.get_value(), data))
        s = np.exp(a - a.max(1, keepdims=True))
        s /= s.sum(1, keepdims=True)
        expected = [d @ (a * m), (np.tanh(a) ** 2).sum() * d.sum(), s.max(0) + d.sum(), d @ a, d.sum() * a * 2]
        for _ in range(2):
            for got, e in zip(f(data), expected):
                _close(got, e)

    check()
    w.set_value(w.get_value() * 2)
    check()
    lent = w.get_value(borrow=True)
    check()
    lent += 1
    check()
    del lent
    check()
    symc.function([], updates={mask: 1 - mask})()
    check()
    if device == "c":
        calls = f._fast.fast_calls
        f(data)
        assert f._fast.fast_calls == calls + 1  # with an update and prepared values, without Python
    assert count.get_value() == 13 if device == "c" else 12
    alone = symc.function([], [w.sum(), T.tanh(w)], device=device)
    assert not alone.specialisation.state.prepared  # that is all it does
    with symc.config.change(prepared_memory=2000):  # the matrix has no room
        f = symc.function([x], outputs, device=device)
    assert {tuple(p.leaf.type.shape) for p in f.specialisation.state.prepared} == {(), (40,)}
    for got, e in zip(f(data), symc.function([x], outputs, device=device)(data)):
        _close(got, e)


def test_libraries_of_several_widths_count_together():
    case = CASES[0]
    gc.collect()
    before = _held()
    f, w = case.build()
    f(case.data)
    held = _held()
    with symc.config.change(isa="scalar"):
        g, v = case.build()
        g(case.data)
        both = _held()
        assert both > held > before
        del g, v
        gc.collect()
        assert _held() == held
    assert _held() == held
    del f, w
    gc.collect()
    assert _held() == before


LAST_HANDLE = """
import symc_backends.c.library as library
from symc_backends.c.stored import new_handle
kept = new_handle()
vars(library).update(part_of=None, re=None, ffi=None)
del kept
print("end")
"""


def test_handles_are_freed_when_modules_are_gone():
    run = subprocess.run([sys.executable, "-c", LAST_HANDLE], capture_output=True, text=True, timeout=300)
    assert (run.stdout, run.stderr) == ("end\n", "")
