"""GPU memory of a call before it runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symc.graph import dims
from symc.loops.ir import Room, walk
from symc.runtime.memory_use import Memory
from symc_backends.cuda.run import Executable

__all__ = ["footprint"]


def footprint(executable: Executable, values: Sequence[int]) -> Memory:
    """Estimate the memory of a call; see ``symc.runtime.backend``.

    Intermediate results, such as the algorithms of convolutions, are kept for the call.
    """
    with executable.device as device:
        totals = [executable.layout(k, values).total for k in range(len(executable.segments))]
        bound = dict(zip(executable.program.symbols, values))
        for node in walk(executable.program.body):
            if isinstance(node, Room):
                width = np.dtype(executable.program.buffers[node.buffer].dtype).itemsize
                totals.append(max(dims.evaluate(node.elements, bound), 0) * width)
        greediest = max(executable.tasks(values), key=lambda task: task.spare, default=None)
        spare = 0 if greediest is None else greediest.spare
        scratch = [(greediest.step, spare)] if greediest is not None and greediest.step is not None and spare else []
        blocks = [n for n in (*totals, spare) if n]
        return Memory(sum(totals), scratch, device.block, apart=True, blocks=blocks)
