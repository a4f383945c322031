"""Fusion: from the rewritten graph to units of work.

A unit is either a *group* of fused ops, which becomes one loop nest, or a single application that stands alone: a
library call, a view, or statements written out.

A group has *axes*. Every member has a *itermap*: for each axis of its output, the group axis it follows (None where the
output has length 1). Reductions reduce over the group's *inner* axes; their results live on the *outer* ones. So a
softmax over rows is one group: the outer axis counts rows, and along the inner axis its loops find the maximum, the
sum, the quotient.

The pass walks from outputs to inputs. An op joins the group of its consumers when all of them are in one group and
agree on its itermap; otherwise its value is stored and it starts a group of its own. A second walk lets a group swallow
a producing group over the same axes, so that one loop may store several results.
"""

from symc.compiler.fusion.fuse import fuse, may_fail
from symc.compiler.fusion.groups import (
    FusionGroup,
    IterationMap,
    Unit,
    axes_of,
    external_reads,
    is_costly,
    is_inline,
    resolve,
    source_of,
    symbols_of_unit,
)

__all__ = [
    "FusionGroup",
    "IterationMap",
    "Unit",
    "axes_of",
    "source_of",
    "external_reads",
    "fuse",
    "is_costly",
    "is_inline",
    "may_fail",
    "resolve",
    "symbols_of_unit",
]
