"""What the shape of loops depends on: numbers about the machine that they are for."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CPU", "Target"]


@dataclass(frozen=True)
class Target:
    """Choices of fusion and lowering; a back end may bring its own as its attribute ``target``.

    Attributes
    ----------
    group_limit : int
        Members a fused group may have: bounds the size of a generated function, hence its compile time.
    min_rows, long_row : int
        With fewer than ``min_rows`` rows, each longer than ``long_row``, a reduction and its consumers are better off
        in loops apart.
    block : int
        Elements of a one-axis map that one iteration of its parallel loop handles.
    tile : int
        Side of the tiles in which a map with transposed operands is walked.
    columns : int
        Columns that one iteration of a column form handles.
    keep_limit : int
        Longest row, in elements, of which a phase keeps values for a later one.
    parts : int
        Partial results of a split reduction, at most.
    split_above : int
        Terms from which a reduction with few results is split.
    few_results : int
        Results up to which a reduction counts as having few.
    rows : int
        Rows that keep the machine busy: a reduction of fewer is split into as many parts as are missing, at each call's
        sizes. 0: any reduction with few results is split into ``parts``.
    row_threads : int
        Threads that a row takes, where ``columns`` take one each.
    """

    group_limit: int = 64
    min_rows: int = 8
    long_row: int = 16384
    block: int = 4096
    tile: int = 64
    columns: int = 128
    keep_limit: int = 1 << 16
    parts: int = 64
    split_above: int = 16384
    few_results: int = 32
    rows: int = 0
    row_threads: int = 1


CPU = Target()
"""A few cores with caches of their own."""
