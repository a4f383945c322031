"""Proofs that a rule's two sides are one formula: graphs of elementwise ops as sympy expressions.

What is proved is equality over the reals, where the wildcards may be anything in the rule's domain. Rounding, overflow
and NaN are the business of the generated tests, which compare values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sympy

from symc.compiler.rewrite.engine import Rule, wildcards
from symc.graph import Constant, Variable, toposort

__all__ = ["is_proved", "to_sympy"]


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + sympy.exp(-x))


_MEANING: dict[str, Callable[..., Any]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "true_div": lambda x, y: x / y,
    "pow": lambda x, y: x**y,
    "neg": lambda x: -x,
    "abs": sympy.Abs,
    "sqr": lambda x: x**2,
    "sqrt": sympy.sqrt,
    "reciprocal": lambda x: 1 / x,
    "maximum": sympy.Max,
    "minimum": sympy.Min,
    "exp": sympy.exp,
    "exp2": lambda x: 2**x,
    "expm1": lambda x: sympy.exp(x) - 1,
    "log": sympy.log,
    "log1p": lambda x: sympy.log(1 + x),
    "sin": sympy.sin,
    "cos": sympy.cos,
    "tanh": sympy.tanh,
    "sinh": sympy.sinh,
    "cosh": sympy.cosh,
    "erf": sympy.erf,
    "erfc": lambda x: 1 - sympy.erf(x),
    "sigmoid": _sigmoid,
    "softplus": lambda x: sympy.log(1 + sympy.exp(x)),
    "relu": lambda x: sympy.Max(x, 0),
    "sigmoid_slope": lambda x: 1 / (2 + sympy.exp(x) + sympy.exp(-x)),
    "tanh_slope": lambda x: 4 / (2 + sympy.exp(2 * x) + sympy.exp(-2 * x)),
    "logaddexp": lambda x, y: sympy.log(sympy.exp(x) + sympy.exp(y)),
    "log1mexp": lambda x: sympy.log(1 - sympy.exp(x)),
    "logcosh": lambda x: sympy.log(sympy.cosh(x)),
    "log_erfc": lambda x: sympy.log(1 - sympy.erf(x)),
    "log_half_erfc": lambda x: sympy.log((1 - sympy.erf(x)) / 2),
    "cast": lambda x: x,
    "expand": lambda x: x,
}


def to_sympy(v: Variable, symbols: Mapping[Variable, Any]) -> Any:
    """The formula that a graph of elementwise ops computes.

    Parameters
    ----------
    v : Variable
    symbols : mapping
        What stands for the graph's inputs.

    Returns
    -------
    sympy.Expr

    Raises
    ------
    TypeError
        For an op that is no formula over the reals (comparisons, reductions, indexing ...), naming it.
    """
    known: dict[Variable, Any] = dict(symbols)

    def formula(x: Variable) -> Any:
        if x in known:
            return known[x]
        if isinstance(x, Constant) and x.data.size == 1:
            # a rule's numbers are meant as written: 0.5 is one half
            return sympy.nsimplify(sympy.Float(float(x.data.flat[0])), rational=True)
        raise TypeError(f"to_sympy: no formula is given for {x!r} of type {x.type}; pass it in symbols=")

    for node in toposort([v], frozenset(known)):
        meaning = _MEANING.get(node.op.name)
        if meaning is None:
            raise TypeError(
                f"to_sympy: {node.op.name} is no formula over the reals; those known are {', '.join(_MEANING)}"
            )
        known[node.outputs[0]] = meaning(*[formula(x) for x in node.inputs])
    return formula(v)


def is_proved(rule: Rule) -> bool:
    """Can sympy reduce the difference of the rule's two sides to zero, over the reals of its domain?

    Wildcards whose domain is positive are taken as positive numbers. A rule with a ``sample`` is proved for what the
    sample puts in the place of its wildcards, with constants as they are there.
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
