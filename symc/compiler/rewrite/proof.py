"""Proofs that a rule's two sides are equal: conversion of graphs of elementwise ops to sympy expressions.

Equality is proved over the reals, for all values of the wildcards in the rule's domain. Rounding, overflow and NaN are
covered by the generated tests, which compare values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sympy

from symc.compiler.rewrite.engine import Rule, wildcards
from symc.compiler.rewrite.ops import (
    ABS,
    ADD,
    BROADCAST,
    CAST,
    COS,
    COSH,
    ERF,
    ERFC,
    EXP,
    EXP2,
    EXPAND,
    EXPM1,
    LOG,
    LOG1MEXP,
    LOG1P,
    LOG_ERFC,
    LOG_GOMPIT,
    LOG_HALF_ERFC,
    LOGADDEXP,
    LOGCOSH,
    MAXIMUM,
    MINIMUM,
    MUL,
    NEG,
    POW,
    RECIPROCAL,
    RELU,
    SIGMOID,
    SIGMOID_SLOPE,
    SIN,
    SINH,
    SOFTPLUS,
    SQR,
    SQRT,
    SUB,
    TANH,
    TANH_SLOPE,
    TRUE_DIV,
)
from symc.graph import Constant, Variable, toposort
from symc.graph.op import Record

__all__ = ["is_proved", "to_sympy"]


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + sympy.exp(-x))


_MEANING: dict[Record, Callable[..., Any]] = {
    ADD: lambda x, y: x + y,
    SUB: lambda x, y: x - y,
    MUL: lambda x, y: x * y,
    TRUE_DIV: lambda x, y: x / y,
    POW: lambda x, y: x**y,
    NEG: lambda x: -x,
    ABS: sympy.Abs,
    SQR: lambda x: x**2,
    SQRT: sympy.sqrt,
    RECIPROCAL: lambda x: 1 / x,
    MAXIMUM: sympy.Max,
    MINIMUM: sympy.Min,
    EXP: sympy.exp,
    EXP2: lambda x: 2**x,
    EXPM1: lambda x: sympy.exp(x) - 1,
    LOG: sympy.log,
    LOG1P: lambda x: sympy.log(1 + x),
    SIN: sympy.sin,
    COS: sympy.cos,
    TANH: sympy.tanh,
    SINH: sympy.sinh,
    COSH: sympy.cosh,
    ERF: sympy.erf,
    ERFC: lambda x: 1 - sympy.erf(x),
    SIGMOID: _sigmoid,
    SOFTPLUS: lambda x: sympy.log(1 + sympy.exp(x)),
    RELU: lambda x: sympy.Max(x, 0),
    SIGMOID_SLOPE: lambda x: 1 / (2 + sympy.exp(x) + sympy.exp(-x)),
    TANH_SLOPE: lambda x: 4 / (2 + sympy.exp(2 * x) + sympy.exp(-2 * x)),
    LOGADDEXP: lambda x, y: sympy.log(sympy.exp(x) + sympy.exp(y)),
    LOG1MEXP: lambda x: sympy.log(1 - sympy.exp(x)),
    LOGCOSH: lambda x: sympy.log(sympy.cosh(x)),
    LOG_ERFC: lambda x: sympy.log(1 - sympy.erf(x)),
    LOG_GOMPIT: lambda x: sympy.log(1 - sympy.exp(-sympy.exp(x))),
    LOG_HALF_ERFC: lambda x: sympy.log((1 - sympy.erf(x)) / 2),
    CAST: lambda x: x,
    EXPAND: lambda x: x,
    BROADCAST: lambda x, *likes: x,
}


def to_sympy(v: Variable, symbols: Mapping[Variable, Any]) -> Any:
    """Convert a graph of elementwise ops to a formula.

    Parameters
    ----------
    v : Variable
    symbols : mapping
        Maps the graph's inputs to sympy expressions.

    Returns
    -------
    sympy.Expr

    Raises
    ------
    TypeError
        For an op that is not a formula over the reals (comparisons, reductions, indexing and others), which is named.
    """
    known: dict[Variable, Any] = dict(symbols)

    def formula(x: Variable) -> Any:
        if x in known:
            return known[x]
        if isinstance(x, Constant) and x.data.size == 1:
            # a rule's numbers are exact: 0.5 is one half
            return sympy.nsimplify(sympy.Float(float(x.data.flat[0])), rational=True)
        raise TypeError(f"to_sympy: no formula is given for {x!r} of type {x.type}; pass it in symbols=")

    for node in toposort([v], frozenset(known)):
        meaning = _MEANING.get(node.op.record)
        if meaning is None:
            known_ones = ", ".join(r.name for r in _MEANING)
            raise TypeError(f"to_sympy: {node.op.name} is no formula over the reals; those known are {known_ones}")
        known[node.outputs[0]] = meaning(*[formula(x) for x in node.inputs])
    return formula(v)


def is_proved(rule: Rule) -> bool:
    """Whether sympy reduces the difference of the rule's two sides to zero, over the reals of its domain.

    Wildcards whose domain is positive are assumed to be positive numbers. A rule with a ``sample`` is proved for the
    expressions and constants of the sample.
    """
    low = rule.domain[0]
    names: dict[str, Variable] = {str(w.name): w for w in wildcards(rule.pattern)}
    symbols: dict[Variable, Any] = {
        w: sympy.Symbol(name, real=True, **({"positive": True} if low >= 0 else {})) for name, w in names.items()
    }
    meant = {w: to_sympy(v, symbols) for w, v in zip(names.values(), _sampled(rule, names))}
    difference = to_sympy(rule.pattern, meant) - to_sympy(rule.replacement, meant)
    return any(bool(attempt(difference) == 0) for attempt in _ATTEMPTS)


def _sampled(rule: Rule, names: Mapping[str, Variable]) -> list[Variable]:
    found = dict(names) if rule.sample is None else rule.sample(dict(names))
    return [found[name] for name in names]


def _by_exponentials(e: Any) -> Any:
    return sympy.simplify(sympy.expand_log(e.rewrite(sympy.exp), force=True))


def _by_logarithms(e: Any) -> Any:
    return sympy.simplify(sympy.exp(sympy.logcombine(e, force=True))) - 1


_ATTEMPTS: tuple[Callable[[Any], Any], ...] = (
    lambda e: e,
    sympy.expand,
    sympy.simplify,
    _by_exponentials,
    _by_logarithms,
    lambda e: sympy.simplify(sympy.exp(e)) - 1,
)
