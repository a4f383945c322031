"""Every rule over the whole range of floats, against arithmetic of hundreds of digits: none may make a result worse.

For each pair of graphs in the rule lists the pattern is put into the expressions that people put around it, and the
result of the rewritten graph is compared with that of the graph as it was. Where the original is accurate the rewritten
one must be, up to what a rounding of the inputs themselves would change.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import mpmath
import numpy as np
import pytest
import sympy

import symc
from symc.compiler.rewrite import rules
from symc.compiler.rewrite.engine import Rule, RuleList, Wildcard, instantiate, rewrite, wildcards
from symc.compiler.rewrite.proof import to_sympy
from symc.compiler.shape_specialisation import specialise
from symc.graph import Variable
from symc.graph.evaluate import evaluate
from symc.graph.types import TensorType
from symc.tensor import elementwise as ew

LISTS = (rules.BEFORE_GRADIENT, rules.CANONICAL, rules.STABLE, rules.SPECIAL)
RULES = list({r.name: r for rule_list in LISTS for r in rule_list if isinstance(r, Rule)}.values())
REAL = [r for r in RULES if r.algebraic and "float32" in r.dtypes]
SIZES = (1e-38, 1e-20, 1e-10, 1e-3, 0.5, 1.0, 3.0, 17.0, 50.0, 88.5, 100.0, 800.0, 1e10, 1e20, 3e38)
FEW = (1e-38, 1e-10, 0.75, 17.0, 88.5, 1e10, 3e38)
PIPELINE = (rules.CANONICAL, rules.CANONICAL + rules.STABLE)
EPS, TINY, MAX = (float(getattr(np.finfo("float32"), k)) for k in ("eps", "tiny", "max"))

STABLE = [r for r in REAL if any(r.name == other.name for other in (*rules.BEFORE_GRADIENT, *rules.STABLE))]

# what the pattern is put into
CONTEXTS: dict[str, Callable[[Variable, Variable], Variable]] = {
    "one minus it": lambda f, x: 1 - f,
    "times exp(x)": lambda f, x: f * ew.exp(x),
    "in a weighted sum": lambda f, x: 0.25 * f - 3 * x,
}


def signed(sizes: tuple[float, ...]) -> list[float]:
    return [-s for s in reversed(sizes)] + [0.0, *sizes]


def points(count: int) -> list[np.ndarray]:
    """One array for each of ``count`` inputs: together all combinations of small, large and signed values."""
    values = signed(SIZES if count == 1 else FEW if count == 2 else (1e-10, 3.0, 1e10))
    return [np.array(column, "float32") for column in zip(*itertools.product(values, repeat=count))]


class Subject:
    """A rule's pattern over vectors of inputs, with what its sample puts in the place of wildcards."""

    def __init__(self, rule: Rule) -> None:
        free = wildcards(rule.pattern)
        self.arrays = points(sum(not w.constant for w in free) if rule.sample is None else len(_kept(rule)))
        shape = (self.arrays[0].size,)
        self.inputs = {str(w.name): Variable(TensorType("float32", shape), None, 0, w.name) for w in free}
        bound = dict(self.inputs) if rule.sample is None else rule.sample(dict(self.inputs))
        like = next(iter(self.inputs.values()))
        self.pattern = instantiate(rule.pattern, bound, like)
        self.used = [v for v in self.inputs.values() if v in set(symc.graph.ancestors([self.pattern]))]
        self.x = self.used[0]
        self.symbols = {v: sympy.Symbol(str(v.name), real=True) for v in self.used}

    def exact(self, formula: sympy.Expr) -> Iterator[tuple[mpmath.mpf, mpmath.mpf] | None]:
        """At each point the value, and how much a change of the inputs by their own sizes would change it."""
        order = list(self.symbols.values())
        sway = [sympy.Abs(s * sympy.diff(formula, s)) for s in order]
        compiled = sympy.lambdify(order, [formula, *sway], "mpmath", cse=True)
        plain = not formula.has(sympy.exp, sympy.erf, sympy.tanh, sympy.cosh, sympy.sinh)
        for point in zip(*self.arrays):
            yield _at(compiled, [float(v) for v in point], (120, 160) if plain else (420, 700))


def _at(compiled: Callable, point: list[float], precisions: tuple[int, int]) -> tuple[mpmath.mpf, mpmath.mpf] | None:
    """What the formula gives, or None where it has no value, or where even hundreds of digits cancel."""
    found = []
    for digits in precisions:
        with mpmath.workdps(digits):
            try:
                value, *sway = compiled(*[mpmath.mpf(v) for v in point])
                found.append((mpmath.mpf(value), mpmath.fsum(mpmath.mpf(s) for s in sway)))
            except (ZeroDivisionError, ValueError, TypeError, OverflowError, NameError, mpmath.libmp.NoConvergence):
                return None
            if not (mpmath.isfinite(found[-1][0]) and mpmath.isfinite(found[-1][1])):
                return None
    (a, s), (b, _) = found
    return None if abs(a - b) > 1e-20 * abs(b) + mpmath.mpf(TINY) * 1e-9 else (a, s)


def check(what: str, subject: Subject, before: Variable, after: Variable) -> int:
    """Compare the two graphs; how often there was something to compare."""
    given = dict(zip(subject.used, subject.arrays))
    with np.errstate(all="ignore"):
        old, new = evaluate([before, after], given)
    compared = 0
    for k, found in enumerate(subject.exact(to_sympy(before, subject.symbols))):
        if found is None or abs(found[0]) > MAX * 0.99 or not np.isfinite(old[k]):
            continue
        want, sway = found
        compared += 1
        point = ", ".join(f"{v.name}={a[k]}" for v, a in zip(subject.used, subject.arrays))
        shown = f"{what} at {point}: {old[k]} became {new[k]}, want {mpmath.nstr(want, 9)}"
        assert np.isfinite(new[k]), shown
        miss, missed = (abs(mpmath.mpf(float(v)) - want) for v in (new[k], old[k]))
        assert miss <= 8 * missed + 32 * EPS * (abs(want) + sway) + 4 * TINY, shown
    return compared


def _kept(rule: Rule) -> list[Variable]:
    """The inputs that are left when the rule's sample has replaced some."""
    named: dict[str, Variable] = {str(w.name): w for w in wildcards(rule.pattern)}
    assert rule.sample is not None
    filled_in = rule.sample(dict(named))
    found = set(symc.graph.ancestors(list(filled_in.values())))
    return [v for v in named.values() if v in found]


def by_name(rule: Rule) -> str:
    return rule.name


@pytest.mark.parametrize("rule", REAL, ids=by_name)
def test_the_rule_alone(rule: Rule) -> None:
    subject = Subject(rule)
    (after,) = rewrite([subject.pattern], RuleList("alone", [rule]))
    assert check(rule.name, subject, subject.pattern, after) > 0


def through_the_passes(graph: Variable) -> Variable:
    found = [graph]
    for rule_list in PIPELINE:
        found = rewrite(found, rule_list)
    return found[0]


@pytest.mark.parametrize("rule", STABLE, ids=by_name)
def test_the_rule_among_others(rule: Rule) -> None:
    for context, build in CONTEXTS.items():
        subject = Subject(rule)
        before = build(subject.pattern, subject.x)
        check(f"{rule.name}, {context}", subject, before, through_the_passes(before))


def test_a_rule_that_cancels_is_noticed() -> None:
    x = Wildcard("X")
    bad = [
        Rule("cancels", ew.sigmoid(-x), 1 - ew.sigmoid(x)),
        Rule("overflows", ew.abs_(x), ew.sqrt(ew.sqr(x))),
        Rule("cancels later", x * 3, (x + 1) * 2.5 + (x * 0.5 - 2.5)),
    ]
    for rule in bad:
        subject = Subject(rule)
        (after,) = rewrite([subject.pattern], RuleList("alone", [rule]))
        with pytest.raises(AssertionError):
            check(rule.name, subject, subject.pattern, after)


@pytest.mark.parametrize("rule", STABLE, ids=by_name)
def test_derivatives(rule: Rule) -> None:
    subject = Subject(rule)
    slope, formula = subject.pattern, to_sympy(subject.pattern, subject.symbols)
    inside = [found is not None for found in subject.exact(formula)]  # of the domain, and its digits are known
    for order in (1, 2):
        slope = symc.grad(slope.sum(), subject.x, disconnected_inputs="ignore")
        formula = sympy.diff(formula, subject.symbols[subject.x])
        given = dict(zip(subject.used, subject.arrays))
        specialised = specialise(subject.used, [slope])
        with np.errstate(all="ignore"):
            (got,) = evaluate(
                [through_the_passes(specialised.outputs[0])], {specialised.sources[v]: a for v, a in given.items()}
            )
        for k, found in enumerate(subject.exact(formula)):
            if found is None or not inside[k] or not TINY <= abs(found[0]) < MAX * 0.99:
                continue
            want, sway = found
            point = ", ".join(f"{v.name}={a[k]}" for v, a in given.items())
            shown = f"{rule.name}, order {order} at {point}: got {got[k]}, want {mpmath.nstr(want, 9)}"
            assert np.isfinite(got[k]), shown
            assert abs(mpmath.mpf(float(got[k])) - want) <= 256 * EPS * (abs(want) + sway), shown
