"""Generated from the records: every case of every op, on every back end, in both float dtypes, against what the case
expects; its NumPy meaning against the same; and its gradient, first and second order, against central differences."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from oracles.independence import Watch, in_modules

import symc
import symc.tensor as T
from symc.graph.dtypes import is_float
from symc.graph.evaluate import evaluate
from symc.graph.op import RECORDS, Arg, Case

MEANINGS = {getattr(r.numpy, "__code__", None) for r in RECORDS.values()}
TOLERANCE = {"float32": 2e-5, "float64": 1e-11}


def all_cases():
    """The cases of all records, those of one record one after another; ids begin with the record's name and a dash."""
    for name, record in sorted(RECORDS.items()):
        for k, case in enumerate(record.cases()):
            yield pytest.param(case, id=f"{name}-{k}{'-' + case.label if case.label else ''}")


CASES = list(all_cases())
GRAD_CASES = [p for p in CASES if p.values[0].grad]
TOGETHER = 8
"""Cases that are compiled as one function: starting a compiler costs more than its work on a few loops."""


def grouped(params, together: int = TOGETHER) -> list:
    """Up to ``together`` cases of one record in each parameter: a list of (id, case)."""
    found = []
    for _, of_one in groupby(params, key=lambda p: p.id.partition("-")[0]):
        members = [(p.id, p.values[0]) for p in of_one]
        for k in range(0, len(members), together):
            part = members[k : k + together]
            found.append(pytest.param(part, id=part[0][0] + (" and more" if part[1:] else "")))
    return found


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
    """In the interpreter, with shapes known and not; and the records' NumPy meaning, which other tests rely on."""
    arrays = drawn(case, dtype)
    want = expected(case, arrays)
    for static in (False, True) if case.static else (False,):
        inputs = variables(case, arrays, static)
        with symc.config.change(floatX=dtype):
            out = as_list(case.build(*inputs))
            if not static:
                compare(case, _values(out, inputs, arrays), want, out, "NumPy meaning")
            f = symc.function(inputs, out, device="interp", on_unused_input="ignore")
            assert f.device == "interp"
            compare(case, f(*arrays), want, out, f"static={static}")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("group", grouped(CASES))
def test_compiled_value(group, dtype: str) -> None:
    # known shapes for one dtype, symbolic ones for the other, as in test_cuda_ops
    check_compiled(group, dtype, "c", (True,) if dtype == "float32" else (False,))


def drawn(case: Case, dtype: str) -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    return [fill(a, dtype, rng) for a in case.args]


def check_compiled(group, dtype: str, device: str, statics) -> None:
    """All cases of a group, with shapes known or not, as one function on a device."""
    inputs, arrays, outputs, parts = [], [], [], []
    with symc.config.change(floatX=dtype):
        for name, case in group:
            values = drawn(case, dtype)
            for static in sorted({static and case.static for static in statics}):
                made = variables(case, values, static)
                out = as_list(case.build(*made))
                parts.append((case, slice(len(outputs), len(outputs) + len(out)), values, f"{name}, static={static}"))
                inputs += made
                arrays += values
                outputs += out
        f = symc.function(inputs, outputs, device=device, on_unused_input="ignore")
    assert f.device == device
    got = f(*arrays)
    for case, part, values, where in parts:
        compare(case, got[part], expected(case, values), outputs[part], where)


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
            values.append(sum((np.asarray(o) * w).sum() for o, w in zip(f(*moved), weights, strict=True)))
        result[at] = (values[0] - values[1]) / (2 * step)
    return result


@pytest.mark.parametrize("case", GRAD_CASES)
def test_gradient(case: Case) -> None:
    """The first derivatives are the differences of the values, and the second those of the first."""
    rng = np.random.default_rng(11)
    arrays = [fill(a, "float64", rng) for a in case.args]
    inputs = variables(case, arrays, False)
    with symc.config.change(floatX="float64"):
        wrt = [k for k, a in enumerate(arrays) if is_float(a.dtype.name)]
        orders = [[o for o in as_list(case.build(*inputs)) if is_float(o.dtype)]]
        weights = []
        for order in (1, 2):
            shapes = [o.shape for o in _values(orders[-1], inputs, arrays)]
            weights.append([np.random.default_rng(2 + order).uniform(0.5, 1.5, shape) for shape in shapes])
            cost = sum(T.sum(o * w) for o, w in zip(orders[-1], weights[-1], strict=True))
            orders.append(symc.grad(cost, [inputs[k] for k in wrt], disconnected_inputs="ignore"))
        f = symc.function(inputs, [o for outputs in orders for o in outputs], on_unused_input="ignore", device="c")
    start = 0
    for order in (1, 2):
        below = slice(start, start + len(orders[order - 1]))
        start = below.stop
        analytic = f(*arrays)[start : start + len(wrt)]
        for k, got in zip(wrt, analytic, strict=True):
            assert got.shape == arrays[k].shape
            want = differences(lambda *moved, part=below: f(*moved)[part], arrays, k, weights[order - 1])
            np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-6, err_msg=f"order {order}, by argument {k}")


def _values(outputs, inputs, arrays):
    return evaluate(outputs, dict(zip(inputs, arrays)))


def test_every_record_has_cases_or_is_internal() -> None:
    """An op without cases is an op without tests; those that only the compiler makes are reached through others."""
    internal = {name for name, r in RECORDS.items() if not r.cases()}
    reached = {
        "dim_value", "expand", "reshape_to", "arange_of", "iota_at", "slice_at", "write_at", "checked_index",
        "disconnected_grad", "undefined_grad", "zero_grad", "grad_clip", "grad_scale", "carry_updates", "part",
        "true_places", "scan_of", "branch", "python_step", "python_run", "python_take", "python_taken",
        "stretch_at", "unstretch_at", "lu", "lu_solve", "lu_inverse", "lu_det", "lu_slogdet", "lu_cofactors",
        "depth_spread", "complex_lu", "complex_lu_solve", "complex_lu_inverse", "complex_lu_det", "complex_lu_slogdet",
        "complex_lu_cofactors", "absent_length", "conv2d_blocks", "conv2d_to_blocks", "pool2d_blocks", "checked_length",
        "conv2d_pooled",
        "scatter_of",
        "framed",
        "row_sums",
        "gather_counted",
        "split_slice",
    }  # fmt: skip
    assert internal <= reached, internal - reached
