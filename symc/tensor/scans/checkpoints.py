"""``scan_checkpoints``: a scan whose gradient keeps the states of few steps and computes the others again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from symc.errors import ShapeError, located
from symc.graph import Constant, Variable
from symc.graph.argument_faults import explain_faults
from symc.graph.dtypes import is_integer
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor, constant
from symc.tensor.creation import alloc, arange
from symc.tensor.joining import join
from symc.tensor.requirements import require_lengths
from symc.tensor.reshaping import reshape
from symc.tensor.scans.arguments import listed, until
from symc.tensor.scans.scan import scan
from symc.tensor.symbolic_dims import shape_i

__all__ = ["scan_checkpoints"]


def scan_checkpoints(
    fn: Callable[..., Any],
    sequences: Any = None,
    outputs_info: Any = None,
    non_sequences: Any = None,
    name: str = "checkpointscan_fn",
    n_steps: Any = None,
    save_every_N: int = 10,
    padding: bool = True,
) -> tuple[Any, dict[Any, Any]]:
    """Repeat a step, and return its outputs after every ``save_every_N`` steps only.

    The gradient keeps the states of these steps, and computes those between them again, block by block: for ``n`` steps
    it takes the memory of about ``n / save_every_N + save_every_N`` states, and one more run of the step.

    Parameters
    ----------
    fn : callable
        As for ``scan``; without ``until``.
    sequences : Variable or sequence of Variable, optional
        Equally long. No taps.
    outputs_info : Variable, number, None, or sequence of these, optional
        Initial values of states, and None for other outputs. No taps.
    non_sequences : Variable or sequence of Variable, optional
    name : str
    n_steps : int or Variable, optional
        By default the length of the sequences.
    save_every_N : int
        The number of steps from one saved output to the next.
    padding : bool
        Append zeros to the sequences, which are not read, where their length is no multiple of ``save_every_N``. With
        False, that length is an error.

    Returns
    -------
    outputs : Variable or list of Variable
        ``(ceil(n / save_every_N), ...)``: the outputs of steps ``N``, ``2 N``, ..., and of the last step.
    updates : dict
        As that of ``scan``.
    """
    if isinstance(save_every_N, bool) or not isinstance(save_every_N, (int, np.integer)) or save_every_N < 1:
        raise ValueError(f"scan_checkpoints: save_every_N must be a number of steps from 1, got {save_every_N!r}")
    for entry in (*listed(sequences), *listed(outputs_info)):
        if isinstance(entry, Mapping):
            raise ValueError("scan_checkpoints: sequences and outputs_info cannot have taps; use scan")
    read = [as_tensor(v) for v in listed(sequences)]
    for k, v in enumerate(read):
        if not v.ndim:
            raise ShapeError(located(f"scan_checkpoints: sequence {k} is a scalar", [v], "use non_sequences"))
    if n_steps is None and not read:
        raise ValueError(located("scan_checkpoints: nothing tells the number of steps", [], "give n_steps"))
    every = int(save_every_N)
    count = as_tensor(shape_i(read[0], 0) if n_steps is None else n_steps)
    if count.ndim or not is_integer(count.dtype):
        raise ValueError(located("scan_checkpoints: n_steps must be an integer", [count]))
    count = ew.cast(count, "int64")
    blocks = (count + (every - 1)) // every
    steps = ew.minimum(count - arange(blocks, dtype="int64") * every, every)
    whole = not padding or isinstance(count, Constant) and int(count.data) % every == 0
    outer = [_in_blocks(v if n_steps is None else v[:count], count, blocks, every, whole) for v in read]
    infos = listed(outputs_info)
    fixed = listed(non_sequences)

    def block(*args: Any) -> Any:
        inner = list(args[: len(outer)])
        starts = iter(args[len(outer) + 1 : len(args) - len(fixed)])
        given = [None if i is None else next(starts) for i in infos]
        found, updates = scan(
            _without_end(fn),
            inner,
            given or None,
            list(args[len(args) - len(fixed) :]),
            every if whole else args[len(outer)],
            name=f"{name}_inner",
            return_list=True,
        )
        return [v[-1] for v in found or []], updates

    return scan(block, [*outer, steps], infos or None, fixed, name=f"{name}_outer")


def _without_end(fn: Callable[..., Any]) -> Callable[..., Any]:
    def step(*args: Any) -> Any:
        found = fn(*args)
        if isinstance(found, until) or isinstance(found, (list, tuple)) and found and isinstance(found[-1], until):
            raise ValueError("scan_checkpoints: the step cannot end the loop with until; use scan")
        return found

    return step


def _in_blocks(v: Variable, count: Variable, blocks: Variable, every: int, whole: bool) -> Variable:
    """``(blocks, every, ...)``: the entries of a sequence, with zeros where it ends in the middle of a block."""
    v = require_lengths(v, [(shape_i(v, 0), count, "scan_checkpoints: the sequences differ in length")])
    missing = blocks * every - count
    if whole:
        text = f"scan_checkpoints: without padding, the number of steps must be a multiple of save_every_N = {every}"
        v = require_lengths(v, [(missing, 0, text)], "leave padding=True")
    else:
        zero = constant(np.zeros((), v.dtype), dtype=v.dtype)
        rest = [shape_i(v, k) for k in range(1, v.ndim)]
        v = join(0, v, alloc(zero, missing, *rest))
    return reshape(v, [blocks, every, *(shape_i(v, k) for k in range(1, v.ndim))], v.ndim + 1)


explain_faults(globals())
