"""``theano.tests.unittest_tools``: what programs use to test ops of their own."""

from __future__ import annotations

import logging
import re
import unittest
from collections.abc import Callable, Sequence
from copy import copy, deepcopy
from typing import Any
from unittest import SkipTest

import numpy as np

import symc
from symc.compat.modes import Mode
from symc.compat.types import values_eq_approx
from symc.graph import Variable, toposort

__all__ = [
    "AttemptManyTimes", "InferShapeTester", "MockRandomState", "SkipTest", "T_OpContractMixin",
    "TestOptimizationMixin", "WrongValue", "assertFailure_fast", "assert_allclose", "attr", "custom_name_func",
    "custom_rng", "fetch_seed", "seed_rng", "str_diagnostic", "verify_grad",
]  # fmt: skip

_logger = logging.getLogger("symc.compat")


def attr(*tags: Any, **named: Any) -> Callable[[Any], Any]:
    """Return a decorator that leaves a test as it is: tags such as ``"slow"`` select tests for nose alone."""
    return lambda test: test


def assertFailure_fast(test: Any) -> Any:  # noqa: N802
    """Return the test itself: there is no ``cycle_detection="fast"``, with which Theano expects it to fail."""
    return test


def custom_name_func(test: Any, number: int, case: Any) -> str:
    """The name of one of the tests that ``parameterized`` makes of a function: with its arguments."""
    return f"{test.__name__}_{re.sub('[^a-zA-Z0-9_]+', '_', '_'.join(map(str, case.args)))}"


def fetch_seed(pseed: Any = None) -> int:
    """A seed for tests: the given one, or 666."""
    return 666 if pseed is None else int(pseed)


def seed_rng(pseed: Any = None) -> int:
    """Seed NumPy's global generator; return the seed."""
    seed = fetch_seed(pseed)
    np.random.seed(seed)
    return seed


def custom_rng(pseed: Any = None) -> np.random.RandomState:
    """A generator with the seed of the tests."""
    return np.random.RandomState(fetch_seed(pseed))


def verify_grad(op: Any, pt: Any, n_tests: int = 2, rng: Any = None, *args: Any, **kwargs: Any) -> None:
    """``symc.gradient.verify_grad`` with a generator of its own where none is given."""
    symc.gradient.verify_grad(op, pt, n_tests, custom_rng() if rng is None else rng, *args, **kwargs)


verify_grad.E_grad = symc.gradient.GradientError  # type: ignore[attr-defined]


class WrongValue(Exception):  # noqa: N818 - Theano's name
    """Two arrays are not close; the message compares them."""

    def __init__(self, expected_val: Any, val: Any, rtol: float | None, atol: float | None) -> None:
        super().__init__(expected_val, val, rtol, atol)
        self.val1, self.val2, self.rtol, self.atol = expected_val, val, rtol, atol

    def __str__(self) -> str:
        return "WrongValue\n" + str_diagnostic(self.val1, self.val2, self.rtol, self.atol)


def str_diagnostic(expected: Any, value: Any, rtol: float | None, atol: float | None) -> str:
    """Describe two arrays and their differences."""
    lines = []
    for name, given in (("expected", expected), ("value", value)):
        array = np.asarray(given)
        lines.append(f"  {name}: shape {array.shape}, dtype {array.dtype}: {given}")
    a, b = np.asarray(expected), np.asarray(value)
    if a.shape == b.shape and a.size and a.dtype.kind in "biufc" and b.dtype.kind in "biufc":
        with np.errstate(all="ignore"):
            apart = np.abs(b.astype("complex128") - a)
            lines.append(f"  largest difference: {apart.max()}, relative: {(apart / np.abs(a)).max()}")
    return "\n".join([*lines, f"  rtol, atol: {rtol} {atol}"])


def assert_allclose(expected: Any, value: Any, rtol: float | None = None, atol: float | None = None) -> None:
    """Compare two arrays, which are broadcast together, with Theano's tolerances for their dtype.

    Raises
    ------
    WrongValue
        If they are not close.
    """
    a, b = np.asarray(expected), np.asarray(value)
    try:
        a, b = np.broadcast_arrays(a, b)
    except ValueError as e:
        raise WrongValue(expected, value, rtol, atol) from e
    if not values_eq_approx(a.astype(np.result_type(a, b)), b.astype(np.result_type(a, b)),
                                                  rtol=rtol, atol=atol):  # fmt: skip
        raise WrongValue(expected, value, rtol, atol)


class TestOptimizationMixin:
    """Assertions about the ops of a compiled function, which Theano's tests make; here they do nothing.

    Which ops a function contains after compilation is a matter of the compiler.
    """

    def assertFunctionContains(  # noqa: N802 - Theano's name
        self, f: Any, op: Any, min: int = 1, max: int | None = None
    ) -> None:
        """Do nothing."""

    assertFunctionContains0 = assertFunctionContains1 = assertFunctionContainsN = assertFunctionContains  # noqa: N815
    assertFunctionContainsClass = assertFunctionContainsClassN = assertFunctionContains  # noqa: N815

    def SkipTest(self, msg: str = "skip this test") -> None:  # noqa: N802 - Theano's name
        """Skip the test that calls this."""
        raise unittest.SkipTest(msg)


class MockRandomState:
    """A generator whose every draw is ``val``."""

    def __init__(self, val: Any) -> None:
        self.val = val

    def rand(self, *shape: int) -> np.ndarray:
        """An array filled with the value."""
        return np.zeros(shape, dtype="float64") + self.val

    def randint(self, minval: Any, maxval: Any = None, size: Any = 1) -> np.ndarray:
        """An array of integers, all of them the value."""
        return np.zeros(size, dtype="int64") + self.val


class InferShapeTester(unittest.TestCase):
    """Base class of tests of the shapes of an op.

    A subclass calls ``_compile_and_check`` with an application of its op.
    """

    def setUp(self) -> None:
        """Seed NumPy's generator, and set ``self.mode``."""
        seed_rng()
        if getattr(self, "mode", None) is None:
            self.mode: Any = Mode()

    def _compile_and_check(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        numeric_inputs: Sequence[Any],
        cls: Any,
        excluding: Any = None,
        warn: bool = True,
        check_topo: bool = True,
    ) -> None:
        """Compare the shapes of results with those that a function of the shapes alone computes.

        Parameters
        ----------
        inputs, outputs : list of Variable
        numeric_inputs : list of array
            Lengths should differ, so that axes that are mistaken for one another are found; ``warn`` warns if not.
        cls : type or tuple of them
            The class of the op. One of the applications behind ``outputs`` must have such an op, unless it is a class
            that stands for a function.
        excluding, check_topo
            Ignored: which ops a compiled function has is no matter of its shapes.
        """
        if warn:
            _warn_of_equal_lengths(inputs, numeric_inputs, cls)
        kinds = cls if isinstance(cls, tuple) else (cls,)
        if all(isinstance(k, type) and issubclass(k, symc.Op) for k in kinds):
            ops = [node.op for node in toposort(list(outputs))]
            found = [*ops, *(getattr(op, "attrs", {}).get("user") for op in ops)]
            assert any(isinstance(op, cls) for op in found), f"no application of {cls} among the outputs"
        compute = symc.function(list(inputs), list(outputs), on_unused_input="ignore")
        measure = symc.function(list(inputs), [v.shape for v in outputs], on_unused_input="ignore")
        for value, shape in zip(compute(*numeric_inputs), measure(*numeric_inputs)):
            assert np.all(np.shape(value) == shape), (np.shape(value), shape)


def _warn_of_equal_lengths(inputs: Sequence[Variable], values: Sequence[Any], cls: Any) -> None:
    for variable, value in zip(inputs, values):
        flags = getattr(variable.type, "broadcastable", ())
        lengths = [n for n, one in zip(np.shape(value), flags) if not one]
        if len(set(lengths)) < len(lengths):
            _logger.warning(
                "the shape of %r is tested with lengths that are equal, %r: axes that are mistaken for one another "
                "are not found", cls, np.shape(value),
            )  # fmt: skip
            return


class T_OpContractMixin:  # noqa: N801 - Theano's name
    """Tests of equality and hashes of the ops in ``self.ops``; ``clone(op)`` makes an op like the given one."""

    ops: Sequence[Any] = ()
    other_op: Any = None

    def copy(self, x: Any) -> Any:
        """A shallow copy."""
        return copy(x)

    def deepcopy(self, x: Any) -> Any:
        """A deep copy."""
        return deepcopy(x)

    def clone(self, op: Any) -> Any:
        """A new op like ``op``."""
        raise NotImplementedError(f"{type(self).__name__} must define clone(op)")

    def test_eq(self) -> None:
        """Ops are equal to their copies and clones, and to nothing else."""
        for k, op in enumerate(self.ops):
            assert op == self.copy(op) == self.deepcopy(op)
            assert op == self.clone(op) and op != self.other_op
            assert all(op != other for j, other in enumerate(self.ops) if j != k)

    def test_hash(self) -> None:
        """Equal ops have equal hashes."""
        for op in self.ops:
            assert hash(op) == hash(self.copy(op)) == hash(self.deepcopy(op)) == hash(self.clone(op))

    def test_name(self) -> None:
        """Every op has a name."""
        assert all(str(op) for op in self.ops)


class AttemptManyTimes:
    """Decorator of a random test: it passes if ``n_req_successes`` of at most ``n_attempts`` runs pass."""

    def __init__(self, n_attempts: int, n_req_successes: int = 1) -> None:
        if not n_attempts >= n_req_successes > 0:
            raise ValueError(f"AttemptManyTimes: {n_req_successes} successes in {n_attempts} attempts")
        self.n_attempts, self.n_req_successes = n_attempts, n_req_successes

    def __call__(self, fct: Callable[..., Any]) -> Callable[..., Any]:
        def attempts(*args: Any, **kwargs: Any) -> None:
            passed = 0
            for left in reversed(range(self.n_attempts)):
                try:
                    fct(*args, **kwargs)
                    passed += 1
                except Exception:
                    if passed + left < self.n_req_successes:
                        raise
                if passed == self.n_req_successes:
                    return

        attempts.__name__ = getattr(fct, "__name__", "attempts")
        return attempts
