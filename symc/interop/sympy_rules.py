"""The symbolic expressions that arithmetic, symbols, arrays, sums and products of sympy become.

A rule maps a conversion and a node to the nodes that must be converted first, and a function of their values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from math import nan, prod
from typing import Any

import numpy as np
import sympy
from sympy.tensor.indexed import Idx

from symc.errors import located
from symc.graph import Variable
from symc.interop import sympy_matrices as matrices
from symc.interop.sympy_scalars import condition, piecewise
from symc.tensor import elementwise as ew
from symc.tensor import reduce as reductions
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor
from symc.tensor.creation import arange
from symc.tensor.indices import indexing
from symc.tensor.joining import stack
from symc.tensor.symbolic_dims import shape_i

__all__ = ["RULES"]

Value = Any
Rule = tuple[Sequence[Any], Callable[..., Value]]


def _number(convert: Any, node: Any) -> Rule:
    if node.is_Integer and abs(int(node)) < 2**63:
        return (), lambda: int(node)
    if node is sympy.zoo or node is sympy.nan:
        return (), lambda: float("nan")
    return (), lambda: float(node)


def _rational(convert: Any, node: Any) -> Rule:
    return (), lambda: node.p / node.q


def _imaginary(convert: Any, node: Any) -> Rule:
    return (), lambda: 1j


def _truth(convert: Any, node: Any) -> Rule:
    return (), lambda: bool(node)


def _add(convert: Any, node: Any) -> Rule:
    """Sums; terms with a negative coefficient are subtracted."""
    terms = []
    for term in node.args:
        factor = term.as_coeff_Mul()[0] if not term.is_Number else term
        negative = bool(factor.is_extended_negative) and not (factor.is_infinite or factor is sympy.nan)
        terms.append((negative, -term if negative else term))
    terms.sort(key=lambda entry: entry[0])

    def build(*parts: Value) -> Value:
        signed = [(negative, v) for (negative, _), v in zip(terms, convert.alike(parts))]
        number = sum(-v if negative else v for negative, v in signed if not isinstance(v, Variable))
        signed = [(negative, v) for negative, v in signed if isinstance(v, Variable)]
        if not signed:
            return number
        first, *rest = signed
        total = ew.neg(first[1]) if first[0] else first[1]
        for negative, v in rest:
            total = ew.sub(total, v) if negative else ew.add(total, v)
        if number == 0:
            return total
        negative = not isinstance(number, complex) and number < 0
        return ew.sub(total, -number) if negative else ew.add(total, number)

    return [t for _, t in terms], build


def _mul(convert: Any, node: Any) -> Rule:
    """Products; factors with negative exponents become a denominator."""
    coefficient, factors = node.as_coeff_mul()
    above: list[Any] = []
    below: list[Any] = []
    negative = bool(coefficient.is_extended_negative)
    size = -coefficient if negative else coefficient
    if size.is_Rational:
        above += [sympy.Integer(size.p)] if size.p != 1 else []
        below += [sympy.Integer(size.q)] if size.q != 1 else []
    elif size != 1:
        above.append(size)
    for factor in factors:
        base, exponent = factor.as_base_exp()
        if isinstance(factor, sympy.Pow) and exponent.is_Number and exponent.is_negative:
            below.append(sympy.Pow(base, -exponent))
        else:
            above.append(factor)

    def build(*parts: Value) -> Value:
        top, bottom = convert.alike(parts[: len(above)]), convert.alike(parts[len(above) :])
        upper, lower = _multiplied(top), _multiplied(bottom)
        if not isinstance(lower, Variable) and lower == 1:
            made = upper
        elif not isinstance(upper, Variable) and not isinstance(lower, Variable):
            made = upper / lower
        elif not isinstance(upper, Variable) and upper == 1:
            made = ew.inv(convert.real(lower))
        else:
            made = ew.true_div(convert.real(upper), convert.real(lower))
        return (ew.neg(made) if isinstance(made, Variable) else -made) if negative else made

    return [*above, *below], build


def _multiplied(parts: Sequence[Value]) -> Value:
    """The product of variables and numbers; the numbers are multiplied first, in float64."""
    number = prod(p for p in parts if not isinstance(p, Variable))
    variables = [p for p in parts if isinstance(p, Variable)]
    if not variables:
        return number
    made = reduce(ew.mul, variables)
    return made if number == 1 else ew.mul(number, made)


def _pow(convert: Any, node: Any) -> Rule:
    base, exponent = node.args
    if base is sympy.E:
        return (exponent,), lambda e: ew.exp(convert.real(e))
    if exponent.is_Rational:
        if exponent == sympy.S.Half:
            return (base,), lambda b: ew.sqrt(convert.real(b))
        if exponent.is_negative:
            rest = sympy.Pow(base, -exponent)
            return (rest,), lambda r: ew.inv(convert.real(r))
        if exponent.is_Integer:
            return (base,), lambda b: ew.power(b, int(exponent))
        return (base,), lambda b: ew.power(convert.real(b), exponent.p / exponent.q)
    if base == 2:
        return (exponent,), lambda e: ew.exp2(convert.real(e))
    return (base, exponent), lambda b, e: ew.power(*convert.alike([b, e]))


def _piecewise(convert: Any, node: Any) -> Rule:
    pairs = list(node.args)
    parts = [p.expr for p in pairs] + [p.cond for p in pairs]

    def build(*found: Value) -> Value:
        *values, otherwise = convert.alike([*found[: len(pairs)], nan])
        if not any(isinstance(v, Variable) for v in values):
            values = [ew.cast(as_tensor(v), convert.dtype) for v in values]
        return piecewise(values, found[len(pairs) :], otherwise)

    return parts, build


def _negated(function: Callable[..., Any]) -> Callable[[Any, Any], Rule]:
    return lambda convert, node: (node.args, lambda *parts: ew.invert(reduce(function, map(condition, parts))))


def _symbol(convert: Any, node: Any) -> Rule:
    raise convert.missing([node])


def _indexed(convert: Any, node: Any) -> Rule:
    base, places = node.base, node.indices
    whole = convert.lookup(base)
    if whole is None:
        whole = convert.lookup(base.label)
    if whole is None:
        raise convert.missing([base])
    return places, lambda *found: indexing.subtensor(whole, tuple(matrices.whole(node, i) for i in found))


def _nested(convert: Any, node: Any) -> Rule:
    """Arrays of sympy."""

    def build(*parts: Value) -> Value:
        if all(isinstance(p, (int, float)) for p in parts):
            return as_tensor(np.array(parts).reshape(node.shape).tolist())
        variables = matrices.broadcast([as_tensor(p) for p in convert.alike(parts)])
        lead = variables[0].ndim
        flat = stack(variables, axis=-1)
        return flat.reshape([*(shape_i(flat, k) for k in range(lead)), *node.shape], ndim=lead + len(node.shape))

    return list(sympy.flatten(node.tolist())), build


# --- sums and products ------------------------------------------------------------------------------------------------


def _repeated(convert: Any, node: Any) -> Rule:
    """``Sum`` and ``Product`` over ranges, the outermost range first."""
    total = isinstance(node, sympy.Sum)
    limits = [_limit(node, limit) for limit in node.limits]
    if any(b.is_infinite for _, *ends in limits for b in ends if isinstance(b, sympy.Basic)):
        done = node.doit()
        if isinstance(done, sympy.Piecewise):  # NaN where it does not converge
            done = done.func(*((sympy.nan if e.has(sympy.Sum, sympy.Product) else e, c) for e, c in done.args))
        if done.has(sympy.Sum, sympy.Product) or done is sympy.nan:
            text = f"from_sympy: {node} has an infinite number of terms"
            raise TypeError(located(text, [], "give finite limits"))
        return (done,), lambda value: value
    return (), lambda: _over_ranges(convert, node.function, limits[::-1], total)


def _limit(node: Any, limit: Any) -> tuple[Any, Any, Any]:
    entries = tuple(limit)
    if len(entries) == 3:
        return entries[0], entries[1], entries[2]
    index = entries[0]
    if isinstance(index, Idx) and index.lower is not None and index.upper is not None:
        return index, index.lower, index.upper
    raise TypeError(located(f"from_sympy: {node} has no limits for {index}", [], "give (index, first, last)"))


def _over_ranges(convert: Any, body: Any, limits: Sequence[tuple[Any, Any, Any]], total: bool) -> Value:
    if not limits:
        return convert(body)
    (index, first, last), inner = limits[0], limits[1:]
    low, high = convert(first), convert(last)
    if isinstance(low, int) and isinstance(high, int) and high < low - 1:  # sympy's convention for reversed limits
        turned = _over_ranges(convert, body, [(index, sympy.Integer(high + 1), sympy.Integer(low - 1)), *inner], total)
        return ew.neg(turned) if total else ew.inv(convert.real(turned))
    depth = _axes_of(convert, [body, *(e for entry in inner for e in entry[1:])])
    ends = [as_tensor(matrices.whole(body, e)) for e in (low, high)]
    depth = max(depth, *(e.ndim for e in ends))
    start, stop = (reductions.min(ends[0]), reductions.max(ends[1])) if max(e.ndim for e in ends) else ends
    counter = arange(start, ew.add(stop, 1), dtype="int64")
    place = dimshuffle(counter, [0, *["x"] * depth])
    at, inside = place, None
    if max(e.ndim for e in ends):  # a range for each element: terms outside of it are not selected
        inside = ew.and_(ew.ge(place, ends[0]), ew.le(place, ends[1]))
        at = ew.minimum(ew.maximum(place, ends[0]), ends[1])
    terms = as_tensor(_over_ranges(convert.within({index: at}), body, inner, total))
    if terms.ndim <= depth:  # the index does not occur
        count = ew.maximum(ew.add(ew.sub(ends[1], ends[0]), 1), 0)
        return ew.mul(terms, count) if total else ew.power(terms, count)
    if inside is not None:
        terms = ew.switch(inside, terms, 0 if total else 1)
    return reductions.sum(terms, axis=0) if total else reductions.prod(terms, axis=0)


def _axes_of(convert: Any, parts: Iterable[Any]) -> int:
    """The largest number of axes of a scalar symbol in ``parts``."""
    symbols = {s for part in parts for s in part.atoms(sympy.Symbol, Idx)}
    values = [convert.lookup(s) for s in symbols]
    return max((v.ndim for v in values if isinstance(v, Variable)), default=0)


RULES: dict[type, Callable[[Any, Any], Rule]] = {
    sympy.Integer: _number, sympy.Rational: _rational, sympy.Number: _number, sympy.NumberSymbol: _number,
    type(sympy.zoo): _number, type(sympy.I): _imaginary, sympy.logic.boolalg.BooleanAtom: _truth,
    sympy.Add: _add, sympy.Mul: _mul, sympy.Pow: _pow, sympy.Piecewise: _piecewise,
    sympy.Nand: _negated(ew.and_), sympy.Nor: _negated(ew.or_),
    sympy.Symbol: _symbol, sympy.MatrixSymbol: _symbol, sympy.DeferredVector: _symbol, sympy.Indexed: _indexed,
    sympy.NDimArray: _nested,
    sympy.Sum: _repeated, sympy.Product: _repeated,
}  # fmt: skip
