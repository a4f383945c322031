"""How ops act on complex numbers: rules from the parts of operands to the parts of results.

An op that only moves elements moves both parts. ``RULES`` lists what other ops do; those without a rule are not
defined for complex numbers, and refuse them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symc.errors import DTypeError, located
from symc.graph import Variable
from symc.graph.dtypes import BRAIN, is_complex, part_of
from symc.graph.op import Axes, Op, Record, View, act_on_complex_with
from symc.tensor import elementwise as ew
from symc.tensor import linalg, reduce
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import number_repeated
from symc.tensor.bfloat16 import on_float32
from symc.tensor.complex_numbers import functions as of_pairs
from symc.tensor.complex_numbers.linear_algebra import RULES as OF_MATRICES
from symc.tensor.complex_numbers.parts import held, parts
from symc.tensor.creation import ones_like
from symc.tensor.cumulative import CUMPROD
from symc.tensor.ifelse import IFELSE
from symc.tensor.joining import concatenate
from symc.tensor.scans.scan import scan
from symc.tensor.sorting import ARGSORT, SORT, TOPK
from symc.tensor.symbolic_dims import SHAPE_I

Rule = Callable[[Op, Sequence[Variable]], Any]


def _act(op: Op, inputs: Sequence[Variable]) -> tuple[Variable, ...]:
    """Apply ``op`` to operands of which some are complex, or of dtype bfloat16."""
    if any(v.dtype == BRAIN for v in inputs):
        return on_float32(op, inputs)
    rule = RULES.get(op.record)
    if rule is None:
        moved = _moved(op)
        if moved is None:
            raise DTypeError(located(f"{op.name}: not defined for complex numbers", inputs, _repair(op)))
        found = _moving(op, inputs, moved)
    else:
        found = rule(op, inputs)
    return tuple(found) if isinstance(found, list) else (found,)


def _repair(op: Op) -> str:
    if op.record in _ORDERED:
        return "complex numbers have no order: compare their parts or absolute values: real(z), imag(z), abs(z)"
    return "write it with real(z) and imag(z), or as a formula of arithmetic, exp, log and sqrt"


def _moved(op: Op) -> slice | None:
    """The operands whose parts an op moves, or maps, separately."""
    record = op.record
    found = record.moves(op) if record.moves is not None else None
    if found is None and (record.partwise or record.layout_only or isinstance(record.lower, (Axes, View))):
        found = slice(0, 1)
    return found


def _part(v: Variable, k: int) -> Variable:
    return parts(v)[k] if is_complex(v.dtype) else v


def _moving(op: Op, inputs: Sequence[Variable], moved: slice) -> Any:
    """Apply the op to both parts of the operands that it moves; others only define shapes and positions."""
    if not all(is_complex(v.dtype) for v in inputs[moved]):
        return op(*(_part(v, 0) for v in inputs))
    found = []
    op = Op(op.record, **{name: part_of(value) if type(value) is str else value for name, value in op.attrs.items()})
    for k in (0, 1):
        given = [_part(v, 0) for v in inputs]
        given[moved] = [_part(v, k) for v in inputs[moved]]
        found.append(op.all(*given))
    return [held(x, y) for x, y in zip(*found)]


def _of_all(op: Op, inputs: Sequence[Variable]) -> Any:
    return _moving(op, inputs, slice(0, None))


def _elementwise(function: Callable[..., of_pairs.Pair]) -> Rule:
    return lambda op, inputs: held(*function(*map(parts, inputs)))


def _bilinear(op: Op, inputs: Sequence[Variable]) -> Variable:
    a, b = map(parts, inputs)
    return held(*of_pairs.product(a, b, lambda x, y: op(x, y)))


def _pow(op: Op, inputs: Sequence[Variable]) -> Variable:
    z, w = inputs
    n, imaginary = (number_repeated(part) for part in parts(w))
    if n is not None and imaginary is not None and imaginary == 0:
        if n == 0.5:
            return ew.sqrt(z)
        if n == int(n) and abs(int(n)) <= 100:
            return held(*of_pairs.whole_power(parts(z), int(n)))
    return held(*of_pairs.power(parts(z), parts(w)))


def _equal(op: Op, inputs: Sequence[Variable]) -> Variable:
    (x, y), (u, v) = map(parts, inputs)
    return ew.and_(ew.eq(x, u), ew.eq(y, v))


def _either(op: Op, inputs: Sequence[Variable]) -> Variable:
    """Whether a property holds for one of the parts, or two numbers differ in one of the parts."""
    re, im = (op(*(parts(v)[k] for v in inputs)) for k in (0, 1))
    return ew.or_(re, im)


def _cumprod(op: Op, inputs: Sequence[Variable]) -> Variable:
    (z,), axis = inputs, op["axis"]
    order = [axis, *(k for k in range(z.ndim) if k != axis)]
    found = _running_product(dimshuffle(z, order))
    return dimshuffle(found, [order.index(k) for k in range(z.ndim)])


def _running_product(z: Variable) -> Variable:
    """Products of the first entries along axis 0, of every number of them."""
    x, y = parts(z)
    first = ones_like(x[0])
    step = lambda x, y, re, im: [x * re - y * im, x * im + y * re]  # noqa: E731
    (re, im), _ = scan(step, [x, y], [first, first * 0])
    return held(re, im)


def _prod(op: Op, inputs: Sequence[Variable]) -> Variable:
    """The product over axes, by a product per length of an axis."""
    (z,) = inputs
    for axis in reversed(op["axes"]):
        order = [axis, *(k for k in range(z.ndim) if k != axis)]
        z = _product_of_entries(dimshuffle(z, order))
    return z


def _product_of_entries(z: Variable) -> Variable:
    """The product along axis 0; halves are multiplied if its length is known, else entries one after another."""
    n = z.type.shape[0]
    if type(n) is not int:
        one = ew.cast(reduce.prod(parts(z)[0][:0], axis=0, keepdims=True), z.dtype)
        return _running_product(concatenate([one, z]))[-1]
    while n > 1:
        half = n // 2
        low, high, last = z[:half], z[half : 2 * half], z[2 * half :]
        z = low * high
        if n % 2:
            z = concatenate([z, last])
        n = half + n % 2
    return z[0] if n else ew.cast(reduce.prod(parts(z)[0], axis=0), z.dtype)


def _ifelse(op: Op, inputs: Sequence[Variable]) -> list[Variable]:
    """The parts of complex values are values of their own."""
    condition, *values = inputs
    flat = [[p for v in side for p in (parts(v) if is_complex(v.dtype) else (v,))] for side in _halves(values)]
    found = iter(op.all(condition, *flat[0], *flat[1]))
    return [held(next(found), next(found)) if is_complex(v.dtype) else next(found) for v in _halves(values)[0]]


def _halves(values: Sequence[Variable]) -> tuple[Sequence[Variable], Sequence[Variable]]:
    return values[: len(values) // 2], values[len(values) // 2 :]


_ORDERED = {f.record for f in (ew.lt, ew.le, ew.gt, ew.ge, ew.maximum, ew.minimum, ew.clip, ew.relu)}
_ORDERED |= {reduce.MAX, reduce.MIN, SORT, ARGSORT, TOPK}

RULES: dict[Record, Rule] = {
    ew.add.record: _of_all,
    ew.sub.record: _of_all,
    ew.mul.record: _elementwise(of_pairs.product),
    ew.true_div.record: _elementwise(of_pairs.divided),
    ew.float_power.record: _pow,
    ew.abs_.record: lambda op, inputs: of_pairs.hypot(*parts(inputs[0])),
    ew.eq.record: _equal,
    ew.neq.record: _either,
    ew.isnan.record: _either,
    ew.isinf.record: _either,
    reduce.PROD: _prod,
    CUMPROD: _cumprod,
    linalg.DOT: _bilinear,
    linalg.BATCHED_DOT: _bilinear,
    IFELSE: _ifelse,
    **OF_MATRICES,
    SHAPE_I: lambda op, inputs: op(parts(inputs[0])[0]),
    **{f.record: _elementwise(function) for f, function in of_pairs.FUNCTIONS.items()},
}

act_on_complex_with(_act)
