"""Counter-based random numbers: Philox4x32-10, written as loop IR.

Philox of the counter ``(b, d)`` with key ``k`` is block ``b`` of draw ``d``, four words. A number takes one, two or
four of them, so that a block serves four, two or one elements. These are ``LANES`` elements apart: a vector of blocks
has the words of as many vectors of elements. A draw therefore needs no memory and no order: it is computed wherever it
is read, by any number of threads, on any back end, with the same bits. A dropout mask is never stored; the backward
pass recomputes it.

References
----------
.. [1] John K. Salmon, Mark A. Moraes, Ron O. Dror and David E. Shaw (2011): Parallel random numbers: as easy as 1, 2,
3. SC11.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.graph import Apply, Constant, Variable
from symc.graph.gradient_flow import Undefined
from symc.graph.op import Indexed, Op, record
from symc.graph.types import TensorType
from symc.loops.expr import Expr, call, cast, const, index, select
from symc.tensor.basic import as_tensor
from symc.tensor.broadcasting import sum
from symc.tensor.conversion import cast as convert
from symc.tensor.creation import alloc

__all__ = ["ORDER", "draw", "philox", "philox_numpy", "stored_bits"]

MULTIPLY = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
ORDER = (1, 3, 0, 2)
"""The order in which words are used: the lower halves of the last products first, since they are cheaper to compute."""
LANES = 16
"""The distance between elements that use the same block: a power of two, and a multiple of the lanes of any vector."""

DIGITS = {"float32": 24, "float64": 53}
"""The number of random bits of a number in [0, 1)."""

Words = tuple[Expr, Expr, Expr, Expr]


def philox(counter: Sequence[Expr], key: Sequence[Expr]) -> Words:
    """Compute Philox4x32-10: four random uint32 words for a counter of four words and a key of two.

    Parameters
    ----------
    counter, key : sequence of Expr
        4 and 2 scalar expressions of dtype uint32.
    """
    c0, c1, c2, c3 = counter
    for turn in range(ROUNDS):
        k0, k1 = (k + (w * turn & 0xFFFFFFFF) if turn else k for k, w in zip(key, WEYL))
        m0, m1 = (const(m, "uint32") for m in MULTIPLY)
        c0, c1, c2, c3 = call("mulhi", c2, m1) ^ c1 ^ k0, c2 * m1, call("mulhi", c0, m0) ^ c3 ^ k1, c0 * m0
    return c0, c1, c2, c3


def philox_numpy(position: np.ndarray, state: np.ndarray) -> list[np.ndarray]:
    """Compute Philox in 64-bit NumPy arithmetic, for positions of any shape."""
    mask, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    key, draw_number = (np.uint64(v) for v in state)
    at = position.astype("uint64")
    x = [at & mask, at >> half, np.full_like(at, draw_number & mask), np.full_like(at, draw_number >> half)]
    k = [key & mask, key >> half]
    for _ in range(ROUNDS):
        left, right = x[0] * np.uint64(MULTIPLY[0]), x[2] * np.uint64(MULTIPLY[1])
        x = [(right >> half) ^ x[1] ^ k[0], right & mask, (left >> half) ^ x[3] ^ k[1], left & mask]
        k = [(k[0] + np.uint64(WEYL[0])) & mask, (k[1] + np.uint64(WEYL[1])) & mask]
    return x


# --- from words to numbers --------------------------------------------------------------------------------------------


def _unit(words: Sequence[Expr], dtype: str) -> Expr:
    """A number in [0, 1) with as many random bits as the dtype has, 24 or 53."""
    return _whole(words, dtype) * 2.0 ** -DIGITS[dtype]


def _whole(words: Sequence[Expr], dtype: str) -> Expr:
    """A whole number with as many random bits as the dtype has."""
    if dtype == "float32":
        return cast(words[0] >> 8, dtype)
    return cast(words[0] >> 5, dtype) * 2.0**26 + cast(words[1] >> 6, dtype)


def _bernoulli(words: Sequence[Expr], dtype: str, p: Expr) -> Expr:
    """Whether a number in [0, 1) is less than ``p``, which is scaled instead of the number: once for all elements."""
    return cast(call("lt", _whole(words, p.dtype), p * 2.0 ** DIGITS[p.dtype]), dtype)


def _positive_unit(words: Sequence[Expr], dtype: str) -> Expr:
    """A number in (0, 1], with high resolution near zero, as needed for logarithms."""
    if dtype == "float32":
        return (cast(words[0], dtype) + 0.5) * 2.0**-32
    return (cast(words[0] >> 5, dtype) * 2.0**26 + cast(words[1] >> 6, dtype) + 0.5) * 2.0**-53


def _normal(words: Sequence[Expr], dtype: str, mean: Expr, std: Expr) -> Expr:
    """The Box-Muller transform of two uniform numbers."""
    second = words[1:] if dtype == "float32" else words[2:]
    radius = call("sqrt", call("log", _positive_unit(words, dtype)) * -2.0)
    return mean + std * (radius * call("cos", _unit(second, dtype) * (2 * math.pi)))


def _signed(words: Sequence[Expr], dtype: str) -> Expr:
    """A number in [-1, 1] but not zero, with high resolution near zero."""
    size = _positive_unit(words, dtype)
    sign = words[1 if dtype == "float32" else 2] & const(1, "uint32")
    return select(call("eq", sign, const(1, "uint32")), -size, size)


def _integer(words: Sequence[Expr], dtype: str, low: Expr, high: Expr) -> Expr:
    """The upper half of word times span: uniform up to 2**-32."""
    span = cast(high - low + 1, "uint32")
    return cast(low + cast(call("mulhi", words[0], span), "int64"), dtype)


KINDS: dict[str, Callable[..., Expr]] = {
    "uniform": lambda words, dtype, low, high: low + _unit(words, dtype) * (high - low),
    "normal": _normal,
    "bernoulli": lambda words, dtype, p, _: _bernoulli(words, dtype, p),
    "integers": _integer,
    "signed": lambda words, dtype, *_: _signed(words, dtype),
    "bits": lambda words, dtype, *_: words[0],
}
"""``kind(words, dtype, a, b)`` computes a number from random words and two parameters."""


def _words_per_number(kind: str, dtype: str, p_dtype: str) -> int:
    """The number of words that a number takes: 1, 2 or 4."""
    if kind in ("bits", "integers"):
        return 1
    short = (p_dtype if kind == "bernoulli" else dtype) == "float32"
    return (1 if short else 2) * (1 if kind in ("bernoulli", "uniform") else 2)


def _numpy_unit(w: Sequence[np.ndarray], dtype: Any) -> np.ndarray:
    if dtype == "float32":
        return np.ldexp((w[0] >> np.uint64(8)).astype("float32"), -24)
    return np.ldexp(((w[0] >> np.uint64(5)) << np.uint64(26) | (w[1] >> np.uint64(6))).astype("float64"), -53)


def _numpy_normal(w: Sequence[np.ndarray], dtype: str, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    if dtype == "float32":
        first, second = np.ldexp(w[0].astype("float32") + np.float32(0.5), -32), w[1:]
    else:
        first, second = _numpy_unit(w, dtype) + 2.0**-54, w[2:]
    wide = np.sqrt(-2 * np.log(first.astype("float64"))) * np.cos(
        2 * np.pi * _numpy_unit(second, dtype).astype("float64")
    )
    return mean + std * wide.astype(dtype)


def _numpy_signed(w: Sequence[np.ndarray], dtype: str) -> np.ndarray:
    if dtype == "float32":
        size, sign = np.ldexp(w[0].astype("float32") + np.float32(0.5), -32), w[1]
    else:
        size, sign = _numpy_unit(w, dtype) + 2.0**-54, w[2]
    return np.where(sign & np.uint64(1), -size, size)


_ORACLES: dict[str, Callable[..., np.ndarray]] = {
    "uniform": lambda w, dtype, low, high: low + _numpy_unit(w, dtype) * (high - low),
    "normal": _numpy_normal,
    "bernoulli": lambda w, dtype, p, _: _numpy_unit(w, p.dtype) < p,
    "integers": lambda w, dtype, low, high: (
        low + ((w[0] * (high - low + 1).astype("uint64")) >> np.uint64(32)).astype("int64")
    ),
    "signed": lambda w, dtype, *_: _numpy_signed(w, dtype),
    "bits": lambda w, dtype, *_: w[0],
}


# --- the record -------------------------------------------------------------------------------------------------------


def _element(node: Apply, at: tuple[Expr, ...], read: Callable[..., Expr], size: Callable[[Any], Expr]) -> Expr:
    key, number = (read(0, (index(k),)) for k in (0, 1))
    (position,) = at
    kind, dtype = node.op["kind"], node.op["dtype"]
    each = _words_per_number(kind, dtype, node.inputs[1].dtype)
    sharers = 4 // each
    block = (
        position if sharers == 1 else ((position >> _bits(LANES * sharers)) << _bits(LANES)) + (position & (LANES - 1))
    )
    counter = [cast(block, "uint32"), cast(block >> 32, "uint32"), cast(number, "uint32"), cast(number >> 32, "uint32")]
    words = philox(counter, [cast(key, "uint32"), cast(key >> 32, "uint32")])
    ordered = [words[k] for k in ORDER]
    chosen = ordered[-each:]
    share = (position >> _bits(LANES)) & (sharers - 1)
    for k in reversed(range(sharers - 1)):
        here = call("eq", share, index(k))
        chosen = [select(here, a, b) for a, b in zip(ordered[k * each : (k + 1) * each], chosen)]
    return KINDS[kind](chosen, dtype, read(1, ()), read(2, ()))


def _bits(power: int) -> int:
    return power.bit_length() - 1


def _infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    return TensorType(op["dtype"], inputs[3].type.shape if op["shape"] is None else op["shape"])


def _numpy(op: Op, state: np.ndarray, a: np.ndarray, b: np.ndarray, *template: np.ndarray) -> np.ndarray:
    shape = template[0].shape if template else op["shape"]
    each = _words_per_number(op["kind"], op["dtype"], np.asarray(a).dtype.name)
    sharers = 4 // each
    position = np.arange(math.prod(shape)).reshape(shape)
    block = position if sharers == 1 else position // (LANES * sharers) * LANES + position % LANES
    words = philox_numpy(block, state)
    share = position // LANES % sharers
    words = [np.choose(share, [words[ORDER[s * each + k]] for s in range(sharers)]) for k in range(each)]
    return np.asarray(_ORACLES[op["kind"]](words, op["dtype"], a, b)).astype(op["dtype"])


def _with_known_shape(op: Op, inputs: Sequence[Variable], types: Sequence[TensorType]) -> Variable:
    return Op(op.record, **{**op.attrs, "shape": types[0].shape})(*inputs[:3])


def _grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """The gradient of a uniform or normal number by its parameters, for fixed random bits (reparameterisation)."""
    (g,) = gs
    unread = [None] * (len(inputs) - 3)
    if op["kind"] not in ("uniform", "normal"):
        name = {"bernoulli": "binomial", "integers": "random_integers"}.get(op["kind"], op["kind"])
        undefined = Undefined(f"{name} has no derivative by what its distribution depends on")
        return [None, undefined, undefined, *unread]
    zero, one = (Constant(np.full((), v, op["dtype"])) for v in (0, 1))
    standard = Op(op.record, **op.attrs)(inputs[0], zero, one, *inputs[3:])
    by_b = sum(g * standard)
    return [None, sum(g) - by_b if op["kind"] == "uniform" else sum(g), by_b, *unread]


RANDOM = record(
    "random",
    infer=_infer,
    numpy=_numpy,
    grad=_grad,
    specialise=_with_known_shape,
    lower=Indexed(_element, recompute=True, flat=True),
)

RANDOM_STORED = record(
    "random_stored",
    infer=_infer,
    numpy=_numpy,
    grad=_grad,
    specialise=_with_known_shape,
    lower=Indexed(_element, flat=True),
)


def draw(state: Variable, kind: str, dtype: str, a: Any, b: Any, shape: Sequence[Any]) -> Variable:
    """Draw random numbers of a shape.

    Parameters
    ----------
    state : Variable
        ``(2,)`` uint64: the key, and the number of the draw.
    kind : {'uniform', 'normal', 'bernoulli', 'integers', 'signed', 'bits'}
        Uniform in [a, b); normal with mean ``a`` and standard deviation ``b``; 1 with probability ``a``, else 0;
        integers from ``a`` to ``b``, inclusive; uniform in [-1, 1] without zero, and uint32 words, which have no
        parameters.
    dtype : str
    a, b : float, int or scalar Variable
    shape : sequence of int or integer scalar
    """
    work = "int64" if kind == "integers" else dtype if kind in ("uniform", "normal", "signed") else None
    return Op(RANDOM, kind=kind, dtype=dtype, shape=None)(
        state, _parameter(a, work), _parameter(b, work), _template(shape)
    )


def stored_bits(state: Variable, shape: Sequence[Any]) -> Variable:
    """Random uint32 words that are computed once and stored, for consumers that read each word many times."""
    unused = Constant(np.zeros((), "int64"))
    return Op(RANDOM_STORED, kind="bits", dtype="uint32", shape=None)(state, unused, unused, _template(shape))


def _parameter(value: Any, dtype: str | None) -> Variable:
    v = as_tensor(value)
    return v if dtype is None else convert(v, dtype)


def _template(shape: Sequence[Any]) -> Variable:
    """A tensor of which only the shape is read."""
    return alloc(Constant(np.zeros((), "bool")), *shape) if len(shape) else Constant(np.zeros((), "bool"))
