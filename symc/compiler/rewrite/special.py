"""Forms for which there is a cheaper one, tried when everything that aims at being right is done."""

from __future__ import annotations

from symc.compiler.rewrite.engine import Rule, RuleList, Wildcard
from symc.tensor import elementwise as ew

__all__ = ["SPECIALISED"]

X = Wildcard("X")

SPECIALISED = RuleList("specialised", [Rule("rectifier", ew.maximum(X, 0), ew.relu(X), algebraic=False)])
