"""The rule lists of the compiler's passes and of ``grad``, by purpose."""

from __future__ import annotations

from symc.compiler.rewrite.canonical import ARITHMETIC, CANCELLING
from symc.compiler.rewrite.crossentropy import CROSSENTROPY_FORMS, CROSSENTROPY_RULES
from symc.compiler.rewrite.diagonals import DIAGONALS
from symc.compiler.rewrite.engine import RuleList
from symc.compiler.rewrite.folding import FOLDING
from symc.compiler.rewrite.layout import ARRANGING, PRODUCTS
from symc.compiler.rewrite.reducing import REDUCING
from symc.compiler.rewrite.special import SPECIALISED
from symc.compiler.rewrite.stability import FORMS, STABILITY

__all__ = ["BEFORE_GRADIENT", "CANONICAL", "SPECIAL", "STABLE", "STRUCTURAL"]

CANONICAL = RuleList("canonical", [*FOLDING, *ARRANGING, *REDUCING, *DIAGONALS, *CANCELLING, *ARITHMETIC])
"""Canonical forms, and removal of redundant work."""

STABLE = RuleList("stable", [*CROSSENTROPY_RULES, *STABILITY])
"""Stable replacements of forms that overflow or cancel."""

BEFORE_GRADIENT = RuleList("before gradient", [*CROSSENTROPY_FORMS, *FORMS])
"""The stable forms that ``grad`` recognises and differentiates."""

SPECIAL = SPECIALISED
"""Replacements of forms for which there is a better primitive."""

STRUCTURAL = PRODUCTS
"""Rules that let library calls read or write operands in place."""
