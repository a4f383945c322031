"""Facts about a program that all items of its walk use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symc.graph import dims
from symc.loops.ir import Program, Ref
from symc_backends.cuda.build import Code
from symc_backends.cuda.shadows import shadows_of

__all__ = ["Facts"]


class Facts:
    """Facts about a program, its code and its device.

    Attributes
    ----------
    timed : bool
        Whether steps are measured with events.
    times : array of float
        Seconds per step.
    number : dict of int to int
        The number of each step, by its identity.
    position : dict
        The position of each symbol among the program's symbols.
    status : int or None
        The buffer in which steps report errors.
    roots : array of int
        Per buffer, the one at the end of its chain of aliases.
    shadows : dict
        Values that the host can compute from arguments in host memory; see ``symc_backends.cuda.shadows``.
    """

    def __init__(self, code: Code, program: Program, timed: bool) -> None:
        self.code = code
        self.program = program
        self.device = code.device
        self.timed = timed
        self.times = np.zeros(max(len(program.steps), 1))
        self.number = {id(step): k for k, step in enumerate(program.steps)}
        self.position = {symbol: k for k, symbol in enumerate(program.symbols)}
        self.status = next((k for k, b in enumerate(program.buffers) if b.role == "status"), None)
        self.roots = np.array([_root(program, k) for k in range(len(program.buffers))], "intp")
        self.shadows = shadows_of(program)

    def positions(self, wanted: Sequence[dims.Dim]) -> list[int]:
        """The positions of the dims' symbols among the program's symbols."""
        return sorted({self.position[s] for d in wanted for s in dims.symbols_of(d)})

    def elements(self, number: int) -> dims.Dim:
        """The number of elements allocated for a buffer."""
        b = self.program.buffers[number]
        return dims.product(b.shape) if b.room is None else b.room

    def may_be_given(self, ref: Ref) -> bool:
        """Whether the value there may be computed from arguments in host memory."""
        return ref.buffer in self.shadows or self.program.buffers[ref.buffer].role in ("input", "constant")


def _root(program: Program, number: int) -> int:
    """The buffer at the end of a chain of aliases."""
    while program.buffers[number].alias >= 0:
        number = program.buffers[number].alias
    return number
