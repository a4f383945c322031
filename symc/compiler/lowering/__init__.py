"""Lowering: from a fused group to kernels of loop IR.

A group becomes loops in one of three forms:

*map*
    no reductions. Axes that every operand walks alike are merged; the last one is a ``simd`` loop, the others share a
    parallel loop (a single axis is cut into blocks, the two axes of a transpose into tiles).
*rows*
    reductions along the axis that is last in memory: a parallel loop over the outer axes, and inside it one *phase*
    after another, each a loop over the inner axes. A phase computes the reductions whose inputs are known by then, and
    stores what it can; costly values that a later phase wants again are kept in a row of scratch memory.
*columns*
    reductions whose last axis in memory is an outer one: the same phases, with the simd loop over a block of columns,
    each lane accumulating for itself.

A reduction with few results and many terms is *split*: a parallel loop makes partial results, a second kernel combines
them. The number of parts does not depend on the number of threads, so neither do the bits of the result.

``itermaps`` knows the axes of a group, ``nest`` the loops being filled, ``maps`` and ``reductions`` the forms;
``group`` chooses among them. ``single`` lowers what is no group.
"""

from symc.compiler.lowering.builder import KernelBuilder
from symc.compiler.lowering.fusion_group import lower_group
from symc.compiler.lowering.single import LoopContext, lower_single

__all__ = ["KernelBuilder", "LoopContext", "lower_group", "lower_single"]
