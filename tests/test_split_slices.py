"""Slices whose axes are split and arranged anew, as into patches, compared with NumPy."""

import io

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.printing import debugprint

PROGRAMS = {
    "patches": lambda x: x[:, 1:9, 3:15].reshape((2, 2, 4, 3, 4)).transpose((0, 1, 3, 2, 4)),
    "steps": lambda x: x[:, ::2, ::-3].reshape((2, 5, 1, 2, 3)).transpose((3, 0, 2, 4, 1)) * 2,
    "sums": lambda x: x[:, :8, 1:].reshape((2, 4, 2, 3, 5)).sum((2, 4)),
    "kept axes": lambda x: x[1, 2:, 4:].reshape((4, 2, 12)).transpose((1, 0, 2)),
    "joined axes": lambda x: x[:, 1:9, 3:15].reshape((4, 4, 12)).transpose((1, 0, 2)),
    "joined and split": lambda x: x[:, 1:9, 3:15].reshape((8, 2, 12)).transpose((1, 0, 2)),
    "a result": lambda x: x[:, 1:9, 3:15].reshape((2, 2, 4, 3, 4)),
    "nothing": lambda x: x[:, 4:4, 3:15].reshape((2, 0, 4, 3, 4)).transpose((0, 1, 3, 2, 4)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
@pytest.mark.parametrize("declared", [True, False])
def test_split_slices(declared, dtype, isa):
    value = (np.random.default_rng(0).standard_normal((2, 10, 16)) * 50).astype(dtype)
    x = T.tensor(dtype, shape=value.shape if declared else (None,) * 3)
    results = [make(x) for make in PROGRAMS.values()]
    total = sum((r * (k + 1.5)).sum() for k, r in enumerate(results)) if dtype == "float64" else None
    with symc.config.change(isa=isa):
        f = symc.function([x], results + ([] if total is None else [symc.grad(total, x)]))
    found = f(value)
    for (name, make), result in zip(PROGRAMS.items(), found):
        np.testing.assert_allclose(result, make(value), rtol=1e-6, err_msg=name)
    if total is not None:
        expected = np.zeros_like(value)
        for e in range(value.size):
            one = np.zeros(value.size)
            one[e] = 1
            parts = [make(one.reshape(value.shape)).sum() for make in PROGRAMS.values()]
            expected.flat[e] = np.dot(parts, np.arange(len(parts)) + 1.5)
        np.testing.assert_allclose(found[-1], expected, rtol=1e-9)


def test_patches_are_one_loop():
    x = T.tensor("float32", shape=(2, 3, 100, 100))
    patches = x[:, :, :96, 2:98].reshape((2, 3, 6, 16, 6, 16)).transpose((0, 2, 4, 1, 3, 5))
    file = io.StringIO()
    debugprint(symc.function([x], patches), stage="loops", file=file)
    assert file.getvalue().count("\nkernel ") == 1
