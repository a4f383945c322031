"""The rule lists, by purpose. The compiler's passes name these four."""

from __future__ import annotations

from symc.rewrite.engine import RuleList

__all__ = ["CANONICAL", "SPECIAL", "STABLE", "STRUCTURAL"]

CANONICAL = RuleList("canonical", [])
STABLE = RuleList("stable", [])
SPECIAL = RuleList("special", [])
STRUCTURAL = RuleList("structural", [])
