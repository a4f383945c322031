"""Lowering: from a fused group to kernels of loop IR.

A group becomes loops in one of four forms:

*map*
    no reductions. Axes that all operands traverse in the same way are merged; the last one is a ``simd`` loop, the
    others share a parallel loop (a single axis is split into blocks, the two axes of a transpose into tiles).
*rows*
    reductions along the axis that is last in memory: a parallel loop over the outer axes, and inside it a sequence of
        *phases*, each a loop over the inner axes. A phase computes the reductions whose inputs are known, and stores
        results; costly values that a later phase needs are kept in a row of scratch memory.
*columns*
    reductions whose last axis in memory is an outer one: the same phases, with the simd loop over a block of columns,
    in which each lane has its own accumulator. What is computed from a column's results is kept for the next phase.
*short rows*
    reductions over a few elements: a map over the rows, in which every term is written out.

A reduction with few results and many terms is *split*: a parallel loop computes partial results, which a second kernel
combines. The number of parts does not depend on the number of threads, so neither do the bits of the result.

``iteration`` analyses the axes of a group, ``nest`` builds the loops, ``maps``, ``reductions`` and ``short_rows``
implement the forms; ``fusion_group`` chooses among them. ``single`` lowers applications outside groups.
"""

from symc.compiler.lowering.builder import KernelBuilder
from symc.compiler.lowering.fusion_group import lower_group
from symc.compiler.lowering.single import LoopContext, lower_single

__all__ = ["KernelBuilder", "LoopContext", "lower_group", "lower_single"]
