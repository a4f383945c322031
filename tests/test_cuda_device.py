"""Properties of the CUDA back end on the emulated GPU: placement of values, recordings, errors, sizes."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading

import numpy as np
import pytest
from cuda_emulator import emulator

import symc
import symc.tensor as T
from symc.errors import CompileError, KernelError
from symc.tensor.shared_randomstreams import RandomStreams

pytestmark = pytest.mark.usefixtures("emulated_device")


def on_gpu(inputs, outputs=None, **options):
    return symc.function(inputs, outputs, device="cuda", **options)


def graphs_of(f):
    """The recordings of a function that has run for one combination of dims."""
    ((group,),) = f.specialisation.executable.items
    (graphs,) = group.graphs.values()
    return graphs


def test_shared_values_move_to_whoever_uses_them():
    w = symc.shared(np.ones(3, "float32"), "w")
    there = on_gpu([], updates={w: w * 2})
    here = symc.function([], updates={w: w + 1}, device="c")
    expected = np.ones(3)
    for f in (there, there, here, there, here, here, there):
        f()
        expected = expected * 2 if f is there else expected + 1
        if f is here:
            assert w.storage.remote is None
    assert w.storage.remote is not None
    np.testing.assert_array_equal(w.get_value(), expected)
    w.set_value(np.full(3, 5))
    there()
    np.testing.assert_array_equal(w.get_value(), [10, 10, 10])
    w.set_value(np.arange(4))  # another shape: compiled anew
    there()
    np.testing.assert_array_equal(w.get_value(), [0, 2, 4, 6])


def test_values_that_are_only_read_lie_on_both_sides():
    w = symc.shared(np.arange(3, dtype="float32"))
    there, here = on_gpu([], w.sum()), symc.function([], w.sum(), device="c")
    assert there() == here() == 3
    remote = w.storage.remote
    here()
    there()
    assert w.storage.remote is remote


def test_the_internal_type_is_the_device_array():
    w = symc.shared(np.arange(3, dtype="float32"))
    assert isinstance(w.get_value(borrow=True, return_internal_type=True), np.ndarray)
    on_gpu([], updates={w: w + 1})()
    inner = w.get_value(borrow=True, return_internal_type=True)
    assert inner is w.storage.remote and inner.shape == (3,) and inner.dtype == np.float32
    apart = w.get_value(return_internal_type=True)
    assert not apart.overlaps(inner)
    np.testing.assert_array_equal(apart, [1, 2, 3])


def test_borrowed_results_stay_and_are_taken_as_they_are():
    x = T.matrix("x")
    f = on_gpu([x], [symc.Out(x * 2, borrow=True), x + 1])
    kept, fetched = f(np.ones((2, 3)))
    assert isinstance(fetched, np.ndarray) and not isinstance(kept, np.ndarray)
    assert "float32(2, 3)" in repr(kept) and len(kept) == 2
    np.testing.assert_array_equal(kept, np.full((2, 3), 2))
    g = on_gpu([x], x.sum())
    assert g(kept) == 12 and float(g(kept)) == 12
    assert symc.function([x], x.sum(), device="c")(np.asarray(kept)) == 12
    with pytest.raises(symc.errors.ShapeError, match="expected 2 axes"):
        g(on_gpu([], symc.Out(symc.shared(np.ones(3, "float32")) * 1, borrow=True))())


def test_an_argument_is_not_overwritten_by_an_update():
    w = symc.shared(np.ones(4, "float32"))
    x = T.vector("x")
    f = on_gpu([x], x + w, updates={w: w * 3})
    on_gpu([], updates={w: w})()
    inner = w.get_value(borrow=True, return_internal_type=True)
    np.testing.assert_array_equal(f(inner), np.full(4, 2))
    np.testing.assert_array_equal(w.get_value(), np.full(4, 3))


class Foreign:
    """An array of another library."""

    def __init__(self, array, **changes):
        self.array = array
        self.__cuda_array_interface__ = {**array.__cuda_array_interface__, **changes}


def test_arrays_of_other_libraries():
    x = T.matrix("x")
    made = on_gpu([x], symc.Out(x * 1, borrow=True))(np.arange(6).reshape(2, 3))
    f = on_gpu([x], x.sum(0))
    np.testing.assert_array_equal(f(Foreign(made)), [3, 5, 7])
    np.testing.assert_array_equal(f(Foreign(made, stream=None, strides=(12, 4))), [3, 5, 7])
    with pytest.raises(ValueError, match="C-contiguous.*strides \\(4, 8\\)"):
        f(Foreign(made, strides=(4, 8)))


def test_dlpack_keeps_the_memory_alive():
    from symc_backends.cuda import dlpack

    made = on_gpu([], symc.Out(symc.shared(np.ones(3, "float32")) * 1, borrow=True))()
    assert made.__dlpack_device__() == (dlpack.CUDA, 0)
    capsule = made.__dlpack__(stream=None, max_version=(1, 0))
    assert "dltensor" in repr(capsule) and len(dlpack._alive) == 1
    del made, capsule
    gc.collect()
    assert not dlpack._alive


def test_the_same_random_bits():
    def drawn(device):
        streams = RandomStreams(7)
        out = [
            streams.uniform((5, 7)),
            streams.binomial((9, 3), p=0.3),
            streams.normal((40,)),
            streams.random_integers((8,), 0, 99),
        ]
        f = symc.function([], out, device=device)
        return [f(), f()]

    for there, here in zip(drawn("cuda"), drawn("c"), strict=True):
        for k in (0, 1, 3):
            np.testing.assert_array_equal(there[k], here[k])
        np.testing.assert_allclose(there[2], here[2], rtol=1e-5, atol=1e-6)


def test_calls_are_recorded_and_replayed():
    x = T.matrix("x")
    w = symc.shared(np.eye(4, dtype="float32"))
    y = x
    for _ in range(4):
        y = T.tanh(T.dot(y, w))
    f = on_gpu([x], y.sum(1), updates={w: w * 0.5})
    g = symc.function([x], y.sum(1), device="c")
    for k in range(8):
        a = np.random.default_rng(k).random((3, 4), dtype="float32")
        before = w.get_value()
        got = f(a)
        w.set_value(before)
        np.testing.assert_allclose(got, g(a), rtol=1e-5)
        f(a)
    assert graphs_of(f)._recorded and not graphs_of(f)._hopeless
    with symc.config.change(cuda_graphs=False):
        plain = on_gpu([x], y.sum(1))
        for _ in range(4):
            plain(a)
        assert not graphs_of(plain)._recorded


def test_index_errors_leave_everything_as_it_was():
    x, i = T.matrix("x"), T.ivector("i")
    w = symc.shared(np.zeros(2, "float32"))
    f = on_gpu([x, i], x[i], updates={w: w + 1})
    for _ in range(4):  # recorded on the way
        f(np.ones((3, 2)), [0, -3])
        with pytest.raises(IndexError, match="out of range for axis 0"):
            f(np.ones((3, 2)), [0, 3])
    np.testing.assert_array_equal(w.get_value(), [4, 4])


def test_many_threads():
    x = T.matrix("x")
    f = on_gpu([x], T.tanh(x).sum(0))
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for n in range(1, 12):
            a = rng.random((n, 4), dtype="float32")
            if not np.allclose(f(a), np.tanh(a).sum(0), rtol=1e-5):
                wrong.append((seed, n))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 1), (1, 5000), (5000, 1), (33, 65)])
def test_shapes_at_the_edges(shape):
    x = T.matrix("x")
    out = [x.sum(), x.sum(0), x.sum(1), x.T * 2, T.tanh(x), (x - x.mean(1, keepdims=True)) ** 2, T.nnet.softmax(x + 1)]
    a = np.random.default_rng(0).random(shape, dtype="float32")
    with np.errstate(all="ignore"):
        for got, want in zip(on_gpu([x], out)(a), symc.function([x], out, device="c")(a), strict=True):
            np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-6)


def test_positions_of_64_bits(monkeypatch):
    """Kernels for arrays of more than 2^31 elements are other kernels; here every array counts as one."""
    from symc_backends.cuda import grids

    x, i = T.matrix("x"), T.ivector("i")
    out = [x.T + 1, x.sum(0), T.nnet.softmax(x), x[i], T.concatenate([x, x * 2], 1), x[:, ::-1]]
    a, rows = np.random.default_rng(0).random((40, 50), dtype="float32"), np.array([3, 0, -1], "int32")
    want = on_gpu([x, i], out)(a, rows)
    monkeypatch.setattr(grids, "NARROW", 1)
    f = on_gpu([x, i], out)
    got = f(a, rows)
    assert True in f.specialisation.executable.code._modules
    for g, w in zip(got, want, strict=True):
        np.testing.assert_array_equal(g, w)


def test_threads_in_the_other_order():
    """What depends on who comes first shows when the last comes first."""
    x, t = T.matrix("x"), T.tensor4("t")
    out = [x.sum(), x.sum(0), x.max(1), T.nnet.softmax(x), x.T * 1, (x - x.mean()) / x.std(), t.var((0, 2, 3))]
    rng = np.random.default_rng(0)
    given = rng.random((70, 300), dtype="float32"), rng.random((3, 5, 9, 11), dtype="float32")
    f = on_gpu([x, t], out)
    want = f(*given)
    with emulator.settings(reverse=True):
        got = f(*given)
    for g, w in zip(got, want, strict=True):
        np.testing.assert_array_equal(g, w)


def test_scattered_sums_meet_in_memory():
    x, y, i = T.matrix("x"), T.matrix("y"), T.lvector("i")
    rng = np.random.default_rng(0)
    rows, values = rng.integers(0, 5, 200), rng.random((200, 6), dtype="float32")
    for dtype in ("float32", "float64", "int32", "int8"):
        x, y = T.tensor(dtype, shape=(None, None)), T.tensor(dtype, shape=(None, None))
        given = np.zeros((5, 6), dtype), (values * 10).astype(dtype), rows
        want = given[0].copy()
        np.add.at(want, rows, given[1])
        np.testing.assert_allclose(on_gpu([x, y, i], T.inc_subtensor(x[i], y))(*given), want, rtol=1e-5)
        column = T.inc_subtensor(x[i, 0], y[:, 0])
        want = given[0].copy()
        np.add.at(want, (rows, 0), given[1][:, 0])
        np.testing.assert_allclose(on_gpu([x, y, i], column)(*given), want, rtol=1e-5)


def test_profiles_name_lines():
    x = T.matrix("x")
    f = on_gpu([x], T.nnet.softmax(x) * 2, profile=True)
    f(np.ones((30, 40)))
    assert "softmax" in f.profile.summary() or "exp" in f.profile.summary()
    assert "test_cuda_device.py" in f.profile.summary()
    assert f.specialisation.executable.times.sum() > 0


def test_a_kernel_that_fails_is_named(monkeypatch):
    from symc_backends.cuda.device import Device

    x = T.matrix("x")
    f = on_gpu([x], T.exp(x) + 3)
    f(np.ones((2, 2)))

    def refuse(self, *_):
        raise self.driver.LaunchError("cuLaunchKernel failed: too many resources requested for launch")

    monkeypatch.setattr(Device, "launch", refuse)
    with pytest.raises(
        KernelError, match=r"(?s)kernel exp\+add failed on the GPU.*too many resources.*test_cuda_device.py"
    ):
        f(np.ones((2, 2)))


def test_stages_show_cuda_text():
    x = T.matrix("x")
    f = on_gpu([x], T.exp(x).sum(1))
    assert "__global__" in f.specialisation.text and "group_reduce" in f.specialisation.text


def test_unknown_devices_and_missing_ones():
    x = T.scalar()
    with pytest.raises(ValueError, match="device 'abacus' has no back end"):
        symc.function([x], x, device="abacus")
    with (
        symc.config.change(cuda_device=7),
        pytest.raises(CompileError, match="cuda_device is 7, but the GPUs here are 0"),
    ):
        on_gpu([x], x)
    assert symc.function([x], x, device="gpu").device == "cuda"


def run(code, **environment):
    import os

    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}, timeout=120
    )


WITHOUT = """
import sys
{prepare}
import numpy as np, symc, symc.tensor as T
x = T.vector()
assert symc.function([x], x.sum())(np.ones(3)) == 3
assert not [m for m, found in sys.modules.items() if m.startswith("pycuda") and found]
try:
    symc.function([x], x.sum(), device="cuda")
except symc.errors.CompileError as reason:
    print(reason)
"""


def test_the_cpu_works_without_pycuda():
    done = run(WITHOUT.format(prepare="sys.modules['pycuda'] = None"))
    assert done.returncode == 0, done.stderr
    assert "PyCUDA is not installed" in done.stdout and "pip install 'symc[cuda]'" in done.stdout


def test_the_cpu_works_with_a_broken_driver(tmp_path):
    (tmp_path / "libcuda.so.1").write_bytes(b"no library at all")
    done = run(WITHOUT.format(prepare=""), SYMC_CUDA_LIBRARIES=str(tmp_path), LD_LIBRARY_PATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "device 'cuda' cannot be used" in done.stdout
