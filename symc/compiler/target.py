"""Parameters of the target machine that determine the shape of loops."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CPU", "Target"]


@dataclass(frozen=True)
class Target:
    """Parameters of fusion and lowering; a back end may define its own as the attribute ``target``.

    Attributes
    ----------
    group_limit, map_limit : int
        The largest number of members of a group, which bounds the size and compile time of a generated function: of one
        with reductions, whose forms repeat the members for several rows, and of one without.
    min_rows, long_row : int
        With fewer than ``min_rows`` rows, each longer than ``long_row``, a reduction and its consumers use separate
        loops.
    block : int
        The number of elements of a one-axis map per iteration of its parallel loop.
    tile, tile_length : int
        The sides of the tiles of a map with transposed operands: along the axis along which they are contiguous (the
        smallest, if tiles are packed), and along the last one (0: the same).
    packed_tile : int
        The largest side of a tile along the axis along which transposed operands are contiguous, if these are copied to
        scratch memory in the order of the result first; 0 if they are not.
    columns, most_columns : int
        The smallest and the largest number of columns per iteration of the column form: as many as leave work for all
        threads, since long pieces of rows are read faster.
    keep_limit : int
        The longest row, in elements, of which a phase keeps values for a later phase.
    parts : int
        The largest number of partial results of a split reduction.
    split_above : int
        The number of terms from which a reduction with few results is split.
    few_results : int
        The largest number of results that counts as few.
    rows : int
        The number of rows that occupies the machine: a reduction with fewer rows is split into as many parts as
        necessary, for the sizes of each call. With 0, every reduction with few results is split into ``parts``.
    row_threads : int
        The number of threads per row, where ``columns`` use one each.
    short_row : int
        The number of elements of rows that are so short that each is reduced without a loop, with rows as lanes.
    any_rows : bool
        Whether rows may follow any axes, such as one channel of a batch of images, and groups over the same rows are
        merged wherever possible.
    loops_in_registers : bool
        Whether a loop over elements may contain a loop over steps whose states are in registers.
    loops_by_rows : bool
        Whether threads may run a loop on rows of their own.
    rows_in_blocks : bool
        Whether chains of products and what is computed of their rows may run some rows at a time.
    epilogues : bool
        Whether library calls process the elements that they have computed further, see ``symc.loops.ir.Epilogue``.
    chains : bool
        Whether a kernel may consist of several library calls that pass on their output, see ``symc.loops.ir.Call``.
    pooled_maps : bool
        Whether convolutions store the maxima of windows of their maps.
    scatters : bool
        Whether scatters compute cheap operands in their own loops, and checks of index vectors are reductions.
    """

    group_limit: int = 64
    map_limit: int = 64
    min_rows: int = 8
    long_row: int = 16384
    block: int = 4096
    tile: int = 64
    tile_length: int = 0
    packed_tile: int = 0
    columns: int = 128
    most_columns: int = 0
    keep_limit: int = 1 << 16
    parts: int = 64
    split_above: int = 16384
    few_results: int = 32
    rows: int = 0
    row_threads: int = 1
    short_row: int = 0
    any_rows: bool = False
    loops_in_registers: bool = False
    loops_by_rows: bool = False
    rows_in_blocks: bool = False
    epilogues: bool = False
    chains: bool = False
    pooled_maps: bool = False
    scatters: bool = False


CPU = Target(
    map_limit=1024, most_columns=2048, any_rows=True, short_row=12, tile_length=256, packed_tile=256,
    loops_in_registers=True, loops_by_rows=True, rows_in_blocks=True, epilogues=True, chains=True,
    pooled_maps=True, scatters=True,
)  # fmt: skip
"""A few cores with their own caches."""
