"""Fusion: from the rewritten graph to units of work.

A unit is either a *group* of fused ops, which becomes one loop nest, or a single unfused application: a library call, a
view, or explicit statements.

A group has *axes*. Every member has an *iteration map*: the group axis of each axis of its output (None where the
output has length 1). Reductions reduce over the group's *inner* axes; their results extend along the *outer* axes. A
softmax over rows is therefore one group: the outer axis is that of rows, and loops over the inner axis compute the
maximum, the sum and the quotient.

The pass traverses the graph from outputs to inputs. An op joins the group of its consumers if all of them are in one
group and agree on its iteration map; otherwise its value is stored and it starts a new group. A second traversal merges
a group with a producing group over the same axes, so that one loop may store several results. At last, groups become
epilogues of the library calls whose outputs they process.
"""

from symc.compiler.fusion.chains import chains_of
from symc.compiler.fusion.crossing import divided, terms_map
from symc.compiler.fusion.epilogues import row_axes, rows_of_vectors
from symc.compiler.fusion.fuse import fuse, may_fail
from symc.compiler.fusion.groups import (
    FusionGroup,
    IterationMap,
    Placement,
    Unit,
    along_of,
    axes_of,
    external_reads,
    is_costly,
    is_costly_op,
    is_dim,
    is_inline,
    nodes_of,
    read_along,
    read_along_rows,
    resolve,
    source_of,
    symbols_of_unit,
)

__all__ = [
    "FusionGroup",
    "Placement",
    "IterationMap",
    "Unit",
    "along_of",
    "axes_of",
    "chains_of",
    "divided",
    "source_of",
    "external_reads",
    "fuse",
    "rows_of_vectors",
    "is_costly",
    "is_costly_op",
    "is_dim",
    "is_inline",
    "may_fail",
    "nodes_of",
    "read_along",
    "read_along_rows",
    "row_axes",
    "resolve",
    "symbols_of_unit",
    "terms_map",
]
