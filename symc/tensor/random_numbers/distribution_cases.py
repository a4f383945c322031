"""Test cases of the random primitives, with expected values from Philox in Python integers.

Nothing is shared with ``symc.tensor.random``: neither the constants, nor the number of rounds, nor the order of words.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from symc.graph import Variable
from symc.graph.op import Arg, Case, add_cases
from symc.tensor.random_numbers.bits import RANDOM, RANDOM_STORED, draw, stored_bits
from symc.tensor.random_numbers.rejection import REJECTION, draw_by_rejection
from symc.tensor.symbolic_dims import shape_i

__all__ = ["random_cases", "rejection_cases", "stored_cases"]

_WORD = 2**32


def _words(state: np.ndarray, count: int, each: int) -> list[tuple[int, ...]]:
    """The ``each`` words of each element of a draw, in the order in which they are used.

    Elements 16 apart share a block of four words.
    """
    key, number = (int(v) for v in state)
    found: list[tuple[int, ...]] = []
    for i in range(count):
        group, place = divmod(i, 64 // each)
        block = 16 * group + place % 16 if each < 4 else i
        a, b, c, d = block % _WORD, block // _WORD, number % _WORD, number // _WORD
        k, l = key % _WORD, key // _WORD
        for _ in range(10):
            (high0, low0), (high1, low1) = divmod(0xD2511F53 * a, _WORD), divmod(0xCD9E8D57 * c, _WORD)
            a, b, c, d = high1 ^ b ^ k, low1, high0 ^ d ^ l, low0
            k, l = (k + 0x9E3779B9) % _WORD, (l + 0xBB67AE85) % _WORD
        first = place // 16 * each if each < 4 else 0
        found.append((b, d, a, c)[first : first + each])
    return found


def _taken(kind: str, dtype: str, p_dtype: str) -> int:
    """The number of words of an element."""
    if kind == "integers":
        return 1
    if kind in ("uniform", "bernoulli"):
        return {"float32": 1, "float64": 2}[p_dtype if kind == "bernoulli" else dtype]
    return {"float32": 2, "float64": 4}[dtype]


def _unit(w: tuple[int, ...], dtype: str) -> float:
    return (w[0] >> 8) / 2**24 if dtype == "float32" else ((w[0] >> 5) * 2**26 + (w[1] >> 6)) / 2**53


def _normal(w: tuple[int, ...], dtype: str) -> float:
    short = dtype == "float32"
    first = float(np.float32(w[0] + 0.5)) / _WORD if short else _unit(w, dtype) + 2.0**-54
    return math.sqrt(-2 * math.log(first)) * math.cos(2 * math.pi * _unit(w[1 if short else 2 :], dtype))


def _signed(w: tuple[int, ...], dtype: str) -> float:
    size = float(np.float32(w[0] + 0.5)) / _WORD if dtype == "float32" else _unit(w, dtype) + 2.0**-54
    return -size if w[1 if dtype == "float32" else 2] % 2 else size


_KINDS: dict[str, Callable[..., Any]] = {
    "uniform": lambda w, dtype, p_dtype, low, high: low + _unit(w, dtype) * (high - low),
    "normal": lambda w, dtype, p_dtype, mean, std: mean + std * _normal(w, dtype),
    "bernoulli": lambda w, dtype, p_dtype, p, _: _unit(w, p_dtype) < np.dtype(p_dtype).type(p),
    "signed": lambda w, dtype, p_dtype, a, b: _signed(w, dtype),
    "integers": lambda w, dtype, p_dtype, low, high: low + w[0] * (high - low + 1) // _WORD,
}


def _drawn(state: np.ndarray, template: np.ndarray, kind: str, dtype: str, a: Any, b: Any) -> np.ndarray:
    """A draw of the shape of ``template``; a probability has the dtype of the draw."""
    p_dtype = template.dtype.name
    each = _taken(kind, dtype, p_dtype)
    made = [_KINDS[kind](w, dtype, p_dtype, a, b) for w in _words(state, template.size, each)]
    return np.array(made, dtype).reshape(template.shape)


def _build(state: Variable, template: Variable, kind: str, dtype: str, a: Any, b: Any) -> Variable:
    return draw(state, kind, dtype, a, b, [shape_i(template, k) for k in range(template.ndim)])


def random_cases() -> list[Case]:
    """Every kind of draw with two keys, and its gradients by the parameters, where defined."""
    state = Arg((2,), "uint64", values=[0x0123456789ABCDEF, 5])
    far = Arg((2,), "uint64", values=[0xFEDCBA9876543210, 0xFFFFFFFF00000007])
    made = [
        Case(
            lambda s, x, given=given: _build(s, x, *given),
            (s, Arg((3, 70))),
            lambda s, x, given=given: _drawn(s, x, *given),
            grad=False,
            label=given[0],
        )
        for given in (
            ("uniform", "float32", 0.0, 1.0),
            ("uniform", "float64", 0.0, 1.0),
            ("normal", "float32", 0.0, 1.0),
            ("normal", "float64", 0.0, 1.0),
            ("signed", "float32", 0.0, 0.0),
            ("signed", "float64", 0.0, 0.0),
            ("bernoulli", "float32", 0.3, 0.0),
            ("bernoulli", "bool", 0.3, 0.0),
            ("bernoulli", "int64", 0.3, 0.0),
            ("integers", "int64", -3, 11),
            ("integers", "int32", 0, 1),
        )
        for s in (state, far)
    ]
    bounds = (Arg((), low=-1, high=0), Arg((), low=1, high=2))
    for kind in ("uniform", "normal"):
        made.append(
            Case(
                lambda s, x, a, b, kind=kind: _build(s, x, kind, a.dtype, a, b) * x,
                (state, Arg((2, 5)), *bounds),
                lambda s, x, a, b, kind=kind: _drawn(s, x, kind, x.dtype.name, a, b) * x,
                label=kind,
            )
        )
    empty = ("uniform", "float32", 0.0, 1.0)
    made.append(Case(lambda s, x: _build(s, x, *empty), (state, Arg((0, 3))), lambda s, x: x, grad=False))
    return made


def stored_cases() -> list[Case]:
    """Cases of stored random bits."""

    def wanted(state: np.ndarray) -> np.ndarray:
        return np.array([w[0] for w in _words(state, 60, 1)], "uint32").reshape(3, 20)

    return [Case(lambda s: stored_bits(s, (3, 20)), (Arg((2,), "uint64", values=[7, 1]),), wanted, grad=False)]


def rejection_cases() -> list[Case]:
    """Parameters for which the numbers are known; tests/oracles/streams.py has other ones."""
    state = Arg((2,), "uint64", values=[0x0123456789ABCDEF, 5])

    def make(kind: str, dtype: str) -> Callable[..., Variable]:
        return lambda s, *parameters: draw_by_rejection(s, kind, dtype, kind, parameters)

    never = Arg((5,), "float64", values=np.zeros(5))
    always = Arg((2, 3), "float64", values=np.ones((2, 3)))
    trials = Arg((2, 3), "int64", values=[[0, 1, 7], [100, 10**6, 10**9]])
    shapes = Arg((4,), "float64", values=[1e14, 2e14, 5e14, 9e14])
    return [
        Case(make("poisson", "int64"), (state, never), lambda s, rate: np.zeros(5, "int64"), grad=False),
        Case(make("binomial", "int64"), (state, trials, always), lambda s, n, p: n, grad=False),
        Case(make("binomial", "int32"), (state, Arg((0,), "int64"), Arg((0,))), lambda s, n, p: n, grad=False),
        Case(make("log_gamma", "float64"), (state, shapes), lambda s, a: np.log(a), grad=False, rtol=1e-6),
    ]


add_cases(REJECTION, rejection_cases)
add_cases(RANDOM, random_cases)
add_cases(RANDOM_STORED, stored_cases)
