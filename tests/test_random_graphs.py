"""Random expressions: all ways to compile them, and NumPy, give the same values and gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import symc
import symc.tensor as T
from symc.graph import Variable
from symc.graph.evaluate import evaluate

ROWS, COLUMNS = 3, 4


def leaves(dtype: str) -> list[Variable]:
    """A matrix, a row, a column, a vector and a scalar; only some dims are known."""
    shapes = {"m": (None, None), "s": (ROWS, COLUMNS), "r": (1, None), "c": (ROWS, 1), "v": (COLUMNS,), "a": ()}
    return [T.tensor(dtype=dtype, shape=shape, name=name) for name, shape in shapes.items()]


def values(variables: list[Variable], seed: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    sizes = {"m": (ROWS, COLUMNS), "s": (ROWS, COLUMNS), "r": (1, COLUMNS), "c": (ROWS, 1), "v": (COLUMNS,), "a": ()}
    return [random.uniform(-1.5, 1.5, sizes[v.name]).astype(v.dtype) for v in variables]


# Each takes a (ROWS, COLUMNS) tensor and gives another such, of moderate size and smooth almost everywhere.
UNARY: dict[str, Callable[[Variable], Variable]] = {
    "neg": lambda x: -x,
    "double neg": lambda x: -(-x + 0),
    "units": lambda x: (x * 1 - 0) / 1,
    "tanh": T.tanh,
    "sigmoid": T.sigmoid,
    "complement": lambda x: 1 - T.sigmoid(x),
    "by hand": lambda x: 1 / (1 + T.exp(-T.tanh(x))),
    "softplus by hand": lambda x: T.log(1 + T.exp(T.tanh(x))),
    "log of exp": lambda x: T.log(T.exp(T.tanh(x))),
    "log sigmoid": lambda x: T.log(T.sigmoid(T.tanh(x))),
    "log complement": lambda x: T.log(1 - T.sigmoid(T.tanh(x))),
    "expm1": lambda x: T.exp(T.tanh(x)) - 1,
    "square": lambda x: T.tanh(x) ** 2,
    "cube": lambda x: T.tanh(x) ** 3,
    "root": lambda x: T.sqrt(T.sqr(x) + 1),
    "sin": T.sin,
    "scale": lambda x: (x * 3) * 0.25,
    "over": lambda x: x / 2 / 3,
    "transpose": lambda x: x.T.T,
    "reshape": lambda x: x.reshape((-1,)).reshape(x.shape),
    "to float64 and back": lambda x: T.cast(T.cast(x, "float64"), x.dtype),
    "whole slice": lambda x: x[:, 0:],
    "reversed twice": lambda x: x[::-1][::-1],
    "centred": lambda x: x - x.mean(axis=0, keepdims=True),
    "row sums": lambda x: x + (-x).sum(axis=1, keepdims=True) * 0.1,
    "sum of sums": lambda x: x * 0.5 + x.sum(axis=0).sum() * 0.01,
    "scaled sum": lambda x: T.tanh((x * 0.5).sum(axis=0)) + x,
    "softmax by hand": lambda x: T.exp(T.tanh(x)) / T.exp(T.tanh(x)).sum(axis=1, keepdims=True),
    "logsumexp by hand": lambda x: x - T.log(T.exp(x).sum(axis=1, keepdims=True)),
    "log softmax": lambda x: T.log(T.nnet.softmax(x)),
    "parts": lambda x: T.concatenate([x[:, :1] * 2, x[:, 1:]], axis=1) if not x.broadcastable[1] else x,
    "written": lambda x: T.set_subtensor(x[:1], T.tanh(x[:1])),
    "increased": lambda x: T.inc_subtensor(x[:, :1], x[:, :1] * 2),
    "products": lambda x: T.tanh(T.dot(x, x.T)).dot(x),
    "switch": lambda x: T.switch(T.gt(x, 0.1), x, x * 0.2),
}
BINARY: dict[str, Callable[[Variable, Variable], Variable]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: T.tanh(x) * T.tanh(y),
    "div": lambda x, y: x / (T.sqr(y) + 0.5),
    "cancelled": lambda x, y: (x * (T.sqr(y) + 1)) / (T.sqr(y) + 1),
    "minus negative": lambda x, y: x - (-y),
    "maximum": T.maximum,
    "minimum": T.minimum,
    "mixed": lambda x, y: T.switch(T.lt(x, y), x, y * 2),
    "logistic loss": lambda x, y: T.nnet.binary_crossentropy(T.sigmoid(x), T.sigmoid(y)),
}


@st.composite
def expressions(draw: Callable, dtype: str) -> tuple[list[Variable], Variable]:
    inputs = leaves(dtype)
    pool = [
        inputs[0] * 1.0,
        inputs[1],
        inputs[0] + inputs[2],
        inputs[3] * inputs[1],
        inputs[4] + inputs[0],
        inputs[5] * T.ones_like(inputs[1]),
    ]
    for _ in range(draw(st.integers(2, 7))):
        if draw(st.booleans()):
            function = UNARY[draw(st.sampled_from(sorted(UNARY)))]
            pool.append(function(draw(st.sampled_from(pool[-2:]))))
        else:
            binary = BINARY[draw(st.sampled_from(sorted(BINARY)))]
            pool.append(binary(pool[-1], draw(st.sampled_from(pool))))
    return inputs, pool[-1]


def check(inputs: list[Variable], output: Variable, variants: list[tuple[str, str]], seed: int, rtol: float) -> None:
    slopes = T.grad(output.sum(), [inputs[0], inputs[1]], disconnected_inputs="ignore")
    arrays = values(inputs, seed)
    want = evaluate([output, *slopes], dict(zip(inputs, arrays)))
    assert all(np.isfinite(w).all() for w in want)
    for device, mode in variants:
        f = symc.function(inputs, [output, *slopes], device=device, mode=mode, on_unused_input="ignore")
        for got, expected in zip(f(*arrays), want, strict=True):
            assert got.dtype == expected.dtype
            assert got.shape == expected.shape
            size = max(1.0, float(np.abs(expected).max()))
            np.testing.assert_allclose(
                got, expected, rtol=rtol, atol=rtol * size, err_msg=f"on {device} with mode {mode}"
            )


RELAXED = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=50, **RELAXED)
@given(data=st.data(), seed=st.integers(0, 1000))
def test_every_mode_agrees_in_the_interpreter(data: st.DataObject, seed: int) -> None:
    inputs, output = data.draw(expressions("float64"))
    check(inputs, output, [("interp", "fast_run"), ("interp", "fast_compile"), ("interp", "no_rewrite")], seed, 1e-8)


@settings(max_examples=10, **RELAXED)
@given(data=st.data(), seed=st.integers(0, 1000))
@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-8), ("float32", 1e-3)])
def test_compiled_code_agrees(dtype: str, rtol: float, data: st.DataObject, seed: int) -> None:
    inputs, output = data.draw(expressions(dtype))
    check(inputs, output, [("c", "fast_run"), ("c", "no_rewrite")], seed, rtol)


@pytest.mark.parametrize("name", sorted(UNARY))
def test_each_unary_form_alone(name: str) -> None:
    inputs = leaves("float64")
    check(inputs, UNARY[name](inputs[0] + inputs[2]), [("interp", "fast_run"), ("interp", "no_rewrite")], 0, 1e-8)


@pytest.mark.parametrize("name", sorted(BINARY))
def test_each_binary_form_alone(name: str) -> None:
    inputs = leaves("float64")
    check(inputs, BINARY[name](inputs[0], inputs[1]), [("interp", "fast_run"), ("interp", "no_rewrite")], 0, 1e-8)
