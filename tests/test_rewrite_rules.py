"""Every rule that is a pair of graphs, by a generated test: same type, same value, it fires, it ends, it is proved."""

from __future__ import annotations

import numpy as np
import pytest

from symc.compiler.rewrite import rules
from symc.compiler.rewrite.engine import Rule, RuleList, filled, instantiate, rewrite, wildcards
from symc.compiler.rewrite.proof import is_proved
from symc.compiler.value_numbering import ValueNumbering
from symc.graph import Constant, Variable, toposort
from symc.graph.evaluate import evaluate
from symc.graph.types import TensorType

ALL = [
    r for name in ("CANONICAL", "STABLE", "SPECIAL", "STRUCTURAL") for r in getattr(rules, name) if isinstance(r, Rule)
]
ALGEBRAIC = [r for r in ALL if r.algebraic]
SHAPES = [(), (5,), (3, 4)]


def by_name(rule: Rule) -> str:
    return rule.name


def lifted(rule: Rule, shape: tuple[int, ...], dtype: str) -> tuple[Variable, dict[str, Variable]]:
    """The rule's pattern over tensors of this shape, its numbers broadcast, and the inputs by name."""
    inputs = {
        str(w.name): Variable(TensorType("bool" if w.dtype == "bool" else dtype, shape), None, 0, w.name)
        for w in wildcards(rule.pattern)
    }
    bound = inputs if rule.sample is None else rule.sample(dict(inputs))
    like = next((v for v in inputs.values() if v.dtype == dtype), next(iter(inputs.values())))
    return instantiate(rule.pattern, bound, like), inputs


def sample_values(rule: Rule, shape: tuple[int, ...], dtype: str, seed: int = 0) -> dict[str, np.ndarray]:
    """Values from the rule's domain for each of its wildcards, for the generated test."""
    random = np.random.default_rng(seed)
    values = {}
    for w in wildcards(rule.pattern):
        if w.dtype == "bool" or dtype == "bool":
            values[str(w.name)] = random.integers(0, 2, shape).astype("bool")
        elif np.dtype(dtype).kind in "iu":
            values[str(w.name)] = random.integers(1, 9, shape).astype(dtype)
        else:
            values[str(w.name)] = random.uniform(*rule.domain, shape).astype(dtype)
    return values


def cases() -> list:
    return [pytest.param(r, s, d, id=f"{r.name}-{d}-{len(s)}d") for r in ALL for d in r.dtypes for s in SHAPES]


@pytest.mark.parametrize(("rule", "shape", "dtype"), cases())
def test_both_sides_have_one_type_and_one_value(rule: Rule, shape: tuple[int, ...], dtype: str) -> None:
    before, inputs = lifted(rule, shape, dtype)
    (after,) = rewrite([before], RuleList("alone", [rule]))
    assert after.owner is not before.owner
    assert after.type == before.type
    values = sample_values(rule, shape, dtype)
    given = {inputs[name]: value for name, value in values.items()}
    old, new = evaluate([before, after], given)
    assert old.dtype == new.dtype
    assert old.shape == new.shape
    assert np.isfinite(old).all(), "the domain leads outside of the formula's: fix the rule's domain"
    np.testing.assert_allclose(
        new, old, rtol=1e-9 if dtype == "float64" else 3e-5, atol=1e-9 if dtype == "float64" else 1e-5
    )


@pytest.mark.parametrize("rule", ALL, ids=by_name)
def test_the_pattern_is_gone(rule: Rule) -> None:
    before, _ = lifted(rule, (3,), rule.dtypes[0])
    specialised = ValueNumbering().adopt([before])[0]
    assert rule.matches(specialised.owner), "the rule does not know its own pattern"
    (after,) = rewrite([before], RuleList("alone", [rule]))
    assert not any(rule.matches(node) for node in toposort([after]))


@pytest.mark.parametrize("rule", ALL, ids=by_name)
def test_all_rules_together_end_and_agree(rule: Rule) -> None:
    before, inputs = lifted(rule, (3,), rule.dtypes[0])
    together = rules.CANONICAL + rules.STABLE
    (after,) = rewrite([before], together)
    (again,) = rewrite([after], together)
    assert [n.op for n in toposort([again])] == [n.op for n in toposort([after])], "rules undo each other"
    given = {inputs[k]: v for k, v in sample_values(rule, (3,), rule.dtypes[0]).items()}
    old, new = evaluate([before, after], given)
    np.testing.assert_allclose(new, old, rtol=3e-5, atol=1e-5)


@pytest.mark.parametrize("rule", ALGEBRAIC, ids=by_name)
def test_is_proved(rule: Rule) -> None:
    assert is_proved(rule)


def test_a_wrong_rule_is_not_proved() -> None:
    from symc.compiler.rewrite.engine import Wildcard
    from symc.tensor import exp, expm1

    x = Wildcard("X")
    assert not is_proved(Rule("wrong", exp(x) - 1, expm1(x) * 2))
    assert not is_proved(Rule("sign", -(x - 1), x - 1))


def test_names_are_unique() -> None:
    for rule_list in (rules.CANONICAL, rules.STABLE, rules.SPECIAL, rules.STRUCTURAL):
        names = [r.name for r in rule_list]
        assert len(names) == len(set(names))


def test_filled_constants_keep_the_dtype() -> None:
    assert filled(3, "uint8", ()).dtype == "uint8"
    assert isinstance(filled(1.0, "float32", ()), Constant)
