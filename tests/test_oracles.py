"""Every public function against an oracle that is independent of symc; see ``tests/oracles``."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from oracles import arrays, control, elementwise, methods, networks, reductions, streams, transforms, with_bias
from oracles.independence import Watch, in_modules

import symc
import symc.tensor as T
from symc.tensor.shared_randomstreams import MRG_RandomStreams, RandomStreams

TABLES = (elementwise, arrays, reductions, control, networks, methods, transforms, with_bias)
TABLE = {name: examples for module in TABLES for name, examples in module.TABLE.items()}
TOLERANCE32 = 2e-5

ELSEWHERE = {
    "NotScalarConstantError": "an exception: tests/test_extra_ops.py",
    "TensorType": "a type: tests/test_extra_ops.py",
    "Variable": "a type: its methods are in oracles/methods.py",
    "carry_updates": "below",
    "verify_grad": "below",
    "tensor": "below",
}
"""Public names that are no functions from values to values, and where their tests are."""

NO_VALUES = {
    "__bool__", "__float__", "__int__", "__index__", "__array__", "__contains__", "__setitem__", "eval",
}  # fmt: skip
"""Methods that refuse, or that run a graph instead of building one: tests/test_errors.py and tests/test_function.py."""


def as_list(found):
    return list(found) if isinstance(found, (list, tuple)) else [found]


def wanted(oracle, values):
    with np.errstate(all="ignore"), Watch(in_modules("symc", "symc_backends")) as watch:
        found = [np.asarray(w) for w in as_list(oracle(*values))]
    assert not watch.seen, f"the oracle calls symc: {sorted(watch.seen)}"
    return found


def compare(have, want, dtype, rtol):
    assert have.shape == want.shape
    assert have.dtype.kind == want.dtype.kind
    if have.dtype.kind in "fc":
        np.testing.assert_allclose(have, want, rtol=rtol, atol=rtol)
    else:
        np.testing.assert_array_equal(have, want)


@pytest.mark.parametrize("dtype, device", [("float64", "c"), ("float32", "interp")])
@pytest.mark.parametrize("name", TABLE)
def test_against_its_oracle(name, dtype, device):
    """In float64 with shapes known only at call time, and in float32 with known shapes."""
    inputs, outputs, values, wants, owners = [], [], [], [], []
    with symc.config.change(floatX=dtype):
        for number, case in enumerate(TABLE[name]):
            narrow = {"float64": dtype, "complex128": {"float32": "complex64"}.get(dtype, "complex128")}
            given = [v.astype(narrow.get(v.dtype.name, v.dtype)) for v in case.values]
            known = dtype == "float32"
            variables = [
                T.tensor(v.dtype.name, shape=v.shape if known else [1 if n == 1 else None for n in v.shape])
                for v in given
            ]
            made = [T.as_tensor(o) for o in as_list(case.build(*variables))]
            wide = {"f": "float64", "c": "complex128"}
            want = wanted(case.oracle, [v.astype(wide.get(v.dtype.kind, v.dtype)) for v in given])
            assert len(made) == len(want), f"example {number}"
            inputs += variables
            values += given
            outputs += made
            wants += want
            owners += [number] * len(made)
        f = symc.function(inputs, outputs, device=device, on_unused_input="ignore")
    for number, have, want in zip(owners, f(*values), wants):
        rtol = (
            TABLE[name][number].rtol if have.dtype in ("float64", "complex128") and dtype == "float64" else TOLERANCE32
        )
        try:
            compare(have, want, dtype, rtol)
        except AssertionError as error:
            raise AssertionError(f"example {number} of {name}: {error}") from None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", streams.DISTRIBUTIONS)
def test_random_streams(name, dtype):
    """Two calls of each draw, against Philox by hand."""
    for build, oracle in streams.DISTRIBUTIONS[name]:
        with symc.config.change(floatX=dtype):
            f = symc.function([], build(RandomStreams(1234)), device="interp")
            for call in range(2):
                (want,) = wanted(lambda oracle=oracle, call=call: oracle(streams.Draws(1234, call, dtype)), [])
                compare(np.asarray(f()), want, dtype, 1e-12 if dtype == "float64" else TOLERANCE32)


def test_philox_by_hand():
    """The answers published with the generator."""
    full = 2**32 - 1
    assert streams.philox([0] * 4, [0] * 2) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
    assert streams.philox([full] * 4, [full] * 2) == (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)


# --- what is no function from values to values ------------------------------------------------------------------------


def test_verify_grad_tells_right_from_wrong():
    point = [np.array([0.5, 1.5, -2.0])]
    T.verify_grad(lambda x: x**3, point)
    with pytest.raises(Exception, match="(?i)grad"):
        T.verify_grad(lambda x: x * T.disconnected_grad(x), point)


def test_carry_updates():
    total, x = symc.shared(np.array([1.0, 2.0]), "total"), T.dvector("x")
    f = symc.function([x], 2 * T.carry_updates(x, {total: total + x}))
    for _ in range(2):
        np.testing.assert_array_equal(f([1.0, 3.0]), [2.0, 6.0])
    np.testing.assert_array_equal(total.get_value(), [3.0, 8.0])


def test_constructors_make_what_their_names_say():
    letters = {"": "float32", "b": "int8", "w": "int16", "i": "int32", "l": "int64", "f": "float32", "d": "float64"}
    letters |= {"ub": "uint8", "uw": "uint16", "ui": "uint32", "ul": "uint64", "bool_": "bool"}
    letters |= {"c": "complex64", "z": "complex128"}
    kinds = {
        "scalar": ((), "scalars"), "vector": ((False,), "vectors"), "matrix": ((False, False), "matrices"),
        "row": ((True, False), "rows"), "col": ((False, True), "cols"), "tensor3": ((False,) * 3, "tensor3s"),
        "tensor4": ((False,) * 4, "tensor4s"), "tensor5": ((False,) * 5, "tensor5s"),
    }  # fmt: skip
    with symc.config.change(floatX="float32"):
        for letter, dtype in letters.items():
            for kind, (pattern, plural) in kinds.items():
                one, two = getattr(T, letter + kind)("x"), getattr(T, letter + plural)("y", "z")
                for v, name in zip((one, *two), "xyz", strict=True):
                    assert (v.name, v.dtype, tuple(v.broadcastable)) == (name, dtype, pattern)
        v = T.tensor("int16", shape=(None, 3, 1), name="t")
    assert (v.name, v.dtype, v.static_shape) == ("t", "int16", (None, 3, 1))
    assert set(T.CONSTRUCTORS) == {letter + kind for letter in letters for kind in kinds}
    assert set(T.PLURALS) == {letter + plural for letter in letters for _, plural in kinds.values()}


# --- the table is whole -----------------------------------------------------------------------------------------------


def resolve(name):
    found = T
    for part in name.split("."):
        found = getattr(found, part)
    return found


def public():
    """Public names, relative to ``symc.tensor``, of what users call."""
    known = {*T.CONSTRUCTORS, *T.PLURALS, "CONSTRUCTORS", "PLURALS"}
    prefixes = ("", "nnet.", "nnet.neighbours.", "signal.", "signal.pool.", "extra_ops.", "fft.")
    for prefix in prefixes:
        module = resolve(prefix[:-1]) if prefix else T
        for name in module.__all__:
            if not inspect.ismodule(getattr(module, name)) and (prefix or name not in known):
                yield prefix + name, getattr(module, name)


def test_every_public_function_has_an_oracle():
    covered = {id(resolve(name)) for name in TABLE} | {id(resolve(name)) for name in ELSEWHERE}
    missing = sorted(name for name, value in public() if id(value) not in covered)
    assert not missing, f"without an oracle in tests/oracles: {missing}"
    assert len(list(public())) > 200  # the walk sees the language at all


def test_every_method_has_an_oracle():
    attached = set(symc.tensor.operators.METHODS)
    missing = sorted(name for name in attached - NO_VALUES if f"Variable.{name}" not in TABLE)
    assert not missing, f"without an oracle in tests/oracles/methods.py: {missing}"


def test_every_distribution_has_an_oracle():
    administration = {"seed", "updates", "set_rstate", "rstate", "n_streams", "gen"}
    offered = {n for n in (*dir(RandomStreams), *dir(MRG_RandomStreams)) if not n.startswith("_")}
    assert offered - administration == set(streams.DISTRIBUTIONS)


def test_no_entry_is_empty():
    assert not [name for name, examples in TABLE.items() if not examples]
    assert sum(map(len, (module.TABLE for module in TABLES))) == len(TABLE), "a name is in two tables"
