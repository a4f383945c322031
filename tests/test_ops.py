"""Generated from the records: every case of every op, on every back end, in both float dtypes, against what the case
expects; its NumPy meaning against the same; and its gradient, first and second order, against central differences."""

from __future__ import annotations

import numpy as np
import pytest
from oracles.independence import Watch, in_modules

import symc
import symc.tensor as T
from symc.graph.dtypes import is_float
from symc.graph.evaluate import evaluate
from symc.graph.op import RECORDS, Arg, Case

BACKENDS = ("interp", "c")
MEANINGS = {getattr(r.numpy, "__code__", None) for r in RECORDS.values()}
TOLERANCE = {"float32": 2e-5, "float64": 1e-11}


def all_cases():
    for name, record in sorted(RECORDS.items()):
        for k, case in enumerate(record.cases()):
            yield pytest.param(case, id=f"{name}-{k}{'-' + case.label if case.label else ''}")


CASES = list(all_cases())
GRAD_CASES = [p for p in CASES if p.values[0].grad]


def fill(arg: Arg, dtype: str, rng: np.random.Generator) -> np.ndarray:
    """An array for an argument; ``distinct`` keeps elements apart, so that central differences cross no kink."""
    kind = dtype if arg.dtype == "float" else arg.dtype
    if arg.values is not None:
        with np.errstate(over="ignore"):
            return np.asarray(arg.values).astype(kind).reshape(arg.shape)
    if kind == "bool":
        return rng.random(arg.shape) < 0.5
    size = int(np.prod(arg.shape, dtype=int))
    if arg.distinct and is_float(kind) and size:
        steps = (rng.permutation(size) + 0.5) / size
        return (arg.low + steps * (arg.high - arg.low)).astype(kind).reshape(arg.shape)
    drawn = rng.uniform(arg.low, arg.high, arg.shape)
    return np.asarray(np.floor(drawn) if not is_float(kind) else drawn).astype(kind)


def variables(case: Case, arrays, static: bool):
    return [
        T.tensor(a.dtype.name, shape=a.shape if static else [1 if n == 1 else None for n in a.shape], name=f"x{k}")
        for k, a in enumerate(arrays)
    ]


def forbidden(frame) -> bool:
    """Does an expectation that makes this call follow the code under test into its mistakes?"""
    return frame.f_code in MEANINGS or in_modules("symc.graph", "symc.compiler", "symc.runtime")(frame)


def expected(case: Case, arrays) -> list[np.ndarray]:
    """What the case says without symc: a call of a record's ``numpy`` or of the graph's functions is refused."""
    with np.errstate(all="ignore"), Watch(forbidden) as watch:
        found = case.expect(*arrays)
    assert not watch.seen, f"the expectation comes from symc itself: {watch.seen}"
    return [np.asarray(f) for f in as_list(found)]


def as_list(found):
    return list(found) if isinstance(found, (tuple, list)) else [found]


def compare(case: Case, got, want, out, where: str) -> None:
    """The values, shapes and dtypes that a function gave against those expected."""
    for g, w, o in zip(got, want, out, strict=True):
        assert g.shape == w.shape, where
        assert g.dtype == o.dtype and g.dtype.kind == w.dtype.kind, where
        rtol = case.rtol or TOLERANCE.get(o.dtype, 0)
        np.testing.assert_allclose(g, w.astype(g.dtype), rtol=rtol, atol=rtol, err_msg=where)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_value(case: Case, dtype: str) -> None:
    """On every back end, with shapes known and not; and the records' NumPy meaning, which other tests rely on."""
    rng = np.random.default_rng(7)
    arrays = [fill(a, dtype, rng) for a in case.args]
    want = expected(case, arrays)
    for static in (False, True) if case.static else (False,):
        inputs = variables(case, arrays, static)
        with symc.config.change(floatX=dtype):
            out = as_list(case.build(*inputs))
            if not static:
                compare(case, _values(out, inputs, arrays), want, out, "NumPy meaning")
            for device in BACKENDS:
                f = symc.function(inputs, out, device=device, on_unused_input="ignore")
                assert f.device == device
                compare(case, f(*arrays), want, out, f"{device}, static={static}")


def differences(f, arrays, k: int, weights) -> np.ndarray:
    """Central differences of ``sum(weights * f)`` by the elements of argument ``k``."""
    x = arrays[k]
    step = 1e-5
    result = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        values = []
        for sign in (1, -1):
            moved = [a.copy() for a in arrays]
            moved[k][at] += sign * step
            values.append(sum((np.asarray(o) * w).sum() for o, w in zip(as_list(f(*moved)), weights)))
        result[at] = (values[0] - values[1]) / (2 * step)
    return result


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("case", GRAD_CASES)
def test_gradient(case: Case, order: int) -> None:
    rng = np.random.default_rng(11)
    arrays = [fill(a, "float64", rng) for a in case.args]
    inputs = variables(case, arrays, False)
    with symc.config.change(floatX="float64"):
        wrt = [k for k, a in enumerate(arrays) if is_float(a.dtype.name)]
        outputs = [o for o in as_list(case.build(*inputs)) if is_float(o.dtype)]
        for repetition in range(order):
            weights = [
                np.random.default_rng(3 + repetition).uniform(0.5, 1.5, o.shape)
                for o in _values(outputs, inputs, arrays)
            ]
            cost = sum(T.sum(o * w) for o, w in zip(outputs, weights))
            previous = outputs
            outputs = symc.grad(cost, [inputs[k] for k in wrt], disconnected_inputs="ignore")
        analytic = symc.function(inputs, outputs, on_unused_input="ignore", device="c")(*arrays)
        numeric = symc.function(inputs, previous, on_unused_input="ignore", device="c")
        for k, got in zip(wrt, analytic):
            assert got.shape == arrays[k].shape
            want = differences(numeric, arrays, k, weights)
            np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-6, err_msg=f"by argument {k}")


def _values(outputs, inputs, arrays):
    return evaluate(outputs, dict(zip(inputs, arrays)))


def test_every_record_has_cases_or_is_internal() -> None:
    """An op without cases is an op without tests; those that only the compiler makes are reached through others."""
    internal = {name for name, r in RECORDS.items() if not r.cases()}
    reached = {
        "dim_value", "expand", "reshape_to", "arange_of", "iota_at", "slice_at", "write_at", "checked_index",
        "disconnected_grad", "zero_grad", "grad_clip", "grad_scale", "carry_updates", "part",
        "true_places", "scan_of", "branch", "python_step", "python_run", "python_take", "python_taken",
    }  # fmt: skip
    assert internal <= reached, internal - reached
