"""``to_sympy``: scalar and elementwise expressions of symc as expressions of sympy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import sympy

from symc.errors import located
from symc.graph import Apply, Constant, Variable, toposort
from symc.graph.argument_faults import explain_faults
from symc.graph.dtypes import is_float, is_integer
from symc.graph.op import Record
from symc.tensor import elementwise as ew
from symc.tensor import stable, xlogx
from symc.tensor.basic import as_tensor
from symc.tensor.conversion import CAST
from symc.tensor.creation import ALLOC
from symc.tensor.special import erfc_forms, gamma_functions, inverse_erf

__all__ = ["to_sympy"]


def to_sympy(variable: Any, symbols: Mapping[Variable, Any] | None = None) -> Any:
    """Convert a scalar or elementwise expression to an expression of sympy.

    Parameters
    ----------
    variable : Variable, or list or tuple of Variable
        Built from elementwise functions. A tensor stands for one of its elements; the shapes must not matter: sums,
        products of matrices, indexing and transposition are refused.
    symbols : mapping, optional
        Symbols of sympy, or other expressions, for variables. By default a variable becomes a symbol of its name,
        without assumptions; unnamed inputs are called ``x0``, ``x1``, ...

    Returns
    -------
    sympy.Expr, sympy boolean, or list or tuple of these

    Raises
    ------
    TypeError
        If an op has no counterpart in sympy; the message names the op and its line.

    Examples
    --------
    >>> import symc, symc.tensor as T
    >>> x = T.dscalar("x")
    >>> symc.to_sympy(symc.grad(T.sin(x) * x, x)).simplify()
    x*cos(x) + sin(x)
    """
    found: dict[Variable, Any] = {as_tensor(k): sympy.sympify(v) for k, v in (symbols or {}).items()}
    if isinstance(variable, (list, tuple)):
        return type(variable)(_converted(as_tensor(v), found) for v in variable)
    return _converted(as_tensor(variable), found)


def _converted(root: Variable, found: dict[Variable, Any]) -> Any:
    for node in toposort([root], frozenset(found)):
        if node.outputs[0] in found:
            continue
        for v in node.inputs if not _reads_shapes_only(node) else node.inputs[:1]:
            if v not in found and v.owner is None:
                found[v] = _leaf(v, found)
        if all(v in found for v in _read(node)):
            _convert_node(node, found)
    if root not in found:
        if root.owner is not None:
            _refuse(root.owner)
        found[root] = _leaf(root, found)
    return found[root]


def _reads_shapes_only(node: Apply) -> bool:
    record = node.op.record
    return record.layout_only or record is ALLOC or bool(record.enlarges and record.enlarges(node.op))


def _read(node: Apply) -> Sequence[Variable]:
    """The inputs whose elements the output depends on."""
    return node.inputs[:1] if _reads_shapes_only(node) else node.inputs


def _convert_node(node: Apply, found: dict[Variable, Any]) -> None:
    record = node.op.record
    if len(node.outputs) == 1:
        parts = [found[v] for v in _read(node)]
        if record is CAST:
            found[node.outputs[0]] = _cast(node, parts[0])
        elif _repeats(node):
            found[node.outputs[0]] = parts[0]
        elif record in _FUNCTIONS:
            found[node.outputs[0]] = _FUNCTIONS[record](*(map(_number_of, parts) if record in _NUMERIC else parts))


def _repeats(node: Apply) -> bool:
    """Whether each element of the output is the element of input 0 at the same place."""
    op = node.op
    if op.record is ALLOC:
        return True
    if op.record.enlarges is not None:
        return op.record.enlarges(op)
    if op.record.lower is None and op.record.decompose is None and op.record.specialise is not None:
        same = node.inputs[0].type == node.outputs[0].type and op.record.reach is not None
        return same and op.record.reach.one_to_one and not op.record.layout_only  # type: ignore[union-attr]
    return False


def _refuse(last: Apply) -> None:
    """Raise the error for the last op that could not be converted."""
    for node in reversed(toposort([last.outputs[0]])):
        if not _repeats(node) and node.op.record is not CAST and node.op.record not in _FUNCTIONS:
            break
    text = f"to_sympy: {node.op.name} is no elementwise function that sympy has"
    repair = "convert what is before and after it, or name its result by symbols={variable: sympy.Symbol(...)}"
    raise TypeError(located(text, node.inputs[:3], repair, node.outputs[0].location))


def _leaf(v: Variable, found: Mapping[Variable, Any]) -> Any:
    if isinstance(v, Constant):
        values = np.unique(v.exact) if v.exact.size else np.zeros(1)
        if values.size != 1:
            text = "to_sympy: a constant array has different elements"
            raise TypeError(located(text, [v], "name it by symbols={constant: sympy.Symbol(...)}", v.location))
        return _exact(values[0])
    if v.name:
        return sympy.Symbol(v.name)
    taken = {str(s) for s in found.values()}
    return sympy.Symbol(next(f"x{k}" for k in range(len(taken) + 1) if f"x{k}" not in taken))


def _exact(value: Any) -> Any:
    """A number of sympy: exact where the number is a fraction with a small denominator."""
    if isinstance(value, (bool, np.bool_)):
        return sympy.true if value else sympy.false
    if isinstance(value, np.integer):
        return sympy.Integer(int(value))
    number = float(value)
    if not math.isfinite(number):
        return sympy.nan if math.isnan(number) else sympy.oo * int(math.copysign(1, number))
    exact = sympy.Rational(number)
    return exact if exact.q <= 1024 and abs(exact.p) < 2**53 else sympy.Float(number)


def _number_of(v: Any) -> Any:
    """A boolean as the number 0 or 1."""
    if v in (sympy.true, sympy.false) or isinstance(v, sympy.logic.boolalg.Boolean) and not isinstance(v, sympy.Expr):
        return sympy.Piecewise((1, v), (0, True))
    return v


def _cast(node: Apply, x: Any) -> Any:
    source, target = node.inputs[0].dtype, node.op["dtype"]
    if target == "bool":
        return x if source == "bool" else sympy.Ne(x, 0)
    x = _number_of(x)
    return _trunc(x) if is_float(source) and is_integer(target) else x


def _trunc(x: Any) -> Any:
    return sympy.sign(x) * sympy.floor(sympy.Abs(x))


def _switch(c: Any, x: Any, y: Any) -> Any:
    return sympy.Piecewise((_number_of(x), _condition(c)), (_number_of(y), True))


def _condition(c: Any) -> Any:
    if isinstance(c, sympy.Symbol):  # a symbol is a condition and a number in sympy
        return c
    return sympy.Ne(c, 0) if isinstance(c, sympy.Expr) and not isinstance(c, sympy.logic.boolalg.Boolean) else c


def _round_away(x: Any) -> Any:
    return sympy.sign(x) * sympy.floor(sympy.Abs(x) + sympy.S.Half)


def _round_even(x: Any) -> Any:
    up = sympy.floor(x + sympy.S.Half)
    tie = sympy.And(sympy.Eq(x + sympy.S.Half, up), sympy.Ne(sympy.Mod(up, 2), 0))
    return sympy.Piecewise((up - 1, tie), (up, True))


def _bits(logical: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *parts: logical(*map(_condition, parts))


_log2, _log10 = (lambda x, b=b: sympy.log(x) / sympy.log(b) for b in (2, 10))
_sigmoid = lambda x: 1 / (1 + sympy.exp(-x))  # noqa: E731
_softplus = lambda x: sympy.log(1 + sympy.exp(x))  # noqa: E731


def _xlogy(x: Any, y: Any) -> Any:
    return sympy.Piecewise((0, sympy.Eq(x, 0)), (x * sympy.log(y), True))


_TABLE: dict[Any, Callable[..., Any]] = {
    ew.add: lambda x, y: x + y, ew.sub: lambda x, y: x - y, ew.mul: lambda x, y: x * y,
    ew.true_div: lambda x, y: x / y, ew.floor_div: lambda x, y: sympy.floor(x / y), ew.mod: sympy.Mod,
    ew.neg: lambda x: -x, ew.abs_: sympy.Abs, ew.sgn: sympy.sign, ew.sqr: lambda x: x**2, ew.sqrt: sympy.sqrt,
    ew.inv: lambda x: 1 / x, ew.float_power: lambda x, y: x**y,
    ew.maximum: sympy.Max, ew.minimum: sympy.Min, ew.clip: lambda x, low, high: sympy.Min(sympy.Max(x, low), high),
    ew.floor: sympy.floor, ew.ceil: sympy.ceiling, ew.trunc: _trunc,
    ew.round_half_away_from_zero: _round_away, ew.round_half_to_even: _round_even,
    ew.exp: sympy.exp, ew.exp2: lambda x: 2**x, ew.expm1: lambda x: sympy.exp(x) - 1,
    ew.log: sympy.log, ew.log2: _log2, ew.log10: _log10, ew.log1p: lambda x: sympy.log(1 + x),
    ew.sin: sympy.sin, ew.cos: sympy.cos, ew.tan: sympy.tan, ew.arcsin: sympy.asin, ew.arccos: sympy.acos,
    ew.arctan: sympy.atan, ew.arctan2: sympy.atan2, ew.sinh: sympy.sinh, ew.cosh: sympy.cosh, ew.tanh: sympy.tanh,
    ew.arcsinh: sympy.asinh, ew.arccosh: sympy.acosh, ew.arctanh: sympy.atanh,
    ew.deg2rad: lambda x: x * sympy.pi / 180, ew.rad2deg: lambda x: x * 180 / sympy.pi,
    ew.tanh_slope: lambda x: 1 / sympy.cosh(x) ** 2, ew.logcosh: lambda x: sympy.log(sympy.cosh(x)),
    ew.sigmoid: _sigmoid, ew.sigmoid_slope: lambda x: _sigmoid(x) * (1 - _sigmoid(x)), ew.softplus: _softplus,
    ew.log_softplus: lambda x: sympy.log(_softplus(x)), ew.softplus_hazard: lambda x: _sigmoid(x) / _softplus(x),
    ew.softplus_bend: lambda x: _sigmoid(-x) - _sigmoid(x) / _softplus(x), ew.relu: lambda x: sympy.Max(x, 0),
    ew.erf: sympy.erf, ew.erfc: sympy.erfc, inverse_erf.erfinv: sympy.erfinv, inverse_erf.erfcinv: sympy.erfcinv,
    erfc_forms.erfcx: lambda x: sympy.exp(x**2) * sympy.erfc(x),
    erfc_forms.log_erfc: lambda x: sympy.log(sympy.erfc(x)),
    gamma_functions.gamma: sympy.gamma, gamma_functions.gammaln: lambda x: sympy.log(sympy.Abs(sympy.gamma(x))),
    stable.logaddexp: lambda x, y: sympy.log(sympy.exp(x) + sympy.exp(y)),
    xlogx.xlogx: lambda x: _xlogy(x, x), xlogx.xlogy0: _xlogy,
    ew.lt: sympy.Lt, ew.le: sympy.Le, ew.gt: sympy.Gt, ew.ge: sympy.Ge, ew.eq: sympy.Eq, ew.neq: sympy.Ne,
    ew.isnan: lambda x: sympy.Eq(x, sympy.nan), ew.isinf: lambda x: sympy.Eq(sympy.Abs(x), sympy.oo),
    ew.and_: _bits(sympy.And), ew.or_: _bits(sympy.Or), ew.xor: _bits(sympy.Xor), ew.invert: _bits(sympy.Not),
    ew.switch: _switch,
}  # fmt: skip

_FUNCTIONS: dict[Record, Callable[..., Any]] = {f.record: build for f, build in _TABLE.items()}
_LOGICAL = {f.record for f in (ew.and_, ew.or_, ew.xor, ew.invert, ew.switch)}
_NUMERIC = _FUNCTIONS.keys() - _LOGICAL


explain_faults(globals())
