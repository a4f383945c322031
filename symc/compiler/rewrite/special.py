"""Cheaper equivalent forms, applied after all rules for correctness."""

from __future__ import annotations

from symc.compiler.rewrite.engine import Rule, RuleList, Wildcard
from symc.tensor import elementwise as ew

__all__ = ["SPECIALISED"]

X = Wildcard("X")

SPECIALISED = RuleList("specialised", [Rule("rectifier", ew.maximum(X, 0), ew.relu(X), algebraic=False)])
