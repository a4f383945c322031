"""DLPack in both directions: the same memory, seen by symc and by another library."""

import gc

import numpy as np
import pytest

import symc
import symc.tensor as T


class Foreign:
    """A tensor of another library: DLPack is all that it offers."""

    def __init__(self, array, device=(1, 0)):
        self.array, self.device = array, device

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)


def address(array):
    return array.__array_interface__["data"][0]


SEEN = []


@symc.as_op(itypes=[T.dvector], otypes=[T.dvector], infer_shape=lambda node, shapes: shapes)
def spy(x):
    SEEN.append(address(x))
    return x + 1


@pytest.mark.parametrize("device", ["c", "interp"])
def test_arguments_are_not_copied(device):
    x = T.dvector("x")
    f = symc.function([x], spy(x), device=device)
    data = np.arange(3.0)
    SEEN.clear()
    np.testing.assert_array_equal(f(Foreign(data)), [1, 2, 3])
    assert SEEN == [address(data)]


def test_results_are_not_copied():
    x = T.dmatrix("x")
    result = symc.function([x], x * 2)(np.ones((2, 3)))
    other = np.from_dlpack(Foreign(result))
    assert address(other) == address(result) and np.shares_memory(other, result)


def test_arguments_are_converted_and_checked_as_arrays():
    x = T.fvector("x")
    f = symc.function([x], x * 2)
    np.testing.assert_array_equal(f(Foreign(np.arange(6, dtype="float64")[::2])), [0, 4, 8])
    with pytest.raises(ValueError, match="expected 1 axes"):
        f(Foreign(np.ones((2, 2))))
    with pytest.raises(TypeError, match="expected an array in host memory"):
        f(Foreign(np.ones(2), device=(2, 0)))


def test_a_borrowed_tensor_is_the_value():
    data = np.arange(3.0)
    s = symc.shared(Foreign(data), borrow=True)
    step = symc.function([], updates={s: s + 1})
    assert s.dtype == "float64" and address(s.get_value(borrow=True)) == address(data)
    data[0] = 10
    np.testing.assert_array_equal(s.get_value(), [10, 1, 2])
    step()
    np.testing.assert_array_equal(s.get_value(), [11, 2, 3])


def test_without_borrow_the_tensor_is_copied():
    data = np.arange(3.0)
    s = symc.shared(Foreign(data))
    s.set_value(Foreign(data))
    data[0] = 10
    np.testing.assert_array_equal(s.get_value(), [0, 1, 2])
    s.set_value(Foreign(data), borrow=True)
    data[1] = 20
    np.testing.assert_array_equal(s.get_value(), [10, 20, 2])


def test_memory_that_cannot_be_written_is_copied():
    data = np.arange(3.0)
    data.setflags(write=False)
    if int(np.__version__.partition(".")[0]) < 2:
        pytest.skip("NumPy 1 does not export arrays that cannot be written")
    s = symc.shared(Foreign(data), borrow=True)
    symc.function([], updates={s: s + 1})()
    np.testing.assert_array_equal(data, [0, 1, 2])
    np.testing.assert_array_equal(s.get_value(), [1, 2, 3])


def test_a_shared_variable_exports_its_value():
    s = symc.shared(np.arange(4.0))
    view = np.from_dlpack(s)
    assert address(view) == address(s.get_value(borrow=True)) and s.__dlpack_device__() == (1, 0)
    s.set_value(np.zeros(4))
    np.testing.assert_array_equal(view, np.arange(4.0))  # new memory: the view keeps the old value alive
    kept = np.from_dlpack(s)
    del s
    gc.collect()
    np.testing.assert_array_equal(kept, np.zeros(4))


def test_a_function_sees_what_is_written_to_an_exported_value():
    """A cached value that depends on the shared variable is computed again, since the memory was lent."""
    w, x = symc.shared(np.ones((2, 2)), "w"), T.dmatrix("x")
    f = symc.function([x], T.dot(x, w * 2))
    assert f(np.eye(2))[0, 0] == 2
    view = np.from_dlpack(w)
    if not view.flags.writeable:
        pytest.skip("this NumPy opens DLPack's memory for reading only")
    view[0, 0] = 5
    assert f(np.eye(2))[0, 0] == 10


def test_constants():
    assert T.as_tensor(Foreign(np.ones((2, 3), "int16"))).dtype == "int16"
    np.testing.assert_array_equal((T.dvector("x") * 0 + Foreign(np.ones(2))).owner.inputs[1].eval(), [1, 1])


def test_torch():
    torch = pytest.importorskip("torch")
    x = T.fmatrix("x")
    f = symc.function([x], x + 1)
    given = torch.ones(2, 3)
    back = torch.from_dlpack(f(given))
    assert back.equal(given + 1)
    s = symc.shared(given, borrow=True)
    symc.function([], updates={s: s * 3})()
    assert given.equal(torch.full((2, 3), 3.0)) and torch.from_dlpack(s).data_ptr() == given.data_ptr()
