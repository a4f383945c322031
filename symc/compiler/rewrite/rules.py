"""The rule lists, by purpose. The compiler's passes name these four."""

from __future__ import annotations

from symc.compiler.rewrite.canonical import ARITHMETIC, CANCELLING
from symc.compiler.rewrite.crossentropy import CROSSENTROPY_FORMS, CROSSENTROPY_RULES
from symc.compiler.rewrite.engine import RuleList
from symc.compiler.rewrite.folding import FOLDING
from symc.compiler.rewrite.layout import ARRANGING, PRODUCTS
from symc.compiler.rewrite.reducing import REDUCING
from symc.compiler.rewrite.special import SPECIALISED
from symc.compiler.rewrite.stability import FORMS, STABILITY

__all__ = ["BEFORE_GRADIENT", "CANONICAL", "SPECIAL", "STABLE", "STRUCTURAL"]

CANONICAL = RuleList("canonical", [*FOLDING, *ARRANGING, *REDUCING, *CANCELLING, *ARITHMETIC])
"""One way to write what can be written in many; useless work removed."""

STABLE = RuleList("stable", [*CROSSENTROPY_RULES, *STABILITY])
"""Forms that overflow or cancel replaced by those that do not."""

BEFORE_GRADIENT = RuleList("before gradient", [*CROSSENTROPY_FORMS, *FORMS])
"""The stable forms that ``grad`` recognises, so that derivatives are derivatives of these."""

SPECIAL = SPECIALISED
"""Forms for which there is a better primitive."""

STRUCTURAL = PRODUCTS
"""What library calls can read or write without a pass of its own."""
