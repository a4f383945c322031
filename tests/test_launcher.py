"""The launcher: calls that fit its plan, calls passed to the slow path, memory and threads."""

import gc
import shutil
import subprocess
import sys
import threading
import timeit
import weakref

import cffi
import numpy as np
import pytest

import symc
import symc.tensor as T
from symc_backends.c import launcher

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
pytestmark = pytest.mark.skipif(COMPILER is None or not launcher.can_build(), reason="needs a C compiler and Python.h")

FLOAT, DOUBLE = np.dtype("float32").num, np.dtype("float64").num

ENTRIES = """
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
/* out = a + b over dims[0] elements */
int64_t add(void **p, int64_t *dims, int64_t segment) {
    (void)segment;
    const float *a = p[0], *b = p[1];
    float *out = p[2];
    for (int64_t i = 0; i < dims[0]; i++) out[i] = a[i] + b[i];
    return 0;
}
/* (rows, 3) and a scalar: the rows' sums times the scalar, and their count */
int64_t rows(void **p, int64_t *dims, int64_t segment) {
    (void)segment;
    const float *x = p[0], *scale = p[1];
    float *sums = p[2];
    double *count = p[3];
    for (int64_t i = 0; i < dims[1]; i++) sums[i] = (x[3 * i] + x[3 * i + 1] + x[3 * i + 2]) * *scale;
    *count = (double)dims[1];
    return 0;
}
/* counts its calls in p[0] and waits until p[0][1] is set */
int64_t wait(void **p, int64_t *dims, int64_t segment) {
    (void)segment;
    volatile int64_t *state = p[0];
    (void)dims;
    state[0]++;
    for (int i = 0; i < 5000 && !state[1]; i++) usleep(1000);
    return 0;
}
int64_t zero(void **p, int64_t *dims, int64_t segment) {
    (void)segment;
    float *out = p[0];
    for (int64_t i = 0; i < dims[0]; i++) out[i] = 0;
    return 0;
}
/* refuses: nothing may be taken from such a call */
int64_t refuse(void **p, int64_t *dims, int64_t segment) {
    (void)segment;
    (void)p, (void)dims;
    return 7;
}
"""


def compile_c(text, flags, path):
    source = path.with_suffix(".c")
    source.write_text(text)
    subprocess.run([COMPILER, str(source), *flags, "-o", str(path)], check=True)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("launcher")


@pytest.fixture(scope="module")
def module(folder):
    return launcher.load(lambda text, flags: compile_c(text, [*flags, "-Wall", "-Werror"], folder / "launcher.so"))


@pytest.fixture(scope="module")
def entry(folder):
    ffi = cffi.FFI()
    for name in ("add", "rows", "wait", "zero", "refuse"):
        ffi.cdef(f"int64_t {name}(void **, int64_t *, int64_t);")
    library = ffi.dlopen(str(compile_c(ENTRIES, ["-O1", "-shared", "-fPIC"], folder / "entries.so")))
    return lambda name: int(ffi.cast("uintptr_t", ffi.addressof(library, name)))


VECTOR = (FLOAT, (-1,), (0,))


def no_failure(status, args):
    raise AssertionError(f"status {status}")


@pytest.fixture
def add(module, entry):
    return module.Launcher(entry("add"), (VECTOR, VECTOR), (VECTOR,), 3, lambda *a, **k: ("slow", a, k), no_failure)


def test_without_a_plan_every_call_is_slow(add):
    assert add(1, 2) == ("slow", (1, 2), {})
    assert add(1, key=2) == ("slow", (1,), {"key": 2})
    assert add.fast_calls == 0


def test_a_call_that_fits_runs_the_entry(add):
    assert add.prepare((100,), ()) is True
    a, b = np.arange(100, dtype="f4"), np.ones(100, "f4")
    first, second = add(a, b), add(b, b)
    np.testing.assert_array_equal(first, a + b)
    np.testing.assert_array_equal(second, b + b)
    assert type(first) is np.ndarray and first.dtype == np.float32 and first.flags.carray
    assert add.fast_calls == 2


def read_only():
    array = np.ones(4, "f4")
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("fits", [np.ones(4, "f4"), read_only()], ids=["array", "read-only"])
def test_what_fits(add, fits):
    add.prepare((4,), ())
    np.testing.assert_array_equal(add(fits, fits), [2, 2, 2, 2])


@pytest.mark.parametrize(
    "other",
    [
        np.ones(4, "f8"),
        np.ones(4, ">f4"),
        np.ones(5, "f4"),
        np.ones((4, 1), "f4"),
        np.ones(8, "f4")[::2],
        np.ones(17, "u1")[1:].view("f4"),
        np.ma.ones(4, "f4"),
        [1.0, 1.0, 1.0, 1.0],
        np.float32(1),
        1.0,
        None,
    ],
    ids=["dtype", "byte order", "size", "rank", "stride", "alignment", "subclass", "list", "scalar", "number", "None"],
)
def test_what_takes_the_slow_path(add, other):
    add.prepare((4,), ())
    good = np.ones(4, "f4")
    for arguments in ((good, other), (other, good)):
        answer = add(*arguments)
        assert answer[0] == "slow" and answer[1][0] is arguments[0] and answer[1][1] is arguments[1]
    assert add(good)[0] == add(good, good, good)[0] == add(good, b=good)[0] == "slow"
    assert add.fast_calls == 0


def test_dims_of_several_arguments_static_axes_scalars_and_lists(module, entry):
    inputs = ((FLOAT, (-1, 3), (1, -1)), (FLOAT, (), ()))
    outputs = ((FLOAT, (-1,), (1,)), (DOUBLE, (), ()))
    call = module.Launcher(entry("rows"), inputs, outputs, 4, lambda *a: "slow", no_failure)
    call.prepare((77, 2), ())
    x = np.arange(6, dtype="f4").reshape(2, 3)
    for scale in (np.array(2, "f4"), np.float32(2), 2.0, 2):
        sums, count = call(x, scale)
        np.testing.assert_array_equal(sums, [6, 24])
        assert count.shape == () and count == 2
    assert call(x, 2**40) == call(x, True) == call(x, "2") == call(x, np.float64(2)) == "slow"
    assert call(np.ones((2, 4), "f4"), 2.0) == call(np.ones((3, 3), "f4"), 2.0) == "slow"


def test_a_call_that_fails_is_not_run_again(module, entry):
    seen = []

    def fail(status, args):
        seen.append((status, args))
        raise IndexError("out of range")

    call = module.Launcher(entry("refuse"), (VECTOR,), (VECTOR,), 2, lambda x: seen.append("slow"), fail)
    call.prepare((3,), ())
    x = np.zeros(3, "float32")
    with pytest.raises(IndexError, match="out of range"):
        call(x)
    ((status, given),) = seen
    assert status == 7 and given[0] is x


def test_one_output_in_a_list(module, entry):
    call = module.Launcher(entry("add"), (VECTOR, VECTOR), (VECTOR,), 3, print, no_failure, returns=1)
    call.prepare((0,), ())
    empty = np.ones(0, "f4")
    (result,) = call(empty, empty)
    assert result.shape == (0,)


def ones(n):
    return np.ones(n, "f4")


def test_plans_for_several_shapes_are_kept_and_forget_drops_them(add):
    for n in range(100):
        add.prepare((n,), ())
    for n in (99, 36, 50, 99):
        assert add(ones(n), ones(n)).shape == (n,)
    assert add(ones(35), ones(35))[0] == "slow", "at most 64"
    assert add(ones(50), ones(51))[0] == "slow"
    add.prepare((35,), ())
    assert add(ones(50), ones(50)).shape == (50,), "the least recently used one is dropped, not the oldest"
    assert add(ones(37), ones(37))[0] == "slow"
    add.forget()
    assert add(ones(50), ones(50))[0] == "slow"


def test_plans_with_much_memory_are_kept_alone_and_rest_drops_them(add):
    large = 5 << 20
    add.prepare((4,), (), size=1000)
    add.prepare((5,), (), size=large)
    assert add(ones(4), ones(4))[0] == "slow" and add(ones(5), ones(5)).shape == (5,)
    add.rest()
    assert add(ones(5), ones(5))[0] == "slow"
    add.prepare((4,), (), size=1000)
    add.rest()
    assert add(ones(4), ones(4)).shape == (4,)


def test_an_attempt_never_takes_the_slow_path(add):
    assert add.attempt(ones(4), ones(4)) is NotImplemented
    add.prepare((4,), ())
    assert add.attempt(ones(4), ones(4)).shape == (4,)
    assert add.attempt(ones(5), ones(5)) is add.attempt(ones(4)) is NotImplemented


def test_large_results_come_from_a_pool(module, entry):
    call = module.Launcher(entry("zero"), (), (VECTOR,), 1, print, no_failure)
    n = 3_000_000
    call.prepare((n,), ())
    module.set_pool_limit(0)
    module.set_pool_limit(1 << 30)
    first = call()
    address = first.ctypes.data
    assert address % 64 == 0 and module.pool_held() == 0 and first.flags.carray
    view = first[5:]
    del first
    second = call()
    assert second.ctypes.data != address, "a living view keeps its memory"
    del view
    assert module.pool_held() >= 4 * n
    assert call().ctypes.data == address
    module.set_pool_limit(0)
    assert module.pool_held() == 0
    del second
    assert module.pool_held() == 0
    module.set_pool_limit(1 << 30)


def test_calls_through_python_use_the_memory_of_earlier_results(module):
    """Profiles time kernels that write to it: fresh pages take longer than most kernels."""
    if symc.config.device != "c":
        pytest.skip("memory of the C back end")
    x, n = T.fvector("x"), T.iscalar("n")
    given = np.ones(100_000, "float32")
    for f, arguments in (
        (symc.function([x], x + 1, profile=True), [given]),
        (symc.function([x, symc.In(n, value=3)], x * n), [given]),
    ):
        first = f(*arguments)
        address = first.ctypes.data
        assert first.flags.writeable and first.flags.carray
        second = f(*arguments)
        assert second.ctypes.data != address
        del first
        third = f(*arguments)
        assert third.ctypes.data == address
        np.testing.assert_array_equal(second, third)
    tiny, none = (symc.function([x], x + 1, profile=True)(given[:k]) for k in (3, 0))
    assert tiny.tolist() == [2, 2, 2] and none.shape == (0,)
    with pytest.raises(ValueError, match="too many axes"):
        module.empty((1,) * 70, np.dtype("f").num, 1 << 20)
    with pytest.raises(TypeError):
        module.empty(("a",), np.dtype("f").num, 1 << 20)


def test_a_busy_plan_sends_other_threads_the_slow_way_and_stays(module, entry):
    state = np.zeros(2, "i8")
    call = module.Launcher(entry("wait"), (), (), 1, lambda: "slow", no_failure, returns=2)
    call.prepare((), (state.ctypes.data,), keep=state, release_gil=True)
    results = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    while not state[0]:
        pass
    assert call() == "slow"
    assert call.prepare((), (state.ctypes.data,)) is False
    call.forget()
    state[1] = 1
    thread.join()
    assert results == [None] and state[0] == 1


def test_nothing_leaks(module, entry):
    class Owner:
        pass

    owner = Owner()
    alive = weakref.ref(owner)
    cycle = []
    cycle.append(module.Launcher(entry("zero"), (), (VECTOR,), 1, cycle.append, no_failure))
    cycle[0].prepare((3,), (), keep=owner)
    del owner
    assert alive() is not None
    del cycle
    gc.collect()
    assert alive() is None
    array = np.ones(4, "f4")
    add = module.Launcher(entry("add"), (VECTOR, VECTOR), (VECTOR,), 3, print, no_failure)
    add.prepare((4,), ())
    before = sys.getrefcount(array)
    for _ in range(10):
        add(array, array)
    assert sys.getrefcount(array) == before


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"entry": 0}, ValueError, "entry"),
        ({"n_buffers": 2}, ValueError, "n_buffers is 2; inputs and outputs alone need 3"),
        ({"slow": 1}, TypeError, "slow: a callable"),
        ({"inputs": (FLOAT,)}, TypeError, "expected tuples"),
        ({"inputs": ((FLOAT, (-1,), ()), VECTOR)}, ValueError, "1 sizes and 0 slots"),
        ({"inputs": ((FLOAT, (-1,), (-1,)), VECTOR)}, ValueError, "axis 0 has neither"),
        ({"inputs": ((987, (-1,), (0,)), VECTOR)}, ValueError, "type number 987 is not"),
        ({"inputs": ((np.dtype(object).num, (-1,), (0,)), VECTOR)}, ValueError, "is not that of a number"),
    ],
)
def test_bad_specifications(module, entry, change, error, message):
    good = dict(
        entry=entry("add"), inputs=(VECTOR, VECTOR), outputs=(VECTOR,), n_buffers=3, slow=print, fail=no_failure
    )
    with pytest.raises(error, match=message):
        module.Launcher(**{**good, **change})


def test_bad_plans(add):
    with pytest.raises(ValueError, match="dims: 0 given, slot 0 is in use"):
        add.prepare((), ())
    with pytest.raises(ValueError, match="pointers: 1 given, 0 expected"):
        add.prepare((1,), (0,))
    with pytest.raises(ValueError, match="output 0 would have size -3"):
        add.prepare((-3,), ())
    with pytest.raises(TypeError):
        add.prepare(("four",), ())


def test_a_warm_call_is_cheap(add):
    add.prepare((100,), ())
    a, b = np.ones(100, "f4"), np.ones(100, "f4")
    best = min(timeit.repeat(lambda: add(a, b), number=20000, repeat=5)) / 20000
    assert best < 5e-6  # a tenth of that where nothing else runs; the test only tells fast from slow
    assert add.fast_calls == 100000
