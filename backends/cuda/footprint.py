"""How much memory of the GPU a call takes, told before it runs."""

from __future__ import annotations

from collections.abc import Sequence

from symc.runtime.memory_estimate import Memory
from symc_backends.cuda.run import Executable

__all__ = ["footprint"]


def footprint(executable: Executable, values: Sequence[int]) -> Memory:
    """See ``symc.runtime.backend``. What is known afterwards, such as the algorithms of convolutions, serves the call,
    too."""
    with executable.device as device:
        workspace = executable.workspace(values)
        greediest = max(workspace.tasks, key=lambda task: task.spare, default=None)
        scratch = [] if greediest is None or not greediest.spare else [(greediest.step, greediest.spare)]
        return Memory(workspace.temporaries, scratch, device.block, apart=True)
