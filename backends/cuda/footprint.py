"""How much memory of the GPU a call takes, told before it runs."""

from __future__ import annotations

from collections.abc import Sequence

from symc.footprint import Memory
from symc_backends.cuda.run import Executable

__all__ = ["footprint"]


def footprint(executable: Executable, values: Sequence[int]) -> Memory:
    """See ``symc.backend``. What is known afterwards, such as the algorithms of convolutions, serves the call, too."""
    with executable.device as device:
        frame = executable.frame(values)
        greediest = max(frame.tasks, key=lambda task: task.spare, default=None)
        scratch = [] if greediest is None or not greediest.spare else [(greediest.step, greediest.spare)]
        return Memory(frame.temporaries, scratch, device.block, apart=True)
